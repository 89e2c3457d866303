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
from lstm_rt.errors import ArgumentError, MissingPackageError, UnsupportedModelError
from lstm_rt.files import open_regular, path_text
from lstm_rt.text import printable

if TYPE_CHECKING:
    from onnx import ModelProto

    from lstm_rt.checks import SourceCheck, StreamCheck
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
    selftest: bool = True,
    check: bool = False,
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
        Where to write the ``.gguf`` file. It appears whole or not at all. Not written when left out.
    bind : mapping of str to str, optional
        Input name to output name: state that a stream carries from step to step, in place of the pairs that are
        found by name (``state`` and ``stateN``, ``h0`` and ``hn``). ``{}`` for none.
    freeze : mapping of str to array_like, optional
        Inputs that are fixed to a value for good (``{"sr": 16000}``) and stop being inputs.
    shapes : mapping of str to sequence of (int or None), optional
        Shapes of inputs, None where free. A named dim that is fixed is fixed in every input that has it.
    quantize : str or mapping of str to str, optional
        Weights as ``"int8"``, ``"int8x16"`` (with 16-bit activations), ``"int4"`` or ``"bf16"``, in every layer where
        that is possible and worth it; or one of these, or ``"float32"``, for each pattern of layer names, as in
        ``{"*": "int8", "head*": "float32"}``: the last that matches a layer counts. `Model.quantization` says what was
        done.
    selftest : bool, default True
        Run the model on a few inputs and keep inputs and outputs in the file, for ``lstm-rt verify``.
    check : bool, default False
        Compare with what the source's own framework gives, where that is installed: before weights are quantised.
        ``model.conversion.check`` says how near it is.
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

    Warns
    -----
    UserWarning
        If no shapes were found that the model runs with, so that the file has no self-test.

    Examples
    --------
    >>> model = lstm_rt.convert("vad.onnx", "vad.gguf")  # doctest: +SKIP
    >>> model = lstm_rt.convert("vad.onnx", freeze={"sr": 16000})  # doctest: +SKIP
    >>> model = lstm_rt.convert("vad.onnx", quantize={"*": "int8", "head*": "bf16"})  # doctest: +SKIP
    """
    with _budget(max_read_bytes):
        job = _Job(source, options, bind=bind, freeze=freeze, shapes=shapes)
    checked = job.check() if check else None
    model = _quantized(job.graph, quantize, path, selftest=selftest)
    stream_checked = job.check_stream(model) if check_stream else None
    model._conversion = job.report(checked, stream_checked)
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
    if not _is_gguf(source):
        with _budget(max_read_bytes):
            job = _Job(source, options, bind=bind, freeze=freeze, shapes=shapes)
        model = _quantized(job.graph, quantize, None, selftest=False, isa=isa, max_memory=max_memory)
        model._conversion = job.report()
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


def _is_gguf(source: Source) -> bool:
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
    ) -> None:
        from lstm_rt.converters import Options

        if _is_gguf(source):
            raise ArgumentError("This model is converted already: lstm_rt.load takes it as it is.")
        self._source = source
        self._options = {name: option for name, option in options.items() if option is not None}
        self._converter = _converter(source, self._options)
        self.graph: Graph = self._converter(source, **self._options)
        # What it is frozen to has the shape and dtype of the input, which the graph forgets.
        self._frozen_ports = {
            self.graph.name(port): port for port in self.graph.inputs if self.graph.name(port) in (freeze or {})
        }
        Options(bind=bind, freeze=freeze, shapes=shapes).apply(self.graph)

    def check(self) -> SourceCheck:
        """Compare with the source framework."""
        from lstm_rt.checks import check_against_source

        frozen = {name: self.graph.weights[port.value] for name, port in self._frozen_ports.items()}
        model = _in_memory(self.graph)
        return check_against_source(self.graph, model, self._converter, self._source, frozen, self._options)

    def check_stream(self, model: Model) -> StreamCheck:
        """Compare frame by frame with the whole."""
        from lstm_rt.checks import check_stream

        return check_stream(self.graph, model)

    def report(self, check: SourceCheck | None = None, stream_check: StreamCheck | None = None) -> Conversion:
        """Say what was done."""
        from lstm_rt.report import report_on

        return report_on(self.graph, check, stream_check)

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


def _quantized(
    graph: Graph,
    quantize: Choice | None,
    path: str | os.PathLike[str] | None,
    *,
    selftest: bool,
    **how: Any,
) -> Model:
    """Quantise a graph if that is wanted, and finish it."""
    if quantize is None:
        return _finish(graph, path, selftest=selftest, **how)
    from lstm_rt.quantize import quantize_graph

    report = quantize_graph(graph, quantize)
    model = _finish(graph, path, selftest=selftest, **how)
    model._quantization = report
    return model


def _finish(
    graph: Graph,
    path: str | os.PathLike[str] | None,
    *,
    selftest: bool,
    **how: Any,
) -> Model:
    """Write a graph, with self-tests if wanted, and load it. `path` is not touched before the core has taken it."""
    model = _in_memory(graph, **how)
    if selftest and model.isa in lstm_rt._core.exact_isas():  # bytes that no other machine has are no test
        _add_selftests(graph, model)
    if path is not None:
        _writer()(graph, path)
        return _model(path, **how)
    return _in_memory(graph, **how) if graph.selftests else model


def _in_memory(graph: Graph, **how: Any) -> Model:
    """By a file without a name, which the core maps: what it has packed need not stay in memory a second time."""
    folder = tempfile.mkdtemp()
    try:
        file = Path(folder, "model.gguf")
        _writer()(graph, file)
        return _model(file, **how)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a network file system may keep what is mapped


def _writer() -> Any:
    try:
        from lstm_rt.converters.gguf_file import write
    except ImportError as error:
        raise MissingPackageError(
            f"Writing model files needs the package {error.name!r}. Install it with: pip install 'lstm_rt[convert]'"
        ) from error
    return write


def _add_selftests(graph: Graph, model: Model) -> None:
    """Run a model on made-up inputs, and keep what it gave; where no inputs fit, say so."""
    from lstm_rt.converters import SelfTest
    from lstm_rt.trials import Trials

    trials = Trials(graph, model)
    for trial in trials:
        inputs = [trial.inputs[graph.name(port)] for port in graph.inputs]
        graph.selftests.append(SelfTest(inputs, [trial.outputs[graph.name(port)] for port in graph.outputs]))
    if graph.selftests:
        return
    if all(isinstance(error, UnsupportedModelError) for error in trials.failures):
        raise trials.failures[0]  # no shape would help
    warnings.warn(
        "The model has no self-test: no shapes were found that it runs with. Give the shapes of its inputs, "
        f"as in shapes={{'x': (1, 16, 40)}}. The last try: {printable(str(trials.failures[-1]))}",
        stacklevel=5,
    )
