"""Who stands for a sender, and who only seems to. Names are looked up in a map; the few tests of the resolver itself
ask a small server of our own on this machine."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import dkim
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
import spf
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.email import proof
from channels.email.mail import Envelope
from channels.email.proof import METHODS, Dns, of_trusted_server, prove
from channels.email.reader import Reader
from channels.email.translate import read

VICTIM, ATTACKER, HERE = "zhang@bank.cn", "me@evil.cn", "192.0.2.7"
RESULTS = {"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"}
BODY = b"To: service@insurer.example\r\nSubject: policy\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n"
Zone = dict[str, list[str]]

_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = _key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
_public = _key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PUBLIC = f"v=DKIM1; k=rsa; p={base64.b64encode(_public).decode()}"


def zone(**policies: str) -> Zone:
    """Every domain signs with the same key; `policies`: domain with _ for dots and __ for hyphens -> p and more."""
    found: Zone = {}
    for name, policy in policies.items():
        domain = name.replace("__", "-").replace("_", ".")
        found[f"s._domainkey.{domain}"] = [PUBLIC]
        if policy:
            found[f"_dmarc.{domain}"] = [f"v=DMARC1; p={policy}"]
    return found


ZONE = zone(
    bank_cn="none",
    evil_cn="reject",
    firm_com_cn="quarantine",
    my__firm_cn="reject",
    bare_cn="",
)


class Names:
    """A lookup in a zone that remembers what was asked."""

    def __init__(
        self, known: Mapping[str, list[str]], fails: Callable[[str], bool] = lambda _name: False
    ) -> None:
        self._known, self._fails, self.asked = known, fails, list[str]()

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        if self._fails(name):
            raise TimeoutError(name)
        return self._known.get(name.lower(), [])


def signed(raw: bytes, domain: str = "evil.cn", **more: Any) -> bytes:
    more = {"include_headers": [b"from", b"to", b"subject"], **more}
    return bytes(dkim.sign(raw, b"s", domain.encode(), PRIVATE, **more)) + raw


def letter(sender: str) -> bytes:
    return f"From: {sender}\r\n".encode() + BODY


def proved(raw: bytes, known: Mapping[str, list[str]] = ZONE, **said: str) -> dict[str, str]:
    said = {"peer": "", "helo": "", "mail_from": "", **said}
    found = prove(raw, txt=Names(known), **said)
    assert set(found) == set(METHODS) and set(found.values()) <= RESULTS
    return found


@pytest.fixture
def spf_zone(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Any]:
    """(name, type) -> value, for the library of SPF, which asks by itself."""
    records: dict[tuple[str, str], Any] = {}

    def look(name: str, kind: str, _strict: bool = True, timeout: float = 0) -> list[Any]:
        del timeout
        value = records.get((str(name).rstrip(".").lower(), kind))
        if isinstance(value, Exception):
            raise value
        return [((name, kind), (value,) if kind == "TXT" else value)] if value is not None else []

    monkeypatch.setattr(spf, "DNSLookup", look)
    return records


# --- signatures -----------------------------------------------------------------------------------------


def test_a_signature_of_the_senders_domain_proves_the_sender() -> None:
    assert proved(signed(letter(ATTACKER))) == {"spf": "none", "dkim": "pass", "dmarc": "pass"}


@pytest.mark.parametrize(
    ("sender", "by", "dmarc"),
    [
        ("a@firm.com.cn", "firm.com.cn", "pass"),
        ("a@mail.firm.com.cn", "firm.com.cn", "pass"),
        ("a@FIRM.com.CN", "firm.com.cn", "pass"),
        ("A B <a@firm.com.cn>", "firm.com.cn", "pass"),
        ('"A, B" <a@firm.com.cn>', "firm.com.cn", "pass"),
        ("a@my-firm.cn", "my-firm.cn", "pass"),
        ("a@mail.my-firm.cn", "my-firm.cn", "pass"),
        ("a@firm.com.cn", "evil.cn", "fail"),
        ("a@firm.com.cn.evil.cn", "firm.com.cn", "fail"),
        ("a@bare.cn", "bare.cn", "none"),
        ("a@unknown.cn", "evil.cn", "none"),
    ],
)
def test_a_signature_proves_its_own_domain_alone(sender: str, by: str, dmarc: str) -> None:
    found = proved(signed(letter(sender), by))
    assert (found["dkim"], found["dmarc"]) == ("pass", dmarc)


def test_a_strict_policy_is_kept() -> None:
    known = {
        **ZONE,
        "_dmarc.bank.cn": ["v=DMARC1; p=reject; adkim=s"],
        "s._domainkey.mail.bank.cn": [PUBLIC],
    }
    assert proved(signed(letter(VICTIM), "mail.bank.cn"), known)["dmarc"] == "fail"
    assert proved(signed(letter(VICTIM), "bank.cn"), known)["dmarc"] == "pass"
    del known["_dmarc.bank.cn"]
    known["_dmarc.bank.cn"] = ["v=DMARC1; p=reject"]
    assert proved(signed(letter(VICTIM), "mail.bank.cn"), known)["dmarc"] == "pass"


def test_without_a_signature_nothing_is_proved() -> None:
    assert proved(letter(VICTIM)) == {"spf": "none", "dkim": "none", "dmarc": "fail"}
    assert proved(letter("a@nowhere.cn"))["dmarc"] == "none"
    assert proved(letter(VICTIM).replace(b"\r\n", b"\n"))["dkim"] == "none"
    assert proved(letter(VICTIM).replace(b"hello", b"DKIM-Signature: v=1"))["dkim"] == "none"
    assert (
        proved(letter(VICTIM).replace(b"hello", b"DKIM-Signature: v=1").replace(b"\r\n", b"\n"))["dkim"]
        == "none"
    )


@pytest.mark.parametrize("old", [b"hello", b"Subject: policy", b"From: zhang", b"\r\n\r\nhello"])
def test_a_mail_that_was_changed_is_not_proved(old: bytes) -> None:
    raw = signed(letter(VICTIM), "bank.cn")
    assert proved(raw)["dmarc"] == "pass"
    changed = proved(raw.replace(old, old + b"x", 1))
    assert (changed["dkim"], changed["dmarc"]) == ("fail", "fail")


def test_a_key_that_is_not_there_proves_nothing() -> None:
    raw = signed(letter(VICTIM), "bank.cn")
    for key in ([], ["v=DKIM1; p="], ["nonsense"], ["v=DKIM1; k=rsa; p=AAAA"]):
        found = proved(raw, {**ZONE, "s._domainkey.bank.cn": key})
        assert found["dkim"] in ("fail", "permerror") and found["dmarc"] == "fail"


def test_other_records_beside_the_policy_do_not_hide_it() -> None:
    known = {**ZONE, "_dmarc.bank.cn": ["google-site-verification=x", "v=DMARC1; p=reject"]}
    assert proved(signed(letter(VICTIM), "bank.cn"), known)["dmarc"] == "pass"


def test_two_domains_of_a_zone_that_no_list_knows_are_two() -> None:
    """Names of firms' own nets, and zones that are newer than the list."""
    known = zone(bank_corp="reject", evil_corp="reject", mail_bank_corp="")
    assert proved(signed(letter("zhang@bank.corp"), "evil.corp"), known)["dmarc"] == "fail"
    assert proved(signed(letter("zhang@bank.corp"), "bank.corp"), known)["dmarc"] == "pass"
    assert proved(signed(letter("zhang@bank.corp"), "mail.bank.corp"), known)["dmarc"] == "pass"


