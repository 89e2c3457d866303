"""The Python tests on ARM: in Debian for arm64 and armhf (roots.py), on processors that QEMU plays.

``python3 dev.py roots`` calls it. On each processor lstm_rt must find the instruction sets that targets.py lists,
replay the self-tests of models that were converted here (lstm-rt verify), and pass the tests listed below.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
from collections import Counter

import hashes
from roots import ARM64, ARMHF, PACKAGES
from targets import BUILD, ROOT, prepare

import lstm_rt

MODELS = BUILD / "on_arm"
PROCESSORS = {"cortex-a53": ARM64, "cortex-a72": ARM64, "cortex-a76": ARM64, "max": ARM64, "cortex-a7": ARMHF}
# Files of tests. Left out are those that need a compiler, torch, Keras or onnxruntime, or check files that are read by
# Python alone, the same everywhere.
QUICK = ("test_import", "test_math", "test_max_memory")
TESTS = (
    *QUICK,
    "test_errors",
    "test_isa",
    "test_mask",
    "test_model_file",
    "test_pool",
    "test_recurrent",
    "test_stream",
    "test_stream_moving",
)
QUICK_ON = ("cortex-a53", "cortex-a76")


class Processor:
    """One that QEMU plays, with a Python on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.debian = PROCESSORS[name]
        self.program = self.debian.python(name)
        self.outcomes: Counter[str] = Counter()  # of tests

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        where = os.pathsep.join(map(str, self.debian.path))
        environment = {"PYTHONPATH": where, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "ci"}
        command = [str(self.program), "-P", *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, check=False
        )

    def wrong_isas(self) -> str:
        """What is wrong with the instruction sets that are found."""
        wanted = self.debian.target.isas[self.name]
        done = self.run("-c", "import lstm_rt; print(*lstm_rt.available_isas())")
        return "" if done.stdout.strip() == wanted else f"found {done.stdout or done.stderr}, not {wanted}"

    def wrong_selftest(self, model: pathlib.Path) -> str:
        done = self.run("-m", "lstm_rt.cli", "verify", model)
        return done.stdout + done.stderr if done.returncode else ""

    def wrong_tests(self, name: str) -> str:
        """Run a file of tests; all that pytest said, where one failed."""
        done = self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *self.debian.pytest, f"tests/{name}.py")
        outcomes = {
            word: int(number) for number, word in re.findall(r"(\d+) (passed|skipped|failed|error)", done.stdout)
        }
        self.outcomes.update(outcomes)
        return "" if done.returncode == 0 and outcomes.get("passed") else done.stdout + done.stderr


def write_models() -> list[pathlib.Path]:
    MODELS.mkdir(parents=True, exist_ok=True)
    files = []
    for name, source in hashes.default_models():
        for precision in (None, "int8"):
            files.append(MODELS / f"{name}_{precision or 'float32'}.gguf")
            lstm_rt.convert(source, files[-1], quantize=precision)
    return files


def check(processors: list[Processor], models: list[pathlib.Path], tests: list[str]) -> list[str]:
    """Run everything, as much at once as this machine has cores; what was wrong."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = {}
        for processor in processors:
            work[processor.name] = pool.submit(processor.wrong_isas)
            work |= {f"{processor.name}: verify {m.name}": pool.submit(processor.wrong_selftest, m) for m in models}
            work |= {f"{processor.name}: {test}": pool.submit(processor.wrong_tests, test) for test in tests}
        return [f"{what}: {wrong}" for what, future in work.items() if (wrong := future.result())]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="dev.py roots", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{' '.join(QUICK)} alone, on {' '.join(QUICK_ON)}")
    parser.add_argument("--cpu", nargs="+", choices=PROCESSORS, metavar="NAME", help=" ".join(PROCESSORS))
    parser.add_argument("--tests", nargs="+", metavar="NAME", help="files of tests, such as test_isa")
    parser.add_argument("--wheel", type=pathlib.Path, nargs="+", default=[], help="CPython 3.11's; built if left out")
    parser.add_argument("--cmake", default="cmake", help=argparse.SUPPRESS)
    parser.add_argument("--ninja", default="ninja", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.cpu or (QUICK_ON if options.quick else list(PROCESSORS))
    debians = list(dict.fromkeys(PROCESSORS[name] for name in names))
    prepare([debian.target for debian in debians], PACKAGES)
    for debian in debians:
        debian.make()
        wheel = next((file for file in options.wheel if debian.target.processor in file.name), None)
        debian.install(options.cmake, options.ninja, wheel)
    processors = [Processor(name) for name in names]
    models = write_models()
    wrong = check(processors, models, options.tests or list(QUICK if options.quick else TESTS))
    for processor in processors:
        passed = ", ".join(f"{number} {outcome}" for outcome, number in processor.outcomes.items())
        print(f"{processor.name:11} {len(models)} models verified, tests: {passed}")
    if wrong:
        sys.exit("\n\n".join(wrong))


if __name__ == "__main__":
    main()
