"""Train the demo's model and write it as ONNX: a few minutes on one core. Needs torch, onnx and lstm_rt.

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

TRAIN_TRACES, TRAIN_SECONDS, TEST_TRACES = 1536, 12.0, 300
EPOCHS, BATCH, LEARNING_RATE = 20, 16, 6e-3
RARE = 3.0  # how much more a step with an event counts: few have one
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
        nn.init.constant_(self.scores.bias, -2)
        for name, weight in self.recurrent.named_parameters():
            if name.startswith("weight_hh"):
                for gate in torch.split(weight.data, hidden):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias"):
                nn.init.zeros_(weight)
            if name.startswith("bias_ih"):
                weight.data[hidden : 2 * hidden] = 1  # forget gates start open: the rhythm is seconds long

    def logits(self, frames: Tensor) -> Tensor:
        hidden, _ = self.recurrent(torch.tanh(self.dense(frames)))
        scores: Tensor = self.scores(hidden)
        return scores

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


def train(model: Heartbeat) -> None:
    frames, wanted = stack([heart_trace(seed, TRAIN_SECONDS) for seed in range(TRAIN_TRACES)])
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCHS * (TRAIN_TRACES // BATCH), pct_start=0.05
    )
    loss_of = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(RARE))
    for epoch in range(EPOCHS):
        start, losses = time.monotonic(), []
        for rows in torch.split(torch.randperm(TRAIN_TRACES), BATCH):
            loss = loss_of(model.logits(frames[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rate.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1:2d}: loss {np.mean(losses):.4f}, {time.monotonic() - start:.0f} s", flush=True)


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


def round_weights(model: torch.nn.Module) -> None:
    """Round weights to bfloat16, in float32: enough for the task, and half as large once compressed in the wheel."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.numel() >= 64:
                weight.copy_(weight.to(torch.bfloat16).float())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("onnx", help="the file to write")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = Heartbeat()
    train(model)
    round_weights(model)
    report(model.eval())
    torch.onnx.export(
        model,
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
