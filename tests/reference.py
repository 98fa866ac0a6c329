"""The oracle: pooling written once, as plainly as possible, in nested Python loops.

It shares no code with the package. Windows are lists of positions, found by trying; planes are walked element by
element in row-major order.
"""

from itertools import product

import numpy as np


def spans(size, taps, stride, dilation, padding, ceil_mode=False):
    """For each window along one axis, its (tap, position) pairs that lie inside the input."""
    reach = (taps - 1) * dilation + 1
    if padding == "same":
        count = -(-size // stride)
        total = max(0, (count - 1) * stride + reach - size)
        before = total // 2
    else:
        before, after = padding
        padded = before + size + after
        count = 0
        while count * stride + reach <= padded:
            count += 1
        # One more window may hang over the end, if it starts inside the input or the leading padding.
        if ceil_mode and (count - 1) * stride + reach < padded and count * stride < before + size:
            count += 1
    windows = []
    for o in range(count):
        positions = [(k, o * stride - before + k * dilation) for k in range(taps)]
        windows.append([(k, p) for k, p in positions if 0 <= p < size])
    return windows


class Pooling:
    """The windows over one spatial shape."""

    def __init__(self, spatial, pool_size, strides=None, padding=None, dilation_rate=None, ceil_mode=False):
        rank = len(spatial)
        strides = strides or pool_size
        dilation_rate = dilation_rate or (1,) * rank
        padding = ["same"] * rank if padding == "same" else padding or [(0, 0)] * rank
        self.spatial = tuple(spatial)
        self.pool_size = tuple(pool_size)
        axes = [
            spans(*arguments, ceil_mode)
            for arguments in zip(spatial, pool_size, strides, dilation_rate, padding, strict=True)
        ]
        self.pooled = tuple(len(axis) for axis in axes)
        # Per window, in row-major order: its (tap, position in the plane) pairs, in row-major order.
        self.windows = []
        for window in product(*axes):
            pairs = []
            for taps_and_positions in product(*window):
                tap = np.ravel_multi_index([t for t, _ in taps_and_positions], self.pool_size)
                position = np.ravel_multi_index([p for _, p in taps_and_positions], self.spatial)
                pairs.append((int(tap), int(position)))
            self.windows.append(pairs)

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
