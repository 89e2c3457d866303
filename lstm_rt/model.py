"""`Model`: a loaded model, run whole or opened as streams and pools."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

import numpy as np

from lstm_rt import _core, hints
from lstm_rt._pool import Pool, open_pool
from lstm_rt._stream import Stream, open_stream
from lstm_rt.arguments import as_integer, as_shape
from lstm_rt.arrays import Array, as_array
from lstm_rt.errors import ArgumentError, ModelFileError, ShapeError, UnsupportedModelError, require_file
from lstm_rt.text import one_line

if TYPE_CHECKING:
    import numpy.typing as npt

    from lstm_rt.quantize import Report
    from lstm_rt.report import Conversion

_MAX_POOL = 1 << 20
_MAX_INT = 2**31 - 1  # of an int of the C API, which has a lower limit for threads of its own


class TensorInfo(NamedTuple):
    """An input or output of a model."""

    name: str
    shape: Optional[tuple[Optional[int], ...]]  # None for a free dim; None as a whole where the source did not say
    dtype: Optional[np.dtype[Any]]  # None where the source did not say
    dim_names: tuple[str, ...]  # "" for a dim without a name

    def __repr__(self) -> str:
        return f"<lstm_rt.TensorInfo: {_describe(self, self.dtype)}>"


class Call(NamedTuple):
    """Something left to do at run time, once what can be known beforehand has been computed."""

    type: str
    name: str
    shape: tuple[int, ...]  # of its first output
    macs: int  # multiply-adds of one run
    weight_bytes: int  # packed weights that it reads
    parameters: int
    precision: str  # of its weights: "float32", "int8", "uint8", "int8x16", "int4", "bf16"; "" where it has none


class Model:
    """A model, ready to run. Immutable, and safe to use from many threads.

    Parameters
    ----------
    source : path-like or bytes
        A ``.gguf`` file that `lstm_rt.convert` wrote, or its bytes. `lstm_rt.load` takes files of other kinds too.
    isa : str, optional
        The instruction set to use, one of `lstm_rt.available_isas`; that of `lstm_rt.isa` when left out.
    max_memory : int, optional
        The most bytes that running it for one set of shapes may take (packed weights, values computed beforehand, the
        arena and the outputs), and likewise one stream and one pool. More is refused with `OutOfMemoryError` before it
        is allocated. When left out 1 GiB, and 16 for each byte of the file, 1024 for each byte of the inputs and 64
        KiB for each stream of a pool.

    Raises
    ------
    ModelFileError
        If the file cannot be read or is damaged; the message says where. A missing file is a FileNotFoundError too.
    UnsupportedModelError
        If the model uses what this version does not have, or `isa` is not one of this machine.

    Examples
    --------
    >>> model = lstm_rt.Model("vad.gguf")  # doctest: +SKIP
    >>> y = model(x)  # doctest: +SKIP
    """

    def __init__(
        self,
        source: Union[str, os.PathLike[str], bytes],
        *,
        isa: Optional[str] = None,
        max_memory: Optional[int] = None,
    ) -> None:
        limit = 0 if max_memory is None else as_integer(max_memory, "max_memory")
        data = bytes(source) if isinstance(source, (bytearray, memoryview)) else source
        if not isinstance(data, bytes):
            require_file(data)
        self._core = _core.Model(data, isa, limit)
        self._inputs = tuple(map(_tensor_info, self._core.inputs()))
        self._outputs = tuple(map(_tensor_info, self._core.outputs()))
        try:
            self._hints = hints.of_metadata(self.metadata)
        except ValueError as error:
            raise ModelFileError(f"{data if not isinstance(data, bytes) else 'the model'}: {error}") from None
        self._conversion: Optional[Conversion] = None
        self._quantization: Optional[Report] = None

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What the model takes, in order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What the model gives, in order, as the source declared it."""
        return self._outputs

    @property
    def control_inputs(self) -> tuple[str, ...]:
        """Names of the inputs whose value decides shapes or branches, as a sample rate does."""
        return tuple(info.name for i, info in enumerate(self._inputs) if self._core.is_control(i))

    @property
    def bindings(self) -> dict[str, str]:
        """State that a stream carries from step to step: input name to output name."""
        return {self._inputs[i].name: self._outputs[o].name for i, o in self._core.bindings()}

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself: where it came from, what converted it."""
        return dict(self._core.metadata())

    @property
    def hints(self) -> dict[str, Union[int, float]]:
        """How the model is meant to be streamed: ``frame`` and ``context``, ``rate``, ``threshold``, if the file says.

        `stream` and the command line take them as defaults. They are given at conversion: ``convert(..., hints=...)``.
        """
        return dict(self._hints)

    @property
    def example(self) -> dict[str, Array]:
        """Inputs that the model runs with, by name: those of the first self-test in the file; empty if it has none."""
        return {info.name: array for info, array in zip(self._inputs, self._core.selftest_inputs())}

    @property
    def defaults(self) -> dict[str, Array]:
        """Values, by name, of the inputs that `run` may leave out; a stream starts bound states with them."""
        values = {info.name: self._core.input_default(i) for i, info in enumerate(self._inputs)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def isa(self) -> str:
        """The instruction set that this model runs with."""
        return self._core.isa()

    @property
    def parameters(self) -> int:
        """Number of float and quantised weights in the file."""
        return self._core.parameters()

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights in the file."""
        return self._core.weight_bytes()

    @property
    def conversion(self) -> Optional[Conversion]:
        """What was mapped to what, where this model was just converted. Files do not keep it."""
        return self._conversion

    @property
    def quantization(self) -> Optional[Report]:
        """What quantising did to each layer, where this model was just converted with it. Files do not keep it."""
        return self._quantization

    @property
    def packed_bytes(self) -> int:
        """Bytes of weights packed for the kernels so far: once for all runs, streams and pools of this model."""
        return self._core.packed_bytes()

    def __call__(self, *arrays: npt.ArrayLike, threads: int = 1, **named: npt.ArrayLike) -> Any:
        """Run the model on whole inputs.

        Parameters
        ----------
        *arrays : array_like
            Values for the first of `inputs`, in order, each of the declared shape and dtype.
        threads : int, default 1
            Number of cores that share the work, including the caller's. The bits are the same for every number.
        **named : array_like
            Values for further inputs, by name. State (the inputs of `bindings`) that is not given starts as zeros, as
            in `stream`.

        Returns
        -------
        numpy.ndarray or tuple of numpy.ndarray
            One array for each of `outputs`, in order.

        Raises
        ------
        ArgumentError
            If an input is missing, unknown or given twice.
        ShapeError
            If an array does not fit.
        UnsupportedModelError
            If the model cannot run with inputs of these shapes.

        Examples
        --------
        >>> probability, state = model(frame, sr=16000)  # doctest: +SKIP
        """
        if len(arrays) > len(self._inputs):
            names = ", ".join(info.name for info in self._inputs)
            raise ArgumentError(f"the model takes {len(self._inputs)} arrays ({names}), {len(arrays)} were given")
        inputs = {info.name: array for info, array in zip(self._inputs, arrays)}
        twice = sorted(inputs.keys() & named.keys())
        if twice:
            raise ArgumentError(f"{', '.join(twice)}: given both by position and by name. Give each input once")
        results = self._run(self._by_name({**inputs, **named}), threads)
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, inputs: Mapping[str, npt.ArrayLike], *, threads: int = 1) -> dict[str, Array]:
        """Run the model on whole inputs, by name.

        Parameters
        ----------
        inputs : mapping of str to array_like
            A value for every one of `inputs`. State (the inputs of `bindings`) that is not given starts as in `stream`:
            with its default if the source file has one, else as zeros. Other inputs with a default may be left out.
        threads : int, default 1
            Number of cores that share the work, including the caller's. The bits are the same for every number.

        Returns
        -------
        dict of str to numpy.ndarray
            Every one of `outputs`.

        Raises
        ------
        ArgumentError
            If a name is missing or unknown.
        ShapeError
            If an array does not fit.
        """
        results = self._run(self._by_name(inputs), threads)
        return {info.name: result for info, result in zip(self._outputs, results)}

    def _run(self, arrays: list[Array], threads: int) -> list[Array]:
        threads = as_integer(threads, "threads", most=_MAX_INT)
        return self._core.plan(arrays).run(arrays, threads)

    def _by_name(self, inputs: Mapping[str, npt.ArrayLike]) -> list[Array]:
        """Return one array per input, in order; absent ones take their default, and state without one zeros."""
        arrays = {
            info.name: as_array(inputs[info.name], info.name, info.dtype)
            for info in self._inputs
            if info.name in inputs
        }
        if len(arrays) < len(self._inputs) or len(inputs) != len(self._inputs):
            states = self.bindings
            # State whose default is zeros may have another batch than the default has.
            arrays.update(
                (name, value)
                for name, value in self.defaults.items()
                if name not in arrays and (name not in states or value.any())
            )
            absent = [info for info in self._inputs if info.name not in arrays]
            self._refuse_names(set(inputs), [info.name for info in absent if info.name not in states])
            arrays.update(self._zeros(absent, arrays))
        return [arrays[info.name] for info in self._inputs]

    def _zeros(self, states: Sequence[TensorInfo], given: Mapping[str, Array]) -> dict[str, Array]:
        """Make initial states. A free dim takes the size of the given inputs' dim of the same name, or 1."""
        sizes = {
            name: size
            for info in self._inputs
            if info.name in given and info.shape is not None
            for name, size in zip(info.dim_names, given[info.name].shape)
            if name
        }
        return {
            info.name: np.zeros(
                [sizes.get(name, 1) if dim is None else dim for dim, name in zip(info.shape or (), info.dim_names)],
                info.dtype or np.float32,
            )
            for info in states
        }

    def _refuse_names(self, given: set[str], missing: list[str]) -> None:
        """Raise ArgumentError if an input is missing or a name is unknown."""
        names = [info.name for info in self._inputs]
        unknown = sorted(given - set(names))
        if not unknown and not missing:
            return
        said = [f"unknown: {', '.join(unknown)}"] if unknown else []
        said += [f"missing: {', '.join(missing)}. Pass {missing[0]}=..."] if missing else []
        raise ArgumentError(f"the model's inputs are {', '.join(names)}; {'; '.join(said)}")

    def calls(self, inputs: Mapping[str, Union[npt.ArrayLike, Sequence[int]]]) -> list[Call]:
        """List what is left to do at run time for inputs of given shapes.

        Parameters
        ----------
        inputs : mapping of str to (tuple of int or array_like)
            A shape, as a tuple, or an array, for every input. Control inputs need an array or a number.

        Returns
        -------
        list of Call
            In the order in which they run.
        """
        arrays = {
            name: _zeros(value, self._info(name)) if isinstance(value, tuple) else value
            for name, value in inputs.items()
        }
        planned = self._core.plan(self._by_name(arrays)).calls()
        return [Call(call[0], call[1], tuple(call[2]), *call[3:]) for call in planned]

    def _info(self, name: str) -> TensorInfo:
        for info in self._inputs:
            if info.name == name:
                return info
        raise ArgumentError(f"the model has no input '{name}'. It has {', '.join(i.name for i in self._inputs)}")

    def stream(
        self,
        *,
        bind: Optional[Mapping[str, str]] = None,
        freeze: Optional[Mapping[str, npt.ArrayLike]] = None,
        batch: int = 1,
        threads: int = 1,
        strict: bool = False,
        context: Optional[int] = None,
    ) -> Stream:
        """Open a stream: the model stepped frame by frame, its state kept.

        State is explicit, carried from an output to an input of the model, where such pairs are known (`bindings`) or
        given; else implicit: the initial states that recurrent layers were not given, or were given as zeros. Then the
        model is proved to give frame by frame what it gives whole.

        Parameters
        ----------
        bind : mapping of str to str, optional
            Input name to output name, in place of `bindings`.
        freeze : mapping of str to array_like, optional
            Inputs that stay the same at every step. Needed for `control_inputs`, but for a sample rate that `hints`
            give.
        batch : int, default 1
            Size of the free dims of states.
        threads : int, default 1
            Number of cores that share the work, including the caller's. The bits are the same for every number.
        strict : bool, default False
            Refuse frames whose shape differs from that of the first step. A new shape must be planned, which
            allocates memory; a real-time caller would rather have an error.
        context : int, optional
            Samples that the model takes again before each frame, as Silero VAD takes 64. The stream keeps them: `step`
            takes the new samples only. They start as zeros, and are part of the state. That of `hints` if left out, in
            frames of ``hints["frame"]`` samples; 0 for frames that hold their own context.

        Returns
        -------
        Stream
            A stream before its first step.

        Raises
        ------
        UnsupportedModelError
            If frame by frame cannot equal the whole; the message names the nodes and says why.
        ArgumentError
            If a name is unknown or bound twice, or a control input is not frozen.

        Examples
        --------
        >>> stream = model.stream(freeze={"sr": 16000})  # doctest: +SKIP
        """
        batch = as_integer(batch, "batch")
        threads = as_integer(threads, "threads", most=_MAX_INT)
        frame = self._hints.get("frame", 0) if context is None else 0
        if context is None:
            context = int(self._hints.get("context", 0))
        context = as_integer(context, "context", least=0, most=hints.MAX_SAMPLES)
        handle, pairs, frozen = self._core.handle(), self._pairs(bind), self._frozen(freeze)
        try:
            return open_stream(self, handle, pairs, frozen, batch, threads, strict, context, int(frame))
        except UnsupportedModelError as error:
            from lstm_rt.proposals import as_argument, propose

            proposal = {} if bind is not None else propose(self)
            if not proposal:
                raise
            inner = not set(proposal.values()) <= {port.name for port in self._outputs}
            raise UnsupportedModelError(f"{error}\n{as_argument(proposal, inner)}") from None

    def pool(
        self,
        capacity: int = 64,
        *,
        bind: Optional[Mapping[str, str]] = None,
        freeze: Optional[Mapping[str, npt.ArrayLike]] = None,
        threads: int = 1,
        context: Optional[int] = None,
    ) -> Pool:
        """Make a pool: many independent streams, stepped in any subset as one batch.

        Every stream gives the bits it would give alone, opened by `stream`.

        Parameters
        ----------
        capacity : int, default 64
            How many streams can be open at once.
        bind : mapping of str to str, optional
            Input name to output name, in place of `bindings`.
        freeze : mapping of str to array_like, optional
            Inputs that stay the same at every step. Needed for `control_inputs`.
        threads : int, default 1
            Cores that share the work, the caller's with them. The bits are the same for every number.
        context : int, optional
            Only 0: a pool keeps no context, so the frames of a model whose `hints` have one must hold it.

        Returns
        -------
        Pool
            A pool with no stream open.

        Raises
        ------
        UnsupportedModelError
            If the model cannot be streamed, or an input, output or state has no batch axis; the message says which.
        ArgumentError
            If a name is unknown or bound twice, a control input is not frozen, or the capacity is out of range.

        Examples
        --------
        >>> pool = model.pool(capacity=8, freeze={"sr": 16000})  # doctest: +SKIP
        >>> ids = [pool.open() for _ in range(3)]  # doctest: +SKIP
        >>> y = pool.step(ids, frames)  # doctest: +SKIP
        """
        capacity = as_integer(capacity, "capacity", most=_MAX_POOL)
        threads = as_integer(threads, "threads", most=_MAX_INT)
        if (self._hints.get("context", 0) if context is None else context) != 0:
            raise ArgumentError(
                f"a pool keeps no context, and this model takes {self._hints.get('context', context)} samples of it "
                "before each frame. Give frames that hold them, and pass context=0"
            )
        return open_pool(self, self._core.handle(), self._pairs(bind), self._frozen(freeze), capacity, threads)

    def _pairs(self, bind: Optional[Mapping[str, str]]) -> Optional[list[tuple[int, int]]]:
        if bind is None:
            return None
        inputs, outputs = ([info.name for info in infos] for infos in (self._inputs, self._outputs))
        return [(_index(inputs, i, "input"), _index(outputs, o, "output")) for i, o in bind.items()]

    def _frozen(self, freeze: Optional[Mapping[str, npt.ArrayLike]]) -> dict[int, Array]:
        names = [info.name for info in self._inputs]
        given = {**self._hinted_rates(freeze or {}), **(freeze or {})}
        return {
            _index(names, name, "input"): as_array(value, name, self._info(name).dtype) for name, value in given.items()
        }

    def _hinted_rates(self, given: Mapping[str, npt.ArrayLike]) -> dict[str, npt.ArrayLike]:
        """Return the hinted rate for control inputs that take one; refuse a value that contradicts it."""
        rate = self._hints.get("rate")
        if rate is None:
            return {}
        for name, value in hints.rate_among(given).items():
            if value != rate:
                raise ArgumentError(
                    f"freeze {name}={value:g} contradicts the model's hint rate={rate:g}. Convert it again with hints "
                    "for that rate"
                )
        return {
            info.name: np.full([dim or 1 for dim in info.shape or ()], rate, info.dtype)
            for info in self._inputs
            if info.name in self.control_inputs and hints.is_rate(info.name)
        }

    def verify(self) -> int:
        """Replay the self-tests held in the file: the same inputs must give the same bytes.

        Returns
        -------
        int
            How many there are; 0 where the file has none.

        Raises
        ------
        StateError
            If an output differs; the message says which and by how much.
        """
        return self._core.verify()

    def _repr_html_(self) -> str:
        from lstm_rt.tables import html_table  # imports half a megabyte of HTML entities

        kinds = [("input", info) for info in self._inputs] + [("output", info) for info in self._outputs]
        rows = [(kind, _describe(info), str(info.dtype or "")) for kind, info in kinds]
        return html_table(("port", "name and shape", "dtype"), rows)

    def __reduce__(self) -> Any:
        raise TypeError("a Model cannot be pickled. Keep the path of its file, and load it where it is needed")

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(_describe, infos)) for infos in (self._inputs, self._outputs))
        return f"<lstm_rt.Model: {inputs} -> {outputs}; {self.isa}>"


