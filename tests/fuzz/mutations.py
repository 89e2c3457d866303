"""Model files made wrong: cut short, half written, bits flipped, parts moved, numbers that are out of all bounds."""

from __future__ import annotations

import random
import struct

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of GGUF's types of numbers
_STRING, _ARRAY = 8, 9
_EXTREMES = (
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
    2**63,
    -1,
)
_BLOCKS = (64, 512, 4096)  # what a disk or a file system writes at once

Field = tuple[int, int]  # where a number stands, and its bytes


def without_checksums(blob: bytes) -> bytes:
    """The file as versions without checksums wrote it: they stand where nothing looks for them."""
    return blob.replace(b"lstm_rt.checksum.", b"nothing.checksum.")


def fields(blob: bytes) -> tuple[list[Field], list[Field]]:
    """The numbers of a right file: those that hold it together (counts, types, dims), and those of its graph."""
    frame: list[Field] = []
    graph: list[Field] = []
    at = 8

    def number(width: int, to: list[Field]) -> int:
        nonlocal at
        to.append((at, width))
        at += width
        return int.from_bytes(blob[at - width : at], "little")

    def string() -> None:
        nonlocal at
        length = number(8, frame)
        at += length

    tensors, keys = number(8, frame), number(8, frame)
    for _ in range(keys):
        string()
        kind, count = number(4, frame), 1
        if kind == _ARRAY:
            kind, count = number(4, frame), number(8, frame)
        for _ in range(count):
            if kind == _STRING:
                string()
            else:
                number(_WIDTHS[kind], graph)
    for _ in range(tensors):
        string()
        for _ in range(number(4, frame)):
            number(8, frame)
        number(4, frame), number(8, frame)
    graph += [(place, 8) for place in range((at + 31) // 32 * 32, len(blob) - 7, 8)]
    return frame, graph


def mutate(rng: random.Random, blob: bytes, places: tuple[list[Field], list[Field]], other: bytes) -> bytes:
    """Make a right file wrong in one way; `places` are its fields, `other` is another right file."""
    (numbers,) = rng.choices(places, (1, 3))
    way = rng.choice((_cut, _flip, _half_write, _splice, _number, _number, _number, _exchange))
    return bytes(way(rng, bytearray(blob), numbers, other))


def _cut(rng: random.Random, blob: bytearray, numbers: list[Field], other: bytes) -> bytearray:
    return blob[: rng.randrange(len(blob))]


def _flip(rng: random.Random, blob: bytearray, numbers: list[Field], other: bytes) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 5))):
        blob[rng.randrange(len(blob))] ^= 1 << rng.randrange(8)
    return blob


def _half_write(rng: random.Random, blob: bytearray, numbers: list[Field], other: bytes) -> bytearray:
    """Blocks of zeros in place of what was not written: one, or all from one on."""
    size = rng.choice(_BLOCKS)
    start = rng.randrange((len(blob) + size - 1) // size) * size
    end = rng.choice((min(start + size, len(blob)), len(blob)))
    blob[start:end] = bytes(end - start)
    return blob


def _splice(rng: random.Random, blob: bytearray, numbers: list[Field], other: bytes) -> bytearray:
    """Bytes of this file or of another take the place of as many, of fewer or of none."""
    source = rng.choice((bytes(blob), other))
    start, length = rng.randrange(len(source)), rng.choice((1, 4, 8, 32, 500))
    at, gone = rng.randrange(len(blob)), rng.choice((length, length, 0, rng.randrange(64)))
    blob[at : at + gone] = source[start : start + length]
    return blob


def _number(rng: random.Random, blob: bytearray, numbers: list[Field], other: bytes) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, width = rng.choice(numbers)
        near = int.from_bytes(blob[at : at + width], "little") + rng.choice((-2, -1, 1, 2))
        chosen = rng.choice((rng.choice(_EXTREMES), rng.choice(_EXTREMES), near))
        blob[at : at + width] = struct.pack("<Q", chosen % 2**64)[:width]
    return blob


def _exchange(rng: random.Random, blob: bytearray, numbers: list[Field], other: bytes) -> bytearray:
    """One number becomes what another is: an index, a count or a dim that exists, but elsewhere."""
    (to, width), (at, _) = rng.choice(numbers), rng.choice(numbers)
    blob[to : to + width] = blob[at : at + width]
    return blob
