"""Counts the messages of a protobuf file before protobuf makes objects of them: two bytes become a hundred.

https://protobuf.dev/programming-guides/encoding describes the format.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from onnx import ModelProto

from ..budget import current

_BYTES_PER_MESSAGE = 192
_BYTES_PER_FIELD = 16
_FIELDS_PER_CHARGE = 4096
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Messages = dict[int, Any]  # of a message type: the fields that hold messages, and their own


def charge_messages(data: bytes, where: str) -> None:
    """Charge what protobuf will allocate for an ONNX model, without its bytes.

    Parameters
    ----------
    data : bytes
        The file. Protobuf itself refuses a damaged one, so this stops at damage.
    where : str
        For messages.

    Raises
    ------
    ModelFileError
        If the budget has less left.
    """
    budget, view = current(), memoryview(data)
    fields = messages = 0
    outer: list[tuple[int, int, _Messages]] = []  # where to go on in the messages around this one
    at, end, inner = 0, len(data), _messages()
    while True:
        if not 0 <= at < end:
            if not outer:
                break
            at, end, inner = outer.pop()
            continue
        tag, at = _varint(view, at, end)
        kind, below = tag & 7, inner.get(tag >> 3)
        fields += 1
        if kind == _BYTES:
            length, at = _varint(view, at, end)
            after = at + length if at >= 0 else -1
            if below is not None and at >= 0:
                messages += 1
                if 0 <= after < end:
                    outer.append((after, end, inner))
                end, inner = min(after, end), below
            else:
                at = after
        elif kind == _VARINT:
            _, at = _varint(view, at, end)
        else:
            at += {_FIXED64: 8, _FIXED32: 4}.get(kind, end)
        if fields + messages >= _FIELDS_PER_CHARGE:
            budget.spend(_BYTES_PER_FIELD * fields + _BYTES_PER_MESSAGE * messages, where, fields)
            fields = messages = 0
    budget.spend(_BYTES_PER_FIELD * fields + _BYTES_PER_MESSAGE * messages, where, fields)


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """Read a number; the new position is -1 if the data ends before it does."""
    if at < 0 or at >= end:
        return 0, -1
    byte = view[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    for place in range(at + 1, min(at + 10, end)):
        byte = view[place]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place + 1
        shift += 7
    return 0, -1


@cache
def _messages() -> _Messages:
    """Describe which fields of which messages hold messages."""
    made: dict[str, _Messages] = {}

    def describe(message: Any) -> _Messages:
        if message.full_name not in made:
            fields = made[message.full_name] = {}
            for field in message.fields:
                if field.message_type is not None:
                    fields[field.number] = describe(field.message_type)
        return made[message.full_name]

    return describe(ModelProto.DESCRIPTOR)
