"""Paths of the kernels and the ops that only unusual calls take, found by measuring which lines the tests reach."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import INTEGERS, run_python, same_bits
from native import window

import kpool
from kpool.tf import native as library
from kpool.tf.library import ops

FAILURE = tf.errors.InvalidArgumentError


@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
def test_indices_in_windows_of_more_than_a_million_elements(index_dtype):
    """Every other column of (2, 1025, 1025) elements; two of them stand out, of which no window sees both."""
    x = np.zeros((1, 3, 1026, 1026, 1), "int8")
    x[0, 2, 1000, 900] = 2
    x[0, 1, 500, 901] = 3
    values, indices = kpool.ops.max_pool(
        x, (2, 1025, 513), 1, dilation_rate=(1, 1, 2), return_indices=True, index_dtype=index_dtype
    )
    expected = np.empty((2, 2, 2), index_dtype)
    expected[..., 1] = (1 * 1026 + 500) * 1026 + 901
    expected[1, :, 0] = (2 * 1026 + 1000) * 1026 + 900
    expected[0, :, 0] = 0, 1026
    same_bits(indices[0, ..., 0], expected)
    same_bits(values, x.reshape(-1)[indices])


@pytest.mark.parametrize("winner", [0, 7, 19])
@pytest.mark.parametrize("channels", [1, 3])
def test_windows_with_more_columns_between_two_elements_than_a_line_holds(winner, channels, rng):
    x = rng.integers(-9, 9, (2, 95_001, channels)).astype("float32")
    x[:, winner * 5000] = 10
    values, indices = kpool.ops.max_pool(x, 20, dilation_rate=5000, return_indices=True)
    same_bits(indices, np.full((2, 1, channels), winner * 5000, "int32"))
    same_bits(values, np.full((2, 1, channels), 10, "float32"))
    means = kpool.ops.average_pool(x, 20, dilation_rate=5000, divisor_override=1)
    same_bits(means, x[:, ::5000].sum(1, keepdims=True))


@pytest.mark.parametrize(("dtype", "rows"), [("uint8", 130), ("int8", 130), ("int16", 32_769), ("float16", 32_769)])
def test_narrow_elements_two_apart_in_windows_of_many(dtype, rows, rng):
    """Taps wider than elements, which are read a column apart, since windows are pairs of columns of one channel."""
    columns, width = 37, 2 * 37 + 1
    x = rng.integers(1, 99, (1, 2 * rows, width, 1)).astype(dtype)
    # A window with its winner in its last row, and one with two, of which the first is its first column's.
    x[0, rows - 1, 5, 0] = x[0, 2 * rows - 2, 20, 0] = x[0, 2 * rows - 2, 21, 0] = 120
    values, indices = kpool.ops.max_pool(x, (rows, 2), return_indices=True)
    windows = x[0, :, : 2 * columns, 0].reshape(2, rows, columns, 2).transpose(0, 2, 1, 3).reshape(2, columns, -1)
    tap = windows.argmax(-1)
    row, column = tap // 2 + rows * np.arange(2)[:, None], tap % 2 + 2 * np.arange(columns)
    same_bits(indices[0, ..., 0], (row * width + column).astype("int32"))
    same_bits(values[0, ..., 0], windows.max(-1))
    same_bits(kpool.ops.max_pool(x, (rows, 2)), values)


@pytest.mark.parametrize("channels", [1, 3, 40])
@pytest.mark.parametrize("strides", [1, "side"])
@pytest.mark.parametrize(
    ("dtype", "side"), [("int8", 17), ("uint8", 17), ("int16", 257), ("uint16", 257), ("float32", 17)]
)
def test_maxima_alone_in_windows_of_more_elements_than_their_type_counts(dtype, side, strides, channels, rng):
    """Nobody asks for taps, so those of integers are cut off; maxima, of negatives too, are what they are."""
    strides = side if strides == "side" else strides
    least = np.iinfo(dtype).min if dtype != "float32" else -1000
    x = (least + rng.integers(1, 9, (1, side + strides + 2, side + strides + 1, channels))).astype(dtype)
    # Few stand out, so that windows beside each other differ.
    few = rng.random(x.shape) < 4 / side**2
    x[few] += rng.integers(9, 99, few.sum()).astype(dtype)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=least)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))[:, ::strides, ::strides]
    same_bits(kpool.ops.max_pool(x, side, strides, padding=2), windows.max((-2, -1)))


@pytest.mark.sandbox
def test_a_gradient_asks_windows_and_not_their_taps():
    """Every other row has no tap on it, of 500 windows with a milliard each."""
    x = tf.ones((1, 1000, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = kpool.ops.average_pool(x, (2**30, 1), (2, 1), "same", dilation_rate=(2, 1))
    gradient = tape.gradient(y, x).numpy().reshape(500, 2)
    np.testing.assert_allclose(sorted(gradient.T.tolist()), [[0] * 500, [1] * 500], rtol=1e-5)


@pytest.mark.parametrize("width", [1, 2, 3, 41, 47, 55, 61])
def test_indices_in_windows_of_sides_whose_inverse_is_not_exact(width):
    """41 times the float 1 / 41 is less than 1. Each element of a window wins once, in its own channel."""
    for sides in ((1, 3, width), (3, width, 1)):
        x = np.eye(3 * width, dtype="int8").reshape(1, *sides, 3 * width)
        _, indices = kpool.ops.max_pool(x, sides, return_indices=True)
        np.testing.assert_array_equal(indices.ravel(), np.arange(3 * width))


@pytest.mark.parametrize("channels", [1, 40])
@pytest.mark.parametrize("dtype", [*INTEGERS, "float16", "float64"])
def test_offsets_say_what_indices_say(dtype, channels, rng):
    """Integers have no gradient, but the op gives their offsets all the same."""
    x = tf.cast(tf.constant(rng.integers(0, 9, (2, 7, 9, channels))), dtype)
    attributes = window((3, 2), (2, 2))
    results = ops.kpool_max_pool(x, num_indices=1, num_offsets=1, Tindices=tf.int32, **attributes)
    size = tf.constant(x.shape, tf.int64)
    same_bits(ops.kpool_max_pool_indices(results.offsets[0], size, Tindices=tf.int32, **attributes), results.indices[0])


def test_indices_of_planes_beyond_int32():
    """Windows of one element, so far apart that few offsets stand for a plane of 2^32 and more."""
    side = 2**16
    attributes = window((1, 1), (side, side))
    offsets, size = tf.zeros((1, 2, 2, 1), tf.uint8), tf.constant((1, side + 1, side + 1, 1), tf.int64)
    indices = ops.kpool_max_pool_indices(offsets, size, Tindices=tf.int64, **attributes)
    assert indices.numpy().ravel().tolist() == [0, side, side * (side + 1), side * (side + 2)]
    with pytest.raises(FAILURE, match="needs `index_dtype"):
        ops.kpool_max_pool_indices(offsets, size, Tindices=tf.int32, **attributes)


@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
@pytest.mark.parametrize("channels", [1, 3, 40])
@pytest.mark.parametrize("dtype", ["int8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("pooled", [(4, 2), (3, 4)])
def test_gathering_where_windows_may_not_lead(pooled, dtype, channels, index_dtype, rng):
    """Windows of 2 lead from 7 x 9 to 3 x 4, but not to 4 x 2; indices may point anywhere either way."""
    x = rng.integers(1, 100, (2, 7, 9, channels)).astype(dtype)
    indices = rng.integers(0, 63, (2, *pooled, channels)).astype(index_dtype)
    flat = indices.reshape(2, -1, channels)
    everything = np.take_along_axis(x.reshape(2, 63, channels), flat.astype("int64"), 1)
    # Of the windows that share an index the last one alone gets something.
    shared = np.stack([(flat[:, i : i + 1] == flat[:, i + 1 :]).any(1) for i in range(flat.shape[1])], 1)
    for first, order in enumerate([(0, 1, 2, 3), (0, 3, 1, 2)]):
        inputs = tf.transpose(x, order), tf.transpose(indices, order)
        for sums, expected in ((True, everything), (False, np.where(shared, 0, everything).astype(dtype))):
            actual = ops.kpool_max_unpool_backward(*inputs, sum_duplicates=sums, **window(first=first))
            same_bits(actual, expected.reshape(indices.shape).transpose(order))


def test_gathering_from_tensors_of_a_rank_without_windows():
    line = window((1,), (1,), (1,), ((0, 0),))
    for rank in (2, 6):
        with pytest.raises(FAILURE, match=rf"must have batch, 1 to 3 spatial axes and channels. Received: rank {rank}"):
            ops.kpool_max_unpool_backward(tf.zeros([1] * rank), tf.zeros([1] * rank, tf.int32), **line)


def test_a_process_without_the_package_is_told_to_import_it():
    result = run_python(
        f"""
        import tensorflow as tf
        ops = tf.load_op_library({library.__file__!r})
        try:
            ops.kpool_average_pool(tf.zeros((1, 2, 1)), window=[0, 0, 0, 0, 2, 2, 1, 0, 0])
        except tf.errors.FailedPreconditionError as error:
            print(error.message)
        """
    )
    assert "kpool's ops need the Python package: run `import kpool` before this model." in result.stdout


def test_unpooling_to_a_size_known_only_when_the_model_runs():
    values, indices = keras.Input((2, 2, 1)), keras.Input((2, 2, 1), dtype="int32")
    size = keras.Input(batch_shape=(2,), dtype="int32")
    for sizes in (size, (size[0], size[1])):
        unpooled = kpool.layers.MaxUnpooling2D(2)(values, indices, output_size=sizes)
        assert unpooled.shape == (None, None, None, 1)
        model = keras.Model([values, indices, size], unpooled)
        result = model([tf.ones((1, 2, 2, 1)), tf.constant([0, 2, 10, 24], shape=(1, 2, 2, 1)), tf.constant([5, 5])])
        assert np.flatnonzero(result).tolist() == [0, 2, 10, 24]
        assert result.shape == (1, 5, 5, 1)


def test_shapes_that_layers_say_without_tensors():
    layer = kpool.layers.MaxUnpooling2D(2)
    assert layer.compute_output_shape((None, 3, None, 5), (None, 3, None, 5)) == (None, 6, None, 5)


def test_a_saved_call_of_an_unknown_function():
    x = keras.Input((4, 4, 1))
    model = keras.Model(x, kpool.ops.max_pool(x, 2))
    call = model.layers[-1]
    with pytest.raises(ValueError, match=r"`function` must be one of .*Received: function='exec'"):
        type(call).from_config({**call.get_config(), "function": "exec"})
