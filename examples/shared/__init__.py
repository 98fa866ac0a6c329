"""What the examples share: their command line, the digits, a model, measuring and the style of the pictures.

To be imported before anything else: it keeps TensorFlow quiet, and says what is missing.
"""

import logging
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is imported.
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # It warns of new graphs, as each new model is one.

try:
    import matplotlib  # noqa: F401
    import mlxtend  # noqa: F401
except ImportError as error:
    raise SystemExit(f'The examples also need matplotlib and mlxtend: pip install ".[examples]" ({error}).') from None
