"""Opens a ``.pt2`` file: a zip of one graph in JSON and of weights as bare bytes. Nothing in it is run.

Torch stores without compressing, so what is read can be no larger than the file; every size that the file claims is
held against the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Union

import numpy as np

from lstm_rt.errors import ModelFileError

from ..budget import current
from ..graph import MAX_RANK, Array, DType
from ..problems import Refusal
from ..source import admit_bytes, read_file, read_json
from ..zipped import Zip
from .schema import Meta, Tree

Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview]

SCHEMA_MAJOR = 8
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
        data = admit_bytes(bytes(source), self.label) if in_memory else read_file(Path(source))  # type: ignore[arg-type]
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._zip = Zip(data, self.label)
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
        return self._view(self._read(f"data/{kind}/{path}"), meta, f"{kind[:-1]} {name!r}")

    def examples(self) -> bytes:
        """Give the file of example inputs that torch keeps with a program; empty if there is none."""
        member = f"data/sample_inputs/{self._name}.pt"
        return self._read(member).tobytes() if f"{self._prefix}/{member}" in self._zip else b""

    # ---- Members ----

    def _damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.label}: {what}.")

    def _find_model(self) -> tuple[str, str]:
        found = [(m.partition("/")[0], match.group(1)) for m in self._zip.names if (match := _MODEL.fullmatch(m))]
        if any(member.rpartition("/")[2] == _OLD for member in self._zip.names):
            raise self._damaged(
                "written by an old version of torch. Load it with torch.export.load of that version, and save it "
                "with torch.export.save of torch 2.13"
            )
        if len(found) != 1:
            raise self._damaged(
                f"it holds {len(found)} exported programs, and one is wanted. Save one with torch.export.save"
            )
        return found[0]

    def _read(self, member: str) -> Array:
        name = f"{self._prefix}/{member}"
        if name not in self._zip:
            raise self._damaged(f"there is no {name!r} in it. Save it again with torch.export.save of a newer torch")
        return self._zip.view(name)

    def _json(self, member: str) -> Any:
        return read_json(self._read(member).tobytes(), f"{self.label}, {member}")

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
        if order in self._zip and self._read("byteorder")[:6].tobytes() != b"little":
            raise self._damaged("it is not little endian. Save it on a little endian machine")

    # ---- Tensors ----

    def _view(self, data: Array, meta: Meta, what: str) -> Array:
        dtype = meta.dtype.numpy.newbyteorder("<")
        shape, strides, offset = meta.fixed_shape(), meta.fixed_strides(), meta.fixed_offset()
        if len(shape) > MAX_RANK or len(strides) != len(shape):
            raise self._damaged(f"{what} has {len(shape)} dims and {len(strides)} strides, which cannot be")
        elements = 1
        for dim in shape:
            elements *= dim  # of Python's integers: no overflow
        last = offset + sum((dim - 1) * stride for dim, stride in zip(shape, strides))
        stored = data.size // dtype.itemsize
        negative = min((*shape, *strides, offset), default=0) < 0
        if negative or elements > stored or (elements and last >= stored):
            raise self._damaged(f"{what} is said to be {list(shape)}, which is more than its {data.size} bytes hold")
        current().spend(elements * dtype.itemsize, f"{self.label}: {what}")
        if not elements:
            return np.zeros(shape, dtype)
        flat = data[: stored * dtype.itemsize].view(dtype)[offset:]
        bytes_apart = [stride * dtype.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(flat, shape, bytes_apart, writeable=False)
        return view if meta.dtype is not DType.BOOL else np.not_equal(view.view(np.uint8), 0)
