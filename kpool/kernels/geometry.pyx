"""Pooling geometry: padding, output sizes and what is refused. Pure integers, and the home of the formulas.

It is compiled because it has two callers: Python, for shapes known when a graph is built, and the native ops, for
shapes known only when it runs. Both get the same sizes and the same sentences.
"""
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf

cdef extern from *:
    """
    #include <stdbool.h>
    #include <stdint.h>
    static inline bool kp_times(int64_t a, int64_t b, int64_t* product) {
        return !__builtin_mul_overflow(a, b, product);
    }
    enum { KP_LARGEST = 0x7FFFFFFF };
    #define KP_LONGEST_AXIS (INT64_C(1) << 60)
    enum { KP_MOST_PADDED_WINDOWS = 1 << 16 };
    """
    # Whether the product fits.
    bint times "kp_times" (int64_t a, int64_t b, int64_t* product) noexcept nogil
    int64_t LARGEST "KP_LARGEST"                # of any window parameter
    int64_t LONGEST_AXIS "KP_LONGEST_AXIS"      # keeps every sum of sizes far from overflow
    # Where each window has to be looked at: keeps the check short.
    int64_t MOST_PADDED_WINDOWS "KP_MOST_PADDED_WINDOWS"


# An axis that is not there.
cdef Axis POINT = Axis(size=1, pooled=1, taps=1, stride=1, dilation=1, before=0, after=0, adaptive=False,
                       whole_begin=0, whole_end=1)


cdef int write_tuple(char* text, size_t size, const int64_t* values, int count) noexcept nogil:
    """Write values the way Python prints a tuple, and return the length."""
    cdef int i, length = 0
    for i in range(count):
        length += snprintf(text + length, size - length, "%s%lld", b"(" if i == 0 else b", ", <long long> values[i])
    length += snprintf(text + length, size - length, ",)" if count == 1 else ")" if count > 0 else "()")
    return length


cdef bint refuse(
    Problem* problem, const char* rule, const char* name, const int64_t* values, int count,
) noexcept nogil:
    """Describe a broken rule in Keras' form, and return False."""
    cdef char received[160]
    write_tuple(received, sizeof(received), values, min(count, 6))
    snprintf(problem.message, MESSAGE_SIZE, "%s Received: %s=%s", rule, name, received)
    return False


cdef int64_t span(const Window* window, int axis) noexcept nogil:
    """The effective window: from the first tap to the last. Fits, since both factors are below 2^31."""
    return (window.pool_size[axis] - 1) * window.dilation_rate[axis] + 1


cdef bint check_range(
    const int64_t* values, int rank, int64_t least, const char* rule, const char* name, Problem* problem,
) noexcept nogil:
    cdef int i
    for i in range(rank):
        if values[i] < least or values[i] > LARGEST:
            return refuse(problem, rule, name, values, rank)
    return True


