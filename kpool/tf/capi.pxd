"""The part of TensorFlow's C API that kpool uses, declared here so that building needs no TensorFlow.

The functions are those of tensorflow/c/ops.h, kernels.h, tf_tensor.h and tf_status.h, which TensorFlow keeps stable;
all are exported by libtensorflow_framework.so.2.
"""
from libc.stdint cimport int32_t, int64_t

cdef extern from *:
    """
    #include <stdbool.h>
    #include <stddef.h>
    #include <stdint.h>
    typedef struct TF_Status TF_Status;
    typedef struct TF_Tensor TF_Tensor;
    typedef struct TF_OpDefinitionBuilder TF_OpDefinitionBuilder;
    typedef struct TF_ShapeInferenceContext TF_ShapeInferenceContext;
    typedef struct TF_KernelBuilder TF_KernelBuilder;
    typedef struct TF_OpKernelConstruction TF_OpKernelConstruction;
    typedef struct TF_OpKernelContext TF_OpKernelContext;
    typedef struct { size_t struct_size; unsigned char on_host; } TF_AllocatorAttributes;
    #define KP_ATTRIBUTES_SIZE (offsetof(TF_AllocatorAttributes, on_host) + sizeof(unsigned char))
    TF_Status* TF_NewStatus(void);
    void TF_DeleteStatus(TF_Status*);
    void TF_SetStatus(TF_Status*, int, const char*);
    int TF_GetCode(const TF_Status*);
    const char* TF_Message(const TF_Status*);
    TF_Tensor* TF_AllocateTensor(int, const int64_t*, int, size_t);
    void TF_DeleteTensor(TF_Tensor*);
    int TF_TensorType(const TF_Tensor*);
    int TF_NumDims(const TF_Tensor*);
    int64_t TF_Dim(const TF_Tensor*, int);
    void* TF_TensorData(const TF_Tensor*);
    TF_OpDefinitionBuilder* TF_NewOpDefinitionBuilder(const char*);
    void TF_OpDefinitionBuilderAddAttr(TF_OpDefinitionBuilder*, const char*);
    void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder*, const char*);
    void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder*, const char*);
    void TF_OpDefinitionBuilderSetShapeInferenceFunction(
        TF_OpDefinitionBuilder*, void (*)(TF_ShapeInferenceContext*, TF_Status*));
    void TF_ShapeInferenceContextSetUnknownShape(TF_ShapeInferenceContext*, TF_Status*);
    void TF_RegisterOpDefinition(TF_OpDefinitionBuilder*, TF_Status*);
    TF_KernelBuilder* TF_NewKernelBuilder(
        const char*, const char*, void* (*)(TF_OpKernelConstruction*), void (*)(void*, TF_OpKernelContext*),
        void (*)(void*));
    void TF_KernelBuilder_TypeConstraint(TF_KernelBuilder*, const char*, int, TF_Status*);
    void TF_RegisterKernelBuilder(const char*, TF_KernelBuilder*, TF_Status*);
    void TF_DeleteKernelBuilder(TF_KernelBuilder*);
    void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction*, TF_Status*);
    void TF_OpKernelConstruction_GetAttrSize(
        TF_OpKernelConstruction*, const char*, int32_t*, int32_t*, TF_Status*);
    void TF_OpKernelConstruction_GetAttrInt64List(
        TF_OpKernelConstruction*, const char*, int64_t*, int, TF_Status*);
    void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction*, const char*, int64_t*, TF_Status*);
    void TF_OpKernelConstruction_GetAttrBool(TF_OpKernelConstruction*, const char*, unsigned char*, TF_Status*);
    void TF_OpKernelConstruction_GetAttrType(TF_OpKernelConstruction*, const char*, int*, TF_Status*);
    void TF_OpKernelContext_Failure(TF_OpKernelContext*, TF_Status*);
    void TF_GetInput(TF_OpKernelContext*, int, TF_Tensor**, TF_Status*);
    TF_Tensor* TF_AllocateOutput(TF_OpKernelContext*, int, int, const int64_t*, int, size_t, TF_Status*);
    TF_Tensor* TF_AllocateTemp(
        TF_OpKernelContext*, int, const int64_t*, int, TF_AllocatorAttributes*, TF_Status*);
    """
    ctypedef struct TF_Status:
        pass
    ctypedef struct TF_Tensor:
        pass
    ctypedef struct TF_OpDefinitionBuilder:
        pass
    ctypedef struct TF_ShapeInferenceContext:
        pass
    ctypedef struct TF_KernelBuilder:
        pass
    ctypedef struct TF_OpKernelConstruction:
        pass
    ctypedef struct TF_OpKernelContext:
        pass
    ctypedef struct TF_AllocatorAttributes:
        size_t struct_size
        unsigned char on_host
    size_t KP_ATTRIBUTES_SIZE
    TF_Status* TF_NewStatus() noexcept nogil
    void TF_DeleteStatus(TF_Status*) noexcept nogil
    void TF_SetStatus(TF_Status*, int code, const char* message) noexcept nogil
    int TF_GetCode(const TF_Status*) noexcept nogil
    const char* TF_Message(const TF_Status*) noexcept nogil
    TF_Tensor* TF_AllocateTensor(int dtype, const int64_t* shape, int ndim, size_t size) noexcept nogil
    void TF_DeleteTensor(TF_Tensor*) noexcept nogil
    int TF_TensorType(const TF_Tensor*) noexcept nogil
    int TF_NumDims(const TF_Tensor*) noexcept nogil
    int64_t TF_Dim(const TF_Tensor*, int axis) noexcept nogil
    void* TF_TensorData(const TF_Tensor*) noexcept nogil
    TF_OpDefinitionBuilder* TF_NewOpDefinitionBuilder(const char* name) noexcept nogil
    void TF_OpDefinitionBuilderAddAttr(TF_OpDefinitionBuilder*, const char* spec) noexcept nogil
    void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder*, const char* spec) noexcept nogil
    void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder*, const char* spec) noexcept nogil
    void TF_OpDefinitionBuilderSetShapeInferenceFunction(
        TF_OpDefinitionBuilder*, void (*)(TF_ShapeInferenceContext*, TF_Status*) noexcept nogil) noexcept nogil
    void TF_ShapeInferenceContextSetUnknownShape(TF_ShapeInferenceContext*, TF_Status*) noexcept nogil
    void TF_RegisterOpDefinition(TF_OpDefinitionBuilder*, TF_Status*) noexcept nogil
    TF_KernelBuilder* TF_NewKernelBuilder(
        const char* op, const char* device, void* (*create)(TF_OpKernelConstruction*) noexcept nogil,
        void (*compute)(void*, TF_OpKernelContext*) noexcept nogil, void (*delete)(void*) noexcept nogil,
    ) noexcept nogil
    void TF_KernelBuilder_TypeConstraint(TF_KernelBuilder*, const char* attr, int dtype, TF_Status*) noexcept nogil
    void TF_RegisterKernelBuilder(const char* name, TF_KernelBuilder*, TF_Status*) noexcept nogil
    void TF_DeleteKernelBuilder(TF_KernelBuilder*) noexcept nogil
    void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction*, TF_Status*) noexcept nogil
    void TF_OpKernelConstruction_GetAttrSize(
        TF_OpKernelConstruction*, const char* attr, int32_t* list_size, int32_t* total_size, TF_Status*,
    ) noexcept nogil
    void TF_OpKernelConstruction_GetAttrInt64List(
        TF_OpKernelConstruction*, const char* attr, int64_t* values, int max_values, TF_Status*) noexcept nogil
    void TF_OpKernelConstruction_GetAttrInt64(
        TF_OpKernelConstruction*, const char* attr, int64_t* value, TF_Status*) noexcept nogil
    void TF_OpKernelConstruction_GetAttrBool(
        TF_OpKernelConstruction*, const char* attr, unsigned char* value, TF_Status*) noexcept nogil
    void TF_OpKernelConstruction_GetAttrType(
        TF_OpKernelConstruction*, const char* attr, int* dtype, TF_Status*) noexcept nogil
    void TF_OpKernelContext_Failure(TF_OpKernelContext*, TF_Status*) noexcept nogil
    void TF_GetInput(TF_OpKernelContext*, int i, TF_Tensor**, TF_Status*) noexcept nogil
    TF_Tensor* TF_AllocateOutput(
        TF_OpKernelContext*, int i, int dtype, const int64_t* shape, int ndim, size_t size, TF_Status*,
    ) noexcept nogil
    TF_Tensor* TF_AllocateTemp(
        TF_OpKernelContext*, int dtype, const int64_t* shape, int ndim, TF_AllocatorAttributes*, TF_Status*,
    ) noexcept nogil

# Values of enum TF_Code and enum TF_DataType.
cdef enum:
    TF_OK = 0
    TF_INVALID_ARGUMENT = 3
    TF_RESOURCE_EXHAUSTED = 8
    TF_FAILED_PRECONDITION = 9

cdef enum:
    TF_FLOAT = 1
    TF_DOUBLE = 2
    TF_INT32 = 3
    TF_UINT8 = 4
    TF_INT16 = 5
    TF_INT8 = 6
    TF_INT64 = 9
    TF_BFLOAT16 = 14
    TF_UINT16 = 17
    TF_HALF = 19
    TF_UINT32 = 22
    TF_UINT64 = 23
