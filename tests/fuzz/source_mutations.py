"""Changes the structure of files that are converted: messages, objects, trees, opcodes and members rather than bytes.

Each function takes a random generator, a seed and another seed of the same format, and returns a changed file. The same
generator gives the same file.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import onnx

NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    63,
    64,
    65,
    255,
    1000,
    2**16,
    2**31 - 1,
    -(2**31),
    2**31,
    2**40,
    2**62,
    2**63 - 1,
    -(2**63),
)
TEXTS = ("", "x", "y", "0", "a/b", "../x", "/etc/passwd", "é", "\x01", "None", "batch", "relu", "tanh", "x" * 5000)
STRANGE: tuple[Any, ...] = (None, True, False, 0.5, -0.0, 1e308, [], {}, [[]], {"a": 1}, [None], *NUMBERS, *TEXTS)
RAW_JSON = ("NaN", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', '{"a": 1, "a": 2}', "[" * 200 + "]" * 200, "1.", "")
_PLACEHOLDER = "\u0007here\u0007"


def flip_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change a few bytes, or cut the file."""
    blob = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if blob else 0):
        at = rng.randrange(len(blob))
        width = rng.choice((1, 1, 2, 4, 8))
        value = rng.choice((rng.randrange(256), rng.choice(NUMBERS))) % 256**width
        blob[at : at + width] = value.to_bytes(width, "little")
    if rng.randrange(8) == 0:
        del blob[rng.randrange(len(blob) + 1) :]
    return bytes(blob)


# ---- JSON ----


def change_json(rng: random.Random, text: str | bytes) -> bytes:
    """Change a JSON document in some places."""
    tree = json.loads(text)
    raw: str | None = None
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = _places(tree)
        if not places:
            break
        box, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind == 0:
            del box[key]
        elif kind == 1:
            other_box, other_key = rng.choice(places)
            box[key] = json.loads(json.dumps(other_box[other_key])) if other_key in _keys(other_box) else None
        elif kind == 2 and isinstance(box, list):
            box.insert(rng.randrange(len(box) + 1), json.loads(json.dumps(box[key])))
        elif kind == 3 and isinstance(box, dict):
            box[rng.choice((*TEXTS, key + "_"))] = box.pop(key)
        elif kind == 4 and isinstance(box[key], (int, float)):
            box[key] += rng.choice((-1, 1, 2, 0.5))
        elif kind == 5 and raw is None:
            raw = rng.choice(RAW_JSON)
            box[key] = _PLACEHOLDER
        else:
            box[key] = json.loads(json.dumps(rng.choice(STRANGE)))
    made = json.dumps(tree)
    return made.replace(json.dumps(_PLACEHOLDER), raw or "").encode("utf-8", "surrogatepass")


def _keys(box: Any) -> Any:
    return box if isinstance(box, dict) else range(len(box))


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    for item in waiting:
        for key in _keys(item):
            found.append((item, key))
            if isinstance(item[key], (dict, list)):
                waiting.append(item[key])
    return found


# ---- ONNX ----


