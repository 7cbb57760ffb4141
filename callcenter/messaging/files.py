"""Files that belong to messages: their content once for each person, under its hash and that person's key, so that it
goes when the person does; what a message says of them is a list of maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from callcenter.journal.private import PrivateStore
from channels.email.mail import File
from channels.files import PICTURES

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that lies in the store."""

    ref: str
    name: str
    type: str
    size: int
    content_id: str = ""
    inline: bool = False
    trouble: str = ""

    @property
    def shown(self) -> bool:
        """A picture that pages show; everything else is downloaded."""
        return self.type in PICTURES and not self.trouble


class Files:
    def __init__(self, private: PrivateStore) -> None:
        self._private = private

    def keep(self, person: str, data: bytes) -> str:
        """Answers its name; the same content of the same person is kept once."""
        ref = f"f.{hashlib.sha256(person.encode() + b'/' + hashlib.sha256(data).digest()).hexdigest()[:40]}"
        if self._private.get_bytes(ref) is None:  # not there, or erased with the person, who has come back
            self._private.put_bytes(person, ref, data)
        return ref

    def keep_all(self, person: str, files: Iterable[File]) -> list[Kept]:
        """Of a mail. What was refused is named, without content."""
        return [
            Kept(
                self.keep(person, one.data) if not one.trouble else "",
                one.name,
                one.type,
                one.size,
                one.content_id,
                one.inline,
                one.trouble,
            )
            for one in files
        ]

    def content(self, ref: str) -> bytes | None:
        return self._private.get_bytes(ref) if ref.startswith("f.") else None

    def listed(self, files_ref: str) -> list[Kept]:
        text = self._private.get(files_ref)
        return [Kept(**one) for one in json.loads(text)] if text else []

    def list_under(self, person: str, ref: str, files: Sequence[Kept]) -> str:
        """Answers the ref of the list; "" where there is no file."""
        if not files:
            return ""
        rows = [
            {
                name: getattr(one, name)
                for name in ("ref", "name", "type", "size", "content_id", "inline", "trouble")
            }
            for one in files
        ]
        return self._private.put(person, ref, json.dumps(rows, ensure_ascii=False))
