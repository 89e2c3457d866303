"""Numbers and arrays that are none: every integer argument, and every value that a step or a run may be given."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
from close import assert_same_bytes
from models import Recurrent

import lstm_rt
from lstm_rt.arguments import as_integer

LAYER = Recurrent(inputs=3, hidden=5)
MODEL = lstm_rt.load(LAYER.model(outputs=["Y"]))
X = LAYER.feeds(2, 1)["X"]
DATA = LAYER.model().SerializeToString()

TAKES: dict[str, Callable[[Any], Any]] = {
    "stream batch": lambda n: MODEL.stream(batch=n),
    "stream threads": lambda n: MODEL.stream(threads=n),
    "pool capacity": lambda n: MODEL.pool(capacity=n),
    "pool threads": lambda n: MODEL.pool(threads=n),
    "call threads": lambda n: MODEL(X, threads=n),
    "run threads": lambda n: MODEL.run({"X": X}, threads=n),
    "load max_memory": lambda n: lstm_rt.load(DATA, max_memory=n),
}
every_argument = pytest.mark.parametrize("name", TAKES)


@every_argument
@pytest.mark.parametrize(
    "value",
    [1.5, 1.0, np.float32(2), float("nan"), float("inf"), "2", b"2", True, np.True_, [1], (1,), 2j, np.array([1, 2])],
    ids=repr,
)
def test_what_is_no_integer_is_refused(name: str, value: Any) -> None:
    with pytest.raises(lstm_rt.ArgumentError, match=f"{name.split()[1]} is .*expected an integer"):
        TAKES[name](value)


@every_argument
@pytest.mark.parametrize("value", [0, -1, -(2**31), -(2**63), 2**63, 2**64 + 1, 10**30])
def test_integers_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(lstm_rt.Error, match=name.split()[1]):
        TAKES[name](value)


@every_argument
@pytest.mark.parametrize("make", [int, np.int64, np.uint8, np.array], ids=repr)
def test_every_kind_of_integer_is_taken(name: str, make: Any) -> None:
    number = 200 if "memory" in name else 2
    TAKES[name](1 << 30 if "memory" in name and make is not np.uint8 else make(number))


def test_none_stands_for_the_default_limit() -> None:
    assert lstm_rt.load(DATA, max_memory=None).run({"X": X})


@pytest.mark.parametrize("value", [5, np.int8(5), np.array(5)])
def test_as_integer_returns_an_int(value: Any) -> None:
    assert type(as_integer(value, "n")) is int


# ---- What is no array ----

NO_ARRAYS: dict[str, Any] = {
    "ragged": [[[1.0, 2.0, 3.0]], [[1.0, 2.0]]],
    "ragged in depth": [[[1.0, [2.0], 3.0]]],
    "none": None,
    "none inside": [[[1.0, None, 2.0]]],
    "text": "abc",
    "texts": [[["a", "b", "c"]]],
    "bytes": b"abc",
    "objects": np.array([[[1.0, None, "a"]]], object),
    "dict": {"a": 1},
    "dicts": [[[{}, {}, {}]]],
    "complex": np.ones((1, 1, 3), np.complex64),
    "complex numbers": [[[1j, 2j, 3j]]],
    "dates": np.zeros((1, 1, 3), "datetime64[s]"),
    "spans": np.zeros((1, 1, 3), "timedelta64[s]"),
    "structured": np.zeros((1, 1, 3), [("a", np.float32)]),
    "unicode": np.array([[["a", "b", "c"]]]),
    "void": np.zeros((1, 1, 3), "V4"),
    "a function": len,
    "a set": {1.0, 2.0},
    "a range of objects": [[[object(), object(), object()]]],
}


def given_to(how: str, value: Any) -> Any:
    if how == "call":
        return MODEL(value)
    if how == "run":
        return MODEL.run({"X": value})
    if how == "step":
        return MODEL.stream().step(value)
    if how == "second step":
        stream = MODEL.stream()
        stream.step(X[:1])
        return stream.step(value)
    if how == "pool":
        pool = MODEL.pool(capacity=2)
        return pool.step([pool.open()], value)
    return lstm_rt.load(DATA, freeze={"X": value})


@pytest.mark.parametrize("how", ["call", "run", "step", "second step", "pool", "freeze"])
@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_what_is_no_array_is_refused(kind: str, how: str) -> None:
    with pytest.raises(lstm_rt.Error):
        given_to(how, NO_ARRAYS[kind])


@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_a_stream_goes_on_after_what_it_refused(kind: str) -> None:
    stream, other = MODEL.stream(), MODEL.stream()
    first = stream.step(X[:1]).copy()
    with pytest.raises(lstm_rt.Error):
        stream.step(NO_ARRAYS[kind])
    assert_same_bytes(first, other.step(X[:1]))
    assert_same_bytes(stream.step(X[1:]), other.step(X[1:]))


@pytest.mark.parametrize("ids", [[1.5], ["a"], [None], [[0]], "0", None, 3, [True, 2.0]])
def test_ids_that_are_none_are_refused(ids: Any) -> None:
    pool = MODEL.pool(capacity=2)
    pool.open()
    with pytest.raises(lstm_rt.Error):
        pool.step(ids, X[:1])


# ---- Shapes ----


@pytest.mark.parametrize(
    "dims", [(1.5, 1, 3), ("2", 1, 3), (True, 1, 3), (2**70, 1, 3), (-1, 1, 3), (1j, 1, 3), ([1], 1, 3)]
)
def test_dims_that_are_no_integers_are_refused(dims: Any) -> None:
    with pytest.raises(lstm_rt.ShapeError, match="is no shape"):
        lstm_rt.load(DATA, shapes={"X": dims})
    with pytest.raises(lstm_rt.ShapeError, match="is no shape"):
        MODEL.calls({"X": dims})


@pytest.mark.parametrize("dims", ["abc", b"abc", 5, None, 1.5])
def test_what_is_no_sequence_is_no_shape(dims: Any) -> None:
    with pytest.raises(lstm_rt.ShapeError, match="is no shape"):
        lstm_rt.load(DATA, shapes={"X": dims})


def test_shapes_may_be_lists_of_numpy_integers() -> None:
    assert lstm_rt.load(DATA, shapes={"X": [np.int64(4), None, 3]}).inputs[0].shape == (4, None, 3)


def test_a_shape_of_more_elements_than_an_array_has_is_refused() -> None:
    with pytest.raises(lstm_rt.ShapeError, match="too large"):
        MODEL.calls({"X": (2**62, 2**62, 3)})
