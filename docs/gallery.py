"""The gallery: a page made from the docstrings of the examples and the pictures they drew."""

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"

HEAD = """# Gallery

Each example is one file that answers one question. It runs in under two minutes on two cores, without a network, prints
its figures and draws one picture:

    pip install ".[examples]" && python examples/mnist.py

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page and its pictures."""
    examples = sorted(path for path in (ROOT / "examples").glob("*.py") if not path.name.startswith("_"))
    files.append(File.generated(config, "gallery.md", content=HEAD + "\n".join(map(entry, examples))))
    for picture in PICTURES.glob("*.png"):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    return files


def entry(example: Path) -> str:
    """What an example says of itself, beside what it drew."""
    said = ast.get_docstring(ast.parse(example.read_text()))
    if not said:
        raise PluginError(f"{example} does not say what it shows.")
    title, _, rest = said.partition("\n")
    name = example.stem
    if not (PICTURES / f"{name}.png").exists():
        raise PluginError(f"{example} has no picture in {PICTURES}: run it, and copy what it drew.")
    return f"## {title.rstrip('.')}\n\n`examples/{name}.py`\n\n{rest.strip()}\n\n![{title}](pictures/{name}.png)\n"
