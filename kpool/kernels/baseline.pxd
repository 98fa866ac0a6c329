"""The kernels, compiled for the least processor of the platform."""
from kpool.kernels.table cimport Kernels

cdef const Kernels* kernels() noexcept nogil
