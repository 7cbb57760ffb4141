"""Reading one SIP message, against RFC 3261 and the torture messages of RFC 4475 (written down from the RFC, not
from our parser). What a parser of characters gets wrong, as `twisted.protocols.sip` does, has a named test."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.voice.edge.message import (
    Malformed,
    SipMessage,
    address_of,
    first_value,
    params_of,
    parse,
    parse_uri,
    parse_via,
    split_list,
)


def raw(start: bytes, headers: Sequence[bytes], body: bytes = b"") -> bytes:
    return b"\r\n".join([start, *headers, b"", body])


BASE = (
    b"Via: SIP/2.0/UDP client.example:5060;branch=z9hG4bK74bf9",
    b"Max-Forwards: 70",
    b"From: Alice <sip:alice@a.example>;tag=9fxced76sl",
    b"To: Bob <sip:bob@b.example>",
    b"Call-ID: 3848276298220188511@a.example",
)


def request(
    *more: bytes, method: bytes = b"INVITE", uri: bytes = b"sip:bob@b.example", body: bytes = b""
) -> bytes:
    headers = [*BASE, b"CSeq: 1 " + method, *more, b"Content-Length: %d" % len(body)]
    return raw(method + b" " + uri + b" SIP/2.0", headers, body)


# --- the identity ------------------------------------------------------------------------------------

TOKEN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~"
FREE_NAMES = [
    *(b"Subject", b"sUbJeCt", b"s", b"S", b"Contact", b"m", b"Supported", b"k", b"Record-Route", b"ROUTE"),
    *(
        b"Content-Type",
        b"c",
        b"Refer-To",
        b"r",
        b"Referred-By",
        b"b",
        b"Event",
        b"o",
        b"Session-Expires",
        b"x",
    ),
    *(b"Allow-Events", b"u", b"Accept-Contact", b"a", b"Reject-Contact", b"j", b"Identity", b"y", b"n"),
    *(b"P-Asserted-Identity", b"Privacy", b"Alert-Info", b"Warning", b"X-!%*_+`'~."),
]
TEXT = bytes(octet for octet in range(256) if octet not in b"\r\n\x00")


def octets(allowed: bytes, least: int = 0, most: int = 30) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(list(allowed)), min_size=least, max_size=most).map(bytes)


blank = st.sampled_from([b"", b" ", b"\t", b" \t ", b"   "])
fold = st.sampled_from([b"\r\n ", b"\r\n\t", b"\r\n   \t"])
name = st.one_of(st.sampled_from(FREE_NAMES), octets(TOKEN, 2, 12).map(lambda tail: b"X-" + tail))
text = st.one_of(
    octets(TEXT),
    st.sampled_from(
        [
            b'"a, b; c" <sip:a,b@h>;tag="x;y", <sip:c@d>',
            "张三 <sip:zhang@h>".encode(),
            b"\xff\xfe\x80 not UTF-8 \xc3\x28",
            b";;,,;;,;",
            b'"\\" , <" <sip:a@b>',
            b"<sip:a@b;ob>;+sip.instance;isfocus",
        ]
    ),
)


@st.composite
def header_line(draw: st.DrawFn) -> bytes:
    parts = [draw(text) for _ in range(draw(st.integers(1, 4)))]
    line = draw(name) + draw(st.sampled_from([b":", b" :", b"\t: ", b": ", b":  \t"])) + parts[0]
    for part in parts[1:]:
        line += draw(fold) + part
    return line


@given(st.lists(header_line(), max_size=12), st.binary(max_size=60), st.data())
def test_a_well_formed_message_leaves_as_it_came(
    lines: list[bytes], body: bytes, data: st.DataObject
) -> None:
    """Whatever the order, case, folding, alphabet and spelling of its headers."""
    method = data.draw(st.sampled_from([b"INVITE", b"ACK", b"OPTIONS", b"FROBNICATE", b"RE%47IST%45R"]))
    needed = [
        data.draw(st.sampled_from([b"Via: ", b"v:", b"VIA :\t"])) + b"SIP/2.0/UDP h;branch=z9hG4bKx",
        data.draw(st.sampled_from([b"From: ", b"f:", b"fRoM  : "])) + b"<sip:a@b>;tag=1",
        data.draw(st.sampled_from([b"To: ", b"t:", b"TO:\r\n "])) + b"sip:c@d",
        data.draw(st.sampled_from([b"Call-ID: ", b"i:", b"CALL-id : "])) + b"x",
        data.draw(st.sampled_from([b"CSeq: ", b"cseq:", b"CSEQ :\r\n\t"])) + b"0007\r\n  " + method,
        data.draw(st.sampled_from([b"Content-Length: ", b"l:", b"L : ", b"content-LENGTH:\r\n "]))
        + b"%d" % len(body),
    ]
    headers = data.draw(st.permutations(needed + lines))
    whole = raw(method + b" sip:h;b=2;a=1 SIP/2.0", headers, body)
    message = parse(whole)
    assert message.to_bytes() == whole
    assert (message.method, message.uri, message.body) == (method, b"sip:h;b=2;a=1", body)
    assert message.cseq() == (7, method)
    assert message.value(b"to") == b"sip:c@d"


@given(st.lists(header_line(), max_size=6), st.integers(100, 699), octets(TEXT))
def test_so_does_a_reply(lines: list[bytes], code: int, reason: bytes) -> None:
    headers = [*BASE, b"CSeq: 1 INVITE", *lines, b"Content-Length: 0"]
    whole = raw(b"SIP/2.0 %d " % code + reason, headers)
    message = parse(whole)
    assert message.to_bytes() == whole
    assert (message.status, message.is_request) == (code, False)


@given(st.lists(header_line(), min_size=1, max_size=6))
def test_the_body_counts_bytes_and_what_follows_it_in_a_datagram_is_cut_off(lines: list[bytes]) -> None:
    """RFC 3261 §18.3; RFC 4475 §3.1.1.8, two requests in one datagram."""
    body = "你好，世界".encode()
    first = request(*lines, body=body)
    message = parse(first + request(method=b"BYE"))
    assert message.to_bytes() == first
    assert message.body == body


# --- messages of RFC 4475 §3.1.1: strange and valid ----------------------------------------------------

WSINV = raw(
    b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
    [
        b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
        b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8',
        b"MaX-fOrWaRdS: 0068",
        b"Call-ID: wsinv.ndaksdj@192.0.2.1",
        b"Content-Length   : 4",
        b"cseq: 0009\r\n  INVITE",
        b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw",
        b"s :",
        b"NewFangledHeader:   newfangled value\r\n continued newfangled value",
        b"UnknownHeaderWithUnusualValue: ;;,,;;,;",
        b"Content-Type: application/sdp",
        b"Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
        b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
        b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239",
        b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
        b"  secondparam ; q = 0.33",
    ],
    b"v=0\n",
)


def test_wsinv() -> None:
    """RFC 4475 §3.1.1.1: blanks, folding, cases and compact names wherever they are allowed."""
    message = parse(WSINV)
    assert message.to_bytes() == WSINV
    assert message.cseq() == (9, b"INVITE")
    assert message.value(b"call-id") == b"wsinv.ndaksdj@192.0.2.1"
    assert message.value(b"subject") == b""
    assert message.value(b"max-forwards") == b"0068"
    vias = [parse_via(value) for value in message.values(b"via")]
    assert [(via.transport, via.host, via.branch) for via in vias] == [
        (b"UDP", b"192.0.2.2", b"390skdjuw"),
        (b"TCP", b"spindle.example.com", b"z9hG4bK9ikj8"),
        (b"UDP", b"192.168.255.111", b"z9hG4bK30239"),
    ]
    uri, after = address_of(message.values(b"contact")[0])
    assert uri == b"sip:jdrosen@example.com"
    assert params_of(after) == {b"newparam": b"newvalue", b"secondparam": b"", b"q": b"0.33"}
    assert params_of(address_of(message.value(b"from"))[1]) == {b"tag": b"98asjd8"}


VALID = {
    "esc01: escapes in URIs": request(uri=b"sip:sips%3Auser%40example.com@example.net"),
    "escnull: an escaped NUL": request(uri=b"sip:null-%00-null@example.com", method=b"REGISTER"),
    "esc02: a per cent sign in a method is no escape": request(method=b"RE%47IST%45R"),
    "lwsdisp: no blank before the bracket": request().replace(b"Alice <", b"caller<"),
    "longreq: long everything": request(
        b"Contact: <sip:" + b"a" * 700 + b"@host.example>",
        *(b"Via: SIP/2.0/TCP sip%d.example.com" % n for n in range(30)),
        b"Unknown-" + b"LongName" * 40 + b": unknown-" + b"longvalue" * 40,
    ),
    "semiuri: a semicolon in the user part": request(uri=b"sip:user;par=u%40example.net@example.com"),
    "transports: five of them": request(
        b"Via: SIP/2.0/SCTP s.example;branch=z9hG4bK2",
        b"Via: SIP/2.0/TLS s.example;branch=z9hG4bK3",
        b"Via: SIP/2.0/UNKNOWN s.example;branch=z9hG4bK4",
        method=b"OPTIONS",
    ),
    "mpart01: a binary body with CR and LF": request(
        b"Content-Type: multipart/signed;boundary=x", body=b"--x\r\n\r\n\x00\r\n\r\n\xff\xd8--x--\r\n"
    ),
    "unreason: a reason that is not ASCII": raw(
        "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое".encode(), [*BASE, b"CSeq: 1 INVITE"]
    ),
    "noreason": raw(b"SIP/2.0 100 ", [*BASE, b"CSeq: 1 INVITE"]),
    "badbranch: the cookie alone": request().replace(b"z9hG4bK74bf9", b"z9hG4bK"),
    "baddate: a date with a strange zone": request(b"Date: Fri, 01 Jan 2010 16:00:00 EST"),
    "unkscm: a scheme nobody knows": request(uri=b"nobodyKnowsThisScheme:totallyopaquecontent"),
    "novelsc: soap.beep": request(uri=b"soap.beep://192.0.2.103:3002"),
    "inv2543: no branch, no tag, no Max-Forwards": request()
    .replace(b";branch=z9hG4bK74bf9", b"")
    .replace(b";tag=9fxced76sl", b"")
    .replace(b"Max-Forwards: 70\r\n", b""),
    "intmeth: every character a method, a URI and a token may have": request(
        method=b"!interesting-Method0123456789_*+`.%indeed'~",
        uri=b"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too."
        b"(doesn't-it)@example.com",
    ).replace(b"z9hG4bK74bf9", b"z9hG4bK-.!%66*_+`'~"),
    "sips": request(uri=b"sips:bob@b.example"),
    "tel": request(uri=b"tel:+8613800138000;phone-context=example.com"),
    "IPv6": request(uri=b"sip:bob@[2001:db8::1]:5060;lr").replace(b"client.example:", b"[2001:db8::9]:"),
    "Request-URI parameters in their order": request(uri=b"sip:+86;isub=9@h:5070;user=phone;lr;b=2;a=1?h=v"),
    "flag parameters in addresses": request(b"Contact: <sip:a@h;ob>;+sip.instance;isfocus;expires"),
    "a header of 17 kB": request(b"X-Long: " + b"a" * 17_000),
    "bytes that are no UTF-8": request(b"Subject: \xb5\xe7\xbb\xb0 \xff"),
    "folding by tab and many blanks": request(
        b"Subject: I know you're there,\r\n\t   pick up\r\n \tthe phone"
    ),
    "version in lower case": request().replace(b" SIP/2.0\r\n", b" sip/2.0\r\n", 1),
}


@pytest.mark.parametrize("whole", VALID.values(), ids=VALID.keys())
def test_valid_messages_leave_as_they_came(whole: bytes) -> None:
    assert parse(whole).to_bytes() == whole


# --- messages of RFC 4475 §3.1.2 and others: not to be forwarded ---------------------------------------

BROKEN = {
    "clerr: Content-Length beyond the datagram": request().replace(b"Length: 0", b"Length: 9999"),
    "ncl: a negative Content-Length": request().replace(b"Length: 0", b"Length: -999"),
    "Content-Length in words": request().replace(b"Length: 0", b"Length: none"),
    "Content-Length with a sign": request().replace(b"Length: 0", b"Length: +0"),
    "Content-Length of a million digits": request().replace(b"Length: 0", b"Length: " + b"9" * 5000),
    "mcl01: two Content-Lengths": request(b"Content-Length: 8"),
    "two Content-Lengths, one compact": request(b"l: 0"),
    "scalar02: CSeq beyond 2**31": request().replace(b"CSeq: 1 ", b"CSeq: 36893488147419103232 "),
    "CSeq of 2**31": request().replace(b"CSeq: 1 ", b"CSeq: 2147483648 "),
    "scalarlg: a reply's CSeq beyond 2**31": raw(
        b"SIP/2.0 503 Service Unavailable", [*BASE, b"CSeq: 9292394834772304023312 OPTIONS"]
    ),
    "CSeq of very many digits": request().replace(b"CSeq: 1 ", b"CSeq: " + b"1" * 5000 + b" "),
    "CSeq below zero": request().replace(b"CSeq: 1 ", b"CSeq: -1 "),
    "CSeq without a method": request().replace(b"CSeq: 1 INVITE", b"CSeq: 1"),
    "bigcode: a status of ten digits": raw(b"SIP/2.0 4294967301 better not", [*BASE, b"CSeq: 1 INVITE"]),
    "a status of 099": raw(b"SIP/2.0 099 no", [*BASE, b"CSeq: 1 INVITE"]),
    "a status of 700": raw(b"SIP/2.0 700 no", [*BASE, b"CSeq: 1 INVITE"]),
    "lwsruri: blanks in the Request-URI": request(uri=b"sip:user@example.com; lr"),
    "lwsstart: several blanks in the start line": request().replace(b"INVITE sip", b"INVITE  sip"),
    "a blank before the start line": b" " + request(),
    "a tab for a blank in the start line": request().replace(b"INVITE sip", b"INVITE\tsip"),
    "badvers: SIP/7.0": request().replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1),
    "mismatch01: the CSeq of another method": request().replace(b"CSeq: 1 INVITE", b"CSeq: 1 OPTIONS"),
    "mismatch02: the CSeq of another case": request().replace(b"CSeq: 1 INVITE", b"CSeq: 1 invite"),
    "insuf: neither From nor To nor Call-ID": raw(
        b"INVITE sip:u@h SIP/2.0", [BASE[0], b"CSeq: 1 INVITE", b"Content-Length: 0"]
    ),
    "no From": request().replace(BASE[2] + b"\r\n", b""),
    "no To": request().replace(BASE[3] + b"\r\n", b""),
    "no Call-ID": request().replace(BASE[4] + b"\r\n", b""),
    "an empty Call-ID": request().replace(BASE[4], b"Call-ID:  \r\n  "),
    "no CSeq": request().replace(b"CSeq: 1 INVITE\r\n", b""),
    "no Via": request().replace(BASE[0] + b"\r\n", b""),
    "multi01: two From": request(b"f: <sip:other@h>;tag=2"),
    "multi01: two To": request(b"t: <sip:other@h>"),
    "multi01: two Call-ID": request(b"i: other"),
    "multi01: two CSeq": request(b"CSeq: 1 INVITE"),
    "a header without a colon": request(b"Subject"),
    "a header without a name": request(b": nobody"),
    "a name with a blank": request(b"Sub ject: x"),
    "a name folded away from its colon": request(b"Subject\r\n : x"),
    "folding before any header": request().replace(b" SIP/2.0\r\n", b" SIP/2.0\r\n ", 1),
    "NUL in a header": request(b"Subject: a\x00b"),
    "a bare line feed in a header": request(b"Subject: a\nX: b"),
    "a bare carriage return in a header": request(b"Subject: a\rRecord-Route: <sip:evil;lr>"),
    "a bare carriage return before the end of a line": request(b"Subject: a\r"),
    "lines that end in line feeds only": request().replace(b"\r\n", b"\n"),
    "no end of the headers": request()[:-2],
    "nothing": b"",
    "only line ends": b"\r\n\r\n\r\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on a plain socket": bytes.fromhex("16030100c8010000c40303") + bytes(60),
    "too many headers": request(*[b"X: 1"] * 300),
    "too many Vias": request(*[BASE[0]] * 80),
}


@pytest.mark.parametrize("whole", BROKEN.values(), ids=BROKEN.keys())
def test_broken_messages_are_refused(whole: bytes) -> None:
    with pytest.raises(Malformed):
        parse(whole)


TOLERATED = {
    "quotbal: a quote that does not end": request().replace(b"Bob <", b'"Mr. J. User <'),
    "ltgtruri: brackets around the Request-URI": request(uri=b"<sip:user@example.com>"),
    "trws: blanks behind the version": request().replace(b" SIP/2.0\r\n", b" SIP/2.0  \r\n", 1),
    "escruri: headers in the Request-URI": request(uri=b"sip:user@h?Route=%3Csip:example.com%3E"),
    "badinv01: separators that separate nothing": request(
        b'Contact: ""Joe" <sip:joe@example.org>;;;;'
    ).replace(b"branch=z9hG4bK74bf9", b"branch=z9hG4bK74bf9;;,;,,"),
    "baddn: a comma in a bare display name": request().replace(b"Alice <", b"Bell, Alexander <"),
    "badaspec: blanks inside the brackets": request().replace(
        b"<sip:bob@b.example>", b"< sip:bob@b.example >"
    ),
    "intmeth: an escaped NUL in a quoted string": request().replace(b"Alice", b'"NUL:\\\x00"'),
}


@pytest.mark.parametrize("whole", TOLERATED.values(), ids=TOLERATED.keys())
def test_what_may_be_refused_or_forwarded_is_not_changed(whole: bytes) -> None:
    """RFC 4475 lets a receiver guess or refuse; a proxy guesses nothing."""
    try:
        message = parse(whole)
    except Malformed:
        return
    assert message.to_bytes() == whole


@pytest.mark.parametrize(
    "why", ["clerr: Content-Length beyond the datagram", "mismatch01: the CSeq of another method"]
)
def test_who_can_be_answered_is_known_of_a_broken_message(why: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(BROKEN[why])
    message = refused.value.message
    assert message is not None
    assert parse_via(first_value(message, b"via")).branch == b"z9hG4bK74bf9"


def test_a_datagram_without_via_leaves_later_ones_alive() -> None:
    for _ in range(3):
        with pytest.raises(Malformed):
            parse(BROKEN["no Via"])
        assert parse(request()).to_bytes() == request()


COMPACT = [
    *((b"v", b"via"), (b"f", b"from"), (b"t", b"to"), (b"i", b"call-id"), (b"m", b"contact")),
    *((b"l", b"content-length"), (b"c", b"content-type"), (b"e", b"content-encoding"), (b"k", b"supported")),
    *((b"s", b"subject"), (b"r", b"refer-to"), (b"b", b"referred-by"), (b"u", b"allow-events")),
    *((b"o", b"event"), (b"x", b"session-expires"), (b"a", b"accept-contact"), (b"j", b"reject-contact")),
    *((b"d", b"request-disposition"), (b"y", b"identity")),
]


@pytest.mark.parametrize(("short", "long"), COMPACT, ids=[long.decode() for _, long in COMPACT])
def test_compact_names_are_known_in_either_case(short: bytes, long: bytes) -> None:
    """RFC 3261 §7.3.3 and the IANA registry: the newer ones too."""
    if long in (b"via", b"from", b"to", b"call-id", b"content-length"):
        pattern = re.compile(rb"^" + long + rb":", re.I | re.M)
        for spelling in (short, short.upper()):
            whole = pattern.sub(spelling + b":", request())
            assert parse(whole).value(long) == parse(request()).value(long)
            assert parse(whole).to_bytes() == whole
    else:
        for spelling in (short, short.upper()):
            assert parse(request(spelling + b" : value")).value(long) == b"value"


# --- Via -----------------------------------------------------------------------------------------------

VIAS = {
    "a name": (b"SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKa", b"UDP", b"pc33.atlanta.com", 0),
    "a port": (b"SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bKa", b"TCP", b"192.0.2.1", 5061),
    "blanks around everything": (
        b"SIP / 2.0 / UDP  first.example : 4000 ;ttl=16",
        b"UDP",
        b"first.example",
        4000,
    ),
    "upper case": (b"sip/2.0/udp H.EXAMPLE;BRANCH=z9hG4bKa", b"UDP", b"h.example", 0),
    "IPv6": (b"SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255", b"UDP", b"[2001:db8::9:1]", 0),
    "IPv6 and a port": (b"SIP/2.0/TLS [2001:DB8::9]:5061;rport", b"TLS", b"[2001:db8::9]", 5061),
    "a parameter called host": (b"SIP/2.0/UDP h:5060;host=evil:1;port=9", b"UDP", b"h", 5060),
    "a parameter called received": (b"SIP/2.0/UDP h:5060;received=203.0.113.1", b"UDP", b"h", 5060),
    "an unknown transport": (b"SIP/2.0/UNKNOWN h;branch=z9hG4bKa", b"UNKNOWN", b"h", 0),
    "semicolons that separate nothing": (b"SIP/2.0/UDP 192.0.2.15;;", b"UDP", b"192.0.2.15", 0),
}


@pytest.mark.parametrize(("value", "transport", "host", "port"), VIAS.values(), ids=VIAS.keys())
def test_via(value: bytes, transport: bytes, host: bytes, port: int) -> None:
    """Only the sent-by names the host; parameters cannot override it."""
    via = parse_via(value)
    assert (via.transport, via.host, via.port) == (transport, host, port)


@pytest.mark.parametrize(
    ("written", "read"),
    [(b"rport", b""), (b"rport=", b""), (b"rport=5061", b"5061"), (b"RPort=9", b"9"), (b"rport = 9", b"9")],
)
def test_rport_with_and_without_a_value(written: bytes, read: bytes) -> None:
    assert parse_via(b"SIP/2.0/UDP h;" + written + b";branch=z9hG4bKa").params[b"rport"] == read


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"h", b"UDP h", b"SIP/2.0/UDP", b"SIP/2.0/UDP ", b"SIP/2.0/UDP ;branch=z", b"SIP/2.0 h", b";"),
        *(
            b"SIP/7.0/UDP h",
            b"HTTP/2.0/TCP h",
            b"SIP/2.0/UDP h:65536",
            b"SIP/2.0/UDP h:-1",
            b"SIP/2.0/UDP h:x",
        ),
        *(b"SIP/2.0/UDP h i;branch=z", b"SIP/2.0/UDP [::1;branch=z", b"SIP/2.0/UDP h:" + b"1" * 5000),
    ],
)
def test_what_is_no_via(value: bytes) -> None:
    with pytest.raises(Malformed):
        parse_via(value)


def test_comma_joined_vias_give_the_first_branch() -> None:
    joined = b'SIP/2.0/UDP one;branch=z9hG4bK1;x="a,b" ,\r\n SIP/2.0/TCP two:2;branch=z9hG4bK2'
    whole = request(b"v: SIP/2.0/TLS three;branch=z9hG4bK3").replace(BASE[0], b"VIA : " + joined)
    message = parse(whole)
    branches = []
    for _ in range(3):
        branches.append(parse_via(first_value(message, b"via")).branch)
        message.remove_first_value(b"via")
    assert branches == [b"z9hG4bK1", b"z9hG4bK2", b"z9hG4bK3"]
    assert message.line_of(b"via") == -1


def test_changing_one_via_changes_no_other_byte() -> None:
    one, two = b"SIP/2.0/UDP one;branch=z9hG4bK1", b"SIP/2.0/TCP two:2 ; branch=z9hG4bK2"
    whole = request(b"v: SIP/2.0/TLS three;branch=z9hG4bK3").replace(BASE[0], b"Via: " + one + b", " + two)
    message = parse(whole)
    message.replace_first_value(b"via", one + b";received=192.0.2.1")
    assert message.to_bytes() == whole.replace(one, one + b";received=192.0.2.1")
    message.remove_first_value(b"via")
    assert message.to_bytes() == whole.replace(one + b", ", b"")


# --- lists ---------------------------------------------------------------------------------------------


@st.composite
def list_value(draw: st.DrawFn) -> bytes:
    """One value of a list: tokens, quoted strings and addresses, which alone may hide a comma."""
    quotable = bytes(octet for octet in range(32, 127) if octet not in b'"\\')
    pieces = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["token", "quoted", "angled", "param"]))
        if kind == "quoted":
            parts = draw(
                st.lists(st.one_of(octets(quotable, 0, 6), st.sampled_from([b'\\"', b"\\\\", b"\\,"])))
            )
            pieces.append(b'"' + b"".join(parts) + b'"')
        elif kind == "angled":
            pieces.append(b"<sip:" + draw(octets(b"abc,;?=@:.", 0, 10)) + b">")
        elif kind == "param":
            pieces.append(b";" + draw(octets(b"abc=.", 1, 6)))
        else:
            pieces.append(draw(octets(TOKEN, 1, 6)))
    return b" ".join(pieces)


def simple_split(value: bytes) -> list[bytes]:
    """The same by a regular expression: runs of quoted strings, bracketed addresses and anything but commas."""
    runs = re.finditer(rb'(?:"(?:\\.|[^"\\])*"|<[^>]*>|[^,"<])+', value)
    return [run[0].strip() for run in runs if run[0].strip()]


@given(st.lists(list_value(), max_size=8), st.sampled_from([b",", b" , ", b",\t", b", ,", b" ,,"]))
def test_lists_are_split_as_they_were_joined(values: list[bytes], comma: bytes) -> None:
    joined = comma.join(values)
    assert split_list(joined) == values == simple_split(joined)
    if values and joined[:1] != b",":
        message = parse(request(b"X-List: " + joined))
        assert first_value(message, b"x-list") == values[0]


@given(st.lists(list_value(), min_size=1, max_size=5), st.integers(0, 4))
def test_the_first_value_leaves_and_the_others_stay(values: list[bytes], rest: int) -> None:
    message = parse(request(b"Route: " + b", ".join(values), b"Route: <sip:last@h>"))
    for _ in range(min(rest, len(values))):
        message.remove_first_value(b"route")
    assert message.values(b"route") == [*values[rest:], b"<sip:last@h>"]


# --- addresses and URIs --------------------------------------------------------------------------------

ADDRESSES = [
    (b"<sip:a@h>", b"sip:a@h", b""),
    (b"sip:a@h;tag=1", b"sip:a@h", b";tag=1"),
    (b'"A, <B> \\" C" <sip:a@h;x=1>;q=0.5;flag', b"sip:a@h;x=1", b";q=0.5;flag"),
    (b"caller<sip:c@h>;tag=323", b"sip:c@h", b";tag=323"),
    (b"< sip:a@h >", b"sip:a@h", b""),
    (b'<sip:a@h>;x=">";tag=1', b"sip:a@h", b';x=">";tag=1'),
    (b"<sip:a@h", b"", b""),
    (b"", b"", b""),
]


@pytest.mark.parametrize(("value", "uri", "after"), ADDRESSES)
def test_addresses(value: bytes, uri: bytes, after: bytes) -> None:
    found, behind = address_of(value)
    assert (found, params_of(behind)) == (uri, params_of(after))


URIS = {
    b"sip:alice@atlanta.com": (b"sip", b"alice", b"atlanta.com", 0, {}),
    b"sip:alice:secretword@atlanta.com;transport=tcp": (
        b"sip", b"alice", b"atlanta.com", 0, {b"transport": b"tcp"},
    ),
    b"SIPS:alice@ATLANTA.com:5061;LR": (b"sips", b"alice", b"atlanta.com", 5061, {b"lr": b""}),
    b"sips:1212@gateway.com?subject=project%20x&priority=urgent": (b"sips", b"1212", b"gateway.com", 0, {}),
    b"sip:+1-212-555-1212:1234@gateway.com;user=phone": (
        b"sip", b"+1-212-555-1212", b"gateway.com", 0, {b"user": b"phone"},
    ),
    b"sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com": (
        b"sip", b"", b"atlanta.com", 0, {b"method": b"REGISTER"},
    ),
    b"sip:[2001:db8::10]": (b"sip", b"", b"[2001:db8::10]", 0, {}),
    b"sip:user@[2001:DB8::10]:5070;lr;ob": (b"sip", b"user", b"[2001:db8::10]", 5070, {b"lr": b"", b"ob": b""}),
    b"sip:95519@198.51.100.1;MADDR=h;Transport=UDP": (
        b"sip", b"95519", b"198.51.100.1", 0, {b"maddr": b"h", b"transport": b"UDP"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "found"), URIS.items())
def test_uris(text: bytes, found: tuple[bytes, bytes, bytes, int, dict[bytes, bytes]]) -> None:
    """RFC 3261 §19.1.3 and others."""
    uri = parse_uri(text)
    assert uri is not None
    assert (uri.scheme, uri.user, uri.host, uri.port, uri.params) == found


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"sip:", b"sip:a@", b"sips:@", b"tel:+1", b"mailto:a@b", b"//a@b", b"sip:a@h:", b"sip:a@h:x"),
        *(
            b"sip:a@h:65536",
            b"sip:a@h b",
            b"sip:a b@h",
            b"sip:a@[::1",
            b"sip:a@h\r\nX: y",
            b"sip:a@h>",
            b"<sip:a@h>",
        ),
    ],
)
def test_what_is_no_uri(text: bytes) -> None:
    assert parse_uri(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b";a=1;b;C=3", {b"a": b"1", b"b": b"", b"c": b"3"}),
        (b"; a = 1 ;; b =", {b"a": b"1", b"b": b""}),
        (b';a="x;y=2";b=1', {b"a": b'"x;y=2"', b"b": b"1"}),
        (b';a="\\";b=2";c=3', {b"a": b'"\\";b=2"', b"c": b"3"}),
        (b";tag=1;tag=2;TAG=3", {b"tag": b"1"}),
        (b"", {}),
    ],
)
def test_parameters(text: bytes, found: dict[bytes, bytes]) -> None:
    assert params_of(text) == found


def test_a_new_request_uri_changes_nothing_else() -> None:
    whole = request(b"Subject: x", uri=b"sip:1001@centre;a=b", body=b"v=0\r\n")
    message: SipMessage = parse(whole)
    message.set_uri(b"sip:1001@[2001:db8::7]:5062;ob")
    assert message.to_bytes() == whole.replace(b"sip:1001@centre;a=b", b"sip:1001@[2001:db8::7]:5062;ob", 1)


# --- anything ------------------------------------------------------------------------------------------


@given(
    st.one_of(st.binary(max_size=300), st.sampled_from([*VALID.values(), *BROKEN.values(), WSINV])), st.data()
)
def test_no_damage_raises_anything_but_malformed(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=8))
    try:
        message = parse(bytes(damaged))
        parse_via(first_value(message, b"via"))
        message.cseq()
    except Malformed:
        return
    assert parse(message.to_bytes()).to_bytes() == message.to_bytes()
