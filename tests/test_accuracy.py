"""Accuracy: our float32 is no further from float64 than onnxruntime's."""

from __future__ import annotations

from typing import Any

import fetch
import models
import numpy as np
import onnx
import pytest
import reference
from models import Array, Recurrent
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from test_golden import frames_16k, golden

import lstm_rt

# Errors are a fraction of a unit in the last place on average; a mean over thousands of outputs repeats to a few
# percent, a largest one does not.
MEAN_SLACK, MAX_SLACK = 1.1, 1.2


def check(ours: Array, theirs: Array, exact: Array, what: str) -> None:
    our_error, their_error = (np.abs(a.astype(np.float64) - exact) for a in (ours, theirs))
    report = (
        f"{what}: mean {our_error.mean():.3g} (onnxruntime {their_error.mean():.3g}), "
        f"largest {our_error.max():.3g} (onnxruntime {their_error.max():.3g})"
    )
    print(report)
    assert our_error.mean() <= MEAN_SLACK * their_error.mean() + 1e-12, report
    assert our_error.max() <= MAX_SLACK * their_error.max() + 1e-12, report


@pytest.mark.parametrize("hidden", [32, 64, 128, 256])
@pytest.mark.parametrize(("kind", "reset"), [("LSTM", 0), ("GRU", 0), ("GRU", 1), ("RNN", 0)])
def test_layers(kind: str, reset: int, hidden: int) -> None:
    pooled: list[list[Array]] = [[], [], []]
    for seed in range(3):
        layer = Recurrent(kind, inputs=hidden, hidden=hidden, linear_before_reset=reset, seed=seed)
        feeds = layer.feeds(100, 1, seed)
        proto = layer.model(outputs=["Y"])
        found = (lstm_rt.load(proto).run(feeds), models.run_onnxruntime(proto, feeds), layer.expected(feeds))
        for values, outputs in zip(pooled, found):
            values.append(outputs["Y"])
    ours, theirs, exact = (np.stack(values) for values in pooled)
    check(ours, theirs, exact, f"{kind} {hidden}")


# The ops that the reference evaluator computes slowly, or in a way of its own.
class Conv(OpRun):  # type: ignore[misc, unused-ignore]
    def _run(self, x: Array, w: Array, b: Any = None, **attributes: Any) -> tuple[Array]:
        rank = x.ndim - 2
        kernel = w.shape[2:]
        assert rank == 1
        assert (attributes.get("group") or 1) == 1
        (stride,) = attributes.get("strides") or [1]
        (dilation,) = attributes.get("dilations") or [1]
        x = np.pad(x, [(0, 0), (0, 0), tuple(attributes.get("pads") or (0, 0))])
        extent = (kernel[0] - 1) * dilation + 1
        windows = np.lib.stride_tricks.sliding_window_view(x, extent, axis=2)[:, :, ::stride, ::dilation]
        y = np.einsum("bctk,mck->bmt", windows, w, optimize=True)
        return (y if b is None else y + b.reshape(1, -1, 1),)


def recurrent_op(kind: str) -> type[Any]:
    def run(self: Any, x: Array, w: Array, r: Array, *rest: Any, **attributes: Any) -> tuple[Array, ...]:
        options = {n: v for n, v in attributes.items() if v is not None and n != "hidden_size"}
        found = reference.recurrent(kind, x, w, r, *rest, **options)
        return tuple(found[: len(self.onnx_node.output)])

    return type(kind, (OpRun,), {"_run": run})


def in_float64(model: onnx.ModelProto, feeds: models.Feeds) -> models.Feeds:
    evaluator = ReferenceEvaluator(models.in_float64(model), new_ops=[Conv, recurrent_op("LSTM"), recurrent_op("GRU")])
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in feeds.items()}
    return dict(zip((o.name for o in model.graph.output), evaluator.run(None, wide)))


def test_silero() -> None:
    path = fetch.model("silero_vad_16k_sequence")
    proto = onnx.load(str(path))
    zeros = np.zeros((1, 1, 128), np.float32)
    feeds = {"input": frames_16k()[100:300], "h": zeros, "c": zeros}
    exact = in_float64(proto, feeds)
    ours, theirs = lstm_rt.load(path).run(feeds), models.run_onnxruntime(proto, feeds)
    check(ours["speech_probs"], theirs["speech_probs"], exact["speech_probs"], "Silero, 200 frames")


def test_nsnet2() -> None:
    path = fetch.model("nsnet2")
    proto = onnx.load(str(path))
    feeds = {"input": golden("nsnet2")["input_16k"][:, 100:200]}
    exact = in_float64(proto, feeds)
    ours, theirs = lstm_rt.load(path).run(feeds), models.run_onnxruntime(proto, feeds)
    check(ours["output"], theirs["output"], exact["output"], "NSNet2, 100 frames")
