# Average pooling of one channel: several rows of windows at a time, since a loop over one of them would be short.
#
# The rows of their windows are summed for all columns, in a line in which each begins at a whole vector; then columns.

cdef inline int64_t width_in_line(const Geometry* g) noexcept nogil:
    """Columns of a row, rounded up to vectors."""
    return ceil_div(g.axes[2].size, VECTOR) * VECTOR


cdef inline bint rows_are_alike(const Geometry* g) noexcept nogil:
    """Whether all rows of windows are whole, of one channel, and a line holds some of them."""
    return g.inner == 1 and all_whole(g) and not is_wide(&g.axes[2]) and width_in_line(g) <= LINE // 2


cdef void sum_columns_of_rows(
    Sum columns, Sum sums, const Axis* axis, int64_t rows, int64_t width,
) noexcept nogil:
    """Sum the windows of some rows over their columns, of which each row has `width`."""
    cdef int64_t k, lanes = axis.pooled
    cdef TapList taps
    # Lanes too many are written over by the next row, unless they are added to.
    if axis.taps <= SOURCES:
        lanes = lanes_for(axis.pooled, axis.stride, VECTOR, False,
                          LINE + SPARE - (rows - 1) * width - (axis.taps - 1) * axis.dilation)
    taps.count = 0
    for k in range(axis.taps):
        taps.offsets[taps.count] = k * axis.dilation
        taps.count += 1
        if taps.count == LISTED or k == axis.taps - 1:
            end_list(&taps)
            add_list[Sum, Sum](sums, columns, &taps, k >= LISTED, rows, width, lanes, axis.pooled, 0, axis.stride,
                               False)
            taps.count = 0


cdef void average_rows(RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off rows of windows. `sums` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec x = <RealVec> job.inputs, first, x_end = x + g.outer * g.plane
    cdef double lines[2 * (LINE + SPARE)]
    cdef Sum columns = <Sum> lines
    cdef int64_t width = width_in_line(g), shift = g.axes[1].stride * axis.size, rows, lanes, k
    cdef int64_t window[MAX_RANK]
    cdef double divisor
    cdef bint started
    cdef Item item
    cdef TapList list
    sums = columns + LINE + SPARE
    memset(window, 0, sizeof(window))
    divisor = divisor_of(job, window)
    while begin < end:
        item = item_at(begin, 1, 1, g.axes[0].pooled, g.axes[1].pooled)
        rows = min(min(LINE // width, end - begin), g.axes[1].pooled - item.h)
        window[0] = item.d
        window[1] = item.h
        first = x + item.plane * g.plane + first_row(g, window) * axis.size
        k = 0
        started = False
        while next_rows(&list, &k, g, window, 0, g.axes[1].taps - 1):
            lanes = width
            if x_end - (first + list.offsets[list.count - 1] + (rows - 1) * shift) < width:
                lanes = axis.size
            add_list[Sum, RealVec](columns, first, &list, started, rows, shift, lanes, width,
                                   read_ahead(rows, shift, lanes), 1, False)
            started = True
        sum_columns_of_rows[Sum](columns, sums, axis, rows, width)
        divide_by[Sum](sums, divisor, rows * axis.pooled)
        put_line[RealVec](outputs + begin * axis.pooled, <RealVec> sums, rows * axis.pooled, 1, 1, job.past_cache)
        begin += rows
    if job.past_cache:
        finish_puts()
