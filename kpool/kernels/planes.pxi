# Planes of few channels, some at a time: turned into one plane of many channels, and results back.
#
# In small planes rows are little work for a loop, and the less the more of their windows reach into the padding. Beside
# what that costs it is little to turn planes, which stay in the cache meanwhile.

cdef extern from *:
    """
    #if defined(__clang__)
    #define KP_SHUFFLED(type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
    #else
    #define KP_SHUFFLED(type, a, b, ...) __builtin_shuffle(a, b, (type) {__VA_ARGS__})
    #endif

    /* Turns a matrix by blocks of `n` vectors of `n` elements each: that the first half of the elements of a block and
       the second half take turns, as many times as it takes to double 1 to n, turns the block. The last blocks overlap
       those before them. The shorter side, which is that of the planes, is taken in parts as wide as a line of the
       cache: so lines are written, or read, as a whole, and few planes at a time. */
    #define KP_TURN(bits, n, turns, low, high)                                                                       \
        typedef uint##bits##_t kp_vector_of_##bits __attribute__((vector_size(16)));                                 \
        static inline __attribute__((always_inline)) void kp_turn_block_of_##bits(                                   \
            uint##bits##_t* to, const uint##bits##_t* from, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t i,       \
            Py_ssize_t j)                                                                                            \
        {                                                                                                            \
            kp_vector_of_##bits block[n], turned[n];                                                                 \
            i = i + n <= rows ? i : rows - n;                                                                        \
            j = j + n <= columns ? j : columns - n;                                                                  \
            _Pragma("GCC unroll 16")                                                                                 \
            for (int k = 0; k < n; k++)                                                                              \
                memcpy(&block[k], from + (i + k) * columns + j, 16);                                                 \
            _Pragma("GCC unroll 4")                                                                                  \
            for (int turn = 0; turn < turns; turn++) {                                                               \
                _Pragma("GCC unroll 8")                                                                              \
                for (int k = 0; k < n / 2; k++) {                                                                    \
                    turned[2 * k] = low(block[k], block[k + n / 2]);                                                 \
                    turned[2 * k + 1] = high(block[k], block[k + n / 2]);                                            \
                }                                                                                                    \
                _Pragma("GCC unroll 16")                                                                             \
                for (int k = 0; k < n; k++)                                                                          \
                    block[k] = turned[k];                                                                            \
            }                                                                                                        \
            _Pragma("GCC unroll 16")                                                                                 \
            for (int k = 0; k < n; k++)                                                                              \
                memcpy(to + (j + k) * rows + i, &block[k], 16);                                                      \
        }                                                                                                            \
        static void kp_turn_##bits(uint##bits##_t* to, const uint##bits##_t* from, Py_ssize_t rows,                  \
                                   Py_ssize_t columns) {                                                             \
            Py_ssize_t shorter = rows < columns ? rows : columns;                                                    \
            if (shorter < n) {                                                                                       \
                for (Py_ssize_t i = 0; i < rows; i++)                                                                \
                    for (Py_ssize_t j = 0; j < columns; j++)                                                         \
                        to[j * rows + i] = from[i * columns + j];                                                    \
                return;                                                                                              \
            }                                                                                                        \
            for (Py_ssize_t part = 0, end; part < shorter; part = end) {                                             \
                end = shorter - part < 8 * n ? shorter : part + 4 * n;                                               \
                if (rows > columns)                                                                                  \
                    for (Py_ssize_t i = 0; i < rows; i += n)                                                         \
                        for (Py_ssize_t j = part; j < end; j += n)                                                   \
                            kp_turn_block_of_##bits(to, from, rows, columns, i, j);                                  \
                else                                                                                                 \
                    for (Py_ssize_t j = 0; j < columns; j += n)                                                      \
                        for (Py_ssize_t i = part; i < end; i += n)                                                   \
                            kp_turn_block_of_##bits(to, from, rows, columns, i, j);                                  \
            }                                                                                                        \
        }
    #define KP_LOW_8(a, b) KP_SHUFFLED(kp_vector_of_8, a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    #define KP_HIGH_8(a, b) \
        KP_SHUFFLED(kp_vector_of_8, a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    #define KP_LOW_16(a, b) KP_SHUFFLED(kp_vector_of_16, a, b, 0, 8, 1, 9, 2, 10, 3, 11)
    #define KP_HIGH_16(a, b) KP_SHUFFLED(kp_vector_of_16, a, b, 4, 12, 5, 13, 6, 14, 7, 15)
    #define KP_LOW_32(a, b) KP_SHUFFLED(kp_vector_of_32, a, b, 0, 4, 1, 5)
    #define KP_HIGH_32(a, b) KP_SHUFFLED(kp_vector_of_32, a, b, 2, 6, 3, 7)
    #define KP_LOW_64(a, b) KP_SHUFFLED(kp_vector_of_64, a, b, 0, 2)
    #define KP_HIGH_64(a, b) KP_SHUFFLED(kp_vector_of_64, a, b, 1, 3)
    KP_TURN(8, 16, 4, KP_LOW_8, KP_HIGH_8)
    KP_TURN(16, 8, 3, KP_LOW_16, KP_HIGH_16)
    KP_TURN(32, 4, 2, KP_LOW_32, KP_HIGH_32)
    KP_TURN(64, 2, 1, KP_LOW_64, KP_HIGH_64)

    /* Turns rows into columns, of elements of `width` bytes. */
    static void kp_turn(void* to, const void* from, Py_ssize_t rows, Py_ssize_t columns, int width) {
        if (width == 1)
            kp_turn_8((uint8_t*) to, (const uint8_t*) from, rows, columns);
        else if (width == 2)
            kp_turn_16((uint16_t*) to, (const uint16_t*) from, rows, columns);
        else if (width == 4)
            kp_turn_32((uint32_t*) to, (const uint32_t*) from, rows, columns);
        else
            kp_turn_64((uint64_t*) to, (const uint64_t*) from, rows, columns);
    }
    """
    void turn "kp_turn" (void* to, const void* source, Py_ssize_t rows, Py_ssize_t columns, int width) noexcept nogil

