"""Reads pickles of weights without ever running one.

A pickle is a program. Python's own `pickle` imports what it names and calls it; here the program moves plain data
about, and a name is only a name. The few names that files of weights need are in a table, with what they mean here.
Every other name is a stub: an object made of one is an `Opaque`, whatever is done to it. There is nothing to import, no
attribute to set, and nothing to call but the functions of that table.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Callable, Optional

from lstm_rt.errors import Error, ModelFileError

from ..budget import current

_BYTES_PER_OPERATION = 128  # what the stack, the memo and a small object take
_BYTES_PER_OBJECT = 512  # an instance of a class of Python
_BYTES_PER_ITEM = 128  # of a container that a function of the table makes
_MOST_DIGITS = 1000  # of a number written in decimal: reading it takes the square of that
_WHERE = "the pickle"
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}

_MOST_INT = 1 << 32  # of keys: larger ints, floats and tuples could be made to collide, or take for ever to hash


@dataclass
class Global:
    """A name that a pickle asks for.

    Attributes
    ----------
    name : str
        ``module.name``.
    call : callable, optional
        What calling it means here; None where that gives an `Opaque`.
    """

    name: str
    call: Optional[Callable[..., object]] = None


@dataclass
class Opaque:
    """An object that is of no use here: neither made nor looked into. Its class may be any.

    Attributes
    ----------
    of : Global
        Its class.
    state : object
        What the pickle would have set it to.
    """

    of: Global
    state: object = None


@dataclass
class Unpickler:
    """Reads one pickle.

    Parameters
    ----------
    table : mapping of str to Global
        The names that may occur.
    storage : callable
        Gives the storage that a persistent id stands for.

    Attributes
    ----------
    refused : dict of str to None
        The names that the pickle asked for and that are not in the table, in order. Objects made of them are `Opaque`.
    """

    table: Mapping[str, Global]
    storage: Callable[[object], object]
    refused: dict[str, None] = field(default_factory=dict)

    def load(self, stream: BytesIO) -> object:
        """Read a pickle up to its end.

        Parameters
        ----------
        stream : BytesIO
            Is left behind the pickle.

        Returns
        -------
        object
            Dicts, lists, tuples, numbers, strings, and what the functions of the table gave.

        Raises
        ------
        ModelFileError
            If this is no pickle, or a damaged one, or too large.
        """
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, object] = {}
        try:
            for name, argument in _operations(stream):
                current().spend(_BYTES_PER_OPERATION, _WHERE)
                self._do(name, argument)
            (result,) = self._stack
        except Error:
            raise
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise ModelFileError(f"its pickle is damaged ({type(error).__name__}: {str(error)[:200]}).") from None
        return result

    def _do(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            if not _is_key(argument):
                raise ValueError("a memo without a number")
            self._memo[argument] = self._stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        elif name not in ("PROTO", "FRAME", "STOP"):
            handle = getattr(self, "_" + name.lower(), None)
            if handle is None:
                raise ModelFileError(f"its pickle uses {name}, which files of weights do not. It is refused.")
            handle(argument)

    # ---- One for each operation of the pickle machine that has to do something ----

    def _mark(self, _: object) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _to_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._to_mark()

    def _pop_mark(self, _: object) -> None:
        self._to_mark()

    def _dup(self, _: object) -> None:
        self._stack.append(self._stack[-1])

    def _tuple(self, _: object) -> None:
        items = self._to_mark()
        self._stack.append(tuple(items))

    def _tuple1(self, _: object) -> None:
        self._stack[-1:] = [(self._stack[-1],)]

    def _tuple2(self, _: object) -> None:
        self._take(2)

    def _tuple3(self, _: object) -> None:
        self._take(3)

    def _take(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("the stack is empty")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _list(self, _: object) -> None:
        items = self._to_mark()
        self._stack.append(items)

    def _dict(self, _: object) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._set(items)

    def _append(self, _: object) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _appends(self, _: object) -> None:
        items = self._to_mark()
        self._extend(items)

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _additems(self, _: object) -> None:
        self._to_mark()  # the set they would go into is not made

    def _frozenset(self, _: object) -> None:
        self._to_mark()
        self._stack.append(_opaque(Global("builtins.frozenset")))

    def _setitem(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _setitems(self, _: object) -> None:
        items = self._to_mark()
        self._set(items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update((k, v) for k, v in zip(items[::2], items[1::2]) if _is_key(k))

    def _global(self, names: str) -> None:
        self._stack.append(self._find(names.replace(" ", ".", 1)))

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no string")
        self._stack.append(self._find(f"{module}.{name}"))

    def _find(self, name: str) -> Global:
        found = self.table.get(name)
        if found is None:
            self.refused[name] = None
            return Global(name)
        return found

    def _reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._called(function, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: object) -> None:
        self._stack.pop()
        self._reduce(None)

    def _inst(self, names: str) -> None:
        arguments = self._to_mark()
        self._stack.append(self._called(self._find(names.replace(" ", ".", 1)), tuple(arguments)))

    def _obj(self, _: object) -> None:
        function, *arguments = self._to_mark()
        self._stack.append(self._called(function, tuple(arguments)))

    def _called(self, function: object, arguments: object) -> object:
        """The result of a call; a call of a stub, or with one, gives nothing but another object of the stub's class."""
        for item in (function, *arguments) if isinstance(arguments, tuple) else ():
            of = item.of if isinstance(item, Opaque) else item
            if isinstance(of, Global) and of.name in self.refused:
                return Opaque(of)
        return _call(function, arguments)

    def _build(self, _: object) -> None:
        state = self._stack.pop()
        if isinstance(self._stack[-1], Opaque):
            self._stack[-1].state = state  # that of a dict (a state_dict's versions) is not wanted

    def _binpersid(self, _: object) -> None:
        self._stack.append(self.storage(self._stack.pop()))


def _is_key(key: object) -> bool:
    return isinstance(key, str) or (isinstance(key, int) and 0 <= key < _MOST_INT)


def _call(function: object, arguments: object) -> object:
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise TypeError("something is called that is no function")
    if function.call is None:
        return _opaque(function)
    containers = (item for item in arguments if isinstance(item, (list, tuple, dict)))
    current().spend(_BYTES_PER_OBJECT + _BYTES_PER_ITEM * sum(map(len, containers)), _WHERE)
    return function.call(*arguments)


def _opaque(of: Global) -> Opaque:
    current().spend(_BYTES_PER_OBJECT, _WHERE)
    return Opaque(of)


def _operations(stream: BytesIO) -> Iterator[tuple[str, Any]]:
    """Read the operations of a pickle up to its end, like `pickletools.genops`, but no number of many digits."""
    while True:
        code = stream.read(1)
        opcode = _OPCODES.get(code)
        if opcode is None:
            raise ValueError(f"no such operation: {code!r}" if code else "it ends before its last operation")
        if opcode.name in ("INT", "LONG", "FLOAT", "PUT", "GET"):
            _check_line(stream)
        yield opcode.name, None if opcode.arg is None else opcode.arg.reader(stream)
        if opcode.name == "STOP":
            return


def _check_line(stream: BytesIO) -> None:
    at = stream.tell()
    if len(stream.readline(_MOST_DIGITS + 1)) > _MOST_DIGITS:
        raise ValueError("a number of too many digits")
    stream.seek(at)


_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_CONSTANTS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: _opaque(Global("builtins.set")),
}
