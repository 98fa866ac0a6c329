# Moving elements by index: unpooling (a scatter), its gradient (a gather), and the gradient of pooling from indices.
#
# An index is the position in one channel's plane of the unpooled side. Work is divided by planes and by blocks of
# channels, so a thread owns all that its indices can reach, and goes through the windows in row-major order.

cdef extern from *:
    """
    /* Lower *value to x, whatever other threads do. */
    static inline void kp_lower(int64_t* value, int64_t x) {
        int64_t seen = __atomic_load_n(value, __ATOMIC_RELAXED);
        while (x < seen && !__atomic_compare_exchange_n(value, &seen, x, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    }
    """
    void lower "kp_lower" (int64_t* value, int64_t x) noexcept nogil

cdef enum:
    LANES = 256         # indices that move together stay in the first-level cache

# A run of neighbouring indices, widened and checked. Lane j moves between `position + j` of the pooled side and
# `at[j] * inner + channel + j * channel_step` of the unpooled one.
cdef struct Run:
    int64_t at[LANES]
    int64_t position
    int64_t channel
    int64_t channel_step
    Py_ssize_t lanes


cdef bint load_run(Run* run, const Move* job) noexcept nogil:
    """Read the indices at `position`; whether all of them point into the plane. The first that does not is noted.

    Each is read once, and the copy is checked: another thread may write to a tensor that shares its memory.
    """
    cdef const int32_t* narrow = <const int32_t*> job.indices + run.position
    cdef const int64_t* wide = <const int64_t*> job.indices + run.position
    cdef uint64_t size = <uint64_t> job.geometry.plane
    cdef bint bad = False
    cdef Py_ssize_t j
    if job.wide_indices:
        for j in range(run.lanes):
            run.at[j] = wide[j]
            bad = bad | (<uint64_t> run.at[j] >= size)
    else:
        for j in range(run.lanes):
            run.at[j] = narrow[j]
            bad = bad | (<uint64_t> run.at[j] >= size)
    if not bad:
        return True
    for j in range(run.lanes):
        if <uint64_t> run.at[j] >= size:
            lower(&(<Move*> job).bad_position, run.position + j)
            return False
    return False


cdef inline Item share_of(const Move* job, int64_t number) noexcept nogil:
    """A block of channels of one plane."""
    return item_at(number, job.blocks, job.geometry.inner, 1, 1)


cdef inline int64_t corner(const Geometry* g, const Item* share) noexcept nogil:
    """The plane's first element on the unpooled side."""
    return share.plane * g.plane * g.inner


cdef bint run_at(Run* run, const Geometry* g, const Item* share, int64_t number) noexcept nogil:
    """Set out the plane's run of that number; whether there is one. Runs ascend in row-major order of the windows."""
    cdef int64_t per_window, window, length
    if g.inner == 1:
        window = number * LANES
        length = g.windows - window
        run.channel = 0
        run.channel_step = 0
    else:
        per_window = ceil_div(share.channel_end - share.channel, LANES)
        window = number // per_window
        run.channel = share.channel + (number - window * per_window) * LANES
        length = share.channel_end - run.channel if window < g.windows else 0
        run.channel_step = 1
    run.position = (share.plane * g.windows + window) * g.inner + run.channel
    run.lanes = min(<int64_t> LANES, length)
    return length > 0


cdef int64_t runs_of(const Geometry* g, const Item* share) noexcept nogil:
    if g.inner == 1:
        return ceil_div(g.windows, LANES)
    return g.windows * ceil_div(share.channel_end - share.channel, LANES)


cdef void zero(void* plane, const Geometry* g, const Item* share, size_t width) noexcept nogil:
    """Zero the share's channels of its plane, whose elements have `width` bytes."""
    cdef int64_t position, block = share.channel_end - share.channel
    if block == g.inner:
        memset(plane, 0, g.plane * g.inner * width)
        return
    for position in range(g.plane):
        memset(<char*> plane + (position * g.inner + share.channel) * width, 0, block * width)


cdef void scatter_last_items(WordVec outputs, const Move* job, int64_t begin, int64_t end) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef WordVec inputs = <WordVec> job.inputs
    cdef WordVec target
    cdef Run run
    cdef Item share
    cdef int64_t item, number
    cdef Py_ssize_t j
    for item in range(begin, end):
        share = share_of(job, item)
        target = outputs + corner(g, &share)
        zero(target, g, &share, sizeof(outputs[0]))
        number = 0
        while run_at(&run, g, &share, number):
            if load_run(&run, job):
                for j in range(run.lanes):
                    target[run.at[j] * g.inner + run.channel + j * run.channel_step] = inputs[run.position + j]
            number += 1


