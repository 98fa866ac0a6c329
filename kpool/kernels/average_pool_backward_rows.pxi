# The gradient of average pooling for one channel: several rows at a time, since a loop over one of them would be short.
#
# What windows have to give is summed over their rows, then over their columns. Rows a stride apart lie under as many
# rows of windows, and columns a stride apart under as many windows: these are summed as rows of their own, and then
# take turns in a row.


cdef inline int64_t turns_width(const Axis* axis) noexcept nogil:
    """Elements of a line for every `stride`-th column of a row, and for the lanes too many behind them."""
    return (ceil_div(ceil_div(axis.size, axis.stride), VECTOR) + 1) * VECTOR


cdef inline int64_t rows_in_lines(const Geometry* g) noexcept nogil:
    """How many rows there is room for."""
    cdef const Axis* axis = &g.axes[2]
    return LINE // max(axis.size, turns_width(axis) * axis.stride)


cdef inline bint gradients_fill_rows(const Geometry* g) noexcept nogil:
    """Whether windows are of one channel and slice, and there is room for some rows and their windows."""
    cdef const Axis* axis = &g.axes[2]
    return (g.inner == 1 and not is_adaptive(g) and axis.whole_begin < axis.whole_end
            and g.axes[0].taps == 1 and g.axes[0].stride == 1 and rows_in_lines(g) > 1
            and ceil_div(axis.pooled, VECTOR) * VECTOR <= turns_width(axis)
            and (rows_in_lines(g) + reach_of(&g.axes[1])) * axis.pooled <= LINE)


cdef void share_out(
    RealVec gradients, Sum shares, const AveragePool* job, int64_t* window, int64_t last,
) noexcept nogil:
    """What the windows of some rows, from `window` to the `last`, have to give each of their elements.

    `gradients` are those of the first of these rows.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t rows, i, at
    while window[1] <= last:
        rows = alike_windows(&g.axes[1], window[1], last)
        window[2] = axis.whole_begin
        add_shares[RealVec, Sum](gradients, shares, divisor_of(job, window), rows * axis.pooled, True)
        window[2] = border_from(axis, 0)
        while window[2] < axis.pooled:
            for i in range(rows):
                at = i * axis.pooled + window[2]
                add_shares[RealVec, Sum](gradients + at, shares + at, divisor_of(job, window), 1, True)
            window[2] = border_from(axis, window[2] + 1)
        gradients += rows * axis.pooled
        shares += rows * axis.pooled
        window[1] += rows


cdef void add_windows(
    Sum sums, Sum shares, const Axis* axis, int64_t position, int64_t base, int64_t apart, Py_ssize_t times,
    Py_ssize_t shift, Py_ssize_t lanes, Py_ssize_t pitch,
) noexcept nogil:
    """Sum what the windows over a position have to give; they stand `apart`, beginning with window `base`.

    So many times, `shift` elements further on each time, with some lanes, whose sums stand `pitch` apart.
    """
    cdef int64_t o, last, step
    cdef bint started = False
    cdef TapList list
    list.count = 0
    step = windows_on(axis, position, &o, &last)
    while o <= last:
        list.offsets[list.count] = (o - base) * apart
        list.count += 1
        o += step
        if list.count == LISTED or o > last:
            end_list(&list)
            add_list[Sum, Sum](sums, shares, &list, started, times, shift, lanes, pitch, 0, 1, False)
            started = True
            list.count = 0
    if not started:
        for o in range(times):
            zero_sums[Sum](sums + o * pitch, lanes)


cdef void take_turns(Sum to, Sum a, Sum b, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t pitch) noexcept nogil:
    """Rows of `width` elements, each in turn from one of two lines."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        # Elements too many are written over by the next row.
        for j in range(ceil_div(width, 2 * VECTOR) * VECTOR):
            to[2 * j] = a[j]
            to[2 * j + 1] = b[j]
        to += width
        a += pitch
        b += pitch


