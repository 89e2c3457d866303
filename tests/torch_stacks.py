"""Random stacks of torch layers, and the recipe of each: what a seeded generator makes both of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lstm_rt import recipes
from lstm_rt.recipes import Input, Layer, Recipe

Step = tuple[Callable[..., torch.Tensor], list[str]]
ACTIVATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ReLU", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("SiLU", {}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("ELU", {"alpha": 0.7}),
    ("CELU", {"alpha": 1.3}),
    ("SELU", {}),
    ("LeakyReLU", {"negative_slope": 0.2}),
    ("Softplus", {}),
    ("Softsign", {}),
    ("Mish", {}),
    ("Hardsigmoid", {}),
    ("Hardswish", {}),
    ("Hardtanh", {"min_val": -0.5, "max_val": 0.7}),
    ("ReLU6", {}),
    ("Softmax", {"dim": -1}),
    ("LogSoftmax", {"dim": 2}),
)


class Stack(torch.nn.Module):
    """Layers by name, and what is called on what."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, Step] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {"x": x}
        for name, (function, inputs) in self.steps.items():
            x = values[name] = function(*(values[i] for i in inputs))
        return x


class Grower:
    """Adds layers to a module and to its recipe, sequences of `width` features all along."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.batch_first = bool(self.rng.integers(2))
        self.width = int(self.rng.integers(2, 20))
        self.batch, self.time = int(self.rng.integers(1, 4)), int(self.rng.integers(9, 14))
        self.stack = Stack()
        self.layers: list[Layer] = []
        self.last = "x"
        torch.manual_seed(seed)

    def add(
        self,
        kind: str,
        function: Callable[..., torch.Tensor],
        module: torch.nn.Module | None = None,
        inputs: tuple[str, ...] = (),
        **options: Any,
    ) -> str:
        name = f"{kind.lower()}{len(self.layers)}"
        if module is not None:
            self.stack.add_module(name, module)
        self.stack.steps[name] = (function, list(inputs) or [self.last])
        self.layers.append(recipes.kinds()[kind](name=name, inputs=inputs, **options))
        self.last = name
        return name

    def module(self, kind: str, *arguments: Any, given: dict[str, Any] | None = None, **options: Any) -> str:
        """A module of torch whose layer has the same name; `given` are the options of the recipe."""
        made = getattr(torch.nn, kind)(*arguments, **options)
        with torch.no_grad():
            for name, buffer in made.named_buffers():
                if buffer.is_floating_point():
                    buffer.uniform_(0.5, 1.5) if name.endswith("var") else buffer.uniform_(-1, 1)
        return self.add(kind, made, made, **(options if given is None else given))

    # ---- What can be added ----

    def recurrent(self) -> None:
        kind = str(self.rng.choice(["LSTM", "GRU", "RNN"]))
        hidden = int(self.rng.integers(2, 20))
        options: dict[str, Any] = {
            "num_layers": int(self.rng.integers(1, 4)),
            "bidirectional": bool(self.rng.integers(2)),
            "batch_first": self.batch_first,
        }
        if kind == "LSTM" and self.rng.integers(2):
            options["proj_size"] = int(self.rng.integers(1, hidden))
        if kind == "RNN":
            options["nonlinearity"] = str(self.rng.choice(["tanh", "relu"]))
        given = {
            "batch_first": self.batch_first,
            **({"nonlinearity": options["nonlinearity"]} if kind == "RNN" else {}),
        }
        if self.rng.integers(2):  # said again, or left to the weights
            given = options
        made = getattr(torch.nn, kind)(self.width, hidden, bias=bool(self.rng.integers(2)), **options)
        self.add(kind, lambda x: made(x)[0], made, **given)
        self.width = (options.get("proj_size") or hidden) * (1 + options["bidirectional"])

    def linear(self) -> None:
        width = int(self.rng.integers(2, 20))
        self.module("Linear", self.width, width, bias=bool(self.rng.integers(2)), given={})
        self.width = width

    def activation(self) -> None:
        kind, options = ACTIVATIONS[(self.seed + len(self.layers)) % len(ACTIVATIONS)]
        self.module(kind, **options)

    def layer_norm(self) -> None:
        self.module("LayerNorm", self.width, eps=1e-3)

    def dropout(self) -> None:
        self.module("Dropout", 0.5, given={})

    def residual(self) -> None:
        before = self.last
        kind = str(self.rng.choice(["Add", "Multiply", "Subtract"]))
        self.module("Linear", self.width, self.width, given={})
        function = {"Add": torch.add, "Multiply": torch.mul, "Subtract": torch.sub}[kind]
        self.add(kind, function, inputs=(self.last, before))

    def concat(self) -> None:
        before = self.last
        self.linear()
        width = self.stack(self.example()).shape[-1] + self.stack_at(before).shape[-1]
        self.add("Concat", lambda a, b: torch.cat((a, b), -1), inputs=(self.last, before))
        self.width = int(width)

    def channels(self) -> None:
        """Convolution, normalisation and pooling, between two transpositions."""
        dims = (0, 2, 1) if self.batch_first else (1, 2, 0)
        self.add("Permute", lambda x: x.permute(dims), dims=dims)
        for _ in range(self.rng.integers(1, 4)):
            self.rng.choice([self.conv, self.batch_norm, self.pool, self.prelu])()  # type: ignore[arg-type]
        back = (0, 2, 1) if self.batch_first else (2, 0, 1)
        self.add("Permute", lambda x: x.permute(back), dims=back)

    def conv(self) -> None:
        groups = int(self.rng.choice([n for n in (1, 2, 3) if self.width % n == 0]))
        kernel = int(self.rng.choice([1, 2, 3]))
        options: dict[str, Any] = {"groups": groups, "dilation": int(self.rng.integers(1, 3))}
        options["padding"] = str(self.rng.choice(["same", "valid"])) if self.rng.integers(2) else 2
        if options["padding"] == 2:
            options["padding_mode"] = str(self.rng.choice(["zeros", "reflect", "replicate", "circular"]))
        width = groups * int(self.rng.integers(1, 6))
        if self.steps() < 8:
            options["padding"] = "same"
            options.pop("padding_mode", None)
        bias = bool(self.rng.integers(2))
        self.module("Conv1d", self.width, width, kernel, bias=bias, **options, given=options)
        self.width = width

    def batch_norm(self) -> None:
        affine = bool(self.rng.integers(2))
        self.module("BatchNorm1d", self.width, eps=1e-3, affine=affine, given={"eps": 1e-3})

    def pool(self) -> None:
        if self.steps() < 5:
            return
        kind = str(self.rng.choice(["MaxPool1d", "AvgPool1d"]))
        self.module(
            kind, kernel_size=2, stride=int(self.rng.integers(1, 3)), padding=1, ceil_mode=bool(self.rng.integers(2))
        )

    def prelu(self) -> None:
        self.module("PReLU", self.width if self.rng.integers(2) else 1, given={"rank": 3})

    # ---- The whole ----

    def example(self) -> torch.Tensor:
        shape = (self.batch, self.time) if self.batch_first else (self.time, self.batch)
        return torch.from_numpy(self.feed(shape))

    def feed(self, shape: tuple[int, int]) -> npt.NDArray[Any]:
        rng = np.random.default_rng(7)
        if self.ids:
            return rng.integers(0, self.ids, shape)
        return rng.uniform(-1, 1, (*shape, self.inputs)).astype(np.float32)

    def stack_at(self, name: str) -> torch.Tensor:
        """What a step gives."""
        if name == "x":
            return self.example()
        steps = self.stack.steps
        kept = dict(list(steps.items())[: list(steps).index(name) + 1])
        self.stack.steps = kept
        try:
            return self.stack.eval()(self.example())
        finally:
            self.stack.steps = steps

    def steps(self) -> int:
        return int(self.stack_at(self.last).shape[-1])

    def begin(self) -> None:
        self.ids = int(self.rng.integers(0, 2) * self.rng.integers(3, 30))
        self.inputs = self.width
        if self.ids:
            self.module("Embedding", self.ids, self.width, given={})

    def end(self) -> None:
        """A whole sequence, or something of each row of the batch."""
        axis = 1 if self.batch_first else 0
        kind = self.rng.integers(4)
        if kind == 1:
            index = int(self.rng.choice([-1, 0, 2]))
            self.add("Select", lambda x: x.select(axis, index), dim=axis, index=index)
        elif kind == 2:
            self.add("Mean", lambda x: x.mean(axis), dim=axis)
        elif kind == 3 and self.batch_first:
            self.add("Flatten", lambda x: x.flatten(1))

    def recipe(self) -> Recipe:
        dims = ("batch", "time") if self.batch_first else ("time", "batch")
        given = Input(dims, "int64") if self.ids else Input((*dims, self.inputs))
        return Recipe({"x": given}, self.layers)


def random_stack(seed: int, parts: tuple[str, ...] = ()) -> Grower:
    """A module of one to six parts."""
    grower = Grower(seed)
    with torch.no_grad():
        grower.begin()
        names = parts or (
            "recurrent",
            "linear",
            "activation",
            "layer_norm",
            "dropout",
            "residual",
            "concat",
            "channels",
        )
        weights = np.array([3.0 if name in ("recurrent", "activation") else 1.0 for name in names])
        for _ in range(grower.rng.integers(1, 7)):
            getattr(grower, str(grower.rng.choice(names, p=weights / weights.sum())))()
        if not grower.stack.state_dict():  # a file of no weights is refused
            grower.recurrent()
        grower.end()
    grower.stack.eval()
    return grower
