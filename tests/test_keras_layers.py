"""Every layer against Keras 3, from .keras and .h5 files."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_models import check, compare, keras, run_keras, run_ours, sequence, shake, tokens
from models import Array

import lstm_rt

Build = Callable[[Any], Any]  # of the module keras: a model

STEPS = 7


def over(make: Callable[[Any], Any], *shape: int | None) -> Build:
    """A model of one layer."""

    def build(module: Any) -> Any:
        x = module.Input(shape)
        return module.Model(x, make(module.layers)(x))

    return build


def masked(make: Callable[[Any, Any], Any]) -> Build:
    """A model whose sequence is masked by its tokens."""

    def build(module: Any) -> Any:
        x = module.Input((STEPS,))
        y = module.layers.Embedding(9, 5, mask_zero=True)(x)
        return module.Model(x, make(module.layers, y))

    return build


def backwards_first(L: Any, kind: str, merge_mode: str = "concat", **options: Any) -> Any:
    """A Bidirectional whose first layer is the one that goes backwards."""
    first, second = (getattr(L, kind)(4, go_backwards=backwards, **options) for backwards in (True, False))
    return L.Bidirectional(first, merge_mode=merge_mode, backward_layer=second)


SEQUENCE, FREE, IMAGE = (STEPS, 5), (None, 5), (6, 8, 3)
RECURRENT: dict[str, Callable[[Any], Any]] = {
    "lstm": lambda L: L.LSTM(4),
    "lstm_sequences": lambda L: L.LSTM(4, return_sequences=True),
    "lstm_states": lambda L: L.LSTM(4, return_sequences=True, return_state=True),
    "lstm_hard_sigmoid": lambda L: L.LSTM(4, recurrent_activation="hard_sigmoid"),
    "lstm_odd": lambda L: L.LSTM(4, activation="softsign", recurrent_activation="linear", use_bias=False),
    "lstm_elu": lambda L: L.LSTM(4, activation="elu", recurrent_activation="relu"),
    "lstm_backwards": lambda L: L.LSTM(4, return_sequences=True, go_backwards=True, return_state=True),
    "lstm_unroll": lambda L: L.LSTM(4, unroll=True, dropout=0.3, recurrent_dropout=0.2),
    "lstm_stateful_like": lambda L: L.LSTM(4, unit_forget_bias=False),
    "gru_after": lambda L: L.GRU(4, reset_after=True, return_sequences=True),
    "gru_before": lambda L: L.GRU(4, reset_after=False, return_sequences=True),
    "gru_no_bias": lambda L: L.GRU(4, reset_after=False, use_bias=False),
    "gru_after_no_bias": lambda L: L.GRU(4, reset_after=True, use_bias=False),
    "gru_states": lambda L: L.GRU(4, return_state=True, go_backwards=True),
    "rnn": lambda L: L.SimpleRNN(4, return_sequences=True),
    "rnn_relu": lambda L: L.SimpleRNN(4, activation="relu", return_state=True),
    "cells": lambda L: L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)], return_sequences=True),
    "cells_states": lambda L: L.RNN([L.GRUCell(3, reset_after=False), L.LSTMCell(4)], return_state=True),
    "one_cell": lambda L: L.RNN(L.LSTMCell(4), return_sequences=True, go_backwards=True),
    "bidirectional": lambda L: L.Bidirectional(L.LSTM(4, return_sequences=True)),
    "bidirectional_sum": lambda L: L.Bidirectional(L.GRU(4), merge_mode="sum"),
    "bidirectional_mul": lambda L: L.Bidirectional(L.SimpleRNN(4, return_sequences=True), merge_mode="mul"),
    "bidirectional_ave": lambda L: L.Bidirectional(L.LSTM(4, return_state=True), merge_mode="ave"),
    "bidirectional_none": lambda L: L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode=None),
    "bidirectional_own": lambda L: L.Bidirectional(
        L.LSTM(4, return_sequences=True), backward_layer=L.GRU(4, return_sequences=True, go_backwards=True)
    ),
    "bidirectional_cells": lambda L: L.Bidirectional(L.RNN([L.LSTMCell(4), L.GRUCell(3)], return_sequences=True)),
    "bidirectional_backwards": lambda L: backwards_first(L, "LSTM", return_sequences=True),
    "bidirectional_backwards_states": lambda L: backwards_first(L, "GRU", return_state=True),
    "bidirectional_backwards_sum": lambda L: backwards_first(L, "SimpleRNN", "sum", return_sequences=True),
    "bidirectional_before": lambda L: L.Bidirectional(L.GRU(4, reset_after=False, return_sequences=True)),
    "bidirectional_two": lambda L: L.Bidirectional(L.LSTM(4, activation="relu", return_sequences=True)),
}
ACTIVATION_LAYERS: dict[str, Callable[[Any], Any]] = {
    "lstm_leaky_layer": lambda L: L.LSTM(4, activation=L.LeakyReLU(0.1), return_sequences=True),
    "gru_elu_layer": lambda L: L.GRU(4, activation=L.ELU(0.5), recurrent_activation=L.Activation("hard_sigmoid")),
    "rnn_activation_layer": lambda L: L.SimpleRNN(4, activation=L.Activation("relu"), return_sequences=True),
    "lstm_bounded_layer": lambda L: L.LSTM(4, activation=L.ReLU(max_value=0.4), return_sequences=True),
    "gru_softmax_layer": lambda L: L.GRU(4, activation=L.Softmax(), reset_after=False),
    "bidirectional_layer": lambda L: L.Bidirectional(L.LSTM(3, activation=L.LeakyReLU(0.2))),
    "cell_layer": lambda L: L.RNN(L.LSTMCell(3, activation=L.LeakyReLU(0.2))),
    "lstm_leaky": lambda L: L.LSTM(4, activation="leaky_relu", return_sequences=True),
    "dense_layer": lambda L: L.Dense(4, activation=L.LeakyReLU(0.1)),
    "dense_softmax_layer": lambda L: L.Dense(4, activation=L.Softmax()),
    "conv_layer": lambda L: L.Conv1D(4, 2, activation=L.ReLU(max_value=0.3, negative_slope=0.1)),
    "time_distributed_layer": lambda L: L.TimeDistributed(L.Dense(3, activation=L.ELU(0.3))),
}
# Written out step by step: the number of steps is known.
UNROLLED: dict[str, Callable[[Any], Any]] = {
    "lstm_swish": lambda L: L.LSTM(4, activation="swish", return_sequences=True, return_state=True),
    "lstm_selu": lambda L: L.LSTM(4, activation="selu", recurrent_activation="softmax", go_backwards=True),
    "gru_gelu": lambda L: L.GRU(4, activation="gelu", return_sequences=True),
    "gru_before_mish": lambda L: L.GRU(4, activation="mish", reset_after=False),
    "rnn_exponential": lambda L: L.SimpleRNN(4, activation="log_sigmoid", return_sequences=True),
    "bidirectional_silu": lambda L: L.Bidirectional(L.GRU(3, activation="silu", return_sequences=True)),
}
POINTWISE: dict[str, Callable[[Any], Any]] = {
    "dense": lambda L: L.Dense(4),
    "dense_no_bias": lambda L: L.Dense(4, use_bias=False, activation="softmax"),
    "dropout": lambda L: L.Dropout(0.5),
    "spatial_dropout": lambda L: L.SpatialDropout1D(0.5),
    "noise": lambda L: L.GaussianNoise(0.5),
    "gaussian_dropout": lambda L: L.GaussianDropout(0.5),
    "alpha_dropout": lambda L: L.AlphaDropout(0.5),
    "activity": lambda L: L.ActivityRegularization(0.1),
    "identity": lambda L: L.Identity(),
    "batch_norm": lambda L: L.BatchNormalization(),
    "batch_norm_plain": lambda L: L.BatchNormalization(scale=False, center=False, epsilon=0.01),
    "batch_norm_first": lambda L: L.BatchNormalization(axis=2),
    "layer_norm": lambda L: L.LayerNormalization(),
    "layer_norm_plain": lambda L: L.LayerNormalization(scale=False, center=False),
    "rms_norm": lambda L: L.RMSNormalization(),
    "unit_norm": lambda L: L.UnitNormalization(),
    "rescaling": lambda L: L.Rescaling(0.25, offset=-1.5),
    "normalization": lambda L: L.Normalization(mean=[0.1, 0.2, 0.3, 0.4, 0.5], variance=[1.0, 2.0, 3.0, 4.0, 0.5]),
    "normalization_all": lambda L: L.Normalization(axis=None, mean=0.5, variance=2.0, invert=True),
    "leaky": lambda L: L.LeakyReLU(),
    "leaky_slope": lambda L: L.LeakyReLU(negative_slope=0.05),
    "elu": lambda L: L.ELU(0.7),
    "relu": lambda L: L.ReLU(),
    "relu_bounded": lambda L: L.ReLU(max_value=0.5),
    "relu_all": lambda L: L.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.2),
    "softmax": lambda L: L.Softmax(),
    "softmax_axis": lambda L: L.Softmax(axis=1),
    "time_distributed": lambda L: L.TimeDistributed(L.Dense(3, activation="relu")),
}
SHAPES: dict[str, Callable[[Any], Any]] = {
    "prelu": lambda L: L.PReLU(),
    "prelu_shared": lambda L: L.PReLU(shared_axes=[1]),
    "layer_norm_axes": lambda L: L.LayerNormalization(axis=[1, 2]),
    "group_norm": lambda L: L.GroupNormalization(groups=5),
    "group_norm_one": lambda L: L.GroupNormalization(groups=1),
    "batch_norm_axis": lambda L: L.BatchNormalization(axis=1),
    "flatten": lambda L: L.Flatten(),
    "flatten_first": lambda L: L.Flatten(data_format="channels_first"),
    "reshape": lambda L: L.Reshape((5, 7)),
    "reshape_free": lambda L: L.Reshape((-1, 7, 1)),
    "permute": lambda L: L.Permute((2, 1)),
    "zero_padding": lambda L: L.ZeroPadding1D((2, 1)),
    "cropping": lambda L: L.Cropping1D((1, 2)),
    "upsampling": lambda L: L.UpSampling1D(3),
    "conv1d": lambda L: L.Conv1D(4, 3),
    "conv1d_same": lambda L: L.Conv1D(4, 3, strides=2, padding="same", activation="tanh"),
    "conv1d_causal": lambda L: L.Conv1D(4, 3, dilation_rate=2, padding="causal", use_bias=False),
    "conv1d_groups": lambda L: L.Conv1D(10, 2, groups=5),
    "conv1d_first": lambda L: L.Conv1D(4, 3, data_format="channels_first"),
    "depthwise1d": lambda L: L.DepthwiseConv1D(3, depth_multiplier=2),
    "separable1d": lambda L: L.SeparableConv1D(4, 3, padding="same", depth_multiplier=2),
    "transposed1d": lambda L: L.Conv1DTranspose(4, 3),
    "transposed1d_same": lambda L: L.Conv1DTranspose(4, 3, strides=2, padding="same"),
    "max_pool": lambda L: L.MaxPooling1D(2),
    "max_pool_same": lambda L: L.MaxPooling1D(3, strides=2, padding="same"),
    "average_pool": lambda L: L.AveragePooling1D(3, strides=2, padding="same"),
    "max_pool_first": lambda L: L.MaxPooling1D(2, data_format="channels_first"),
    "global_max": lambda L: L.GlobalMaxPooling1D(),
    "global_average": lambda L: L.GlobalAveragePooling1D(keepdims=True),
    "global_average_first": lambda L: L.GlobalAveragePooling1D(data_format="channels_first"),
    "time_distributed_norm": lambda L: L.TimeDistributed(L.LayerNormalization()),
}
IMAGES: dict[str, Callable[[Any], Any]] = {
    "conv2d": lambda L: L.Conv2D(4, 3),
    "conv2d_same": lambda L: L.Conv2D(4, (3, 2), strides=2, padding="same"),
    "conv2d_dilated": lambda L: L.Conv2D(6, 2, dilation_rate=(1, 2), groups=3),
    "conv2d_first": lambda L: L.Conv2D(4, 3, data_format="channels_first"),
    "depthwise2d": lambda L: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    "separable2d": lambda L: L.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu"),
    "transposed2d": lambda L: L.Conv2DTranspose(4, 3, strides=(2, 1)),
    "transposed2d_same": lambda L: L.Conv2DTranspose(4, (3, 4), strides=2, padding="same"),
    "transposed2d_wide": lambda L: L.Conv2DTranspose(4, 2, strides=3, padding="same"),
    "transposed2d_extra": lambda L: L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1),
    "max_pool2d": lambda L: L.MaxPooling2D((2, 3), strides=2, padding="same"),
    "average_pool2d": lambda L: L.AveragePooling2D(3, strides=1, padding="same"),
    "global_max2d": lambda L: L.GlobalMaxPooling2D(),
    "global_average2d": lambda L: L.GlobalAveragePooling2D(data_format="channels_first", keepdims=True),
    "zero_padding2d": lambda L: L.ZeroPadding2D(((1, 2), (0, 3))),
    "cropping2d": lambda L: L.Cropping2D(((1, 2), (0, 3))),
    "cropping2d_first": lambda L: L.Cropping2D((1, 1), data_format="channels_first"),
    "upsampling2d": lambda L: L.UpSampling2D((2, 3)),
    "upsampling2d_linear": lambda L: L.UpSampling2D(2, interpolation="bilinear"),
    "spatial_dropout2d": lambda L: L.SpatialDropout2D(0.5),
    "batch_norm2d": lambda L: L.BatchNormalization(axis=1),
    "group_norm2d": lambda L: L.GroupNormalization(groups=3),
    "conv_lstm1d": lambda L: L.ConvLSTM1D(4, 3, return_sequences=True, padding="same"),
    "conv_lstm1d_last": lambda L: L.ConvLSTM1D(4, 3, strides=2, recurrent_activation="hard_sigmoid"),
    "conv_lstm1d_first": lambda L: L.ConvLSTM1D(4, 2, data_format="channels_first", return_sequences=True),
    "conv_lstm1d_states": lambda L: L.ConvLSTM1D(4, 2, return_state=True, go_backwards=True),
    "flatten2d": lambda L: L.Flatten(data_format="channels_first"),
    "time_distributed_conv": lambda L: L.TimeDistributed(L.Conv1D(4, 3)),
    "time_distributed_lstm": lambda L: L.TimeDistributed(L.LSTM(4)),
    "time_distributed_flatten": lambda L: L.TimeDistributed(L.Flatten()),
    "time_distributed_pool": lambda L: L.TimeDistributed(L.GlobalAveragePooling1D()),
}
ACTIVATIONS = (
    *("linear", "relu", "sigmoid", "tanh", "hard_sigmoid", "softplus", "softsign", "elu", "selu", "celu", "gelu"),
    *("exponential", "swish", "silu", "mish", "softmax", "log_softmax", "leaky_relu", "relu6", "hard_tanh"),
    *("hard_swish", "hard_silu", "log_sigmoid", "tanh_shrink"),
)
MASKED: dict[str, Callable[[Any, Any], Any]] = {
    "lstm": lambda L, y: L.LSTM(4)(y),
    "lstm_sequences": lambda L, y: L.LSTM(4, return_sequences=True)(y),
    "lstm_zero": lambda L, y: L.LSTM(4, return_sequences=True, return_state=True, zero_output_for_mask=True)(y),
    "lstm_zero_last": lambda L, y: L.LSTM(4, zero_output_for_mask=True, go_backwards=True)(y),
    "lstm_backwards": lambda L, y: L.LSTM(4, return_sequences=True, return_state=True, go_backwards=True)(y),
    "gru": lambda L, y: L.GRU(4, return_sequences=True, return_state=True)(y),
    "gru_before": lambda L, y: L.GRU(4, reset_after=False, go_backwards=True)(y),
    "rnn": lambda L, y: L.SimpleRNN(4, return_sequences=True)(y),
    "stacked": lambda L, y: L.LSTM(3)(L.GRU(4, return_sequences=True)(y)),
    "cells": lambda L, y: L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)(y),
    "unrolled": lambda L, y: L.LSTM(3, activation="swish", return_sequences=True)(y),
    "unrolled_gru": lambda L, y: L.GRU(3, activation="swish", go_backwards=True)(y),
    "bidirectional": lambda L, y: L.Bidirectional(L.LSTM(4, return_sequences=True))(y),
    "bidirectional_last": lambda L, y: L.Bidirectional(L.GRU(4))(y),
    "bidirectional_backwards": lambda L, y: backwards_first(L, "LSTM", return_sequences=True)(y),
    "bidirectional_backwards_last": lambda L, y: backwards_first(L, "GRU", return_state=True)(y),
    "bidirectional_zero": lambda L, y: backwards_first(L, "LSTM", return_sequences=True, zero_output_for_mask=True)(y),
    "bidirectional_twice": lambda L, y: L.Bidirectional(L.GRU(4))(L.Bidirectional(L.LSTM(3, return_sequences=True))(y)),
    "states_between": lambda L, y: L.LSTM(4, return_sequences=True)(
        y, initial_state=L.LSTM(4, return_state=True)(y)[1:]
    ),
    "states_between_backwards": lambda L, y: L.GRU(4, return_sequences=True, go_backwards=True)(
        y, initial_state=L.GRU(4, return_state=True)(y)[1]
    ),
    "through_layers": lambda L, y: L.LSTM(3)(L.Dropout(0.2)(L.LayerNormalization()(L.Dense(4, activation="relu")(y)))),
    "time_distributed": lambda L, y: L.LSTM(3)(L.TimeDistributed(L.Dense(4))(y)),
    "lost": lambda L, y: L.LSTM(3)(L.Conv1D(4, 2)(y)),
    "add": lambda L, y: L.LSTM(3)(L.Add()([y, L.Dense(5)(y)])),
    "concatenate": lambda L, y: L.LSTM(3)(L.Concatenate()([y, L.Dense(2)(y)])),
    "multiply": lambda L, y: L.Multiply()([y, L.Dense(5)(y), L.Conv1D(5, 1)(y)]),
    "multiply_all": lambda L, y: L.Multiply()([y, L.Dense(5)(y)]),
    "maximum": lambda L, y: L.Maximum()([y, L.Dense(5)(y)]),
    "minimum": lambda L, y: L.Minimum()([L.Conv1D(5, 1)(y), y, L.Dense(5)(y)]),
    "average": lambda L, y: L.GRU(3)(L.Average()([y, L.Dense(5)(y)])),
    "concatenate_steps": lambda L, y: L.LSTM(3)(L.Concatenate(axis=1)([y, L.Dense(5)(y)])),
    "again": lambda L, y: L.LSTM(3, return_sequences=True)(L.Masking()(y)),
}
ATTENTION: dict[str, Callable[[Any, Any, Any], Any]] = {
    "dot": lambda L, a, b: L.Attention()([a, b]),
    "dot_scale": lambda L, a, b: L.Attention(use_scale=True)([a, b, L.Dense(5)(b)]),
    "dot_causal": lambda L, a, b: L.Attention()([a, b], use_causal_mask=True),
    "dot_scores": lambda L, a, b: L.Attention()([a, b], return_attention_scores=True),
    "concat": lambda L, a, b: L.Attention(score_mode="concat", use_scale=True)([a, b]),
    "additive": lambda L, a, b: L.AdditiveAttention()([a, b]),
    "additive_plain": lambda L, a, b: L.AdditiveAttention(use_scale=False)([a, b, b]),
    "heads": lambda L, a, b: L.MultiHeadAttention(2, 3)(a, b),
    "heads_key": lambda L, a, b: L.MultiHeadAttention(2, 3, value_dim=4, output_shape=6)(a, b, key=L.Dense(4)(b)),
    "heads_causal": lambda L, a, b: L.MultiHeadAttention(2, 3, dropout=0.1)(a, b, use_causal_mask=True),
    "heads_no_bias": lambda L, a, b: L.MultiHeadAttention(2, 3, use_bias=False)(a, b),
    "heads_dropout": lambda L, a, b: L.MultiHeadAttention(2, 3, dropout=0.5)(a, b),
    "heads_scores": lambda L, a, b: L.MultiHeadAttention(2, 3)(a, b, return_attention_scores=True),
}


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("shape", [SEQUENCE, FREE], ids=["fixed", "free"])
def test_recurrent(name: str, shape: tuple[int | None, ...], tmp_path: pathlib.Path) -> None:
    if "unroll" in name and shape[0] is None:
        shape = SEQUENCE  # Keras wants to know
    check(over(RECURRENT[name], *shape)(keras()), [sequence(0, 3, STEPS, 5)], tmp_path)


@pytest.mark.parametrize("name", UNROLLED)
def test_unrolled(name: str, tmp_path: pathlib.Path) -> None:
    check(over(UNROLLED[name], *SEQUENCE)(keras()), [sequence(0, 3, STEPS, 5)], tmp_path)


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise(name: str, tmp_path: pathlib.Path) -> None:
    check(over(POINTWISE[name], *FREE)(keras()), [sequence(0, 3, STEPS, 5)], tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str, tmp_path: pathlib.Path) -> None:
    check(over(SHAPES[name], *SEQUENCE)(keras()), [sequence(0, 3, STEPS, 5)], tmp_path)


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str, tmp_path: pathlib.Path) -> None:
    check(over(IMAGES[name], *IMAGE)(keras()), [sequence(0, 2, *IMAGE)], tmp_path)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, tmp_path: pathlib.Path) -> None:
    check(over(lambda L: L.Activation(name), *SEQUENCE)(keras()), [4 * sequence(0, 3, STEPS, 5)], tmp_path)


@pytest.mark.parametrize("name", MASKED)
def test_masked(name: str, tmp_path: pathlib.Path) -> None:
    # Masks at the end, in the middle and at the beginning, and a row that is masked whole.
    check(masked(MASKED[name])(keras()), [tokens(0, 4, STEPS, 9)], tmp_path)


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("mask", [False, True], ids=["plain", "masked"])
def test_attention(name: str, mask: bool, tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    a, b = module.Input((4, 5)), module.Input((6,))
    keys = L.Embedding(9, 5, mask_zero=mask)(b)
    model = module.Model([a, b], ATTENTION[name](L, a, keys))
    check(model, [sequence(0, 4, 4, 5), tokens(1, 4, 6, 9)], tmp_path)


def test_attention_of_masked_queries(tmp_path: pathlib.Path) -> None:
    module = keras()
    L = module.layers
    x = module.Input((6,))
    y = L.Embedding(9, 5, mask_zero=True)(x)
    check(module.Model(x, L.LSTM(3)(L.AdditiveAttention()([y, y]))), [tokens(1, 3, 6, 9)], tmp_path)


def test_given_masks(tmp_path: pathlib.Path) -> None:
    # With states given, Keras 3 takes only a mask that is given too; before the first step that counts, zeros come out.
    module = keras()
    L, x = module.layers, module.Input((STEPS,))
    mask = module.ops.not_equal(x, 0)
    y = L.Embedding(9, 5)(x)
    state = L.GRU(4)(y)
    outputs = [
        L.GRU(4, return_sequences=True)(y, initial_state=state, mask=mask),
        L.GRU(4, return_sequences=True, go_backwards=True)(y, initial_state=state, mask=mask),
        L.SimpleRNN(4)(y, initial_state=state, mask=mask),
        L.LSTM(4, zero_output_for_mask=True)(y, initial_state=[state, state], mask=mask),
        L.Bidirectional(L.GRU(4))(y, initial_state=[state, state], mask=mask),
    ]
    check(module.Model(x, outputs), [tokens(0, 4, STEPS, 9)], tmp_path)


def test_masking_layer(tmp_path: pathlib.Path) -> None:
    module = keras()
    x = module.Input((STEPS, 5))
    values: Array = sequence(0, 3, STEPS, 5)
    values[0, 2] = values[1, -3:] = values[2] = -2.0
    y = module.layers.Masking(-2.0)(x)
    average = module.layers.GlobalAveragePooling1D()(module.layers.Masking(-3.0)(x))
    model = module.Model(x, [y, module.layers.GRU(4, return_sequences=True)(y), average])
    check(model, [values], tmp_path)


def merges(L: Any, a: Any, b: Any, c: Any) -> list[Any]:
    return [
        L.Add()([a, b]),
        L.Multiply()([a, b, a]),
        L.Average()([a, b, a]),
        L.Maximum()([a, b]),
        L.Minimum()([a, b]),
        L.Subtract()([a, b]),
        L.Concatenate()([a, b]),
        L.Concatenate(axis=1)([a, b]),
        L.Dot(axes=(2, 2))([a, b]),
        L.Dot(axes=1, normalize=True)([a, b]),
        L.Dot(axes=(1, 2))([c, b]),
        L.Dot(axes=1)([c, c]),
        L.Add()([a, c]),
        L.RepeatVector(3)(c),
    ]


def test_merging(tmp_path: pathlib.Path) -> None:
    module = keras()
    a, b, c = module.Input((STEPS, 5)), module.Input((STEPS, 5)), module.Input((5,))
    model = module.Model([a, b, c], merges(module.layers, a, b, c))
    check(model, [sequence(0, 3, STEPS, 5), sequence(1, 3, STEPS, 5), sequence(2, 3, 5)], tmp_path)


def test_operations(tmp_path: pathlib.Path) -> None:
    module = keras()
    ops = module.ops
    x = module.Input((STEPS, 5))
    parts = [
        x * 2.0 + 1,
        3 - x / 2,
        ops.tanh(x) * ops.sigmoid(x),
        ops.mean(x, axis=1),
        ops.sum(x, axis=[1, 2], keepdims=True),
        ops.max(x, axis=-1),
        ops.square(-x),
        x[:, 1:4, :],
        x[:, -1],
        x[:, ::2, 2:],
        ops.expand_dims(x, 2),
        ops.transpose(x, (0, 2, 1)),
        ops.reshape(x, (-1, 5, STEPS)),
        ops.concatenate([x, x], axis=-1),
        ops.maximum(x, 0.25),
    ]
    check(module.Model(x, parts), [sequence(0, 3, STEPS, 5)], tmp_path, (".keras",))


def refused_layers(module: Any) -> list[Any]:
    """Layers that cannot be read, with layers that can between them."""

    class Mine(module.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any, training: bool = False) -> Any:
            return x + 1.0

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    class Mine2(Mine):
        pass

    L = module.layers
    return [
        L.LSTM(4, return_sequences=True),
        Mine(name="mine"),
        L.Dense(4),
        L.Lambda(lambda x: x * 2.0, name="times"),
        L.Softmax(axis=[1, 2], name="axes"),
        L.TimeDistributed(Mine(), name="each"),
        Mine2(name="mine2"),
        L.Dense(4, name="last"),
    ]


@pytest.mark.parametrize("form", ["sequential", "functional", "nested"])
@pytest.mark.parametrize("extension", [".keras", ".h5"])
def test_all_refused_layers_are_listed(form: str, extension: str, tmp_path: pathlib.Path) -> None:
    module = keras()
    made = refused_layers(module)
    x = module.Input((STEPS, 4))
    if form == "functional":
        y = x
        for layer in made:
            y = layer(y)
        model = module.Model(x, y)
    else:
        model = module.Sequential([x, *made])
    if form == "nested":
        x = module.Input((STEPS, 4))
        model = module.Model(x, module.layers.Dense(2)(model(model(x))))
    path = tmp_path / f"m{extension}"
    model.save(path)
    with pytest.raises(lstm_rt.UnsupportedModelError) as caught:
        lstm_rt.load(path)
    names = ["mine", "times", "each", "mine2"]
    if form == "functional":  # whose files mention the shape of what a refused layer gives
        names.append("axes")
    assert f"{len(names)} parts of" in str(caught.value)
    for name in names:
        assert str(caught.value).count(f"{name}'") == 1, f"{name} is not listed once: {caught.value}"


@pytest.mark.parametrize("name", ACTIVATION_LAYERS)
def test_activation_that_is_a_layer(name: str, tmp_path: pathlib.Path) -> None:
    model = over(ACTIVATION_LAYERS[name], *SEQUENCE)(keras())
    check(model, [sequence(0, 3, *SEQUENCE)], tmp_path)


def test_activation_layer_with_weights_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.keras"
    over(lambda L: L.Dense(4, activation=L.PReLU()), *SEQUENCE)(keras()).save(path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match="PReLU has weights of its own"):
        lstm_rt.load(path)


def own_cell(module: Any) -> Any:
    """A cell with two states, whose output is neither."""
    ops = module.ops

    @module.saving.register_keras_serializable()  # type: ignore[untyped-decorator,unused-ignore]
    class Leaky(module.layers.Layer):  # type: ignore[misc]
        def __init__(self, units: int, rate: float = 0.5, **options: Any) -> None:
            super().__init__(**options)
            self.units, self.rate = units, rate
            self.state_size, self.output_size = [units, units], 2 * units

        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
            self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")

        def call(self, x: Any, states: Any, training: bool = False) -> Any:
            fast = ops.tanh(ops.matmul(x, self.kernel) + ops.matmul(states[0], self.recurrent))
            slow = states[1] * self.rate + fast * (1 - self.rate)
            return ops.concatenate([fast, slow], -1), [fast, slow]

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units, "rate": self.rate}

    return Leaky


def leaky_step(build: Any, config: Any, weights: Any, inputs: Any) -> Any:
    x, fast, slow = inputs
    total = build.op(
        "Add", build.op("MatMul", x, build.constant(weights[0])), build.op("MatMul", fast, build.constant(weights[1]))
    )
    fast = build.op("Tanh", total)
    rate = config["rate"]
    scaled = [build.op("Mul", v, build.constant(np.float32(r))) for v, r in ((slow, rate), (fast, 1 - rate))]
    slow = build.op("Add", *scaled)
    return [build.op("Concat", fast, slow, axis=-1), fast, slow]


leaky_step.state_size = [3, 3]  # type: ignore[attr-defined]
leaky_step.output_size = 6  # type: ignore[attr-defined]
OWN_CELLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "last": lambda L, C, x: L.RNN(C(3))(x),
    "sequences": lambda L, C, x: L.RNN(C(3), return_sequences=True, return_state=True)(x),
    "masked": lambda L, C, x: L.RNN(C(3), return_sequences=True)(L.Masking()(x)),
    "backwards": lambda L, C, x: L.RNN(C(3), go_backwards=True, return_sequences=True)(x),
    "stacked": lambda L, C, x: L.RNN([L.GRUCell(2), C(3), L.LSTMCell(2)])(x),
    "bidirectional": lambda L, C, x: L.Bidirectional(L.RNN(C(3), return_sequences=True))(x),
}


@pytest.mark.parametrize("case", OWN_CELLS)
@pytest.mark.parametrize("extension", [".keras", ".h5"])
def test_own_cell_matches_keras(case: str, extension: str, tmp_path: pathlib.Path) -> None:
    module = keras()
    x = module.Input(SEQUENCE)
    model = module.Model(x, OWN_CELLS[case](module.layers, own_cell(module), x))
    shake(model, 1)
    example = sequence(0, 3, *SEQUENCE)
    example[0, :2] = example[1, 3] = 0.0
    path = tmp_path / f"m{extension}"
    model.save(path)
    found = run_ours(lstm_rt.load(path, custom_layers={"Leaky": leaky_step}), [example])
    compare(found, run_keras(model, [example]), case)


def test_own_cell_without_builder_is_refused_with_advice(tmp_path: pathlib.Path) -> None:
    module = keras()
    x = module.Input(SEQUENCE)
    path = tmp_path / "m.keras"
    module.Model(x, module.layers.RNN(own_cell(module)(3))(x)).save(path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"custom_layers={'Leaky': builder}"):
        lstm_rt.load(path)
    with pytest.raises(lstm_rt.UnsupportedModelError, match=r"returned .* the output, then 1 new states"):
        lstm_rt.load(path, custom_layers={"Leaky": lambda build, config, weights, inputs: inputs[0]})
