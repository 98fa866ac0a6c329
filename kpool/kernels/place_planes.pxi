# The gradient of max pooling of planes of few channels that are turned into more.


cdef void place_planes(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Work off groups of planes, by offset."""
    cdef const Place* job = <const Place*> argument
    cdef const Geometry* g = &job.geometry
    cdef int64_t size = g.plane * g.inner, windows = g.windows * g.inner
    cdef int width = element_size(job.element)
    cdef uint64_t room[TURNED_WORDS]
    cdef Place turned = job[0]
    cdef Turning turning = Turning(
        work=place_back, job=job, turned=&turned, geometry=&turned.geometry, planes=job.planes,
        rows=g.axes[0].size * g.axes[1].size, count=0, room=<char*> room)
    turned.past_cache = False
    turned.inputs = add_side(&turning, job.inputs, windows, width, False, bytes_of_largest(g, width, 0))
    turned.keys = add_side(&turning, job.keys, windows, 1, False, windows)
    turned.outputs = add_side(&turning, job.outputs, size, width, job.past_cache, size * width)
    work_off_planes(&turning, 2, begin, end)
