# Max pooling of tall windows that overlap: some rows of windows together, since they share most of their rows.
#
# The rows that all windows have are taken once. What one window has more than the one above it is taken into that from
# above to below, what it has more than the one below from below to above; so a row of windows costs about four passes
# over a line, whatever the height.

cdef inline void join_rows(
    Vec best, Tap taps, Vec upper, Tap upper_taps, Vec lower, Tap lower_taps, uint32_t shift, Py_ssize_t count,
    bint keep,
) noexcept nogil:
    """The better of two lines of which one has the upper rows; its taps, counted from `shift` on."""
    cdef Py_ssize_t j
    cdef bint take
    for j in range(count):
        take = exceeds[Vec](lower + j, upper + j)
        best[j] = lower[j] if take else upper[j]
        if keep:
            # Chosen by bits, since compilers make a branch of a choice between two reads, and then no vector code.
            taps[j] = (upper_taps[j] ^ ((upper_taps[j] ^ lower_taps[j]) & -<int> take)) - shift


cdef void join(
    Vec best, Tap taps, Vec upper, Tap upper_taps, Vec lower, Tap lower_taps, uint32_t shift, Py_ssize_t count,
    bint keep,
) noexcept nogil:
    if keeps_taps[Vec, Tap](best, taps, keep):
        join_rows[Vec, Tap](best, taps, upper, upper_taps, lower, lower_taps, shift, count, True)
    else:
        join_rows[Vec, Tap](best, taps, upper, upper_taps, lower, lower_taps, shift, count, False)


cdef bint share_rows(
    Vec x, Vec shared, Tap shared_taps, Vec more, Tap more_taps, const Geometry* g, const Tile* tile,
    const int64_t* window, Group* group, bint keep,
) noexcept nogil:
    """The best of a tile's columns over the rows that all windows of a group have, and over those further down.

    Row i of windows finds it in line `group.lines[i]` of the shared ones. `window` is the group's first, `more` a line
    to work in. Returns whether the type's comparisons were enough.
    """
    cdef bint enough
    cdef Py_ssize_t i, at = 0, count = (tile.end - tile.begin) * tile.block
    cdef Vec upper = shared
    cdef Tap upper_taps = shared_taps
    enough = pool_rows[Vec, Tap](x, shared, shared_taps, g, tile, window, group.tops[group.rows - 1], group.bottoms[0],
                                 False, keep)
    group.lines[0] = 0
    for i in range(1, group.rows):
        group.lines[i] = group.lines[i - 1]
        if group.bottoms[i] == group.bottoms[i - 1]:
            continue
        enough &= pool_rows[Vec, Tap](x, more, more_taps, g, tile, window, group.bottoms[i - 1] + 1, group.bottoms[i],
                                      False, keep)
        group.lines[i] += 1
        upper = shared + at
        upper_taps = shared_taps + at
        at += LINE
        join[Vec, Tap](shared + at, shared_taps + at, upper, upper_taps, more, more_taps, 0, count, keep)
    return enough


cdef bint pool_group(
    Vec x, Vec lines, Tap line_taps, int64_t* origins, const MaxPool* job, const Item* item, Group* group, Tile* tile,
    bint* keep,
) noexcept nogil:
    """Pool the windows of a tile in all rows of a group. Till they are done, taps are counted as in its first row.

    `x` is the plane. Returns whether the type's comparisons were enough. If taps must be kept that were not, it stops.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef Vec shared = lines, above = shared + ROWS_TOGETHER * LINE, columns = above + LINE
    cdef Vec best = columns + 2 * LINE, upper, lower
    cdef Tap shared_taps = line_taps, above_taps = shared_taps + ROWS_TOGETHER * LINE
    cdef Tap column_taps = above_taps + LINE, taps = column_taps + 2 * LINE, upper_taps, lower_taps
    cdef int64_t i, at = room_in_front(axis, tile), count = (tile.end - tile.begin) * tile.block
    cdef int64_t window[MAX_RANK]
    cdef bint enough
    window[0] = item.d
    window[1] = group.first
    enough = share_rows[Vec, Tap](x, shared, shared_taps, above, above_taps, g, tile, window, group, keep[0])
    # From the last row of windows to the first, whose rows above those of all are the most.
    for i in range(group.rows - 1, -1, -1):
        upper = lower = shared + group.lines[i] * LINE
        upper_taps = lower_taps = shared_taps + group.lines[i] * LINE
        if group.tops[i] < group.tops[group.rows - 1]:
            window[1] = group.first
            enough &= pool_rows[Vec, Tap](x, above, above_taps, g, tile, window, group.tops[i], group.tops[i + 1] - 1,
                                          group.tops[i + 1] < group.tops[group.rows - 1], keep[0])
            upper = above
            upper_taps = above_taps
        join[Vec, Tap](columns + at, column_taps + at, upper, upper_taps, lower, lower_taps,
                       <uint32_t> (i * g.axes[1].stride * axis.taps), count, keep[0])
        if must_keep_taps[Vec, Tap](columns + at, column_taps, g, count, keep):
            break
        pool_columns[Vec, Tap](columns, column_taps, columns + LINE, column_taps + LINE, best, taps, g, tile, False,
                               keep[0])
        window[1] = group.first + i
        find_asked_origins(origins, 0, job, tile, window)
        put_windows[Vec, Tap](best, taps, origins, job, place_of_tile(g, item, tile, window[1]),
                              tile.last - tile.first + 1, tile.block)
    return enough


cdef int64_t pool_groups(Vec x, Tap taps, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items of several rows of windows. `taps` is there for its type.

    Returns the first item for which the type's comparisons were not enough, or `end`.
    """
    cdef bint enough = True, kept, keep = job.indices != NULL or job.offsets != NULL
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef double lines[GROUP_LINES * LINE + SPARE]
    cdef uint32_t line_taps[GROUP_LINES * LINE + SPARE]
    cdef int64_t origins[LINE]
    cdef Vec plane
    cdef int64_t number
    cdef Item item
    cdef Group group
    cdef Tile tile
    memset(&tile, 0, sizeof(tile))
    taps = <Tap> line_taps
    for number in range(begin, end):
        item = item_at(number, job.blocks, g.inner, g.axes[0].pooled, ceil_div(g.axes[1].pooled, job.rows))
        plane = x + item.plane * g.plane * g.inner
        find_group(&group, &g.axes[1], item.h * job.rows, job.rows)
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, True)
            while enough and next_windows(&tile, axis):
                kept = keep
                enough = pool_group[Vec, Tap](plane, <Vec> lines, taps, origins, job, &item, &group, &tile, &keep)
                if kept != keep:
                    enough = pool_group[Vec, Tap](plane, <Vec> lines, taps, origins, job, &item, &group, &tile, &keep)
            item.channel += tile.block
        if not enough:
            end = number
            break
    if job.past_cache:
        finish_puts()
    return end
