"""The ports through which media and application meet. A channel implements or calls these and knows
nothing of what stands behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from channels.email.compose import Letter
from channels.email.mail import Envelope, Mail
from channels.email.relay import Result


class WrittenIntake(Protocol):
    """What a written medium that goes on live (chat) may ask of the application. All on the core's loop; refusals are
    NotAllowed with a code."""

    def begin(
        self, medium: str, number: str, flow: str, language: str, party: str = "", verified: str = ""
    ) -> str:
        """A conversation begins; answers its id. `party`: the contact point that the customer is known by; `verified`:
        how it became certain."""
        ...

    def receive(
        self, interaction: str, client: str, text: str, committed: Callable[[int], None] = lambda _n: None
    ) -> None:
        """The customer wrote; `committed` hears the message's place once it is safe. The same `client` again is the
        same message. Raises conversation_over, empty, too_long."""
        ...

    def customer_read(self, interaction: str, n: int) -> None: ...

    def typing(self, interaction: str, by: str = "") -> None: ...

    def leave(self, interaction: str) -> None: ...

    def watch(self, interaction: str, changed: Callable[[str], None]) -> Callable[[], None]:
        """The customer reads from now on, and is told of changes; answers what to call when that is over."""
        ...

    def thread(self, interaction: str, after: int) -> list[dict[str, Any]]:
        """Messages behind this place: n, by (customer, agent, flow), name, text, at_ms, choices (words to answer
        with)."""
        ...

    def standing(self, interaction: str) -> dict[str, Any]:
        """state (flow, waiting, talking, over), position and read (how far the agent has read), agent, typing."""
        ...


class WrittenExtras(Protocol):
    """What a visitor may do beside writing. Refusals are NotAllowed with a code."""

    @property
    def most_file_bytes(self) -> int: ...

    async def receive_file(self, interaction: str, client: str, name: str, data: bytes) -> int:
        """A file of the customer; answers the message's place once it is safe. Raises conversation_over, not_safe, and
        why it is not taken: empty, too_large, type_refused, archive_bomb, malware, unscanned."""
        ...

    def file(self, interaction: str, n: int, number: int) -> tuple[str, str, bytes]:
        """(type, name, content) of a file of the `n`th message. Raises no_such_file."""
        ...

    def rate(self, interaction: str, stars: int) -> None:
        """1 (bad) to 5, also after the end; the last one counts. Raises invalid."""
        ...

    async def transcript(self, interaction: str, to: str) -> None:
        """All that was written, by mail. Raises no_mail, bad_address, conversation_over."""
        ...


class MailIntake(Protocol):
    """What the e-mail channel hands over."""

    def take(self, raw: bytes, envelope: Envelope, kept: Callable[[str], None]) -> None:
        """A mail came; `kept` hears its id once it is safe. The same mail again (Message-ID, envelope, content) is the
        same mail."""
        ...


class MailCarrier(Protocol):
    """What the application may ask of the e-mail channel."""

    async def read(self, raw: bytes, envelope: Envelope) -> Mail:
        """Raises Unreadable (a ValueError)."""
        ...

    async def send(self, letter: Letter) -> Result:
        """Once; `later` may be tried again, `refused` not."""
        ...


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
