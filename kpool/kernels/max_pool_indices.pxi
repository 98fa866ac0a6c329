# From the taps that won to what is returned: offsets of one byte, and indices, the positions in the plane.

cdef enum:
    SHORT_TAPS = 1 << 20    # windows whose taps need no division
    TOGETHER = 16           # windows of few channels whose origins are found from those of others


cdef inline void narrow_taps(u8_r offsets, Tap taps, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        offsets[j] = <uint8_t> taps[j]


cdef void put_offsets(
    uint8_t* to, Tap taps, int64_t windows, int64_t block, int64_t inner,
) noexcept nogil:
    """Write offsets; through the cache, since they are few."""
    cdef uint8_t offsets[LINE]
    if Tap is u8_r:
        put_lanes(<char*> to, taps, windows, block, inner, 1, False)
    elif block == inner:
        fetch(to, windows * block)
        narrow_taps[Tap](<u8_r> to, taps, windows * block)
    else:
        narrow_taps[Tap](<u8_r> offsets, taps, windows * block)
        put_lanes(<char*> to, offsets, windows, block, inner, 1, False)


cdef inline int32_t wrapped(int32_t a, int32_t b) noexcept nogil:
    """A sum that may wrap around on its way: in front of the input, in its padding."""
    return <int32_t> (<uint32_t> a + <uint32_t> b)


cdef inline void shift_origins(Index to, Index origins, int64_t distance, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        if Index is i32_r:
            to[j] = wrapped(origins[j], <int32_t> distance)
        else:
            to[j] = origins[j] + distance


cdef inline bint origins_are_shared(int64_t block) noexcept nogil:
    """Whether a window's channels are enough for a loop of their own: then they share one origin."""
    return block >= NARROW


cdef void find_origins(Index origins, const Geometry* g, const Tile* tile, const int64_t* window) noexcept nogil:
    """Where each of a tile's windows, in row `window` of the plane, begins; that may be in the padding.

    One origin for each window if its channels share it, else one for each lane.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef Py_ssize_t o, c, found, windows = tile.last - tile.first + 1
    cdef Py_ssize_t block = 1 if origins_are_shared(tile.block) else tile.block
    cdef int64_t row = first_row(g, window)
    cdef int64_t base = row * axis.size + window_start(axis, tile.first)
    cdef int32_t narrow = <int32_t> base, narrow_step = <int32_t> axis.stride
    if block == 1 and not axis.adaptive:
        for o in range(windows):
            if Index is i32_r:
                origins[o] = wrapped(narrow, <int32_t> o * narrow_step)
            else:
                origins[o] = base + o * axis.stride
        return
    found = windows if axis.adaptive else min(windows, <Py_ssize_t> TOGETHER)
    for o in range(found):
        base = row * axis.size + window_start(axis, tile.first + o)
        narrow = <int32_t> base
        for c in range(block):
            if Index is i32_r:
                origins[o * block + c] = narrow
            else:
                origins[o * block + c] = base
    while found < windows:
        shift_origins[Index](origins + found * block, origins, found * axis.stride,
                             min(windows - found, <Py_ssize_t> TOGETHER) * block)
        found += TOGETHER


cdef inline void find_indices_of_rows(
    Index indices, Index origins, Tap taps, int32_t per_row, int32_t step, int32_t turn, Py_ssize_t windows,
    Py_ssize_t lanes, int rows, bint shared,
) noexcept nogil:
    """Where taps lie, for windows of at most three rows. Called with literals for `rows` and `shared`."""
    cdef Py_ssize_t o, j
    cdef int32_t tap, position
    for o in range(windows):
        for j in range(lanes):
            tap = <int32_t> taps[j]
            position = wrapped(<int32_t> origins[0 if shared else j], tap * step)
            if rows > 1:
                position = wrapped(position, turn if tap >= per_row else 0)
            if rows > 2:
                position = wrapped(position, turn if tap >= 2 * per_row else 0)
            indices[j] = position
        indices += lanes
        taps += lanes
        origins += 1


cdef inline void find_short_indices(
    Index indices, Index origins, Tap taps, const Geometry* g, Py_ssize_t windows, Py_ssize_t lanes, bint shared,
) noexcept nogil:
    """Where taps lie, for windows of at most SHORT_TAPS taps in planes below 2^31. Called with a literal for `shared`.

    In 32 bits, which may wrap around in the padding. No division: (n + 0.5) * (1 / d) rounded down is n // d as long as
    n stays below SHORT_TAPS.
    """
    cdef Py_ssize_t o, j
    cdef float per_row = <float> 1 / <float> g.axes[2].taps, per_depth = <float> 1 / <float> g.axes[1].taps
    cdef float half = 0.5
    cdef int32_t row, depth, position
    # From the last tap of a row to the first of the next one, and the same for the rows of a slice.
    cdef int32_t step = <int32_t> g.axes[2].dilation
    cdef int32_t row_step = <int32_t> (g.axes[1].dilation * g.axes[2].size)
    cdef int32_t turn = <int32_t> (row_step - g.axes[2].taps * step)
    cdef int32_t depth_turn = <int32_t> (g.axes[0].dilation * g.axes[1].size * g.axes[2].size
                                         - g.axes[1].taps * row_step)
    if g.axes[0].taps == 1 and g.axes[1].taps == 1:
        find_indices_of_rows[Index, Tap](indices, origins, taps, <int32_t> g.axes[2].taps, step, turn, windows, lanes,
                                         1, shared)
        return
    if g.axes[0].taps == 1 and g.axes[1].taps == 2:
        find_indices_of_rows[Index, Tap](indices, origins, taps, <int32_t> g.axes[2].taps, step, turn, windows, lanes,
                                         2, shared)
        return
    if g.axes[0].taps == 1 and g.axes[1].taps == 3:
        find_indices_of_rows[Index, Tap](indices, origins, taps, <int32_t> g.axes[2].taps, step, turn, windows, lanes,
                                         3, shared)
        return
    for o in range(windows):
        for j in range(lanes):
            row = <int32_t> ((<float> <int32_t> taps[j] + half) * per_row)
            depth = <int32_t> ((<float> row + half) * per_depth)
            position = wrapped(wrapped(<int32_t> origins[0 if shared else j], <int32_t> taps[j] * step), row * turn)
            indices[j] = wrapped(position, <int32_t> (<uint32_t> depth * <uint32_t> depth_turn))
        indices += lanes
        taps += lanes
        origins += 1


cdef void find_long_indices(
    Index indices, Index origins, Tap taps, const Geometry* g, Py_ssize_t windows, Py_ssize_t lanes, bint shared,
) noexcept nogil:
    """The same for any window and any plane."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t row, position
    cdef Py_ssize_t o, j
    for o in range(windows):
        for j in range(lanes):
            row = taps[j] // axis.taps
            position = row // g.axes[1].taps * g.axes[0].dilation * g.axes[1].size
            position = (position + row % g.axes[1].taps * g.axes[1].dilation) * axis.size
            position += (taps[j] - row * axis.taps) * axis.dilation + origins[0 if shared else j]
            if Index is i32_r:
                indices[j] = <int32_t> position
            else:
                indices[j] = position
        indices += lanes
        taps += lanes
        origins += 1


cdef void find_indices(
    Index indices, Index origins, Tap taps, const Geometry* g, int64_t windows, int64_t block,
) noexcept nogil:
    """The winners' indices, from their windows' origins and their taps."""
    cdef bint shared = origins_are_shared(block)
    if not shared:
        block *= windows
        windows = 1
    if g.taps > SHORT_TAPS or g.plane > INT32_PLANE:
        find_long_indices[Index, Tap](indices, origins, taps, g, windows, block, shared)
    elif shared:
        find_short_indices[Index, Tap](indices, origins, taps, g, windows, block, True)
    else:
        find_short_indices[Index, Tap](indices, origins, taps, g, windows, block, False)


cdef void put_indices(
    Index to, Index origins, Tap taps, const Geometry* g, int64_t windows, int64_t block, bint past_cache,
) noexcept nogil:
    """Write the winners' indices."""
    cdef int64_t line[LINE]
    if block == g.inner and not past_cache:
        find_indices[Index, Tap](to, origins, taps, g, windows, block)
    else:
        find_indices[Index, Tap](<Index> line, origins, taps, g, windows, block)
        put_lanes(<char*> to, line, windows, block, g.inner, sizeof(to[0]), past_cache)


cdef void find_asked_origins(
    int64_t* origins, int64_t at, const MaxPool* job, const Tile* tile, const int64_t* window,
) noexcept nogil:
    """Where a tile's windows begin, the first of which is lane `at` of a line, if a job is asked for indices."""
    cdef int64_t first
    if job.indices == NULL:
        return
    first = at // tile.block if origins_are_shared(tile.block) else at
    if job.wide_indices:
        find_origins[i64_r](<i64_r> origins + first, &job.geometry, tile, window)
    else:
        find_origins[i32_r](<i32_r> origins + first, &job.geometry, tile, window)


cdef void put_windows(
    Vec best, Tap taps, int64_t* origins, const MaxPool* job, int64_t position, int64_t windows, int64_t block,
) noexcept nogil:
    """Write what windows gave, from element `position` of the results on."""
    cdef const Geometry* g = &job.geometry
    put_lanes(<char*> job.outputs + position * sizeof(best[0]), best, windows, block, g.inner, sizeof(best[0]),
              job.past_cache)
    if job.offsets != NULL:
        put_offsets[Tap](job.offsets + position, taps, windows, block, g.inner)
    if job.indices != NULL and job.wide_indices:
        put_indices[i64_r, Tap](<i64_r> job.indices + position, <i64_r> origins, taps, g, windows, block,
                                job.past_cache)
    elif job.indices != NULL:
        put_indices[i32_r, Tap](<i32_r> job.indices + position, <i32_r> origins, taps, g, windows, block,
                                job.past_cache)


cdef void max_pool_indices(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Turn the offsets that backward keeps into indices. Offsets that no window has give indices of no meaning."""
    cdef const MaxPoolIndices* job = <const MaxPoolIndices*> argument
    cdef const Geometry* g = &job.geometry
    cdef int64_t window[MAX_RANK]
    cdef int64_t origins[LINE]
    cdef int64_t row, position, windows
    cdef u8_r taps
    cdef Tile tile
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
                windows = tile.last - tile.first + 1
                taps = <u8_r> job.offsets + position
                if job.wide_indices:
                    find_origins[i64_r](<i64_r> origins, g, &tile, window)
                    put_indices[i64_r, u8_r](<i64_r> job.indices + position, <i64_r> origins, taps, g, windows,
                                             tile.block, False)
                else:
                    find_origins[i32_r](<i32_r> origins, g, &tile, window)
                    put_indices[i32_r, u8_r](<i32_r> job.indices + position, <i32_r> origins, taps, g, windows,
                                             tile.block, False)
                tile.first = tile.last + 1
            tile.channel += tile.block
