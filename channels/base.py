"""The ports through which media and application meet. A channel implements or calls these and knows
nothing of what stands behind them."""

from __future__ import annotations

from typing import Any, Protocol


class VoiceEvents(Protocol):
    """What the voice channel tells the application. All on the core's loop."""

    def worker_taken(self, boot: str, welcome: dict[str, Any]) -> None:
        """A worker greeted us: its unacknowledged facts (oldest first) and its inventory of legs."""
        ...

    def worker_fact(self, boot: str, fact: dict[str, Any]) -> None: ...

    def worker_lost(self, boot: str) -> None:
        """The process behind this boot id is gone, and every leg with it."""
        ...

    def superseded(self, epoch: int) -> None:
        """A newer core reigns; this one has to stop."""
        ...


class VoiceCommands(Protocol):
    """What the application may ask of the voice channel."""

    def command(self, boot: str, op: str, leg: str, **fields: Any) -> None: ...

    def address(self, boot: str) -> str:
        """host:port where this worker takes SIP from other workers; "" where it is gone."""
        ...

    def roomiest(self, legs: int) -> str:
        """The boot id of the worker with the most free legs; "" where none has this many."""
        ...

    def acknowledge(self, boot: str, n: int) -> None:
        """Facts of this worker up to `n` are committed."""
        ...