cdef void scatter_sum_items(SumVec outputs, const Move* job, int64_t begin, int64_t end) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef SumVec inputs = <SumVec> job.inputs
    cdef SumVec target
    cdef f32_r sums
    cdef Run run
    cdef Item share
    cdef int64_t item, number, position, channel, to
    cdef Py_ssize_t j
    for item in range(begin, end):
        share = share_of(job, item)
        target = outputs + corner(g, &share)
        if SumVec is f16_r or SumVec is bf16_r:
            sums = <f32_r> job.scratch + corner(g, &share)
            zero(sums, g, &share, sizeof(sums[0]))
        else:
            zero(target, g, &share, sizeof(outputs[0]))
        number = 0
        while run_at(&run, g, &share, number):
            if load_run(&run, job):
                for j in range(run.lanes):
                    to = run.at[j] * g.inner + run.channel + j * run.channel_step
                    if SumVec is f16_r:
                        sums[to] += float_from_half(inputs[run.position + j])
                    elif SumVec is bf16_r:
                        sums[to] += float_from_bfloat(inputs[run.position + j])
                    else:
                        target[to] += inputs[run.position + j]
            number += 1
        if SumVec is f16_r or SumVec is bf16_r:
            for position in range(g.plane):
                for channel in range(share.channel, share.channel_end):
                    to = position * g.inner + channel
                    if SumVec is f16_r:
                        target[to] = <kp_half> half_from_float(sums[to])
                    else:
                        target[to] = <kp_bfloat> bfloat_from_float(sums[to])


cdef void gather_items(WordVec outputs, const Move* job, int64_t begin, int64_t end) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef WordVec source
    cdef Run run
    cdef Item share
    cdef int64_t item, number
    cdef Py_ssize_t j
    for item in range(begin, end):
        share = share_of(job, item)
        source = <WordVec> job.inputs + corner(g, &share)
        number = 0
        while run_at(&run, g, &share, number):
            if load_run(&run, job):
                for j in range(run.lanes):
                    outputs[run.position + j] = source[run.at[j] * g.inner + run.channel + j * run.channel_step]
            number += 1


cdef void gather_last_items(WordVec outputs, const Move* job, int64_t begin, int64_t end) noexcept nogil:
    """Gather for the last of the windows that share an index; the others get zero."""
    cdef const Geometry* g = &job.geometry
    cdef WordVec source
    cdef u8_r taken
    cdef Run run
    cdef Item share
    cdef int64_t item, number, at
    cdef Py_ssize_t j
    for item in range(begin, end):
        share = share_of(job, item)
        source = <WordVec> job.inputs + corner(g, &share)
        taken = <u8_r> job.scratch + corner(g, &share)
        zero(taken, g, &share, 1)
        for number in range(runs_of(g, &share) - 1, -1, -1):
            run_at(&run, g, &share, number)
            if load_run(&run, job):
                for j in range(run.lanes - 1, -1, -1):
                    at = run.at[j] * g.inner + run.channel + j * run.channel_step
                    outputs[run.position + j] = 0 if taken[at] else source[at]
                    taken[at] = 1


cdef void scatter_last(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const Move* job = <const Move*> argument
    cdef int width = element_size(job.element)
    if width == 1:
        scatter_last_items[u8_r](<u8_r> job.outputs, job, begin, end)
    elif width == 2:
        scatter_last_items[u16_r](<u16_r> job.outputs, job, begin, end)
    elif width == 4:
        scatter_last_items[u32_r](<u32_r> job.outputs, job, begin, end)
    else:
        scatter_last_items[u64_r](<u64_r> job.outputs, job, begin, end)


cdef void scatter_sum(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const Move* job = <const Move*> argument
    cdef int width = element_size(job.element)
    if job.element == Element.FLOAT16:
        scatter_sum_items[f16_r](<f16_r> job.outputs, job, begin, end)
    elif job.element == Element.BFLOAT16:
        scatter_sum_items[bf16_r](<bf16_r> job.outputs, job, begin, end)
    elif job.element == Element.FLOAT32:
        scatter_sum_items[f32_r](<f32_r> job.outputs, job, begin, end)
    elif job.element == Element.FLOAT64:
        scatter_sum_items[f64_r](<f64_r> job.outputs, job, begin, end)
    elif width == 1:
        scatter_sum_items[u8_r](<u8_r> job.outputs, job, begin, end)
    elif width == 2:
        scatter_sum_items[u16_r](<u16_r> job.outputs, job, begin, end)
    elif width == 4:
        scatter_sum_items[u32_r](<u32_r> job.outputs, job, begin, end)
    else:
        scatter_sum_items[u64_r](<u64_r> job.outputs, job, begin, end)


cdef void gather(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const Move* job = <const Move*> argument
    cdef int width = element_size(job.element)
    if width == 1:
        gather_items[u8_r](<u8_r> job.outputs, job, begin, end)
    elif width == 2:
        gather_items[u16_r](<u16_r> job.outputs, job, begin, end)
    elif width == 4:
        gather_items[u32_r](<u32_r> job.outputs, job, begin, end)
    else:
        gather_items[u64_r](<u64_r> job.outputs, job, begin, end)


cdef void gather_last(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const Move* job = <const Move*> argument
    cdef int width = element_size(job.element)
    if width == 1:
        gather_last_items[u8_r](<u8_r> job.outputs, job, begin, end)
    elif width == 2:
        gather_last_items[u16_r](<u16_r> job.outputs, job, begin, end)
    elif width == 4:
        gather_last_items[u32_r](<u32_r> job.outputs, job, begin, end)
    else:
        gather_last_items[u64_r](<u64_r> job.outputs, job, begin, end)
