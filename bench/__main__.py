"""Entry of ``python -m bench``, run from the source folder."""

import os
import sys


def _prepare_process() -> None:
    # Read once, when the libraries are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


def _main() -> int:
    _prepare_process()
    try:
        from bench.cli import main
    except ModuleNotFoundError as error:
        print(f"python -m bench needs {error.name}: pip install 'lstm_rt[bench]'", file=sys.stderr)
        return 1
    return main()


if __name__ == "__main__":
    sys.exit(_main())
