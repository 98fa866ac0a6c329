# What a node of the graph says about itself. Read and checked once, when TensorFlow creates the kernel.

cdef enum:
    FLAGS = 4       # of a window: channels first, ceil mode, the padding "same", adaptive
    ROW = 5         # pool size, stride, dilation, padding before and after; of an adaptive window its size alone

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


cdef bint read_integer(
    TF_OpKernelConstruction* node, const char* name, int64_t* value, TF_Status* status,
) noexcept nogil:
    TF_OpKernelConstruction_GetAttrInt64(node, name, value, status)
    return TF_GetCode(status) == TF_OK


cdef bint read_index_type(TF_OpKernelConstruction* node, bint* wide, TF_Status* status) noexcept nogil:
    cdef int dtype = 0
    TF_OpKernelConstruction_GetAttrType(node, "Tindices", &dtype, status)
    wide[0] = dtype == TF_INT64
    return TF_GetCode(status) == TF_OK


cdef bint read_window(TF_OpKernelConstruction* node, Window* window, TF_Status* status) noexcept nogil:
    """Read a window as kpool.ops.geometry.Window.attributes writes it: FLAGS flags, then a row for each spatial axis.

    One list for all, since in eager mode each attribute adds to the time of every call.
    """
    cdef int64_t values[FLAGS + ROW * MAX_RANK]
    cdef int32_t length = 0, total_size = 0
    TF_OpKernelConstruction_GetAttrSize(node, "window", &length, &total_size, status)
    if TF_GetCode(status) != TF_OK:
        return False
    if length > FLAGS + ROW * MAX_RANK:
        return bad_length(length, status)
    TF_OpKernelConstruction_GetAttrInt64List(node, "window", values, length, status)
    return TF_GetCode(status) == TF_OK and parse_window(values, length, window, status)


cdef bint parse_window(const int64_t* values, int length, Window* window, TF_Status* status) noexcept nogil:
    cdef const int64_t* row
    cdef int i, width
    cdef Problem problem
    if not FLAGS <= length <= FLAGS + ROW * MAX_RANK:
        return bad_length(length, status)
    for i in range(FLAGS):
        if not 0 <= values[i] <= 1:
            return bad_window("flags of window", values, FLAGS, status)
    window.channels_first = values[0] != 0
    window.ceil_mode = values[1] != 0
    window.same = values[2] != 0
    window.adaptive = values[3] != 0
    width = 1 if window.adaptive else ROW
    window.rank = (length - FLAGS) // width
    if length != FLAGS + width * window.rank or window.rank > MAX_RANK:
        return bad_length(length, status)
    if window.adaptive and (window.same or window.ceil_mode):
        TF_SetStatus(status, TF_INVALID_ARGUMENT, "An adaptive `window` has neither padding nor a rounding of its own.")
        return False
    for i in range(window.rank):
        row = values + FLAGS + width * i
        if window.adaptive:
            window.output_size[i] = row[0]
            continue
        window.pool_size[i] = row[0]
        window.strides[i] = row[1]
        window.dilation_rate[i] = row[2]
        window.before[i] = row[3]
        window.after[i] = row[4]
        if window.same and (row[3] != 0 or row[4] != 0):
            TF_SetStatus(status, TF_INVALID_ARGUMENT, "A `window` with the padding \"same\" must hold zeros for it.")
            return False
    if not check_window(window, &problem):
        TF_SetStatus(status, TF_INVALID_ARGUMENT, problem.message)
        return False
    return True


cdef bint bad_attribute(
    const char* rule, const char* name, const int64_t* values, int count, TF_Status* status,
) noexcept nogil:
    cdef Problem problem
    refuse(&problem, rule, name, values, count)
    TF_SetStatus(status, TF_INVALID_ARGUMENT, problem.message)
    return False


cdef bint bad_window(const char* name, const int64_t* values, int count, TF_Status* status) noexcept nogil:
    return bad_attribute("`window` must hold four flags of 0 or 1, then five integers for each of 1, 2 or 3 spatial "
                         "axes, or one where it is adaptive.", name, values, count, status)


cdef bint bad_length(int64_t length, TF_Status* status) noexcept nogil:
    return bad_window("length of window", &length, 1, status)


cdef bint read_average_pool(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return (read_window(node, &attributes.window, status)
            and read_bool(node, "count_include_pad", &attributes.count_include_pad, status)
            and read_integer(node, "divisor_override", &attributes.divisor_override, status))


# Each operation's reader; create_with calls one.
ctypedef bint (*Reader)(TF_OpKernelConstruction*, Attributes*, TF_Status*) noexcept nogil


cdef bint read_pool(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return (read_window(node, &attributes.window, status)
            and read_integer(node, "num_indices", &attributes.num_indices, status)
            and read_integer(node, "num_offsets", &attributes.num_offsets, status)
            and read_index_type(node, &attributes.wide_indices, status))


cdef bint read_pool_backward(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return read_window(node, &attributes.window, status)


cdef bint read_pool_indices(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return (read_window(node, &attributes.window, status)
            and read_index_type(node, &attributes.wide_indices, status))


cdef bint read_unpool(TF_OpKernelConstruction* node, Attributes* attributes, TF_Status* status) noexcept nogil:
    return (read_window(node, &attributes.window, status)
            and read_bool(node, "sum_duplicates", &attributes.sum_duplicates, status))


cdef bint check_attributes(const Attributes* attributes, TF_Status* status) noexcept nogil:
    """What a window does not say, wherever it was read. An op leaves 0 what it does not have."""
    if not 0 <= attributes.num_indices <= 1:
        return bad_attribute("`num_indices` must be 0 or 1.", "num_indices", &attributes.num_indices, 1, status)
    if not 0 <= attributes.num_offsets <= 1:
        return bad_attribute("`num_offsets` must be 0 or 1.", "num_offsets", &attributes.num_offsets, 1, status)
    if not 0 <= attributes.divisor_override <= INT32_PLANE:
        return bad_attribute("`divisor_override` must be an integer from 1 to 2147483647, or 0 for the number of "
                             "elements.", "divisor_override", &attributes.divisor_override, 1, status)
    return True


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
            read(node, attributes, status) and check_attributes(attributes, status)
    if TF_GetCode(status) != TF_OK:
        TF_OpKernelConstruction_Failure(node, status)
        free(attributes)
        attributes = NULL
    TF_DeleteStatus(status)
    return attributes


cdef void delete_attributes(void* attributes) noexcept nogil:
    free(attributes)
