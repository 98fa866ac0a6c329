"""Chooses the compiled kernels for this processor, cuts a job into items for the worker pool, and runs it."""
import os
from importlib import import_module

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t

from kpool.kernels.caches import last_level_cache
from kpool.kernels.elements cimport Element, element_size
from kpool.kernels.geometry cimport INT32_PLANE, Axis, Geometry, all_whole, any_overlap, ceil_div
from kpool.kernels.table cimport (
    LESS_WIDE, MOST_TURNED, NARROW, ROWS_TOGETHER, TURNED_ROOM, AveragePool, Backward, Forward, MaxPool,
    MaxPoolIndices, Move, Place, bytes_of_largest, index_size, is_wide, reach_of, rows_of_windows,
)
from kpool.kernels.threads cimport Work, parallel_for

cdef extern from *:
    """
    /* How many of the instruction sets that were compiled this processor has; the least is always there. */
    #if defined(__x86_64__) && KPOOL_LEVELS > 1
    #if __GNUC__ >= 12 && !defined(__clang__)
    #define KP_V3 (__builtin_cpu_supports("x86-64-v3"))
    #define KP_V4 (__builtin_cpu_supports("x86-64-v4"))
    #else
    #define KP_V3 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") \
                   && __builtin_cpu_supports("fma"))
    #define KP_V4 (KP_V3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") \
                   && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") \
                   && __builtin_cpu_supports("avx512vl"))
    #endif
    static int kp_usable_levels(void) {
        __builtin_cpu_init();
        return KP_V4 ? 3 : KP_V3 ? 2 : 1;
    }
    #else
    static int kp_usable_levels(void) { return 1; }
    #endif
    static int64_t kp_detours;
    static inline void kp_note_detour(void) { __atomic_fetch_add(&kp_detours, 1, __ATOMIC_RELAXED); }
    """
    int usable_levels "kp_usable_levels" () noexcept nogil
    int64_t detours_made "kp_detours"
    void note_detour "kp_note_detour" () noexcept nogil

cdef enum:
    ENOUGH_ITEMS = 64       # to keep any pool busy
    BLOCK = 32              # channels that are worth an item of their own
    FEWEST_TOGETHER = 4     # rows of windows that are worth taking together
    SMALL_PLANE = 512       # elements

# The instruction sets that this processor has, least first. Each has two modules of its own, compiled for it.
LEVELS = ("baseline", "avx2", "avx512")[: usable_levels()]

cdef const Forward* forward
cdef const Backward* backward
cdef str chosen
cdef double size_of_cache = last_level_cache()


def set_level(str level):
    """Use the kernels of one of LEVELS from now on. Results are the same bits for each."""
    global forward, backward, chosen
    if level not in LEVELS:
        raise ValueError(
            "`level`, or the environment variable KPOOL_SIMD, must be an instruction set that this processor has: "
            f"{', '.join(LEVELS)}. Received: level={level!r}"
        )
    tables = [import_module(f"kpool.kernels.{part}_{level}").table for part in ("forward", "backward")]
    forward = <const Forward*> PyCapsule_GetPointer(tables[0], NULL)
    backward = <const Backward*> PyCapsule_GetPointer(tables[1], NULL)
    chosen = level


def set_cache_size(double size):
    """Take the last level of cache to have so many bytes; 0 for what the system says. For tests and measurements."""
    global size_of_cache
    size_of_cache = size if size > 0 else last_level_cache()


def cache_size():
    """Bytes: what reads and writes more than this does not write through the cache."""
    return size_of_cache


def detours():
    """How many jobs had to follow indices, since asking windows did not meet them all. For tests and measurements."""
    return detours_made


def level():
    """The instruction set in use."""
    return chosen


set_level(os.environ.get("KPOOL_SIMD") or LEVELS[len(LEVELS) - 1])


