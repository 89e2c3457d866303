"""Train the demo's model and write it as ONNX: under five minutes on one core. Needs torch, onnx and lstm_rt.

    python examples/train_demo.py heartbeat.onnx
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn

from lstm_rt.demo.detect import findings, match
from lstm_rt.demo.signal import FRAME, KINDS, STEP_SECONDS, TEST_SEEDS, Trace, heart_trace

TRAIN_TRACES, TEST_TRACES = 768, 300
TRACE_SECONDS = 24.0
BATCH = 32
# Where the model shall answer, in seconds after the event: as soon as a listener could know.
ANSWER = {"early": (0.08, 0.30), "wide": (0.08, 0.30), "missing": (0.25, 0.47)}


class Heartbeat(nn.Module):
    """Two LSTM layers over frames of plain samples; per step, a probability of each kind of event.

    The initial state is left to its default, zeros: a runtime that streams keeps it from step to step.
    """

    def __init__(self, hidden: int = 48) -> None:
        super().__init__()
        self.dense = nn.Linear(FRAME, hidden)
        self.recurrent = nn.LSTM(hidden, hidden, num_layers=2, batch_first=True)
        self.scores = nn.Linear(hidden, len(KINDS))

    def logits(self, frames: Tensor) -> Tensor:
        hidden, _ = self.recurrent(torch.tanh(self.dense(frames)))
        return self.scores(hidden)

    def forward(self, frames: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(frames))


def targets(trace: Trace) -> np.ndarray:
    """Per step and kind: 1 where the model shall say so."""
    wanted = np.zeros((len(trace.samples) // FRAME, len(KINDS)), np.float32)
    for event in trace.events:
        first, last = (int((event.seconds + after) / STEP_SECONDS) for after in ANSWER[event.kind])
        wanted[first:last, KINDS.index(event.kind)] = 1
    return wanted


def stack(traces: list[Trace]) -> tuple[Tensor, Tensor]:
    frames = np.concatenate([trace.frames() for trace in traces])
    return torch.from_numpy(frames), torch.from_numpy(np.stack([targets(trace) for trace in traces]))


def train(model: Heartbeat, minutes: float) -> None:
    frames, wanted = stack([heart_trace(seed, TRACE_SECONDS) for seed in range(TRAIN_TRACES)])
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    start, epoch = time.monotonic(), 0
    while (spent := (time.monotonic() - start) / (60 * minutes)) < 1:
        losses = []
        for rows in torch.randperm(TRAIN_TRACES).split(BATCH):
            spent = min((time.monotonic() - start) / (60 * minutes), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = 5e-3 * 0.5 * (1 + np.cos(np.pi * spent)) + 1e-5
            loss = nn.functional.binary_cross_entropy_with_logits(model.logits(frames[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        epoch += 1
        print(f"epoch {epoch:2d}: loss {np.mean(losses):.4f}, {spent:.0%} of the time", flush=True)


def area_under_curve(scores: np.ndarray, wanted: np.ndarray) -> float:
    """AUC of the ROC by ranks."""
    ranks = np.empty(scores.size)
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, scores.size + 1)
    positive = wanted > 0
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (scores.size - count)))


def report(model: Heartbeat) -> None:
    """Print what the model is worth on people it was not trained on."""
    traces = [heart_trace(TEST_SEEDS + seed) for seed in range(TEST_TRACES)]
    frames, wanted = stack(traces)
    with torch.no_grad():
        scores = model(frames).numpy()
    pairs = [pair for row, trace in zip(scores, traces) for pair in match(findings(row), trace.events)]
    print(f"{TEST_TRACES} traces of {traces[0].seconds:.0f} s, seeds from {TEST_SEEDS}")
    print("| kind | events | found | missed | false alarms | F1 | AUC per step | median delay |")
    print("|---|---|---|---|---|---|---|---|")
    for column, kind in enumerate(KINDS):
        hits = [p for p in pairs if p.finding and p.event and p.event.kind == kind]
        missed = sum(1 for p in pairs if not p.finding and p.event and p.event.kind == kind)
        alarms = sum(1 for p in pairs if p.finding and not p.event and p.finding.kind == kind)
        delay = np.median([p.finding.seconds - p.event.seconds for p in hits if p.finding and p.event] or [np.nan])
        auc = area_under_curve(scores[:, :, column].ravel(), wanted[:, :, column].numpy().ravel())
        f1 = 2 * len(hits) / (2 * len(hits) + missed + alarms)
        print(
            f"| {kind} | {len(hits) + missed} | {len(hits)} | {missed} | {alarms} | {f1:.3f} | {auc:.4f} "
            f"| {1000 * delay:.0f} ms |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("onnx", help="the file to write")
    parser.add_argument("--minutes", type=float, default=4.0)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = Heartbeat()
    train(model, arguments.minutes)
    report(model)
    torch.onnx.export(
        model.eval(),
        (torch.zeros(1, 10, FRAME),),
        arguments.onnx,
        input_names=["frames"],
        output_names=["scores"],
        dynamic_axes={"frames": {0: "batch", 1: "time"}, "scores": {0: "batch", 1: "time"}},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main()