@pytest.mark.parametrize("order", [("bank.cn", "lists.cn"), ("lists.cn", "bank.cn")])
def test_one_good_signature_of_several_is_enough(order: tuple[str, str]) -> None:
    """Senders by way of others sign twice, and lists sign what they spoil."""
    known = {**ZONE, **zone(lists_cn="none")}
    raw = letter(VICTIM)
    for domain in order:
        raw = signed(raw, domain)
    assert proved(raw, known)["dmarc"] == "pass"
    spoiled = b"DKIM-Signature: v=1; a=rsa-sha256; d=lists.cn; s=s; h=from; bh=AAAA; b=AAAA\r\n" + signed(
        letter(VICTIM), "bank.cn"
    )
    assert proved(spoiled, known)["dmarc"] == "pass"


def test_a_signature_of_a_part_does_not_stand_for_words_behind_it() -> None:
    """l= signs the beginning of a body; whoever got such a mail may write on under the sender's name."""
    raw = signed(letter(VICTIM), "bank.cn", length=True)
    assert proved(raw + b"Please pay to this account instead.\r\n")["dmarc"] != "pass"


# --- whom the proof is about ----------------------------------------------------------------------------

FORGED: dict[str, bytes] = {
    "two addresses": f"From: {VICTIM}, {ATTACKER}\r\n".encode(),
    "two addresses, the other way": f"From: {ATTACKER}, {VICTIM}\r\n".encode(),
    "a name that is an address": f"From: {VICTIM} <{ATTACKER}>\r\n".encode(),
    "a quoted name that is an address": f'From: "{VICTIM}" <{ATTACKER}>\r\n'.encode(),
    "an address in brackets before another": f"From: <{VICTIM}> <{ATTACKER}>\r\n".encode(),
    "a comment": f"From: {VICTIM} ({ATTACKER})\r\n".encode(),
    "a comment that ends": f"From: {VICTIM}) <{ATTACKER}>\r\n".encode(),
    "two headers": f"From: {VICTIM}\r\nFrom: {ATTACKER}\r\n".encode(),
    "two headers, the other way": f"From: {ATTACKER}\r\nFrom: {VICTIM}\r\n".encode(),
    "a header behind a bare CR": f"X-A: b\rFrom: {VICTIM}\r\nFrom: {ATTACKER}\r\n".encode(),
    "a header behind a bare LF": f"X-A: b\nFrom: {VICTIM}\r\nFrom: {ATTACKER}\r\n".encode(),
    "a header that ends in a bare CR": f"From: {ATTACKER}\rFrom: {VICTIM}\r\n".encode(),
    "a header without a blank": f"From:{VICTIM}\r\nfrom: {ATTACKER}\r\n".encode(),
    "a header with a blank before": f"From : {VICTIM}\r\nFrom: {ATTACKER}\r\n".encode(),
    "a line of an old mailbox": f"From {VICTIM}\r\nFrom: {ATTACKER}\r\n".encode(),
    "a folded header": f"From: {VICTIM},\r\n {ATTACKER}\r\n".encode(),
    "an empty line of blanks": f"From: {ATTACKER}\r\n \r\nFrom: {VICTIM}\r\n".encode(),
    "a header that is folded before its value": f"From:\r\n {VICTIM}\r\nFrom: {ATTACKER}\r\n".encode(),
    "a group": f"From: friends: {VICTIM}, {ATTACKER};\r\n".encode(),
    "words of RFC 2047": f"From: =?utf-8?q?{VICTIM.replace('@', '=40')}?= <{ATTACKER}>\r\n".encode(),
    "words of RFC 2047 with brackets": f"From: =?utf-8?q?=3C{VICTIM.replace('@', '=40')}=3E?= <{ATTACKER}>\r\n".encode(),
    "words of RFC 2047 with a comma": f"From: =?utf-8?q?{VICTIM.replace('@', '=40')},?= <{ATTACKER}>\r\n".encode(),
    "bytes beyond ASCII in the address": b"From: zhang@bank.cn\xff, me@evil.cn\r\n",
    "bytes beyond ASCII that vanish": b"From: zhang@\xffbank.cn, <me@evil.cn>\r\n",
    "a NUL": b"From: zhang@bank.cn\x00@evil.cn\r\n",
    "a hyphen": b"From: zhang@bank.cn\r\nFrom: me@bank.cn-evil.cn\r\n",
    "a source route": f"From: <@evil.cn:{VICTIM}>\r\n".encode(),
    "a quoted local part": b'From: "zhang@bank.cn"@evil.cn\r\n',
    "a quoted local part with a bracket": b'From: "zhang@bank.cn> "@evil.cn\r\n',
    "semicolons": f"From: {VICTIM}; {ATTACKER}\r\n".encode(),
}


