"""Entry of ``python -m bench``, run from the source folder."""

import os
import sys


def _prepare_process() -> None:
    # The source folder holds lstm_rt/ without its compiled parts and would hide the installed package.
    if sys.path and os.path.realpath(sys.path[0] or ".") == os.getcwd():
        del sys.path[0]
    # Read once, when the libraries are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


if __name__ == "__main__":
    _prepare_process()
    from bench.cli import main

    sys.exit(main())
