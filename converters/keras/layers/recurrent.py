"""LSTM, GRU, SimpleRNN, RNN over cells, ConvLSTM: what Keras calls their outputs, states and masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Optional

from ...graph import ABSENT, DType, Value
from ..activations import number, where
from ..cells import Cell, OwnCell, read_cell
from ..config import as_object
from ..layer import Dims, Layer, Tensor, handler, tensors_of
from ..masks import check_rank
from ..sequence import Run, run_cell
from ..weights import Owner, Weights

CELL_LAYERS = {
    "LSTM": "LSTM",
    "GRU": "GRU",
    "SimpleRNN": "RNN",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "RNN": "",
    "ConvLSTM1D": "ConvLSTM1D",
    "ConvLSTM2D": "ConvLSTM2D",
}
_CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "RNN"}


@dataclass
class Recurrence:
    """What a recurrent layer gives."""

    run: Run  # of the last of its cells; the sequence is in the order of time
    states: list[Value]
    state_shapes: list[Dims]
    batch: Optional[int]
    steps: Optional[int]
    features: Dims
    backwards: bool
    returns_sequences: bool
    returns_states: bool
    mask: Value = ABSENT

    @property
    def state_tensors(self) -> list[Tensor]:
        """The last states, in Keras's order."""
        return [Tensor(v, s) for v, s in zip(self.states, self.state_shapes)]


def recurrence(layer: Layer, x: Tensor, initial: list[Tensor]) -> Recurrence:
    """Build a recurrent layer, without saying which of its results are its outputs."""
    config, carried = layer.config, x.mask
    config.skip("stateful", "unroll", "implementation", "input_dim")
    if config.flag("time_major", False):
        if x.mask != ABSENT:
            layer.refuse("time_major with a mask is not supported. Build it with time_major=False.")
        order = (1, 0, *range(2, x.rank))
        x = x.to(layer.build.transpose(x.value, *order), (x.shape[1], x.shape[0], *x.shape[2:]))
    backwards = config.flag("go_backwards", False)
    zero_output = config.flag("zero_output_for_mask", False)
    sequences, states = config.flag("return_sequences", False), config.flag("return_state", False)
    if initial and layer.version[0] >= 3 and not layer.mask_is_given:
        x = replace(x, mask=ABSENT)  # Keras 3 hands no mask on to a call with several tensors
    if x.mask != ABSENT:
        check_rank(layer.mask_rank(x.mask), 2)
    cells = _cells(layer)
    wanted = sum(cell.state_count for cell in cells)
    if initial and len(initial) != wanted:
        layer.refuse(f"is given {len(initial)} initial states, not {wanted}. Constants of cells are not supported.")
    runs: list[Run] = []
    at = x
    given = [t.value for t in initial]
    for cell in cells:
        own, given = given[: cell.state_count], given[cell.state_count :]
        runs.append(run_cell(layer, cell, at, own, backwards))
        at = Tensor(runs[-1].sequence, (*x.shape[:2], *runs[-1].features), DType.FLOAT32, x.mask)
    last = _as_keras_masks(layer, runs[-1], x.mask, bool(initial), zero_output, backwards)
    return Recurrence(
        last,
        [state for run in runs for state in run.states],
        [(x.shape[0], *run.features) for run in runs for _ in run.states],
        x.shape[0],
        x.shape[1],
        last.features,
        backwards,
        sequences,
        states,
        carried if sequences else ABSENT,
    )


