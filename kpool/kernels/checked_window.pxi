# Geometry's face towards Python: a window that was checked once, and asked for sizes as often as is needed.

from math import prod

# The largest window whose winner's offset fits one byte, and the largest plane whose positions fit int32.
MOST_TAPS_OF_OFFSETS = <int64_t> OFFSET_TAPS
LARGEST_INT32_PLANE = <int64_t> INT32_PLANE


def check_index_dtype(shape, sizes, index_dtype):
    """Refuse an index type that cannot hold every position of a plane of `sizes`, as far as they are known."""
    cdef Problem problem
    if None not in sizes and not check_indices(min(prod(sizes), LONGEST_AXIS), index_dtype == "int64", &problem):
        raise ValueError(f"{INDEX_RULE.decode()} Received: inputs of shape {shape}, index_dtype={index_dtype!r}")


def check_unpooled_sizes(sizes):
    """Refuse sizes below 1, before there is a shape to ask whether unpooling can give them."""
    if min(sizes) < 1:
        raise ValueError(f"{SIZES_RULE.decode()} Received: output_size={sizes}")


cdef class CheckedWindow:
    """A window that `check_window` has passed, ready to be laid over shapes."""

    cdef Window window

    def __cinit__(self, pool_size, strides, dilation_rate, padding, bint ceil_mode, bint channels_first, output_size):
        """`padding` is "same" or one (before, after) pair per axis; everything else one integer per axis.

        With an `output_size`, in which None keeps an axis, nothing else but `channels_first` matters.
        """
        cdef Problem problem
        cdef int i
        self.window.adaptive = output_size is not None
        self.window.rank = len(output_size) if self.window.adaptive else len(pool_size)
        self.window.same = padding == "same"
        self.window.ceil_mode = ceil_mode
        self.window.channels_first = channels_first
        for i in range(min(self.window.rank, MAX_RANK)):
            if self.window.adaptive:
                self.window.output_size[i] = KEEP if output_size[i] is None else output_size[i]
                continue
            self.window.pool_size[i] = pool_size[i]
            self.window.strides[i] = strides[i]
            self.window.dilation_rate[i] = dilation_rate[i]
            self.window.before[i], self.window.after[i] = (0, 0) if self.window.same else padding[i]
        if not check_window(&self.window, &problem):
            raise ValueError(problem.message.decode())

    cdef Axis lay(self, int axis, size) except *:
        """The windows over one spatial axis of `size` elements."""
        cdef Problem problem
        cdef Axis result = POINT
        if size < 1:
            raise ValueError(f"`inputs` must have at least one element on every spatial axis. Received: size {size}")
        if pool_axis(&result, &self.window, axis, size, &problem):
            return result
        raise ValueError(problem.message.decode())

    cdef tuple spatial(self, tuple shape):
        """The spatial part of a shape, which must have the window's rank."""
        if len(shape) != self.window.rank + 2:
            raise ValueError(
                f"`inputs` must have rank {self.window.rank + 2}: batch, {self.window.rank} spatial axes and channels. "
                f"Received: inputs of shape {shape}"
            )
        return shape[2:] if self.window.channels_first else shape[1:self.window.rank + 1]

    cdef tuple with_spatial(self, tuple shape, list sizes):
        """A shape with other spatial sizes."""
        return (*shape[:2], *sizes) if self.window.channels_first else (shape[0], *sizes, shape[self.window.rank + 1])

    def pooled_shape(self, tuple shape):
        """The shape of a pooled input; sizes that are unknown (None) stay so, unless they are fixed."""
        sizes = self.spatial(shape)
        pooled = self.with_spatial(shape, [self.pooled_size(axis, size) for axis, size in enumerate(sizes)])
        if self.window.adaptive:
            # Only here does the window follow from the input.
            self.taps(sizes)
        return pooled

    def unpooled_shape(self, tuple shape, wanted):
        """The shape of an unpooled input, with the spatial sizes `wanted`, where they are not None, if it can be."""
        sizes = self.spatial(shape)
        return self.with_spatial(
            shape, [self.unpooled_size(axis, size, wanted[axis]) for axis, size in enumerate(sizes)])

    def unpooled_shape_of_unknown_size(self, tuple shape):
        """The same where spatial sizes are known only when the graph runs."""
        return self.with_spatial(shape, [None] * len(self.spatial(shape)))

    cdef pooled_size(self, int axis, size):
        """Number of windows along one spatial axis of `size` elements; None, unless it is fixed, for a size of None."""
        if size is not None:
            return self.lay(axis, size).pooled
        if self.window.adaptive and self.window.output_size[axis] != KEEP:
            return self.window.output_size[axis]
        return None

    def taps(self, sizes):
        """Elements of the largest window over spatial axes of `sizes`; None if that is not known."""
        cdef Problem problem
        cdef int64_t taps
        cdef int axis
        total = 1
        for axis, size in enumerate(sizes):
            if size is None and self.window.adaptive:
                return None
            total *= self.window.pool_size[axis] if size is None else self.lay(axis, size).taps
        taps = min(total, LONGEST_AXIS)
        if check_taps(taps, &problem):
            return taps
        raise ValueError(problem.message.decode())

    cdef unpooled_size(self, int axis, size, wanted):
        """Size of one spatial axis after unpooling `size` windows, `wanted` if that is possible; None gives None."""
        cdef Problem problem
        cdef Axis result = POINT
        if wanted is not None:
            check_unpooled_sizes((wanted,))
        if size is None:
            return wanted
        if size < 1:
            raise ValueError(f"`inputs` must have at least one element on every spatial axis. Received: size {size}")
        if unpool_axis(&result, &self.window, axis, size, wanted or 0, &problem):
            return result.size
        raise ValueError(problem.message.decode())
