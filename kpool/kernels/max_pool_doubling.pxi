# Maxima over wide windows that overlap, from a line of columns: of 1, 2, 4, ... neighbouring columns at a time.


cdef inline void fill_column(Vec columns, Tap taps, uint32_t tap, Py_ssize_t count) noexcept nogil:
    """Make columns of the padding, which win against nothing."""
    cdef Py_ssize_t j
    for j in range(count):
        if Vec is f16_r:
            columns[j] = <kp_half> 0xFC00
        elif Vec is bf16_r:
            columns[j] = <kp_bfloat> 0xFF80
        elif Vec is f32_r or Vec is plain_f32_r:
            (<f32_r> columns)[j] = -INFINITY
        elif Vec is f64_r or Vec is plain_f64_r:
            (<f64_r> columns)[j] = -INFINITY
        elif Vec is i8_r:
            columns[j] = INT8_MIN
        elif Vec is i16_r:
            columns[j] = INT16_MIN
        elif Vec is i32_r:
            columns[j] = INT32_MIN
        elif Vec is i64_r:
            columns[j] = INT64_MIN
        else:
            columns[j] = 0
        taps[j] = tap


cdef void pool_by_doubling(
    Vec line, Tap line_taps, Vec spare, Tap spare_taps, Vec best, Tap taps, const Geometry* g, const Tile* tile,
    bint keep,
) noexcept nogil:
    """The best of each window of a tile, by doubling: of 1, 2, 4, ... neighbouring columns at a time.

    Two such runs that overlap make a window of any size. The line begins with the first window's first column; those in
    the padding are made up here. Destroys the line.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t reach = 1, more, offset
    cdef int64_t block = tile.block, start = window_start(axis, tile.first)
    cdef int64_t columns = window_start(axis, tile.last) + reach_of(axis) - start
    cdef Py_ssize_t count = columns * block
    cdef Vec a = line, b = spare, swap
    cdef Tap taps_a = line_taps, taps_b = spare_taps, swap_taps
    # Equal elements have lower taps: none that a window has is above these two, on their sides.
    fill_column[Vec, Tap](line, line_taps, <uint32_t> (g.taps - 1), padding_in_front(axis, tile))
    offset = (tile.end - start) * block
    fill_column[Vec, Tap](line + offset, line_taps + offset, <uint32_t> (g.taps - axis.taps), count - offset)
    while reach < axis.taps:
        more = min(reach, axis.taps - reach)
        offset = more * axis.dilation * block
        count -= offset
        reach += more
        if reach == axis.taps and axis.stride == 1:
            b = best
            taps_b = taps
        if keeps_taps[Vec, Tap](best, taps, keep):
            join_columns[Vec, Tap](b, taps_b, a, taps_a, a + offset, taps_a + offset, <uint32_t> more, count, True)
        else:
            join_columns[Vec, Tap](b, taps_b, a, taps_a, a + offset, taps_a + offset, <uint32_t> more, count, False)
        swap, a, b = a, b, a
        swap_taps, taps_a, taps_b = taps_a, taps_b, taps_a
    if a != best:
        pick_columns[Vec, Tap](best, taps, a, taps_a, tile.last - tile.first + 1, axis.stride * block, block, keep)


cdef inline bint doubling_pays(const Axis* axis, const Tile* tile) noexcept nogil:
    """Whether all of a line's columns together cost less than the windows one by one, and a line has room for them."""
    cdef int64_t columns, windows = tile.last - tile.first + 1
    if axis.adaptive or reach_of(axis) > LINE:
        return False
    columns = (windows - 1) * axis.stride + reach_of(axis)
    if columns * tile.block > LINE:
        return False
    return tile.block < FEW_CHANNELS or (axis.taps > 2 and doublings(axis) * columns < windows * (axis.taps - 1))
