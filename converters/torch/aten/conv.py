"""Convolution, and its transpose."""

from __future__ import annotations

from ...graph import ABSENT, Attribute, Value
from ..node import Node, handler


@handler("aten.conv1d", "aten.conv2d", "aten.conv3d")
def conv(node: Node) -> None:
    """With padding by numbers, ``valid`` or ``same``; the number of axes is Conv's."""
    axes = node.meta("weight").rank - 2
    dilation, kernel = node.repeated("dilation", axes, 1), _kernel(node)
    if node.target.endswith(".padding"):
        pads = _named_padding(node, dilation, kernel)
    else:
        pads = node.repeated("padding", axes, 0) * 2
    _emit(node, "Conv", axes, pads, dilation, {})


def _named_padding(node: Node, dilation: list[int], kernel: list[int]) -> list[int]:
    padding = node.text("padding", "valid")
    if padding == "valid":
        return [0] * (2 * len(kernel))
    if padding != "same":
        node.refuse(f"padding {padding!r} is neither 'same' nor 'valid'.")
    total = [d * (k - 1) for d, k in zip(dilation, kernel)]
    return [t // 2 for t in total] + [t - t // 2 for t in total]


@handler("aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d")
def conv_transpose(node: Node) -> None:
    axes = node.meta("weight").rank - 2
    extra = node.repeated("output_padding", axes, 0)
    pads = node.repeated("padding", axes, 0) * 2
    _emit(node, "ConvTranspose", axes, pads, node.repeated("dilation", axes, 1), {"output_padding": extra})


@handler("aten.convolution")
def convolution(node: Node) -> None:
    axes = node.meta("weight").rank - 2
    pads, dilation = node.repeated("padding", axes, 0) * 2, node.repeated("dilation", axes, 1)
    extra = node.repeated("output_padding", axes, 0)
    transposed = node.boolean("transposed")
    attributes: dict[str, Attribute] = {"output_padding": extra} if transposed else {}
    _emit(node, "ConvTranspose" if transposed else "Conv", axes, pads, dilation, attributes)


def _kernel(node: Node) -> list[int]:
    dims = node.meta("weight").shape[2:]
    fixed = [dim for dim in dims if dim is not None]
    if len(fixed) < len(dims):
        node.refuse("the size of its filter depends on the sizes of inputs.")
    return fixed


def _emit(
    node: Node, op: str, axes: int, pads: list[int], dilation: list[int], attributes: dict[str, Attribute]
) -> None:
    build = node.build
    batched = node.meta("input").rank == axes + 2
    x = node.tensor("input")
    y = build.op(
        op,
        x if batched else build.unsqueeze(x, 0),
        node.tensor("weight"),
        node.optional("bias"),
        auto_pad="NOTSET",
        dilations=dilation,
        group=node.integer("groups", 1),
        kernel_shape=_kernel(node),
        pads=pads,
        strides=node.repeated("stride", axes, 1),
        **attributes,
    )
    node.give(y if batched else build.squeeze(y, 0))


@handler("aten.constant_pad_nd")
def constant_pad(node: Node) -> None:
    _pad(node, "constant", node.operand("value", node.result().dtype) if node.has("value") else ABSENT)


@handler("aten.pad")
def pad(node: Node) -> None:
    """Constant, reflect, replicate and circular."""
    mode = node.text("mode", "constant")
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in modes:
        node.refuse(f"mode {mode!r} is not one of {', '.join(modes)}.")
    _pad(node, modes[mode], node.operand("value", node.result().dtype) if node.has("value") else ABSENT)


@handler("aten.reflection_pad1d", "aten.reflection_pad2d")
def reflection_pad(node: Node) -> None:
    _pad(node, "reflect", ABSENT)


@handler("aten.replication_pad1d", "aten.replication_pad2d")
def replication_pad(node: Node) -> None:
    _pad(node, "edge", ABSENT)


def _pad(node: Node, mode: str, value: Value) -> None:
    """Torch gives pairs from the last axis on; Pad takes all beginnings, then all ends."""
    given = node.dims("padding" if node.has("padding") else "pad")
    rank, count = node.meta("self").rank, len(given) // 2
    if len(given) % 2 or count > rank:
        node.refuse(f"{len(given)} paddings are not pairs for {rank} axes.")
    begins = [0] * (rank - count) + list(reversed(given[0::2]))
    ends = [0] * (rank - count) + list(reversed(given[1::2]))
    node.give(node.build.op("Pad", node.tensor("self"), node.vector([*begins, *ends]), value, mode=mode))
