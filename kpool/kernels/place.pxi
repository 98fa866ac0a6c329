# Putting pooled elements back where they were: unpooling, and the gradient of pooling where windows do not overlap.
#
# Work is divided by rows of the unpooled side. A row asks every window over it, in row-major order, whether its winner
# stood here: by the winner's offset in the window, or by its index. So each element is written once, by one thread, and
# of several windows that share one the last wins.
#
# An index that does not lie in its own window is not met this way. The elements that were met are counted, and if any
# is missing, the caller has to scatter.

cdef extern from *:
    """
    static inline void kp_count(int64_t* total, int64_t more) {
        __atomic_fetch_add(total, more, __ATOMIC_RELAXED);
    }
    """
    void count_up "kp_count" (int64_t* total, int64_t more) noexcept nogil


cdef inline bint stands(Key keys, int64_t key) noexcept nogil:
    """Whether a key is the one looked for, which fits its type."""
    if Key is u8_r:
        return keys[0] == <uint8_t> key
    elif Key is i32_r:
        return keys[0] == <int32_t> key
    else:
        return keys[0] == key


cdef inline int64_t key_of(Key keys, int64_t base, int64_t column, int64_t tap) noexcept nogil:
    """The key of an element: an offset goes by the tap, an index by the column."""
    if Key is u8_r:
        return base + tap
    else:
        return base + column


cdef inline uint32_t place(
    WordVec row, WordVec elements, Key keys, int64_t key, int64_t key_step, Py_ssize_t count,
    Py_ssize_t stride_row, Py_ssize_t stride, bint alone,
) noexcept nogil:
    """Put the elements with the right key into a row, and count them. Called with a literal for `alone`."""
    cdef Py_ssize_t j
    cdef uint32_t found = 0
    cdef bint here
    for j in range(count):
        here = stands[Key](keys + j * stride, key + j * key_step)
        found += here
        if alone:
            row[j * stride_row] = elements[j * stride] if here else 0
        else:
            row[j * stride_row] = elements[j * stride] if here else row[j * stride_row]
    return found


cdef inline uint32_t place_lanes(
    WordVec row, WordVec elements, Key keys, int64_t key, int64_t key_step, Py_ssize_t count,
    Py_ssize_t stride_row, Py_ssize_t stride, bint alone,
) noexcept nogil:
    """Choose the loop for the strides and the flag."""
    if stride_row == 1 and stride == 1 and key_step == 0:
        if alone:
            return place[WordVec, Key](row, elements, keys, key, 0, count, 1, 1, True)
        return place[WordVec, Key](row, elements, keys, key, 0, count, 1, 1, False)
    if alone:
        return place[WordVec, Key](row, elements, keys, key, key_step, count, stride_row, stride, True)
    return place[WordVec, Key](row, elements, keys, key, key_step, count, stride_row, stride, False)


cdef inline uint32_t place_window(
    WordVec line, WordVec elements, Key keys, const Geometry* g, const Tile* tile, int64_t o, int64_t key, bint alone,
) noexcept nogil:
    """Ask one window about a tile's columns."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t k, first, last, column, at = o * g.inner + tile.channel
    cdef uint32_t found = 0
    if not taps_of(axis, tile, o, &first, &last):
        return 0
    for k in range(first, last + 1):
        column = window_start(axis, o) + k * axis.dilation
        found += place_lanes[WordVec, Key](
            line + (column - tile.begin) * tile.block, elements + at, keys + at, key_of[Key](keys, key, column, k), 0,
            tile.block, 1, 1, alone)
    return found


cdef uint32_t place_windows(
    WordVec line, WordVec elements, Key keys, const Geometry* g, const Tile* tile, int64_t key, bint alone,
) noexcept nogil:
    """Ask one row of windows about a tile's columns. `key` is that of the row's first tap, or of its column 0."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t o, k, c, begin, end, column, key_step
    cdef uint32_t found = 0
    begin, end = tile.whole_begin, tile.whole_end
    if tile.block >= FEW_CHANNELS:
        begin = end = tile.last + 1
    for o in range(tile.first, begin):
        found += place_window[WordVec, Key](line, elements, keys, g, tile, o, key, alone)
    if begin < end:
        key_step = key_of[Key](keys, 0, axis.stride, 0)
        # From the last tap to the first, so that windows reach a column in ascending order.
        for k in range(axis.taps - 1, -1, -1):
            column = window_start(axis, begin) + k * axis.dilation
            for c in range(tile.block):
                found += place_lanes[WordVec, Key](
                    line + (column - tile.begin) * tile.block + c, elements + begin * g.inner + c,
                    keys + begin * g.inner + c, key_of[Key](keys, key, column, k), key_step, end - begin,
                    axis.stride * tile.block, g.inner, alone)
    for o in range(end, tile.last + 1):
        found += place_window[WordVec, Key](line, elements, keys, g, tile, o, key, alone)
    return found


