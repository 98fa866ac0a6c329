# Max unpooling: the ops KpoolMaxUnpool and KpoolMaxUnpoolBackward check shapes, allocate and run.

cdef bint report_bad_index(Call* call, const Move* job, const View* indices) noexcept nogil:
    """Name the first index that points outside its plane, its position and the plane's size."""
    cdef Problem problem
    cdef char position[160]
    cdef int64_t place[MAX_DIMS]
    cdef int64_t rest = job.bad_position
    cdef long long value
    cdef int i, length = 0
    if job.wide_indices:
        value = (<const int64_t*> job.indices)[job.bad_position]
    else:
        value = (<const int32_t*> job.indices)[job.bad_position]
    for i in range(indices.ndim - 1, -1, -1):
        place[i] = rest % indices.shape[i]
        rest = rest // indices.shape[i]
    for i in range(indices.ndim):
        length += snprintf(position + length, sizeof(position) - length, "%s%lld", b", " if i else b"",
                           <long long> place[i])
    snprintf(problem.message, MESSAGE_SIZE,
             "`indices` must lie in [0, %lld), the positions of one channel's plane. If they were made from an input "
             "of another size, give that as `output_size`. Received: indices[%s]=%lld",
             <long long> job.geometry.plane, position, value)
    return invalid(call, problem.message)


cdef bint max_unpool(Call* call, const Attributes* attributes) noexcept nogil:
    cdef const Window* window = &attributes.window
    cdef View inputs, indices, outputs, scratch
    cdef Move job
    cdef Problem problem
    cdef int64_t shape[MAX_DIMS]
    cdef int64_t output_size[MAX_DIMS]
    cdef int sizes
    cdef bint sums_in_float
    if not (get_input(call, 0, &inputs) and get_input(call, 1, &indices)
            and get_shape(call, 2, "output_size", output_size, &sizes)):
        return False
    if sizes != 0 and sizes != window.rank:
        refuse(&problem, "`output_size` must have one entry per spatial axis, or none for the default.", "output_size",
               output_size, sizes)
        return invalid(call, problem.message)
    if not unpool_geometry(&job.geometry, window, inputs.ndim, inputs.shape,
                           output_size if sizes > 0 else NULL, &problem):
        return invalid(call, problem.message)
    if not same_shape(&indices, inputs.shape, inputs.ndim):
        return refuse_shapes(call, "`indices` must have the shape of `inputs`.", "inputs", inputs.shape, inputs.ndim,
                             "indices", indices.shape, indices.ndim)
    shape = inputs.shape
    unpooled_shape(&job.geometry, window, shape)
    job.windows_known = True
    job.element = <Element> element_of(inputs.dtype)
    if not add_output(call, 0, inputs.dtype, element_size(job.element), shape, inputs.ndim, &outputs):
        return False
    sums_in_float = attributes.sum_duplicates and job.element in (Element.FLOAT16, Element.BFLOAT16)
    if sums_in_float and not add_scratch(call, TF_FLOAT, shape, inputs.ndim, &scratch):
        return False
    job.inputs = inputs.data
    job.indices = indices.data
    job.wide_indices = indices.dtype == TF_INT64
    job.outputs = outputs.data
    job.scratch = scratch.data if sums_in_float else NULL
    job.bad_position = INT64_MAX
    if attributes.sum_duplicates:
        run_scatter_sum(&job)
    else:
        run_scatter_last(&job)
    return job.bad_position == INT64_MAX or report_bad_index(call, &job, &indices)


cdef bint windows_between(
    Geometry* geometry, const Window* window, const View* unpooled, const View* pooled,
) noexcept nogil:
    """Whether the window leads from one shape to the other. Moving by index does not need that, but can be faster."""
    cdef Problem problem
    cdef int64_t shape[MAX_DIMS]
    memcpy(shape, pooled.shape, sizeof(shape))
    if unpooled.ndim != window.rank + 2 or not unpool_geometry(
            geometry, window, pooled.ndim, pooled.shape, unpooled.shape + (2 if window.channels_first else 1),
            &problem):
        return False
    unpooled_shape(geometry, window, shape)
    return same_shape(unpooled, shape, pooled.ndim)


cdef bint max_unpool_backward(Call* call, const Attributes* attributes) noexcept nogil:
    cdef View gradients, indices, outputs, scratch
    cdef Move job
    cdef Problem problem
    if not (get_input(call, 0, &gradients) and get_input(call, 1, &indices)):
        return False
    if gradients.ndim != indices.ndim:
        return refuse_shapes(call, "`gradients` and `indices` must have the same rank.", "gradients", gradients.shape,
                             gradients.ndim, "indices", indices.shape, indices.ndim)
    job.windows_known = windows_between(&job.geometry, &attributes.window, &gradients, &indices)
    if not job.windows_known and not move_geometry(&job.geometry, attributes.window.channels_first, gradients.ndim,
                                                   gradients.shape, indices.shape, &problem):
        return invalid(call, problem.message)
    job.element = <Element> element_of(gradients.dtype)
    if not add_output(call, 0, gradients.dtype, element_size(job.element), indices.shape, indices.ndim, &outputs):
        return False
    if not attributes.sum_duplicates and not add_scratch(call, TF_UINT8, gradients.shape, gradients.ndim, &scratch):
        return False
    job.inputs = gradients.data
    job.indices = indices.data
    job.wide_indices = indices.dtype == TF_INT64
    job.outputs = outputs.data
    job.scratch = NULL if attributes.sum_duplicates else scratch.data
    job.bad_position = INT64_MAX
    if attributes.sum_duplicates:
        run_gather(&job)
    else:
        run_gather_last(&job)
    return job.bad_position == INT64_MAX or report_bad_index(call, &job, &indices)


cdef void* create_max_unpool(TF_OpKernelConstruction* node) noexcept nogil:
    return create_with(node, read_unpool)


cdef void compute_max_unpool(void* attributes, TF_OpKernelContext* context) noexcept nogil:
    cdef Call call
    open_call(&call, context)
    max_unpool(&call, <const Attributes*> attributes)
    close_call(&call)


cdef void compute_max_unpool_backward(void* attributes, TF_OpKernelContext* context) noexcept nogil:
    cdef Call call
    open_call(&call, context)
    max_unpool_backward(&call, <const Attributes*> attributes)
    close_call(&call)
