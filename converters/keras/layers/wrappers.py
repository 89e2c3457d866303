"""Layers around layers: TimeDistributed and Bidirectional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...graph import ABSENT, DType, Value
from ..activations import number
from ..config import Config
from ..keras1 import modern
from ..layer import Layer, Tensor, handler, handlers
from ..shapes import product
from ..weights import Owner
from .recurrent import CELL_LAYERS, Recurrence, outputs_of, recurrence


@handler("TimeDistributed", note="around any layer; masks of steps and of what is within them")
def time_distributed(layer: Layer) -> list[Tensor]:
    """Call a layer for each step by itself."""
    x = layer.input
    kind, config = _wrapped(layer, layer.config.layer("layer"))
    entry = handlers.get(kind)
    weights = layer.importer.shared.find(
        kind, str(config.get("name", "")), layer.config.raw("layer"), layer.weights.at("layer")
    )
    if _keeps_state(config):
        layer.refuse("the layer inside it is stateful, so that steps depend on each other. Build it without.")
    if entry is not None and entry.pointwise and kind != "Softmax":
        outputs = layer.inside((kind, config), weights, [replace(x, mask=ABSENT)]).call()
        return [replace(y, mask=x.mask) for y in outputs]
    if x.rank < 3:
        layer.refuse(f"its input is {x.shape}: there is no axis of steps.")
    build = layer.build
    inner_dims = x.shape[2:]
    rows = Tensor(_rows(layer, x), (None, *inner_dims), x.dtype, _row_mask(layer, x))
    outputs = layer.inside((kind, config), weights, [rows]).call()
    steps = build.op("Shape", x.value, start=0, end=2)
    return [_steps(layer, x, steps, y) for y in outputs]


def _keeps_state(config: Mapping[str, Any]) -> bool:
    """Whether a layer, or one within it, is stateful."""
    layers = config.get("layers")
    inside = [config.get("layer"), *(layers if isinstance(layers, list) else ())]
    settings = [inner.get("config") for inner in inside if isinstance(inner, Mapping)]
    return bool(config.get("stateful")) or any(_keeps_state(inner) for inner in settings if isinstance(inner, Mapping))


def _follows_inner(layer: Layer) -> bool:
    """Whether the mask of the outputs follows from that of the inner layer, as from Keras 2.2 on and before Keras 3."""
    return (2, 2) <= layer.version < (3,)


def _row_mask(layer: Layer, x: Tensor) -> Value:
    """The mask that each step hands to the inner layer; before Keras 2.2 there was none."""
    if x.mask == ABSENT or layer.version < (2, 2):
        return ABSENT
    if (2, 2) <= layer.version < (2, 4) and x.shape[0] is not None:
        layer.refuse("a mask with a fixed batch is not supported for this version. Build the model with a free batch.")
    build, rank = layer.build, layer.mask_rank(x.mask)
    inner = build.op("Shape", x.mask, start=2)
    flat = build.op("Concat", build.integers([-1]), inner, axis=0) if rank > 2 else build.integers([-1])
    return layer.new_mask(build.op("Reshape", x.mask, flat), rank - 1)


def _reduced_mask(layer: Layer, x: Tensor) -> Value:
    """A mask of steps: those of which anything counts."""
    if x.mask == ABSENT or layer.mask_rank(x.mask) == 2:
        return x.mask
    build = layer.build
    axes = build.integers(list(range(2, layer.mask_rank(x.mask))))
    counts = build.op("ReduceMax", build.cast(x.mask, DType.FLOAT32), axes, keepdims=0)
    return layer.new_mask(build.cast(counts, DType.BOOL), 2)


def _wrapped(layer: Layer, setting: tuple[str, Mapping[str, Any]]) -> tuple[str, Mapping[str, Any]]:
    return modern(*setting, layer.version)


def _rows(layer: Layer, x: Tensor) -> Value:
    """[batch, steps, ...] to [batch * steps, ...]."""
    build = layer.build
    if product(x.shape[2:]) is not None:
        return build.reshape(x.value, [-1, *[int(d or 0) for d in x.shape[2:]]])
    inner = build.op("Shape", x.value, start=2)
    return build.op("Reshape", x.value, build.op("Concat", build.integers([-1]), inner, axis=0))


def _steps(layer: Layer, x: Tensor, steps: Value, y: Tensor) -> Tensor:
    """[batch * steps, ...] to [batch, steps, ...], with the mask of either."""
    build = layer.build

    def with_steps(value: Value) -> Value:
        inner = build.op("Shape", value, start=1)
        return build.op("Reshape", value, build.op("Concat", steps, inner, axis=0))

    mask = x.mask
    if _follows_inner(layer) and y.mask == ABSENT:
        mask = _reduced_mask(layer, x)
    elif _follows_inner(layer):
        mask = layer.new_mask(with_steps(y.mask), layer.mask_rank(y.mask) + 1)
    return Tensor(with_steps(y.value), (*x.shape[:2], *y.shape[1:]), y.dtype, mask)


@handler(
    "Bidirectional", note="merge modes concat, sum, mul, ave and none; return_state, initial_state, own backward_layer"
)
def bidirectional(layer: Layer) -> list[Tensor]:
    """Run a layer forwards and one backwards."""
    forward, backward = _both(layer)
    states = list(layer.some_inputs[1:]) + _tensors(layer.kwargs.pop("initial_state", None))
    half = len(states) // 2
    found: list[Recurrence] = []
    for inner, own in ((forward, states[:half]), (backward, states[half:])):
        if inner.kind not in CELL_LAYERS:
            layer.refuse(f"layer {inner.kind!r} inside it is not a recurrent layer that is supported.")
        found.append(recurrence(inner, layer.some_inputs[0], own))
        inner.config.check_all_read()
    one, other = found
    if one.returns_sequences != other.returns_sequences or one.returns_states != other.returns_states:
        layer.refuse("its two layers differ in return_sequences or return_state. The file is damaged.")
    merged = _merge(layer, layer.config.raw("merge_mode", "concat"), one, other)
    if one.returns_states:
        merged += one.state_tensors + other.state_tensors
    return merged


def _both(layer: Layer) -> tuple[Layer, Layer]:
    kind, config = _wrapped(layer, layer.config.layer("layer"))
    layer.config.skip("num_constants", "return_sequences", "return_state", "stateful", "go_backwards", "input_dim")
    if layer.config.raw("backward_layer", None) is not None:
        other_kind, other = _wrapped(layer, layer.config.layer("backward_layer"))
    else:
        other_kind, other = kind, {**config, "go_backwards": not config.get("go_backwards", False)}
    zero = _forces_zero(layer, config)
    settings = [(k, {**zero, **c}) for k, c in ((kind, config), (other_kind, other))]
    weights = [layer.weights.at(name) for name in ("forward_layer", "backward_layer")]
    if weights[0] is weights[1]:  # one list
        name = str(config.get("name", ""))
        other_name = str(other.get("name", ""))
        other_name = name.replace("forward_", "backward_", 1) if other_name == name else other_name
        weights = layer.weights.each([Owner(kind, name), Owner(other_kind, other_name)])
    first, second = (
        Layer(layer.importer, k, layer.name, Config(c), w, list(layer.args), {}, layer.mask_is_given)
        for (k, c), w in zip(settings, weights)
    )
    return first, second


def _forces_zero(layer: Layer, config: Mapping[str, Any]) -> dict[str, Any]:
    """TensorFlow's Keras, and Keras 3, give zeros for masked steps of sequences here, and may not write it down."""
    tensorflow = layer.version >= (2, 4) or "tf" in layer.importer.file.version_text
    return {"zero_output_for_mask": True} if tensorflow and config.get("return_sequences") else {}


def _merge(layer: Layer, mode: Any, one: Recurrence, other: Recurrence) -> list[Tensor]:
    """Join both in the order of time."""
    build = layer.build
    a, b = (outputs_of(layer, r, flipped) for r, flipped in ((one, False), (other, True)))
    if mode is None:
        return [a, b]
    if mode == "concat":
        features = product([1, None if None in (a.shape[-1], b.shape[-1]) else (a.shape[-1] or 0) + (b.shape[-1] or 0)])
        return [a.to(build.op("Concat", a.value, b.value, axis=-1), (*a.shape[:-1], features))]
    ops = {"sum": "Add", "ave": "Add", "mul": "Mul"}
    if mode not in ops:
        layer.refuse(f"merge_mode = {mode!r} is not one of concat, sum, mul, ave.")
    value = build.op(ops[mode], a.value, b.value)
    return [a.to(build.op("Mul", value, number(build, 0.5)) if mode == "ave" else value)]


def _tensors(found: Any) -> list[Tensor]:
    return [t for t in (found if isinstance(found, list) else [found]) if isinstance(t, Tensor)]
