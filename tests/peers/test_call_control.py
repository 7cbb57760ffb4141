"""Call control with real telephones: who hears whom, by the tone each of them makes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.centre import Centre, Person, Row, agent, queue
from tests.peers.phones import Baresip, Sipp, free_port, until
from tests.peers.sound import QUIET, WINDOW_S, longest_run, loudness, tone_share

pytestmark = [pytest.mark.peer("sipp", "baresip"), pytest.mark.dense]

NUMBER, OTHER_NUMBER = "95520", "95521"
CALLER_HZ, ANN_HZ, BOB_HZ, SUE_HZ, SECOND_HZ = 440, 880, 1320, 1760, 620
ANN, BOB, SUE = "1001", "1002", "8002"
Start = Callable[..., Centre]


def heard_s(phone: Baresip, hertz: int) -> float:
    """Seconds in which this tone was a good part of what the phone heard in its last call."""
    return sum(share > 0.2 for share in tone_share(phone.heard(), hertz)) * WINDOW_S


@dataclass
class Scene:
    centre: Centre
    caller: Baresip
    ann: Baresip
    bob: Baresip
    sue: Baresip

    @property
    def at_panel(self) -> Person:
        return self.centre.person(ANN)

    def contact(self, login: str = ANN) -> Row:
        contacts = self.centre.person(login).page()["contacts"]
        assert contacts, f"{login} has no contact"
        found: Row = contacts[0]
        return found

    def act(self, what: str, body: Row | None = None) -> None:
        self.at_panel.act(f"/interactions/{self.contact()['id']}/{what}", body)

    def until(self, said: Callable[[Row], bool], what: str, login: str = ANN) -> Row:
        until(lambda: said(self.contact(login)), 5, what, 0.05)
        return self.contact(login)


@pytest.fixture
def scene(start_centre: Start, tmp_path: Path) -> Iterator[Scene]:
    """A caller who talks to ann; bob at another telephone, a supervisor at a third."""
    ports = [free_port() for _ in range(3)]
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}, {"number": OTHER_NUMBER, "queue": "claims"}],
        queues=[queue("service"), queue("claims")],
        agents=[
            agent(ANN, ports[0], "service", wrap_up_s=60),
            agent(BOB, ports[1], "claims", wrap_up_s=60),
            agent(SUE, ports[2], role="supervisor"),
        ],
        library="dense",
    )
    for login in (ANN, BOB, SUE):
        centre.set_password(login)
    with ExitStack() as stack:

        def phone(name: str, user: str, hertz: int, port: int = 0) -> Baresip:
            answer = "auto" if port else "manual"
            return stack.enter_context(Baresip(tmp_path / name, user, hertz=hertz, answer=answer, port=port))

        ann, bob, sue = (
            phone(name, login, hertz, port)
            for name, login, hertz, port in zip(
                ("ann", "bob", "sue"), (ANN, BOB, SUE), (ANN_HZ, BOB_HZ, SUE_HZ), ports, strict=True
            )
        )
        caller = phone("caller", "13800138001", CALLER_HZ)
        caller.dial(NUMBER, centre.sip)
        ann.event("CALL_ESTABLISHED")
        made = Scene(centre, caller, ann, bob, sue)
        made.until(lambda contact: contact["state"] == "talking", "the call")
        time.sleep(2)
        yield made


def over(*phones: Baresip) -> None:
    for phone in phones:
        phone.event("CALL_CLOSED")


def test_held_and_mute(scene: Scene) -> None:
    scene.act("hold", {"on": True})
    scene.until(lambda contact: contact["held"], "the hold")
    time.sleep(3)
    scene.act("hold", {"on": False})
    scene.until(lambda contact: not contact["held"], "the end of the hold")
    scene.act("mute", {"on": True})
    scene.until(lambda contact: contact["muted"], "the mute")
    time.sleep(2)
    scene.caller.hang_up()
    over(scene.caller, scene.ann)
    assert 2 <= heard_s(scene.caller, ANN_HZ) < 4, "neither on hold nor while ann is mute"
    assert 4 <= heard_s(scene.ann, CALLER_HZ) < 7, "not on hold, but while mute"


def test_a_paused_recording_holds_silence(scene: Scene) -> None:
    scene.act("recording", {"on": False})
    scene.until(lambda contact: contact["recording_paused"], "the pause")
    time.sleep(3)
    scene.act("recording", {"on": True})
    scene.until(lambda contact: not contact["recording_paused"], "the end of the pause")
    time.sleep(2)
    scene.caller.hang_up()
    over(scene.caller, scene.ann)
    row = scene.centre.recorded(NUMBER)
    assert [mark for mark, _at in row["recordings"][0]["marks"]] == ["paused", "resumed"]
    sound = scene.centre.sound(row)
    for channel in (0, 1):
        levels = loudness(sound, channel)
        silent_s = longest_run([level < QUIET for level in levels]) * WINDOW_S
        assert 2.5 <= silent_s <= 4.5, f"{silent_s} s of silence in channel {channel}"
        assert sum(level > QUIET for level in levels) * WINDOW_S >= 2.5, "and sound around it"


def test_an_attended_transfer(scene: Scene) -> None:
    scene.act("consult", {"agent": BOB})
    scene.bob.event("CALL_ESTABLISHED")
    scene.until(lambda contact: any(guest["joined"] for guest in contact["guests"]), "bob in the call")
    assert scene.contact(BOB)["state"] == "consulting"
    time.sleep(2)
    scene.act("complete")
    scene.ann.event("CALL_CLOSED")
    scene.until(lambda contact: contact["state"] == "talking", "bob's call", BOB)
    assert scene.contact(ANN)["state"] == "wrapping"
    time.sleep(2)
    scene.caller.hang_up()
    over(scene.caller, scene.bob)
    assert heard_s(scene.bob, ANN_HZ) >= 1.5, "in the consultation"
    assert heard_s(scene.bob, CALLER_HZ) >= 1.5, "after it"
    assert heard_s(scene.ann, BOB_HZ) >= 1.5
    assert heard_s(scene.caller, BOB_HZ) >= 1.5
    row = scene.centre.ended(NUMBER)
    assert (row["outcome"], row["agent"]) == ("answered", BOB)


def test_a_conference_and_one_who_leaves_it(scene: Scene) -> None:
    scene.act("consult", {"agent": BOB})
    scene.bob.event("CALL_ESTABLISHED")
    scene.until(lambda contact: any(guest["joined"] for guest in contact["guests"]), "bob in the call")
    scene.act("join")
    scene.until(lambda contact: not contact["held"], "the conference")
    time.sleep(2)
    scene.bob.hang_up()
    scene.bob.event("CALL_CLOSED")
    scene.until(lambda contact: not contact["guests"], "bob's leaving")
    time.sleep(1)
    scene.caller.hang_up()
    over(scene.caller, scene.ann)
    for listener, others in ((scene.caller, (ANN_HZ, BOB_HZ)), (scene.bob, (ANN_HZ, CALLER_HZ))):
        for hertz in others:
            assert heard_s(listener, hertz) >= 1.5, f"{hertz} Hz"
    assert scene.centre.agents()[BOB]["state"] == "idle"


def test_a_transfer_to_another_queue(scene: Scene) -> None:
    scene.act("transfer", {"queue": "claims"})
    over(scene.ann)
    scene.bob.event("CALL_ESTABLISHED")
    scene.until(lambda contact: contact["state"] == "talking", "bob's call", BOB)
    time.sleep(2)
    scene.caller.hang_up()
    over(scene.caller, scene.bob)
    assert heard_s(scene.caller, BOB_HZ) >= 1.5
    assert scene.centre.ended(NUMBER)["queue"] == "claims"


def test_a_supervisor_listens_whispers_and_barges_in(scene: Scene) -> None:
    sue, call = scene.centre.person(SUE), scene.contact()["id"]

    def watched() -> str:
        (row,) = [row for row in sue.page()["calls"] if row["id"] == call]
        return row["watched"][0]["mode"] if row["watched"] and row["watched"][0]["joined"] else ""

    for way, mode in (("listen", "listen"), ("whisper", "whisper"), ("barge", "talk")):
        sue.act(f"/supervise/interactions/{call}/watch", {"way": way})
        if way == "listen":
            scene.sue.event("CALL_ESTABLISHED")
        until(lambda mode=mode: watched() == mode, 5, way, 0.05)  # type: ignore[misc]
        time.sleep(2)
    scene.caller.hang_up()
    over(scene.caller, scene.ann, scene.sue)
    assert heard_s(scene.sue, CALLER_HZ) >= 5
    assert heard_s(scene.sue, ANN_HZ) >= 5
    assert 3 <= heard_s(scene.ann, SUE_HZ) <= 6, "whispered and barged"
    assert 1 <= heard_s(scene.caller, SUE_HZ) <= 3.5, "barged only"


def test_a_core_that_dies_in_a_consultation(scene: Scene) -> None:
    scene.act("consult", {"agent": BOB})
    scene.bob.event("CALL_ESTABLISHED")
    scene.until(lambda contact: any(guest["joined"] for guest in contact["guests"]), "bob in the call")
    scene.centre.kill_core()
    scene.centre.wait_ready()
    contact = scene.until(lambda contact: bool(contact["guests"]), "the consultation, taken over")
    assert contact["held"]
    scene.act("complete")
    scene.ann.event("CALL_CLOSED")
    scene.until(lambda contact: contact["state"] == "talking", "bob's call", BOB)
    time.sleep(1)
    scene.caller.hang_up()
    over(scene.caller, scene.bob)
    assert heard_s(scene.caller, BOB_HZ) >= 0.7


def test_parties_meet_across_workers(start_centre: Start, tmp_path: Path) -> None:
    """Two customers on two workers: one is parked and brought into the other's call by a leg between the workers."""
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent(ANN, port)],
        library="dense",
        voice={"workers": 2, "source_rate": 0},
    )
    centre.set_password(ANN)
    ann = centre.person(ANN)
    with (
        Baresip(tmp_path / "ann", ANN, hertz=ANN_HZ, answer="auto", port=port, calls=2) as phone,
        Baresip(tmp_path / "one", "13800138001", hertz=CALLER_HZ) as one,
        Baresip(tmp_path / "two", "13800138002", hertz=SECOND_HZ) as two,
    ):

        def talking() -> Row:
            found = [contact for contact in ann.page()["contacts"] if contact["state"] == "talking"]
            return found[0] if found else {}

        one.dial(NUMBER, centre.sip)
        phone.event("CALL_ESTABLISHED")
        until(talking, 5, "the first call", 0.05)
        first = talking()["id"]
        two.dial(NUMBER, centre.sip)
        two.event("CALL_ESTABLISHED")
        ann.act(f"/interactions/{first}/park")
        phone.event("CALL_ESTABLISHED")
        until(lambda: talking().get("id") not in (None, first), 5, "the second call", 0.05)
        second = talking()["id"]
        legs = [worker["legs"] for worker in centre.status()["workers"]]
        assert min(legs) >= 1, "the customers are on different workers"
        ann.act(f"/interactions/{second}/bring", {"parked": first})
        until(lambda: any(guest["joined"] for guest in talking()["guests"]), 5, "the meeting", 0.05)
        time.sleep(3)
        guest = talking()["guests"][0]
        assert guest["kind"] == "link"
        ann.act(f"/interactions/{second}/drop", {"leg": guest["leg"]})
        until(lambda: not talking()["guests"], 5, "the parting", 0.05)
        two.hang_up()
        over(two, phone)
        phone.event("CALL_ESTABLISHED")  # who was let go waits for the next one who is free
        one.hang_up()
        over(one, phone)
        assert heard_s(one, SECOND_HZ) >= 2
        assert heard_s(two, CALLER_HZ) >= 2
        assert heard_s(one, ANN_HZ) >= 2


