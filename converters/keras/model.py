"""Walks a Keras model: Sequential and functional, nested in each other, layers shared or not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..builder import Builder
from ..graph import ABSENT, MAX_RANK, DType, Graph, Value
from ..problems import Problems, Refusal
from . import layers as _layers  # noqa: F401  (registers the handlers)
from .activations import activation_of
from .config import Config, as_object, names_within
from .custom import call_custom
from .files import KerasFile
from .keras1 import modern
from .layer import Dims, Layer, Tensor, handlers, tensors_of
from .masks import OWN, PASS, mask_rule
from .nodes import Call, Ref, declared_shapes, in_order, numbered, read_calls, read_refs, refs_of, resolved
from .shapes import input_shape_of
from .shared import Part, SharedWeights, wrapped
from .weights import LayeredWeights, Owner, Weights

_MODELS = ("Sequential", "Functional", "Model")
_DEEPEST = 32


class Importer:
    """Builds one `Graph`."""

    def __init__(self, file: KerasFile, custom_layers: Mapping[str, Any], shapes: Mapping[str, Dims]) -> None:
        self.file = file
        self._shapes = shapes  # of inputs, in place of the declared ones
        self.graph = Graph()
        self.build = Builder(self.graph)
        self.problems = Problems()
        self.custom_layers = custom_layers
        self._constants: dict[tuple[Any, ...], Value] = {}
        self._refused: set[str] = set()  # layers that were called more than once are reported once
        self.mask_ranks: dict[Value, int] = {}  # how many dims each mask has
        self._depth = 0
        self.shared = SharedWeights(iter(()))

    # ---- Models ----

    def top(self) -> None:
        """Import the outermost model."""
        kind, config = self.file.config.get("class_name"), self.file.config.get("config")
        if isinstance(config, list):  # Keras 1 and early 2
            config = {"layers": config}
        if not isinstance(kind, str) or not isinstance(config, Mapping):
            raise Refusal("its config is not that of a model. The file is damaged.")
        if isinstance(self.file.weights, LayeredWeights):  # lists hold a copy for each place
            self.shared = SharedWeights(self._all_parts(config, self.file.weights))
        outputs = self._model(kind, config, self.file.weights, None, "")
        self._finish(outputs)

    def _model(
        self, kind: str, config: Mapping[str, Any], weights: Weights, inputs: list[Tensor] | None, prefix: str
    ) -> list[tuple[str, Tensor]]:
        """Import a model; its inputs are the graph's where None are given. Gives outputs, with names for them."""
        if kind != "Sequential" and not ("layers" in config and "output_layers" in config):
            raise Refusal(
                f"a model of class {kind!r} computes by code that is not in the file. Build it of Keras's layers by "
                "the functional interface."
            )
        if self._depth >= _DEEPEST:
            raise Refusal(f"models are nested more than {_DEEPEST} deep. The file is damaged.")
        self._depth += 1
        try:
            walk = self._sequential if kind == "Sequential" else self._functional
            return walk(config, self._parts(config, weights), inputs, prefix)
        finally:
            self._depth -= 1

    def _parts(self, config: Mapping[str, Any], weights: Weights) -> list[Part]:
        entries = config.get("layers")
        if not isinstance(entries, list) or not entries:
            raise Refusal("the model has no layers.")
        read = [(entry, *modern(*as_object(entry, "a layer"), self.file.version)) for entry in entries]
        owners = [Owner(kind, str(_name_of(entry, settings)), names_within(settings)) for entry, kind, settings in read]
        sequential = "output_layers" not in config
        weighted = [i for i, owner in enumerate(owners) if not (sequential and owner.kind == "InputLayer")]
        found = dict(zip(weighted, weights.layers([owners[i] for i in weighted])))
        return [
            Part(owner.kind, owner.name, entry, settings, self._weights_of(owner, entry, found.get(i, weights)))
            for i, (owner, (entry, _, settings)) in enumerate(zip(owners, read))
        ]

    def _weights_of(self, owner: Owner, entry: Mapping[str, Any], weights: Weights) -> Weights:
        return self.shared.find(owner.kind, owner.name, entry, weights)

    def _all_parts(self, config: Mapping[str, Any], weights: Weights, depth: int = 0) -> Iterator[Part]:
        """All layers of a file, at any depth, each before those within it; what is wrong is reported later."""
        try:
            parts = self._parts(config, weights) if depth < _DEEPEST else []
        except Refusal:
            parts = []
        for part in parts:
            for inner in (part, *wrapped(part)):
                yield inner
                if _is_model(inner) and "layers" in inner.config:
                    yield from self._all_parts(inner.config, inner.weights, depth + 1)

    def _sequential(
        self, config: Mapping[str, Any], parts: list[Part], inputs: list[Tensor] | None, prefix: str
    ) -> list[tuple[str, Tensor]]:
        if inputs is None:
            first = parts[0]
            name = first.name if first.kind == "InputLayer" else f"{first.name}_input"
            shape = input_shape_of(config, [(p.kind, p.config, p.entry, p.weights) for p in parts[:2]])
            inputs = [self._input(name, first, shape)]
        outputs = inputs
        last = parts[-1]
        layers = [part for part in parts if part.kind != "InputLayer"]
        for part, following in zip(layers, [*layers[1:], None]):
            made = self._part(part, Call([outputs[0] if len(outputs) == 1 else outputs], {}), prefix)
            outputs = [self._stand_in(_built_shape(following))] if made is None else made
        return _named(last.name, outputs)

    def _functional(
        self, config: Mapping[str, Any], parts: list[Part], inputs: list[Tensor] | None, prefix: str
    ) -> list[tuple[str, Tensor]]:
        names = frozenset(part.name for part in parts)
        by_name = {part.name: part for part in parts}
        if len(by_name) != len(parts):
            raise Refusal("two layers have one name. The file is damaged.")
        outputs = read_refs(config.get("output_layers"))
        read = {part.name: read_calls(part.entry.get("inbound_nodes", []), names) for part in parts}
        models = frozenset(part.name for part in parts if _is_model(part))
        calls = numbered(read, models, outputs)
        tensors: dict[Ref, Tensor] = {}
        wanted = read_refs(config.get("input_layers"))
        if inputs is not None and len(inputs) != len(wanted):
            raise Refusal(f"the model is called with {len(inputs)} inputs, not {len(wanted)}.")
        for number, ref in enumerate(wanted):
            part = by_name.get(ref.layer)
            if part is None:
                raise Refusal(f"its input {ref.layer!r} is no layer of it. The file is damaged.")
            if inputs is None:
                made = self._input(part.name, part, _declared(part))
            else:
                made = inputs[number]
            tensors[ref] = made
        shapes = declared_shapes([part.entry.get("inbound_nodes") for part in parts])
        self._evaluate(outputs, by_name, calls, tensors, shapes, prefix)
        counts: dict[str, set[Ref]] = {}
        for ref in outputs:
            counts.setdefault(ref.layer, set()).add(ref)
        return [
            (ref.layer if len(counts[ref.layer]) == 1 else f"{ref.layer}:{ref.tensor}", tensors[ref]) for ref in outputs
        ]

    def _evaluate(
        self,
        wanted: Sequence[Ref],
        parts: Mapping[str, Part],
        calls: Mapping[str, Mapping[int, Call]],
        tensors: dict[Ref, Tensor],
        shapes: Mapping[Ref, Any],
        prefix: str,
    ) -> None:
        """Build the calls that references need, each after those it needs itself."""
        waiting = list(reversed(wanted))
        begun: set[Ref] = set()
        while waiting:
            ref = waiting[-1]
            if ref in tensors:
                waiting.pop()
                continue
            if ref.layer not in parts or ref.node not in calls[ref.layer]:
                raise Refusal(f"call {ref.node} of layer {ref.layer!r} is used, and is not there. The file is damaged.")
            call = calls[ref.layer][ref.node]
            missing = [other for other in refs_of([call.args, call.kwargs]) if other not in tensors]
            if missing:
                if ref in begun:
                    raise Refusal(f"layer {ref.layer!r} needs its own output. The file is damaged.")
                begun.add(ref)
                waiting += reversed(missing)
                continue
            made = Call(resolved(call.args, tensors), resolved(call.kwargs, tensors))
            outputs = self._part(parts[ref.layer], made, prefix)
            for number, tensor in enumerate(outputs or ()):
                tensors[Ref(ref.layer, ref.node, number)] = tensor
            if ref not in tensors:
                if not self.problems.found:
                    raise Refusal(f"output {ref.tensor} of layer {ref.layer!r} is used, and is not there.")
                tensors[ref] = self._stand_in(shapes.get(ref))

    # ---- Layers ----

    def _part(self, part: Part, call: Call, prefix: str) -> list[Tensor] | None:
        """Call a layer; None if it is refused. Layers behind a refused one are called too, to report all."""
        name = prefix + part.name
        made: list[Tensor] = []
        unknown = any(isinstance(tensor, _Unknown) for tensor in tensors_of([call.args, call.kwargs]))

        def work() -> None:
            if unknown and not _is_model(part):
                self._check_class(self._kind(part), part.config)
                return
            config = Config(part.config)
            self.build.part(name, part.kind)
            args, kwargs = self._with_constants(call.args), self._with_constants(call.kwargs)
            layer = Layer(self, self._kind(part), name, config, part.weights.fresh(), args, kwargs)
            made.extend(layer.call())
            if part.kind not in _MODELS:
                left = layer.weights.left()
                if left:
                    layer.refuse(f"the file has weights that it does not use: {', '.join(left)[:200]}.")

        if name in self._refused:
            return None
        if not self.problems.attempt(f"layer {name!r} ({part.kind})", work):
            self._refused.add(name)
        return None if name in self._refused or (unknown and not made) else made

    def _check_class(self, kind: str, config: Mapping[str, Any]) -> None:
        """Refuse a layer that could not be called whatever its input is."""
        if kind in self.custom_layers:
            return
        if kind not in handlers and kind not in _MODELS:
            raise Refusal(_unknown(kind))
        for name in ("activation", "recurrent_activation"):
            activation_of(config.get(name))
        for part in wrapped(Part(kind, "", {}, config, self.file.weights)):
            self._check_class(self._kind(part), part.config)

    def _with_constants(self, found: Any) -> Any:
        """Arguments with arrays of the file as tensors."""
        if isinstance(found, np.ndarray):
            whole = {"b": DType.BOOL, "i": DType.INT64, "u": DType.INT64}
            dtype = whole.get(found.dtype.kind, DType.FLOAT32)
            return Tensor(self.constant(found.astype(dtype.numpy), "constant"), found.shape, dtype)
        if isinstance(found, (list, tuple)):
            return [self._with_constants(item) for item in found]
        if isinstance(found, Mapping):
            return {key: self._with_constants(item) for key, item in found.items()}
        return found

    def _kind(self, part: Part) -> str:
        """The class of a layer, by which its handler is found; operations have names of their own."""
        module = part.entry.get("module")
        registered = part.entry.get("registered_name")
        own = isinstance(registered, str) and ">" in registered and not registered.startswith("Keras>")
        if isinstance(module, str):
            if module.startswith("keras.src.ops"):
                return f"ops.{part.kind}"
            own = own or module.split(".")[0] != "keras"
        elif self.file.version[0] >= 3 and "trainable" not in part.config and f"ops.{part.kind}" in handlers:
            return f"ops.{part.kind}"  # an .h5 does not say the module, and operations have no such setting
        kind = part.kind.rpartition(">")[2]
        return f"custom {kind}" if (own or kind != part.kind) and kind not in self.custom_layers else kind

    def call(self, layer: Layer) -> list[Tensor]:
        """Build what one layer computes."""
        self.build.part(layer.name, layer.kind)
        _apply_mask(layer)
        if layer.kind in self.custom_layers:
            return call_custom(self.custom_layers[layer.kind], layer)
        settings = {name: layer.config.raw(name) for name in ("layers", "output_layers") if name in layer.config}
        if layer.kind in _MODELS or settings:
            return self._nested(layer)
        entry = handlers.get(layer.kind)
        if entry is None:
            raise Refusal(_unknown(layer.kind))
        _check_policy(layer.config.raw("dtype", None))
        mask = layer.inputs[0].mask if layer.inputs else ABSENT
        found = entry.handle(layer)
        outputs = found if isinstance(found, list) else [found]
        layer.config.check_all_read()
        _check_arguments(layer)
        rule = mask_rule(layer.kind, layer.version)
        if rule == OWN:
            return outputs
        return [replace(output, mask=mask if rule == PASS else ABSENT) for output in outputs]

    def _nested(self, layer: Layer) -> list[Tensor]:
        config = layer.config.raw
        settings = {name: config(name) for name in ("layers", "input_layers", "output_layers") if name in layer.config}
        given = layer.args[0] if layer.args else None
        inputs = in_order(given, settings.get("input_layers")) if isinstance(given, Mapping) else layer.inputs
        found = self._model(layer.kind, settings, layer.weights, inputs, f"{layer.name}/")
        return [tensor for _, tensor in found]

    # ---- Inputs, outputs, constants ----

    def _input(self, name: str, part: Part, shape: Dims) -> Tensor:
        """Add an input."""
        if len(shape) > MAX_RANK or len(shape) < 1:
            raise Refusal(f"input {name!r} has {len(shape)} dims. From 1 to {MAX_RANK} are supported.")
        dtype = _input_dtype(name, part.config.get("dtype" if part.kind == "InputLayer" else "input_dtype"))
        names = ["batch" if axis == 0 else "" for axis in range(len(shape))]
        name = self.graph.unique(name)
        shape = self._shapes.get(name, shape)
        value = self.graph.add_input(name, dtype, shape, names)
        return Tensor(value, shape, dtype)

    def constant(self, array: Any, name: str) -> Value:
        """Make a constant, or find one with the same elements: shared layers have their weights once."""
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._constants:
            self._constants[key] = self.build.constant(array, name)
        return self._constants[key]

    def _stand_in(self, shape: Any = None) -> Tensor:
        """Something in place of what could not be made, of the shape that the file mentions if it does."""
        value = self.graph.add_value(self.graph.unique("unknown"))
        if not isinstance(shape, (list, tuple)) or not all(dim is None or isinstance(dim, int) for dim in shape):
            return _Unknown(value, ())
        return Tensor(value, tuple(shape))

    def _finish(self, outputs: list[tuple[str, Tensor]]) -> None:
        """Make outputs of tensors, and give them their names."""
        seen = {port.value for port in self.graph.inputs} | set(self.graph.weights)
        for name, tensor in outputs:
            value = tensor.value
            if value in seen:
                value = self.build.op("Identity", value)
            seen.add(value)
            self._rename(value, name)
            names = ["batch" if axis == 0 else "" for axis in range(tensor.rank)]
            self.graph.add_output(value, tensor.dtype, tensor.shape, names)

    def _rename(self, value: Value, name: str) -> None:
        values = self.graph.values
        if values[value] == name:
            return
        taken = {port.value for port in self.graph.inputs + self.graph.outputs}
        for other, held in enumerate(values):
            if held == name:
                if other in taken:
                    values[value] = self.graph.unique(f"{name}_output")
                    self.graph.reserve([values[value]])
                    return
                values[other] = self.graph.unique(f"{name}:inside")
                self.graph.reserve([values[other]])
        values[value] = name
        self.graph.reserve([name])


