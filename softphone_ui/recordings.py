"""What pages may do with recordings: search, grants to play and download (each is in the audit), legal hold."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from callcenter.kernel.e164 import national, to_e164
from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.recordings import MOST_FOUND, Opened
from crm_core.customers import CustomerService
from crm_core.db import reads, session
from softphone_ui.auth import Identity
from softphone_ui.permissions import may

Plain = dict[str, Any]
T = TypeVar("T")
_GRANT_MS = 3_600_000
_MOST_GRANTS = 1_000
_MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class _Grant:
    login: str
    recording: str
    use: str
    needs: str
    file: Opened
    until_ms: int


class Recordings:
    """`core` is the bootstrap's core; used here for its services and queries only."""

    def __init__(self, core: Any) -> None:
        self._core, self._archive = core, core.archive
        self._grants: dict[str, _Grant] = {}

    async def find(self, wanted: Plain) -> list[Plain]:
        """Raises NotAllowed: bad_number."""
        if wanted["party"]:
            number = to_e164(wanted["party"], self._core.settings.voice.region)
            if number is None:
                raise NotAllowed("bad_number")
            wanted["party"] = number
        await self._core.until_in_history()
        rows = await self._off_loop(lambda: self._find(wanted))
        return [self._shown(row) for row in rows]

    async def grant(self, login: str, recording: str, use: str, needs: str) -> Plain:
        """`needs`: the permission that it rests on; who loses it hears no more. Raises NotAllowed as
        `RecordingArchive.open`. Nobody hears anything before it is on record."""
        opened: Opened = await self._off_loop(lambda: self._archive.open(recording))
        row = await self._off_loop(lambda: self._archive.get(recording))
        now_ms = self._core.clock.now_ms()
        await self._core.on_record(
            f.ActionTaken(login, f"{use}_recording", row["interaction_id"], recording, now_ms)
        )
        live = {token: one for token, one in self._grants.items() if one.until_ms > now_ms}
        self._grants = dict(list(live.items())[-_MOST_GRANTS:])
        token = secrets.token_urlsafe(18)
        self._grants[token] = _Grant(login, recording, use, needs, opened, now_ms + _GRANT_MS)
        return {
            "url": f"/api/recordings/{recording}/sound?grant={token}",
            **opened.about,
            "started_at_ms": row["started_at_ms"],
            "marks": row["marks"],
        }

    def granted(self, who: Identity, recording: str, token: str) -> tuple[str, Opened]:
        """What this token is for. Raises NotAllowed: no_grant."""
        found = self._grants.get(token)
        if found is None or (found.login, found.recording) != (who.login, recording):
            raise NotAllowed("no_grant")
        if found.until_ms <= self._core.clock.now_ms() or not may(who.role, found.needs):
            raise NotAllowed("no_grant")
        return found.use, found.file

    async def read(self, opened: Opened, start: int, length: int) -> bytes:
        """Raises NotAllowed: recording_damaged."""
        try:
            return await self._off_loop(lambda: opened.read(start, length))
        except (OSError, ValueError) as error:
            raise NotAllowed("recording_damaged") from error

    async def hold(self, login: str, recording: str, on: bool, note: str) -> None:
        row = await self._off_loop(lambda: self._archive.get(recording))
        if row["state"] == "deleted":
            raise NotAllowed("recording_deleted")
        interaction, now_ms = row["interaction_id"], self._core.clock.now_ms()
        private = self._core.private
        if on:
            ref = ""
            if note.strip():
                person = private.person_of(private.get(row["party_ref"]) or interaction)
                ref = private.put(person, f"{interaction}.hold.{now_ms}", note.strip())
            fact: Any = f.RecordingsHeld(interaction, login, ref, now_ms)
        else:
            fact = f.RecordingsFreed(interaction, login, now_ms)
        action = "hold_recordings" if on else "free_recordings"
        await self._core.on_record(fact, f.ActionTaken(login, action, interaction, recording, now_ms))
        await self._core.until_in_history()

    def _find(self, wanted: Plain) -> list[Plain]:
        name = wanted.pop("name", "")
        if not name:
            found: list[Plain] = self._archive.find(wanted)
            return found
        with session(reads(self._core.records)) as records:
            named = CustomerService(records, self._core.master).by_name(name, _MOST_NAMED)
            ids = [one.id for one in named if wanted["customer"] in (None, one.id)]
        rows = [row for customer in ids for row in self._archive.find({**wanted, "customer": customer})]
        return sorted(rows, key=lambda row: (-row["started_at_ms"], row["id"]))[:MOST_FOUND]

    def _shown(self, row: Plain) -> Plain:
        titles = self._core.directory.queue_titles()
        people = self._core.directory.people
        return {
            **{name: value for name, value in row.items() if name != "party_ref"},
            "party": national(self._core.private.get(row["party_ref"])),
            "queue_title": titles.get(row["queue"], row["queue"]),
            "agent_name": people[row["agent"]].name if row["agent"] in people else row["agent"],
        }

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._core.executor, work)
