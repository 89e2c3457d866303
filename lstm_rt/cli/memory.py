"""How much memory a piece of work takes: at most while it runs, and when it is done."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from pathlib import Path
from typing import Optional

_STATUS = Path("/proc/self/status")


class Watch:
    """Measures from when it is made."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):  # an earlier peak may then hide that of the work
            Path("/proc/self/clear_refs").write_text("5")  # the peak until now is forgotten
        self._before = _resident()
        self._peak_before = _peak()

    def peak(self) -> int:
        """Return bytes of memory used at most, above those at the start."""
        return max(0, _peak() - (self._peak_before if self._before is None else self._before))

    def resident(self) -> Optional[int]:
        """Return bytes of memory used now, above those at the start; None where the system does not say."""
        now = _resident()
        return None if now is None or self._before is None else max(0, now - self._before)


def _resident() -> Optional[int]:
    return _status("VmRSS")


def _peak() -> int:
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(key: str) -> Optional[int]:
    try:
        found = re.search(rf"^{key}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
