# Max pooling of wide windows, and of few channels where windows share columns: by lines.
#
# A window's maximum is taken over its rows first, for a whole line of columns at a time, and then over the columns of
# that line. So memory is read in order whatever the layout, loops are long whatever the number of channels, and the
# cost of a window grows with its sides and not with its area.
#
# With each value goes the number of its tap, if somebody asks for it or if equal values differ in their bits. Of equal
# values the one with the lower tap stands, and NaN stands above everything: the contract, in whatever order they meet.


cdef inline bint equals_are_alike(Vec columns, const Geometry* g, Py_ssize_t count) noexcept nogil:
    """Whether equal ones among the best of these columns are the same bits, so that it does not matter which stands.

    Zeros of both signs are equal, and NaN of any bits. The best of a column is its first in any case.
    """
    cdef Py_ssize_t j
    cdef bint alike = True
    if g.axes[2].taps == 1 or g.taps == g.axes[2].taps:
        return True
    for j in range(count):
        if Vec is plain_f32_r:
            alike &= (<u32_r> columns)[j] != <uint32_t> 1 << 31
        elif Vec is plain_f64_r:
            alike &= (<u64_r> columns)[j] != <uint64_t> 1 << 63
        elif Vec is f16_r:
            alike &= (columns[j] != 0x8000) & ((columns[j] & 0x7FFF) <= 0x7C00)
        elif Vec is bf16_r:
            alike &= (columns[j] != 0x8000) & ((columns[j] & 0x7FFF) <= 0x7F80)
    return alike


cdef inline bint must_keep_taps(
    Vec columns, Tap taps, const Geometry* g, Py_ssize_t count, bint* keep,
) noexcept nogil:
    """Whether it matters which of equal ones among columns stands, and nobody kept taps: note that, and begin again.

    Where there is one such place, there will be more.
    """
    if keeps_taps[Vec, Tap](columns, taps, keep[0]) or equals_are_alike[Vec](columns, g, count):
        return False
    keep[0] = True
    return True


cdef bint pool_rows(
    Vec x, Vec best, Tap taps, const Geometry* g, const Tile* tile, const int64_t* window, int64_t first_h,
    int64_t last_h, bint started, bint keep,
) noexcept nogil:
    """Take the rows of a window from `first_h` to `last_h`, the last of them first, into the best of a tile's columns.

    `x` is the plane. The rows are counted from the window's first, in each of its slices. Returns whether the type's
    comparisons were enough.
    """
    cdef bint enough = True
    cdef int64_t first_d, last_d, kd, kh
    cdef int64_t columns = tile.end - tile.begin, lanes = tile.block
    cdef int64_t row = first_row(g, window)
    cdef TapList rows
    x += (row * g.axes[2].size + tile.begin) * g.inner + tile.channel
    if lanes == g.inner:
        lanes *= columns
        columns = 1
    valid_taps(&g.axes[0], window[0], &first_d, &last_d)
    rows.count = 0
    for kd in range(last_d, first_d - 1, -1):
        for kh in range(last_h, first_h - 1, -1):
            row = kd * g.axes[0].dilation * g.axes[1].size + kh * g.axes[1].dilation
            rows.offsets[rows.count] = row * g.axes[2].size * g.inner
            rows.numbers[rows.count] = <uint32_t> ((kd * g.axes[1].taps + kh) * g.axes[2].taps)
            rows.count += 1
            if rows.count == LISTED or (kd == first_d and kh == first_h):
                end_list(&rows)
                # What lies between is another block's, and not asked for ahead.
                enough &= take_list[Vec, Tap](best, taps, x, &rows, started, columns, max(lanes, g.inner), lanes,
                                              lanes, 1, keep)
                started = True
                rows.count = 0
    return enough


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
        take = exceeds[Vec](b + j, best + j)
        if keep:
            take = take | (reaches[Vec](b + j, best + j) & precedes[Tap](taps_b + j, shift, taps + j))
            taps[j] = taps_b[j] + shift if take else taps[j]
        best[j] = b[j] if take else best[j]


