"""SIP messages as the edge reads them: bytes kept, nothing trusted. Among them every message that a parser of
characters, or one that rewrites what it reads, gets wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.voice.edge.framing import PING, StreamBroken, StreamFraming
from channels.voice.edge.message import (
    Malformed,
    address_of,
    first_value,
    parse,
    parse_uri,
    parse_via,
    split_list,
)


def request(
    *more: str, method: str = "OPTIONS", uri: str = "sip:1@h", body: bytes = b"", via: str = ""
) -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        via or "Via: SIP/2.0/UDP a:5060;branch=z9hG4bK1",
        "From: <sip:a@b>;tag=1",
        "To: <sip:c@d>",
        "Call-ID: x@y",
        f"CSeq: 7 {method}",
        *more,
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


KEPT = {
    "folded header": request("Subject: one\r\n  two\r\n\tthree"),
    "case and blanks of names": request("X-OdD  :   value  ", "sUbJeCt:x"),
    "compact names": request().replace(b"Call-ID", b"i").replace(b"From", b"f").replace(b"Via", b"v"),
    "newer compact names": request("x: 1800;refresher=uac", "b: <sip:r@b>", "y: identity"),
    "bytes that are no UTF-8": request("X-Raw: \xff").replace(b"\xc3\xbf", b"\xff\xfe"),
    "a header of 17 kB": request("X-Long: " + "a" * 17_000),
    "parameters of the Request-URI": request(uri="sip:+86138;phone-context=x@h:5070;lr;b=2;a=1?h=v"),
    "sips": request(uri="sips:1@h"),
    "tel": request(uri="tel:+8613800138000;ext=5"),
    "IPv6": request(
        uri="sip:1@[2001:db8::1]:5060", via="Via: SIP/2.0/UDP [2001:db8::2]:5060;branch=z9hG4bKv6"
    ),
    "flags in addresses": request("Contact: <sip:a@b;ob>;+sip.instance;isfocus"),
    "a body in UTF-8": request(body="你好".encode()),
    "unknown method": request(method="FROBNICATE"),
}


@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT.keys())
def test_what_is_not_touched_stays_as_it_was(data: bytes) -> None:
    assert parse(data).to_bytes() == data


@given(
    st.lists(
        st.from_regex(
            r"X-[A-Za-z]{1,8}[ \t]{0,2}:[^\r\n\x00]{0,40}(\r\n[ \t][^\r\n\x00]{0,20}){0,2}", fullmatch=True
        )
    )
)
def test_any_headers_stay_as_they_were(lines: list[str]) -> None:
    data = request(*lines)
    assert parse(data).to_bytes() == data


BROKEN = {
    "nothing": b"",
    "no Via": request().replace(b"Via: SIP/2.0/UDP a:5060;branch=z9hG4bK1\r\n", b""),
    "no Call-ID": request().replace(b"Call-ID: x@y\r\n", b""),
    "two From": request("From: <sip:z@z>;tag=9"),
    "CSeq of another method": request().replace(b"CSeq: 7 OPTIONS", b"CSeq: 7 INVITE"),
    "CSeq too large": request().replace(b"CSeq: 7", b"CSeq: 2147483648"),
    "CSeq without a number": request().replace(b"CSeq: 7 ", b"CSeq: "),
    "length beyond the body": request().replace(b"Content-Length: 0", b"Content-Length: 10"),
    "negative length": request().replace(b"Content-Length: 0", b"Content-Length: -1"),
    "two lengths": request("Content-Length: 0"),
    "NUL": request("X: a\x00b"),
    "bare line feed": request("X: a\nY: b"),
    "bare carriage return is data, no end": b"OPTIONS sip:1@h SIP/2.0\rVia: x\r\r",
    "header without a name": request(": nobody"),
    "another version": request().replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n", 1),
    "blanks in the URI": request(uri="sip:1@h; lr"),
    "no end": request()[:-2],
    "too many headers": request(*["X: 1"] * 250),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_forwarded_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)


def test_a_datagram_without_via_does_no_harm_to_the_next() -> None:
    with pytest.raises(Malformed):
        parse(BROKEN["no Via"])
    assert parse(request()).method == b"OPTIONS"


def test_the_first_of_several_vias_counts_whether_joined_by_commas_or_not() -> None:
    joined = "Via: SIP/2.0/UDP one:1;branch=z9hG4bKa , SIP/2.0/TCP two:2;branch=z9hG4bKb"
    message = parse(request("Via: SIP/2.0/UDP three:3;branch=z9hG4bKc", via=joined))
    assert parse_via(first_value(message, b"via")).branch == b"z9hG4bKa"
    for branch in (b"z9hG4bKb", b"z9hG4bKc"):
        message.remove_first_value(b"via")
        assert parse_via(first_value(message, b"via")).branch == branch


@pytest.mark.parametrize(
    ("text", "host", "port", "param"),
    [
        (b"SIP/2.0/UDP h", b"h", 0, (b"x", None)),
        (b"SIP / 2.0 / udp  H.example : 5062 ;BRANCH=z;RPORT", b"h.example", 5062, (b"rport", b"")),
        (b"SIP/2.0/UDP h:5060;host=evil;received=", b"h", 5060, (b"host", b"evil")),
        (b"SIP/2.0/TLS [2001:db8::9]:5061;rport=;branch=z", b"[2001:db8::9]", 5061, (b"rport", b"")),
        (b"SIP/2.0/UDP 192.0.2.1;rport=9;rport=10", b"192.0.2.1", 0, (b"rport", b"9")),
    ],
)
def test_only_the_sent_by_names_the_host(
    text: bytes, host: bytes, port: int, param: tuple[bytes, bytes | None]
) -> None:
    via = parse_via(text)
    assert (via.host, via.port, via.params.get(param[0])) == (host, port, param[1])


@pytest.mark.parametrize(
    "text", [b"", b"UDP h", b"SIP/2.0/UDP", b"SIP/2.0/UDP h:99999", b"SIP/2.0/UDP ;branch=z"]
)
def test_a_via_that_is_none(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_via(text)


def test_lists_are_split_outside_quotes_and_brackets_only() -> None:
    text = b'"a, \\"b" <sip:x,y@h>;p=1, <sip:z@h> , "c" <sip:q@h>'
    assert split_list(text) == [b'"a, \\"b" <sip:x,y@h>;p=1', b"<sip:z@h>", b'"c" <sip:q@h>']
    assert address_of(split_list(text)[0]) == (b"sip:x,y@h", b";p=1")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"sip:a@h", (b"a", b"h", 0)),
        (b"SIPS:a:secret@H.x:5061;transport=tls", (b"a", b"h.x", 5061)),
        (b"sip:[::1]:5060;lr", (b"", b"[::1]", 5060)),
        (b"sip:+86;isub=1@h?x=y", (b"+86", b"h", 0)),
    ],
)
def test_uris(text: bytes, found: tuple[bytes, bytes, int]) -> None:
    uri = parse_uri(text)
    assert uri is not None
    assert (uri.user, uri.host, uri.port) == found


@pytest.mark.parametrize(
    "text", [b"", b"tel:+1", b"sip:", b"sip:a@", b"http://h", b"sip:a@h:70000", b"sip:a@h b"]
)
def test_what_is_no_sip_uri(text: bytes) -> None:
    assert parse_uri(text) is None


# --- streams -----------------------------------------------------------------------------------------

STREAM = [
    request(body="电话".encode() * 9),
    request(method="INFO", body=b"Signal=1\r\n\r\nVia: not one"),
    request().replace(b"Content-Length: 0", b"l:0"),
    request(method="MESSAGE", body=b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 99\r\n\r\n"),
]


@given(st.lists(st.integers(0, len(b"".join(STREAM))), max_size=30))
def test_messages_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    data, framing, found = b"".join(STREAM), StreamFraming(65_535), []
    places = [0, *sorted(cuts), len(data)]
    for start, end in zip(places, places[1:], strict=False):
        found += framing.feed(data[start:end])
    assert found == STREAM


def test_keep_alives_are_told_apart_from_messages() -> None:
    framing = StreamFraming(65_535)
    assert framing.feed(PING + STREAM[0] + b"\r\n" + STREAM[2]) == [PING, STREAM[0], STREAM[2]]
    assert framing.feed(b"\r") == []
    assert framing.feed(b"\n\r\n") == [PING]


@pytest.mark.parametrize(
    "bad",
    [
        request().replace(b"Content-Length: 0\r\n", b""),
        request().replace(b"Content-Length: 0", b"Content-Length: 0\r\nl: 4"),
        request().replace(b"Content-Length: 0", b"Content-Length: 99999999"),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"A" * 20_000,
    ],
)
def test_a_stream_that_cannot_be_cut_ends_and_what_came_before_counts(bad: bytes) -> None:
    framing = StreamFraming(65_535)
    with pytest.raises(StreamBroken):
        framing.feed(STREAM[0] + bad)
    assert framing.done == [STREAM[0]]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_no_bytes_break_more_than_their_own_stream(chunks: list[bytes]) -> None:
    framing = StreamFraming(2_000)
    for chunk in chunks:
        try:
            framing.feed(chunk)
        except StreamBroken:
            return


@given(st.sampled_from([*KEPT.values(), *STREAM]), st.data())
def test_no_damage_raises_anything_but_malformed(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 8))):
        at = draw.draw(st.integers(0, max(0, len(damaged) - 1)))
        kind = draw.draw(st.sampled_from(["set", "cut", "insert"]))
        if kind == "set" and damaged:
            damaged[at] = draw.draw(st.integers(0, 255))
        elif kind == "cut":
            del damaged[at : at + draw.draw(st.integers(1, 20))]
        else:
            damaged[at:at] = draw.draw(st.binary(max_size=10))
    try:
        parse(bytes(damaged))
    except Malformed:
        return
