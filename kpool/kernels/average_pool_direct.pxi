# Average pooling of small windows, each on its own: of two or three columns in one pass, else a column at a time.


cdef inline bint sums_are_direct(const Geometry* g) noexcept nogil:
    """Whether each column of a window is few enough rows to be summed at once, and of few channels few columns."""
    return (not is_wide(&g.axes[2]) and g.taps <= SOURCES * g.axes[2].taps
            and (g.inner == 1 or g.inner >= NARROW or 2 <= g.axes[2].taps <= 3))


cdef inline void add_column(
    Sum total, RealVec a, RealVec b, RealVec c, RealVec d, Py_ssize_t at, int height,
) noexcept nogil:
    """Add up one column of a window, and then add that to the total. Called with a literal for `height`."""
    cdef double room[1]
    cdef Sum column = <Sum> room
    column[0] = 0
    add_element[Sum, RealVec](column, a + at)
    if height > 1:
        add_element[Sum, RealVec](column, b + at)
    if height > 2:
        add_element[Sum, RealVec](column, c + at)
    if height > 3:
        add_element[Sum, RealVec](column, d + at)
    total[0] += column[0]


cdef inline void average_whole(
    RealVec x, Sum sums, const int64_t* rows, Py_ssize_t column, double divisor, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, int height, int width, bint by_power,
) noexcept nogil:
    """Average some windows whose columns are `column` elements apart. Called with literals from `height` on."""
    cdef Py_ssize_t o, j, done = 0
    cdef RealVec a = x + rows[0], b = a, c = a, d = a
    cdef size_t ahead = read_ahead(windows, shift, lanes) * sizeof(x[0])
    # One element, which the compiler keeps in a register.
    cdef double room[1]
    cdef Sum total = <Sum> room
    if height > 1:
        b = x + rows[1]
    if height > 2:
        c = x + rows[2]
    if height > 3:
        d = x + rows[3]
    for o in range(windows):
        fetch(a, ahead)
        if height > 1:
            fetch(b, ahead)
        if height > 2:
            fetch(c, ahead)
        if RealVec is f16_r:
            done = vectors_of_halves_averaged(
                <float*> sums, <const uint16_t*> a, <const uint16_t*> b, <const uint16_t*> c, <const uint16_t*> d,
                column, <float> divisor, height, width, by_power, lanes)
        for j in range(done, lanes):
            total[0] = 0
            add_column[Sum, RealVec](total, a, b, c, d, j, height)
            add_column[Sum, RealVec](total, a, b, c, d, j + column, height)
            if width > 2:
                add_column[Sum, RealVec](total, a, b, c, d, j + 2 * column, height)
            divide_one[Sum](total, divisor, by_power)
            sums[j] = total[0]
        sums += lanes
        a += shift
        b += shift
        c += shift
        d += shift


cdef void average_in_one_pass(
    RealVec x, Sum sums, const TapList* rows, Py_ssize_t column, double divisor, Py_ssize_t windows, Py_ssize_t shift,
    Py_ssize_t lanes, int64_t width,
) noexcept nogil:
    """Average some windows of the listed rows and of two or three columns."""
    cdef Py_ssize_t cut = lanes_to_cut(windows, lanes, 1, lanes)
    if cut > 0:
        average_in_one_pass[RealVec, Sum](x, sums, rows, column, divisor, cut // PIECE, PIECE, PIECE, width)
        x += cut
        sums += cut
        lanes -= cut
    # Whole windows of one and of three rows are rarely, or never, divided by a power of two.
    if width == 2 and rows.count == 1:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 1, 2, False)
    elif width == 2 and rows.count == 2 and is_power_of_two(divisor):
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 2, 2, True)
    elif width == 2 and rows.count == 2:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 2, 2, False)
    elif width == 2 and rows.count == 3:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 3, 2, False)
    elif width == 2 and is_power_of_two(divisor):
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 4, 2, True)
    elif width == 2:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 4, 2, False)
    elif rows.count == 1:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 1, 3, False)
    elif rows.count == 2:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 2, 3, False)
    elif rows.count == 3:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 3, 3, False)
    else:
        average_whole[RealVec, Sum](x, sums, rows.offsets, column, divisor, windows, shift, lanes, 4, 3, False)


