"""Where telephones are, against RFC 3261 §10.3 and a model of it in a few lines."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.voice.edge.digest import Secret
from channels.voice.edge.flow import TCP, UDP, Flow, Seal
from channels.voice.edge.message import parse
from channels.voice.edge.registrar import (
    DEFAULT_EXPIRES_S,
    MAX_CONTACTS,
    MAX_EXPIRES_S,
    MIN_EXPIRES_S,
    Answer,
    Registrar,
)
from channels.voice.edge.store import EdgeStore

from .far_ends import CALLER, DOMAIN, OTHER, Party, Read, World

HOME = Flow(UDP, "203.0.113.9", 5062)


class Place:
    """A registrar on a file, with a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now_ms = folder, 1_800_000_000_000
        self.open()

    def open(self) -> None:
        self.store = EdgeStore(self.folder / "edge.db")
        self.registrar = Registrar(self.store, lambda: self.now_ms)

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def register(
        self,
        *contacts: str,
        cseq: int = 1,
        call_id: str = "reg",
        expires: str | None = None,
        user: str = "1001",
        flow: Flow = HOME,
    ) -> Answer:
        headers = [
            "REGISTER sip:centre SIP/2.0",
            "Via: SIP/2.0/UDP 203.0.113.9:5062;branch=z9hG4bK1",
            f"From: <sip:{user}@centre>;tag=1",
            f"To: <sip:{user}@centre>",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} REGISTER",
            *(f"Contact: {contact}" for contact in contacts),
            *([] if expires is None else [f"Expires: {expires}"]),
            "User-Agent: phone/1",
        ]
        message = parse("\r\n".join([*headers, "", ""]).encode())
        return self.registrar.register(user, message, flow, False)

    def found(self, user: str = "1001") -> list[bytes]:
        return [binding.contact for binding in self.registrar.find(user)]

    def left_s(self, contact: bytes, user: str = "1001") -> int:
        (binding,) = [binding for binding in self.registrar.find(user) if binding.contact == contact]
        return (binding.expires_ms - self.now_ms) // 1000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.store.close()


def told(answer: Answer) -> dict[bytes, bytes]:
    """Contacts of a 200 by URI: what stands behind them."""
    assert answer.code == 200
    values = [value for name, value in answer.headers if name == "Contact"]
    return {value[1 : value.index(b">")]: value[value.index(b">") + 1 :] for value in values}


# --- several contacts -------------------------------------------------------------------------------------


def test_several_contacts_in_one_header_and_in_several(place: Place) -> None:
    """All of them are in the reply, each with the time it has left (step 8)."""
    answer = place.register('"a, b" <sip:1@h>;expires=100, <sip:2@h;transport=tcp>', "sip:3@h;expires=200")
    assert sorted(told(answer)) == [b"sip:1@h", b"sip:2@h;transport=tcp", b"sip:3@h"]
    assert b";expires=100" in told(answer)[b"sip:1@h"]
    assert b";expires=%d" % DEFAULT_EXPIRES_S in told(answer)[b"sip:2@h;transport=tcp"]
    assert b";expires=200" in told(answer)[b"sip:3@h"]


def test_a_registration_adds_and_leaves_the_others(place: Place) -> None:
    place.register("<sip:1@h>")
    assert sorted(told(place.register("<sip:2@h>", cseq=2))) == [b"sip:1@h", b"sip:2@h"]


def test_one_without_contacts_only_asks(place: Place) -> None:
    assert told(place.register()) == {}
    place.register("<sip:1@h>", cseq=2)
    assert list(told(place.register(cseq=3))) == [b"sip:1@h"]
    assert list(told(place.register(cseq=4, expires="0"))) == [b"sip:1@h"]


def test_each_user_has_contacts_of_its_own(place: Place) -> None:
    place.register("<sip:1@h>", user="1001")
    place.register("<sip:1@h>", user="1002")
    place.register("*", user="1001", cseq=2, expires="0")
    assert (place.found("1001"), place.found("1002")) == ([], [b"sip:1@h"])


def test_the_highest_q_comes_first_and_then_the_newest(place: Place) -> None:
    place.register("<sip:low@h>;q=0.1, <sip:high@h>;q=0.9, <sip:none@h>;q=0, <sip:default@h>")
    place.now_ms += 1000
    place.register("<sip:newer@h>;q=0.9", "<sip:fine@h>;q=0.101", cseq=2)
    order = [b"sip:default@h", b"sip:newer@h", b"sip:high@h", b"sip:fine@h", b"sip:low@h", b"sip:none@h"]
    assert place.found() == order


