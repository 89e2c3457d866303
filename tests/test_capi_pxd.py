"""`lstm_rt.capi` says what `lstm_rt.h` says: every function, struct, enum and number, with the same types."""

from __future__ import annotations

import pathlib
import re

import lstm_rt

HEADER = pathlib.Path(lstm_rt.get_include(), "lstm_rt.h").read_text()
PXD = pathlib.Path(lstm_rt.__file__).with_name("capi.pxd").read_text()


def words(text: str) -> str:
    return " ".join(re.findall(r"[\w.]+|\*|\[|\]", text))


def declarations(text: str) -> set[str]:
    """Functions: name, types and names of the parameters, result."""
    found = re.findall(r"([\w* ]+?)\b(lrt_\w+)\(([^()]*)\)", text)
    return {
        f"{words(result)} {name}({words(given.replace('void', '', given == 'void'))})" for result, name, given in found
    }


def fields_of_header() -> dict[str, list[str]]:
    text = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    text = text.replace("LRT_MAX_RANK]", "8]")
    structs = re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text, flags=re.DOTALL)
    enums = re.findall(r"typedef enum (\w+) \{(.*?)\} \1;", text, flags=re.DOTALL)
    fields = {name: [words(field) for field in body.split(";") if field.strip()] for name, body in structs}
    values = {name: [item.split("=")[0].strip() for item in body.split(",")] for name, body in enums}
    handles = {key: ["pass"] for key in re.findall(r"typedef struct (\w+) \1;", text)}
    return {**fields, **values, **handles}


def fields_of_pxd() -> dict[str, list[str]]:
    blocks = re.findall(r"ctypedef (?:struct|enum) (\w+):\n((?: {8}.*\n)+)", PXD)
    return {name: [words(line.replace("noexcept", "")) for line in body.splitlines()] for name, body in blocks}


def test_functions() -> None:
    header = declarations(
        "".join(
            re.findall(r"^LRT_API( [^;]*?);", re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL), flags=re.MULTILINE)
        )
    )
    pxd = declarations("\n".join(re.findall(r"^    (\w[^:]*?\))$", PXD, flags=re.MULTILINE)))
    assert len(header) > 60
    assert pxd == header


def test_structs_and_enums() -> None:
    header = fields_of_header()
    assert {"lrt_status", "lrt_call", "lrt_stream_options", "lrt_pool"} <= set(header)
    assert fields_of_pxd() == header


def test_numbers() -> None:
    numbers = set(re.findall(r"#define (LRT_[A-Z_]+) \d+$", HEADER, flags=re.MULTILINE))
    assert set(re.findall(r"enum: (\w+)", PXD)) == numbers
