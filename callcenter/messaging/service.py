"""The parts of e-mail, joined for the core."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callcenter.messaging.files import Files
from callcenter.messaging.mail_desk import MailDesk, MailRules
from callcenter.messaging.outbox import Outbox
from callcenter.messaging.post_room import PostRoom
from callcenter.messaging.references import References
from callcenter.messaging.templates import ACKNOWLEDGED, CLOSED, SIGNATURE, Templates
from channels.email.adapter import EmailChannel
from config.written import Email


def as_people_read(at_ms: int) -> str:
    """A moment, in the time of this machine."""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True, slots=True)
class MailService:
    desk: MailDesk
    outbox: Outbox
    channel: EmailChannel
    post_room: PostRoom
    files: Files
    settings: Email

    @classmethod
    def of(cls, core: Any) -> MailService | None:
        """`core` is the bootstrap's; None where no address is ours."""
        settings: Email = core.settings.email
        if not settings.on:
            return None
        own = {
            name: words.model_dump()
            for name, words in (
                (ACKNOWLEDGED, settings.acknowledged),
                (CLOSED, settings.acknowledged_closed),
                (SIGNATURE, settings.signature),
            )
            if words is not None
        }
        templates, files = Templates(own, settings.name), Files(core.private)
        references = References(core.master.blind_index)
        domain = settings.addresses[0].partition("@")[2]
        desk = MailDesk(
            core.host,
            core.ids,
            core.written,
            references,
            templates,
            files,
            core.hours,
            core.directory.name_of,
            core.master.blind_index,
            MailRules(
                settings.addresses,
                lambda: settings.default_queue or core.directory.default_queue,
                settings.rules,
                settings.acknowledge,
            ),
        )
        outbox = Outbox(
            core.host,
            references,
            templates,
            files,
            settings.name,
            settings.bounces,
            domain,
            settings.retry_s,
            as_people_read,
        )
        channel = EmailChannel(settings, desk, domain)
        post_room = PostRoom(core.host, desk, outbox, channel, core.lookups.by_email, settings.readers)
        return cls(desk, outbox, channel, post_room, files, settings)

    async def stop(self) -> None:
        await self.post_room.stop()
        await self.channel.stop()
