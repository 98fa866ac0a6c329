# The gradient of average pooling over small planes of few channels, where windows do not overlap: a table says which
# window each element belongs to, and a plane is gathered from what its windows have to give.


cdef inline bint planes_are_small(const Geometry* g) noexcept nogil:
    return g.inner < NARROW and g.plane * g.inner <= LINE and all_whole(g) and not any_overlap(g)


cdef inline int64_t window_on(const Axis* axis, int64_t position) noexcept nogil:
    """The one window that has a tap on a position, or -1. Windows do not overlap."""
    cdef int64_t first, last
    windows_on(axis, position, &first, &last)
    return first if first <= last else -1


cdef void find_shares(int32_t* shares, const Geometry* g) noexcept nogil:
    """Where the share of each element of a plane stands among those of the windows, or behind them all."""
    cdef int64_t d, h, w, od, oh, row
    cdef Py_ssize_t c
    cdef int32_t columns[LINE]
    for w in range(g.axes[2].size):
        columns[w] = <int32_t> window_on(&g.axes[2], w)
    for d in range(g.axes[0].size):
        od = window_on(&g.axes[0], d)
        for h in range(g.axes[1].size):
            oh = window_on(&g.axes[1], h)
            row = (od * g.axes[1].pooled + oh) * g.axes[2].pooled
            for w in range(g.axes[2].size):
                for c in range(g.inner):
                    if od < 0 or oh < 0 or columns[w] < 0:
                        shares[c] = <int32_t> (g.windows * g.inner)
                    else:
                        shares[c] = <int32_t> ((row + columns[w]) * g.inner + c)
                shares += g.inner


cdef void average_planes_backward(
    RealVec outputs, Sum lines, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    """Work off rows of the unpooled side. Results gather in a line; `lines` has room for two and SPARE."""
    cdef const Geometry* g = &job.geometry
    cdef RealVec gradients = <RealVec> job.inputs
    cdef Sum shares = lines, line = lines + LINE + SPARE
    cdef int64_t plane_rows = g.axes[0].size * g.axes[1].size, width = g.axes[2].size * g.inner
    cdef int64_t plane, first, rows, position = begin * width, gathered = 0
    cdef int64_t window[MAX_RANK]
    cdef int32_t places[LINE]
    cdef Py_ssize_t j
    cdef double divisor
    memset(window, 0, sizeof(window))
    divisor = divisor_of(job, window)
    find_shares(places, g)
    while begin < end:
        plane = begin // plane_rows
        first = begin - plane * plane_rows
        rows = min(plane_rows - first, end - begin)
        if gathered + rows * width > LINE:
            put_line[RealVec](outputs + position, <RealVec> line, gathered // g.inner, g.inner, g.inner, job.past_cache)
            position += gathered
            gathered = 0
        add_shares[RealVec, Sum](gradients + plane * g.windows * g.inner, shares, divisor, g.windows * g.inner, True)
        shares[g.windows * g.inner] = 0
        for j in range(rows * width):
            line[gathered + j] = shares[places[first * width + j]]
            one_by_one()
        gathered += rows * width
        begin += rows
    put_line[RealVec](outputs + position, <RealVec> line, gathered // g.inner, g.inner, g.inner, job.past_cache)
    if job.past_cache:
        finish_puts()
