"""Why it went so: from the journal alone, in words of both languages."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from callcenter import explain as explanation
from callcenter.explain import Step, explain, tell
from callcenter.live.control import Target
from callcenter.replaying import replay
from routing import AgentPolicy, QueuePolicy
from routing import facts as rf
from routing.policy import STRATEGIES, OverflowRule, Ring
from tests.callcenter.centre import COMPLAINTS, SERVICE, Centre

NAMES = {"ann": "安娜", "bob": "鲍勃", "cid": "席德", "service": "客户服务", "vip": "贵宾"}


def told(centre: Centre, interaction: str, language: str = "en") -> list[str]:
    steps = explain(centre.journal.connection, interaction)
    name = (lambda key: NAMES.get(key, key)) if language == "zh" else (lambda key: key)
    return list(tell(steps, language, name, name, lambda _at: "T"))


def whats(centre: Centre, interaction: str) -> list[str]:
    return [step.what for step in explain(centre.journal.connection, interaction)]


def test_a_call_that_was_answered_at_once() -> None:
    centre = Centre()
    centre.ready("ann")
    centre.wait(5)
    centre.ready("bob")
    live = centre.talk()
    centre.caller_leaves(live)
    lines = told(centre, live.id)
    assert lines == [
        "T  Incoming call, number 95519.",
        "T  Entered the queue “service”.",
        "T  Offered to ann: idle longest of those who could take it. 1 more could have taken it (bob …).",
        "T  ann answered after 0.0 s.",
        "T  Ended: answered (by caller, normal).",
    ]
    assert (
        told(centre, live.id, "zh")[2]
        == "T  分给安娜：在能接的就绪座席中空闲最久。 另有 1 人也能接（鲍勃…）。"
    )


def test_why_it_waited_and_what_would_have_changed_it() -> None:
    centre = Centre()
    live = centre.queue_up()
    centre.wait(12)
    centre.ready("bob")
    centre.pick_up(live)
    assert whats(centre, live.id) == ["arrived", "queued", "waited", "offered", "answered"]
    waited, offered = told(centre, live.id)[2:4]
    assert "Of the 2 who have the skills: 2 logged out." in waited
    assert "Had one of the 2 who were not ready or logged out been ready" in waited
    assert "bob became free, and this customer had the earliest deadline, after 12.0 s." in offered


def test_nobody_has_the_skills() -> None:
    centre = Centre(QueuePolicy("service", (("vip", 5),)), AgentPolicy("ann", (("vip", 3),)), COMPLAINTS)
    centre.ready("ann")
    live = centre.queue_up()
    waited = told(centre, live.id)[2]
    assert "Nobody has the skills it needs (vip ≥ 5): all 1 fall short." in waited
    assert "Somebody with these skills would have taken it at once." in waited
    assert "没有人具备所需技能（vip ≥ 5）" in told(centre, live.id, "zh")[2]


def test_everybody_is_busy_and_others_are_ahead() -> None:
    centre = Centre(SERVICE, COMPLAINTS, AgentPolicy("ann"))
    centre.ready("ann")
    centre.talk()
    centre.queue_up("13800138002")
    live = centre.queue_up("13800138003")
    waited = told(centre, live.id)[2]
    assert "1 talking" in waited
    assert "Customers ahead: 1." in waited
    assert "One more ready agent" in waited


def test_a_declined_offer_and_a_transfer() -> None:
    centre = Centre(answer="panel")
    centre.ready("ann")
    live = centre.queue_up()
    centre.offers.decline("ann", live.offer)
    centre.settle()
    centre.ready("bob")
    centre.offers.accept("bob", live.offer)
    centre.settle()
    centre.pick_up(live)
    centre.ready("ann")
    centre.control.transfer("bob", live.id, Target(agent="ann"))
    centre.settle()
    lines = told(centre, live.id)
    assert "T  The offer to ann came to nothing: declined." in lines
    assert any("Offered to ann: chosen by a person." in line for line in lines)
    assert "T  bob gave the call on: transfer." in lines


def test_a_queue_that_did_not_take_it() -> None:
    centre = Centre()
    centre.host.submit(rf.QueueClosed("service"))
    live = centre.queue_up()
    assert "T  The queue “service” did not take it: it is closed." in told(centre, live.id)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_step_has_words(language: str) -> None:
    centre = Centre()
    centre.ready("ann")
    for n in range(3):
        centre.queue_up(f"1380013800{n}")
    for interaction in list(centre.host.book.interactions):
        assert all(line.startswith("T  ") and "{" not in line for line in told(centre, interaction, language))


def test_an_interaction_that_nobody_knows() -> None:
    assert explain(Centre().journal.connection, "i9-9") == []


def test_the_journal_replays_to_the_letter() -> None:
    centre = Centre()
    centre.ready("ann")
    centre.talk()
    centre.queue_up("13800138002")
    centre.wait(60)
    for step in replay(centre.journal.rows()):
        assert step.plain == [
            {name: _tuples(value) for name, value in command.items()} for command in step.row.commands
        ]


def _tuples(value: object) -> object:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def test_a_step_in_plain_values() -> None:
    assert Step(5, "queued", {"queue": "service"}).to_plain() == {
        "at_ms": 5,
        "what": "queued",
        "queue": "service",
    }


def test_both_languages_have_the_same_words() -> None:
    words = [
        json.loads((Path(explanation.__file__).parent / "words" / f"explain.{language}.json").read_text())
        for language in ("zh", "en")
    ]
    for part in ("states", "sentences"):
        assert set(words[0][part]) == set(words[1][part])


def test_what_the_rules_of_a_queue_did() -> None:
    rules = QueuePolicy(
        "service",
        (("vip", 5),),
        strategy="best_skilled",
        rings=(Ring(10_000, (("vip", 3),)),),
        overflow=(OverflowRule(20_000, "queue", "complaints"), OverflowRule(25_000, "callback")),
        announce_first_ms=5_000,
    )
    centre = Centre(rules, COMPLAINTS, AgentPolicy("ann", (("vip", 3),)))
    live = centre.queue_up()
    centre.wait(21)
    assert whats(centre, live.id) == ["arrived", "queued", "waited", "announced", "relaxed", "moved"]
    announced, relaxed, moved = told(centre, live.id)[3:]
    assert announced == "T  Told the customer: place 1."
    assert relaxed == "T  Needs relax (ring 1): vip ≥ 3."
    assert moved.startswith("T  Moved to queue “complaints”: waited too long")
    for language in ("zh", "en"):
        assert all("{" not in line for line in told(centre, live.id, language))


@pytest.mark.parametrize(
    "rule", [*STRATEGIES, "explore", "preferred", "strict_class", "earliest_deadline", "chosen"]
)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_rule_has_its_sentence(rule: str, language: str) -> None:
    step = Step(
        5, "offered", {"agent": "ann", "rule": rule, "considered": [["ann", 1], ["bob", 2]], "rest": []}
    )
    (line,) = tell([step], language, lambda agent: agent, lambda queue: queue, lambda _at: "T")
    assert "ann" in line and "{" not in line


def test_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    from callcenter.explain import explain_apart
    from callcenter.journal.store import connect

    path = tmp_path / "journal.db"
    connect(path).close()
    assert asyncio.run(explain_apart(path, "i1-1")) == []
    with pytest.raises(OSError, match="explain ended"):
        asyncio.run(explain_apart(tmp_path, "i1-1"))
