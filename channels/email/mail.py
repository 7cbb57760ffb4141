"""A mail as the application sees it: plain values, made by `translate.read`, carried between processes as maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NORMAL, AUTO_REPLY, BOUNCE, NEWSLETTER, LOOP = "", "auto_reply", "bounce", "newsletter", "loop"
KINDS = (NORMAL, AUTO_REPLY, BOUNCE, NEWSLETTER, LOOP)
PASSED = "pass"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the SMTP dialogue said; empty where a mail was fetched."""

    peer: str = ""
    helo: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        return {**asdict(self), "recipients": list(self.recipients)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Envelope:
        return cls(plain["peer"], plain["helo"], plain["sender"], tuple(plain["recipients"]))


@dataclass(frozen=True, slots=True)
class File:
    """An attachment or a picture of the HTML. `inline`: the HTML shows it under `content_id`."""

    name: str
    type: str
    size: int
    sha256: str
    content_id: str = ""
    inline: bool = False
    trouble: str = ""
    """why its content is not kept: too_large, type_refused, malware, archive_bomb; "" where it is"""
    data: bytes = b""

    def to_plain(self) -> dict[str, Any]:
        """Without the content."""
        plain = asdict(self)
        del plain["data"]
        return plain


@dataclass(frozen=True, slots=True)
class Mail:
    message_id: str = ""
    references: tuple[str, ...] = ()
    """In-Reply-To and References, without brackets, the nearest first"""
    sender: str = ""
    """address of From, small letters"""
    sender_name: str = ""
    reply_to: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    subject: str = ""
    date_ms: int = 0
    text: str = ""
    """what is new, without quoted mails"""
    quoted: bool = False
    html: str = ""
    """cleaned; pictures still by `cid:` and at their place in the net"""
    files: tuple[File, ...] = ()
    language: str = "zh"
    kind: str = NORMAL
    bounced: tuple[str, ...] = ()
    """addresses that could not be reached, of a bounce"""
    bounce_for_good: bool = False
    bounced_ids: tuple[str, ...] = ()
    """Message-IDs of what came back"""
    proof: Mapping[str, str] = field(default_factory=dict)
    """spf, dkim, dmarc -> pass, fail, none, …; empty where nothing was asked"""
    defects: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["proof"] = dict(self.proof)
        return plain

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Mail:
        """Of what `to_plain` made, lists for tuples."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        values["files"] = tuple(File(**one) for one in plain["files"])
        return cls(**values)

    @property
    def proved(self) -> bool:
        """The sender's domain stands for it: DMARC passed."""
        return self.proof.get("dmarc") == PASSED