@pytest.mark.parametrize("policy", ["none", "quarantine", "reject", ""])
@pytest.mark.parametrize("head", FORGED.values(), ids=FORGED.keys())
def test_nobody_is_proved_by_anothers_signature(head: bytes, policy: str) -> None:
    """Whoever signs for one domain is proved to be of it, however the header with the sender is written."""
    known = {**zone(evil_cn="reject", bank_cn=policy), "s._domainkey.bank.cn": []}
    for raw in (
        signed(head + BODY),
        head[: head.rindex(b"From")] + signed(head[head.rindex(b"From") :] + BODY),
    ):
        found = proved(raw, known)
        sender = read(raw, Envelope(HERE, "mx.evil.cn", VICTIM)).sender
        assert found["dmarc"] != "pass" or sender.endswith("@evil.cn"), (found, sender)


@pytest.mark.parametrize(
    "above",
    [
        b"From: zhang@bank.cn\r\n",
        b"X-A: b\rFrom: zhang@bank.cn\r\n",
        b"X-A: b\r\rFrom: zhang@bank.cn\r\n",
        b"X-A: b\rFrom: zhang@bank.cn\r\r\n",
        b"X-A: b\rFrom: zhang@bank.cn\r\rX-B: c\r\n",
        b"X-A: b\nFrom: zhang@bank.cn\r\n",
        b"From: zhang@bank.cn\rX-A: b\r\n",
        b"From : zhang@bank.cn\r\n",
        b"From zhang@bank.cn\r\n",
        b"From: zhang@bank.cn\r\n \r\n",
        b"X-A: b\x0bFrom: zhang@bank.cn\r\n",
        b"X-A: b\x0cFrom: zhang@bank.cn\r\n",
        b"X-A: b\x85From: zhang@bank.cn\r\n",
        b"X-A: b\x00From: zhang@bank.cn\r\n",
        b"X-A: b\x1cFrom: zhang@bank.cn\r\n",
    ],
)
def test_nobody_is_proved_by_the_signature_of_a_neighbour(above: bytes) -> None:
    """A mail that the domain signed for one of its people, with a few bytes put above it by them."""
    raw = above + signed(letter("me@bank.cn"), "bank.cn")
    sender = read(raw, Envelope(HERE, "mx.evil.cn", VICTIM)).sender
    assert proved(raw)["dmarc"] != "pass" or sender == "me@bank.cn", sender


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [VICTIM, ATTACKER, f"<{VICTIM}>", f"<{ATTACKER}>", ",", ";", " ", '"', "(", ")", "<", ">", ":", "\\", "=?utf-8?q?",
             "?=", "\r\n ", "\r", "\n", "\r\nFrom: ", "\rFrom: ", "\nFrom:", "@", "x", "\xff", "\x00"]
        ),
        min_size=1,
        max_size=7,
    ).map("".join)
)  # fmt: skip
def test_nobody_is_proved_however_the_sender_is_written(text: str) -> None:
    head = b"From: " + text.encode("latin-1") + b"\r\n"
    try:
        raw = signed(head + BODY)
    except dkim.DKIMException:
        return
    found = proved(raw, {**zone(evil_cn="reject"), "_dmarc.bank.cn": ["v=DMARC1; p=none"]})
    sender = read(raw, Envelope(HERE, "mx.evil.cn", VICTIM)).sender
    assert found["dmarc"] != "pass" or sender.endswith("@evil.cn"), (found, sender, raw)


