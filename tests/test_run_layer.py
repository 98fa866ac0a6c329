"""Every layer goes through the test that Keras gives its own.

Config round trip, build, symbolic and eager call, shapes, dtypes, a compiled training step, mixed precision.
"""

import numpy as np
import pytest
import tensorflow as tf
from keras.src.testing import TestCase

from kpool import layers

# Keras' layer test trains a layer without weights, and feeds a generator to `fit` without shuffle=False.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(`shuffle=True` was passed|The model does not have any trainable weights):UserWarning"
)

# Of every layer, arguments and the size of each spatial axis that follows from 7 elements, or from 4 where they are
# unpooled; None if the axes are dropped.
CASES = {
    "MaxPooling": [
        ({}, 3),
        ({"pool_size": 3, "strides": 2, "padding": "same"}, 4),
        ({"padding": 1, "dilation_rate": 2}, 4),
        ({"pool_size": 3, "padding": ((0, 1),), "dilation_rate": 2}, 2),
        ({"ceil_mode": True}, 4),
        ({"return_indices": True}, 3),
        ({"return_indices": True, "index_dtype": "int64"}, 3),
    ],
    "OverlappingMaxPooling": [
        ({}, 3),
        ({"pool_size": 4, "strides": 1, "padding": "same"}, 7),
        ({"pool_size": 4, "strides": 3, "padding": "same"}, 3),
        ({"padding": 1, "dilation_rate": 2, "ceil_mode": True}, 3),
        ({"return_indices": True}, 3),
        ({"return_indices": True, "index_dtype": "int64"}, 3),
    ],
    "MaxUnpooling": [
        ({}, 8),
        ({"pool_size": 3, "strides": 2, "padding": "same"}, 8),
        ({"padding": 1, "dilation_rate": 2}, 7),
        ({"output_size": 9}, 9),
        ({"duplicates": "sum"}, 8),
    ],
    "AveragePooling": [
        ({"pool_size": 2}, 3),
        ({"pool_size": 3, "strides": 2, "padding": "same"}, 4),
        ({"pool_size": 2, "padding": 1, "dilation_rate": 2, "count_include_pad": True}, 4),
        ({"pool_size": 2, "ceil_mode": True}, 4),
        ({"pool_size": 2, "divisor_override": 3}, 3),
    ],
    "GlobalMaxPooling": [
        ({}, None),
        ({"keepdims": True}, 1),
        ({"return_indices": True}, None),
        ({"keepdims": True, "return_indices": True, "index_dtype": "int64"}, 1),
    ],
    "GlobalAveragePooling": [({}, None), ({"keepdims": True}, 1)],
    "AdaptiveMaxPooling": [
        ({"output_size": 3}, 3),
        ({"output_size": 9}, 9),
        ({"output_size": 3, "return_indices": True}, 3),
        ({"output_size": 3, "return_indices": True, "index_dtype": "int64"}, 3),
    ],
    "AdaptiveAveragePooling": [({"output_size": 3}, 3), ({"output_size": 9}, 9)],
}
DATA_FORMATS = ["channels_last", "channels_first"]


def shape_of(size, rank, data_format):
    spatial = () if size is None else (size,) * rank
    return (2, *spatial, 3) if data_format == "channels_last" else (2, 3, *spatial)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [(name, *case) for name, cases in CASES.items() if name != "MaxUnpooling" for case in cases],
)
def test_pooling_layer(name, rank, arguments, size, data_format):
    shape, dtype = shape_of(size, rank, data_format), "float32"
    if isinstance(arguments.get("padding"), tuple):
        # One pair for each axis.
        arguments = {**arguments, "padding": arguments["padding"] * rank}
    if arguments.get("return_indices"):
        shape, dtype = (shape, shape), (dtype, arguments.get("index_dtype", "int32"))
    TestCase().run_layer_test(
        getattr(layers, f"{name}{rank}D"),
        init_kwargs={**arguments, "data_format": data_format},
        input_shape=shape_of(7, rank, data_format),
        expected_output_shape=shape,
        expected_output_dtype=dtype,
        expected_num_trainable_weights=0,
        expected_num_non_trainable_variables=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=(name, rank) == ("GlobalAveragePooling", 1),
        assert_built_after_instantiation=True,
    )


def taking_a_pair(layer):
    """An unpooling layer with both inputs in one argument, the only one that Keras' layer test trains with."""

    class Pairwise(layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.input_spec = None

        def call(self, pair):
            return super().call(*pair)

        def compute_output_spec(self, pair):
            return super().compute_output_spec(*pair)

    return Pairwise


@pytest.mark.parametrize("pairwise", [False, True])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("arguments", "size"), CASES["MaxUnpooling"])
def test_unpooling_layer(rank, arguments, size, data_format, pairwise):
    shape = shape_of(4, rank, data_format)
    values = tf.ones(shape)
    # Every index is within the smallest output, and some are the same.
    indices = tf.reshape(tf.range(np.prod(shape), dtype="int32") % 4**rank, shape)
    layer = getattr(layers, f"MaxUnpooling{rank}D")
    if pairwise:
        layer = taking_a_pair(layer)
    TestCase().run_layer_test(
        layer,
        init_kwargs={**arguments, "data_format": data_format},
        input_data=(values, indices) if pairwise else values,
        call_kwargs={} if pairwise else {"indices": indices},
        custom_objects={"Pairwise": layer},
        expected_output_shape=shape_of(size, rank, data_format),
        expected_output_dtype="float32",
        expected_num_trainable_weights=0,
        expected_num_non_trainable_variables=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=False,
        run_training_check=pairwise,
        run_mixed_precision_check=pairwise,
        assert_built_after_instantiation=True,
    )
