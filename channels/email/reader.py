"""`python -m channels.email.reader`: reads mails, one after the other, at a lower priority than calls and with bounded
memory. In: the settings, then `{"raw": …, "envelope": {…}}`. Out: `{"mail": {…}}` or `{"error": …}` for each."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from dataclasses import replace
from typing import Any

from channels.email import frames
from channels.email.mail import Envelope, Mail
from channels.email.proof import Dns, of_trusted_server, prove
from channels.email.translate import Limits, read
from channels.malware import scan

_MOST_MEMORY = 2 << 30


class Reader:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._own, self._mark = frozenset(settings["own"]), settings["mark"]
        self._limits = Limits(settings["file_bytes"])
        self._trusted = tuple(settings["trusted_servers"])
        self._clamd = settings["clamd"]
        self._dns = Dns(tuple(settings["dns"])) if settings["prove"] else None

    def read(self, raw: bytes, envelope: Envelope) -> Mail:
        mail = read(raw, envelope, self._own, self._mark, self._limits)
        files = tuple(
            replace(one, trouble=found, data=b"") if (found := self._scan(one.data)) else one
            for one in mail.files
        )
        return replace(mail, files=files, proof=self._proof(raw, envelope))

    def _scan(self, data: bytes) -> str:
        return scan(data, self._clamd) if data else ""

    def _proof(self, raw: bytes, envelope: Envelope) -> dict[str, str]:
        told = of_trusted_server(raw, self._trusted) if self._trusted else {}
        if told or self._dns is None:
            return told
        self._dns.begin()
        return prove(raw, envelope.peer, envelope.helo, envelope.sender, self._dns.txt)


def main() -> int:
    with contextlib.suppress(OSError):
        os.nice(10)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    settings = frames.read(sys.stdin.buffer)
    if settings is None:
        return 0
    reader = Reader(settings)
    while (job := frames.read(sys.stdin.buffer)) is not None:
        try:
            frames.write(
                sys.stdout.buffer, {"mail": reader.read(job["raw"], Envelope.of(job["envelope"])).to_plain()}
            )
        except Exception as error:  # a mail that upsets the reader is answered for; its bytes are kept
            frames.write(sys.stdout.buffer, {"error": type(error).__name__})
    return 0


if __name__ == "__main__":
    sys.exit(main())
