"""What a case's results must be, computed by NumPy alone, window element by window element."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from benchmarks.cases import GLOBAL, Case, Operation, input_array, pooled_gradient, unpooled_gradient
from benchmarks.contender import Arrays

# Sums may differ by some roundings of the largest summand, since everybody adds in an order of their own. The short
# dtypes are added in float32 and rounded once.
ROUNDINGS = {"float32": 8, "float16": 1, "bfloat16": 1}
EPSILONS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
# Inputs and gradients are standard normal: hardly one in a million is larger.
LARGEST = 5.0
# What two models may differ by, as a share of an array's largest element: many layers of sums.
MODEL_TOLERANCE = 1e-4
GRADIENTS = (Operation.BACKWARD, Operation.FORWARD_BACKWARD, Operation.AVERAGE_BACKWARD)
SUMS = (*GRADIENTS, Operation.AVERAGE, Operation.GLOBAL_AVERAGE)


class Tap(NamedTuple):
    """One element of the window: which outputs have it inside the input, where it is there, and its place in a plane.

    `pooled` and `unpooled` select batch, rows and columns.
    """

    pooled: tuple[slice, ...]
    unpooled: tuple[slice, ...]
    place: np.ndarray


def taps(case: Case) -> Iterator[Tap]:
    """The elements of the window in row-major order."""
    everything = slice(None)
    height, width = case.spatial
    for row in range(case.window):
        rows, in_rows = reach(case, height, row)
        for column in range(case.window):
            columns, in_columns = reach(case, width, column)
            place = np.arange(height)[in_rows, None, None] * width + np.arange(width)[in_columns, None]
            yield Tap((everything, rows, columns), (everything, in_rows, in_columns), place.astype(np.int32))


def reach(case: Case, size: int, tap: int) -> tuple[slice, slice]:
    """Along one axis, the outputs whose element number `tap` is inside the input, and those elements."""
    offset = tap - case.padding_of(size)[0]
    first = max(-(offset // case.strides), 0)
    last = min((size - 1 - offset) // case.strides, case.pooled_size(size) - 1)
    start = first * case.strides + offset
    return slice(first, last + 1), slice(start, last * case.strides + offset + 1, case.strides)


@lru_cache(maxsize=2)
def maxima(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of each window and its index; of equal elements the first wins."""
    x = np.asarray(input_array(case), np.float32)
    values = np.full(case.pooled_shape, -np.inf, np.float32)
    indices = np.zeros(case.pooled_shape, np.int32)
    for tap in taps(case):
        candidates = x[tap.unpooled]
        better = candidates > values[tap.pooled]
        np.copyto(values[tap.pooled], candidates, where=better)
        np.copyto(indices[tap.pooled], tap.place, where=better)
    return values, indices


def backward(case: Case) -> np.ndarray:
    """The gradient of each output, added up where it was the maximum."""
    _, indices = maxima(of_maxima(case))
    gradient = np.asarray(pooled_gradient(case), np.float32)
    sums = np.zeros(case.shape, np.float32)
    for tap in taps(case):
        sums[tap.unpooled] += np.where(indices[tap.pooled] == tap.place, gradient[tap.pooled], 0)
    return sums


def unpooled(case: Case, values: np.ndarray) -> np.ndarray:
    """A value for each window, at the place of its maximum; zero elsewhere."""
    _, indices = maxima(of_maxima(case))
    result = np.zeros(case.shape, np.float32)
    for tap in taps(case):
        np.copyto(result[tap.unpooled], values[tap.pooled], where=indices[tap.pooled] == tap.place)
    return result


def counted(case: Case) -> np.ndarray:
    """How many elements of each window lie inside the input."""
    counts = np.zeros((1, *case.pooled_shape[1:3], 1))
    for tap in taps(case):
        counts[tap.pooled] += 1
    return counts


