"""The native ops called directly, past the Python checks: what a hostile saved model could do."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import same_bits
from native import WINDOW, adaptive, average, average_backward, backward, image, pool, unpool, window

from kpool.tf.library import ops

FAILURE = tf.errors.InvalidArgumentError


MALFORMED = "`window` must hold four flags of 0 or 1, then five integers for each of 1, 2 or 3 spatial axes, or one"
AXIS = [2, 2, 1, 0, 0]
FLAGS = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (window(dilations=(0, 1)), "`dilation_rate` must hold integers from 1"),
        (window(padding=((-1, 0), (0, 0))), "`padding` must hold integers from 0"),
        (window(padding=((2, 0), (0, 0))), "`padding` must be smaller than the window"),
        (window(padding=((2**62,) * 2,) * 2), "`padding` must hold integers from 0"),
        (window(padding=((0, 0), (1, 0)), same=1), 'the padding "same" must hold zeros'),
        (window(padding=((0, 0), (0, 1)), same=1), 'the padding "same" must hold zeros'),
        ({"window": []}, rf"{MALFORMED}.* Received: length of window=\(0,\)"),
        ({"window": [0, 0, 0]}, MALFORMED),
        ({"window": [0, 0, 0, 0]}, "`pool_size` must have 1, 2 or 3 entries"),
        ({"window": [0, 0, 0, 1]}, "`output_size` must have 1, 2 or 3 entries"),
        ({"window": [0, 0, 0, 0, *AXIS, *AXIS[:-1]]}, MALFORMED),
        ({"window": [0, 0, 0, 0, *AXIS, *AXIS, 0]}, MALFORMED),
        ({"window": [0, 0, 0, 0, *AXIS * 4]}, MALFORMED),
        ({"window": [0] * 1000}, rf"{MALFORMED}.* Received: length of window=\(1000,\)"),
        ({"window": [0, 3, 0, 0, *AXIS]}, rf"{MALFORMED}.* Received: flags of window=\(0, 3, 0, 0\)"),
        *[({"window": [*(bad * flag for flag in flags), *AXIS * 2]}, MALFORMED) for flags in FLAGS for bad in (2, -1)],
        ({"num_indices": 2}, r"`num_indices` must be 0 or 1\. Received: num_indices=\(2,\)"),
        ({"num_offsets": 3}, r"`num_offsets` must be 0 or 1\. Received: num_offsets=\(3,\)"),
    ],
)
def test_attributes_that_cannot_be(attributes, message):
    with pytest.raises(FAILURE, match=message):
        pool(**attributes)


@pytest.mark.parametrize("divisor", [-1, -(2**63), 2**31, 2**63 - 1])
def test_divisors_that_cannot_be(divisor):
    for call in (average, average_backward):
        assert call(divisor_override=2**31 - 1).shape.rank == 4
        with pytest.raises(FAILURE, match=rf"from 1 to 2147483647, or 0 for.* divisor_override=\({divisor},\)"):
            call(divisor_override=divisor)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        *[
            (adaptive(*sizes), r"`output_size` must hold integers from 1 to 2147483647, or None \(-1\)")
            for sizes in ([-2, 2], [0, 0], [2, 0], [2**31, 1], [-(2**63), 1], [2, 2**63 - 1])
        ],
        (adaptive(2), "`inputs` must have rank 3"),
        (adaptive(2, 2, 2), "`inputs` must have rank 5"),
        (adaptive(2, 2, 2, 2), MALFORMED),
        (adaptive(*[2] * 15), MALFORMED),
        (adaptive(), "`output_size` must have 1, 2 or 3 entries"),
        ({"window": [0, 1, 0, 1, 2, 2]}, "An adaptive `window` has neither padding nor a rounding"),
        ({"window": [0, 0, 1, 1, 2, 2]}, "An adaptive `window` has neither padding nor a rounding"),
    ],
)
def test_adaptive_sizes_that_cannot_be(attributes, message):
    for call in (pool, average, average_backward):
        assert call(**adaptive(2, 2)) is not None
        with pytest.raises(FAILURE, match=message):
            call(**attributes)


def test_adaptive_sizes_that_are_kept():
    x = tf.reshape(tf.range(12.0), (1, 3, 4, 1))
    np.testing.assert_array_equal(average(x, **adaptive(-1, -1)), x)
    assert average(x, **adaptive(-1, 1)).shape == (1, 3, 1, 1)


def test_adaptive_sizes_whose_product_overflows():
    """Where a window begins is a product of the size and the number of windows."""
    message = r"`output_size` times the input size must be below 2\^63 on every axis"
    with pytest.raises(FAILURE, match=message):
        average_backward((0, 1, 1, 1), (0, 2**60, 1, 1), **adaptive(2**31 - 1, 1))
    # A window of more than 2^31 - 1 elements has no room for its taps.
    with pytest.raises(FAILURE, match="A window must span at most 2147483647 elements in all"):
        average_backward((0, 1, 1, 1), (0, 2**16, 2**16, 1), **adaptive(1, 1))


@pytest.mark.parametrize("shape", [(), (4,), (4, 4, 1), (1, 4, 4, 4, 1), (1,) * 9])
def test_wrong_rank(shape):
    for call in (pool, average):
        with pytest.raises(FAILURE, match="must have rank 4"):
            call(image(*shape))


def test_spatial_axes_without_elements():
    with pytest.raises(FAILURE, match="at least one element on every spatial axis"):
        pool(image(1, 0, 4, 1))


@pytest.mark.parametrize("shape", [(0, 2**40, 2**40, 1), (1, 2**40, 2**40, 0), (2**20, 2**20, 2**20, 0)])
def test_products_that_overflow_behind_an_empty_axis(shape):
    with pytest.raises(FAILURE, match="must not exceed 2\\^63 - 1 bytes"):
        ops.kpool_max_pool_backward(
            image(0, 1, 1, 1), tf.zeros((0, 1, 1, 1), tf.uint8), tf.constant(shape, tf.int64), **WINDOW
        )


@pytest.mark.parametrize(("sizes", "dilation", "width"), [((255, 1, 1), 2**31 - 1, 2**20), ((3, 3, 1), 2**28, 2)])
def test_windows_whose_positions_would_overflow_in_the_padding(sizes, dilation, width):
    windows = window(sizes, (1, 1, 1), (dilation,) * 3, ((0, 0),) * 3, same=1)
    assert pool(image(0, 1, 1, width, 1), **windows)[0].shape == (0, 1, 1, width, 1)
    with pytest.raises(FAILURE, match=rf"must not reach over more than 2\^63 - 1 bytes.*=\(0, 1, 1, {4 * width}, 1\)"):
        pool(image(0, 1, 1, 4 * width, 1), **windows)


def test_unpooled_axes_that_are_too_long():
    shape = (0, 2**40, 1, 1)
    with pytest.raises(FAILURE, match=r"No axis of the unpooled input may exceed 2\^60 .*=\(1099511627776, 2097152\)"):
        unpool(np.zeros(shape), tf.zeros(shape), size=[], **window((1, 1), (2**21, 1)))


def test_long_axes_of_empty_tensors_end_at_once():
    shape = (0, 2**40, 1, 1)
    small = window(sizes=(1, 1), strides=(1, 1))
    result = ops.kpool_max_pool_backward(
        tf.zeros(shape), tf.zeros(shape, tf.uint8), tf.constant(shape, tf.int64), **small
    )
    assert result.shape == shape


@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
def test_sizes_of_empty_tensors_stay_in_range(index_dtype):
    """A plane of so many elements and its results are more bytes than an integer holds."""
    shape = (0, 2**30, 2**29, 1)
    small = window(sizes=(1, 1), strides=(1, 1))
    kept = {"num_indices": int(index_dtype == "int64"), "num_offsets": 1, "Tindices": index_dtype}
    x = tf.zeros(shape, tf.float64)
    assert ops.kpool_max_pool(x, **kept, **small).outputs.shape == shape
    assert ops.kpool_average_pool(x, **small).shape == shape
    for gradients in (
        ops.kpool_max_pool_backward(x, tf.zeros(shape, tf.uint8), tf.constant(shape, tf.int64), **small),
        ops.kpool_average_pool_backward(x, tf.constant(shape, tf.int64), **small),
    ):
        assert gradients.shape == shape


def test_a_window_too_large_for_offsets():
    with pytest.raises(FAILURE, match="no one-byte offsets"):
        pool(image(1, 16, 16, 1), **window(sizes=(16, 16)), num_offsets=1)
    with pytest.raises(FAILURE, match="no one-byte offsets"):
        backward(**window(sizes=(16, 16), padding=((7, 7), (7, 7))))


@pytest.mark.parametrize("sums", [False, True])
def test_windows_behind_the_unpooled_input(sums):
    """Rows of 10 hold two of three windows, 5 apart; the last one begins at the first position that is not there."""
    rows = window(sizes=(1, 2), strides=(1, 5), dilations=(1, 2))
    indices = np.repeat(np.array([[[0, 5, 10], [10, 15, 19]]], "int32")[..., None], 32, -1)
    gradients = tf.reshape(tf.range(2.0 * 10 * 32), (1, 2, 10, 32))
    gathered = ops.kpool_max_unpool_backward(gradients, indices, sum_duplicates=True, **rows)
    same_bits(
        gathered.numpy(),
        np.take_along_axis(gradients.numpy().reshape(1, 20, 32), indices.reshape(1, 6, 32), 1).reshape(1, 2, 3, 32),
    )
    indices[0, 1, 2, 31] = 20
    with pytest.raises(FAILURE, match=r"`indices` must lie in \[0, 20\), .* Received: indices\[0, 1, 2, 31\]=20"):
        ops.kpool_max_unpool_backward(gradients, indices, sum_duplicates=sums, **rows)


@pytest.mark.parametrize("stride", [8, 2**31 - 1])
def test_strides_that_lead_nowhere(stride, rng):
    """One window, however far the next one would be."""
    whole = window(sizes=(8, 8), strides=(stride, stride))
    x = tf.constant(rng.permutation(2048).reshape(1, 8, 8, 32) + 1, "float32")
    results = ops.kpool_max_pool(x, num_indices=1, num_offsets=1, Tindices=tf.int32, **whole)
    size = tf.constant(x.shape, tf.int64)
    same_bits(results.outputs.numpy()[0, 0, 0], x.numpy().max((0, 1, 2)))
    back = ops.kpool_max_pool_backward(results.outputs, results.offsets[0], size, **whole)
    gathered = ops.kpool_max_unpool_backward(back, results.indices[0], sum_duplicates=False, **whole)
    same_bits(gathered.numpy(), results.outputs.numpy())
    restored = ops.kpool_max_unpool(gathered, results.indices[0], size[1:3], sum_duplicates=False, **whole)
    same_bits(restored.numpy(), back.numpy())
    means = ops.kpool_average_pool(x, count_include_pad=False, divisor_override=0, **whole)
    shares = ops.kpool_average_pool_backward(means, size, count_include_pad=False, divisor_override=0, **whole)
    same_bits(tf.reduce_max(shares, (1, 2)).numpy(), (means / 64).numpy()[:, 0, 0])


def test_averages_without_elements():
    for shape, pooled in [((0, 4, 4, 1), (0, 2, 2, 1)), ((2, 4, 4, 0), (2, 2, 2, 0))]:
        assert average(image(*shape)).shape == pooled
        assert average_backward(pooled, shape).shape == shape
    # Rows that are not there are not walked.
    small = window(sizes=(1, 1), strides=(1, 1))
    shape = (0, 2**40, 1, 1)
    assert average_backward(shape, shape, **small).shape == average(image(*shape), **small).shape == shape


@pytest.mark.parametrize("channels", [1, 37])
def test_offsets_that_lie_in_the_padding_reach_nothing(channels):
    """Neither the end of the row in front of theirs nor the beginning of the one behind."""
    attributes = window((1, 3), (1, 3), padding=((0, 0), (1, 1)))
    size = tf.constant((1, 4, 4, channels), tf.int64)
    for offset in range(3):
        offsets = tf.fill((1, 4, 2, channels), tf.constant(offset, tf.uint8))
        result = ops.kpool_max_pool_backward(tf.ones(offsets.shape), offsets, size, **attributes)
        expected = np.zeros((1, 4, 4, channels))
        expected[:, :, [at for at in (offset - 1, offset + 2) if 0 <= at < 4]] = 1
        np.testing.assert_array_equal(result, expected)


def test_offsets_of_no_window_reach_nothing():
    offsets = tf.fill((1, 2, 2, 1), tf.constant(200, tf.uint8))
    result = ops.kpool_max_pool_backward(tf.ones((1, 2, 2, 1)), offsets, tf.constant((1, 4, 4, 1), tf.int64), **WINDOW)
    assert not result.numpy().any()
    # As indices they have no meaning; those that leave the plane are refused where they are used.
    indices = ops.kpool_max_pool_indices(offsets, tf.constant((1, 4, 4, 1), tf.int64), Tindices=tf.int32, **WINDOW)
    with pytest.raises(FAILURE, match=r"`indices` must lie in \[0, 16\)"):
        ops.kpool_max_unpool_backward(image(1, 4, 4, 1), indices, **WINDOW)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 9])
def test_offsets_that_only_a_larger_window_has_reach_nothing(channels, dtype):
    """5 elements in 3 windows, of 2, 3 and 2 elements: the third element of the last would be the sixth of all."""
    three = adaptive(3)
    offsets, size = tf.fill((1, 3, channels), tf.constant(2, tf.uint8)), tf.constant((1, 5, channels), tf.int64)
    result = ops.kpool_max_pool_backward(tf.ones((1, 3, channels), dtype), offsets, size, **three)
    assert tf.cast(result[0, :, 0], "float32").numpy().tolist() == [0, 0, 0, 1, 0]
    indices = ops.kpool_max_pool_indices(offsets, size, Tindices=tf.int32, **three)
    with pytest.raises(FAILURE, match=r"`indices` must lie in \[0, 5\), .* Received: indices\[0, 2, 0\]=5"):
        ops.kpool_max_unpool_backward(image(1, 5, channels, dtype=dtype), indices, **three)


@pytest.mark.parametrize("channels", [1, 17, 40])
@pytest.mark.parametrize("sum_duplicates", [False, True])
def test_the_one_index_that_is_right_but_for_its_high_bits(channels, sum_duplicates):
    indices = np.tile(np.array([[0, 2], [8, 10]])[..., None], channels)[None]
    indices[0, 0, 1, -1] += 2**32
    message = rf"Received: indices\[0, 0, 1, {channels - 1}\]=4294967298\b"
    with pytest.raises(FAILURE, match=message):
        unpool(indices, index_dtype="int64", sum_duplicates=sum_duplicates)
    with pytest.raises(FAILURE, match=message):
        ops.kpool_max_unpool_backward(
            image(1, 4, 4, channels), tf.constant(indices), sum_duplicates=sum_duplicates, **WINDOW
        )


def test_numpy_indices_are_not_narrowed_on_the_way():
    """TensorFlow converts NumPy arrays to an attribute's default: 2^32 + 3 would become 3."""
    indices = np.full((1, 2, 2, 1), 2**32 + 3)
    with pytest.raises(FAILURE, match=r"=4294967299\b"):
        ops.kpool_max_unpool(image(1, 2, 2, 1), indices, tf.constant([], tf.int64), **WINDOW)
    with pytest.raises(FAILURE, match=r"=4294967299\b"):
        ops.kpool_max_unpool_backward(image(1, 4, 4, 1), indices, **WINDOW)


