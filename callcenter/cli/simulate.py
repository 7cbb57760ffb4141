"""`callcenter simulate SCENARIO.toml [--json] [--svg FILE]`: what a day would be like, decided by the engine itself."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="callcenter simulate", description="a day of the hotline on paper")
    parser.add_argument("scenario", help="TOML file: queues, arrivals, agents (see docs/scenarios)")
    parser.add_argument("--replications", type=int, help="instead of what the scenario says")
    parser.add_argument(
        "--policy", metavar="FILE", help="rules over those of the scenario, and compare the two"
    )
    parser.add_argument("--svg", metavar="FILE", help="draw waits and occupancy over the day")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    from pydantic import ValidationError

    from callcenter.policies import overlay_file
    from callcenter.simulation import Scenario, simulate
    from callcenter.simulation.drawing import draw
    from config.policy import PolicyError, read_toml, where

    path, text = Path(options.scenario), ""
    try:
        text, raw = read_toml(path)
        if options.replications is not None:
            raw["replications"] = options.replications
        scenario = Scenario.model_validate(raw)
        other = overlay_file(scenario.policy(), Path(options.policy)) if options.policy else None
    except PolicyError as error:
        sys.stderr.write(f"simulate: {error}\n")
        return 2
    except ValidationError as error:
        sys.stderr.write(f"simulate: {where(path, text, error)}\n")
        return 2
    started = time.perf_counter()
    total = scenario.replications * (1 if other is None else 2)
    found = simulate(scenario, _progress(0, total))
    if other is not None:
        found = {"before": found, "after": simulate(scenario, _progress(scenario.replications, total), other)}
    found["seconds"] = round(time.perf_counter() - started, 2)
    if options.svg:
        Path(options.svg).write_text(draw(found.get("after", found)["course"]), encoding="utf-8")
    if options.json:
        json.dump(found, sys.stdout, indent=1)
        sys.stdout.write("\n")
    elif other is not None:
        print_comparison(found["before"], found["after"])
    else:
        print_figures(found)
    return 0


def _progress(begun: int, total: int) -> Any:
    def told(done: int) -> None:
        if sys.stderr.isatty():
            done += begun
            sys.stderr.write(f"\r{done}/{total} " + ("\n" if done == total else ""))

    return told


_COLUMNS = (
    *(("offered", "offered", 1, ""), ("service_level", "SL", 100, "%"), ("asa_s", "ASA", 1, "s")),
    *(("p90_s", "p90", 1, "s"), ("waited", "waited", 100, "%"), ("abandoned", "left", 100, "%")),
    ("refused", "refused", 100, "%"),
)
"""measure, heading, factor, unit"""


def print_figures(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    headings = [f"{heading} {unit}".strip() for _name, heading, _factor, unit in _COLUMNS]
    table = Table("queue", *headings)
    for queue, measures in [*found["queues"].items(), ("all", found["all"])]:
        cells = (measures[name] for name, *_rest in _COLUMNS)
        factors = (factor for _name, _heading, factor, _unit in _COLUMNS)
        table.add_row(queue, *(_cell(one, factor) for one, factor in zip(cells, factors, strict=True)))
    Console().print(table)
    sys.stdout.write(
        f"occupancy {_cell(found['occupancy'], 100)} %; spread of the agents' occupancies "
        f"{_cell(found['unfairness'], 100)} %; {found['contacts']} contacts in {found['replications']} replications\n"
    )


def print_comparison(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Two policies over the same arrivals."""
    from rich.console import Console
    from rich.table import Table

    table = Table("queue", "", *(f"{heading} {unit}".strip() for _n, heading, _f, unit in _COLUMNS))
    for queue in [*after["queues"], "all"]:
        for title, found in (("before", before), ("after", after)):
            measures = found["all"] if queue == "all" else found["queues"].get(queue)
            if measures is not None:
                cells = (_cell(measures[name], factor) for name, _h, factor, _u in _COLUMNS)
                table.add_row(queue if title == "before" else "", title, *cells)
    Console().print(table)
    for name in ("occupancy", "unfairness"):
        sys.stdout.write(f"{name}: {_cell(before[name], 100)} % before, {_cell(after[name], 100)} % after\n")


def _cell(one: dict[str, float], factor: float) -> str:
    mean = f"{one['mean'] * factor:.1f}"
    return f"{mean} ±{one['half_width'] * factor:.1f}" if one["half_width"] else mean
