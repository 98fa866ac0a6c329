"""Imported first, lets the kernels be imported without the package above them, which brings TensorFlow."""

import sys
import types
from importlib.util import find_spec

spec = find_spec("kpool")
assert spec is not None
package = types.ModuleType("kpool")
package.__path__ = list(spec.submodule_search_locations or ())
sys.modules["kpool"] = package