def averages(case: Case) -> np.ndarray:
    """The mean of each window, padding not counted."""
    x = np.asarray(input_array(case), np.float32)
    sums = np.zeros(case.pooled_shape)
    for tap in taps(case):
        sums[tap.pooled] += x[tap.unpooled]
    return sums / counted(case)


def average_backward(case: Case) -> np.ndarray:
    """The share that each element gets of the gradients of its windows."""
    shares = pooled_gradient(case) / counted(case)
    sums = np.zeros(case.shape)
    for tap in taps(case):
        sums[tap.unpooled] += shares[tap.pooled]
    return sums


def over_planes(case: Case) -> Arrays:
    """Global pooling."""
    x = np.asarray(input_array(case), np.float32)
    if case.operation is Operation.GLOBAL_AVERAGE:
        return [x.mean((1, 2), np.float64, keepdims=True)]
    values = x.max((1, 2), keepdims=True)
    if case.operation is Operation.GLOBAL_MAX:
        return [values]
    planes = x.reshape(len(x), -1, x.shape[-1])
    return [values, planes.argmax(1).reshape(values.shape)]


def of_maxima(case: Case) -> Case:
    """The case as far as its maxima depend on it, so that they are computed once for several operations."""
    return replace(case, operation=Operation.FORWARD_INDICES, data_format="channels_last")


@lru_cache(maxsize=1)
def expected(case: Case) -> Arrays:
    """The results of a case, in float32 or wider."""
    operation = case.operation
    if operation in GLOBAL:
        return over_planes(case)
    if operation is Operation.AVERAGE:
        return [averages(case)]
    if operation is Operation.AVERAGE_BACKWARD:
        return [average_backward(case)]
    if operation is Operation.BACKWARD:
        return [backward(case)]
    values, indices = maxima(of_maxima(case))
    if operation is Operation.UNPOOL:
        return [unpooled(case, values)]
    if operation in (Operation.FORWARD, Operation.EAGER_FUNCTION, Operation.EAGER_LAYER):
        return [values]
    if operation is Operation.FORWARD_BACKWARD:
        return [values, backward(case)]
    if operation is Operation.UNPOOL_STEP:
        # The gradient goes through unpooling and pooling to the maxima, the windows being disjoint.
        return [unpooled(case, values), unpooled_gradient(case) * unpooled(case, np.ones_like(values))]
    return [values, indices]


def difference(case: Case, results: Arrays) -> str | None:
    """What is wrong with a case's results, in one sentence; None if they are right."""
    return first_difference(results, expected(case), lambda _: tolerance(case))


def difference_of_models(results: Arrays, others: Arrays) -> str | None:
    """What two models with the same weights do not agree about, rounding aside; None if they agree."""
    return first_difference(results, others, lambda wanted: MODEL_TOLERANCE * float(np.max(np.abs(wanted))))


def tolerance(case: Case) -> float:
    """How far a number may be from the one expected: nothing, unless sums are taken."""
    if case.operation not in SUMS:
        return 0.0
    # Where windows overlap, an element's gradient is a sum over as many of them along each axis.
    windows = -(-case.window // case.strides) if case.operation in GRADIENTS else 1
    return ROUNDINGS[case.dtype] * LARGEST * EPSILONS[case.dtype] * windows


def first_difference(results: Arrays, expectations: Arrays, allowed: Callable[[np.ndarray], float]) -> str | None:
    """The first of the results that is not as expected, in one sentence; `allowed` tells how far off it may be."""
    if len(results) != len(expectations):
        return f"{len(results)} results instead of {len(expectations)}"
    for number, (result, wanted) in enumerate(zip(results, expectations, strict=True), 1):
        if result.shape != wanted.shape:
            return f"result {number} has shape {result.shape} instead of {wanted.shape}"
        if np.array_equal(result, wanted):
            continue
        gap = result.astype(wanted.dtype, copy=False) - wanted
        largest = float(np.max(np.abs(gap, out=gap), initial=0))
        if not largest <= allowed(wanted):
            return f"result {number} differs by up to {largest:.3g}, where {allowed(wanted):.3g} is allowed"
    return None
