# Max pooling of one channel: several rows of windows at a time, since a loop over one of them would be short. Windows
# with columns in the padding, at both ends of the rows, follow column by column.

cdef inline bint windows_are_direct(const Geometry* g, int64_t channels) noexcept nogil:
    """Whether all of a window's elements are taken in one go."""
    cdef const Axis* axis = &g.axes[2]
    return direct_pays(g, channels, 2 * min(axis.taps, doublings(axis) * axis.stride))


cdef inline bint windows_fill_rows(const Geometry* g) noexcept nogil:
    """Whether some windows of a row are whole, of one channel, and a line holds some rows with the lanes too many."""
    return (g.inner == 1 and g.axes[2].pooled <= LINE // 4 and g.taps <= LISTED and not is_adaptive(g)
            and windows_are_direct(g, 1))


cdef inline void place_column(Vec to, Tap taps, Vec best, Tap best_taps, Py_ssize_t rows, Py_ssize_t pitch,
                              bint keep) noexcept nogil:
    """Put the results of one column of windows where they stand in their rows."""
    cdef Py_ssize_t i
    for i in range(rows):
        to[i * pitch] = best[i]
        if keep:
            taps[i * pitch] = best_taps[i]


cdef bint pool_borders(
    Vec plane, Vec best, Tap taps, Vec spare, Tap spare_taps, KnownTaps* known, const Geometry* g, int64_t* window,
    int64_t rows, bint keep,
) noexcept nogil:
    """Pool the windows at both ends of some rows, of which the padding has columns. The spare lines are to work in.

    Returns whether the type's comparisons were enough.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t shift = g.axes[1].stride * axis.size, start = first_row(g, window) * axis.size
    cdef WindowTaps* seen
    window[2] = border_from(axis, 0)
    while window[2] < axis.pooled:
        seen = taps_in_input(known, g, window)
        if not take_list[Vec, Tap](spare, spare_taps, plane + start + window_start(axis, window[2]), &seen.list, False,
                                   rows, shift, 1, 0, 1, keep):
            return False
        place_column[Vec, Tap](best + window[2], taps + window[2], spare, spare_taps, rows, axis.pooled, keep)
        window[2] = border_from(axis, window[2] + 1)
    return True


cdef int64_t pool_rows_of_windows(Vec x, Tap taps, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off rows of windows. `taps` is there for its type.

    Returns the first row for which the type's comparisons were not enough, or `end`.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef double lines[2 * LINE]
    cdef uint32_t line_taps[2 * LINE]
    # Of the first rows of a plane, and of those at hand.
    cdef int64_t first_origins[LINE]
    cdef int64_t origins[LINE]
    cdef Vec best = <Vec> lines, whole, plane, first, x_end = x + g.outer * g.plane
    cdef Tap whole_taps
    cdef bint keep = job.indices != NULL or job.offsets != NULL
    cdef int64_t vector = SPARE // <int> min(sizeof(best[0]), sizeof(taps[0]))
    cdef int64_t windows = axis.whole_end - axis.whole_begin
    cdef int64_t most = LINE // (axis.pooled + vector), shift = g.axes[1].stride * axis.size, rows, lanes, readable
    cdef int64_t start, first_start, at, i
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
    first_start = first_row(g, window) * axis.size
    for i in range(min(most, g.axes[1].pooled)):
        window[1] = i
        find_asked_origins(first_origins, i * axis.pooled, job, &tile, window)
    while begin < end:
        item = item_at(begin, 1, 1, g.axes[0].pooled, g.axes[1].pooled)
        rows = min(min(most, end - begin), g.axes[1].pooled - item.h)
        rows = alike_windows(&g.axes[1], item.h, item.h + rows - 1)
        window[0] = item.d
        window[1] = item.h
        window[2] = axis.whole_begin
        seen = taps_in_input(&known, g, window)
        plane = x + item.plane * g.plane
        start = first_row(g, window) * axis.size
        first = plane + start + window_start(axis, axis.whole_begin)
        readable = x_end - (first + seen.list.offsets[0])
        lanes = lanes_for(windows, axis.stride, vector, in_pairs[Vec](x, axis.stride), readable)
        # Only behind the last rows there may be too little to be read: those go one by one.
        rows = min(rows, max(0, readable - (windows + vector) * axis.stride) // shift + 1)
        # Between windows of the padding they move to where they stand in their rows, from a vector or more behind that.
        at = axis.whole_begin
        if windows < axis.pooled:
            at += vector + rows * max(0, axis.pooled - lanes)
        whole = best + at
        whole_taps = taps + at
        if lanes < windows:
            if not take_list[Vec, Tap](whole + lanes, whole_taps + lanes, first + lanes * axis.stride, &seen.list,
                                       False, 1, 0, 1, 0, 1, keep):
                break
        if not take_list[Vec, Tap](whole, whole_taps, first, &seen.list, False, rows, shift, lanes,
                                   read_ahead(rows, shift, lanes * axis.stride), axis.stride, keep):
            break
        close_up(best + axis.whole_begin, whole, rows, windows * sizeof(best[0]), lanes * sizeof(best[0]),
                 axis.pooled * sizeof(best[0]))
        if keep:
            close_up(taps + axis.whole_begin, whole_taps, rows, windows * sizeof(taps[0]), lanes * sizeof(taps[0]),
                     axis.pooled * sizeof(taps[0]))
        if not pool_borders[Vec, Tap](plane, best, taps, best + LINE + SPARE, taps + LINE + SPARE, &known, g, window,
                                      rows, keep):
            break
        if job.indices != NULL and job.wide_indices:
            shift_origins[i64_r](<i64_r> origins, <i64_r> first_origins, start - first_start, rows * axis.pooled)
        elif job.indices != NULL:
            shift_origins[i32_r](<i32_r> origins, <i32_r> first_origins, start - first_start, rows * axis.pooled)
        put_windows[Vec, Tap](best, taps, origins, job, begin * axis.pooled, rows * axis.pooled, 1)
        begin += rows
    if job.past_cache:
        finish_puts()
    return begin
