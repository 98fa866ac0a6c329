"""The advisories that are replayed, by what was wrong, and what the replays share."""

import numpy as np
import pytest
import tensorflow as tf
from native import average, average_backward, backward, indices_of, pool, unpool, unpool_backward

ZERO_STRIDE = "CVE-2023-25669 TF#42205 CVE-2025-2953"
ZERO_WINDOW = "CVE-2023-25669 CVE-2021-41196 TF#42205"
NEGATIVE_WINDOW = "CVE-2022-35941 TF#59191 TF#76722"
BEYOND_INT32 = "TF#85251 TF#89848 PyTorch#140923,142459: beyond int32, and not narrowed before the check"
OVERFLOW = "PyTorch#73154,73192,91555: window x dilation overflows"
OTHER_SIZES = "CVE-2021-29570 CVE-2021-29573 CVE-2021-29579 CVE-2021-37674"
SECOND_ORDER = "CVE-2021-29574 CVE-2021-29576"
AVERAGE_BACKWARD = "CVE-2021-29577 CVE-2022-35959 CVE-2022-35968 CVE-2023-25664 PyTorch#197409"
NEGATIVE_DIMENSION = "CVE-2021-41196 CVE-2022-35941"
OUT_OF_RANGE = "TF#58272 TF#59083 TF#59357 TF#61652 TF#66764"
BEYOND_OUTPUT = "ONNX Runtime PR#27432 PR#27903"

POOLING = {
    "max_pool": pool,
    "max_pool_backward": backward,
    "max_pool_indices": indices_of,
    "average_pool": average,
    "average_pool_backward": average_backward,
}
UNPOOLING = {
    "max_unpool": lambda **attributes: unpool(np.zeros((1, 2, 2, 1)), **attributes),
    "max_unpool_backward": unpool_backward,
}
NATIVE = POOLING | UNPOOLING


def fails(call, message, mode="eager", errors=tf.errors.InvalidArgumentError):
    """The call fails with that message."""
    if mode == "xla" and errors is tf.errors.InvalidArgumentError:
        # XLA says that an error is one of its own.
        errors = tf.errors.InternalError
    with pytest.raises(errors, match=message):
        call() if mode == "eager" else tf.function(call, jit_compile=mode == "xla")()


def rows(table, *columns):
    """Parameters named after the advisories that they replay."""

    def name_of(advisory, first, *_):
        details = first.items() if isinstance(first, dict) else [("", first)]
        return " ".join([advisory, *(f"{key} {value}".strip() for key, value in details)])

    return pytest.mark.parametrize(columns, [pytest.param(*row[1:], id=name_of(*row)) for row in table])
