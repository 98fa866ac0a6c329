# Rows of few results: as many of them as there is room for at a time, as lanes of one loop.
#
# Where there are few channels a window, or even a row of windows, is too little work for a loop. A table says where
# each lane's first element lies, and the elements of all lanes are gathered from there. All windows are whole, so that
# one list of taps holds for all of them.

cdef extern from *:
    """
    /* Keeps a loop from being vectorised: gathering instructions are slower than one load after the other. */
    static inline void kp_one_by_one(void) { __asm__ volatile(""); }
    """
    void one_by_one "kp_one_by_one" () noexcept nogil

cdef enum:
    GATHERED = 512      # lanes at a time: with all their elements they stay in the first-level cache
    SHORT_ROW = 20      # lanes, above which a row is work enough for a loop
    SHORT_WINDOW = 16   # elements of a window
    FEW_WINDOWS = 12    # of a row of one channel: one by one costs less than vectors with lanes for nothing

# The results of some rows of windows, from the first row of a slice, or of a plane if those are `whole_planes`.
cdef struct Lanes:
    int32_t origins[GATHERED]   # where a lane's first element lies, seen from that of the first lane
    int32_t places[GATHERED]    # the same as a position in its plane
    int64_t rows
    int64_t per_row
    bint whole_planes

# Some of those rows, next to each other in memory.
cdef struct Batch:
    int64_t rows
    int64_t lane        # of the table, and how many
    int64_t count
    int64_t place       # what to add to the places
    int64_t origin      # and to the origins
    int64_t span        # elements of the input that it reaches over, about


cdef inline bint few_windows(const Geometry* g) noexcept nogil:
    return g.axes[2].pooled <= FEW_WINDOWS


cdef inline bint all_whole(const Geometry* g) noexcept nogil:
    """Whether all windows lie in the input with all their taps."""
    cdef bint whole = True
    cdef int i
    for i in range(MAX_RANK):
        whole = whole and g.axes[i].whole_begin == 0 and g.axes[i].whole_end == g.axes[i].pooled
        whole = whole and not g.axes[i].adaptive
    return whole


cdef inline bint rows_are_short(const Geometry* g) noexcept nogil:
    """Whether rows of windows are such as to be taken together."""
    cdef int64_t lanes = g.axes[2].pooled * g.inner
    # Origins fit into 32 bits: a table reaches over as many planes as it has lanes, at most.
    if g.plane * g.inner > INT32_PLANE // GATHERED or g.taps > SHORT_WINDOW or not all_whole(g):
        return False
    return lanes <= SHORT_ROW


cdef inline void find_lanes(Lanes* lanes, const Geometry* g, int64_t rows) noexcept nogil:
    """For a job of so many rows."""
    cdef int64_t height = g.axes[1].pooled, plane_rows = g.axes[0].pooled * height, row, o, place, lane = 0
    cdef int64_t window[MAX_RANK]
    cdef Py_ssize_t c
    lanes.per_row = g.axes[2].pooled * g.inner
    lanes.rows = min(GATHERED // lanes.per_row, rows + plane_rows - 1)
    lanes.whole_planes = lanes.rows >= plane_rows
    lanes.rows = lanes.rows // plane_rows * plane_rows if lanes.whole_planes else min(lanes.rows, height)
    for row in range(lanes.rows):
        window[0] = row % plane_rows // height
        window[1] = row % height
        place = first_row(g, window) * g.axes[2].size
        for o in range(g.axes[2].pooled):
            for c in range(g.inner):
                lanes.places[lane] = <int32_t> (place + o * g.axes[2].stride)
                lanes.origins[lane] = <int32_t> ((row // plane_rows * g.plane + lanes.places[lane]) * g.inner + c)
                lane += 1


cdef inline Batch batch_at(const Lanes* lanes, const Geometry* g, int64_t row, int64_t end) noexcept nogil:
    """As many rows as the table holds, from one on, and at most up to another."""
    cdef int64_t height = g.axes[1].pooled, plane_rows = g.axes[0].pooled * height
    cdef int64_t plane = row // plane_rows, first = row - plane * plane_rows
    cdef int64_t window[MAX_RANK]
    cdef Batch batch
    batch.lane = batch.place = 0
    if lanes.whole_planes:
        batch.lane = first * lanes.per_row
        batch.rows = lanes.rows - first
    else:
        window[0] = first // height
        window[1] = first % height
        batch.place = first_row(g, window) * g.axes[2].size
        batch.rows = min(lanes.rows, height - window[1])
    batch.rows = min(batch.rows, end - row)
    batch.count = batch.rows * lanes.per_row
    batch.origin = (plane * g.plane + batch.place) * g.inner
    batch.span = batch.rows * (g.plane // plane_rows) * g.inner
    return batch


cdef void gather_lanes(
    Vec to, Vec x, const int64_t* offsets, int sources, const int32_t* origins, Py_ssize_t count,
) noexcept nogil:
    """Some elements of each lane, GATHERED apart."""
    cdef Py_ssize_t j
    cdef int i
    cdef Vec source
    for i in range(sources):
        source = x + offsets[i]
        for j in range(count):
            to[j] = source[origins[j]]
            one_by_one()
        to += GATHERED


cdef inline void list_gathered(TapList* gathered, const TapList* list, int i) noexcept nogil:
    """What was gathered of a list, from its entry `i` on. A loop of fewer sources forms the pointers of all."""
    cdef int k
    gathered.count = gathered.sources = list.sources
    for k in range(SOURCES):
        gathered.offsets[k] = k * GATHERED
        gathered.numbers[k] = list.numbers[i + k]
