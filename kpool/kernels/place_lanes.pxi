# Putting elements back where there are many channels: each column of a row asks the windows over it whether their
# winners stood here, for all channels at once. Columns a stride apart ask alike, each one window further on. Windows of
# two columns, which have them to themselves, are asked about both at once.

# Some windows that a column asks, in row-major order: where the elements of each stand, and which key it must have.
cdef struct Asked:
    int64_t places[SOURCES]
    int64_t keys[SOURCES]
    int count


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


cdef inline Number either(Number a, Number b, bint first) noexcept nogil:
    """One of two values. As arguments both are read either way, and a loop without branches is vectorised."""
    return a if first else b


cdef inline Number or_zero(Number a, bint keep) noexcept nogil:
    """The same of a value and zero."""
    return a if keep else <Number> 0


cdef inline bint give(Moved value, Moved element, Key key, int64_t wanted) noexcept nogil:
    """Let a window put its element in a value's place, or add it to that, if its winner stood here; whether it did."""
    cdef bint here = stands[Moved, Key](element, key, wanted)
    if Moved is f16_r:
        (<f32_r> value)[0] += or_zero(float_from_half(element[0]), here)
    elif Moved is bf16_r:
        (<f32_r> value)[0] += or_zero(float_from_bfloat(element[0]), here)
    elif Moved is f32_r:
        value[0] += or_zero(element[0], here)
    elif Moved is f64_r:
        value[0] += or_zero(element[0], here)
    else:
        value[0] = either(element[0], value[0], here)
    return here


cdef inline void ask_some(
    Moved line, Moved elements, Key keys, const Asked* asked, int begin, int64_t key_step, u32_r found,
    Py_ssize_t columns, Py_ssize_t step, Py_ssize_t inner, Py_ssize_t lanes, int count, bint first,
) noexcept nogil:
    """Ask one, two or four windows, from the listed one `begin` on. Called with literals for `count` and `first`."""
    cdef Py_ssize_t i, j, at = 0
    cdef const int64_t* places = asked.places + begin
    cdef const int64_t* wanted = asked.keys + begin
    cdef Moved a = elements + places[0], b = a, c = a, d = a
    cdef Key keys_a = keys + places[0], keys_b = keys_a, keys_c = keys_a, keys_d = keys_a
    cdef int64_t key_a = wanted[0], key_b = key_a, key_c = key_a, key_d = key_a, moved = 0
    cdef uint32_t here
    cdef size_t ahead = read_ahead(columns, inner, lanes) * sizeof(elements[0])
    cdef size_t keys_ahead = read_ahead(columns, inner, lanes) * sizeof(keys[0])
    # One element, which the compiler keeps in a register.
    cdef double room[1]
    cdef Moved value = <Moved> room
    if count > 1:
        b = elements + places[1]
        keys_b = keys + places[1]
        key_b = wanted[1]
    if count > 2:
        c = elements + places[2]
        keys_c = keys + places[2]
        key_c = wanted[2]
        d = elements + places[3]
        keys_d = keys + places[3]
        key_d = wanted[3]
    for i in range(columns):
        # The last row of windows is the one that has not been read before.
        fetch(d if count > 2 else b, ahead)
        fetch(keys_d if count > 2 else keys_b, keys_ahead)
        for j in range(lanes):
            if Moved is f16_r or Moved is bf16_r:
                (<f32_r> value)[0] = 0 if first else (<f32_r> line)[at + j]
            else:
                value[0] = 0 if first else line[at + j]
            here = give[Moved, Key](value, a + j, keys_a + j, key_a + moved)
            if count > 1:
                here += give[Moved, Key](value, b + j, keys_b + j, key_b + moved)
            if count > 2:
                here += give[Moved, Key](value, c + j, keys_c + j, key_c + moved)
                here += give[Moved, Key](value, d + j, keys_d + j, key_d + moved)
            if Moved is f16_r or Moved is bf16_r:
                (<f32_r> line)[at + j] = (<f32_r> value)[0]
            else:
                line[at + j] = value[0]
            if Key is not u8_r:
                found[j] += here
        at += step
        a += inner
        b += inner
        c += inner
        d += inner
        keys_a += inner
        keys_b += inner
        keys_c += inner
        keys_d += inner
        if Key is not u8_r:
            moved += key_step


