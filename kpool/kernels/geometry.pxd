"""Where windows lie: the structs that every tier shares and the per-axis rules the kernels walk by."""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    enum { KP_MAX_RANK = 3, KP_MESSAGE_SIZE = 512 };
    /* For an output size; the most taps whose winner's offset fits one byte; the most positions that fit int32. */
    enum { KP_KEEP = -1, KP_OFFSET_TAPS = 255, KP_INT32_PLANE = 0x7FFFFFFF };
    """
    enum:
        OFFSET_TAPS "KP_OFFSET_TAPS"
        INT32_PLANE "KP_INT32_PLANE"
        KEEP "KP_KEEP"
        MAX_RANK "KP_MAX_RANK"
        MESSAGE_SIZE "KP_MESSAGE_SIZE"

# What a caller asks for. Nothing in it is trusted until `check_window` has passed.
cdef struct Window:
    int rank
    # Whether the windows follow from `output_size` alone; then the fields up to `ceil_mode` do not matter.
    bint adaptive
    int64_t output_size[MAX_RANK]       # KEEP for as many windows as elements
    int64_t pool_size[MAX_RANK]
    int64_t strides[MAX_RANK]
    int64_t dilation_rate[MAX_RANK]
    int64_t before[MAX_RANK]
    int64_t after[MAX_RANK]
    bint same
    bint ceil_mode
    bint channels_first

cdef struct Axis:
    int64_t size        # of the unpooled side
    int64_t pooled      # number of windows
    int64_t taps        # of one window, the largest if they differ
    int64_t stride      # 1 where windows are adaptive
    int64_t dilation
    int64_t before      # virtual elements in front of the first
    int64_t after       # virtual elements behind the last
    bint adaptive       # window o is [floor(o * size / pooled), ceil((o + 1) * size / pooled)); no padding
    # The range of windows that lie in the input with all their taps, each `stride` after the one before.
    int64_t whole_begin
    int64_t whole_end

# A checked window on a checked shape, always three axes: missing ones have size 1.
# Both layouts are `outer` planes of `inner` interleaved channels.
cdef struct Geometry:
    Axis axes[MAX_RANK]
    int64_t outer
    int64_t inner
    int64_t taps        # of the whole window
    int64_t plane       # spatial elements of the unpooled side
    int64_t windows     # spatial elements of the pooled side

cdef struct Problem:
    char message[MESSAGE_SIZE]

# Each returns whether the check passed; if not, the problem is described.
cdef bint check_window(const Window* window, Problem* problem) noexcept nogil
cdef bint pool_geometry(
    Geometry* geometry, const Window* window, int ndim, const int64_t* shape, Problem* problem,
) noexcept nogil
cdef bint unpool_geometry(
    Geometry* geometry, const Window* window, int ndim, const int64_t* pooled_shape,
    const int64_t* output_size, Problem* problem,
) noexcept nogil
cdef bint move_geometry(
    Geometry* geometry, bint channels_first, int ndim, const int64_t* unpooled_shape, const int64_t* pooled_shape,
    Problem* problem,
) noexcept nogil
cdef void pooled_shape(const Geometry* geometry, const Window* window, int64_t* shape) noexcept nogil
cdef void unpooled_shape(const Geometry* geometry, const Window* window, int64_t* shape) noexcept nogil
# Whether one byte holds every offset of a window, and whether an index type holds every position of a plane.
cdef bint check_offsets(const Geometry* geometry, Problem* problem) noexcept nogil
cdef bint check_indices(int64_t plane, bint wide, Problem* problem) noexcept nogil
cdef int write_tuple(char* text, size_t size, const int64_t* values, int count) noexcept nogil
cdef bint refuse(
    Problem* problem, const char* rule, const char* name, const int64_t* values, int count,
) noexcept nogil


cdef inline int64_t floor_div(int64_t a, int64_t b) noexcept nogil:
    """floor(a / b) for b > 0 and a >= 0. A division takes as long as some ten other steps, and strides are mostly 2."""
    return a if b == 1 else a >> 1 if b == 2 else a // b


cdef inline int64_t ceil_div(int64_t a, int64_t b) noexcept nogil:
    """ceil(a / b) for b > 0 and any a."""
    cdef int64_t quotient = floor_div(a if a >= 0 else -a, b)
    return -quotient if a < 0 else quotient + (quotient * b != a)


cdef inline int64_t window_start(const Axis* axis, int64_t window) noexcept nogil:
    """The position of a window's first tap, negative inside the padding."""
    if axis.adaptive:
        return window * axis.size // axis.pooled
    return window * axis.stride - axis.before