@pytest.mark.parametrize("sender", ["", "nobody", "<>", "a b c", "@evil.cn", "me@", "undisclosed:;"])
def test_nothing_is_proved_of_nobody(sender: str) -> None:
    assert proved(signed(letter(sender)))["dmarc"] != "pass"


# --- the way it came ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mail_from", "dmarc"),
    [
        (VICTIM, "pass"),
        ("bounce@mail.bank.cn", "pass"),
        ("me@evil.cn", "fail"),
        # the library takes the name up to the hyphen for the whole of it
        ("me@bank.cn-evil.cn", "fail"),
        ("me@evil.cn-bank.cn", "fail"),
        ("@bank.cn@evil.cn", "fail"),
        ("@bank.cn:me@evil.cn", "fail"),
        ('"zhang@bank.cn"@evil.cn', "fail"),
    ],
)
def test_the_way_proves_the_domain_of_the_envelope_alone(
    spf_zone: dict[tuple[str, str], Any], mail_from: str, dmarc: str
) -> None:
    domain = mail_from.rpartition("@")[2]
    spf_zone[domain, "TXT"] = f"v=spf1 ip4:{HERE} -all".encode()
    found = proved(letter(VICTIM), peer=HERE, helo="mx.evil.cn", mail_from=mail_from)
    assert found["dmarc"] == dmarc


@pytest.mark.parametrize(
    ("record", "result", "dmarc"),
    [
        (b"v=spf1 -all", "fail", "fail"),
        (b"v=spf1 ~all", "softfail", "fail"),
        (b"v=spf1 ?all", "neutral", "fail"),
        (b"v=spf1 nonsense -all", "permerror", "fail"),
        (None, "none", "fail"),
        (spf.TempError("DNS timed out"), "temperror", "temperror"),
    ],
)
def test_a_way_that_is_not_the_domains_proves_nothing(
    spf_zone: dict[tuple[str, str], Any], record: Any, result: str, dmarc: str
) -> None:
    spf_zone["bank.cn", "TXT"] = record
    found = proved(letter(VICTIM), peer=HERE, helo="mx.bank.cn", mail_from=VICTIM)
    assert (found["spf"], found["dmarc"]) == (result, dmarc)


def test_the_way_is_not_asked_for_what_was_fetched(spf_zone: dict[tuple[str, str], Any]) -> None:
    spf_zone["bank.cn", "TXT"] = f"v=spf1 ip4:{HERE} -all".encode()
    assert proved(letter(VICTIM), mail_from=VICTIM)["spf"] == "none"


