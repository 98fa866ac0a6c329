# Max pooling of rows of few results.

cdef int64_t pool_short_rows(Vec x, Tap taps, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    """Max pooling of rows. `taps` is there for its type.

    Returns the first row for which the type's comparisons were not enough, or `end`.
    """
    cdef bint enough = True
    cdef const Geometry* g = &job.geometry
    cdef double lines[(SOURCES + 1) * GATHERED]
    cdef uint32_t line_taps[GATHERED]
    cdef int64_t origins[GATHERED]
    cdef Vec elements = <Vec> lines, best = <Vec> lines + SOURCES * GATHERED
    cdef bint keep = job.indices != NULL or job.offsets != NULL
    cdef Lanes lanes
    cdef Batch batch
    cdef WindowTaps all_taps
    cdef TapList gathered
    cdef Py_ssize_t j, sharing = g.inner if origins_are_shared(g.inner) else 1
    cdef int i
    taps = <Tap> line_taps
    for i in range(MAX_RANK):
        all_taps.first[i] = 0
        all_taps.last[i] = all_taps.next[i] = g.axes[i].taps - 1
    list_more(&all_taps, g)
    find_lanes(&lanes, g, end - begin)
    while begin < end:
        batch = batch_at(&lanes, g, begin, end)
        fetch(x + batch.origin, batch.span * sizeof(x[0]))
        i = 0
        while i < all_taps.list.count:
            gather_lanes[Vec](elements, x + batch.origin, all_taps.list.offsets + i, all_taps.list.sources,
                              lanes.origins + batch.lane, batch.count)
            list_gathered(&gathered, &all_taps.list, i)
            enough &= take_list[Vec, Tap](best, taps, elements, &gathered, i > 0, 1, 0, batch.count, 0, 1, keep)
            i += all_taps.list.sources
        if not enough:
            break
        if job.indices != NULL and job.wide_indices:
            for j in range(batch.count // sharing):
                origins[j] = lanes.places[batch.lane + j * sharing] + batch.place
        elif job.indices != NULL:
            for j in range(batch.count // sharing):
                (<i32_r> origins)[j] = lanes.places[batch.lane + j * sharing] + <int32_t> batch.place
        put_windows[Vec, Tap](best, taps, origins, job, begin * lanes.per_row, batch.count // g.inner, g.inner)
        begin += batch.rows
    if job.past_cache:
        finish_puts()
    return begin
