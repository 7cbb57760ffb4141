"""What every section of the settings is made of: strict and frozen, with names, levels, times and addresses."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_LISTEN = re.compile(r"^(?P<host>\[[0-9a-fA-F:]+\]|[^:\s]+):(?P<port>\d{1,5})$")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]+$", max_length=64)]
Level = Annotated[int, Field(ge=1, le=10)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]


def split_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:5060` -> ("127.0.0.1", 5060); brackets of IPv6 are removed. ValueError otherwise."""
    match = _LISTEN.match(text)
    if not match or int(match["port"]) > 65_535:
        raise ValueError("expected host:port with a port from 0 to 65535")
    return match["host"].strip("[]"), int(match["port"])


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
