# Max pooling forward, with or without indices, for every element type.
#
# A window's maximum is taken over its rows first, for a whole line of columns at a time, and then over the columns of
# that line. So memory is read in order whatever the layout, loops are long whatever the number of channels, and the
# cost of a window grows with its sides and not with its area.
#
# With each value goes the number of its tap. Of equal values the one with the lower tap stands, and NaN stands above
# everything: the contract, in whatever order elements meet.


cdef inline bint reaches(Vec a, Vec b) noexcept nogil:
    """Whether an element is at least as large as another; NaN is larger than everything and equals itself."""
    if Vec is f16_r:
        return half_order(a[0], 0x7C00) >= half_order(b[0], 0x7C00)
    elif Vec is bf16_r:
        return half_order(a[0], 0x7F80) >= half_order(b[0], 0x7F80)
    elif Vec is f32_r or Vec is f64_r:
        return (a[0] >= b[0]) | (a[0] != a[0])
    else:
        return a[0] >= b[0]


cdef inline bint precedes(Tap tap, uint32_t shift, Tap other) noexcept nogil:
    """Whether a tap, counted from `shift`, comes before another."""
    if Tap is u8_r:
        return <uint8_t> (tap[0] + shift) < other[0]
    elif Tap is u16_r:
        return <uint16_t> (tap[0] + shift) < other[0]
    else:
        return tap[0] + shift < other[0]


cdef inline void take_rows(
    Vec best, Tap taps, Vec a, Vec b, Vec c, const uint32_t* numbers, Py_ssize_t count, int rows, bint first, bint keep,
) noexcept nogil:
    """Take one to three rows into the best so far, which came after them. Called with literals for the flags."""
    cdef Py_ssize_t j
    cdef uint32_t tap_a = numbers[0], tap_b = numbers[1], tap_c = numbers[2]
    cdef bint take
    for j in range(count):
        take = True if first else reaches[Vec](a + j, best + j)
        best[j] = a[j] if take else best[j]
        if keep:
            taps[j] = tap_a if take else taps[j]
        if rows > 1:
            take = reaches[Vec](b + j, best + j)
            best[j] = b[j] if take else best[j]
            if keep:
                taps[j] = tap_b if take else taps[j]
        if rows > 2:
            take = reaches[Vec](c + j, best + j)
            best[j] = c[j] if take else best[j]
            if keep:
                taps[j] = tap_c if take else taps[j]


cdef void take_some_rows(
    Vec best, Tap taps, const Vec* x, const uint32_t* numbers, Py_ssize_t count, int rows, bint first, bint keep,
) noexcept nogil:
    """Choose the loop for the flags. Two rows that are not the first are taken as three, one of them twice."""
    if first and keep:
        if rows == 1:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 1, True, True)
        elif rows == 2:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 2, True, True)
        else:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 3, True, True)
    elif first:
        if rows == 1:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 1, True, False)
        elif rows == 2:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 2, True, False)
        else:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 3, True, False)
    elif keep:
        if rows == 1:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 1, False, True)
        else:
            take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 3, False, True)
    elif rows == 1:
        take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 1, False, False)
    else:
        take_rows[Vec, Tap](best, taps, x[0], x[1], x[2], numbers, count, 3, False, False)


cdef void take_columns_of_rows(
    Vec best, Tap taps, Vec* x, uint32_t* numbers, const Geometry* g, const Tile* tile, int rows, bint first, bint keep,
) noexcept nogil:
    """Take rows, given by where they begin, into the columns of a tile."""
    cdef int64_t column, width = tile.end - tile.begin
    cdef int i
    for i in range(rows, 3):
        x[i] = x[rows - 1]
        numbers[i] = numbers[rows - 1]
    for i in range(3):
        x[i] += tile.begin * g.inner + tile.channel
    if tile.block == g.inner:
        take_some_rows[Vec, Tap](best, taps, x, numbers, width * g.inner, rows, first, keep)
        return
    for column in range(width):
        take_some_rows[Vec, Tap](best + column * tile.block, taps + column * tile.block, x, numbers, tile.block, rows,
                                 first, keep)
        for i in range(3):
            x[i] += g.inner


