"""The oracle: pooling written once, as plainly as possible, in nested Python loops.

It shares no code with the package. Windows are lists of positions, found by trying; planes are walked element by
element in row-major order.
"""

from itertools import product
from math import prod

import numpy as np


def lay(size, taps, stride, dilation, padding, ceil_mode=False):
    """The number of windows along one axis, and the padding before and after it."""
    reach = (taps - 1) * dilation + 1
    if padding == "same":
        count = -(-size // stride)
        total = max(0, (count - 1) * stride + reach - size)
        return count, total // 2, total - total // 2
    before, after = padding
    padded = before + size + after
    count = 0
    while count * stride + reach <= padded:
        count += 1
    # One more window may hang over the end, if it starts inside the input or the leading padding.
    if ceil_mode and (count - 1) * stride + reach < padded and count * stride < before + size:
        count += 1
    return count, before, after


def spans(size, taps, stride, dilation, padding, ceil_mode=False):
    """For each window along one axis, its (tap, position) pairs that lie inside the input."""
    count, before, _ = lay(size, taps, stride, dilation, padding, ceil_mode)
    windows = []
    for o in range(count):
        positions = [(k, o * stride - before + k * dilation) for k in range(taps)]
        windows.append([(k, p) for k, p in positions if 0 <= p < size])
    return windows


def padded_counts(size, taps, stride, dilation, padding, ceil_mode=False):
    """For each window along one axis, how many of its taps lie inside the input or its padding."""
    count, before, after = lay(size, taps, stride, dilation, padding, ceil_mode)
    positions = [[o * stride - before + k * dilation for k in range(taps)] for o in range(count)]
    return [sum(-before <= p < size + after for p in window) for window in positions]


def adaptive_spans(size, count):
    """The same as `spans` for `count` windows that divide an axis: all elements that lie in a part, if only partly."""
    windows = []
    for o in range(count):
        # Element p is [p, p + 1), part o is [o * size / count, (o + 1) * size / count).
        inside = [p for p in range(size) if (p + 1) * count > o * size and p * count < (o + 1) * size]
        windows.append(list(enumerate(inside)))
    return windows


class Pooling:
    """The windows over one spatial shape."""

    def __init__(self, spatial, pool_size, strides=None, padding=None, dilation_rate=None, ceil_mode=False):
        rank = len(spatial)
        strides = strides or pool_size
        dilation_rate = dilation_rate or (1,) * rank
        padding = ["same"] * rank if padding == "same" else padding or [(0, 0)] * rank
        arguments = list(zip(spatial, pool_size, strides, dilation_rate, padding, strict=True))
        self._fill(
            spatial,
            pool_size,
            [spans(*axis, ceil_mode) for axis in arguments],
            [padded_counts(*axis, ceil_mode) for axis in arguments],
        )

    @classmethod
    def adaptive(cls, spatial, output_size):
        """As many windows per axis as `output_size` says, None for as many as elements."""
        pooling = cls.__new__(cls)
        axes = [adaptive_spans(size, size if n is None else n) for size, n in zip(spatial, output_size, strict=True)]
        counts = [[len(window) for window in axis] for axis in axes]
        pooling._fill(spatial, [max(axis) for axis in counts], axes, counts)
        return pooling

    def _fill(self, spatial, pool_size, axes, counts):
        self.spatial = tuple(spatial)
        self.pool_size = tuple(pool_size)
        self.pooled = tuple(len(axis) for axis in axes)
        # Per window, in row-major order: its (tap, position in the plane) pairs, in row-major order.
        self.windows = []
        for window in product(*axes):
            pairs = []
            for taps_and_positions in product(*window):
                tap = position = 0
                for (t, p), taps, size in zip(taps_and_positions, self.pool_size, self.spatial, strict=True):
                    tap, position = tap * taps + t, position * size + p
                pairs.append((tap, position))
            self.windows.append(pairs)
        self.padded_counts = [prod(window) for window in product(*counts)]

    def divisors(self, count_include_pad=False, divisor_override=None):
        """What the sum over each window is divided by."""
        if divisor_override is not None:
            return [divisor_override] * len(self.windows)
        return self.padded_counts if count_include_pad else [len(window) for window in self.windows]

    def average_pool(self, x, channels_first=False, count_include_pad=False, divisor_override=None):
        """Sums in float64. The quotient is rounded to float32 before it is rounded to a half type."""
        planes, restore = self._planes(x, channels_first, self.pooled)
        values = np.empty((len(planes), len(self.windows)), x.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            for w, divisor in enumerate(self.divisors(count_include_pad, divisor_override)):
                total = np.zeros(len(planes))
                for _, position in self.windows[w]:
                    total += planes[:, position].astype("float64")
                values[:, w] = self._rounded(total / divisor, x.dtype)
        return restore(values)

    def average_pool_backward(self, gradients, channels_first=False, count_include_pad=False, divisor_override=None):
        """To each element of a window its share of the gradient. Sums in float64."""
        planes, restore = self._planes(gradients, channels_first, self.spatial)
        totals = np.zeros((len(planes), prod(self.spatial)))
        with np.errstate(invalid="ignore", over="ignore"):
            for w, divisor in enumerate(self.divisors(count_include_pad, divisor_override)):
                for _, position in self.windows[w]:
                    totals[:, position] += planes[:, w].astype("float64") / divisor
            return restore(self._rounded(totals, gradients.dtype))

    @staticmethod
    def _rounded(values, dtype):
        return (values if dtype == np.float64 else values.astype("float32")).astype(dtype)

    def max_pool(self, x, channels_first=False):
        """Values, indices (int64), and the taps that won."""
        planes, restore = self._planes(x, channels_first, self.pooled)
        values = np.empty((len(planes), len(self.windows)), x.dtype)
        indices = np.empty(values.shape, np.int64)
        taps = np.empty(values.shape, np.int64)
        for p, plane in enumerate(planes):
            for w, window in enumerate(self.windows):
                best_tap, best = window[0]
                for tap, position in window[1:]:
                    if is_nan(plane[best]):
                        break
                    if is_nan(plane[position]) or plane[position] > plane[best]:
                        best_tap, best = tap, position
                values[p, w], indices[p, w], taps[p, w] = plane[best], best, best_tap
        return restore(values), restore(indices), restore(taps)

    def max_pool_backward(self, x, gradients, channels_first=False):
        """Each gradient added to its window's winner, in float64 or the wider type given."""
        indices = self.max_pool(x, channels_first)[1]
        return self.scatter(gradients, indices, channels_first, duplicates="sum")

    def scatter(self, x, indices, channels_first=False, duplicates="last"):
        """Unpooling."""
        planes, restore = self._planes(x, channels_first, self.spatial)
        where, _ = self._planes(indices, channels_first, self.spatial)
        results = np.zeros((len(planes), int(np.prod(self.spatial))), x.dtype)
        for p, plane in enumerate(planes):
            for value, index in zip(plane, where[p], strict=True):
                results[p, index] = value if duplicates == "last" else results[p, index] + value
        return restore(results)

    def gather(self, x, indices, channels_first=False, duplicates="last"):
        """The gradient of unpooling."""
        planes, restore = self._planes(x, channels_first, self.pooled)
        where, _ = self._planes(indices, channels_first, self.pooled)
        results = np.zeros(where.shape, x.dtype)
        for p, plane in enumerate(planes):
            last = {int(index): w for w, index in enumerate(where[p])}
            for w, index in enumerate(where[p]):
                if duplicates == "sum" or last[int(index)] == w:
                    results[p, w] = plane[index]
        return restore(results)

    def _planes(self, x, channels_first, result_spatial):
        """The array as (batch x channels, plane), and the way back for results over `result_spatial`."""
        if not channels_first:
            x = np.moveaxis(x, -1, 1)
        batch, channels, *spatial = x.shape

        def restore(results):
            results = results.reshape(batch, channels, *result_spatial)
            return results if channels_first else np.moveaxis(results, 1, -1)

        return x.reshape(batch * channels, int(np.prod(spatial))), restore


def is_nan(value):
    return value != value
