"""What a run ran on: the processor and its caches, versions, threads, instruction set."""

from __future__ import annotations

import contextlib
import io
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROCESSORS = Path("/proc/cpuinfo")
# Whether Linux backs memory by huge pages: always, where a program asks for it, or never.
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def last_level_cache() -> int:
    """The bytes that kpool, too, goes by."""
    # Imported late, as all of kpool: every process that a run starts reads this file, one without TensorFlow too.
    from kpool.kernels import caches

    return caches.last_level_cache()


def processor() -> str:
    """The processor's name."""
    lines = PROCESSORS.read_text().splitlines() if PROCESSORS.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def huge_pages() -> str:
    """The setting in force, which Linux shows in brackets among the others."""
    return HUGE_PAGES.read_text().partition("[")[2].partition("]")[0] if HUGE_PAGES.exists() else "unknown"


def facts(threads: int) -> dict[str, str]:
    """Everything that the figures depend on."""
    import kpool

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        kpool.show_config()
    try:
        pytorch = version("torch")
    except PackageNotFoundError:
        pytorch = "not installed"
    return {
        "processor": f"{processor()}, {cores()} cores, last-level cache of {last_level_cache() >> 20} MiB",
        "system": f"{platform.platform()}, load average {os.getloadavg()[0]:.1f} before the run",
        "kpool.show_config()": "; ".join(shown.getvalue().splitlines()),
        "huge pages": huge_pages(),
        "PyTorch": pytorch,
        "threads": f"{threads} for each of kpool, TensorFlow, PyTorch and the copy",
        "times": "of one operation; kpool and TensorFlow do many in one graph unless it says eager, PyTorch in a loop",
        "copy": "np.copyto of half the bytes that the operation reads and writes, between buffers allocated before",
    }
