"""Cuts a job into items for the worker pool, and runs it on the kernels."""
from libc.stdint cimport int64_t

from kpool.kernels cimport baseline
from kpool.kernels.elements cimport element_size
from kpool.kernels.geometry cimport Geometry
from kpool.kernels.table cimport AveragePool, Kernels, MaxPool, MaxPoolBackward, MaxPoolIndices, Move
from kpool.kernels.threads cimport Work, parallel_for

cdef const Kernels* kernels = baseline.kernels()

cdef enum:
    ENOUGH_ITEMS = 64       # to keep any pool busy
    BLOCK = 32              # channels that are worth an item of their own


cdef int64_t channel_blocks(int64_t items, int64_t channels) noexcept nogil:
    """Into how many blocks to cut the channels where there are few other items."""
    if items == 0:
        return 1
    return max(1, min(channels // BLOCK, ENOUGH_ITEMS // items))


cdef int64_t pooled_rows(const Geometry* g) noexcept nogil:
    return g.outer * g.axes[0].pooled * g.axes[1].pooled


cdef double traffic(const Geometry* g, double width) noexcept nogil:
    """Bytes of one tensor of each side, about what a job reads and writes."""
    return <double> (g.outer * g.inner) * <double> (g.plane + g.windows) * width


cdef void run(Work work, const void* job, const Geometry* g, int64_t items, double cost) noexcept nogil:
    # Tensors without elements may have axes too long to walk.
    if g.outer > 0 and g.inner > 0:
        parallel_for(work, job, items, cost)


cdef void run_max_pool(MaxPool* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef int64_t rows = pooled_rows(g)
    # Where windows overlap, reading counts once per tap.
    cdef double reads = <double> (g.outer * g.inner) * <double> g.windows * <double> g.taps
    job.blocks = channel_blocks(rows, g.inner)
    run(kernels.max_pool, job, g, rows * job.blocks, max(reads, traffic(g, 1)) * element_size(job.element))


cdef void run_max_pool_backward(const MaxPoolBackward* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    run(kernels.max_pool_backward, job, g, g.outer * g.axes[0].size * g.axes[1].size,
        traffic(g, element_size(job.element)))


cdef void run_max_pool_indices(const MaxPoolIndices* job) noexcept nogil:
    run(kernels.max_pool_indices, job, &job.geometry, pooled_rows(&job.geometry), traffic(&job.geometry, 4))


cdef void run_average_pool(AveragePool* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef int64_t rows = pooled_rows(g)
    cdef double reads = <double> (g.outer * g.inner) * <double> g.windows * <double> g.taps
    job.blocks = channel_blocks(rows, g.inner)
    run(kernels.average_pool, job, g, rows * job.blocks, max(reads, traffic(g, 1)) * element_size(job.element))


cdef void run_average_pool_backward(AveragePool* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef int64_t rows = g.outer * g.axes[0].size * g.axes[1].size
    job.blocks = channel_blocks(rows, g.inner)
    run(kernels.average_pool_backward, job, g, rows * job.blocks, traffic(g, element_size(job.element)))


cdef void run_move(Work work, Move* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    job.blocks = channel_blocks(g.outer, g.inner)
    run(work, job, g, g.outer * job.blocks, traffic(g, element_size(job.element)))


cdef void run_scatter_last(Move* job) noexcept nogil:
    run_move(kernels.scatter_last, job)


cdef void run_scatter_sum(Move* job) noexcept nogil:
    run_move(kernels.scatter_sum, job)


cdef void run_gather(Move* job) noexcept nogil:
    run_move(kernels.gather, job)


cdef void run_gather_last(Move* job) noexcept nogil:
    run_move(kernels.gather_last, job)