def test_the_first_bad_index_is_named_whatever_the_number_of_threads():
    indices = np.zeros((64, 32, 32, 16), "int32")
    indices[7:, 5, 6, 7] = -5
    for _ in range(20):
        with pytest.raises(FAILURE, match=r"indices\[7, 5, 6, 7\]=-5\b"):
            unpool(indices)


@pytest.mark.parametrize("size", [(4,), (4, 4, 4), (0, 4), (-4, 4), (2, 4), (4, 6), (2**62, 4)])
def test_output_sizes_that_cannot_be(size):
    with pytest.raises(FAILURE, match="`output_size` must"):
        unpool(np.zeros((1, 2, 2, 1)), size=size)
    with pytest.raises(FAILURE, match=r"`output_size` must be a vector of at most 5 sizes\. Received: shape=\(1, \d\)"):
        ops.kpool_max_unpool(
            tf.zeros((1, 2, 2, 1)), tf.zeros((1, 2, 2, 1), tf.int32), tf.constant([list(size)], tf.int64), **WINDOW
        )


@pytest.mark.parametrize(
    ("windows", "size", "message"),
    [
        ([2, 2], (), "The size of an unpooled input must be given where windows are adaptive"),
        ([2, 2], (4, 4, 4), r"`output_size` must have one entry per spatial axis.* output_size=\(4, 4, 4\)"),
        ([2, 2], (4, 0), "`output_size` must hold positive integers"),
        ([2, 2], (4, -4), "`output_size` must hold positive integers"),
        ([2, 3], (4, 4), r"as many elements on every axis as there are windows.*=\(2, 3\)"),
        ([-1, 2], (4, 4), r"as many elements on every axis as there are windows.*=\(2, 4\)"),
        ([2, 2], (2**61, 4), r"must not exceed 2\^63 - 1 bytes"),
        ([2, 2], (2**62, 4), r"must not exceed 2\^63 - 1 bytes"),
        ([2, 2], (2**62 + 1, 4), "`output_size` times the input size must be below"),
    ],
)
def test_adaptive_sizes_that_cannot_be_unpooled(windows, size, message):
    with pytest.raises(FAILURE, match=message):
        unpool(np.zeros((1, 2, 2, 1)), size=size, **adaptive(*windows))


