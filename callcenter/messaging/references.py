"""What ties a mail to what was written before: the reference in the subject, and Message-IDs that only we can make.

Either counts only together with the contact point: who owns a thread is asked of the private store (`MailDesk`)."""

from __future__ import annotations

import re
from collections.abc import Callable

from callcenter.kernel.ids import parse_id

_REFERENCE = re.compile(r"\[#?\s*(\d{1,9})-(\d{1,12})-([0-9A-Fa-f]{6})\s*\]")
_PREFIX = re.compile(r"^(?:\s*(?:re|回复|答复|回覆|aw|fw|fwd|转发)\s*[:：]\s*)+", re.IGNORECASE)
_OWN = re.compile(r"^([am]\d{1,9}-\d{1,12})\.(i\d{1,9}-\d{1,12}|-)\.([0-9a-f]{16})@")
_BOUNCE = re.compile(r"^[a-z0-9]*\+([am]\d{1,9}-\d{1,12})\.(i\d{1,9}-\d{1,12}|-)\.([0-9a-f]{16})@")
Sign = Callable[[str, str], str]
"""(purpose, text) -> hex that nobody else can make"""


class References:
    def __init__(self, sign: Sign) -> None:
        self._sign = sign

    def reference(self, thread: str) -> str:
        """As customers read it: `12-345-9F3A2C`."""
        _kind, epoch, seq = parse_id(thread)
        return f"{epoch}-{seq}-{self._hex('reference', thread)[:6].upper()}"

    def threads_in(self, subject: str) -> list[str]:
        """The threads whose references stand in the subject, in their order; one that we did not give is none."""
        found = []
        for epoch, seq, check in _REFERENCE.findall(subject):
            thread = f"i{epoch}-{seq}"
            if self._hex("reference", thread)[:6] == check.lower():
                found.append(thread)
        return found

    def marked(self, subject: str, thread: str) -> str:
        """The subject with the reference, once, and one Re: before it."""
        plain, before = " ".join(subject.split()), ""
        while plain != before:  # what stood around one may be one itself
            before = plain
            plain = " ".join(_PREFIX.sub("", _REFERENCE.sub("", plain)).split())
        return f"Re: {plain} [#{self.reference(thread)}]".replace("Re:  ", "Re: ")

    def message_id(self, message: str, interaction: str, domain: str) -> str:
        return f"{self._own(message, interaction)}@{domain}"

    def bounce_address(self, message: str, interaction: str, prefix: str, domain: str) -> str:
        return f"{prefix}+{self._own(message, interaction)}@{domain}"

    def own(self, text: str) -> tuple[str, str] | None:
        """(message, interaction) of a Message-ID or bounce address of ours; None for any other, forged ones too."""
        found = _OWN.match(text) or _BOUNCE.match(text.lower())
        if found is None:
            return None
        message, interaction = found[1], found[2] if found[2] != "-" else ""
        if self._hex("message", f"{message}.{interaction}")[:16] != found[3]:
            return None
        return message, interaction

    def _own(self, message: str, interaction: str) -> str:
        return f"{message}.{interaction or '-'}.{self._hex('message', f'{message}.{interaction}')[:16]}"

    def _hex(self, purpose: str, text: str) -> str:
        return self._sign(purpose, text)
