"""The element types kpool computes on: their ids, their restrict pointers and how half types are read.

Fused types are defined here and nowhere else. They range over pointers, not over values: GCC vectorises the
loops only when the pointers are declared restrict, and a pointer fused together with its own value type would
multiply the specialisations.
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    typedef uint16_t kp_half;
    typedef uint16_t kp_bfloat;
    typedef kp_half*   __restrict f16_r;
    typedef kp_bfloat* __restrict bf16_r;
    typedef float*     __restrict f32_r;
    typedef double*    __restrict f64_r;
    typedef float kp_plain_float;
    typedef double kp_plain_double;
    typedef float*     __restrict plain_f32_r;
    typedef double*    __restrict plain_f64_r;
    typedef int8_t*    __restrict i8_r;
    typedef uint8_t*   __restrict u8_r;
    typedef int16_t*   __restrict i16_r;
    typedef uint16_t*  __restrict u16_r;
    typedef int32_t*   __restrict i32_r;
    typedef uint32_t*  __restrict u32_r;
    typedef int64_t*   __restrict i64_r;
    typedef uint64_t*  __restrict u64_r;
    static inline float kp_as_float(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
    static inline uint32_t kp_as_bits(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }
    """
    # Both are uint16_t in C. Cython takes them for enums, which lets a fused type tell them from uint16_t.
    ctypedef enum kp_half:
        pass
    ctypedef enum kp_bfloat:
        pass
    # Floats that are compared as if there were no NaN; told from float and double in the same way.
    ctypedef enum kp_plain_float:
        pass
    ctypedef enum kp_plain_double:
        pass
    ctypedef kp_half* f16_r
    ctypedef kp_bfloat* bf16_r
    ctypedef float* f32_r
    ctypedef double* f64_r
    ctypedef kp_plain_float* plain_f32_r
    ctypedef kp_plain_double* plain_f64_r
    ctypedef int8_t* i8_r
    ctypedef uint8_t* u8_r
    ctypedef int16_t* i16_r
    ctypedef uint16_t* u16_r
    ctypedef int32_t* i32_r
    ctypedef uint32_t* u32_r
    ctypedef int64_t* i64_r
    ctypedef uint64_t* u64_r
    float as_float "kp_as_float" (uint32_t bits) noexcept nogil
    uint32_t as_bits "kp_as_bits" (float x) noexcept nogil

# Position in every kernel table.
cdef enum Element:
    FLOAT16, BFLOAT16, FLOAT32, FLOAT64
    INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64
    ELEMENTS

# Everything that can be compared.
ctypedef fused Vec:
    f16_r
    bf16_r
    f32_r
    f64_r
    plain_f32_r
    plain_f64_r
    i8_r
    u8_r
    i16_r
    u16_r
    i32_r
    u32_r
    i64_r
    u64_r

# The same as values.
ctypedef fused Number:
    kp_half
    kp_bfloat
    float
    double
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t

# Everything that has a gradient.
ctypedef fused RealVec:
    f16_r
    bf16_r
    f32_r
    f64_r

# What sums are kept in: float32, or float64 for float64.
ctypedef fused Sum:
    f32_r
    f64_r

# What a window gives to each of its elements: a sum, or one that is rounded to 16 bits, which is set and never added.
ctypedef fused Share:
    f32_r
    f64_r
    u16_r

# Everything that can be added: the reals, and integers by their width, since they wrap around.
ctypedef fused SumVec:
    f16_r
    bf16_r
    f32_r
    f64_r
    u8_r
    u16_r
    u32_r
    u64_r

# Where the number of a tap is kept: as wide as the elements, if that is enough or nobody asks for it.
ctypedef fused Tap:
    u8_r
    u16_r
    u32_r

# The position of an element in its plane.
ctypedef fused Index:
    i32_r
    i64_r

# What says where an element was: its offset in the window, or its index.
ctypedef fused Key:
    u8_r
    i32_r
    i64_r

# Everything that can be moved: a copy knows only widths.
ctypedef fused WordVec:
    u8_r
    u16_r
    u32_r
    u64_r

# What is put back where it was: words are copied, reals are added up.
ctypedef fused Moved:
    u8_r
    u16_r
    u32_r
    u64_r
    f16_r
    bf16_r
    f32_r
    f64_r


cdef inline int element_size(Element element) noexcept nogil:
    """Bytes of one element."""
    if element == Element.INT8 or element == Element.UINT8:
        return 1
    elif (element == Element.FLOAT16 or element == Element.BFLOAT16
          or element == Element.INT16 or element == Element.UINT16):
        return 2
    elif element == Element.FLOAT32 or element == Element.INT32 or element == Element.UINT32:
        return 4
    return 8


cdef inline int16_t half_order(uint16_t bits, uint16_t infinity) noexcept nogil:
    """An integer that orders half precision floats: -inf is the least, -0 equals +0, every NaN stands above +inf.

    Sums wrap around, which takes negative NaN to the other end; then all above the least NaN are made equal to it.
    """
    cdef int16_t nan = <int16_t> (2 * infinity + 0x8001)
    cdef uint16_t negative = <uint16_t> (infinity - bits)
    cdef uint16_t positive = <uint16_t> (bits + infinity + 0x8000)
    cdef int16_t order = <int16_t> (negative if <int16_t> bits < 0 else positive)
    return order if order < nan else nan


cdef inline float float_from_half(uint16_t bits) noexcept nogil:
    # No step works on a subnormal float32, so the result does not depend on the flush-to-zero mode.
    cdef uint32_t shifted = (<uint32_t> bits & 0x7FFF) << 13
    cdef uint32_t exponent = shifted & 0x0F800000
    cdef uint32_t normal = shifted + (<uint32_t> 112 << 23)
    cdef uint32_t special = shifted + (<uint32_t> 224 << 23)
    cdef uint32_t subnormal = as_bits(as_float(shifted + (<uint32_t> 113 << 23)) - as_float(<uint32_t> 113 << 23))
    cdef uint32_t magnitude = special if exponent == 0x0F800000 else normal
    magnitude = subnormal if exponent == 0 else magnitude
    return as_float(magnitude | ((<uint32_t> bits & 0x8000) << 16))


cdef inline uint16_t half_from_float(float x) noexcept nogil:
    """Round to nearest, ties to even."""
    cdef uint32_t bits = as_bits(x)
    cdef uint32_t magnitude = bits & 0x7FFFFFFF
    cdef uint32_t normal = (magnitude - (<uint32_t> 112 << 23) + 0xFFF + ((magnitude >> 13) & 1)) >> 13
    # Adding 0.5 makes the float32 adder round at the last bit of a half precision subnormal.
    cdef uint32_t subnormal = as_bits(as_float(magnitude) + 0.5) - as_bits(0.5)
    cdef uint32_t special = 0x7E00 if magnitude > 0x7F800000 else 0x7C00
    cdef uint32_t result = normal if magnitude < 0x47800000 else special
    result = subnormal if magnitude < 0x38800000 else result
    return <uint16_t> (result | ((bits >> 16) & 0x8000))


cdef inline float float_from_bfloat(uint16_t bits) noexcept nogil:
    return as_float(<uint32_t> bits << 16)


cdef inline uint16_t bfloat_from_float(float x) noexcept nogil:
    """Round to nearest, ties to even."""
    cdef uint32_t bits = as_bits(x)
    cdef uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return <uint16_t> ((bits >> 16) | 0x40 if (bits & 0x7FFFFFFF) > 0x7F800000 else rounded)
