"""For atheris: bytes as a file of a format that is converted. A model may come of them, or an `lstm_rt.Error`.

``python read_sources.py CORPUS… [options of libFuzzer]``. The first byte of an input says what the file is taken for
(`KINDS`), since a name would; ``--add FOLDER SEEDS`` makes such inputs of files.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import pkgutil
import sys
import tempfile
import warnings
from collections.abc import Callable

KINDS = (".onnx", ".keras", ".weights.h5", ".h5", ".pt", ".pt2", ".safetensors", ".gguf")


def add(folder: pathlib.Path, seeds: pathlib.Path) -> None:
    """Write each seed with the byte of its kind before it."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds.iterdir():
        kind = max((kind for kind in KINDS if seed.name.endswith(kind)), key=len)
        (folder / seed.name).write_bytes(bytes([KINDS.index(kind)]) + seed.read_bytes())


def target() -> Callable[[bytes], None]:
    """Import what is fuzzed, so that atheris sees its branches, and return the function it calls."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["lstm_rt"]):
        import lstm_rt
        from lstm_rt import converters

        for module in pkgutil.walk_packages(converters.__path__, "lstm_rt.converters."):
            with contextlib.suppress(ImportError):  # what works on live models needs their frameworks
                importlib.import_module(module.name)

    folder = tempfile.mkdtemp(prefix="lstm_rt-fuzz-")

    def read(data: bytes) -> None:
        if not data:
            return
        path = os.path.join(folder, "model" + KINDS[data[0] % len(KINDS)])
        with open(path, "wb") as file:
            file.write(data[1:])
        try:
            if path.endswith(".gguf"):
                lstm_rt.load(path)
            else:
                converters.converter_for(path)(path)
        except lstm_rt.Error:
            pass

    return read


def main() -> None:
    if sys.argv[1:2] == ["--add"]:
        add(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
        return
    import atheris

    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, target())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
