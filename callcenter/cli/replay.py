"""`callcenter replay -c FILE [--json]`: every activation of the journal again, through the engine as it is installed;
does it decide the same?"""

from __future__ import annotations

import json
import sys
import time

from callcenter.cli.common import parser, settings_or_exit

_SHOWN = 20


def main(arguments: list[str]) -> int:
    options_parser = parser("replay", "the journal again, through the engine as it is installed")
    options_parser.add_argument("--json", action="store_true")
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    from callcenter.explain import replay
    from callcenter.journal.store import connect, rows_after

    if not settings.journal.path.is_file():
        sys.stderr.write(f"replay: no journal at {settings.journal.path}\n")
        return 1
    started, activations, different = time.perf_counter(), 0, []
    for row, _engine, commands in replay(rows_after(connect(settings.journal.path), 0)):
        activations += 1
        if json.loads(json.dumps(commands)) != json.loads(json.dumps(row.commands)):
            different.append(row.seq)
    seconds = round(time.perf_counter() - started, 2)
    if options.json:
        json.dump({"activations": activations, "different": different, "seconds": seconds}, sys.stdout)
        sys.stdout.write("\n")
    else:
        told = "identical" if not different else f"{len(different)} differ: {different[:_SHOWN]}"
        sys.stdout.write(f"{activations} activations in {seconds} s: {told}\n")
    return 1 if different else 0