cdef inline void join_columns(
    Vec best, Tap taps, Vec a, Tap taps_a, Vec b, Tap taps_b, uint32_t shift, Py_ssize_t count, bint keep,
) noexcept nogil:
    """The better of two columns, where the taps of the second count from `shift`."""
    cdef Py_ssize_t j
    cdef bint take
    for j in range(count):
        take = exceeds[Vec](b + j, a + j)
        if keep:
            take = take | (reaches[Vec](b + j, a + j) & precedes[Tap](taps_b + j, shift, taps_a + j))
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
    Vec columns, Tap column_taps, Vec best, Tap taps, const Axis* axis, const Tile* tile, bint started, bint keep,
) noexcept nogil:
    """The same for all windows, one by one."""
    cdef int64_t o
    cdef bint ended = started
    if keeps_taps[Vec, Tap](best, taps, keep):
        for o in range(tile.first, tile.last + 1):
            ended = pool_window[Vec, Tap](columns, column_taps, best, taps, axis, tile, o, started, True)
    else:
        for o in range(tile.first, tile.last + 1):
            ended = pool_window[Vec, Tap](columns, column_taps, best, taps, axis, tile, o, started, False)
    return ended


cdef inline int64_t room_in_front(const Axis* axis, const Tile* tile) noexcept nogil:
    """Elements of a tile's line in front of its columns: the padding, if it takes part."""
    return padding_in_front(axis, tile) if doubling_pays(axis, tile) else 0


cdef bint pool_columns(
    Vec line, Tap line_taps, Vec spare, Tap spare_taps, Vec best, Tap taps, const Geometry* g, Tile* tile,
    bint started, bint keep,
) noexcept nogil:
    """The best of a tile's windows over its columns, which stand behind `room_in_front`; whether there is one now."""
    cdef const Axis* axis = &g.axes[2]
    if doubling_pays(axis, tile):
        pool_by_doubling[Vec, Tap](line, line_taps, spare, spare_taps, best, taps, g, tile, keep)
        return True
    find_whole_windows_of_tile(tile, axis)
    return pool_windows[Vec, Tap](line, line_taps, best, taps, axis, tile, started, keep)


cdef bint pool_pieces(
    Vec x, Vec columns, Tap column_taps, Vec best, Tap taps, const Geometry* g, Tile* tile, const int64_t* window,
    bint* keep,
) noexcept nogil:
    """Pool the windows of a tile; its columns are taken in pieces if a line does not hold them all.

    Returns whether the type's comparisons were enough. If taps must be kept that were not, there is no result.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t begin = tile.begin, end = tile.end, first_h, last_h, at
    cdef bint started = False, enough = True
    valid_taps(&g.axes[1], window[1], &first_h, &last_h)
    # Only a tile of one window comes in pieces.
    while tile.begin < end:
        tile.end = min(end, tile.begin + LINE // tile.block)
        at = room_in_front(axis, tile)
        enough &= pool_rows[Vec, Tap](x, columns + at, column_taps + at, g, tile, window, first_h, last_h, False,
                                      keep[0])
        if must_keep_taps[Vec, Tap](columns + at, column_taps, g, (tile.end - tile.begin) * tile.block, keep):
            tile.end = end
            break
        started = pool_columns[Vec, Tap](columns, column_taps, columns + LINE, column_taps + LINE, best, taps, g, tile,
                                         started, keep[0])
        tile.begin = tile.end
    tile.begin = begin
    return enough


cdef bint pool_by_lines(
    Vec x, Vec columns, Tap column_taps, Vec best, Tap taps, const Geometry* g, Tile* tile, const int64_t* window,
    bint* keep,
) noexcept nogil:
    """Pool the windows of a tile. `x` is the plane; `columns` and `column_taps` have room for two lines.

    Returns whether the type's comparisons were enough. From the first tile on that needs them, taps are kept.
    """
    cdef bint kept = keep[0]
    cdef bint enough = pool_pieces[Vec, Tap](x, columns, column_taps, best, taps, g, tile, window, keep)
    if kept == keep[0]:
        return enough
    return pool_pieces[Vec, Tap](x, columns, column_taps, best, taps, g, tile, window, keep)