def test_a_stranger_meets_nobody(start_centre: Start, tmp_path: Path) -> None:
    """`meet-<token>` from outside is no number of ours, nor is it a token that anybody waits for."""
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[],
        library="dense",
    )
    with Sipp(
        "caller_refused", tmp_path / "stranger", remote=centre.sip, number="meet-" + "0" * 32, code="403"
    ) as one:
        one.wait()
    assert centre.status()["workers"][0]["legs"] == 0


def test_keys_for_the_machine_alone(start_centre: Start, tmp_path: Path) -> None:
    """The last six places of the identity number: compared, heard by nobody, in no recording."""
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent(ANN, port, "service", wrap_up_s=60)],
        library="dense",
        sample=True,
    )
    ending, phone = centre.identity()
    with (
        Baresip(tmp_path / "ann", ANN, hertz=ANN_HZ, answer="auto", port=port) as ann,
        Baresip(tmp_path / "caller", phone, hertz=CALLER_HZ) as caller,
    ):
        caller.dial(NUMBER, centre.sip)
        ann.event("CALL_ESTABLISHED")
        person = centre.person(ANN)
        until(lambda: (person.page()["contacts"][0]["customer"] or {}).get("id"), 5, "the customer", 0.1)
        contact = person.page()["contacts"][0]
        time.sleep(1)
        person.act(f"/interactions/{contact['id']}/key-entry", {"on": True})
        until(lambda: person.page()["contacts"][0]["recording_paused"], 5, "the pause", 0.05)
        time.sleep(1.5)
        caller.press(ending.replace("X", "*"))
        until(lambda: person.page()["contacts"][0]["verified"] == "id_number", 10, "the comparison", 0.05)
        until(lambda: not person.page()["contacts"][0]["recording_paused"], 5, "the end of the pause", 0.05)
        time.sleep(1.5)
        caller.hang_up()
        over(caller, ann)
    row = centre.recorded(NUMBER)
    assert [mark for mark, _at in row["recordings"][0]["marks"]] == ["paused", "resumed"]
    silent = longest_run([share < 0.2 for share in tone_share(ann.heard(), CALLER_HZ)]) * WINDOW_S
    assert silent >= 1.5, "the agent does not hear the caller meanwhile"
    levels = loudness(centre.sound(row), 0)
    assert longest_run([level < QUIET for level in levels]) * WINDOW_S >= 1.5
