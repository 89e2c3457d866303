"""Writes the files that fuzzing starts from: small models of every operation, cell, precision and source format.

``python seeds.py FOLDER`` makes FOLDER/gguf for the core, and FOLDER/sources for the readers of other formats.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import shutil
import struct
import sys
import warnings
import zipfile
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import cases
import cases_math
import cases_moving
import cases_quantized
import models
import numpy as np
import onnx
import test_keras_hostile
import test_loops
import test_model_file
import test_torch_attacks
import torch_files
from dynamic_lstm import Layer
from models import Recurrent, stack

import lstm_rt
from lstm_rt.quantize import PRECISIONS

TESTS = pathlib.Path(__file__).resolve().parent.parent
MOST_BYTES = 32 << 10  # of a seed: what is small is mutated in more places a second
PER_OP = 3  # cases of one operation


def operations() -> Iterator[tuple[str, onnx.ModelProto]]:
    """A few of the test cases of each operation."""
    every = [*cases.ALL, *cases_math.ALL, *cases_moving.ALL, *cases_quantized.ALL]
    for op, group in itertools.groupby(sorted(every, key=lambda case: case.op), key=lambda case: case.op):
        found = list(group)
        for i, case in enumerate(found[:: max(1, len(found) // PER_OP)][:PER_OP]):
            yield f"op_{op}_{i}", case.model()


def structures() -> Iterator[tuple[str, onnx.ModelProto]]:
    """Branches, loops, explicit state, and every cell."""
    yield "branch", test_model_file.recurrent_model()[0]
    yield "chain", test_model_file.operations_model()[0]
    yield "loop", test_loops.powers(3)
    layers = [Recurrent("LSTM", 3, 5), Recurrent("GRU", 5, 4), Recurrent("RNN", 4, 3)]
    yield "stack", stack(layers)
    yield "stack_explicit", stack(layers, explicit=True)
    yield "dynamic_lstm", Layer(inputs=4, hidden=5, states=False, lowest=-127).model()
    for kind in ("LSTM", "GRU", "RNN"):
        yield kind, Recurrent(kind, 4, 6).model()
        yield (
            f"{kind}_two",
            Recurrent(kind, 4, 6, direction="bidirectional", sequence_lens=True, initial_h=True).model(),
        )
    yield "LSTM_peephole", Recurrent("LSTM", 4, 6, peephole=True, clip=1.5, input_forget=1).model()
    yield "GRU_reset_after", Recurrent("GRU", 4, 6, linear_before_reset=1, layout=1).model()


def write_gguf(folder: pathlib.Path) -> int:
    """Convert every model, and those with weights in every precision too."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, proto in [*operations(), *structures()]:
        tested = not name.startswith("op_")  # self-tests of free dims alone take long to find
        lstm_rt.convert(proto, folder / f"{name}.gguf", selftest=tested)
        if name.startswith(("LSTM", "GRU", "RNN", "stack", "op_MatMul", "op_Gemm", "op_Conv_")):
            for precision in PRECISIONS:
                try:
                    lstm_rt.convert(
                        proto, folder / f"{name}_{precision}.gguf", quantize={"*": precision}, selftest=False
                    )
                except (lstm_rt.QuantizationError, lstm_rt.ArgumentError):
                    continue  # it has no layer that can be so
    return keep_small(folder)


def write_sources(folder: pathlib.Path) -> int:
    """One small file for each way in: ONNX, Keras, PyTorch's checkpoints and exports, safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, proto in [*structures(), *itertools.islice(operations(), 0, None, 5)]:
        (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())
    test_keras_hostile.archive(folder / "dense.keras")
    (folder / "dense.weights.h5").write_bytes(test_keras_hostile.weights())
    shutil.copy(TESTS / "golden" / "tagger.pt2", folder)
    with zipfile.ZipFile(TESTS / "golden" / "keras2.zip") as archive:
        for info in archive.infolist():
            if info.filename.endswith((".h5", ".keras")):
                archive.extract(info, folder)
    shapes = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5), "bias_ih_l0": (20,), "bias_hh_l0": (20,)}
    weights = {
        name: np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape) for name, shape in shapes.items()
    }
    write_safetensors(folder / "lstm.safetensors", weights)
    torch_files.save(folder / "lstm.pt", weights)
    pickled, storages = (
        torch_files.state_dict({"w": torch_files.tensor("0", 4, (4,), (1,))}),
        struct.pack("<q4f", 4, *range(4)),
    )
    (folder / "legacy.pt").write_bytes(test_torch_attacks.LEGACY + pickled + torch_files.dumps(["0"]) + storages)
    return keep_small(folder)


def write_safetensors(path: pathlib.Path, weights: dict[str, models.Array]) -> None:
    """The format is a length, a JSON header and the bytes; so its package need not be there."""
    header, data = {}, b""
    for name, array in weights.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def keep_small(folder: pathlib.Path) -> int:
    """Remove what is too large to be a good seed; the number of those that stay."""
    for path in folder.iterdir():
        if path.stat().st_size > MOST_BYTES:
            path.unlink()
    return len(list(folder.iterdir()))


def main(folder: pathlib.Path) -> None:
    warnings.simplefilter("ignore")
    for name, write in (("gguf", write_gguf), ("sources", write_sources)):
        print(write(folder / name), "seeds in", folder / name)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
