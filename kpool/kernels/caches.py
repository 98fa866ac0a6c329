"""How large the processor's caches are."""

from __future__ import annotations

from pathlib import Path

# What Linux says of the caches that the first core uses.
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# Bytes assumed where the system does not tell.
UNKNOWN_CACHE = 32 << 20
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def last_level_cache(caches: Path = CACHES) -> int:
    """The bytes of the last-level cache that one core uses.

    Not what sysconf says: some C libraries add up the caches of all of a processor's chips, of which a core uses one.
    A virtual machine may hide the third level; what it does not say is assumed then, and not the size of the second.
    """
    try:
        levels = {
            int((cache / "level").read_text()): (cache / "size").read_text().strip() for cache in caches.glob("index*")
        }
        sizes = [int(size[:-1]) * UNITS[size[-1]] for level, size in levels.items() if level >= 3]
        return max(sizes) or UNKNOWN_CACHE
    except (OSError, LookupError, ValueError):
        return UNKNOWN_CACHE
