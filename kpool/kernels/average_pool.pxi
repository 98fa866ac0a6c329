# Average pooling forward, for every float type.
#
# A window is summed over its rows first, for each of its columns, and then over the columns. Small windows are taken on
# their own (average_pool_direct.pxi); for others a whole line of columns is summed and then shared, so that the cost of
# a window grows with its sides and not with its area. The order of additions is the same either way, and in both
# layouts. Wide windows go by runs of columns (average_pool_runs.pxi), tall ones in groups (average_pool_groups.pxi).
# Rows of one channel go several at a time (average_pool_rows.pxi).


cdef inline bint is_power_of_two(double divisor) noexcept nogil:
    """Of divisors, which are positive integers. Where it is, to multiply by the reciprocal is to divide, but faster."""
    return ((<uint64_t*> &divisor)[0] & ((<uint64_t> 1 << 52) - 1)) == 0


cdef inline void divide_one(Sum total, double divisor, bint by_power) noexcept nogil:
    """In the precision of the sums. Called with a literal for `by_power`, whether the divisor is a power of two."""
    if Sum is f32_r and by_power:
        total[0] = total[0] * <float> (1 / divisor)
    elif by_power:
        total[0] = total[0] * (1 / divisor)
    elif Sum is f32_r:
        total[0] = total[0] / <float> divisor
    else:
        total[0] = total[0] / divisor