cdef void pool_rows(
    Vec x, Vec best, Tap taps, const Geometry* g, const Tile* tile, const int64_t* window, bint keep,
) noexcept nogil:
    """The best of each of a tile's columns over the rows of a window, the last of them first. `x` is the plane."""
    cdef int64_t first_d, last_d, first_h, last_h, kd, kh, row
    cdef int64_t depth = window_start(&g.axes[0], window[0]), height = window_start(&g.axes[1], window[1])
    cdef Vec rows[3]
    cdef uint32_t numbers[3]
    cdef int count = 0
    cdef bint first = True
    valid_taps(&g.axes[0], window[0], &first_d, &last_d)
    valid_taps(&g.axes[1], window[1], &first_h, &last_h)
    for kd in range(last_d, first_d - 1, -1):
        for kh in range(last_h, first_h - 1, -1):
            row = (depth + kd * g.axes[0].dilation) * g.axes[1].size + height + kh * g.axes[1].dilation
            rows[count] = x + row * g.axes[2].size * g.inner
            numbers[count] = <uint32_t> ((kd * g.axes[1].taps + kh) * g.axes[2].taps)
            count += 1
            if count == 3:
                take_columns_of_rows[Vec, Tap](best, taps, rows, numbers, g, tile, count, first, keep)
                first = False
                count = 0
    if count > 0:
        take_columns_of_rows[Vec, Tap](best, taps, rows, numbers, g, tile, count, first, keep)


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
        take = not reaches[Vec](best + j, b + j)
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
        take = not reaches[Vec](a + j, b + j)
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
    cdef int64_t steps = 1, reach = 2
    if block < FEW_CHANNELS:
        return True
    while reach < axis.taps:
        reach *= 2
        steps += 1
    return axis.taps > 2 and steps * axis.stride < axis.taps - 1


cdef void pool_tile(
    Vec x, Vec columns, Tap column_taps, const MaxPool* job, Tile* tile, const int64_t* window, int64_t row,
) noexcept nogil:
    """Pool the windows of a tile; its columns are taken in pieces if a line does not hold them all."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef Vec spare = columns + LINE, best = columns + 2 * LINE
    cdef Tap spare_taps = column_taps + LINE, taps = column_taps + 2 * LINE
    cdef int64_t begin = tile.begin, end = tile.end, whole_begin, whole_end
    cdef int64_t position = (row * axis.pooled + tile.first) * g.inner + tile.channel
    cdef bint started = False, ended
    # Equal floats can differ in their bits; which of them stands is known by its tap.
    cdef bint keep = job.indices != NULL or job.offsets != NULL
    if Vec is f16_r or Vec is bf16_r or Vec is f32_r or Vec is f64_r:
        keep = keep or (axis.taps > 1 and g.taps > axis.taps)
    while begin < end:
        tile.begin = begin
        tile.end = min(end, begin + LINE // tile.block)
        pool_rows[Vec, Tap](x, columns, column_taps, g, tile, window, keep)
        whole_begin = whole_end = tile.last + 1
        if doubling_pays(axis, tile.block):
            whole_windows_of(axis, tile, &whole_begin, &whole_end)
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
    put_lanes(<char*> job.outputs + position * sizeof(best[0]), best, tile.last - tile.first + 1, tile.block, g.inner,
              sizeof(best[0]), job.past_cache)
    if job.offsets != NULL:
        put_offsets[Tap](job.offsets + position, taps, tile, g.inner)
    if job.indices != NULL:
        put_indices[Tap](job.indices, job.wide_indices, position, taps, g, tile, window, job.past_cache)


cdef void pool_items(Vec x, Tap taps, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items. `taps` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef double columns[3 * LINE]
    cdef uint32_t column_taps[3 * LINE]
    cdef int64_t window[MAX_RANK]
    cdef int64_t number
    cdef Item item
    cdef Tile tile
    for number in range(begin, end):
        item = item_at(number, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
        window[0] = item.d
        window[1] = item.h
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end)
            while next_windows(&tile, axis):
                pool_tile[Vec, Tap](x + item.plane * g.plane * g.inner, <Vec> columns, <Tap> column_taps, job, &tile,
                                    window, item.row)
            item.channel += tile.block
    if job.past_cache:
        finish_puts()


cdef void max_pool(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const MaxPool* job = <const MaxPool*> argument
    cdef bint in_8_bits = job.geometry.taps <= OFFSET_TAPS
    cdef bint in_16_bits = job.geometry.taps <= 0xFFFF
    if job.element == Element.FLOAT32:
        pool_items[f32_r, u32_r](<f32_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT64:
        pool_items[f64_r, u32_r](<f64_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT16 and in_16_bits:
        pool_items[f16_r, u16_r](<f16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT16:
        pool_items[f16_r, u32_r](<f16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.BFLOAT16 and in_16_bits:
        pool_items[bf16_r, u16_r](<bf16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.BFLOAT16:
        pool_items[bf16_r, u32_r](<bf16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT8 and in_8_bits:
        pool_items[i8_r, u8_r](<i8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT8:
        pool_items[i8_r, u32_r](<i8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT8 and in_8_bits:
        pool_items[u8_r, u8_r](<u8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT8:
        pool_items[u8_r, u32_r](<u8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT16 and in_16_bits:
        pool_items[i16_r, u16_r](<i16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT16:
        pool_items[i16_r, u32_r](<i16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT16 and in_16_bits:
        pool_items[u16_r, u16_r](<u16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT16:
        pool_items[u16_r, u32_r](<u16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT32:
        pool_items[i32_r, u32_r](<i32_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT32:
        pool_items[u32_r, u32_r](<u32_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT64:
        pool_items[i64_r, u32_r](<i64_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT64:
        pool_items[u64_r, u32_r](<u64_r> job.inputs, NULL, job, begin, end)
