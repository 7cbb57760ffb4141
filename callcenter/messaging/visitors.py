"""What a visitor of the chat does beside writing: files, a rating, the transcript by mail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.live.host import Host
from callcenter.messaging.archive import MessageSearch
from callcenter.messaging.conversations import FLOW, WRAPPING
from callcenter.messaging.desk import WrittenDesk
from callcenter.messaging.mail_desk import MailDesk
from callcenter.messaging.templates import TRANSCRIPT
from callcenter.messaging.uploads import Uploads

_BEST = 5
_SAFE_S = 10.0


class Visitors:
    def __init__(
        self,
        host: Host,
        desk: WrittenDesk,
        uploads: Uploads,
        search: MessageSearch,
        mail: MailDesk | None,
        executor: Executor,
        name_of: Callable[[str], str],
        when: Callable[[int], str],
    ) -> None:
        """`mail`: None where no mail goes out, then there are no transcripts; `when`: a moment as people read it."""
        self._host, self._desk, self._uploads, self._search = host, desk, uploads, search
        self._mail, self._executor, self._name_of, self._when = mail, executor, name_of, when
        self._book = host.book.written

    @property
    def most_file_bytes(self) -> int:
        return self._uploads.most_bytes

    async def receive_file(self, interaction: str, client: str, name: str, data: bytes) -> int:
        """As the port says."""
        conversation = self._book.open.get(interaction)
        if conversation is None or conversation.state == WRAPPING:
            raise NotAllowed("conversation_over")
        kept = await self._uploads.take(self._desk.person(conversation), name, data)
        safe: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def committed(n: int) -> None:
            if not safe.done():
                safe.set_result(n)

        self._desk.receive(interaction, client, "", committed, [kept])
        try:
            return await asyncio.wait_for(safe, _SAFE_S)
        except TimeoutError as error:
            raise NotAllowed("not_safe") from error

    def file(self, interaction: str, n: int, number: int) -> tuple[str, str, bytes]:
        """As the port says."""
        conversation = self._book.open.get(interaction)
        if conversation is None or not 1 <= n <= min(
            len(conversation.messages), self._desk.committed(interaction)
        ):
            raise NotAllowed("no_such_file")
        files = self._desk.files.listed(conversation.messages[n - 1].files_ref)
        data = self._desk.files.content(files[number].ref) if 0 <= number < len(files) else None
        if data is None:
            raise NotAllowed("no_such_file")
        return files[number].type, files[number].name, data

    def rate(self, interaction: str, stars: int) -> None:
        """As the port says."""
        if not 1 <= stars <= _BEST:
            raise NotAllowed("invalid")
        self._host.submit(f.ConversationRated(interaction, stars, self._host.clock.now_ms()))

    async def transcript(self, interaction: str, to: str) -> None:
        """As the port says."""
        if self._mail is None:
            raise NotAllowed("no_mail")
        conversation = self._book.open.get(interaction)
        language = conversation.language if conversation is not None else "zh"
        rows: list[dict[str, Any]] = self._desk.thread(interaction, 0)
        if not rows:
            found = await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: self._search.history([interaction])
            )
            rows = [{**row, "by": row["writer"], "name": self._name_of(row["writer"])} for row in found]
        if not rows:
            raise NotAllowed("conversation_over")
        lines = [f"{self._when(row['at_ms'])}  {_who(row, language)}：{row['text']}" for row in rows]
        self._mail.write(
            to.strip().lower(), TRANSCRIPT, language, when=self._when(rows[0]["at_ms"]), text="\n".join(lines)
        )


def _who(row: dict[str, Any], language: str) -> str:
    words = {"zh": ("您", "智能助手"), "en": ("You", "Assistant")}[language if language == "en" else "zh"]
    if row["by"] in ("customer", ""):
        return words[0]
    return words[1] if row["by"] == FLOW else str(row["name"])
