"""Converts files whose structure was changed: ``python mutate_sources.py SEEDS COUNT [--format .onnx]``.

Every file is a seed (tests/fuzz/seeds.py) changed by source_mutations.py, and made again from its number alone:
``--format .onnx --only NUMBER`` writes it and converts it here. An exception that is not lstm_rt's counts as a find,
also one that the boundary around the readers would translate. So do a crash, a hang, 3 s of processor time, and more
than 260 MiB plus 16 times the file's size. Each find is saved with its message in build/fuzz/found.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import resource
import sys
import time
import traceback
import warnings
from collections import Counter

from lstm_rt.converters import boundary
from source_mutations import FORMATS

import lstm_rt

MOST_SECONDS = 3.0
MOST_MEMORY, PER_BYTE = 260 << 20, 16
MOST_ADDRESSES = 3 << 30
HANG_SECONDS = 60
BATCH = 500  # files of one child
FOUND = pathlib.Path("build", "fuzz", "found")


class Files:
    """The files of one format by number."""

    def __init__(self, folder: pathlib.Path, ending: str) -> None:
        self.ending = ending
        self._seeds = [path.read_bytes() for path in sorted(folder.glob("*" + ending))]
        if not self._seeds:
            sys.exit(f"no seeds of {ending} in {folder}")

    def make(self, number: int) -> bytes:
        """One file."""
        rng = random.Random(f"{self.ending} {number}")
        return FORMATS[self.ending](rng, rng.choice(self._seeds), rng.choice(self._seeds))


def convert(path: pathlib.Path) -> str:
    """Convert a file; what came of it, with the place of the fault if the exception is not lstm_rt's."""
    try:
        lstm_rt.load(path)
    except lstm_rt.Error as error:
        return type(error).__name__
    except Exception as error:
        frames = [f"{pathlib.Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        return f"found: {type(error).__name__}: {str(error)[:200]!r} at {' < '.join(frames[::-1][:5])}"
    return "converted"


def measured(path: pathlib.Path) -> str:
    """Convert a file within bounds."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = _resident("VmRSS"), time.process_time()
    outcome = convert(path)
    seconds, memory = time.process_time() - start, _resident("VmHWM") - before
    if seconds > MOST_SECONDS:
        return f"found: {seconds:.1f} s ({outcome})"
    if memory > MOST_MEMORY + PER_BYTE * path.stat().st_size:
        return f"found: {memory >> 20} MiB ({outcome})"
    return outcome


def _resident(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))


def observe(error: Exception) -> None:
    """Make the boundary raise what it would translate."""
    raise error


def in_child(
    files: Files, first: int, last: int, folder: pathlib.Path
) -> tuple[Counter[str], list[tuple[int, str]], int]:
    """Convert some files in a child; outcomes, finds, and the number of the first file it did not come to."""
    said = folder / "said"
    said.write_bytes(b"")
    child = os.fork()
    if not child:
        os._exit(_work(files, first, last, folder, said))
    size, since, status = 0, time.monotonic(), None
    while status is None:
        time.sleep(0.02)
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else None
        if said.stat().st_size != size:
            size, since = said.stat().st_size, time.monotonic()
        if status is None and time.monotonic() - since > HANG_SECONDS:
            os.kill(child, 9)
    lines = said.read_text().splitlines()
    outcomes: Counter[str] = Counter(line for line in lines if not line.startswith("found"))
    finds = [(first + at, line) for at, line in enumerate(lines) if line.startswith("found")]
    if len(lines) < last - first:
        finds.append((first + len(lines), f"found: it ended the process with status {status}"))
        return outcomes, finds, first + len(lines) + 1
    return outcomes, finds, last


def _work(files: Files, first: int, last: int, folder: pathlib.Path, said: pathlib.Path) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    path = folder / ("model" + files.ending)
    with said.open("w") as report:
        for number in range(first, last):
            path.write_bytes(files.make(number))
            print(" ".join(measured(path).splitlines()), file=report, flush=True)
    return 0


def fuzz(files: Files, first: int, last: int) -> int:
    """Convert all files of one format; how many finds there are."""
    start, at, outcomes, found = time.monotonic(), first, Counter[str](), 0
    folder = FOUND / f"{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    while at < last:
        new, finds, at = in_child(files, at, min(at + BATCH, last), folder)
        outcomes += new
        found += len(finds)
        for number, line in finds:
            name = FOUND / f"{number}{files.ending}"
            name.write_bytes(files.make(number))
            name.with_suffix(name.suffix + ".txt").write_text(line + "\n")
            print(f"{name}: {line}", file=sys.stderr, flush=True)
    print(f"{files.ending}: {last - first} files in {time.monotonic() - start:.0f} s: {dict(outcomes)}; {found} found")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", type=pathlib.Path)
    parser.add_argument("count", type=int, nargs="?", default=1000, help="files of each format; 1000")
    parser.add_argument("--format", choices=list(FORMATS), action="append", help="all if left out; repeatable")
    parser.add_argument("--first", type=int, default=0, help="the number of the first file; 0")
    parser.add_argument("--only", type=int, help="convert this one alone, here")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    boundary.observers.append(observe)
    endings = options.format or list(FORMATS)
    if options.only is not None:
        path = pathlib.Path("mutant" + endings[0])
        path.write_bytes(Files(options.seeds, endings[0]).make(options.only))
        print(f"{path}: {convert(path)}")
        return 0
    found = sum(fuzz(Files(options.seeds, ending), options.first, options.first + options.count) for ending in endings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
