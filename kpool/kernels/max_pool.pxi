# Max pooling forward, with or without indices, for every element type.
#
# Taps are visited from the last of a window to the first, and a tap replaces the best so far when it is greater, equal
# or NaN. What stands at the end is then the first of equals in row-major order, or the first NaN: the contract, with
# two comparisons and no state. Four taps make one pass over the lanes; a window whose taps do not divide by four
# repeats its first tap, which changes nothing.
#
# Lanes, the elements of a vector, are channels, or output columns where channels are few.

cdef enum:
    LANES = 256         # at a time: the running taps stay in the first-level cache
    GROUP = 4           # taps in one pass
    FEW_CHANNELS = 8    # below this many interleaved channels, lanes are columns


cdef inline bint takes(Vec tap, Vec best) noexcept nogil:
    """Whether an element visited later, so earlier in its window, replaces the best so far."""
    if Vec is f16_r:
        return half_order(tap[0], 0x7C00) >= half_order(best[0], 0x7C00)
    elif Vec is bf16_r:
        return half_order(tap[0], 0x7F80) >= half_order(best[0], 0x7F80)
    elif Vec is f32_r or Vec is f64_r:
        return (tap[0] >= best[0]) | (tap[0] != tap[0])
    else:
        return tap[0] >= best[0]


cdef inline void visit(
    Vec best, i32_r which, Vec x, const Py_ssize_t* at, const int32_t* taps, Py_ssize_t lanes,
    Py_ssize_t stride_in, Py_ssize_t stride_out, bint first, bint keep,
) noexcept nogil:
    """One pass of four taps. Called with literals for the flags, so each call becomes a loop of its own."""
    cdef Py_ssize_t j
    cdef Py_ssize_t at0 = at[0], at1 = at[1], at2 = at[2], at3 = at[3]
    cdef int32_t tap0 = taps[0], tap1 = taps[1], tap2 = taps[2], tap3 = taps[3]
    cdef int32_t winner = 0
    cdef bint take
    for j in range(lanes):
        if first:
            best[j * stride_out] = x[at0 + j * stride_in]
            winner = tap0
        else:
            take = takes[Vec](x + (at0 + j * stride_in), best + j * stride_out)
            best[j * stride_out] = x[at0 + j * stride_in] if take else best[j * stride_out]
            if keep:
                winner = which[j]
                winner = tap0 if take else winner
        take = takes[Vec](x + (at1 + j * stride_in), best + j * stride_out)
        best[j * stride_out] = x[at1 + j * stride_in] if take else best[j * stride_out]
        winner = tap1 if take else winner
        take = takes[Vec](x + (at2 + j * stride_in), best + j * stride_out)
        best[j * stride_out] = x[at2 + j * stride_in] if take else best[j * stride_out]
        winner = tap2 if take else winner
        take = takes[Vec](x + (at3 + j * stride_in), best + j * stride_out)
        best[j * stride_out] = x[at3 + j * stride_in] if take else best[j * stride_out]
        if keep:
            which[j] = tap3 if take else winner


cdef inline void visit_strided(
    Vec best, i32_r which, Vec x, const Py_ssize_t* at, const int32_t* taps, Py_ssize_t lanes,
    Py_ssize_t stride_in, Py_ssize_t stride_out, bint first, bint keep,
) noexcept nogil:
    """Choose the loop for the strides."""
    if stride_in == 1 and stride_out == 1:
        visit[Vec](best, which, x, at, taps, lanes, 1, 1, first, keep)
    elif stride_in == 2 and stride_out == 1:
        visit[Vec](best, which, x, at, taps, lanes, 2, 1, first, keep)
    else:
        visit[Vec](best, which, x, at, taps, lanes, stride_in, stride_out, first, keep)


cdef void visit_any(
    Vec best, i32_r which, Vec x, const Py_ssize_t* at, const int32_t* taps, Py_ssize_t lanes,
    Py_ssize_t stride_in, Py_ssize_t stride_out, bint first, bint keep,
) noexcept nogil:
    """Choose the loop for the flags."""
    if first and keep:
        visit_strided[Vec](best, which, x, at, taps, lanes, stride_in, stride_out, True, True)
    elif first:
        visit_strided[Vec](best, which, x, at, taps, lanes, stride_in, stride_out, True, False)
    elif keep:
        visit_strided[Vec](best, which, x, at, taps, lanes, stride_in, stride_out, False, True)
    else:
        visit_strided[Vec](best, which, x, at, taps, lanes, stride_in, stride_out, False, False)