cdef inline void valid_taps(const Axis* axis, int64_t window, int64_t* first, int64_t* last) noexcept nogil:
    """The first and the last tap of a window that lie inside the input.

    There is always one, but for a window behind an `output_size` that unpooling was given: its last tap is -1.
    """
    cdef int64_t start
    first[0] = 0
    last[0] = axis.taps - 1
    if axis.whole_begin <= window < axis.whole_end:
        return
    start = window_start(axis, window)
    if axis.adaptive:
        last[0] = ceil_div((window + 1) * axis.size, axis.pooled) - start - 1
        return
    if start < 0:
        first[0] = ceil_div(-start, axis.dilation)
    last[0] = min(last[0], (axis.size - 1 - start) // axis.dilation) if start < axis.size else -1


cdef inline int64_t count_taps(const Axis* axis, int64_t window, bint with_padding) noexcept nogil:
    """How many taps of a window lie inside the input, or the padded input."""
    cdef int64_t first, last
    if axis.whole_begin <= window < axis.whole_end:
        return axis.taps
    if with_padding and not axis.adaptive:
        return min(axis.taps, (axis.size + axis.after - 1 - window_start(axis, window)) // axis.dilation + 1)
    valid_taps(axis, window, &first, &last)
    return last - first + 1


cdef inline void covering_windows(const Axis* axis, int64_t position, int64_t* first, int64_t* last) noexcept nogil:
    """The range of windows whose span holds a position. With dilation some of them have no tap on it."""
    cdef int64_t span = (axis.taps - 1) * axis.dilation
    cdef int64_t padded = position + axis.before
    if axis.adaptive:
        first[0] = position * axis.pooled // axis.size
        last[0] = ceil_div((position + 1) * axis.pooled, axis.size) - 1
        return
    first[0] = max(0, ceil_div(padded - span, axis.stride))
    last[0] = min(axis.pooled - 1, floor_div(padded, axis.stride))


cdef inline int64_t windows_on(const Axis* axis, int64_t position, int64_t* first, int64_t* last) noexcept nogil:
    """The first and the last window with a tap on a position, and how many windows on from each the next one is.

    There is none if the first lies behind the last.
    """
    cdef int64_t padded = position + axis.before, divisor = axis.dilation, other = axis.stride, rest, step, least
    covering_windows(axis, position, first, last)
    if axis.dilation == 1:
        return 1
    # The greatest common divisor.
    while other != 0:
        rest = divisor % other
        divisor = other
        other = rest
    step = axis.dilation // divisor
    # One of so many windows next to each other has a tap there, or none has.
    least = max(first[0], last[0] - step + 1)
    while last[0] >= least and (padded - last[0] * axis.stride) % axis.dilation != 0:
        last[0] -= 1
    if last[0] < least:
        last[0] = first[0] - 1
    else:
        first[0] = last[0] - (last[0] - first[0]) // step * step
    return step


cdef inline int64_t tap_on(const Axis* axis, int64_t position, int64_t window) noexcept nogil:
    """The tap with which a window reads a position that one of its taps is on."""
    cdef int64_t distance = position - window_start(axis, window)
    return distance if axis.dilation == 1 else distance // axis.dilation


cdef inline bint overlaps(const Axis* axis) noexcept nogil:
    """Whether an element can lie in more than one window."""
    return axis.pooled > 1 and (axis.adaptive or axis.stride <= (axis.taps - 1) * axis.dilation)


cdef inline bint any_overlap(const Geometry* geometry) noexcept nogil:
    """Whether an element can lie in more than one window of the whole."""
    return overlaps(&geometry.axes[0]) or overlaps(&geometry.axes[1]) or overlaps(&geometry.axes[2])


cdef inline bint is_adaptive(const Geometry* g) noexcept nogil:
    """Whether windows of some axis are adaptive."""
    return g.axes[0].adaptive or g.axes[1].adaptive or g.axes[2].adaptive


cdef inline bint all_whole(const Geometry* g) noexcept nogil:
    """Whether all windows lie in the input with all their taps."""
    cdef bint whole = not is_adaptive(g)
    cdef int i
    for i in range(MAX_RANK):
        whole = whole and g.axes[i].whole_begin == 0 and g.axes[i].whole_end == g.axes[i].pooled
    return whole