cdef int64_t channel_blocks(int64_t items, int64_t channels) noexcept nogil:
    """Into how many blocks to cut the channels where there are few other items."""
    if items == 0:
        return 1
    return max(1, min(channels // BLOCK, ENOUGH_ITEMS // items))


cdef int64_t pooled_rows(const Geometry* g, int64_t together) noexcept nogil:
    """How many rows of windows there are, with so many of a plane counted as one."""
    return g.outer * rows_of_windows(g, together)


cdef double traffic(const Geometry* g, double width) noexcept nogil:
    """Bytes of one tensor of each side, about what a job reads and writes."""
    return <double> (g.outer * g.inner) * <double> (g.plane + g.windows) * width


cdef bint is_past_cache(const Geometry* g, Element element) noexcept nogil:
    return traffic(g, element_size(element)) > size_of_cache


cdef void run(Work work, const void* job, const Geometry* g, int64_t items, double cost) noexcept nogil:
    # Tensors without elements may have axes too long to walk.
    if g.outer > 0 and g.inner > 0:
        parallel_for(work, job, items, cost)


cdef void run_either(
    Work work, Work planes_work, const void* job, const Geometry* g, int64_t planes, int64_t items, double cost,
) noexcept nogil:
    """Run a job by its items, or by groups of so many planes if any are turned."""
    if planes > 0:
        run(planes_work, job, g, ceil_div(g.outer, planes), cost)
    else:
        run(work, job, g, items, cost)


cdef double pooling_cost(const Geometry* g, Element element) noexcept nogil:
    """Bytes that pooling reads and writes; where windows overlap, reading counts once per row of theirs."""
    cdef double reads = <double> (g.outer * g.inner) * <double> g.windows * <double> (g.taps // g.axes[2].taps)
    return max(reads, traffic(g, 1)) * element_size(element)


cdef int64_t rows_together(const Geometry* g) noexcept nogil:
    """How many rows of windows to take together, where windows are tall and share most of their rows."""
    cdef const Axis* axis = &g.axes[1]
    cdef int64_t rows = min(<int64_t> ROWS_TOGETHER, min(axis.pooled, axis.taps // (2 * axis.stride)))
    if g.axes[0].taps > 1 or axis.adaptive or axis.dilation > 1:
        return 1
    # Groups need lines that hold a window.
    if reach_of(&g.axes[2]) > LESS_WIDE and not is_wide(&g.axes[2]):
        return 1
    return rows if rows >= FEWEST_TOGETHER else 1


cdef int64_t cut_pooling(const Geometry* g, int64_t* rows, int64_t* blocks) noexcept nogil:
    """Into how many items to cut a job, with so many rows and so many blocks of channels."""
    cdef int64_t items
    rows[0] = rows_together(g)
    items = pooled_rows(g, rows[0])
    blocks[0] = channel_blocks(items, g.inner)
    return items * blocks[0]


cdef inline bint may_be_turned(const Geometry* g) noexcept nogil:
    """Whether planes are of few channels. None has more elements than there is room for bytes: sizes stay in range."""
    return 0 < g.inner < NARROW and g.outer > 0 and max(g.plane, g.windows) <= TURNED_ROOM


cdef int64_t planes_turned(const Geometry* g, int64_t bytes) noexcept nogil:
    """How many planes of so many bytes to turn into channels together; 0 if there are few, or no room for them."""
    # Enough groups to share them out, but channels enough for a loop.
    cdef int64_t planes = min(min(g.outer, <int64_t> MOST_TURNED), max(<int64_t> NARROW, g.outer // 8))
    return min(planes, TURNED_ROOM // bytes) // NARROW * NARROW


cdef int64_t planes_pooled(const Geometry* g, int width, int index_width) noexcept nogil:
    """How many planes to turn for pooling, with elements and indices of so many bytes."""
    # Beside very wide windows a line holds fewer than NARROW channels.
    if not may_be_turned(g) or is_wide(&g.axes[2]) and reach_of(&g.axes[2]) > LESS_WIDE:
        return 0
    return planes_turned(g, bytes_of_largest(g, width, index_width) + g.windows * g.inner * (width + index_width + 1))


cdef int64_t planes_given(const Geometry* g, int width) noexcept nogil:
    """The same for gradients."""
    if not may_be_turned(g):
        return 0
    return planes_turned(g, bytes_of_largest(g, width, 0) + (g.plane * width + g.windows) * g.inner)


cdef inline bint is_small(const Geometry* g) noexcept nogil:
    """Whether planes are such that one of them is little work even where all its windows are whole."""
    return g.plane <= SMALL_PLANE


cdef void run_max_pool(MaxPool* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef int64_t items = cut_pooling(g, &job.rows, &job.blocks)
    job.past_cache = is_past_cache(g, job.element)
    job.planes = planes_pooled(g, element_size(job.element), index_size(job))
    run_either(forward.max_pool, forward.max_pool_planes, job, g, job.planes, items, pooling_cost(g, job.element))


cdef void run_place(Place* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef int64_t rows = g.outer * g.axes[0].size * g.axes[1].size
    cdef double size = traffic(g, element_size(job.element))
    job.blocks = channel_blocks(rows, g.inner)
    job.past_cache = is_past_cache(g, job.element)
    job.found = 0
    job.planes = 0
    # Windows that know their elements scatter them faster, if all are alike or most are.
    if job.key_width == 1 and is_small(g) and not all_whole(g):
        job.planes = planes_given(g, element_size(job.element))
    run_either(backward.place_back, backward.place_planes, job, g, job.planes, rows * job.blocks, size)


cdef void run_max_pool_backward(Place* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    # Where windows do not overlap a copy will do.
    job.added = any_overlap(g)
    run_place(job)


cdef void run_max_pool_indices(const MaxPoolIndices* job) noexcept nogil:
    run(forward.max_pool_indices, job, &job.geometry, pooled_rows(&job.geometry, 1), traffic(&job.geometry, 4))


cdef void run_average_pool(AveragePool* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef int64_t items = cut_pooling(g, &job.rows, &job.blocks)
    job.past_cache = is_past_cache(g, job.element)
    job.planes = 0
    # Sums of many rows of whole windows at a time are as fast.
    if is_small(g) or not all_whole(g):
        job.planes = planes_pooled(g, element_size(job.element), 0)
    run_either(forward.average_pool, forward.average_pool_planes, job, g, job.planes, items,
               pooling_cost(g, job.element))


cdef void run_average_pool_backward(AveragePool* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    cdef int64_t rows = g.outer * g.axes[0].size * g.axes[1].size
    cdef double size = traffic(g, element_size(job.element))
    job.blocks = channel_blocks(rows, g.inner)
    job.past_cache = is_past_cache(g, job.element)
    job.planes = planes_given(g, element_size(job.element))
    run_either(backward.average_pool_backward, backward.average_pool_backward_planes, job, g, job.planes,
               rows * job.blocks, size)


cdef void run_move(Work work, Move* job) noexcept nogil:
    cdef const Geometry* g = &job.geometry
    job.blocks = channel_blocks(g.outer, g.inner)
    run(work, job, g, g.outer * job.blocks, traffic(g, element_size(job.element)))


cdef Place place_of(const Move* job) noexcept nogil:
    """The same by asking windows, which meets all indices that lie in their own windows."""
    return Place(geometry=job.geometry, element=job.element, blocks=1, planes=0, inputs=job.inputs,
                 keys=job.indices, key_width=8 if job.wide_indices else 4, added=False, outputs=job.outputs,
                 past_cache=False, found=0)


cdef bint all_met(const Place* place) noexcept nogil:
    cdef const Geometry* g = &place.geometry
    if place.found == g.outer * g.inner * g.windows:
        return True
    note_detour()
    return False


cdef bint asking_pays(const Move* job) noexcept nogil:
    """Whether the indices can name every place, and asking all taps of all windows costs less than following them."""
    cdef const Geometry* g = &job.geometry
    return ((job.wide_indices or g.plane <= INT32_PLANE)
            and <double> g.windows * <double> g.taps <= 9 * <double> g.plane)


cdef void run_scatter_last(Move* job) noexcept nogil:
    cdef Place place
    if asking_pays(job):
        place = place_of(job)
        run_place(&place)
        if all_met(&place):
            return
    run_move(backward.scatter_last, job)


cdef void run_scatter_sum(Move* job) noexcept nogil:
    run_move(backward.scatter_sum, job)


cdef bint collected(const Move* job) noexcept nogil:
    """Gather by asking windows, where there are channels enough for it; whether all indices were met."""
    cdef const Geometry* g = &job.geometry
    cdef Place place = place_of(job)
    cdef int64_t rows = pooled_rows(g, 1)
    if not job.windows_known or g.inner < BLOCK or not asking_pays(job):
        return False
    place.blocks = channel_blocks(rows, g.inner)
    place.past_cache = is_past_cache(g, job.element)
    run(backward.collect_back, &place, g, rows * place.blocks, traffic(g, element_size(job.element)))
    return all_met(&place)


cdef void run_gather(Move* job) noexcept nogil:
    if not collected(job):
        run_move(backward.gather, job)


cdef void run_gather_last(Move* job) noexcept nogil:
    # Where windows do not overlap no two of them share an index.
    if any_overlap(&job.geometry) or not collected(job):
        run_move(backward.gather_last, job)