cdef inline void divide_by(Sum sums, double divisor, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    if is_power_of_two(divisor):
        for j in range(count):
            divide_one[Sum](sums + j, divisor, True)
    else:
        for j in range(count):
            divide_one[Sum](sums + j, divisor, False)


cdef inline void divide(Sum sums, const AveragePool* job, const Tile* tile, const int64_t* window) noexcept nogil:
    """From the sums of a tile's windows, in the row that `window` names, to their averages."""
    cdef double rows = rows_counted(job, window)
    cdef int64_t o = tile.first, end
    while o <= tile.last:
        end = alike_until(job, o, tile.last + 1)
        divide_by[Sum](sums, divisor_in_row(job, rows, o), (end - o) * tile.block)
        sums += (end - o) * tile.block
        o = end


cdef inline bint next_rows(
    TapList* rows, int64_t* k, const Geometry* g, const int64_t* window, int64_t first_h, int64_t last_h,
) noexcept nogil:
    """List the next of a window's rows from `first_h` to `last_h` in each of its slices; whether there are any.

    The rows are counted from the window's first; `k` says how many have been listed.
    """
    cdef int64_t first_d, last_d, kd, kh, row
    valid_taps(&g.axes[0], window[0], &first_d, &last_d)
    rows.count = 0
    while rows.count < LISTED and k[0] < (last_d - first_d + 1) * (last_h - first_h + 1):
        kd = first_d + k[0] // (last_h - first_h + 1)
        kh = first_h + k[0] % (last_h - first_h + 1)
        row = kd * g.axes[0].dilation * g.axes[1].size + kh * g.axes[1].dilation
        rows.offsets[rows.count] = row * g.axes[2].size * g.inner
        rows.count += 1
        k[0] += 1
    if rows.count == 0:
        return False
    end_list(rows)
    return True


cdef void sum_rows(
    RealVec x, Sum columns, const Geometry* g, const Tile* tile, const int64_t* window, int64_t first_h,
    int64_t last_h, bint started,
) noexcept nogil:
    """Add the rows of a window from `first_h` to `last_h` to the sums of a tile's columns. `x` is the plane."""
    cdef int64_t width = tile.end - tile.begin, lanes = tile.block, k = 0
    cdef int64_t row = first_row(g, window)
    cdef TapList rows
    x += (row * g.axes[2].size + tile.begin) * g.inner + tile.channel
    if lanes == g.inner:
        lanes *= width
        width = 1
    while next_rows(&rows, &k, g, window, first_h, last_h):
        # What lies between is another block's, and not asked for ahead.
        add_list[Sum, RealVec](columns, x, &rows, started, width, max(lanes, g.inner), lanes, lanes, lanes, 1,
                               False)
        started = True


cdef void sum_columns(
    Sum columns, Sum sums, const Axis* axis, const Tile* tile, int64_t o, int64_t windows, bint started,
) noexcept nogil:
    """Sum some windows of a tile, from `o` on, that have the same taps, over its columns."""
    cdef int64_t first, last, k
    cdef TapList taps
    if not taps_of(axis, tile, o, &first, &last):
        if not started:
            zero_sums[Sum](sums, tile.block)
        return
    columns += (window_start(axis, o) - tile.begin) * tile.block
    taps.count = 0
    for k in range(first, last + 1):
        taps.offsets[taps.count] = k * axis.dilation * tile.block
        taps.count += 1
        if taps.count == LISTED or k == last:
            end_list(&taps)
            add_columns[Sum](columns, sums, &taps, axis, tile, windows, started)
            started = True
            taps.count = 0


cdef void sum_windows(
    Sum line, Sum spare, Sum sums, const Axis* axis, Tile* tile, bint started,
) noexcept nogil:
    """Sum a tile's windows over its columns, which stand behind `room_for_padding`."""
    cdef int64_t o = tile.first, windows
    if is_wide(axis):
        sum_wide_columns[Sum](line, spare, sums, axis, tile)
        return
    find_whole_windows_of_tile(tile, axis)
    while o <= tile.last:
        windows = tile.whole_end - o if tile.whole_begin <= o < tile.whole_end else 1
        sum_columns[Sum](line, sums + (o - tile.first) * tile.block, axis, tile, o, windows, started)
        o += windows


cdef void sum_by_lines(
    RealVec x, Sum columns, Sum sums, const Geometry* g, Tile* tile, const int64_t* window,
) noexcept nogil:
    """Sum the windows of a tile, whose columns are taken in pieces if a line does not hold them all.

    `columns` has room for two lines.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t begin = tile.begin, end = tile.end, first_h, last_h
    cdef bint started = False
    valid_taps(&g.axes[1], window[1], &first_h, &last_h)
    # Only a tile of one window comes in pieces.
    while begin < end:
        tile.begin = begin
        tile.end = min(end, begin + LINE // tile.block)
        sum_rows[RealVec, Sum](x, columns + room_for_padding(axis, tile), g, tile, window, first_h, last_h, False)
        sum_windows[Sum](columns, columns + LINE, sums, axis, tile, started)
        started = True
        begin = tile.end


cdef inline bint averages_gather_in_place(RealVec x, const AveragePool* job, int64_t block) noexcept nogil:
    """Whether averages gather where they belong: sums of half types do not. `x` is there for its type."""
    if RealVec is f16_r or RealVec is bf16_r:
        return False
    else:
        return may_gather_in_place(&job.geometry, block, job.past_cache)


cdef void average_items(RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items of one row of windows. `sums` is there for its type.

    Results gather while they follow each other in memory, as many as a line has room for, in one or where they belong.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec x = <RealVec> job.inputs, plane, x_end = x + g.outer * g.plane * g.inner
    cdef double lines[3 * LINE + SPARE]
    cdef Sum columns = <Sum> lines, line = columns + 2 * LINE
    cdef int64_t window[MAX_RANK]
    cdef int64_t number, results, position = 0, gathered = 0
    cdef Item item = item_at(begin, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
    cdef Tile tile
    memset(&tile, 0, sizeof(tile))
    sums = line
    for number in range(begin, end):
        if number > begin:
            go_on(&item, number, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
        window[0] = item.d
        window[1] = item.h
        plane = x + item.plane * g.plane * g.inner
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, is_wide(axis))
            while next_windows(&tile, axis):
                results = (tile.last - tile.first + 1) * tile.block
                if gathered + results > LINE or tile.block < g.inner:
                    put_line[RealVec](outputs + position, <RealVec> sums, gathered // g.inner, g.inner, g.inner,
                                      job.past_cache)
                    gathered = 0
                if gathered == 0:
                    position = (item.row * axis.pooled + tile.first) * g.inner + tile.channel
                    sums = <Sum> (outputs + position) if averages_gather_in_place[RealVec](x, job, tile.block) else line
                if sums_are_direct(g) and direct_pays(g, tile.block, axis.taps):
                    average_directly[RealVec, Sum](plane, x_end, columns, sums + gathered, job, &tile, window)
                else:
                    sum_by_lines[RealVec, Sum](plane, columns, sums + gathered, g, &tile, window)
                    divide[Sum](sums + gathered, job, &tile, window)
                if tile.block < g.inner:
                    put_line[RealVec](outputs + position, <RealVec> sums, results // tile.block, tile.block, g.inner,
                                      job.past_cache)
                else:
                    gathered += results
            item.channel += tile.block
    put_line[RealVec](outputs + position, <RealVec> sums, gathered // g.inner, g.inner, g.inner, job.past_cache)
    if job.past_cache:
        finish_puts()


cdef void average_some(RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end) noexcept nogil:
    if job.rows > 1:
        average_groups[RealVec, Sum](outputs, sums, job, begin, end)
    elif rows_fill_lines(&job.geometry):
        average_rows[RealVec, Sum](outputs, sums, job, begin, end)
    else:
        average_items[RealVec, Sum](outputs, sums, job, begin, end)


cdef void average_pool(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const AveragePool* job = <const AveragePool*> argument
    if job.element == Element.FLOAT16:
        average_some[f16_r, f32_r](<f16_r> job.outputs, NULL, job, begin, end)
    elif job.element == Element.BFLOAT16:
        average_some[bf16_r, f32_r](<bf16_r> job.outputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT32:
        average_some[f32_r, f32_r](<f32_r> job.outputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT64:
        average_some[f64_r, f64_r](<f64_r> job.outputs, NULL, job, begin, end)