# The valid taps of a window: inclusive ranges per axis, and the plane position of tap (0, 0, 0), which may lie in the
# padding and then be negative.
cdef struct Span:
    int64_t first[MAX_RANK]
    int64_t last[MAX_RANK]
    int64_t origin


cdef inline void pool_lanes(
    Vec x, Vec best, i32_r which, const Geometry* g, const Span* span, Py_ssize_t lanes,
    Py_ssize_t stride_in, Py_ssize_t stride_out, bint keep,
) noexcept nogil:
    """Pool one window, or as many neighbouring windows of the same shape as there are lanes."""
    cdef Py_ssize_t at[GROUP]
    cdef int32_t taps[GROUP]
    cdef int count = 0
    cdef bint first = True
    cdef int64_t d, h, w, row, tap
    cdef int64_t height = g.axes[1].size, width = g.axes[2].size
    cdef int64_t step = g.axes[2].dilation * g.inner
    for d in range(span.last[0], span.first[0] - 1, -1):
        for h in range(span.last[1], span.first[1] - 1, -1):
            row = span.origin + (d * g.axes[0].dilation * height + h * g.axes[1].dilation) * width
            tap = (d * g.axes[1].taps + h) * g.axes[2].taps
            for w in range(span.last[2], span.first[2] - 1, -1):
                at[count] = row * g.inner + w * step
                taps[count] = <int32_t> (tap + w)
                count += 1
                if count == GROUP:
                    visit_any[Vec](best, which, x, at, taps, lanes, stride_in, stride_out, first, keep)
                    first = False
                    count = 0
    if count > 0:
        while count < GROUP:
            at[count] = at[count - 1]
            taps[count] = taps[count - 1]
            count += 1
        visit_any[Vec](best, which, x, at, taps, lanes, stride_in, stride_out, first, keep)


