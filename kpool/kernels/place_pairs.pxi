# Putting elements back where there is one channel and windows are two columns wide, side by side: each row is written
# from left to right, two columns to a window.


cdef enum:
    SHORT_ROW = 20      # windows, above which a row is work enough for a loop


cdef inline bint columns_are_pairs(const Place* job) noexcept nogil:
    """Whether all windows are whole and of one slice, known by their offsets, and a line holds a row."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    return (job.key_width == 1 and not job.added and g.inner == 1 and all_whole(g) and are_pairs(axis)
            and g.axes[1].taps <= g.axes[1].stride and g.axes[1].dilation == 1
            and g.axes[0].taps == 1 and g.axes[0].stride == 1 and SHORT_ROW < axis.pooled and axis.size <= LINE)


cdef void widen(WordVec to, u8_r offsets, Py_ssize_t count) noexcept nogil:
    """Offsets as wide as the elements, with which a loop goes by vectors of those and not by longer ones."""
    cdef Py_ssize_t j
    for j in range(count):
        to[j] = offsets[j]


cdef void place_pairs(
    WordVec line, WordVec elements, WordVec offsets, int64_t offset, Py_ssize_t windows,
) noexcept nogil:
    """Write a row from its windows, `offset` being that of their left elements."""
    cdef Py_ssize_t o
    for o in range(windows):
        line[2 * o] = or_zero(elements[o], <int64_t> offsets[o] == offset)
        line[2 * o + 1] = or_zero(elements[o], <int64_t> offsets[o] == offset + 1)


cdef void place_rows_of_pairs(WordVec outputs, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off rows of the unpooled side. Results gather in a line."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* height = &g.axes[1]
    cdef const Axis* width = &g.axes[2]
    cdef WordVec elements = <WordVec> job.inputs, elements_end = elements + g.outer * g.windows
    cdef u8_r keys = <u8_r> job.keys
    cdef uint64_t lines[2 * (LINE + 2 * SPARE)]
    cdef WordVec line = <WordVec> lines, offsets = line + LINE + 2 * SPARE, row
    cdef int64_t rows, i, tap, window, above, first, at, lanes, vector = SPARE // <int> sizeof(elements[0])
    cdef Item item
    while begin < end:
        item = item_at(begin, 1, 1, g.axes[0].size, height.size)
        rows = min(min(LINE // width.size, end - begin), height.size - item.h)
        window = item.h // height.stride
        tap = item.h - window * height.stride
        # Rows of windows: from this one to that over the last row.
        above = max(0, min(height.pooled, (item.h + rows - 1) // height.stride + 1) - window)
        first = ((item.plane * g.axes[0].pooled + item.d) * height.pooled + window) * width.pooled
        fetch(keys + first, above * width.pooled)
        fetch(elements + first, above * width.pooled * sizeof(elements[0]))
        widen[WordVec](offsets, keys + first, above * width.pooled)
        at = 0
        row = line
        for i in range(rows):
            if window < height.pooled and tap < height.taps:
                # Whole vectors, if what lies behind the row can be read; the next row is written over lanes too many.
                lanes = ceil_div(width.pooled, vector) * vector
                if elements_end - (elements + first + at) < lanes:
                    lanes = width.pooled
                place_pairs[WordVec](row, elements + first + at, offsets + at, tap * 2, lanes)
                memset(row + 2 * width.pooled, 0, (width.size - 2 * width.pooled) * sizeof(row[0]))
            else:
                memset(row, 0, width.size * sizeof(row[0]))
            row += width.size
            tap += 1
            if tap == height.stride:
                tap = 0
                window += 1
                at += width.pooled
        put_line[WordVec](outputs + begin * width.size, line, rows * width.size, 1, 1, job.past_cache)
        begin += rows
    if job.past_cache:
        finish_puts()
