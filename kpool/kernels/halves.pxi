# Lines of half precision floats to and from float32, and their sums, by the processor's own instructions where it has
# them: compilers make loops of them, but not all of these.

cdef extern from *:
    """
    #if defined(__F16C__)
    #include <immintrin.h>
    #endif

    /* Each converts as many elements as fill vectors, and returns their number. */
    static inline Py_ssize_t kp_floats_from_halves(float* to, const uint16_t* from, Py_ssize_t count) {
        Py_ssize_t i = 0;
    #if defined(__AVX512F__)
        for (; i + 16 <= count; i += 16)
            _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*) (from + i))));
    #elif defined(__F16C__)
        for (; i + 8 <= count; i += 8)
            _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*) (from + i))));
    #endif
        return i;
    }

    static inline Py_ssize_t kp_halves_from_floats(uint16_t* to, const float* from, Py_ssize_t count) {
        Py_ssize_t i = 0;
    #if defined(__AVX512F__)
        for (; i + 16 <= count; i += 16)
            _mm256_storeu_si256((__m256i*) (to + i), _mm512_cvtps_ph(_mm512_loadu_ps(from + i), 0));
    #elif defined(__F16C__)
        for (; i + 8 <= count; i += 8)
            _mm_storeu_si128((__m128i*) (to + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), 0));
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
    #if defined(__AVX512F__)
    #define KP_WIDE(x) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*) ((x) + i)))
        for (; i + 16 <= count; i += 16) {
            __m512 total = _mm512_add_ps(first || apart ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i), KP_WIDE(a));
            if (sources > 1) total = _mm512_add_ps(total, KP_WIDE(b));
            if (sources > 2) total = _mm512_add_ps(total, KP_WIDE(c));
            if (sources > 3) total = _mm512_add_ps(total, KP_WIDE(d));
            _mm512_storeu_ps(sums + i, apart && !first ? _mm512_add_ps(_mm512_loadu_ps(sums + i), total) : total);
        }
    #elif defined(__F16C__)
    #define KP_WIDE(x) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*) ((x) + i)))
        for (; i + 8 <= count; i += 8) {
            __m256 total = _mm256_add_ps(first || apart ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + i), KP_WIDE(a));
            if (sources > 1) total = _mm256_add_ps(total, KP_WIDE(b));
            if (sources > 2) total = _mm256_add_ps(total, KP_WIDE(c));
            if (sources > 3) total = _mm256_add_ps(total, KP_WIDE(d));
            _mm256_storeu_ps(sums + i, apart && !first ? _mm256_add_ps(_mm256_loadu_ps(sums + i), total) : total);
        }
    #endif
    #undef KP_WIDE
        return i;
    }
    """
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
