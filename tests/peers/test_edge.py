"""The edge between real phones and real workers: registration, trunks, hostile messages, its own death."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callcenter.cli.certificate import self_signed
from tests.peers.centre import Centre, agent, queue
from tests.peers.phones import HOST, Baresip, Sipp, free_port, until
from tests.peers.sound import assert_tone

pytestmark = pytest.mark.peer("sipp", "baresip")

NUMBER, CALLER, ASSERTED = "95520", "13800138001", "13900139002"
CARRIER = "127.0.0.7"
Start = Callable[..., Centre]


def counted(centre: Centre, what: str) -> int:
    return int(centre.status()["edge"]["counts"].get(what, 0))


@pytest.fixture
def desk_phone(start_centre: Start, tmp_path: Path) -> Iterator[tuple[Centre, Baresip]]:
    """A centre whose one agent sits at a registered phone."""
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent("1001", device="sip:1001@centre")],
    )
    password = centre.add_phone("1001")
    with Baresip(
        tmp_path / "desk", "1001", hertz=880, answer="auto", registrar=centre.sip, password=password
    ) as phone:
        until(lambda: centre.status()["edge"]["registered"] == 1, 10, "the registration", 0.05)
        yield centre, phone


def test_a_registered_phone_is_rung_and_both_hear_each_other(
    desk_phone: tuple[Centre, Baresip], tmp_path: Path
) -> None:
    centre, phone = desk_phone
    with Baresip(tmp_path / "caller", CALLER, hertz=440) as caller:
        caller.dial(NUMBER, centre.sip)
        phone.event("CALL_ESTABLISHED")
        until(lambda: caller.heard_s() > 4, 15, "four seconds of talk")
        caller.hang_up()
        phone.event("CALL_CLOSED")
        caller.event("CALL_CLOSED")
        assert_tone(caller.heard(), 880, 4)
        assert_tone(phone.heard(), 440, 4)
    row = centre.ended(NUMBER)
    assert (row["outcome"], row["agent"]) == ("answered", "1001")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1, signed by itself."""
    return self_signed(tmp_path, HOST)


