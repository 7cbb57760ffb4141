"""Which pjsua2 this process uses: the stock wheel, or the dense build that `make dense` installs
beside it in `<venv>/dense`. Chosen before the first import; `CALLCENTER_DENSE_DIR` names another
place."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

DENSE_ENV = "CALLCENTER_DENSE_DIR"
STOCK, DENSE = "stock", "dense"
MAX_MESSAGE = {STOCK: 4000, DENSE: 8000}
"""bytes of the largest SIP message that each build reads (PJSIP_MAX_PKT_LEN)"""


class LibraryMissing(RuntimeError):
    """The library that was asked for is not installed."""


def dense_dir() -> Path:
    return Path(os.environ.get(DENSE_ENV) or Path(sys.prefix) / "dense")


def dense_installed() -> bool:
    return (dense_dir() / "pjsua2" / "__init__.py").is_file()


def load(wanted: str) -> tuple[ModuleType, str]:
    """`wanted` is auto, stock or dense. Answers the module and which of the two it is."""
    kind = DENSE if wanted == DENSE or (wanted == "auto" and dense_installed()) else STOCK
    if kind == DENSE:
        if not dense_installed():
            raise LibraryMissing(f"no dense pjsua2 in {dense_dir()}; build it with: make dense")
        sys.path.insert(0, str(dense_dir()))
    import pjsua2

    return pjsua2, kind


def legs(pj: ModuleType) -> int:
    """How many call legs the library was compiled for: what a fresh configuration says."""
    return int(pj.UaConfig().maxCalls)
