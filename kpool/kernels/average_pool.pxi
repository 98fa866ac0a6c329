# Average pooling and its gradient, for every float type. Each is the other's transpose.
#
# A sum over a window is taken over its rows first, for a whole line of columns at a time, and then over the columns of
# that line. So memory is read in order whatever the layout, and the cost of a window grows with its sides and not with
# its area. The order of additions is fixed: it does not depend on how the work was divided.

cdef inline void add(RealVec x, Sum sums, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        if RealVec is f16_r:
            sums[j] += float_from_half(x[j])
        elif RealVec is bf16_r:
            sums[j] += float_from_bfloat(x[j])
        else:
            sums[j] += x[j]


cdef inline void add_shares(RealVec x, Sum sums, double count_of_taps, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    cdef float divisor = <float> count_of_taps
    for j in range(count):
        if RealVec is f16_r:
            sums[j] += float_from_half(x[j]) / divisor
        elif RealVec is bf16_r:
            sums[j] += float_from_bfloat(x[j]) / divisor
        elif RealVec is f32_r:
            sums[j] += x[j] / divisor
        else:
            sums[j] += x[j] / count_of_taps


cdef inline void store(RealVec outputs, Sum sums, double count_of_taps, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    cdef float divisor = <float> count_of_taps
    for j in range(count):
        if RealVec is f16_r:
            outputs[j] = <kp_half> half_from_float(sums[j] / divisor)
        elif RealVec is bf16_r:
            outputs[j] = <kp_bfloat> bfloat_from_float(sums[j] / divisor)
        elif RealVec is f32_r:
            outputs[j] = sums[j] / divisor
        else:
            outputs[j] = sums[j] / count_of_taps


cdef inline void zero_sums(Sum sums, Py_ssize_t count) noexcept nogil:
    memset(sums, 0, count * sizeof(sums[0]))


cdef inline void add_strided(
    Sum to, Sum source, Py_ssize_t count, Py_ssize_t stride_to, Py_ssize_t stride,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        to[j * stride_to] += source[j * stride]


cdef inline void add_lane(Sum to, Sum source, Py_ssize_t count, int64_t stride_to, int64_t stride) noexcept nogil:
    """Choose the loop for the strides."""
    if stride_to == 1 and stride == 1:
        add_strided[Sum](to, source, count, 1, 1)
    elif stride_to == 1 and stride == 2:
        add_strided[Sum](to, source, count, 1, 2)
    else:
        add_strided[Sum](to, source, count, stride_to, stride)


cdef inline void join_window(
    Sum windows, Sum columns, const Axis* axis, const Tile* tile, int64_t o, bint backward,
) noexcept nogil:
    """Add the columns of one window to it, or it to its columns; only those of the tile."""
    cdef int64_t start = window_start(axis, o), k, first, last, column
    cdef Sum window = windows + (o - tile.first) * tile.block
    if not taps_of(axis, tile, o, &first, &last):
        return
    for k in range(first, last + 1):
        column = start + k * axis.dilation
        if backward:
            add_strided[Sum](columns + (column - tile.begin) * tile.block, window, tile.block, 1, 1)
        else:
            add_strided[Sum](window, columns + (column - tile.begin) * tile.block, tile.block, 1, 1)


cdef inline void join_whole_windows(
    Sum windows, Sum columns, const Axis* axis, const Tile* tile, int64_t begin, int64_t end, bint backward,
) noexcept nogil:
    """The same for a range of windows that lie in the tile with all their taps, one tap of all of them at a time.

    Backward goes from the last tap to the first, so that windows reach a column in ascending order.
    """
    cdef int64_t tap, k, c
    cdef int64_t step = axis.stride * tile.block
    cdef Py_ssize_t count = end - begin
    cdef Sum window = windows + (begin - tile.first) * tile.block
    cdef Sum column
    for tap in range(axis.taps):
        k = axis.taps - 1 - tap if backward else tap
        column = columns + (window_start(axis, begin) + k * axis.dilation - tile.begin) * tile.block
        if axis.stride == 1:
            if backward:
                add_strided[Sum](column, window, count * tile.block, 1, 1)
            else:
                add_strided[Sum](window, column, count * tile.block, 1, 1)
            continue
        for c in range(tile.block):
            if backward:
                add_lane[Sum](column + c, window + c, count, step, tile.block)
            else:
                add_lane[Sum](window + c, column + c, count, tile.block, step)


cdef inline void join(Sum windows, Sum columns, const Axis* axis, Tile* tile, bint backward) noexcept nogil:
    """Add to each window of a tile the columns under it, or the other way round."""
    cdef int64_t o, begin, end
    find_whole_windows(tile, axis)
    begin, end = tile.whole_begin, tile.whole_end
    if tile.block >= FEW_CHANNELS:
        begin = end = tile.last + 1
    for o in range(tile.first, begin):
        join_window[Sum](windows, columns, axis, tile, o, backward)
    if begin < end:
        join_whole_windows[Sum](windows, columns, axis, tile, begin, end, backward)
    for o in range(end, tile.last + 1):
        join_window[Sum](windows, columns, axis, tile, o, backward)


cdef inline double divisor_of(const AveragePool* job, const int64_t* window) noexcept nogil:
    """What the sum over a window is divided by."""
    cdef double count = 1
    cdef int i
    if job.divisor_override > 0:
        return <double> job.divisor_override
    for i in range(MAX_RANK):
        count *= <double> count_taps(&job.geometry.axes[i], window[i], job.count_include_pad)
    return count


cdef inline int64_t alike_until(const AveragePool* job, int64_t o, int64_t end) noexcept nogil:
    """One past the last of the windows, from `o` on, that are divided by the same number and follow in memory."""
    cdef const Axis* axis = &job.geometry.axes[2]
    if job.divisor_override > 0:
        return end
    return min(end, axis.whole_end) if axis.whole_begin <= o < axis.whole_end else o + 1


cdef inline void store_windows(
    RealVec outputs, Sum sums, const AveragePool* job, const Tile* tile, int64_t* window,
) noexcept nogil:
    """Divide the sums of a tile's windows and write them to their row."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t o = tile.first, end
    while o <= tile.last:
        end = alike_until(job, o, tile.last + 1) if tile.block == g.inner else o + 1
        window[2] = o
        store[RealVec, Sum](outputs + o * g.inner + tile.channel, sums + (o - tile.first) * tile.block,
                            divisor_of(job, window), (end - o) * tile.block)
        o = end


cdef inline void load_columns(
    RealVec row, Sum sums, const Geometry* g, const Tile* tile,
) noexcept nogil:
    """Add a row's columns to those of a tile."""
    cdef int64_t column
    if tile.block == g.inner:
        add[RealVec, Sum](row + tile.begin * g.inner, sums, (tile.end - tile.begin) * g.inner)
        return
    for column in range(tile.begin, tile.end):
        add[RealVec, Sum](row + column * g.inner + tile.channel, sums + (column - tile.begin) * tile.block, tile.block)


cdef inline void load_windows(
    RealVec row, Sum sums, const AveragePool* job, const Tile* tile, int64_t* window,
) noexcept nogil:
    """Add what a row's windows have to give each of their elements."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t o = tile.first, end
    while o <= tile.last:
        end = alike_until(job, o, tile.last + 1) if tile.block == g.inner else o + 1
        window[2] = o
        add_shares[RealVec, Sum](row + o * g.inner + tile.channel, sums + (o - tile.first) * tile.block,
                                 divisor_of(job, window), (end - o) * tile.block)
        o = end


cdef inline void sum_rows(
    RealVec outputs, RealVec x, Sum columns, Sum windows, const AveragePool* job, Tile* tile, int64_t* window,
) noexcept nogil:
    """Average the windows of a tile, whose columns are taken in pieces if a line does not hold them all."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t begin = tile.begin, end = tile.end, kd, kh, first_d, last_d, first_h, last_h, d, h
    valid_taps(&g.axes[0], window[0], &first_d, &last_d)
    valid_taps(&g.axes[1], window[1], &first_h, &last_h)
    zero_sums[Sum](windows, (tile.last - tile.first + 1) * tile.block)
    while begin < end:
        tile.begin = begin
        tile.end = min(end, begin + LINE // tile.block)
        zero_sums[Sum](columns, (tile.end - tile.begin) * tile.block)
        for kd in range(first_d, last_d + 1):
            d = window_start(&g.axes[0], window[0]) + kd * g.axes[0].dilation
            for kh in range(first_h, last_h + 1):
                h = window_start(&g.axes[1], window[1]) + kh * g.axes[1].dilation
                load_columns[RealVec, Sum](x + (d * g.axes[1].size + h) * g.axes[2].size * g.inner, columns, g, tile)
        join[Sum](windows, columns, &g.axes[2], tile, False)
        begin = tile.end
    store_windows[RealVec, Sum](outputs, windows, job, tile, window)


cdef inline void sum_shares(
    RealVec outputs, RealVec gradients, Sum columns, Sum windows, const AveragePool* job, Tile* tile,
    int64_t d, int64_t h,
) noexcept nogil:
    """Write a tile's columns, whose windows are taken in pieces if a line does not hold them all."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t first = tile.first, last = tile.last, first_d, last_d, first_h, last_h, column
    cdef int64_t window[MAX_RANK]
    covering_windows(&g.axes[0], d, &first_d, &last_d)
    covering_windows(&g.axes[1], h, &first_h, &last_h)
    zero_sums[Sum](columns, (tile.end - tile.begin) * tile.block)
    while first <= last:
        tile.first = first
        tile.last = min(last, first + LINE // tile.block - 1)
        zero_sums[Sum](windows, (tile.last - tile.first + 1) * tile.block)
        for window[0] in range(first_d, last_d + 1):
            if tap_on(&g.axes[0], d, window[0]) < 0:
                continue
            for window[1] in range(first_h, last_h + 1):
                if tap_on(&g.axes[1], h, window[1]) >= 0:
                    load_windows[RealVec, Sum](
                        gradients + (window[0] * g.axes[1].pooled + window[1]) * g.axes[2].pooled * g.inner,
                        windows, job, tile, window)
        join[Sum](windows, columns, &g.axes[2], tile, True)
        first = tile.last + 1
    if tile.block == g.inner:
        store[RealVec, Sum](outputs + tile.begin * g.inner, columns, 1, (tile.end - tile.begin) * g.inner)
        return
    for column in range(tile.begin, tile.end):
        store[RealVec, Sum](outputs + column * g.inner + tile.channel, columns + (column - tile.begin) * tile.block, 1,
                            tile.block)


cdef void average_items(
    RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    """Work off items of the pooled side."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec inputs = <RealVec> job.inputs
    cdef int64_t window[MAX_RANK]
    cdef int64_t number
    cdef Item item
    cdef Tile tile
    tile.channels = 0
    for number in range(begin, end):
        item = item_at(number, job.blocks, g.inner, g.axes[0].pooled, g.axes[1].pooled)
        window[0] = item.d
        window[1] = item.h
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end)
            while next_windows(&tile, axis):
                sum_rows[RealVec, Sum](outputs + item.row * axis.pooled * g.inner,
                                       inputs + item.plane * g.plane * g.inner, sums, sums + LINE, job, &tile, window)
            item.channel += tile.block


cdef void average_items_backward(
    RealVec outputs, Sum sums, const AveragePool* job, int64_t begin, int64_t end,
) noexcept nogil:
    """Work off items of the unpooled side."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef RealVec gradients = <RealVec> job.inputs
    cdef int64_t number
    cdef Item item
    cdef Tile tile
    tile.channels = 0
    for number in range(begin, end):
        item = item_at(number, job.blocks, g.inner, g.axes[0].size, g.axes[1].size)
        while item.channel < item.channel_end:
            first_tile(&tile, axis, item.channel, item.channel_end)
            while next_columns(&tile, axis):
                sum_shares[RealVec, Sum](outputs + item.row * axis.size * g.inner,
                                         gradients + item.plane * g.windows * g.inner, sums, sums + LINE, job, &tile,
                                         item.d, item.h)
            item.channel += tile.block


cdef void average_pool(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const AveragePool* job = <const AveragePool*> argument
    cdef double sums[2 * LINE]
    if job.element == Element.FLOAT16:
        average_items[f16_r, f32_r](<f16_r> job.outputs, <f32_r> sums, job, begin, end)
    elif job.element == Element.BFLOAT16:
        average_items[bf16_r, f32_r](<bf16_r> job.outputs, <f32_r> sums, job, begin, end)
    elif job.element == Element.FLOAT32:
        average_items[f32_r, f32_r](<f32_r> job.outputs, <f32_r> sums, job, begin, end)
    elif job.element == Element.FLOAT64:
        average_items[f64_r, f64_r](<f64_r> job.outputs, <f64_r> sums, job, begin, end)


cdef void average_pool_backward(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const AveragePool* job = <const AveragePool*> argument
    cdef double sums[2 * LINE]
    if job.element == Element.FLOAT16:
        average_items_backward[f16_r, f32_r](<f16_r> job.outputs, <f32_r> sums, job, begin, end)
    elif job.element == Element.BFLOAT16:
        average_items_backward[bf16_r, f32_r](<bf16_r> job.outputs, <f32_r> sums, job, begin, end)
    elif job.element == Element.FLOAT32:
        average_items_backward[f32_r, f32_r](<f32_r> job.outputs, <f32_r> sums, job, begin, end)
    elif job.element == Element.FLOAT64:
        average_items_backward[f64_r, f64_r](<f64_r> job.outputs, <f64_r> sums, job, begin, end)
