"""Debian for ARM, unpacked without root or containers: QEMU's user mode runs its Python, with lstm_rt built for it."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import sys
import zipfile

import numpy
from targets import AARCH64, ARMV7, BUILD, ROOT, Target, build, run

sys.path.insert(0, str(ROOT / "packaging"))
import headers

PYTHON = (3, 11)  # of bookworm
MIRROR = "deb http://deb.debian.org/debian bookworm main"
PACKAGES = {"mmdebstrap": "mmdebstrap"}  # of this machine's Debian, beside those of a target
REQUIREMENTS = ("pytest>=8", "hypothesis>=6.100", "typer>=0.12", "rich>=13")  # of PyPI
MODULES = ("lstm_rt", "_core", "_stepper", "_stream", "_pool")  # goals of the build


def fetch(*command: object) -> None:
    """Run a command that needs the network; where it fails say so, and end well."""
    try:
        run(*command)
    except SystemExit as why:
        print(f"NOT TESTED: Python on ARM needs packages that cannot be had. {why}", file=sys.stderr)
        sys.exit(0)


def up_to_date(folder: pathlib.Path, wanted: str) -> bool:
    """Whether a folder has what is wanted; where it has not, it is removed."""
    stamp = folder.with_suffix(".txt")
    if stamp.exists() and stamp.read_text() == wanted:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    return False


def done(folder: pathlib.Path, wanted: str) -> None:
    folder.with_suffix(".txt").write_text(wanted)


@dataclasses.dataclass(frozen=True, eq=False)
class Debian:
    target: Target
    architecture: str
    platforms: tuple[str, ...]  # of the wheels that PyPI has for it
    packages: tuple[str, ...] = ()  # of Debian, beside Python
    requirements: tuple[str, ...] = ()  # of PyPI, beside REQUIREMENTS
    alone: tuple[str, ...] = ()  # of PyPI, but what they need is of Debian
    pytest: tuple[str, ...] = ()  # its options

    @property
    def folder(self) -> pathlib.Path:
        return BUILD / "roots" / self.architecture

    @property
    def root(self) -> pathlib.Path:
        return self.folder / "root"

    @property
    def site(self) -> pathlib.Path:
        """Where lstm_rt is; what comes from PyPI is in ``pypi`` beside it."""
        return self.folder / "site"

    @property
    def path(self) -> list[pathlib.Path]:
        """For PYTHONPATH."""
        return [self.site, self.folder / "pypi", pathlib.Path(__file__).parent]

    @property
    def include(self) -> pathlib.Path:
        return self.root / f"usr/include/python{PYTHON[0]}.{PYTHON[1]}"

    def make(self) -> None:
        """Unpack Debian, where it is not there yet."""
        wanted = ",".join(("python3", "libpython3-dev", "libstdc++6", *self.packages))
        if up_to_date(self.root, wanted):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        which = [f"--architectures={self.architecture}", f"--include={wanted}"]
        fetch("mmdebstrap", "--variant=extract", *which, "bookworm", self.root, MIRROR)
        libraries = self.root / "usr/lib" / self.target.triple
        for library in libraries.glob("*/lib*.so.3"):  # of BLAS; Debian's scripts, were they run, would have linked it
            (libraries / library.name).symlink_to(library.relative_to(libraries))
        # pyconfig.h includes that of the processor by a path below the root's include; this puts it beside Python.h.
        (self.include / self.target.triple).symlink_to(f"../{self.target.triple}")
        (self.include / "numpy").unlink(missing_ok=True)  # older than those that are built with
        done(self.root, wanted)

    def install(self, cmake: str, ninja: str, wheel: pathlib.Path | None) -> None:
        """Install lstm_rt, built here unless a wheel is given, and what tests need of PyPI, where it is not there."""
        folder = self.folder / "pypi"
        wanted = [*REQUIREMENTS, *self.requirements]
        if not up_to_date(folder, " ".join((*wanted, *self.alone))):
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "--only-binary=:all:"]
            which = [f"--python-version={PYTHON[0]}.{PYTHON[1]}", *(f"--platform={name}" for name in self.platforms)]
            fetch(*pip, *which, *wanted)
            if self.alone:
                fetch(*pip, *which, "--no-deps", *self.alone)
            done(folder, " ".join((*wanted, *self.alone)))
        shutil.rmtree(self.site, ignore_errors=True)
        if wheel:
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(self.site)
        else:
            self.build(cmake, ninja)

    def build(self, cmake: str, ninja: str) -> None:
        """Build the package in the folder of the target's tests, which has most of it, and install it into ``site``."""
        if sys.version_info[:2] != PYTHON:
            version = ".".join(map(str, PYTHON))
            print(f"NOT TESTED: bookworm has Python {version}, this is another. Give a wheel.", file=sys.stderr)
            sys.exit(0)
        # This machine's: Debian's are too old for Cython.
        numpy_headers = headers.for_bits(self.target.bits, pathlib.Path(numpy.get_include()), self.folder / "numpy")
        python = [  # this machine's runs Cython, the headers are those of the root
            "-DLSTM_RT_PYTHON=ON",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/env",
            f"-DPython_INCLUDE_DIR={self.include}",
            f"-DPython_NumPy_INCLUDE_DIR={numpy_headers}",
            f"-DPYTHON_MODULE_EXTENSION=.cpython-{PYTHON[0]}{PYTHON[1]}-{self.target.triple}.so",
            f"-DCMAKE_STRIP={shutil.which(self.target.triple + '-strip')}",
        ]
        folder = build(self.target, cmake, ninja, *python, goals=MODULES)
        pure = shutil.ignore_patterns("*.so", "__pycache__", "_build_info.py", "lib", "include")
        shutil.copytree(ROOT / "lstm_rt", self.site / "lstm_rt", ignore=pure)
        shutil.copytree(ROOT / "converters", self.site / "lstm_rt" / "converters", ignore=pure)
        run(cmake, "--install", folder, "--prefix", self.site, "--strip")

    def python(self, cpu: str) -> pathlib.Path:
        """Python on a processor, as a program of this machine that can start itself: it is its sys.executable."""
        program = self.folder / "bin" / cpu / "python3"
        program.parent.mkdir(parents=True, exist_ok=True)
        emulator = f"{self.target.qemu} -L {self.root} -cpu {cpu} -E PYTHONHOME={self.root}/usr"
        program.write_text(f'#!/bin/sh\nexec {emulator} -0 "$0" {self.root}/usr/bin/python3.{PYTHON[1]} "$@"\n')
        program.chmod(0o755)
        return program


# PyPI has everything for arm64, and NumPy 2; for armhf it has only what is Python alone, and Debian older packages.
ARM64 = Debian(
    AARCH64,
    "arm64",
    platforms=("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    requirements=("onnx", "gguf", "h5py", "safetensors"),
)
ARMHF = Debian(
    ARMV7,
    "armhf",
    platforms=("any",),
    packages=tuple(f"python3-{name}" for name in ("numpy", "onnx", "h5py", "yaml", "tqdm", "requests")),
    alone=("gguf",),
    pytest=("-p", "old_onnx"),
)