def test_unpooled_inputs_beyond_any_memory():
    with pytest.raises(FAILURE, match="must not exceed 2\\^63 - 1 bytes"):
        unpool(np.zeros((1, 2**8, 2**8, 1)), **window(strides=(2**31 - 1,) * 2))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 4, 4, 1), "`indices` must agree with `inputs` in batch and channels"),
        ((1, 4, 4, 2), "`indices` must agree with `inputs` in batch and channels"),
        ((1, 4, 4), r"must have the same rank.* gradients of shape \(1, 4, 4\), indices of shape \(1, 2, 2, 1\)"),
        ((), r"must have the same rank.* gradients of shape \(\), indices of shape"),
        ((1, 0, 4, 1), "at least one element on every spatial axis"),
    ],
)
def test_unpool_backward_of_shapes_that_do_not_fit(shape, message):
    with pytest.raises(FAILURE, match=message):
        ops.kpool_max_unpool_backward(image(*shape), tf.zeros((1, 2, 2, 1), tf.int32), **WINDOW)


@pytest.mark.parametrize("dtype", ["bool", "complex64", "string", "qint8"])
def test_dtypes_without_a_kernel(dtype):
    for call in (pool, average):
        with pytest.raises(FAILURE, match=f"'T' of {dtype} is not in the list of allowed values: half, bfloat16"):
            call(tf.fill((1, 4, 4, 1), "a") if dtype == "string" else tf.cast(image(1, 4, 4, 1), dtype))


