# Lines of half precision floats to and from float32, their sums and averages, by the processor's own instructions
# where it has them: compilers do not make vector code of the conversion on their own.

cdef extern from *:
    """
    #if defined(__F16C__)
    #include <immintrin.h>
    #endif

    /* A vector of floats: from halves, to halves, from memory, to memory. */
    #if defined(__AVX512F__)
    #define KP_FLOATS 16
    typedef __m512 kp_floats;
    static inline kp_floats kp_widen(const uint16_t* from) {
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*) from));
    }
    static inline void kp_narrow(uint16_t* to, kp_floats x) {
        _mm256_storeu_si256((__m256i*) to, _mm512_cvtps_ph(x, 0));
    }
    #elif defined(__F16C__)
    #define KP_FLOATS 8
    typedef __m256 kp_floats;
    static inline kp_floats kp_widen(const uint16_t* from) {
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*) from));
    }
    static inline void kp_narrow(uint16_t* to, kp_floats x) {
        _mm_storeu_si128((__m128i*) to, _mm256_cvtps_ph(x, 0));
    }
    #endif
    #ifdef KP_FLOATS
    static inline kp_floats kp_read(const float* from) { kp_floats x; memcpy(&x, from, sizeof(x)); return x; }
    static inline void kp_write(float* to, kp_floats x) { memcpy(to, &x, sizeof(x)); }
    #endif

    /* Each of these takes as many elements as fill vectors, and returns their number. */
    static inline Py_ssize_t kp_floats_from_halves(float* to, const uint16_t* from, Py_ssize_t count) {
        Py_ssize_t i = 0;
    #ifdef KP_FLOATS
        for (; i + KP_FLOATS <= count; i += KP_FLOATS)
            kp_write(to + i, kp_widen(from + i));
    #endif
        return i;
    }

    static inline Py_ssize_t kp_halves_from_floats(uint16_t* to, const float* from, Py_ssize_t count) {
        Py_ssize_t i = 0;
    #ifdef KP_FLOATS
        for (; i + KP_FLOATS <= count; i += KP_FLOATS)
            kp_narrow(to + i, kp_read(from + i));
    #endif
        return i;
    }

    /* Adds the halves of one to four sources, in order, to sums of which there are none yet if it is the first time.
       `apart` adds up the halves before they are added to the sums. Called with literals but for the last argument. */
    static inline __attribute__((always_inline)) Py_ssize_t kp_add_halves(
        float* sums, const uint16_t* a, const uint16_t* b, const uint16_t* c, const uint16_t* d, int sources, int first,
        int apart, Py_ssize_t count)
    {
        Py_ssize_t i = 0;
    #ifdef KP_FLOATS
        for (; i + KP_FLOATS <= count; i += KP_FLOATS) {
            kp_floats total = {0};
            if (!first && !apart) total = kp_read(sums + i);
            total += kp_widen(a + i);
            if (sources > 1) total += kp_widen(b + i);
            if (sources > 2) total += kp_widen(c + i);
            if (sources > 3) total += kp_widen(d + i);
            if (apart && !first) total = kp_read(sums + i) + total;
            kp_write(sums + i, total);
        }
    #endif
        return i;
    }

    /* Averages windows of one to four rows and some columns, which are `step` elements apart: the sum of each column
       is added up before it is added to the others. Called with literals from `height` to `by_power`, whether the
       divisor is a power of two. */
    static inline __attribute__((always_inline)) Py_ssize_t kp_average_halves(
        float* averages, const uint16_t* a, const uint16_t* b, const uint16_t* c, const uint16_t* d, Py_ssize_t step,
        float divisor, int height, int width, int by_power, Py_ssize_t count)
    {
        Py_ssize_t i = 0;
    #ifdef KP_FLOATS
        for (; i + KP_FLOATS <= count; i += KP_FLOATS) {
            kp_floats total = {0};
            for (int k = 0; k < width; k++) {
                kp_floats column = {0};
                column += kp_widen(a + i + k * step);
                if (height > 1) column += kp_widen(b + i + k * step);
                if (height > 2) column += kp_widen(c + i + k * step);
                if (height > 3) column += kp_widen(d + i + k * step);
                total += column;
            }
            kp_write(averages + i, by_power ? total * (1 / divisor) : total / divisor);
        }
    #endif
        return i;
    }
    """
    Py_ssize_t vectors_of_halves_averaged "kp_average_halves" (
        float* averages, const uint16_t* a, const uint16_t* b, const uint16_t* c, const uint16_t* d, Py_ssize_t step,
        float divisor, int height, int width, bint by_power, Py_ssize_t count) noexcept nogil
    Py_ssize_t vectors_of_halves_added "kp_add_halves" (
        float* sums, const uint16_t* a, const uint16_t* b, const uint16_t* c, const uint16_t* d, int sources,
        bint first, bint apart, Py_ssize_t count) noexcept nogil
    Py_ssize_t vectors_from_halves "kp_floats_from_halves" (
        float* to, const uint16_t* source, Py_ssize_t count) noexcept nogil
    Py_ssize_t vectors_to_halves "kp_halves_from_floats" (
        uint16_t* to, const float* source, Py_ssize_t count) noexcept nogil


cdef inline void floats_from_halves(f32_r to, f16_r source, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(vectors_from_halves(to, <const uint16_t*> source, count), count):
        to[j] = float_from_half(source[j])


cdef inline void halves_from_floats(u16_r to, f32_r source, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(vectors_to_halves(to, source, count), count):
        to[j] = half_from_float(source[j])
