"""C and C++ that is compiled the first time it is needed, for this machine, and kept."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .packages import CACHE


class CompileError(Exception):
    """There is no compiler, or it refuses; the message is its own."""


def compiled(source: Path, command: Sequence[str], suffix: str = "") -> Path:
    """What ``command source -o file`` makes; kept by what was compiled, how and for which machine."""
    made_of = source.read_bytes() + repr((command, platform.machine(), platform.node())).encode()
    file = CACHE / "bench" / f"{source.stem}-{hashlib.sha256(made_of).hexdigest()[:16]}{suffix}"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        program, *flags = command
        try:
            # Libraries are named among the flags: they come behind what needs them.
            words = [program, "-o", str(file), str(source), *flags]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError as error:
            raise CompileError(f"{source.name} needs {program}: {error}") from error
        if done.returncode:
            raise CompileError(f"{program}: {done.stderr.strip()}")
    return file