cdef void place_turn(
    Sum to, Sum turn, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t pitch, Py_ssize_t first, Py_ssize_t step,
) noexcept nogil:
    """Every `step`-th element of rows, from the `first` on."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range((width - 1 - first) // step + 1):
            to[first + j * step] = turn[j]
        to += width
        turn += pitch


cdef void fill_rows(
    Sum line, Sum shares, Sum sums, Sum turns, const Geometry* g, int64_t h, int64_t rows, int64_t base,
) noexcept nogil:
    """Fill a line with some rows of a plane, from `h` on. `shares` begin with those of the row `base` of windows."""
    cdef const Axis* height = &g.axes[1]
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t pitch = turns_width(axis), row, first, column, count, turn, tap, i
    cdef int64_t lanes = ceil_div(axis.pooled, VECTOR) * VECTOR
    cdef int64_t covered = min(axis.size, window_start(axis, axis.pooled - 1) + reach_of(axis))
    cdef bint by_twos = axis.stride == 2 and axis.dilation == 1
    cdef Sum columns = turns, even = turns
    for first in range(h, min(h + rows, h + height.stride)):
        row = first
        while row < h + rows:
            count = positions_alike(height, row, h + rows)
            add_windows[Sum](sums + (row - h) * pitch, shares, height, row, base, axis.pooled, count, axis.pooled,
                             lanes, height.stride * pitch)
            row += count * height.stride
    for turn in range(min(axis.stride, axis.size)):
        columns = turns + turn * rows * pitch
        tap = (turn + axis.before) % axis.stride
        if by_twos and tap < axis.taps <= tap + 2:
            # Each of these columns lies under one window alone.
            columns = sums + (turn + axis.before) // 2
        else:
            column = turn
            while column < axis.size:
                count = positions_alike(axis, column, axis.size)
                lanes = ceil_div(count, VECTOR) * VECTOR if count > 1 else 1
                add_windows[Sum](columns + column // axis.stride, sums, axis, column, 0, 1, rows, pitch, lanes, pitch)
                column += count * axis.stride
        if not by_twos:
            place_turn[Sum](line, columns, rows, axis.size, pitch, turn, axis.stride)
        elif turn == 0:
            even = columns
    if by_twos:
        take_turns[Sum](line, even, columns, rows, axis.size, pitch)
        for i in range(rows):
            zero_sums[Sum](line + i * axis.size + covered, axis.size - covered)


cdef void average_rows_backward(
    RealVec outputs, Sum lines, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    """Work off rows of the unpooled side. `lines` has room for four with SPARE."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec gradients = <RealVec> job.inputs
    cdef Sum shares = lines, sums = shares + LINE + SPARE, turns = sums + LINE + SPARE, line = turns + LINE + SPARE
    cdef int64_t rows, first, last, unused, at
    cdef int64_t window[MAX_RANK]
    cdef Item item
    while begin < end:
        item = item_at(begin, 1, 1, g.axes[0].size, g.axes[1].size)
        rows = min(min(rows_in_lines(g), end - begin), g.axes[1].size - item.h)
        covering_windows(&g.axes[1], item.h, &first, &unused)
        covering_windows(&g.axes[1], item.h + rows - 1, &unused, &last)
        at = (item.plane * g.axes[0].pooled + item.d) * g.axes[1].pooled + first
        fetch(gradients + at * axis.pooled, max(0, last + 1 - first) * axis.pooled * sizeof(gradients[0]))
        window[0] = item.d
        window[1] = first
        share_out[RealVec, Sum](gradients + at * axis.pooled, shares, job, window, last)
        fill_rows[Sum](line, shares, sums, turns, g, item.h, rows, first)
        put_line[RealVec](outputs + begin * axis.size, <RealVec> line, rows * axis.size, 1, 1, job.past_cache)
        begin += rows
    if job.past_cache:
        finish_puts()
