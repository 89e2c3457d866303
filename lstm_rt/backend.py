"""The ONNX project's interface for runtimes, through which its own tests run on lstm_rt. Needs the package onnx.

>>> import lstm_rt.backend
>>> rep = lstm_rt.backend.prepare(onnx.load("model.onnx"))  # doctest: +SKIP
>>> (y,) = rep.run([x])  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.backend.base
import onnx.shape_inference
from onnx import ModelProto, NodeProto, TensorProto, helper

from lstm_rt.conversion import load
from lstm_rt.errors import ArgumentError, Error
from lstm_rt.model import Model

_IR = 8  # of models made of one node


class BackendRep(onnx.backend.base.BackendRep):
    """A model ready to run.

    Parameters
    ----------
    model : Model
        The loaded model.
    dtypes : mapping of str to numpy.dtype, optional
        Dtypes of the source's inputs and outputs that are floats but not float32; arrays are converted.
    """

    def __init__(self, model: Model, dtypes: Mapping[str, np.dtype[Any]] | None = None) -> None:
        self._model = model
        self._dtypes = dict(dtypes or {})

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run the model.

        Parameters
        ----------
        inputs : array_like, sequence of array_like, or mapping of str to array_like
            One array for each input, in order or by name; an array by itself is that of an only input.
        **kwargs : Any
            None are known; they are not looked at.

        Returns
        -------
        tuple of numpy.ndarray
            One for each output, in order, and by name where the names are Python's.

        Raises
        ------
        Error
            If the arrays do not fit, or the model cannot run with inputs of these shapes.
        """
        if isinstance(inputs, Mapping):
            named_inputs = dict(inputs)
        else:
            given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
            names = [info.name for info in self._model.inputs]
            if len(given) != len(names):
                raise ArgumentError(f"the model takes {len(names)} arrays, {len(given)} were given")
            named_inputs = dict(zip(names, given))
        for name in named_inputs.keys() & self._dtypes.keys():
            named_inputs[name] = _to_float32(name, np.asarray(named_inputs[name]))
        results = {
            name: array.astype(self._dtypes.get(name, array.dtype), copy=False)
            for name, array in self._model.run(named_inputs).items()
        }
        named = onnx.backend.base.namedtupledict("Outputs", list(results))
        outputs: tuple[Any, ...] = named(*results.values())
        return outputs


class Backend(onnx.backend.base.Backend):
    """What lstm_rt is to the ONNX project's tools."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Say whether a model can be prepared.

        Parameters
        ----------
        model : onnx.ModelProto
            Any model.
        device : str, default "CPU"
            Where it would run.
        **kwargs : Any
            As for `prepare`.

        Returns
        -------
        bool
            False where `prepare` would raise an error of lstm_rt.
        """
        try:
            cls.prepare(model, device, **kwargs)
        except Error:
            return False
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> BackendRep:
        """Convert a model and load it.

        Parameters
        ----------
        model : onnx.ModelProto
            Left as it is.
        device : str, default "CPU"
            Where it is to run.
        **kwargs : Any
            Options of `lstm_rt.load`. ``rtol`` and ``atol``, which the ONNX project's tests hand to everyone, are none.

        Returns
        -------
        BackendRep
            To be run any number of times.

        Raises
        ------
        UnsupportedModelError
            If parts of the model cannot run; the message lists all of them.
        ArgumentError
            If the device is no CPU.
        """
        if not cls.supports_device(device):
            raise ArgumentError(f"there is no device {device!r}: lstm_rt runs on CPUs.")
        options = {name: value for name, value in kwargs.items() if name not in ("rtol", "atol")}
        return BackendRep(load(model, **options), _float_dtypes(model))

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Prepare a model and run it once.

        Parameters
        ----------
        model : onnx.ModelProto
            As for `prepare`.
        inputs : array_like, sequence of array_like, or mapping of str to array_like
            As for `BackendRep.run`.
        device : str, default "CPU"
            Where it is to run.
        **kwargs : Any
            As for `prepare`.

        Returns
        -------
        tuple of numpy.ndarray
            As from `BackendRep.run`.
        """
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node.

        Parameters
        ----------
        node : onnx.NodeProto
            Of any operator set.
        inputs : sequence of array_like, or mapping of str to array_like
            One for each input that is not left out.
        device : str, default "CPU"
            Where it is to run.
        outputs_info : sequence of (numpy.dtype, tuple of int), optional
            Dtype and shape of each output; found out by onnx when left out.
        **kwargs : Any
            ``opset_version``, the newest of the package onnx when left out; the rest as for `prepare`.

        Returns
        -------
        tuple of numpy.ndarray
            One for each output.
        """
        version = kwargs.pop("opset_version", None)
        names = list(dict.fromkeys(filter(None, node.input)))
        arrays = {n: np.asarray(a) for n, a in (inputs.items() if isinstance(inputs, Mapping) else zip(names, inputs))}
        model = _model_of(node, arrays, outputs_info, version or onnx.defs.onnx_opset_version())
        return cls.run_model(model, arrays, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Say whether models run on a device.

        Parameters
        ----------
        device : str
            Its name, with a number or without (``CPU:0``).

        Returns
        -------
        bool
            True for a CPU.
        """
        return device.partition(":")[0] == "CPU"


def _float_dtypes(model: ModelProto) -> dict[str, np.dtype[Any]]:
    """Find the inputs and outputs of floats that are not float32, which the loaded model has as float32."""
    ports = [*model.graph.input, *model.graph.output]
    codes = {port.name: port.type.tensor_type.elem_type for port in ports}
    others = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
    return {name: helper.tensor_dtype_to_np_dtype(code) for name, code in codes.items() if code in others}


def _to_float32(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    if np.any(np.isinf(result) & np.isfinite(array)):
        raise ArgumentError(f"input {name!r} holds numbers outside the range of float32, in which the model runs")
    return result


def _model_of(
    node: NodeProto,
    arrays: Mapping[str, npt.NDArray[Any]],
    outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None,
    opset: int,
) -> ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    names = list(filter(None, node.output))
    if outputs_info is None:
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
    else:
        outputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            for name, (dtype, shape) in zip(names, outputs_info)
        ]
    imports = [helper.make_opsetid("", opset)]
    if node.domain not in ("", "ai.onnx"):
        imports.append(helper.make_opsetid(node.domain, 1))
    graph = helper.make_graph([node], "node", inputs, outputs)
    model = helper.make_model(graph, opset_imports=imports, ir_version=_IR)
    return onnx.shape_inference.infer_shapes(model) if outputs_info is None else model


is_compatible = Backend.is_compatible
prepare = Backend.prepare
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device
