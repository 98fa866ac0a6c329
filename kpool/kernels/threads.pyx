"""One process-wide pool of worker threads, shared by any number of callers.

A caller puts its job on a list, wakes as many workers as the job can feed, and works on the job itself until
nothing is left to begin. Jobs live on their callers' stacks: a caller returns only when no worker holds its job any
more. Workers start when the first large job arrives, never touch Python, and end with the process; a forked child
has none and starts its own.

Putting a thread to sleep and waking it takes longer than many a job. So a worker that has run out of work looks for
more, and a caller waits for the last worker, for a fraction of a millisecond before it sleeps.
"""
from libc.stdint cimport int64_t

from .cores cimport Cores, go_anywhere, keep_off_my_core, pthread_t

cdef extern from *:
    """
    #include <pthread.h>
    #include <stdint.h>
    /* Bytes of a worker's stack, more than three times what a kernel uses. The default can be less: it follows the
       user's limits. ThreadSanitizer keeps what it knows of a thread there as well, several hundred thousand bytes. */
    #if defined(__SANITIZE_THREAD__)
    #define KP_STACK (3 << 20)
    #else
    #define KP_STACK (2 << 20)
    #endif
    #if defined(__SSE2__)
    #include <immintrin.h>
    typedef unsigned kp_floats;
    #define kp_get_floats(mode) (*(mode) = _mm_getcsr())
    #define kp_set_floats(mode) _mm_setcsr(*(mode))
    static const kp_floats kp_default_floats = 0x1F80;      /* as a process begins */
    #define kp_pause() _mm_pause()
    #else
    #include <fenv.h>
    typedef fenv_t kp_floats;
    #define kp_get_floats(mode) fegetenv(mode)
    #define kp_set_floats(mode) fesetenv(mode)
    #define kp_default_floats (*FE_DFL_ENV)
    #define kp_pause() __asm__ volatile ("" ::: "memory")
    #endif
    /* About a microsecond. Yielding instead made the system move the threads that work together onto one core. */
    static inline void kp_wait_a_little(void) {
        for (int i = 0; i < 40; i++) kp_pause();
    }
    #define kp_claim(counter, step) __atomic_fetch_add((counter), (step), __ATOMIC_RELAXED)
    #define kp_load(value) __atomic_load_n((value), __ATOMIC_ACQUIRE)
    #define kp_store(value, x) __atomic_store_n((value), (x), __ATOMIC_RELEASE)
    static pthread_mutex_t kp_mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t kp_released = PTHREAD_COND_INITIALIZER;  /* a worker let go of a job */
    """
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_attr_t:
        pass
    ctypedef struct kp_floats:
        pass
    enum:
        PTHREAD_CREATE_DETACHED
        STACK "KP_STACK"
    const kp_floats default_floats "kp_default_floats"
    pthread_mutex_t mutex "kp_mutex"
    pthread_cond_t released "kp_released"
    int64_t claim "kp_claim" (int64_t* counter, int64_t step) noexcept nogil
    int load "kp_load" (const int* value) noexcept nogil
    void store "kp_store" (int* value, int x) noexcept nogil
    int pthread_mutex_lock(pthread_mutex_t*) noexcept nogil
    int pthread_mutex_unlock(pthread_mutex_t*) noexcept nogil
    int pthread_mutex_init(pthread_mutex_t*, void*) noexcept nogil
    int pthread_cond_init(pthread_cond_t*, void*) noexcept nogil
    int pthread_cond_wait(pthread_cond_t*, pthread_mutex_t*) noexcept nogil
    int pthread_cond_signal(pthread_cond_t*) noexcept nogil
    int pthread_cond_broadcast(pthread_cond_t*) noexcept nogil
    pthread_t pthread_self() noexcept nogil
    int pthread_attr_init(pthread_attr_t*) noexcept nogil
    int pthread_attr_setdetachstate(pthread_attr_t*, int) noexcept nogil
    int pthread_attr_setstacksize(pthread_attr_t*, size_t) noexcept nogil
    int pthread_attr_destroy(pthread_attr_t*) noexcept nogil
    int pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*) noexcept nogil, void*) noexcept nogil
    int pthread_atfork(void (*)() noexcept nogil, void (*)() noexcept nogil, void (*)() noexcept nogil) noexcept nogil
    void get_floats "kp_get_floats" (kp_floats* mode) noexcept nogil
    void set_floats "kp_set_floats" (const kp_floats* mode) noexcept nogil
    void wait_a_little "kp_wait_a_little" () noexcept nogil

