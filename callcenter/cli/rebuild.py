"""`callcenter rebuild -c FILE`: `interactions` and `segments` anew from the journal, centre stopped."""

from __future__ import annotations

import json
import sys

from callcenter.cli.common import parser, settings_or_exit


def main(arguments: list[str]) -> int:
    options_parser = parser("rebuild", "history anew from the journal")
    options_parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    from rich.progress import Progress

    from callcenter.cli.status import gather
    from callcenter.history import rebuild
    from callcenter.journal.private import PrivateStore
    from callcenter.journal.store import connect
    from callcenter.kernel.envelope import MasterKey
    from callcenter.messaging.archive import Index, MessageFold
    from crm_core.db import migrate, open_engine

    if gather(settings.run_dir)["core"]["pid"]:
        sys.stderr.write("rebuild: the core is running; stop the centre first\n")
        return 1
    engine = open_engine(settings.database.url)
    migrate(engine)
    journal, master = (
        connect(settings.journal.url),
        MasterKey.load(settings.paths.var / "keys" / "master.key"),
    )
    messages = MessageFold(PrivateStore(journal, master).get, Index(master.index_key("messages")))
    with Progress(disable=options.json or not sys.stderr.isatty()) as progress:
        task = progress.add_task("facts", total=None)
        facts, rows, seconds = rebuild(
            engine, journal, lambda done: progress.update(task, completed=done), messages
        )
    rate = round(facts / seconds) if seconds else 0
    if options.json:
        sys.stdout.write(
            json.dumps({"facts": facts, "interactions": rows, "seconds": seconds, "rate": rate}) + "\n"
        )
    else:
        sys.stdout.write(f"{facts} facts into {rows} interactions in {seconds:.2f} s ({rate} facts/s)\n")
    return 0
