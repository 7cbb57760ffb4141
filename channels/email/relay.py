"""Sends mails through the insurer's relay, a connection for each (letters are few; relays come and go)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib

SENT, LATER, REFUSED = "sent", "later", "refused"
_PATIENCE_S = 30.0
_FOR_GOOD = 500


@dataclass(frozen=True, slots=True)
class Result:
    state: str
    reason: str = ""
    """`421 4.7.0 …` of the relay, or a word of ours: unreachable, login, no_relay, bad_address, erased"""
    missed: tuple[str, ...] = ()
    """of several recipients those that it refused, where it took the mail for others"""


class Relay:
    def __init__(
        self,
        host: str,
        port: int,
        tls: str,
        user: str,
        password_file: Path | None,
        ca_file: Path | None = None,
    ) -> None:
        """`tls`: none, starttls or implicit."""
        self._host, self._port, self._tls = host, port, tls
        self._user, self._password_file = user, password_file
        self._context = (
            ssl.create_default_context(cafile=str(ca_file) if ca_file else None) if tls != "none" else None
        )

    async def send(self, sender: str, recipients: list[str], raw: bytes) -> Result:
        """One mail to all of these. A relay that refuses us before it has heard of the mail may take it later."""
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._tls == "implicit",
            start_tls=self._tls == "starttls",
            tls_context=self._context,
            timeout=_PATIENCE_S,
            username=self._user or None,
            password=self._password() if self._user else None,
        )
        try:
            async with client:
                refused, _said = await client.sendmail(sender, recipients, raw)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _worst(
                [one.code for one in error.recipients],
                error.recipients[0].message if error.recipients else "",
            )
        except aiosmtplib.SMTPAuthenticationError as error:
            return Result(LATER, f"login: {error.code}")
        except (aiosmtplib.SMTPConnectResponseError, aiosmtplib.SMTPHeloError) as error:
            return Result(LATER, f"{error.code} {_short(error.message)}")
        except aiosmtplib.SMTPResponseException as error:
            state = REFUSED if error.code >= _FOR_GOOD else LATER
            return Result(state, f"{error.code} {_short(error.message)}")
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            return Result(LATER, f"unreachable: {type(error).__name__}")
        if refused:
            code, said = next(iter(refused.values()))
            return Result(SENT, f"{code} {_short(said)}", tuple(refused))
        return Result(SENT)

    def _password(self) -> str:
        return self._password_file.read_text(encoding="utf-8").strip() if self._password_file else ""


def _worst(codes: list[int], said: str) -> Result:
    """All were refused: for good only where every one of them was."""
    lasting = codes and all(code >= _FOR_GOOD for code in codes)
    return Result(REFUSED if lasting else LATER, f"{codes[0] if codes else 0} {_short(said)}")


def _short(text: str) -> str:
    """Without addresses: what a relay says goes into logs and records."""
    words = [word if "@" not in word else "…" for word in text.split()]
    return " ".join(words)[:120]
