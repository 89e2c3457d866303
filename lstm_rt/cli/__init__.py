"""The command line ``lstm-rt``. Needs the extra ``cli``; pictures need ``plot``."""

from __future__ import annotations

import io
import sys

_NEEDED = ("typer", "rich", "click", "shellingham")


def main() -> None:
    """Run the command line, or say what to install for it.

    Raises
    ------
    SystemExit
        Always; 0 done, 1 the work failed, 2 wrong usage.
    """
    try:
        from lstm_rt.cli.app import app
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _NEEDED:
            raise
        print(f"lstm-rt needs the package {package!r}. Install it with: pip install 'lstm_rt[cli]'", file=sys.stderr)
        sys.exit(1)
    for pipe in (sys.stdout, sys.stderr):
        if isinstance(pipe, io.TextIOWrapper):
            pipe.reconfigure(errors="replace")  # a terminal without the characters that are printed gets others
    app()
