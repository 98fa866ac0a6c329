"""One process-wide pool of worker threads, for every caller of every framework."""
from libc.stdint cimport int64_t

# Does items [begin, end) of a job. Called from any thread, without the GIL.
ctypedef void (*Work)(const void* job, int64_t begin, int64_t end) noexcept nogil

cdef void parallel_for(Work work, const void* job, int64_t items, double cost) noexcept nogil
