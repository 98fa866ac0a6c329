# How elements compare, and the loop that takes listed taps into the best so far.

cdef inline bint reaches(Number a, Number b) noexcept nogil:
    """Whether an element is at least as large as another; NaN is larger than everything and equals itself."""
    if Number is kp_half:
        return half_order(a, 0x7C00) >= half_order(b, 0x7C00)
    elif Number is kp_bfloat:
        return half_order(a, 0x7F80) >= half_order(b, 0x7F80)
    elif Number is float or Number is double:
        return (a >= b) | (a != a)
    else:
        return a >= b


cdef inline bint exceeds(Number a, Number b) noexcept nogil:
    """Whether an element is larger than another, which is that the other does not reach it."""
    # Not by way of `reaches`, whose negation costs more than the comparison that compilers know for this.
    if Number is kp_half:
        return half_order(a, 0x7C00) > half_order(b, 0x7C00)
    elif Number is kp_bfloat:
        return half_order(a, 0x7F80) > half_order(b, 0x7F80)
    elif Number is float or Number is double:
        return (not (b >= a)) & (b == b)
    else:
        return a > b


cdef inline bint precedes(Tap tap, uint32_t shift, Tap other) noexcept nogil:
    """Whether a tap, counted from `shift`, comes before another."""
    if Tap is u8_r:
        return <uint8_t> (tap[0] + shift) < other[0]
    elif Tap is u16_r:
        return <uint16_t> (tap[0] + shift) < other[0]
    else:
        return tap[0] + shift < other[0]


cdef inline int16_t order_of(Vec x) noexcept nogil:
    """By what the half types are compared; nothing for the others."""
    if Vec is f16_r:
        return half_order(x[0], 0x7C00)
    elif Vec is bf16_r:
        return half_order(x[0], 0x7F80)
    else:
        return 0


cdef inline void consider(Vec value, int16_t* order, Tap tap, Vec x, uint32_t number) noexcept nogil:
    """Replace the best value so far, which stands behind `x` in its window, unless it is greater."""
    cdef bint wins
    cdef int16_t mine
    if Vec is f16_r or Vec is bf16_r:
        mine = order_of[Vec](x)
        wins = mine >= order[0]
        order[0] = mine if wins else order[0]
    else:
        wins = reaches(x[0], value[0])
    value[0] = x[0] if wins else value[0]
    tap[0] = number if wins else tap[0]


cdef inline void take(
    Vec best, Tap taps, Vec x, const int64_t* offsets, const uint32_t* numbers, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t step, int sources, bint first, bint keep,
) noexcept nogil:
    """Take three or four taps, the last one first, into the best of some windows. Called with literals from `step` on.

    They go from the last tap to the first, so that of equal elements the first stands without a look at the taps.
    """
    cdef Py_ssize_t o, j
    cdef Vec a = x + offsets[0], b = x + offsets[1], c = x + offsets[2], d = x + offsets[3]
    cdef uint32_t tap_a = numbers[0], tap_b = numbers[1], tap_c = numbers[2], tap_d = numbers[3]
    # One element each, which the compiler keeps in a register: a fused pointer has no name for what it points at.
    cdef double value_room[1]
    cdef uint32_t tap_room[1]
    cdef int16_t order[1]
    cdef Vec value = <Vec> value_room
    cdef Tap tap = <Tap> tap_room
    cdef size_t ahead = read_ahead(windows, shift, lanes * step) * sizeof(x[0])
    for o in range(windows):
        fetch(a, ahead)
        if sources > 3:
            fetch(d, ahead)
        for j in range(lanes):
            tap[0] = tap_a
            if first:
                value[0] = a[j * step]
                order[0] = order_of[Vec](value)
            else:
                value[0] = best[j]
                order[0] = order_of[Vec](value)
                if keep:
                    tap[0] = taps[j]
                consider[Vec, Tap](value, order, tap, a + j * step, tap_a)
            consider[Vec, Tap](value, order, tap, b + j * step, tap_b)
            consider[Vec, Tap](value, order, tap, c + j * step, tap_c)
            if sources > 3:
                consider[Vec, Tap](value, order, tap, d + j * step, tap_d)
            best[j] = value[0]
            if keep:
                taps[j] = tap[0]
        best += lanes
        if keep:
            taps += lanes
        a += shift
        b += shift
        c += shift
        d += shift


cdef inline void take_all(
    Vec best, Tap taps, Vec x, const TapList* list, bint started, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t step, int sources, bint keep,
) noexcept nogil:
    """The same for all listed taps. Called with literals from `step` on."""
    cdef int i = 0
    if not started:
        take[Vec, Tap](best, taps, x, list.offsets, list.numbers, windows, shift, lanes, step, sources, True, keep)
        i = sources
    while i < list.count:
        take[Vec, Tap](best, taps, x, list.offsets + i, list.numbers + i, windows, shift, lanes, step, sources, False,
                       keep)
        i += sources


cdef void take_list(
    Vec best, Tap taps, Vec x, const TapList* list, bint started, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, Py_ssize_t step, bint keep,
) noexcept nogil:
    """Take the listed taps of some windows into their best so far, if there is any.

    A window has some lanes, `step` (1 or 2) elements apart; the next one begins `shift` elements further.

    Not inline: what the compiler knows of restrict pointers it knows of a function's own arguments.
    """
    if keep and step == 1 and list.sources == 4:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 1, 4, True)
    elif keep and step == 1:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 1, 3, True)
    elif keep and list.sources == 4:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 2, 4, True)
    elif keep:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 2, 3, True)
    elif step == 1 and list.sources == 4:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 1, 4, False)
    elif step == 1:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 1, 3, False)
    elif list.sources == 4:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 2, 4, False)
    else:
        take_all[Vec, Tap](best, taps, x, list, started, windows, shift, lanes, 2, 3, False)
