"""Builds the library and the C++ tests for ARM, runs them under QEMU, and compares every byte with this machine's.

``python3 dev.py arm`` calls it. What is compared: the outputs of models in every precision (make_models.py), hashed by
hash_model on each processor under every instruction set it has, and the hashes that the tests of kernels print. The
instruction sets found on each processor must be those listed here.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "cross"
MODELS = BUILD / "models"


@dataclasses.dataclass(frozen=True)
class Target:
    processor: str  # as CMake calls it
    triple: str
    qemu: str
    isas: dict[str, str]  # QEMU's name of a processor: what the library must find there
    every_test_on: str


TARGETS = (
    Target(
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
    ),
    Target(
        "armv7l",
        "arm-linux-gnueabihf",
        "qemu-arm-static",
        {
            "cortex-a7": "armv7_vfpv4 armv7_neon portable",
            "cortex-a8": "armv7_neon portable",
            "cortex-a8,neon=off": "portable",
        },
        "cortex-a7",
    ),
)
PACKAGES = {"g++-" + target.triple: target.triple + "-g++" for target in TARGETS}
PACKAGES["qemu-user-static"] = TARGETS[0].qemu
TESTS = ("test_vec", "test_kernels", "test_integers", "test_functions", "test_ops", "test_ops_moving", "test_model")


def run(*command: object) -> str:
    """The output of a command; where it fails, the end, with all it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"FAILED ({done.returncode}): {' '.join(words)}\n{done.stdout[-8000:]}")
    return done.stdout


def missing() -> list[str]:
    return [package for package, program in PACKAGES.items() if not shutil.which(program)]


def install_missing() -> None:
    """Install Debian's cross compilers where that is possible; else say what is missing, and end well."""
    if platform.machine() not in ("x86_64", "AMD64"):
        sys.exit(skipped("this compares ARM with x86, and this machine is " + platform.machine()))
    if missing() and shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
        for words in (["update"], ["install", "-y", "--no-install-recommends", *missing()]):
            if subprocess.call([*apt, *words], stdout=subprocess.DEVNULL) and words[0] == "install":
                break
    if missing():
        sys.exit(skipped("not installed: " + ", ".join(missing())))


def skipped(why: str) -> int:
    print(f"ARM IS NOT TESTED: {why}. On Debian: apt-get install {' '.join(PACKAGES)}", file=sys.stderr)
    return 0


def build(target: Target, cmake: str, ninja: str, werror: bool) -> pathlib.Path:
    folder = BUILD / target.processor
    tools = [f"-DCMAKE_{language}_COMPILER={target.triple}-{gcc}" for language, gcc in (("C", "gcc"), ("CXX", "g++"))]
    options = ["-DLSTM_RT_TESTS=ON", f"-DLSTM_RT_WERROR={'ON' if werror else 'OFF'}", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    system = ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={target.processor}"]
    run(cmake, "-S", ROOT, "-B", folder, "-G", "Ninja", *system, *tools, *options)
    run(cmake, "--build", folder)
    return folder


def check_armv6(target: Target) -> None:
    """The portable kernels are all there is on ARMv6, and must compile for it; Debian has no libraries to run them."""
    table = ["-DLRT_ISA=portable", "-DLRT_TABLE=kernels_portable", '-DLRT_VEC_HEADER="kernels/vec/portable.h"']
    flags = ["-std=c++17", "-march=armv6+fp", "-marm", "-fsyntax-only", f"-I{ROOT / 'src'}"]
    run(target.triple + "-g++", *flags, *table, ROOT / "src/kernels/kernels_impl.cpp")


class Hashes:
    """Hashes by what was run; all that come from tables with fused multiply-add must be one, and so all others."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str], tuple[str, str]] = {}
        self.kinds: dict[str, str] = {}  # instruction set: exact or rounded
        self.differences: list[str] = []
        self.count = 0

    def add(self, name: str, isa: str, value: str, where: str) -> None:
        self.count += 1
        found = f"{isa} on {where}"
        wanted, by = self.first.setdefault((name, self.kinds[isa]), (value, found))
        if wanted != value:
            self.differences.append(f"{name}: {value} by {found}, {wanted} by {by}")

    def add_models(self, output: str, where: str) -> str:
        """What hash_model printed; the instruction sets in it."""
        isas: dict[str, None] = {}
        for line in output.splitlines():
            name, isa, kind, value = line.split("\t")
            self.kinds[isa] = kind
            isas[isa] = None
            self.add(name, isa, value, where)
        return " ".join(isas)

    def add_tests(self, output: str, where: str) -> None:
        """The lines "table group hash" among what a test printed."""
        for words in map(str.split, output.splitlines()):
            if len(words) == 3 and words[0] in self.kinds and len(words[2]) == 16:
                self.add("the tests' " + words[1], words[0], words[2], where)


@dataclasses.dataclass(frozen=True)
class Processor:
    """This machine, or one that QEMU plays."""

    name: str
    folder: pathlib.Path  # of the programs built for it
    emulator: tuple[str, ...] = ()
    runs: str = "runs.txt"
    tests: tuple[str, ...] = TESTS
    isas: str | None = None

    def models(self) -> str:
        return run(*self.emulator, self.folder / "hash_model", MODELS / self.runs)

    def test(self, name: str) -> str:
        return run(*self.emulator, self.folder / name)


def emulated(target: Target, folder: pathlib.Path) -> list[Processor]:
    found = []
    for cpu, isas in target.isas.items():
        every = cpu == target.every_test_on
        qemu = (target.qemu, "-L", f"/usr/{target.triple}", "-cpu", cpu)
        runs, tests = ("runs.txt", TESTS) if every else ("quick.txt", TESTS[:1])
        found.append(Processor(cpu, folder, qemu, runs, tests, isas))
    return found


def compare(processors: Sequence[Processor], hashes: Hashes) -> None:
    """Run all there is to run, as many at once as this machine has cores."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        models = [(p, pool.submit(p.models)) for p in processors]
        tests = [(p, pool.submit(p.test, name)) for p in processors for name in p.tests]
        for processor, output in models:
            isas = hashes.add_models(output.result(), processor.name)
            print(f"  {processor.name}: {isas}", file=sys.stderr, flush=True)
            if processor.isas not in (None, isas):
                hashes.differences.append(f"{processor.name}: found {isas}, not {processor.isas}")
        for processor, output in tests:
            hashes.add_tests(output.result(), processor.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("native", type=pathlib.Path, help="folder where the C++ tests are built for this machine")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--ninja", default="ninja")
    parser.add_argument("--werror", action="store_true")
    options = parser.parse_args()
    install_missing()
    run(sys.executable, pathlib.Path(__file__).with_name("make_models.py"), MODELS)
    hashes = Hashes()
    compare([Processor("this machine", options.native, tests=TESTS[1:3])], hashes)
    for target in TARGETS:
        print(f"{target.processor}: building, then running", file=sys.stderr, flush=True)
        folder = build(target, options.cmake, options.ninja, options.werror)
        compare(emulated(target, folder), hashes)
    check_armv6(TARGETS[1])
    for difference in hashes.differences:
        print(difference, file=sys.stderr)
    if hashes.differences:
        sys.exit(f"{len(hashes.differences)} differences between processors")
    print(f"ARM: {hashes.count} hashes on {1 + sum(len(t.isas) for t in TARGETS)} processors, all as they must be")


if __name__ == "__main__":
    main()
