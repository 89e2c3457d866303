"""Operators between the layers of a Keras 2 model, which TensorFlow writes as calls of its functions by name.

Each is one of the operations of Keras 3 under other names of its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...graph import DType
from ..config import Config
from ..layer import Layer, Tensor, handler
from .operations import as_tensor


class _Function(NamedTuple):
    operation: str  # of Keras 3
    names: Mapping[str, str]  # of its arguments, from TensorFlow's; those not named must be left out
    fixed: Mapping[str, Any] = {}


_REDUCE = {"axis": "axis", "keepdims": "keepdims"}
_AXIS = {"axis": "axis"}


def _each(operations: str, names: Mapping[str, str]) -> dict[str, _Function]:
    """Functions by name, each with its operation: ``name=Operation``."""
    pairs = (pair.split("=") for pair in operations.split())
    return {name: _Function(operation, names) for name, operation in pairs}


_FUNCTIONS: dict[str, _Function] = {
    **_each(
        "__operators__.add=Add math.add=Add math.subtract=Subtract math.multiply=Multiply math.truediv=TrueDivide "
        "math.divide=TrueDivide math.pow=Power math.maximum=Maximum math.minimum=Minimum math.floordiv=FloorDivide "
        "compat.v1.floor_div=FloorDivide math.floormod=Mod math.squared_difference=SquaredDifference "
        "math.equal=Equal math.not_equal=NotEqual math.greater=Greater math.greater_equal=GreaterEqual "
        "math.less=Less math.less_equal=LessEqual math.logical_and=LogicalAnd math.logical_or=LogicalOr",
        {"y": "x2"},
    ),
    **_each(
        "math.abs=Abs math.negative=Negative math.exp=Exp math.log=Log math.sqrt=Sqrt math.square=Square "
        "math.tanh=Tanh math.sigmoid=Sigmoid math.sin=Sin math.cos=Cos math.tan=Tan math.floor=Floor math.ceil=Ceil "
        "math.sign=Sign math.round=Round math.rsqrt=Rsqrt math.reciprocal=Reciprocal math.erf=Erf math.log1p=Log1p "
        "math.expm1=Expm1 math.softplus=Softplus math.softsign=Softsign math.logical_not=LogicalNot nn.relu=Relu "
        "nn.relu6=Relu6 nn.elu=Elu nn.selu=Selu nn.silu=Silu nn.softsign=Softsign zeros_like=ZerosLike "
        "ones_like=OnesLike identity=Identity stop_gradient=StopGradient",
        {},
    ),
    **_each(
        "math.reduce_mean=Mean math.reduce_sum=Sum math.reduce_max=Max math.reduce_min=Min math.reduce_prod=Prod "
        "math.reduce_any=Any math.reduce_all=All math.reduce_std=Std math.reduce_variance=Var",
        _REDUCE,
    ),
    **_each(
        "concat=Concatenate stack=Stack expand_dims=ExpandDims compat.v1.squeeze=Squeeze squeeze=Squeeze reverse=Flip "
        "math.cumsum=Cumsum",
        _AXIS,
    ),
    "math.argmax": _Function("Argmax", _AXIS),
    "math.argmin": _Function("Argmin", _AXIS),
    "nn.softmax": _Function("Softmax", _AXIS, {"axis": -1}),
    "nn.log_softmax": _Function("LogSoftmax", _AXIS, {"axis": -1}),
    "nn.gelu": _Function("Gelu", {"approximate": "approximate"}, {"approximate": False}),
    "nn.leaky_relu": _Function("LeakyRelu", {"alpha": "negative_slope"}, {"negative_slope": 0.2}),
    "nn.bias_add": _Function("Add", {"bias": "x2"}),
    "compat.v1.transpose": _Function("Transpose", {"perm": "axes"}),
    "transpose": _Function("Transpose", {"perm": "axes"}),
    "reshape": _Function("Reshape", {"shape": "newshape"}),
    "cast": _Function("Cast", {"dtype": "dtype"}),
    "tile": _Function("Tile", {"multiples": "repeats"}),
    "split": _Function("Split", {"num_or_size_splits": "indices_or_sections", "axis": "axis"}, {"axis": 0}),
    "unstack": _Function("Unstack", {"num": "num", "axis": "axis"}),
    "clip_by_value": _Function("Clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "where": _Function("Where", {"x": "x1", "y": "x2"}),
    "linalg.matmul": _Function("Matmul", {"b": "x2"}),
    "gather": _Function("Take", {"indices": "indices", "axis": "axis"}, {"axis": 0}),
    "compat.v1.gather": _Function("Take", {"indices": "indices", "axis": "axis"}, {"axis": 0}),
    "compat.v1.pad": _Function("Pad", {"paddings": "pad_width", "mode": "mode", "constant_values": "constant_values"}),
}
# Arguments that change nothing at these values.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "conjugate": (False,),
    "validate_indices": (True, False),
    "batch_dims": (0,),
    "exclusive": (False,),
    "reverse": (False,),
    "adjoint_a": (False,),
    "adjoint_b": (False,),
    "output_type": ("int64",),
}


@handler("TFOpLambda", note="functions of TensorFlow between layers (Keras 2), below")
def tf_op(layer: Layer) -> list[Tensor]:
    """Call a function of TensorFlow."""
    name = layer.config.text("function")
    function = _FUNCTIONS.get(name)
    if name == "math.add_n":
        inputs = layer.some_inputs
        total = inputs[0]
        for x in inputs[1:]:
            (total,) = _call(layer, "Add", [total], {"x2": x})
        return [total]
    if function is None:
        layer.refuse(f"function tf.{name} is not supported. docs/keras.md lists those that are.")
    given = dict(layer.kwargs)
    layer.kwargs.clear()
    first = layer.args[0]
    if name == "linalg.matmul":
        first, given["b"] = (
            _transposed(layer, x, bool(given.pop(flag, False)))
            for x, flag in ((first, "transpose_a"), (given.get("b"), "transpose_b"))
        )
    kwargs = dict(function.fixed)
    for key, value in given.items():
        if value is None or key == "name":
            continue
        if key in function.names:
            kwargs[function.names[key]] = value
        elif value not in _NEUTRAL.get(key, ()):
            layer.refuse(f"function tf.{name} with {key} = {str(value)[:40]} is not supported.")
    if name == "split" and isinstance(kwargs.get("indices_or_sections"), list):
        kwargs["indices_or_sections"] = _ends(layer, kwargs["indices_or_sections"])
    if name.endswith("gather") and kwargs.get("axis") is None:
        kwargs["axis"] = 0
    return _call(layer, function.operation, [first], kwargs)


@handler("SlicingOpLambda", note="slices and indices of tensors (Keras 2)")
def slicing(layer: Layer) -> list[Tensor]:
    """Take a part of a tensor."""
    layer.config.skip("function")
    layer.kwargs.pop("name", None)
    spec = layer.argument(-1, "slice_spec")
    items = spec if isinstance(spec, list) else [spec]
    return _call(layer, "GetItem", [layer.args[0], [_item(layer, item) for item in items]], {})


def _item(layer: Layer, item: Any) -> Any:
    if isinstance(item, Mapping) and "class_name" not in item:
        return {"class_name": "__slice__", "config": dict(item)}
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, Tensor):
        layer.refuse("an index that is a tensor is not supported.")
    return item


def _call(layer: Layer, operation: str, args: list[Any], kwargs: dict[str, Any]) -> list[Tensor]:
    inside = Layer(layer.importer, f"ops.{operation}", layer.name, Config({}), layer.weights, args, kwargs)
    return inside.call()


def _transposed(layer: Layer, found: Any, swaps: bool) -> Tensor:
    """A factor, with its last two axes exchanged if asked."""
    x = as_tensor(layer, found, DType.FLOAT32)
    if not swaps:
        return x
    if x.rank < 2:
        layer.refuse(f"a factor has {x.rank} dims, not 2 or more.")
    order = (*range(x.rank - 2), x.rank - 1, x.rank - 2)
    return Tensor(layer.build.transpose(x.value, *order), tuple(x.shape[axis] for axis in order))


def _ends(layer: Layer, sizes: list[Any]) -> list[int]:
    """Where parts of these sizes end, but the last."""
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        layer.refuse(f"num_or_size_splits = {sizes} are not sizes.")
    return [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]


def function_names() -> list[str]:
    """Names of all functions."""
    return sorted([*(f"tf.{name}" for name in _FUNCTIONS), "tf.math.add_n"])
