"""Finds which outputs of a model are the next step's inputs.

A stream that feeds back the wrong output is wrong without a sign of it, so a pair is bound only when its names belong
to state, its dtype and shape agree, and neither of the two could belong to anything else.
"""

from __future__ import annotations

import re

from .graph import Graph, Port, Shape, Value

# What names of state are made of. `h0` and `hidden_2` are state; `x`, `audio` and `input` are not.
_STATE = re.compile(
    r"""(^|.*[_./])
        (state|states|hidden|cell|h|c|hc|hx|cx|hs|cs|h_state|c_state|rnn|lstm|gru
         |cache|caches|mem|memory|memories|carry|buffer|buf|ctx|context|past|kv)
        (_?\d+)?([_./][a-z0-9]+)*$""",
    re.VERBOSE,
)
# Outputs that are called like a layer are what the layer gives, not its state: Keras names them so.
_LAYER = re.compile(r"(.*[_./])?(lstm|gru|rnn)(_?\d+)?")
_TIME = re.compile(r"(.*_)?(t|time|seq|sequence|steps?|frames?|length|len|samples)(_.*)?$", re.IGNORECASE)
# Marks that say "before the step" and "after the step". A pair with both kinds is state whatever its stem.
_BEFORE_PREFIX = ("past_", "prev_", "previous_", "old_", "last_", "initial_", "init_")
_BEFORE_SUFFIX = ("_prev", "_previous", "_past", "_old", "_init", "_initial", "_tm1")
_AFTER_PREFIX = ("present_", "new_", "next_", "final_", "updated_", "cur_", "current_")
_AFTER_SUFFIX = ("_new", "_next", "_present", "_final", "_updated", "_last")
# Marks that an ordinary input or output may carry too: they need a stem of state.
_IN_AFFIXES = (("in_", "input_"), ("_in", "_input", "0", "_0", "_i"))
_OUT_AFFIXES = (("out_", "output_"), ("_out", "_output", "n", "_n", "_o", "1", ".1"))


def find_bindings(graph: Graph) -> list[tuple[Value, Value]]:
    """Find the pairs of input and output that carry state from step to step.

    Parameters
    ----------
    graph : Graph
        Its inputs and outputs must have their final names and shapes.

    Returns
    -------
    list of (Value, Value)
        Input and output, in the order of the inputs.

    Examples
    --------
    >>> from lstm_rt.converters.graph import DType
    >>> graph = Graph()
    >>> state = graph.add_input("state", DType.FLOAT32, (1, 8))
    >>> (out,) = graph.add_op(graph.main, "Relu", "r", [state], ["stateN"])
    >>> graph.add_output(out, DType.FLOAT32, (1, 8))
    >>> find_bindings(graph) == [(state, out)]
    True
    """
    pairs = [
        (before, after)
        for before in graph.inputs
        for after in graph.outputs
        if is_sized(before) and names_match(graph.name(before), graph.name(after)) and fits(before, after)
    ]
    if len(pairs) == len(graph.inputs):  # something must be left to feed
        return []
    befores = [before.value for before, _ in pairs]
    afters = [after.value for _, after in pairs]
    return [
        (before.value, after.value)
        for before, after in pairs
        if befores.count(before.value) == 1 and afters.count(after.value) == 1
    ]


def fits(before: Port, after: Port) -> bool:
    """Tell whether an output can be fed to an input, as far as both are declared.

    Parameters
    ----------
    before, after : Port
        The input and the output.

    Returns
    -------
    bool
        True where dtypes agree and so do shapes, a free dim agreeing with any.
    """
    return (
        before.value != after.value
        and before.dtype == after.dtype
        and before.shape is not None
        and after.shape is not None
        and _shapes_agree(before.shape, after.shape)
    )


def is_sized(port: Port) -> bool:
    """Tell whether only the batch of an input is free: a state has no time of any length.

    Parameters
    ----------
    port : Port
        The input.

    Returns
    -------
    bool
        False if two dims are free, or one that is named like a time axis.
    """
    free = [axis for axis, dim in enumerate(port.shape or ()) if dim is None]
    names = [port.dim_names[axis] for axis in free] if port.dim_names else []
    return len(free) < 2 and not any(_TIME.match(name) for name in names)


def _shapes_agree(one: Shape, other: Shape) -> bool:
    return len(one) == len(other) and all(a is None or b is None or a == b for a, b in zip(one, other))


def names_match(before: str, after: str) -> bool:
    """Tell whether the names of an input and an output are those of one state, before a step and after it.

    Parameters
    ----------
    before, after : str
        The names.

    Returns
    -------
    bool
        True for ``h0`` and ``hn``, ``past`` and ``present``, and the like.
    """
    before, after = _snake(before), _snake(after)
    marked_before = _stripped(before, _BEFORE_PREFIX, _BEFORE_SUFFIX)
    marked_after = _stripped(after, _AFTER_PREFIX, _AFTER_SUFFIX)
    if marked_before & marked_after:
        return True
    stems_before = {before} | marked_before | _stripped(before, *_IN_AFFIXES)
    stems_after = ({after} if not _LAYER.fullmatch(after) else set()) | marked_after | _stripped(after, *_OUT_AFFIXES)
    return any(_STATE.match(stem) for stem in stems_before & stems_after)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _stripped(name: str, prefixes: tuple[str, ...], suffixes: tuple[str, ...]) -> set[str]:
    """What is left of a name without one prefix, or without one suffix, of those given."""
    stems = {name[len(prefix) :] for prefix in prefixes if name.startswith(prefix)}
    stems |= {name[: -len(suffix)] for suffix in suffixes if name.endswith(suffix)}
    return stems - {""}
