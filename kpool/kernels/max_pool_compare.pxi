# How elements compare, and the loop that takes listed taps into the best so far.

cdef inline int16_t order_of(Vec x) noexcept nogil:
    """By what the half types are compared; nothing for the others."""
    if Vec is f16_r:
        return half_order(x[0], 0x7C00)
    elif Vec is bf16_r:
        return half_order(x[0], 0x7F80)
    else:
        return 0


cdef inline bint reaches(Vec a, Vec b) noexcept nogil:
    """Whether an element is at least as large as another; NaN is larger than everything and equals itself."""
    if Vec is f16_r or Vec is bf16_r:
        return order_of[Vec](a) >= order_of[Vec](b)
    elif Vec is f32_r or Vec is f64_r:
        return (a[0] >= b[0]) | (a[0] != a[0])
    else:
        return not (b[0] > a[0])


cdef inline bint exceeds(Vec a, Vec b) noexcept nogil:
    """Whether an element is larger than another, which is that the other does not reach it."""
    # Not by way of `reaches`, whose negation costs more than the comparison that compilers know for this.
    if Vec is f16_r or Vec is bf16_r:
        return order_of[Vec](a) > order_of[Vec](b)
    elif Vec is f32_r or Vec is f64_r:
        return (not (b[0] >= a[0])) & (b[0] == b[0])
    else:
        return a[0] > b[0]


cdef inline bint precedes(Tap tap, uint32_t shift, Tap other) noexcept nogil:
    """Whether a tap, counted from `shift`, comes before another."""
    if Tap is u8_r:
        return <uint8_t> (tap[0] + shift) < other[0]
    elif Tap is u16_r:
        return <uint16_t> (tap[0] + shift) < other[0]
    else:
        return tap[0] + shift < other[0]


cdef inline void consider(
    Vec value, int16_t* order, Vec total, Tap tap, Vec x, Py_ssize_t j, Py_ssize_t step, uint32_t number,
) noexcept nogil:
    """Replace the best value so far, which stands behind element `j` of `x` in its window, unless it is greater."""
    cdef bint wins
    cdef int16_t mine
    cdef double room[1]
    cdef Vec element = <Vec> room
    read_lane[Vec](element, x, j, step)
    if Vec is f16_r or Vec is bf16_r:
        mine = order_of[Vec](element)
        wins = mine >= order[0]
        order[0] = mine if wins else order[0]
    else:
        wins = reaches[Vec](element, value)
    value[0] = element[0] if wins else value[0]
    tap[0] = number if wins else tap[0]
    if Vec is plain_f32_r:
        (<f32_r> total)[0] += (<f32_r> element)[0]
    elif Vec is plain_f64_r:
        (<f64_r> total)[0] += (<f64_r> element)[0]


cdef inline bint is_too_much(Vec x) noexcept nogil:
    """Whether an element is NaN, of a type whose comparisons do not know NaN."""
    if Vec is plain_f32_r or Vec is plain_f64_r:
        return x[0] != x[0]
    else:
        return False


cdef inline bint take(
    Vec best, Tap taps, Vec x, const int64_t* offsets, const uint32_t* numbers, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t ahead, Py_ssize_t step, int sources, bint first, bint keep,
) noexcept nogil:
    """Take three, four or nine taps, the last one first, into the best of some windows. Called with literals from
    `step` on, or where taps are wide, from `sources` on. So many elements are asked for `ahead` per window. Returns
    whether the type's comparisons were enough.

    They go from the last tap to the first, so that of equal elements the first stands without a look at the taps.
    """
    cdef Py_ssize_t o, j
    cdef Vec a = x + offsets[0], b = x + offsets[1], c = x + offsets[2], d = x + offsets[3]
    cdef Vec e = d, f = d, g = d, h = d, i = d
    cdef uint32_t tap_a = numbers[0], tap_b = numbers[1], tap_c = numbers[2], tap_d = numbers[3]
    cdef uint32_t tap_e = tap_d, tap_f = tap_d, tap_g = tap_d, tap_h = tap_d, tap_i = tap_d, nans = 0
    # One element each, which the compiler keeps in a register: a fused pointer has no name for what it points at.
    cdef double value_room[1]
    cdef double total_room[1]
    cdef uint32_t tap_room[1]
    cdef int16_t order[1]
    cdef Vec value = <Vec> value_room, total = <Vec> total_room
    cdef Tap tap = <Tap> tap_room
    cdef size_t bytes_ahead = ahead * sizeof(x[0]), distance = distance_ahead(shift * sizeof(x[0]), bytes_ahead)
    if sources > 4:
        e = x + offsets[4]
        f = x + offsets[5]
        g = x + offsets[6]
        h = x + offsets[7]
        i = x + offsets[8]
        tap_e = numbers[4]
        tap_f = numbers[5]
        tap_g = numbers[6]
        tap_h = numbers[7]
        tap_i = numbers[8]
    for o in range(windows):
        fetch_at(a, distance, bytes_ahead)
        if sources > 3:
            fetch_at(d, distance, bytes_ahead)
        if sources > 4:
            fetch_at(g, distance, bytes_ahead)
        for j in range(lanes):
            tap[0] = tap_a
            if first:
                read_lane[Vec](value, a, j, step)
            else:
                value[0] = best[j]
            order[0] = order_of[Vec](value)
            # One NaN among the elements makes their sum NaN, and so may infinities, which is as well.
            total[0] = value[0]
            if not first:
                if keep:
                    tap[0] = taps[j]
                consider[Vec, Tap](value, order, total, tap, a, j, step, tap_a)
            consider[Vec, Tap](value, order, total, tap, b, j, step, tap_b)
            consider[Vec, Tap](value, order, total, tap, c, j, step, tap_c)
            if sources > 3:
                consider[Vec, Tap](value, order, total, tap, d, j, step, tap_d)
            if sources > 4:
                consider[Vec, Tap](value, order, total, tap, e, j, step, tap_e)
                consider[Vec, Tap](value, order, total, tap, f, j, step, tap_f)
                consider[Vec, Tap](value, order, total, tap, g, j, step, tap_g)
                consider[Vec, Tap](value, order, total, tap, h, j, step, tap_h)
                consider[Vec, Tap](value, order, total, tap, i, j, step, tap_i)
            best[j] = value[0]
            if keep:
                taps[j] = tap[0]
            nans |= is_too_much[Vec](total)
        best += lanes
        if keep:
            taps += lanes
        a += shift
        b += shift
        c += shift
        d += shift
        if sources > 4:
            e += shift
            f += shift
            g += shift
            h += shift
            i += shift
    return nans == 0


