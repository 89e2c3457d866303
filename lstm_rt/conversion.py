"""`convert` and `load`: from a file of any kind to a `Model`. A ``.gguf`` file goes straight to the core."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy.typing as npt

import lstm_rt._core
from lstm_rt.errors import (
    ArgumentError,
    CheckError,
    Error,
    MissingPackageError,
    UnsupportedModelError,
    file_access_error,
    require_file,
)
from lstm_rt.files import open_regular, path_text
from lstm_rt.text import printable

if TYPE_CHECKING:
    from onnx import ModelProto

    from lstm_rt.converters import Graph
    from lstm_rt.model import Model
    from lstm_rt.quantize import Choice
    from lstm_rt.report import Conversion

    Source = Union[str, "os.PathLike[str]", bytes, "ModelProto", object]

_GGUF_MAGIC = b"GGUF"


def convert(
    source: Source,
    path: str | os.PathLike[str] | None = None,
    *,
    bind: Mapping[str, str] | None = None,
    freeze: Mapping[str, npt.ArrayLike] | None = None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    quantize: Choice | None = None,
    hints: Mapping[str, float] | None = None,
    selftest: bool = True,
    check: bool | None = None,
    check_stream: bool = False,
    max_read_bytes: int | None = None,
    **options: Any,
) -> Model:
    """Convert a model of another framework, and load it.

    Parameters
    ----------
    source : path-like, bytes or model
        What to convert. The content of a file says what it is; bytes are those of an ONNX model; a model in memory is
        an ``onnx.ModelProto`` or one that `from_keras` or `from_torch` takes.
    path : path-like, optional
        Where to write the ``.gguf`` file. It appears whole or not at all. Not written when left out. An existing file
        that is no ``.gguf`` file is never overwritten.
    bind : mapping of str to str, optional
        Input name to output name: state that a stream carries from step to step, in place of the pairs that are
        found by name (``state`` and ``stateN``, ``h0`` and ``hn``). ``{}`` for none. The name of a value inside the
        model makes this value an output: one of several states that the model concatenates into one output.
    freeze : mapping of str to array_like, optional
        Inputs that are fixed to a value for good (``{"sr": 16000}``) and stop being inputs.
    shapes : mapping of str to sequence of (int or None), optional
        Shapes of inputs, None where free. A named dim that is fixed is fixed in every input that has it.
    quantize : str or mapping of str to str, optional
        Weights as ``"int8"``, ``"int8x16"`` (with 16-bit activations), ``"int4"`` or ``"bf16"``, in every layer where
        that is possible and worth it; or one of these, or ``"float32"``, for each pattern of layer names, as in
        ``{"*": "int8", "head*": "float32"}``: the last that matches a layer counts. `Model.quantization` says what was
        done.
    hints : mapping of str to number, optional
        How the model is meant to be streamed, kept in the file: ``frame`` and ``context``, the new samples of a step
        and those before them that the model takes again; ``rate``, samples a second, which is also that of a frozen
        ``sr``; ``threshold``, from which an output counts as an event. `Model.stream` and ``lstm-rt`` take them as
        defaults.
    selftest : bool, default True
        Run the model on a few inputs and keep inputs and outputs in the file, for ``lstm-rt verify``.
    check : bool, optional
        Compare with what the source's own framework computes, before weights are quantised. When left out, models in
        memory of PyTorch and Keras are compared, since their framework is loaded anyway, and files are not. False skips
        the comparison. ``model.conversion.check`` reports
        the differences, and ``model.conversion.quantized`` how far quantised weights move the outputs.
    check_stream : bool, default False
        Compare frame by frame with the whole. ``model.conversion.stream_check`` says whether every byte is equal.
    max_read_bytes : int, optional
        The most bytes of memory that reading the source may take. The default is 16 times the size of its files plus
        256 MiB: a file that needs more is damaged, or was made to fill the memory.
    **options : Any
        What the converter of this kind of source takes besides: see `from_keras` and `from_torch`.

    Returns
    -------
    Model
        The converted model.

    Raises
    ------
    MissingPackageError
        If a package that the converter needs is not installed.
    UnsupportedModelError
        If parts of the model cannot run; the message lists all of them.
    ModelFileError
        If the source is damaged.
    ArgumentError
        If an option names what the model does not have.
    ShapeError
        If an option contradicts the shapes that the model declares.
    QuantizationError
        If a layer cannot be quantised as asked.
    CheckError
        If the model differs from its source, or frame by frame from the whole. No file is written. ``error.report`` is
        the report of the conversion.
    FileAccessError
        If the source cannot be opened; a missing file is a FileNotFoundError too.

    Warns
    -----
    UserWarning
        If no shapes were found that the model runs with, so that the file has no self-test; if ``check=True`` and the
        source cannot be run, so that nothing was compared.

    Examples
    --------
    >>> model = lstm_rt.convert("vad.onnx", "vad.gguf")  # doctest: +SKIP
    >>> model = lstm_rt.convert("vad.onnx", freeze={"sr": 16000})  # doctest: +SKIP
    >>> model = lstm_rt.convert("vad.onnx", quantize={"*": "int8", "head*": "bf16"})  # doctest: +SKIP
    """
    with _budget(max_read_bytes):
        job = _Job(source, options, bind=bind, freeze=freeze, shapes=shapes, hints=hints)
    if path is not None:
        _refuse_target(path, source)
    job.compare(check)
    model = job.finish(quantize, selftest=selftest, measure=check is not False)
    if check_stream:
        job.compare_stream(model)
    if path is not None:
        model = job.write(path, model)
    job.close()
    return model


def load(
    source: Source,
    *,
    isa: str | None = None,
    max_memory: int | None = None,
    bind: Mapping[str, str] | None = None,
    freeze: Mapping[str, npt.ArrayLike] | None = None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    quantize: Choice | None = None,
    max_read_bytes: int | None = None,
    selftest: bool = False,
    **options: Any,
) -> Model:
    """Load a model; one that is not a ``.gguf`` file is converted on the way.

    Parameters
    ----------
    source : path-like, bytes or model
        A ``.gguf`` file or its bytes, or anything that `convert` takes.
    isa : str, optional
        The instruction set to use; the best of this machine when left out.
    max_memory : int, optional
        The most bytes that running it may take, as for `Model`.
    bind, freeze, shapes, quantize, max_read_bytes : optional
        As for `convert`. Not for a ``.gguf`` file, which has them in it.
    selftest : bool, default False
        Make self-tests as `convert` does, so that `Model.example` has inputs that the model runs with. A ``.gguf``
        file has its own or none.
    **options : Any
        As for `convert`. Not for a ``.gguf`` file.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ArgumentError
        If an option of conversion is given for a ``.gguf`` file.
    Error
        Whatever `convert` and `Model` raise.

    Examples
    --------
    >>> model = lstm_rt.load("vad.gguf")  # doctest: +SKIP
    """
    if not is_gguf(source):
        with _budget(max_read_bytes):
            job = _Job(source, options, bind=bind, freeze=freeze, shapes=shapes)
        job.compare(None)
        model = job.finish(quantize, selftest=selftest, strict=False, measure=False, isa=isa, max_memory=max_memory)
        job.close()
        return model
    given = {"bind": bind, "freeze": freeze, "shapes": shapes, "quantize": quantize, **options}
    given["max_read_bytes"] = max_read_bytes
    useless = [name for name, option in given.items() if option is not None]
    if useless:
        raise ArgumentError(
            f"{', '.join(useless)}: for models that are converted; a .gguf file has been. Give this to lstm_rt.convert."
        )
    return _model(source, isa=isa, max_memory=max_memory)


def from_keras(source: Source, path: str | os.PathLike[str] | None = None, **options: Any) -> Model:
    """Convert a Keras model, and load it.

    Parameters
    ----------
    source : path-like or keras.Model
        A ``.keras``, ``.h5``, ``.hdf5`` or ``.weights.h5`` file, or a model of Keras 3 in memory.
    path : path-like, optional
        Where to write the ``.gguf`` file.
    **options : Any
        Those of `convert` and of `lstm_rt.converters.from_keras`.

    Returns
    -------
    Model
        The converted model.

    Examples
    --------
    >>> model = lstm_rt.from_keras("names.h5")  # doctest: +SKIP
    """
    return convert(source, path, **options)


def from_torch(
    source: Source, example_inputs: Any = None, path: str | os.PathLike[str] | None = None, **options: Any
) -> Model:
    """Convert a PyTorch module, exported program, or file, and load it.

    Parameters
    ----------
    source : path-like, torch.nn.Module or torch.export.ExportedProgram
        A module needs `example_inputs`; a ``.pt``, ``.pth`` or ``.safetensors`` file of weights may need a `recipe`.
    example_inputs : tuple of torch.Tensor, optional
        What the module is called with to see what it does.
    path : path-like, optional
        Where to write the ``.gguf`` file.
    **options : Any
        Those of `convert` and of `lstm_rt.converters.from_torch`.

    Returns
    -------
    Model
        The converted model.

    Examples
    --------
    >>> model = lstm_rt.from_torch(module.eval(), (torch.zeros(1, 50, 40),))  # doctest: +SKIP
    """
    return convert(source, path, example_inputs=example_inputs, **options)


def is_gguf(source: Source) -> bool:
    """Tell whether a source is a model file: by its first bytes, else by its name.

    Parameters
    ----------
    source : path-like, bytes or object
        As for `convert`.

    Returns
    -------
    bool
        False for every source that must be converted.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source[:4]) == _GGUF_MAGIC
    if not isinstance(source, (str, os.PathLike)):
        return False
    # The content decides, so that no file is taken for what its name says. A missing file goes by its name.
    path = Path(path_text(source))
    if path.exists() and not path.is_dir():
        with open_regular(path) as file:
            head = file.read(len(_GGUF_MAGIC))
        if head == _GGUF_MAGIC:
            return True
        if path.suffix.lower() == ".gguf":
            from lstm_rt.converters.sniff import kind_of_file

            return not kind_of_file(path)
    return path.suffix.lower() == ".gguf"


