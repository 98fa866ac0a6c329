# Max pooling: the ops KpoolMaxPool, KpoolMaxPoolBackward and KpoolMaxPoolIndices check shapes, allocate and run.

cdef bint max_pool(Call* call, const Attributes* attributes) noexcept nogil:
    cdef const Window* window = &attributes.window
    cdef View inputs, outputs, indices, offsets
    cdef MaxPool job
    cdef Problem problem
    cdef int64_t shape[MAX_DIMS]
    if not get_input(call, 0, &inputs):
        return False
    if not (pool_geometry(&job.geometry, window, inputs.ndim, inputs.shape, &problem)
            and (not attributes.num_indices or check_indices(job.geometry.plane, attributes.wide_indices, &problem))
            and (not attributes.num_offsets or check_offsets(&job.geometry, &problem))):
        return invalid(call, problem.message)
    shape = inputs.shape
    pooled_shape(&job.geometry, window, shape)
    job.element = <Element> element_of(inputs.dtype)
    job.inputs = inputs.data
    job.indices = NULL
    job.wide_indices = attributes.wide_indices
    job.offsets = NULL
    if not add_output(call, 0, inputs.dtype, element_size(job.element), shape, inputs.ndim, &outputs):
        return False
    job.outputs = outputs.data
    if attributes.num_indices:
        if not add_output(call, 1, TF_INT64 if attributes.wide_indices else TF_INT32,
                          8 if attributes.wide_indices else 4, shape, inputs.ndim, &indices):
            return False
        job.indices = indices.data
    if attributes.num_offsets:
        if not add_output(call, 1 + <int> attributes.num_indices, TF_UINT8, 1, shape, inputs.ndim, &offsets):
            return False
        job.offsets = <uint8_t*> offsets.data
    run_max_pool(&job)
    return True


cdef bint offsets_geometry(
    Call* call, const Window* window, const View* offsets, int shape_input, Geometry* geometry, int64_t* shape,
) noexcept nogil:
    """The geometry of the pooling that made `offsets` from an input whose shape is an input of this op."""
    cdef Problem problem
    if not pooled_from(call, window, offsets, "offsets", shape_input, geometry, shape):
        return False
    return check_offsets(geometry, &problem) or invalid(call, problem.message)


cdef bint max_pool_backward(Call* call, const Attributes* attributes) noexcept nogil:
    cdef View gradients, offsets, outputs
    cdef Place job
    cdef int64_t shape[MAX_DIMS]
    if not (get_input(call, 0, &gradients) and get_input(call, 1, &offsets)
            and offsets_geometry(call, &attributes.window, &offsets, 2, &job.geometry, shape)):
        return False
    if not same_shape(&gradients, offsets.shape, offsets.ndim):
        return refuse_shapes(call, "`gradients` and `offsets` must have the same shape.", "gradients", gradients.shape,
                             gradients.ndim, "offsets", offsets.shape, offsets.ndim)
    job.element = <Element> element_of(gradients.dtype)
    if not add_output(call, 0, gradients.dtype, element_size(job.element), shape, offsets.ndim, &outputs):
        return False
    job.inputs = gradients.data
    job.keys = offsets.data
    job.key_width = 1
    job.outputs = outputs.data
    run_max_pool_backward(&job)
    return True


cdef bint max_pool_indices(Call* call, const Attributes* attributes) noexcept nogil:
    cdef View offsets, indices
    cdef MaxPoolIndices job
    cdef Problem problem
    cdef int64_t shape[MAX_DIMS]
    if not (get_input(call, 0, &offsets)
            and offsets_geometry(call, &attributes.window, &offsets, 1, &job.geometry, shape)
            and (check_indices(job.geometry.plane, attributes.wide_indices, &problem)
                 or invalid(call, problem.message))
            and add_output(call, 0, TF_INT64 if attributes.wide_indices else TF_INT32,
                           8 if attributes.wide_indices else 4, offsets.shape, offsets.ndim, &indices)):
        return False
    job.offsets = <const uint8_t*> offsets.data
    job.indices = indices.data
    job.wide_indices = attributes.wide_indices
    run_max_pool_indices(&job)
    return True


cdef void* create_max_pool(TF_OpKernelConstruction* node) noexcept nogil:
    return create_with(node, read_pool)


cdef void compute_max_pool(void* attributes, TF_OpKernelContext* context) noexcept nogil:
    cdef Call call
    open_call(&call, context)
    max_pool(&call, <const Attributes*> attributes)
    close_call(&call)


cdef void* create_max_pool_backward(TF_OpKernelConstruction* node) noexcept nogil:
    return create_with(node, read_pool_backward)


cdef void compute_max_pool_backward(void* attributes, TF_OpKernelContext* context) noexcept nogil:
    cdef Call call
    open_call(&call, context)
    max_pool_backward(&call, <const Attributes*> attributes)
    close_call(&call)


cdef void* create_max_pool_indices(TF_OpKernelConstruction* node) noexcept nogil:
    return create_with(node, read_pool_indices)


cdef void compute_max_pool_indices(void* attributes, TF_OpKernelContext* context) noexcept nogil:
    cdef Call call
    open_call(&call, context)
    max_pool_indices(&call, <const Attributes*> attributes)
    close_call(&call)
