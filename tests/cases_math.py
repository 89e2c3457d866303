"""Cases of elementwise functions, comparisons, reductions, softmax and norms; cases.py collects them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
from case import EPSILON, Case, floats, i64, integers
from models import Array

FLOAT = np.float32
NUMBERS = (np.float32, np.int64, np.int32, np.uint8, np.int8)
INTEGERS = NUMBERS[1:]
SHAPES = ((1,), (15,), (16,), (33,), (2, 3, 17), ())

each: Callable[[Callable[[float], float]], Any] = lambda f: np.vectorize(f, otypes=[np.float64])  # noqa: E731
erf, erfc = each(math.erf), each(math.erfc)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def elu(x: Array, alpha: float) -> Array:
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


# Of float64: the function, its domain, attributes, and units in the last place it may be off.
FUNCTIONS: dict[str, tuple[Callable[[Array], Array], tuple[float, float], dict[str, Any], float]] = {
    "Abs": (np.abs, (-9, 9), {}, 0),
    "Acos": (np.arccos, (-1, 1), {}, 4),
    "Acosh": (np.arccosh, (1, 100), {}, 8),
    "Asin": (np.arcsin, (-1, 1), {}, 4),
    "Asinh": (np.arcsinh, (-100, 100), {}, 8),
    "Atan": (np.arctan, (-9, 9), {}, 4),
    "Atanh": (np.arctanh, (-0.99, 0.99), {}, 8),
    "Ceil": (np.ceil, (-9, 9), {}, 0),
    "Celu": (lambda x: np.where(x >= 0, x, 0.7 * np.expm1(np.minimum(x, 0) / 0.7)), (-9, 9), {"alpha": 0.7}, 8),
    "Cosh": (np.cosh, (-9, 9), {}, 8),
    "Elu": (lambda x: elu(x, 0.7), (-9, 9), {"alpha": 0.7}, 4),
    "Erf": (erf, (-5, 5), {}, 4),
    "Exp": (np.exp, (-9, 9), {}, 4),
    "Floor": (np.floor, (-9, 9), {}, 0),
    "HardSwish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), (-2.5, 9), {}, 8),
    "LeakyRelu": (lambda x: np.where(x >= 0, x, 0.3 * x), (-9, 9), {"alpha": 0.3}, 2),
    "Log": (np.log, (0.01, 9), {}, 4),
    "Mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), (-9, 9), {}, 8),
    "Neg": (np.negative, (-9, 9), {}, 0),
    "Reciprocal": (lambda x: 1 / x, (0.01, 9), {}, 1),
    "Round": (np.round, (-9, 9), {}, 0),
    "Selu": (lambda x: 1.0507010 * elu(x, 1.6732632), (-9, 9), {}, 8),
    "Shrink": (
        lambda x: np.where(x < -1.5, x + 0.25, np.where(x > 1.5, x - 0.25, 0)),
        (-9, 9),
        {"bias": 0.25, "lambd": 1.5},
        1,
    ),
    "Sign": (np.sign, (-9, 9), {}, 0),
    "Sinh": (np.sinh, (-9, 9), {}, 8),
    "Softplus": (lambda x: np.log1p(np.exp(x)), (-9, 9), {}, 4),
    "Softsign": (lambda x: x / (1 + np.abs(x)), (-9, 9), {}, 4),
    "Swish": (lambda x: x * sigmoid(1.5 * x), (-9, 9), {"alpha": 1.5}, 30),
    "ThresholdedRelu": (lambda x: np.where(x > 1.25, x, 0), (-9, 9), {"alpha": 1.25}, 0),
}
# Those with zeros inside their domain are bounded there by one unit of 1.
TURNS = {"Cos": np.cos, "Sin": np.sin, "Tan": np.tan}

# Whatever onnxruntime has not, or does only to less than float32's accuracy.
NOT_IN_ONNXRUNTIME = {"Swish"}
NEWEST = {"Gelu": 20, "Mish": 18, "Swish": 24, "HardSwish": 14, "RMSNormalization": 23, "GroupNormalization": 21}


def spread(seed: int, low: float, high: float, *shape: int) -> Array:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(FLOAT)


def function_case(op: str, x: Array, exact: Array, bound: Any, name: str, **options: Any) -> Case:
    given = {"opset": NEWEST.get(op, 17), "onnxruntime": op not in NOT_IN_ONNXRUNTIME, **options}
    return Case(f"{op}-{name}", op, {"x": x}, [exact.astype(FLOAT)], tolerance=bound, **given)


def functions() -> Iterator[Case]:
    for op, (function, (low, high), attributes, units) in FUNCTIONS.items():
        for shape in SHAPES:
            x = spread(3, low, high, *shape)
            exact = np.asarray(function(x.astype(np.float64)))
            bound = 0.0 if units == 0 else units * 2 * EPSILON * np.abs(exact) + 3e-7
            yield function_case(op, x, exact, bound, str(shape), attributes=attributes)
    for op, turn in TURNS.items():
        for shape, scale in itertools.product(SHAPES, (1.0, 8.0)):
            x = spread(4, -scale, scale, *shape)
            exact = np.asarray(turn(x.astype(np.float64)))
            yield function_case(op, x, exact, 2e-6 * (1 + np.abs(exact) ** 2), f"{shape}-{scale}")
    for shape in SHAPES:
        x = spread(5, -6, 6, *shape)
        wide = x.astype(np.float64)
        normal = wide * erfc(-wide / math.sqrt(2)) / 2
        tanh = wide * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3))) / 2
        yield function_case("Gelu", x, normal, 2e-6, str(shape))
        yield function_case("Gelu", x, tanh, 2e-6, f"tanh-{shape}", attributes={"approximate": "tanh"})
    ties = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999, 8388609.0, -1e30], FLOAT)
    for op, whole in (("Round", np.round), ("Floor", np.floor), ("Ceil", np.ceil)):
        yield function_case(op, ties, whole(ties), 0.0, "ties")
    for op, of in (("Abs", np.abs), ("Neg", np.negative), ("Sign", np.sign), ("Relu", lambda x: np.maximum(x, x * 0))):
        for dtype in INTEGERS:
            n = integers(1, dtype, 3, 17)
            known = not (op == "Relu" and dtype in (np.uint8, np.int64)) and not (op == "Neg" and dtype == np.uint8)
            if op != "Neg" or dtype != np.uint8:
                yield Case(f"{op}-{np.dtype(dtype)}", op, {"x": n}, [of(n)], onnxruntime=known and op != "Relu")


def arithmetic() -> Iterator[Case]:
    for op, of in (("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.floor_divide)):
        for dtype in (np.uint8, np.int8):
            a, b = integers(0, dtype, 3, 17), integers(1, dtype, 17)
            b[b == 0] = 7
            quotient = np.trunc(a.astype(np.float64) / b).astype(dtype)
            result = quotient if op == "Div" else of(a, b)
            yield Case(f"{op}-{np.dtype(dtype)}", op, {"a": a, "b": b}, [result], onnxruntime=dtype == np.uint8)
    folds: tuple[tuple[str, Any], ...] = (("Min", np.minimum), ("Max", np.maximum))
    for (op, of), dtype in itertools.product(folds, NUMBERS):
        a, b, c = (integers(s, dtype, *shape) for s, shape in ((0, (3, 17)), (1, (17,)), (2, (2, 1, 1))))
        name = f"{op}-{np.dtype(dtype)}"
        yield Case(name, op, {"a": a, "b": b, "c": c}, [of(of(a, b), c)])
        yield Case(name + "-one", op, {"a": a}, [a])
        yield Case(name + "-weight", op, {"a": a}, [of(a, b)], {"b": b})
    a, b, c = floats(0, 3, 17), floats(1, 17), floats(2, 2, 1, 1)
    total = a.astype(np.float64) + b + c
    yield Case("Sum", "Sum", {"a": a, "b": b, "c": c}, [total.astype(FLOAT)], tolerance=1e-6)
    yield Case("Mean", "Mean", {"a": a, "b": b, "c": c}, [(total / 3).astype(FLOAT)], tolerance=1e-6)
    for dtype in INTEGERS:
        m, n = integers(0, dtype, 3, 17), integers(1, dtype, 17)
        n[n == 0] = 7
        yield Case(f"Mod-{np.dtype(dtype)}", "Mod", {"a": m, "b": n}, [np.mod(m, n)])
        truncated = np.fmod(m, n)
        yield Case(f"Mod-fmod-{np.dtype(dtype)}", "Mod", {"a": m, "b": n}, [truncated], attributes={"fmod": 1})
    a, b = floats(0, 3, 17) * FLOAT(9), floats(1, 17)
    yield Case("Mod-float32", "Mod", {"a": a, "b": b}, [np.fmod(a, b)], attributes={"fmod": 1})
    for shape in ((), (1,), (17,), (3, 1), (3, 17)):
        x, slope = floats(0, 2, 3, 17), floats(1, *shape)
        expected = np.where(x >= 0, x, x * slope)
        yield Case(f"PRelu-{shape}", "PRelu", {"x": x, "slope": slope}, [expected])
        yield Case(f"PRelu-weight-{shape}", "PRelu", {"x": x}, [expected], {"slope": slope})


def logic() -> Iterator[Case]:
    orders: dict[str, Any] = {
        "Greater": np.greater,
        "GreaterOrEqual": np.greater_equal,
        "Less": np.less,
        "LessOrEqual": np.less_equal,
    }
    for (op, of), dtype in itertools.product(orders.items(), NUMBERS):
        a, b = (integers(s, dtype, *shape) % 4 for s, shape in ((0, (3, 17)), (1, (17,))))
        a, b = a.astype(dtype), b.astype(dtype)
        yield Case(f"{op}-{np.dtype(dtype)}", op, {"a": a, "b": b}, [of(a, b)], onnxruntime=dtype != np.int8)
    broken, zeros = np.array([np.nan, 0, np.inf], FLOAT), np.zeros(3, FLOAT)
    for op, of in orders.items():
        yield Case(f"{op}-nan", op, {"a": broken, "b": zeros}, [of(broken, zeros)])
    p, q = integers(0, np.int64, 3, 17) % 2 == 0, integers(1, np.int64, 17) % 2 == 0
    bits: dict[str, Any] = {"And": np.bitwise_and, "Or": np.bitwise_or, "Xor": np.bitwise_xor}
    for op, of in bits.items():
        yield Case(op, op, {"a": p, "b": q}, [of(p, q)])
        for dtype in INTEGERS:
            a, b = integers(0, dtype, 3, 17), integers(1, dtype, 17)
            yield Case(f"Bitwise{op}-{np.dtype(dtype)}", f"Bitwise{op}", {"a": a, "b": b}, [of(a, b)], opset=18)
    for dtype in INTEGERS:
        a = integers(0, dtype, 17)
        yield Case(f"BitwiseNot-{np.dtype(dtype)}", "BitwiseNot", {"a": a}, [~a], opset=18)
    a, b = np.arange(0, 250, 10, dtype=np.uint8), (np.arange(25) % 8).astype(np.uint8)
    yield Case("BitShift-left", "BitShift", {"a": a, "b": b}, [a << b], attributes={"direction": "LEFT"})
    yield Case("BitShift-right", "BitShift", {"a": a, "b": b}, [a >> b], attributes={"direction": "RIGHT"})
    x = np.array([1, np.nan, np.inf, -np.inf, 0, -3e38], FLOAT)
    yield Case("IsNaN", "IsNaN", {"x": x}, [np.isnan(x)])
    for low, high in itertools.product((0, 1), (0, 1)):
        expected = (np.isneginf(x) & bool(low)) | (np.isposinf(x) & bool(high))
        attributes = {"detect_negative": low, "detect_positive": high}
        yield Case(f"IsInf-{low}{high}", "IsInf", {"x": x}, [expected], attributes=attributes)
    for dtype in (*NUMBERS, np.bool_):
        a, b = integers(0, np.int64, 3, 17).astype(dtype), integers(1, np.int64, 17).astype(dtype)
        name = f"Where-{np.dtype(dtype)}"
        known = dtype in (np.float32, np.int64, np.uint8)
        yield Case(name, "Where", {"c": p, "a": a, "b": b}, [np.where(p, a, b)], onnxruntime=known)
        column = p[:, :1]
        yield Case(
            name + "-column",
            "Where",
            {"c": column},
            [np.where(column, a, b)],
            {"a": a, "b": b},
            None,
            {},
            17,
            0.0,
            known,
        )


REDUCTIONS: dict[str, tuple[Callable[..., Array], float]] = {
    "ReduceSum": (np.sum, 4),
    "ReduceProd": (np.prod, 4),
    "ReduceMax": (np.max, 0),
    "ReduceMin": (np.min, 0),
    "ReduceL1": (lambda x, **k: np.abs(x).sum(**k), 4),
    "ReduceL2": (lambda x, **k: np.sqrt((x * x).sum(**k)), 4),
    "ReduceSumSquare": (lambda x, **k: (x * x).sum(**k), 4),
    "ReduceLogSum": (lambda x, **k: np.log(x.sum(**k)), 4),
    "ReduceLogSumExp": (lambda x, **k: np.log(np.exp(x).sum(**k)), 4),
}


def reductions() -> Iterator[Case]:
    shapes = ((2, 3, 17), (4, 1, 33), (100,), (3, 40, 2), (17, 2, 3, 16))
    for (op, (of, units)), shape in itertools.product(REDUCTIONS.items(), shapes):
        low = 0.5 if op in ("ReduceLogSum", "ReduceProd") else -2
        high = 1.5 if op == "ReduceProd" else 2
        x = spread(1, low, high, *shape)
        rank = len(shape)
        choices = [None, (0,), (-1,), *([(0, 2), (1, 2), (-2, 0), (1,)] if rank > 2 else [])]
        choices += [(0, 2, 3), (1, 3)] if rank > 3 else []
        for axes, keep in itertools.product(choices, (0, 1)):
            exact = np.asarray(of(x.astype(np.float64), axis=axes, keepdims=bool(keep)))
            terms = x.size / max(exact.size, 1)
            bound = units * terms * EPSILON * (np.abs(exact) + 1)
            name, attributes = f"{op}-{shape}-{axes}-{keep}", {"keepdims": keep}
            weights = {} if axes is None else {"axes": i64(*axes)}
            yield Case(name, op, {"x": x}, [exact.astype(FLOAT)], weights, None, attributes, 18, bound)
            if axes is not None:
                old = {**attributes, "axes": list(axes)}
                yield Case(name + "-11", op, {"x": x}, [exact.astype(FLOAT)], {}, None, old, 11, bound)


def other_reductions() -> Iterator[Case]:
    exact: dict[str, Any] = {
        "ReduceSum": np.sum,
        "ReduceProd": np.prod,
        "ReduceMax": np.max,
        "ReduceMin": np.min,
        "ReduceL1": lambda x, **k: np.abs(x).sum(**k),
        "ReduceSumSquare": lambda x, **k: (x * x).sum(**k),
        "ReduceMean": lambda x, **k: np.trunc(x.sum(**k) / (x.size / x.sum(**k).size)),
    }
    for (op, of), dtype in itertools.product(exact.items(), (np.int64, np.int32)):
        x = (integers(1, dtype, 2, 3, 5) % 7).astype(dtype)
        for axes in ((0,), (1,), (2,), (0, 2), (0, 1, 2)):
            expected = np.asarray(of(x, axis=axes, keepdims=True)).astype(dtype)
            weights = {"axes": i64(*axes)}
            name = f"{op}-{np.dtype(dtype)}-{axes}"
            known = op in ("ReduceSum", "ReduceMax", "ReduceMin")
            yield Case(name, op, {"x": x}, [expected], weights, None, {}, 18, 0.0, known)
    for op, of in (("ReduceMax", np.max), ("ReduceMin", np.min)):
        for small in (np.uint8, np.int8):
            n = integers(1, small, 3, 17)
            yield Case(
                f"{op}-{np.dtype(small)}", op, {"x": n}, [of(n, axis=1)], {"a": i64(1)}, None, {"keepdims": 0}, 18
            )
        p = integers(1, np.int64, 3, 4) % 3 == 0
        yield Case(f"{op}-bool", op, {"x": p}, [of(p, axis=1)], {"a": i64(1)}, None, {"keepdims": 0}, 20)
    empty = np.zeros((2, 0, 4), FLOAT)
    for op, value in (("ReduceSum", 0.0), ("ReduceProd", 1.0)):
        yield Case(f"{op}-empty", op, {"x": empty}, [np.full((2, 1, 4), value, FLOAT)], {"axes": i64(1)}, None, {}, 20)
    x = spread(1, 0.5, 2, 2, 17)
    itself: dict[str, Any] = {
        "ReduceSumSquare": np.square,
        "ReduceLogSum": np.log,
        "ReduceL1": np.abs,
        "ReduceSum": lambda x: x,
    }
    for op, of in itself.items():
        result = [of(x.astype(np.float64)).astype(FLOAT)]
        options = {"noop_with_empty_axes": 1}
        yield Case(f"{op}-noop", op, {"x": x}, result, {}, None, options, 18, 1e-6, op == "ReduceSum")
    large = np.array([[1000, 1001, -1000], [-np.inf, -np.inf, 0]], FLOAT)
    sums = np.array([1001 + np.log1p(np.exp(-1.0)), 0.0], FLOAT)
    yield Case(
        "ReduceLogSumExp-large", "ReduceLogSumExp", {"x": large}, [sums], {"a": i64(1)}, None, {"keepdims": 0}, 18, 2e-4
    )


def softmaxes() -> Iterator[Case]:
    for shape in ((2, 3, 17), (4, 1, 33), (100,), (3, 40, 2), (2, 3, 4, 16)):
        x = floats(1, *shape) * FLOAT(4)
        wide = x.astype(np.float64)
        for axis in range(-len(shape), len(shape)):
            log = wide - np.log(np.exp(wide).sum(axis=axis, keepdims=True))
            name, attributes = f"{shape}-{axis}", {"axis": axis}
            soft, most = np.exp(log).astype(FLOAT), np.argmax(x, axis)
            yield Case(f"Softmax-{name}", "Softmax", {"x": x}, [soft], {}, None, attributes, 17, 2e-7)
            yield Case(
                f"LogSoftmax-{name}", "LogSoftmax", {"x": x}, [log.astype(FLOAT)], {}, None, attributes, 17, 3e-6
            )
            hard = np.zeros(shape, FLOAT)
            np.put_along_axis(hard, np.expand_dims(most, axis), FLOAT(1), axis)
            yield Case(f"Hardmax-{name}", "Hardmax", {"x": x}, [hard], {}, None, attributes)
            if axis >= 0:
                flat = wide.reshape(int(np.prod(shape[:axis])), -1)
                flat_log = flat - np.log(np.exp(flat).sum(axis=1, keepdims=True))
                expected = [np.exp(flat_log).reshape(shape).astype(FLOAT)]
                yield Case(f"Softmax-{name}-11", "Softmax", {"x": x}, expected, {}, None, attributes, 11, 2e-7)


def norms() -> Iterator[Case]:
    def normal(x: Array, axes: Any, epsilon: float = 1e-5) -> Array:
        wide = x.astype(np.float64)
        centred = wide - wide.mean(axis=axes, keepdims=True)
        return np.asarray(centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + epsilon))

    for shape, axis in (((2, 3, 17), -1), ((2, 3, 17), 1), ((4, 64), -1), ((2, 3, 4, 5), 2), ((1, 100), 0)):
        x = floats(1, *shape)
        row = shape[axis:]
        scale, bias = floats(2, *row), floats(3, *row)
        axes = tuple(range(len(shape) + axis if axis < 0 else axis, len(shape)))
        y = normal(x, axes) * scale + bias
        attributes = {"axis": axis}
        weights = {"scale": scale, "bias": bias}
        name = f"LayerNormalization-{shape}-{axis}"
        yield Case(name, "LayerNormalization", {"x": x}, [y.astype(FLOAT)], weights, None, attributes, 17, 3e-6)
        no_bias = (normal(x, axes) * scale).astype(FLOAT)
        yield Case(
            name + "-scale", "LayerNormalization", {"x": x, "s": scale}, [no_bias], {}, None, attributes, 17, 3e-6
        )
        mean = x.astype(np.float64).mean(axis=axes, keepdims=True)
        inverse = 1 / np.sqrt(x.astype(np.float64).var(axis=axes, keepdims=True) + 1e-5)
        three = [a.astype(FLOAT) for a in (y, mean, inverse)]
        yield Case(name + "-all", "LayerNormalization", {"x": x}, three, weights, None, attributes, 17, 3e-6)
        root = np.sqrt((x.astype(np.float64) ** 2).mean(axis=axes, keepdims=True) + 1e-5)
        rms = [(x / root * scale).astype(FLOAT)]
        name = f"RMSNormalization-{shape}-{axis}"
        yield Case(name, "RMSNormalization", {"x": x}, rms, {"s": scale}, None, attributes, 23, 3e-6)
    for shape, groups in (((2, 6, 17), 3), ((1, 4, 5, 3), 2), ((3, 8), 2), ((2, 6, 4), 1), ((2, 4, 33), 4)):
        x, (scale, bias) = floats(1, *shape), (floats(s, shape[1]) for s in (2, 3))
        grouped = normal(x.reshape(shape[0], groups, -1), 2).reshape(shape)
        spread_out = (slice(None), *(None,) * (len(shape) - 2))
        y = (grouped * scale[spread_out] + bias[spread_out]).astype(FLOAT)
        inputs, attributes = {"x": x}, {"num_groups": groups}
        weights = {"scale": scale, "bias": bias}
        name = f"GroupNormalization-{shape}-{groups}"
        yield Case(name, "GroupNormalization", inputs, [y], weights, None, attributes, 21, 3e-6)
        if groups == shape[1]:
            yield Case(
                f"InstanceNormalization-{shape}", "InstanceNormalization", inputs, [y], weights, None, {}, 17, 3e-6
            )
        mean, variance = floats(4, shape[1]), np.abs(floats(5, shape[1])) + FLOAT(0.1)
        by = scale / np.sqrt(variance.astype(np.float64) + 1e-3)
        given = {"s": scale, "b": bias, "m": mean, "v": variance}
        y = ((x - mean[spread_out].astype(np.float64)) * by[spread_out] + bias[spread_out]).astype(FLOAT)
        name, attributes = f"BatchNormalization-{shape}", {"epsilon": 1e-3}
        yield Case(name, "BatchNormalization", {"x": x}, [y], given, None, attributes, 15, 4e-6)
        yield Case(name + "-inputs", "BatchNormalization", {"x": x, **given}, [y], {}, None, attributes, 9, 4e-6)
    x = floats(1, 2, 7, 5)
    for size in (1, 3, 4):
        before, after = (size - 1) // 2, size // 2
        windows = [(x[:, max(0, c - before) : c + after + 1].astype(np.float64) ** 2).sum(axis=1) for c in range(7)]
        y = x / (1.5 + 0.2 / size * np.stack(windows, 1)) ** 0.75
        attributes = {"size": size, "alpha": 0.2, "beta": 0.75, "bias": 1.5}
        yield Case(f"LRN-{size}", "LRN", {"x": x}, [y.astype(FLOAT)], {}, None, attributes, 17, 1e-6, False)
        four = x[..., None]
        result, known = [y[..., None].astype(FLOAT)], size % 2 == 1
        yield Case(f"LRN-{size}-4d", "LRN", {"x": four}, result, {}, None, attributes, 17, 1e-6, known)


ALL: list[Case] = [
    *functions(),
    *arithmetic(),
    *logic(),
    *reductions(),
    *other_reductions(),
    *softmaxes(),
    *norms(),
]