def test_phones_over_tls(start_centre: Start, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A desk phone that registered over TLS is rung on that connection; a caller comes over TLS, too."""
    tls = f"{HOST}:{free_port()}"
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent("1001", device="sip:1001@centre")],
        voice={"tls_listen": tls, "tls_cert": str(certificate[0]), "tls_key": str(certificate[1])},
    )
    password = centre.add_phone("1001")
    with (
        Baresip(
            tmp_path / "desk",
            "1001",
            hertz=880,
            answer="auto",
            registrar=tls,
            password=password,
            trusts=certificate[0],
        ) as phone,
        Baresip(tmp_path / "caller", CALLER, hertz=440, trusts=certificate[0]) as caller,
    ):
        until(lambda: centre.status()["edge"]["registered"] == 1, 10, "the registration", 0.05)
        caller.dial(NUMBER, f"{tls};transport=tls")
        phone.event("CALL_ESTABLISHED")
        until(lambda: caller.heard_s() > 4, 15, "four seconds of talk")
        assert centre.status()["edge"]["connections"] >= 2
        caller.hang_up()
        phone.event("CALL_CLOSED")
        caller.event("CALL_CLOSED")
        assert_tone(caller.heard(), 880, 4)
        assert_tone(phone.heard(), 440, 4)
        for side in (phone, caller):
            assert "Via: SIP/2.0/TLS" in side.output.read_text(errors="replace")


def test_a_wrong_password_registers_nobody(start_centre: Start, tmp_path: Path) -> None:
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}], queues=[queue("service")], agents=[]
    )
    centre.add_phone("1001")
    with Baresip(tmp_path / "desk", "1001", registrar=centre.sip, password="guessed-wrong") as phone:
        until(lambda: counted(centre, "digest_response"), 10, "a wrong answer", 0.05)
        assert phone.process.poll() is None
    assert centre.status()["edge"]["registered"] == 0
    assert counted(centre, "digest_response") >= 1


def test_the_edge_dies_and_calls_and_registrations_stay(
    desk_phone: tuple[Centre, Baresip], tmp_path: Path
) -> None:
    centre, phone = desk_phone
    with Baresip(tmp_path / "caller", CALLER, hertz=440) as caller:
        caller.dial(NUMBER, centre.sip)
        phone.event("CALL_ESTABLISHED")
        heard_s = until(caller.heard_s, 10, "sound")
        before = centre.status()["edge"]["pid"]
        centre.kill_edge()
        until(lambda: (centre.status()["edge"] or {"pid": before})["pid"] != before, 10, "another edge")
        until(lambda: caller.heard_s() > heard_s + 4, 15, "talk that goes on")
        phone.hang_up()  # by way of an edge that has never heard of this call
        caller.event("CALL_CLOSED")
        assert centre.ended(NUMBER)["outcome"] == "answered"
        centre.wait_agents("idle", 1)
        caller.dial(NUMBER, centre.sip)
        phone.event("CALL_ESTABLISHED")
        caller.hang_up()
        phone.event("CALL_CLOSED")


def test_a_trunk_is_believed_and_a_stranger_is_not(start_centre: Start, tmp_path: Path) -> None:
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[],
        trunks=[{"name": "carrier", "address": f"{CARRIER}:5060", "monitor_s": 0}],
    )

    def call(host: str, directory: str, privacy: str) -> str | None:
        before = {row["id"] for row in centre.records(NUMBER)}
        with Sipp(
            "caller_asserted",
            tmp_path / directory,
            remote=centre.sip,
            number=NUMBER,
            hold_s=0.5,
            host=host,
            caller=CALLER,
            asserted=ASSERTED,
            privacy=privacy,
        ) as caller:
            caller.wait()

        def new() -> dict[str, str] | None:
            rows = [row for row in centre.records(NUMBER) if row["id"] not in before and row["ended_at"]]
            return rows[0] if rows else None

        return until(new, 10, "the record", 0.1)["caller"]

    assert call(CARRIER, "trunk", "none") == f"+86{ASSERTED}"
    assert call(HOST, "stranger", "none") == f"+86{CALLER}"
    assert not call(CARRIER, "withheld", "id")


def test_the_second_trunk_takes_what_the_first_refuses(start_centre: Start, tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    with Sipp(
        "agent_refuse", tmp_path / "first", port=first, variables={"ring": 0, "status": 503}, timeout_s=60
    ) as refusing:
        centre = start_centre(
            numbers=[{"number": NUMBER, "queue": "service"}],
            queues=[queue("service", caller_id="02195519")],
            agents=[agent("1001", device="tel:+8613700137000")],
            trunks=[
                {"name": "one", "address": f"{HOST}:{first}", "monitor_s": 0},
                {"name": "two", "address": f"{HOST}:{second}", "monitor_s": 0},
            ],
        )
        with (
            Sipp("agent", tmp_path / "second", port=second, hold_s=1) as taking,
            Sipp("caller", tmp_path / "caller", remote=centre.sip, number=NUMBER, hold_s=20) as caller,
        ):
            caller.wait()
            taking.wait(10)
            (invite,) = taking.received("INVITE")
        refusing.wait(10)
    assert f"sip:+8613700137000@{HOST}:{second}" in invite.first_line
    assert "sip:02195519@" in invite.header("from")
    assert "13800138000" not in invite.text, "a carrier is not told who called us"
    row = centre.ended(NUMBER)
    assert (row["outcome"], row["agent"]) == ("answered", "1001")
    assert counted(centre, "trunk_failed_over") == 1


def test_a_trunk_that_does_not_answer_options_is_down_and_comes_back(
    start_centre: Start, tmp_path: Path
) -> None:
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[],
        trunks=[{"name": "carrier", "address": f"{HOST}:{port}", "monitor_s": 1}],
    )

    def up() -> bool:
        return bool(centre.status()["edge"]["trunks"][0]["up"])

    until(lambda: not up(), 15, "the trunk down", 0.1)
    with Sipp("options", tmp_path / "trunk", port=port, calls=3):
        until(up, 10, "the trunk up", 0.1)


HOSTILE = [
    b"",
    b"\r\n\r\n\r\n\r\n",
    b"\x00" * 2000,
    b"INVITE sip:95520@h SIP/2.0\r\n\r\n",
    b"INVITE sip:95520@h SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\r\n",
    b"\xff\xfe\xfd" * 500,
    b"INVITE sip:95520@h SIP/7.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\n\r\n",
    b"REFER sip:95520@h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKr\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:c@d>\r\nCall-ID: r\r\nCSeq: 1 REFER\r\nRefer-To: <sip:90012345@elsewhere>\r\n\r\n",
    b"ACK sip:95520@h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:c@d>;tag=2\r\nCall-ID: a\r\nCSeq: 1 ACK\r\n\r\n",
]
_INVITE = (
    b"INVITE sip:95520@h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKsame\r\nMax-Forwards: 70\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:95520@h>\r\nCall-ID: same@x\r\nCSeq: 1 %s\r\n"
    b"Contact: <sip:a@127.0.0.1:%d>\r\nContent-Length: 0\r\n\r\n"
)


def test_hostile_messages_stop_no_process(start_centre: Start) -> None:
    """Among them the pair that aborts the stock library: OPTIONS whose CSeq names INVITE, in the branch of
    an INVITE before it."""
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[],
        library="stock",
    )
    before = centre.status()
    host, _, port = centre.sip.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((HOST, 0))
        own = sender.getsockname()[1]
        invite = _INVITE % (own, b"INVITE", own)
        options = (_INVITE % (own, b"INVITE", own)).replace(b"INVITE sip", b"OPTIONS sip", 1)
        for message in (*HOSTILE, invite, options, options, invite, *HOSTILE):
            sender.sendto(message, (host, int(port)))
        time.sleep(0.5)
    with socket.create_connection((host, int(port)), 2) as stream:
        stream.sendall(b"INVITE sip:95520@h SIP/2.0\r\nVia: SIP/2.0/TCP h\r\n\r\n")  # no Content-Length
        assert stream.recv(100) == b"", "who cannot frame messages is let go"
    after = centre.status()
    for part in ("core", "edge"):
        assert after[part]["pid"] == before[part]["pid"]
    assert after["workers"][0]["pid"] == before["workers"][0]["pid"]
    assert after["restarts"] == before["restarts"]
    assert counted(centre, "malformed") >= 4
    assert after["workers"][0]["malformed"] == 0, "nothing malformed reaches a worker"


def test_one_source_that_floods_is_refused_and_then_ignored(start_centre: Start) -> None:
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[],
        voice={"source_rate": 5},
    )
    host, _, port = centre.sip.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((HOST, 0))
        own = sender.getsockname()[1]
        for n in range(10_000):
            message = (_INVITE % (own, b"INVITE", own)).replace(b"same", b"%d" % n)
            sender.sendto(message, (host, int(port)))
            if n % 100 == 0:
                time.sleep(0.005)
    until(lambda: counted(centre, "source_ignored") > 9000, 10, "most of them ignored", 0.1)
    assert counted(centre, "source_refused") < 200
    assert counted(centre, "calls_in") <= 40
    assert centre.status()["restarts"] == {"edge": 0, "worker-0": 0, "core": 0}
