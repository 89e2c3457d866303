"""Checks of a model just converted: against the framework it came from, and frame by frame against the whole."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lstm_rt.errors import Error
from lstm_rt.trials import Arrays, Trial, Trials

if TYPE_CHECKING:
    from lstm_rt import Stream
    from lstm_rt.converters import Graph
    from lstm_rt.model import Model

Array = npt.NDArray[Any]

# Largest difference allowed, relative to the largest value of an output (or to 1, if that is more). Where the source
# rounds values to integers, another order of a sum may round one of them the other way.
TOLERANCE = 1e-4
INTEGER_TOLERANCE = 1e-2
_ROUNDING_OPS = ("QuantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeLSTM")


@dataclass(frozen=True)
class Difference:
    """How far one output is from the source's.

    Attributes
    ----------
    output : str
        Its name.
    largest : float
        The largest absolute difference; infinite where shapes or dtypes differ.
    scale : float
        The largest absolute value of the source's output.
    """

    output: str
    largest: float
    scale: float

    @property
    def relative(self) -> float:
        """The largest difference in terms of the largest value, or of 1 where that is more."""
        return self.largest / max(self.scale, 1.0)


@dataclass(frozen=True)
class SourceCheck:
    """A comparison with the framework that a model came from.

    Attributes
    ----------
    runtime : str
        What ran the source, and its version; empty where nothing could.
    runs : int
        How many.
    differences : tuple of Difference
        One for each output, the worst of all runs.
    tolerance : float
        The largest `Difference.relative` allowed.
    why_not : str
        Why there was no comparison, where there was none.
    """

    runtime: str
    runs: int
    differences: tuple[Difference, ...]
    tolerance: float
    why_not: str = ""

    @property
    def passed(self) -> bool:
        """Whether there was a comparison, and every output is near enough."""
        return self.runs > 0 and all(d.relative <= self.tolerance for d in self.differences)

    def summary(self) -> str:
        """Describe the comparison in one sentence.

        Returns
        -------
        str
            The worst output and its difference, or why nothing was compared.
        """
        if not self.runs:
            return f"the model was not compared with its source: {self.why_not.rstrip('.')}."
        if not self.differences:
            return f"compared with {self.runtime}: the model has no outputs."
        worst = max(self.differences, key=lambda difference: difference.relative)
        return (
            f"output {worst.output!r} differs from {self.runtime} by {worst.largest:.2g}, where its largest value is "
            f"{worst.scale:.3g} (allowed: {self.tolerance:g} of that, or of 1)."
        )


@dataclass(frozen=True)
class OutputChange:
    """How far quantised weights move one output.

    Attributes
    ----------
    output : str
        Its name.
    largest : float
        The largest absolute difference from the float model.
    relative : float
        The largest difference divided by the largest absolute value of the float model's output.
    snr_db : float
        Power of the float model's output over that of the difference, in decibels; infinite if nothing moved.
    """

    output: str
    largest: float
    relative: float
    snr_db: float


@dataclass(frozen=True)
class StreamCheck:
    """A comparison of frame by frame with the whole.

    Attributes
    ----------
    steps : int
        How many time steps there were; 0 where there was no comparison.
    equal : bool
        Whether every byte was equal.
    how : str
        What was compared, or why nothing was.
    """

    steps: int
    equal: bool
    how: str

    @property
    def passed(self) -> bool:
        """Whether there was a comparison, and every byte was equal."""
        return self.steps > 0 and self.equal


# ---- Against the source ----


def check_against_source(
    graph: Graph, model: Model, converter: Any, source: Any, frozen: Arrays, options: Mapping[str, Any]
) -> SourceCheck:
    """Compare a converted model with what its own framework gives, on made-up inputs.

    A converter's package may have a module ``reference`` with a function ``run(source, inputs, **options)``: it gives
    the name of the runtime and, for each mapping of inputs, the list of outputs.

    Parameters
    ----------
    graph : Graph
        What the model was made of.
    model : Model
        In float, if a choice was left.
    converter : callable
        That made the graph.
    source : Any
        What it was given.
    frozen : dict of str to numpy.ndarray
        Inputs of the source that were fixed.
    options : mapping of str to Any
        The converter's.

    Returns
    -------
    SourceCheck
        The comparison.
    """
    from lstm_rt.converters import Refusal

    tolerance = INTEGER_TOLERANCE if _rounds(graph) else TOLERANCE
    trials = Trials(graph, model)
    runs = list(trials)
    if not runs:
        why = f"no inputs were found that the model runs with: {trials.failures[-1]}"
        return SourceCheck("", 0, (), tolerance, why)
    try:
        module = importlib.import_module(".reference", converter.__module__)
        runtime, outputs = module.run(source, [{**frozen, **trial.inputs} for trial in runs], **options)
    except (ImportError, Refusal) as error:
        return SourceCheck("", 0, (), tolerance, str(error))
    if any(len(run) != len(graph.outputs) for run in outputs):
        why = f"{runtime} gives {len(outputs[0])} outputs, the converted model {len(graph.outputs)}"
        return SourceCheck("", 0, (), tolerance, why)
    return SourceCheck(runtime, len(runs), _differences(graph, runs, outputs), tolerance)


def _rounds(graph: Graph) -> bool:
    """Whether the source itself rounds values to integers on the way."""
    ops = [op for block in graph.main.walk() for op in block.ops]
    return any(op.type in _ROUNDING_OPS or "activation_bits" in op.attributes for op in ops)


def _differences(graph: Graph, runs: list[Trial], outputs: list[list[Array]]) -> tuple[Difference, ...]:
    found = []
    for i, port in enumerate(graph.outputs):
        name = graph.name(port)
        each = [_difference(name, trial.outputs[name], theirs[i]) for trial, theirs in zip(runs, outputs)]
        found.append(max(each, key=lambda difference: difference.relative))
    return tuple(found)


def _difference(name: str, ours: Array, theirs: Array) -> Difference:
    if ours.shape != theirs.shape:
        return Difference(name, np.inf, 0.0)
    a, b = np.atleast_1d(ours.astype(np.float64)), np.atleast_1d(np.asarray(theirs).astype(np.float64))
    apart = np.abs(a - b)
    apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0  # equal infinities, and NaN in both
    apart[np.isnan(apart)] = np.inf
    finite = np.abs(b[np.isfinite(b)])
    return Difference(name, float(apart.max(initial=0.0)), float(finite.max(initial=0.0)))


# ---- Quantised weights ----


class OutputError:
    """Measures how far outputs move when weights are quantised: the float model's outputs on synthetic inputs.

    Parameters
    ----------
    graph : Graph
        Not yet quantised.
    model : Model
        The model made of it.
    """

    def __init__(self, graph: Graph, model: Model) -> None:
        self._trials = list(Trials(graph, model))

    def of(self, model: Model) -> tuple[OutputChange, ...]:
        """Run the quantised model on the same inputs.

        Parameters
        ----------
        model : Model
            The quantised model.

        Returns
        -------
        tuple of OutputChange
            One for each output of floats; none if no inputs were found that the model runs with.
        """
        after = [model.run(trial.inputs) for trial in self._trials]
        floats = [name for name, array in self._trials[0].outputs.items() if array.dtype.kind == "f"] if after else []
        return tuple(
            _change(name, [trial.outputs[name] for trial in self._trials], [run[name] for run in after])
            for name in floats
        )


def _change(name: str, before: list[Array], after: list[Array]) -> OutputChange:
    exact = np.concatenate([array.ravel() for array in before]).astype(np.float64)
    moved = np.abs(np.concatenate([array.ravel() for array in after]) - exact)
    largest, scale = float(moved.max(initial=0.0)), float(np.abs(exact).max(initial=0.0))
    noise = float(np.square(moved).sum())
    snr = 10 * np.log10(np.square(exact).sum() / noise) if noise and scale else np.inf if not noise else -np.inf
    return OutputChange(name, largest, largest / scale if scale else largest, float(snr))


# ---- Frame by frame ----

_STEPS = 7


def check_stream(graph: Graph, model: Model) -> StreamCheck:
    """Compare a stream with the model run otherwise, byte by byte.

    State kept inside layers: a run over all steps must equal frame by frame, and frames of several steps. State
    carried from outputs to inputs: a stream must equal runs whose states are handed on by hand.

    Parameters
    ----------
    graph : Graph
        What the model was made of.
    model : Model
        The model.

    Returns
    -------
    StreamCheck
        The comparison.
    """
    found = StreamCheck(0, False, "no inputs were found that the model runs with")
    for trial in Trials(graph, model):
        controls = {name: trial.inputs[name] for name in model.control_inputs}
        try:
            stream = model.stream(freeze=controls)
        except Error as error:
            found = found if found.passed else StreamCheck(0, False, str(error))
            continue
        found = (_check_bound if model.bindings else _check_unbound)(model, stream, trial.inputs)
        if not found.passed:
            break
    return found


def _check_bound(model: Model, stream: Stream, inputs: Arrays) -> StreamCheck:
    """The trial's inputs are one frame; each step gets other values."""
    if not stream.inputs:
        return StreamCheck(0, False, "every input is bound as state: a step takes no frame")
    rng = np.random.default_rng(1)
    state = stream.state
    for _ in range(_STEPS):
        frame = {name: _shuffled(inputs[name], rng) for name in stream.inputs}
        whole = model.run({**inputs, **frame, **state})
        steps = _several(stream.step(*frame.values()))
        if not all(_same(whole[name], step) for name, step in zip(stream.outputs, steps)):
            return StreamCheck(_STEPS, False, "a stream differs from runs whose states are handed on by hand")
        state = {before: whole[after] for before, after in model.bindings.items()}
    return StreamCheck(_STEPS, True, "a stream equals runs whose states are handed on by hand")