import os

cdef struct Job:
    Work work
    const void* argument
    int64_t items
    int64_t grain       # items of a chunk
    int64_t chunks
    int64_t taken       # how often a chunk was asked for; claimed atomically
    int64_t by_workers  # how many chunks were given to workers; claimed atomically
    int seats           # workers that may be on the job at a time
    int holders         # workers that are; changed with the mutex held, read atomically
    Job* below          # next older job on the list; guarded by the mutex

# A worker that sleeps, or could. Lives on its stack; guarded by the mutex.
cdef struct Sleeper:
    pthread_t thread
    pthread_cond_t posted   # a job has work to begin
    bint woken
    bint kept_off           # a core, until it wakes
    Cores cores
    Sleeper* below          # who fell asleep before

# Jobs with items that nobody has begun, newest first. Guarded by the mutex.
cdef Job* jobs = NULL
# Workers that nobody has woken, the last to fall asleep first. Guarded by the mutex.
cdef Sleeper* sleepers = NULL
# Worker threads of this process. Guarded by the mutex.
cdef int workers = 0
# How many jobs were ever posted, modulo 2^31. Changed with the mutex held, read atomically.
cdef int posts = 0
# Threads that may work on one call, the caller included. Read and written atomically.
cdef int threads_per_call = 1

# Below this many bytes a second thread costs more than it brings.
cdef double WORTH_WAKING = 1 << 17
# Microseconds, about, that a worker looks for another job and a caller waits for the last worker before they sleep.
cdef int LOOK = 20
cdef int LINGER = 200
# Chunks per thread: enough to even out unequal progress, few enough not to be felt.
cdef int64_t CHUNKS = 4


cdef void run(Job* job, bint by_caller) noexcept nogil:
    """Begin chunks until none are left: the caller from the first on, and workers from the last.

    So the two ends of a tensor tend to stay in the caches of different cores, from one operation to the next.

    TensorFlow's threads flush subnormal floats to zero and ours do not. In the default mode a result does not depend
    on which of them computed it.
    """
    cdef kp_floats callers
    cdef int64_t chunk = -1, begin
    get_floats(&callers)
    set_floats(&default_floats)
    while claim(&job.taken, 1) < job.chunks:
        chunk = chunk + 1 if by_caller else job.chunks - 1 - claim(&job.by_workers, 1)
        begin = chunk * job.grain
        job.work(job.argument, begin, min(begin + job.grain, job.items))
    set_floats(&callers)


cdef void withdraw(Job* job) noexcept nogil:
    """Take a job off the list, if it is still there. The mutex must be held."""
    global jobs
    cdef Job** link = &jobs
    while link[0] != NULL:
        if link[0] == job:
            link[0] = job.below
            return
        link = &link[0].below


cdef Job* job_with_a_seat() noexcept nogil:
    """The newest job that another worker may join, or NULL. The mutex must be held."""
    cdef Job* job = jobs
    while job != NULL and job.holders >= job.seats:
        job = job.below
    return job


cdef void look_for_posts(int seen) noexcept nogil:
    """Return when a job has been posted since `seen` were, or after a while."""
    cdef int _
    for _ in range(LOOK):
        if load(&posts) != seen:
            return
        wait_a_little()


cdef void sleep(Sleeper* me) noexcept nogil:
    """Return when a caller has woken this worker. The mutex must be held."""
    global sleepers
    me.woken = False
    me.below = sleepers
    sleepers = me
    while not me.woken:
        pthread_cond_wait(&me.posted, &mutex)
    if me.kept_off:
        go_anywhere(&me.cores)


cdef void wake(int wanted) noexcept nogil:
    """Wake that many workers, or all that sleep. The mutex must be held."""
    global sleepers
    cdef Sleeper* sleeper
    while wanted > 0 and sleepers != NULL:
        wanted -= 1
        sleeper = sleepers
        sleepers = sleeper.below
        sleeper.woken = True
        sleeper.kept_off = keep_off_my_core(sleeper.thread, &sleeper.cores)
        pthread_cond_signal(&sleeper.posted)


