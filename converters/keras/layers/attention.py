"""Attention, with the masks Keras carries to it."""

from __future__ import annotations

import numpy as np

from ...graph import ABSENT, DType, Value
from ..activations import number, where
from ..layer import Layer, Tensor, handler, tensors_of
from ..masks import check_rank
from ..shapes import broadcast, require_size


@handler("Attention", note="use_scale, score_mode dot and concat, causal, masks, return_attention_scores")
def attention(layer: Layer) -> list[Tensor]:
    """Attend by dot products, or by sums through tanh."""
    config = layer.config
    mode = config.choice("score_mode", ("dot", "concat"), "dot")
    use_scale = config.flag("use_scale", False)
    names = ["scale"] * use_scale + ["concat_score_weight"] * (mode == "concat")
    weights = dict(zip(names, layer.take(*names)))
    query, value, key = _three(layer)
    build = layer.build
    if mode == "dot":
        scores = build.op("MatMul", query.value, _swapped(layer, key))
        if use_scale:
            scores = build.op("Mul", scores, layer.constant(weights["scale"], "scale"))
    else:
        total = _pairs(layer, query, key)
        if use_scale:
            total = build.op("Mul", total, layer.constant(weights["scale"], "scale"))
        scores = build.op("ReduceSum", build.op("Tanh", total), build.integers([-1]), keepdims=0)
        scores = build.op("Mul", scores, layer.constant(weights["concat_score_weight"], "concat_score_weight"))
    return _attend(layer, query, value, scores)


@handler("AdditiveAttention", note="as Attention")
def additive_attention(layer: Layer) -> list[Tensor]:
    """Attend by weighted sums through tanh."""
    use_scale = layer.config.flag("use_scale", True)
    scale = layer.take(*["scale"] * use_scale)
    query, value, key = _three(layer)
    build = layer.build
    total = build.op("Tanh", _pairs(layer, query, key))
    if scale:
        total = build.op("Mul", total, layer.constant(scale[0], "scale"))
    scores = build.op("ReduceSum", total, build.integers([-1]), keepdims=0)
    return _attend(layer, query, value, scores)


def _check_masks(layer: Layer, *inputs: Tensor) -> None:
    for x in inputs:
        if x.mask != ABSENT:
            check_rank(layer.mask_rank(x.mask), 2)


