# The ops' definitions, and the constructor that registers them when the library is opened.

cdef extern from *:
    """
    static void kpool_register(void);
    __attribute__((constructor)) static void kpool_on_load(void) { kpool_register(); }
    """

ctypedef void* (*Create)(TF_OpKernelConstruction*) noexcept nogil
ctypedef void (*Constructor)() noexcept nogil
ctypedef void (*Compute)(void*, TF_OpKernelContext*) noexcept nogil

cdef enum:
    ALL_DTYPES = TF_UINT64 + 1      # every TF_DataType that kpool knows is smaller


cdef void unknown_shape(TF_ShapeInferenceContext* context, TF_Status* status) noexcept nogil:
    # The C API cannot read the window's attributes here; kpool.tf.shapes sets the static shapes.
    TF_ShapeInferenceContextSetUnknownShape(context, status)


cdef bint is_real(int dtype) noexcept nogil:
    return dtype in (TF_HALF, TF_BFLOAT16, TF_FLOAT, TF_DOUBLE)


cdef bint succeeded(TF_Status* status) noexcept nogil:
    """Whether registration goes on; otherwise the first reason is kept for the import to raise."""
    if TF_GetCode(status) == TF_OK:
        return True
    if registration.message[0] == 0:
        snprintf(registration.message, MESSAGE_SIZE, "%s", TF_Message(status))
    return False


cdef TF_OpDefinitionBuilder* define(const char* name) noexcept nogil:
    cdef TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name)
    TF_OpDefinitionBuilderSetShapeInferenceFunction(op, unknown_shape)
    return op


cdef void add_window(TF_OpDefinitionBuilder* op) noexcept nogil:
    TF_OpDefinitionBuilderAddAttr(op, "window: list(int)")


cdef void add_divisor(TF_OpDefinitionBuilder* op) noexcept nogil:
    TF_OpDefinitionBuilderAddAttr(op, "count_include_pad: bool = false")
    TF_OpDefinitionBuilderAddAttr(op, "divisor_override: int = 0")


cdef void add_real_type(TF_OpDefinitionBuilder* op) noexcept nogil:
    TF_OpDefinitionBuilderAddAttr(op, "T: {half, bfloat16, float, double}")


cdef void add_any_type(TF_OpDefinitionBuilder* op) noexcept nogil:
    TF_OpDefinitionBuilderAddAttr(
        op, "T: {half, bfloat16, float, double, int8, uint8, int16, uint16, int32, uint32, int64, uint64}")


cdef void add_index_type(TF_OpDefinitionBuilder* op) noexcept nogil:
    # No default: TensorFlow would narrow NumPy's int64 to it before the op could see what it lost.
    TF_OpDefinitionBuilderAddAttr(op, "Tindices: {int32, int64}")


cdef void register_untyped(const char* name, Create create, Compute compute, TF_Status* status) noexcept nogil:
    if succeeded(status):
        TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", create, compute, delete_attributes), status)
        succeeded(status)


cdef void register_typed(
    const char* name, Create create, Compute compute, bint only_real, TF_Status* status,
) noexcept nogil:
    """Register a kernel for each dtype, so that TensorFlow itself refuses the others."""
    cdef TF_KernelBuilder* kernel
    cdef int dtype
    for dtype in range(ALL_DTYPES):
        if element_of(dtype) >= 0 and (is_real(dtype) or not only_real) and succeeded(status):
            kernel = TF_NewKernelBuilder(name, "CPU", create, compute, delete_attributes)
            TF_KernelBuilder_TypeConstraint(kernel, "T", dtype, status)
            if succeeded(status):
                TF_RegisterKernelBuilder(name, kernel, status)
                succeeded(status)
            else:
                TF_DeleteKernelBuilder(kernel)


