"""Hypothesis over the parameter space, against the oracle: shapes, layouts, windows, dtypes and hostile values."""

import numpy as np
import tensorflow as tf
from conftest import FLOATS, INTEGERS, numpy_dtype, same_bits
from hypothesis import given
from hypothesis import strategies as st
from reference import Pooling, spans

from kpool.ops.geometry import make_adaptive_window, make_window
from kpool.tf import average_pool, max_pool, max_unpool

# Few values, so that ties are common; extremes and NaN among them.
VALUES = st.sampled_from([-np.inf, np.inf, np.nan, -0.0, 0.0, -1.0, -1.0, 1.0, 2.0, -3.5, 100.0])


@st.composite
def poolings(draw):
    """A window that fits, its arguments, and a shape."""
    rank = draw(st.integers(1, 3))
    most = {1: 24, 2: 9, 3: 5}[rank]
    axes = [draw(axis_arguments(most)) for _ in range(rank)]
    same = draw(st.booleans())
    spatial, pool_size, strides, dilation, padding = zip(*axes, strict=True)
    ceil_mode = draw(st.booleans())
    padding = "same" if same else padding
    pairs = ["same"] * rank if same else padding
    possible = all(
        (same or (max(pair) < (k - 1) * d + 1 <= n + sum(pair))) and all(spans(n, k, s, d, pair, ceil_mode))
        for n, k, s, d, pair in zip(spatial, pool_size, strides, dilation, pairs, strict=True)
    )
    if not possible:
        dilation, padding = (1,) * rank, "same"
    channels_first = draw(st.booleans())
    window = make_window(
        rank,
        pool_size,
        strides,
        padding,
        "channels_first" if channels_first else "channels_last",
        dilation,
        ceil_mode,
    )
    batch, channels = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 3, 8, 9, 19]))
    shape = (batch, channels, *spatial) if channels_first else (batch, *spatial, channels)
    oracle = Pooling(spatial, pool_size, strides, None if padding == "valid" else padding, dilation, ceil_mode)
    return window, oracle, shape, channels_first


@st.composite
def axis_arguments(draw, most):
    size, taps = draw(st.integers(1, most)), draw(st.integers(1, 5))
    pair = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    return size, taps, draw(st.integers(1, 4)), draw(st.integers(1, 3)), pair


def values_of(draw, shape, dtype):
    size = int(np.prod(shape))
    seed = draw(st.integers(0, 2**32 - 1))
    few = draw(st.lists(VALUES, min_size=2, max_size=8))
    rng = np.random.default_rng(seed)
    wide = draw(st.booleans())
    return (rng.normal(scale=1e3, size=size) if wide else rng.choice(few, size)).reshape(shape).astype(dtype)


@st.composite
def adaptive_poolings(draw):
    """Windows that divide a shape, those of global pooling among them."""
    rank = draw(st.integers(1, 3))
    most = {1: 30, 2: 9, 3: 5}[rank]
    spatial = [draw(st.integers(1, most)) for _ in range(rank)]
    if draw(st.booleans()):
        # Windows of more than 255 elements.
        spatial[0] = draw(st.integers(256, 300))
    output_size = [draw(st.one_of(st.just(1), st.none(), st.integers(1, most + 3))) for _ in range(rank)]
    channels_first = draw(st.booleans())
    window = make_adaptive_window(rank, output_size, "channels_first" if channels_first else "channels_last")
    batch, channels = draw(st.integers(1, 2)), draw(st.sampled_from([1, 3, 8, 19]))
    shape = (batch, channels, *spatial) if channels_first else (batch, *spatial, channels)
    return window, Pooling.adaptive(spatial, output_size), shape, channels_first


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
