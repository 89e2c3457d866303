"""``.pt2`` files that claim what is not there, or lead elsewhere: refused by name, quickly and cheaply."""

from __future__ import annotations

import copy
import json
import pathlib
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lstm_rt

TAGGER = pathlib.Path(__file__).parent / "golden" / "tagger.pt2"
MODEL, WEIGHTS = "tagger/models/model.json", "tagger/data/weights/model_weights_config.json"
with zipfile.ZipFile(TAGGER) as _file:
    MEMBERS = {name: _file.read(name) for name in _file.namelist()}
SECONDS, BYTES = 1.0, 200 * 2**20

Change = Callable[[Any], None]


def packed(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    import io

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def changed(member: str, change: Change) -> bytes:
    document = copy.deepcopy(json.loads(MEMBERS[member]))
    change(document)
    return packed({**MEMBERS, member: json.dumps(document).encode()})


def weight(**entries: Any) -> Change:
    return weight_of("e.weight", **entries)


def weight_of(weight: str, **entries: Any) -> Change:
    """Change what is said of one weight."""

    def change(document: Any) -> None:
        entry = document["config"][weight]
        for name, value in entries.items():
            (entry if name in entry else entry["tensor_meta"])[name] = value

    return change


def of(*values: int) -> list[dict[str, int]]:
    return [{"as_int": value} for value in values]


def program(change: Change) -> bytes:
    return changed(MODEL, change)


def nodes(document: Any) -> Any:
    return document["graph_module"]["graph"]["nodes"]


def deep(document: Any) -> None:
    for _ in range(200):
        document["graph_module"]["graph"] = [document["graph_module"]["graph"]]


def without(name: str) -> bytes:
    return packed({key: data for key, data in MEMBERS.items() if key != name})


HOSTILE: dict[str, tuple[bytes, str]] = {
    "no zip": (b"PK\3\4 nothing", "not a zip archive"),
    "empty": (b"", "the file is empty"),
    "cut short": (packed(MEMBERS)[:-100], "not a zip archive"),
    "other zip": (packed({"a/b": b"c"}), "0 exported programs"),
    "two programs": (packed({**MEMBERS, "tagger/models/b.json": b"{}"}), "2 exported programs"),
    "compressed": (packed({**MEMBERS, "tagger/models/model.json": b" " * 2**28}, zipfile.ZIP_DEFLATED), "compressed"),
    "old": (packed({"serialized_exported_program.json": b"{}"}), "old version of torch"),
    "no weights": (without(WEIGHTS), "there is no"),
    "no storage": (without("tagger/data/weights/weight_0"), "there is no"),
    "no JSON": (packed({**MEMBERS, MODEL: b"{"}), "not JSON"),
    "deep JSON": (packed({**MEMBERS, MODEL: b"[" * 10**6}), "not JSON"),
    "JSON of another kind": (packed({**MEMBERS, MODEL: b"[1]"}), "not an object"),
    "huge integer": (packed({**MEMBERS, MODEL: b'{"schema_version": {"major": ' + b"9" * 5000 + b"}}"}), "not"),
    "other schema": (program(lambda d: d["schema_version"].update(major=9)), "version 9"),
    "huge shape": (changed(WEIGHTS, weight(sizes=of(2**40, 2**40))), "more than its"),
    "too large a shape": (changed(WEIGHTS, weight(sizes=of(31, 8))), "more than its"),
    "expanded": (changed(WEIGHTS, weight(sizes=of(2**31, 8), strides=of(0, 1))), "more than its"),
    "strides that lead out": (changed(WEIGHTS, weight(strides=of(2**50, 1))), "more than its"),
    "negative stride": (changed(WEIGHTS, weight(strides=of(-8, 1))), "more than its"),
    "negative dim": (changed(WEIGHTS, weight(sizes=of(-30, 8))), "more than its"),
    "offset": (changed(WEIGHTS, weight(storage_offset={"as_int": 200})), "more than its"),
    "ranks": (changed(WEIGHTS, weight(sizes=of(*[1] * 40), strides=of(*[1] * 40))), "cannot be"),
    "symbolic": (changed(WEIGHTS, weight(sizes=[{"as_expr": {"expr_str": "s0"}}, {"as_int": 8}])), "plain number"),
    "climbs out": (changed(WEIGHTS, weight(path_name="../../../etc/passwd")), "no name of a member"),
    "absolute": (changed(WEIGHTS, weight(path_name="/etc/passwd")), "no name of a member"),
    "a pickle": (changed(WEIGHTS, weight(use_pickle=True)), "pickle"),
    "dtype": (changed(WEIGHTS, weight(dtype=99)), "number 99"),
    "big endian": (packed({**MEMBERS, "tagger/byteorder": b"big"}), "little endian"),
    "nodes nested": (program(deep), "nested"),
    "unknown operator": (program(lambda d: nodes(d)[0].update(target="os.system")), "no such operation"),
    "unknown argument": (
        program(lambda d: nodes(d)[1]["inputs"].append(dict(nodes(d)[1]["inputs"][0], name="z"))),
        "z",
    ),
    "before it is defined": (program(lambda d: nodes(d).reverse()), "before it is defined"),
    "gates": (changed(WEIGHTS, weight_of("l.weight_ih_l0", sizes=of(39, 8))), "do not fit"),
    "no layers": (
        program(
            lambda d: [a["arg"].update(as_int=0) for n in nodes(d) for a in n["inputs"] if a["name"] == "num_layers"]
        ),
        "0 cells",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refused(name: str, tmp_path: pathlib.Path) -> None:
    data, message = HOSTILE[name]
    path = tmp_path / "model.pt2"
    path.write_bytes(data)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises((lstm_rt.ModelFileError, lstm_rt.UnsupportedModelError), match=message):
            lstm_rt.load(path)
        assert time.process_time() - start < SECONDS
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("seed", range(300))
def test_damaged_anywhere(seed: int, tmp_path: pathlib.Path) -> None:
    """A part of the program is another: an error of ours, or a model, never anything else."""
    rng = np.random.default_rng(seed)
    member = MODEL if seed % 4 else WEIGHTS
    document = json.loads(MEMBERS[member])
    _damage(document, rng)
    path = tmp_path / "model.pt2"
    path.write_bytes(packed({**MEMBERS, member: json.dumps(document).encode()}))
    try:
        model = lstm_rt.load(path)
        model(np.ones((2, 3), np.int64))
    except lstm_rt.Error:
        pass


def _damage(document: Any, rng: np.random.Generator) -> None:
    strange = (None, -1, 0, 1, 2**62, 1.5, "x", [], {}, True, {"as_int": 3}, {"as_tensor": {"name": "words"}})
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    for item in waiting:
        for key in list(item) if isinstance(item, dict) else range(len(item)):
            places.append((item, key))
            if isinstance(item[key], (dict, list)):
                waiting.append(item[key])
    container, key = places[rng.integers(len(places))]
    container[key] = strange[rng.integers(len(strange))]
