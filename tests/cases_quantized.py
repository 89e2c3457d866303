"""Cases of the operations between floats and bytes, and of products of bytes: all of them exact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import reference
from cases import Case, floats
from models import Array, Feeds

BYTES = (np.uint8, np.int8)


def bytes_of(seed: int, dtype: Any, *shape: int) -> Array:
    """Over the whole range, and its ends for certain."""
    limits = np.iinfo(dtype)
    found = np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)
    found.ravel()[: min(4, found.size)] = [limits.min, limits.max, limits.min, limits.max][: min(4, found.size)]
    return found


def quantized(x: Array, scale: Any, zero: Any, dtype: Any) -> Array:
    limits = np.iinfo(dtype)
    wide = np.rint(x / np.asarray(scale, np.float32)) + np.asarray(zero, np.float32)
    clipped: Array = np.clip(wide, limits.min, limits.max).astype(dtype)
    return clipped


def dequantized(x: Array, scale: Any, zero: Any) -> Array:
    found: Array = (x.astype(np.int32) - np.asarray(zero, np.int32)).astype(np.float32) * scale
    return found


def linear() -> Iterator[Case]:
    """QuantizeLinear and DequantizeLinear: one scale, one for each index of an axis, one for each block."""
    for dtype, shape in itertools.product(BYTES, ((), (1,), (17,), (3, 40), (2, 5, 33))):
        x, scale = floats(1, *shape) * np.float32(4), np.array(0.043, np.float32)
        zero = np.array(100 if dtype is np.uint8 else -7, dtype)
        name = f"{np.dtype(dtype)}-{shape}"
        pair: Feeds = {"scale": scale, "zero": zero}
        y = [quantized(x, scale, zero, dtype)]
        yield Case(f"QuantizeLinear-{name}", "QuantizeLinear", {"x": x}, y, pair, opset=13)
        yield Case(f"QuantizeLinear-{name}-inputs", "QuantizeLinear", {"x": x, **pair}, y, opset=13)
        q = bytes_of(2, dtype, *shape) if shape else np.array(9, dtype)
        back = [dequantized(q, scale, zero)]
        yield Case(f"DequantizeLinear-{name}", "DequantizeLinear", {"x": q}, back, pair, opset=13)
        yield Case(f"DequantizeLinear-{name}-inputs", "DequantizeLinear", {"x": q, **pair}, back, opset=10)
    for dtype, axis in itertools.product(BYTES, (0, 1, 2, -1)):
        x, q = floats(3, 3, 4, 33) * np.float32(9), bytes_of(4, dtype, 3, 4, 33)
        size = x.shape[axis]
        scale, zero = np.abs(floats(5, size)) / 16 + np.float32(0.01), bytes_of(6, dtype, size)
        along = [1, 1, 1]
        along[axis] = size
        wide_scale, wide_zero = scale.reshape(along), zero.reshape(along)
        name, axes = f"{np.dtype(dtype)}-axis{axis}", {"axis": axis}
        y = [quantized(x, wide_scale, wide_zero, dtype)]
        yield Case(f"QuantizeLinear-{name}", "QuantizeLinear", {"x": x}, y, {"s": scale, "z": zero}, None, axes, 13)
        back = [dequantized(q, wide_scale, wide_zero)]
        weights = {"s": scale, "z": zero}
        yield Case(f"DequantizeLinear-{name}", "DequantizeLinear", {"x": q}, back, weights, None, axes, 13)
    for axis, block in ((0, 2), (1, 3), (1, 8), (2, 16)):
        x, q = floats(7, 4, 8, 32) * np.float32(9), bytes_of(8, np.int8, 4, 8, 32)
        blocks_of = list(x.shape)
        blocks_of[axis] = -(-blocks_of[axis] // block)
        scale, zero = np.abs(floats(9, *blocks_of)) / 16 + np.float32(0.01), bytes_of(10, np.int8, *blocks_of)
        wide_scale, wide_zero = (np.repeat(a, block, axis).take(range(x.shape[axis]), axis) for a in (scale, zero))
        name, blocks = f"block{block}-axis{axis}", {"axis": axis, "block_size": block}
        weights = {"s": scale, "z": zero}
        y = [quantized(x, wide_scale, wide_zero, np.int8)]
        even = x.shape[axis] % block == 0
        for op, given, expected in (("Quantize", x, y), ("Dequantize", q, [dequantized(q, wide_scale, wide_zero)])):
            yield Case(
                f"{op}-{name}", f"{op}Linear", {"x": given}, expected, weights, None, blocks, 21, onnxruntime=even
            )
    x = np.array([np.inf, -np.inf, 1e30, 0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    one = {"scale": np.array(1, np.float32)}
    y = [np.array([255, 0, 255, 0, 2, 2, 0, 0], np.uint8)]
    yield Case("QuantizeLinear-ties-and-ends", "QuantizeLinear", {"x": x}, y, one, opset=13)
    eight = {"output_dtype": 3}
    y = [np.array([127, -128, 127, 0, 2, 2, 0, -2], np.int8)]
    yield Case("QuantizeLinear-output-dtype", "QuantizeLinear", {"x": x}, y, one, None, eight, 21)
    bias = np.array([-(2**31), 2**31 - 1, 0, 77], np.int32)
    back = [bias.astype(np.float32) * np.float32(0.01)]
    hundredth = {"scale": np.array(0.01, np.float32)}
    yield Case("DequantizeLinear-int32", "DequantizeLinear", {"x": bias}, back, hundredth, opset=13)


def dynamic() -> Iterator[Case]:
    for name, x in (
        ("both-signs", floats(1, 3, 40)),
        ("positive", np.abs(floats(2, 100)) + np.float32(1)),
        ("negative", -np.abs(floats(3, 17)) - np.float32(1)),
        ("zeros", np.zeros((4, 5), np.float32)),
        ("one", np.array([2.5], np.float32)),
        ("large", floats(4, 5, 1000) * np.float32(1e20)),
    ):
        low, high = min(x.min(), np.float32(0)), max(x.max(), np.float32(0))
        scale = np.float32((high - low) / np.float32(255)) if high > low else np.float32(1)
        zero = np.uint8(np.rint(np.clip(-low / scale, 0, 255)))
        y = [quantized(x, scale, zero, np.uint8), np.asarray(scale), np.asarray(zero)]
        yield Case(f"DynamicQuantizeLinear-{name}", "DynamicQuantizeLinear", {"x": x}, y)


def integer_products() -> Iterator[Case]:
    shapes = (((1, 1), (1, 1)), ((3, 7), (7, 5)), ((1, 64), (64, 33)), ((5, 130), (130, 17)), ((2, 3, 20), (20, 48)))
    for (a_shape, b_shape), a_type, b_type in itertools.product(shapes, BYTES, BYTES):
        a, b = bytes_of(1, a_type, *a_shape), bytes_of(2, b_type, *b_shape)
        if a_shape[-1] == 64:  # weights that no product has to take special care of
            b = np.maximum(b, np.iinfo(b_type).min + 1)
        name = f"MatMulInteger-{np.dtype(a_type)}-{np.dtype(b_type)}-{a_shape}"
        a_zero, b_zero = np.array(3, a_type), np.array(100, b_type)
        zeros: Feeds = {"az": a_zero, "bz": b_zero}
        plain = a.astype(np.int32) @ b.astype(np.int32)
        centred = (a.astype(np.int32) - a_zero) @ (b.astype(np.int32) - b_zero)
        yield Case(name, "MatMulInteger", {"a": a}, [plain], {"b": b})
        order = ["a", "b", "az", "bz"]
        yield Case(f"{name}-zeros", "MatMulInteger", {"a": a}, [centred], {"b": b, **zeros}, order)
        yield Case(f"{name}-inputs", "MatMulInteger", {"a": a, "b": b, **zeros}, [centred])
        column_zeros = bytes_of(3, b_type, b_shape[-1])
        each = (a.astype(np.int32) - a_zero) @ (b.astype(np.int32) - column_zeros)
        weights = {"b": b, "az": a_zero, "bz": column_zeros}
        yield Case(f"{name}-columns", "MatMulInteger", {"a": a}, [each], weights)
    a, b, rows = bytes_of(1, np.uint8, 6, 20), bytes_of(2, np.int8, 20, 5), bytes_of(3, np.uint8, 6)
    each = (a.astype(np.int32) - rows[:, None]) @ b.astype(np.int32)
    # onnxruntime knows one zero point only.
    yield Case("MatMulInteger-rows", "MatMulInteger", {"a": a}, [each], {"b": b, "z": rows}, onnxruntime=False)
    a, b = bytes_of(1, np.uint8, 3, 2, 5, 9), bytes_of(2, np.uint8, 2, 9, 4)
    product = a.astype(np.int32) @ b.astype(np.int32)
    yield Case("MatMulInteger-batches", "MatMulInteger", {"a": a}, [product], {"b": b})
    yield Case("MatMulInteger-batches-inputs", "MatMulInteger", {"a": a, "b": b}, [product])
    a, b = bytes_of(1, np.uint8, 0, 9), bytes_of(2, np.int8, 9, 4)
    yield Case("MatMulInteger-empty", "MatMulInteger", {"a": a}, [np.zeros((0, 4), np.int32)], {"b": b})


def integer_convolutions() -> Iterator[Case]:
    def case(
        name: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], types: Any = (np.uint8, np.int8), **kw: Any
    ) -> Case:
        x, w = bytes_of(1, types[0], *x_shape), bytes_of(2, types[1], *w_shape)
        x_zero, w_zero = np.array(11, types[0]), np.array(5, types[1])
        wide_x, wide_w = x.astype(np.int64) - x_zero, w.astype(np.int64) - w_zero
        y = reference.conv(wide_x, wide_w, dtype=np.int64, **kw).astype(np.int32)
        weights = {"w": w, "xz": x_zero, "wz": w_zero}
        return Case(f"ConvInteger-{name}", "ConvInteger", {"x": x}, [y], weights, attributes=kw)

    yield case("1d", (2, 3, 20), (7, 3, 3), pads=[1, 2])
    yield case("unsigned", (1, 5, 9), (17, 5, 2), (np.uint8, np.uint8), strides=[2])
    yield case("dilated", (1, 4, 20), (6, 4, 3), dilations=[3], pads=[3, 2])
    yield case("2d", (2, 3, 9, 8), (5, 3, 3, 2), strides=[2, 1], pads=[1, 0, 2, 1])
    yield case("groups", (1, 4, 12, 11), (6, 2, 3, 2), group=2, dilations=[1, 2])
    yield case("depthwise", (1, 8, 30), (8, 1, 5), group=8, pads=[2, 2])
    yield case("many-places", (1, 16, 900), (8, 16, 9))
    x, w = bytes_of(1, np.uint8, 1, 3, 9), bytes_of(2, np.int8, 4, 3, 2)
    y = reference.conv(x.astype(np.int64), w.astype(np.int64), dtype=np.int64).astype(np.int32)
    yield Case("ConvInteger-no-zeros", "ConvInteger", {"x": x}, [y], {"w": w})
    yield Case("ConvInteger-inputs", "ConvInteger", {"x": x, "w": w}, [y])
    zeros = bytes_of(3, np.int8, 4)
    wide = w.astype(np.int64) - zeros[:, None, None]
    y = reference.conv(x.astype(np.int64), wide, dtype=np.int64).astype(np.int32)
    weights = {"w": w, "xz": np.array(0, np.uint8), "wz": zeros}
    yield Case("ConvInteger-filters", "ConvInteger", {"x": x}, [y], weights, onnxruntime=False)
    signed = bytes_of(1, np.int8, 1, 3, 9)
    y = reference.conv(signed.astype(np.int64), w.astype(np.int64), dtype=np.int64).astype(np.int32)
    yield Case("ConvInteger-signed", "ConvInteger", {"x": signed}, [y], {"w": w}, onnxruntime=False)


ALL: list[Case] = [*linear(), *dynamic(), *integer_products(), *integer_convolutions()]
