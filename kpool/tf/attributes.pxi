# What a node of the graph says about itself. Read and checked once, when TensorFlow creates the kernel.

cdef struct Attributes:
    Window window
    bint wide_indices
    int64_t num_indices
    int64_t num_offsets
    bint sum_duplicates
    bint count_include_pad
    int64_t divisor_override


cdef bint read_bool(TF_OpKernelConstruction* node, const char* name, bint* value, TF_Status* status) noexcept nogil:
    cdef unsigned char raw = 0
    TF_OpKernelConstruction_GetAttrBool(node, name, &raw, status)
    value[0] = raw != 0
    return TF_GetCode(status) == TF_OK


cdef bint read_list(
    TF_OpKernelConstruction* node, const char* name, int64_t* values, int most, int* count, TF_Status* status,
) noexcept nogil:
    """Read at most `most` integers; a longer list is refused."""
    cdef int32_t list_size = 0, total_size = 0
    cdef Problem problem
    TF_OpKernelConstruction_GetAttrSize(node, name, &list_size, &total_size, status)
    if TF_GetCode(status) != TF_OK:
        return False
    if list_size < 0 or list_size > most:
        snprintf(problem.message, MESSAGE_SIZE, "`%s` must have at most %d entries. Received: %d entries",
                 name, most, list_size)
        TF_SetStatus(status, TF_INVALID_ARGUMENT, problem.message)
        return False
    count[0] = list_size
    if list_size > 0:
        TF_OpKernelConstruction_GetAttrInt64List(node, name, values, list_size, status)
    return TF_GetCode(status) == TF_OK


cdef bint read_flag(
    TF_OpKernelConstruction* node, const char* name, int64_t* value, TF_Status* status,
) noexcept nogil:
    """Read an optional output's count, which is 0 or 1."""
    TF_OpKernelConstruction_GetAttrInt64(node, name, value, status)
    if TF_GetCode(status) == TF_OK and not 0 <= value[0] <= 1:
        TF_SetStatus(status, TF_INVALID_ARGUMENT, "The number of an optional output must be 0 or 1.")
    return TF_GetCode(status) == TF_OK


cdef bint read_index_type(TF_OpKernelConstruction* node, bint* wide, TF_Status* status) noexcept nogil:
    cdef int dtype = 0
    TF_OpKernelConstruction_GetAttrType(node, "Tindices", &dtype, status)
    wide[0] = dtype == TF_INT64
    return TF_GetCode(status) == TF_OK


cdef bint read_window(TF_OpKernelConstruction* node, Window* window, TF_Status* status) noexcept nogil:
    cdef int64_t padding[2 * MAX_RANK]
    cdef int i, adaptive = 0, strides = 0, dilations = 0, paddings = 0
    cdef Problem problem
    if not (read_list(node, "pool_size", window.pool_size, MAX_RANK, &window.rank, status)
            and read_list(node, "adaptive_output_size", window.output_size, MAX_RANK, &adaptive, status)
            and read_list(node, "strides", window.strides, MAX_RANK, &strides, status)
            and read_list(node, "dilation_rate", window.dilation_rate, MAX_RANK, &dilations, status)
            and read_list(node, "padding", padding, 2 * MAX_RANK, &paddings, status)
            and read_bool(node, "same_padding", &window.same, status)
            and read_bool(node, "ceil_mode", &window.ceil_mode, status)
            and read_bool(node, "channels_first", &window.channels_first, status)):
        return False
    window.adaptive = adaptive > 0
    if window.adaptive:
        if window.rank or strides or dilations or paddings or window.same or window.ceil_mode:
            TF_SetStatus(status, TF_INVALID_ARGUMENT,
                         "With `adaptive_output_size` nothing else may be said about the window.")
            return False
        window.rank = adaptive
    elif strides != window.rank or dilations != window.rank or paddings != (0 if window.same else 2 * window.rank):
        TF_SetStatus(status, TF_INVALID_ARGUMENT,
                     "`strides` and `dilation_rate` must have as many entries as `pool_size`, and `padding` two for "
                     "each, or none with `same_padding`.")
        return False
    for i in range(window.rank):
        window.before[i] = padding[2 * i] if paddings else 0
        window.after[i] = padding[2 * i + 1] if paddings else 0
    if not check_window(window, &problem):
        TF_SetStatus(status, TF_INVALID_ARGUMENT, problem.message)
        return False
    return True


cdef bint read_average_pool(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    if not (read_window(node, &attributes.window, status)
            and read_bool(node, "count_include_pad", &attributes.count_include_pad, status)):
        return False
    TF_OpKernelConstruction_GetAttrInt64(node, "divisor_override", &attributes.divisor_override, status)
    if TF_GetCode(status) == TF_OK and not 0 <= attributes.divisor_override <= INT32_PLANE:
        TF_SetStatus(status, TF_INVALID_ARGUMENT,
                     "`divisor_override` must be an integer from 1 to 2147483647, or 0 for the number of elements.")
    return TF_GetCode(status) == TF_OK


# Each operation's reader; create_with calls one.
ctypedef bint (*Reader)(TF_OpKernelConstruction*, Attributes*, TF_Status*) noexcept nogil


cdef bint read_pool(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return (read_window(node, &attributes.window, status)
            and read_flag(node, "num_indices", &attributes.num_indices, status)
            and read_flag(node, "num_offsets", &attributes.num_offsets, status)
            and read_index_type(node, &attributes.wide_indices, status))


cdef bint read_pool_backward(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return read_window(node, &attributes.window, status)


cdef bint read_pool_indices(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return (read_window(node, &attributes.window, status)
            and read_index_type(node, &attributes.wide_indices, status))


cdef bint read_unpool(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return (read_window(node, &attributes.window, status)
            and read_index_type(node, &attributes.wide_indices, status)
            and read_bool(node, "sum_duplicates", &attributes.sum_duplicates, status))


cdef bint read_unpool_backward(
    TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status,
) noexcept nogil:
    return (read_index_type(node, &attributes.wide_indices, status)
            and read_bool(node, "channels_first", &attributes.window.channels_first, status)
            and read_bool(node, "sum_duplicates", &attributes.sum_duplicates, status))


cdef void* create_with(TF_OpKernelConstruction* node, Reader read) noexcept nogil:
    """The attributes of a node on the heap, or NULL after reporting why not."""
    cdef TF_Status* status = TF_NewStatus()
    cdef Attributes* attributes = NULL
    if not ready:
        TF_SetStatus(status, TF_FAILED_PRECONDITION,
                     "kpool's ops need the Python package: run `import kpool` before this model.")
    else:
        attributes = <Attributes*> calloc(1, sizeof(Attributes))
        if attributes == NULL:
            TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "The attributes of the op could not be allocated.")
        else:
            read(node, attributes, status)
    if TF_GetCode(status) != TF_OK:
        TF_OpKernelConstruction_Failure(node, status)
        free(attributes)
        attributes = NULL
    TF_DeleteStatus(status)
    return attributes


cdef void delete_attributes(void* attributes) noexcept nogil:
    free(attributes)
