"""Imports go one way, layers -> ops -> tf -> kernels, and importing is quiet and cheap."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    result = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            "import tensorflow, keras, os, sys; sys.stdout.flush(); "
            "os.dup2(os.open(os.devnull, os.O_WRONLY), 9); print('ready', file=sys.stderr, flush=True); import kpool",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == ""
    assert result.stderr.split("ready\n")[1] == ""


def test_another_backend_is_refused_in_one_sentence():
    result = subprocess.run(
        [sys.executable, "-c", "import sys, types, keras; keras.config.backend = lambda: 'jax'; import kpool"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "kpool runs on Keras' TensorFlow backend. Set the environment variable KERAS_BACKEND" in result.stderr
