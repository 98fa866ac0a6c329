# Elements two apart, each read together with the one behind it.
#
# Of a loop over elements two apart that reads nothing between them the compiler leaves the last lane to a loop without
# vectors, lest it reads behind the last element. Nine taps of that lane take as long as those of 16 others. A loop over
# pairs has no such rest, and reads one element more.

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define KP_FIRST(pair, bits) ((pair) >> (bits))
    #else
    #define KP_FIRST(pair, bits) (pair)
    #endif
    #define KP_PAIRS(bits, both)                                                                                     \
        typedef uint##both##_t __attribute__((aligned(bits / 8), may_alias)) kp_pair_of_##bits;                      \
        static inline uint##bits##_t kp_first_of_##bits(const void* pairs, Py_ssize_t j) {                           \
            return (uint##bits##_t) KP_FIRST(((const kp_pair_of_##bits*) pairs)[j], bits);                           \
        }
    KP_PAIRS(8, 16)
    KP_PAIRS(16, 32)
    KP_PAIRS(32, 64)

    /* For AVX2 the compiler takes the halves of 64 bits apart in more steps than elements two apart. */
    #if defined(__AVX2__) && !defined(__AVX512F__)
    #define KP_PAIRED 2
    #else
    #define KP_PAIRED 4
    #endif
    """
    enum: PAIRED "KP_PAIRED"        # bytes of the widest elements that are read in pairs
    uint8_t first_of_8 "kp_first_of_8" (const void* pairs, Py_ssize_t j) noexcept nogil
    uint16_t first_of_16 "kp_first_of_16" (const void* pairs, Py_ssize_t j) noexcept nogil
    uint32_t first_of_32 "kp_first_of_32" (const void* pairs, Py_ssize_t j) noexcept nogil


cdef inline bint in_pairs(Vec x, Py_ssize_t step) noexcept nogil:
    """Whether a loop reads elements with those behind them. `x` is there for its type."""
    return step == 2 and sizeof(x[0]) <= PAIRED


cdef inline void read_lane(Vec element, Vec x, Py_ssize_t j, Py_ssize_t step) noexcept nogil:
    """Read the element `j` steps on. Called with a literal for `step`, but where taps are wide."""
    if not in_pairs[Vec](x, step):
        element[0] = x[j * step]
    elif sizeof(x[0]) == 1:
        (<u8_r> element)[0] = first_of_8(x, j)
    elif sizeof(x[0]) == 2:
        (<u16_r> element)[0] = first_of_16(x, j)
    else:
        (<u32_r> element)[0] = first_of_32(x, j)
