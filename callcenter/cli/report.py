"""`callcenter report interactions | service -c FILE [--since T] [--until T] [--format json|table]`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import datetime
from typing import Any

from callcenter.cli.common import parser, settings_or_exit

_COLUMNS = ("id", "number", "caller", "queue", "agent", "arrived_at", "answered_at", "ended_at", "outcome")


_SERVICE = (
    "queue",
    "target_s",
    "offered",
    "answered",
    "abandoned",
    "short_abandoned",
    "service_level",
    "asa_ms",
)


def _moment(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 moment; without a zone it is this computer's."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected ISO 8601, such as 2026-11-28T08:00+08:00, not {text!r}"
        ) from error


def _service(engine: Any, settings: Any, options: argparse.Namespace) -> int:
    """As the wallboard shows it, for any interval."""
    from callcenter.directory.queues import QueueService
    from callcenter.service import figures, start_of_day_ms
    from crm_core.db import reads, session

    until_ms = options.until or int(time.time() * 1000)
    since_ms = options.since or start_of_day_ms(until_ms, settings.hours.timezone)
    with session(reads(engine)) as records:
        targets_s = {queue.name: queue.target_s for queue in QueueService(records).all()}
    rows = [one.to_plain() for one in figures(engine, since_ms, until_ms, targets_s)]
    if options.format == "json":
        json.dump(
            {"since_ms": since_ms, "until_ms": until_ms, "queues": rows},
            sys.stdout,
            ensure_ascii=False,
            indent=1,
        )
        sys.stdout.write("\n")
    else:
        _print(_SERVICE, rows)
    return 0


def main(arguments: list[str]) -> int:
    options_parser = parser("report", "history as JSON or a table")
    options_parser.add_argument("what", choices=["interactions", "service"])
    options_parser.add_argument(
        "--since", type=_moment, help="ISO 8601; service: midnight where it is not given"
    )
    options_parser.add_argument("--until", type=_moment, help="ISO 8601; service: now where it is not given")
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
    if options.what == "service":
        return _service(engine, settings, options)
    master = MasterKey.load(settings.paths.var / "keys" / "master.key")
    rows = list(report_interactions(engine, PrivateStore(connect(settings.journal.url), master)))
    if options.format == "json":
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return 0
    _print(_COLUMNS, rows)
    return 0


def _print(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    Console().print(table)
