# Max pooling forward, with or without indices, for every element type.


cdef int64_t pool_items(Vec x, Tap taps, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items of one row of windows. `taps` is there for its type.

    Results gather for as long as they follow each other in memory, over as many rows as a line has room for: taps in a
    line, values in one or where they belong.
    Returns the first item for which the type's comparisons were not enough, or `end`.
    """
    cdef bint enough = True
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef double lines[3 * LINE + SPARE]
    cdef uint32_t line_taps[3 * LINE + SPARE]
    cdef int64_t origins[LINE]
    cdef Vec line = <Vec> lines + 2 * LINE, best = line, columns = <Vec> lines, plane
    cdef Tap column_taps = <Tap> line_taps
    cdef Vec x_end = x + g.outer * g.plane * g.inner
    cdef int64_t window[MAX_RANK]
    cdef int64_t number, results, position = 0, gathered = 0
    cdef bint keep = job.indices != NULL or job.offsets != NULL, lines_keep = keep, in_place
    cdef Item item = item_at(begin, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
    cdef Tile tile
    cdef KnownTaps known
    forget_taps(&known)
    memset(&tile, 0, sizeof(tile))
    taps = column_taps + 2 * LINE
    for number in range(begin, end):
        if number > begin:
            go_on(&item, number, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
        window[0] = item.d
        window[1] = item.h
        plane = x + item.plane * g.plane * g.inner
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, is_wide(axis))
            while enough and next_windows(&tile, axis):
                results = (tile.last - tile.first + 1) * tile.block
                if gathered + results > LINE or tile.block < g.inner:
                    put_windows[Vec, Tap](best, taps, origins, job, position, gathered // g.inner, g.inner)
                    gathered = 0
                if gathered == 0:
                    position = (item.row * axis.pooled + tile.first) * g.inner + tile.channel
                    in_place = windows_are_direct(g, tile.block) and may_gather_in_place(g, tile.block, job.past_cache)
                    best = <Vec> job.outputs + position if in_place else line
                if windows_are_direct(g, tile.block):
                    enough = pool_directly[Vec, Tap](plane, x_end, columns, column_taps, best + gathered,
                                                     taps + gathered, &known, g, &tile, window, keep)
                else:
                    enough = pool_by_lines[Vec, Tap](plane, columns, column_taps, best + gathered, taps + gathered, g,
                                                     &tile, window, &lines_keep)
                if not enough:
                    break
                find_asked_origins(origins, gathered, job, &tile, window)
                if tile.block < g.inner:
                    put_windows[Vec, Tap](best, taps, origins, job, position, results // tile.block, tile.block)
                else:
                    gathered += results
            item.channel += tile.block
        if not enough:
            # Results of this item that were put before are put again.
            end = number
            break
    put_windows[Vec, Tap](best, taps, origins, job, position, gathered // g.inner, g.inner)
    if job.past_cache:
        finish_puts()
    return end


cdef int64_t pool_some(Vec x, Tap taps, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items; returns the first for which the type's comparisons were not enough, or `end`."""
    if job.rows > 1:
        return pool_groups[Vec, Tap](x, taps, job, begin, end)
    # For windows of at most LISTED elements. Where none are, it is not compiled.
    elif not taps_are_wide[Vec, Tap](x, taps) and windows_fill_rows(&job.geometry):
        return pool_rows_of_windows[Vec, Tap](x, taps, job, begin, end)
    return pool_items[Vec, Tap](x, taps, job, begin, end)


cdef void max_pool(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const MaxPool* job = <const MaxPool*> argument
    # Taps of the padding are counted as far as one window behind the last.
    cdef int64_t most = job.geometry.taps + job.geometry.axes[2].taps
    cdef bint in_8_bits = most <= 0xFF
    cdef bint in_16_bits = most <= 0xFFFF
    # Taps of integers are for who asks for them; else they may be cut off.
    cdef bint unasked = job.indices == NULL and job.offsets == NULL
    # Comparisons that know NaN take more than twice as long: only from the first item on that holds one.
    if job.element == Element.FLOAT32:
        begin = pool_some[plain_f32_r, u32_r](<plain_f32_r> job.inputs, NULL, job, begin, end)
        if begin < end:
            pool_some[f32_r, u32_r](<f32_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT64:
        begin = pool_some[plain_f64_r, u32_r](<plain_f64_r> job.inputs, NULL, job, begin, end)
        if begin < end:
            pool_some[f64_r, u32_r](<f64_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT16 and in_16_bits:
        pool_some[f16_r, u16_r](<f16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.FLOAT16:
        pool_some[f16_r, u32_r](<f16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.BFLOAT16 and in_16_bits:
        pool_some[bf16_r, u16_r](<bf16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.BFLOAT16:
        pool_some[bf16_r, u32_r](<bf16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT8 and (in_8_bits or unasked):
        pool_some[i8_r, u8_r](<i8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT8:
        pool_some[i8_r, u32_r](<i8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT8 and (in_8_bits or unasked):
        pool_some[u8_r, u8_r](<u8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT8:
        pool_some[u8_r, u32_r](<u8_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT16 and (in_16_bits or unasked):
        pool_some[i16_r, u16_r](<i16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT16:
        pool_some[i16_r, u32_r](<i16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT16 and (in_16_bits or unasked):
        pool_some[u16_r, u16_r](<u16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT16:
        pool_some[u16_r, u32_r](<u16_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT32:
        pool_some[i32_r, u32_r](<i32_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT32:
        pool_some[u32_r, u32_r](<u32_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.INT64:
        pool_some[i64_r, u32_r](<i64_r> job.inputs, NULL, job, begin, end)
    elif job.element == Element.UINT64:
        pool_some[u64_r, u32_r](<u64_r> job.inputs, NULL, job, begin, end)
