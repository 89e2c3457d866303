"""The steps of docs/raspberry-pi.md in a Debian for arm64 under QEMU, compared byte by byte with this machine's.

``python3 dev.py pi`` calls it. No containers and no root: mmdebstrap unpacks bookworm with python3 and its numpy, and
QEMU's user mode runs what is in there. The package is cross-built, or a wheel is given. Needs lstm_rt installed, and
Silero's model (fetch.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import zipfile

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import fetch  # noqa: E402
from voice import spoken  # noqa: E402

import lstm_rt  # noqa: E402

SOURCE = TESTS.parent
BUILD = SOURCE / "build" / "pi"
TRIPLE = "aarch64-linux-gnu"
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "qemu-user-static": "qemu-aarch64-static",
    "g++-aarch64-linux-gnu": f"{TRIPLE}-g++",
}
PYTHON = (3, 11)  # of bookworm; this machine's headers of it serve, being the same on every 64-bit CPU
PROCESSORS = {"cortex-a53": "arm64_neon", "cortex-a72": "arm64_neon", "cortex-a76": "arm64_dotprod"}  # Pi 3, 4, 5
COMMAND_LINE = ("typer", "rich")  # the extra cli
WHEELS = ["--only-binary=:all:", "--platform=manylinux2014_aarch64", "--python-version=3.11", "--upgrade"]
STREAM = ["stream", "vad.gguf", "-", "--rate", "16000", "--frame", "512", "--context", "64", "--freeze", "sr=16000"]


def run(*command: object, stdin: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
    """The standard output of a command; where it fails, the end, with all it said."""
    words = [str(word) for word in command]
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(words, input=stdin, capture_output=True, env=environment, cwd=BUILD, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise SystemExit(f"FAILED ({done.returncode}): {' '.join(words)}\n{said[-8000:]}")
    return done.stdout


@dataclasses.dataclass(frozen=True)
class Machine:
    """This one, or one that QEMU plays."""

    name: str
    python: tuple[str, ...]
    vad: tuple[str, ...]
    environment: dict[str, str]

    def command(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return run(*self.python, "-m", "lstm_rt.cli", *arguments, stdin=stdin, environment=self.environment)

    def outputs(self, sound: bytes) -> dict[str, bytes]:
        """What the commands of the page print that must be the same everywhere."""
        example = SOURCE / "examples" / "live" / "vad.py"
        every = [*self.python, str(example), "-a", "vad.gguf"]
        return {
            "stream": self.command(*STREAM, stdin=sound),
            "stream --threshold": self.command(*STREAM, "--threshold", "0.5", stdin=sound),
            "stream --json": self.command(*STREAM, "--json", stdin=sound),
            "int8": self.command(STREAM[0], "int8.gguf", *STREAM[2:], stdin=sound),
            "vad.py": run(*every, stdin=sound, environment=self.environment),
            "vad.c": run(*self.vad, "-a", "vad.gguf", stdin=sound),
        }


def make_root() -> pathlib.Path:
    root = BUILD / "root"
    if not (root / "usr/bin/python3").exists():
        shutil.rmtree(root, ignore_errors=True)
        packages = "--include=python3,python3-numpy,libstdc++6"
        run("mmdebstrap", "--variant=extract", "--architectures=arm64", packages, "bookworm", root)
    return root


def cross_build(cmake: str, ninja: str) -> None:
    """Build the compiled part and install it into ``site``, the rest of the package beside it."""
    if sys.version_info[:2] != PYTHON:
        sys.exit(f"bookworm has Python {'.'.join(map(str, PYTHON))}, this is another: give --wheel FILE.")
    folder, site = BUILD / "aarch64", BUILD / "site"
    compilers = [f"-DCMAKE_{language}_COMPILER={TRIPLE}-{gcc}" for language, gcc in (("C", "gcc"), ("CXX", "g++"))]
    system = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_STRIP=/usr/bin/{TRIPLE}-strip"]
    python = [  # CMake asks it for headers, and has it run Cython: this machine's, which needs no emulator
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/env",
        f"-DPYTHON_MODULE_EXTENSION=.cpython-{PYTHON[0]}{PYTHON[1]}-{TRIPLE}.so",
    ]
    tools = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", "-DCMAKE_BUILD_TYPE=Release", "-DLSTM_RT_PYTHON=ON"]
    run(cmake, "-S", SOURCE, "-B", folder, *tools, *system, *compilers, *python)
    run(cmake, "--build", folder)
    pure = shutil.ignore_patterns("*.so", "__pycache__", "_build_info.py")
    shutil.copytree(SOURCE / "lstm_rt", site / "lstm_rt", ignore=pure)
    shutil.copytree(SOURCE / "converters", site / "lstm_rt" / "converters", ignore=pure)
    run(cmake, "--install", folder, "--prefix", site, "--strip")


def install(options: argparse.Namespace) -> pathlib.Path:
    """Put the package and what its command line needs into a folder; its C example beside it."""
    site = BUILD / "site"
    shutil.rmtree(site, ignore_errors=True)
    if options.wheel:
        with zipfile.ZipFile(options.wheel) as wheel:
            wheel.extractall(site)
    else:
        cross_build(options.cmake, options.ninja)
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", site, *WHEELS, *COMMAND_LINE)
    return site


def build_example(compiler: str, package: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    library = package / "lib"
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{package / 'include'}"]
    link = [f"-L{library}", "-llstm_rt", f"-Wl,-rpath,{library}"]
    run(compiler, *flags, SOURCE / "examples" / "live" / "vad.c", *link, "-o", target)
    return target


def emulated(root: pathlib.Path, site: pathlib.Path) -> list[Machine]:
    vad = build_example(f"{TRIPLE}-gcc", site / "lstm_rt", BUILD / "vad-aarch64")
    # What Debian's scripts, which were not run, would have linked.
    libraries = [root / "usr/lib" / TRIPLE / name for name in ("blas", "lapack")]
    environment = {
        "PYTHONPATH": str(site),
        "QEMU_SET_ENV": "LD_LIBRARY_PATH=" + ":".join(map(str, libraries)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    found = []
    for cpu in PROCESSORS:
        qemu = ("qemu-aarch64-static", "-L", str(root), "-cpu", cpu)
        found.append(Machine(cpu, (*qemu, str(root / "usr/bin/python3.11")), (*qemu, str(vad)), environment))
    return found


def check(machine: Machine, sound: bytes, expected: dict[str, bytes]) -> list[str]:
    """Do the steps of the page; say what differs."""
    wrong = []
    isa = machine.command("isa").decode()
    if PROCESSORS[machine.name] not in isa.splitlines()[0]:
        wrong.append(f"{machine.name}: {PROCESSORS[machine.name]} is not what it runs: {isa}")
    machine.command("verify", "vad.gguf")
    machine.command("verify", "int8.gguf")
    machine.command("bench", "vad.gguf", "--shape", "input=1x576", "--freeze", "sr=16000", "--seconds", "0.2")
    given = machine.outputs(sound)
    wrong += [f"{machine.name}: {name} differs" for name in expected if given[name] != expected[name]]
    return wrong


def check_unit() -> str:
    """Have systemd read the unit, where it is there."""
    if not shutil.which("systemd-analyze"):
        return "vad.service: not checked, as systemd-analyze is not installed (apt install systemd)"
    run("systemd-analyze", "verify", SOURCE / "examples" / "live" / "vad.service")
    return "vad.service: systemd-analyze verify has nothing to say against it"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=pathlib.Path, help="for aarch64 and CPython 3.11; built if left out")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--ninja", default="ninja")
    options = parser.parse_args()
    if options.wheel:
        options.wheel = options.wheel.resolve()
    missing = [package for package, program in PACKAGES.items() if not shutil.which(program)]
    if missing or platform.system() != "Linux":
        sys.exit(f"Needed on Linux: apt-get install {' '.join(missing)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    root, site = make_root(), install(options)
    source = fetch.model("silero_vad")
    lstm_rt.convert(source, BUILD / "vad.gguf")
    lstm_rt.convert(source, BUILD / "int8.gguf", quantize="int8")
    sound = spoken().tobytes()
    here = build_example("cc", pathlib.Path(lstm_rt.get_include()).parent, BUILD / "vad")
    expected = Machine("this machine", (sys.executable,), (str(here),), {}).outputs(sound)
    wrong = []
    for machine in emulated(root, site):
        wrong += check(machine, sound, expected)
        print(f"  {machine.name}: isa, verify, bench and {len(expected)} outputs", file=sys.stderr, flush=True)
    print(check_unit(), file=sys.stderr)
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"PI: {len(expected)} outputs on {len(PROCESSORS)} processors, every byte as on this machine")


if __name__ == "__main__":
    main()