def _three(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    inputs = layer.some_inputs
    _check_masks(layer, *inputs)
    if len(inputs) not in (2, 3) or any(x.rank != 3 for x in inputs):
        layer.refuse("it takes query, value and perhaps key, each of rank 3.")
    broadcast((inputs[0].shape[2],), (inputs[-1].shape[2],))  # features of query and key
    broadcast((inputs[1].shape[1],), (inputs[-1].shape[1],))  # steps of value and key
    return inputs[0], inputs[1], inputs[-1]


def _swapped(layer: Layer, x: Tensor) -> Value:
    return layer.build.transpose(x.value, 0, 2, 1)


def _pairs(layer: Layer, query: Tensor, key: Tensor) -> Value:
    """Every query plus every key."""
    build = layer.build
    return build.op("Add", build.unsqueeze(query.value, 2), build.unsqueeze(key.value, 1))


def _attend(layer: Layer, query: Tensor, value: Tensor, scores: Value) -> list[Tensor]:
    """Normalise scores, take the mean of the values by them, and mask."""
    build = layer.build
    causal = bool(layer.argument(-1, "use_causal_mask", False)) or layer.config.flag("causal", False)
    returns_scores = bool(layer.argument(-1, "return_attention_scores", False))
    counts = ABSENT if value.mask == ABSENT else build.unsqueeze(value.mask, 1)
    if causal:
        counts = _both(layer, counts, _causal(layer, scores, 2))
    if counts != ABSENT:
        scores = where(build, counts, scores, build.op("Sub", scores, number(build, 1e9)))
    weights = build.op("Softmax", scores, axis=-1)
    result = build.op("MatMul", weights, value.value)
    if query.mask != ABSENT:
        result = where(build, build.unsqueeze(query.mask, 2), result, number(build, 0.0))
    shape = (query.shape[0], query.shape[1], value.shape[2])
    outputs = [Tensor(result, shape, DType.FLOAT32, query.mask)]
    return outputs + [Tensor(weights, (query.shape[0], query.shape[1], value.shape[1]))] * returns_scores


def _both(layer: Layer, a: Value, b: Value) -> Value:
    return b if a == ABSENT else layer.build.op("And", a, b)


def _causal(layer: Layer, scores: Value, first: int) -> Value:
    """[queries, keys]: whether a key is not later than the query. `first` is the number of dims less 2 and more."""
    build = layer.build
    zero, one = build.constant(np.int64(0)), build.constant(np.int64(1))
    sides = []
    for axis in (first - 1, first):
        count = build.squeeze(build.op("Shape", scores, start=axis, end=axis + 1), 0)
        sides.append(build.op("Range", zero, count, one))
    return build.op("GreaterOrEqual", build.unsqueeze(sides[0], 1), build.unsqueeze(sides[1], 0))


@handler("MultiHeadAttention", note="inputs of rank 3; masks, causal, attention_mask, return_attention_scores")
def multi_head_attention(layer: Layer) -> list[Tensor]:
    """Attend with several heads."""
    config = layer.config
    heads, key_dim = config.integer("num_heads"), config.integer("key_dim")
    config.skip("value_dim", "output_shape")
    config.skip("query_shape", "key_shape", "value_shape")
    if config.raw("attention_axes", None) not in (None, [1], (1,), 1):
        layer.refuse("attention_axes other than the second are not supported.")
    query = layer.input
    value = _argument(layer, 1, "value")
    key = _argument(layer, 2, "key") if _is_given(layer, 2, "key") else value
    if any(x.rank != 3 for x in (query, value, key)):
        layer.refuse("its inputs must have rank 3.")
    _check_masks(layer, query, value, key)
    use_bias = config.flag("use_bias", True)
    build = layer.build
    q = _projected(layer, query, "query", heads, use_bias)
    k = _projected(layer, key, "key", heads, use_bias)
    v = _projected(layer, value, "value", heads, use_bias)
    scale = number(build, 1 / float(np.sqrt(key_dim)))
    scores = build.op("MatMul", build.op("Mul", q, scale), build.transpose(k, 0, 1, 3, 2))
    returns_scores = bool(layer.argument(-1, "return_attention_scores", False))
    explicit = returns_scores or config.number("dropout", 0.0) > 0  # Keras computes the others by a fused operation
    weights = _softmax(layer, scores, _counts(layer, scores, query, value, key), explicit)
    result = build.transpose(build.op("MatMul", weights, v), 0, 2, 1, 3)
    kernel, *bias = layer.weights.at("output_dense", "_output_dense").take(["kernel", *["bias"] * use_bias])
    flat = kernel.reshape(kernel.shape[0] * kernel.shape[1], -1)
    merged = build.op("MatMul", build.reshape(result, [0, 0, flat.shape[0]]), layer.constant(flat, "output"))
    if bias:
        merged = build.op("Add", merged, layer.constant(bias[0].reshape(-1), "output_bias"))
    if kernel.ndim != 3:
        layer.refuse("output_shape of several dims is not supported.")
    outputs = [Tensor(merged, (*query.shape[:2], int(flat.shape[1])), DType.FLOAT32, query.mask)]
    if returns_scores:
        outputs.append(Tensor(weights, (query.shape[0], heads, query.shape[1], value.shape[1])))
    return outputs


def _is_given(layer: Layer, place: int, name: str) -> bool:
    return isinstance(layer.kwargs.get(name), Tensor) or (place < len(layer.args) and layer.args[place] is not None)


def _argument(layer: Layer, place: int, name: str) -> Tensor:
    found = list(tensors_of(layer.argument(place, name)))
    if len(found) != 1:
        layer.refuse(f"is called without {name}.")
    return found[0]


def _projected(layer: Layer, x: Tensor, name: str, heads: int, use_bias: bool) -> Value:
    """[batch, heads, steps, size]."""
    kernel, *bias = layer.weights.at(f"{name}_dense", f"_{name}_dense").take(["kernel", *["bias"] * use_bias])
    if kernel.ndim != 3 or kernel.shape[1] != heads:
        layer.refuse(f"its {name} kernel is {kernel.shape}, not of {heads} heads. The file is damaged.")
    require_size(x.shape[2], int(kernel.shape[0]), f"the last dim of its {name}")
    build = layer.build
    flat = build.op("MatMul", x.value, layer.constant(kernel.reshape(kernel.shape[0], -1), name))
    if bias:
        flat = build.op("Add", flat, layer.constant(bias[0].reshape(-1), f"{name}_bias"))
    return build.transpose(build.reshape(flat, [0, 0, heads, int(kernel.shape[2])]), 0, 2, 1, 3)


def _counts(layer: Layer, scores: Value, query: Tensor, value: Tensor, key: Tensor) -> Value:
    """Which scores count, of [batch, heads, queries, keys]; ABSENT where all do."""
    build = layer.build
    counts = ABSENT
    for name, x, axes in (("query_mask", query, (1, 3)), ("value_mask", value, (1, 2)), ("key_mask", key, (1, 2))):
        given = layer.argument(-1, name)
        mask = given.value if isinstance(given, Tensor) else x.mask
        if mask != ABSENT and not (name == "key_mask" and key is value):
            counts = _both(layer, counts, build.unsqueeze(mask, *axes))
    given = layer.argument(-1, "attention_mask")
    if isinstance(given, Tensor):
        mask = given.value if given.dtype == DType.BOOL else build.cast(given.value, DType.BOOL)
        counts = _both(layer, counts, build.unsqueeze(mask, 1) if given.rank == 3 else mask)
    if layer.argument(-1, "use_causal_mask", False):
        counts = _both(layer, counts, _causal(layer, scores, 3))
    return counts


def _softmax(layer: Layer, scores: Value, counts: Value, zero: bool) -> Value:
    """Normalised scores; a row of which none counts is zero or, as in Keras's fused operation, uniform."""
    build = layer.build
    if counts == ABSENT:
        return build.op("Softmax", scores, axis=-1)
    low = where(build, counts, scores, number(build, -1e9))
    weights = build.op("Softmax", low, axis=-1)
    return where(build, counts, weights, number(build, 0.0)) if zero else weights
