"""Faults of the packages that tests compare with, in the releases that old Pythons are left with."""

from __future__ import annotations

import importlib.metadata

import pytest


def skip_before(package: str, release: tuple[int, int], why: str) -> None:
    """Skip a test where a package is older than a release known to be without a fault: why, "rounds wrongly"."""
    version = importlib.metadata.version(package)
    if tuple(map(int, version.split(".")[:2])) < release:
        pytest.skip(f"{package} {version} {why}")
