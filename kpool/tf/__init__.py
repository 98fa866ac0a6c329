"""kpool on TensorFlow: the native ops, and differentiable functions around them.

The functions take TensorFlow tensors and a checked window, and know nothing of Keras. Another backend gets a package
like this one, over the same kernels.
"""

from tensorflow import Tensor, Variable

from kpool.tf import gradients as _gradients  # noqa: F401, registers them
from kpool.tf.average_pool import average_pool
from kpool.tf.indices import convert_indices
from kpool.tf.max_pool import max_pool
from kpool.tf.max_unpool import max_unpool

__all__ = ["Tensor", "Variable", "average_pool", "convert_indices", "max_pool", "max_unpool"]
