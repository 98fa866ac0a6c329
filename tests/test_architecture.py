"""Imports go one way, layers -> ops -> tf -> kernels, and importing is quiet and cheap."""

import re
from pathlib import Path

import pytest
from conftest import run_python

import kpool

PACKAGE = Path(kpool.__file__).parent
TIERS = ["layers", "ops", "tf", "kernels"]
IMPORT = re.compile(r"^\s*(?:from|import|cimport)\s+kpool\.?(\w*)(?:\s+c?import\s+(\w+))?", re.MULTILINE)


def imported_tiers(path):
    for module, name in IMPORT.findall(path.read_text()):
        tier = module or name
        if tier in TIERS:
            yield tier


@pytest.mark.parametrize("tier", TIERS)
def test_no_import_points_upwards(tier):
    files = [path for path in (PACKAGE / tier).iterdir() if path.suffix in (".py", ".pyx", ".pxd", ".pxi")]
    assert files
    for path in files:
        # Annotations may name what they describe; nothing is imported for them when the program runs.
        text = path.read_text()
        above = set(TIERS[: TIERS.index(tier)])
        hints = {t for block in re.findall(r"if TYPE_CHECKING:\n((?:    .*\n)+)", text) for t in above if t in block}
        assert not (set(imported_tiers(path)) & above) - hints, path


@pytest.mark.parametrize("path", ["kernels", "ops/geometry.py", "layers"])
def test_only_the_tensorflow_tier_and_its_callers_know_tensorflow(path):
    root = PACKAGE / path
    for file in [root] if root.is_file() else root.iterdir():
        if file.suffix in (".py", ".pyx", ".pxd", ".pxi"):
            assert not re.search(r"^\s*(import|from)\s+tensorflow", file.read_text(), re.MULTILINE), file


def test_import_prints_nothing():
    result = run_python(
        """
        import sys
        import tensorflow, keras
        print("ready", file=sys.stderr, flush=True)
        import kpool
        """
    )
    assert result.stdout == ""
    assert result.stderr.split("ready\n")[1] == ""


def test_another_backend_is_refused_in_one_sentence():
    result = run_python("import keras; keras.config.backend = lambda: 'jax'; import kpool", check=False)
    assert result.returncode == 1
    assert "kpool runs on Keras' TensorFlow backend. Set the environment variable KERAS_BACKEND" in result.stderr


def test_a_source_tree_that_is_not_built_says_so(tmp_path):
    (tmp_path / "kpool").mkdir()
    (tmp_path / "kpool" / "__init__.py").write_text((PACKAGE / "__init__.py").read_text())
    result = run_python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import kpool", check=False)
    assert result.returncode == 1
    assert "Run `pip install .`" in result.stderr.splitlines()[-1]
