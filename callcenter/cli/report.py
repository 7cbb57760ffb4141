"""`callcenter report interactions -c FILE [--format json|table]`."""

from __future__ import annotations

import json
import sys

from callcenter.cli.common import parser, settings_or_exit

_COLUMNS = ("id", "number", "caller", "queue", "agent", "arrived_at", "answered_at", "ended_at", "outcome")


def main(arguments: list[str]) -> int:
    options_parser = parser("report", "history as JSON or a table")
    options_parser.add_argument("what", choices=["interactions"])
    options_parser.add_argument("--format", choices=["json", "table"], default="table")
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    from callcenter.journal.private import PrivateStore
    from callcenter.journal.store import connect
    from callcenter.kernel.envelope import MasterKey
    from callcenter.queries import report_interactions
    from crm_core.db import migrate, open_engine

    engine = open_engine(settings.database.url)
    migrate(engine)
    master = MasterKey.load(settings.paths.var / "keys" / "master.key")
    rows = list(report_interactions(engine, PrivateStore(connect(settings.journal.path), master)))
    if options.format == "json":
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(*_COLUMNS)
    for row in rows:
        table.add_row(*(str(row[column] or "") for column in _COLUMNS))
    Console().print(table)
    return 0