cdef inline bint take_some(
    Vec best, Tap taps, Vec x, const int64_t* offsets, const uint32_t* numbers, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t ahead, Py_ssize_t step, int sources, bint first, bint keep,
) noexcept nogil:
    """The same where it is not known whether the taps are the first."""
    if first:
        return take[Vec, Tap](best, taps, x, offsets, numbers, windows, shift, lanes, ahead, step, sources, True, keep)
    return take[Vec, Tap](best, taps, x, offsets, numbers, windows, shift, lanes, ahead, step, sources, False, keep)


cdef inline bint taps_are_wide(Vec x, Tap taps) noexcept nogil:
    """Whether taps are wider than elements, as only those of windows of more than a hundred are."""
    return sizeof(taps[0]) > sizeof(x[0])


cdef inline bint is_usual(Vec x, Tap taps) noexcept nogil:
    """Whether networks have elements of this type, in windows whose taps are no wider.

    Others have fewer loops: each loop takes long to compile.
    """
    if taps_are_wide[Vec, Tap](x, taps):
        return False
    return Vec is plain_f32_r or Vec is f16_r or Vec is bf16_r or Vec is i8_r or Vec is u8_r


cdef inline bint keeps_taps(Vec x, Tap taps, bint keep) noexcept nogil:
    """Whether a loop keeps taps: it may be asked to, and for wide taps, or where NaN is known, there is no other."""
    return keep or taps_are_wide[Vec, Tap](x, taps) or Vec is f32_r or Vec is f64_r


cdef inline bint take_all(
    Vec best, Tap taps, Vec x, const TapList* list, bint started, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t ahead, Py_ssize_t step, bint keep,
) noexcept nogil:
    """The same for all listed taps: nine at a time, as a 3x3 window has, if there is a loop for that, then the rest."""
    cdef int i = 0
    cdef bint enough = True
    while i < list.count:
        if is_usual[Vec, Tap](x, taps) and list.count - i >= 9:
            enough &= take_some[Vec, Tap](best, taps, x, list.offsets + i, list.numbers + i, windows, shift, lanes,
                                          ahead, step, 9, not started, keep)
            i += 9
        elif list.sources == 4:
            enough &= take_some[Vec, Tap](best, taps, x, list.offsets + i, list.numbers + i, windows, shift, lanes,
                                          ahead, step, 4, not started, keep)
            i += 4
        else:
            enough &= take_some[Vec, Tap](best, taps, x, list.offsets + i, list.numbers + i, windows, shift, lanes,
                                          ahead, step, 3, not started, keep)
            i += 3
        started = True
    return enough


cdef inline bint take_stepping(
    Vec best, Tap taps, Vec x, const TapList* list, bint started, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t ahead, Py_ssize_t step, bint keep,
) noexcept nogil:
    """The same where the step is not known, and where the lanes are as few as they are in a narrow block."""
    if step != 1 and taps_are_wide[Vec, Tap](x, taps):
        return take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, ahead, step, keep)
    elif step == 2:
        return take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, ahead, 2, keep)
    elif is_usual[Vec, Tap](x, taps) and lanes == NARROW:
        return take_all[Vec, Tap](best, taps, x, list, started, windows, shift, NARROW, ahead, 1, keep)
    return take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, ahead, 1, keep)


cdef bint take_list(
    Vec best, Tap taps, Vec x, const TapList* list, bint started, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t ahead, Py_ssize_t step, bint keep,
) noexcept nogil:
    """Take the listed taps of some windows into their best so far, if there is any.

    A window has some lanes, `step` (1 or 2) elements apart; the next one begins `shift` elements further. So many
    elements are asked for `ahead` per window: none of what is in the cache. Returns whether the type's comparisons were
    enough: where there is a NaN, plain ones are not.

    Not inline: what the compiler knows of restrict pointers it knows of a function's own arguments.
    """
    cdef Py_ssize_t cut = lanes_to_cut(windows, lanes, step, ahead)
    cdef bint enough = True
    if cut > 0:
        enough = take_list[Vec, Tap](best, taps, x, list, started, cut // PIECE, PIECE, PIECE, PIECE, 1, keep)
        best += cut
        taps += cut
        x += cut
        lanes -= cut
        ahead -= cut
    if keeps_taps[Vec, Tap](x, taps, keep):
        return enough & take_stepping[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, ahead, step, True)
    return enough & take_stepping[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, ahead, step, False)
