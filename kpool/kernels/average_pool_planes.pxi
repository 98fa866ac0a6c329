# Average pooling of planes of few channels that are turned into more.


cdef void average_pool_planes(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Work off groups of planes."""
    cdef const AveragePool* job = <const AveragePool*> argument
    cdef const Geometry* g = &job.geometry
    cdef int width = element_size(job.element)
    cdef uint64_t room[TURNED_WORDS]
    cdef AveragePool turned = job[0]
    cdef Turning turning = Turning(
        work=average_pool, job=job, turned=&turned, geometry=&turned.geometry, planes=job.planes,
        rows=rows_of_windows(g, job.rows), count=0, room=<char*> room)
    turned.past_cache = False
    turned.inputs = add_side(&turning, job.inputs, g.plane * g.inner, width, False, bytes_of_largest(g, width, 0))
    turned.outputs = add_side(&turning, job.outputs, g.windows * g.inner, width, job.past_cache,
                              g.windows * g.inner * width)
    work_off_planes(&turning, 1, begin, end)
