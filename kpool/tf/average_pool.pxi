# Average pooling: the ops KpoolAveragePool and KpoolAveragePoolBackward check shapes, allocate and run.

cdef bint average_pool(Call* call, const Attributes* attributes) noexcept nogil:
    cdef const Window* window = &attributes.window
    cdef View inputs, outputs
    cdef AveragePool job
    cdef Problem problem
    cdef int64_t shape[MAX_DIMS]
    if not get_input(call, 0, &inputs):
        return False
    if not pool_geometry(&job.geometry, window, inputs.ndim, inputs.shape, &problem):
        return invalid(call, problem.message)
    shape = inputs.shape
    pooled_shape(&job.geometry, window, shape)
    job.element = <Element> element_of(inputs.dtype)
    if not add_output(call, 0, inputs.dtype, element_size(job.element), shape, inputs.ndim, &outputs):
        return False
    job.count_include_pad = attributes.count_include_pad
    job.divisor_override = attributes.divisor_override
    job.inputs = inputs.data
    job.outputs = outputs.data
    run_average_pool(&job)
    return True


cdef bint average_pool_backward(Call* call, const Attributes* attributes) noexcept nogil:
    cdef View gradients, outputs
    cdef AveragePool job
    cdef int64_t shape[MAX_DIMS]
    if not (get_input(call, 0, &gradients)
            and pooled_from(call, &attributes.window, &gradients, "gradients", 1, &job.geometry, shape)):
        return False
    job.element = <Element> element_of(gradients.dtype)
    if not add_output(call, 0, gradients.dtype, element_size(job.element), shape, gradients.ndim, &outputs):
        return False
    job.count_include_pad = attributes.count_include_pad
    job.divisor_override = attributes.divisor_override
    job.inputs = gradients.data
    job.outputs = outputs.data
    run_average_pool_backward(&job)
    return True


cdef void* create_average_pool(TF_OpKernelConstruction* node) noexcept nogil:
    return create_with(node, read_average_pool)


cdef void compute_average_pool(void* attributes, TF_OpKernelContext* context) noexcept nogil:
    cdef Call call
    open_call(&call, context)
    average_pool(&call, <const Attributes*> attributes)
    close_call(&call)


cdef void compute_average_pool_backward(void* attributes, TF_OpKernelContext* context) noexcept nogil:
    cdef Call call
    open_call(&call, context)
    average_pool_backward(&call, <const Attributes*> attributes)
    close_call(&call)
