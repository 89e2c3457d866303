"""Processors that QEMU plays: what is built for each, by which compiler, and how it is run."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "cross"
ZIG = "-m;ziglang;{};-target;arm-linux-musleabihf;-mcpu=arm1176jzf_s"


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    processor: str  # as CMake calls it
    triple: str  # Debian's; its compiler builds what has no `zig`
    qemu: str
    isas: dict[str, str]  # QEMU's name of a processor: what the library must find there
    every_test_on: str
    bits: int = 64
    zig: bool = False  # static, by the compiler that PyPI's ziglang holds

    @property
    def packages(self) -> dict[str, str]:
        """Debian's packages that building and running need, and a program of each."""
        compiler = {} if self.zig else {f"g++-{self.triple}": f"{self.triple}-g++"}
        return {**compiler, "qemu-user-static": self.qemu}

    def compiler(self, language: str) -> str:
        """A compiler as CMake takes it: the program, then words that always follow."""
        if self.zig:
            return f"{sys.executable};{ZIG.format('c++' if language == 'CXX' else 'cc')}"
        return f"{self.triple}-{'g++' if language == 'CXX' else 'gcc'}"

    def emulator(self, cpu: str) -> tuple[str, ...]:
        """The command in front of a program built for this."""
        libraries = () if self.zig else ("-L", f"/usr/{self.triple}")
        return (self.qemu, *libraries, "-cpu", cpu)


AARCH64 = Target(
    "aarch64",
    "aarch64-linux-gnu",
    "qemu-aarch64-static",
    {
        "max": "arm64_dotprod arm64_neon portable",
        "cortex-a76": "arm64_dotprod arm64_neon portable",
        "cortex-a72": "arm64_neon portable",
        "cortex-a53": "arm64_neon portable",
    },
    "max",
)
ARMV7 = Target(
    "armv7l",
    "arm-linux-gnueabihf",
    "qemu-arm-static",
    {
        "cortex-a7": "armv7_vfpv4 armv7_neon portable",
        "cortex-a8": "armv7_neon portable",
        "cortex-a8,neon=off": "portable",
    },
    "cortex-a7",
    bits=32,
)
# Debian's compiler and C library for 32-bit ARM need ARMv7. The first build of zig is slow.
ARMV6 = Target(
    "armv6l", "arm-linux-musleabihf", "qemu-arm-static", {"arm1176": "portable"}, "arm1176", bits=32, zig=True
)
TARGETS = (AARCH64, ARMV7)


def run(*command: object) -> bytes:
    """What a command wrote to its output; where it fails, the end, with all it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")[-8000:]
        raise SystemExit(f"FAILED ({done.returncode}): {' '.join(words)}\n{said}")
    return done.stdout


def missing(packages: dict[str, str]) -> list[str]:
    return [package for package, program in packages.items() if not shutil.which(program)]


def install_missing(packages: dict[str, str]) -> None:
    """Install Debian's packages where that is possible; else say what is missing, and end well."""
    if missing(packages) and shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
        for words in (["update"], ["install", "-y", "--no-install-recommends", *missing(packages)]):
            if subprocess.call([*apt, *words], stdout=subprocess.DEVNULL) and words[0] == "install":
                break
    if missing(packages):
        why = "not installed: " + ", ".join(missing(packages))
        print(f"ARM IS NOT TESTED: {why}. On Debian: apt-get install {' '.join(packages)}", file=sys.stderr)
        sys.exit(0)


def is_x86() -> bool:
    return platform.machine() in ("x86_64", "AMD64")


def prepare(targets: Sequence[Target], more: Mapping[str, str] | None = None) -> None:
    """All that building and running for `targets` needs, and `more`; ends, and well, where it cannot be had."""
    if not is_x86():
        print(
            f"ARM IS NOT TESTED: QEMU plays it on x86 here, and this machine is {platform.machine()}", file=sys.stderr
        )
        sys.exit(0)
    install_missing({name: program for t in targets for name, program in t.packages.items()} | dict(more or {}))
    BUILD.mkdir(parents=True, exist_ok=True)


def build(
    target: Target, cmake: str, ninja: str, *options: str, name: str = "", goals: Sequence[str] = ()
) -> pathlib.Path:
    """Build for a target with these options of CMake, all or some goals; the folder."""
    folder = BUILD / (name or target.processor)
    tools = [f"-DCMAKE_{language}_COMPILER={target.compiler(language)}" for language in ("C", "CXX")]
    system = ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={target.processor}"]
    static = ["-DCMAKE_EXE_LINKER_FLAGS=-static"] if target.zig else []
    print(f"{target.processor}: building", file=sys.stderr, flush=True)
    make = [f"-DCMAKE_MAKE_PROGRAM={ninja}", "-DLSTM_RT_PYTHON=OFF"]
    run(cmake, "-S", ROOT, "-B", folder, "-G", "Ninja", *make, *system, *tools, *static, *options)
    run(cmake, "--build", folder, *(word for goal in goals for word in ("--target", goal)))
    return folder


def build_tests(target: Target, cmake: str, ninja: str, werror: bool = False) -> pathlib.Path:
    return build(target, cmake, ninja, "-DLSTM_RT_TESTS=ON", f"-DLSTM_RT_WERROR={'ON' if werror else 'OFF'}")
