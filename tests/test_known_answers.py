"""Answers that can be checked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from kpool.layers import MaxPooling2D, MaxUnpooling2D
from kpool.ops import max_pool, max_unpool


def image(rows, dtype="float32"):
    return np.array(rows, dtype)[None, ..., None]


def plain(tensor):
    return np.asarray(tensor)[0, ..., 0].tolist()


def gradient(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 3, 2, 4], [5, 6, 1, 2], [3, 2, 0, 1], [1, 2, 4, 3]], [[6, 4], [3, 4]]),
        ([[1, 3, 2, 1], [5, 6, 8, 4], [2, 4, 7, 3], [1, 0, 3, 2]], [[6, 8], [4, 7]]),
    ],
)
def test_4x4_pools_by_2(rows, expected):
    assert plain(max_pool(image(rows), 2)) == expected


def test_5x5_with_overlapping_windows():
    rows = [[1, 3, 2, 1, 4], [5, 6, 8, 4, 2], [2, 4, 7, 3, 1], [1, 0, 3, 2, 5], [3, 2, 1, 4, 0]]
    assert plain(max_pool(image(rows), 3, 2)) == [[8, 8], [7, 7]]


def test_window_3_with_default_strides():
    assert plain(max_pool(np.arange(16.0).reshape(1, 4, 4, 1), 3)) == [[10]]


def test_window_3_with_padding_1_and_strides_2():
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    assert plain(max_pool(x, 3, 2, padding=1)) == [[5, 7], [13, 15]]
    two = max_pool(np.concatenate([x, x + 1], -1), 3, 2, padding=1)
    assert two[0, ..., 0].tolist() == [[5, 7], [13, 15]]
    assert two[0, ..., 1].tolist() == [[6, 8], [14, 16]]


def test_winner_gradient_and_unpooling_of_2x2():
    x = image([[1, 3], [5, 6]])
    values, indices = max_pool(x, 2, return_indices=True)
    assert plain(indices) == [[3]]
    assert plain(gradient(lambda x: max_pool(x, 2), x)) == [[0, 0], [0, 1]]
    assert plain(max_unpool(values, indices, 2)) == [[0, 0], [0, 6]]
    assert plain(MaxUnpooling2D(2)(*MaxPooling2D(2, return_indices=True)(x))) == [[0, 0], [0, 6]]


@pytest.mark.parametrize(("size", "pooled"), [(13, 6), (11, 5)])
def test_odd_sizes_drop_the_last_row_and_column(size, pooled, rng):
    x = rng.normal(size=(2, size, size, 3)).astype("float32")
    x[:, -1], x[:, :, -1] = 100, 100
    values = max_pool(x, 2)
    assert values.shape == (2, pooled, pooled, 3)
    assert values.max() < 100
    dx = gradient(lambda x: max_pool(x, 2), x).numpy()
    assert not dx[:, -1].any()
    assert not dx[:, :, -1].any()
    assert dx.sum() == values.size


@pytest.mark.parametrize(
    ("rows", "relu_first", "pool_first", "value", "expected_gradient"),
    [
        ([[-4, -4], [-4, -1]], 0, 3, 0, [[0, 0], [0, 0]]),
        ([[-4, 2], [1, -3]], 1, 1, 2, [[0, 1], [0, 0]]),
    ],
)
def test_relu_before_and_after_pooling(rows, relu_first, pool_first, value, expected_gradient):
    x = image(rows)
    assert plain(max_pool(np.maximum(x, 0), 2, return_indices=True)[1]) == [[relu_first]]
    assert plain(max_pool(x, 2, return_indices=True)[1]) == [[pool_first]]
    for order in (lambda x: max_pool(tf.nn.relu(x), 2), lambda x: tf.nn.relu(max_pool(x, 2))):
        assert plain(order(tf.constant(x))) == [[value]]
        assert plain(gradient(order, x)) == expected_gradient


def test_3x3_with_strides_1():
    assert plain(max_pool(np.arange(9, dtype="float32").reshape(1, 3, 3, 1), 2, 1)) == [[4, 5], [7, 8]]
