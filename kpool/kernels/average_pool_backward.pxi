# The gradient of average pooling: each window's share goes to its elements, over the rows of windows first.
#
# Each element is written once, and adds up what the windows over it have to give in a fixed order. Where they do not
# overlap rows are made once for all that are alike (average_pool_backward_apart.pxi).


cdef inline void add_shares(RealVec x, Sum sums, double count_of_taps, Py_ssize_t count, bint first) noexcept nogil:
    """Add to the sums what some windows have to give each of their elements. Called with a literal for `first`."""
    cdef Py_ssize_t j
    cdef float divisor = <float> count_of_taps
    cdef float floats[LINE]
    if RealVec is f16_r:
        floats_from_halves(floats, x, count)
    for j in range(count):
        if RealVec is f16_r:
            sums[j] = (0 if first else sums[j]) + floats[j] / divisor
        elif RealVec is bf16_r:
            sums[j] = (0 if first else sums[j]) + float_from_bfloat(x[j]) / divisor
        elif RealVec is f32_r:
            sums[j] = (0 if first else sums[j]) + x[j] / divisor
        else:
            sums[j] = (0 if first else sums[j]) + x[j] / count_of_taps


cdef void load_windows(
    RealVec row, Sum sums, const AveragePool* job, const Tile* tile, const int64_t* window, bint first,
) noexcept nogil:
    """Add what the windows of a tile, in one row, have to give."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t o = tile.first, end, count
    cdef double rows = rows_counted(job, window), divisor
    row += o * g.inner + tile.channel
    # Not what lies between blocks of channels, which can be far more.
    if tile.block == g.inner:
        fetch(row, (tile.last + 1 - o) * g.inner * sizeof(row[0]))
    while o <= tile.last:
        end = alike_until(job, o, tile.last + 1) if tile.block == g.inner else o + 1
        divisor = divisor_in_row(job, rows, o)
        count = (end - o) * tile.block
        if first:
            add_shares[RealVec, Sum](row, sums, divisor, count, True)
        else:
            add_shares[RealVec, Sum](row, sums, divisor, count, False)
        row += (end - o) * g.inner
        sums += count
        o = end


cdef inline void spread(
    Share columns, Share shares, Py_ssize_t windows, Py_ssize_t step, Py_ssize_t lanes, bint alone,
) noexcept nogil:
    """Add shares to one column of each window, `step` apart; or set them, where windows stand `alone`."""
    cdef Py_ssize_t o, j
    for o in range(windows):
        for j in range(lanes):
            columns[j] = shares[j] if alone else columns[j] + shares[j]
        columns += step
        shares += lanes


cdef inline void spread_singles(
    Share columns, Share shares, Py_ssize_t windows, Py_ssize_t step, bint alone,
) noexcept nogil:
    """The same for one channel."""
    cdef Py_ssize_t o
    for o in range(windows):
        columns[o * step] = shares[o] if alone else columns[o * step] + shares[o]


cdef inline void spread_pairs(Share columns, Share shares, Py_ssize_t windows) noexcept nogil:
    """For both columns of windows of two, for one channel."""
    cdef Py_ssize_t o
    for o in range(windows):
        columns[2 * o] = shares[o]
        columns[2 * o + 1] = shares[o]


cdef void spread_windows(
    Share columns, Share shares, const Axis* axis, const Tile* tile, int64_t o, int64_t windows, bint alone,
) noexcept nogil:
    """Hand the shares of some windows of a tile, from `o` on, that have the same taps, to its columns."""
    cdef int64_t first, last, k, to, at
    cdef int64_t step = axis.stride * tile.block
    if not taps_of(axis, tile, o, &first, &last):
        return
    to = (window_start(axis, o) - tile.begin) * tile.block
    shares += (o - tile.first) * tile.block
    if alone and tile.block == 1 and axis.stride == 2 and first == 0 and last == 1 and axis.dilation == 1:
        spread_pairs[Share](columns + to, shares, windows)
        return
    # From the last tap to the first, so that windows reach a column in ascending order.
    for k in range(last, first - 1, -1):
        at = to + k * axis.dilation * tile.block
        if tile.block == 1 and step == 1:
            spread[Share](columns + at, shares, 1, 0, windows, alone)
        elif tile.block == 1 and step == 2:
            spread_singles[Share](columns + at, shares, windows, 2, alone)
        elif tile.block == 1:
            spread_singles[Share](columns + at, shares, windows, step, alone)
        else:
            spread[Share](columns + at, shares, windows, step, tile.block, alone)


cdef inline void spread_all(
    Share columns, Share shares, const Axis* axis, const Tile* tile, bint alone,
) noexcept nogil:
    """The same for all windows of a tile."""
    cdef int64_t o = tile.first, windows
    while o <= tile.last:
        windows = tile.whole_end - o if tile.whole_begin <= o < tile.whole_end else 1
        spread_windows[Share](columns, shares, axis, tile, o, windows, alone)
        o += windows


cdef inline void clear_columns(Share columns, const Geometry* g, const Tile* tile, bint alone) noexcept nogil:
    """Zero the columns of a tile, but not those that windows which stand alone, and side by side, are going to set."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t first = tile.begin, end = tile.begin
    if alone and not axis.adaptive and axis.stride == axis.taps and axis.dilation == 1 and tile.first <= tile.last:
        first = max(tile.begin, window_start(axis, tile.first))
        end = min(tile.end, window_start(axis, tile.last) + axis.taps)
    memset(columns, 0, (first - tile.begin) * tile.block * sizeof(columns[0]))
    memset(columns + (end - tile.begin) * tile.block, 0, (tile.end - end) * tile.block * sizeof(columns[0]))


