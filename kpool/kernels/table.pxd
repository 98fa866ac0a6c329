"""What the kernels of an instruction set offer: one job struct and one function per operation.

The kernels do not allocate, do not validate, and do not know who calls them. Pointers come from a caller that has
checked every size against the geometry.
"""
from libc.stdint cimport int64_t, uint8_t

from kpool.kernels.elements cimport Element
from kpool.kernels.geometry cimport Axis, Geometry, ceil_div
from kpool.kernels.threads cimport Work

cdef extern from *:
    """
    /* Bytes, on the stack, of planes that are turned into channels together, and of what becomes of them. Threads of
       macOS have stacks of 512 KB, unless they ask for more. */
    #if defined(__APPLE__)
    enum { KP_TURNED_ROOM = 2 << 16 };
    #else
    enum { KP_TURNED_ROOM = 5 << 16 };
    #endif
    enum { KP_TURNED_WORDS = KP_TURNED_ROOM / 8 };
    """
    enum:
        TURNED_ROOM "KP_TURNED_ROOM"
        TURNED_WORDS "KP_TURNED_WORDS"

cdef enum:
    ROWS_TOGETHER = 8       # the most rows of windows in an item
    LINE = 2048             # elements of a line of columns, or of windows
    NARROW = 16             # channels in the narrowest block, but for very wide windows
    WIDEST = LINE // 2      # columns of a window that a line holds twice, of one channel
    LESS_WIDE = WIDEST // NARROW    # the same, of the narrowest block
    MOST_TURNED = 64        # planes

# Pooling. Items are the rows of the pooled side, `rows` of a plane together: outer x depth x height x `blocks` of
# channels.
cdef struct MaxPool:
    Geometry geometry
    Element element
    int64_t rows
    int64_t blocks
    int64_t planes          # that are turned into channels together, if any are
    const void* inputs
    void* outputs
    void* indices           # NULL unless asked for
    bint wide_indices       # int64 instead of int32
    uint8_t* offsets        # NULL unless asked for
    bint past_cache         # what is read and written is larger than the cache

# Putting elements back where they were, or collecting them from there: by offset (keys of 1 byte; putting alone) or by
# index (4 or 8 bytes). Items are the rows of the side that is written: outer x depth x height x `blocks` of channels.
cdef struct Place:
    Geometry geometry
    Element element
    int64_t blocks
    int64_t planes          # that are turned into channels together, if any are
    const void* inputs
    const void* keys
    int key_width
    bint added              # floats by offset: add up what meets in an element, instead of letting the last one win
    void* outputs
    bint past_cache         # what is read and written is larger than the cache
    int64_t found           # how many elements were met; starts as 0

# Offsets to indices. Items are the rows of the pooled side: outer x depth x height.
cdef struct MaxPoolIndices:
    Geometry geometry
    const uint8_t* offsets
    void* indices
    bint wide_indices

# Average pooling and its gradient, in which `inputs` are the gradients of the pooled side. Items are the rows of the
# side that is written, forward `rows` of a plane together: outer x depth x height x `blocks` of channels.
cdef struct AveragePool:
    Geometry geometry
    Element element
    int64_t rows
    int64_t blocks
    int64_t planes          # that are turned into channels together, if any are
    bint count_include_pad
    int64_t divisor_override    # 0 divides by the number of elements
    const void* inputs
    void* outputs
    bint past_cache         # what is read and written is larger than the cache

# Moving elements by index. Items are outer x `blocks` of channels.
# A scatter reads the pooled side and writes the unpooled one, a gather goes the other way.
cdef struct Move:
    Geometry geometry
    Element element
    int64_t blocks
    const void* inputs
    const void* indices
    bint wide_indices
    bint windows_known      # whether the geometry has windows; if not, only sizes
    void* outputs
    # Room for one item per unpooled element, contents do not matter: float32 sums (scatter_sum of half types), or
    # bytes that say which elements are taken (gather_last).
    void* scratch
    int64_t bad_position    # of the first index outside its plane; starts as INT64_MAX

# Items of `..._planes` are groups of so many planes.
cdef struct Forward:
    Work max_pool
    Work max_pool_planes
    Work max_pool_indices
    Work average_pool
    Work average_pool_planes

cdef struct Backward:
    Work place_back
    Work place_planes
    Work collect_back
    Work average_pool_backward
    Work average_pool_backward_planes
    Work scatter_last
    Work scatter_sum
    Work gather
    Work gather_last


cdef inline int64_t reach_of(const Axis* axis) noexcept nogil:
    """Columns from the first tap of a window to the last, of the largest if they differ."""
    return (axis.taps - 1) * axis.dilation + 1


cdef inline bint is_wide(const Axis* axis) noexcept nogil:
    """Whether windows have many columns and share most of them, so that they are made from a line of columns together.

    If few channels fit into a line beside such a window, only where that saves more than they cost.
    """
    if axis.adaptive or axis.pooled == 1 or axis.taps < 4 * axis.stride or axis.taps < 8:
        return False
    if axis.taps * axis.dilation <= LESS_WIDE:
        return True
    return (axis.dilation == 1 and axis.taps <= WIDEST and axis.taps >= 16 * axis.stride
            and axis.taps <= 2 * axis.size)


cdef inline int index_size(const MaxPool* job) noexcept nogil:
    """Bytes of an index, or 0 if nobody asked for indices."""
    return 0 if job.indices == NULL else 8 if job.wide_indices else 4


cdef inline int64_t rows_of_windows(const Geometry* g, int64_t together) noexcept nogil:
    """How many rows of windows a plane has, with so many counted as one."""
    return g.axes[0].pooled * ceil_div(g.axes[1].pooled, together)


cdef inline int64_t bytes_of_largest(const Geometry* g, int width, int index_width) noexcept nogil:
    """Of a plane's elements, results and indices, with elements and indices of so many bytes."""
    return g.inner * max(g.plane * width, g.windows * max(width, index_width))