def test_a_mail_without_an_envelope_sender_may_still_be_signed(spf_zone: dict[tuple[str, str], Any]) -> None:
    """A report, or an automatic answer: the server that brings it names itself alone."""
    spf_zone["mx.bank.cn", "TXT"] = f"v=spf1 ip4:{HERE} -all".encode()
    found = proved(signed(letter(VICTIM), "bank.cn"), peer=HERE, helo="mx.bank.cn", mail_from="")
    assert (found["dkim"], found["dmarc"]) == ("pass", "pass")


def test_the_way_is_asked_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain whose names answer slowly must not keep the reader from other mails."""
    patience: list[float] = []

    def look(name: str, kind: str, _strict: bool = True, timeout: float = 0) -> list[Any]:
        patience.append(timeout)
        return (
            [((name, kind), (b"v=spf1 include:a.evil.cn include:b.evil.cn -all",))] if kind == "TXT" else []
        )

    monkeypatch.setattr(spf, "DNSLookup", look)
    proved(letter(ATTACKER), peer=HERE, helo="mx.evil.cn", mail_from=ATTACKER)
    assert patience and max(patience) <= proof._BUDGET_S


@pytest.mark.parametrize("peer", ["2001:db8::7", "::ffff:192.0.2.7", "nonsense", "fe80::1%eth0"])
def test_any_peer_may_bring_a_mail(spf_zone: dict[tuple[str, str], Any], peer: str) -> None:
    spf_zone["evil.cn", "TXT"] = b"v=spf1 ip6:2001:db8::/32 ip4:192.0.2.7 -all"
    found = proved(signed(letter(ATTACKER)), peer=peer, helo="[x]", mail_from=ATTACKER)
    assert (found["dkim"], found["dmarc"]) == ("pass", "pass")
    assert (found["spf"] == "pass") == (peer[0] in "2:")


# --- names that do not answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fails",
    [lambda _name: True, lambda name: "_domainkey" in name, lambda name: "_dmarc" in name],
    ids=["all", "the key", "the policy"],
)
def test_a_name_that_does_not_answer_is_no_forgery(fails: Callable[[str], bool]) -> None:
    """Said to be forged, for a slow server of names, would be a customer."""
    found = prove(signed(letter(VICTIM), "bank.cn"), "", "", "", Names(ZONE, fails))
    assert found["dmarc"] == "temperror"
    assert found["dkim"] in ("temperror", "pass")


def test_a_lookup_that_breaks_breaks_nothing() -> None:
    def broken(_name: str) -> list[str]:
        raise RuntimeError

    found = prove(signed(letter(VICTIM), "bank.cn"), "", "", "", broken)
    assert set(found) == set(METHODS) and "pass" not in found.values()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\r\n", b"\xff\xfe", b"\x00" * 100, b"From", b"From:", b"no colon\r\n\r\n", BODY, b" folded: x\r\n\r\n",
        letter("") + b"\xff", b"DKIM-Signature: \r\n" + letter(VICTIM), b"DKIM-Signature: v=1; a=b\r\n" + letter(VICTIM),
        b"DKIM-Signature: v=1; d=\xff; b=;\r\n" + letter(VICTIM), b"DKIM-Signature: " + b";" * 50_000 + b"\r\n" + letter(VICTIM),
        b"From: " + b"(" * 5_000 + b"\r\n" + BODY, b"From: " + b"a@b.cn," * 5_000 + b"\r\n" + BODY,
        b"DKIM-Signature: v=1; a=rsa-sha256; d=.; s=..; h=from; bh=; b=\r\n" + letter(VICTIM),
        b"From: a@" + b"x." * 5_000 + b"cn\r\n" + BODY,
    ],
)  # fmt: skip
def test_garbage_proves_nothing_and_breaks_nothing(raw: bytes) -> None:
    before = time.perf_counter()
    assert "pass" not in proved(raw).values()
    assert time.perf_counter() - before < 10


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_prove_anything(raw: bytes, head: bool) -> None:
    assert "pass" not in proved(letter(VICTIM) + raw if head else raw).values()
    of_trusted_server(raw, ("mx.insurer.example",))


def test_many_signatures_take_no_longer_than_some() -> None:
    names = Names(ZONE)
    one = b"DKIM-Signature: v=1; a=rsa-sha256; d=x%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
    before = time.perf_counter()
    prove(b"".join(one % n for n in range(2_000)) + letter(VICTIM), "", "", "", names)
    assert time.perf_counter() - before < 10
    assert len(names.asked) < 50


# --- the word of a server in front ------------------------------------------------------------------------

TRUSTED = ("mx.insurer.example", "mx2.insurer.example")


def under(*values: str, sender: str = VICTIM) -> bytes:
    lines = [f"Authentication-Results: {value}\r\n" for value in values]
    return "".join(lines).encode() + letter(sender)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("mx.insurer.example; dmarc=pass", {"dmarc": "pass"}),
        ("mx2.insurer.example; spf=pass smtp.mailfrom=a@b.cn; dkim=fail; dmarc=fail", {"spf": "pass", "dkim": "fail", "dmarc": "fail"}),
        ("MX.Insurer.Example; dmarc=pass", {"dmarc": "pass"}),
        ("mx.insurer.example 1; dmarc=pass", {"dmarc": "pass"}),
        ("mx.insurer.example;\r\n\tdkim=pass header.d=bank.cn;\r\n\tdmarc=pass", {"dkim": "pass", "dmarc": "pass"}),
        ("mx.insurer.example; none", {}),
        ("mx.insurer.example; dkim=fail header.d=x.cn; dkim=pass header.d=bank.cn; dmarc=pass", {"dkim": "pass", "dmarc": "pass"}),
        ("mx.insurer.example; dmarc=pass (p=NONE sp=QUARANTINE dis=NONE) header.from=bank.cn", {"dmarc": "pass"}),
        (
            "mx.insurer.example;\r\n       dkim=pass header.i=@bank.cn header.s=20230601 header.b=abc;\r\n"
            "       spf=pass (google.com: domain of zhang@bank.cn designates 192.0.2.7 as permitted sender) smtp.mailfrom=zhang@bank.cn;\r\n"
            "       dmarc=pass (p=NONE sp=QUARANTINE dis=NONE) header.from=bank.cn;\r\n       dara=pass header.i=@gmail.com",
            {"spf": "pass", "dkim": "pass", "dmarc": "pass"},
        ),
        ("mx.insurer.example; dmarc=temperror", {"dmarc": "temperror"}),
    ],
)  # fmt: skip
def test_the_word_of_a_trusted_server_counts(value: str, found: dict[str, str]) -> None:
    assert of_trusted_server(under(value), TRUSTED) == {**dict.fromkeys(METHODS, "none"), **found}
    assert of_trusted_server(under(value).replace(b"\r\n", b"\n"), TRUSTED)["dmarc"] == found.get(
        "dmarc", "none"
    )


def test_the_names_of_servers_are_names_however_they_are_written() -> None:
    assert (
        of_trusted_server(under("mx.insurer.example; dmarc=pass"), ("MX.Insurer.Example",))["dmarc"] == "pass"
    )


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("mx.evil.cn; dmarc=pass",),
        ("mx.insurer.example.evil.cn; dmarc=pass",),
        ("xmx.insurer.example; dmarc=pass",),
        ("dmarc=pass",),
        ("",),
        (";",),
        (" ; mx.insurer.example; dmarc=pass",),
        ("dmarc=pass; mx.insurer.example",),
        ("(mx.insurer.example) mx.evil.cn; dmarc=pass",),
        # a forged one under one of another server: who forged it could not know what would stand above
        ("relay.other.example; dmarc=fail", "mx.insurer.example; dmarc=pass"),
        ("relay.other.example; none", "mx.insurer.example; dmarc=pass"),
    ],
)
def test_the_word_of_others_counts_nothing(values: tuple[str, ...]) -> None:
    assert of_trusted_server(under(*values), TRUSTED).get("dmarc") != "pass"


@pytest.mark.parametrize("word", ["fail", "none", "temperror", "permerror"])
@pytest.mark.parametrize(
    "below", ["mx.insurer.example; dmarc=pass", "mx2.insurer.example; dmarc=pass; dkim=pass"]
)
def test_what_lies_below_anybody_may_have_written(word: str, below: str) -> None:
    assert of_trusted_server(under(f"mx.insurer.example; dmarc={word}", below), TRUSTED)["dmarc"] == word
    assert of_trusted_server(under(f"mx.insurer.example; dmarc={word} (x", below), TRUSTED)["dmarc"] != "pass"


def test_what_stands_in_the_body_is_no_header() -> None:
    raw = letter(VICTIM).replace(b"hello", b"Authentication-Results: mx.insurer.example; dmarc=pass\r\n\r\n")
    assert of_trusted_server(raw, TRUSTED) == {}
    assert of_trusted_server(raw.replace(b"\r\n", b"\n"), TRUSTED) == {}


@pytest.mark.parametrize(
    "value",
    [
        "mx.insurer.example; dmarc=pass header.from=evil.cn",
        "mx.insurer.example; dmarc=pass (p=reject) header.from=EVIL.cn",
        "mx.insurer.example; dmarc=fail header.from=bank.cn; dmarc=pass header.from=evil.cn",
    ],
)
def test_a_word_about_another_sender_is_none_about_this_one(value: str) -> None:
    """A header that the server in front reads in one way and we in another."""
    assert of_trusted_server(under(value), TRUSTED).get("dmarc") != "pass"


def test_a_result_in_a_comment_or_a_reason_is_none() -> None:
    for value in (
        "mx.insurer.example; dmarc=fail (dmarc=pass)",
        'mx.insurer.example; dmarc=fail reason="; dmarc=pass"',
        'mx.insurer.example; spf=pass smtp.mailfrom="x; dmarc=pass"; dmarc=fail',
        "mx.insurer.example; x-dmarc=pass",
    ):
        assert of_trusted_server(under(value), TRUSTED).get("dmarc") != "pass"


@pytest.mark.parametrize(
    "raw",
    [
        b"Authentication-Results: mx.insurer.example; spf=pass smtp.mailfrom=\xb1\xb1@x.cn; dmarc=pass\r\n",
        b"Authentication-Results: " + b"(" * 10_000 + b"\r\n",
        b"Authentication-Results: mx.insurer.example;" + b" dkim=pass;" * 10_000 + b"\r\n",
        b"Authentication-Results: mx.insurer.example; dmarc=" + b"x" * 100_000 + b"\r\n",
        b"Authentication-Results: x\r\n" * 10_000,
        b"Content-Type: multipart/mixed; boundary*" + b"9" * 5_000 + b"=x\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n" * 100,
        b"Content-Type: message/rfc822\r\n",
    ],
)
def test_no_head_breaks_it(raw: bytes) -> None:
    before = time.perf_counter()
    of_trusted_server(raw + letter(VICTIM), TRUSTED)
    assert time.perf_counter() - before < 5


@given(st.text(st.characters(blacklist_categories=["Cs"], max_codepoint=0xFFFF), max_size=60))
def test_no_word_breaks_it(value: str) -> None:
    found = of_trusted_server(under(f"mx.insurer.example; {value}"), TRUSTED)
    assert found == {} or set(found) == set(METHODS)


def test_bytes_of_a_name_do_not_hide_the_rest() -> None:
    raw = b"Authentication-Results: mx.insurer.example; spf=pass smtp.mailfrom=\xb1\xb1@x.cn; dmarc=pass\r\n"
    assert of_trusted_server(raw + letter(VICTIM), TRUSTED)["dmarc"] == "pass"


# --- the reader joins them --------------------------------------------------------------------------------


def reader(**more: Any) -> Reader:
    return Reader(
        {
            "own": (),
            "mark": "",
            "file_bytes": 1_000,
            "trusted_servers": [],
            "clamd": "",
            "dns": [],
            "prove": False,
            **more,
        }
    )


def test_the_reader_asks_nobody_unless_it_is_told() -> None:
    mail = reader().read(signed(letter(VICTIM), "bank.cn"), Envelope())
    assert (mail.proof, mail.proved) == ({}, False)


def test_the_reader_believes_a_trusted_server_first() -> None:
    raw = under("mx.insurer.example; dmarc=pass")
    assert reader(trusted_servers=list(TRUSTED)).read(raw, Envelope()).proved
    assert not reader().read(raw, Envelope()).proved
    assert reader(trusted_servers=list(TRUSTED)).read(letter(VICTIM), Envelope()).proof == {}


def test_the_reader_keeps_the_names_of_files_that_were_not_scanned() -> None:
    raw = (
        letter(VICTIM).split(b"\r\n\r\n")[0]
        + b"\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.7"
    )
    (file,) = reader(clamd="/nowhere/clamd.sock").read(raw, Envelope()).files
    assert (file.name, file.trouble, file.data, file.size) == ("a.pdf", "unscanned", b"", 8)
    (file,) = reader().read(raw, Envelope()).files
    assert (file.trouble, file.data) == ("", b"%PDF-1.7")


# --- the resolver -----------------------------------------------------------------------------------------


class NameServer:
    """Answers TXT by a zone. A value that is no list is a word: silence, refused, empty."""

    def __init__(self, known: Mapping[str, Any], host: str = "127.0.0.1") -> None:
        self._known, self.asked = known, list[str]()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="names")
        self._ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(4096)
            if self._ended:
                return
            with contextlib.suppress(dns.exception.DNSException):
                self._answer(dns.message.from_wire(data), peer)

    def _answer(self, query: dns.message.Message, peer: Any) -> None:
        name = query.question[0].name.to_text(True).lower()
        self.asked.append(name)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        found = self._known.get(name)
        if found == "silence":
            return
        if found == "refused":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif found is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif found != "empty":
            answer.answer.append(dns.rrset.from_text_list(query.question[0].name, 300, "IN", "TXT", found))
        self._socket.sendto(answer.to_wire(), peer)


@pytest.fixture(autouse=True)
def own_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver sets the library's own; afterwards it is what it was."""
    monkeypatch.setattr(dns.resolver, "default_resolver", dns.resolver.default_resolver)
    monkeypatch.setattr(proof, "_ASK_S", 0.5)