cdef enum:
    MOST_SIDES = 4

# A tensor whose planes are turned, and where those at hand stand as channels.
cdef struct Side:
    const void* planes
    char* room
    int64_t size            # elements of a plane
    int width               # bytes of an element
    bint past_cache

# A job that is done for some planes at a time. Of its sides those that are read come first.
cdef struct Turning:
    Work work
    const void* job
    void* turned            # a copy of the job, whose tensors are the rooms
    Geometry* geometry      # of the copy
    int64_t planes          # together
    int64_t rows            # items of a plane
    Side sides[MOST_SIDES]
    int count
    char* room              # what is left of it


cdef inline void* add_side(
    Turning* turning, const void* planes, int64_t size, int width, bint past_cache, int64_t bytes,
) noexcept nogil:
    """Add a tensor, with room for so many bytes of each plane; returns where its turned planes stand."""
    cdef char* room = turning.room
    turning.sides[turning.count] = Side(planes=planes, room=room, size=size, width=width, past_cache=past_cache)
    turning.count += 1
    turning.room += turning.planes * bytes
    return room


cdef void put_planes(const Side* side, void* spare, int64_t first, int64_t planes) noexcept nogil:
    """Turn back and write the planes from `first` on. `spare` is to work in."""
    cdef char* to = <char*> side.planes + first * side.size * side.width
    if side.past_cache:
        turn(spare, side.room, side.size, planes, side.width)
        put(to, spare, planes * side.size * side.width, True)
    else:
        turn(to, side.room, side.size, planes, side.width)


cdef void work_off_planes(const Turning* turning, int reads, int64_t begin, int64_t end) noexcept nogil:
    """Work off groups of planes, so many of whose sides are read. What was read makes room for what is written."""
    cdef Geometry g = turning.geometry[0]
    cdef const Side* side
    cdef int64_t group, first, planes
    cdef int i
    turning.geometry.outer = 1
    for group in range(begin, end):
        first = group * turning.planes
        planes = min(turning.planes, g.outer - first)
        # The last ones may be too few for a loop over channels.
        if planes * g.inner < NARROW:
            turning.work(turning.job, first * turning.rows, (first + planes) * turning.rows)
            continue
        turning.geometry.inner = planes * g.inner
        for i in range(reads):
            side = &turning.sides[i]
            turn(side.room, <const char*> side.planes + first * side.size * side.width, planes, side.size, side.width)
        turning.work(turning.turned, 0, turning.rows)
        for i in range(reads, turning.count):
            put_planes(&turning.sides[i], turning.sides[0].room, first, planes)
    finish_puts()
