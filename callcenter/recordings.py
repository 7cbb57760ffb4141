"""The archive of recordings: found by the fields of their records, opened piece by piece, verified.

A recording is one sealed file (`callcenter/kernel/sealed_file.py`) and one row of history (`recordings`). Whether the
two still agree is what `callcenter recordings verify` tells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from callcenter.journal.database import Database
from callcenter.journal.private import mark_of, stored_key
from callcenter.kernel.envelope import MasterKey
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.sealed_file import KeyName, SealedFile, digest_of
from callcenter.projection import SAVED
from crm_core.db import reads

Plain = dict[str, Any]
MOST_FOUND = 200
_PARTY, _MOST_PARTIES, _NUMBERS = ".party", 500, re.compile(r"\d+")
_LISTED = (
    "SELECT r.id, r.interaction_id, r.kind, r.started_at_ms, r.duration_ms, r.state, r.reason, r.marks, r.held, "
    "r.size, i.number, i.direction, i.agent, "
    "COALESCE(NULLIF(r.queue, ''), i.queue) AS queue, i.customer_id, i.party_ref, i.outcome, i.wrap_up_code "
    "FROM recordings r JOIN interactions i ON i.id = r.interaction_id"
)
_EXACT = {
    "queue": "COALESCE(NULLIF(r.queue, ''), i.queue) = :queue",
    "number": "i.number = :number",
    "direction": "i.direction = :direction",
    "outcome": "i.outcome = :outcome",
    "wrap_up": "i.wrap_up_code = :wrap_up",
    "customer": "i.customer_id = :customer",
    "interaction": "r.interaction_id = :interaction",
    "kind": "r.kind = :kind",
    "state": "r.state = :state",
    "held": "r.held = :held",
    "since_ms": "r.started_at_ms >= :since_ms",
    "until_ms": "r.started_at_ms < :until_ms",
    "longer_ms": "r.duration_ms >= :longer_ms",
    "agent": "EXISTS (SELECT 1 FROM segments s WHERE s.interaction_id = i.id AND s.agent = :agent "
    "AND s.kind IN ('talking', 'held'))",
}
FIELDS = (*_EXACT, "party")


@dataclass(frozen=True, slots=True)
class Opened:
    """A recording that can be read: `read(start, length)` answers plain bytes of its WAV file."""

    size: int
    about: Plain
    read: Callable[[int, int], bytes]


class RecordingArchive:
    """Reads only; every method blocks, and is to run on a helper thread."""

    def __init__(self, engine: Engine, journal: Callable[[], Database], master: MasterKey) -> None:
        self._engine, self._journal, self._master = reads(engine), journal, master

    def find(self, wanted: Plain) -> list[Plain]:
        """Newest first, at most `MOST_FOUND`; `wanted` names any of `FIELDS`. `party`: a number in E.164."""
        given = {name: value for name, value in wanted.items() if name in _EXACT and value not in (None, "")}
        values = {name: int(value) if isinstance(value, bool) else value for name, value in given.items()}
        conditions = [_EXACT[name] for name in values]
        if wanted.get("party"):
            refs = self._refs_of(str(wanted["party"]))
            names = [f"p{number}" for number in range(len(refs))]
            values.update(zip(names, refs, strict=True))
            conditions.append(
                f"i.party_ref IN ({', '.join(f':{name}' for name in names)})" if refs else "1 = 0"
            )
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        query = text(f"{_LISTED}{where} ORDER BY r.started_at_ms DESC, r.id LIMIT {MOST_FOUND}")
        with self._engine.connect() as connection:
            return [_listed(dict(row._mapping)) for row in connection.execute(query, values)]

    def get(self, recording: str) -> Plain:
        """Raises NotAllowed: no_recording."""
        with self._engine.connect() as connection:
            row = connection.execute(text(f"{_LISTED} WHERE r.id = :id"), {"id": recording}).first()
        if row is None:
            raise NotAllowed("no_recording")
        return _listed(dict(row._mapping))

    def open(self, recording: str) -> Opened:
        """Raises NotAllowed: no_recording, recording_deleted, recording_not_ready, recording_erased (the person's key
        was destroyed), recording_damaged."""
        with self._engine.connect() as connection:
            query = text("SELECT file, state FROM recordings WHERE id = :id")
            row = connection.execute(query, {"id": recording}).first()
        if row is None:
            raise NotAllowed("no_recording")
        if row.state != SAVED:
            raise NotAllowed("recording_deleted" if row.state == "deleted" else "recording_not_ready")
        try:
            file = SealedFile(Path(row.file))
            key = self._key(file.key_name)
            if key is None:
                raise NotAllowed("recording_erased")
            about = file.about(key)
        except (OSError, ValueError) as error:
            raise NotAllowed("recording_damaged") from error
        if about.get("name") != recording:
            raise NotAllowed("recording_damaged")  # another file in its place

        def read(start: int, length: int) -> bytes:
            """The key is fetched each time: who was erased meanwhile is heard no more."""
            now = self._key(file.key_name)
            if now is None:
                raise NotAllowed("recording_erased")
            return file.read(now, start, length)

        return Opened(file.size, about, read)

    def _key(self, name: KeyName) -> bytes | None:
        journal = self._journal()
        try:
            key = stored_key(journal, self._master, name.person)
        finally:
            journal.close()
        return key if key is not None and mark_of(key) == name.mark else None

    def _refs_of(self, number: str) -> list[str]:
        journal = self._journal()
        try:
            rows = journal.execute(
                "SELECT ref FROM private WHERE person = ? AND ref LIKE ?",
                (self._master.blind_index("person", number), f"%{_PARTY}"),
            ).fetchall()
        finally:
            journal.close()
        newest = sorted((ref for (ref,) in rows), key=_age, reverse=True)
        return newest[:_MOST_PARTIES]

    def verify(self, deep: bool) -> Iterator[tuple[Plain, str]]:
        """Each saved recording and what is wrong with it: "" (sound), missing, changed, erased, damaged. `deep` opens
        every chunk with its key; otherwise digest and size alone are compared."""
        query = text(
            "SELECT id, interaction_id, file, size, sha256 FROM recordings WHERE state = :s ORDER BY id"
        )
        with self._engine.connect() as connection:
            for row in connection.execute(query, {"s": SAVED}):
                yield dict(row._mapping), self._fault(dict(row._mapping), deep)

    def count(self) -> int:
        """How many `verify` looks at."""
        with self._engine.connect() as connection:
            query = text("SELECT COUNT(*) FROM recordings WHERE state = :s")
            return int(connection.execute(query, {"s": SAVED}).scalar_one())

    def _fault(self, row: Plain, deep: bool) -> str:
        path = Path(row["file"])
        try:
            if path.stat().st_size != row["size"] or digest_of(path) != row["sha256"]:
                return "changed"
            if not deep:
                return ""
            file = SealedFile(path)
            key = self._key(file.key_name)
            if key is None:
                return "erased"
            if file.about(key).get("name") != row["id"]:
                return "changed"
            for start in range(0, max(1, file.size), 1 << 20):
                file.read(key, start, 1 << 20)
        except FileNotFoundError:
            return "missing"
        except (OSError, ValueError):
            return "damaged"
        return ""

    def strays(self, folder: Path) -> list[Path]:
        """Sealed files that no record names."""
        with self._engine.connect() as connection:
            known = {row.file for row in connection.execute(text("SELECT file FROM recordings"))}
        return [path for path in sorted(folder.glob("*.sealed")) if str(path) not in known]


def _age(ref: str) -> tuple[int, ...]:
    """Of a party's reference by epoch and number; greater ones are younger."""
    return tuple(map(int, _NUMBERS.findall(ref)))


def _listed(row: Plain) -> Plain:
    row["marks"] = json.loads(row["marks"] or "[]")
    row["held"] = bool(row["held"])
    return row
