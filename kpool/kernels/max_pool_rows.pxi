# Max pooling of one channel: several rows of windows at a time, since a loop over one of them would be short.

cdef inline bint windows_are_direct(const Geometry* g, int64_t channels) noexcept nogil:
    """Whether all of a window's elements are taken in one go."""
    cdef const Axis* axis = &g.axes[2]
    return direct_pays(g, channels, 2 * min(axis.taps, doublings(axis) * axis.stride))


cdef inline bint windows_fill_rows(const Geometry* g) noexcept nogil:
    """Whether rows of windows are whole, of one channel, and a line holds some of them with the lanes too many."""
    return (g.inner == 1 and not few_windows(g) and g.axes[2].pooled <= LINE // 4 and g.taps <= LISTED
            and all_whole(g) and windows_are_direct(g, 1))


cdef int64_t pool_rows_of_windows(Vec x, Tap taps, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off rows of windows. `taps` is there for its type.

    Returns the first row for which the type's comparisons were not enough, or `end`.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef double lines[LINE + SPARE]
    cdef uint32_t line_taps[LINE + SPARE]
    # Of the first rows of a plane, and of those at hand.
    cdef int64_t first_origins[LINE]
    cdef int64_t origins[LINE]
    cdef Vec best = <Vec> lines, first, x_end = x + g.outer * g.plane
    cdef bint keep = job.indices != NULL or job.offsets != NULL
    cdef int64_t vector = SPARE // <int> min(sizeof(best[0]), sizeof(taps[0]))
    cdef int64_t most = LINE // (axis.pooled + vector), shift = g.axes[1].stride * axis.size, rows, lanes, readable
    cdef int64_t start, i
    cdef int64_t window[MAX_RANK]
    cdef Item item
    cdef Tile tile
    cdef WindowTaps* seen
    cdef KnownTaps known
    forget_taps(&known)
    memset(&tile, 0, sizeof(tile))
    memset(window, 0, sizeof(window))
    tile.last = axis.pooled - 1
    tile.block = 1
    taps = <Tap> line_taps
    seen = taps_in_input(&known, g, window)
    for i in range(min(most, g.axes[1].pooled)):
        window[1] = i
        find_asked_origins(first_origins, i * axis.pooled, job, &tile, window)
    while begin < end:
        item = item_at(begin, 1, 1, g.axes[0].pooled, g.axes[1].pooled)
        rows = min(min(most, end - begin), g.axes[1].pooled - item.h)
        window[0] = item.d
        window[1] = item.h
        start = first_row(g, window) * axis.size
        first = x + item.plane * g.plane + start
        readable = x_end - (first + seen.list.offsets[0])
        lanes = lanes_for(axis.pooled, axis.stride, vector, in_pairs[Vec](x, axis.stride), readable)
        # Only behind the last rows there may be too little to be read.
        rows = min(rows, max(0, readable - lanes * axis.stride) // shift + 1)
        if lanes < axis.pooled:
            rows = 1
            if not take_list[Vec, Tap](best + lanes, taps + lanes, first + lanes * axis.stride, &seen.list, False, 1,
                                       0, 1, 0, 1, keep):
                break
        if not take_list[Vec, Tap](best, taps, first, &seen.list, False, rows, shift, lanes,
                                   read_ahead(rows, shift, lanes * axis.stride), axis.stride, keep):
            break
        close_up(best, best, rows, axis.pooled * sizeof(best[0]), lanes * sizeof(best[0]))
        if keep:
            close_up(taps, taps, rows, axis.pooled * sizeof(taps[0]), lanes * sizeof(taps[0]))
        if job.indices != NULL and job.wide_indices:
            shift_origins[i64_r](<i64_r> origins, <i64_r> first_origins, start, rows * axis.pooled)
        elif job.indices != NULL:
            shift_origins[i32_r](<i32_r> origins, <i32_r> first_origins, start, rows * axis.pooled)
        put_windows[Vec, Tap](best, taps, origins, job, begin * axis.pooled, rows * axis.pooled, 1)
        begin += rows
    if job.past_cache:
        finish_puts()
    return begin
