"""The kernels of pooling, compiled once for each instruction set."""
from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport INFINITY
from libc.stdint cimport (
    INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy, memset

from kpool.kernels.elements cimport (
    Element, Index, Moved, RealVec, Sum, Tap, Vec, bf16_r, bfloat_from_float, element_size, f16_r, f32_r, f64_r,
    float_from_bfloat, float_from_half, half_from_float, half_order, i8_r, i16_r, i32_r, i64_r, kp_bfloat, kp_half,
    plain_f32_r, plain_f64_r, u8_r, u16_r, u32_r, u64_r,
)
from kpool.kernels.geometry cimport (
    INT32_PLANE, MAX_RANK, Axis, Geometry, ceil_div, count_taps, covering_windows, floor_div, is_adaptive,
    overlaps, valid_taps, window_start, windows_on,
)
from kpool.kernels.table cimport (
    LINE, NARROW, ROWS_TOGETHER, TURNED_WORDS, AveragePool, Forward, MaxPool, MaxPoolIndices, bytes_of_largest,
    index_size, is_wide, reach_of, rows_of_windows,
)
from kpool.kernels.threads cimport Work

include "halves.pxi"
include "tiles.pxi"
include "taps.pxi"
include "max_pool_indices.pxi"
include "max_pool_pairs.pxi"
include "max_pool_compare.pxi"
include "max_pool_direct.pxi"
include "max_pool_lines.pxi"
include "max_pool_doubling.pxi"
include "max_pool_groups.pxi"
include "max_pool_rows.pxi"
include "max_pool.pxi"
include "planes.pxi"
include "max_pool_planes.pxi"
include "divisors.pxi"
include "average_pool_sums.pxi"
include "average_pool_runs.pxi"
include "average_pool_direct.pxi"
include "average_pool.pxi"
include "average_pool_groups.pxi"
include "average_pool_rows.pxi"
include "average_pool_planes.pxi"

cdef Forward kernels = Forward(
    max_pool=max_pool, max_pool_planes=max_pool_planes, max_pool_indices=max_pool_indices, average_pool=average_pool,
    average_pool_planes=average_pool_planes,
)

table = PyCapsule_New(&kernels, NULL, NULL)