def _budget(max_read_bytes: int | None) -> AbstractContextManager[object]:
    from lstm_rt.converters.budget import Budget

    return Budget(max_read_bytes).use()


def _refuse_target(path: str | os.PathLike[str], source: Source) -> None:
    """Refuse a target that would destroy something, or whose name says that it holds another format."""
    from lstm_rt.converters import extensions
    from lstm_rt.targets import refuse_loss

    refuse_loss(path, [source] if isinstance(source, (str, os.PathLike)) else [], ".gguf")
    suffix = Path(path).suffix.lower()
    if suffix in extensions():
        raise ArgumentError(
            f"{os.fspath(path)}: a converted model is a .gguf file, and {suffix} means another format. "
            f"Write to {Path(path).with_suffix('.gguf').name}."
        )


def _model(source: Any, **how: Any) -> Model:
    from lstm_rt.model import Model

    return Model(source, **how)


class _Job:
    """One conversion: the source, the graph made of it, and what can be said of both."""

    def __init__(
        self,
        source: Source,
        options: Mapping[str, Any],
        *,
        bind: Mapping[str, str] | None,
        freeze: Mapping[str, npt.ArrayLike] | None,
        shapes: Mapping[str, Sequence[int | None]] | None,
        hints: Mapping[str, float] | None = None,
    ) -> None:
        from lstm_rt.converters import Options

        if is_gguf(source):
            raise ArgumentError("This model is converted already: lstm_rt.load takes it as it is.")
        self._source = source
        self._options = {name: option for name, option in options.items() if option is not None}
        self._converter = _converter(source, self._options)
        if isinstance(source, (str, os.PathLike)):
            require_file(source)
        self._checks: dict[str, Any] = {}  # of a report, by the names of its fields
        self.graph = self._read()
        # A frozen value is compared in the shape and dtype of the input, which the graph forgets.
        self._frozen_ports = {
            self.graph.name(port): port for port in self.graph.inputs if self.graph.name(port) in (freeze or {})
        }
        Options(bind=bind, freeze=freeze, shapes=shapes).apply(self.graph)
        self.graph.hints = _hints(hints or {}, freeze or {})

    def _read(self) -> Graph:
        try:
            graph: Graph = self._converter(self._source, **self._options)
        except OSError as error:
            if isinstance(error, Error):
                raise
            raise file_access_error(
                error, self._source if isinstance(self._source, (str, os.PathLike)) else None
            ) from None
        return graph

    def compare(self, check: bool | None) -> None:
        """Compare with the source framework, if requested or if the framework is loaded anyway."""
        if check is False or (check is None and not _is_live(self._source)):
            return
        from lstm_rt.checks import check_against_source

        frozen = {name: self.graph.weights[port.value] for name, port in self._frozen_ports.items()}
        model = _in_memory(self.graph)
        found = check_against_source(self.graph, model, self._converter, self._source, frozen, self._options)
        self._checks["check"] = found
        if found.runs and not found.passed:
            self._fail(found.summary())
        if check and not found.runs:
            warnings.warn(found.summary(), stacklevel=3)

    def compare_stream(self, model: Model) -> None:
        """Compare frame by frame with the whole."""
        from lstm_rt.checks import check_stream

        found = self._checks["stream_check"] = check_stream(self.graph, model)
        model._conversion = self.report()
        if found.steps and not found.passed:
            self._fail(f"frame by frame does not equal the whole: {found.how}")

    def _fail(self, what: str) -> None:
        error = CheckError(f"{what} No file was written. To convert without this check, leave it out or pass False.")
        error.report = self.report()
        raise error

    def finish(
        self, quantize: Choice | None, *, selftest: bool, measure: bool, strict: bool = True, **how: Any
    ) -> Model:
        """Quantise the graph if requested, add self-tests if requested, and load the model.

        A strict caller is told if there can be no self-test.
        """
        if not self.graph.bindings:
            self._checks["proposal"] = _proposal(self.graph)
        model = _in_memory(self.graph, **how)
        if quantize is not None:
            from lstm_rt.checks import OutputError
            from lstm_rt.quantize import quantize_graph

            before = OutputError(self.graph, model) if measure else None
            report = quantize_graph(self.graph, quantize)
            model = _in_memory(self.graph, **how)
            model._quantization = report
            if before:
                self._checks["quantized"] = before.of(model)
        exact = model.isa in lstm_rt._core.exact_isas()  # other bytes are no test for another machine
        if selftest and (exact or not strict):
            _add_selftests(self.graph, model, strict)
            if self.graph.selftests:
                model = _like(model, _in_memory(self.graph, **how))
        model._conversion = self.report()
        return model

    def write(self, path: str | os.PathLike[str], model: Model) -> Model:
        """Write the file, and load it from there."""
        try:
            _writer()(self.graph, path)
        except OSError as error:
            raise error if isinstance(error, Error) else file_access_error(error, path) from None
        return _like(model, _model(path))

    def report(self) -> Conversion:
        """Report what was done."""
        from lstm_rt.report import report_on

        return report_on(self.graph, **self._checks)

    def close(self) -> None:
        """Let go of the graph, and with it of a copy of the weights, which the C library may keep for later."""
        from lstm_rt import _core

        del self.graph
        _core.give_back_free_memory()


