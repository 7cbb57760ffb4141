"""Personal data beside the journal: sealed under a data key per person, found by reference.

A fact carries `ref`; the text lies here. Destroying a person's key (`erase`) empties every field of
that person for ever, and a rebuild gives the same rows without them.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass, field

from callcenter.kernel.envelope import MasterKey, seal, unseal


@dataclass
class Pending:
    """Rows that the next activation has to commit."""

    person_keys: list[tuple[str, bytes]] = field(default_factory=list)
    private: list[tuple[str, str, bytes]] = field(default_factory=list)


class PrivateStore:
    def __init__(self, reader: sqlite3.Connection, master: MasterKey) -> None:
        self._reader, self._master = reader, master
        self._keys: dict[str, bytes] = {}
        self._texts: dict[str, str] = {}
        self._pending = Pending()

    def person_of(self, contact_point: str) -> str:
        """The stable, unreadable id under which a number's or address's data key is kept."""
        return self._master.blind_index("person", contact_point)

    def put(self, person: str, ref: str, text: str) -> str:
        """Keep `text` under `ref`; the row goes out with the next activation. Answers `ref`."""
        sealed = seal(self._key(person), text.encode(), ref.encode())
        self._pending.private.append((ref, person, sealed))
        self._texts[ref] = text
        return ref

    def get(self, ref: str) -> str:
        """The text, or "" where it was erased or never was."""
        if not ref:
            return ""
        if ref in self._texts:
            return self._texts[ref]
        row = self._reader.execute(
            "SELECT p.person, p.sealed, k.wrapped FROM private p JOIN person_keys k USING (person) WHERE ref = ?",
            (ref,),
        ).fetchone()
        if row is None:
            return ""
        person, sealed, wrapped = row
        return unseal(self._master.unwrap(wrapped, person), sealed, ref.encode()).decode()

    def forget_cached(self, refs: list[str]) -> None:
        for ref in refs:
            self._texts.pop(ref, None)

    def take_pending(self) -> Pending:
        taken, self._pending = self._pending, Pending()
        return taken

    def _key(self, person: str) -> bytes:
        key = self._keys.get(person)
        if key is not None:
            return key
        row = self._reader.execute("SELECT wrapped FROM person_keys WHERE person = ?", (person,)).fetchone()
        if row is not None:
            key = self._master.unwrap(row[0], person)
        else:
            key = secrets.token_bytes(32)
            self._pending.person_keys.append((person, self._master.wrap(key, person)))
        if len(self._keys) > 10_000:
            self._keys.clear()
        self._keys[person] = key
        return key


def erase(connection: sqlite3.Connection, person: str) -> bool:
    """Destroy a person's data key; True where there was one."""
    with connection:
        return connection.execute("DELETE FROM person_keys WHERE person = ?", (person,)).rowcount > 0
