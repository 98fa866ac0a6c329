"""Arguments of types that nobody means: each is refused in a sentence that names it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kpool import layers, ops

X = np.arange(36.0, dtype="float32").reshape(1, 6, 6, 1)
VALUES, INDICES = ops.max_pool(X, 2, return_indices=True)
# Bytes would be the numbers of their characters.
NO_INTEGERS = [b"2", b"\x02\x02", bytearray(b"\x02\x02"), memoryview(b"\x02\x02"), "2", {2, 3}, {2: 3}, np.array(2)]
NO_NAMES = [["last"], {"kpool"}, np.array([2, 2]), tf.constant([2, 2]), None, 3]


@pytest.mark.parametrize("value", NO_INTEGERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("pool_size", lambda value: ops.max_pool(X, value)),
        ("strides", lambda value: ops.max_pool(X, 2, value)),
        ("padding", lambda value: ops.max_pool(X, 3, padding=value)),
        ("dilation_rate", lambda value: ops.max_pool(X, 2, dilation_rate=value)),
        ("divisor_override", lambda value: ops.average_pool(X, 2, divisor_override=value)),
        ("output_size", lambda value: ops.max_unpool(VALUES, INDICES, 2, output_size=value)),
        ("output_size", lambda value: ops.adaptive_max_pool(X, value)),
        ("input_shape", lambda value: ops.convert_indices(INDICES, "kpool", "onnx", value)),
    ],
)
def test_what_are_no_integers(name, call, value):
    with pytest.raises(ValueError, match=rf"(?s)`{name}` must .*Received: {name}="):
        call(value)


@pytest.mark.parametrize("name", ["pool_size", "strides", "padding", "dilation_rate"])
def test_integers_of_more_than_64_bits_are_too_large(name):
    with pytest.raises(
        ValueError, match=rf"`{name}` must hold integers of less than 2\^62\. Received: {name}=\(?{2**70}"
    ):
        ops.max_pool(X, **{"pool_size": 2, name: 2**70})


@pytest.mark.parametrize("name", ["pool_size", "strides", "padding", "dilation_rate"])
def test_symbolic_tensors_are_no_integers(name):
    arguments = {"pool_size": 2, name: keras.KerasTensor((2,))}
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}=<KerasTensor"):
        layers.MaxPooling2D(**arguments)
    with pytest.raises(ValueError, match=r"`output_size` must .*Received: output_size=<KerasTensor"):
        layers.AdaptiveMaxPooling2D(keras.KerasTensor((2,)))


@pytest.mark.parametrize("value", ["False", "", None, 2, np.array(True), tf.constant(True)], ids=repr)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("ceil_mode", lambda value: ops.max_pool(X, 2, ceil_mode=value)),
        ("ceil_mode", lambda value: layers.AveragePooling2D(2, ceil_mode=value)),
        ("return_indices", lambda value: ops.max_pool(X, 2, return_indices=value)),
        ("return_indices", lambda value: layers.MaxPooling2D(2, return_indices=value)),
        ("count_include_pad", lambda value: ops.average_pool(X, 2, count_include_pad=value)),
        ("count_include_pad", lambda value: layers.AveragePooling2D(2, count_include_pad=value)),
        ("keepdims", lambda value: ops.global_max_pool(X, keepdims=value)),
        ("keepdims", lambda value: ops.global_average_pool(X, keepdims=value)),
        ("keepdims", lambda value: layers.GlobalMaxPooling2D(keepdims=value)),
    ],
)
def test_what_are_no_flags(name, call, value):
    with pytest.raises(ValueError, match=f"`{name}` must be True or False. Received: {name}="):
        call(value)


@pytest.mark.parametrize("value", [np.bool_(True), 1], ids=repr)
def test_what_are_flags_as_well(value):
    assert ops.global_max_pool(X, keepdims=value).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("value", [np.array(2), tf.constant(2)], ids=["array", "tensor"])
def test_single_numbers_in_arrays(value):
    with pytest.raises(ValueError, match="`output_size` must be a positive integer"):
        ops.adaptive_max_pool(X, value)


@pytest.mark.parametrize("value", NO_NAMES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("index_dtype", lambda value: ops.max_pool(X, 2, return_indices=True, index_dtype=value)),
        ("duplicates", lambda value: ops.max_unpool(VALUES, INDICES, 2, duplicates=value)),
        ("source", lambda value: ops.convert_indices(INDICES, value, "kpool", X.shape)),
        ("target", lambda value: ops.convert_indices(INDICES, "kpool", value, X.shape)),
    ],
)
def test_what_are_no_names(name, call, value):
    with pytest.raises(ValueError, match=rf"(?s)`{name}` must be .*Received: {name}="):
        call(value)


@pytest.mark.parametrize("error", [RuntimeError, TypeError, ValueError])
def test_arrays_that_give_no_numbers(error):
    """As PyTorch's tensors that require gradients do not."""

    class Reluctant:
        def __array__(self, *_, **__):
            raise error("call .detach() first")

    with pytest.raises(ValueError, match=r"`inputs` must be a dense tensor .*Received: inputs of type Reluctant"):
        ops.max_pool(Reluctant(), 2)
