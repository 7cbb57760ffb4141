"""What the pages may ask of the core, and what each agent's page shows right now."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from callcenter.explain import tell
from callcenter.kernel import logging
from callcenter.kernel.e164 import national, to_e164
from callcenter.kernel.errors import NotAllowed
from callcenter.live.book import CALLING, RINGING, SUPERVISOR, TALKING, WRAPPING, Guest, Interaction
from callcenter.live.control import AGENT, HOLD, LINK, MUTE, NUMBER, Target
from callcenter.live.facts import (
    ActionTaken,
    AgentReleased,
    AgentSeated,
    AnnouncementSet,
    GuestLeft,
    GuestTookOver,
    InteractionParked,
    QueueReopened,
    QueueShut,
)
from callcenter.live.host import AnyFact
from callcenter.live.messages import VoiceMessage
from callcenter.messaging.conversations import Conversation
from callcenter.queries import ContactQueries
from config.settings import BROWSER
from ivr_flows.schema import Flow
from routing import AgentChanged, Command
from routing.facts import PolicyReplaced
from routing.policy import VOICE, satisfies
from softphone_ui.auth import Identity, Sessions
from softphone_ui.board import Board
from softphone_ui.chats import Chats
from softphone_ui.finder import Finder
from softphone_ui.hub import Hub
from softphone_ui.oidc import OidcLogin
from softphone_ui.people import PeopleDesk
from softphone_ui.permissions import may
from softphone_ui.recordings import Recordings
from softphone_ui.web_calls import WebCalls

log = logging.get("panel")
_QUEUES_EVERY_S = 1.0
_PAGES = Path(__file__).parent


def _version() -> str:
    """Changes with every file that a page is made of: a page from before an upgrade knows it by this."""
    digest = hashlib.sha256()
    for folder in ("static", "templates", "locales"):
        for path in sorted((_PAGES / folder).iterdir()):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


VERSION = _version()
_CONCERN_ALL = (
    *(GuestLeft, GuestTookOver, AgentReleased, InteractionParked),
    *(AnnouncementSet, QueueShut, QueueReopened, PolicyReplaced),
)
CONSULTING = "consulting"
"""a contact in which this agent is a guest"""
Plain = dict[str, Any]


class Panel:
    """`core` is the bootstrap's core; used here for its services and queries only."""

    def __init__(self, core: Any, flows: Mapping[str, Flow]) -> None:
        self._core = core
        self._host, self._book, self._agents = core.host, core.host.book, core.agents
        self.browser_phones = core.browser_phones
        self.browser_phones.changed = self._phone_changed
        webrtc = core.settings.webrtc
        self.web_calls = WebCalls(
            webrtc.web_call_numbers,
            webrtc.web_call_rate,
            core.settings.voice.region,
            webrtc.identity_key_file,
            webrtc.identity_algorithm,
        )
        core.desk.visitor_of = self.web_calls.arrived
        self.control, self.supervision = core.control, core.supervision
        self.key_entry, self.callbacks = core.key_entry, core.callbacks
        core.key_entry.changed = self._keyed_on
        self._titles = _titles(flows)
        self.sessions = Sessions(core.records, core.clock, core.settings.http.session_hours)
        self.sessions.stolen = self._stolen
        self.oidc = OidcLogin(core.settings.oidc)
        self.queries = ContactQueries(core.records, core.private, core.master, core.executor)
        self.hub = Hub(f"{core.epoch}", self.state)
        self.sessions.ended = self.hub.send_away
        self.board = Board(core)
        self.recordings = Recordings(core)
        core.alarms.changed = self._alarms_changed
        self.written, self.chats = core.written, Chats(core, self._card)
        core.written.changed.append(self._chat_changed)
        self.finder = Finder(core)
        self.casework, self.most_file_bytes = core.casework, core.uploads.most_bytes
        self.messages = core.messages
        core.messages.changed = self._message_changed
        self.secure_cookies: bool = (
            core.settings.http.secure_cookies or core.settings.http.tls_cert is not None
        )
        self.wrap_up_codes, self.reasons = core.directory.wrap_up_codes, core.directory.reasons
        self.people_desk = PeopleDesk(core, self.sessions)
        self._cards: dict[str, Plain] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._host.listeners.append(self._heard)

    async def until_in_history(self) -> None:
        await self._core.until_in_history()

    async def explanation(self, interaction: str, language: str) -> list[dict[str, str]]:
        """Its steps in words, oldest first. Raises NotAllowed: no_interaction, not_explained."""
        await self._core.until_in_history()
        try:
            steps = await self._core.explain(interaction)
        except (OSError, TimeoutError) as error:
            raise NotAllowed("not_explained") from error
        if not steps:
            raise NotAllowed("no_interaction")
        titles, zone = self._core.directory.queue_titles(), ZoneInfo(self._core.settings.hours.timezone)

        def clock(at_ms: int) -> str:
            return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%H:%M:%S")

        lines = tell(steps, language, self._name, lambda queue: titles.get(queue, queue), clock)
        return [dict(zip(("at", "text"), line.split("  ", 1), strict=True)) for line in lines]

    def troubles(self) -> list[str]:
        found: list[str] = self._core.troubles()
        return found

    def metrics(self) -> bytes:
        rendered: bytes = self._core.metrics.render()
        return rendered

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.hub.close()
        self.sessions.close()

    # --- what a person does ------------------------------------------------------------------------

    def arrived(self, who: Identity) -> None:
        """A page was opened: an agent who was logged out is here now, not ready yet."""
        if who.role == "agent":
            self._agents.log_in(who.login)
        self._tick()

    def left(self, who: Identity) -> None:
        if who.login in self._book.seats:
            self._host.submit(AgentSeated(who.login, "", self._core.clock.now_ms()))
        if who.role == "agent":
            self._agents.log_out(who.login)
        self.hub.send_away(who.login)

    def ready(self, agent: str) -> None:
        self._agents.ready(agent)

    def not_ready(self, agent: str, reason: str) -> None:
        self._agents.not_ready(agent, reason)

    def answer(self, agent: str, offer: str) -> None:
        if not self._core.offers.accept(agent, offer):
            raise NotAllowed("offer_over")

    def decline(self, agent: str, offer: str) -> None:
        if not self._core.offers.decline(agent, offer):
            raise NotAllowed("offer_over")

    def hang_up(self, agent: str, interaction: str) -> None:
        live = self._book.interactions.get(interaction)
        if live is None or live.agent != agent or live.state not in (TALKING, CALLING):
            raise NotAllowed("call_over")
        self._core.desk.hang_up(live)

    async def call_out(self, agent: str, target: Target, customer: int = 0, phone: int = 0) -> str:
        """Call a colleague, a number, or a customer at one of their numbers. Answers the interaction.

        Raises NotAllowed as `CallControl.call_out`, and no_customer, do_not_call."""
        if target.agent:
            interaction: str = self.control.call_out(agent, target)
            return interaction
        region = self._core.settings.voice.region
        number = target.number
        if customer:
            number = await self.queries.phone_of(customer, phone)
        e164 = to_e164(number, region) or number
        customer, refuses = await self.queries.may_call(e164, customer)
        if refuses:
            raise NotAllowed("do_not_call")
        interaction = self.control.call_out(agent, Target(number=e164), customer)
        return interaction

    async def link(self, agent: str, interaction: str, customer: int) -> None:
        """Whose a conversation is, by the agent's decision; 0 takes it back. Raises NotAllowed: not_yours,
        no_customer."""
        if customer and not await self.queries.card(customer):
            raise NotAllowed("no_customer")
        self.casework.link(agent, interaction, customer)

    async def send_code(self, agent: str, interaction: str, customer: int) -> None:
        """A code to the address that this customer's record knows. Raises NotAllowed: no_customer, and as
        `Identity.send_code`."""
        self._core.identity.send_code(agent, interaction, customer, await self.queries.email_of(customer))

    async def wrap_up(self, agent: str, interaction: str, code: str, note: str) -> None:
        """Raises NotAllowed: not_yours, unknown_code."""
        live = self._book.interactions.get(interaction)
        theirs = live is not None and (
            (live.agent == agent and live.state in (TALKING, CALLING, WRAPPING)) or agent in live.former
        )
        written = self._book.written.open.get(interaction)
        if live is not None and theirs:
            party_ref = live.party_ref
        elif written is not None and written.agent == agent:
            party_ref = written.party_ref
        else:
            party_ref = await self.queries.party_of(interaction, agent)
        self._agents.wrap_up(agent, interaction, code, note, party_ref)
        await self._core.until_in_history()

    # --- what a page shows -------------------------------------------------------------------------

    def state(self, login: str) -> Plain:
        """The whole state of one person's page; small, so it is sent whole on every change."""
        agent = self._host.engine.agent_view(login)
        mine = self._book.of_agent(login)
        asked = self._book.consulting(login) if agent is not None else []
        return {
            "now_ms": self._core.clock.now_ms(),
            "version": VERSION,
            "agent": None
            if agent is None
            else {
                "state": agent.state,
                "reason": agent.reason,
                "since_ms": agent.since_ms,
                "until_ms": agent.until_ms,
                "next": agent.next_state,
            },
            "queues": self._queues(),
            "agents": self._everybody() if agent is None else [],
            "calls": [*self._calls(login), *self.chats.open()] if agent is None else [],
            "parked": self._parked(),
            "alarms": self._alarms() if agent is None else [],
            "announcement": self.supervision.announcement(),
            "messages": self._messages(login),
            "chats": self.chats.of_agent(login) if agent is not None else [],
            "phone": self.browser_phones.phones.get(login),
            "contacts": [
                *(self._contact(interaction, self._state_for(interaction, login)) for interaction in mine),
                *(self._contact(interaction, CONSULTING) for interaction in asked),
            ],
        }

    def whom(self) -> dict[str, list[Plain]]:
        """Whom a call can go to."""
        engine, titles = self._host.engine, self._core.directory.queue_titles()
        queues = [
            {"name": name, "title": titles.get(name, name), "waiting": engine.queue_view(name)[0]}
            for name, queue in engine.policy.queues.items()
            if engine.is_open(name) and queue.medium == VOICE
        ]
        return {"agents": self._everybody(), "queues": queues}

    def serves(self, login: str, queue: str) -> bool:
        """Has this agent the skills of this queue? Supervisors serve all."""
        policy = self._host.engine.policy
        own, wanted = policy.agents.get(login), policy.queues.get(queue)
        if own is None:
            return login in self._core.directory.people
        return wanted is not None and satisfies(own.skills, wanted.skills)

    def message(self, login: str, name: str) -> VoiceMessage:
        """An open message that is this person's to see to. Raises NotAllowed: message_done."""
        message: VoiceMessage | None = self._core.messages.open.get(name)
        if message is None or not self.serves(login, message.queue):
            raise NotAllowed("message_done")
        return message

    async def call_back(self, login: str, name: str) -> str:
        """Take a message and call who left it. Raises NotAllowed as `call_out`, and message_*, no_number."""
        message = self.message(login, name)
        number = self._core.private.get(message.party_ref)
        if not number:
            raise NotAllowed("no_number")
        if message.taken_by not in ("", login):
            raise NotAllowed("message_taken")
        interaction = await self.call_out(login, Target(number=number))
        self.messages.take(login, name)
        return interaction

    def _messages(self, login: str) -> list[Plain]:
        titles = self._core.directory.queue_titles()
        user = self._core.directory.people.get(login)
        if user is None or not may(user.role, "own.messages"):
            return []
        return [
            {
                "name": message.name,
                "party": national(self._core.private.get(message.party_ref)),
                "queue": titles.get(message.queue, message.queue),
                "left_at_ms": message.left_at_ms,
                "duration_ms": message.duration_ms,
                "taken_by": self._name(message.taken_by) if message.taken_by else "",
                "mine": message.taken_by == login,
            }
            for message in self._core.messages.open.values()
            if self.serves(login, message.queue)
        ]

    def _stolen(self, login: str) -> None:
        log.warning("session_stolen", agent=login)
        self._host.submit(ActionTaken(login, "session_stolen", login, "", self._core.clock.now_ms()))

    def _keyed_on(self, live: Interaction) -> None:
        self.hub.push_soon(live.agent)

    def _chat_changed(self, interaction: str) -> None:
        conversation = self._book.written.open.get(interaction)
        if conversation is not None and conversation.agent:
            self.hub.push_soon(conversation.agent)

    def _message_changed(self, _message: VoiceMessage) -> None:
        for login in self.hub.logins():
            self.hub.push_soon(login)

    def _alarms(self) -> list[Plain]:
        return [
            {"name": name, "since_ms": since_ms, "detail": detail}
            for name, (since_ms, detail) in self._core.alarms.standing.items()
        ]

    def _alarms_changed(self) -> None:
        for login in self.hub.logins():
            self.hub.push_soon(login)

    def _parked(self) -> list[Plain]:
        return [
            {
                "id": live.id,
                "party": self._party(live),
                "queue": self._queue_title(live),
                "since_ms": live.queued_at_ms,
            }
            for live in self.control.parked()
        ]

    def _calls(self, supervisor: str) -> list[Plain]:
        """Everything that goes on, for those who watch."""
        return [
            {
                "id": live.id,
                "state": live.state,
                "queue": self._queue_title(live),
                "agent": live.agent,
                "party": self._party(live),
                "since_ms": live.taken_at_ms or live.queued_at_ms or live.arrived_at_ms,
                "held": live.modes.get(live.leg) == HOLD,
                "callback": live.callback,
                "watched": [
                    {
                        "who": guest.who,
                        "joined": guest.joined,
                        "mode": live.modes.get(guest.leg, "").partition(":")[0],
                    }
                    for guest in live.guests.values()
                    if guest.kind == SUPERVISOR
                ],
            }
            for live in self._book.interactions.values()
            if live.state != WRAPPING
        ]

    @staticmethod
    def _state_for(interaction: Interaction, login: str) -> str:
        return WRAPPING if login in interaction.former and interaction.agent != login else interaction.state

    def _queue_title(self, interaction: Interaction) -> str:
        title: str = self._core.directory.queue_titles().get(interaction.queue, interaction.queue)
        return title

    def _party(self, interaction: Interaction) -> str:
        """The customer's name where it is known, else the number; of an internal call the colleague's."""
        if interaction.callee:
            return self._name(interaction.callee)
        card = self._card(interaction) or {}
        return str(card.get("name") or national(self._core.private.get(interaction.party_ref)))

    def _guests(self, interaction: Interaction) -> list[Plain]:
        shown = [
            guest
            for guest in interaction.guests.values()
            if guest.kind != SUPERVISOR or self._core.settings.supervision.visible
        ]
        return [
            {
                "leg": guest.leg,
                "kind": guest.kind,
                "purpose": guest.purpose,
                "name": self._guest_name(guest),
                "joined": guest.joined,
                "mode": interaction.modes.get(guest.leg, "").partition(":")[0],
            }
            for guest in shown
        ]

    def _guest_name(self, guest: Guest) -> str:
        if guest.kind == NUMBER:
            return national(self._core.private.get(guest.who))
        if guest.kind == LINK:
            other = self._book.interactions.get(guest.who)
            return self._party(other) if other is not None else ""
        return self._name(guest.who)

    def _name(self, login: str) -> str:
        user = self._core.directory.people.get(login)
        return user.name if user is not None else login

    def _contact(self, interaction: Interaction, state: str) -> Plain:
        offer = self._host.engine.offer_view(interaction.offer)
        seat = self._core.directory.seat(interaction.agent)
        return {
            "id": interaction.id,
            "state": state,
            "medium": interaction.medium,
            "number": interaction.number,
            "caller": national(self._core.private.get(interaction.party_ref)),
            "direction": interaction.direction,
            "colleague": self._colleague(interaction, state),
            "queue": self._queue_title(interaction),
            "held": interaction.modes.get(interaction.leg) == HOLD,
            "muted": interaction.modes.get(interaction.agent_leg) == MUTE,
            "guests": self._guests(interaction),
            "keyed": self._keyed(interaction),
            "language": interaction.language,
            "queued_at_ms": interaction.queued_at_ms,
            "answered_at_ms": interaction.answered_at_ms,
            "offer": interaction.offer if interaction.state == RINGING else "",
            "expires_at_ms": offer.expires_at_ms if offer else 0,
            "answer_at": seat.answer if seat else "phone",
            "dialling": bool(interaction.agent_leg) and interaction.state == RINGING,
            "recording": bool(interaction.recording) and interaction.state == TALKING,
            "recording_paused": interaction.recording_paused,
            "verified": interaction.verified,
            "key_entry": interaction.key_entry,
            "key_count": self.key_entry.count(interaction.id),
            "key_result": interaction.key_result,
            "customer": self._card(interaction),
        }

    def _colleague(self, interaction: Interaction, state: str) -> str:
        """Of an internal call, who is at the other end."""
        if not interaction.callee:
            return ""
        return self._name(interaction.agent if state == CONSULTING else interaction.callee)

    def _keyed(self, interaction: Interaction) -> list[dict[str, str]]:
        """What the caller chose, step by step, in words."""
        titles = self._titles.get(interaction.flow, {})
        return [titles[step] for step in interaction.path if step in titles]

    def _card(self, interaction: Interaction | Conversation) -> Plain | None:
        """The customer, as far as known; fetched once per interaction, off the loop."""
        if not interaction.customer:
            return None
        key = f"{interaction.id}/{interaction.customer}"
        if key not in self._cards:
            self._cards[key] = {"loading": True}
            task = asyncio.get_running_loop().create_task(self._fetch_card(key, interaction))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._cards[key]

    async def _fetch_card(self, key: str, interaction: Interaction | Conversation) -> None:
        agent = interaction.agent
        if len(self._cards) > 2_000:
            self._cards.clear()
        try:
            self._cards[key] = await self.queries.card(interaction.customer)
        except Exception:
            log.exception("card_unreadable", interaction=interaction.id)
            self._cards[key] = {}
        live = self._book.interactions.get(interaction.id) or self._book.written.open.get(interaction.id)
        self.hub.push(live.agent if live is not None and live.agent else agent)

    def _queues(self) -> list[Plain]:
        titles = self._core.directory.queue_titles()
        rows = []
        for name, queue in self._host.engine.policy.queues.items():
            waiting, longest_ms = self._host.engine.queue_view(name, self._host.clock.now_ms())
            rows.append(
                {
                    "name": name,
                    "title": titles.get(name, name),
                    "medium": queue.medium,
                    "waiting": waiting,
                    "longest_ms": longest_ms,
                    "open": self._host.engine.is_open(name),
                    "shut": name in self._book.shut,
                }
            )
        return rows

    def _everybody(self) -> list[Plain]:
        people = self._core.directory.agents
        return [
            {
                "login": a.id,
                "name": people[a.id].name,
                "state": a.state,
                "reason": a.reason,
                "since_ms": a.since_ms,
                "queues": [name for name in self._host.engine.policy.queues if self.serves(a.id, name)],
            }
            for a in self._host.engine.agent_views()
            if a.id in people
        ]

    def queue_titles(self) -> dict[str, str]:
        titles: dict[str, str] = self._core.directory.queue_titles()
        return titles

    def people(self, role: str = "") -> list[Plain]:
        """Login and name of everybody, or of those with this role."""
        found = self._core.directory.people.values()
        return [{"login": one.login, "name": one.name} for one in found if role in ("", one.role)]

    def device(self, login: str) -> str:
        """browser, or telephone."""
        user = self._core.directory.people.get(login)
        device = self._book.seats.get(login) or (user.device if user is not None else "")
        return BROWSER if device == BROWSER else "telephone"

    def seat(self, login: str) -> str:
        """Where this person sits today: browser, the account of a desk phone, or "" for their own device."""
        device = self._book.seats.get(login, "")
        return device if device in ("", BROWSER) else device.removeprefix("sip:").partition("@")[0]

    @property
    def canned_answers(self) -> list[Plain]:
        return [answer.model_dump() for answer in self._core.settings.chat.answers]

    @property
    def has_written(self) -> bool:
        return bool(self._core.directory.written_media)

    @property
    def has_browser_phones(self) -> bool:
        return bool(self._core.settings.browser_hosts)

    def ice_servers(self) -> list[Plain]:
        return [server.model_dump(exclude_defaults=True) for server in self._core.settings.webrtc.ice_servers]

    def _phone_changed(self, user: str) -> None:
        self.hub.push_soon(user)

    # --- changes -----------------------------------------------------------------------------------

    def _heard(self, facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        touched = {command.agent for command in commands if isinstance(command, AgentChanged)}
        for fact in facts:
            agent = getattr(fact, "agent", "")
            if agent:
                touched.add(agent)
            live = self._book.interactions.get(getattr(fact, "interaction", ""))
            if live is not None:
                touched.update(who for who in (live.agent, *live.former) if who)
                touched.update(guest.who for guest in live.guests.values() if guest.kind == AGENT)
                touched.add(live.callee)
            if isinstance(fact, _CONCERN_ALL):
                touched.update(self.hub.logins())  # whoever was asked in, or may take it
        for agent in touched:
            self.hub.push_soon(agent)
        if touched:
            for login in self.hub.logins():
                if self._host.engine.agent_view(login) is None:
                    self.hub.push_soon(login)  # the overview shows everybody

    def _tick(self) -> None:
        """Queue lengths go to everybody once a second while somebody looks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.hub.watched():
            self._timer = asyncio.get_running_loop().call_later(_QUEUES_EVERY_S, self._tick_all)

    def _tick_all(self) -> None:
        self._timer = None
        self.hub.push_all({"queues": self._queues()})
        self._tick()


def _titles(flows: Mapping[str, Flow]) -> dict[str, dict[str, dict[str, str]]]:
    """What an agent reads about the steps of a flow: by flow, then by node, then by language."""
    return {
        key: {
            name: {str(language): text for language, text in node.title.items()}
            for name, node in flow.nodes.items()
            if node.title is not None
        }
        for key, flow in flows.items()
    }
