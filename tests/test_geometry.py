"""Arguments, output sizes and refusals of `kpool.ops.geometry`, and of the compiled formulas below it."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest
from reference import Pooling, spans

from kpool.ops.geometry import Window, integers, make_window, standard_data_format


def test_output_sizes_agree_with_the_oracle():
    paddings = ["valid", "same", 1, ((0, 2),), ((3, 1),)]
    counted = 0
    for size, taps, stride, dilation, padding, ceil_mode in product(
        range(1, 9), range(1, 5), range(1, 5), range(1, 4), paddings, [False, True]
    ):
        pair = {"valid": (0, 0), "same": "same", 1: (1, 1)}[padding] if padding in ("valid", "same", 1) else padding[0]
        reach = (taps - 1) * dilation + 1
        windows = spans(size, taps, stride, dilation, pair, ceil_mode)
        possible = (
            (padding == "same" or max(pair) < reach)
            and (padding == "same" or size + sum(pair) >= reach)
            and all(windows)
        )
        arguments = (1, taps, stride, padding, "channels_last", dilation, ceil_mode)
        if possible:
            assert make_window(*arguments).pooled_shape((None, size, 3)) == (None, len(windows), 3), arguments
            counted += 1
        else:
            with pytest.raises(ValueError, match=r"must .* Received: "):
                make_window(*arguments).pooled_shape((None, size, 3))
    assert counted > 2000


def test_unpooling_leads_back_to_the_pooled_size():
    for size, taps, stride, padding in product(range(1, 12), range(1, 5), range(1, 5), ["valid", "same", 1]):
        if (padding == 1 and taps == 1) or (padding != "same" and size < taps):
            continue
        window = make_window(1, taps, stride, padding)
        (_, pooled, _) = window.pooled_shape((None, size, 3))
        assert window.unpooled_shape((None, pooled, 3), (size,)) == (None, size, 3)
        if padding != 1:
            assert window.pooled_shape(window.unpooled_shape((None, pooled, 3))) == (None, pooled, 3)


def test_unknown_sizes_stay_unknown():
    window = make_window(2, 3, 2, data_format="channels_first")
    assert window.pooled_shape((None, 5, None, 7)) == (None, 5, None, 3)
    assert window.unpooled_shape((None, 5, None, 3)) == (None, 5, None, 7)
    assert window.unpooled_shape((None, 5, None, 3), (9, 7)) == (None, 5, 9, 7)
    assert window.unpooled_shape_of_unknown_size((2, 5, 4, 3)) == (2, 5, None, None)


@pytest.mark.parametrize(
    ("known", "wrong"), [(1, True), (1, 1.0), ((1, 2), (True, 2)), ((1, 2), (1.0, 2)), ((1, 2), (1, np.float32(2)))]
)
def test_what_only_equals_a_known_argument_is_refused(known, wrong):
    """Windows are kept by their arguments, and some that are wrong equal some that are right."""
    make_window(2, known)
    assert known == wrong
    with pytest.raises(ValueError, match=r"`pool_size` must .* Received: pool_size="):
        make_window(2, wrong)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("valid", ((0, 0), (0, 0))),
        ("VALID", ((0, 0), (0, 0))),
        ("Same", "same"),
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 0), (0, 2)), ((1, 0), (0, 2))),
        ([[1, 0], [0, 2]], ((1, 0), (0, 2))),
    ],
)
def test_forms_of_padding(padding, expected):
    assert make_window(2, 4, padding=padding).padding == expected


@pytest.mark.parametrize("padding", ["full", 1.5, None, (1,), (1, 2, 3), ((1, 2), 3), ((1, 2, 3), (1, 2, 3)), True])
def test_padding_that_is_none(padding):
    with pytest.raises(ValueError, match=r"`padding` must be .* Received: padding="):
        make_window(2, 4, padding=padding)


@pytest.mark.parametrize("value", [2.0, "2", None, (2,), (2, 2, 2), (2, "2"), True, (2, None), 2**70, (1, -(2**64))])
@pytest.mark.parametrize("name", ["pool_size", "dilation_rate"])
def test_arguments_that_are_no_integers(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must .* Received: {name}="):
        make_window(2, **{"pool_size": 3, name: value})


@pytest.mark.parametrize("value", [0, -1, (2, 0), (-3, 2), 2**31, (1, 2**40)])
@pytest.mark.parametrize("name", ["pool_size", "strides", "dilation_rate"])
def test_sizes_that_cannot_be(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must hold integers from 1 to 2147483647. Received: {name}=\("):
        make_window(2, **{"pool_size": 3, name: value})


@pytest.mark.parametrize("padding", [-1, (0, -1), ((0, 0), (-1, 0)), ((0, -2), (0, 0)), 2**31])
def test_padding_out_of_range(padding):
    with pytest.raises(ValueError, match=r"`padding` must hold integers from 0 to 2147483647. Received: padding "):
        make_window(2, 3, padding=padding)


@pytest.mark.parametrize("padding", [3, (1, 3), ((3, 0), (0, 0)), ((0, 0), (0, 3))])
def test_padding_as_large_as_the_window(padding):
    with pytest.raises(ValueError, match=r"`padding` must be smaller than the window .* Received: padding "):
        make_window(2, 3, padding=padding)
    # A dilated window reaches further.
    assert make_window(2, 3, padding=padding, dilation_rate=2).rank == 2


def test_windows_too_large_for_their_taps_to_be_counted():
    with pytest.raises(ValueError, match=r"`pool_size` must span at most 2147483647 elements.* Received: pool_size=\("):
        make_window(2, 2**16)
    with pytest.raises(ValueError, match="`pool_size` must span"):
        make_window(3, 2**31 - 1)


def test_a_window_that_sees_only_padding():
    """Dilation 2 steps over an input of length 1."""
    with pytest.raises(
        ValueError, match=r"`padding` must leave at least one element of the input to every window.*=\(1, 2, 1, 2, 1\)"
    ):
        make_window(1, 2, 1, padding=1, dilation_rate=2).pooled_shape((1, 1, 1))


def test_no_check_takes_long():
    """Padding of 2^31 windows over an input that is shorter than the dilation."""
    largest = 2**31 - 2
    with pytest.raises(ValueError, match="At most 65536 windows may begin in the `padding` of an axis"):
        make_window(1, 2, 1, ((largest, 0),), dilation_rate=largest).pooled_shape((1, largest - 1, 1))


@pytest.mark.parametrize("rank", [0, 4])
def test_number_of_axes(rank):
    with pytest.raises(ValueError, match="`pool_size` must have 1, 2 or 3 entries"):
        make_window(rank, 2)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 4, 4, 4, 1), (4,), ()])
def test_wrong_rank(shape):
    for method in (make_window(2, 2).pooled_shape, make_window(2, 2).unpooled_shape):
        with pytest.raises(ValueError, match=r"`inputs` must have rank 4: .* Received: inputs of shape \("):
            method(shape)


def test_spatial_axes_without_elements():
    for method in (make_window(2, 1).pooled_shape, make_window(2, 1).unpooled_shape):
        with pytest.raises(ValueError, match="at least one element on every spatial axis"):
            method((1, 0, 4, 1))


def test_sizes_far_beyond_memory_do_not_overflow():
    largest = 2**31 - 1
    window = make_window(1, largest, largest, "same", dilation_rate=largest)
    assert window.pooled_shape((1, 2**60, 1)) == (1, -(-(2**60) // largest), 1)
    with pytest.raises(ValueError, match="No axis may exceed"):
        window.pooled_shape((1, 2**60 + 1, 1))
    with pytest.raises(ValueError, match="No axis of the unpooled input may exceed"):
        window.unpooled_shape((1, 2**40, 1))


def test_unpooled_inputs_smaller_than_one_element():
    with pytest.raises(ValueError, match="at least one element on every axis"):
        make_window(1, 3, 1, padding=2).unpooled_shape((1, 1, 1))


def test_data_formats():
    assert standard_data_format(None) == "channels_last"
    assert standard_data_format("Channels_First") == "channels_first"
    for wrong in ("NHWC", "", 3):
        with pytest.raises(ValueError, match=r"`data_format` must be .* Received: data_format="):
            standard_data_format(wrong)


def test_windows_are_values():
    window = make_window(2, 3, 2, "same")
    assert window == make_window(2, (3, 3), [2, 2], "SAME")
    assert window != make_window(2, 3, 1, "same")
    assert len({window, make_window(2, 3, 2, "same")}) == 1
    for again in (copy.deepcopy(window), pickle.loads(pickle.dumps(window))):
        assert isinstance(again, Window)
        assert again == window
        assert again.pooled_shape((1, 5, 5, 1)) == (1, 3, 3, 1)


def test_integers_takes_numpy_integers():
    import numpy as np

    assert integers("x", np.int64(3), 2) == (3, 3)
    assert integers("x", (np.int32(3), 4), 2) == (3, 4)


def test_the_oracle_by_hand():
    assert spans(4, 2, 2, 1, (0, 0)) == [[(0, 0), (1, 1)], [(0, 2), (1, 3)]]
    assert spans(3, 2, 2, 1, "same") == [[(0, 0), (1, 1)], [(0, 2)]]
    assert spans(3, 2, 2, 1, (0, 0), ceil_mode=True) == [[(0, 0), (1, 1)], [(0, 2)]]
    assert spans(3, 2, 1, 2, (1, 1)) == [[(1, 1)], [(0, 0), (1, 2)], [(0, 1)]]
    assert Pooling((2, 2), (2, 2)).windows == [[(0, 0), (1, 1), (2, 2), (3, 3)]]


def test_windows_are_shared_by_what_they_are_not_by_what_equals_it():
    """True and 1.0 equal 1, and are refused nevertheless."""
    window = make_window(2, 1)
    assert make_window(2, [1, np.int64(1)], (1, 1), 0, "channels_last") is window
    assert make_window(2, 1, data_format="channels_first") is not window
    for value in (True, 1.0, (1, True), (1.0, 1)):
        with pytest.raises(ValueError, match="`pool_size` must be an integer"):
            make_window(2, value)
