"""What importing lstm_rt costs: no module that is not needed to run, and little memory."""

from __future__ import annotations

import json
import pathlib
import platform
import re
import subprocess
import sys
from typing import Any

import pytest

import lstm_rt

# Resident memory after numpy alone, and after lstm_rt; then the modules that lstm_rt added.
PROGRAM = """
import json, sys
import numpy
def resident():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1])
before, had = resident(), set(sys.modules)
import lstm_rt
print(json.dumps({"pages": resident() - before, "modules": sorted(set(sys.modules) - had)}))
"""
HEAVY = {"gguf", "h5py", "html", "keras", "onnx", "onnxruntime", "rich", "safetensors", "torch", "typer", "matplotlib"}
LIMIT = 5 * 1024 * 1024
CPUINFO = pathlib.Path("/proc/cpuinfo")
_AVX2 = {"avx2", "fma", "f16c"}
_AVX512 = {*_AVX2, "avx512f", "avx512dq", "avx512bw", "avx512vl"}
NEEDS = {
    "x86_sse41": {"sse4_1"},
    "x86_avx2": _AVX2,
    "x86_avxvnni": {*_AVX2, "avx_vnni"},
    "x86_avx512": _AVX512,
    "x86_avx512vnni": {*_AVX512, "avx512_vnni"},
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # From another folder: here the source folder would be taken for the package.
    elsewhere = tmp_path_factory.mktemp("import")
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_nothing_heavy_is_imported(imported: dict[str, Any]) -> None:
    modules = imported["modules"]
    assert "lstm_rt" in modules
    assert "numpy.typing" not in modules
    assert not HEAVY & {name.split(".")[0] for name in modules}
    unused = ("lstm_rt.conver", "lstm_rt.cli", "lstm_rt.recipes", "lstm_rt.quantize")
    assert not [name for name in modules if name.startswith(unused)]


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="no /proc to read memory from")
def test_resident_memory(imported: dict[str, Any]) -> None:
    import resource

    assert imported["pages"] * resource.getpagesize() < LIMIT


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not CPUINFO.exists(), reason="looks into x86 Linux's /proc/cpuinfo"
)
@pytest.mark.parametrize("isa", NEEDS)
def test_instruction_set_is_found(isa: str) -> None:
    # A wheel whose compiler brings a runtime of its own might find none, and run ten times slower.
    flags = set(re.search(r"^flags\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)[1].split())  # type: ignore[index]
    assert (isa in lstm_rt.available_isas()) == (NEEDS[isa] <= flags)


def test_a_missing_numpy_is_named(tmp_path: pathlib.Path) -> None:
    program = "import sys; sys.modules['numpy'] = None; import lstm_rt"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "numpy" in done.stderr.splitlines()[-1]