cdef void sum_shares(
    RealVec gradients, Sum columns, Sum shares, const AveragePool* job, Tile* tile, const Cover* cover,
) noexcept nogil:
    """Sum up a tile's columns, whose windows are taken in pieces if a line does not hold them all.

    `gradients` are the plane's; `cover` says which windows have taps on the row.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t first = tile.first, last = tile.last, row
    cdef int64_t window[MAX_RANK]
    cdef bint started, alone = not overlaps(axis)
    clear_columns[Sum](columns, g, tile, alone)
    while first <= last:
        tile.first = first
        tile.last = min(last, first + LINE // tile.block - 1)
        find_whole_windows_of_tile(tile, axis)
        started = False
        window[0] = cover.first[0]
        while window[0] <= cover.last[0]:
            window[1] = cover.first[1]
            while window[1] <= cover.last[1]:
                row = window[0] * g.axes[1].pooled + window[1]
                load_windows[RealVec, Sum](gradients + row * axis.pooled * g.inner, shares, job, tile, window,
                                           not started)
                started = True
                window[1] += cover.step[1]
            window[0] += cover.step[0]
        if not started:
            zero_sums[Sum](shares, (tile.last - tile.first + 1) * tile.block)
        spread_all[Sum](columns, shares, axis, tile, alone)
        first = tile.last + 1


cdef void average_items_backward(
    RealVec outputs, Sum lines, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    """Work off items of the unpooled side. Results gather in a line for as long as they follow each other in memory."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec gradients = <RealVec> job.inputs
    cdef Sum shares = lines, columns = lines + LINE
    cdef int64_t number, results, position = 0, gathered = 0
    cdef Item item = item_at(begin, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
    cdef Cover cover
    cdef Tile tile
    memset(&tile, 0, sizeof(tile))
    for number in range(begin, end):
        if number > begin:
            go_on(&item, number, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
        cover = cover_of(g, &item)
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, False)
            while next_columns(&tile, axis):
                results = (tile.end - tile.begin) * tile.block
                if gathered + results > LINE or tile.block < g.inner:
                    put_line[RealVec](outputs + position, <RealVec> columns, gathered // g.inner, g.inner, g.inner,
                                      job.past_cache)
                    gathered = 0
                if gathered == 0:
                    position = (item.row * axis.size + tile.begin) * g.inner + tile.channel
                sum_shares[RealVec, Sum](gradients + item.plane * g.windows * g.inner, columns + gathered, shares, job,
                                         &tile, &cover)
                if tile.block < g.inner:
                    put_line[RealVec](outputs + position, <RealVec> columns, results // tile.block, tile.block,
                                      g.inner, job.past_cache)
                else:
                    gathered += results
            item.channel += tile.block
    put_line[RealVec](outputs + position, <RealVec> columns, gathered // g.inner, g.inner, g.inner, job.past_cache)
    if job.past_cache:
        finish_puts()


cdef void average_some_backward(
    RealVec outputs, Sum lines, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    if gradients_fill_rows(&job.geometry):
        average_rows_backward[RealVec, Sum](outputs, lines, job, begin, end)
    elif not any_overlap(&job.geometry):
        average_apart_backward[RealVec, Sum](outputs, lines, job, begin, end)
    else:
        average_items_backward[RealVec, Sum](outputs, lines, job, begin, end)


cdef void average_pool_backward(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const AveragePool* job = <const AveragePool*> argument
    cdef double lines[4 * (LINE + SPARE)]
    if job.element == Element.FLOAT16:
        average_some_backward[f16_r, f32_r](<f16_r> job.outputs, <f32_r> lines, job, begin, end)
    elif job.element == Element.BFLOAT16:
        average_some_backward[bf16_r, f32_r](<bf16_r> job.outputs, <f32_r> lines, job, begin, end)
    elif job.element == Element.FLOAT32:
        average_some_backward[f32_r, f32_r](<f32_r> job.outputs, <f32_r> lines, job, begin, end)
    elif job.element == Element.FLOAT64:
        average_some_backward[f64_r, f64_r](<f64_r> job.outputs, <f64_r> lines, job, begin, end)