cdef void* worker(void* unused) noexcept nogil:
    cdef Sleeper me
    cdef Job* job
    cdef int seen
    cdef bint looked = False
    me.thread = pthread_self()
    pthread_cond_init(&me.posted, NULL)
    pthread_mutex_lock(&mutex)
    while True:
        job = job_with_a_seat()
        if job == NULL and not looked:
            seen = posts
            pthread_mutex_unlock(&mutex)
            look_for_posts(seen)
            pthread_mutex_lock(&mutex)
            looked = True
            continue
        if job == NULL:
            sleep(&me)
            continue
        store(&job.holders, job.holders + 1)
        pthread_mutex_unlock(&mutex)
        run(job, False)
        pthread_mutex_lock(&mutex)
        withdraw(job)
        looked = False
        if job.holders == 1:
            pthread_cond_broadcast(&released)
        # The last touch: the caller may return at once.
        store(&job.holders, job.holders - 1)
    return NULL


cdef void start_workers(int wanted) noexcept nogil:
    """Start what is missing. The mutex must be held. Without a single worker the callers do all the work."""
    global workers
    cdef pthread_attr_t attributes
    cdef pthread_t thread
    if workers >= wanted:
        return
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED)
    pthread_attr_setstacksize(&attributes, STACK)
    while workers < wanted:
        if pthread_create(&thread, &attributes, worker, NULL) != 0:
            break
        workers += 1
    pthread_attr_destroy(&attributes)


cdef void parallel_for(Work work, const void* job, int64_t items, double cost) noexcept nogil:
    """Do items [0, items) of a job that moves `cost` bytes, on the caller and the pool's workers."""
    global jobs
    cdef Job posting
    cdef int64_t chunks
    cdef int _
    cdef int threads = load(&threads_per_call)
    posting = Job(work=work, argument=job, items=items, grain=items, chunks=min(items, 1), taken=0, by_workers=0,
                  seats=threads - 1, holders=0, below=NULL)
    if items < 2 or cost < WORTH_WAKING or threads < 2:
        run(&posting, True)
        return
    chunks = min(items, CHUNKS * threads)
    posting.grain = (items + chunks - 1) // chunks
    posting.chunks = (items + posting.grain - 1) // posting.grain
    pthread_mutex_lock(&mutex)
    posting.seats = <int> min(posting.seats, chunks - 1)
    start_workers(posting.seats)
    posting.below = jobs
    jobs = &posting
    store(&posts, (posts + 1) & 0x7FFFFFFF)
    wake(posting.seats)
    pthread_mutex_unlock(&mutex)
    run(&posting, True)
    pthread_mutex_lock(&mutex)
    withdraw(&posting)
    pthread_mutex_unlock(&mutex)
    # Nobody joins any more.
    for _ in range(LINGER):
        if load(&posting.holders) == 0:
            return
        wait_a_little()
    pthread_mutex_lock(&mutex)
    while posting.holders > 0:
        pthread_cond_wait(&released, &mutex)
    pthread_mutex_unlock(&mutex)


cdef void before_fork() noexcept nogil:
    pthread_mutex_lock(&mutex)


cdef void after_fork_in_parent() noexcept nogil:
    pthread_mutex_unlock(&mutex)


cdef void after_fork_in_child() noexcept nogil:
    """Only the forking thread lives on: no workers, and no jobs but those of threads that are gone."""
    global jobs, sleepers, workers
    jobs = NULL
    sleepers = NULL
    workers = 0
    pthread_mutex_init(&mutex, NULL)
    pthread_cond_init(&released, NULL)


def set_num_threads(int threads):
    """Let up to `threads` threads work on one call, the caller included; 0 means every core of this process.

    Raising the number starts workers when they are first needed; lowering it does not end those that run.
    """
    if threads < 0:
        raise ValueError(f"`threads` must be 0, for every core, or a positive integer. Received: threads={threads}")
    if threads == 0:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    store(&threads_per_call, threads)


def num_threads():
    """How many threads may work on one call."""
    return load(&threads_per_call)


def num_workers():
    """How many worker threads the pool has started in this process."""
    return workers


cdef void count_items(const void* counter, int64_t begin, int64_t end) noexcept nogil:
    claim(<int64_t*> counter, end - begin)


def exercise(int64_t items):
    """Send a job of that many items through the pool, and return how many were done."""
    cdef int64_t done = 0
    with nogil:
        parallel_for(count_items, &done, items, WORTH_WAKING)
    return done


set_num_threads(0)
if pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0:
    raise MemoryError("The worker pool could not be made ready for a fork.")
