"""The edge's forwarding without a network: telephones, trunks and workers are a few lines of loose routing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.voice.edge.digest import NONCE_S, Digest, Secret, answer
from channels.voice.edge.flow import TCP, UDP, Flow, Seal
from channels.voice.edge.message import parse
from channels.voice.edge.proxy import INSIDE, OUTSIDE, EdgeConfig, Proxy, Send
from channels.voice.edge.registrar import MAX_CONTACTS, Registrar
from channels.voice.edge.spread import Spread, Upstream
from channels.voice.edge.store import EdgeStore
from channels.voice.edge.trunks import TrunkConfig, Trunks

PUBLIC, INNER = ("198.51.100.1", 5060), ("127.0.0.1", 5080)
WORKERS = [Flow(UDP, "127.0.0.1", 5081), Flow(UDP, "127.0.0.1", 5082)]
CALLER, STRANGER = Flow(UDP, "203.0.113.9", 5062), Flow(UDP, "203.0.113.66", 6666)
CARRIER = Flow(UDP, "192.0.2.10", 5060)


class World:
    """One edge and what it is told; time stands still unless moved."""

    def __init__(self, folder: Path, trunks: tuple[TrunkConfig, ...] = (), **rules: Any) -> None:
        self.now_s = 1_000_000.0
        self._folder, self._trunks, self._rules = folder, trunks, rules
        self.workers = [
            Upstream(f"b{n}", n, w.host, w.port, free=10, max_message=8000) for n, w in enumerate(WORKERS)
        ]
        self.start()

    def start(self) -> None:
        """A new process on the same file."""
        self.store = EdgeStore(self._folder / "edge.db")
        self.digest = Digest("centre", lambda: int(self.now_s), self.store.account)
        self.trunks = Trunks(list(self._trunks), f"{PUBLIC[0]}:{PUBLIC[1]}", "centre")
        spread = Spread()
        spread.replace(self.workers)
        self.proxy = Proxy(
            EdgeConfig(PUBLIC, INNER, "centre", **self._rules),
            Seal(self.store.key()),
            self.digest,
            Registrar(self.store, lambda: int(self.now_s * 1000)),
            spread,
            self.trunks,
            lambda: self.now_s,
        )

    def outside(self, data: bytes, flow: Flow = CALLER) -> list[Send]:
        return self.proxy.from_outside(data, flow)

    def inside(self, data: bytes, worker: int = 0) -> list[Send]:
        return self.proxy.from_inside(data, WORKERS[worker])

    def add(self, user: str, algorithms: tuple[str, ...] = ("MD5",)) -> None:
        self.store.put_account(user, Secret.of(user, "centre", "secret99", algorithms), 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def sip(method: str, uri: str = "sip:95519@198.51.100.1", **more: str) -> bytes:
    """A request; keywords replace or add headers (underscores for dashes), `body` is the body."""
    body = more.pop("body", "")
    headers = {
        "Via": f"SIP/2.0/UDP 203.0.113.9:5062;rport;branch=z9hG4bK-{more.pop('branch', 'one')}",
        "Max-Forwards": "70",
        "From": "<sip:13800138000@203.0.113.9>;tag=f",
        "To": "<sip:95519@198.51.100.1>",
        "Call-ID": "call@caller",
        "CSeq": f"1 {method}",
        "Contact": "<sip:13800138000@203.0.113.9:5062>",
    }
    headers.update({name.replace("_", "-"): value for name, value in more.items()})
    lines = [f"{method} {uri} SIP/2.0", *(f"{name}: {value}" for name, value in headers.items() if value)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def reply_to(data: bytes, code: int, contact: str, tag: str = ";tag=t") -> bytes:
    """As a user agent answers: Via and Record-Route copied."""
    message = parse(data)
    kept = [
        line
        for name, line in zip(message.names, message.lines, strict=True)
        if name in (b"via", b"record-route", b"from", b"call-id", b"cseq")
    ]
    to = b"To: " + message.value(b"to") + (b"" if b";tag" in message.value(b"to") else tag.encode())
    return b"\r\n".join(
        [b"SIP/2.0 %d X" % code, *kept, to, f"Contact: <{contact}>".encode(), b"Content-Length: 0", b"", b""]
    )


def header(data: bytes, name: str) -> list[str]:
    return [value.decode() for value in parse(data).values(name.lower().encode())]


def status(sends: list[Send]) -> int:
    (send,) = sends
    assert send.side == OUTSIDE
    return parse(send.data).status


def in_dialog(method: str, reply: bytes, cseq: int, *, callee: bool = False, branch: str = "d") -> bytes:
    """A request inside the dialog of this reply: route set and target as RFC 3261 §12 has them."""
    message = parse(reply)
    routes = header(reply, "record-route")
    target = re.search(rb"<([^>]+)>", message.value(b"contact"))
    assert target is not None
    more = {"Route": ", ".join(routes if callee else reversed(routes)), "To": message.value(b"to").decode()}
    return sip(method, target[1].decode(), branch=branch, CSeq=f"{cseq} {method}", **more)


def connect(world: World, flow: Flow = CALLER, **more: str) -> tuple[Send, Send]:
    """A call up to its 200: (what the worker got, what the caller got)."""
    (invite,) = world.outside(sip("INVITE", body="v=0\r\n", **more), flow)
    worker = WORKERS.index(invite.flow)
    (answered,) = world.inside(reply_to(invite.data, 200, f"sip:127.0.0.1:{invite.flow.port};ob"), worker)
    return invite, answered


# --- calls in ----------------------------------------------------------------------------------------


def test_a_call_goes_to_a_worker_and_its_answer_back(world: World) -> None:
    invite, answered = connect(world)
    assert invite.side == INSIDE
    assert invite.flow in WORKERS
    assert answered == Send(OUTSIDE, CALLER, answered.data)
    assert header(answered.data, "via") == [
        "SIP/2.0/UDP 203.0.113.9:5062;branch=z9hG4bK-one;rport=5062;received=203.0.113.9"
    ]
    assert header(invite.data, "max-forwards") == ["69"]
    assert header(invite.data, "record-route")[0] == "<sip:127.0.0.1:5080;lr;cc-from=stranger>"
    assert parse(invite.data).body == b"v=0\r\n"
    assert parse(invite.data).uri == b"sip:95519@198.51.100.1"


def test_the_callers_side_of_a_dialog_needs_no_memory(world: World) -> None:
    invite, answered = connect(world)
    world.start()  # another process: only the file is left
    for cseq, method in ((1, "ACK"), (2, "INFO"), (3, "BYE")):
        (sent,) = world.outside(in_dialog(method, answered.data, cseq, branch=f"m{cseq}"))
        assert (sent.side, sent.flow) == (INSIDE, invite.flow)
        assert header(sent.data, "route") == []
        assert header(sent.data, "record-route") == []
    assert world.proxy.counts["route_lost"] == 0


def test_the_workers_side_of_a_dialog_needs_no_memory(world: World) -> None:
    invite, _answered = connect(world)
    world.start()
    message = in_dialog("BYE", reply_to(invite.data, 200, "sip:13800138000@203.0.113.9:5062"), 5, callee=True)
    (sent,) = world.inside(message, WORKERS.index(invite.flow))
    assert (sent.side, sent.flow) == (OUTSIDE, CALLER)
    assert header(sent.data, "route") == []


def test_audio_elsewhere_is_no_way_to_call_elsewhere(world: World) -> None:
    """A Contact that names somebody else: what the worker sends goes back along the flow all the same."""
    invite, _answered = connect(world, Contact="<sip:victim@203.0.113.77:5060>")
    (sent,) = world.inside(
        in_dialog("BYE", reply_to(invite.data, 200, "sip:victim@203.0.113.77"), 5, callee=True),
        WORKERS.index(invite.flow),
    )
    assert sent.flow == CALLER


def test_a_retransmission_goes_where_the_first_copy_went(world: World) -> None:
    first = world.outside(sip("INVITE"))
    for worker in world.workers:
        worker.free = 1000 if worker.port != first[0].flow.port else 2
    assert world.outside(sip("INVITE")) == first


def test_cancel_and_the_ack_of_a_refusal_follow_their_invite(world: World) -> None:
    (invite,) = world.outside(sip("INVITE"))
    (cancel,) = world.outside(sip("CANCEL"))
    assert cancel.flow == invite.flow
    assert header(cancel.data, "via")[0] == header(invite.data, "via")[0], "the same transaction"
    (ack,) = world.outside(sip("ACK", To="<sip:95519@198.51.100.1>;tag=t"))
    assert header(ack.data, "via")[0] == header(invite.data, "via")[0]
    assert status(world.outside(sip("CANCEL", Call_ID="other"))) == 481
    assert world.outside(sip("CANCEL"), STRANGER)[0].side == OUTSIDE, "nobody else's"


def test_calls_are_spread_by_free_legs_and_refused_when_there_are_none(world: World) -> None:
    world.workers[0].free, world.workers[1].free = 4, 8
    chosen = [world.outside(sip("INVITE", Call_ID=f"c{n}"))[0].flow for n in range(6)]
    assert [WORKERS.index(flow) for flow in chosen] == [1, 1, 0, 1, 0, 1]
    (full,) = world.outside(sip("INVITE", Call_ID="c9"))
    assert parse(full.data).status == 503
    assert header(full.data, "retry-after") == ["10"]
    assert world.proxy.counts["refused_full"] == 1


def test_a_draining_worker_gets_nothing_new_and_keeps_what_it_has(world: World) -> None:
    invite, answered = connect(world)
    draining = world.workers[WORKERS.index(invite.flow)]
    draining.draining = True
    assert all(world.outside(sip("INVITE", Call_ID=f"n{n}"))[0].flow != invite.flow for n in range(3))
    assert world.outside(in_dialog("BYE", answered.data, 2))[0].flow == invite.flow


def test_who_lost_the_route_is_still_served_and_counted(world: World) -> None:
    invite, _answered = connect(world)
    (bye,) = world.outside(sip("BYE", To="<sip:95519@198.51.100.1>;tag=t", CSeq="2 BYE"))
    assert bye.flow == invite.flow
    assert world.proxy.counts["route_lost"] == 1
    assert (
        status(world.outside(sip("BYE", To="<sip:95519@198.51.100.1>;tag=t", CSeq="2 BYE"), STRANGER)) == 481
    )


def test_forged_ways_lead_nowhere(world: World) -> None:
    invite, answered = connect(world)
    bye = in_dialog("BYE", answered.data, 2)
    token = re.search(rb"Route: <sip:([^@:>]+)@", bye)
    assert token is not None
    forged = bye.replace(token[1], token[1][:-2] + b"AA").replace(b"call@caller", b"other")
    assert status(world.outside(forged, STRANGER)) == 481
    reply = reply_to(invite.data, 200, "sip:x@y").replace(b"branch=z9hG4bKcc", b"branch=z9hG4bKccff")
    assert world.inside(reply, WORKERS.index(invite.flow)) == []
    assert world.outside(reply_to(invite.data, 200, "sip:x@y"), STRANGER) == [], (
        "a reply to nothing we sent there"
    )
    assert world.proxy.from_inside(sip("INVITE"), Flow(UDP, "127.0.0.1", 9999)) == []
    assert world.proxy.counts["inside_stranger"] == 1


def test_the_origin_that_a_worker_believes_is_ours(world: World) -> None:
    (invite,) = world.outside(sip("INVITE", Record_Route="<sip:127.0.0.1:5080;lr;cc-from=trunk:bank>"))
    assert header(invite.data, "record-route")[0].endswith("cc-from=stranger>")


def test_connections_are_answered_along_themselves(world: World) -> None:
    flow = Flow(TCP, "203.0.113.9", 41_000)
    _invite, answered = connect(world, flow, Via="SIP/2.0/TCP 203.0.113.9:5062;branch=z9hG4bK-tcp")
    assert answered.flow == flow
    assert "transport=tcp" in header(answered.data, "record-route")[1]


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (sip("INVITE", Max_Forwards="0"), 483),
        (sip("INVITE", Max_Forwards="many"), 400),
        (sip("INVITE", Proxy_Require="magic"), 420),
        (
            sip(
                "INVITE",
                Via="SIP/2.0/UDP x;branch=z9hG4bKa, SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKccabc",
            ),
            482,
        ),
        (sip("INVITE", X_Much="x" * 8000), 513),
        (sip("FROBNICATE"), 405),
        (sip("REFER", Refer_To="<sip:90012345@elsewhere>"), 405),
        (sip("MESSAGE"), 405),
        (sip("SUBSCRIBE"), 489),
        (sip("OPTIONS"), 200),
        (sip("BYE", To="<sip:95519@h>;tag=none"), 481),
        (sip("INVITE", CSeq="1 BYE"), 400),
        (sip("INVITE", uri="sip:a b"), 400),
    ],
)
def test_what_is_refused_is_refused_with_a_reason(world: World, data: bytes, code: int) -> None:
    assert status(world.outside(data)) == code


def test_nobody_is_answered_an_ack(world: World) -> None:
    for data in (sip("ACK"), sip("ACK", CSeq="1 INVITE"), sip("ACK", Max_Forwards="0", To="<sip:a@b>;tag=1")):
        assert world.outside(data) == []


def test_a_reply_goes_to_the_port_of_the_via_unless_rport_was_asked_for(world: World) -> None:
    (asked,) = world.outside(sip("OPTIONS"), Flow(UDP, "203.0.113.9", 7777))
    assert asked.flow.port == 7777
    (named,) = world.outside(
        sip("OPTIONS", Via="SIP/2.0/UDP evil.example:5099;branch=z9hG4bK1;received=1.2.3.4"), CALLER
    )
    assert named.flow == Flow(UDP, "203.0.113.9", 5062), "a received of the sender's own making is replaced"


def test_one_source_is_limited_and_then_ignored_and_others_are_not(tmp_path: Path) -> None:
    world = World(tmp_path, source_rate=5.0)
    for worker in world.workers:
        worker.free = 1000
    found = [world.outside(sip("INVITE", Call_ID=f"c{n}"), STRANGER) for n in range(200)]
    kinds = [("in" if sends[0].side == INSIDE else "refused") if sends else "silence" for sends in found]
    assert kinds.count("in") == 10
    assert kinds.count("refused") <= 25
    assert kinds[-1] == "silence"
    assert world.outside(sip("INVITE", Call_ID="d"))[0].side == INSIDE
    world.now_s += 2
    assert world.outside(sip("INVITE", Call_ID="e"), STRANGER)[0].side == INSIDE


def test_no_more_calls_a_second_than_admitted(tmp_path: Path) -> None:
    world = World(tmp_path, calls_per_s=10.0, source_rate=0.0)
    for worker in world.workers:
        worker.free = 1000
    taken = 0
    for n in range(200):
        world.now_s += 0.05
        taken += world.outside(sip("INVITE", Call_ID=f"c{n}"))[0].side == INSIDE
    assert 98 <= taken <= 104


def test_right_after_a_restart_calls_are_not_refused_for_want_of_a_workers_word(world: World) -> None:
    for worker in world.workers:
        worker.known = False
    world.proxy.spread.replace(world.workers)
    assert world.outside(sip("INVITE")) == [], "it comes again"
    (send,) = world.outside(sip("INVITE", Call_ID="tcp"), Flow("tcp", "203.0.113.9", 5062))
    assert send.data.startswith(b"SIP/2.0 503 "), "what comes by a stream is not repeated"
    world.now_s += 3
    assert status(world.outside(sip("INVITE"))) == 503, "they do not answer at all"
    for worker in world.workers:
        worker.known = True
    (send,) = world.outside(sip("INVITE", Call_ID="again"))
    assert send.data.startswith(b"INVITE "), "and now they do"


def test_a_broken_via_below_a_good_one_is_answered_and_counted(world: World) -> None:
    """Found by fuzzing: it raised where nobody caught it."""
    broken = sip("INVITE").replace(
        b"Max-Forwards", b"Via: SIP/2.0/UDP 203.0.11,.9:5062;branch=z9hG4bKx\r\nMax-Forwards", 1
    )
    (send,) = world.outside(broken)
    assert send.data.startswith(b"SIP/2.0 400 ")
    assert world.proxy.counts["malformed"] == 1


def test_a_short_name_of_a_scanner_in_a_token_is_nobodys_name(world: World) -> None:
    (send,) = world.outside(sip("OPTIONS", Authorization='Digest nonce="x9NMAPq", response="iwar"'))
    assert send.data.startswith(b"SIP/2.0 200 ")
    assert world.outside(sip("OPTIONS", User_Agent="nmap/7.9")) == []


def test_scanners_hear_nothing(world: World) -> None:
    assert world.outside(sip("OPTIONS", User_Agent="friendly-scanner")) == []
    assert world.proxy.counts["scanner"] == 1


# --- telephones --------------------------------------------------------------------------------------


def credentials(
    challenge: str, method: str, uri: str, user: str = "1001", password: str = "secret99", **more: str
) -> str:
    """RFC 7616 §3.4 by the book, apart from the product."""
    given = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    given.update({"nc": "00000001", "cnonce": "abc", "uri": uri, **more})
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[given["algorithm"]]
    ha1 = hashed(f"{user}:{given['realm']}:{password}".encode()).hexdigest()
    ha2 = hashed(f"{method}:{uri}".encode()).hexdigest()
    text = f"{ha1}:{given['nonce']}:{given['nc']}:{given['cnonce']}:auth:{ha2}"
    return (
        f'Digest username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", uri="{given["uri"]}", '
        f'response="{hashed(text.encode()).hexdigest()}", algorithm={given["algorithm"]}, qop=auth, '
        f'nc={given["nc"]}, cnonce="{given["cnonce"]}"'
    )


URI = "sip:centre"


def register(world: World, flow: Flow = CALLER, cseq: int = 1, **more: str) -> list[Send]:
    """REGISTER, its challenge, and REGISTER again."""
    base = {
        "To": "<sip:1001@centre>",
        "From": "<sip:1001@centre>;tag=r",
        "Contact": "<sip:1001@203.0.113.9:5062>",
        "Call_ID": "reg",
    }
    base.update(more)
    (challenge,) = world.outside(sip("REGISTER", URI, CSeq=f"{cseq} REGISTER", **base), flow)
    words = credentials(header_raw(challenge.data, "WWW-Authenticate")[0], "REGISTER", URI)
    return world.outside(sip("REGISTER", URI, CSeq=f"{cseq + 1} REGISTER", Authorization=words, **base), flow)


def header_raw(data: bytes, name: str) -> list[str]:
    return re.findall(rf"^{name}: (.*)\r$", data.decode(), re.M)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_telephone_registers_with_either_digest(world: World, algorithm: str) -> None:
    world.add("1001", (algorithm,))
    (done,) = register(world)
    assert parse(done.data).status == 200
    assert header(done.data, "contact") == ["<sip:1001@203.0.113.9:5062>;expires=600;q=1"]
    (binding,) = world.store.bindings(int(world.now_s * 1000), "1001")
    assert binding.flow == CALLER


def test_both_digests_are_offered_the_stronger_first(world: World) -> None:
    world.add("1001", ("SHA-256", "MD5"))
    (challenge,) = world.outside(sip("REGISTER", URI, To="<sip:1001@centre>"))
    assert [("SHA-256" in c, "MD5" in c) for c in header_raw(challenge.data, "WWW-Authenticate")] == [
        (True, False),
        (False, True),
    ]


def test_what_proves_nothing_registers_nobody(world: World) -> None:
    world.add("1001")
    base = {"To": "<sip:1001@centre>", "From": "<sip:1001@centre>;tag=r"}
    challenge = header_raw(world.outside(sip("REGISTER", URI, **base))[0].data, "WWW-Authenticate")[0]
    right = credentials(challenge, "REGISTER", URI)
    attempts = {
        "wrong password": credentials(challenge, "REGISTER", URI, password="guess"),
        "unknown user": credentials(challenge, "REGISTER", URI, user="1009"),
        "another method": credentials(challenge, "INVITE", URI),
        "another uri": credentials(challenge, "REGISTER", "sip:elsewhere"),
        "another realm": right.replace('realm="centre"', 'realm="bank"'),
        "without qop": right.replace(", qop=auth", ""),
        "a nonce of nobody's": re.sub(r'nonce="[^"]+"', 'nonce="AAAA"', right),
        "garbage": "Digest \xff\xfe,,,=",
    }
    for name, words in attempts.items():
        assert status(world.outside(sip("REGISTER", URI, Authorization=words, **base))) == 401, name
    assert status(world.outside(sip("REGISTER", URI, Authorization=right, **base), STRANGER)) == 401, (
        "another source"
    )
    assert status(world.outside(sip("REGISTER", URI, Authorization=right, To="<sip:1002@centre>"))) == 403
    assert world.store.bindings(0) == []


def test_a_replayed_or_expired_nonce_is_asked_for_again(world: World) -> None:
    world.add("1001")
    base = {"To": "<sip:1001@centre>", "From": "<sip:1001@centre>;tag=r"}
    challenge = header_raw(world.outside(sip("REGISTER", URI, **base))[0].data, "WWW-Authenticate")[0]
    first = credentials(challenge, "REGISTER", URI, nc="00000002")
    assert status(world.outside(sip("REGISTER", URI, Authorization=first, **base))) == 200
    for again in (first, credentials(challenge, "REGISTER", URI, nc="00000001")):
        (refused,) = world.outside(sip("REGISTER", URI, CSeq="2 REGISTER", Authorization=again, **base))
        assert "stale=true" in header_raw(refused.data, "WWW-Authenticate")[0]
    later = credentials(challenge, "REGISTER", URI, nc="00000003")
    world.now_s += NONCE_S + 1
    (refused,) = world.outside(sip("REGISTER", URI, CSeq="3 REGISTER", Authorization=later, **base))
    assert "stale=true" in header_raw(refused.data, "WWW-Authenticate")[0]


def test_several_contacts_expiry_and_removal(world: World) -> None:
    world.add("1001")
    register(world, Contact="<sip:a@1.1.1.1>;q=0.5, <sip:b@2.2.2.2>;expires=90;q=0.9")
    found = world.store.bindings(int(world.now_s * 1000), "1001")
    assert [binding.contact for binding in found] == [b"sip:b@2.2.2.2", b"sip:a@1.1.1.1"]
    world.now_s += 91
    assert [b.contact for b in world.store.bindings(int(world.now_s * 1000), "1001")] == [b"sip:a@1.1.1.1"]
    (gone,) = register(world, cseq=9, Contact="*", Expires="0")
    assert (parse(gone.data).status, header(gone.data, "contact")) == (200, [])


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Contact": "<sip:a@h>;expires=10"}, 423),
        ({"Contact": "*"}, 400),
        ({"Contact": "*, <sip:a@h>", "Expires": "0"}, 400),
        ({"Contact": "<tel:+1>"}, 400),
        ({"Contact": "<sip:a@h>;q=7"}, 400),
        ({"Contact": ", ".join(f"<sip:{n}@h>" for n in range(MAX_CONTACTS + 1))}, 403),
        ({"Expires": "soon"}, 400),
    ],
)
def test_registrations_that_are_refused_change_nothing(world: World, more: dict[str, str], code: int) -> None:
    world.add("1001")
    register(world)
    before = world.store.bindings(0)
    assert status(register(world, cseq=5, **more)) == code
    assert world.store.bindings(0) == before


def test_an_older_registration_does_not_undo_a_newer_one(world: World) -> None:
    world.add("1001")
    register(world, cseq=10)
    assert status(register(world, cseq=3)) == 500
    assert status(register(world, cseq=1, Call_ID="rebooted")) == 200


def test_nobody_calls_as_one_of_our_telephones_without_its_password(world: World) -> None:
    world.add("1001")
    mine = {"From": "<sip:1001@centre>;tag=x"}
    (challenge,) = world.outside(sip("INVITE", **mine))
    assert parse(challenge.data).status == 407
    uri = "sip:95519@198.51.100.1"
    words = credentials(header_raw(challenge.data, "Proxy-Authenticate")[0], "INVITE", uri)
    (sent,) = world.outside(sip("INVITE", CSeq="2 INVITE", Proxy_Authorization=words, **mine))
    assert header(sent.data, "record-route")[0].endswith("cc-from=phone:1001>")
    assert status(
        world.outside(
            sip("INVITE", CSeq="3 INVITE", Proxy_Authorization=words, From="<sip:1002@centre>;tag=x")
        )
    ) in (403, 407)


def test_only_who_is_known_may_call_where_that_is_the_rule(tmp_path: Path) -> None:
    world = World(tmp_path, (TrunkConfig("bank", "192.0.2.10", 5060),), accept="known")
    assert status(world.outside(sip("INVITE"))) == 407
    (sent,) = world.outside(sip("INVITE", Call_ID="t"), CARRIER)
    assert header(sent.data, "record-route")[0].endswith("cc-from=trunk:bank>")


# --- calls out ---------------------------------------------------------------------------------------


def out(uri: str, method: str = "INVITE", branch: str = "w", **more: str) -> bytes:
    """A request of a worker, by way of the edge."""
    via = f"SIP/2.0/UDP 127.0.0.1:5081;rport;branch=z9hG4bK-{branch}"
    base = {
        "Via": via,
        "Route": "<sip:127.0.0.1:5080;lr>",
        "From": "<sip:callcenter@127.0.0.1>;tag=w",
        "To": f"<{uri}>",
        "Call_ID": "out",
    }
    return sip(method, uri, **{**base, **more})


def test_a_registered_telephone_is_reached_along_its_flow(world: World) -> None:
    world.add("1001")
    register(world, Flow(UDP, "203.0.113.9", 44_000), Contact="<sip:1001@10.0.0.7:5062>")
    (invite,) = world.inside(out("sip:1001@centre"))
    assert (invite.side, invite.flow) == (OUTSIDE, Flow(UDP, "203.0.113.9", 44_000))
    assert parse(invite.data).uri == b"sip:1001@10.0.0.7:5062"
    (ringing,) = world.outside(reply_to(invite.data, 180, "sip:1001@10.0.0.7:5062"), invite.flow)
    assert ringing == Send(INSIDE, WORKERS[0], ringing.data)
    for method in ("CANCEL", "ACK"):
        (sent,) = world.inside(
            out(
                "sip:1001@centre",
                method,
                To="<sip:1001@centre>;tag=t" if method == "ACK" else "<sip:1001@centre>",
            )
        )
        assert (sent.flow, parse(sent.data).uri) == (invite.flow, parse(invite.data).uri)
        assert header(sent.data, "via")[0] == header(invite.data, "via")[0]


def test_a_telephone_that_is_not_there(world: World) -> None:
    (refused,) = world.inside(out("sip:1001@centre"))
    assert (refused.side, parse(refused.data).status) == (INSIDE, 480)


def test_a_literal_address_is_called_as_it_stands(world: World) -> None:
    (invite,) = world.inside(out("sip:4000@203.0.113.20:5070;transport=tcp"))
    assert invite.flow == Flow(TCP, "203.0.113.20", 5070)


TWO = (
    TrunkConfig("one", "192.0.2.10", 5060, monitor_s=0),
    TrunkConfig("two", "192.0.2.20", 5060, monitor_s=0),
)


def test_the_next_trunk_takes_what_one_refuses_and_the_worker_hears_one_answer(tmp_path: Path) -> None:
    world = World(tmp_path, TWO)
    (first,) = world.inside(out("sip:13800138000@centre"))
    assert (first.flow, parse(first.data).uri) == (CARRIER, b"sip:13800138000@192.0.2.10:5060")
    ack, second = world.outside(reply_to(first.data, 503, "sip:x@192.0.2.10"), CARRIER)
    assert (ack.flow, parse(ack.data).method) == (CARRIER, b"ACK")
    assert header(ack.data, "via")[0].endswith(header(first.data, "via")[0].rpartition("branch=")[2])
    assert (second.flow.host, parse(second.data).uri) == ("192.0.2.20", b"sip:13800138000@192.0.2.20:5060")
    assert world.outside(reply_to(first.data, 503, "sip:x@192.0.2.10"), CARRIER) == [], "its late copies"
    (answered,) = world.outside(reply_to(second.data, 200, "sip:x@192.0.2.20"), second.flow)
    assert (answered.side, answered.flow) == (INSIDE, WORKERS[0])
    (other,) = world.inside(out("sip:13800138000@centre", Call_ID="later"))
    assert other.flow.host == "192.0.2.20", "one is passed over for a while"


def test_a_trunk_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path, TWO)
    copies = [world.inside(out("sip:13800138000@centre"))[0].flow.host for _ in range(5)]
    assert copies == ["192.0.2.10"] * 3 + ["192.0.2.20"] * 2


def test_the_last_trunks_refusal_reaches_the_worker(tmp_path: Path) -> None:
    world = World(tmp_path, TWO[:1])
    (first,) = world.inside(out("sip:13800138000@centre"))
    (told,) = world.outside(reply_to(first.data, 503, "sip:x@h"), CARRIER)
    assert (told.side, parse(told.data).status) == (INSIDE, 503)


def test_trunks_are_watched_and_registered_with(tmp_path: Path) -> None:
    config = TrunkConfig("bank", "192.0.2.10", 5060, username="u", password="p", register=True, monitor_s=30)
    world = World(tmp_path, (config,))

    def tick(seconds: float) -> list[bytes]:
        sent: list[bytes] = []
        for _ in range(int(seconds * 4)):
            world.now_s += 0.25
            sent += [data for _flow, data in world.trunks.tick(world.now_s)]
        return sent

    sent = tick(0.5)
    (asked,) = [data for data in sent if data.startswith(b"REGISTER")]
    unauthorised = reply_to(asked, 401, "sip:x@h").replace(
        b"Contact: <sip:x@h>", b'WWW-Authenticate: Digest realm="bank", nonce="n1", qop="auth", algorithm=MD5'
    )
    (again,) = world.outside(unauthorised, CARRIER)
    words = header_raw(again.data, "Authorization")[0]
    cnonce = re.search(r'cnonce="(\w+)"', words)
    assert cnonce is not None
    expected = hashlib.md5(b"u:bank:p").hexdigest(), hashlib.md5(b"REGISTER:sip:192.0.2.10:5060").hexdigest()
    text = f"{expected[0]}:n1:00000001:{cnonce[1]}:auth:{expected[1]}"
    assert hashlib.md5(text.encode()).hexdigest() in words
    world.outside(reply_to(again.data, 200, "sip:u@198.51.100.1:5060>;expires=120;x=<y"), CARRIER)
    described = world.trunks.describe(world.now_s)[0]
    assert described["registered"] is True
    tick(40)  # OPTIONS without an answer
    assert world.trunks.describe(world.now_s)[0]["up"] is False
    assert world.trunks.choices(world.now_s) == []
    options = next(data for _ in range(200) for data in tick(0.25) if data.startswith(b"OPTIONS"))
    world.outside(reply_to(options, 200, "sip:x@h"), CARRIER)
    assert world.trunks.describe(world.now_s)[0]["up"] is True


def test_our_own_credentials_without_qop() -> None:
    """RFC 2617 §3.5 with the older form of RFC 2069."""
    found = answer(
        "Mufasa", "Circle Of Life", b'Digest realm="t", nonce="n", opaque="o"', "REGISTER", "sip:t"
    )
    ha1, ha2 = hashlib.md5(b"Mufasa:t:Circle Of Life").hexdigest(), hashlib.md5(b"REGISTER:sip:t").hexdigest()
    assert found is not None
    assert hashlib.md5(f"{ha1}:n:{ha2}".encode()).hexdigest() in found
    assert 'opaque="o"' in found
    assert answer("u", "p", b"Basic x", "REGISTER", "sip:t") is None


# --- anything at all ---------------------------------------------------------------------------------


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_comes_goes_back_where_it_came_from_or_to_a_worker(
    world: World, data: st.DataObject
) -> None:
    seeds = [
        sip("INVITE"),
        sip("REGISTER", URI),
        sip("ACK"),
        sip("BYE", To="<sip:a@b>;tag=1"),
        sip("CANCEL"),
        b"SIP/2.0 200 OK\r\n\r\n",
    ]
    damaged = bytearray(data.draw(st.sampled_from(seeds)))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        damaged[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=8))
    for send in world.outside(bytes(damaged), STRANGER):
        if send.side == INSIDE:
            assert send.flow in WORKERS
        else:
            assert send.flow.host == STRANGER.host
    world.inside(bytes(damaged))
