"""PyTorch, in the memory format of the case: channels last, or contiguous."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.cases import Case, Operation, in_format, input_array, pooled_gradient, unpooled_gradient
from benchmarks.contender import Call, LocalCall

Tensors = tuple[Any, ...]


class PyTorch:
    """`torch.nn.functional`, called as it is: PyTorch has no graph to compile on a CPU without a compiler."""

    name = "PyTorch"

    def __init__(self, threads: int) -> None:
        self.torch: Any = import_module("torch")
        self.torch.set_num_threads(threads)

    def prepare(self, case: Case) -> Call | None:
        builders: dict[Operation, Callable[[Case], Callable[[], Tensors]]] = {
            Operation.FORWARD: self.forward,
            Operation.FORWARD_INDICES: self.forward_indices,
            Operation.BACKWARD: self.backward,
            Operation.FORWARD_BACKWARD: self.forward_backward,
            Operation.UNPOOL: self.unpool,
            Operation.UNPOOL_STEP: self.unpool_step,
            Operation.AVERAGE: self.average,
            Operation.AVERAGE_BACKWARD: self.average_backward,
        }
        if case.operation not in builders or not all(alike_or_overhang(case, size) for size in case.spatial):
            return None
        return LocalCall(builders[case.operation](case), compared)

    def forget(self) -> None:
        """Tensors go with their calls."""

    def tensor(self, case: Case, array: np.ndarray) -> Any:
        """An array with its channels last, as a tensor of shape NCHW in the case's memory format."""
        own = self.torch.from_numpy(in_format(case, array)).clone()
        # NHWC in memory is what PyTorch calls NCHW in channels_last format.
        return own if case.channels_first else own.permute(0, 3, 1, 2)

    def inputs(self, case: Case, gradient: bool = False) -> Any:
        return self.tensor(case, input_array(case)).requires_grad_(gradient)

    def pool(self, case: Case, x: Any, return_indices: bool = False) -> Any:
        return self.torch.nn.functional.max_pool2d(x, **window_arguments(case), return_indices=return_indices)

    def mean(self, case: Case, x: Any) -> Any:
        return self.torch.nn.functional.avg_pool2d(x, **window_arguments(case), count_include_pad=False)

    def put_back(self, case: Case, values: Any, indices: Any) -> Any:
        # A window that hangs over the end changes nothing but the size, which is given.
        window = {**window_arguments(case), "output_size": case.spatial}
        window.pop("ceil_mode")
        return self.torch.nn.functional.max_unpool2d(values, indices, **window)

    def without_gradient(self, function: Callable[[], Tensors]) -> Callable[[], Tensors]:
        def call() -> Tensors:
            with self.torch.inference_mode():
                return function()

        return call

    def forward(self, case: Case) -> Callable[[], Tensors]:
        x = self.inputs(case)
        return self.without_gradient(lambda: (self.pool(case, x),))

    def forward_indices(self, case: Case) -> Callable[[], Tensors]:
        x = self.inputs(case)
        return self.without_gradient(lambda: self.pool(case, x, return_indices=True))

    def average(self, case: Case) -> Callable[[], Tensors]:
        x = self.inputs(case)
        return self.without_gradient(lambda: (self.mean(case, x),))

    def unpool(self, case: Case) -> Callable[[], Tensors]:
        values, indices = self.pool(case, self.inputs(case), return_indices=True)
        return self.without_gradient(lambda: (self.put_back(case, values, indices),))

    def backward(self, case: Case) -> Callable[[], Tensors]:
        x, g = self.inputs(case, gradient=True), self.tensor(case, pooled_gradient(case))
        y = self.pool(case, x)
        return lambda: self.torch.autograd.grad(y, x, g, retain_graph=True)

    def average_backward(self, case: Case) -> Callable[[], Tensors]:
        x, g = self.inputs(case, gradient=True), self.tensor(case, pooled_gradient(case))
        y = self.mean(case, x)
        return lambda: self.torch.autograd.grad(y, x, g, retain_graph=True)

    def forward_backward(self, case: Case) -> Callable[[], Tensors]:
        x, g = self.inputs(case, gradient=True), self.tensor(case, pooled_gradient(case))

        def call() -> Tensors:
            y = self.pool(case, x)
            return (y.detach(), *self.torch.autograd.grad(y, x, g))

        return call

    def unpool_step(self, case: Case) -> Callable[[], Tensors]:
        x, g = self.inputs(case, gradient=True), self.tensor(case, unpooled_gradient(case))

        def call() -> Tensors:
            restored = self.put_back(case, *self.pool(case, x, return_indices=True))
            return (restored.detach(), *self.torch.autograd.grad(restored, x, g))

        return call


def alike_or_overhang(case: Case, size: int) -> bool:
    """Whether PyTorch can pad an axis so: the same on both sides, or less than a stride at the end."""
    before, after = case.padding_of(size)
    return before == after or (before == 0 and after < case.strides)


def window_arguments(case: Case) -> dict[str, Any]:
    """The window as PyTorch's functions take it. `ceil_mode` lets it hang over the end, as padding there does."""
    paddings = [case.padding_of(size) for size in case.spatial]
    return {
        "kernel_size": case.window,
        "stride": case.strides,
        "padding": tuple(before for before, _ in paddings),
        "ceil_mode": any(after > before for before, after in paddings),
    }


def compared(results: Tensors) -> list[np.ndarray]:
    """Results with the channels last. An index is kpool's."""
    return [result.detach().permute(0, 2, 3, 1).numpy() for result in results]