RECORDS: dict[str, Any] = {
    "one.example": ['"v=spf1 -all"'],
    "two.example": ['"first"', '"second"'],
    "long.example": ['"v=DKIM1; k=rsa; " "p=AAAA" "BBBB"'],
    "bytes.example": ['"\\255\\254"'],
    "empty.example": "empty",
    "silent.example": "silence",
    "broken.example": "refused",
    "evil.cn": ['"v=spf1 ip4:192.0.2.7 -all"'],
}


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer(RECORDS) as names:
        yield names


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one.example", ["v=spf1 -all"]),
        ("ONE.example", ["v=spf1 -all"]),
        ("two.example", ["first", "second"]),
        ("long.example", ["v=DKIM1; k=rsa; p=AAAABBBB"]),
        ("empty.example", []),
        ("nobody.example", []),
    ],
)
def test_records_as_they_stand(server: NameServer, name: str, found: list[str]) -> None:
    names = Dns((server.address,))
    names.begin()
    assert sorted(names.txt(name)) == found


def test_records_of_other_bytes_are_text_still(server: NameServer) -> None:
    names = Dns((server.address,))
    names.begin()
    assert len(names.txt("bytes.example")) == 1


@pytest.mark.parametrize("name", ["broken.example", "silent.example"])
def test_a_server_that_fails_is_a_time_out(server: NameServer, name: str) -> None:
    names = Dns((server.address,))
    names.begin()
    before = time.perf_counter()
    with pytest.raises(TimeoutError):
        names.txt(name)
    assert time.perf_counter() - before < 5


