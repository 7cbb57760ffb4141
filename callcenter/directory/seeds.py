"""What a configuration file said of a record, kept so that what is changed by hand afterwards stays."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_of(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]
