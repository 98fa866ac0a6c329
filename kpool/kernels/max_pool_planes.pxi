# Max pooling of planes of few channels that are turned into more.


cdef void max_pool_planes(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Work off groups of planes."""
    cdef const MaxPool* job = <const MaxPool*> argument
    cdef const Geometry* g = &job.geometry
    cdef int64_t size = g.plane * g.inner, results = g.windows * g.inner
    cdef int width = element_size(job.element), index_width = index_size(job)
    cdef uint64_t room[TURNED_WORDS]
    cdef MaxPool turned = job[0]
    cdef Turning turning = Turning(
        work=max_pool, job=job, turned=&turned, geometry=&turned.geometry, planes=job.planes,
        rows=rows_of_windows(g, job.rows), count=0, room=<char*> room)
    turned.past_cache = False
    turned.inputs = add_side(&turning, job.inputs, size, width, False, bytes_of_largest(g, width, index_width))
    turned.outputs = add_side(&turning, job.outputs, results, width, job.past_cache, results * width)
    if job.indices != NULL:
        turned.indices = add_side(&turning, job.indices, results, index_width, job.past_cache, results * index_width)
    if job.offsets != NULL:
        turned.offsets = <uint8_t*> add_side(&turning, job.offsets, results, 1, False, results)
    work_off_planes(&turning, 1, begin, end)
