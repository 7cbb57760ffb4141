"""Personal data beside the journal: sealed under a data key per person, found by reference.

A fact carries `ref`; the text lies here. Destroying a person's key (`erase`) empties every field of
that person for ever, and a rebuild gives the same rows without them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

from callcenter.journal.database import Database
from callcenter.kernel.envelope import MasterKey, seal, unseal
from callcenter.kernel.sealed_file import KeyName

V = TypeVar("V")
_REMEMBERED = 4_000
_MARK_BYTES = 8
_BY_REF = (
    "SELECT p.person, p.sealed, k.wrapped FROM private p JOIN person_keys k USING (person) WHERE p.ref = ?"
)


@dataclass
class Pending:
    """Rows that the next activation has to commit."""

    person_keys: list[tuple[str, bytes]] = field(default_factory=list)
    private: list[tuple[str, str, bytes]] = field(default_factory=list)


class PrivateStore:
    """What is not committed yet is kept here for certain; of the rest the latest few thousand."""

    def __init__(self, reader: Database, master: MasterKey) -> None:
        self._reader, self._master = reader, master
        self._fresh_keys: dict[str, bytes] = {}
        self._fresh: dict[str, tuple[str, str]] = {}
        """ref -> (person, text), until `saved`"""
        self._fresh_bytes: dict[str, tuple[str, bytes]] = {}
        self._keys: OrderedDict[str, bytes] = OrderedDict()
        self._texts: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._pending = Pending()

    def person_of(self, contact_point: str) -> str:
        """The stable, unreadable id under which a number's or address's data key is kept."""
        return self._master.blind_index("person", contact_point)

    def put(self, person: str, ref: str, text: str) -> str:
        """Keep `text` under `ref`; the row goes out with the next activation. Answers `ref`."""
        key = self._key(person)
        sealed = _mark(key) + seal(key, text.encode(), ref.encode())
        self._pending.private.append((ref, person, sealed))
        self._fresh[ref] = (person, text)
        self._texts.pop(ref, None)
        return ref

    def put_bytes(self, person: str, ref: str, data: bytes) -> str:
        """As `put`, for what is large: once it is committed it is read from the disk, not kept in memory."""
        key = self._key(person)
        self._pending.private.append((ref, person, _mark(key) + seal(key, data, ref.encode())))
        self._fresh_bytes[ref] = (person, data)
        return ref

    def get_bytes(self, ref: str) -> bytes | None:
        """None where it was erased or never was."""
        known = self._fresh_bytes.get(ref)
        if known is not None:
            return known[1]
        opened = self._open(ref)
        return opened[1] if opened is not None else None

    def has(self, ref: str) -> bool:
        """Is something kept under this name, opened or not?"""
        if ref in self._fresh or ref in self._fresh_bytes:
            return True
        return self._reader.execute("SELECT 1 FROM private WHERE ref = ?", (ref,)).fetchone() is not None

    def owner(self, ref: str) -> str:
        """The person under whose key it lies; "" where there is nothing."""
        known = self._fresh.get(ref) or self._texts.get(ref) or self._fresh_bytes.get(ref)
        if known is not None:
            return known[0]
        row = self._reader.execute("SELECT person FROM private WHERE ref = ?", (ref,)).fetchone()
        return str(row[0]) if row is not None else ""

    def get(self, ref: str) -> str:
        """The text, or "" where it was erased or never was."""
        if not ref:
            return ""
        known = self._fresh.get(ref) or self._texts.get(ref)
        if known is not None:
            return known[1]
        opened = self._open(ref)
        if opened is None:
            return ""
        person, data = opened
        text = data.decode()
        _remember(self._texts, ref, (person, text))
        return text

    def _open(self, ref: str) -> tuple[str, bytes] | None:
        """(person, content) as it is committed."""
        row = self._reader.execute(_BY_REF, (ref,)).fetchone()
        if row is None:
            return None
        person, sealed, wrapped = row
        key = self._master.unwrap(wrapped, person)
        if not hmac.compare_digest(sealed[:_MARK_BYTES], _mark(key)):
            return None  # sealed under a key that was destroyed; the person has come back since
        return person, unseal(key, sealed[_MARK_BYTES:], ref.encode())

    def sealing_key(self, person: str) -> tuple[bytes, KeyName]:
        """The key under which this person's files are sealed; a new one is committed with the next activation."""
        key = self._key(person)
        return key, KeyName(person, mark_of(key))

    def opening_key(self, name: KeyName) -> bytes | None:
        """The key of a sealed file; None where it was destroyed with the person."""
        key = self._fresh_keys.get(name.person) or stored_key(self._reader, self._master, name.person)
        return key if key is not None and mark_of(key) == name.mark else None

    def forget(self, person: str) -> None:
        """The person was erased: no key and no text of theirs stays in memory."""
        self._keys.pop(person, None)
        self._fresh_keys.pop(person, None)
        for kept in (self._fresh, self._texts, self._fresh_bytes):
            for ref in [ref for ref, (whose, _) in kept.items() if whose == person]:
                del kept[ref]

    def take_pending(self) -> Pending:
        taken, self._pending = self._pending, Pending()
        return taken

    def saved(self, pending: Pending) -> None:
        """These rows are committed; from now on they may be read back instead of being kept."""
        for person, _ in pending.person_keys:
            key = self._fresh_keys.pop(person, None)
            if key is not None:
                _remember(self._keys, person, key)
        for ref, _, _ in pending.private:
            self._fresh_bytes.pop(ref, None)
            known = self._fresh.pop(ref, None)
            if known is not None:
                _remember(self._texts, ref, known)

    def _key(self, person: str) -> bytes:
        key = self._fresh_keys.get(person) or self._keys.get(person)
        if key is not None:
            return key
        key = stored_key(self._reader, self._master, person)
        if key is not None:
            _remember(self._keys, person, key)
        else:
            key = secrets.token_bytes(32)
            self._pending.person_keys.append((person, self._master.wrap(key, person)))
            self._fresh_keys[person] = key
        return key


def stored_key(reader: Database, master: MasterKey, person: str) -> bytes | None:
    """A person's data key as it is committed; None where it was destroyed or never was."""
    row = reader.execute("SELECT wrapped FROM person_keys WHERE person = ?", (person,)).fetchone()
    return master.unwrap(row[0], person) if row is not None else None


def mark_of(key: bytes) -> str:
    """As it stands in the header of a sealed file."""
    return _mark(key).hex()


def _mark(key: bytes) -> bytes:
    """Tells which of a person's keys sealed a text."""
    return hashlib.sha256(b"mark" + key).digest()[:_MARK_BYTES]


def _remember(cache: OrderedDict[str, V], key: str, value: V) -> None:
    cache[key] = value
    if len(cache) > _REMEMBERED:
        cache.popitem(last=False)


def erase(connection: Database, person: str) -> bool:
    """Destroy a person's data key; True where there was one. Rows stay in their place and open no more, even
    when the person comes back and gets a new key."""
    with connection:
        gone: int = connection.execute("DELETE FROM person_keys WHERE person = ?", (person,)).rowcount
        return gone > 0
