"""Opens a ``.pt2`` file: a zip of one graph in JSON and of weights as bare bytes. Nothing in it is run.

Torch stores without compressing, so what is read can be no larger than the file; every size that the file claims is
held against the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any, Union

import numpy as np

from lstm_rt.errors import ModelFileError

from ..graph import MAX_RANK, Array, DType
from ..problems import Refusal
from .schema import Meta, Tree

Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview]

SCHEMA_MAJOR = 8
_MOST_JSON = 256 * 2**20
_MOST_MEMBERS = 2**18
_COPIES = 4  # several names may show one storage: all arrays together may be this many times the file
_MODEL = re.compile(r"[^/\\]+/models/([^/\\]+)\.json")
_OLD = "serialized_exported_program.json"


class Archive:
    """A ``.pt2`` file, open.

    Parameters
    ----------
    source : path-like or bytes
        The file.

    Attributes
    ----------
    file : str
        Its name, empty where bytes were given.
    sha256 : str
        Of its bytes.
    program : Tree
        The exported program.

    Raises
    ------
    ModelFileError
        If this is no ``.pt2`` file, or a damaged one, or of a version that is not known.
    """

    def __init__(self, source: Source) -> None:
        in_memory = isinstance(source, (bytes, bytearray, memoryview))
        self.file = "" if in_memory else Path(source).name  # type: ignore[arg-type]
        data = bytes(source) if in_memory else Path(source).read_bytes()  # type: ignore[arg-type]
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._size = len(data)
        self._copied = 0
        self._storages: dict[str, bytes] = {}
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self._members = {info.filename: info for info in self._zip.infolist()}
        except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
            raise self._damaged(f"not a .pt2 file, which is a zip, or cut short ({error})") from error
        if len(self._members) > _MOST_MEMBERS:
            raise self._damaged(f"{len(self._members)} members are too many")
        self._prefix, name = self._find_model()
        self._name = name
        self.program = Tree(self._json(f"models/{name}.json"), "model.json")
        self._check_version()
        self._tensors = {
            "weights": self._configuration("weights", name),
            "constants": self._configuration("constants", name),
        }

    @property
    def label(self) -> str:
        """What messages call the model."""
        return self.file or "the exported program"

    def tensor(self, kind: str, name: str) -> Array:
        """Read one tensor.

        Parameters
        ----------
        kind : {"weights", "constants"}
            In which table it is.
        name : str
            As the program calls it.

        Returns
        -------
        numpy.ndarray
            Read-only; of the layout that the file says.

        Raises
        ------
        Refusal
            If it is of a dtype that values cannot have.
        ModelFileError
            If it is not in the file as the file says.
        """
        entry = self._tensors[kind].get(name)
        if entry is None:
            raise self._damaged(f"{kind[:-1]} {name!r} is not in it")
        if entry.get("use_pickle", False).boolean():
            raise Refusal("it is kept as a pickle, which is not read. Make it a plain tensor of the module.")
        meta = Meta(entry["tensor_meta"])
        path = entry["path_name"].text()
        if "/" in path or "\\" in path:
            raise self._damaged(f"{kind[:-1]} {name!r} is said to be at {path!r}, which is no name of a member")
        return self._view(self._storage(f"data/{kind}/{path}"), meta, f"{kind[:-1]} {name!r}")

    def examples(self) -> bytes:
        """Give the file of example inputs that torch keeps with a program; empty if there is none."""
        member = f"data/sample_inputs/{self._name}.pt"
        return self._read(member, self._size) if f"{self._prefix}/{member}" in self._members else b""

    # ---- Members ----

    def _damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.file or 'These bytes'}: {what}.")

    def _find_model(self) -> tuple[str, str]:
        found = [(m.partition("/")[0], match.group(1)) for m in self._members if (match := _MODEL.fullmatch(m))]
        if any(member.rpartition("/")[2] == _OLD for member in self._members):
            raise self._damaged(
                "written by an old version of torch. Load it with torch.export.load of that version, and save it "
                "with torch.export.save of torch 2.13"
            )
        if len(found) != 1:
            raise self._damaged(
                f"it holds {len(found)} exported programs, and one is wanted. Save one with torch.export.save"
            )
        return found[0]

    def _read(self, member: str, most: int) -> bytes:
        name = f"{self._prefix}/{member}"
        info = self._members.get(name)
        if info is None:
            raise self._damaged(f"there is no {name!r} in it. Save it again with torch.export.save of a newer torch")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise self._damaged(f"{name!r} is compressed or encrypted, which torch never does. Save the program again")
        if info.file_size > min(most, self._size) or info.file_size != info.compress_size:
            raise self._damaged(f"{name!r} is said to have {info.file_size} bytes, which cannot be")
        try:
            data = self._zip.read(info)
        except (zipfile.BadZipFile, EOFError, ValueError, OSError, NotImplementedError) as error:
            raise self._damaged(f"{name!r} cannot be read ({error})") from error
        if len(data) != info.file_size:
            raise self._damaged(f"{name!r} is cut short")
        return data

    def _json(self, member: str) -> Any:
        try:
            return json.loads(self._read(member, _MOST_JSON))
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"{member!r} is not JSON ({error})") from error

    def _configuration(self, kind: str, name: str) -> dict[str, Tree]:
        member = f"data/{kind}/{name}_{kind}_config.json"
        return Tree(self._json(member), member)["config"].mapping()

    def _check_version(self) -> None:
        version = self.program["schema_version"]
        major, minor = version["major"].integer(), version["minor"].integer()
        if major != SCHEMA_MAJOR:
            raise self._damaged(
                f"its schema is version {major}.{minor}, and only {SCHEMA_MAJOR} is known. Save it with another "
                "version of torch"
            )
        order = f"{self._prefix}/byteorder"
        if order in self._members and self._read("byteorder", 64).strip() != b"little":
            raise self._damaged("it is not little endian. Save it on a little endian machine")

    # ---- Tensors ----

    def _storage(self, member: str) -> bytes:
        if member not in self._storages:
            self._storages[member] = self._read(member, self._size)
        return self._storages[member]

    def _view(self, data: bytes, meta: Meta, what: str) -> Array:
        dtype = meta.dtype.numpy.newbyteorder("<")
        shape, strides, offset = meta.fixed_shape(), meta.fixed_strides(), meta.fixed_offset()
        if len(shape) > MAX_RANK or len(strides) != len(shape):
            raise self._damaged(f"{what} has {len(shape)} dims and {len(strides)} strides, which cannot be")
        elements = 1
        for dim in shape:
            elements *= dim  # of Python's integers: no overflow
        last = offset + sum((dim - 1) * stride for dim, stride in zip(shape, strides))
        stored = len(data) // dtype.itemsize
        negative = min((*shape, *strides, offset), default=0) < 0
        if negative or elements > stored or (elements and last >= stored):
            raise self._damaged(f"{what} is said to be {list(shape)}, which is more than its {len(data)} bytes hold")
        self._copied += elements * dtype.itemsize
        if self._copied > _COPIES * self._size:
            raise self._damaged("its tensors are said to be many times larger than the file")
        if not elements:
            return np.zeros(shape, dtype)
        flat = np.frombuffer(data, dtype, stored)[offset:]
        bytes_apart = [stride * dtype.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(flat, shape, bytes_apart, writeable=False)
        return view if meta.dtype is not DType.BOOL else np.not_equal(view.view(np.uint8), 0)
