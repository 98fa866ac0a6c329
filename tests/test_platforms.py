"""Where kpool cannot be built or run, one sentence says what to do."""

import platform
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from conftest import run_python

from kpool.versions import require

SETUP = Path(__file__).parents[1] / "setup.py"


@pytest.fixture
def build(monkeypatch):
    """What setup.py hands to setuptools, without the extensions, which would take a minute."""
    setuptools = pytest.importorskip("setuptools", reason="pip brings it for a build; it need not be installed")
    cython = ModuleType("Cython.Build")
    cython.cythonize = lambda *_, **__: []
    monkeypatch.setitem(sys.modules, "Cython", ModuleType("Cython"))
    monkeypatch.setitem(sys.modules, "Cython.Build", cython)
    arguments = {}
    monkeypatch.setattr(setuptools, "setup", arguments.update)

    def run(compiler="no-such-compiler"):
        runpy.run_path(str(SETUP), run_name="__main__")
        builder = object.__new__(arguments["cmdclass"]["build_ext"])
        builder.compiler = SimpleNamespace(compiler_so=[compiler, "-O3"], include_dirs=["/include"])
        builder.build_extensions()

    return run


def test_a_missing_compiler(build):
    with pytest.raises(SystemExit, match="kpool needs a C compiler, and there is no 'no-such-compiler': install gcc"):
        build()


def script(folder, refused):
    """A compiler that says no to what some shell code finds in its command or its source."""
    path = folder / "script-cc"
    path.write_text(
        f'#!/bin/sh\nsource=$(cat)\n{refused} && {{ echo "$0:"; echo "error: no!"; }} >&2 && exit 1\nexit 0\n'
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere there is one level, with nothing that is new")
def test_a_compiler_that_is_too_old(build, tmp_path):
    message = (
        "kpool needs gcc 11 or clang 12 or newer: install one and name it in the environment variable CC, or build for "
        r"fewer instruction sets with KPOOL_LEVELS=1\. For 'avx2' '.*script-cc' says: error: no!$"
    )
    with pytest.raises(SystemExit, match=message):
        build(script(tmp_path, '[ -z "${*##*x86-64-v3*}" ]'))


def test_a_compiler_that_refuses_everything(build, tmp_path):
    with pytest.raises(SystemExit, match=r"variable CC\. For 'baseline' '.*script-cc' says: error: no!$"):
        build(script(tmp_path, "true"))


def test_missing_headers(build, tmp_path):
    message = r"kpool needs Python's headers: install them .*python3-dev.* '.*script-cc' says: error: no!$"
    with pytest.raises(SystemExit, match=message):
        build(script(tmp_path, '[ -n "$source" ]'))


def test_clang_knows_the_flags(build, tmp_path):
    """Of the cost model it does not know gcc's newer form, with a value; the next that is refused are the headers."""
    with pytest.raises(SystemExit, match="kpool needs Python's headers"):
        build(script(tmp_path, '[ -z "${*##*vect-cost-model=*}" ] || [ -n "$source" ]'))


def test_windows(build, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit, match="kpool builds on Linux and macOS, not on Windows: there, install it inside"):
        build()


@pytest.mark.parametrize("count", ["0", "", "-1", "1.5", "100"])
def test_impossible_numbers_of_instruction_sets(count, build, monkeypatch):
    monkeypatch.setenv("KPOOL_LEVELS", count)
    sentence = f"`KPOOL_LEVELS` must be an integer from 1 to [13] on this machine. Received: KPOOL_LEVELS='{count}'"
    with pytest.raises(SystemExit, match=sentence):
        build()


@pytest.mark.parametrize("version", ["2.16", "2.16.1", "2.21.0-rc1", "2.100.0", "3.0", "10.1.0.dev20260101"])
def test_versions_that_are_new_enough(version):
    require("TensorFlow", version, "2.16")


@pytest.mark.parametrize("version", ["2.15.1", "2.9.3", "1.15", "0.12.0rc1"])
def test_versions_that_are_too_old(version):
    sentence = rf"kpool needs TensorFlow 2.16 or newer: run .* Received: TensorFlow {version}$"
    with pytest.raises(ImportError, match=sentence):
        require("TensorFlow", version, "2.16")


def test_importing_where_it_cannot_run():
    """Each time before anything else goes wrong, that is before kpool reaches for what the old ones do not have."""
    result = run_python(
        """
        import sys
        from importlib.machinery import ModuleSpec
        from types import ModuleType
        import keras
        import tensorflow as tf

        def attempt():
            try:
                import kpool
            except ImportError as error:
                print(error)
            for name in [name for name in sys.modules if name.startswith("kpool")]:
                del sys.modules[name]

        def refuse(path):
            global library
            library = path
            raise tf.errors.NotFoundError(None, None, f"{path}: undefined symbol: TF_Something")

        newer = {tf: ["load_op_library", "RegisterGradient"], keras: ["KerasTensor", "ops", "random", "tree"]}
        for module, version in ((tf, "2.15.1"), (keras, "3.7.0")):
            kept = {name: getattr(module, name) for name in ["__version__", *newer[module]]}
            for name in newer[module]:
                delattr(module, name)
            module.__version__ = version
            attempt()
            vars(module).update(kept)
        keras.__version__, tf.load_op_library, load = "3.8.0", refuse, tf.load_op_library
        attempt()
        tf.load_op_library = load
        sys.modules["kpool.tf.native"] = native = ModuleType("native")
        native.__spec__ = ModuleSpec("native", None, origin=library)
        attempt()
        """
    )
    old, older, broken, unregistered = result.stdout.splitlines()
    assert old.startswith("kpool needs TensorFlow 2.16 or newer: run `pip install --upgrade tensorflow`.")
    assert older.startswith("kpool needs Keras 3.8 or newer: run `pip install --upgrade keras`.")
    for line in (broken, unregistered):
        assert "cannot use kpool's native ops; build them anew where kpool is to run: in kpool's source folder" in line
        assert " `pip install --force-reinstall --no-deps --no-cache-dir .`. Received: " in line
    assert broken.endswith("undefined symbol: TF_Something")
    assert "cannot import name 'called_by_xla' from 'native'" in unregistered
