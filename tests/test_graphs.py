"""TensorFlow's maps and loops around the functions, and gradients through them."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import same_bits
from reference import Pooling

from kpool.ops import adaptive_max_pool, average_pool, max_pool, max_unpool

SPATIAL = (6, 8)
ORACLE = Pooling(SPATIAL, (3, 2), (1, 2), "same")
WINDOW = ((3, 2), (1, 2), "same")


def pooled(x):
    return max_pool(x[None], *WINDOW)[0]


def unpooled(x):
    values, indices = max_pool(x[None], *WINDOW, return_indices=True)
    return max_unpool(values, indices, *WINDOW, output_size=SPATIAL)[0]


def averaged(x):
    return average_pool(x[None], *WINDOW)[0]


def expected_values(function, x):
    """The results of a function for a whole batch."""
    if function is averaged:
        return ORACLE.average_pool(x)
    values, indices, _ = ORACLE.max_pool(x)
    return values if function is pooled else ORACLE.scatter(values, indices)


def expected_gradient(function, x, gradients):
    if function is averaged:
        return ORACLE.average_pool_backward(gradients)
    if function is unpooled:
        gradients = ORACLE.gather(gradients, ORACLE.max_pool(x)[1])
    return ORACLE.max_pool_backward(x, gradients)


FUNCTIONS = pytest.mark.parametrize("function", [pooled, unpooled, averaged])
UNKNOWN = tf.TensorSpec([None, *SPATIAL, 3])


@pytest.fixture
def batch(rng):
    """Distinct small integers, so that maxima are unique and sums are exact."""
    return rng.permutation(4 * 6 * 8 * 3).reshape(4, 6, 8, 3).astype("float32")


def incoming(function, x):
    """Gradients of which every share is an integer: windows have 2, 3, 4 or 6 elements."""
    return (np.arange(expected_values(function, x).size) % 5 * 12).reshape(len(x), 6, -1, 3).astype("float32")


@pytest.mark.parametrize("in_graph", [False, True])
@FUNCTIONS
def test_map_fn(function, in_graph, batch):
    def map_and_gradient(x, gradients):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.map_fn(function, x)
        return y, tape.gradient(y, x, gradients)

    if in_graph:
        map_and_gradient = tf.function(map_and_gradient, input_signature=[UNKNOWN, tf.TensorSpec([None] * 4)])
    gradients = incoming(function, batch)
    y, dx = map_and_gradient(tf.constant(batch), tf.constant(gradients))
    same_bits(y.numpy(), expected_values(function, batch))
    same_bits(dx.numpy(), expected_gradient(function, batch, gradients))


def test_map_fn_with_indices(batch):
    spec = (tf.TensorSpec([6, 4, 3]), tf.TensorSpec([6, 4, 3], tf.int32))

    @tf.function(input_signature=[UNKNOWN])
    def graph(x):
        return tf.map_fn(
            lambda x: tuple(part[0] for part in max_pool(x[None], *WINDOW, return_indices=True)),
            x,
            fn_output_signature=spec,
        )

    values, indices, _ = ORACLE.max_pool(batch)
    actual = graph(batch)
    same_bits(actual[0].numpy(), values)
    same_bits(actual[1].numpy(), indices.astype("int32"))


@pytest.mark.parametrize("in_graph", [False, True])
@FUNCTIONS
def test_while_loop(function, in_graph, batch):
    """Subtract what was pooled, repeated to the input's size, as often as a count says that only the graph knows."""

    def step(x):
        y = function(x[0])[None]
        return x - tf.tile(y, (1, 1, SPATIAL[1] // y.shape[2], 1))

    def loop(x, steps):
        return tf.while_loop(lambda i, x: i < steps, lambda i, x: (i + 1, step(x)), (tf.constant(0), x))[1]

    def loop_and_gradient(x, steps):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = loop(x, steps)
        return y, tape.gradient(y, x, tf.fill(tf.shape(y), 1728.0))

    if in_graph:
        loop_and_gradient = tf.function(
            loop_and_gradient, input_signature=[tf.TensorSpec([1, *SPATIAL, 3]), tf.TensorSpec([], tf.int32)]
        )
    for steps in (0, 1, 3):
        x = batch[:1] * 1728  # 12^3, so that averages of averages stay integers
        inputs = []
        for _ in range(steps):
            inputs.append(x)
            y = expected_values(function, x)
            x = x - np.tile(y, (1, 1, SPATIAL[1] // y.shape[2], 1))
        gradient = np.full_like(x, 1728)
        for before in reversed(inputs):
            width = expected_values(function, before).shape[2]
            halves = gradient.reshape(1, 6, -1, width, 3).sum(2)
            gradient = gradient - expected_gradient(function, before, halves)
        y, dx = loop_and_gradient(tf.constant(batch[:1] * 1728), tf.constant(steps))
        same_bits(y.numpy(), x)
        same_bits(dx.numpy(), gradient)


@FUNCTIONS
def test_vectorized_map(function, batch, caplog):
    """TensorFlow has no vectorised form of a custom op: it says so and loops. The results are the same."""
    ops = {pooled: "KpoolMaxPool", unpooled: "KpoolMaxUnpool", averaged: "KpoolAveragePool"}
    with caplog.at_level(logging.WARNING, "tensorflow"):
        y = tf.vectorized_map(function, tf.constant(batch))
    same_bits(y.numpy(), expected_values(function, batch))
    assert f"Using a while_loop for converting {ops[function]}" in caplog.text
    with pytest.raises(ValueError, match="No pfor vectorization defined for Kpool"):
        tf.vectorized_map(function, tf.constant(batch), fallback_to_while_loop=False)


@FUNCTIONS
def test_gradients_of_each_example(function, batch):
    """A tape inside `vectorized_map`."""

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(function(x) * 12)
        return tape.gradient(loss, x)

    y = expected_values(function, batch)
    expected = expected_gradient(function, batch, np.full_like(y, 12))
    same_bits(tf.vectorized_map(gradient, tf.constant(batch)).numpy(), expected)


@FUNCTIONS
def test_gradient_through_vectorized_map(function, batch):
    """TensorFlow differentiates the bare ops in the loop it made; they have gradients of their own."""
    x = tf.constant(batch)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(12.0 * tf.vectorized_map(function, x))
    y = expected_values(function, batch)
    same_bits(tape.gradient(loss, x).numpy(), expected_gradient(function, batch, np.full_like(y, 12)))


@FUNCTIONS
def test_jacobian(function, batch):
    """TensorFlow takes it through `vectorized_map`, of the gradient."""
    x = tf.constant(batch[0, ..., :1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x) * 12
    units = np.eye(y.shape.num_elements(), dtype="float32").reshape(-1, *y.shape) * 12
    expected = [expected_gradient(function, batch[:1, ..., :1], unit[None])[0] for unit in units]
    same_bits(tape.jacobian(y, x).numpy(), np.reshape(expected, y.shape + x.shape))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: max_pool(x, 2),
        lambda x: max_pool(x, 3, 2, "same"),
        lambda x: max_pool(x, 2, return_indices=True)[0],
        lambda x: adaptive_max_pool(tf.tile(x, [1, 20, 20, 1]), 3),
        lambda x: average_pool(x, 3, 1, 1, count_include_pad=True),
    ],
)
def test_forward_mode_inside_a_function(function, rng):
    """TensorFlow then looks at single ops, which have gradients of their own."""
    x, direction = (tf.constant(rng.normal(size=(2, 6, 6, 3)), "float32") for _ in range(2))

    def product(x):
        with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
            y = function(x)
        return accumulator.jvp(y)

    expected = product(x)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(tf.function(product)(x), expected)


@pytest.mark.parametrize("shape", [(2, 3, 3, 3), (None,) * 4])
def test_forward_mode_of_unpooling_inside_a_function(shape, rng):
    """It takes the second gradient of a single op, which finds its sizes when the graph runs."""
    values, indices = max_pool(tf.constant(rng.normal(size=(2, 6, 6, 3)), "float32"), 2, return_indices=True)

    def product(values, indices):
        with tf.autodiff.ForwardAccumulator(values, values) as accumulator:
            y = max_unpool(values, indices, 2)
        return accumulator.jvp(y)

    signature = [tf.TensorSpec(shape, dtype) for dtype in ("float32", "int32")]
    actual = tf.function(product, input_signature=signature)(values, indices)
    np.testing.assert_array_equal(actual, max_unpool(values, indices, 2))


def test_output_size_as_keras_gives_shapes(rng):
    """Integers where they are known, tensors elsewhere."""
    x = rng.normal(size=(2, 7, 5, 3)).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec([None, None, 5, 3])])
    def there_and_back(x):
        values, indices = max_pool(x, 2, return_indices=True)
        return max_unpool(values, indices, 2, output_size=keras.ops.shape(x)[1:3])

    values, indices = max_pool(x, 2, return_indices=True)
    np.testing.assert_array_equal(there_and_back(x), max_unpool(values, indices, 2, output_size=(7, 5)))
