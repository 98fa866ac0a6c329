"""The gradients of `kpool.ops.max_pool`, of every order, against the oracle."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, PAIRS, hostile, numpy_dtype, oriented, run_python, same_bits
from reference import Pooling

from kpool.ops import max_pool, max_unpool


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("pool_size", "strides", "padding"),
    [
        *[(2, 2, "valid"), (2, 2, ((0, 0), (1, 1))), ((3, 2), 2, "valid"), (2, 3, "valid"), (3, 2, "same"), (3, 1, 1)],
        *[((2, 4), (3, 1), ((0, 1), (2, 1))), (9, 4, "same")],
    ],
)
def test_gradient(pool_size, strides, padding, dtype, data_format, rng):
    pair = lambda v: v if isinstance(v, tuple) else (v, v)  # noqa: E731
    for channels in (1, 3, 11, 17):
        x = oriented(hostile(rng, (2, 9, 10, channels), dtype), data_format)
        oracle = Pooling((9, 10), pair(pool_size), pair(strides), PAIRS.get(padding, padding))
        shape = oracle.max_pool(x, data_format == "channels_first")[0].shape
        # Small integers, whose sums every dtype holds exactly.
        gradients = rng.integers(-3, 4, shape).astype(x.dtype)
        expected = oracle.max_pool_backward(x, gradients, data_format == "channels_first")
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            outputs = max_pool(tensor, pool_size, strides, padding, data_format)
        same_bits(tape.gradient(outputs, tensor, tf.constant(gradients)).numpy(), expected)


@pytest.mark.parametrize("channels", [3, 19])
@pytest.mark.parametrize("strides", [(1, 2), (17, 17)])
@pytest.mark.parametrize("pool_size", [15, 16, 17])
def test_gradient_on_both_sides_of_255_elements(pool_size, strides, channels, rng):
    """Up to 255 elements backward goes by offset, above by index."""
    x = rng.normal(size=(2, 20, 19, channels)).astype("float32")
    oracle = Pooling((20, 19), (pool_size, 17), strides, "same")
    gradients = rng.integers(-3, 4, oracle.max_pool(x)[0].shape).astype("float32")
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        outputs = max_pool(tensor, (pool_size, 17), strides, "same")
    same_bits(tape.gradient(outputs, tensor, gradients).numpy(), oracle.max_pool_backward(x, gradients))


@pytest.mark.parametrize("dilation", [(1, 1, 2), (1, 2, 1), (2, 1, 1), (2, 3, 2)])
def test_gradient_of_dilated_windows_of_three_axes(dilation, rng):
    """Rows between the taps of one slice are not those of another."""
    oracle = Pooling((5, 8, 6), (2, 3, 2), (1, 1, 1), None, dilation)
    for channels in (1, 3, 19):
        x = rng.normal(size=(2, 5, 8, 6, channels)).astype("float32")
        gradients = rng.integers(-3, 4, oracle.max_pool(x)[0].shape).astype("float32")
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            outputs = max_pool(tensor, (2, 3, 2), 1, dilation_rate=dilation)
        actual = tape.gradient(outputs, tensor, tf.constant(gradients))
        same_bits(actual.numpy(), oracle.max_pool_backward(x, gradients))


@pytest.mark.parametrize("spatial", [(5, 2), (2, 5)])
def test_gradient_of_a_dilated_window_that_skips_the_input(spatial, rng):
    """One window with as many elements as its stride, most of them in the padding: none is on the first column."""
    short = spatial.index(2)
    size, dilation = [1, 1], [1, 1]
    size[short], dilation[short] = 3, 2
    padding = [(1, 2) if axis == short else (0, 0) for axis in (0, 1)]
    oracle = Pooling(spatial, size, size, padding, dilation)
    for channels in (1, 3, 37):
        x = rng.normal(size=(3, *spatial, channels)).astype("float32")
        gradients = rng.integers(1, 9, oracle.max_pool(x)[0].shape).astype("float32")
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            outputs = max_pool(tensor, size, size, padding, dilation_rate=dilation)
        # What is not written would be what lay there before.
        before = [tf.fill(x.shape, 9.0) for _ in range(20)]
        del before
        actual = tape.gradient(outputs, tensor, tf.constant(gradients))
        same_bits(actual.numpy(), oracle.max_pool_backward(x, gradients))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_sums_are_rounded_once(dtype):
    """One winner for many windows: the sum in float32, rounded to the half type at the end."""
    x = np.zeros((1, 5, 5, 9), numpy_dtype(dtype))
    x[:, 2, 2] = 1
    gradients = np.full((1, 3, 3, 9), 1 / 3, x.dtype)
    gradients[0, 0, 0] = 256
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        outputs = max_pool(tensor, 3, 1)
    actual = tape.gradient(outputs, tensor, tf.constant(gradients)).numpy()
    total = gradients.astype("float32").sum((1, 2), dtype="float32").astype(x.dtype)
    same_bits(actual[:, 2, 2], total)
    assert np.count_nonzero(actual.astype("float32")) == 9


def test_gradient_against_finite_differences(rng):
    x = tf.constant(rng.permutation(2 * 7 * 6 * 3).reshape(2, 7, 6, 3) / 10.0)
    for arguments in ((2,), (3, 2), (3, 1, "same"), ((2, 3), (2, 1), ((1, 0), (0, 2)))):
        weights = rng.normal(size=max_pool(x, *arguments).shape)
        theory, numeric = tf.test.compute_gradient(lambda x, a=arguments, w=weights: max_pool(x, *a) * w, [x], 1e-3)
        np.testing.assert_allclose(theory[0], numeric[0], atol=1e-9)


def test_second_order_gradient_gathers_from_the_winners(rng):
    x = tf.constant(rng.normal(size=(2, 6, 7, 5)))
    for pool_size in (2, (6, 7)):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(max_pool(x, pool_size, 1, "same") ** 3)
            first = inner.gradient(y, x)
            loss = tf.reduce_sum(first**2)
        second = outer.gradient(loss, x)
        epsilon = 1e-6
        with tf.GradientTape() as tape:
            moved = x + epsilon * first
            tape.watch(moved)
            y = tf.reduce_sum(max_pool(moved, pool_size, 1, "same") ** 3)
        # A directional derivative: H g by finite differences, and d|g|^2/dx = 2 H g.
        numeric = 2 * (tape.gradient(y, moved) - first) / epsilon
        np.testing.assert_allclose(second, numeric, rtol=1e-3, atol=1e-3)


def test_third_order_gradient():
    x = tf.constant(np.arange(16.0).reshape(1, 4, 4, 1))
    with tf.GradientTape() as third:
        third.watch(x)
        with tf.GradientTape() as second:
            second.watch(x)
            with tf.GradientTape() as first:
                first.watch(x)
                y = max_pool(x, 2) ** 4
            dy = first.gradient(y, x)
        ddy = second.gradient(dy, x)
    expected = np.zeros((4, 4))
    winners = [5.0, 7.0, 13.0, 15.0]
    expected.flat[[5, 7, 13, 15]] = [24 * winner for winner in winners]
    np.testing.assert_allclose(third.gradient(ddy, x)[0, ..., 0], expected)


@pytest.mark.parametrize("pool_size", [2, 17])
def test_gradient_without_training_finds_the_winners_again(pool_size, rng):
    from kpool.ops.geometry import make_window
    from kpool.tf import max_pool as tensor_function

    x = tf.constant(rng.normal(size=(2, 20, 20, 3)))
    window = make_window(2, pool_size, 1)
    gradients = []
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tensor_function(x, window, training=training) ** 2
        gradients.append(tape.gradient(loss, x).numpy())
    same_bits(*gradients)
    assert gradients[0].any()


def test_gradient_by_index_in_a_graph_of_unknown_sizes(rng):
    """A plane of unknown size takes int64 indices."""
    x = rng.normal(size=(1, 18, 20, 2)).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 2))])
    def graph(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = max_pool(x, 17, 1)
        return tape.gradient(y, x)

    same_bits(graph(x).numpy(), Pooling((18, 20), (17, 17), (1, 1)).max_pool_backward(x, np.ones((1, 2, 4, 2), "f")))


@pytest.mark.parametrize("pool_size", [2, 17])
def test_forward_mode(pool_size, rng):
    x, tangent = (tf.constant(rng.normal(size=(1, 18, 20, 2))) for _ in range(2))
    with tf.autodiff.ForwardAccumulator(x, tangent) as accumulator:
        values, indices = max_pool(x, pool_size, return_indices=True)
        unpooled = max_unpool(values, indices, pool_size, output_size=(18, 20))
    expected = Pooling((18, 20), (pool_size,) * 2).gather(tangent.numpy(), indices.numpy())
    np.testing.assert_array_equal(accumulator.jvp(values), expected)
    unpooled_tangent = max_unpool(expected, indices.numpy(), pool_size, output_size=(18, 20))
    np.testing.assert_array_equal(accumulator.jvp(unpooled), unpooled_tangent)


def test_the_tape_lets_go_of_the_input():
    """What backward keeps is one byte per output element: the input's memory is free for the next tensor."""
    out = run_python(
        """
        import resource
        import tensorflow as tf
        import kpool
        x = tf.zeros((1, 2, 2, 1))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = kpool.ops.max_pool(x, 2)
        tape.gradient(y, x)
        peaks = []
        big = tf.Variable(1.0)
        with tf.GradientTape() as tape:
            for _ in range(6):
                activation = tf.fill((64, 1024, 1024, 1), big)  # 256 MB
                pooled = kpool.ops.max_pool(activation, 8)
                del activation
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        print(peaks[-1] - peaks[0])
        """
    ).stdout
    assert int(out) < 200


@pytest.mark.parametrize("signature", [(1, 6, 7, 5), (None, None, None, 5)])
def test_second_order_gradient_in_a_graph(signature, rng):
    x = rng.normal(size=(1, 6, 7, 5))

    def penalty(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(max_pool(x, 2, 1) ** 3)
            loss = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(loss, x)

    graph = tf.function(penalty, input_signature=[tf.TensorSpec(signature, tf.float64)])
    np.testing.assert_allclose(graph(x), penalty(tf.constant(x)))
