# Memory for large results. TensorFlow's plain allocator, which it uses on processors without AVX-512 VNNI, has the
# system give it out anew each time. Many systems do so by pages of 4 KB unless asked, which takes longer than pooling.

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #include <unistd.h>
    /* The first and the last page may hold other things, to which nothing happens: it is advice. Without them, results
       that lie side by side would not share a huge page. */
    static inline void kp_advise_huge_pages(void *data, size_t size) {
        size_t before = (uintptr_t) data % (size_t) sysconf(_SC_PAGESIZE);
        (void) madvise((char *) data - before, before + size, MADV_HUGEPAGE);
    }
    #else
    #define kp_advise_huge_pages(data, size) ((void) (data), (void) (size))
    #endif
    """
    void advise_huge_pages "kp_advise_huge_pages" (void* data, size_t size) noexcept nogil

cdef enum:
    HUGE_PAGE = 1 << 21     # bytes, on most machines


cdef void ask_for_huge_pages(void* data, size_t size) noexcept nogil:
    """Have the system back memory that is going to be written by huge pages, if it is as large as one."""
    if size >= HUGE_PAGE:
        advise_huge_pages(data, size)