cdef inline uint32_t place_tile(
    WordVec outputs, WordVec line, Key keys, const Place* job, const Tile* tile, const Item* item,
) noexcept nogil:
    """Write the columns of a tile. `outputs` is their row; `keys` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef WordVec elements = <WordVec> job.inputs
    cdef Key all_keys = <Key> job.keys
    cdef bint alone = not (overlaps(&g.axes[0]) or overlaps(&g.axes[1]) or overlaps(&g.axes[2]))
    cdef int64_t od, oh, kd, kh, first_d, last_d, first_h, last_h, row, key
    cdef uint32_t found = 0
    memset(line, 0, (tile.end - tile.begin) * tile.block * sizeof(line[0]))
    covering_windows(&g.axes[0], item.d, &first_d, &last_d)
    covering_windows(&g.axes[1], item.h, &first_h, &last_h)
    for od in range(first_d, last_d + 1):
        kd = tap_on(&g.axes[0], item.d, od)
        if kd < 0:
            continue
        for oh in range(first_h, last_h + 1):
            kh = tap_on(&g.axes[1], item.h, oh)
            if kh < 0:
                continue
            row = ((item.plane * g.axes[0].pooled + od) * g.axes[1].pooled + oh) * g.axes[2].pooled * g.inner
            if Key is u8_r:
                key = (kd * g.axes[1].taps + kh) * g.axes[2].taps
            else:
                key = (item.d * g.axes[1].size + item.h) * g.axes[2].size
            found += place_windows[WordVec, Key](line, elements + row, all_keys + row, g, tile, key, alone)
    put_lanes(<char*> (outputs + tile.begin * g.inner + tile.channel), line, tile.end - tile.begin, tile.block, g.inner,
              sizeof(line[0]), job.past_cache)
    return found


cdef void place_items(WordVec outputs, Key keys, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items. `keys` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef uint64_t line[LINE]
    cdef int64_t number, found = 0
    cdef Item item
    cdef Tile tile
    tile.channels = 0
    for number in range(begin, end):
        item = item_at(number, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end)
            while next_columns(&tile, axis):
                find_whole_windows(&tile, axis)
                found += place_tile[WordVec, Key](outputs + item.row * axis.size * g.inner, <WordVec> line, NULL, job,
                                                  &tile, &item)
            item.channel += tile.block
    count_up(&(<Place*> job).found, found)
    if job.past_cache:
        finish_puts()


cdef inline void place_words(WordVec outputs, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Choose the type of the keys."""
    if job.key_width == 1:
        place_items[WordVec, u8_r](outputs, NULL, job, begin, end)
    elif job.key_width == 4:
        place_items[WordVec, i32_r](outputs, NULL, job, begin, end)
    else:
        place_items[WordVec, i64_r](outputs, NULL, job, begin, end)


cdef void place_back(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const Place* job = <const Place*> argument
    cdef int width = element_size(job.element)
    if width == 1:
        place_words[u8_r](<u8_r> job.outputs, job, begin, end)
    elif width == 2:
        place_words[u16_r](<u16_r> job.outputs, job, begin, end)
    elif width == 4:
        place_words[u32_r](<u32_r> job.outputs, job, begin, end)
    else:
        place_words[u64_r](<u64_r> job.outputs, job, begin, end)
