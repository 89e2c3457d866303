"""Every shell command of the README and of docs/: it is run as pasted at the root of a clone, or a reason is listed.

Commands that build for minutes run only if LSTM_RT_LONG_COMMANDS is set, as ``dev.py docs`` does.
"""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from typing import NamedTuple

import fetch
import pytest

import lstm_rt

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "bench/README.md", "examples/README.md"]
PAGES += sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
NOT_CLONED = {".git", ".venv", ".cache", "build", "__pycache__", "wheelhouse"}
LONG = "builds for minutes"

# Prefix of a command, and why it is not run here. A command that matches none of these is run.
REASONS = {
    "python3 dev.py": "is CI's, or takes long; only its name is checked",
    "pip install": "changes this environment; only its extras are checked",
    "pytest ": "is part of these tests",
    "python -m bench": "takes minutes; tests/test_bench.py runs the short form",
    "python examples/train_demo.py": "trains for minutes",
    "python -m venv rtsan": "downloads a compiler",
    "cmake -B build &&": LONG,
    "cmake -S . -B build/dev": LONG,
    "cmake -B build/static": LONG,
    "cc app.c": "needs a program of the reader's own; tests/test_examples.py builds such",
    "cc examples/c/stream.c": "needs an installation under a prefix; tests/test_examples.py makes one",
    "cmake -S examples/c -B build/c -DCMAKE_PREFIX_PATH": "needs an installation; tests/test_examples.py makes one",
}


class Command(NamedTuple):
    page: str
    line: str

    def __str__(self) -> str:
        return f"{self.page}: {self.line[:50]}"

    @property
    def reason(self) -> str:
        """Why the command is not run here; empty if it is run."""
        if self.page == "docs/raspberry-pi.md":
            return "is run by tests/test_live_examples.py, or needs a board"
        return next((why for prefix, why in REASONS.items() if self.line.startswith(prefix)), "")


def commands() -> list[Command]:
    """Return the lines of all shell blocks, which are those fenced without a language or with ``sh``."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if language in ("", "sh") and re.match(r"[a-z0-9]+ (-|\w|'|\.)", block) and "=  " not in block:
                lines = (line.partition("  #")[0].strip() for line in block.splitlines())
                found += [Command(page, line) for line in lines if line]
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy of the sources, with the programs of this environment on the path."""
    folder = tmp_path_factory.mktemp("clone")
    ignored = shutil.ignore_patterns(*NOT_CLONED, "*.so")
    shutil.copytree(ROOT, folder, dirs_exist_ok=True, ignore=ignored)
    (folder / "bin").mkdir()
    programs = {name: f'exec {shlex.quote(sys.executable)} "$@"' for name in ("python", "python3")}
    programs["lstm-rt"] = f'exec {shlex.quote(sys.executable)} -m lstm_rt "$@"'
    destination = shlex.quote(str(folder / "destination"))  # cmake --install puts it before its prefix
    programs["sudo"] = f'DESTDIR={destination} exec "$@"'
    programs["ldconfig"] = "exit 0"
    for name, script in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    (folder / "samples.f32").write_bytes(bytes(4 * 5 * 100))
    shutil.copy(fetch.model("silero_vad"), folder / "model.onnx")
    lstm_rt.convert(folder / "model.onnx", folder / "model.gguf")
    return folder


def run(clone: pathlib.Path, line: str) -> None:
    folders = [str(clone / "bin"), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(folders), "HOME": str(clone)}
    command = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("command", [c for c in commands() if not c.reason], ids=str)
def test_command_runs_as_pasted(clone: pathlib.Path, command: Command) -> None:
    if command.line.startswith("cmake") and not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    run(clone, command.line)


@pytest.mark.skipif("LSTM_RT_LONG_COMMANDS" not in os.environ, reason=f"{LONG}: python3 dev.py docs")
@pytest.mark.parametrize("command", [c for c in commands() if c.reason == LONG], ids=str)
def test_long_command_runs_as_pasted(clone: pathlib.Path, command: Command) -> None:
    run(clone, command.line)


@pytest.mark.parametrize("command", [c for c in commands() if c.line.startswith("python3 dev.py")], ids=str)
def test_dev_command_exists(command: Command) -> None:
    sources = (ROOT / "dev.py").read_text("utf-8")
    assert f'    "{shlex.split(command.line)[2]}": ' in sources


def test_extras_in_pip_commands_exist() -> None:
    declared = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        for names in re.findall(r"pip install[^\n`]*?\[([\w,]+)\]", (ROOT / page).read_text("utf-8")):
            assert set(names.split(",")) <= declared, page


@pytest.mark.parametrize("page", PAGES)
def test_page_does_not_install_from_an_index(page: str) -> None:
    # The package is not on PyPI: such a command ends with "No matching distribution found".
    assert not re.search(r"pip install [^\n`]*\blstm_rt\b(?!-)", (ROOT / page).read_text("utf-8"))


def test_blocks_are_found() -> None:
    found = commands()
    assert sum(not command.reason for command in found) >= 4
    assert {"README.md", "CONTRIBUTING.md", "docs/embedding.md", "examples/README.md"} <= {c.page for c in found}
