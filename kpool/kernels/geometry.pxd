"""Where windows lie: the structs that every tier shares and the per-axis rules the kernels walk by."""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    enum { KP_MAX_RANK = 3, KP_MESSAGE_SIZE = 512 };
    /* The most taps whose winner's offset fits one byte, and the most positions that fit int32. */
    enum { KP_OFFSET_TAPS = 255, KP_INT32_PLANE = 0x7FFFFFFF };
    """
    enum:
        OFFSET_TAPS "KP_OFFSET_TAPS"
        INT32_PLANE "KP_INT32_PLANE"
        MAX_RANK "KP_MAX_RANK"
        MESSAGE_SIZE "KP_MESSAGE_SIZE"

# What a caller asks for. Nothing in it is trusted until `check_window` has passed.
cdef struct Window:
    int rank
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
    int64_t taps        # of one window
    int64_t stride
    int64_t dilation
    int64_t before      # virtual elements in front of the first

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
cdef bint refuse(
    Problem* problem, const char* rule, const char* name, const int64_t* values, int count,
) noexcept nogil


cdef inline int64_t ceil_div(int64_t a, int64_t b) noexcept nogil:
    """ceil(a / b) for b > 0 and any a."""
    return a // b + (a % b != 0) if a >= 0 else -(-a // b)


cdef inline int64_t window_start(const Axis* axis, int64_t window) noexcept nogil:
    """The position of a window's first tap, negative inside the padding."""
    return window * axis.stride - axis.before


cdef inline void valid_taps(const Axis* axis, int64_t start, int64_t* first, int64_t* last) noexcept nogil:
    """The first and the last tap of a window that lie inside the input. There is always one."""
    first[0] = ceil_div(-start, axis.dilation) if start < 0 else 0
    last[0] = min(axis.taps - 1, (axis.size - 1 - start) // axis.dilation)


cdef inline void covering_windows(const Axis* axis, int64_t position, int64_t* first, int64_t* last) noexcept nogil:
    """The range of windows whose span holds a position. With dilation some of them have no tap on it."""
    cdef int64_t span = (axis.taps - 1) * axis.dilation
    cdef int64_t padded = position + axis.before
    first[0] = max(0, ceil_div(padded - span, axis.stride))
    last[0] = min(axis.pooled - 1, padded // axis.stride)


cdef inline int64_t tap_on(const Axis* axis, int64_t position, int64_t window) noexcept nogil:
    """The tap with which a window reads a position, or -1."""
    cdef int64_t distance = position - window_start(axis, window)
    if distance < 0 or distance % axis.dilation != 0 or distance // axis.dilation >= axis.taps:
        return -1
    return distance // axis.dilation
