"""Mail as pages show it: HTML in a frame that can do nothing, pictures from the net on demand alone, files, and what a
supervisor sees of the post."""

from __future__ import annotations

import base64
import html
import json
from typing import Any

import nh3

from callcenter.kernel.errors import NotAllowed
from callcenter.messaging.conversations import Conversation, Message
from callcenter.messaging.files import Kept
from channels.email.html import clean_arguments
from channels.files import safe_name, type_of

Plain = dict[str, Any]
_MOST_SHOWN = 4_000_000
"""bytes of pictures that one mail shows"""
_PAGE = (
    '<!doctype html><html><head><meta charset="utf-8"><base target="_blank"><style>'
    "body{{font:14px/1.6 system-ui,'PingFang SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:#1d2733;"
    "background:#fff;margin:12px;overflow-wrap:anywhere}}img{{max-width:100%;height:auto}}"
    "blockquote{{margin:.5em 0 .5em .2em;padding-left:.8em;border-left:3px solid #c9d2dc;color:#50606f}}"
    "table{{max-width:100%}}</style></head><body>{body}</body></html>"
)
FRAME_POLICY = "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:{more}"


class Letters:
    """`core` is the bootstrap's core."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._desk, self._book = core.written, core.host.book.written
        self._files = core.written.files

    @property
    def _mail(self) -> Any:
        if self._core.mail is None:
            raise NotAllowed("no_mail")
        return self._core.mail

    @property
    def outbox(self) -> Any:
        """Raises NotAllowed: no_mail."""
        return self._mail.outbox

    @property
    def desk(self) -> Any:
        """Raises NotAllowed: no_mail."""
        return self._mail.desk

    def head(self, conversation: Conversation) -> Plain:
        """What stands above a mail conversation."""
        last, head, _at_ms = self._mail.desk.last_mail(conversation)
        return {
            "subject": self._core.private.get(conversation.subject_ref),
            "from": str(head.get("from", "")),
            "name": str(head.get("name", "")),
            "reply_to": str(head.get("reply_to", "")),
            "cc": list(head.get("cc", ())),
            "proof": dict(head.get("proof", {})),
            "last": last,
        }

    def surroundings(self, message: Message) -> Plain:
        """Of one message, for a page."""
        text = self._core.private.get(message.head_ref)
        head: Plain = json.loads(text) if text else {}
        return {
            "from": str(head.get("from", "")),
            "to": list(head.get("to", ())),
            "cc": list(head.get("cc", ())),
            "subject": str(head.get("subject", "")),
            "proof": dict(head.get("proof", {})),
            "html": bool(head.get("html")),
            "quoted": bool(head.get("quoted")),
            "defects": list(head.get("defects", ())),
            "automatic": bool(head.get("automatic", False)),
        }

    def answer(self, agent: str, interaction: str) -> Plain:
        """To whom and about what an answer would go, and beginnings to pick from."""
        conversation = self._theirs(agent, interaction)
        head = self._mail.desk.reply_head(conversation)
        names = {
            "customer": self._core.panel.chats.party(conversation),
            "agent": self._core.directory.name_of(agent),
            "reference": head["reference"],
            "queue": self._core.directory.queue_titles().get(conversation.queue, ""),
        }
        templates = self._mail.desk.templates
        return {
            "to": head["to"],
            "subject": head["subject"],
            "reference": head["reference"],
            "answers": [
                {
                    "title": one.title,
                    "text": templates.render_text(
                        one.en if conversation.language == "en" else one.zh, **names
                    ),
                }
                for one in self._mail.settings.answers
            ],
        }

    def page(self, agent: str, interaction: str, message: str, remote: bool) -> tuple[str, str]:
        """(HTML of a mail, the policy it is shown under). Raises NotAllowed: not_yours, no_such_mail."""
        found = self._message(agent, interaction, message)
        head = json.loads(self._core.private.get(found.head_ref) or "{}")
        body = self._core.private.get(str(head.get("html", "")))
        if not body:
            raise NotAllowed("no_such_mail")
        pictures = self._pictures(self._files.listed(found.files_ref))

        def shown(tag: str, name: str, value: str) -> str | None:
            if tag != "img" or name != "src":
                return value
            if value.startswith("cid:"):
                return pictures.get(value[4:])
            return value if remote and value.startswith(("https://", "http://")) else None

        arguments = clean_arguments()
        arguments["url_schemes"] = arguments["url_schemes"] | {"data"}
        filtered = nh3.clean(body, attribute_filter=shown, **arguments)
        return _PAGE.format(body=filtered), FRAME_POLICY.format(more=" https: http:" if remote else "")

    def _pictures(self, files: list[Kept]) -> dict[str, str]:
        """Content-ID -> the picture itself."""
        found: dict[str, str] = {}
        left = _MOST_SHOWN
        for one in files:
            if one.content_id and one.shown and one.size <= left:
                data = self._files.content(one.ref)
                if data is not None:
                    left -= len(data)
                    found[one.content_id] = f"data:{one.type};base64,{base64.b64encode(data).decode()}"
        return found

    def raw(self, agent: str, interaction: str, message: str) -> bytes:
        """A mail as it came. Raises NotAllowed: not_yours, no_such_mail."""
        found = self._message(agent, interaction, message)
        head = json.loads(self._core.private.get(found.head_ref) or "{}")
        data: bytes = self._mail.desk.raw(str(head.get("mail", "")))[0]
        if not data:
            raise NotAllowed("no_such_mail")
        return data

    def file(self, agent: str, interaction: str, message: str, number: int) -> tuple[Kept, bytes]:
        """Raises NotAllowed: not_yours, no_such_file."""
        found = self._message(agent, interaction, message)
        files = self._files.listed(found.files_ref)
        if not 0 <= number < len(files) or files[number].trouble:
            raise NotAllowed("no_such_file")
        data = self._files.content(files[number].ref)
        if data is None:
            raise NotAllowed("no_such_file")
        return files[number], data

    async def upload(self, agent: str, interaction: str, name: str, data: bytes) -> Plain:
        """A file that the agent is about to send. Raises NotAllowed: not_yours, and why it is not taken."""
        conversation = self._theirs(agent, interaction)
        kept = await self._core.uploads.take(self._desk.person(conversation), name, data)
        return {"ref": kept.ref, "name": kept.name, "type": kept.type, "size": kept.size}

    def chosen(self, conversation: Conversation, files: list[Plain]) -> list[Kept]:
        """What an agent encloses; only what was brought for this customer. Raises NotAllowed: no_such_file."""
        person, found = self._desk.person(conversation), []
        for one in files:
            data = self._files.content(one["ref"])
            if data is None or self._core.private.owner(one["ref"]) != person:
                raise NotAllowed("no_such_file")
            name = safe_name(one["name"])
            found.append(Kept(one["ref"], name, type_of(data, name), len(data)))
        return found

    # --- the post, for supervisors -----------------------------------------------------------------

    def post(self) -> Plain:
        """Letters that nobody took, those that wait, mail that waits to be read or was kept out."""
        letters, outbox = self._core.host.book.letters, self._mail.outbox
        now_ms = self._core.clock.now_ms()
        oldest = next(iter(letters.unread.values()), now_ms)
        waiting = [outbox.shown(one) for one in letters.outbox.values() if one.state == "waiting"]
        return {
            "unread": len(letters.unread),
            "unread_ms": now_ms - oldest,
            "dead": [outbox.shown(one) for one in letters.dead],
            "waiting": waiting[:200],
            "kept_out": [
                {"mail": one.mail, "kind": one.kind, "at_ms": one.at_ms, **self._kept_out(one.head_ref)}
                for one in reversed(letters.kept_out.values())
            ][:200],
        }

    def _kept_out(self, head_ref: str) -> Plain:
        head = json.loads(self._core.private.get(head_ref) or "{}")
        return {"from": html.unescape(str(head.get("from", ""))), "subject": str(head.get("subject", ""))}

    # --- inside ------------------------------------------------------------------------------------

    def _theirs(self, agent: str, interaction: str) -> Conversation:
        conversation: Conversation | None = self._book.open.get(interaction)
        if conversation is None or conversation.agent != agent:
            raise NotAllowed("not_yours")
        return conversation

    def _message(self, agent: str, interaction: str, message: str) -> Message:
        conversation = self._theirs(agent, interaction)
        found = next((one for one in conversation.messages if one.id == message), None)
        if found is None:
            raise NotAllowed("no_such_mail")
        return found
