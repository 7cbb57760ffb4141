"""Settings of the written channels: web chat and e-mail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from jinja2 import Environment, TemplateSyntaxError
from pydantic import Field, field_validator, model_validator

from config.sections import Name, Section, split_address


class CannedAnswer(Section):
    """What agents write often. `{customer}` and `{agent}` stand for their names."""

    title: Annotated[str, Field(min_length=1, max_length=60)]
    zh: Annotated[str, Field(min_length=1, max_length=2_000)]
    en: Annotated[str, Field(min_length=1, max_length=2_000)]

    @field_validator("zh", "en")
    @classmethod
    def _placeholders(cls, text: str) -> str:
        strange = [name for name in re.findall(r"\{([^{}]*)\}", text) if name not in ("customer", "agent")]
        if strange:
            raise ValueError(f"{{{strange[0]}}}: expected {{customer}} or {{agent}}")
        return text


class Chat(Section):
    """Web chat."""

    flow: str = ""
    """what visitors meet first; empty: there is no chat"""
    origins: tuple[str, ...] = ()
    """sites that may embed the widget, as `https://www.example.com`"""
    per_agent: Annotated[int, Field(ge=1, le=20)] = 3
    """conversations at the same time"""
    target_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    """within which a person is to be there"""
    rate: Annotated[str, Field(pattern=r"^[0-9]{1,5}/(second|minute|hour)$")] = "6/minute"
    """new conversations of an address"""
    idle_s: Annotated[int, Field(ge=10, le=86_400)] = 900
    """a visitor who does not go on with the flow has left after so long"""
    gone_s: Annotated[int, Field(ge=5, le=86_400)] = 180
    """one who waits and has closed the page, after so long"""
    answers: tuple[CannedAnswer, ...] = ()
    """that agents may pick, in the language of the conversation"""
    identity_key_file: Path | None = None
    """verifies the signed identities (JWT, `aud` web-chat) of visitors: a shared secret for HS256, else a public key"""
    identity_algorithm: Literal["HS256", "RS256", "ES256"] = "HS256"

    @field_validator("origins")
    @classmethod
    def _plain(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[a-z0-9.\-\[\]:]+", origin):
                raise ValueError(
                    f"{origin!r}: expected a scheme and a host in small letters, as https://www.example.com"
                )
        return origins


Address = Annotated[str, Field(pattern=r"^[a-z0-9._%+\-]{1,64}@[a-z0-9.\-]{1,253}$")]
"""of mail, in small letters"""


class MailboxSettings(Section):
    """An existing mailbox that is fetched by IMAP."""

    address: str
    """host:port"""
    user: str
    secret_file: Path
    """the password, or for xoauth2 the access token, which another program keeps fresh; read at every log-in"""
    login: Literal["password", "xoauth2"] = "password"
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    ca_file: Path | None = None
    folder: str = "INBOX"
    done_folder: str = ""
    """where mails go once they are safe; empty: they stay, marked as seen"""
    every_s: Annotated[float, Field(ge=0.1, le=3600)] = 20

    @field_validator("address")
    @classmethod
    def _host(cls, text: str) -> str:
        split_address(text)
        return text


class RelaySettings(Section):
    """The server that takes our mails."""

    address: str = ""
    """host:port; empty: nothing is sent, letters wait"""
    tls: Literal["implicit", "starttls", "none"] = "starttls"
    ca_file: Path | None = None
    user: str = ""
    password_file: Path | None = None

    @field_validator("address")
    @classmethod
    def _host(cls, text: str) -> str:
        if text:
            split_address(text)
        return text


class MailRule(Section):
    """Mails for which all that is named here holds go to this queue."""

    queue: Name
    recipient: str = ""
    language: Literal["", "zh", "en"] = ""
    words: tuple[str, ...] = ()
    """one of them in subject or text, without regard to capitals"""
    klass: str = ""
    """the customer's class"""


class MailTemplate(Section):
    """Words by language; Jinja2, with `customer`, `agent`, `reference`, `queue`, `text`."""

    zh: Annotated[str, Field(min_length=1, max_length=8_000)]
    en: Annotated[str, Field(min_length=1, max_length=8_000)]

    @field_validator("zh", "en")
    @classmethod
    def _reads(cls, text: str) -> str:
        try:
            Environment(autoescape=False).parse(text)  # noqa: S701 - plain text
        except TemplateSyntaxError as error:
            raise ValueError(f"a template: {error.message}") from error
        return text


class CannedMail(MailTemplate):
    """What agents pick as the beginning of an answer."""

    title: Annotated[str, Field(min_length=1, max_length=60)]


class Email(Section):
    """E-mail."""

    addresses: tuple[Address, ...] = ()
    """ours; the first is where what we begin is from. None: there is no e-mail"""
    name: Annotated[str, Field(max_length=80)] = "客户服务"
    """as our mails are signed in From"""
    listen: str = ""
    """host:port of our own SMTP listener; empty: none"""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    require_tls: bool = False
    most_mb: Annotated[int, Field(ge=1, le=100)] = 25
    """a larger mail is refused (552)"""
    most_file_mb: Annotated[int, Field(ge=1, le=100)] = 10
    """an attachment larger than this is named, not kept"""
    rate: Annotated[str, Field(pattern=r"^[0-9]{1,6}/(second|minute|hour)$")] = "300/minute"
    """mails of one address of the network"""
    bounces: Annotated[str, Field(pattern=r"^[a-z0-9]{0,20}$")] = "bounces"
    """what comes back goes to bounces+<id>@<our domain>; empty: to the sender's address itself"""
    readers: Annotated[int, Field(ge=1, le=16)] = 1
    """processes that read mails"""
    prove: bool = True
    """ask SPF, DKIM and DMARC"""
    trusted_servers: tuple[str, ...] = ()
    """servers in front of us whose Authentication-Results count"""
    dns: tuple[str, ...] = ()
    """host or host:port; none: the machine's"""
    clamd: str = ""
    """socket or host:port of the malware scanner; empty: none"""
    default_queue: str = ""
    """where mails go that no rule names; empty: the first queue"""
    rules: tuple[MailRule, ...] = ()
    """the first that fits counts"""
    per_agent: Annotated[int, Field(ge=1, le=20)] = 2
    """at the same time"""
    target_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 14_400
    """within which somebody is to see to it"""
    acknowledge: bool = True
    acknowledged: MailTemplate | None = None
    """the words that say a mail came; none: ours"""
    acknowledged_closed: MailTemplate | None = None
    """the same out of hours"""
    signature: MailTemplate | None = None
    """under what agents write"""
    answers: tuple[CannedMail, ...] = ()
    relay: RelaySettings = RelaySettings()
    retry_s: Annotated[tuple[int, ...], Field(min_length=1, max_length=40)] = (
        30,
        120,
        600,
        1_800,
        3_600,
        7_200,
        14_400,
        28_800,
    )
    """after these times a letter that the relay did not take is tried again; then somebody has to look"""
    mailboxes: tuple[MailboxSettings, ...] = ()

    @property
    def own(self) -> frozenset[str]:
        return frozenset(self.addresses)

    @property
    def on(self) -> bool:
        return bool(self.addresses)

    @model_validator(mode="after")
    def _fits(self) -> Email:
        if self.listen:
            split_address(self.listen)
        if (self.listen or self.mailboxes) and not self.addresses:
            raise ValueError("addresses: expected ours, where mail is taken in")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_key: expected beside tls_cert")
        if self.require_tls and not self.tls_cert:
            raise ValueError("require_tls: expected tls_cert beside it")
        return self