@pytest.mark.parametrize(
    "name", ["a..b", "x" * 64 + ".example", "x." * 130 + "example", "\u4e2d" * 64 + ".cn", "\x00", " "]
)
def test_a_name_that_is_none_is_not_waited_for(server: NameServer, name: str) -> None:
    names = Dns((server.address,))
    names.begin()
    before = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        assert names.txt(name) == []
    assert time.perf_counter() - before < 2


def test_what_was_answered_is_not_asked_again(server: NameServer) -> None:
    names = Dns((server.address,))
    names.begin()
    for _ in range(3):
        assert names.txt("one.example") == ["v=spf1 -all"]
        assert names.txt("nobody.example") == []
    assert sorted(server.asked) == ["nobody.example", "one.example"]


def test_a_mail_has_a_budget_and_the_next_has_its_own(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Dns((server.address,))
    monkeypatch.setattr(proof, "_BUDGET_S", 0.0)
    names.begin()
    with pytest.raises(TimeoutError):
        names.txt("one.example")
    assert server.asked == []
    monkeypatch.setattr(proof, "_BUDGET_S", 5.0)
    names.begin()
    assert names.txt("one.example") == ["v=spf1 -all"]
    monkeypatch.setattr(proof, "_BUDGET_S", 0.0)
    names.begin()
    assert names.txt("one.example") == ["v=spf1 -all"]


def test_the_second_server_is_asked_where_it_is() -> None:
    with NameServer({"one.example": "silence"}) as first, NameServer(RECORDS, "127.0.0.2") as second:
        names = Dns((first.address, second.address))
        names.begin()
        assert names.txt("one.example") == ["v=spf1 -all"]


@pytest.mark.parametrize("server", ["127.0.0.1", "::1", "127.0.0.1:5353", "[::1]:5353", "[::1]"])
def test_servers_are_named_as_anywhere(server: str) -> None:
    Dns((server,))


@pytest.mark.filterwarnings("ignore:please use dns.resolver.resolve:DeprecationWarning")
def test_all_of_it_over_the_net() -> None:
    known = {**{name: [f'"{rows[0][:250]}" "{rows[0][250:]}"'] for name, rows in ZONE.items()}, **RECORDS}
    with NameServer(known) as server:
        names = Dns((server.address,))
        names.begin()
        found = prove(signed(letter(ATTACKER)), HERE, "mx.evil.cn", ATTACKER, names.txt)
    assert found == {"spf": "pass", "dkim": "pass", "dmarc": "pass"}
