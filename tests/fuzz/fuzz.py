"""Coverage-guided fuzzing of one target with atheris: `fuzz.py unpool CORPUS -max_total_time=600`, as in libFuzzer."""

import sys

import alone  # noqa: F401
import atheris
import entry

if __name__ == "__main__":
    target = entry.TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
