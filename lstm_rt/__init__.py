"""Run trained recurrent networks (LSTM, GRU, RNN and the layers around them) fast on CPUs.

>>> model = lstm_rt.convert("model.onnx", "model.gguf")  # once; or .keras, .h5, .pt2
>>> model = lstm_rt.load("model.gguf")
>>> y = model(x)  # a whole sequence
>>> stream = model.stream()  # keeps the state from frame to frame
>>> y = stream.step(frame)

`convert`, `from_keras` and `from_torch` read models of other frameworks; `Model`, `Stream` and `Pool` run them. Every
error derives from `Error`. The folder docs/ of the source describes each format, the numbers and the C API;
``lstm-rt --help`` lists the commands.

Importing this package loads numpy and the compiled core only. The readers of other formats are imported when a file is
converted.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from lstm_rt._version import __version__

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_COMPILED = ("_core.", "_stepper.", "_stream.", "_pool.")


def _compiled_files(folder: str) -> list[str]:
    """List the files of the compiled part in a folder."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [name for name in names if name.startswith(_COMPILED) and name.endswith((".so", ".pyd"))]


def _load_installed() -> bool:
    """Replace this package with the installed one, if this is a source folder without the compiled part.

    A Python that is started at the root of a clone finds the source folder before the installed package. The compiled
    part is missing there, so the import could only fail.
    """
    if _compiled_files(_FOLDER) or not os.path.exists(os.path.join(os.path.dirname(_FOLDER), "CMakeLists.txt")):
        return False
    for entry in sys.path:
        folder = os.path.join(os.path.abspath(entry), "lstm_rt")
        if folder != _FOLDER and _compiled_files(folder):
            path = os.path.join(folder, "__init__.py")
            spec = importlib.util.spec_from_file_location(__name__, path, submodule_search_locations=[folder])
            if spec is None or spec.loader is None:
                continue
            module = importlib.util.module_from_spec(spec)
            sys.modules[__name__] = module  # the import statement returns what is registered here
            spec.loader.exec_module(module)
            return True
    return False


def _explain(error: ImportError) -> str:
    """Say what to do about a compiled part that cannot be imported."""
    built = _compiled_files(_FOLDER)
    if built:
        return f"lstm_rt's compiled part does not load: {error}. {_FOLDER} holds {', '.join(built)}"
    source = os.path.dirname(_FOLDER)
    if os.path.exists(os.path.join(source, "CMakeLists.txt")):
        return (
            f"lstm_rt is imported from its source folder, {source}, where the compiled part is not built, and no "
            f"installed lstm_rt was found. Install it: pip install {source}"
        )
    return f"lstm_rt's compiled part is missing from {_FOLDER}. Install it again: pip install --force-reinstall lstm_rt"


importlib.import_module("numpy")  # a missing or broken numpy reports itself; the compiled part would not
_load_installed()

try:
    import lstm_rt._core
    from lstm_rt._pool import Pool
    from lstm_rt._stream import Stream
except ImportError as error:
    raise ImportError(_explain(error), name=error.name, path=error.path) from error

from lstm_rt.errors import (
    ArgumentError,
    CheckError,
    Error,
    FileAccessError,
    MissingFileError,
    MissingPackageError,
    ModelFileError,
    OutOfMemoryError,
    QuantizationError,
    ShapeError,
    StateError,
    UnsupportedModelError,
)
from lstm_rt.model import Call, Model, TensorInfo

if TYPE_CHECKING:
    from lstm_rt.conversion import convert as convert
    from lstm_rt.conversion import from_keras as from_keras
    from lstm_rt.conversion import from_torch as from_torch
    from lstm_rt.conversion import load as load

__all__ = [
    "ArgumentError",
    "Call",
    "CheckError",
    "Error",
    "FileAccessError",
    "MissingFileError",
    "MissingPackageError",
    "Model",
    "ModelFileError",
    "OutOfMemoryError",
    "Pool",
    "QuantizationError",
    "ShapeError",
    "StateError",
    "Stream",
    "TensorInfo",
    "UnsupportedModelError",
    "__version__",
    "available_isas",
    "build_info",
    "convert",
    "exact_isas",
    "from_keras",
    "from_torch",
    "get_cmake_dir",
    "get_include",
    "get_library_dir",
    "isa",
    "load",
    "supported_ops",
]

_LAZY = dict.fromkeys(("convert", "from_keras", "from_torch", "load"), "lstm_rt.conversion")


def isa() -> str:
    """Name the instruction set that models use unless told otherwise.

    Returns
    -------
    str
        What the environment variable ``LSTM_RT_ISA`` names, else the best of this machine (``"x86_avx512"``).

    Raises
    ------
    UnsupportedModelError
        If ``LSTM_RT_ISA`` names an instruction set that this machine or this build does not have.
    """
    return lstm_rt._core.default_isa()


def available_isas() -> list[str]:
    """List the instruction sets that this build has and this machine can run.

    Returns
    -------
    list of str
        Names such as ``"x86_avx2"``, best first.
    """
    return lstm_rt._core.available_isas()


def exact_isas() -> list[str]:
    """List the instruction sets of `available_isas` that give the same bytes on every CPU.

    Returns
    -------
    list of str
        Those with fused multiply-add. The others agree with them to rounding.
    """
    return lstm_rt._core.exact_isas()


def supported_ops() -> dict[str, str]:
    """List the operations that models may use.

    Returns
    -------
    dict of str to str
        Name to what it computes and within which limits.
    """
    return dict(lstm_rt._core.supported_ops())


def build_info() -> dict[str, object]:
    """Describe how the compiled part was built.

    Returns
    -------
    dict
        ``version``, ``compiler``, ``flags``, ``build_type``, ``sanitize``, ``system``, ``isas`` (every instruction set
        built, of which `available_isas` lists those that run here), and the versions of ``python``, ``pybind11``,
        ``cython`` and numpy's headers (``numpy``).
    """
    from lstm_rt._build_info import BUILD_INFO

    return dict(BUILD_INFO)


def get_include() -> str:
    """Return the folder that holds ``lstm_rt.h``, the C API, and ``lstm_rt.hpp``, the same for C++17.

    Returns
    -------
    str
        An absolute path. ``lstm_rt/capi.pxd`` declares the same functions for Cython.
    """
    return os.path.join(_FOLDER, "include")


def get_library_dir() -> str:
    """Return the folder that holds the shared library ``liblstm_rt``.

    Returns
    -------
    str
        An absolute path. A program that links to the library there also needs it as its run path.
    """
    return os.path.join(_FOLDER, "lib")


def get_cmake_dir() -> str:
    """Return the folder of the CMake package ``lstm_rt``.

    Returns
    -------
    str
        An absolute path, for ``cmake -Dlstm_rt_DIR=...`` and ``find_package(lstm_rt)``. The files of pkg-config are in
        ``pkgconfig`` within `get_library_dir`.
    """
    return os.path.join(_FOLDER, "lib", "cmake", "lstm_rt")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'lstm_rt' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
