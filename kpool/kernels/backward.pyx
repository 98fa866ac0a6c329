"""The kernels of gradients and of unpooling, compiled once for each instruction set."""
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from kpool.kernels.elements cimport (
    Element, Key, Moved, Number, RealVec, Share, Sum, SumVec, WordVec, bf16_r, bfloat_from_float, element_size,
    f16_r, f32_r, f64_r, float_from_bfloat, float_from_half, half_from_float, i32_r, i64_r, kp_bfloat, kp_half, u8_r,
    u16_r, u32_r, u64_r,
)
from kpool.kernels.geometry cimport (
    MAX_RANK, Axis, Geometry, all_whole, any_overlap, ceil_div, count_taps, covering_windows, floor_div,
    is_adaptive, overlaps, tap_on, valid_taps, window_start, windows_on,
)
from kpool.kernels.table cimport (
    LINE, NARROW, ROWS_TOGETHER, TURNED_WORDS, AveragePool, Backward, Move, Place, bytes_of_largest, is_wide, reach_of,
)
from kpool.kernels.threads cimport Work

include "halves.pxi"
include "tiles.pxi"
include "taps.pxi"
include "place_lanes.pxi"
include "place_bands.pxi"
include "place_pairs.pxi"
include "place.pxi"
include "planes.pxi"
include "place_planes.pxi"
include "collect.pxi"
include "divisors.pxi"
include "average_pool_sums.pxi"
include "average_pool_backward.pxi"
include "average_pool_backward_apart.pxi"
include "average_pool_backward_rows.pxi"
include "average_pool_backward_planes.pxi"
include "move.pxi"

cdef Backward kernels = Backward(
    place_back=place_back, place_planes=place_planes, collect_back=collect_back,
    average_pool_backward=average_pool_backward, average_pool_backward_planes=average_pool_backward_planes,
    scatter_last=scatter_last, scatter_sum=scatter_sum, gather=gather, gather_last=gather_last,
)

table = PyCapsule_New(&kernels, NULL, NULL)