class _Unknown(Tensor):
    """Stands in for the output of a layer that was refused, if not even its shape is known."""


def _built_shape(part: Part | None) -> Any:
    """The input shape that a layer of a Sequential was built with, if the file mentions it."""
    build = part.entry.get("build_config") if part is not None else None
    return build.get("input_shape") if isinstance(build, Mapping) else None


def _apply_mask(layer: Layer) -> None:
    """An explicit mask takes the place of what the inputs carry."""
    given = layer.kwargs.pop("mask", None)
    if given is None:
        return
    layer.mask_is_given = True
    masks = given if isinstance(given, list) else [given]
    inputs = layer.inputs
    masked = [replace(x, mask=_mask_of(layer, m)) for x, m in zip(inputs, masks)]
    masked += inputs[len(masked) :]
    layer.args[:1] = [masked if isinstance(layer.args[0], list) else masked[0]]


def _mask_of(layer: Layer, given: Any) -> Value:
    if not isinstance(given, Tensor):
        return ABSENT
    value = given.value if given.dtype == DType.BOOL else layer.build.cast(given.value, DType.BOOL)
    return layer.new_mask(value, given.rank)


def _check_arguments(layer: Layer) -> None:
    layer.kwargs.pop("training", None)
    unread = [name for name, value in layer.kwargs.items() if value is not None and value is not False]
    unread += [f"argument {i}" for i, value in enumerate(layer.args) if i and value is not None and value is not False]
    if unread:
        layer.refuse(f"is called with {', '.join(unread)}, which is not supported here. Build the model without it.")


