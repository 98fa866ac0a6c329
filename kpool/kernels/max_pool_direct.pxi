# Max pooling of small windows: all of a window's elements in one go. Lanes are the channels of one window, or, where
# there is one channel, the windows of one row. Of few channels, lanes are all columns, of which the windows are picked.

cdef inline void pick(
    Vec best, Tap taps, Vec a, Tap taps_a, Py_ssize_t windows, Py_ssize_t step, bint keep,
) noexcept nogil:
    """Every step-th column of one channel."""
    cdef Py_ssize_t o
    for o in range(windows):
        best[o] = a[o * step]
        if keep:
            taps[o] = taps_a[o * step]


cdef inline void pick_columns(
    Vec best, Tap taps, Vec a, Tap taps_a, Py_ssize_t windows, Py_ssize_t step, Py_ssize_t block, bint keep,
) noexcept nogil:
    """Columns of some channels that begin `step` elements apart."""
    if block == 1 and step == 2:
        pick[Vec, Tap](best, taps, a, taps_a, windows, 2, keep)
    elif block == 1:
        pick[Vec, Tap](best, taps, a, taps_a, windows, step, keep)
    else:
        close_up(best, a, windows, block * sizeof(best[0]), step * sizeof(best[0]), block * sizeof(best[0]))
        if keep:
            close_up(taps, taps_a, windows, block * sizeof(taps[0]), step * sizeof(taps[0]), block * sizeof(taps[0]))


cdef inline int64_t pool_alike(
    Vec x, Vec x_end, Vec spare, Tap spare_taps, Vec best, Tap taps, KnownTaps* known, const Geometry* g,
    const Tile* tile, const int64_t* window, int64_t windows, bint keep,
) noexcept nogil:
    """Pool some windows of a tile, from `window` on, that have the same taps in the input, or all but the last of them.

    `x` is the plane. Returns how many were pooled, 0 if the type's comparisons were not enough.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t row = first_row(g, window)
    cdef int64_t lanes = tile.block, step = 1, shift = axis.stride * g.inner
    cdef WindowTaps* seen = taps_in_input(known, g, window)
    cdef int64_t times = windows, ahead
    cdef bint enough, picked = windows > 1 and few_channels(g)
    cdef Vec to = spare if picked else best
    cdef Tap taps_to = spare_taps if picked else taps
    x += (row * axis.size + window_start(axis, window[2])) * g.inner + tile.channel
    if g.inner == 1 and windows > 1:
        step = axis.stride
        lanes = lanes_for(windows, step, SPARE // <int> min(sizeof(best[0]), sizeof(taps[0])),
                          in_pairs[Vec](x, step), x_end - (x + seen.list.offsets[0]))
        windows = min(windows, lanes)
        times = 1
    elif picked:
        lanes = lanes_of_columns(g, windows)
        times = 1
    ahead = read_ahead(times, shift, lanes * step)
    enough = take_list[Vec, Tap](to, taps_to, x, &seen.list, False, times, shift, lanes, ahead, step, keep)
    while not seen.complete:
        list_more(seen, g)
        enough &= take_list[Vec, Tap](to, taps_to, x, &seen.list, True, times, shift, lanes, ahead, step, keep)
    if picked:
        pick_columns[Vec, Tap](best, taps, spare, spare_taps, windows, shift, tile.block, keep)
    return windows if enough else 0


cdef bint pool_directly(
    Vec x, Vec x_end, Vec spare, Tap spare_taps, Vec best, Tap taps, KnownTaps* known, const Geometry* g,
    const Tile* tile, int64_t* window, bint keep,
) noexcept nogil:
    """Pool the windows of a tile. `x` is the plane; up to `x_end` it can be read. The spare lines are to work in.

    Returns whether the type's comparisons were enough.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t pooled
    window[2] = tile.first
    while window[2] <= tile.last:
        pooled = pool_alike[Vec, Tap](x, x_end, spare, spare_taps, best, taps, known, g, tile, window,
                                      alike_windows(axis, window[2], tile.last), keep)
        if pooled == 0:
            return False
        best += pooled * tile.block
        taps += pooled * tile.block
        window[2] += pooled
    return True
