"""The table of deliberate breaks: each finds its place in the kernels. Trying them takes long and is a command."""

from pathlib import Path

import pytest
from mutation.mutate import find, read_mutations

KERNELS = Path(__file__).parents[1] / "kpool" / "kernels"


@pytest.mark.skipif(not KERNELS.exists(), reason="the sources are not here")
@pytest.mark.parametrize("mutation", read_mutations(), ids=str)
def test_a_mutation_has_its_place(mutation):
    text = (KERNELS / mutation.file).read_text()
    begin, end = find(text, mutation)
    assert text[begin:end] == mutation.expression != mutation.after
