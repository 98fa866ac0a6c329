# Putting pooled elements back where they were: unpooling, and the gradient of max pooling.
#
# Work is divided by rows of the unpooled side, or by planes of it, and each element of them is written once, by one
# thread. Where an element was is known by its key: the winner's offset in its window, or its index. Of several windows
# that share an element the last in row-major order wins, or all are added up in that order; so results do not depend on
# how the work was divided.
#
# An index that does not lie in its own window may not be met. Those that were met are counted, and if any is missing,
# the caller has to scatter.

cdef extern from *:
    """
    static inline void kp_count(int64_t* total, int64_t more) {
        __atomic_fetch_add(total, more, __ATOMIC_RELAXED);
    }
    """
    void count_up "kp_count" (int64_t* total, int64_t more) noexcept nogil


cdef inline void place_items(Moved outputs, Key keys, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Choose the way to go. `keys` is there for its type."""
    cdef int64_t found
    if job.geometry.inner < NARROW:
        found = place_by_bands[Moved, Key](outputs, keys, job, begin, end)
    else:
        found = place_by_lanes[Moved, Key](outputs, keys, job, begin, end)
    # Offsets that are nowhere are dropped; nobody asks for their number.
    if Key is not u8_r:
        count_up(&(<Place*> job).found, found)
    if job.past_cache:
        finish_puts()


cdef inline void place_words(WordVec outputs, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Choose the type of the keys."""
    if columns_are_pairs(job):
        place_rows_of_pairs[WordVec](outputs, job, begin, end)
    elif job.key_width == 1:
        place_items[WordVec, u8_r](outputs, NULL, job, begin, end)
    elif job.key_width == 4:
        place_items[WordVec, i32_r](outputs, NULL, job, begin, end)
    else:
        place_items[WordVec, i64_r](outputs, NULL, job, begin, end)


cdef void place_back(const void* argument, int64_t begin, int64_t end) noexcept nogil:
    cdef const Place* job = <const Place*> argument
    cdef int width = element_size(job.element)
    if job.added and job.element == Element.FLOAT16:
        place_items[f16_r, u8_r](<f16_r> job.outputs, NULL, job, begin, end)
    elif job.added and job.element == Element.BFLOAT16:
        place_items[bf16_r, u8_r](<bf16_r> job.outputs, NULL, job, begin, end)
    elif job.added and job.element == Element.FLOAT32:
        place_items[f32_r, u8_r](<f32_r> job.outputs, NULL, job, begin, end)
    elif job.added:
        place_items[f64_r, u8_r](<f64_r> job.outputs, NULL, job, begin, end)
    elif width == 1:
        place_words[u8_r](<u8_r> job.outputs, job, begin, end)
    elif width == 2:
        place_words[u16_r](<u16_r> job.outputs, job, begin, end)
    elif width == 4:
        place_words[u32_r](<u32_r> job.outputs, job, begin, end)
    else:
        place_words[u64_r](<u64_r> job.outputs, job, begin, end)
