"""What a command takes from the model's file where its options say nothing: hints, and the first self-test."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

import lstm_rt
from lstm_rt.cli import ui
from lstm_rt.cli.options import Array
from lstm_rt.conversion import is_gguf
from lstm_rt.errors import ArgumentError
from lstm_rt.hints import is_rate, rate_among

Shapes = dict[str, tuple[Optional[int], ...]]


class Defaults:
    """Values and shapes of a model's inputs: those that were given, completed from its file.

    Parameters
    ----------
    model : Model
        The model.
    frozen : dict of str to ndarray
        Values that were given.
    shapes : dict of str to tuple
        Shapes that were given. If there are none and the model does not run with free dims of 1, the shapes are those
        of the self-test.
    """

    def __init__(self, model: lstm_rt.Model, frozen: dict[str, Array], shapes: Shapes) -> None:
        known = [port.name for port in model.inputs]
        for name in (*frozen, *shapes):
            if name not in known:
                raise ArgumentError(f"the model has no input '{name}'. It has {', '.join(known)}")
        self._model, self._example = model, model.example
        hinted, tested = self._values(frozen)
        self.frozen: dict[str, Array] = {**hinted, **tested, **frozen}
        self._tested_values = tested
        tested_shapes = {} if shapes or self._runs_with_ones() else self._tested_shapes()
        self.shapes: Shapes = {**tested_shapes, **shapes}
        self._said_shapes = [name for name in tested_shapes if name not in model.bindings]

    def _values(self, frozen: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Find values of control inputs that were not given: a hinted rate, or that of the self-test."""
        rate = self._model.hints.get("rate")
        hinted, tested = {}, {}
        for port in self._model.inputs:
            if port.name not in self._model.control_inputs or port.name in frozen:
                continue
            if rate is not None and is_rate(port.name):
                hinted[port.name] = np.full([dim or 1 for dim in port.shape or ()], rate, port.dtype)
            elif port.name in self._example:
                tested[port.name] = self._example[port.name]
        return hinted, tested

    def _runs_with_ones(self) -> bool:
        ports = [port for port in self._model.inputs if port.name not in self.frozen]
        ones = {port.name: tuple(dim or 1 for dim in port.shape or ()) for port in ports}
        try:
            self._model.calls({**self.frozen, **ones})
        except lstm_rt.Error:
            return False
        return True

    def _tested_shapes(self) -> Shapes:
        free = [port.name for port in self._model.inputs if port.shape is None or None in port.shape]
        return {name: np.shape(self._example[name]) for name in free if name in self._example}

    def require_values(self) -> None:
        """Refuse a control input of which nothing is known."""
        unknown = [name for name in self._model.control_inputs if name not in self.frozen]
        if unknown:
            wanted = " ".join(f"--freeze {name}=VALUE" for name in unknown)
            raise ArgumentError(f"{' and '.join(unknown)} must be known before a step. Add {wanted}")

    def rates(self, frozen: dict[str, Array]) -> dict[str, Optional[float]]:
        """Return who says what of the rate: options, hints, the self-test's control values."""
        given = {f"--freeze {name}": rate for name, rate in rate_among(frozen).items()}
        tested = {f"{name} of the file's self-test": rate for name, rate in rate_among(self._tested_values).items()}
        return {"the model": self._model.hints.get("rate"), **given, **tested}

    def say(self, *, shapes: bool = True) -> str:
        """Describe in one line what was taken from the self-test; empty if nothing was."""
        taken = [f"{name} {'x'.join(map(str, self.shapes[name]))}" for name in self._said_shapes if shapes]
        taken += [f"{name}={_text(value)}" for name, value in self._tested_values.items()]
        options = [
            o for o, used in (("--shape", shapes and self._said_shapes), ("--freeze", self._tested_values)) if used
        ]
        return f"using {', '.join(taken)} from the file's self-test; change with {', '.join(options)}" if taken else ""


def load(path: str, bind: dict[str, str] | None = None, **how: Any) -> lstm_rt.Model:
    """Load a model; one of another format is bound and gets self-tests, as it would by ``lstm-rt convert``."""
    if bind and not is_gguf(path):
        how["bind"] = bind
    return lstm_rt.load(path, selftest=True, **how)


def note(text: str, json: bool) -> None:
    """Print a line for people."""
    if text and not json:
        ui.messages.print(text, style="dim", markup=False, soft_wrap=True)


def _text(value: Array) -> str:
    return str(value.item()) if value.size == 1 else f"{value.dtype}{list(value.shape)}"