cdef void ask(
    Moved line, Moved elements, Key keys, const Asked* asked, int64_t key_step, u32_r found, Py_ssize_t columns,
    Py_ssize_t step, Py_ssize_t inner, Py_ssize_t lanes, bint first,
) noexcept nogil:
    """Ask the listed windows about some columns, `step` apart in the line; the `first` ones find nothing there.

    The windows of each column stand `inner` elements behind those of the one before, whose keys are `key_step` less.

    Not inline: what the compiler knows of restrict pointers it knows of a function's own arguments.
    """
    cdef int even = asked.count // 2 * 2
    if asked.count == 4 and first:
        ask_some[Moved, Key](line, elements, keys, asked, 0, key_step, found, columns, step, inner, lanes, 4, True)
    elif asked.count == 4:
        ask_some[Moved, Key](line, elements, keys, asked, 0, key_step, found, columns, step, inner, lanes, 4, False)
    elif even == 2 and first:
        ask_some[Moved, Key](line, elements, keys, asked, 0, key_step, found, columns, step, inner, lanes, 2, True)
    elif even == 2:
        ask_some[Moved, Key](line, elements, keys, asked, 0, key_step, found, columns, step, inner, lanes, 2, False)
    if asked.count > even and even == 0 and first:
        ask_some[Moved, Key](line, elements, keys, asked, 0, key_step, found, columns, step, inner, lanes, 1, True)
    elif asked.count > even:
        ask_some[Moved, Key](line, elements, keys, asked, even, key_step, found, columns, step, inner, lanes, 1, False)


cdef inline int64_t key_of(
    Key keys, const Geometry* g, const Item* item, const int64_t* window, int64_t column,
) noexcept nogil:
    """The key of an element of an item's row, if it is the winner of a window. `keys` is there for its type."""
    if Key is u8_r:
        return ((tap_on(&g.axes[0], item.d, window[0]) * g.axes[1].taps
                 + tap_on(&g.axes[1], item.h, window[1])) * g.axes[2].taps + tap_on(&g.axes[2], column, window[2]))
    else:
        return (item.d * g.axes[1].size + item.h) * g.axes[2].size + column


