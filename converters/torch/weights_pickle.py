"""The names that may occur in PyTorch's pickles of weights, and what they mean here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from lstm_rt.errors import ModelFileError, UnsupportedModelError

from .tensors import DTYPES, Quantization, Storage, Tensor, strided
from .unpickle import Global, Opaque

_STORAGES = {
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Double": "float64",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "QInt8": "qint8",
    "QUInt8": "quint8",
    "QInt32": "qint32",
}
STORAGE_DTYPES = {f"torch.{name}Storage": dtype for name, dtype in _STORAGES.items()}

# What checkpoints hold beside weights: settings, losses, dates. They are named, not made.
_INERT = (
    "argparse.Namespace",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.set",
    "builtins.frozenset",
    "builtins.slice",
    "builtins.range",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "torch.Size",
    "torch.Tensor",
    "torch._C._nn.Parameter",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch.per_channel_affine",
    "torch.per_channel_affine_float_qparams",
    "torch.per_tensor_affine",
    "torch.ScriptObject",
    "_codecs.encode",
)


def _rebuild_tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> Tensor:
    return strided(storage, offset, size, stride)


def _rebuild_parameter(data: object, *_: object) -> object:
    return data


def _rebuild_from_type(function: object, _kind: object, arguments: object, _state: object) -> object:
    """A tensor with attributes of its own, which are dropped."""
    if isinstance(function, Global) and function.call in _REBUILDERS and isinstance(arguments, tuple):
        return function.call(*arguments)
    raise ModelFileError("a tensor of a class of its own cannot be read. The file is damaged.")


def _rebuild_qtensor(
    storage: object, offset: object, size: object, stride: object, quantizer: object, *_: object
) -> Tensor:
    return strided(storage, offset, size, stride, quantization=_quantization(quantizer, size))


def _quantization(quantizer: object, size: object) -> Quantization:
    kind, *numbers = quantizer if isinstance(quantizer, tuple) and quantizer else (None,)
    name = kind.name if isinstance(kind, Global) else ""
    if name == "torch.per_tensor_affine" and len(numbers) == 2:
        scale, zero = numbers
        if isinstance(scale, float) and type(zero) is int and abs(zero) < 1 << 31:
            return Quantization(scale, zero)
    if name == "torch.per_channel_affine" and len(numbers) == 3:
        scales, zeros, axis = numbers
        if isinstance(scales, Tensor) and isinstance(zeros, Tensor) and type(axis) is int and isinstance(size, tuple):
            channels = size[axis : axis + 1] if axis >= 0 else None
            if scales.shape == zeros.shape == channels:
                return Quantization(scales, zeros, axis)
    raise ModelFileError("a tensor is quantised in a way that is not known. The file is damaged, or of a newer torch.")


def _ordered_dict(items: object = (), *_: object) -> dict[Any, Any]:
    pairs = items if isinstance(items, (list, tuple)) else ()
    pairs = [pair for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]
    return {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str)}


def _defaultdict(*_: object) -> dict[Any, Any]:
    return {}


_REBUILDERS = (_rebuild_tensor, _rebuild_parameter, _rebuild_qtensor)

_CALLED: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _defaultdict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._utils._rebuild_qtensor": _rebuild_qtensor,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
}

_DTYPE_NAMES = (
    "float",
    "half",
    "double",
    "bfloat16",
    "long",
    "int",
    "short",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
)

TABLE = {name: Global(name, call) for name, call in _CALLED.items()}
TABLE.update(
    (name, Global(name)) for name in (*_INERT, *STORAGE_DTYPES, "builtins.dict", "builtins.list", "builtins.int")
)
TABLE.update((f"torch.{name}", Global(f"torch.{name}")) for name in (*_DTYPE_NAMES, *DTYPES))


def storage_of(identity: object, storages: dict[str, Storage]) -> object:
    """Find the storage that a persistent id stands for, or note that there is one.

    The old layout also gives classes of modules such ids, with their source code, which nobody looks at.

    Parameters
    ----------
    identity : object
        What the pickle gave: ``("storage", class, key, device, number of elements, …)``.
    storages : dict of str to Storage
        Those seen so far, by key.

    Returns
    -------
    Storage, Opaque or Global
        A storage has no data if it is new. Opaque if its dtype is one that is not read. Global for a class.

    Raises
    ------
    ModelFileError
        If the id is none.
    """
    if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
        return identity[1]
    if isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage":
        kind, key, numel = identity[1], identity[2], identity[4]
        dtype = STORAGE_DTYPES.get(kind.name) if isinstance(kind, Global) else None
        if isinstance(key, str) and type(numel) is int and 0 <= numel < 1 << 48:
            if any(identity[5:]):
                raise ModelFileError("a storage is a part of another, as only very old files have it. Save it anew.")
            if dtype is None and isinstance(kind, Global) and kind.name not in TABLE:
                return Opaque(kind)
            if dtype is None:
                raise ModelFileError("a storage is of no class of storages. The file is damaged.")
            known = storages.setdefault(key, Storage(dtype, numel))
            if (known.dtype, known.numel) != (dtype, numel):
                raise ModelFileError(f"storage {key!r} is described in two ways. The file is damaged.")
            return known
    raise ModelFileError("a tensor's storage is not described as torch does. The file is damaged.")


def refuse_names(names: Sequence[str], label: str) -> None:
    """Refuse a file that has objects in the place of weights.

    Parameters
    ----------
    names : sequence of str
        The classes of the objects; if there are none, nothing happens.
    label : str
        The file, as the user knows it.

    Raises
    ------
    UnsupportedModelError
        With the names, and what to do.
    """
    if not names:
        return
    whole = any(name.startswith("torch.nn.modules.") for name in names)
    advice = (
        "It is a whole module, pickled: it needs the code of its classes. Save the weights, "
        "torch.save(module.state_dict(), path), or give the module itself: lstm_rt.from_torch(module, example_inputs)."
        if whole
        else "A file of weights needs none of these, and nothing in a file is ever run. Save the weights alone: "
        "torch.save(module.state_dict(), path)."
    )
    raise UnsupportedModelError(f"{label} holds objects of {shown(names)} and no named weights. {advice}")


def shown(names: Sequence[str]) -> str:
    """List the names of classes in a file, the long ones cut, for a message."""
    listed = ", ".join(name if len(name) < 80 else name[:77] + "…" for name in names[:_SHOWN])
    return f"{listed} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else listed


_SHOWN = 8
