"""What installing and importing costs, beside other runtimes: ``python -m bench.footprint WHEEL``.

Each is installed from PyPI into an environment of its own, with numpy; ours from the wheel named. Time and resident
memory of the import are beyond those of numpy, which is imported first: the median of several processes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# As pip knows it, and what a program imports to run a model.
PEERS = {
    "onnxruntime": "onnxruntime",
    "ncnn": "ncnn",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "openvino": "openvino",
    "tract": "tract",
}
PROGRAM = """
import json, numpy, resource, time
def resident():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()
before, start = resident(), time.perf_counter()
import {module}
print(json.dumps([(time.perf_counter() - start) * 1e3, (resident() - before) / 1e6]))
"""


def run(*command: object) -> str:
    """What a command wrote; where it fails, the end of what it said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout


def measure(package: str, module: str, repeats: int) -> str:
    """A row of the table. `package` is a name, or the path of a wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(sys.executable, "-m", "venv", folder / "venv")
        python = folder / "venv" / "bin" / "python"
        pip = [python, "-I", "-m", "pip", "--quiet", "--disable-pip-version-check"]  # -I: no other lstm_rt is seen
        run(*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", folder, package)
        [wheel] = folder.glob("*.whl")
        run(*pip, "install", "numpy", wheel)
        program = [python, "-I", "-c", PROGRAM.format(module=module)]  # -I: without the sources in this folder
        run(*program)  # compiles the Python files, and reads them all once
        found = [json.loads(run(*program)) for _ in range(repeats)]
        milliseconds, megabytes = (statistics.median(column) for column in zip(*found))
        name, version = wheel.name.split("-")[:2]
        size = wheel.stat().st_size / 1e6
        return f"| {name} {version} | {size:.2f} | {milliseconds:.1f} | {megabytes:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.footprint", description=__doc__)
    parser.add_argument("wheel", help="of lstm_rt, for this machine and this Python")
    parser.add_argument("--repeats", type=int, default=11, metavar="N", help="processes for each; 11")
    options = parser.parse_args()
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {platform.system()} {platform.machine()}\n"
    )
    print("| package | wheel, MB | import beyond numpy, ms | resident beyond numpy, MB |\n|---|---|---|---|")
    for package, module in {options.wheel: "lstm_rt", **PEERS}.items():
        try:
            print(measure(package, module, options.repeats), flush=True)
        except RuntimeError as error:
            print(f"| {package} | {error} | | |", flush=True)


if __name__ == "__main__":
    main()
