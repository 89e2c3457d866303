"""Instructions on ARM: cpp/step.cpp, built by a cross compiler of Debian's, run by QEMU with a plugin that counts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from .compiled import compiled

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "cross"))

from targets import TARGETS, Target, build, prepare  # noqa: E402

PLUGIN = Path(__file__).parent / "native" / "count.c"


def processors() -> dict[str, str]:
    """QEMU's name of each processor with a board, and the instruction set it is to have."""
    return {cpu: _target(cpu).isas[cpu].split()[0] for cpu in ("cortex-a7", "cortex-a53", "cortex-a76")}


def command(cpu: str) -> list[str]:
    """What goes before the options of the program that steps: QEMU, the plugin and the program."""
    target = _target(cpu)
    program = _built(target)  # installs what is missing
    qemu = target.qemu.replace("-static", "")
    return [qemu, "-cpu", cpu, "-L", f"/usr/{target.triple}", "-plugin", str(plugin(qemu)), str(program)]


def _target(cpu: str) -> Target:
    return next(target for target in TARGETS if cpu in target.isas)


@cache
def _built(target: Target) -> Path:
    prepare([target], {"qemu-user": target.qemu.replace("-static", "")})
    cmake, ninja = shutil.which("cmake") or "cmake", shutil.which("ninja") or "ninja"
    return build(target, cmake, ninja, "-DLSTM_RT_BENCH=ON", goals=["bench_step"]) / "bench_step"


def plugin(qemu: str) -> Path:
    """The plugin that counts, compiled for the API of this QEMU."""
    version = re.search(r"version (\d+)", subprocess.run([qemu, "--version"], capture_output=True, text=True).stdout)
    api = 2 if version and int(version[1]) >= 9 else 1
    return compiled(PLUGIN, ("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", f"-DAPI_VERSION={api}"), ".so")
