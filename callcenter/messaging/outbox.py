"""The outbox: letters go out, one attempt later than the other, until they are taken or somebody has to look.

A letter keeps its Message-ID over all attempts, so a relay or reader that got it twice knows it as the same. What the
relay took before the core could write it down is sent once more, under the same id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.live.host import Host
from callcenter.messaging import templates as words
from callcenter.messaging.files import Files
from callcenter.messaging.letters import DEAD, WAITING, Letter
from callcenter.messaging.references import References
from callcenter.messaging.templates import Templates
from channels.email import compose
from channels.email.relay import LATER, SENT, Result

_LONGEST = 20_000
LETTER_GONE = "letter_gone"


class Outbox:
    def __init__(
        self,
        host: Host,
        references: References,
        templates: Templates,
        files: Files,
        name: str,
        bounces: str,
        mark: str,
        retry_s: Sequence[int],
        when: Callable[[int], str],
    ) -> None:
        """`name`: as From calls us; `bounces`: prefix of the address that bounces go to; `mark`: our X-Loop; `when`: a
        moment as people read it."""
        self._host, self._references, self._templates, self._files = host, references, templates, files
        self._name, self._bounces, self._mark, self._retry_s = name, bounces, mark, tuple(retry_s)
        self._when = when
        self._letters = host.book.letters
        self._out: set[str] = set()
        """being sent"""
        self._unsafe: Counter[str] = Counter()
        """written or mended, and not committed"""
        self.changed: Callable[[], None] = lambda: None
        """called when there may be something to send"""
        self.counts: Counter[str] = Counter()
        host.listeners.append(self._heard)

    def due(self) -> Iterator[Letter]:
        """What is to be tried now, oldest first; each is out until `tried`."""
        now_ms = self._now()
        for letter in list(self._letters.outbox.values()):
            if letter.next_at_ms <= now_ms and self._may_go(letter):
                self._out.add(letter.message)
                yield letter

    def next_ms(self) -> int | None:
        """When the next letter is due; None where none waits."""
        waiting = [letter.next_at_ms for letter in self._letters.outbox.values() if self._may_go(letter)]
        return min(waiting, default=None)

    def _may_go(self, letter: Letter) -> bool:
        return (
            letter.state == WAITING and letter.message not in self._out and not self._unsafe[letter.message]
        )

    def mail(self, letter: Letter) -> compose.Letter | None:
        """As it goes out; None where what it says was erased."""
        private = self._host.private
        head = _map(private.get(letter.head_ref))
        text = private.get(letter.ref)
        if not head:
            return None
        domain = str(head["from"]).partition("@")[2]
        parts = [text, str(head.get("signature", "")), self._quote(head)]
        files = [
            compose.Enclosure(one.name, one.type, data)
            for one in self._files.listed(letter.files_ref)
            if (data := self._files.content(one.ref)) is not None
        ]
        own = letter.message, letter.interaction
        return compose.Letter(
            message_id=self._references.message_id(*own, domain),
            sender=str(head["from"]),
            sender_name=self._name,
            to=tuple(head["to"]),
            cc=tuple(head.get("cc", ())),
            subject=str(head["subject"]),
            text="\n\n".join(part for part in parts if part),
            at_ms=letter.written_at_ms,
            in_reply_to=str(head.get("in_reply_to", "")),
            references=tuple(head.get("references", ())),
            automatic=bool(head.get("automatic", False)),
            mark=self._mark,
            bounces_to=self._references.bounce_address(*own, self._bounces, domain) if self._bounces else "",
            files=tuple(files),
        )

    def tried(self, letter: Letter, result: Result) -> None:
        """What the relay said. One that no attempt is left for waits for somebody to look; one that did not reach all
        it was written to is shown as having come back."""
        self._out.discard(letter.message)
        if letter.message not in self._letters.outbox:
            return
        attempt, now_ms = letter.attempt + 1, self._now()
        state, next_at_ms = result.state, 0
        if state == LATER and attempt <= len(self._retry_s):
            next_at_ms = now_ms + self._retry_s[attempt - 1] * 1000
        elif state != SENT:
            state = DEAD
        self.counts[state] += 1
        tried = f.LetterTried(
            letter.message, letter.interaction, attempt, state, result.reason, next_at_ms, now_ms
        )
        missed = [f.LetterBounced(letter.message, letter.interaction, True, now_ms)] if result.missed else []
        self._host.submit(tried, *missed)

    def resend(self, by: str, message: str, to: Sequence[str], subject: str, text: str) -> None:
        """Mended by a person, tried from the first attempt on.

        Raises NotAllowed: letter_gone, bad_address, empty, too_long."""
        letter = self._dead(message)
        plain = [address.strip().lower() for address in to if address.strip()]
        if not plain or not all(compose.is_address(address) for address in plain):
            raise NotAllowed("bad_address")
        if not text.strip():
            raise NotAllowed("empty")
        if len(text) > _LONGEST:
            raise NotAllowed("too_long")
        private, at_ms = self._host.private, self._now()
        head, person = _map(private.get(letter.head_ref)), private.owner(letter.ref)
        if not head:
            raise NotAllowed(LETTER_GONE)
        head |= {"to": plain, "subject": compose.one_line(subject)[:300]}
        suffix = f"{message}.{at_ms}"
        ref = private.put(person, suffix, text.strip())
        head_ref = private.put(person, f"{suffix}.head", json.dumps(head, ensure_ascii=False))
        self._host.submit(
            f.LetterChanged(message, letter.interaction, ref, head_ref, by, at_ms),
            f.ActionTaken(by, "letter_resent", message, "", at_ms),
        )

    def drop(self, by: str, message: str) -> None:
        """Raises NotAllowed: letter_gone."""
        letter, at_ms = self._dead(message), self._now()
        self._host.submit(
            f.LetterDropped(message, letter.interaction, by, at_ms),
            f.ActionTaken(by, "letter_dropped", message, "", at_ms),
        )

    def shown(self, letter: Letter) -> dict[str, Any]:
        """As a supervisor sees it."""
        private = self._host.private
        head = _map(private.get(letter.head_ref))
        return {
            "message": letter.message,
            "interaction": letter.interaction,
            "state": letter.state,
            "attempt": letter.attempt,
            "reason": letter.reason,
            "written_at_ms": letter.written_at_ms,
            "next_at_ms": letter.next_at_ms,
            "to": list(head.get("to", ())),
            "subject": str(head.get("subject", "")),
            "text": private.get(letter.ref),
            "automatic": bool(head.get("automatic", False)),
        }

    def _dead(self, message: str) -> Letter:
        letter = self._letters.outbox.get(message)
        if letter is None or letter.state != DEAD:
            raise NotAllowed(LETTER_GONE)
        return letter

    def _quote(self, head: dict[str, Any]) -> str:
        quoted = str(head.get("quote", ""))
        if not quoted:
            return ""
        private = self._host.private
        told, text = _map(private.get(f"{quoted}.head")), private.get(quoted)
        if not text:
            return ""
        at_ms = int(head.get("quoted_at_ms", 0))
        who = str(told.get("from", ""))
        introduction = self._templates.render(
            words.INTRODUCTION,
            str(head.get("language", "zh")),
            who=who,
            when=self._when(at_ms) if at_ms else "",
        )
        return compose.quoted(text[:_LONGEST], introduction)

    def _heard(self, facts: Sequence[Any], _commands: Sequence[Any]) -> None:
        written = [fact.message for fact in facts if isinstance(fact, f.LetterWritten | f.LetterChanged)]
        if written:
            self._unsafe.update(written)

            def safe() -> None:
                self._unsafe -= Counter(written)
                self.changed()

            self._host.submit(after_commit=safe)

    def _now(self) -> int:
        return self._host.clock.now_ms()


def _map(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text) if text else {}
    return found
