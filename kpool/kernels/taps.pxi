# Lists of the taps of a window, or of its rows or columns, and what it costs to go by them.

cdef enum:
    LISTED = 32         # taps that a list holds
    SOURCES = 4         # the most taps that one loop takes, but for nine maxima at once

# Elements of a window: how far they are from its first one. Those to be compared stand in descending order, with the
# numbers of their taps.
cdef struct TapList:
    int64_t offsets[LISTED + SOURCES]
    uint32_t numbers[LISTED + SOURCES]
    int count
    int sources         # how many one loop takes, 3 or 4; the last tap is repeated if there are not enough for that


cdef inline void end_list(TapList* list) noexcept nogil:
    """Divide the taps between as few loops as can be."""
    cdef int i, loops = (list.count + SOURCES - 1) // SOURCES
    list.sources = max(3, (list.count + loops - 1) // loops)
    for i in range(list.count, list.count + SOURCES):
        list.offsets[i] = list.offsets[list.count - 1]
        list.numbers[i] = list.numbers[list.count - 1]

# Which taps of a window lie in the input, and a list of some of them, from the last on.
cdef struct WindowTaps:
    TapList list
    int64_t first[MAX_RANK]
    int64_t last[MAX_RANK]
    int64_t next[MAX_RANK]
    bint complete       # whether the list ends with the first tap
    bint whole          # and begins with the last

cdef enum:
    KINDS = 3           # of windows of a row: in front of the whole ones, whole, and behind them

# Those of the windows last met.
cdef struct KnownTaps:
    WindowTaps kinds[KINDS]


cdef inline int kind_of(const Axis* axis, int64_t window) noexcept nogil:
    """Windows of a kind mostly have the same taps in the input."""
    return (window >= axis.whole_begin) + (window >= axis.whole_end)


cdef void list_more(WindowTaps* taps, const Geometry* g) noexcept nogil:
    """List the taps that come next, as many as there is room for."""
    cdef int64_t row
    cdef int64_t* k = taps.next
    cdef TapList* list = &taps.list
    list.count = 0
    taps.complete = False
    while list.count < LISTED and not taps.complete:
        row = k[0] * g.axes[0].dilation * g.axes[1].size + k[1] * g.axes[1].dilation
        list.offsets[list.count] = (row * g.axes[2].size + k[2] * g.axes[2].dilation) * g.inner
        list.numbers[list.count] = <uint32_t> ((k[0] * g.axes[1].taps + k[1]) * g.axes[2].taps + k[2])
        list.count += 1
        k[2] -= 1
        if k[2] < taps.first[2]:
            k[2] = taps.last[2]
            k[1] -= 1
        if k[1] < taps.first[1]:
            k[1] = taps.last[1]
            k[0] -= 1
        taps.complete = k[0] < taps.first[0]
    end_list(list)


cdef WindowTaps* taps_in_input(KnownTaps* known, const Geometry* g, const int64_t* window) noexcept nogil:
    """The taps of a window that lie in the input, from the last on."""
    cdef WindowTaps* taps = &known.kinds[kind_of(&g.axes[2], window[2])]
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
    return taps


cdef inline void forget_taps(KnownTaps* known) noexcept nogil:
    cdef int kind
    for kind in range(KINDS):
        known.kinds[kind].whole = False


cdef inline int64_t alike_windows(const Axis* axis, int64_t o, int64_t last) noexcept nogil:
    """How many of the windows from `o` to the last have the same taps in the input and follow each other evenly."""
    return min(axis.whole_end, last + 1) - o if axis.whole_begin <= o < axis.whole_end else 1


cdef inline int64_t border_from(const Axis* axis, int64_t o) noexcept nogil:
    """The first window from `o` on that has columns in the padding."""
    return axis.whole_end if axis.whole_begin <= o < axis.whole_end else o


cdef inline bint few_channels(const Geometry* g) noexcept nogil:
    """Whether windows that follow each other are taken at every column, and those that there are picked."""
    return 1 < g.inner < NARROW


cdef inline int64_t lanes_of_columns(const Geometry* g, int64_t windows) noexcept nogil:
    """Lanes for every column from the first of some windows to the last, in all channels."""
    return ((windows - 1) * g.axes[2].stride + 1) * g.inner


cdef inline int64_t lanes_for(
    int64_t windows, int64_t step, int64_t vector, bint paired, int64_t readable,
) noexcept nogil:
    """How many windows to take as lanes where the windows of a row are lanes, if `readable` elements follow.

    Whole vectors, if what lies behind the row can be read; the lanes too many are overwritten later. One more where
    there are steps and elements are not read in pairs, since the compiler leaves the last lane of such a loop to one
    without vectors. Else as many as there are windows, but for the last one where its pair could reach too far.
    """
    cdef int64_t left = 1 if step > 1 and not paired else 0
    cdef int64_t lanes = ceil_div(windows - left, vector) * vector + left
    if lanes * step <= readable:
        return lanes
    return windows - 1 if paired else windows


cdef inline int64_t doublings(const Axis* axis) noexcept nogil:
    """How many times a run of columns must double to be as long as a window."""
    cdef int64_t steps = 0, reach = 1
    while reach < axis.taps:
        reach *= 2
        steps += 1
    return steps


cdef inline bint direct_pays(const Geometry* g, int64_t channels, int64_t across) noexcept nogil:
    """Whether windows are so small, or share so little, that taking each on its own costs less than going by lines.

    By lines, each new column takes its rows, and each window `across` for its columns.
    """
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t rows = g.taps // axis.taps
    cdef int64_t step = axis.size // axis.pooled if axis.adaptive else axis.stride
    if g.inner == 1:
        if axis.stride > 2 or axis.whole_end - axis.whole_begin < 2:
            return False
    elif channels < NARROW:
        # Each costs as much as a stride of columns.
        return (channels == g.inner and not axis.adaptive and axis.stride > 1 and axis.whole_end - axis.whole_begin > 1
                and step * g.taps <= step * rows + 2 * across)
    if axis.pooled == 1 and rows >= SOURCES:
        return False
    return g.taps <= step * rows + across + 3


cdef enum:
    GROUP_LINES = ROWS_TOGETHER + 4     # the shared ones, the rows above, the columns (two) and the results

# Some rows of windows, from the first on, that are taken together.
cdef struct Group:
    int64_t first
    int64_t rows
    # The rows of the input that each has, counted from the first one's first row.
    int64_t tops[ROWS_TOGETHER]
    int64_t bottoms[ROWS_TOGETHER]
    int64_t lines[ROWS_TOGETHER]


cdef inline void find_group(Group* group, const Axis* axis, int64_t first, int64_t rows) noexcept nogil:
    """The group of at most so many rows of windows that begins with `first`."""
    cdef int64_t i
    group.first = first
    group.rows = min(rows, axis.pooled - first)
    for i in range(group.rows):
        valid_taps(axis, first + i, &group.tops[i], &group.bottoms[i])
        group.tops[i] += i * axis.stride
        group.bottoms[i] += i * axis.stride
