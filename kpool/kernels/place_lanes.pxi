# Putting elements back where there are many channels: each row asks the windows over it whether their winners stood
# here, for all channels of a window at once.


cdef inline bint stands(Moved elements, Key keys, int64_t key) noexcept nogil:
    """Whether a key is the one looked for, which fits its type. Offsets are compared as wide as the elements are."""
    if Key is i64_r:
        return keys[0] == key
    elif Key is i32_r:
        return keys[0] == <int32_t> key
    elif Moved is u16_r:
        return <uint16_t> keys[0] == <uint16_t> key
    else:
        return <uint32_t> keys[0] == <uint32_t> key


cdef void place(
    WordVec line, WordVec elements, Key keys, int64_t key, int64_t key_step, u32_r found, Py_ssize_t windows,
    Py_ssize_t step, Py_ssize_t inner, Py_ssize_t lanes, bint alone,
) noexcept nogil:
    """Put the elements with the right key into a line, `step` from window to window, and count those of each lane."""
    cdef Py_ssize_t o, j
    cdef bint here
    cdef size_t ahead = read_ahead(windows, inner, lanes) * sizeof(elements[0])
    for o in range(windows):
        fetch(elements, ahead)
        if alone:
            for j in range(lanes):
                here = stands[WordVec, Key](elements, keys + j, key)
                line[j] = elements[j] if here else 0
                if Key is not u8_r:
                    found[j] += here
        else:
            for j in range(lanes):
                here = stands[WordVec, Key](elements, keys + j, key)
                line[j] = elements[j] if here else line[j]
                if Key is not u8_r:
                    found[j] += here
        line += step
        elements += inner
        keys += inner
        key += key_step


cdef inline Real kept(Real value, bint keep) noexcept nogil:
    """A value or zero. As an argument the value is read either way, and a loop without branches is vectorised."""
    return value if keep else <Real> 0


cdef void add_where(
    Sum line, RealVec elements, u8_r keys, int64_t key, Py_ssize_t windows, Py_ssize_t step, Py_ssize_t inner,
    Py_ssize_t lanes,
) noexcept nogil:
    """Add the elements with the right key to a line, `step` from window to window."""
    cdef Py_ssize_t o, j
    cdef bint here
    for o in range(windows):
        for j in range(lanes):
            here = <uint32_t> keys[j] == <uint32_t> key
            if RealVec is f16_r:
                line[j] += kept(float_from_half(elements[j]), here)
            elif RealVec is bf16_r:
                line[j] += kept(float_from_bfloat(elements[j]), here)
            else:
                line[j] += kept(elements[j], here)
        line += step
        elements += inner
        keys += inner


cdef inline void ask_windows(
    Moved line, Moved elements, Key keys, const Geometry* g, const Tile* tile, int64_t o, int64_t windows,
    int64_t first, int64_t last, int64_t key, u32_r found, bint alone,
) noexcept nogil:
    """Ask some windows, from `o` on, about their taps of one row, `key` being that of the row's first tap or column."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t k, start = window_start(axis, o), column, at = o * g.inner + tile.channel, to
    cdef int64_t step = axis.stride * tile.block
    # From the last tap to the first, so that windows reach a column in ascending order.
    for k in range(last, first - 1, -1):
        column = start + k * axis.dilation
        to = (column - tile.begin) * tile.block
        if Moved is f64_r:
            add_where[f64_r, f64_r](line + to, elements + at, <u8_r> (keys + at), key + k, windows, step, g.inner,
                                    tile.block)
        elif Moved is f16_r or Moved is bf16_r or Moved is f32_r:
            add_where[f32_r, Moved](<f32_r> line + to, elements + at, <u8_r> (keys + at), key + k, windows, step,
                                    g.inner, tile.block)
        elif Key is u8_r:
            place[Moved, Key](line + to, elements + at, keys + at, key + k, 0, found, windows, step, g.inner,
                              tile.block, alone)
        else:
            place[Moved, Key](line + to, elements + at, keys + at, key + column, axis.stride, found, windows, step,
                              g.inner, tile.block, alone)


cdef inline void ask_row(
    Moved line, Moved elements, Key keys, const Geometry* g, const Tile* tile, int64_t key, u32_r found, bint alone,
) noexcept nogil:
    """Ask the windows of a tile, in one row of windows, about its columns."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t o = tile.first, first, last, windows
    while o <= tile.last:
        windows = tile.whole_end - o if tile.whole_begin <= o < tile.whole_end else 1
        if taps_of(axis, tile, o, &first, &last):
            ask_windows[Moved, Key](line, elements, keys, g, tile, o, windows, first, last, key, found, alone)
        o += windows


