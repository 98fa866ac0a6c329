# The ops as XLA calls them: in a program that it compiled, on buffers that it allocated. kpool.tf.xla writes the calls.

ctypedef bint (*Body)(Call*, const Attributes*) noexcept nogil

cdef enum:
    SINGLES = 6     # attributes that are one integer each; the window comes after them


cdef bint get_buffer(Call* call, int i, void* data, View* view) noexcept nogil:
    """A tensor by its number, the inputs' first."""
    cdef const int64_t* tensor = call.buffers.tensors + 1
    cdef int axis
    while i > 0:
        tensor += 2 + tensor[1]
        i -= 1
    view.data = data
    view.dtype = <int> tensor[0]
    view.ndim = <int> tensor[1]
    for axis in range(min(view.ndim, MAX_DIMS)):
        view.shape[axis] = tensor[2 + axis]
    return True


cdef bint input_buffer(Call* call, int i, View* view) noexcept nogil:
    # Nothing writes to an input.
    return get_buffer(call, i, <void*> call.buffers.inputs[i], view)


cdef bint output_buffer(Call* call, int i, const int64_t* shape, int ndim, View* view) noexcept nogil:
    """An output that XLA has allocated, by the shape that kpool.tf.windows foretold."""
    get_buffer(call, <int> call.buffers.tensors[0], call.buffers.outputs[i], view)
    return same_shape(view, shape, ndim) or invalid(call, "XLA expects an output of another shape.")


cdef int read_integers(const char* text, size_t length, int64_t* values, int most) noexcept nogil:
    """Read integers with a space before each, and return their number, or one more than the most."""
    cdef size_t i
    cdef int64_t sign = 1
    cdef int count = 0
    for i in range(length):
        if text[i] == c" ":
            if count == most:
                return most + 1
            values[count] = 0
            count += 1
            sign = 1
        elif text[i] == c"-":
            sign = -1
        elif count > 0:
            values[count - 1] = 10 * values[count - 1] + sign * (text[i] - c"0")
    return count


cdef bint parse_attributes(const char* text, size_t length, Attributes* attributes, TF_Status* status) noexcept nogil:
    cdef int64_t values[SINGLES + FLAGS + ROW * MAX_RANK]
    cdef int count = read_integers(text, length, values, SINGLES + FLAGS + ROW * MAX_RANK)
    if not SINGLES <= count <= SINGLES + FLAGS + ROW * MAX_RANK:
        return bad_length(count - SINGLES, status)
    attributes.wide_indices = values[0] == TF_INT64
    attributes.num_indices = values[1]
    attributes.num_offsets = values[2]
    attributes.sum_duplicates = values[3] != 0
    attributes.count_include_pad = values[4] != 0
    attributes.divisor_override = values[5]
    return (parse_window(values + SINGLES, count - SINGLES, &attributes.window, status)
            and check_attributes(attributes, status))


cdef bint begins(const char* text, size_t length, const char* word) noexcept nogil:
    return strlen(word) < length and memcmp(text, word, strlen(word)) == 0 and text[strlen(word)] == c" "


cdef Body body_of(const char* text, size_t length) noexcept nogil:
    """The op whose name stands first."""
    if begins(text, length, "kpool_max_pool"):
        return max_pool
    if begins(text, length, "kpool_max_pool_backward"):
        return max_pool_backward
    if begins(text, length, "kpool_max_pool_indices"):
        return max_pool_indices
    if begins(text, length, "kpool_average_pool"):
        return average_pool
    if begins(text, length, "kpool_average_pool_backward"):
        return average_pool_backward
    if begins(text, length, "kpool_max_unpool"):
        return max_unpool
    if begins(text, length, "kpool_max_unpool_backward"):
        return max_unpool_backward
    return NULL


cdef void run_in_program(
    void* out, const void** inputs, const char* text, size_t length, XlaStatus* status,
) noexcept nogil:
    """Run the op that `text` names with the attributes that follow, as kpool.tf.xla writes them.

    The first input describes the tensors. One output alone is passed itself, several in an array.
    """
    cdef Call call
    cdef Attributes attributes
    cdef Body body = body_of(text, length)
    cdef size_t name = 0
    cdef Buffers buffers
    buffers.tensors = <const int64_t*> inputs[0]
    buffers.inputs = inputs + 1
    buffers.status = status
    open_call(&call, NULL)
    call.buffers = &buffers
    while name < length and text[name] != c" ":
        name += 1
    if body == NULL:
        invalid(&call, "This version of kpool has no op of that name for XLA.")
    elif parse_attributes(text + name, length - name, &attributes, call.status):
        buffers.outputs = <void**> out if attributes.num_indices + attributes.num_offsets > 0 else &out
        body(&call, &attributes)
    close_call(&call)
