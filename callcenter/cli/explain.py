"""`callcenter explain INTERACTION -c FILE [--language en]`: why it waited, who was considered, why that agent."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

from callcenter.cli.common import parser, settings_or_exit


def main(arguments: list[str]) -> int:
    options_parser = parser("explain", "why an interaction went as it went")
    options_parser.add_argument("interaction", help="id, as in `callcenter report interactions`")
    options_parser.add_argument("--language", choices=["zh", "en"], default="zh")
    options_parser.add_argument("--json", action="store_true")
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    from sqlmodel import select

    from callcenter.directory.people import User
    from callcenter.directory.queues import QueueRecord
    from callcenter.explain import explain, tell
    from callcenter.journal.store import connect
    from crm_core.db import migrate, open_engine, reads, session

    journal = connect(settings.journal.url)
    steps = explain(journal, options.interaction)
    if not steps:
        sys.stderr.write(f"explain: the journal knows no interaction {options.interaction}\n")
        return 1
    if options.json:
        json.dump([step.to_plain() for step in steps], sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return 0
    engine = open_engine(settings.database.url)
    migrate(engine)
    with session(reads(engine)) as records:
        people = {user.login: user.name for user in records.exec(select(User))}
        titles = {queue.name: queue.title or queue.name for queue in records.exec(select(QueueRecord))}
    zone = ZoneInfo(settings.hours.timezone)

    def clock(at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%H:%M:%S")

    for line in tell(steps, options.language, lambda a: people.get(a, a), lambda q: titles.get(q, q), clock):
        sys.stdout.write(line + "\n")
    return 0
