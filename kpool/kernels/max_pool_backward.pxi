# The gradient of max pooling with windows that overlap, from the offsets that forward kept.
#
# Work is divided by rows of the unpooled side, and a row adds up what every window above it has to give, in row-major
# order of the windows. So each element is written by one thread, and the order of additions is the same for any
# number of threads.

cdef enum:
    LANES = 256         # that move together: their sums, or their indices, stay in the first-level cache


cdef inline Real kept(Real value, bint keep) noexcept nogil:
    """A value or zero. As an argument the value is read either way, and a loop without branches is vectorised."""
    return value if keep else <Real> 0


cdef inline void give(
    RealVec row, RealVec gradients, u8_r offsets, int64_t tap, Py_ssize_t lanes, Py_ssize_t stride_row,
    Py_ssize_t stride,
) noexcept nogil:
    """Hand each lane's gradient to the row if this tap won."""
    cdef Py_ssize_t j
    cdef uint8_t winner = <uint8_t> tap
    for j in range(lanes):
        # The half types are added up elsewhere.
        if RealVec is f32_r or RealVec is f64_r:
            row[j * stride_row] += kept(gradients[j * stride], offsets[j * stride] == winner)


cdef inline void give_row(
    RealVec row, RealVec gradients, u8_r offsets, const Geometry* g, int64_t first_tap,
) noexcept nogil:
    """Hand on the gradients of one row of windows, `first_tap` being the row's first tap in the windows."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t o, tap, position, begin, end
    if g.inner >= FEW_CHANNELS or axis.adaptive:
        for o in range(axis.pooled):
            valid_taps(axis, o, &begin, &end)
            for tap in range(begin, end + 1):
                position = window_start(axis, o) + tap * axis.dilation
                give[RealVec](row + position * g.inner, gradients + o * g.inner, offsets + o * g.inner,
                              first_tap + tap, g.inner, 1, 1)
        return
    for tap in range(axis.taps - 1, -1, -1):
        # The windows whose tap lies inside the row; from the last tap on, they reach an element in ascending order.
        position = tap * axis.dilation - axis.before
        begin = ceil_div(-position, axis.stride) if position < 0 else 0
        end = min(axis.pooled, (axis.size - 1 - position) // axis.stride + 1) if position < axis.size else 0
        if begin < end:
            position += begin * axis.stride
            for o in range(g.inner):
                give[RealVec](row + position * g.inner + o, gradients + begin * g.inner + o,
                              offsets + begin * g.inner + o, first_tap + tap, end - begin, axis.stride * g.inner,
                              g.inner)


cdef inline void collect_half(
    HalfVec outputs, HalfVec gradients, const uint8_t* offsets, const Geometry* g,
    int64_t d, int64_t h, int64_t w, int64_t channel, Py_ssize_t lanes,
) noexcept nogil:
    """One element per lane of a half type, summed in float32 over all windows above it and rounded once."""
    cdef float total[LANES]
    cdef int64_t od, oh, ow, first_d, last_d, first_h, last_h, first_w, last_w, kd, kh, kw, position
    cdef uint8_t winner
    cdef Py_ssize_t j
    for j in range(lanes):
        total[j] = 0
    covering_windows(&g.axes[0], d, &first_d, &last_d)
    covering_windows(&g.axes[1], h, &first_h, &last_h)
    covering_windows(&g.axes[2], w, &first_w, &last_w)
    for od in range(first_d, last_d + 1):
        kd = tap_on(&g.axes[0], d, od)
        if kd < 0:
            continue
        for oh in range(first_h, last_h + 1):
            kh = tap_on(&g.axes[1], h, oh)
            if kh < 0:
                continue
            for ow in range(first_w, last_w + 1):
                kw = tap_on(&g.axes[2], w, ow)
                if kw < 0:
                    continue
                winner = <uint8_t> ((kd * g.axes[1].taps + kh) * g.axes[2].taps + kw)
                position = ((od * g.axes[1].pooled + oh) * g.axes[2].pooled + ow) * g.inner + channel
                for j in range(lanes):
                    if HalfVec is f16_r:
                        total[j] += float_from_half(gradients[position + j]) if offsets[position + j] == winner else 0
                    else:
                        total[j] += float_from_bfloat(gradients[position + j]) if offsets[position + j] == winner else 0
    position = ((d * g.axes[1].size + h) * g.axes[2].size + w) * g.inner + channel
    for j in range(lanes):
        if HalfVec is f16_r:
            outputs[position + j] = <kp_half> half_from_float(total[j])
        else:
            outputs[position + j] = <kp_bfloat> bfloat_from_float(total[j])


cdef void collect_half_row(
    HalfVec outputs, HalfVec gradients, const uint8_t* offsets, const Geometry* g, int64_t d, int64_t h,
) noexcept nogil:
    cdef int64_t w, channel
    for w in range(g.axes[2].size):
        channel = 0
        while channel < g.inner:
            collect_half[HalfVec](outputs, gradients, offsets, g, d, h, w, channel,
                                  min(<int64_t> LANES, g.inner - channel))
            channel += LANES


cdef void collect_row(
    RealVec outputs, RealVec gradients, const uint8_t* offsets, const Geometry* g, int64_t d, int64_t h,
) noexcept nogil:
    """One row of float32 or float64. `outputs` is its plane's, as `gradients` and `offsets` are."""
    cdef int64_t od, oh, first_d, last_d, first_h, last_h, kd, kh, position
    cdef int64_t width = g.axes[2].size * g.inner
    cdef RealVec row = outputs + (d * g.axes[1].size + h) * width
    memset(row, 0, width * sizeof(row[0]))
    covering_windows(&g.axes[0], d, &first_d, &last_d)
    covering_windows(&g.axes[1], h, &first_h, &last_h)
    for od in range(first_d, last_d + 1):
        kd = tap_on(&g.axes[0], d, od)
        if kd < 0:
            continue
        for oh in range(first_h, last_h + 1):
            kh = tap_on(&g.axes[1], h, oh)
            if kh >= 0:
                position = (od * g.axes[1].pooled + oh) * g.axes[2].pooled * g.inner
                give_row[RealVec](row, gradients + position, <u8_r> offsets + position, g,
                                  (kd * g.axes[1].taps + kh) * g.axes[2].taps)


cdef void backward_rows(RealVec outputs, const MaxPoolBackward* job, int64_t begin, int64_t end) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef RealVec gradients = <RealVec> job.gradients
    cdef int64_t row, plane, d, h
    for row in range(begin, end):
        h = row % g.axes[1].size
        d = row // g.axes[1].size % g.axes[0].size
        plane = row // (g.axes[1].size * g.axes[0].size) * g.inner
        if RealVec is f16_r or RealVec is bf16_r:
            collect_half_row[RealVec](outputs + plane * g.plane, gradients + plane * g.windows,
                                      job.offsets + plane * g.windows, g, d, h)
        else:
            collect_row[RealVec](outputs + plane * g.plane, gradients + plane * g.windows,
                                 job.offsets + plane * g.windows, g, d, h)


cdef void max_pool_backward(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const MaxPoolBackward* job = <const MaxPoolBackward*> argument
    if job.element == Element.FLOAT16:
        backward_rows[f16_r](<f16_r> job.outputs, job, begin, end)
    elif job.element == Element.BFLOAT16:
        backward_rows[bf16_r](<bf16_r> job.outputs, job, begin, end)
    elif job.element == Element.FLOAT32:
        backward_rows[f32_r](<f32_r> job.outputs, job, begin, end)
    elif job.element == Element.FLOAT64:
        backward_rows[f64_r](<f64_r> job.outputs, job, begin, end)
