"""Compiles the library for macOS and Windows, with PyPI's zig; nothing is linked or run.

``python3 dev.py targets`` calls it, and takes names of targets.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import sys

import zig

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "targets"
TARGETS = {  # zig's name: CMake's for the system and the processor
    "aarch64-macos": ("Darwin", "arm64"),
    "x86_64-macos": ("Darwin", "x86_64"),
    "x86_64-windows-gnu": ("Windows", "AMD64"),
}


def compile_for(name: str, cmake: str, ninja: str) -> bool:
    """Build the static library; whether that went well."""
    print(f"compiling for {name}", file=sys.stderr, flush=True)
    system, processor = TARGETS[name]
    shutil.rmtree(BUILD / name, ignore_errors=True)
    toolchain = zig.write_toolchain(name, system, processor, BUILD / name, zig.ARM64)
    options = [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", f"-DCMAKE_MAKE_PROGRAM={ninja}", "-DBUILD_SHARED_LIBS=OFF"]
    options += ["-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY", "-DLSTM_RT_WERROR=ON"]
    folder = BUILD / name / "cmake"
    configured = subprocess.call([cmake, "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", *options]) == 0
    return configured and subprocess.call([cmake, "--build", str(folder), "--target", "lstm_rt"]) == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="dev.py targets", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET", help=", ".join(TARGETS) + "; all")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--ninja", default="ninja")
    options = parser.parse_args()
    names = options.names or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}. There are {', '.join(TARGETS)}")
    failed = [name for name in names if not compile_for(name, options.cmake, options.ninja)]
    if failed:
        sys.exit(f"does not compile for {', '.join(failed)}")
    print(f"compiles for {', '.join(names)}")


if __name__ == "__main__":
    main()