cdef bint check_window(const Window* window, Problem* problem) noexcept nogil:
    cdef int i
    cdef int rank = window.rank
    cdef int64_t taps = 1
    if rank < 1 or rank > MAX_RANK:
        snprintf(problem.message, MESSAGE_SIZE, "`%s` must have 1, 2 or 3 entries. Received: %d entries",
                 b"output_size" if window.adaptive else b"pool_size", rank)
        return False
    if window.adaptive:
        for i in range(rank):
            if window.output_size[i] != KEEP and not 1 <= window.output_size[i] <= LARGEST:
                return refuse(problem, "`output_size` must hold integers from 1 to 2147483647, or None (-1) for an "
                              "axis to keep its size.", "output_size", window.output_size, rank)
        return True
    if not check_range(window.pool_size, rank, 1, "`pool_size` must hold integers from 1 to 2147483647.",
                       "pool_size", problem):
        return False
    if not check_range(window.strides, rank, 1, "`strides` must hold integers from 1 to 2147483647.",
                       "strides", problem):
        return False
    if not check_range(window.dilation_rate, rank, 1, "`dilation_rate` must hold integers from 1 to 2147483647.",
                       "dilation_rate", problem):
        return False
    for i in range(rank):
        if not times(taps, window.pool_size[i], &taps) or taps > LARGEST:
            return refuse(problem, "`pool_size` must span at most 2147483647 elements in all.",
                          "pool_size", window.pool_size, rank)
    if window.same:
        return True
    if not (check_range(window.before, rank, 0, "`padding` must hold integers from 0 to 2147483647.",
                        "padding before each axis", problem)
            and check_range(window.after, rank, 0, "`padding` must hold integers from 0 to 2147483647.",
                            "padding after each axis", problem)):
        return False
    for i in range(rank):
        if window.before[i] >= span(window, i):
            return refuse(problem, "`padding` must be smaller than the window (with its dilation) on every axis.",
                          "padding before each axis", window.before, rank)
        if window.after[i] >= span(window, i):
            return refuse(problem, "`padding` must be smaller than the window (with its dilation) on every axis.",
                          "padding after each axis", window.after, rank)
    return True


cdef int64_t same_padding(int64_t size, int64_t pooled, int64_t stride, int64_t effective) noexcept nogil:
    return max(0, (pooled - 1) * stride + effective - size)


cdef bint adaptive_axis(Axis* axis, const Window* window, int i, int64_t size, Problem* problem) noexcept nogil:
    """Divide an input of `size` elements into windows as equal as can be. PyTorch's rule, and Keras'."""
    cdef int64_t pooled = size if window.output_size[i] == KEEP else window.output_size[i]
    cdef int64_t rest = size % pooled
    cdef int64_t product
    # Windows lie between o * size / pooled and (o + 1) * size / pooled, with o up to pooled.
    if rest != 0 and not times(size, pooled + 1, &product):
        return refuse(problem, "`output_size` times the input size must be below 2^63 on every axis.",
                      "(output_size, input size)", [pooled, size], 2)
    axis.size = size
    axis.pooled = pooled
    axis.stride = size // pooled
    axis.dilation = 1
    axis.before = 0
    axis.after = 0
    axis.adaptive = rest != 0
    axis.taps = axis.stride
    if axis.adaptive:
        # Windows count elements that they hold in part. Where `rest` divides `pooled`, none has one at both ends.
        axis.taps += 1 if pooled % rest == 0 else 2
        axis.stride = 1
    return True


cdef bint pool_axis(Axis* axis, const Window* window, int i, int64_t size, Problem* problem) noexcept nogil:
    """Lay the windows of one spatial axis over an input of `size` elements."""
    if size > LONGEST_AXIS:
        return refuse(problem, "No axis may exceed 2^60 elements.", "input size", &size, 1)
    if window.adaptive:
        return adaptive_axis(axis, window, i, size, problem)
    cdef int64_t effective = span(window, i)
    cdef int64_t stride = window.strides[i]
    cdef int64_t dilation = window.dilation_rate[i]
    cdef int64_t padded, before, after, pooled, padded_windows, start, o
    if window.same:
        # TensorFlow's rule: ceil(size / stride) windows; an odd pixel of padding goes to the end.
        pooled = ceil_div(size, stride)
        padded = same_padding(size, pooled, stride, effective)
        before = padded // 2
        after = padded - before
    else:
        before = window.before[i]
        after = window.after[i]
        padded = size + before + after
        if padded < effective:
            return refuse(problem, "`pool_size` must not exceed the padded input (with its dilation) on any axis.",
                          "(window, padded input)", [effective, padded], 2)
        if window.ceil_mode:
            # PyTorch's rule: a window may hang over the end if it starts inside the input or the leading padding.
            pooled = ceil_div(padded - effective, stride) + 1
            if (pooled - 1) * stride >= size + before:
                pooled -= 1
        else:
            pooled = (padded - effective) // stride + 1
    if size < dilation:
        # Only an input shorter than one step of dilation can fall between two taps.
        padded_windows = min(pooled, ceil_div(before, stride))
        if padded_windows > MOST_PADDED_WINDOWS:
            return refuse(problem, "At most 65536 windows may begin in the `padding` of an axis shorter than its "
                          "`dilation_rate`.", "windows in the padding", &padded_windows, 1)
        for o in range(padded_windows):
            start = o * stride - before
            if start + ceil_div(-start, dilation) * dilation >= size:
                return refuse(problem, "`padding` must leave at least one element of the input to every window, not "
                              "only padding.", "(input size, pool_size, strides, dilation_rate, padding before)",
                              [size, window.pool_size[i], stride, dilation, before], 5)
    axis.size = size
    axis.pooled = pooled
    axis.taps = window.pool_size[i]
    axis.stride = stride
    axis.dilation = dilation
    axis.before = before
    axis.after = after
    axis.adaptive = False
    return True


