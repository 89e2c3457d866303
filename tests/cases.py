"""Cases of every operation that is not recurrent: inputs, attributes, and what NumPy says comes out.

test_ops.py runs them against NumPy and onnxruntime, test_isa.py on every instruction set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import cases_math
import numpy as np
import reference
from case import EPSILON, Case, floats, i64, integers
from models import Array, Feeds
from onnx import helper, numpy_helper


def product_tolerance(a: Array, b: Array, k: int) -> Array:
    """Bound on the rounding of sums of k products, of which `a @ b` are those of the magnitudes."""
    return (k + 4) * EPSILON * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)) + 1e-30


SHAPES = ((1,), (3,), (15,), (16,), (17,), (33,), (100,), (2, 3, 17), (5, 1, 33), (1000,), ())
BROADCASTS = (
    ((2, 3, 17), (17,)),
    ((17,), (2, 3, 17)),
    ((2, 3, 17), (3, 1)),
    ((2, 1, 17), (1, 5, 1)),
    ((4, 16), ()),
    ((), (4, 16)),
    ((1,), (4, 16)),
    ((3, 1, 2, 1, 5), (2, 4, 1)),
    ((0, 4), (1, 4)),
)


def elementwise() -> Iterator[Case]:
    binary = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}
    pairs = [(s, s) for s in SHAPES] + list(BROADCASTS)
    for op, function in binary.items():
        for n, (a_shape, b_shape) in enumerate(pairs):
            a, b = floats(n, *a_shape), floats(n + 1, *b_shape) + np.float32(3)
            yield Case(f"{op}-{a_shape}-{b_shape}", op, {"a": a, "b": b}, [function(a, b)])
            yield Case(f"{op}-weight-{a_shape}-{b_shape}", op, {"a": a}, [function(a, b)], {"b": b})
        for dtype in (np.int32, np.int64):
            a, b = integers(0, dtype, 3, 17), integers(1, dtype, 17)
            b[b == 0] = 7
            result = np.trunc(a / b).astype(dtype) if op == "Div" else function(a, b)
            yield Case(f"{op}-{np.dtype(dtype)}", op, {"a": a, "b": b}, [result])
    for shape in SHAPES:
        x = floats(4, *shape) * np.float32(4)
        wide = x.astype(np.float64)
        yield Case(f"Relu-{shape}", "Relu", {"x": x}, [np.maximum(x, np.float32(0))])
        root = np.sqrt(np.abs(x.astype(np.float64))).astype(np.float32)  # numpy's own is not exact on ARMv7
        yield Case(f"Sqrt-{shape}", "Sqrt", {"x": np.abs(x)}, [root])
        sigmoid = reference.sigmoid(wide)
        yield Case(f"Sigmoid-{shape}", "Sigmoid", {"x": x}, [sigmoid.astype(np.float32)], tolerance=2e-7)
        yield Case(f"Tanh-{shape}", "Tanh", {"x": x}, [np.tanh(wide).astype(np.float32)], tolerance=2e-7)
        hard = np.asarray(np.clip(np.float32(0.25) * x + np.float32(0.5), 0, 1), np.float32)
        yield Case(f"HardSigmoid-{shape}", "HardSigmoid", {"x": x}, [hard], attributes={"alpha": 0.25}, tolerance=1e-7)
        yield Case(f"Identity-{shape}", "Identity", {"x": x}, [x])
        low, high = np.array(-1.5, np.float32), np.array(2.5, np.float32)
        clipped = np.clip(x, low, high)
        yield Case(f"Clip-{shape}", "Clip", {"x": x}, [clipped], {"low": low, "high": high})
    x = floats(4, 33)
    low, high = np.array(-1, np.float32), np.array(1, np.float32)
    yield Case("Clip-low", "Clip", {"x": x}, [np.maximum(x, low)], {"low": low})
    yield Case("Clip-high", "Clip", {"x": x}, [np.minimum(x, high)], {"high": high}, order=["x", "", "high"])
    yield Case("Clip-none", "Clip", {"x": x}, [x])
    yield Case("Clip-inputs", "Clip", {"x": x, "low": low, "high": high}, [np.clip(x, -1, 1)])
    yield Case("Clip-7", "Clip", {"x": x}, [np.clip(x, -1, 1)], attributes={"min": -1.0, "max": 1.0}, opset=7)
    whole = integers(3, np.int64, 20)
    yield Case(
        "Clip-int64",
        "Clip",
        {"x": whole},
        [np.clip(whole, -5, 9)],
        {"low": np.array(-5, np.int64), "high": np.array(9, np.int64)},
    )


def powers() -> Iterator[Case]:
    x = floats(5, 3, 33)
    for exponent in (2.0, 3.0, 1.0, 0.0, -1.0, -2.0):
        expected = x.astype(np.float64) ** exponent
        tolerance = 2 * EPSILON * np.abs(expected)
        e = np.array(exponent, np.float32)
        yield Case(f"Pow-{exponent}", "Pow", {"x": x}, [expected.astype(np.float32)], {"e": e}, tolerance=tolerance)
    positive = np.abs(x) + np.float32(0.1)
    for exponent in (0.5, 1.7, -0.3):
        expected = positive.astype(np.float64) ** np.float32(exponent)
        tolerance = 2 * EPSILON * np.abs(expected)
        e = np.array(exponent, np.float32)
        yield Case(
            f"Pow-{exponent}", "Pow", {"x": positive}, [expected.astype(np.float32)], {"e": e}, tolerance=tolerance
        )
    both = positive.astype(np.float64) ** floats(6, 33)
    tolerance = 2 * EPSILON * np.abs(both)
    inputs = {"x": positive, "e": floats(6, 33)}
    yield Case("Pow-both", "Pow", inputs, [both.astype(np.float32)], tolerance=tolerance)
    n, e = integers(2, np.int64, 9), integers(3, np.int64, 9) % 5
    yield Case("Pow-int64", "Pow", {"x": n, "e": e}, [n**e])


def comparisons_and_casts() -> Iterator[Case]:
    a, b = integers(0, np.int64, 3, 17) % 4, integers(1, np.int64, 17) % 4
    for dtype in (np.int64, np.int32, np.bool_):
        first, second = a.astype(dtype), b.astype(dtype)
        yield Case(f"Equal-{np.dtype(dtype)}", "Equal", {"a": first, "b": second}, [first == second])
    f, g = floats(0, 33), floats(0, 33)
    g[::3] += 1
    yield Case("Equal-float32", "Equal", {"a": f, "b": g}, [f == g])
    flags = a.astype(np.bool_)
    yield Case("Not", "Not", {"x": flags}, [~flags])
    dtypes = (np.float32, np.int64, np.int32, np.bool_, np.uint8, np.int8)
    for source, target in itertools.product(dtypes, dtypes):
        x = np.array([0, 1, 2, 3, 100, 127], np.float64)
        if source == np.float32:
            x = x + np.array([0.0, 0.5, 0.99, 0.0, 0.25, 0.0])
        if source in (np.float32, np.int64, np.int32, np.int8) and target not in (np.uint8, np.bool_):
            x = x * np.array([1, -1, -1, 1, -1, 1])
        x = x.astype(source)
        code = helper.np_dtype_to_tensor_dtype(np.dtype(target))
        name = f"Cast-{np.dtype(source)}-{np.dtype(target)}"
        yield Case(name, "Cast", {"x": x}, [x.astype(target)], attributes={"to": code})


def products() -> Iterator[Case]:
    sizes = (1, 3, 15, 16, 17, 33, 100)
    for m, k, n in [(m, k, n) for m in (1, 2, 5, 17) for k in sizes for n in sizes if (m + k + n) % 3 == 0 or k == n]:
        a, b, c = floats(m, m, k), floats(k, k, n), floats(n, n)
        exact, tolerance = a.astype(np.float64) @ b, product_tolerance(a, b, k)
        expected = exact.astype(np.float32)
        label = f"{m}x{k}x{n}"
        yield Case(f"MatMul-{label}", "MatMul", {"a": a}, [expected], {"b": b}, tolerance=tolerance)
        summed, wider = exact + c, tolerance + 4 * EPSILON * (np.abs(exact) + np.abs(c))
        biased = summed.astype(np.float32)
        yield Case(f"Gemm-{label}", "Gemm", {"a": a}, [biased], {"b": b, "c": c}, tolerance=wider)
    for a_shape, b_shape in (
        ((2, 3, 4, 5), (5, 6)),
        ((2, 3, 4, 5), (2, 3, 5, 6)),
        ((3, 1, 4, 5), (2, 5, 6)),
        ((4, 5), (3, 5, 6)),
        ((5,), (5, 6)),
        ((2, 4, 5), (5,)),
        ((5,), (5,)),
        ((20, 33), (33, 40)),
    ):
        a, b = floats(1, *a_shape), floats(2, *b_shape)
        expected = np.asarray(np.matmul(a.astype(np.float64), b))
        bound = np.matmul(np.abs(a).astype(np.float64), np.abs(b))
        tolerance = 10 * a_shape[-1] * EPSILON * np.asarray(bound)
        name = f"MatMul-{a_shape}-{b_shape}"
        yield Case(name, "MatMul", {"a": a, "b": b}, [expected.astype(np.float32)], tolerance=tolerance)
        yield Case(name + "-weight", "MatMul", {"a": a}, [expected.astype(np.float32)], {"b": b}, tolerance=tolerance)
    for trans_a, trans_b, alpha, beta in itertools.product((0, 1), (0, 1), (1.0, 0.25), (1.0, -2.0)):
        a, b = floats(1, 7, 20), floats(2, 20, 33)
        for c_shape in ((33,), (1, 33), (7, 33), (7, 1), (1,), ()):
            c = floats(3, *c_shape)
            total = alpha * (a.astype(np.float64) @ b) + beta * c.astype(np.float64)
            tolerance = 2 * product_tolerance(a, b, 20) + 8 * EPSILON * np.abs(beta * c.astype(np.float64))
            yield Case(
                f"Gemm-{trans_a}{trans_b}-{alpha}-{beta}-{c_shape}",
                "Gemm",
                {"a": np.ascontiguousarray(a.T) if trans_a else a},
                [total.astype(np.float32)],
                {"b": np.ascontiguousarray(b.T) if trans_b else b, "c": c},
                attributes={"transA": trans_a, "transB": trans_b, "alpha": alpha, "beta": beta},
                tolerance=tolerance,
            )
    a, b, c = floats(1, 7, 20), floats(2, 20, 33), floats(3, 33)
    expected = (a.astype(np.float64) @ b + c).astype(np.float32)
    yield Case("Gemm-inputs", "Gemm", {"a": a, "b": b, "c": c}, [expected], tolerance=1e-5)
    plain = (a.astype(np.float64) @ b).astype(np.float32)
    yield Case("Gemm-no-c", "Gemm", {"a": a}, [plain], {"b": b}, tolerance=1e-5)


def convolutions() -> Iterator[Case]:
    def case(name: str, x_shape: Sequence[int], w_shape: Sequence[int], bias: bool = True, **attributes: Any) -> Case:
        x, w, b = floats(1, *x_shape), floats(2, *w_shape), floats(3, w_shape[0]) if bias else None
        expected = reference.conv(x, w, b, **attributes)
        bound = reference.conv(np.abs(x), np.abs(w), None if b is None else np.abs(b), **attributes)
        terms = int(np.prod(w_shape[1:])) + 4
        weights = {"w": w} if b is None else {"w": w, "b": b}
        result = expected.astype(np.float32)
        tolerance = terms * EPSILON * bound + 1e-30
        return Case(f"Conv-{name}", "Conv", {"x": x}, [result], weights, attributes=attributes, tolerance=tolerance)

    for channels, filters, length, kernel in itertools.product((1, 3, 16, 33), (1, 16, 17, 40), (1, 9, 32), (1, 3)):
        pads = [kernel // 2, kernel // 2]
        name = f"1d-{channels}-{filters}-{length}-{kernel}"
        yield case(name, (1, channels, length), (filters, channels, kernel), pads=pads)
    yield case("batch", (3, 5, 20), (7, 5, 3))
    yield case("no-bias", (2, 5, 20), (7, 5, 3), bias=False)
    yield case("stride", (2, 5, 20), (7, 5, 3), strides=[2], pads=[1, 1])
    yield case("stride-3", (2, 5, 20), (7, 5, 4), strides=[3], pads=[0, 2])
    yield case("dilation", (2, 5, 20), (7, 5, 3), dilations=[3], pads=[3, 2])
    yield case("group", (2, 6, 20), (9, 2, 3), group=3)
    yield case("depthwise", (2, 20, 20), (20, 1, 3), group=20, pads=[1, 1])
    yield case("depthwise-multiplier", (1, 5, 11), (10, 1, 3), group=5)
    yield case("stft", (1, 1, 640), (34, 1, 256), bias=False, strides=[128])
    yield case("2d", (2, 3, 9, 8), (5, 3, 3, 2))
    yield case("2d-all", (1, 4, 12, 11), (6, 2, 3, 2), group=2, strides=[2, 1], dilations=[1, 2], pads=[1, 0, 2, 1])
    yield case("2d-depthwise", (1, 17, 8, 9), (17, 1, 3, 3), group=17, pads=[1, 1, 1, 1])


def auto_pads() -> Iterator[Case]:
    for mode, length, stride in itertools.product(("SAME_UPPER", "SAME_LOWER", "VALID"), (10, 11), (1, 2)):
        x, w = floats(1, 1, 3, length), floats(2, 4, 3, 4)
        size = -(-length // stride) if mode != "VALID" else (length - 4) // stride + 1
        total = max(0, (size - 1) * stride + 4 - length) if mode != "VALID" else 0
        before = (total + 1) // 2 if mode == "SAME_LOWER" else total // 2
        expected = reference.conv(x, w, pads=[before, total - before], strides=[stride]).astype(np.float32)
        attributes = {"auto_pad": mode, "strides": [stride], "kernel_shape": [4]}
        name = f"Conv-{mode}-{length}-{stride}"
        yield Case(name, "Conv", {"x": x}, [expected], {"w": w}, attributes=attributes, tolerance=1e-5)


def pads() -> Iterator[Case]:
    x = floats(1, 2, 3, 7)
    for mode, widths in itertools.product(
        ("constant", "reflect", "edge"), ([0, 0, 2, 0, 0, 3], [0, 1, 0, 0, 2, 4], [1, 0, 0, 1, 0, 0])
    ):
        pairs = [(widths[a], widths[3 + a]) for a in range(3)]
        options: dict[str, Any] = {"constant_values": 1.5} if mode == "constant" else {}
        expected = np.pad(x, pairs, mode=mode, **options)  # type: ignore[call-overload]
        weights: Feeds = {"pads": i64(*widths)}
        if mode == "constant":
            weights["value"] = np.array(1.5, np.float32)
        name = f"Pad-{mode}-{widths}"
        yield Case(name, "Pad", {"x": x}, [expected], weights, attributes={"mode": mode})
        yield Case(name + "-input", "Pad", {"x": x, **weights}, [expected], attributes={"mode": mode})
        old: dict[str, Any] = {"mode": mode, "pads": widths}
        if mode == "constant":
            old["value"] = 1.5
        yield Case(name + "-7", "Pad", {"x": x}, [expected], attributes=old, opset=7)
    plain = np.pad(x, [(0, 0), (0, 0), (1, 2)])
    axes = {"pads": i64(1, 2), "axes": i64(-1)}
    yield Case("Pad-axes", "Pad", {"x": x}, [plain], axes, order=["x", "pads", "", "axes"], opset=18)
    yield Case("Pad-negative", "Pad", {"x": x}, [x[:, :, 1:-2]], {"pads": i64(0, 0, -1, 0, 0, -2)})
    n = integers(1, np.int64, 5)
    yield Case("Pad-int64", "Pad", {"x": n}, [np.pad(n, (2, 1))], {"pads": i64(2, 1)})


def reductions() -> Iterator[Case]:
    for shape in ((2, 3, 17), (4, 1, 33), (100,), (3, 1000)):
        x = floats(1, *shape)
        rank = len(shape)
        choices: list[tuple[int, ...] | None] = [None, (0,), (-1,), (rank - 1,)]
        if rank > 2:
            choices += [(0, 2), (1, 2), (-2, 0), (1,)]
        for axes, keep in itertools.product(choices, (0, 1)):
            expected = np.asarray(x.astype(np.float64).mean(axis=axes, keepdims=bool(keep)))
            attributes: dict[str, Any] = {"keepdims": keep}
            name = f"ReduceMean-{shape}-{axes}-{keep}"
            result = [expected.astype(np.float32)]
            weights = {} if axes is None else {"axes": i64(*axes)}
            yield Case(name, "ReduceMean", {"x": x}, result, weights, None, attributes, 18, 1e-6)
            if axes is not None:
                attributes = {**attributes, "axes": list(axes)}
            yield Case(name + "-13", "ReduceMean", {"x": x}, result, {}, None, attributes, 13, 1e-6)


def slices() -> Iterator[Case]:
    x = floats(1, 4, 5, 33)
    big = np.iinfo(np.int64).max
    for name, starts, ends, axes, steps in (
        ("plain", [1, 0], [3, 2], [0, 1], [1, 1]),
        ("last", [0], [129], [2], [1]),
        ("from-back", [-3], [big], [-1], [1]),
        ("step", [1], [30], [2], [3]),
        ("backwards", [-1], [-big - 1], [0], [-1]),
        ("backwards-step", [30], [2], [2], [-4]),
        ("empty", [3], [3], [1], [1]),
        ("past-end", [2], [100], [1], [1]),
        ("before-start", [-100], [2], [1], [1]),
        ("unsorted", [2, 1], [20, 3], [2, 0], [2, 1]),
    ):
        index: list[slice] = [slice(None)] * 3
        for s, e, a, step in zip(starts, ends, axes, steps):
            stop: int | None = None if e < -(2**31) and step < 0 else e
            index[a] = slice(s, stop, step)
        expected = x[tuple(index)]
        given = {"starts": i64(*starts), "ends": i64(*ends), "axes": i64(*axes), "steps": i64(*steps)}
        yield Case(f"Slice-{name}", "Slice", {"x": x}, [expected], given)
        yield Case(f"Slice-{name}-inputs", "Slice", {"x": x, **given}, [expected])
    old = {"starts": [1, -2], "ends": [3, 2**31 - 1], "axes": [0, 2]}
    yield Case("Slice-1", "Slice", {"x": x}, [x[1:3, :, -2:]], attributes=old, opset=9)
    thirty_two = {"starts": np.array([1], np.int32), "ends": np.array([3], np.int32)}
    yield Case("Slice-int32", "Slice", {"x": x}, [x[1:3]], thirty_two)
    n = integers(1, np.int64, 6)
    yield Case("Slice-int64", "Slice", {"x": n}, [n[1:5:2]], {"s": i64(1), "e": i64(5), "a": i64(0), "p": i64(2)})


def splits_and_joins() -> Iterator[Case]:
    x = floats(1, 4, 6, 33)
    for axis in (0, 1, 2, -1, -2):
        parts = [floats(n, *(n + 1 if a == axis % 3 else d for a, d in enumerate((4, 6, 33)))) for n in range(3)]
        joined = np.concatenate(parts, axis)
        inputs = {f"p{n}": p for n, p in enumerate(parts)}
        yield Case(f"Concat-{axis}", "Concat", inputs, [joined], attributes={"axis": axis})
        mixed, weights = {"p0": parts[0], "p2": parts[2]}, {"p1": parts[1]}
        order = ["p0", "p1", "p2"]
        yield Case(f"Concat-weight-{axis}", "Concat", mixed, [joined], weights, order, {"axis": axis})
    n = [integers(s, np.int64, 3) for s in (1, 2)]
    yield Case("Concat-int64", "Concat", {"a": n[0], "b": n[1]}, [np.concatenate(n)], attributes={"axis": 0})
    for axis, sizes in ((0, (1, 3)), (1, (2, 2, 2)), (2, (1, 0, 32)), (-1, (30, 3))):
        expected = [np.ascontiguousarray(p) for p in np.split(x, np.cumsum(sizes)[:-1], axis)]
        name = f"Split-{axis}-{sizes}"
        yield Case(name, "Split", {"x": x}, expected, {"split": i64(*sizes)}, attributes={"axis": axis}, opset=13)
        attributes = {"axis": axis, "split": list(sizes)}
        yield Case(name + "-11", "Split", {"x": x}, expected, attributes=attributes, opset=11)
    halves = [np.ascontiguousarray(p) for p in np.split(x, 3, 1)]
    yield Case("Split-equal-13", "Split", {"x": x}, halves, attributes={"axis": 1}, opset=13)
    yield Case("Split-18", "Split", {"x": x}, halves, attributes={"axis": 1, "num_outputs": 3}, opset=18)
    uneven = [np.ascontiguousarray(x[:, :, a:b]) for a, b in ((0, 9), (9, 18), (18, 27), (27, 33))]
    yield Case("Split-uneven", "Split", {"x": x}, uneven, attributes={"axis": 2, "num_outputs": 4}, opset=18)


def shapes_and_views() -> Iterator[Case]:
    x = floats(1, 2, 3, 17)
    for perm in itertools.permutations(range(3)):
        yield Case(f"Transpose-{perm}", "Transpose", {"x": x}, [x.transpose(perm)], attributes={"perm": list(perm)})
    yield Case("Transpose-default", "Transpose", {"x": x}, [x.transpose()])
    four = floats(1, 2, 3, 4, 5)
    for perm in ((0, 2, 1, 3), (3, 1, 0, 2), (0, 3, 2, 1)):
        attributes = {"perm": list(perm)}
        yield Case(f"Transpose-{perm}", "Transpose", {"x": four}, [four.transpose(perm)], attributes=attributes)
    for wanted, allowzero in (((6, 17), 0), ((-1,), 0), ((0, 51), 0), ((0, -1, 1), 0), ((2, 1, 3, 1, 17), 1)):
        expected = x.reshape([x.shape[a] if d == 0 else d for a, d in enumerate(wanted)])
        zero = {"allowzero": allowzero} if allowzero else {}
        shape = {"shape": i64(*wanted)}
        yield Case(f"Reshape-{wanted}", "Reshape", {"x": x}, [expected], shape, attributes=zero)
        yield Case(f"Reshape-{wanted}-input", "Reshape", {"x": x, **shape}, [expected], attributes=zero)
    ones = floats(1, 1, 3, 1, 17)
    for axes in ((0,), (2,), (0, 2), (-2,), (-4, 2)):
        expected = np.squeeze(ones, axes)
        yield Case(f"Squeeze-{axes}", "Squeeze", {"x": ones}, [expected], {"axes": i64(*axes)})
        old = {"axes": list(axes)}
        yield Case(f"Squeeze-{axes}-11", "Squeeze", {"x": ones}, [expected], attributes=old, opset=11)
    yield Case("Squeeze-all", "Squeeze", {"x": ones}, [np.squeeze(ones)])
    for axes in ((0,), (3,), (1, 2), (-1,), (0, -1), (3, 0)):
        expected = np.expand_dims(x, axes)
        yield Case(f"Unsqueeze-{axes}", "Unsqueeze", {"x": x}, [expected], {"axes": i64(*axes)})
        old = {"axes": list(axes)}
        yield Case(f"Unsqueeze-{axes}-11", "Unsqueeze", {"x": x}, [expected], attributes=old, opset=11)
    yield Case("Shape", "Shape", {"x": x}, [i64(2, 3, 17)])
    yield Case("Shape-part", "Shape", {"x": x}, [i64(3)], attributes={"start": 1, "end": -1}, opset=15)
    yield Case("Size", "Size", {"x": x}, [np.array(102, np.int64)])
    for source, wanted in (((3, 1), (2, 1, 6)), ((1,), (4, 5)), ((2, 3), (3,)), ((), (2, 2)), ((2, 1, 4), (1, 3, 1))):
        a = floats(1, *source)
        expected = np.array(a * np.ones(wanted, np.float32))
        shape = {"shape": i64(*wanted)}
        yield Case(f"Expand-{source}-{wanted}", "Expand", {"x": a}, [expected], shape)
        yield Case(f"Expand-{source}-{wanted}-input", "Expand", {"x": a, **shape}, [expected])
    for value, dtype in ((0.0, np.float32), (1.5, np.float32), (7, np.int64), (1, np.bool_)):
        constant = numpy_helper.from_array(np.array([value], dtype))
        expected = np.full((2, 3), value, dtype)
        name = f"ConstantOfShape-{value}-{np.dtype(dtype)}"
        attributes = {"value": constant}
        yield Case(name, "ConstantOfShape", {"shape": i64(2, 3)}, [expected], attributes=attributes)
    zeros = np.zeros((4,), np.float32)
    yield Case("ConstantOfShape-default", "ConstantOfShape", {"shape": i64(4)}, [zeros])


def gathers() -> Iterator[Case]:
    x = floats(1, 5, 4, 17)
    for axis, dtype in itertools.product((0, 1, 2, -1), (np.int64, np.int32)):
        for indices in (np.array(2), np.array([0, -1, 3]), np.array([[1, 0], [2, 3]])):
            index = indices.astype(dtype)
            expected = np.take(x, indices, axis)
            name = f"Gather-{axis}-{np.dtype(dtype)}-{index.shape}"
            yield Case(name, "Gather", {"x": x}, [expected], {"i": index}, attributes={"axis": axis})
            yield Case(name + "-input", "Gather", {"x": x, "i": index}, [expected], attributes={"axis": axis})
    table, words = floats(2, 50, 33), np.array([[3, 49, 0], [7, 7, 1]], np.int64)
    yield Case("Gather-embedding", "Gather", {"i": words}, [table[words]], {"table": table}, ["table", "i"])


import cases_moving  # noqa: E402  (needs Case)
import cases_quantized  # noqa: E402  (needs Case)

ALL: list[Case] = [
    *elementwise(),
    *powers(),
    *comparisons_and_casts(),
    *products(),
    *convolutions(),
    *auto_pads(),
    *pads(),
    *reductions(),
    *slices(),
    *splits_and_joins(),
    *shapes_and_views(),
    *gathers(),
    *cases_moving.ALL,
    *cases_quantized.ALL,
    *cases_math.ALL,
]