def _converter(source: Source, options: Mapping[str, Any]) -> Any:
    from lstm_rt.converters import converter_for, converter_of_object, options_of

    if isinstance(source, (bytes, bytearray, memoryview)):
        found = converter_for("model.onnx")
    elif isinstance(source, (str, os.PathLike)):
        found = converter_for(source)
    else:
        found = converter_of_object(source)
    taken = options_of(found)
    unknown = [name for name in options if name not in taken]
    if unknown:
        raise ArgumentError(
            f"{', '.join(unknown)}: not an option of {found.__name__}, which takes {', '.join(taken) or 'none'}."
        )
    return found


def _hints(given: Mapping[str, float], freeze: Mapping[str, npt.ArrayLike]) -> dict[str, int | float]:
    """Check hints; the rate is that of a frozen sample rate, if there is one."""
    from lstm_rt.hints import checked, rate_among

    try:
        hints = checked(given)
        for name, rate in rate_among(freeze).items():
            if hints.setdefault("rate", checked({"rate": rate})["rate"]) != rate:
                raise ValueError(f"hint rate is {hints['rate']:g}, but {name} is frozen to {rate:g}.")
    except ValueError as error:
        raise ArgumentError(str(error)) from None
    return hints


def _is_live(source: Source) -> bool:
    """Whether a source is a model in memory of PyTorch or Keras."""
    return any(base.__module__.partition(".")[0] in ("torch", "keras") for base in type(source).__mro__)


