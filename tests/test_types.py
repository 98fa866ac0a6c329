"""The type hints: a user's program that mypy accepts, and stubs that say what compiled modules have."""

import ast
import os
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import kpool

PACKAGE = Path(kpool.__file__).parent
PROGRAM = Path(__file__).with_name("typed_program.py")
# The import of native.pyx gives one name, which mypy sees used in library.py; the rest is found by TensorFlow.
STUBS = sorted(path for path in PACKAGE.rglob("*.pyi") if path.stem != "native")


def test_the_package_says_that_it_has_types():
    assert (PACKAGE / "py.typed").exists()


def test_the_typed_program_runs(capsys):
    runpy.run_path(str(PROGRAM), run_name="__main__")
    assert "kpool" in capsys.readouterr().out


def test_mypy_accepts_the_typed_program(tmp_path):
    """As a user has it: the installed package, and none of the repository's settings."""
    pytest.importorskip("mypy", reason="CI runs mypy on the program as well")
    (tmp_path / "program.py").write_text(PROGRAM.read_text())
    # Those carry no types.
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-keras.*]\nignore_missing_imports = True\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "program.py"]
    # mypy looks for packages among the installed ones alone.
    path = {} if "site-packages" in PACKAGE.parts else {"MYPYPATH": str(PACKAGE.parent)}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, **path})
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", STUBS, ids=lambda path: path.stem)
def test_stubs_name_what_there_is_and_its_arguments(path):
    module = import_module(".".join(["kpool", *path.relative_to(PACKAGE).with_suffix("").parts]))
    stub = ast.parse(path.read_text())
    named = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    constants = {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    own = {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", module.__name__) == module.__name__
    } - {name for name, thing in vars(module).items() if isinstance(thing, type(sys))}
    assert own == {*named, *constants}
    for name, node in named.items():
        thing = getattr(module, name)
        if isinstance(node, ast.ClassDef):
            # What makes one has no signature that could be asked for.
            methods = {item.name: item for item in node.body if item.name != "__init__"}
            assert methods.keys() == {name for name in vars(thing) if not name.startswith("_")}
            for method, definition in methods.items():
                assert arguments(definition) == embedded_arguments(getattr(thing, method))
        else:
            assert arguments(node) == embedded_arguments(thing)


def arguments(definition):
    """The names of a function's arguments in a stub, and how many of them have defaults."""
    return [argument.arg for argument in definition.args.args], len(definition.args.defaults)


def embedded_arguments(function):
    """The same of a compiled function, from the signature that begins its docstring."""
    (inside,) = re.findall(r"^[\w.]+\((.*)\)$", function.__doc__.splitlines()[0])
    stated = [argument for argument in inside.split(", ") if argument]
    return [argument.split("=")[0].split()[-1] for argument in stated], sum("=" in argument for argument in stated)


def test_every_compiled_module_has_a_stub():
    stubs = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.pyi")}
    compiled = {path.relative_to(PACKAGE).with_name(path.name.split(".")[0]) for path in PACKAGE.rglob("*.so")}
    # Those of an instruction set, for the driver alone.
    levels = {
        Path("kernels", f"{part}_{level}")
        for part in ("forward", "backward")
        for level in ("baseline", "avx2", "avx512")
    }
    assert compiled - levels == stubs
