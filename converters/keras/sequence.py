"""A cell along a sequence: one recurrent op, or where ops have no such cell, its equations step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..gates import reorder
from ..graph import ABSENT, Value
from .activations import cell_activation
from .cells import Cell, OwnCell, halves
from .layer import Dims, Layer, Tensor
from .unrolled import unroll

_MASK_INPUT = 12  # of LSTM, GRU and RNN: docs/file-format.md


@dataclass
class Run:
    """What a cell gives, batch first: every output in the order of time, the last one, the last states."""

    sequence: Value
    last: Value
    states: list[Value]
    features: Dims


def run_cell(layer: Layer, cell: Cell | OwnCell, x: Tensor, initial: list[Value], backwards: bool) -> Run:
    """Run a cell over [batch, steps, ...], forwards or backwards; masked steps hold its states."""
    if isinstance(cell, OwnCell):
        return Run(*unroll(layer, cell, x, initial, backwards))
    names = [cell.activation]
    if cell.kind == "LSTM":
        names = [cell.recurrent_activation, cell.activation, cell.activation]
    elif cell.kind == "GRU":
        names = [cell.recurrent_activation, cell.activation]
    known = [cell_activation(name, layer.version) for name in names]
    activations = [found for found in known if found is not None]
    if cell.kind.startswith("Conv") or len(activations) < len(names):
        return Run(*unroll(layer, cell, x, initial, backwards))
    if x.rank != 3:
        layer.refuse(f"its input has {x.rank} dims, not 3.")
    if x.shape[2] not in (None, cell.kernel.shape[0]):
        layer.refuse(f"its input has {x.shape[2]} features, its kernel {cell.kernel.shape[0]}. The file is damaged.")
    return _by_op(layer, cell, x, initial, backwards, activations)


def _by_op(
    layer: Layer,
    cell: Cell,
    x: Tensor,
    initial: list[Value],
    backwards: bool,
    activations: list[tuple[str, float, float]],
) -> Run:
    build = layer.build
    kind = cell.kind
    kernel, recurrent = (
        layer.constant(reorder("keras", kind, array, -1).T[None], name)
        for array, name in ((cell.kernel, "kernel"), (cell.recurrent, "recurrent_kernel"))
    )
    bias = np.concatenate([reorder("keras", kind, half) for half in halves(cell)])[None]
    inputs = [x.value, kernel, recurrent, layer.constant(bias, "bias"), ABSENT]
    inputs += [build.unsqueeze(state, 1) for state in initial]
    if x.mask != ABSENT:
        inputs += [ABSENT] * (_MASK_INPUT - len(inputs)) + [x.mask]
    own = {"LSTM": {"input_forget": 0}, "GRU": {"linear_before_reset": int(cell.reset_after)}, "RNN": {}}[kind]
    names, alphas, betas = zip(*activations)
    y, *states = build.ops(
        kind,
        inputs,
        1 + cell.state_count,
        direction="reverse" if backwards else "forward",
        hidden_size=cell.units,
        clip=0.0,
        layout=1,
        activations=list(names),
        activation_alpha=[float(a) for a in alphas],
        activation_beta=[float(b) for b in betas],
        **own,
    )
    lasts = [build.squeeze(state, 1) for state in states]
    return Run(build.squeeze(y, 2), lasts[0], lasts, (cell.units,))
