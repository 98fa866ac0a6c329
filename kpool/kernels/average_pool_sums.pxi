# The loop that adds up listed elements, in float32 for all but float64.

cdef enum:
    VECTOR = 16     # elements that rows of one channel are rounded up to


cdef inline void add_element(Sum total, RealVec x) noexcept nogil:
    if RealVec is f16_r:
        total[0] += float_from_half(x[0])
    elif RealVec is bf16_r:
        total[0] += float_from_bfloat(x[0])
    else:
        total[0] += x[0]


cdef inline void add(
    Sum sums, RealVec x, const int64_t* offsets, Py_ssize_t windows, Py_ssize_t shift, Py_ssize_t lanes,
    Py_ssize_t pitch, Py_ssize_t ahead, Py_ssize_t step, int sources, bint first, bint apart,
) noexcept nogil:
    """Add one to four elements, in the order listed, to the sums of some windows, which stand `pitch` apart.

    Called with literals from `step` on. `apart` adds up the elements first, and then adds that to the sums. So many
    elements are asked for `ahead` per window.
    """
    cdef Py_ssize_t o, j, done = 0
    cdef RealVec a = x + offsets[0], b = a, c = a, d = a
    cdef size_t bytes_ahead = ahead * sizeof(x[0]), distance = distance_ahead(shift * sizeof(x[0]), bytes_ahead)
    # One element, which the compiler keeps in a register.
    cdef double room[1]
    cdef Sum total = <Sum> room
    if sources > 1:
        b = x + offsets[1]
    if sources > 2:
        c = x + offsets[2]
    if sources > 3:
        d = x + offsets[3]
    for o in range(windows):
        fetch_at(a, distance, bytes_ahead)
        if sources > 3:
            fetch_at(d, distance, bytes_ahead)
        if RealVec is f16_r and step == 1:
            if sources > 1:
                fetch_at(b, distance, bytes_ahead)
            if sources > 2:
                fetch_at(c, distance, bytes_ahead)
            done = vectors_of_halves_added(
                <float*> sums, <const uint16_t*> a, <const uint16_t*> b, <const uint16_t*> c, <const uint16_t*> d,
                sources, first, apart, lanes)
        for j in range(done, lanes):
            total[0] = 0 if first or apart else sums[j]
            add_element[Sum, RealVec](total, a + j * step)
            if sources > 1:
                add_element[Sum, RealVec](total, b + j * step)
            if sources > 2:
                add_element[Sum, RealVec](total, c + j * step)
            if sources > 3:
                add_element[Sum, RealVec](total, d + j * step)
            sums[j] = sums[j] + total[0] if apart and not first else total[0]
        sums += pitch
        a += shift
        b += shift
        c += shift
        d += shift


cdef inline void add_some(
    Sum sums, RealVec x, const int64_t* offsets, Py_ssize_t windows, Py_ssize_t shift, Py_ssize_t lanes,
    Py_ssize_t pitch, Py_ssize_t ahead, Py_ssize_t step, int sources, bint first, bint apart,
) noexcept nogil:
    """Choose the loop for the number of elements. Called with literals for `step`, `first` and `apart`."""
    if sources == 4:
        add[Sum, RealVec](sums, x, offsets, windows, shift, lanes, pitch, ahead, step, 4, first, apart)
    elif sources == 3:
        add[Sum, RealVec](sums, x, offsets, windows, shift, lanes, pitch, ahead, step, 3, first, apart)
    elif sources == 2:
        add[Sum, RealVec](sums, x, offsets, windows, shift, lanes, pitch, ahead, step, 2, first, apart)
    else:
        add[Sum, RealVec](sums, x, offsets, windows, shift, lanes, pitch, ahead, step, 1, first, apart)


cdef inline void add_stepping(
    Sum sums, RealVec x, const int64_t* offsets, Py_ssize_t windows, Py_ssize_t shift, Py_ssize_t lanes,
    Py_ssize_t pitch, Py_ssize_t ahead, Py_ssize_t step, int sources, bint first, bint apart,
) noexcept nogil:
    """Choose the loop for the flags. Called with literals for the few lanes and steps there are loops for."""
    if first:
        add_some[Sum, RealVec](sums, x, offsets, windows, shift, lanes, pitch, ahead, step, sources, True, False)
    elif apart:
        add_some[Sum, RealVec](sums, x, offsets, windows, shift, lanes, pitch, ahead, step, sources, False, True)
    else:
        add_some[Sum, RealVec](sums, x, offsets, windows, shift, lanes, pitch, ahead, step, sources, False, False)


cdef void add_list(
    Sum sums, RealVec x, const TapList* list, bint started, Py_ssize_t windows, Py_ssize_t shift, Py_ssize_t lanes,
    Py_ssize_t pitch, Py_ssize_t ahead, Py_ssize_t step, bint apart,
) noexcept nogil:
    """Add what is listed, for some windows, to their sums so far, if there are any.

    A window has some lanes, `step` elements apart; the next one begins `shift` elements further, and its sums `pitch`.
    So many elements are asked for `ahead` per window: none of what is in the cache.
    """
    cdef int i = 0, sources
    cdef Py_ssize_t cut = lanes_to_cut(windows, lanes, step, ahead)
    if cut > 0:
        add_list[Sum, RealVec](sums, x, list, started, cut // PIECE, PIECE, PIECE, PIECE, PIECE, 1, apart)
        sums += cut
        x += cut
        lanes -= cut
        ahead -= cut
    while i < list.count:
        sources = min(list.sources, list.count - i)
        if step == 1 and lanes == NARROW:
            add_stepping[Sum, RealVec](sums, x, list.offsets + i, windows, shift, NARROW, pitch, ahead, 1, sources,
                                       not started, apart)
        elif step == 1:
            add_stepping[Sum, RealVec](sums, x, list.offsets + i, windows, shift, lanes, pitch, ahead, 1, sources,
                                       not started, apart)
        elif step == 2:
            add_stepping[Sum, RealVec](sums, x, list.offsets + i, windows, shift, lanes, pitch, ahead, 2, sources,
                                       not started, apart)
        else:
            add_stepping[Sum, RealVec](sums, x, list.offsets + i, windows, shift, lanes, pitch, ahead, step, sources,
                                       not started, apart)
        started = True
        i += sources


cdef inline void zero_sums(Sum sums, Py_ssize_t count) noexcept nogil:
    memset(sums, 0, count * sizeof(sums[0]))
