"""Python's cyclic collector in processes that live for months and make much that dies young."""

from __future__ import annotations

import gc


def spare_the_collector() -> None:
    """What was loaded at the start stays for ever; the young are many and die by reference counts."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 50)
