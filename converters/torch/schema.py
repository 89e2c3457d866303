"""Reads the JSON of an exported program: every access says what it wants, and refuses anything else by its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lstm_rt.errors import ModelFileError

from ..graph import MAX_RANK, DType
from ..problems import Refusal

_DTYPES = {
    1: DType.UINT8,
    2: DType.INT8,
    4: DType.INT32,
    5: DType.INT64,
    7: DType.FLOAT32,
    12: DType.BOOL,
}
_OTHER_DTYPES = {
    3: "int16",
    6: "float16",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    13: "bfloat16",
    28: "uint16",
    34: "uint32",
    35: "uint64",
}
_COMPLEX = (9, 10, 11)
_STRIDED = 7
_SYMBOL = re.compile(r"Symbol\('(\w+)'[^()]*\)")
_LARGEST = 2**62


class Tree:
    """A part of a JSON document, and where it is.

    Parameters
    ----------
    item : Any
        What ``json.loads`` made of it.
    where : str
        For messages.
    """

    def __init__(self, item: Any, where: str) -> None:
        self.item = item
        self.where = where

    def __getitem__(self, key: str) -> Tree:
        found = self._of(dict, "an object").get(key, self)
        if found is self:
            raise self.damaged(f"has no {key!r}")
        return Tree(found, f"{self.where}.{key}")

    def __contains__(self, key: str) -> bool:
        return isinstance(self.item, dict) and key in self.item

    def __iter__(self) -> Iterator[Tree]:
        for i, item in enumerate(self._of(list, "a list")):
            yield Tree(item, f"{self.where}[{i}]")

    def get(self, key: str, default: Any) -> Tree:
        """The item of a key that may be left out."""
        return self[key] if key in self else Tree(default, self.where)

    def mapping(self) -> dict[str, Tree]:
        """An object as a dict of its parts."""
        return {key: Tree(item, f"{self.where}.{key}") for key, item in self._of(dict, "an object").items()}

    def union(self) -> tuple[str, Tree]:
        """The one key of a tagged union, and what it holds."""
        tagged = self._of(dict, "an object")
        if len(tagged) != 1:
            raise self.damaged("is not one thing")
        ((tag, item),) = tagged.items()
        return str(tag), Tree(item, f"{self.where}.{tag}")

    def text(self) -> str:
        """A string."""
        return str(self._of(str, "a string"))

    def boolean(self) -> bool:
        """Either true or false."""
        return bool(self._of(bool, "true or false"))

    def integer(self) -> int:
        """An integer of 64 bits."""
        if isinstance(self.item, bool) or not isinstance(self.item, int) or abs(self.item) > 2**63:
            raise self.damaged("is not an integer")
        return self.item

    def number(self) -> float:
        """A float, of which JSON writes some as text."""
        if isinstance(self.item, bool) or not isinstance(self.item, (int, float, str)):
            raise self.damaged("is not a number")
        try:
            return float(self.item)
        except (ValueError, OverflowError) as error:
            raise self.damaged("is not a number") from error

    def damaged(self, what: str) -> ModelFileError:
        """What is raised where the document is not as it has to be."""
        return ModelFileError(f"{self.where} {what}. The file is damaged.")

    def _of(self, kind: type, name: str) -> Any:
        if not isinstance(self.item, kind):
            raise self.damaged(f"is not {name}")
        return self.item


class Meta:
    """What an exported program says of a tensor: dtype and dims, which may be expressions of symbols.

    Parameters
    ----------
    tree : Tree
        A ``TensorMeta``.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @property
    def dtype(self) -> DType:
        """The dtype; refuses those that values cannot have."""
        if self._tree["layout"].integer() != _STRIDED:
            raise Refusal("it is sparse, or of another layout than torch.strided. Make it dense.")
        return dtype_of(self._tree["dtype"].integer())

    @property
    def is_complex(self) -> bool:
        """Whether its numbers are complex."""
        return self._tree["dtype"].integer() in _COMPLEX

    @property
    def dims(self) -> list[int | str]:
        """Each dim as a number, or the text of its expression where it is free."""
        return [_dim(tree) for tree in self._tree["sizes"]]

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The dims, None where free."""
        return tuple(dim if isinstance(dim, int) else None for dim in self.dims)

    @property
    def rank(self) -> int:
        """How many dims there are."""
        rank = sum(1 for _ in self._tree["sizes"])
        if rank > MAX_RANK:
            raise Refusal(f"{rank} dims are too many. At most {MAX_RANK} are supported.")
        return rank

    @property
    def dim_names(self) -> list[str]:
        """The symbol of each dim that is one, else nothing."""
        found = [_SYMBOL.fullmatch(dim) if isinstance(dim, str) else None for dim in self.dims]
        return [match.group(1) if match else "" for match in found]

    def fixed_shape(self) -> tuple[int, ...]:
        """The dims, all of which are numbers."""
        return tuple(_fixed(tree) for tree in self._tree["sizes"])

    def fixed_strides(self) -> tuple[int, ...]:
        """The strides in elements, all of which are numbers."""
        return tuple(_fixed(tree) for tree in self._tree["strides"])

    def fixed_offset(self) -> int:
        """Where the first element is."""
        return _fixed(self._tree["storage_offset"])


def dtype_of(code: int) -> DType:
    """The DType of one of torch's scalar types; refuses those that lstm_rt does not have."""
    if code in _DTYPES:
        return _DTYPES[code]
    name = _OTHER_DTYPES.get(code, f"number {code}")
    hint = "Convert the module with .float() first" if "float" in name else "Use another"
    names = ", ".join(dtype.name.lower() for dtype in DType)
    raise Refusal(f"dtype {name} is not supported. {hint}; supported: {names}.")


def _dim(tree: Tree) -> int | str:
    tag, item = tree.union()
    if tag == "as_int":
        return item.integer()
    if tag == "as_expr":
        return item["expr_str"].text()
    raise tree.damaged("is no dim")


def _fixed(tree: Tree) -> int:
    dim = _dim(tree)
    if not isinstance(dim, int) or abs(dim) > _LARGEST:
        raise tree.damaged("is not a plain number")
    return dim
