"""Mail served: what comes becomes conversations, what agents answer becomes letters.

A mail belongs to a thread where it names it (reference in the subject, or an id of a mail of the thread) **and** comes
from the contact point that the thread is with; either alone begins a new one. Everything that a mail brings about is
one activation, so it happens once, however often the core dies over it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol

from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.ids import IdFactory
from callcenter.live import facts as f
from callcenter.live.host import AnyFact, Host
from callcenter.messaging import templates as words
from callcenter.messaging.conversations import EMAIL, FLOW, PARKED, Conversation
from callcenter.messaging.desk import WrittenDesk, line
from callcenter.messaging.files import Files, Kept
from callcenter.messaging.mail_rules import Rule, queue_of
from callcenter.messaging.references import References
from callcenter.messaging.templates import Templates
from channels.email import mail as m
from channels.email.compose import is_address, one_line
from channels.email.heads import sender_of
from channels.email.mail import Envelope, Mail
from routing import facts as rf

log = logging.get("mail")
UNREADABLE = "unreadable"
_MOST_COPIES = 20
_MOST_ACKS, _ACKS_MS = 5, 3_600_000
"""of one contact point in this time: more of them are two machines talking"""
_MOST_REMEMBERED, _MOST_AHEAD = 10_000, 5
_BUSY_WINDOW_MS, _BUSY_PER_S = 250, 150
Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MailRules:
    own: tuple[str, ...]
    default_queue: Callable[[], str]
    rules: Sequence[Rule] = ()
    acknowledge: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """The customer whose address it is, where one alone has it."""

    customer: int
    name: str = ""
    klass: str = ""
    last_agent: str = ""


class Hours(Protocol):
    def open_now(self) -> bool: ...


class MailDesk:
    def __init__(
        self,
        host: Host,
        ids: IdFactory,
        desk: WrittenDesk,
        references: References,
        templates: Templates,
        files: Files,
        hours: Hours,
        name_of: Callable[[str], str],
        index: Callable[[str, str], str],
        rules: MailRules,
    ) -> None:
        """`index`: (purpose, text) -> keyed hash."""
        self._host, self._ids, self._desk, self._references = host, ids, desk, references
        self.templates, self._files, self._hours = templates, files, hours
        self._name_of, self._index, self._rules = name_of, index, rules
        self._book, self._letters = host.book.written, host.book.letters
        self._acks: OrderedDict[str, list[int]] = OrderedDict()
        self._rate, self._busy = (0, 0), False
        self.arrived: Callable[[], None] = lambda: None
        """called when there is mail to read"""
        self.counts: Counter[str] = Counter()

    # --- what comes --------------------------------------------------------------------------------

    def take(self, raw: bytes, envelope: Envelope, kept: Callable[[str], None]) -> None:
        """As the port says. Message-ID, envelope and content make it the same mail; what servers write above it on the
        way does not."""
        sender, message_id = sender_of(raw)
        content = raw if not message_id else re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[-1]
        recipients = ",".join(sorted(envelope.recipients))
        same = "|".join((message_id, sender, envelope.sender, recipients, sha256(content).hexdigest()))
        name, private = f"e{self._index('mail', same)[:26]}", self._host.private
        if private.has(name):
            self.counts["again"] += 1
            self._host.submit(after_commit=lambda: kept(name))
            return
        person = private.person_of(sender or envelope.sender or name)
        private.put_bytes(person, name, raw)
        private.put(
            person,
            f"{name}.envelope",
            json.dumps(envelope.to_plain()),
        )
        self.counts["taken"] += 1

        def safe() -> None:
            kept(name)
            self.arrived()

        self._host.submit(f.MailTaken(name, len(raw), self._now()), after_commit=safe)

    def busy(self) -> bool:
        """Does very much mail come in just now?"""
        now_ms, taken = self._now(), self.counts["taken"]
        since_ms, then = self._rate
        if now_ms - since_ms > _BUSY_WINDOW_MS:
            self._rate = (now_ms, taken)
            self._busy = (taken - then) * 1000 > _BUSY_PER_S * (now_ms - since_ms)
        return self._busy

    def raw(self, name: str) -> tuple[bytes, Envelope]:
        """A mail as it came; b"" where it was erased meanwhile."""
        text = self._host.private.get(f"{name}.envelope")
        return self._host.private.get_bytes(name) or b"", Envelope.of(
            json.loads(text)
        ) if text else Envelope()

    def settle(self, name: str, mail: Mail | None, known: Known | None) -> None:
        """The mail was read; None where that could not be done: then somebody looks at it as it came."""
        if name not in self._letters.unread:
            return
        raw, envelope = self.raw(name)
        if not raw:
            self._host.submit(f.MailRead(name, "erased", "", self._now()))
            return
        if mail is None:
            sender, message_id = sender_of(raw)
            mail = Mail(message_id, sender=sender or envelope.sender, defects=(UNREADABLE,))
            self.counts[UNREADABLE] += 1
        if name in self._letters.released:
            mail = replace(mail, kind=m.NORMAL)
        self.counts[mail.kind or "words"] += 1
        for defect in mail.defects:
            self.counts[f"defect_{defect.partition(':')[0]}"] += 1
        if mail.kind == m.BOUNCE:
            self._bounced(name, mail, envelope)
        elif mail.kind != m.NORMAL:
            self._from_a_machine(name, mail)
        else:
            self._words(name, mail, envelope, known)

    def _from_a_machine(self, name: str, mail: Mail) -> None:
        """Kept out of queues; an automatic answer is shown where somebody is talking anyway."""
        conversation = self._book.of_thread(self._thread_of(mail)) if mail.kind == m.AUTO_REPLY else None
        if conversation is None:
            head = self._keep(name, mail, f"{name}.head", self._head(name, mail))
            self._host.submit(f.MailRead(name, mail.kind, "", self._now(), head))
            return
        message, facts = self._received(name, mail, conversation.id)
        self._submit(conversation, message, *facts)

    def _bounced(self, name: str, mail: Mail, envelope: Envelope) -> None:
        """What came back belongs to the letter that it was; only an id that we made says which."""
        own = [
            self._references.own(one) for one in (*envelope.recipients, *mail.bounced_ids, *mail.references)
        ]
        found = next((one for one in own if one is not None), None)
        at_ms = self._now()
        if found is None:
            head = self._keep(name, mail, f"{name}.head", self._head(name, mail))
            self._host.submit(f.MailRead(name, mail.kind, "", at_ms, head))
            return
        message, interaction = found
        lost: list[AnyFact] = [f.LetterBounced(message, interaction, mail.bounce_for_good, at_ms)]
        if mail.bounced and not mail.bounce_for_good:
            lost = []  # it is late; whoever carries it goes on
        automatic = message.startswith("a")
        person = self._host.private.owner(message)
        if person:  # it says what the letter said
            self._host.private.put_bytes(person, name, self.raw(name)[0])
        conversation = self._book.of_thread(self._thread_named(interaction)) if interaction else None
        if automatic or not interaction:
            head = self._keep(name, mail, f"{name}.head", self._head(name, mail), person)
            self._host.submit(*lost, f.MailRead(name, mail.kind, interaction, at_ms, head))
        elif conversation is not None:
            came, facts = self._received(name, mail, conversation.id, person=person)
            if conversation.state == PARKED and lost:
                facts += self._desk.back_in_queue(conversation, conversation.agent)
            self._submit(conversation, came, *lost, *facts)
        else:
            thread = self._thread_named(interaction)
            party = self._host.private.get(f"{thread}.party")
            self._begin(name, mail, party, thread, None, (self._rules.own[0],), *lost)

    def _words(self, name: str, mail: Mail, envelope: Envelope, known: Known | None) -> None:
        thread = self._thread_of(mail)
        conversation = self._book.of_thread(thread) if thread else None
        if conversation is None:
            recipients = self._recipients(mail, envelope)
            self._begin(name, mail, mail.sender, thread, known, recipients)
            return
        message, facts = self._received(name, mail, conversation.id, thread)
        if conversation.state == PARKED:
            facts += self._desk.back_in_queue(conversation, conversation.agent)
        self._submit(conversation, message, *facts)

    def _begin(
        self,
        name: str,
        mail: Mail,
        party: str,
        thread: str,
        known: Known | None,
        recipients: tuple[str, ...],
        *before: AnyFact,
    ) -> None:
        """A conversation, new or going on in an old thread, in the queue that the rules name."""
        interaction, at_ms, private = self._ids.next("i"), self._now(), self._host.private
        party = party or name
        person = private.person_of(party)
        party_ref = private.put(person, f"{interaction}.party", party)
        subject_ref = private.put(person, f"{interaction}.subject", mail.subject)
        if thread:
            private.put(person, f"{interaction}.thread", thread)
        certain = known if known is not None and (mail.proved or not mail.proof) else None
        facts: list[AnyFact] = [
            *before,
            f.InteractionStarted(interaction, EMAIL, "in", recipients[0], "", "", party_ref, at_ms),
            f.ThreadOpened(interaction, thread or interaction, subject_ref, mail.language, at_ms),
        ]
        if certain is not None:
            facts.append(f.CustomerMatched(interaction, certain.customer, certain.klass, certain.last_agent))
            if mail.proved:
                facts.append(f.CallerVerified(interaction, "proved", at_ms))
        whose = person if mail.kind == m.BOUNCE else ""
        message, received = self._received(name, mail, interaction, thread, whose)
        klass = certain.klass if certain is not None else ""
        queue = queue_of(
            self._rules.rules,
            recipients,
            mail.language,
            f"{mail.subject}\n{mail.text}",
            klass,
            self._rules.default_queue(),
        )
        contact, to = self._ids.next("c"), line(queue, EMAIL)
        prefers = certain.last_agent if certain is not None else ""
        facts += [
            *received,
            f.InteractionQueued(interaction, contact, to, at_ms),
            rf.ContactArrived(
                contact, to, at_ms, customer_class=klass, prefers=self._desk.preferred(to, prefers)
            ),
        ]
        acknowledge = self._rules.acknowledge and not thread and mail.kind == m.NORMAL
        to = private.person_of(mail.reply_to or mail.sender)
        if acknowledge and UNREADABLE not in mail.defects and self._may_acknowledge(to):
            facts += self._acknowledgement(interaction, mail, person, recipients[0], certain)
        last = next((fact.message for fact in reversed(facts) if isinstance(fact, f.MessageSent)), message)
        self._host.submit(*facts, after_commit=lambda: self._show(interaction, last))

    def _received(
        self, name: str, mail: Mail, interaction: str, thread: str = "", person: str = ""
    ) -> tuple[str, list[AnyFact]]:
        """(message, the facts that it came). `thread`: that it named; `person`: under whose key it lies, where that is
        not the sender."""
        message, at_ms, private = self._ids.next("m"), self._now(), self._host.private
        person = person or private.person_of(mail.sender or name)
        head = self._head(name, mail)
        if mail.html:
            head["html"] = private.put(person, f"{message}.html", mail.html)
        head_ref = self._keep(name, mail, f"{message}.head", head, person)
        files_ref = self._files.list_under(
            person, f"{message}.files", self._files.keep_all(person, mail.files)
        )
        ref = private.put(person, message, mail.text)
        # also what it refers to: of mails that overtake each other the last finds the thread by the first
        for one in dict.fromkeys((mail.message_id, *mail.references[:_MOST_AHEAD])):
            if one and not private.has(self._known_as(person, one)):
                private.put(person, self._known_as(person, one), thread or self._thread_named(interaction))
        return message, [
            f.MessageReceived(interaction, message, "", ref, at_ms, head_ref, files_ref, mail.kind),
            f.MailRead(name, mail.kind, interaction, at_ms),
        ]

    def _submit(self, conversation: Conversation, message: str, *facts: AnyFact) -> None:
        self._host.submit(*facts, after_commit=lambda: self._show(conversation.id, message))

    def _show(self, interaction: str, message: str) -> None:
        conversation = self._book.open.get(interaction)
        if conversation is not None:
            self._desk.shown(conversation, message)

    def _head(self, name: str, mail: Mail) -> Plain:
        """What surrounds the words, as it is kept sealed beside them."""
        return {
            "mail": name,
            "from": mail.sender,
            "name": mail.sender_name,
            "reply_to": mail.reply_to,
            "to": list(mail.to),
            "cc": list(mail.cc),
            "subject": mail.subject,
            "message_id": mail.message_id,
            "references": list(mail.references[:20]),
            "proof": dict(mail.proof),
            "quoted": mail.quoted,
            "defects": list(mail.defects),
            "language": mail.language,
            "bounced": list(mail.bounced),
        }

    def _keep(self, name: str, mail: Mail, ref: str, head: Plain, person: str = "") -> str:
        private = self._host.private
        person = person or private.person_of(mail.sender or name)
        return private.put(person, ref, json.dumps(head, ensure_ascii=False))

    def _recipients(self, mail: Mail, envelope: Envelope) -> tuple[str, ...]:
        """Which of our addresses it was written to, the first as the number that was called."""
        named = dict.fromkeys((*envelope.recipients, *mail.to, *mail.cc))
        found = tuple(address for address in named if address in self._rules.own)
        return found or (self._rules.own[0],)

    # --- threads -----------------------------------------------------------------------------------

    def _thread_of(self, mail: Mail) -> str:
        """The thread that it goes on with; "" where it begins one."""
        private = self._host.private
        if mail.proof.get("dmarc") == "fail":
            return ""  # the domain says that it is not from there
        person = private.person_of(mail.sender)
        for one in (mail.message_id, *mail.references):
            own = self._references.own(one)
            thread = self._thread_named(own[1]) if own else private.get(self._known_as(person, one))
            if thread and private.owner(f"{thread}.party") == person:
                return thread
        named = self._references.threads_in(mail.subject)
        for thread in named:
            if private.owner(f"{thread}.party") == person:
                return thread
        if named:
            self.counts["reference_of_another"] += 1
        return ""

    def _thread_named(self, interaction: str) -> str:
        """The thread that an interaction belongs to: its own where it began one."""
        return self._host.private.get(f"{interaction}.thread") or interaction

    def _known_as(self, person: str, message_id: str) -> str:
        """The name under which the private store remembers the thread of a mail of this person."""
        return f"t.{self._index('thread', f'{person}/{message_id}')}"

    # --- what we write -----------------------------------------------------------------------------

    def reply(
        self,
        agent: str,
        interaction: str,
        client: str,
        text: str,
        cc: Sequence[str] = (),
        files: Sequence[Kept] = (),
        committed: Callable[[int], None] = lambda _n: None,
    ) -> None:
        """The agent answers the customer's last mail.

        Raises NotAllowed: not_yours, empty, too_long, bad_address, nobody_to_answer."""
        conversation = self._desk.in_hand(agent, interaction)
        copies = list(dict.fromkeys(address.strip().lower() for address in cc if address.strip()))
        if len(copies) > _MOST_COPIES or not all(is_address(address) for address in copies):
            raise NotAllowed("bad_address")
        head = self.reply_head(conversation)
        if not head["to"]:
            raise NotAllowed("nobody_to_answer")
        head["cc"] = copies
        head["signature"] = self.templates.render(
            words.SIGNATURE, conversation.language, agent=self._name_of(agent), reference=head["reference"]
        )
        self._desk.send(agent, interaction, client, text, committed, head, files)

    def reply_head(self, conversation: Conversation) -> Plain:
        """To whom and about what an answer goes; `to` is empty where no mail says where."""
        private = self._host.private
        last, head, at_ms = self.last_mail(conversation)
        subject = private.get(conversation.subject_ref)
        whose = private.person_of(str(head.get("from", "")))
        thread = private.get(self._known_as(whose, str(head.get("message_id", ""))))
        thread = thread or conversation.thread or conversation.id
        to = str(head.get("reply_to") or head.get("from") or private.get(conversation.party_ref))
        mine = conversation.number if conversation.number in self._rules.own else self._rules.own[0]
        references = [*reversed(head.get("references", [])), head.get("message_id", "")]
        return {
            "from": mine,
            "to": [to] if is_address(to) else [],
            "cc": [],
            "subject": one_line(self._references.marked(subject, thread)),
            "reference": self._references.reference(thread),
            "in_reply_to": head.get("message_id", ""),
            "references": [one for one in references if one],
            "quote": last,
            "quoted_at_ms": at_ms,
            "language": conversation.language,
        }

    def last_mail(self, conversation: Conversation) -> tuple[str, Plain, int]:
        """(message, head, when) of the last that the customer wrote."""
        for message in reversed(conversation.messages):
            if not message.by and message.head_ref and not message.kind:
                text = self._host.private.get(message.head_ref)
                return message.id, json.loads(text) if text else {}, message.at_ms
        return "", {}, 0

    def _may_acknowledge(self, person: str) -> bool:
        now_ms = self._now()
        recent = [at for at in self._acks.pop(person, []) if now_ms - at < _ACKS_MS]
        may = len(recent) < _MOST_ACKS
        self._acks[person] = [*recent, now_ms] if may else recent
        if len(self._acks) > _MOST_REMEMBERED:
            self._acks.popitem(last=False)
        if not may:
            self.counts["not_acknowledged"] += 1
        return may

    def _acknowledgement(
        self, interaction: str, mail: Mail, person: str, recipient: str, known: Known | None
    ) -> list[AnyFact]:
        message, at_ms, private = self._ids.next("a"), self._now(), self._host.private
        template = words.ACKNOWLEDGED if self._hours.open_now() else words.CLOSED
        reference = self._references.reference(interaction)
        customer = known.name if known is not None and mail.proved else ""
        text = self.templates.render(template, mail.language, customer=customer, reference=reference)
        to = mail.reply_to or mail.sender
        if not is_address(to) or not text:
            return []
        head = {
            "from": recipient,
            "to": [to],
            "cc": [],
            "subject": one_line(self._references.marked(mail.subject, interaction)),
            "in_reply_to": mail.message_id,
            "references": [*reversed(mail.references[:19]), mail.message_id] if mail.message_id else [],
            "automatic": True,
        }
        head_ref = private.put(person, f"{message}.head", json.dumps(head, ensure_ascii=False))
        ref = private.put(person, message, text)
        return [
            f.MessageSent(interaction, message, FLOW, "", ref, at_ms, head_ref=head_ref),
            f.LetterWritten(message, interaction, ref, head_ref, "", at_ms),
        ]

    def write(self, to: str, template: str, language: str, interaction: str = "", **values: str) -> str:
        """A letter of ours to one address, by a template: a transcript, a code. Answers its message.

        Raises NotAllowed: bad_address."""
        if not is_address(to):
            raise NotAllowed("bad_address")
        message, at_ms, private = self._ids.next("a"), self._now(), self._host.private
        person = private.person_of(to)
        head: Mapping[str, Any] = {
            "from": self._rules.own[0],
            "to": [to],
            "cc": [],
            "subject": self.templates.subject(template, language),
            "automatic": True,
        }
        ref = private.put(person, message, self.templates.render(template, language, **values))
        head_ref = private.put(person, f"{message}.head", json.dumps(head, ensure_ascii=False))
        self._host.submit(f.LetterWritten(message, interaction, ref, head_ref, "", at_ms))
        return message

    # --- what was kept out -------------------------------------------------------------------------

    def release(self, by: str, name: str) -> None:
        """A mail that a machine seemed to have sent is served after all. Raises NotAllowed: no_such_mail."""
        if name not in self._letters.kept_out:
            raise NotAllowed("no_such_mail")
        self._host.submit(f.MailReleased(name, by, self._now()), after_commit=self.arrived)

    def _now(self) -> int:
        return self._host.clock.now_ms()
