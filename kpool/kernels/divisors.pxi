# What the sums of windows are divided by, and so the gradients of averages.

cdef inline double rows_counted(const AveragePool* job, const int64_t* window) noexcept nogil:
    """How many rows of a window there are to divide by."""
    return (<double> count_taps(&job.geometry.axes[0], window[0], job.count_include_pad)
            * <double> count_taps(&job.geometry.axes[1], window[1], job.count_include_pad))


cdef inline double divisor_in_row(const AveragePool* job, double rows, int64_t o) noexcept nogil:
    """What the sum over window `o` of a row of windows is divided by, each of which counts so many rows."""
    if job.divisor_override > 0:
        return <double> job.divisor_override
    return rows * <double> count_taps(&job.geometry.axes[2], o, job.count_include_pad)


cdef inline double divisor_of(const AveragePool* job, const int64_t* window) noexcept nogil:
    """What the sum over a window is divided by."""
    return divisor_in_row(job, rows_counted(job, window), window[2])


cdef inline int64_t alike_until(const AveragePool* job, int64_t o, int64_t end) noexcept nogil:
    """One past the last of the windows, from `o` on, that are divided by the same number and follow in memory."""
    cdef const Axis* axis = &job.geometry.axes[2]
    if job.divisor_override > 0:
        return end
    return o + alike_windows(axis, o, end - 1)
