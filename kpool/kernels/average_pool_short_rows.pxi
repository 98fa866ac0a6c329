# Average pooling of rows of few results.

cdef void average_short_rows(
    RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    """Average pooling of rows. `sums` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef RealVec x = <RealVec> job.inputs
    cdef double lines[(SOURCES + 1) * GATHERED]
    cdef RealVec elements = <RealVec> lines
    cdef int64_t window[MAX_RANK]
    cdef int64_t k, begun = 0
    cdef double divisor
    cdef Lanes lanes
    cdef Batch batch
    cdef TapList rows, gathered
    sums = <Sum> lines + SOURCES * GATHERED
    memset(window, 0, sizeof(window))
    divisor = divisor_of(job, window)
    next_rows(&rows, &begun, g, window, 0, g.axes[1].taps - 1)
    rows.sources = rows.count
    list_gathered(&gathered, &rows, 0)
    find_lanes(&lanes, g, end - begin)
    while begin < end:
        batch = batch_at(&lanes, g, begin, end)
        fetch(x + batch.origin, batch.span * sizeof(x[0]))
        for k in range(g.axes[2].taps):
            gather_lanes[RealVec](elements, x + batch.origin + k * g.axes[2].dilation * g.inner, rows.offsets,
                                  rows.count, lanes.origins + batch.lane, batch.count)
            add_list[Sum, RealVec](sums, elements, &gathered, k > 0, 1, 0, batch.count, 0, 0, 1, True)
        divide_by[Sum](sums, divisor, batch.count)
        put_line[RealVec](outputs + begin * lanes.per_row, <RealVec> sums, batch.count // g.inner, g.inner, g.inner,
                          job.past_cache)
        begin += batch.rows
    if job.past_cache:
        finish_puts()
