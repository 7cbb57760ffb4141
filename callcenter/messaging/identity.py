"""Who it is becomes certain in writing: a code is sent to an address that the records know, and written back.

The code lies sealed under the customer's own address, so that it goes with them and outlives a core; a handful of wrong
ones end it."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.live.host import Host
from callcenter.messaging.conversations import MERGED, TALKING, Conversation
from callcenter.messaging.desk import WrittenDesk
from callcenter.messaging.mail_desk import MailDesk
from callcenter.messaging.templates import CODE

_GOOD_MS = 600_000
_MOST_TRIES = 5
_DIGITS = 6
_CODE = re.compile(rf"(?<!\d)(\d{{{_DIGITS}}})(?!\d)")


class Identity:
    def __init__(self, host: Host, desk: WrittenDesk, mail: MailDesk | None) -> None:
        """`mail`: None where no mail goes out; then no code is sent."""
        self._host, self._desk, self._mail = host, desk, mail
        self._book = host.book.written
        self._wrong: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        host.listeners.append(self._heard)

    def send_code(self, agent: str, interaction: str, customer: int, address: str) -> None:
        """To an address of this customer's record. Raises NotAllowed: not_yours, no_mail, no_address."""
        conversation = self._book.open.get(interaction)
        if conversation is None or conversation.agent != agent or conversation.state != TALKING:
            raise NotAllowed("not_yours")
        if self._mail is None:
            raise NotAllowed("no_mail")
        if not address:
            raise NotAllowed("no_address")
        code = "".join(secrets.choice("0123456789") for _ in range(_DIGITS))
        now_ms, private = self._host.clock.now_ms(), self._host.private
        kept = {"code": code, "customer": customer, "until_ms": now_ms + _GOOD_MS}
        private.put(private.person_of(address), _ref(interaction), json.dumps(kept))
        self._wrong.pop(interaction, None)
        self._mail.write(address, CODE, conversation.language, interaction, code=code)
        self._host.submit(f.ActionTaken(agent, "code_sent", interaction, str(customer), now_ms))
        self.counts["sent"] += 1

    def _heard(self, facts: Sequence[Any], _commands: Sequence[Any]) -> None:
        for fact in facts:
            if isinstance(fact, f.MessageReceived) and not fact.kind:
                conversation = self._book.open.get(fact.interaction)
                if conversation is not None and conversation.state != MERGED:
                    self._compare(conversation, self._desk.text(fact.ref))

    def _compare(self, conversation: Conversation, said: str) -> None:
        found = _CODE.findall(said)
        text = self._host.private.get(_ref(conversation.id)) if found else ""
        if not text:
            return
        kept, now_ms = json.loads(text), self._host.clock.now_ms()
        if now_ms > kept["until_ms"] or self._wrong[conversation.id] >= _MOST_TRIES or not kept["code"]:
            self.counts["late"] += 1
            return
        if not any(hmac.compare_digest(one, kept["code"]) for one in found):
            self._wrong[conversation.id] += 1
            self.counts["wrong"] += 1
            return
        private = self._host.private
        private.put(
            private.owner(_ref(conversation.id)), _ref(conversation.id), json.dumps({**kept, "code": ""})
        )
        self.counts["matched"] += 1
        self._host.submit(
            f.CallerVerified(conversation.id, "code", now_ms),
            f.CustomerLinked(conversation.id, kept["customer"], "code", "", now_ms),
        )


def _ref(interaction: str) -> str:
    return f"{interaction}.code"
