"""Imports go one way, utils -> layers -> ops -> tf -> kernels, and importing is quiet."""

import re
from pathlib import Path

import pytest
from conftest import run_python

import kpool

PACKAGE = Path(kpool.__file__).parent
TIERS = ["utils", "layers", "ops", "tf", "kernels"]
# Annotations may name what they describe; nothing is imported for them when the program runs.
HINTS = re.compile(r"^if TYPE_CHECKING:\n(?:    .*\n|\n)+", re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from|import|cimport)\s+(kpool.*)$", re.MULTILINE)


def imported_tiers(text):
    """The tiers that a module's import statements name."""
    statements = IMPORT.findall(HINTS.sub("", text))
    return {tier for tier in TIERS for s in statements if re.search(rf"\bkpool(\.{tier}\b| c?import .*\b{tier}\b)", s)}


def test_imports_are_found():
    assert imported_tiers("from kpool import tf, layers\n") == {"tf", "layers"}
    assert imported_tiers("    from kpool.ops.geometry cimport x\n") == {"ops"}
    assert imported_tiers("if TYPE_CHECKING:\n    from kpool.ops import x\n\nfrom kpool.tf import y\n") == {"tf"}


@pytest.mark.parametrize("tier", TIERS)
def test_no_import_points_upwards(tier):
    files = [path for path in (PACKAGE / tier).iterdir() if path.suffix in (".py", ".pyx", ".pxd", ".pxi")]
    assert files
    for path in files:
        assert not imported_tiers(path.read_text()) & set(TIERS[: TIERS.index(tier)]), path


@pytest.mark.parametrize("path", ["kernels", "ops/geometry.py", "layers", "utils"])
def test_only_the_tensorflow_tier_and_its_callers_know_tensorflow(path):
    root = PACKAGE / path
    for file in [root] if root.is_file() else root.iterdir():
        if file.suffix in (".py", ".pyx", ".pxd", ".pxi"):
            assert not re.search(r"^\s*(import|from)\s+tensorflow", file.read_text(), re.MULTILINE), file


def test_import_prints_nothing():
    result = run_python(
        """
        import os, sys
        # The tests keep TensorFlow quiet, and with it what an import might make it say.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
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
    """Nor one of which a single file was not."""
    better = ("_avx2", "_avx512")
    compiled = [path for path in PACKAGE.rglob("*.so") if not path.name.split(".")[0].endswith(better)]
    assert len(compiled) == 6
    for missing in (None, *compiled):
        package = tmp_path / missing.stem / "kpool" if missing else tmp_path / "kpool"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text((PACKAGE / "__init__.py").read_text())
        for path in compiled if missing else ():
            (package / path.relative_to(PACKAGE)).parent.mkdir(exist_ok=True)
            if path != missing:
                (package / path.relative_to(PACKAGE)).touch()
        result = run_python(f"import sys; sys.path.insert(0, {str(package.parent)!r}); import kpool", check=False)
        assert result.returncode == 1
        assert "Run `pip install .`" in result.stderr.splitlines()[-1], missing
