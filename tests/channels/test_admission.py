"""Who may come in: callers only together with a leg for an agent."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from channels.voice.worker.admission import Admission


@pytest.mark.parametrize(
    ("capacity", "callers"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (1024, 512)]
)
def test_as_many_callers_as_can_be_put_through(capacity: int, callers: int) -> None:
    admission = Admission(capacity)
    admitted = sum(admission.admit_caller(f"c{n}") for n in range(capacity + 3))
    assert admitted == callers
    assert admission.refused == capacity + 3 - callers


def test_every_admitted_caller_gets_an_agent() -> None:
    admission = Admission(4)
    assert admission.admit_caller("c1")
    assert admission.admit_caller("c2")
    assert not admission.admit_caller("c3")
    assert admission.admit_dial("a1", "c1")
    assert admission.admit_dial("a2", "c2")
    assert (admission.used, admission.reserved, admission.free) == (4, 0, 0)


def test_a_second_leg_for_a_caller_needs_a_free_one() -> None:
    full, roomy = Admission(2), Admission(3)
    for admission in (full, roomy):
        admission.admit_caller("c1")
        admission.admit_dial("a1", "c1")
    assert not full.admit_dial("a2", "c1")
    assert roomy.admit_dial("a2", "c1")


def test_a_leg_for_nobody_needs_a_free_one() -> None:
    admission = Admission(3)
    admission.admit_caller("c1")
    assert admission.admit_dial("out", None)
    assert not admission.admit_dial("out2", None)
    assert admission.admit_dial("a1", "c1"), "the reservation of c1 was not given away"


def test_what_is_released_can_be_used_again() -> None:
    admission = Admission(2)
    admission.admit_caller("c1")
    admission.admit_dial("a1", "c1")
    admission.release("a1")
    assert (admission.used, admission.reserved) == (1, 1)
    assert admission.admit_dial("a2", "c1")
    admission.release("c1")
    assert not admission.admit_caller("c2"), "a2 still stands"
    admission.release("a2")
    assert admission.admit_caller("c2")


def test_releasing_what_is_not_there_changes_nothing() -> None:
    admission = Admission(4)
    admission.admit_caller("c1")
    admission.release("nobody")
    admission.release("nobody")
    assert (admission.used, admission.reserved, admission.free) == (1, 1, 2)


class Legs(RuleBasedStateMachine):
    """Never more legs than there are, and never a caller without room for an agent."""

    callers, dialled = Bundle("callers"), Bundle("dialled")

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(9)
        self.made = 0
        self.open_callers: dict[str, set[str]] = {}
        self.open_legs: set[str] = set()

    def name(self) -> str:
        self.made += 1
        return f"l{self.made}"

    @rule(target=callers)
    def a_call_comes_in(self) -> str:
        leg, free = self.name(), self.admission.free
        admitted = self.admission.admit_caller(leg)
        assert admitted == (free >= 2)
        if admitted:
            self.open_callers[leg] = set()
        return leg

    @rule(target=dialled, caller=callers)
    def an_agent_is_dialled_for(self, caller: str) -> str:
        leg, free = self.name(), self.admission.free
        holds_reservation = caller in self.open_callers and not self.open_callers[caller]
        admitted = self.admission.admit_dial(leg, caller)
        assert admitted == (holds_reservation or free >= 1)
        if admitted:
            self.open_legs.add(leg)
            self.open_callers.get(caller, set()).add(leg)
        return leg

    @rule(target=dialled, free=st.none())
    def somebody_is_dialled_for_nobody(self, free: None) -> str:
        leg, room = self.name(), self.admission.free
        assert self.admission.admit_dial(leg, None) == (room >= 1)
        if room >= 1:
            self.open_legs.add(leg)
        return leg

    @rule(leg=consumes(callers))
    def a_caller_leaves(self, leg: str) -> None:
        self.admission.release(leg)
        self.open_callers.pop(leg, None)

    @rule(leg=consumes(dialled))
    def a_dialled_leg_ends(self, leg: str) -> None:
        self.admission.release(leg)
        self.open_legs.discard(leg)
        for legs in self.open_callers.values():
            legs.discard(leg)

    @invariant()
    def the_books_balance(self) -> None:
        admission = self.admission
        assert admission.used == len(self.open_callers) + len(self.open_legs)
        assert admission.reserved == sum(not legs for legs in self.open_callers.values())
        assert admission.used + admission.reserved <= admission.capacity
        assert admission.free == admission.capacity - admission.used - admission.reserved


Legs.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestLegs = Legs.TestCase
