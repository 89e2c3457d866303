"""What a conversion did: which part of the source became what, what streams, how near it is to the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

import numpy.typing as npt

from lstm_rt.errors import Error

if TYPE_CHECKING:
    from lstm_rt.checks import OutputChange, SourceCheck, StreamCheck
    from lstm_rt.converters import Graph
    from lstm_rt.model import Model


@dataclass(frozen=True)
class Part:
    """One part of the source model and what it became.

    Attributes
    ----------
    name : str
        As the source calls it.
    kind : str
        Of what kind it is there: an ONNX operator, a Keras layer, a PyTorch operation.
    ops : tuple of str
        The ops of the model file, in order; none where it changes nothing, or was known beforehand.
    """

    name: str
    kind: str
    ops: tuple[str, ...]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes
    ----------
    file, framework : str
        Where the model came from; empty where unknown.
    parts : tuple of Part
        What was mapped to what, in the order of the source.
    notes : tuple of str
        What the converter took for granted, or left out.
    check : SourceCheck or None
        The comparison with the source framework, where it was asked for.
    stream_check : StreamCheck or None
        The comparison of frame by frame with the whole, where it was asked for.
    quantized : tuple of OutputChange
        How far quantised weights move each output; empty if nothing was quantised, or it was not measured.
    proposal : mapping of str to str
        Inputs that may be states and the values inside the model that may be their next ones, which one output
        concatenates. Convert again with ``bind=`` if they are. Empty if something is bound, or nothing was found.
    """

    file: str
    framework: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    check: Optional[SourceCheck] = None
    stream_check: Optional[StreamCheck] = None
    quantized: tuple[OutputChange, ...] = ()
    proposal: Mapping[str, str] = field(default_factory=dict)


def report_on(
    graph: Graph,
    check: SourceCheck | None = None,
    stream_check: StreamCheck | None = None,
    quantized: tuple[OutputChange, ...] = (),
    proposal: Mapping[str, str] | None = None,
) -> Conversion:
    """Report on the conversion that made a graph.

    Parameters
    ----------
    graph : Graph
        As the converter left it.
    check : SourceCheck, optional
        What comparing with the source gave.
    stream_check : StreamCheck, optional
        What comparing frames with the whole gave.
    quantized : tuple of OutputChange, optional
        What quantising did to the outputs.
    proposal : mapping of str to str, optional
        Inputs and values that may be bound.

    Returns
    -------
    Conversion
        The report.
    """
    return Conversion(
        graph.source.file,
        graph.source.framework,
        tuple(Part(part.name, part.kind, tuple(part.ops)) for part in graph.parts),
        tuple(graph.notes),
        check,
        stream_check,
        quantized,
        proposal or {},
    )


@dataclass(frozen=True)
class Streaming:
    """Whether and how a model streams.

    Attributes
    ----------
    streams : bool or None
        None where it depends on inputs that were not given.
    how : str
        What keeps the state; where it does not stream, why; where that is unknown, what to give.
    takes, gives : tuple of str
        Inputs and outputs of a step.
    """

    streams: Optional[bool]
    how: str
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()


def streaming_of(model: Model, frozen: Mapping[str, npt.NDArray[Any]]) -> Streaming:
    """Find out whether and how a model streams.

    Parameters
    ----------
    model : Model
        The model.
    frozen : mapping of str to numpy.ndarray
        Inputs that stay the same at every step.

    Returns
    -------
    Streaming
        The answer.
    """
    missing = [name for name in model.control_inputs if name not in frozen]
    if missing:
        return Streaming(None, f"add {' '.join(f'--freeze {name}=VALUE' for name in missing)} to see")
    from lstm_rt.proposals import as_options, propose

    proposal = propose(model)
    try:
        stream = model.stream(freeze=frozen, bind=model.bindings)
    except Error as error:
        return Streaming(False, f"{error}\n{as_options(proposal)}".rstrip())
    how = "state carried from outputs to inputs" if model.bindings else "state kept inside its layers"
    how += f". {as_options(proposal)}" if proposal else ""
    return Streaming(True, how, tuple(stream.inputs), tuple(stream.outputs))