def _check_unbound(model: Model, stream: Stream, inputs: Arrays) -> StreamCheck:
    axes = dict(zip(stream.inputs, stream.time_axes))
    rng = np.random.default_rng(1)
    long = {name: _repeated(inputs[name], axis, rng) for name, axis in axes.items()}
    try:
        whole = model.run({**inputs, **long})
    except Error as error:
        return StreamCheck(0, False, f"the model cannot be run over {_STEPS} steps: {error}")
    for sizes in ([1] * _STEPS, [3, 1, _STEPS - 4]):
        stream.reset()
        frames = [_cut(array, axes[name], sizes) for name, array in long.items()]
        steps = [_several(stream.step(*frame)) for frame in zip(*frames)]
        for i, name in enumerate(stream.outputs):
            if not _same_in_time(whole[name], [step[i] for step in steps]):
                return StreamCheck(_STEPS, False, f"output {name!r} differs when frames are of {sizes} steps")
    return StreamCheck(_STEPS, True, "frame by frame equals the whole")


def _shuffled(array: Array, rng: np.random.Generator) -> Array:
    return np.ascontiguousarray(rng.permutation(array.reshape(-1)).reshape(array.shape))


def _repeated(array: Array, axis: int | None, rng: np.random.Generator) -> Array:
    """Make of an input one of `_STEPS` along its time axis, the elements dealt out anew."""
    if axis is None:
        return array
    return _shuffled(np.repeat(array.take([0], axis), _STEPS, axis), rng)


def _cut(array: Array, axis: int | None, sizes: list[int]) -> list[Array]:
    if axis is None:
        return [array] * len(sizes)
    return [np.ascontiguousarray(part) for part in np.split(array, np.cumsum(sizes)[:-1], axis)]


def _same_in_time(whole: Array, steps: list[Array]) -> bool:
    """An output has time along an axis, or is what holds after the last step."""
    if _same(whole, steps[-1]):
        return True
    axes = [axis for axis in range(whole.ndim) if sum(step.shape[axis] for step in steps) == whole.shape[axis]]
    return any(_same(whole, np.concatenate(steps, axis)) for axis in axes)


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _several(found: Any) -> tuple[Array, ...]:
    return found if isinstance(found, tuple) else (found,)
