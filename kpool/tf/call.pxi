# One execution of an op: its tensors and their shapes, its status, and the one exit that frees them.

# What a program of XLA passes instead of a context; xla.pxi says more.
cdef struct Buffers:
    const void** inputs
    void** outputs
    const int64_t* tensors      # the number of inputs, then dtype, rank and sizes of each input and of the outputs
    XlaStatus* status

cdef enum:
    MAX_TENSORS = 8     # inputs, outputs and scratch of one call
    MAX_DIMS = 5        # of a tensor that any op accepts

cdef struct Call:
    TF_OpKernelContext* context     # of TensorFlow, or NULL
    const Buffers* buffers          # of XLA, or NULL
    TF_Status* status
    TF_Tensor* tensors[MAX_TENSORS]
    int held

# A tensor as the ops see it. `shape` holds the first MAX_DIMS sizes; a larger `ndim` fails the check of the rank.
cdef struct View:
    void* data
    int dtype
    int ndim
    int64_t shape[MAX_DIMS]


cdef void open_call(Call* call, TF_OpKernelContext* context) noexcept nogil:
    call.context = context
    call.buffers = NULL
    call.status = TF_NewStatus()
    call.held = 0


cdef void close_call(Call* call) noexcept nogil:
    """Report the status if it is not OK, and free everything."""
    cdef int i
    if TF_GetCode(call.status) != TF_OK:
        if call.buffers != NULL:
            fail_program(call.buffers.status, TF_Message(call.status))
        else:
            TF_OpKernelContext_Failure(call.context, call.status)
    for i in range(call.held):
        TF_DeleteTensor(call.tensors[i])
    TF_DeleteStatus(call.status)


cdef bint invalid(Call* call, const char* message) noexcept nogil:
    """Set the status to InvalidArgumentError, and return False."""
    TF_SetStatus(call.status, TF_INVALID_ARGUMENT, message)
    return False


cdef bint hold(Call* call, TF_Tensor* tensor, View* view) noexcept nogil:
    """Take over a tensor just obtained, which is NULL if the status is not OK."""
    cdef int i
    if tensor == NULL or TF_GetCode(call.status) != TF_OK:
        if TF_GetCode(call.status) == TF_OK:
            TF_SetStatus(call.status, TF_RESOURCE_EXHAUSTED, "A tensor of the op could not be allocated.")
        if tensor != NULL:
            TF_DeleteTensor(tensor)
        return False
    call.tensors[call.held] = tensor
    call.held += 1
    view.data = TF_TensorData(tensor)
    view.dtype = TF_TensorType(tensor)
    view.ndim = TF_NumDims(tensor)
    for i in range(min(view.ndim, MAX_DIMS)):
        view.shape[i] = TF_Dim(tensor, i)
    return True


cdef bint get_input(Call* call, int i, View* view) noexcept nogil:
    cdef TF_Tensor* tensor = NULL
    if call.buffers != NULL:
        return input_buffer(call, i, view)
    TF_GetInput(call.context, i, &tensor, call.status)
    return hold(call, tensor, view)


cdef size_t bytes_of(size_t width, const int64_t* shape, int ndim) noexcept nogil:
    cdef int axis
    for axis in range(ndim):
        width *= <size_t> shape[axis]
    return width


cdef bint add_output(
    Call* call, int i, int dtype, size_t width, const int64_t* shape, int ndim, View* view,
) noexcept nogil:
    """Allocate an output; the geometry has checked that its size fits."""
    cdef size_t size = bytes_of(width, shape, ndim)
    if call.buffers != NULL:
        if not output_buffer(call, i, shape, ndim, view):
            return False
    elif not hold(call, TF_AllocateOutput(call.context, i, dtype, shape, ndim, size, call.status), view):
        return False
    ask_for_huge_pages(view.data, size)
    return True


