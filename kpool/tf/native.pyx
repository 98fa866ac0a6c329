"""kpool's native TensorFlow ops, registered through TensorFlow's C API.

`tf.load_op_library` opens this file, and its constructor registers the ops. Only then may Python import it as a
module: a second opening runs no constructor. Until the import nothing of Python is initialised here, so everything
that runs before or beside it is plain C.

The ops check every attribute and every tensor; nothing they receive is trusted. They do no arithmetic. Programs that
XLA compiles call the same ops, but pass bare pointers with a description, which can only be believed.
"""
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, strlen

from kpool.kernels.driver cimport (
    run_average_pool, run_average_pool_backward, run_gather, run_gather_last, run_max_pool, run_max_pool_backward,
    run_max_pool_indices, run_scatter_last, run_scatter_sum,
)
from kpool.kernels.elements cimport Element, element_size
from kpool.kernels.geometry cimport (
    INT32_PLANE, MAX_RANK, MESSAGE_SIZE, Geometry, Problem, Window, check_indices, check_offsets, check_window,
    move_geometry, pool_geometry, pooled_shape, refuse, unpool_geometry, unpooled_shape, write_tuple,
)
from kpool.kernels.table cimport AveragePool, MaxPool, MaxPoolIndices, Move, Place
from kpool.tf.capi cimport *

# Not initialised here: Cython would do that on import, after the constructor has run.
cdef bint ready                 # whether the functions of other modules are bound
cdef Problem registration       # why registration failed, if it did

include "xla_registry.pxi"
include "pages.pxi"
include "call.pxi"
include "attributes.pxi"
include "max_pool.pxi"
include "average_pool.pxi"
include "max_unpool.pxi"
include "registration.pxi"
include "xla.pxi"

if registration.message[0]:
    raise ImportError(f"kpool's ops could not be registered with TensorFlow: {registration.message.decode()}")
ready = True

# Whether XLA can call the ops.
called_by_xla = find_xla()
if called_by_xla:
    add_target("kpool", run_in_program)
