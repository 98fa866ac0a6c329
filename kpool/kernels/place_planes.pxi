# The gradient of max pooling of planes of few channels that are turned into more.


cdef void place_planes(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Work off groups of planes, by offset."""
    cdef const Place* job = <const Place*> argument
    cdef const Geometry* g = &job.geometry
    cdef uint64_t room[TURNED_WORDS]
    cdef int width = element_size(job.element)
    cdef TurnedRoom bytes = room_for_gradients(g, width)
    cdef char* inputs = <char*> room
    cdef char* outputs = inputs + job.planes * bytes.inputs
    cdef char* offsets = outputs + job.planes * bytes.outputs
    cdef int64_t rows = g.axes[0].size * g.axes[1].size, group
    cdef Place turned = job[0]
    cdef Planes planes
    turned.inputs = inputs
    turned.keys = offsets
    turned.outputs = outputs
    turned.past_cache = False
    for group in range(begin, end):
        planes = planes_at(g, job.planes, group)
        if planes.few:
            place_back(job, planes.first * rows, (planes.first + planes.count) * rows)
            continue
        turned.geometry = turned_geometry(g, &planes)
        turn_planes(inputs, job.inputs, &planes, g.windows * g.inner, width)
        turn_planes(offsets, job.keys, &planes, g.windows * g.inner, 1)
        place_back(&turned, 0, rows)
        put_planes(job.outputs, outputs, inputs, &planes, g.plane * g.inner, width, job.past_cache)
    if job.past_cache:
        finish_puts()