cdef inline bint written_whole(const Geometry* g, const Tile* tile, bint alone) noexcept nogil:
    """Whether the windows of one row write every column of a tile, and none of them twice."""
    cdef const Axis* axis = &g.axes[2]
    return (alone and not axis.adaptive and axis.stride == axis.taps and axis.dilation == 1
            and window_start(axis, tile.first) <= tile.begin
            and window_start(axis, tile.last) + axis.taps >= tile.end)


cdef inline void place_tile(
    Moved line, Key keys, const Place* job, const Tile* tile, const Item* item, u32_r found,
) noexcept nogil:
    """Put into a line what the windows over a tile's columns have to give. `keys` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef Moved elements = <Moved> job.inputs
    cdef Key all_keys = <Key> job.keys
    cdef bint alone = not any_overlap(g)
    cdef bint clean = False
    cdef int64_t od, oh, kd, kh, first_d, last_d, first_h, last_h, row, key
    cdef int64_t width = sizeof(float) if Moved is f16_r or Moved is bf16_r else sizeof(line[0])
    covering_windows(&g.axes[0], item.d, &first_d, &last_d)
    covering_windows(&g.axes[1], item.h, &first_h, &last_h)
    for od in range(first_d, last_d + 1):
        kd = tap_on(&g.axes[0], item.d, od)
        for oh in range(first_h, last_h + 1):
            kh = tap_on(&g.axes[1], item.h, oh)
            if kd < 0 or kh < 0:
                continue
            if not clean and not written_whole(g, tile, alone):
                memset(line, 0, (tile.end - tile.begin) * tile.block * width)
            clean = True
            row = ((item.plane * g.axes[0].pooled + od) * g.axes[1].pooled + oh) * g.axes[2].pooled * g.inner
            if Key is u8_r:
                key = (kd * g.axes[1].taps + kh) * g.axes[2].taps
            else:
                key = (item.d * g.axes[1].size + item.h) * g.axes[2].size
            ask_row[Moved, Key](line, elements + row, all_keys + row, g, tile, key, found, alone)
    if not clean:
        memset(line, 0, (tile.end - tile.begin) * tile.block * width)


cdef int64_t place_by_lanes(Moved outputs, Key keys, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items, and return how many elements were met. `keys` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef uint64_t line[LINE]
    cdef uint32_t found[LINE]
    cdef int64_t number, position, j, total = 0
    cdef Item item = item_at(begin, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
    cdef Tile tile
    memset(&tile, 0, sizeof(tile))
    memset(found, 0, sizeof(found))
    for number in range(begin, end):
        if number > begin:
            go_on(&item, number, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, False)
            while next_columns(&tile, axis):
                find_whole_windows_of_tile(&tile, axis)
                place_tile[Moved, Key](<Moved> line, NULL, job, &tile, &item, found)
                position = (item.row * axis.size + tile.begin) * g.inner + tile.channel
                put_line[Moved](outputs + position, <Moved> line, tile.end - tile.begin, tile.block, g.inner,
                                job.past_cache)
            item.channel += tile.block
    for j in range(LINE):
        total += found[j]
    return total
