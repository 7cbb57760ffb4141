"""What pages may do with people, queues, reasons, codes and desk phones; each change counts at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from callcenter.directory.editing import QUEUE, USER
from callcenter.directory.phones import new_password
from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from routing.policy import QueuePolicy
from routing.state import LOGGED_OUT
from softphone_ui.auth import Sessions

Plain = dict[str, Any]
T = TypeVar("T")
BROWSER_SEAT, OWN_SEAT = "browser", ""


class PeopleDesk:
    """`core` is the bootstrap's core; used here for its services only."""

    def __init__(self, core: Any, sessions: Sessions) -> None:
        self._core, self._sessions = core, sessions
        self._turn = asyncio.Lock()
        """one change after the other: each begins with what the last one left"""

    async def everything(self) -> Plain:
        return await self._off_loop(self._core.editor.everything)

    async def history(self, kind: str, key: str) -> list[Plain]:
        return await self._off_loop(self._core.editor.history, kind, key)

    async def put(self, actor: str, kind: str, values: Plain, key: str = "") -> Plain:
        """Raises Invalid, and NotAllowed as `Editor.put`; queue_in_use."""
        async with self._turn:
            return await self._put(actor, kind, values, key)

    async def _put(self, actor: str, kind: str, values: Plain, key: str) -> Plain:
        if kind == QUEUE and key and values.get("active") is False:
            self._may_retire(key)
        record, change = await self._off_loop(self._core.editor.put, actor, kind, values, key)
        if change:
            await self._counts(actor, "edit", kind, record)
        return {"record": record, "change": change}

    async def undo(self, actor: str, change: int) -> Plain:
        """Raises NotAllowed as `Editor.undo`; queue_in_use."""
        async with self._turn:
            kind, key, retires = await self._off_loop(self._core.editor.before, change)
            if kind == QUEUE and retires:
                self._may_retire(key)
            record, made = await self._off_loop(self._core.editor.undo, actor, change)
            if made:
                await self._counts(actor, "undo", kind, record)
        return {"record": record, "change": made}

    async def give_password(self, actor: str, login: str) -> str:
        """Raises NotAllowed: unknown_record; itself: one's own is changed at /password."""
        if login == actor:
            raise NotAllowed("itself")
        password = await self._sessions.give_password(login)
        await self._audit(actor, "give_password", login, "")
        return password

    async def member(self, actor: str, queue: str, login: str, serves: bool) -> None:
        """Give an agent the skills that a queue needs, or take them. Raises NotAllowed: unknown_queue, unknown_agent,
        queue_needs_nothing."""
        policy = self._core.host.engine.policy
        wanted = policy.queues.get(queue)
        if wanted is None:
            raise NotAllowed("unknown_queue")
        async with self._turn:
            await self._member(actor, wanted, login, serves)

    async def _member(self, actor: str, wanted: QueuePolicy, login: str, serves: bool) -> None:
        records = (await self.everything())[USER]
        record = next((one for one in records if one["login"] == login and one["role"] == "agent"), None)
        if record is None:
            raise NotAllowed("unknown_agent")
        if not wanted.skills and not serves:
            raise NotAllowed("queue_needs_nothing")
        skills = dict(record["skills"])
        for name, level in wanted.skills:
            if serves:
                skills[name] = max(level, skills.get(name, 0))
            else:
                skills.pop(name, None)
        await self._put(actor, USER, {**record, "skills": skills}, login)

    # --- desk phones -------------------------------------------------------------------------------

    async def phones(self) -> list[Plain]:
        return await self._off_loop(self._core.phone_accounts.all)

    async def add_phone(self, actor: str, user: str) -> Plain:
        """Raises NotAllowed: phone_taken."""
        if any(phone["user"] == user for phone in await self.phones()):
            raise NotAllowed("phone_taken")
        password = new_password()
        told = await self._off_loop(self._core.phone_accounts.add, user, password)
        await self._audit(actor, "add_phone", user, "")
        return {**told, "password": password}

    async def drop_phone(self, actor: str, user: str) -> None:
        """Raises NotAllowed: unknown_phone."""
        if not await self._off_loop(self._core.phone_accounts.drop, user):
            raise NotAllowed("unknown_phone")
        device, now_ms = f"sip:{user}@{self._core.settings.voice.domain}", self._core.clock.now_ms()
        for who, there in list(self._core.host.book.seats.items()):
            if there == device:
                self._core.host.submit(f.AgentSeated(who, "", now_ms))
        await self._audit(actor, "drop_phone", user, "")

    async def seats(self, login: str) -> list[Plain]:
        """Where somebody may sit today: every desk phone, who has it, and whether it is registered."""
        taken = self._taken(login)
        domain = self._core.settings.voice.domain
        return [
            {
                "user": phone["user"],
                "registered": bool(phone["places"]),
                "taken_by": taken.get(f"sip:{phone['user']}@{domain}", ""),
            }
            for phone in await self.phones()
        ]

    async def sit(self, login: str, seat: str) -> None:
        """Hot-desking: this person is rung at this phone until they log out. `seat`: an account of a desk phone,
        browser, or "" for their own device.

        Raises NotAllowed: unknown_phone, phone_in_use, no_browser_phones, you_are_busy."""
        if self._core.host.book.of_agent(login) or self._core.host.book.consulting(login):
            raise NotAllowed("you_are_busy")
        device = seat
        if seat == BROWSER_SEAT:
            if not self._core.settings.browser_hosts:
                raise NotAllowed("no_browser_phones")
        elif seat:
            device = await self._off_loop(self._core.phone_accounts.device, seat)
            if device in self._taken(login):
                raise NotAllowed("phone_in_use")
        self._core.host.submit(f.AgentSeated(login, device, self._core.clock.now_ms()))

    def _taken(self, login: str) -> dict[str, str]:
        """Devices that others have today, chosen or their own, and who."""
        book, engine, people = self._core.host.book, self._core.host.engine, self._core.directory.people
        found = {device: who for who, device in book.seats.items() if who != login}
        for who, user in people.items():
            view = engine.agent_view(who)
            here = view is not None and view.state != LOGGED_OUT
            if who != login and here and who not in book.seats:
                found.setdefault(user.device, who)
        return found

    # --- how ---------------------------------------------------------------------------------------

    def _may_retire(self, queue: str) -> None:
        waiting = self._core.host.engine.queue_view(queue)[0]
        called = any(number.queue == queue for number in self._core.settings.numbers)
        if waiting or called or self._core.directory.default_queue == queue:
            raise NotAllowed("queue_in_use")

    async def _counts(self, actor: str, action: str, kind: str, record: Plain) -> None:
        """What was changed is what counts from now on."""
        await self._core.reload_directory()
        key = record.get("login") or record.get("name") or record.get("code") or ""
        if kind == USER:
            self._sessions.changed(key)
            if not record["active"]:
                await self._sessions.end_all(key)
        await self._audit(actor, f"{action}_{kind}", key, "")

    async def _audit(self, actor: str, action: str, subject: str, detail: str) -> None:
        now_ms = self._core.clock.now_ms()
        await self._core.on_record(f.ActionTaken(actor, action, subject, detail, now_ms))

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._core.executor, work, *args)