cdef bint add_scratch(Call* call, int dtype, const int64_t* shape, int ndim, View* view) noexcept nogil:
    cdef TF_AllocatorAttributes attributes = TF_AllocatorAttributes(struct_size=KP_ATTRIBUTES_SIZE, on_host=1)
    cdef size_t size = bytes_of(element_size(<Element> element_of(dtype)), shape, ndim)
    cdef TF_Tensor* tensor
    if call.buffers != NULL:
        tensor = TF_AllocateTensor(dtype, shape, ndim, size)
    else:
        tensor = TF_AllocateTemp(call.context, dtype, shape, ndim, &attributes, call.status)
    if not hold(call, tensor, view):
        return False
    ask_for_huge_pages(view.data, size)
    return True


cdef bint same_shape(const View* view, const int64_t* shape, int ndim) noexcept nogil:
    cdef int i
    if view.ndim != ndim:
        return False
    for i in range(ndim):
        if view.shape[i] != shape[i]:
            return False
    return True


cdef bint refuse_shapes(
    Call* call, const char* rule, const char* name, const int64_t* shape, int ndim, const char* other_name,
    const int64_t* other_shape, int other_ndim,
) noexcept nogil:
    """Describe two shapes that break a rule, and return False."""
    cdef char message[MESSAGE_SIZE]
    cdef char sizes[160]
    cdef char other_sizes[160]
    write_tuple(sizes, sizeof(sizes), shape, min(ndim, MAX_DIMS))
    write_tuple(other_sizes, sizeof(other_sizes), other_shape, min(other_ndim, MAX_DIMS))
    snprintf(message, sizeof(message), "%s Received: %s of shape %s, %s of shape %s", rule, name, sizes, other_name,
             other_sizes)
    return invalid(call, message)


cdef bint get_shape(Call* call, int i, const char* name, int64_t* shape, int* ndim) noexcept nogil:
    """Read a shape that is passed as an int64 vector and called `name`."""
    cdef View view
    cdef Problem problem
    cdef char rule[80]
    cdef int axis
    if not get_input(call, i, &view):
        return False
    if view.ndim != 1 or view.shape[0] > MAX_DIMS:
        snprintf(rule, sizeof(rule), "`%s` must be a vector of at most %d sizes.", name, MAX_DIMS)
        refuse(&problem, rule, "shape", view.shape, min(view.ndim, MAX_DIMS))
        return invalid(call, problem.message)
    ndim[0] = <int> view.shape[0]
    for axis in range(ndim[0]):
        shape[axis] = (<const int64_t*> view.data)[axis]
    return True


cdef bint pooled_from(
    Call* call, const Window* window, const View* pooled, const char* name, int shape_input, Geometry* geometry,
    int64_t* shape,
) noexcept nogil:
    """The geometry of the pooling that made `pooled`, which is called `name`, from an input whose shape is passed."""
    cdef Problem problem
    cdef char rule[80]
    cdef int64_t expected[MAX_DIMS]
    cdef int i, ndim
    if not get_shape(call, shape_input, "input_shape", shape, &ndim):
        return False
    if not pool_geometry(geometry, window, ndim, shape, &problem):
        return invalid(call, problem.message)
    for i in range(ndim):
        expected[i] = shape[i]
    pooled_shape(geometry, window, expected)
    if not same_shape(pooled, expected, ndim):
        snprintf(rule, sizeof(rule), "`%s` must have the shape of the pooled input.", name)
        return refuse_shapes(call, rule, name, pooled.shape, pooled.ndim, "the pooled input", expected, ndim)
    return True


cdef int element_of(int dtype) noexcept nogil:
    """The kernels' name for a dtype, or -1. Kernels are registered for what has one."""
    if dtype == TF_HALF:
        return Element.FLOAT16
    elif dtype == TF_BFLOAT16:
        return Element.BFLOAT16
    elif dtype == TF_FLOAT:
        return Element.FLOAT32
    elif dtype == TF_DOUBLE:
        return Element.FLOAT64
    elif dtype == TF_INT8:
        return Element.INT8
    elif dtype == TF_UINT8:
        return Element.UINT8
    elif dtype == TF_INT16:
        return Element.INT16
    elif dtype == TF_UINT16:
        return Element.UINT16
    elif dtype == TF_INT32:
        return Element.INT32
    elif dtype == TF_UINT32:
        return Element.UINT32
    elif dtype == TF_INT64:
        return Element.INT64
    elif dtype == TF_UINT64:
        return Element.UINT64
    return -1
