"""How `routing-v2.jsonl` was made: lives of the routing state machine, drawn by a fixed seed, one a line.

Each line is a whole journal, a list of activations as in `routing-v1.jsonl`; together they hold every kind of fact and
of command. Kept as documentation: a journal that is stored is never made anew.

    python -m tests.golden.make_routing_lives > tests/golden/routing-v2.jsonl
"""

from __future__ import annotations

import json

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.routing.elsewhere import Elsewhere, Journal
from tests.routing.test_state_machine import RoutingMachine

LIVES = 60


class Collecting(RoutingMachine):
    lives: list[Journal]

    def teardown(self) -> None:
        super().teardown()
        self.lives.append(self.journal)


if __name__ == "__main__":
    Collecting.lives = []
    rules = settings(
        max_examples=LIVES,
        stateful_step_count=50,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with Elsewhere() as Collecting.elsewhere:
        run_state_machine_as_test(seed(20_261_128)(Collecting), settings=rules)
    for life in Collecting.lives:
        print(json.dumps(life, separators=(",", ":")))
