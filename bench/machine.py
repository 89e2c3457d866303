"""Where and with what a benchmark ran: without it a number means nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .engines import Engine

CPUINFO = Path("/proc/cpuinfo")


def describe(engines: Iterable[Engine], core: int | None) -> dict[str, Any]:
    """CPU, system, load and the versions of every package measured."""
    return {
        "cpu": cpu(),
        "cpus": os.cpu_count(),
        "core": core,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {engine.package: engine.version for engine in engines},
        "lstm_rt": _build(),
    }


def headline(facts: dict[str, Any]) -> str:
    """The facts that explain most, on one line."""
    where = "" if facts["core"] is None else f", core {facts['core']}"
    load = "" if facts["load"] is None else f", load {facts['load']:.1f}"
    versions = ", ".join(f"{package} {version}" for package, version in facts["versions"].items() if version)
    return f"{facts['cpu']}{where}{load}, Python {facts['python']}; {versions}"


def cpu() -> str:
    """The processor, as the system calls it."""
    if CPUINFO.exists():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _build() -> dict[str, Any]:
    try:
        import lstm_rt
    except ImportError:
        return {}
    return {"isa": lstm_rt.isa(), "build": lstm_rt.build_info()}
