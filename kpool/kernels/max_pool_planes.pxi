# Max pooling of planes of few channels that are turned into more.


cdef void max_pool_planes(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    """Work off groups of planes."""
    cdef const MaxPool* job = <const MaxPool*> argument
    cdef const Geometry* g = &job.geometry
    cdef uint64_t room[TURNED_WORDS]
    cdef int width = element_size(job.element), index_width = index_size(job)
    cdef TurnedRoom bytes = room_for_pooling(g, width, index_width)
    cdef char* inputs = <char*> room
    cdef char* outputs = inputs + job.planes * bytes.inputs
    cdef char* indices = outputs + job.planes * bytes.outputs
    cdef char* offsets = indices + job.planes * bytes.indices
    cdef int64_t size = g.plane * g.inner, results = g.windows * g.inner, group
    cdef int64_t rows = g.axes[0].pooled * ceil_div(g.axes[1].pooled, job.rows)
    cdef MaxPool turned = job[0]
    cdef Planes planes
    turned.inputs = inputs
    turned.outputs = outputs
    turned.indices = NULL if job.indices == NULL else indices
    turned.offsets = NULL if job.offsets == NULL else <uint8_t*> offsets
    turned.past_cache = False
    for group in range(begin, end):
        planes = planes_at(g, job.planes, group)
        if planes.few:
            max_pool(job, planes.first * rows, (planes.first + planes.count) * rows)
            continue
        turned.geometry = turned_geometry(g, &planes)
        turn_planes(inputs, job.inputs, &planes, size, width)
        max_pool(&turned, 0, rows)
        put_planes(job.outputs, outputs, inputs, &planes, results, width, job.past_cache)
        if job.indices != NULL:
            put_planes(job.indices, indices, inputs, &planes, results, index_width, job.past_cache)
        if job.offsets != NULL:
            put_planes(job.offsets, offsets, inputs, &planes, results, 1, False)
    if job.past_cache:
        finish_puts()
