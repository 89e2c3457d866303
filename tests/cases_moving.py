"""Cases of the operations that pool, pick, scatter, sort, repeat and resize."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import models
import numpy as np
import reference_moving as reference
from cases import EPSILON, Case, floats, i64, integers
from models import Array, Feeds

EVERY_DTYPE = (np.float32, np.int64, np.int32, np.bool_, np.uint8, np.int8)
NUMBERS = tuple(dtype for dtype in EVERY_DTYPE if dtype is not np.bool_)


def of_dtype(seed: int, dtype: Any, *shape: int) -> Array:
    if dtype is np.float32:
        return floats(seed, *shape)
    return np.random.default_rng(seed).integers(0, 2 if dtype is np.bool_ else 100, shape).astype(dtype)


# ---- Pools and convolutions ----

WINDOWS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("1d", (2, 3, 33), {"kernel_shape": [3]}),
    ("1d-stride", (1, 2, 20), {"kernel_shape": [3], "strides": [2], "pads": [1, 0]}),
    ("1d-dilated", (1, 2, 20), {"kernel_shape": [3], "dilations": [4], "pads": [2, 2]}),
    ("1d-ceil", (1, 2, 20), {"kernel_shape": [4], "strides": [3], "ceil_mode": 1}),
    ("1d-ceil-pads", (1, 2, 11), {"kernel_shape": [3], "strides": [4], "pads": [1, 1], "ceil_mode": 1}),
    ("2d", (1, 17, 9, 18), {"kernel_shape": [2, 3]}),
    ("2d-same", (2, 3, 8, 7), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("2d-all", (1, 2, 13, 12), {"kernel_shape": [3, 2], "strides": [2, 3], "dilations": [2, 1], "pads": [1, 0, 2, 1]}),
    ("2d-ceil", (1, 1, 7, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("3d", (1, 2, 4, 5, 6), {"kernel_shape": [2, 2, 3], "strides": [1, 2, 1], "pads": [1, 0, 1, 0, 1, 1]}),
]


def windowed(x: Array, function: Any, options: dict[str, Any], **more: Any) -> Array:
    kept = {name: options[name] for name in ("strides", "pads", "dilations") if name in options}
    ceil = bool(options.get("ceil_mode"))
    return reference.pool(x, options["kernel_shape"], function, ceil=ceil, **kept, **more).astype(np.float32)


def pools() -> Iterator[Case]:
    for name, shape, options in WINDOWS:
        x = floats(1, *shape)
        # onnxruntime 1.23 counts windows beyond the pads otherwise, and pools no dilated window by p-norms.
        plain = "ceil_mode" not in options
        yield Case(f"MaxPool-{name}", "MaxPool", {"x": x}, [windowed(x, np.max, options)], attributes=options, opset=19)
        mean = windowed(x, np.mean, options)
        yield Case(f"AveragePool-{name}", "AveragePool", {"x": x}, [mean], attributes=options, opset=19, tolerance=1e-6)
        counted = windowed(x, np.mean, options, count_pads=True)
        with_pads = {**options, "count_include_pad": 1}
        yield Case(
            f"AveragePool-{name}-pads",
            "AveragePool",
            {"x": x},
            [counted],
            attributes=with_pads,
            opset=19,
            tolerance=1e-6,
            onnxruntime=plain,
        )
        for p in (1, 2, 3):
            norm = windowed(x, lambda v, p=p: (np.abs(v) ** p).sum() ** (1 / p), options)
            attributes = {**options, "p": p}
            yield Case(
                f"LpPool-{name}-{p}", "LpPool", {"x": x}, [norm], attributes=attributes, opset=18, tolerance=4e-6
            )
    for dtype in (np.uint8, np.int8):
        x = of_dtype(1, dtype, 1, 2, 9, 9)
        expected = windowed(x, np.max, {"kernel_shape": [3, 2]}).astype(dtype)
        yield Case(f"MaxPool-{np.dtype(dtype)}", "MaxPool", {"x": x}, [expected], attributes={"kernel_shape": [3, 2]})
    yield from pool_indices()
    for mode, op in itertools.product(("SAME_UPPER", "SAME_LOWER", "VALID"), ("MaxPool", "AveragePool")):
        x = floats(1, 1, 2, 11)
        size = 6 if mode != "VALID" else 4
        total = max(0, (size - 1) * 2 + 4 - 11) if mode != "VALID" else 0
        before = (total + 1) // 2 if mode == "SAME_LOWER" else total // 2
        options = {"kernel_shape": [4], "strides": [2], "pads": [before, total - before]}
        expected = windowed(x, np.max if op == "MaxPool" else np.mean, options)
        attributes = {"kernel_shape": [4], "strides": [2], "auto_pad": mode}
        yield Case(f"{op}-{mode}", op, {"x": x}, [expected], attributes=attributes, tolerance=1e-6)


def pool_indices() -> Iterator[Case]:
    """The indices count through the whole input; each is checked by what stands there."""
    for by_columns in (0, 1):
        x = np.random.default_rng(1).permutation(2 * 3 * 6 * 7).astype(np.float32).reshape(2, 3, 6, 7)
        options = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
        largest = windowed(x, np.max, options)
        order = x.transpose(0, 1, 3, 2) if by_columns else x
        flat = np.argsort(order.ravel()).astype(np.int64)[largest.astype(np.int64)]
        attributes = {**options, "storage_order": by_columns}
        yield Case(f"MaxPool-indices-{by_columns}", "MaxPool", {"x": x}, [largest, flat], attributes=attributes)


def global_pools() -> Iterator[Case]:
    for shape in ((2, 3, 33), (1, 5, 7, 9), (2, 1, 3, 4, 5)):
        x = floats(1, *shape)
        axes = tuple(range(2, len(shape)))
        wide = x.astype(np.float64)
        mean = wide.mean(axes, keepdims=True).astype(np.float32)
        yield Case(f"GlobalAveragePool-{shape}", "GlobalAveragePool", {"x": x}, [mean], tolerance=1e-6)
        yield Case(f"GlobalMaxPool-{shape}", "GlobalMaxPool", {"x": x}, [x.max(axes, keepdims=True)])
        for p in (1, 2, 3):
            norm = ((np.abs(wide) ** p).sum(axes, keepdims=True) ** (1 / p)).astype(np.float32)
            tolerance = 8 * EPSILON * float(norm.max())
            name = f"GlobalLpPool-{shape}-{p}"
            yield Case(name, "GlobalLpPool", {"x": x}, [norm], attributes={"p": p}, tolerance=tolerance)


def transposed_convolutions() -> Iterator[Case]:
    def case(name: str, x_shape: Sequence[int], w_shape: Sequence[int], bias: bool = True, **attributes: Any) -> Case:
        x, w = floats(1, *x_shape), floats(2, *w_shape)
        b = floats(3, w_shape[1] * attributes.get("group", 1)) if bias else None
        expected = reference.conv_transpose(x, w, b, **attributes).astype(np.float32)
        weights: Feeds = {"w": w} if b is None else {"w": w, "b": b}
        tolerance = 4e-6 * w_shape[0]
        return Case(
            f"ConvTranspose-{name}", "ConvTranspose", {"x": x}, [expected], weights, None, attributes, 17, tolerance
        )

    for channels, filters, kernel, stride in itertools.product((1, 3, 33), (1, 17), (1, 3, 4), (1, 2)):
        name = f"{channels}-{filters}-{kernel}-{stride}"
        yield case(name, (1, channels, 9), (channels, filters, kernel), strides=[stride])
    yield case("batch", (3, 5, 20), (5, 7, 3), bias=False)
    yield case("pads", (2, 5, 20), (5, 7, 4), strides=[3], pads=[1, 2], output_padding=[1])
    yield case("dilation", (1, 5, 20), (5, 7, 3), dilations=[3], pads=[2, 1])
    yield case("group", (2, 6, 11), (6, 2, 4), group=3, strides=[2], pads=[1, 1])
    yield case("depthwise", (1, 20, 11), (20, 1, 4), group=20, strides=[2])
    yield case("2d", (2, 3, 5, 6), (3, 4, 3, 2), strides=[2, 1], pads=[1, 0, 0, 1], output_padding=[1, 0])
    yield case("2d-long", (1, 4, 20, 30), (4, 3, 3, 3), strides=[2, 2], dilations=[1, 2])
    yield case("3d", (1, 2, 3, 4, 5), (2, 3, 2, 3, 2), strides=[1, 2, 1])
    x, w = floats(1, 1, 3, 7), floats(2, 3, 2, 4)
    whole = reference.conv_transpose(x, w, strides=[3]).astype(np.float32)  # 22 long
    wanted: list[tuple[str, dict[str, Any], Array]] = [
        ("output-shape", {"output_shape": [19]}, whole[:, :, 2:21]),
        ("output-shape-upper", {"output_shape": [19], "auto_pad": "SAME_UPPER"}, whole[:, :, 1:20]),
        ("same-upper", {"auto_pad": "SAME_UPPER"}, whole[:, :, 0:21]),
        ("same-lower", {"auto_pad": "SAME_LOWER"}, whole[:, :, 1:22]),
        ("valid", {"auto_pad": "VALID"}, whole),
    ]
    for name, attributes, expected in wanted:
        options = {"strides": [3], **attributes}
        yield Case(f"ConvTranspose-{name}", "ConvTranspose", {"x": x}, [expected], {"w": w}, None, options, 17, 1e-5)
    yield Case(
        "ConvTranspose-inputs", "ConvTranspose", {"x": x, "w": w}, [whole], attributes={"strides": [3]}, tolerance=1e-5
    )


def columns() -> Iterator[Case]:
    # Every block of ones counts how often each position is met.
    for name, image, block, attributes in (
        ("plain", (5, 6), (2, 3), {}),
        ("all", (7, 6), (3, 2), {"strides": [2, 1], "pads": [1, 0, 1, 2], "dilations": [1, 2]}),
    ):
        strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
        pads = attributes.get("pads", [0] * 4)
        counts = [
            (n + pads[a] + pads[2 + a] - (block[a] - 1) * dilations[a] - 1) // strides[a] + 1
            for a, n in enumerate(image)
        ]
        x = floats(1, 2, 3 * block[0] * block[1], counts[0] * counts[1])
        expected = np.zeros((2, 3, *image), np.float64)
        parts = x.reshape(2, 3, *block, *counts)
        for i, j, y, z in np.ndindex(*block, *counts):
            row, col = y * strides[0] + i * dilations[0] - pads[0], z * strides[1] + j * dilations[1] - pads[1]
            if 0 <= row < image[0] and 0 <= col < image[1]:
                expected[:, :, row, col] += parts[:, :, i, j, y, z]
        weights = {"image": i64(*image), "block": i64(*block)}
        result = [expected.astype(np.float32)]
        yield Case(f"Col2Im-{name}", "Col2Im", {"x": x}, result, weights, None, attributes, 18, 1e-5)


# ---- Indices ----


def gathers() -> Iterator[Case]:
    for axis, dtype in itertools.product((0, 1, 2, -1), EVERY_DTYPE):
        x = of_dtype(1, dtype, 4, 5, 17)
        index = np.random.default_rng(2).integers(-4, 4, (4, 3, 9)).astype(np.int64)
        part = tuple(slice(None) if a == axis % 3 else slice(0, n) for a, n in enumerate(index.shape))
        expected = np.take_along_axis(x[part], index % x.shape[axis], axis)
        name = f"GatherElements-{axis}-{np.dtype(dtype)}"
        attributes = {"axis": axis}
        yield Case(name, "GatherElements", {"x": x}, [expected], {"i": index}, attributes=attributes)
        yield Case(name + "-input", "GatherElements", {"x": x, "i": index}, [expected], attributes=attributes)
    thirty_two = np.array([[1, 0], [0, 1]], np.int32)
    x = floats(1, 2, 2)
    yield Case(
        "GatherElements-int32", "GatherElements", {"x": x}, [np.take_along_axis(x, thirty_two, 0)], {"i": thirty_two}
    )
    for batch_dims, shape, last in (
        (0, (3,), 1),
        (0, (2, 3), 2),
        (0, (2,), 3),
        (1, (2, 6), 1),
        (1, (2,), 2),
        (2, (2, 4, 3), 1),
    ):
        for dtype in (np.float32, np.int64, np.uint8):
            x = of_dtype(1, dtype, 2, 4, 5)
            index = np.random.default_rng(2).integers(-2, 2, (*shape, last)).astype(np.int64)
            expected = reference.gather_nd(x, index, batch_dims)
            attributes = {"batch_dims": batch_dims}
            name = f"GatherND-{batch_dims}-{shape}-{last}-{np.dtype(dtype)}"
            yield Case(name, "GatherND", {"x": x}, [expected], {"i": index}, attributes=attributes)
            yield Case(name + "-input", "GatherND", {"x": x, "i": index}, [expected], attributes=attributes)


UPDATES = {"none": None, "add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def scatters() -> Iterator[Case]:
    for axis, dtype in itertools.product((0, 1, -1), EVERY_DTYPE):
        x, updates = of_dtype(1, dtype, 5, 4, 6), of_dtype(2, dtype, 3, 4, 5)
        index = np.random.default_rng(3).permuted(np.tile(np.arange(5), (3, 4, 1)), axis=axis)
        index = np.argsort(np.random.default_rng(3).random((3, 4, 5)), axis=axis).astype(np.int64)
        expected = reference.scatter_elements(x, index, updates, axis)
        name = f"ScatterElements-{axis}-{np.dtype(dtype)}"
        inputs = {"x": x, "i": index, "u": updates}
        yield Case(name, "ScatterElements", inputs, [expected], attributes={"axis": axis})
    for reduction, dtype in itertools.product(UPDATES, (np.float32, np.int64, np.int32)):
        if reduction == "none":
            continue
        attributes = {"reduction": reduction}
        x, updates = of_dtype(1, dtype, 4, 6), of_dtype(2, dtype, 5, 6)
        index = np.random.default_rng(3).integers(-4, 4, (5, 6))
        expected = reference.scatter_elements(x, index, updates, 0, UPDATES[reduction])
        inputs = {"x": x, "i": index, "u": updates}
        name = f"ScatterElements-{reduction}-{np.dtype(dtype)}"
        yield Case(name, "ScatterElements", inputs, [expected], attributes=attributes, opset=18)
        blocks, tuples = of_dtype(4, dtype, 7, 6), np.random.default_rng(3).integers(-4, 4, (7, 1))
        expected = reference.scatter_nd(x, tuples, blocks, UPDATES[reduction])
        inputs = {"x": x, "i": tuples, "u": blocks}
        name = f"ScatterND-{reduction}-{np.dtype(dtype)}"
        yield Case(name, "ScatterND", inputs, [expected], attributes=attributes, opset=18)
    for dtype in EVERY_DTYPE:
        x, pairs = of_dtype(1, dtype, 4, 5, 6), np.array([[0, 1], [3, -1], [2, 0]], np.int64)
        updates = of_dtype(2, dtype, 3, 6)
        expected = reference.scatter_nd(x, pairs, updates)
        yield Case(
            f"ScatterND-{np.dtype(dtype)}",
            "ScatterND",
            {"x": x, "u": updates},
            [expected],
            {"i": pairs},
            ["x", "i", "u"],
        )


def one_hots() -> Iterator[Case]:
    index = np.array([[0, 3, -1], [9, -12, 2]], np.int64)  # two of them outside
    plain = np.where(index < 0, index + 10, index)
    for axis, dtype in itertools.product((0, 1, 2, -1), (np.float32, np.int64)):
        values = np.array([2, 5], dtype)
        hot = np.expand_dims(plain, axis) == np.arange(10).reshape([-1 if a == axis % 3 else 1 for a in range(3)])
        expected = np.where(hot, values[1], values[0])
        name = f"OneHot-{axis}-{np.dtype(dtype)}"
        weights = {"depth": np.array(10), "values": values}
        yield Case(name, "OneHot", {"i": index}, [expected], weights, attributes={"axis": axis})
    classes = np.array([1.0, 0.0, 2.0], np.float32)
    yield Case(
        "OneHot-floats",
        "OneHot",
        {"i": classes},
        [np.eye(3, dtype=np.float32)[[1, 0, 2]]],
        {"depth": np.array([3.0], np.float32), "values": np.array([0, 1], np.float32)},
    )


def selections() -> Iterator[Case]:
    x = floats(1, 4, 5, 6)
    flags = np.array([True, False, True, True])
    for axis in (0, 1, -1, None):
        expected = np.compress(flags, x, axis)
        attributes = {} if axis is None else {"axis": axis}
        yield Case(f"Compress-{axis}", "Compress", {"x": x}, [expected], {"c": flags}, attributes=attributes)
    sparse = integers(2, np.int64, 3, 4, 5) * (integers(3, np.int64, 3, 4, 5) > 20)
    found = np.array(np.nonzero(sparse), np.int64)
    yield Case("NonZero", "NonZero", {}, [found], {"x": sparse})


# ---- Order ----


def sorting() -> Iterator[Case]:
    for dtype, axis in itertools.product(NUMBERS, (0, 1, -1)):
        x = of_dtype(1, dtype, 4, 5, 17)
        if dtype is not np.float32:
            x = x % 7  # equals
        narrow = dtype not in (np.uint8, np.int8)  # onnxruntime sorts no bytes
        for op, largest in (("ArgMax", True), ("ArgMin", False)):
            find = np.argmax if largest else np.argmin
            for keep, last in itertools.product((0, 1), (0, 1)):
                expected = find(x, axis).astype(np.int64)
                if last:
                    expected = x.shape[axis] - 1 - find(np.flip(x, axis), axis).astype(np.int64)
                result = [np.expand_dims(expected, axis) if keep else expected]
                attributes = {"axis": axis, "keepdims": keep, "select_last_index": last}
                name = f"{op}-{np.dtype(dtype)}-{axis}-{keep}-{last}"
                yield Case(name, op, {"x": x}, result, attributes=attributes)
        for k, largest in itertools.product((1, 3), (0, 1)):
            ranked = -x.astype(np.float64) if largest else x
            order = np.take(np.argsort(ranked, axis, kind="stable"), np.arange(k), axis).astype(np.int64)
            values = np.take_along_axis(x, order, axis)
            name = f"TopK-{np.dtype(dtype)}-{axis}-{k}-{largest}"
            attributes = {"axis": axis, "largest": largest}
            weights = {"k": i64(k)}
            yield Case(name, "TopK", {"x": x}, [values, order], weights, None, attributes, 17, onnxruntime=narrow)
    x = floats(1, 3, 9)
    for opset in (7, 10):
        order = np.argsort(-x, -1)[:, :4].astype(np.int64)
        k: dict[str, Any] = {"attributes": {"k": 4}} if opset == 7 else {"weights": {"k": i64(4)}}
        yield Case(f"TopK-{opset}", "TopK", {"x": x}, [np.take_along_axis(x, order, -1), order], opset=opset, **k)


def running_sums() -> Iterator[Case]:
    for dtype, axis in itertools.product((np.float32, np.int64, np.int32), (0, 1, -1)):
        x = of_dtype(1, dtype, 4, 5, 6)
        for exclusive, reverse in itertools.product((0, 1), (0, 1)):
            turned = np.flip(x, axis) if reverse else x
            sums = np.cumsum(turned, axis, dtype=dtype)
            if exclusive:
                sums = sums - turned if dtype is not np.float32 else np.roll(sums, 1, axis)
                first: Any = [slice(None)] * 3
                first[axis] = 0
                sums[tuple(first)] = 0
            expected = np.flip(sums, axis) if reverse else sums
            attributes = {"exclusive": exclusive, "reverse": reverse}
            name = f"CumSum-{np.dtype(dtype)}-{axis}-{exclusive}{reverse}"
            yield Case(
                name, "CumSum", {"x": x}, [expected], {"axis": np.array(axis)}, attributes=attributes, tolerance=2e-6
            )


# ---- Arrays made, repeated and put in order ----


def arrangements() -> Iterator[Case]:
    for dtype in EVERY_DTYPE:
        x = of_dtype(1, dtype, 2, 3, 4)
        for repeats in ((1, 1, 1), (2, 1, 3), (1, 4, 1), (1, 1, 2), (3, 2, 1), (0, 1, 1)):
            name = f"Tile-{repeats}-{np.dtype(dtype)}"
            yield Case(name, "Tile", {"x": x}, [np.tile(x, repeats)], {"repeats": i64(*repeats)})
        for k, upper in itertools.product((-2, 0, 1, 9), (0, 1)):
            expected = np.triu(x, k) if upper else np.tril(x, k)
            name = f"Trilu-{k}-{upper}-{np.dtype(dtype)}"
            # onnxruntime has no Trilu of small integers.
            wide = dtype not in (np.int8, np.uint8, np.int32)
            attributes = {"upper": upper}
            yield Case(name, "Trilu", {"x": x}, [expected], {"k": np.array(k)}, None, attributes, onnxruntime=wide)
        lengths = np.array([3, 0, 2, 1], np.int64)
        items = of_dtype(2, dtype, 3, 4, 5)
        for batch_axis in (0, 1):
            steps = items if batch_axis == 1 else items.swapaxes(0, 1)
            expected = steps.copy()
            for n, length in enumerate(lengths):
                line: Any = (slice(None), n) if batch_axis == 1 else (n,)
                expected[line][:length] = steps[line][:length][::-1]
            attributes = {"batch_axis": batch_axis, "time_axis": 1 - batch_axis}
            name = f"ReverseSequence-{batch_axis}-{np.dtype(dtype)}"
            inputs = {"x": np.ascontiguousarray(steps), "lengths": lengths}
            yield Case(name, "ReverseSequence", inputs, [expected], attributes=attributes)
    for axis in (0, 1, 2, 3, -1):
        x = floats(1, 2, 3, 4)
        expected = x.reshape(int(np.prod(x.shape[:axis])), -1)
        yield Case(f"Flatten-{axis}", "Flatten", {"x": x}, [expected], attributes={"axis": axis})
    for start, limit, delta in ((0, 10, 3), (5, -4, -2), (3, 3, 1), (4, 0, 1)):
        for dtype in (np.int64, np.int32, np.float32):
            given = {n: np.array(v, dtype) for n, v in (("start", start), ("limit", limit), ("delta", delta))}
            name = f"Range-{start}-{limit}-{delta}-{np.dtype(dtype)}"
            expected = np.arange(start, limit, delta).astype(dtype)
            yield Case(name, "Range", {}, [expected], given)
            yield Case(name + "-inputs", "Range", given, [expected])
    for dtype, k in itertools.product((np.float32, np.int64, np.int32), (-1, 0, 2, 9)):
        x = of_dtype(1, dtype, 3, 5)
        yield Case(f"EyeLike-{np.dtype(dtype)}-{k}", "EyeLike", {"x": x}, [np.eye(3, 5, k, dtype)], attributes={"k": k})
    eye = np.eye(3, 5, dtype=np.int64)
    yield Case("EyeLike-dtype", "EyeLike", {"x": floats(1, 3, 5)}, [eye], attributes={"dtype": 7})


def blocks() -> Iterator[Case]:
    x = floats(1, 2, 8, 3, 5)
    split = x.reshape(2, 2, 2, 2, 3, 5).transpose(0, 3, 4, 1, 5, 2).reshape(2, 2, 6, 10)
    crd = x.reshape(2, 2, 2, 2, 3, 5).transpose(0, 1, 4, 2, 5, 3).reshape(2, 2, 6, 10)
    yield Case("DepthToSpace", "DepthToSpace", {"x": x}, [split], attributes={"blocksize": 2})
    yield Case("DepthToSpace-CRD", "DepthToSpace", {"x": x}, [crd], attributes={"blocksize": 2, "mode": "CRD"})
    yield Case("SpaceToDepth", "SpaceToDepth", {"x": np.ascontiguousarray(split)}, [x], attributes={"blocksize": 2})
    small, large = floats(1, 3, 4, 5), floats(2, 9, 6, 1)
    for name, x, shape, axes, expected in (
        ("crop", large, (4, 3), (0, 1), large[2:6, 1:4]),
        ("pad", small, (8,), (-1,), np.pad(small, [(0, 0), (0, 0), (1, 2)])),
        ("both", small, (2, 7, 2), None, np.pad(small[:2, :, 1:3], [(0, 0), (1, 2), (0, 0)])),
        ("one", small, (1, 1), (2, 0), small[1:2, :, 2:3]),
    ):
        attributes = {} if axes is None else {"axes": list(axes)}
        weights = {"shape": i64(*shape)}
        yield Case(f"CenterCropPad-{name}", "CenterCropPad", {"x": x}, [expected], weights, None, attributes, 18)


def einsums() -> Iterator[Case]:
    for equation, shapes in (
        ("ij->ji", ((3, 17),)),
        ("ij->", ((3, 17),)),
        ("ij->i", ((3, 17),)),
        ("bij->bj", ((2, 5, 3),)),
        ("ii->i", ((5, 5),)),
        ("bii->b", ((2, 5, 5),)),
        ("ij,jk->ik", ((3, 17), (17, 20))),
        ("ij,jk", ((3, 17), (17, 20))),
        ("bij,bjk->bik", ((4, 3, 17), (4, 17, 5))),
        ("bqhd,bkhd->bhqk", ((2, 5, 3, 8), (2, 7, 3, 8))),
        ("bhqk,bkhd->bqhd", ((2, 3, 5, 7), (2, 7, 3, 8))),
        ("...ij,...jk->...ik", ((2, 1, 3, 4), (5, 4, 6))),
        ("...d,de->...e", ((2, 3, 8), (8, 5))),
        ("i,i->", ((17,), (17,))),
        ("i,j->ij", ((17,), (5,))),
        ("bi,bi->bi", ((3, 17), (3, 17))),
        ("bi,bi->b", ((3, 17), (3, 17))),
        ("bn,anm,bm->ba", ((2, 5), (3, 5, 4), (2, 4))),
        ("ab,bc,cd,de->ae", ((2, 3), (3, 4), (4, 5), (5, 6))),
        ("abc,cd->abd", ((1, 4, 6), (6, 1))),
        ("abc,adc->bd", ((3, 4, 6), (3, 5, 6))),
        ("ij,kl->jl", ((3, 4), (5, 6))),
        ("b...,b...->...", ((3, 4, 5), (3, 4, 5))),
    ):
        operands = {f"x{n}": floats(n, *shape) for n, shape in enumerate(shapes)}
        wide = [x.astype(np.float64) for x in operands.values()]
        expected = np.asarray(np.einsum(equation, *wide)).astype(np.float32)
        tolerance = 4e-6 * max(1.0, float(np.abs(expected).max()))
        attributes = {"equation": equation}
        name = f"Einsum-{equation}"
        known = not equation.startswith(("b...", "...ij"))  # onnxruntime does not infer their shapes
        yield Case(name, "Einsum", operands, [expected], {}, None, attributes, 17, tolerance, onnxruntime=known)
        for at in range(len(shapes) if len(shapes) > 1 else 0):
            weights = {f"x{at}": operands[f"x{at}"]}
            inputs = {n: x for n, x in operands.items() if n not in weights}
            order = list(operands)
            name_of = f"{name}-weight{at}"
            yield Case(name_of, "Einsum", inputs, [expected], weights, order, attributes, 17, tolerance, known)


def resizes() -> Iterator[Case]:
    """As onnxruntime has it, where it follows the operator's definition; none where it cannot be had."""
    if importlib.util.find_spec("onnxruntime") is None:
        return

    def case(
        name: str, x: Array, scales: Any = None, sizes: Any = None, roi: Any = None, opset: int = 19, **attributes: Any
    ) -> Case:
        given = {"roi": roi, "scales": scales, "sizes": sizes}
        weights = {n: np.array(a, np.int64 if n == "sizes" else np.float32) for n, a in given.items() if a is not None}
        order = ["x", *(n if n in weights else "" for n in given)]
        while not order[-1]:
            order.pop()
        made = Case(
            f"Resize-{name}", "Resize", {"x": x}, [x], weights, order, attributes, opset, 3e-6, onnxruntime=False
        )
        made.expected = list(models.run_onnxruntime(made.model(), made.inputs).values())
        return made

    x = floats(1, 2, 3, 7, 9)
    transformations = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
    for mode, how in itertools.product(("nearest", "linear", "cubic"), transformations):
        options = {"mode": mode, "coordinate_transformation_mode": how}
        yield case(f"{mode}-{how}-up", x, [1, 1, 2, 3], **options)
        yield case(f"{mode}-{how}-sizes", x, sizes=[2, 3, 11, 5], **options)
        yield case(f"{mode}-{how}-one", x, sizes=[2, 3, 1, 1], **options)
    for rounding, how in itertools.product(
        ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"), transformations
    ):
        options = {"mode": "nearest", "coordinate_transformation_mode": how, "nearest_mode": rounding}
        yield case(
            f"nearest-{rounding}-{how}", x, [1, 1, 2.5, 0.5] if how != "align_corners" else [1, 1, 2, 3], **options
        )
    for mode in ("linear", "cubic"):
        yield case(f"{mode}-antialias", x, sizes=[2, 3, 3, 4], mode=mode, antialias=1)
    yield case("cubic-outside", x, [1, 1, 2, 1.5], mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5)
    crop: dict[str, Any] = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.5}
    roi = [0, 0, 0.25, -0.5, 1, 1, 1.25, 0.75]
    yield case("linear-crop", x, sizes=[2, 3, 8, 10], roi=roi, mode="linear", **crop)
    yield case("axes", x, [2, 0.5], mode="linear", axes=[3, 2])
    for policy in ("not_larger", "not_smaller"):
        yield case(policy, x, sizes=[11, 12], mode="nearest", axes=[2, 3], keep_aspect_ratio_policy=policy)
    line = floats(2, 1, 2, 17)
    yield case("1d-linear", line, [1, 1, 4], mode="linear", coordinate_transformation_mode="half_pixel")
    for dtype in (np.int32, np.uint8, np.int8):
        yield case(f"nearest-{np.dtype(dtype)}", of_dtype(1, dtype, 1, 2, 3, 4), [1, 1, 2, 2], mode="nearest")
    for op, opset in (("Upsample", 9), ("Resize", 10)):
        doubled = x.repeat(2, 2).repeat(3, 3)
        weights = {"scales": np.array([1, 1, 2, 3], np.float32)}
        yield Case(
            f"Resize-{op}-{opset}", op, {"x": x}, [doubled], weights, opset=opset, attributes={"mode": "nearest"}
        )


ALL: list[Case] = [
    *pools(),
    *global_pools(),
    *transposed_convolutions(),
    *columns(),
    *gathers(),
    *scatters(),
    *one_hots(),
    *selections(),
    *sorting(),
    *running_sums(),
    *arrangements(),
    *blocks(),
    *einsums(),
    *resizes(),
]