def _unknown(kind: str) -> str:
    if kind == "Lambda":
        return (
            "a Lambda layer holds code, which is never run. Use layers of Keras for it, or say what it computes: "
            "custom_layers={'Lambda': builder}."
        )
    kind = kind[len("custom ") :] if kind.startswith("custom ") else kind
    if kind.startswith("ops."):
        return f"operation {kind[4:]!r} is not supported. docs/keras.md lists those that are."
    return (
        f"layer {kind!r} is not known. docs/keras.md lists those that are; say what it computes: "
        f"custom_layers={{{kind!r}: builder}}."
    )


def _check_policy(policy: Any) -> None:
    if isinstance(policy, Mapping):
        kind, config = policy.get("class_name"), policy.get("config")
        name = config.get("name", "") if isinstance(config, Mapping) else ""
        if "Quantized" in str(kind) or "_from_" in str(name):
            raise Refusal("its weights are quantised by Keras. Save the model before quantize() and quantise it here.")


def _input_dtype(name: str, declared: Any) -> DType:
    if isinstance(declared, Mapping):
        inner = declared.get("config")
        declared = inner.get("name") if isinstance(inner, Mapping) else None
    text = str(declared or "float32")
    if text.startswith(("float", "bfloat", "mixed")):
        return DType.FLOAT32
    found = {"bool": DType.BOOL, "uint8": DType.UINT8, "int8": DType.INT8, "int32": DType.INT32, "int64": DType.INT64}
    if text not in found:
        raise Refusal(f"input {name!r}: dtype {text} is not supported. Use float32 or int32.")
    return found[text]


def _declared(part: Part) -> Dims:
    shape = part.config.get("batch_shape", part.config.get("batch_input_shape"))
    if not isinstance(shape, (list, tuple)):
        raise Refusal(f"input {part.name!r} has no shape. Build the model with one.")
    return tuple(dim if isinstance(dim, int) and dim > 0 else None for dim in shape)


def _is_model(part: Part) -> bool:
    return part.kind in _MODELS or "output_layers" in part.config


def _name_of(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    return str(settings.get("name", entry.get("name", "")))


def _named(name: str, outputs: list[Tensor]) -> list[tuple[str, Tensor]]:
    if len(outputs) == 1:
        return [(name, outputs[0])]
    return [(f"{name}:{number}" if number else name, tensor) for number, tensor in enumerate(outputs)]