def _like(model: Model, other: Model) -> Model:
    """Return the second model with what is known of the conversion of the first."""
    other._conversion, other._quantization = model._conversion, model._quantization
    return other


def _in_memory(graph: Graph, **how: Any) -> Model:
    """By a file without a name, which the core maps: what it has packed need not stay in memory a second time."""
    folder = tempfile.mkdtemp()
    try:
        file = Path(folder, "model.gguf")
        _writer()(graph, file)
        return _model(file, **how)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a network file system may keep what is mapped


def _proposal(graph: Graph) -> dict[str, str]:
    """Pair inputs with the parts of an output that may be their next values, if a trial gives parts of their shapes."""
    from lstm_rt.converters.concatenated import concatenated_states
    from lstm_rt.converters.options import bind
    from lstm_rt.trials import Trials

    outputs, bindings = list(graph.outputs), list(graph.bindings)
    for pairs in concatenated_states(graph):
        try:
            bind(graph, pairs)
            for trial in Trials(graph, _in_memory(graph)):
                if all(trial.inputs[state].shape == trial.outputs[part].shape for state, part in pairs.items()):
                    return pairs
        except Error:
            continue
        finally:
            graph.outputs[:], graph.main.outputs[:] = outputs, [port.value for port in outputs]
            graph.bindings = bindings
    return {}


def _writer() -> Any:
    try:
        from lstm_rt.converters.gguf_file import write
    except ImportError as error:
        raise MissingPackageError(
            f"Writing model files needs the package {error.name!r}. Install it with: pip install 'lstm_rt[convert]'"
        ) from error
    return write


def _add_selftests(graph: Graph, model: Model, strict: bool) -> None:
    """Run a model on made-up inputs, and keep what it gave; where no inputs fit, say so."""
    from lstm_rt.converters import SelfTest
    from lstm_rt.trials import Trials

    trials = Trials(graph, model)
    for trial in trials:
        inputs = [trial.inputs[graph.name(port)] for port in graph.inputs]
        graph.selftests.append(SelfTest(inputs, [trial.outputs[graph.name(port)] for port in graph.outputs]))
    if graph.selftests or not strict:
        return
    if all(isinstance(error, UnsupportedModelError) for error in trials.failures):
        raise trials.failures[0]  # no shape would help
    warnings.warn(
        "The model has no self-test: no shapes were found that it runs with. Give the shapes of its inputs, "
        f"as in shapes={{'x': (1, 16, 40)}}. The last try: {printable(str(trials.failures[-1]))}",
        stacklevel=4,
    )