cdef void register_all "kpool_register" () noexcept nogil:
    cdef TF_Status* status = TF_NewStatus()
    cdef TF_OpDefinitionBuilder* op

    op = define("KpoolMaxPool")
    add_any_type(op)
    add_index_type(op)
    add_window(op)
    TF_OpDefinitionBuilderAddAttr(op, "num_indices: int >= 0 = 0")
    TF_OpDefinitionBuilderAddAttr(op, "num_offsets: int >= 0 = 0")
    TF_OpDefinitionBuilderAddInput(op, "inputs: T")
    TF_OpDefinitionBuilderAddOutput(op, "outputs: T")
    TF_OpDefinitionBuilderAddOutput(op, "indices: num_indices * Tindices")
    TF_OpDefinitionBuilderAddOutput(op, "offsets: num_offsets * uint8")
    TF_RegisterOpDefinition(op, status)
    register_typed("KpoolMaxPool", create_max_pool, compute_max_pool, False, status)

    op = define("KpoolMaxPoolBackward")
    add_real_type(op)
    add_window(op)
    TF_OpDefinitionBuilderAddInput(op, "gradients: T")
    TF_OpDefinitionBuilderAddInput(op, "offsets: uint8")
    TF_OpDefinitionBuilderAddInput(op, "input_shape: int64")
    TF_OpDefinitionBuilderAddOutput(op, "outputs: T")
    TF_RegisterOpDefinition(op, status)
    register_typed("KpoolMaxPoolBackward", create_max_pool_backward, compute_max_pool_backward, True, status)

    op = define("KpoolMaxPoolIndices")
    add_index_type(op)
    add_window(op)
    TF_OpDefinitionBuilderAddInput(op, "offsets: uint8")
    TF_OpDefinitionBuilderAddInput(op, "input_shape: int64")
    TF_OpDefinitionBuilderAddOutput(op, "indices: Tindices")
    TF_RegisterOpDefinition(op, status)
    register_untyped("KpoolMaxPoolIndices", create_max_pool_indices, compute_max_pool_indices, status)

    op = define("KpoolAveragePool")
    add_real_type(op)
    add_window(op)
    add_divisor(op)
    TF_OpDefinitionBuilderAddInput(op, "inputs: T")
    TF_OpDefinitionBuilderAddOutput(op, "outputs: T")
    TF_RegisterOpDefinition(op, status)
    register_typed("KpoolAveragePool", create_average_pool, compute_average_pool, True, status)

    op = define("KpoolAveragePoolBackward")
    add_real_type(op)
    add_window(op)
    add_divisor(op)
    TF_OpDefinitionBuilderAddInput(op, "gradients: T")
    TF_OpDefinitionBuilderAddInput(op, "input_shape: int64")
    TF_OpDefinitionBuilderAddOutput(op, "outputs: T")
    TF_RegisterOpDefinition(op, status)
    register_typed("KpoolAveragePoolBackward", create_average_pool, compute_average_pool_backward, True, status)

    op = define("KpoolMaxUnpool")
    add_any_type(op)
    add_index_type(op)
    add_window(op)
    TF_OpDefinitionBuilderAddAttr(op, "sum_duplicates: bool = false")
    TF_OpDefinitionBuilderAddInput(op, "inputs: T")
    TF_OpDefinitionBuilderAddInput(op, "indices: Tindices")
    TF_OpDefinitionBuilderAddInput(op, "output_size: int64")
    TF_OpDefinitionBuilderAddOutput(op, "outputs: T")
    TF_RegisterOpDefinition(op, status)
    register_typed("KpoolMaxUnpool", create_max_unpool, compute_max_unpool, False, status)

    op = define("KpoolMaxUnpoolBackward")
    add_any_type(op)
    add_index_type(op)
    add_window(op)
    TF_OpDefinitionBuilderAddAttr(op, "sum_duplicates: bool = false")
    TF_OpDefinitionBuilderAddInput(op, "gradients: T")
    TF_OpDefinitionBuilderAddInput(op, "indices: Tindices")
    TF_OpDefinitionBuilderAddOutput(op, "outputs: T")
    TF_RegisterOpDefinition(op, status)
    register_typed("KpoolMaxUnpoolBackward", create_max_unpool, compute_max_unpool_backward, False, status)

    TF_DeleteStatus(status)


# Cython drops a function that only C calls; this reference keeps it.
cdef Constructor constructor = register_all
