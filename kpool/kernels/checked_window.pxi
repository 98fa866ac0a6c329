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

    def pooled_size(self, int axis, size):
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

    def unpooled_size(self, int axis, size, wanted=None):
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
