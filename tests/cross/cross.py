"""Builds the library and the C++ tests for ARM, runs them under QEMU, and compares every byte with this machine's.

``python3 dev.py arm`` calls it. What is compared: the outputs of models in every precision (make_models.py), hashed,
which run_models gives on each processor under every instruction set it has, and the hashes that the tests of kernels
print. The instruction sets found on each processor must be those that targets.py lists. With ``--armv6`` the processor
of the Pi Zero too.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from targets import ARMV6, ARMV7, BUILD, ROOT, TARGETS, Target, build_tests, prepare, run

MODELS = BUILD / "models"
FIRST = ("test_vec", "test_kernels", "test_cells")  # the first on every processor, the others on this machine too
TESTS = (*FIRST, *sorted({file.stem for file in (ROOT / "tests" / "cpp").glob("test_*.cpp")} - set(FIRST)))


def check_armv6(target: Target) -> None:
    """What knows of processors must compile for ARMv6; Debian has no libraries to run it."""
    table = ["-DLRT_ISA=portable", "-DLRT_TABLE=kernels_portable", '-DLRT_VEC_HEADER="kernels/vec/portable.h"']
    flags = ["-std=c++17", "-march=armv6+fp", "-marm", "-c", "-o", os.devnull, f"-I{ROOT / 'src'}", "-DLRT_THREADS=1"]
    for source in ("kernels/kernels_impl.cpp", "kernels/dispatch.cpp", "session/workers.cpp"):
        run(target.triple + "-g++", *flags, *table, ROOT / "src" / source)


class Given(NamedTuple):
    """What one run gave under one instruction set."""

    name: str
    isa: str
    kind: str  # exact, or rounded: without fused multiply-add
    sha256: str


def outputs(written: bytes) -> Iterator[Given]:
    """What run_models wrote."""
    at = 0
    while at < len(written):
        end = written.index(b"\n", at)
        name, isa, kind, count = written[at:end].decode().split("\t")
        at = end + 1 + int(count)
        yield Given(name, isa, kind, hashlib.sha256(written[end + 1 : at]).hexdigest())


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

    def add_models(self, found: Sequence[Given], where: str) -> str:
        """What the models gave; the instruction sets in it."""
        for given in found:
            self.kinds[given.isa] = given.kind
            self.add(given.name, given.isa, given.sha256, where)
        return " ".join(dict.fromkeys(given.isa for given in found))

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

    def models(self) -> list[Given]:
        return list(outputs(run(*self.emulator, self.folder / "run_models", MODELS / self.runs)))

    def test(self, name: str) -> str:
        return run(*self.emulator, self.folder / name).decode()


def emulated(target: Target, folder: pathlib.Path) -> list[Processor]:
    found = []
    for cpu, isas in target.isas.items():
        every = cpu == target.every_test_on
        runs, tests = ("runs.txt", TESTS) if every else ("quick.txt", TESTS[:1])
        found.append(Processor(cpu, folder, target.emulator(cpu), runs, tests, isas))
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
    parser.add_argument("--armv6", action="store_true", help="the Pi Zero too; its first build takes minutes")
    options = parser.parse_args()
    targets = (*TARGETS, ARMV6) if options.armv6 else TARGETS
    prepare(targets)
    run(sys.executable, pathlib.Path(__file__).with_name("make_models.py"), MODELS)
    hashes = Hashes()
    compare([Processor("this machine", options.native, tests=TESTS[1:3])], hashes)
    for target in targets:
        folder = build_tests(target, options.cmake, options.ninja, options.werror)
        compare(emulated(target, folder), hashes)
    if not options.armv6:
        check_armv6(ARMV7)
    for difference in hashes.differences:
        print(difference, file=sys.stderr)
    if hashes.differences:
        sys.exit(f"{len(hashes.differences)} differences between processors")
    print(f"ARM: {hashes.count} hashes on {1 + sum(len(t.isas) for t in targets)} processors, all as they must be")


if __name__ == "__main__":
    main()