def _as_keras_masks(layer: Layer, run: Run, mask: Value, given_states: bool, zero_output: bool, backwards: bool) -> Run:
    """What Keras gives for masked steps: zeros, or the last output, which is zero before there was one.

    The op repeats the state, which is not zero before the first step that counts where the layer was given it.
    """
    if mask == ABSENT or not (zero_output or given_states):
        return run
    build = layer.build
    if zero_output:
        counts = mask
        last_counts = build.slice(mask, 1, 0, 1) if backwards else build.slice(mask, 1, -1)
    else:
        numbers = build.cast(mask, DType.FLOAT32)
        so_far = build.op("CumSum", numbers, build.integers(1), exclusive=0, reverse=int(backwards))
        counts = build.op("Greater", so_far, number(build, 0.0))
        last_counts = build.slice(counts, 1, 0, 1) if backwards else build.slice(counts, 1, -1)
    zero = number(build, 0.0)
    rank = len(run.features)
    sequence_axes, last_axes = range(2, 2 + rank), range(2, 1 + rank)
    sequence = where(build, build.unsqueeze(counts, *sequence_axes), run.sequence, zero)
    last_mask = build.unsqueeze(last_counts, *last_axes) if rank > 1 else last_counts
    return Run(sequence, where(build, last_mask, run.last, zero), run.states, run.features)


def outputs_of(layer: Layer, r: Recurrence, flipped: bool) -> Tensor:
    """The first output; a layer that goes backwards gives its steps in the order in which it took them.

    `flipped` turns that round, as Bidirectional does for its second layer.
    """
    if not r.returns_sequences:
        return Tensor(r.run.last, (r.batch, *r.features))
    value = r.run.sequence
    if r.backwards != flipped:
        value = layer.build.slice(value, 1, -1, None, -1)
    return Tensor(value, (r.batch, r.steps, *r.features), DType.FLOAT32, r.mask)


@handler(*CELL_LAYERS, note="every option; other activations, and ConvLSTM, need a known number of steps")
def recurrent(layer: Layer) -> list[Tensor]:
    """Run a recurrent layer."""
    inputs = layer.some_inputs
    initial = inputs[1:] + list(tensors_of(layer.argument(1, "initial_state")))
    found = recurrence(layer, inputs[0], initial)
    y = outputs_of(layer, found, flipped=False)
    if layer.config.flag("time_major", False) and found.returns_sequences:
        order = (1, 0, *range(2, y.rank))
        y = y.to(layer.build.transpose(y.value, *order), (y.shape[1], y.shape[0], *y.shape[2:]))
    return [y, *(found.state_tensors if found.returns_states else [])]


def _cells(layer: Layer) -> list[Cell | OwnCell]:
    """The cells of a layer, each of which takes the sequence of the one before it."""
    if layer.kind != "RNN":
        return [read_cell(layer, CELL_LAYERS[layer.kind], layer.weights.at("cell"))]
    cell = layer.config.raw("cell")
    return _read_cells(layer, cell, layer.weights.at("cell"))


def _read_cells(layer: Layer, setting: Any, weights: Weights) -> list[Cell | OwnCell]:
    kind, config = as_object(setting, "cell")
    kind = kind.rpartition(">")[2]
    builder = layer.importer.custom_layers.get(kind)
    if builder is not None:
        return [OwnCell(kind, builder, config, weights.rest())]
    if kind == "StackedRNNCells":
        inner = config.get("cells")
        if not isinstance(inner, list) or not inner:
            layer.refuse("its StackedRNNCells has no cells. The file is damaged.")
        if config.get("reverse_state_order"):
            layer.refuse("reverse_state_order is not supported. Build the model without it.")
        owners = [Owner(kind, str(config.get("name", ""))) for kind, config in (as_object(c, "cell") for c in inner)]
        places = weights.at("cells").each(owners)
        return [cell for c, place in zip(inner, places) for cell in _read_cells(layer, c, place)]
    if kind not in _CELLS:
        layer.refuse(
            f"cell {kind!r} is not one of {', '.join(_CELLS)}, StackedRNNCells. Describe one step of it: "
            f"custom_layers={{{kind!r}: builder}}."
        )
    inside = layer.inside((kind, config), weights, [])
    cell = read_cell(inside, _CELLS[kind], weights)
    inside.config.check_all_read()
    return [cell]
