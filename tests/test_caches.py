"""How large the caches are: what Linux says of them, or else what is assumed."""

import pytest

from kpool.kernels import driver
from kpool.kernels.caches import CACHES, UNKNOWN_CACHE, last_level_cache


def describe(folder, caches):
    """Say of each cache how large it is, as Linux does."""
    (folder / "uevent").touch()
    for number, (level, size) in enumerate(caches):
        (folder / f"index{number}").mkdir()
        (folder / f"index{number}" / "level").write_text(level)
        (folder / f"index{number}" / "size").write_text(size)
    return folder


@pytest.mark.parametrize(
    ("caches", "expected"),
    [
        ([("1\n", "48K\n"), ("1\n", "32K\n"), ("2\n", "1024K\n"), ("3\n", "32768K\n")], 32 << 20),
        ([("3\n", "1G\n"), ("2\n", "2G\n")], 1 << 30),
        ([("3\n", "8M\n"), ("4\n", "128M\n")], 128 << 20),
    ],
)
def test_the_last_level_counts(tmp_path, caches, expected):
    assert last_level_cache(describe(tmp_path, caches)) == expected


@pytest.mark.parametrize("size", ["", "\n", "large\n", "K", "12", "12T\n", "0K\n"])
def test_what_is_not_understood_is_unknown(tmp_path, size):
    assert last_level_cache(describe(tmp_path, [("1\n", "32K\n"), ("3\n", size)])) == UNKNOWN_CACHE


@pytest.mark.parametrize("caches", [[], [("1\n", "32K\n"), ("2\n", "2M\n")], [("third\n", "32M\n")]])
def test_a_hidden_last_level_is_unknown(tmp_path, caches):
    assert last_level_cache(describe(tmp_path, caches)) == UNKNOWN_CACHE


def test_a_system_that_says_nothing(tmp_path):
    assert last_level_cache(tmp_path / "nothing") == UNKNOWN_CACHE


def test_unreadable_sizes(tmp_path):
    describe(tmp_path, [("3\n", "1M\n")])
    (tmp_path / "index0" / "size").unlink()
    assert last_level_cache(tmp_path) == UNKNOWN_CACHE


def test_kernels_go_by_what_the_system_says():
    driver.set_cache_size(4096)
    assert driver.cache_size() == 4096
    driver.set_cache_size(0)
    assert driver.cache_size() == last_level_cache(CACHES)
