# Collecting what stands where indices point, window by window: the gradient of unpooling, for many channels.
#
# Each window reads its own elements in order and keeps those that its indices name. As in unpooling, an index that
# does not lie in its own window is not met; those that were met are counted, and if any is missing, the caller gathers,
# over what was left in its place.


cdef void collect(
    WordVec line, WordVec x, Key keys, int64_t key, int64_t key_step, u32_r found, Py_ssize_t windows,
    Py_ssize_t shift, Py_ssize_t inner, Py_ssize_t lanes,
) noexcept nogil:
    """Keep the elements of one tap of some windows where the key is that of their place, and count them."""
    cdef Py_ssize_t o, j
    cdef bint here
    cdef size_t ahead = read_ahead(windows, shift, lanes) * sizeof(x[0])
    for o in range(windows):
        fetch(x, ahead)
        for j in range(lanes):
            here = stands[WordVec, Key](x, keys + j, key)
            line[j] = x[j] if here else line[j]
            found[j] += here
        line += lanes
        x += shift
        keys += inner
        key += key_step


cdef void collect_tile(
    WordVec line, WordVec x, Key keys, u32_r found, const Geometry* g, const Tile* tile, const int64_t* window,
) noexcept nogil:
    """Collect for the windows of a tile. `x` is the plane, `keys` belong to the tile's first window."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t o = tile.first, windows, kd, kh, kw, row, column
    cdef int64_t first[MAX_RANK]
    cdef int64_t last[MAX_RANK]
    valid_taps(&g.axes[0], window[0], &first[0], &last[0])
    valid_taps(&g.axes[1], window[1], &first[1], &last[1])
    while o <= tile.last:
        windows = alike_windows(axis, o, tile.last)
        valid_taps(axis, o, &first[2], &last[2])
        for kd in range(first[0], last[0] + 1):
            for kh in range(first[1], last[1] + 1):
                row = (window_start(&g.axes[0], window[0]) + kd * g.axes[0].dilation) * g.axes[1].size
                row = (row + window_start(&g.axes[1], window[1]) + kh * g.axes[1].dilation) * axis.size
                for kw in range(first[2], last[2] + 1):
                    column = row + window_start(axis, o) + kw * axis.dilation
                    collect[WordVec, Key](line, x + column * g.inner + tile.channel, keys, column, axis.stride, found,
                                          windows, axis.stride * g.inner, g.inner, tile.block)
        line += windows * tile.block
        keys += windows * g.inner
        o += windows


cdef inline void collect_items(WordVec outputs, Key keys, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef WordVec x = <WordVec> job.inputs
    cdef uint64_t line[LINE]
    cdef uint32_t found[LINE]
    cdef int64_t window[MAX_RANK]
    cdef int64_t number, position, j, total = 0
    cdef Item item = item_at(begin, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
    cdef Tile tile
    memset(&tile, 0, sizeof(tile))
    memset(found, 0, sizeof(found))
    for number in range(begin, end):
        if number > begin:
            go_on(&item, number, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
        window[0] = item.d
        window[1] = item.h
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end, False)
            while next_windows(&tile, axis):
                position = (item.row * axis.pooled + tile.first) * g.inner + tile.channel
                collect_tile[WordVec, Key](<WordVec> line, x + item.plane * g.plane * g.inner, keys + position, found,
                                           g, &tile, window)
                put_lanes(<char*> (outputs + position), line, tile.last - tile.first + 1, tile.block, g.inner,
                          sizeof(outputs[0]), job.past_cache)
            item.channel += tile.block
    for j in range(LINE):
        total += found[j]
    count_up(&(<Place*> job).found, total)
    if job.past_cache:
        finish_puts()


cdef inline void collect_words(WordVec outputs, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Choose the type of the keys."""
    if job.key_width == 4:
        collect_items[WordVec, i32_r](outputs, <i32_r> job.keys, job, begin, end)
    else:
        collect_items[WordVec, i64_r](outputs, <i64_r> job.keys, job, begin, end)


cdef void collect_back(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const Place* job = <const Place*> argument
    cdef int width = element_size(job.element)
    if width == 1:
        collect_words[u8_r](<u8_r> job.outputs, job, begin, end)
    elif width == 2:
        collect_words[u16_r](<u16_r> job.outputs, job, begin, end)
    elif width == 4:
        collect_words[u32_r](<u32_r> job.outputs, job, begin, end)
    else:
        collect_words[u64_r](<u64_r> job.outputs, job, begin, end)
