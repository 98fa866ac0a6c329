# Average pooling of tall windows that overlap: some rows of windows together, since they share most of their rows.
#
# As in max pooling: the rows that all have are added up once, to that what each has further down, and what each has
# further up. Which rows are together depends on the geometry alone, and so does the order of additions.


cdef void add_shared_rows(
    RealVec x, Sum shared, const Geometry* g, const Tile* tile, const int64_t* window, Group* group,
) noexcept nogil:
    """Sum a tile's columns over the rows that all windows of a group have, and over those further down.

    Row i of windows finds its sums in line `group.lines[i]` of the shared ones. `window` is the group's first.
    """
    cdef int64_t i
    sum_rows[RealVec, Sum](x, shared, g, tile, window, group.tops[group.rows - 1], group.bottoms[0], False)
    group.lines[0] = 0
    for i in range(1, group.rows):
        group.lines[i] = group.lines[i - 1]
        if group.bottoms[i] > group.bottoms[i - 1]:
            group.lines[i] += 1
            memcpy(shared + LINE, shared, (tile.end - tile.begin) * tile.block * sizeof(shared[0]))
            shared += LINE
            sum_rows[RealVec, Sum](x, shared, g, tile, window, group.bottoms[i - 1] + 1, group.bottoms[i], True)


cdef void average_groups(RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items of several rows of windows. `sums` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec x = <RealVec> job.inputs, plane
    cdef double lines[GROUP_LINES * LINE + SPARE]
    cdef Sum columns = <Sum> lines, above = columns + 3 * LINE, shared = columns + 4 * LINE
    cdef int64_t window[MAX_RANK]
    cdef int64_t number, i, position
    cdef Item item
    cdef Group group
    cdef Tile tile
    cdef TapList halves
    memset(&tile, 0, sizeof(tile))
    sums = columns + 2 * LINE
    for number in range(begin, end):
        item = item_at(number, job.blocks, g.inner, g.axes[0].pooled, ceil_div(g.axes[1].pooled, job.rows))
        plane = x + item.plane * g.plane * g.inner
        window[0] = item.d
        find_group(&group, &g.axes[1], item.h * job.rows, job.rows)
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, True)
            while next_windows(&tile, axis):
                window[1] = group.first
                add_shared_rows[RealVec, Sum](plane, shared, g, &tile, window, &group)
                # From the last row of windows to the first, whose rows above those of all are the most.
                for i in range(group.rows - 1, -1, -1):
                    halves.count = 0
                    if group.tops[i] < group.tops[group.rows - 1]:
                        window[1] = group.first
                        sum_rows[RealVec, Sum](plane, above, g, &tile, window, group.tops[i], group.tops[i + 1] - 1,
                                               group.tops[i + 1] < group.tops[group.rows - 1])
                        halves.offsets[0] = 0
                        halves.count = 1
                    halves.offsets[halves.count] = (group.lines[i] + 1) * LINE
                    halves.count += 1
                    end_list(&halves)
                    add_list[Sum, Sum](columns + room_for_padding(axis, &tile), above, &halves, False, 1, 0,
                                       (tile.end - tile.begin) * tile.block, 0, 0, 1, False)
                    sum_windows[Sum](columns, columns + LINE, sums, axis, &tile, False)
                    window[1] = group.first + i
                    divide[Sum](sums, job, &tile, window)
                    position = place_of_tile(g, &item, &tile, window[1])
                    put_line[RealVec](outputs + position, <RealVec> sums, tile.last - tile.first + 1, tile.block,
                                      g.inner, job.past_cache)
            item.channel += tile.block
    if job.past_cache:
        finish_puts()