def _tensor_info(port: tuple[str, str, Optional[list[int]], list[str]]) -> TensorInfo:
    name, dtype, dims, dim_names = port
    shape = None if dims is None else tuple(None if dim < 0 else dim for dim in dims)
    return TensorInfo(name, shape, np.dtype(dtype) if dtype else None, tuple(dim_names))


def _describe(info: TensorInfo, dtype: Optional[np.dtype[Any]] = None) -> str:
    """Write a port as ``x: float32[batch, time, 40]``; a free dim without a name is ``?``."""
    if info.shape is None:
        return one_line(info.name)
    dims = [n or "?" if dim is None else str(dim) for dim, n in zip(info.shape, info.dim_names)]
    return one_line(f"{info.name}{f': {dtype}' if dtype else ''}[{', '.join(dims)}]")


def _zeros(shape: Sequence[int], info: TensorInfo) -> Array:
    try:
        return np.zeros(as_shape(shape, info.name), info.dtype)
    except ValueError as error:  # more elements than an array can have
        raise ShapeError(f"Input {info.name!r}: {shape} is too large: {error}.") from None


def _index(names: list[str], name: str, kind: str) -> int:
    if name not in names:
        raise ArgumentError(f"the model has no {kind} '{name}'. It has {', '.join(names)}")
    return names.index(name)
