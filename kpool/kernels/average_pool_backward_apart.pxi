# The gradient of average pooling where windows do not overlap: each element has the share of its one window. The rows
# under the same windows are alike, so one is made and put to them all; shares are rounded before they are handed out.


cdef inline int64_t rows_alike(const Axis* axis, const Item* item, const Cover* cover) noexcept nogil:
    """How many rows, from an item's on, lie under the same windows."""
    cdef int64_t first, last
    if cover.first[1] > cover.last[1] or axis.dilation > 1:
        return 1
    valid_taps(axis, cover.first[1], &first, &last)
    return window_start(axis, cover.first[1]) + last + 1 - item.h


cdef void spread_tile(Share columns, Share shares, const Geometry* g, Tile* tile) noexcept nogil:
    """Hand shares of windows that stand alone to a tile's columns; the others get zero."""
    clear_columns[Share](columns, g, tile, True)
    spread_all[Share](columns, shares, &g.axes[2], tile, True)


cdef void average_apart_backward(
    RealVec outputs, Sum lines, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    """Work off items of the unpooled side. `lines` has room for two."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec gradients = <RealVec> job.inputs
    cdef Sum shares = lines
    cdef RealVec line = <RealVec> (lines + LINE), columns
    cdef uint16_t halves[LINE]
    cdef int64_t window[MAX_RANK]
    cdef int64_t rows, row, i, position
    cdef Item item
    cdef Cover cover
    cdef Tile tile
    memset(&tile, 0, sizeof(tile))
    while begin < end:
        item = item_at(begin, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
        cover = cover_of(g, &item)
        window[0] = cover.first[0]
        window[1] = cover.first[1]
        row = ((item.plane * g.axes[0].pooled + window[0]) * g.axes[1].pooled + window[1]) * axis.pooled
        rows = min(rows_alike(&g.axes[1], &item, &cover), end - begin) if job.blocks == 1 else 1
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, False)
            while next_columns(&tile, axis):
                position = (item.row * axis.size + tile.begin) * g.inner + tile.channel
                # The first of the rows is made where it belongs.
                columns = outputs + position if may_gather_in_place(g, tile.block, job.past_cache) else line
                if cover.first[0] > cover.last[0] or cover.first[1] > cover.last[1]:
                    memset(columns, 0, (tile.end - tile.begin) * tile.block * sizeof(columns[0]))
                else:
                    # There may be no windows: then the last is in front of the first, and all columns get zero.
                    find_whole_windows_of_tile(&tile, axis)
                    load_windows[RealVec, Sum](gradients + row * g.inner, shares, job, &tile, window, True)
                    if RealVec is f16_r or RealVec is bf16_r:
                        narrow[RealVec](NULL, halves, <f32_r> shares, (tile.last - tile.first + 1) * tile.block)
                        spread_tile[u16_r](<u16_r> columns, halves, g, &tile)
                    else:
                        spread_tile[Sum](<Sum> columns, shares, g, &tile)
                for i in range(rows):
                    put_lanes(<char*> (outputs + position + i * axis.size * g.inner), columns, tile.end - tile.begin,
                              tile.block, g.inner, sizeof(columns[0]), job.past_cache)
            item.channel += tile.block
        begin += rows
    if job.past_cache:
        finish_puts()