def change_onnx(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """Change fields of messages anywhere in a model."""
    if rng.randrange(10) == 0:
        return flip_bytes(rng, seed)
    model = onnx.ModelProto.FromString(seed)
    spare = _messages(onnx.ModelProto.FromString(other))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        _change_field(rng, rng.choice(_messages(model)), spare)
    return model.SerializeToString()


def _messages(message: Any) -> list[Any]:
    found = [message]
    for item in found:
        for field, value in item.ListFields():
            if field.message_type is not None:
                found += value if _repeated(field) else [value]
    return found


def _repeated(field: Any) -> bool:
    return bool(getattr(field, "is_repeated", None) or getattr(field, "label", 0) == 3)


def _change_field(rng: random.Random, message: Any, spare: list[Any]) -> None:
    field = rng.choice(message.DESCRIPTOR.fields)
    if rng.randrange(3):
        present = message.ListFields()
        if present:
            field = rng.choice(present)[0]
    with contextlib.suppress(ValueError, TypeError):  # of a kind that the field does not take
        if rng.randrange(8) == 0:
            message.ClearField(field.name)
        elif field.message_type is not None:
            _change_messages(rng, message, field, spare)
        elif _repeated(field):
            _change_list(rng, getattr(message, field.name), field)
        else:
            setattr(message, field.name, _value(rng, field, getattr(message, field.name)))


def _change_messages(rng: random.Random, message: Any, field: Any, spare: list[Any]) -> None:
    like = [item for item in spare if item.DESCRIPTOR.full_name == field.message_type.full_name]
    if not _repeated(field):
        getattr(message, field.name).SetInParent()
        if like:
            getattr(message, field.name).CopyFrom(rng.choice(like))
        return
    items = getattr(message, field.name)
    kind = rng.randrange(4)
    if kind == 0 and items:
        del items[rng.randrange(len(items))]
    elif kind == 1 and items:
        items.add().CopyFrom(items[rng.randrange(len(items) - 1)] if len(items) > 1 else items[0])
    elif kind == 2 and len(items) > 1:
        order = rng.sample(list(items), len(items))
        copies = [type(item).FromString(item.SerializeToString()) for item in order]
        del items[:]
        items.extend(copies)
    elif like:
        items.add().CopyFrom(rng.choice(like))


def _change_list(rng: random.Random, items: Any, field: Any) -> None:
    at = rng.randrange(len(items)) if items else 0
    kind = rng.randrange(4)
    if kind == 0 and items:
        del items[at]
    elif kind == 1 and items:
        items[at] = items[rng.randrange(len(items))]
    elif kind == 2 and items:
        items[at] = _value(rng, field, items[at])
    else:
        items.append(_value(rng, field, None))


def _value(rng: random.Random, field: Any, now: Any) -> Any:
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        text = rng.choice((*TEXTS, str(now)[:50] + "_", "Relu", "LSTM", "com.microsoft", "ai.onnx"))
        return text.encode() if field.type == field.TYPE_BYTES else text
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return rng.choice((0.0, 1.0, -1.0, 1e30, float("nan"), float("inf"), 0.5))
    if isinstance(now, int) and rng.randrange(3) == 0:
        return now + rng.choice((-1, 1))
    return rng.choice((*NUMBERS, rng.randrange(25)))


# ---- HDF5 ----


def change_hdf5(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """Change attributes, datasets and groups by h5py, then sometimes bytes."""
    if rng.randrange(4) == 0:
        return flip_bytes(rng, seed)
    stream = io.BytesIO(seed)
    with h5py.File(stream, "r+") as file:
        for _ in range(rng.choice((1, 1, 2, 3))):
            with contextlib.suppress(ValueError, TypeError, KeyError, OSError, RuntimeError):  # h5py does not write it
                _change_objects(rng, file)
    made = stream.getvalue()
    return flip_bytes(rng, made) if rng.randrange(8) == 0 else made


def _change_objects(rng: random.Random, file: Any) -> None:
    paths = ["/"]
    file.visit(paths.append)
    path = rng.choice(paths)
    item = file[path]
    if item.attrs and rng.randrange(2):
        _change_attribute(rng, item, rng.choice(sorted(item.attrs)))
    elif isinstance(item, h5py.Dataset):
        _change_dataset(rng, file, path)
    else:
        _change_links(rng, file, path, paths)


def _change_attribute(rng: random.Random, item: Any, name: str) -> None:
    value = item.attrs[name]
    kind = rng.randrange(5)
    if kind == 0:
        del item.attrs[name]
    elif kind == 1 and isinstance(value, (str, bytes)) and value[:1] in ("{", b"{"):
        item.attrs[name] = change_json(rng, value)
    elif kind == 2 and isinstance(value, np.ndarray):
        items = list(value.ravel())
        items = rng.choice((items[:-1], items * 2, items[::-1], []))
        item.attrs[name] = np.array(items, value.dtype)
    else:
        strange = (b"", b"\xff\xfe", "text", 3, 2.5, np.arange(4), h5py.Empty("f4"), np.zeros((0,), "S3"), ["a", "b"])
        item.attrs[name] = rng.choice((*strange, change_json(rng, '{"class_name": "x", "config": {"layers": []}}')))


def _change_dataset(rng: random.Random, file: Any, path: str) -> None:
    array = file[path][()] if file[path].size and file[path].size < 1 << 20 else np.zeros(3, np.float32)
    del file[path]
    kind = rng.randrange(8)
    if kind == 0:
        return
    if kind == 1:
        file.create_dataset(path, rng.choice(((2**20, 2**20), (0, 3), (1,), (), (1,) * 9)), "f4", chunks=None)
    elif kind == 2:
        file.create_dataset(path, data=np.atleast_1d(array), compression="gzip", shuffle=bool(rng.randrange(2)))
    elif kind == 3:
        dtype = rng.choice(("f2", "f8", ">f4", "i1", "u8", "S4", "c8", "V2", "V16"))
        file.create_dataset(path, np.shape(array), dtype)
    elif kind == 4:
        file.create_dataset(path, (4,), h5py.string_dtype())
    elif kind == 5:
        file.create_group(path)
    elif kind == 6:
        shape = np.shape(array)
        file.create_dataset(path, shape[1:] if len(shape) > 1 else (*shape, 2), "f4")
    else:
        file.create_dataset(path, data=np.atleast_1d(array), chunks=True, maxshape=(None,) * max(1, np.ndim(array)))


def _change_links(rng: random.Random, file: Any, path: str, paths: list[str]) -> None:
    name = f"{path}/{rng.choice(('vars', 'layers', '0', 'new', 'é'))}"
    kind = rng.randrange(5)
    if kind == 0 and path != "/":
        del file[path]
    elif kind == 1:
        file[name] = file[rng.choice(paths)]
    elif kind == 2:
        file[name] = h5py.SoftLink(rng.choice(paths))
    elif kind == 3:
        file[name] = h5py.ExternalLink("/etc/hostname", "/")
    elif path != "/":
        file.move(path, name + "_")


# ---- Zip archives ----


def change_zip(rng: random.Random, data: bytes, changes: dict[str, Callable[[random.Random, bytes], bytes]]) -> bytes:
    """Change a member by the function that fits the end of its name, or the members themselves."""
    if rng.randrange(12) == 0:
        return flip_bytes(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
        compression = archive.infolist()[0].compress_type
    if rng.randrange(8) == 0:
        at = rng.randrange(len(members))
        name, content = members[at]
        edits: list[list[tuple[str, bytes]]] = [
            [],
            [(name + "_", content)],
            [(name, content), (f"x/{name}", content)],
            [(name, b"")],
            [(name, flip_bytes(rng, content))],
        ]
        members[at : at + 1] = rng.choice(edits)
        compression = rng.choice((compression, compression, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    else:
        fitting = [
            (at, change)
            for at, (name, _) in enumerate(members)
            for end, change in changes.items()
            if name.endswith(end)
        ]
        at, change = rng.choice(fitting)
        members[at] = members[at][0], change(rng, members[at][1])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def change_keras(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """Change a .keras file."""
    weights = lambda rng, data: change_hdf5(rng, data, data)  # noqa: E731
    return change_zip(rng, seed, {"config.json": change_json, "metadata.json": change_json, ".h5": weights})


def change_pt2(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """Change an exported program."""
    return change_zip(rng, seed, {"/model.json": change_json, "_config.json": change_json, "data.pkl": change_pickle})


# ---- Pickles and safetensors ----


def change_pt(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """Change the pickle of a file of weights, in either layout."""
    if seed[:2] != b"PK":
        return flip_bytes(rng, seed) if rng.randrange(4) == 0 else change_pickle(rng, seed)
    return change_zip(rng, seed, {"data.pkl": change_pickle, "byteorder": flip_bytes})


def change_pickle(rng: random.Random, data: bytes) -> bytes:
    """Change operations of a pickle."""
    ops = _operations(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(ops))
        kind = rng.randrange(6)
        if kind == 0:
            del ops[at]
        elif kind == 1:
            ops.insert(at, rng.choice(ops))
        elif kind == 2:
            to = rng.randrange(len(ops))
            ops[at], ops[to] = ops[to], ops[at]
        elif kind == 3:
            begin = rng.randrange(len(ops))
            ops[at:at] = ops[begin : begin + rng.randrange(20)]
        elif kind == 4:
            ops[at] = flip_bytes(rng, ops[at])
        else:
            ops.insert(at, rng.choice(_EXTRA)(rng))
    return b"".join(ops)


_EXTRA: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: b"h" + bytes([rng.randrange(8)]),
    lambda rng: b"q" + bytes([rng.randrange(8)]),
    lambda rng: rng.choice((b"(", b"t", b")", b"}", b"]", b"N", b"R", b"Q", b"b", b"s", b"u", b"e", b"a", b"2", b"0")),
    lambda rng: b"\x8a\x09" + rng.choice(NUMBERS).to_bytes(9, "little", signed=True),
    lambda rng: b"ccollections\nOrderedDict\n",
    lambda rng: b"ctorch._tensor\n_rebuild_from_type_v2\n",
    lambda rng: b"G" + struct.pack(">d", rng.choice((0.5, float("nan"), 1e300))),
    lambda rng: b"X" + struct.pack("<I", 3) + rng.choice((b"abc", b"\xff\xfe\xfd", b"\xed\xa0\x80")),
    lambda rng: b"\x8f\x90(\x91\x94",
)


def _operations(data: bytes) -> list[bytes]:
    """The operations of all pickles at the beginning, and the rest as one."""
    stream, ops, at = io.BytesIO(data), list[bytes](), 0
    try:
        while stream.tell() < len(data):
            starts = [place for _, _, place in pickletools.genops(stream)]
            ends = [*starts[1:], stream.tell()]
            ops += [data[a or 0 : b] for a, b in zip(starts, ends)]
            at = stream.tell()
    except ValueError:
        pass
    return [*ops, data[at:]]


def change_safetensors(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """Change the header, its length, or the end of the file."""
    (length,) = struct.unpack("<Q", seed[:8])
    header, body = seed[8 : 8 + length], seed[8 + length :]
    kind = rng.randrange(8)
    if kind == 0:
        return flip_bytes(rng, seed)
    if kind == 1:
        body = rng.choice((body[:-1], body + b"\0", b"", body * 2))
    else:
        header = change_json(rng, header)
    claimed = rng.choice((*NUMBERS, len(header) + 1)) % 2**64 if rng.randrange(12) == 0 else len(header)
    return struct.pack("<Q", claimed) + header + body


FORMATS: dict[str, Callable[[random.Random, bytes, bytes], bytes]] = {
    ".onnx": change_onnx,
    ".keras": change_keras,
    ".h5": change_hdf5,
    ".pt": change_pt,
    ".pt2": change_pt2,
    ".safetensors": change_safetensors,
}
