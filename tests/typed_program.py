"""A user's program, which mypy checks strictly: the public surface has types, and they refuse what is wrong.

An error that is expected and does not come is an error too. The tests run the program as well, up to `refused`.
"""

from typing import Any, assert_type

import keras
import numpy as np

import kpool


def autoencoder(size: tuple[int, int]) -> keras.Model:
    image = keras.Input((*size, 3))
    pool = kpool.layers.MaxPooling2D((2, 2), strides=2, padding=((0, 0), (0, 0)), return_indices=True, name="pool")
    pooled, indices = pool(image)
    assert_type(pool.pool_size, tuple[int, ...])
    restored = kpool.layers.MaxUnpooling2D(2, output_size=size)(pooled, indices)
    averages = kpool.layers.AveragePooling2D(3, 1, "same", count_include_pad=True, divisor_override=None)(restored)
    return keras.Model(image, kpool.layers.GlobalAveragePooling2D(keepdims=True)(averages))


def functions() -> list[Any]:
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    values, indices = kpool.ops.max_pool(x, 2, padding=[1, 1], return_indices=True)
    unpooled = kpool.ops.max_unpool(values, indices, 2, padding=1, duplicates="sum")
    pytorch = kpool.ops.convert_indices(indices, "kpool", "onnx", x.shape)
    return [
        unpooled,
        pytorch,
        kpool.ops.average_pool(x, (2, 2), ceil_mode=True),
        kpool.ops.adaptive_max_pool(x, (2, None)),
        kpool.ops.adaptive_average_pool(x, 3),
        kpool.ops.global_max_pool(x, keepdims=True),
        kpool.ops.global_average_pool(x),
    ]


def whole_models() -> keras.Model:
    assert_type(kpool.__version__, str)
    return kpool.replace_pooling(autoencoder((4, 4)), verbose=False)


def refused() -> None:
    kpool.layers.MaxPooling2D("2")  # type: ignore[arg-type]
    kpool.layers.MaxPooling2D(2, ceil_mode="yes")  # type: ignore[arg-type]
    kpool.layers.AdaptiveAveragePooling2D()  # type: ignore[call-arg]
    kpool.ops.max_pool(1.0)  # type: ignore[call-arg]
    kpool.ops.average_pool(1.0, 2.5)  # type: ignore[arg-type]
    kpool.ops.max_unpool(1.0, 1, 2, duplicate="last")  # type: ignore[call-arg]
    kpool.replace_pooling(autoencoder((4, 4)), "loudly")  # type: ignore[arg-type]
    kpool.layers.MaxPooling4D  # type: ignore[attr-defined]  # noqa: B018


if __name__ == "__main__":
    functions()
    whole_models()
    kpool.show_config()