@pytest.mark.parametrize(
    ("q", "good"), [("0", 1), ("0.", 1), ("0.999", 1), ("1", 1), ("1.000", 1), ("1.0", 1)]
)
def test_good_q(place: Place, q: str, good: int) -> None:
    assert place.register(f"<sip:1@h>;q={q}").code == 200


@pytest.mark.parametrize("q", ["2", "-1", "0.1234", "1.1", "", "x", "0,5", "1e0", "00.5", ".5"])
def test_bad_q(place: Place, q: str) -> None:
    assert place.register(f"<sip:1@h>;q={q}").code == 400
    assert place.found() == []


# --- expiry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contact", "expires", "seconds"),
    [
        ("<sip:1@h>", None, DEFAULT_EXPIRES_S),
        ("<sip:1@h>", "120", 120),
        ("<sip:1@h>;expires=90", "120", 90),
        ("<sip:1@h>;EXPIRES=90", None, 90),
        ("<sip:1@h;expires=90>", "120", 120),
        (f"<sip:1@h>;expires={MIN_EXPIRES_S}", None, MIN_EXPIRES_S),
        (f"<sip:1@h>;expires={MAX_EXPIRES_S + 1}", None, MAX_EXPIRES_S),
        ("<sip:1@h>;expires=4294967295", None, MAX_EXPIRES_S),
        ("<sip:1@h>;expires=" + "9" * 300, None, MAX_EXPIRES_S),
        ("<sip:1@h>", "280297596632815", MAX_EXPIRES_S),
        ("<sip:1@h>;expires=00120", None, 120),
    ],
)
def test_how_long_a_contact_stays(place: Place, contact: str, expires: str | None, seconds: int) -> None:
    """The parameter, else the header, else our default; never longer than the longest (steps 6, 7)."""
    (behind,) = told(place.register(contact, expires=expires)).values()
    assert b";expires=%d;" % seconds in behind + b";"
    (known,) = place.found()
    place.now_ms += seconds * 1000 - 1
    assert place.found() == [known]
    place.now_ms += 1
    assert place.found() == []


@pytest.mark.parametrize("seconds", [1, 30, MIN_EXPIRES_S - 1])
def test_too_short(place: Place, seconds: int) -> None:
    answer = place.register(f"<sip:1@h>;expires={seconds}")
    assert (answer.code, dict(answer.headers)["Min-Expires"]) == (423, b"%d" % MIN_EXPIRES_S)
    assert place.register("<sip:1@h>", expires=str(seconds)).code == 423
    assert place.found() == []


def test_the_time_left_is_told(place: Place) -> None:
    place.register("<sip:1@h>;expires=100")
    place.now_ms += 40_000
    assert b";expires=60" in told(place.register(cseq=2))[b"sip:1@h"]


def test_a_refresh_starts_anew(place: Place) -> None:
    place.register("<sip:1@h>;expires=100", flow=HOME)
    place.now_ms += 90_000
    place.register("<sip:1@h>;expires=100", cseq=2, flow=Flow(TCP, "203.0.113.9", 40_000))
    place.now_ms += 90_000
    (binding,) = place.registrar.find("1001")
    assert (binding.flow, place.left_s(b"sip:1@h")) == (Flow(TCP, "203.0.113.9", 40_000), 10)


def test_zero_removes_one(place: Place) -> None:
    place.register("<sip:1@h>, <sip:2@h>")
    assert list(told(place.register("<sip:1@h>;expires=0", cseq=2))) == [b"sip:2@h"]
    assert list(told(place.register("<sip:3@h>;expires=0", cseq=3))) == [b"sip:2@h"], "one that is not there"
    assert told(place.register("<sip:2@h>", cseq=4, expires="0")) == {}


def test_one_comes_and_one_goes_in_one_request(place: Place) -> None:
    place.register("<sip:old@h>")
    assert list(told(place.register("<sip:old@h>;expires=0", "<sip:new@h>", cseq=2))) == [b"sip:new@h"]


def test_a_star_removes_all(place: Place) -> None:
    place.register("<sip:1@h>, <sip:2@h>")
    assert told(place.register("*", cseq=2, expires="0")) == {}
    assert told(place.register("*", cseq=3, expires="0")) == {}, "and again"


