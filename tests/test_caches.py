"""How large the caches are: what Linux says of them, or else what is assumed."""

import pytest

from kpool.kernels import driver
from kpool.kernels.caches import CACHES, UNKNOWN_CACHE, last_level_cache


def describe(folder, *sizes):
    """Say of each cache how large it is, as Linux does."""
    for number, size in enumerate(sizes):
        (folder / f"index{number}").mkdir()
        (folder / f"index{number}" / "size").write_text(size)
    return folder


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (["48K\n", "32K\n", "1024K\n", "32768K\n"], 32 << 20),
        (["32K\n", "2M\n"], 2 << 20),
        (["1G\n", "512K\n"], 1 << 30),
    ],
)
def test_the_largest_cache_counts(tmp_path, sizes, expected):
    assert last_level_cache(describe(tmp_path, *sizes)) == expected


@pytest.mark.parametrize("sizes", [[], [""], ["\n"], ["large\n"], ["K"], ["12"], ["32K\n", "12T\n"], ["0K\n"]])
def test_what_is_not_understood_is_unknown(tmp_path, sizes):
    assert last_level_cache(describe(tmp_path, *sizes)) == UNKNOWN_CACHE


def test_a_system_that_says_nothing(tmp_path):
    assert last_level_cache(tmp_path / "nothing") == UNKNOWN_CACHE


def test_unreadable_sizes(tmp_path):
    (tmp_path / "index0" / "size").mkdir(parents=True)
    assert last_level_cache(tmp_path) == UNKNOWN_CACHE


def test_kernels_go_by_what_the_system_says():
    driver.set_cache_size(4096)
    assert driver.cache_size() == 4096
    driver.set_cache_size(0)
    assert driver.cache_size() == last_level_cache(CACHES)
