"""Loads synthetic model files, each in a bound of time and memory: ``python mutate_files.py SEEDS COUNT``.

Every file is a seed (tests/fuzz/seeds.py) changed in one way (mutations.py), and made again from its number alone:
``--only NUMBER`` writes it to `mutant.gguf` and loads it here. Of five, one keeps its checksums: it is refused, or
gives what the seed gave. With ``--maker PROGRAM`` the files are those of tests/fuzz/mutants.cpp, whose checksums are
right. A file that loads is run, stepped, pooled and verified too. A watched child does the work.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from mutations import fields, mutate, without_checksums

import lstm_rt

MOST_SECONDS = 1.0  # of the processor, for all that is done with a file
MOST_MEMORY = 200 << 20  # resident, beyond the file's size: loading, planning and running
MOST_SECONDS_MADE = 3.0  # the same of files that a maker makes: more of them run
MOST_MEMORY_MADE = 260 << 20
MAX_MEMORY = 128 << 20  # of a plan; by default it is a gibibyte
MAX_MEMORY_MADE = 48 << 20  # a plan, a stream, its clone and the outputs exist at once
MOST_MACS = 20_000_000  # of a run: what only computes for long is not what is looked for
MOST_ADDRESSES = 3 << 30
HANG_SECONDS = 60
MOST_PROBLEMS = 20  # then it ends
RECORD = struct.Struct("<Q")  # the number of the file that is being loaded

Arrays = list[npt.NDArray[Any]]


class Files:
    """The files by number."""

    most_seconds, most_memory, max_memory = MOST_SECONDS, MOST_MEMORY, MAX_MEMORY

    def __init__(self, folder: pathlib.Path) -> None:
        self.seeds = [path.read_bytes() for path in sorted(folder.glob("*.gguf"))]
        if not self.seeds:
            sys.exit(f"no seeds in {folder}")
        self._fields = [fields(seed) for seed in self.seeds]

    def make(self, number: int) -> tuple[bytes, bytes | None]:
        """A file, and its seed where it keeps the checksums."""
        rng = random.Random(number)
        which = rng.randrange(len(self.seeds))
        seed, other = self.seeds[which], rng.choice(self.seeds)
        sealed = rng.randrange(5) == 0
        blob = mutate(rng, seed if sealed else without_checksums(seed), self._fields[which], other)
        return blob, seed if sealed else None


class MadeFiles(Files):
    """The files that a program makes by number."""

    most_seconds, most_memory, max_memory = MOST_SECONDS_MADE, MOST_MEMORY_MADE, MAX_MEMORY_MADE

    def __init__(self, folder: pathlib.Path, maker: pathlib.Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen([str(maker), str(folder), "--serve"], bufsize=0, **pipes)
        assert process.stdin is not None
        assert process.stdout is not None
        self._numbers, self._bytes = process.stdin, process.stdout

    def make(self, number: int) -> tuple[bytes, bytes | None]:
        """A file; its checksums are its own."""
        self._numbers.write(b"%d\n" % number)
        (size,) = RECORD.unpack(self._take(RECORD.size))
        return self._take(size), None

    def _take(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._bytes.read(size)
            if not part:
                sys.exit("the maker ended")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def feeds(model: lstm_rt.Model, free: int) -> Arrays | None:
    """Inputs of small shapes; None where they would be large."""
    arrays = []
    for info in model.inputs:
        shape = tuple(free if dim is None else dim for dim in info.shape or ())
        if np.prod([float(dim) for dim in shape]) > 1 << 16:
            return None
        arrays.append((np.arange(np.prod(shape, dtype=np.int64)) % 3).reshape(shape).astype(info.dtype))
    return arrays


def use(model: lstm_rt.Model, free: int) -> list[bytes]:
    """Run, step and verify; the bytes that the run gave."""
    results: list[bytes] = []
    arrays = feeds(model, free)
    if arrays is None:
        return results
    named = {info.name: array for info, array in zip(model.inputs, arrays)}
    if sum(call.macs for call in model.calls(named)) <= MOST_MACS:
        results = [np.asarray(array).tobytes() for array in model.run(named).values()]
    for work in (lambda: inspect(model), lambda: step(model, named), lambda: pool(model, named, free), model.verify):
        try:
            work()
        except lstm_rt.Error:
            results.append(b"refused")
    return results


def inspect(model: lstm_rt.Model) -> None:
    """Everything that a model says of itself."""
    repr((model, model.inputs, model.outputs, model.metadata, model.bindings, model.parameters, model.weight_bytes))


def frozen_and_fed(model: lstm_rt.Model, named: dict[str, npt.NDArray[Any]]) -> tuple[dict[str, Any], Arrays]:
    frozen = {name: named[name] for name in model.control_inputs}
    return frozen, [array for name, array in named.items() if name not in {*frozen, *model.bindings}]


def step(model: lstm_rt.Model, named: dict[str, npt.NDArray[Any]]) -> None:
    frozen, fed = frozen_and_fed(model, named)
    stream = model.stream(freeze=frozen)
    if not fed:  # everything is bound: a step takes at least one array
        return
    for _ in range(2):
        stream.step(*fed)
    stream.state = stream.state
    stream.clone().step(*fed)


def pool(model: lstm_rt.Model, named: dict[str, npt.NDArray[Any]], rows: int) -> None:
    frozen, fed = frozen_and_fed(model, named)
    streams = model.pool(capacity=rows + 1, freeze=frozen)
    ids = [streams.open() for _ in range(rows if fed else 0)]
    if not ids:
        return
    for _ in range(2):
        streams.step(ids, *fed)
    streams.close(ids[0])


def outcome(source: Any, free: int, max_memory: int) -> list[bytes] | None:
    """What a model gives; None where it is refused."""
    try:
        model = lstm_rt.load(source, max_memory=max_memory)
    except lstm_rt.Error:
        return None
    try:
        return use(model, free)
    except lstm_rt.OutOfMemoryError as error:
        if "out of memory" in str(error):
            print(f"found: {error}", flush=True)  # asked for before it was counted
        return []
    except lstm_rt.Error:
        return []


def resident(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))


class Child:
    """Loads one file after the other, and says what was found, then what came of all."""

    def __init__(self, files: Files, record: pathlib.Path) -> None:
        self._files = files
        self._record = record.open("r+b", buffering=0)
        self._path = record.with_name("model.gguf")
        self.most_seconds, self.most_memory = 0.0, 0
        self.outcomes: collections.Counter[str] = collections.Counter()

    def work(self, first: int, last: int) -> None:
        warnings.simplefilter("ignore")
        for number in range(first, last):
            os.pwrite(self._record.fileno(), RECORD.pack(number), 0)
            self._one(number)
        print(self.most_seconds, self.most_memory, *(f"{key}={n}" for key, n in self.outcomes.items()))

    def _one(self, number: int) -> None:
        blob, seed = self._files.make(number)
        free = 1 + number % 3
        self._path.write_bytes(blob)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak starts anew
        before, start = resident("VmRSS"), time.process_time()
        most = self._files.max_memory
        found = outcome(self._path if number % 2 else blob, free, most)
        seconds, memory = time.process_time() - start, resident("VmHWM") - before
        self.most_seconds, self.most_memory = max(self.most_seconds, seconds), max(self.most_memory, memory)
        self.outcomes["refused" if found is None else "ran" if found else "loaded"] += 1
        if seconds > self._files.most_seconds:
            print(f"found: {number} took {seconds:.2f} s", flush=True)
        if memory > self._files.most_memory + len(blob):
            print(f"found: {number} took {memory >> 20} MiB", flush=True)
        if seed is not None and found is not None and found != outcome(seed, free, most):
            print(f"found: {number} loads in spite of its checksums, and is another model", flush=True)


def watch(given: list[str], first: int, last: int, scratch: pathlib.Path) -> tuple[list[str], int]:
    """Run one child; what it said, and the number of the first file it did not come to. `given`: seeds and maker."""
    record, said = scratch / "record", scratch / "said"
    record.write_bytes(RECORD.pack(first))
    seeds, *more = given
    command = [sys.executable, __file__, seeds, str(last), *more, "--child", str(record), "--first", str(first)]
    with said.open("w") as stdout, subprocess.Popen(command, stdout=stdout) as child:
        seen, since = -1, time.monotonic()
        while child.poll() is None:
            time.sleep(0.05)
            (number,) = RECORD.unpack(record.read_bytes())
            if number != seen:
                seen, since = number, time.monotonic()
            if time.monotonic() - since > HANG_SECONDS:
                child.kill()
    lines = said.read_text().splitlines()
    if child.returncode == 0:
        return lines, last
    (number,) = RECORD.unpack(record.read_bytes())
    return [*lines, f"found: {number} ended the process with code {child.returncode}"], number + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", type=pathlib.Path)
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first file; 0")
    parser.add_argument("--only", type=int, help="load this one alone, here")
    parser.add_argument("--maker", type=pathlib.Path, help="the program that makes the files (tests/fuzz/mutants.cpp)")
    parser.add_argument("--child", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    files = MadeFiles(options.seeds, options.maker) if options.maker else Files(options.seeds)
    if options.only is not None:
        blob, _ = files.make(options.only)
        pathlib.Path("mutant.gguf").write_bytes(blob)
        found = outcome("mutant.gguf", 1 + options.only % 3, files.max_memory)
        print("mutant.gguf:", len(blob), "bytes,", "refused" if found is None else "loaded")
        return 0
    if options.child:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))  # this machine is not to run out
        Child(files, options.child).work(options.first, options.count)
        return 0
    given = [str(options.seeds), *(["--maker", str(options.maker)] if options.maker else [])]
    return summary(given, options.first, options.first + options.count)


def summary(given: list[str], first: int, last: int) -> int:
    """Watch children until all files are done, and say what came of them."""
    start, total = time.monotonic(), collections.Counter[str]()
    problems: list[str] = []
    most_seconds, most_memory, batch = 0.0, 0, 5000
    with tempfile.TemporaryDirectory(prefix="lstm_rt-mutants-") as folder:
        at = first
        while at < last and len(problems) < MOST_PROBLEMS:
            said, at = watch(given, at, min(at + batch, last), pathlib.Path(folder))
            problems += [line for line in said if line.startswith("found: ")]
            for line in said:
                if line.startswith("found: "):
                    print(line, file=sys.stderr, flush=True)
                else:
                    seconds, memory, *counts = line.split()
                    most_seconds, most_memory = max(most_seconds, float(seconds)), max(most_memory, int(memory))
                    total.update({key: int(n) for key, n in (item.split("=") for item in counts)})
    print(
        f"{at - first} files in {time.monotonic() - start:.0f} s: {dict(total)}; at most {most_seconds:.2f} s and "
        f"{most_memory / (1 << 20):.0f} MiB for one; {len(problems)} found"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
