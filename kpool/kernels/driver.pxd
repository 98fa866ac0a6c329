"""Runs a job on the kernels and the worker pool. The caller has filled in all but what says how to run it."""
from kpool.kernels.table cimport AveragePool, MaxPool, MaxPoolIndices, Move, Place

cdef void run_max_pool(MaxPool* job) noexcept nogil
cdef void run_max_pool_backward(Place* job) noexcept nogil
cdef void run_max_pool_indices(const MaxPoolIndices* job) noexcept nogil
cdef void run_average_pool(AveragePool* job) noexcept nogil
cdef void run_average_pool_backward(AveragePool* job) noexcept nogil
cdef void run_scatter_last(Move* job) noexcept nogil
cdef void run_scatter_sum(Move* job) noexcept nogil
cdef void run_gather(Move* job) noexcept nogil
cdef void run_gather_last(Move* job) noexcept nogil
