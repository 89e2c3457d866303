"""What each layer does with the mask that Keras carries next to a tensor: one list, by the version of Keras.

Checked against Keras 3 and TensorFlow 2.15 for every layer (tests/test_keras_masks.py). Those of Keras 1 and of Keras
2 before 2.15 follow from `supports_masking` and `compute_mask` in their sources. A layer that does not support masks
stops them silently in TensorFlow and Keras 3. Older versions refuse to build such a model, so no file holds one.
"""

from __future__ import annotations

from typing import NamedTuple

from ..problems import Refusal

PASS = "pass"  # the mask of the first input is that of every output
STOP = "stop"  # no output has a mask
OWN = "own"  # the handler of the layer makes the masks of its outputs
NONE = ""  # the version does not have the layer


class Rules(NamedTuple):
    """What a layer does with masks in Keras 1, 2 and 3."""

    keras1: str
    keras2: str
    keras3: str


_GROUPS: tuple[tuple[Rules, tuple[str, ...]], ...] = (
    (
        Rules(PASS, PASS, PASS),
        (
            "Activation", "ActivityRegularization", "BatchNormalization", "Dense", "Dropout", "ELU", "GaussianDropout",
            "GaussianNoise", "LeakyReLU", "PReLU", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
        ),
    ),
    (Rules(PASS, PASS, NONE), ("ThresholdedReLU",)),
    (
        Rules(NONE, PASS, PASS),
        ("AlphaDropout", "GroupNormalization", "LayerNormalization", "ReLU", "Softmax", "UnitNormalization"),
    ),
    (Rules(NONE, STOP, PASS), ("Identity", "Normalization", "Rescaling")),
    (Rules(NONE, NONE, STOP), ("RMSNormalization",)),
    (
        Rules(STOP, STOP, STOP),
        (
            "AveragePooling1D", "AveragePooling2D", "AvgPool1D", "AvgPool2D", "Conv1D", "Conv1DTranspose", "Conv2D",
            "Conv2DTranspose", "Cropping1D", "Cropping2D", "DepthwiseConv1D", "DepthwiseConv2D", "Dot", "Flatten",
            "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAvgPool1D", "GlobalAvgPool2D",
            "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "MaxPool1D", "MaxPool2D",
            "MaxPooling1D", "MaxPooling2D", "Permute", "RepeatVector", "Reshape", "SeparableConv1D", "SeparableConv2D",
            "UpSampling1D", "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
        ),
    ),
    (
        Rules(OWN, OWN, OWN),
        (
            "Add", "Average", "Bidirectional", "Concatenate", "ConvLSTM1D", "ConvLSTM2D", "CuDNNGRU", "CuDNNLSTM",
            "Embedding", "GRU", "LSTM", "Masking", "Maximum", "Merge", "Minimum", "Multiply", "RNN", "SimpleRNN",
            "Subtract", "TimeDistributed",
        ),
    ),
    (Rules(NONE, OWN, OWN), ("AdditiveAttention", "Attention", "MultiHeadAttention")),
)  # fmt: skip
MASKS: dict[str, Rules] = {kind: rules for rules, kinds in _GROUPS for kind in kinds}


def mask_rule(kind: str, version: tuple[int, ...]) -> str:
    """Return what a layer does with masks; operations between layers stop them."""
    rules = MASKS.get(kind)
    if rules is None:
        return STOP
    # Files say what wrote them by a version; a layer of a newer one may have been copied into an older Keras.
    wanted = rules[min(version[0], 3) - 1] if version[0] >= 1 else NONE
    return wanted or next(rule for rule in reversed(rules) if rule)


def check_rank(rank: int, *ranks: int) -> None:
    """Refuse a mask of other dims than a layer can use; Keras fails there or repeats the mask without reason."""
    if rank not in ranks:
        wanted = " or ".join(map(str, ranks))
        raise Refusal(
            f"its mask has {rank} dims, not {wanted}. Build the model so that no mask, or one of [batch, steps], "
            "comes to it."
        )