cdef bint unpool_adaptive_axis(
    Axis* axis, const Window* window, int i, int64_t pooled, int64_t wanted, Problem* problem,
) noexcept nogil:
    """Any size can be divided into any number of windows, so the size must be given."""
    if wanted < 1:
        return refuse(problem, "The size of an unpooled input must be given where windows are adaptive.",
                      "size", &wanted, 1)
    if not adaptive_axis(axis, window, i, wanted, problem):
        return False
    if axis.pooled != pooled:
        return refuse(problem, "The input must have as many elements on every axis as there are windows.",
                      "(input size, windows)", [pooled, axis.pooled], 2)
    return True


cdef bint unpool_axis(
    Axis* axis, const Window* window, int i, int64_t pooled, int64_t wanted, Problem* problem,
) noexcept nogil:
    """Find the unpooled size of one spatial axis; `wanted` 0 asks for the default."""
    if window.adaptive:
        return unpool_adaptive_axis(axis, window, i, pooled, wanted, problem)
    cdef int64_t effective = span(window, i)
    cdef int64_t stride = window.strides[i]
    cdef int64_t padding, size
    padding = max(0, effective - stride) if window.same else window.before[i] + window.after[i]
    if not times(pooled - 1, stride, &size) or size > LONGEST_AXIS:
        return refuse(problem, "No axis of the unpooled input may exceed 2^60 elements.",
                      "(input size, strides)", [pooled, stride], 2)
    size += effective - padding
    if wanted != 0:
        # Any size from which this pooling, rounded down or up, leads back to `pooled` windows.
        if not (size - stride < wanted < size + stride) or wanted < 1:
            return refuse(problem, "`output_size` must differ from the default by less than `strides` on every axis.",
                          "(output_size, default, strides)", [wanted, size, stride], 3)
        size = wanted
    elif size < 1:
        return refuse(problem, "The unpooled input must have at least one element on every axis.",
                      "(input size, strides, padding)", [pooled, stride, padding], 3)
    axis.size = size
    axis.pooled = pooled
    axis.taps = window.pool_size[i]
    axis.stride = stride
    axis.dilation = window.dilation_rate[i]
    padding = same_padding(size, pooled, stride, effective)
    axis.before = padding // 2 if window.same else window.before[i]
    axis.after = padding - axis.before if window.same else window.after[i]
    axis.adaptive = False
    return True


cdef bint check_shape(const Window* window, int ndim, const int64_t* shape, Problem* problem) noexcept nogil:
    """Check rank and sizes of a tensor, pooled or not."""
    cdef int i
    cdef int first = 2 if window.channels_first else 1
    if ndim != window.rank + 2:
        snprintf(problem.message, MESSAGE_SIZE,
                 "`inputs` must have rank %d: batch, %d spatial axes and channels. Received: rank %d",
                 window.rank + 2, window.rank, ndim)
        return False
    for i in range(ndim):
        if shape[i] < 0:
            return refuse(problem, "The shape must not hold negative sizes.", "shape", shape, ndim)
    for i in range(first, first + window.rank):
        if shape[i] == 0:
            return refuse(problem, "`inputs` must have at least one element on every spatial axis.",
                          "shape", shape, ndim)
    return True


