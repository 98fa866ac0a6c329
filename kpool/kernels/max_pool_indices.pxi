# From the taps that won to what is returned: offsets of one byte, and indices, the positions in the plane.

cdef enum:
    SHORT_TAPS = 1 << 20    # windows whose taps need no division


cdef void put_offsets(uint8_t* to, Tap taps, const Tile* tile, int64_t inner) noexcept nogil:
    """Write offsets; through the cache, since they are few."""
    cdef uint8_t offsets[LINE]
    cdef int64_t windows = tile.last - tile.first + 1
    cdef Py_ssize_t j
    if Tap is u8_r:
        put_lanes(<char*> to, taps, windows, tile.block, inner, 1, False)
    else:
        for j in range(windows * tile.block):
            offsets[j] = <uint8_t> taps[j]
        put_lanes(<char*> to, offsets, windows, tile.block, inner, 1, False)


cdef inline void short_positions(i32_r positions, Tap taps, const Geometry* g, Py_ssize_t count) noexcept nogil:
    """Where the taps lie, as seen from tap 0, for windows of at most SHORT_TAPS taps in planes below 2^31.

    No division: (n + 0.5) * (1 / d) rounded down is n // d as long as n stays below SHORT_TAPS.
    """
    cdef Py_ssize_t j
    cdef float per_row = <float> 1 / <float> g.axes[2].taps, per_depth = <float> 1 / <float> g.axes[1].taps
    cdef float half = 0.5
    cdef int32_t row, depth
    # From the last tap of a row to the first of the next one, and the same for the rows of a slice.
    cdef int32_t step = <int32_t> g.axes[2].dilation
    cdef int32_t row_step = <int32_t> (g.axes[1].dilation * g.axes[2].size)
    cdef int32_t turn = <int32_t> (row_step - g.axes[2].taps * step)
    cdef int32_t depth_turn = <int32_t> (g.axes[0].dilation * g.axes[1].size * g.axes[2].size
                                         - g.axes[1].taps * row_step)
    if g.axes[0].taps == 1:
        for j in range(count):
            row = <int32_t> ((<float> <int32_t> taps[j] + half) * per_row)
            positions[j] = <int32_t> taps[j] * step + row * turn
        return
    for j in range(count):
        row = <int32_t> ((<float> <int32_t> taps[j] + half) * per_row)
        depth = <int32_t> ((<float> row + half) * per_depth)
        positions[j] = <int32_t> taps[j] * step + row * turn + depth * depth_turn


cdef inline void add_origins(
    i32_r narrow, i64_r wide, const int32_t* positions, const Axis* axis, const Tile* tile, int64_t origin,
) noexcept nogil:
    """Positions in the plane, from those in the window; `origin` is where a window at column 0 begins. In 32 bits."""
    cdef Py_ssize_t o, c, windows = tile.last - tile.first + 1
    cdef Py_ssize_t block = tile.block
    cdef uint32_t base = <uint32_t> (origin + window_start(axis, tile.first)), step = <uint32_t> axis.stride
    if block == 1 and not axis.adaptive:
        for o in range(windows):
            if wide != NULL:
                wide[o] = <int32_t> (base + <uint32_t> o * step + <uint32_t> positions[o])
            else:
                narrow[o] = <int32_t> (base + <uint32_t> o * step + <uint32_t> positions[o])
        return
    for o in range(windows):
        base = <uint32_t> (origin + window_start(axis, tile.first + o))
        for c in range(block):
            if wide != NULL:
                wide[o * block + c] = <int32_t> (base + <uint32_t> positions[o * block + c])
            else:
                narrow[o * block + c] = <int32_t> (base + <uint32_t> positions[o * block + c])


cdef inline void long_positions(
    i32_r narrow, i64_r wide, Tap taps, const Geometry* g, const Tile* tile, int64_t origin,
) noexcept nogil:
    """Positions in the plane, for any window and any plane."""
    cdef const Axis* axis = &g.axes[2]
    cdef Py_ssize_t o, c, j
    cdef int64_t tap, row, position
    for o in range(tile.last - tile.first + 1):
        for c in range(tile.block):
            j = o * tile.block + c
            row = taps[j] // axis.taps
            tap = taps[j] - row * axis.taps
            position = row // g.axes[1].taps * g.axes[0].dilation * g.axes[1].size
            position = (position + row % g.axes[1].taps * g.axes[1].dilation) * axis.size + tap * axis.dilation
            position += origin + window_start(axis, tile.first + o)
            if wide != NULL:
                wide[j] = position
            else:
                narrow[j] = <int32_t> position


cdef void put_indices(
    void* indices, bint wide, int64_t to, Tap taps, const Geometry* g, const Tile* tile, const int64_t* window,
    bint past_cache,
) noexcept nogil:
    """Write the indices of a tile's windows, in row `window` of the plane, from element `to` of the indices on."""
    cdef int32_t positions[LINE]
    cdef int32_t narrow[LINE]
    cdef int64_t long[LINE]
    cdef int64_t windows = tile.last - tile.first + 1
    cdef int64_t origin = window_start(&g.axes[0], window[0]) * g.axes[1].size + window_start(&g.axes[1], window[1])
    origin *= g.axes[2].size
    if g.taps <= SHORT_TAPS and g.plane <= INT32_PLANE:
        short_positions[Tap](positions, taps, g, windows * tile.block)
        if wide:
            add_origins(<i32_r> NULL, long, positions, &g.axes[2], tile, origin)
        else:
            add_origins(narrow, <i64_r> NULL, positions, &g.axes[2], tile, origin)
    elif wide:
        long_positions[Tap](<i32_r> NULL, long, taps, g, tile, origin)
    else:
        long_positions[Tap](narrow, <i64_r> NULL, taps, g, tile, origin)
    if wide:
        put_lanes(<char*> indices + to * 8, long, windows, tile.block, g.inner, 8, past_cache)
    else:
        put_lanes(<char*> indices + to * 4, narrow, windows, tile.block, g.inner, 4, past_cache)


cdef void max_pool_indices(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Turn the offsets that backward keeps into indices. Offsets that no window has give indices of no meaning."""
    cdef const MaxPoolIndices* job = <const MaxPoolIndices*> argument
    cdef const Geometry* g = &job.geometry
    cdef int64_t window[MAX_RANK]
    cdef int64_t row, position
    cdef Tile tile
    tile.begin = tile.end = 0
    for row in range(begin, end):
        window[0] = row // g.axes[1].pooled % g.axes[0].pooled
        window[1] = row % g.axes[1].pooled
        tile.channel = 0
        while tile.channel < g.inner:
            tile.block = min(g.inner - tile.channel, <int64_t> LINE)
            tile.first = 0
            while tile.first < g.axes[2].pooled:
                # One window at a time if not all of its channels fit: only then do lanes follow each other.
                tile.last = min(g.axes[2].pooled, tile.first + (LINE // g.inner if tile.block == g.inner else 1)) - 1
                position = (row * g.axes[2].pooled + tile.first) * g.inner + tile.channel
                put_indices[u8_r](job.indices, job.wide_indices, position, <u8_r> job.offsets + position, g, &tile,
                                  window, False)
                tile.first = tile.last + 1
            tile.channel += tile.block
