# Average pooling of one channel: several rows of windows at a time, since a loop over one of them would be short.
#
# The rows of their windows are summed for all columns, in a line in which each begins at a whole vector; then columns.
# Windows with columns in the padding, at both ends of the rows, follow column by column.

cdef inline int64_t width_in_line(const Geometry* g) noexcept nogil:
    """Columns of a row, rounded up to vectors."""
    return ceil_div(g.axes[2].size, VECTOR) * VECTOR


cdef inline bint rows_fill_lines(const Geometry* g) noexcept nogil:
    """Whether rows are of one channel, with some whole windows, and a line holds some of them."""
    return (g.inner == 1 and not is_adaptive(g) and g.axes[2].whole_begin < g.axes[2].whole_end
            and not is_wide(&g.axes[2]) and max(width_in_line(g), g.axes[2].pooled) <= LINE // 2)


cdef void sum_columns_of_rows(
    Sum columns, Sum sums, const Axis* axis, int64_t o, int64_t windows, int64_t rows, int64_t width, int64_t pitch,
) noexcept nogil:
    """Sum some windows of each row, from `o` on, that have the same columns.

    A row has `width` columns; its sums stand `pitch` apart.
    """
    cdef int64_t first, last, k, lanes = windows
    cdef TapList taps
    valid_taps(axis, o, &first, &last)
    columns += window_start(axis, o)
    # Lanes too many are written over by the next row, unless they are added to.
    if windows > 1 and axis.taps <= SOURCES:
        lanes = lanes_for(windows, axis.stride, VECTOR, False,
                          LINE + SPARE - (rows - 1) * width - window_start(axis, o) - (axis.taps - 1) * axis.dilation)
    taps.count = 0
    for k in range(first, last + 1):
        taps.offsets[taps.count] = k * axis.dilation
        taps.count += 1
        if taps.count == LISTED or k == last:
            end_list(&taps)
            add_list[Sum, Sum](sums, columns, &taps, k - first >= LISTED, rows, width, lanes, pitch, 0, axis.stride,
                               False)
            taps.count = 0


cdef void average_columns_of_rows(
    Sum columns, Sum sums, Sum spare, const AveragePool* job, int64_t* window, int64_t rows,
) noexcept nogil:
    """Average the windows of some rows, from `window` on, over their columns. The spare line is to work in."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t width = width_in_line(g), i
    cdef int64_t windows = axis.whole_end - axis.whole_begin
    # What is divided is defined.
    if windows < axis.pooled:
        zero_sums[Sum](sums, rows * axis.pooled)
    sum_columns_of_rows[Sum](columns, sums + axis.whole_begin, axis, axis.whole_begin, windows, rows, width,
                             axis.pooled)
    window[2] = axis.whole_begin
    divide_by[Sum](sums, divisor_of(job, window), rows * axis.pooled)
    window[2] = border_from(axis, 0)
    while window[2] < axis.pooled:
        sum_columns_of_rows[Sum](columns, spare, axis, window[2], 1, rows, width, 1)
        divide_by[Sum](spare, divisor_of(job, window), rows)
        for i in range(rows):
            sums[window[2] + i * axis.pooled] = spare[i]
        window[2] = border_from(axis, window[2] + 1)


cdef void average_rows(RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off rows of windows. `sums` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec x = <RealVec> job.inputs, first, x_end = x + g.outer * g.plane
    cdef double lines[3 * (LINE + SPARE)]
    cdef Sum columns = <Sum> lines
    cdef int64_t width = width_in_line(g), most = LINE // max(width, axis.pooled)
    cdef int64_t shift = g.axes[1].stride * axis.size, rows, lanes, first_h, last_h, k
    cdef int64_t window[MAX_RANK]
    cdef bint started
    cdef Item item
    cdef TapList list
    sums = columns + LINE + SPARE
    while begin < end:
        item = item_at(begin, 1, 1, g.axes[0].pooled, g.axes[1].pooled)
        rows = min(min(most, end - begin), g.axes[1].pooled - item.h)
        rows = alike_windows(&g.axes[1], item.h, item.h + rows - 1)
        window[0] = item.d
        window[1] = item.h
        valid_taps(&g.axes[1], item.h, &first_h, &last_h)
        first = x + item.plane * g.plane + first_row(g, window) * axis.size
        k = 0
        started = False
        while next_rows(&list, &k, g, window, first_h, last_h):
            lanes = width
            if x_end - (first + list.offsets[list.count - 1] + (rows - 1) * shift) < width:
                lanes = axis.size
            add_list[Sum, RealVec](columns, first, &list, started, rows, shift, lanes, width,
                                   read_ahead(rows, shift, lanes), 1, False)
            started = True
        average_columns_of_rows[Sum](columns, sums, sums + LINE + SPARE, job, window, rows)
        put_line[RealVec](outputs + begin * axis.pooled, <RealVec> sums, rows * axis.pooled, 1, 1, job.past_cache)
        begin += rows
    if job.past_cache:
        finish_puts()