ONLY_FLOATS = "'T' of int32 is not in the list of allowed values: half, bfloat16, float, double\\b(?!,)"


def test_integers_have_no_averages_of_their_own():
    """The functions cast before; the op knows no rounding for them."""
    with pytest.raises(FAILURE, match=ONLY_FLOATS):
        average(image(1, 4, 4, 1, dtype="int32"))


def test_integers_have_no_gradient_op():
    with pytest.raises(FAILURE, match=ONLY_FLOATS):
        ops.kpool_max_pool_backward(
            image(1, 2, 2, 1, dtype="int32"), tf.zeros((1, 2, 2, 1), tf.uint8), [1, 4, 4, 1], **WINDOW
        )


def test_failed_calls_leave_the_next_ones_intact():
    x = tf.constant(np.arange(16.0).reshape(1, 4, 4, 1))
    for _ in range(100):
        with pytest.raises(FAILURE, match="`pool_size` must not exceed the padded input"):
            pool(x, **window(sizes=(5, 5)))
        with pytest.raises(FAILURE, match="must have the shape of the pooled input"):
            average_backward((1, 2, 3, 1))
        with pytest.raises(FAILURE, match=r"indices\[0, 0, 0, 0\]=77"):
            unpool(np.full((1, 2, 2, 1), 77))
        assert pool(x).outputs.numpy().ravel().tolist() == [5, 7, 13, 15]
        assert average(x).numpy().ravel().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_errors_inside_a_graph_reach_the_caller():
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, None)), tf.TensorSpec((None,) * 4, tf.int32)])
    def graph(x, indices):
        return ops.kpool_max_unpool(x, indices, tf.constant([], tf.int64), **WINDOW)

    with pytest.raises(FAILURE, match=r"indices\[0, 1, 1, 0\]=16\b"):
        graph(tf.ones((1, 2, 2, 1)), tf.constant([0, 1, 2, 16], shape=(1, 2, 2, 1)))
    right = graph(image(1, 2, 2, 1), tf.constant([15, 0, 2, 2], shape=(1, 2, 2, 1)))
    assert right.numpy().ravel().tolist() == [2, 0, 4, *[0] * 12, 1]


def test_the_gradient_of_a_window_without_flags_waits_for_the_op_to_refuse_it():
    """As in a graph from a file that was changed."""

    @tf.function
    def gradient(x):
        return tf.gradients(ops.kpool_max_pool(x, window=[], Tindices=tf.int32).outputs, x)

    with pytest.raises(FAILURE, match=MALFORMED):
        gradient(image(1, 4, 4, 1))