cdef bint check_taps(int64_t taps, Problem* problem) noexcept nogil:
    if taps > LARGEST:
        return refuse(problem, "A window must span at most 2147483647 elements in all.", "elements", &taps, 1)
    return True


cdef const char* SIZES_RULE = "`output_size` must hold positive integers."
cdef const char* INDEX_RULE = "A plane of more than 2147483647 elements needs `index_dtype=\"int64\"`."


cdef bint check_offsets(const Geometry* geometry, Problem* problem) noexcept nogil:
    if geometry.taps > OFFSET_TAPS:
        return refuse(problem, "A window of more than 255 elements has no one-byte offsets.", "elements",
                      &geometry.taps, 1)
    return True


cdef bint check_indices(int64_t plane, bint wide, Problem* problem) noexcept nogil:
    if not wide and plane > INT32_PLANE:
        return refuse(problem, INDEX_RULE, "elements of the plane", &plane, 1)
    return True


cdef void find_whole_windows(Axis* axis) noexcept nogil:
    cdef int64_t room = axis.size - 1 - (axis.taps - 1) * axis.dilation + axis.before
    axis.whole_begin = axis.whole_end = 0
    if not axis.adaptive and room >= 0:
        axis.whole_begin = min(axis.pooled, ceil_div(axis.before, axis.stride))
        axis.whole_end = max(axis.whole_begin, min(axis.pooled, room // axis.stride + 1))


cdef bint finish(
    Geometry* geometry, const Window* window, const int64_t* shape, Problem* problem,
) noexcept nogil:
    """Fill what follows from the axes, and check that no tensor of either side has more than 2^63 - 1 bytes."""
    cdef int i
    cdef int64_t plane = 1, windows = 1, taps = 1, images = 0, total
    cdef int64_t batch = shape[0]
    cdef int64_t channels = shape[1] if window.channels_first else shape[window.rank + 1]
    for i in range(MAX_RANK - window.rank):
        geometry.axes[i] = POINT
    # The largest element and the largest index have eight bytes; an empty batch hides no overflow.
    cdef bint fits = times(max(1, batch), max(1, channels), &images) and times(images, 8, &images)
    geometry.outer = batch
    geometry.inner = channels
    if window.channels_first:
        fits = fits and times(batch, channels, &geometry.outer)
        geometry.inner = 1
    for i in range(MAX_RANK):
        find_whole_windows(&geometry.axes[i])
        fits = fits and times(plane, geometry.axes[i].size, &plane)
        fits = fits and times(windows, geometry.axes[i].pooled, &windows)
        fits = fits and times(taps, geometry.axes[i].taps, &taps)
    fits = fits and times(images, plane, &total) and times(images, windows, &total)
    if not fits:
        return refuse(problem, "Inputs and outputs must not exceed 2^63 - 1 bytes.", "shape", shape, window.rank + 2)
    if not check_taps(taps, problem):
        return False
    geometry.plane = plane
    geometry.windows = windows
    geometry.taps = taps
    return True


cdef bint check_positions(
    const Geometry* geometry, const Window* window, const int64_t* shape, Problem* problem,
) noexcept nogil:
    """Refuse windows that reach so far into the padding that positions there would overflow."""
    cdef const Axis* axis
    cdef int64_t reach = geometry.outer * geometry.inner
    cdef bint fits = times(max(1, reach), 8, &reach)
    cdef int i
    for i in range(MAX_RANK):
        axis = &geometry.axes[i]
        fits = fits and times(reach, max(axis.before + axis.size, (axis.pooled - 1) * axis.stride
                                         + (axis.taps - 1) * axis.dilation + 1), &reach)
    if not fits:
        return refuse(problem, "Windows must not reach over more than 2^63 - 1 bytes, with their padding.",
                      "shape", shape, window.rank + 2)
    return True


cdef bint pool_geometry(
    Geometry* geometry, const Window* window, int ndim, const int64_t* shape, Problem* problem,
) noexcept nogil:
    """Geometry of pooling an input of `shape`."""
    cdef int i
    cdef int first = 2 if window.channels_first else 1
    if not check_shape(window, ndim, shape, problem):
        return False
    for i in range(window.rank):
        if not pool_axis(&geometry.axes[MAX_RANK - window.rank + i], window, i, shape[first + i], problem):
            return False
    return finish(geometry, window, shape, problem) and check_positions(geometry, window, shape, problem)


cdef bint unpool_geometry(
    Geometry* geometry, const Window* window, int ndim, const int64_t* pooled_shape,
    const int64_t* output_size, Problem* problem,
) noexcept nogil:
    """Geometry of unpooling an input of `pooled_shape`, to `output_size` unless that is NULL."""
    cdef int i
    cdef int first = 2 if window.channels_first else 1
    cdef int64_t wanted
    if not check_shape(window, ndim, pooled_shape, problem):
        return False
    for i in range(window.rank):
        wanted = 0
        if output_size != NULL:
            wanted = output_size[i]
            if wanted < 1:
                return refuse(problem, SIZES_RULE, "output_size", output_size, window.rank)
        if not unpool_axis(&geometry.axes[MAX_RANK - window.rank + i], window, i, pooled_shape[first + i],
                           wanted, problem):
            return False
    return (finish(geometry, window, pooled_shape, problem)
            and check_positions(geometry, window, pooled_shape, problem))


cdef bint move_geometry(
    Geometry* geometry, bint channels_first, int ndim, const int64_t* unpooled_shape, const int64_t* pooled_shape,
    Problem* problem,
) noexcept nogil:
    """Geometry of moving elements by index between two shapes, whatever the windows were."""
    cdef Window window
    cdef int i, first = 2 if channels_first else 1
    window.rank = ndim - 2
    window.channels_first = channels_first
    if not 1 <= window.rank <= MAX_RANK:
        snprintf(problem.message, MESSAGE_SIZE,
                 "`inputs` must have batch, 1 to 3 spatial axes and channels. Received: rank %d", ndim)
        return False
    if not (check_shape(&window, ndim, unpooled_shape, problem)
            and check_shape(&window, ndim, pooled_shape, problem)):
        return False
    for i in range(ndim):
        if not first <= i < first + window.rank and unpooled_shape[i] != pooled_shape[i]:
            return refuse(problem, "`indices` must agree with `inputs` in batch and channels.",
                          "shape", pooled_shape, ndim)
    for i in range(window.rank):
        geometry.axes[MAX_RANK - window.rank + i] = POINT
        geometry.axes[MAX_RANK - window.rank + i].size = unpooled_shape[first + i]
        geometry.axes[MAX_RANK - window.rank + i].pooled = pooled_shape[first + i]
    return finish(geometry, &window, pooled_shape, problem)


cdef void write_shape(const Geometry* geometry, const Window* window, bint pooled, int64_t* shape) noexcept nogil:
    """Replace the spatial sizes in `shape`; batch and channels stay."""
    cdef int i
    cdef int first = 2 if window.channels_first else 1
    cdef const Axis* axis
    for i in range(window.rank):
        axis = &geometry.axes[MAX_RANK - window.rank + i]
        shape[first + i] = axis.pooled if pooled else axis.size


cdef void pooled_shape(const Geometry* geometry, const Window* window, int64_t* shape) noexcept nogil:
    write_shape(geometry, window, True, shape)


cdef void unpooled_shape(const Geometry* geometry, const Window* window, int64_t* shape) noexcept nogil:
    write_shape(geometry, window, False, shape)


include "checked_window.pxi"
