# Sums over wide windows that overlap, by runs of neighbouring columns: as many columns take few additions each.

cdef enum:
    RUNS = 4                # neighbouring runs of columns that make the next longer one


cdef inline void add_columns(
    Sum columns, Sum sums, const TapList* taps, const Axis* axis, const Tile* tile, int64_t windows, bint started,
) noexcept nogil:
    """Add listed columns to some windows, which follow each other evenly."""
    cdef int64_t step = axis.stride * tile.block
    if axis.stride == 1:
        add_list[Sum, Sum](sums, columns, taps, started, 1, 0, windows * tile.block, 0, 0, 1, False)
    elif tile.block == 1:
        add_list[Sum, Sum](sums, columns, taps, started, 1, 0, windows, 0, 0, step, False)
    else:
        add_list[Sum, Sum](sums, columns, taps, started, windows, step, tile.block, tile.block, 0, 1, False)


cdef void sum_wide_columns(Sum line, Sum spare, Sum sums, const Axis* axis, const Tile* tile) noexcept nogil:
    """Sum a tile's windows by runs of 1, 4, 16, ... neighbouring columns, at most three of each to a window.

    The line begins with the first window's first column; those in the padding are zeros, made here. Destroys the line.
    """
    cdef int64_t i, reach = 1, at = 0, left = axis.taps, block = tile.block, start = window_start(axis, tile.first)
    cdef int64_t windows = tile.last - tile.first + 1, step
    cdef Py_ssize_t count = ((windows - 1) * axis.stride + reach_of(axis)) * block
    cdef Sum swap
    cdef TapList taps
    cdef bint started = False
    zero_sums[Sum](line, padding_in_front(axis, tile))
    zero_sums[Sum](line + (tile.end - start) * block, count - (tile.end - start) * block)
    while True:
        step = reach * axis.dilation * block
        taps.count = <int> (left % RUNS)
        for i in range(taps.count):
            taps.offsets[i] = at
            at += step
        left //= RUNS
        if taps.count > 0:
            end_list(&taps)
            add_columns[Sum](line, sums, &taps, axis, tile, windows, started)
            started = True
        if left == 0:
            return
        taps.count = RUNS
        for i in range(RUNS):
            taps.offsets[i] = i * step
        end_list(&taps)
        count -= (RUNS - 1) * step
        add_list[Sum, Sum](spare, line, &taps, False, 1, 0, count, 0, 0, 1, False)
        reach *= RUNS
        swap, line, spare = line, spare, line


cdef inline int64_t room_for_padding(const Axis* axis, const Tile* tile) noexcept nogil:
    """Elements of a tile's line in front of its columns: the padding, where windows are wide."""
    return padding_in_front(axis, tile) if is_wide(axis) else 0
