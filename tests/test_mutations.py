"""The table of deliberate breaks: each finds its place in the kernels. Trying them takes long and is a command."""

from pathlib import Path

import pytest
from mutation.mutate import FIRST, find, places_of, read_mutations

KERNELS = Path(__file__).parents[1] / "kpool" / "kernels"


pytestmark = pytest.mark.skipif(not KERNELS.exists(), reason="the sources are not here")


@pytest.mark.parametrize("mutation", read_mutations(), ids=str)
def test_a_mutation_has_its_place(mutation):
    text = (KERNELS / mutation.file).read_text()
    begin, end = find(text, mutation)
    assert text[begin:end] == mutation.expression != mutation.after


def test_mutations_replace_expressions():
    """Half of a choice, or an assignment, would not compile in the parentheses that are put around it."""
    fragments = pytest.importorskip("Cython.Compiler.TreeFragment", reason="Cython is needed to build alone")
    for mutation in read_mutations():
        for expression in (mutation.expression, mutation.after):
            fragments.parse_from_strings(str(mutation), f"x = ({expression})")


def test_mutations_of_different_places_do_not_overlap():
    mutations = read_mutations()
    places = places_of({m.file: (KERNELS / m.file).read_text() for m in mutations}, mutations)
    assert sum(len(numbers) for ranges in places.values() for _, _, numbers in ranges) == len(mutations)


def test_overlapping_mutations_are_refused():
    """One of them would be written into the other."""
    whole = read_mutations()[0]._replace(before="", behind="", expression="a + b")
    with pytest.raises(SystemExit, match="two mutations overlap"):
        places_of({whole.file: "c = a + b"}, [whole, whole._replace(expression="b")])


def test_every_family_has_its_heading():
    assert {mutation.family for mutation in read_mutations()} == set(FIRST)