# --- refusals change nothing ------------------------------------------------------------------------------

REFUSED = {
    "a star without Expires": (["*"], None, 400),
    "a star that expires later": (["*"], "60", 400),
    "a star and another": (["*, <sip:2@h>"], "0", 400),
    "a star and another header": (["*", "<sip:2@h>"], "0", 400),
    "one too short among others": (["<sip:2@h>", "<sip:3@h>;expires=5"], None, 423),
    "no SIP address": (["<sip:2@h>, <tel:+1>"], None, 400),
    "mail": (["<mailto:a@b>"], None, 400),
    "nothing in brackets": (["<>"], None, 400),
    "brackets that do not close": (["<sip:2@h"], None, 400),
    "headers in a bare address, RFC 4475 §3.1.2.13": (["sip:2@h?Route=%3Csip:sip.example.com%3E"], None, 400),
    "a Contact of a kilobyte": ([f"<sip:{'a' * 1000}@h>"], None, 400),
    "too many": ([f"<sip:{n}@h>" for n in range(MAX_CONTACTS + 1)], None, 403),
}


@pytest.mark.parametrize(("contacts", "expires", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_all_or_nothing(place: Place, contacts: list[str], expires: str | None, code: int) -> None:
    place.register("<sip:1@h>;q=0.3")
    before = place.registrar.find("1001")
    assert place.register(*contacts, cseq=2, expires=expires).code == code
    assert place.registrar.find("1001") == before


def test_as_many_contacts_as_allowed_and_no_more(place: Place) -> None:
    for n in range(MAX_CONTACTS):
        assert place.register(f"<sip:{n}@h>", cseq=n + 1).code == 200
    assert place.register("<sip:more@h>", cseq=50).code == 403
    assert place.register("<sip:0@h>", cseq=51).code == 200, "a refresh is none more"
    assert place.register("<sip:0@h>;expires=0, <sip:more@h>", cseq=52).code == 200, "nor is an exchange"
    assert len(place.found()) == MAX_CONTACTS


def test_one_that_is_out_of_order_undoes_nothing(place: Place) -> None:
    """Step 7: the same Call-ID and no higher CSeq fails the whole request."""
    place.register("<sip:1@h>", cseq=10)
    before = place.registrar.find("1001")
    for cseq in (9, 10):
        for contacts in (["<sip:1@h>"], ["<sip:1@h>;expires=0"], ["<sip:2@h>", "<sip:1@h>"]):
            assert place.register(*contacts, cseq=cseq).code >= 400
        assert place.register("*", cseq=cseq, expires="0").code >= 400
    assert place.registrar.find("1001") == before
    assert place.register("<sip:1@h>", cseq=11).code == 200
    assert place.register("<sip:1@h>", cseq=1, call_id="after a reboot").code == 200
    assert place.register("<sip:2@h>", cseq=1, call_id="reg").code == 200, "order is by contact"


@pytest.mark.parametrize(
    "same",
    [
        "<sip:1001@PHONE.example:5062;transport=udp>",
        "<SIP:1001@phone.example:5062;transport=udp>",
        "sip:1001@phone.example:5062",
    ],
)
def test_contacts_are_compared_as_uris(place: Place, same: str) -> None:
    """RFC 3261 §19.1.4: host and scheme in any case are the same (and not, with a parameter only one has)."""
    place.register("<sip:1001@phone.example:5062;transport=udp>")
    place.register(same, cseq=2)
    assert len(place.found()) == (2 if same[0] == "s" else 1)


# --- a model ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    call_id: str
    cseq: int
    until_ms: int


@dataclass(frozen=True)
class Ask:
    contacts: dict[str, int | None]
    """expires by URI; None where no parameter says so"""
    star: bool
    header: int | None
    call_id: str
    cseq: int
    later_s: int


ASKS = st.builds(
    Ask,
    st.dictionaries(
        st.sampled_from([f"sip:{n}@h" for n in range(4)]),
        st.sampled_from([None, 0, 0, 59, 60, 100, 5000]),
        max_size=3,
    ),
    st.sampled_from([False] * 6 + [True]),
    st.sampled_from([None, None, 0, 30, 200]),
    st.sampled_from(["one", "two"]),
    st.integers(1, 9),
    st.sampled_from([0, 1, 59, 61, 700]),
)


def model(held: dict[str, Held], ask: Ask, now_ms: int) -> dict[str, Held] | None:
    """What is held after it; None where it is refused."""

    def ordered(uri: str) -> bool:
        old = held.get(uri)
        return old is None or old.call_id != ask.call_id or ask.cseq > old.cseq

    if ask.star:
        alone = ask.header == 0 and not ask.contacts
        return {} if alone and all(ordered(uri) for uri in held) else None
    after = dict(held)
    for uri, own in ask.contacts.items():
        seconds = own if own is not None else ask.header if ask.header is not None else DEFAULT_EXPIRES_S
        if 0 < seconds < MIN_EXPIRES_S or not ordered(uri):
            return None
        if seconds:
            after[uri] = Held(ask.call_id, ask.cseq, now_ms + min(seconds, MAX_EXPIRES_S) * 1000)
        else:
            after.pop(uri, None)
    return after


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asks=st.lists(ASKS, max_size=12), reopen=st.integers(0, 12))
def test_any_sequence_leaves_what_the_model_holds(place: Place, asks: list[Ask], reopen: int) -> None:
    """Through a restart, too."""
    place.store.save_bindings("1001", [], place.now_ms)
    held: dict[str, Held] = {}
    for at, ask in enumerate(asks):
        place.now_ms += ask.later_s * 1000
        held = {uri: one for uri, one in held.items() if one.until_ms > place.now_ms}
        contacts = [f"<{uri}>" + ("" if s is None else f";expires={s}") for uri, s in ask.contacts.items()]
        contacts += ["*"] if ask.star else []
        header = None if ask.header is None else str(ask.header)
        answer = place.register(*contacts, cseq=ask.cseq, call_id=ask.call_id, expires=header)
        after = model(held, ask, place.now_ms)
        assert (answer.code == 200) == (after is not None)
        held = held if after is None else after
        if at == reopen:
            place.reopen()
        found = {
            b.contact.decode(): Held(b.call_id.decode(), b.cseq, b.expires_ms)
            for b in place.registrar.find("1001")
        }
        assert found == held


# --- the file ---------------------------------------------------------------------------------------------


def test_a_restart_forgets_nothing(place: Place) -> None:
    place.register("<sip:1@[2001:db8::7]:5062;ob>;q=0.5;expires=100", flow=Flow(TCP, "2001:db8::7", 40_000))
    place.store.put_account("1001", Secret.of("1001", DOMAIN, "x", ("MD5", "SHA-256")), 1)
    place.store.save_workers([("127.0.0.1", 5081, 0), ("127.0.0.1", 5082, 1)])
    before = place.registrar.find("1001"), place.store.key(), place.store.accounts(), place.store.workers()
    assert len(before[0]) == 1
    place.reopen()
    assert (
        place.registrar.find("1001"),
        place.store.key(),
        place.store.accounts(),
        place.store.workers(),
    ) == before
    assert place.store.account("1001") == Secret.of("1001", DOMAIN, "x", ("MD5", "SHA-256"))
    assert place.register("<sip:1@[2001:db8::7]:5062;ob>", cseq=1).code == 500, "nor in which order they came"


def test_a_restart_keeps_the_seal(place: Place) -> None:
    token = Seal(place.store.key()).token(HOME)
    place.reopen()
    assert Seal(place.store.key()).flow(token) == HOME


def test_only_its_owner_reads_the_file(place: Place) -> None:
    place.register("<sip:1@h>")
    for file in place.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_an_account_that_goes_takes_its_contacts_with_it(place: Place) -> None:
    place.store.put_account("1001", Secret.of("1001", DOMAIN, "x"), 1)
    place.register("<sip:1@h>")
    assert place.store.drop_account("1001")
    assert (place.found(), place.store.account("1001"), place.store.drop_account("1001")) == ([], None, False)


def test_expired_contacts_leave_the_file(place: Place) -> None:
    place.register("<sip:1@h>;expires=60", user="1002")
    place.now_ms += 61_000
    place.register("<sip:1@h>", user="1001")
    assert [binding.user for binding in place.store.bindings(0)] == ["1001"]


# --- through the edge -------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, rules={"source_rate": 0.0})
    for user in ("1001", "1002"):
        made.account(user, f"secret{user}")
    yield made
    made.store.close()


def register(world: World, party: Party, whose: str, *more: str, **rest: str) -> Read:
    aor = f"<sip:{whose}@{DOMAIN}>"
    options = {"from_": aor, "to": aor, "password": f"secret{party.user}", **rest}
    (send,) = world.authorised(party, "REGISTER", f"sip:{DOMAIN}", *more, **options)
    assert send.flow == party.flow
    return Read(send.data)


def test_a_telephone_registers_itself(world: World) -> None:
    party = Party("1001", CALLER, contact="sip:1001@10.0.0.7:5062;ob")
    told_ = register(world, party, "1001", "Expires: 300")
    assert told_.status == 200
    assert told_.all("contact")[0].startswith("<sip:1001@10.0.0.7:5062;ob>;expires=300")
    (binding,) = world.store.bindings(int(world.now_s * 1000), "1001")
    assert (binding.flow, binding.nat) == (CALLER, True)


def test_nobody_registers_another_user(world: World) -> None:
    """Step 4: authenticated, and not authorised to that address."""
    assert register(world, Party("1001", CALLER), "1002").status == 403
    assert world.store.bindings(0) == []


@pytest.mark.parametrize(
    "to",
    [
        "sip:1002@centre",
        "<sip:1002@centre>",
        '"sip:1001@centre" <sip:1002@centre>',
        '"<sip:1001@centre>" <sip:1002@centre>',
    ],
)
def test_however_the_other_is_written(world: World, to: str) -> None:
    assert register(world, Party("1001", CALLER), "1001", to=to).status == 403


@pytest.mark.parametrize("to", ["<isbn:2983792873>", "<tel:1001>", "<http://www.example.com>", "<>", "1001"])
def test_an_address_that_is_none_of_ours(world: World, to: str) -> None:
    """RFC 4475 §3.3.4 among them."""
    assert 400 <= register(world, Party("1001", CALLER), "1001", to=to).status < 500
    assert world.store.bindings(0) == []


@pytest.mark.parametrize(
    "words",
    [
        "NoOneKnowsThisScheme opaque-data=here",
        "Digest",
        'Digest username="1001", realm="centre", nonce="x", uri="sip:centre", response="y", qop=auth, nc=00000001, cnonce="z"',
        'Basic "1001:secret1001"',
    ],
)
def test_credentials_that_prove_nothing_are_challenged_anew(world: World, words: str) -> None:
    """RFC 4475 §3.3.7 among them."""
    party = Party("1001", CALLER)
    read = Read(world.one_out(party.request("REGISTER", "sip:centre", f"Authorization: {words}")).data)
    assert read.status == 401
    assert read.one("www-authenticate").startswith("Digest ")
    assert world.store.bindings(0) == []


def test_an_extension_that_a_telephone_requires_and_we_do_not_know(world: World) -> None:
    """§10.3 step 2, §8.2.2.3."""
    party = Party("1001", CALLER)
    aor = "<sip:1001@centre>"
    first = world.one_out(
        party.request("REGISTER", "sip:centre", "Require: nothing-supports-this", from_=aor, to=aor)
    )
    read = Read(first.data)
    if read.status == 401:
        read = register(world, party, "1001", "Require: nothing-supports-this", call_id="again")
    assert (read.status, read.one("unsupported")) == (420, "nothing-supports-this")


def test_a_replayed_registration_is_asked_again_and_changes_nothing(world: World) -> None:
    party, uri = Party("1001", CALLER), "sip:centre"
    aor = {"from_": "<sip:1001@centre>", "to": "<sip:1001@centre>"}
    from .far_ends import credentials

    challenge = Read(world.one_out(party.request("REGISTER", uri, **aor)).data).one("www-authenticate")
    words = credentials(challenge, "1001", "secret1001", "REGISTER", uri)
    heard = party.request("REGISTER", uri, f"Authorization: {words}", cseq=2, **aor)
    assert Read(world.one_out(heard).data).status == 200
    before = world.store.bindings(0)
    forged = heard.replace(b"Contact: <sip:1001@203.0.113.9:5062>", b"Contact: <sip:evil@203.0.113.9:5062>")
    again = Read(world.one_out(forged).data)
    assert again.status == 401
    assert "stale=true" in again.one("www-authenticate")
    assert Read(world.one_out(forged, OTHER).data).status == 401, "nor from elsewhere"
    assert world.store.bindings(0) == before


def test_registrations_outlive_the_process(world: World) -> None:
    register(world, Party("1001", CALLER), "1001", "Expires: 300")
    before = world.store.bindings(0)
    world.restart()
    assert world.store.bindings(0) == before == [replace(before[0])]
    world.now_s += 301
    assert world.store.bindings(int(world.now_s * 1000)) == []
