"""`callcenter replay -c FILE [--policy NEW.toml] [--json]`: every activation of the journal again, through the engine
as it is installed; does it decide the same? With a policy: the recorded arrivals again under other rules, and what that
would have changed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from callcenter.cli.common import parser, settings_or_exit
from callcenter.journal.database import Database

_SHOWN = 20


def main(arguments: list[str]) -> int:
    options_parser = parser("replay", "the journal again, through the engine as it is installed")
    options_parser.add_argument("--policy", metavar="FILE", help="rules to try on what was recorded")
    options_parser.add_argument("--json", action="store_true")
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    from callcenter.journal.store import connect

    if settings.journal.path is not None and not settings.journal.path.is_file():
        sys.stderr.write(f"replay: no journal at {settings.journal.path}\n")
        return 1
    journal = connect(settings.journal.url)
    if options.policy:
        return _under(journal, Path(options.policy), options.json)
    return _identically(journal, options.json)


def _identically(journal: Database, as_json: bool) -> int:
    from callcenter.journal.store import rows_after
    from callcenter.replaying import replay

    started, activations, different = time.perf_counter(), 0, []
    for step in replay(rows_after(journal, 0)):
        activations += 1
        if json.loads(json.dumps(step.plain)) != json.loads(json.dumps(step.row.commands)):
            different.append(step.row.seq)
    seconds = round(time.perf_counter() - started, 2)
    if as_json:
        json.dump({"activations": activations, "different": different, "seconds": seconds}, sys.stdout)
        sys.stdout.write("\n")
    else:
        told = "identical" if not different else f"{len(different)} differ: {different[:_SHOWN]}"
        sys.stdout.write(f"{activations} activations in {seconds} s: {told}\n")
    return 1 if different else 0


def _under(journal: Database, policy: Path, as_json: bool) -> int:
    """The recorded arrivals, once under the recorded policy and once under the other: what differs is the policy's."""
    from callcenter.cli.simulate import print_comparison
    from callcenter.journal.store import rows_after
    from callcenter.policies import overlay
    from callcenter.simulation import figures
    from callcenter.simulation.recorded import record
    from config.policy import PolicyError, read_policy

    try:
        file, _text = read_policy(policy)
        recording = record(rows_after(journal, 0))
        before = recording.simulation().run()
        after = recording.simulation(lambda base: overlay(base, file) if base.queues else base).run()
    except PolicyError as error:
        sys.stderr.write(f"replay: {error}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"replay: {policy}: {error}\n")
        return 2
    found = {"before": figures([before]), "after": figures([after])}
    if as_json:
        json.dump(found, sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        print_comparison(found["before"], found["after"])
    return 0
