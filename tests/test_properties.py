"""Hypothesis over the parameter space, against the oracle: shapes, layouts, windows, dtypes and hostile values."""

import numpy as np
import tensorflow as tf
from conftest import FLOATS, INTEGERS, numpy_dtype, same_bits
from hypothesis import given
from hypothesis import strategies as st
from strategies import VALUES, adaptive_poolings, poolings, values_of

from kpool.tf import average_pool, max_pool, max_unpool, windows


@given(st.one_of(poolings(), adaptive_poolings()))
def test_shapes_as_tensors(pooling):
    """Those of graphs that XLA compiles are those of all others."""
    window, _, shape, _ = pooling
    attribute, pooled = window.attributes["window"], window.pooled_shape(shape)
    assert tuple(windows.pooled_shape(attribute, tf.constant(shape, tf.int64))) == pooled
    known = tf.constant(window.spatial(shape), tf.int64)
    assert tuple(windows.unpooled_shape(attribute, tf.constant(pooled, tf.int64), known)) == shape
    if window.output_size is None:
        unknown = tf.constant((), tf.int64)
        try:
            unpooled = window.unpooled_shape(pooled)
        except ValueError:  # No size of a positive number of elements.
            assert min(windows.unpooled_shape(attribute, tf.constant(pooled, tf.int64), unknown)) < 1
        else:
            assert tuple(windows.unpooled_shape(attribute, tf.constant(pooled, tf.int64), unknown)) == unpooled


@given(st.one_of(poolings(), adaptive_poolings()), st.sampled_from(FLOATS), st.data())
def test_max_pool(pooling, dtype, data):
    window, oracle, shape, first = pooling
    x = values_of(data.draw, shape, numpy_dtype(dtype))
    values, indices, _ = oracle.max_pool(x, first)
    gradients = np.random.default_rng(0).integers(-3, 4, values.shape).astype(x.dtype)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        actual = max_pool(tensor, window, "int32", training=data.draw(st.booleans()))
    same_bits(actual[0].numpy(), values)
    same_bits(actual[1].numpy(), indices.astype("int32"))
    gradient = tape.gradient(actual[0], tensor, tf.constant(gradients))
    same_bits(gradient.numpy(), oracle.max_pool_backward(x, gradients, first))


@given(poolings(), st.sampled_from(["last", "sum"]), st.sampled_from(["int32", "int64"]), st.data())
def test_max_unpool(pooling, duplicates, index_dtype, data):
    window, oracle, shape, first = pooling
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pooled = (*shape[:2], *oracle.pooled) if first else (shape[0], *oracle.pooled, shape[-1])
    x = rng.integers(-4, 5, pooled).astype("float32")
    if data.draw(st.booleans()):
        indices = oracle.max_pool(rng.normal(size=shape), first)[1].astype(index_dtype)
    else:
        indices = rng.integers(0, np.prod(oracle.spatial), pooled).astype(index_dtype)
    gradients = rng.integers(-4, 5, shape).astype("float32")
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        actual = max_unpool(tensor, tf.constant(indices), window, oracle.spatial, duplicates)
    same_bits(actual.numpy(), oracle.scatter(x, indices, first, duplicates))
    gradient = tape.gradient(actual, tensor, tf.constant(gradients))
    same_bits(gradient.numpy(), oracle.gather(gradients, indices, first, duplicates))


@given(poolings(), st.sampled_from(INTEGERS), st.sampled_from(["last", "sum"]), st.data())
def test_integers(pooling, dtype, duplicates, data):
    window, oracle, shape, first = pooling
    limits = np.iinfo(dtype)
    few = data.draw(st.lists(st.integers(limits.min, limits.max), min_size=2, max_size=6))
    x = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).choice(np.array(few, dtype), shape)
    values, indices, _ = oracle.max_pool(x, first)
    actual = max_pool(tf.constant(x), window, "int64")
    same_bits(actual[0].numpy(), values)
    same_bits(actual[1].numpy(), indices)
    unpooled = max_unpool(*actual, window, oracle.spatial, duplicates)
    with np.errstate(over="ignore"):
        same_bits(unpooled.numpy(), oracle.scatter(values, indices, first, duplicates))


@given(
    st.one_of(poolings(), adaptive_poolings()),
    st.sampled_from(FLOATS),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 9)),
    st.data(),
)
def test_average_pool(pooling, dtype, count_include_pad, divisor_override, data):
    """Of numbers whose sums are exact in float32, so that the order of additions does not matter."""
    window, oracle, shape, first = pooling
    rule = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
    few = np.array(data.draw(st.lists(VALUES, min_size=2, max_size=8)), numpy_dtype(dtype))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = rng.choice(few, shape)
    values = oracle.average_pool(x, first, **rule)
    # Gradients whose shares are integers, where the dtype holds them, and some without a number.
    divisors = np.reshape(oracle.divisors(**rule), oracle.pooled)
    multiples = rng.integers(-2, 3, values.shape) * (divisors if first else divisors[..., None])
    gradients = np.where(multiples.astype(x.dtype) == multiples, multiples, 0).astype(x.dtype)
    special = rng.choice(np.array([np.inf, -np.inf, np.nan, -0.0], x.dtype), values.shape)
    gradients = np.where(rng.random(values.shape) < 0.02, special, gradients)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        actual = average_pool(tensor, window, count_include_pad, divisor_override or 0)
    same_bits(actual.numpy(), values)
    gradient = tape.gradient(actual, tensor, tf.constant(gradients))
    same_bits(gradient.numpy(), oracle.average_pool_backward(gradients, first, **rule))
