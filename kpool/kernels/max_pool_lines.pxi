# Max pooling of wide windows and of few channels: by lines.
#
# A window's maximum is taken over its rows first, for a whole line of columns at a time, and then over the columns of
# that line. So memory is read in order whatever the layout, loops are long whatever the number of channels, and the
# cost of a window grows with its sides and not with its area.
#
# With each value goes the number of its tap. Of equal values the one with the lower tap stands, and NaN stands above
# everything: the contract, in whatever order elements meet.


cdef void pool_rows(
    Vec x, Vec best, Tap taps, const Geometry* g, const Tile* tile, const int64_t* window, bint keep,
) noexcept nogil:
    """The best of each of a tile's columns over the rows of a window, the last of them first. `x` is the plane."""
    cdef int64_t first_d, last_d, first_h, last_h, kd, kh
    cdef int64_t columns = tile.end - tile.begin, lanes = tile.block
    cdef int64_t row = first_row(g, window)
    cdef TapList rows
    cdef bint started = False
    x += (row * g.axes[2].size + tile.begin) * g.inner + tile.channel
    if lanes == g.inner:
        lanes *= columns
        columns = 1
    valid_taps(&g.axes[0], window[0], &first_d, &last_d)
    valid_taps(&g.axes[1], window[1], &first_h, &last_h)
    rows.count = 0
    for kd in range(last_d, first_d - 1, -1):
        for kh in range(last_h, first_h - 1, -1):
            row = kd * g.axes[0].dilation * g.axes[1].size + kh * g.axes[1].dilation
            rows.offsets[rows.count] = row * g.axes[2].size * g.inner
            rows.numbers[rows.count] = <uint32_t> ((kd * g.axes[1].taps + kh) * g.axes[2].taps)
            rows.count += 1
            if rows.count == LISTED or (kd == first_d and kh == first_h):
                end_list(&rows)
                take_list[Vec, Tap](best, taps, x, &rows, started, columns, max(lanes, g.inner), lanes, 1, keep)
                started = True
                rows.count = 0


