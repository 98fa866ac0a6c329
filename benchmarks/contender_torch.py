"""PyTorch, in the memory format of the case, called in a loop: a call costs it a few microseconds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.cases import Case, Operation, in_format
from benchmarks.contender import Call, LocalCall
from benchmarks.library import Library, Tensors

# What PyTorch's own tape takes part in.
TAPED = (Operation.FORWARD_BACKWARD, Operation.UNPOOL_STEP)


class PyTorch(Library):
    """`torch.nn.functional`, and PyTorch's native ops where a gradient is timed alone."""

    name = "PyTorch"
    operations = frozenset(
        {
            Operation.FORWARD,
            Operation.FORWARD_INDICES,
            Operation.BACKWARD,
            Operation.UNPOOL,
            Operation.AVERAGE,
            Operation.AVERAGE_BACKWARD,
            *TAPED,
        }
    )

    def __init__(self, threads: int) -> None:
        self.torch: Any = import_module("torch")
        self.torch.set_num_threads(threads)
        self.functions: Any = self.torch.nn.functional
        self.native: Any = self.torch.ops.aten

    def prepare(self, case: Case) -> Call | None:
        if case.operation not in self.operations or not all(can_pad(case, size) for size in case.spatial):
            return None
        function, tensors = self.build(case)
        around = nullcontext if case.operation in TAPED else self.torch.inference_mode
        return LocalCall(lambda: function(*tensors), lambda results: self.compared(case, results), around=around)

    def tensor(self, case: Case, array: np.ndarray) -> Any:
        own = self.torch.from_numpy(in_format(case, array)).clone()
        # NHWC in memory is what PyTorch calls NCHW in channels_last format.
        return own if case.channels_first else own.permute(0, 3, 1, 2)

    def array(self, case: Case, tensor: Any) -> np.ndarray:
        return tensor.detach().permute(0, 2, 3, 1).numpy()

    def pooling(self, case: Case) -> Callable[[Any], Any]:
        arguments = window(case)
        return lambda x: self.functions.max_pool2d(x, **arguments)

    def pool_with_indices(self, case: Case, x: Any) -> Tensors:
        return self.functions.max_pool2d(x, **window(case), return_indices=True)

    def unpool(self, case: Case, values: Any, indices: Any) -> Any:
        # A window that hangs over the end changes nothing but the size, which is given.
        arguments = {**window(case), "output_size": case.spatial}
        del arguments["ceil_mode"]
        return self.functions.max_unpool2d(values, indices, **arguments)

    def average(self, case: Case, x: Any) -> Any:
        return self.functions.avg_pool2d(x, **window(case), count_include_pad=False)

    def kept(self, case: Case, x: Any) -> Tensors:
        return x, self.pool_with_indices(case, x)[1]

    def pool_backward(self, case: Case, gradient: Any, *kept: Any) -> Any:
        x, indices = kept
        *geometry, ceil_mode = native_window(case)
        return self.native.max_pool2d_with_indices_backward(gradient, x, *geometry, [1, 1], ceil_mode, indices)

    def average_backward(self, case: Case, gradient: Any, x: Any) -> Any:
        return self.native.avg_pool2d_backward(gradient, x, *native_window(case), False, None)

    def forward_backward(self, case: Case, x: Any, gradient: Any) -> Tensors:
        x = x.detach().requires_grad_()
        values = self.pooling(case)(x)
        return values, *self.torch.autograd.grad(values, x, gradient)

    def unpool_step(self, case: Case, x: Any, gradient: Any) -> Tensors:
        x = x.detach().requires_grad_()
        restored = self.unpool(case, *self.pool_with_indices(case, x))
        return restored, *self.torch.autograd.grad(restored, x, gradient)


def can_pad(case: Case, size: int) -> bool:
    """Whether PyTorch can pad an axis so: the same on both sides, or less than a stride at the end."""
    before, after = case.padding_of(size)
    return before == after or (before == 0 and after < case.strides)


def window(case: Case) -> dict[str, Any]:
    """The window as PyTorch's functions take it. `ceil_mode` lets it hang over the end, as padding there does."""
    paddings = [case.padding_of(size) for size in case.spatial]
    return {
        "kernel_size": case.window,
        "stride": case.strides,
        "padding": tuple(before for before, _ in paddings),
        "ceil_mode": any(after > before for before, after in paddings),
    }


def native_window(case: Case) -> tuple[list[int], list[int], list[int], bool]:
    """The window as PyTorch's native ops take it."""
    arguments = window(case)
    return [case.window] * 2, [case.strides] * 2, list(arguments["padding"]), arguments["ceil_mode"]
