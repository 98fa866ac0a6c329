"""Which cores a thread may run on: a sleeping one is kept off the core of the thread that wakes it.

Linux likes to wake a thread beside the one that wakes it. When the other cores have just been busy with something
short, it stays there until its waker's slice of time is over, some milliseconds, while they idle: for a few operations
in a row two threads are no faster than one.
"""
cdef extern from *:
    """
    #include <pthread.h>
    #if defined(__linux__)
    #include <sched.h>
    /* Among more cores than these one is nearly always idle, and a worker that comes late is a small part of them. */
    #define KP_FEW_CORES 8
    typedef struct { cpu_set_t allowed, left; } kp_cores;
    static inline int kp_keep_off_my_core(pthread_t thread, kp_cores *cores) {
        int core = sched_getcpu(), count;
        if (core < 0 || pthread_getaffinity_np(thread, sizeof cores->allowed, &cores->allowed) != 0) return 0;
        count = CPU_COUNT(&cores->allowed);
        if (count < 2 || count > KP_FEW_CORES || !CPU_ISSET(core, &cores->allowed)) return 0;
        cores->left = cores->allowed;
        CPU_CLR(core, &cores->left);
        return pthread_setaffinity_np(thread, sizeof cores->left, &cores->left) == 0;
    }
    /* Unless somebody else has said in the meantime where this thread may run. */
    static inline void kp_go_anywhere(const kp_cores *cores) {
        cpu_set_t now;
        if (sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &cores->left))
            sched_setaffinity(0, sizeof cores->allowed, &cores->allowed);
    }
    #else
    typedef char kp_cores;
    #define kp_keep_off_my_core(thread, cores) 0
    #define kp_go_anywhere(cores) ((void) (cores))
    #endif
    """
    ctypedef unsigned long pthread_t
    # Where a thread may run, and where it may while it is being woken.
    ctypedef struct Cores "kp_cores":
        pass
    # Whether it is now kept off; the caller must know that it sleeps, and it must call go_anywhere when it wakes.
    bint keep_off_my_core "kp_keep_off_my_core" (pthread_t thread, Cores* cores) noexcept nogil
    void go_anywhere "kp_go_anywhere" (const Cores* cores) noexcept nogil