cdef void average_tile(
    RealVec x, RealVec x_end, Sum spare, Sum sums, const AveragePool* job, const Tile* tile, int64_t* window,
    const TapList* rows,
) noexcept nogil:
    """Average the windows of a tile over the listed rows. `x` is the tile's first column; up to `x_end` it can be read.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t o = tile.first
    cdef int64_t windows, lanes, first, last, k, at, column = axis.dilation * g.inner
    cdef double divisor
    cdef bint in_one_pass
    while o <= tile.last:
        windows = alike_windows(axis, o, tile.last)
        valid_taps(axis, o, &first, &last)
        window[2] = o
        divisor = divisor_of(job, window)
        at = (window_start(axis, o) + first * axis.dilation - tile.begin) * g.inner
        in_one_pass = g.inner > 1 and 1 <= last - first <= 2
        if in_one_pass and windows > 1 and few_channels(g):
            average_in_one_pass[RealVec, Sum](x + at, spare, rows, column, divisor, 1, 0, lanes_of_columns(g, windows),
                                              last - first + 1)
            close_up(sums, spare, windows, g.inner * sizeof(sums[0]), axis.stride * g.inner * sizeof(sums[0]),
                     g.inner * sizeof(sums[0]))
        elif in_one_pass:
            average_in_one_pass[RealVec, Sum](x + at, sums, rows, column, divisor, windows, axis.stride * g.inner,
                                              tile.block, last - first + 1)
        else:
            for k in range(last - first + 1):
                if g.inner == 1 and windows > 1:
                    lanes = lanes_for(windows, axis.stride, SPARE // <int> sizeof(x[0]), False,
                                      x_end - (x + at + rows.offsets[rows.count - 1]))
                    add_list[Sum, RealVec](sums, x + at, rows, k > 0, 1, 0, lanes, 0,
                                           (lanes - 1) * axis.stride + 1, axis.stride, True)
                else:
                    add_list[Sum, RealVec](sums, x + at, rows, k > 0, windows, axis.stride * g.inner, tile.block,
                                           tile.block, read_ahead(windows, axis.stride * g.inner, tile.block), 1, True)
                at += column
            divide_by[Sum](sums, divisor, windows * tile.block)
        sums += windows * tile.block
        o += windows


cdef void average_directly(
    RealVec x, RealVec x_end, Sum spare, Sum sums, const AveragePool* job, const Tile* tile, int64_t* window,
) noexcept nogil:
    """Average the windows of a tile, of at most SOURCES rows. `x` is the plane; up to `x_end` it can be read.

    The spare line is to work in.
    """
    cdef const Geometry* g = &job.geometry
    cdef int64_t first, last, begun = 0, width = (tile.end - tile.begin) * g.inner
    # Whether most columns lie under no window.
    cdef bint sparse = g.axes[2].stride > 4 * g.axes[2].taps
    cdef float floats[SOURCES * LINE + SPARE]
    cdef TapList rows
    cdef int i
    valid_taps(&g.axes[1], window[1], &first, &last)
    next_rows(&rows, &begun, g, window, first, last)
    x += (first_row(g, window) * g.axes[2].size + tile.begin) * g.inner + tile.channel
    if RealVec is f16_r and g.inner < NARROW and tile.block == g.inner and width <= LINE and not sparse:
        for i in range(rows.count):
            fetch(x + rows.offsets[i], width * sizeof(x[0]))
            floats_from_halves(floats + i * LINE, x + rows.offsets[i], width)
            rows.offsets[i] = i * LINE
        average_tile[f32_r, Sum](floats, floats + SOURCES * LINE + SPARE, spare, sums, job, tile, window, &rows)
    else:
        average_tile[RealVec, Sum](x, x_end, spare, sums, job, tile, window, &rows)
