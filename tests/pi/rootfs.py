"""The steps of docs/raspberry-pi.md in a Debian for arm64 under QEMU, compared byte by byte with this machine's.

``python3 dev.py pi`` calls it. The Debian is that of tests/cross/roots.py. Needs lstm_rt installed, and Silero's model
(fetch.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "cross")]

import fetch  # noqa: E402
from roots import ARM64, PACKAGES  # noqa: E402
from targets import prepare  # noqa: E402
from voice import spoken  # noqa: E402

import lstm_rt  # noqa: E402

SOURCE = TESTS.parent
BUILD = SOURCE / "build" / "pi"
PROCESSORS = {"cortex-a53": "arm64_neon", "cortex-a72": "arm64_neon", "cortex-a76": "arm64_dotprod"}  # Pi 3, 4, 5
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


def build_example(compiler: str, package: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    library = package / "lib"
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{package / 'include'}"]
    link = [f"-L{library}", "-llstm_rt", f"-Wl,-rpath,{library}"]
    run(compiler, *flags, SOURCE / "examples" / "live" / "vad.c", *link, "-o", target)
    return target


def emulated() -> list[Machine]:
    vad = build_example(f"{ARM64.target.triple}-gcc", ARM64.site / "lstm_rt", BUILD / "vad-aarch64")
    environment = {"PYTHONPATH": os.pathsep.join(map(str, ARM64.path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return [
        Machine(cpu, (str(ARM64.python(cpu)),), (*ARM64.target.emulator(cpu), str(vad)), environment)
        for cpu in PROCESSORS
    ]


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
    prepare([ARM64.target], PACKAGES)
    BUILD.mkdir(parents=True, exist_ok=True)
    ARM64.make()
    ARM64.install(options.cmake, options.ninja, options.wheel)
    source = fetch.model("silero_vad")
    lstm_rt.convert(source, BUILD / "vad.gguf")
    lstm_rt.convert(source, BUILD / "int8.gguf", quantize="int8")
    sound = spoken().tobytes()
    here = build_example("cc", pathlib.Path(lstm_rt.get_include()).parent, BUILD / "vad")
    expected = Machine("this machine", (sys.executable,), (str(here),), {}).outputs(sound)
    wrong = []
    for machine in emulated():
        wrong += check(machine, sound, expected)
        print(f"  {machine.name}: isa, verify, bench and {len(expected)} outputs", file=sys.stderr, flush=True)
    print(check_unit(), file=sys.stderr)
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"PI: {len(expected)} outputs on {len(PROCESSORS)} processors, every byte as on this machine")


if __name__ == "__main__":
    main()
