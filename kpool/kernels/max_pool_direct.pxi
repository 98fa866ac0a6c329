# Max pooling of small windows: all of a window's elements in one go. Lanes are the channels of one window, or, where
# there is one channel, the windows of one row.

cdef enum:
    LISTED = 32         # taps that a list holds
    SOURCES = 4         # taps that one loop takes

# Taps of a window, in descending order: how far they are from the window's first one, and their numbers.
cdef struct TapList:
    int64_t offsets[LISTED + SOURCES]
    uint32_t numbers[LISTED + SOURCES]
    int count
    int size            # how many one loop takes; the last tap is repeated if there are not enough for that
    int64_t first[MAX_RANK]
    int64_t last[MAX_RANK]
    int64_t next[MAX_RANK]
    bint complete       # whether it holds the window's first tap
    bint whole          # and its last


cdef void list_more(TapList* taps, const Geometry* g) noexcept nogil:
    """List the taps that come next, as many as there is room for."""
    cdef int64_t row
    cdef int64_t* k = taps.next
    cdef int calls, i
    taps.count = 0
    taps.complete = False
    while taps.count < LISTED and not taps.complete:
        row = k[0] * g.axes[0].dilation * g.axes[1].size + k[1] * g.axes[1].dilation
        taps.offsets[taps.count] = (row * g.axes[2].size + k[2] * g.axes[2].dilation) * g.inner
        taps.numbers[taps.count] = <uint32_t> ((k[0] * g.axes[1].taps + k[1]) * g.axes[2].taps + k[2])
        taps.count += 1
        k[2] -= 1
        if k[2] < taps.first[2]:
            k[2] = taps.last[2]
            k[1] -= 1
        if k[1] < taps.first[1]:
            k[1] = taps.last[1]
            k[0] -= 1
        taps.complete = k[0] < taps.first[0]
    calls = (taps.count + SOURCES - 1) // SOURCES
    taps.size = max(3, (taps.count + calls - 1) // calls)
    for i in range(taps.count, taps.count + SOURCES):
        taps.offsets[i] = taps.offsets[taps.count - 1]
        taps.numbers[i] = taps.numbers[taps.count - 1]


cdef inline void list_taps(TapList* taps, const Geometry* g, const int64_t* window) noexcept nogil:
    """List the taps of a window that lie in the input. Rows of windows mostly have the same."""
    cdef int64_t first, last
    cdef bint same = taps.whole
    cdef int i
    for i in range(MAX_RANK):
        valid_taps(&g.axes[i], window[i], &first, &last)
        same = same and first == taps.first[i] and last == taps.last[i]
        taps.first[i] = first
        taps.last[i] = taps.next[i] = last
    if not same:
        list_more(taps, g)
        taps.whole = taps.complete


cdef inline void take_list(
    Vec best, Tap taps, Vec x, const TapList* listed, Py_ssize_t windows, Py_ssize_t shift, Py_ssize_t lanes,
    Py_ssize_t step, bint first, bint keep,
) noexcept nogil:
    """Take the listed taps of some windows, the first of which begins at `x`."""
    cdef int i = 0
    while i < listed.count:
        take_sources[Vec, Tap](best, taps, x + listed.offsets[i], x + listed.offsets[i + 1], x + listed.offsets[i + 2],
                               x + listed.offsets[i + listed.size - 1], listed.numbers + i, windows, shift, lanes,
                               step, listed.size, first, keep)
        first = False
        i += listed.size


cdef inline void pool_alike(
    Vec x, Vec x_end, Vec best, Tap taps, TapList* listed, const Geometry* g, const Tile* tile, const int64_t* window,
    int64_t windows, bint keep,
) noexcept nogil:
    """Pool some windows of a tile, from `window` on, that have the same taps in the input. `x` is the plane."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t row = window_start(&g.axes[0], window[0]) * g.axes[1].size + window_start(&g.axes[1], window[1])
    cdef int64_t lanes, vector
    cdef bint first = True
    x += (row * axis.size + window_start(axis, window[2])) * g.inner + tile.channel
    list_taps(listed, g, window)
    while True:
        if g.inner == 1 and windows > 1:
            # Whole vectors, if what lies behind the row can be read; the lanes too many are overwritten later. One
            # more, since the compiler leaves the last lane of a loop with steps to a loop without vectors.
            vector = SPARE // <int> min(sizeof(best[0]), sizeof(taps[0]))
            lanes = ceil_div(windows - 1, vector) * vector + 1
            if x + listed.offsets[0] + lanes * axis.stride > x_end:
                lanes = windows
            take_list[Vec, Tap](best, taps, x, listed, 1, 0, lanes, axis.stride, first, keep)
        else:
            take_list[Vec, Tap](best, taps, x, listed, windows, axis.stride * g.inner, tile.block, 1, first, keep)
        if listed.complete:
            return
        list_more(listed, g)
        first = False


cdef void pool_directly(
    Vec x, Vec x_end, Vec best, Tap taps, TapList* listed, const Geometry* g, const Tile* tile, int64_t* window,
    bint keep,
) noexcept nogil:
    """Pool the windows of a tile. `x` is the plane; up to `x_end` there is something to read."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t o = tile.first, windows
    while o <= tile.last:
        windows = min(axis.whole_end, tile.last + 1) - o if axis.whole_begin <= o < axis.whole_end else 1
        window[2] = o
        pool_alike[Vec, Tap](x, x_end, best, taps, listed, g, tile, window, windows, keep)
        best += windows * tile.block
        taps += windows * tile.block
        o += windows


cdef inline bint direct_pays(const Geometry* g, int64_t channels) noexcept nogil:
    """Whether windows are so small, or share so little, that taking each on its own costs less than going by lines."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t rows = g.taps // axis.taps
    cdef int64_t step = axis.size // axis.pooled if axis.adaptive else axis.stride
    if g.inner == 1:
        if axis.stride > 2 or axis.whole_end - axis.whole_begin < FEW_CHANNELS:
            return False
    elif channels < NARROW:
        return False
    # By lines, the rows of each new column are taken, then two columns at a time, at twice the cost.
    return axis.pooled == 1 or g.taps <= step * rows + 2 * axis.taps + 3
