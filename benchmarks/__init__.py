"""kpool, its peers and a plain copy side by side: `python -m benchmarks` from the repository's root."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is imported.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

_ROOT = Path(__file__).parents[1]
# `python -m` looks here first. Where kpool is only source, the installed one is meant.
if sys.path[0] == str(_ROOT) and not any((_ROOT / "kpool" / "kernels").glob("geometry.*.so")):
    sys.path.append(sys.path.pop(0))