cdef inline void copy_column(
    Vec best, Tap taps, Vec a, Tap taps_a, uint32_t shift, Py_ssize_t count, bint keep,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        best[j] = a[j]
        if keep:
            taps[j] = taps_a[j] + shift


cdef inline void join_column(
    Vec best, Tap taps, Vec b, Tap taps_b, uint32_t shift, Py_ssize_t count, bint keep,
) noexcept nogil:
    """Take a column, whose taps count from `shift`, into the best so far."""
    cdef Py_ssize_t j
    cdef bint take
    for j in range(count):
        take = not reaches(best[j], b[j])
        if keep:
            take = take | (reaches(b[j], best[j]) & precedes[Tap](taps_b + j, shift, taps + j))
            taps[j] = taps_b[j] + shift if take else taps[j]
        best[j] = b[j] if take else best[j]


cdef inline void join_columns(
    Vec best, Tap taps, Vec a, Tap taps_a, Vec b, Tap taps_b, uint32_t shift, Py_ssize_t count, bint keep,
) noexcept nogil:
    """The better of two columns, where the taps of the second count from `shift`."""
    cdef Py_ssize_t j
    cdef bint take
    for j in range(count):
        take = not reaches(a[j], b[j])
        if keep:
            take = take | (reaches(b[j], a[j]) & precedes[Tap](taps_b + j, shift, taps_a + j))
            taps[j] = taps_b[j] + shift if take else taps_a[j]
        best[j] = b[j] if take else a[j]


cdef inline bint pool_window(
    Vec columns, Tap column_taps, Vec best, Tap taps, const Axis* axis, const Tile* tile, int64_t o, bint started,
    bint keep,
) noexcept nogil:
    """The best of one window over the tile's columns, taken into what earlier columns gave if there were any.

    Returns whether there is a best now.
    """
    cdef int64_t first, last, k, at
    cdef int64_t block = tile.block, step = axis.dilation * tile.block
    if not taps_of(axis, tile, o, &first, &last):
        return started
    best += (o - tile.first) * block
    taps += (o - tile.first) * block
    at = (window_start(axis, o) - tile.begin) * block + first * step
    if started:
        join_column[Vec, Tap](best, taps, columns + at, column_taps + at, <uint32_t> first, block, keep)
    elif first == 0 and last > 0:
        join_columns[Vec, Tap](best, taps, columns + at, column_taps + at, columns + at + step, column_taps + at + step,
                               1, block, keep)
        at += step
        first = 1
    else:
        copy_column[Vec, Tap](best, taps, columns + at, column_taps + at, <uint32_t> first, block, keep)
    for k in range(first + 1, last + 1):
        at += step
        join_column[Vec, Tap](best, taps, columns + at, column_taps + at, <uint32_t> k, block, keep)
    return True


cdef bint pool_windows(
    Vec columns, Tap column_taps, Vec best, Tap taps, const Axis* axis, const Tile* tile, int64_t begin, int64_t end,
    bint started, bint keep,
) noexcept nogil:
    """The same for a range of windows, one by one."""
    cdef int64_t o
    cdef bint ended = started
    if keep:
        for o in range(begin, end):
            ended = pool_window[Vec, Tap](columns, column_taps, best, taps, axis, tile, o, started, True)
    else:
        for o in range(begin, end):
            ended = pool_window[Vec, Tap](columns, column_taps, best, taps, axis, tile, o, started, False)
    return ended


cdef inline void pick(
    Vec best, Tap taps, Vec a, Tap taps_a, Py_ssize_t windows, Py_ssize_t step, Py_ssize_t block, bint keep,
) noexcept nogil:
    """Every step-th column."""
    cdef Py_ssize_t o, c
    for o in range(windows):
        for c in range(block):
            best[o * block + c] = a[o * step + c]
            if keep:
                taps[o * block + c] = taps_a[o * step + c]


cdef void pool_whole_windows(
    Vec columns, Tap column_taps, Vec spare, Tap spare_taps, Vec best, Tap taps, const Axis* axis, const Tile* tile,
    int64_t begin, int64_t end, bint keep,
) noexcept nogil:
    """The best of a range of windows that lie in the tile, by doubling: of 1, 2, 4, ... neighbouring columns at a time.

    Two such runs that overlap make a window of any size. Destroys the columns.
    """
    cdef int64_t reach = 1, more, offset
    cdef int64_t block = tile.block
    cdef Py_ssize_t count = (tile.end - tile.begin) * block
    cdef Vec a = columns, b = spare, swap
    cdef Tap taps_a = column_taps, taps_b = spare_taps, swap_taps
    while reach < axis.taps:
        more = min(reach, axis.taps - reach)
        offset = more * axis.dilation * block
        count -= offset
        if keep:
            join_columns[Vec, Tap](b, taps_b, a, taps_a, a + offset, taps_a + offset, <uint32_t> more, count, True)
        else:
            join_columns[Vec, Tap](b, taps_b, a, taps_a, a + offset, taps_a + offset, <uint32_t> more, count, False)
        swap, a, b = a, b, a
        swap_taps, taps_a, taps_b = taps_a, taps_b, taps_a
        reach += more
    offset = (window_start(axis, begin) - tile.begin) * block
    best += (begin - tile.first) * block
    taps += (begin - tile.first) * block
    if block == 1 and axis.stride == 2:
        pick[Vec, Tap](best, taps, a + offset, taps_a + offset, end - begin, 2, 1, keep)
    elif block == 1:
        pick[Vec, Tap](best, taps, a + offset, taps_a + offset, end - begin, axis.stride, 1, keep)
    else:
        pick[Vec, Tap](best, taps, a + offset, taps_a + offset, end - begin, axis.stride * block, block, keep)


cdef inline bint doubling_pays(const Axis* axis, int64_t block) noexcept nogil:
    """Whether all of a line's columns together cost less than the windows one by one."""
    return block < FEW_CHANNELS or (axis.taps > 2 and doublings(axis) * axis.stride < axis.taps - 1)


cdef void pool_by_lines(
    Vec x, Vec columns, Tap column_taps, Vec best, Tap taps, const Geometry* g, Tile* tile, const int64_t* window,
    bint keep,
) noexcept nogil:
    """Pool the windows of a tile; its columns are taken in pieces if a line does not hold them all. `x` is the plane.

    `columns` and `column_taps` have room for two lines.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef Vec spare = columns + LINE
    cdef Tap spare_taps = column_taps + LINE
    cdef int64_t begin = tile.begin, end = tile.end, whole_begin, whole_end
    cdef bint started = False, ended
    # Equal floats can differ in their bits; which of them stands is known by its tap.
    if Vec is f16_r or Vec is bf16_r or Vec is f32_r or Vec is f64_r:
        keep = keep or (axis.taps > 1 and g.taps > axis.taps)
    while begin < end:
        tile.begin = begin
        tile.end = min(end, begin + LINE // tile.block)
        pool_rows[Vec, Tap](x, columns, column_taps, g, tile, window, keep)
        find_whole_windows_of_tile(tile, axis)
        whole_begin, whole_end = tile.whole_begin, tile.whole_end
        if not doubling_pays(axis, tile.block):
            whole_begin = whole_end = tile.last + 1
        ended = pool_windows[Vec, Tap](columns, column_taps, best, taps, axis, tile, tile.first, whole_begin, started,
                                       keep)
        if whole_end <= tile.last:
            ended = pool_windows[Vec, Tap](columns, column_taps, best, taps, axis, tile, whole_end, tile.last + 1,
                                           started, keep)
        if whole_begin < whole_end:
            pool_whole_windows[Vec, Tap](columns, column_taps, spare, spare_taps, best, taps, axis, tile, whole_begin,
                                         whole_end, keep)
        # Only a tile of one window comes in pieces.
        started = ended
        begin = tile.end