cdef inline void write_offsets(u8_r offsets, const int32_t* which, Py_ssize_t lanes, Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t j
    if stride == 1:
        for j in range(lanes):
            offsets[j] = <uint8_t> which[j]
    else:
        for j in range(lanes):
            offsets[j * stride] = <uint8_t> which[j]


cdef inline void write_short_indices(
    i32_r narrow, i64_r wide, const int32_t* which, const Geometry* g, int64_t origin, int64_t origin_step,
    Py_ssize_t lanes, Py_ssize_t stride,
) noexcept nogil:
    """Indices for windows of at most 255 taps in planes below 2^31: no division, in 32 bits."""
    cdef Py_ssize_t j
    cdef uint32_t tap, row, depth, index
    cdef uint32_t rows = <uint32_t> g.axes[1].taps, columns = <uint32_t> g.axes[2].taps
    # tap * (65536 // n + 1) >> 16 is tap // n for all tap and n below 256.
    cdef uint32_t per_row = 65536 // columns + 1, per_depth = 65536 // rows + 1
    cdef uint32_t column_step = <uint32_t> g.axes[2].dilation
    cdef uint32_t row_step = <uint32_t> (g.axes[1].dilation * g.axes[2].size)
    cdef uint32_t depth_step = <uint32_t> (g.axes[0].dilation * g.axes[1].size * g.axes[2].size)
    cdef uint32_t base = <uint32_t> origin, step = <uint32_t> origin_step
    for j in range(lanes):
        tap = <uint32_t> which[j]
        row = (tap * per_row) >> 16
        depth = (row * per_depth) >> 16
        index = base + <uint32_t> j * step + depth * depth_step
        index += (row - depth * rows) * row_step + (tap - row * columns) * column_step
        if wide != NULL:
            wide[j * stride] = <int32_t> index
        else:
            narrow[j * stride] = <int32_t> index


cdef inline void write_long_indices(
    i32_r narrow, i64_r wide, const int32_t* which, const Geometry* g, int64_t origin, int64_t origin_step,
    Py_ssize_t lanes, Py_ssize_t stride,
) noexcept nogil:
    """Indices for any window and any plane."""
    cdef Py_ssize_t j
    cdef int64_t tap, row, index
    for j in range(lanes):
        row = which[j] // g.axes[2].taps
        tap = which[j] - row * g.axes[2].taps
        index = row // g.axes[1].taps * g.axes[0].dilation * g.axes[1].size
        index = (index + row % g.axes[1].taps * g.axes[1].dilation) * g.axes[2].size + tap * g.axes[2].dilation
        index += origin + j * origin_step
        if wide != NULL:
            wide[j * stride] = index
        else:
            narrow[j * stride] = <int32_t> index


cdef void write_indices(
    void* indices, bint wide, int64_t position, const int32_t* which, const Geometry* g, int64_t origin,
    int64_t origin_step, Py_ssize_t lanes, Py_ssize_t stride,
) noexcept nogil:
    """Turn taps into plane positions: `origin` is that of the first lane's window, each lane is a step further."""
    cdef bint short = g.taps <= OFFSET_TAPS and g.plane <= INT32_PLANE
    cdef i32_r narrow = <i32_r> indices
    cdef i64_r long = <i64_r> indices
    if short and wide:
        write_short_indices(<i32_r> NULL, long + position, which, g, origin, origin_step, lanes, stride)
    elif short and stride == 1:
        write_short_indices(narrow + position, <i64_r> NULL, which, g, origin, origin_step, lanes, 1)
    elif short:
        write_short_indices(narrow + position, <i64_r> NULL, which, g, origin, origin_step, lanes, stride)
    elif wide:
        write_long_indices(<i32_r> NULL, long + position, which, g, origin, origin_step, lanes, stride)
    else:
        write_long_indices(narrow + position, <i64_r> NULL, which, g, origin, origin_step, lanes, stride)


cdef inline void pool_block(
    Vec outputs, const MaxPool* job, const Span* span, Vec x, int64_t position, int64_t channel, Py_ssize_t lanes,
    Py_ssize_t stride_in, Py_ssize_t stride_out, int64_t origin_step,
) noexcept nogil:
    """Pool up to LANES lanes and write everything that was asked for."""
    cdef int32_t which[LANES]
    cdef bint keep = job.indices != NULL or job.offsets != NULL
    pool_lanes[Vec](x + channel, outputs + position, which, &job.geometry, span, lanes, stride_in, stride_out, keep)
    if job.offsets != NULL:
        write_offsets(job.offsets + position, which, lanes, stride_out)
    if job.indices != NULL:
        write_indices(job.indices, job.wide_indices, position, which, &job.geometry, span.origin, origin_step,
                      lanes, stride_out)


cdef inline void pool_windows(
    Vec outputs, const MaxPool* job, Span* span, Vec x, int64_t row_origin, int64_t position,
    int64_t begin, int64_t end, int64_t channel_begin, int64_t channel_end,
) noexcept nogil:
    """Pool a range of windows of one row; lanes are channels."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t o, channel
    for o in range(begin, end):
        valid_taps(&g.axes[2], o, &span.first[2], &span.last[2])
        span.origin = row_origin + window_start(&g.axes[2], o)
        channel = channel_begin
        while channel < channel_end:
            pool_block[Vec](outputs, job, span, x, position + o * g.inner + channel, channel,
                            min(<int64_t> LANES, channel_end - channel), 1, 1, 0)
            channel += LANES


cdef inline void pool_columns(
    Vec outputs, const MaxPool* job, Span* span, Vec x, int64_t row_origin, int64_t position,
    int64_t begin, int64_t end,
) noexcept nogil:
    """Pool a range of windows of one row, all of them whole along it; lanes are columns."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t o = begin, channel
    span.first[2] = 0
    span.last[2] = g.axes[2].taps - 1
    while o < end:
        span.origin = row_origin + window_start(&g.axes[2], o)
        for channel in range(g.inner):
            pool_block[Vec](outputs, job, span, x, position + o * g.inner + channel, channel,
                            min(<int64_t> LANES, end - o), g.axes[2].stride * g.inner, g.inner, g.axes[2].stride)
        o += LANES


cdef void pool_rows(Vec outputs, const MaxPool* job, int64_t begin, int64_t end) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef Vec inputs = <Vec> job.inputs
    cdef Vec x
    cdef Span span
    cdef int64_t item, block, row, plane, d, h, row_origin, position, whole_begin, whole_end
    whole_windows(&g.axes[2], &whole_begin, &whole_end)
    for item in range(begin, end):
        row = item // job.blocks
        block = item - row * job.blocks
        plane = row // (g.axes[0].pooled * g.axes[1].pooled)
        d = row // g.axes[1].pooled % g.axes[0].pooled
        h = row % g.axes[1].pooled
        valid_taps(&g.axes[0], d, &span.first[0], &span.last[0])
        valid_taps(&g.axes[1], h, &span.first[1], &span.last[1])
        x = inputs + plane * g.plane * g.inner
        row_origin = (window_start(&g.axes[0], d) * g.axes[1].size + window_start(&g.axes[1], h)) * g.axes[2].size
        position = row * g.axes[2].pooled * g.inner
        if g.inner >= FEW_CHANNELS:
            pool_windows[Vec](outputs, job, &span, x, row_origin, position, 0, g.axes[2].pooled,
                              block * g.inner // job.blocks, (block + 1) * g.inner // job.blocks)
        else:
            pool_windows[Vec](outputs, job, &span, x, row_origin, position, 0, whole_begin, 0, g.inner)
            pool_columns[Vec](outputs, job, &span, x, row_origin, position, whole_begin, whole_end)
            pool_windows[Vec](outputs, job, &span, x, row_origin, position, whole_end, g.axes[2].pooled, 0, g.inner)


cdef void max_pool(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const MaxPool* job = <const MaxPool*> argument
    if job.element == Element.FLOAT16:
        pool_rows[f16_r](<f16_r> job.outputs, job, begin, end)
    elif job.element == Element.BFLOAT16:
        pool_rows[bf16_r](<bf16_r> job.outputs, job, begin, end)
    elif job.element == Element.FLOAT32:
        pool_rows[f32_r](<f32_r> job.outputs, job, begin, end)
    elif job.element == Element.FLOAT64:
        pool_rows[f64_r](<f64_r> job.outputs, job, begin, end)
    elif job.element == Element.INT8:
        pool_rows[i8_r](<i8_r> job.outputs, job, begin, end)
    elif job.element == Element.UINT8:
        pool_rows[u8_r](<u8_r> job.outputs, job, begin, end)
    elif job.element == Element.INT16:
        pool_rows[i16_r](<i16_r> job.outputs, job, begin, end)
    elif job.element == Element.UINT16:
        pool_rows[u16_r](<u16_r> job.outputs, job, begin, end)
    elif job.element == Element.INT32:
        pool_rows[i32_r](<i32_r> job.outputs, job, begin, end)
    elif job.element == Element.UINT32:
        pool_rows[u32_r](<u32_r> job.outputs, job, begin, end)
    elif job.element == Element.INT64:
        pool_rows[i64_r](<i64_r> job.outputs, job, begin, end)
    elif job.element == Element.UINT64:
        pool_rows[u64_r](<u64_r> job.outputs, job, begin, end)


cdef void max_pool_indices(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Turn the offsets that backward keeps into indices. Offsets that no window has give indices of no meaning."""
    cdef const MaxPoolIndices* job = <const MaxPoolIndices*> argument
    cdef const Geometry* g = &job.geometry
    cdef int32_t which[LANES]
    cdef int64_t row, o, channel, origin, position, d, h
    cdef Py_ssize_t j, lanes
    for row in range(begin, end):
        d = window_start(&g.axes[0], row // g.axes[1].pooled % g.axes[0].pooled)
        h = window_start(&g.axes[1], row % g.axes[1].pooled)
        for o in range(g.axes[2].pooled):
            origin = (d * g.axes[1].size + h) * g.axes[2].size + window_start(&g.axes[2], o)
            channel = 0
            while channel < g.inner:
                lanes = min(<int64_t> LANES, g.inner - channel)
                position = (row * g.axes[2].pooled + o) * g.inner + channel
                for j in range(lanes):
                    which[j] = job.offsets[position + j]
                write_indices(job.indices, job.wide_indices, position, which, g, origin, 0, lanes, 1)
                channel += LANES
