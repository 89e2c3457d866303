"""What ``lstm-rt demo`` shows: a small model of our own, the signal it was trained on, and how its scores are read."""

from pathlib import Path

HEARTBEAT_ONNX = Path(__file__).with_name("heartbeat.onnx")
