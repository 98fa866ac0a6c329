"""What hypothesis draws: windows that fit with the shapes they fit, and values that break careless code."""

import numpy as np
from hypothesis import strategies as st
from reference import Pooling, spans

from kpool.ops.geometry import make_adaptive_window, make_window

# Few values, so that ties are common; extremes and NaN among them.
VALUES = st.sampled_from([-np.inf, np.inf, np.nan, -0.0, 0.0, -1.0, -1.0, 1.0, 2.0, -3.5, 100.0])


@st.composite
def poolings(draw):
    """A window that fits, its arguments, and a shape."""
    rank = draw(st.integers(1, 3))
    most = {1: 24, 2: 9, 3: 5}[rank]
    axes = [draw(axis_arguments(most)) for _ in range(rank)]
    if draw(st.integers(0, 3)) == 0:
        axes[draw(st.integers(0, rank - 1))] = draw(long_axis_arguments())
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
    batch, channels = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 3, 8, 9, 19, 63, 130]))
    shape = (batch, channels, *spatial) if channels_first else (batch, *spatial, channels)
    oracle = Pooling(spatial, pool_size, strides, None if padding == "valid" else padding, dilation, ceil_mode)
    return window, oracle, shape, channels_first


@st.composite
def axis_arguments(draw, most):
    size, taps = draw(st.integers(1, most)), draw(st.integers(1, 5))
    pair = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    return size, taps, draw(st.integers(1, 4)), draw(st.integers(1, 3)), pair


@st.composite
def long_axis_arguments(draw):
    """A window of as many taps as make it wide or tall, for kernels that then share the work of neighbours."""
    size, taps = draw(st.integers(8, 140)), draw(st.integers(8, 70))
    pair = draw(st.tuples(st.integers(0, 40), st.integers(0, 40)))
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