cdef inline void ask_windows(
    Moved line, Key keys, const Place* job, const Tile* tile, const Item* item, const Cover* cover, int64_t column,
    int64_t columns, u32_r found,
) noexcept nogil:
    """Put into a line what the windows over some columns, from `column` on, have to give. `keys` is there for its type.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef Moved elements = <Moved> job.inputs + tile.channel
    cdef Key all_keys = <Key> job.keys + tile.channel
    cdef int64_t step = axis.stride * tile.block, at = (column - tile.begin) * tile.block
    cdef int64_t i, first_w, last_w, step_w, row
    cdef int64_t window[MAX_RANK]
    cdef int64_t width = sizeof(float) if Moved is f16_r or Moved is bf16_r else sizeof(line[0])
    cdef bint first = True
    cdef Asked asked
    asked.count = 0
    line = <Moved> (<char*> line + at * width)
    step_w = windows_on(axis, column, &first_w, &last_w)
    window[0] = cover.first[0]
    while window[0] <= cover.last[0]:
        window[1] = cover.first[1]
        while window[1] <= cover.last[1]:
            row = ((item.plane * g.axes[0].pooled + window[0]) * g.axes[1].pooled + window[1]) * axis.pooled
            window[2] = first_w
            while window[2] <= last_w:
                if asked.count == SOURCES:
                    ask[Moved, Key](line, elements, all_keys, &asked, axis.stride, found, columns, step, g.inner,
                                    tile.block, first)
                    first = False
                    asked.count = 0
                asked.places[asked.count] = (row + window[2]) * g.inner
                asked.keys[asked.count] = key_of[Key](NULL, g, item, window, column)
                asked.count += 1
                window[2] += step_w
            window[1] += cover.step[1]
        window[0] += cover.step[0]
    if asked.count > 0:
        ask[Moved, Key](line, elements, all_keys, &asked, axis.stride, found, columns, step, g.inner, tile.block, first)
    else:
        for i in range(columns):
            memset(<char*> line + i * step * width, 0, tile.block * width)


cdef void place_columns(
    Moved line, Key keys, const Place* job, const Tile* tile, const Item* item, const Cover* cover, int64_t first,
    int64_t end, u32_r found,
) noexcept nogil:
    """Put into a tile's line what the windows over the columns from `first` to `end` have to give.

    `keys` is there for its type.
    """
    cdef const Axis* axis = &job.geometry.axes[2]
    cdef int64_t begin, column, columns
    for begin in range(first, min(end, first + axis.stride)):
        column = begin
        while column < end:
            columns = positions_alike(axis, column, end)
            ask_windows[Moved, Key](line, NULL, job, tile, item, cover, column, columns, found)
            column += columns * axis.stride


cdef void ask_pairs(
    Moved left, Moved right, Moved elements, Key keys, int64_t key, u32_r found, Py_ssize_t windows, Py_ssize_t inner,
    Py_ssize_t lanes,
) noexcept nogil:
    """Ask windows that follow each other, each about both of its columns, where it is the only one."""
    cdef Py_ssize_t o, j
    cdef bint first, second
    cdef size_t ahead = read_ahead(windows, inner, lanes) * sizeof(elements[0])
    cdef size_t keys_ahead = read_ahead(windows, inner, lanes) * sizeof(keys[0])
    for o in range(windows):
        fetch(elements, ahead)
        fetch(keys, keys_ahead)
        for j in range(lanes):
            first = stands[Moved, Key](elements + j, keys + j, key)
            second = stands[Moved, Key](elements + j, keys + j, key + 1)
            left[j] = or_zero(elements[j], first)
            right[j] = or_zero(elements[j], second)
            if Key is not u8_r:
                found[j] += first + second
        left += 2 * lanes
        right += 2 * lanes
        elements += inner
        keys += inner
        if Key is not u8_r:
            key += 2


cdef inline bint are_pairs(const Axis* axis) noexcept nogil:
    """Whether windows are two neighbouring columns each, side by side."""
    return axis.taps == 2 and axis.stride == 2 and axis.dilation == 1


cdef inline int64_t pairs_in_tile(
    Moved line, const Place* job, const Tile* tile, const Cover* cover, int64_t* window,
) noexcept nogil:
    """How many windows have two columns of a tile to themselves, and the first of them, of all its axes.

    `line` is there for its type: nothing is added up.
    """
    cdef const Axis* axis = &job.geometry.axes[2]
    cdef bint alone = cover.first[0] == cover.last[0] and cover.first[1] == cover.last[1]
    if Moved is f16_r or Moved is bf16_r or Moved is f32_r or Moved is f64_r:
        alone = False
    if not (alone and are_pairs(axis)):
        return 0
    # Behind the last window there is at most one column.
    window[0] = cover.first[0]
    window[1] = cover.first[1]
    window[2] = (tile.begin + axis.before + 1) // 2
    return (tile.end - window_start(axis, window[2])) // 2


cdef inline void place_tile(
    Moved line, Key keys, const Place* job, const Tile* tile, const Item* item, const Cover* cover, u32_r found,
) noexcept nogil:
    """Fill a line with what the windows over a tile's columns have to give. `keys` is there for its type.

    The line can be the row that is written; behind the columns nothing may be.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t window[MAX_RANK]
    cdef int64_t windows = pairs_in_tile[Moved](line, job, tile, cover, window)
    cdef int64_t column = tile.begin, row, at
    cdef Moved elements = <Moved> job.inputs
    cdef Key all_keys = <Key> job.keys
    cdef Moved pairs
    if windows > 0:
        column = window_start(axis, window[2])
        place_columns[Moved, Key](line, NULL, job, tile, item, cover, tile.begin, column, found)
        row = (item.plane * g.axes[0].pooled + window[0]) * g.axes[1].pooled + window[1]
        at = (row * axis.pooled + window[2]) * g.inner + tile.channel
        pairs = line + (column - tile.begin) * tile.block
        ask_pairs[Moved, Key](pairs, pairs + tile.block, elements + at, all_keys + at,
                              key_of[Key](NULL, g, item, window, column), found, windows, g.inner, tile.block)
        column += 2 * windows
    place_columns[Moved, Key](line, NULL, job, tile, item, cover, column, tile.end, found)


cdef inline bint gathers_in_place(Moved outputs, Key keys, const Place* job, const Tile* tile) noexcept nogil:
    """Whether results gather where they belong: sums of half types do not, and beside indices, whose reading takes
    longer, lines are faster. `outputs` and `keys` are there for their types.
    """
    if Key is u8_r and Moved is not f16_r and Moved is not bf16_r:
        return may_gather_in_place(&job.geometry, tile.block, job.past_cache)
    else:
        return False


cdef int64_t place_by_lanes(Moved outputs, Key keys, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items, and return how many elements were met. `keys` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef uint64_t line[LINE]
    cdef uint32_t found[LINE]
    cdef int64_t number, position, j, total = 0
    cdef Item item = item_at(begin, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
    cdef Cover cover
    cdef Tile tile
    memset(&tile, 0, sizeof(tile))
    memset(found, 0, sizeof(found))
    for number in range(begin, end):
        if number > begin:
            go_on(&item, number, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
        cover = cover_of(g, &item)
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, False)
            while next_columns(&tile, axis):
                position = (item.row * axis.size + tile.begin) * g.inner + tile.channel
                if gathers_in_place[Moved, Key](NULL, NULL, job, &tile):
                    place_tile[Moved, Key](outputs + position, NULL, job, &tile, &item, &cover, found)
                    continue
                place_tile[Moved, Key](<Moved> line, NULL, job, &tile, &item, &cover, found)
                put_line[Moved](outputs + position, <Moved> line, tile.end - tile.begin, tile.block, g.inner,
                                job.past_cache)
            item.channel += tile.block
    for j in range(LINE):
        total += found[j]
    return total
