"""Digest authentication, against a client written from RFC 7616 and RFC 2617 with nothing but hashlib."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.voice.edge.digest import NONCE_S, Digest, Secret, answer

REALM, HOME, ELSEWHERE = "centre", "203.0.113.9", "203.0.113.66"
URI = "sip:centre"
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def fields(challenge: str) -> dict[str, str]:
    """`Digest a=b, c="d"` as names and values."""
    scheme, _, rest = challenge.partition(" ")
    assert scheme == "Digest"
    found = re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', rest)
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def response(algorithm: str, user: str, realm: str, password: str, method: str, uri: str, *rest: str) -> str:
    """RFC 7616 §3.4.1: `rest` is nonce, nc, cnonce and qop, or the nonce alone (RFC 2069)."""

    def hashed(*parts: str) -> str:
        return HASHES[algorithm](":".join(parts).encode()).hexdigest()

    return hashed(hashed(user, realm, password), *rest, hashed(method, uri))


@dataclass(frozen=True)
class Client:
    """A telephone with its password; every field can be wrong."""

    user: str = "1001"
    password: str = "secret"
    algorithm: str = "MD5"
    realm: str = REALM
    method: str = "REGISTER"
    uri: str = URI
    cnonce: str = "0a4f113b"
    qop: str = "auth"
    override: dict[str, str] = field(default_factory=dict)
    """parameters as they are written in the end; "" leaves one out"""

    def words(self, nonce: str, nc: int = 1) -> bytes:
        count = f"{nc:08x}"
        digest = response(
            *(self.algorithm, self.user, self.realm, self.password, self.method, self.uri),
            *(nonce, count, self.cnonce, self.qop),
        )
        given = {
            "username": f'"{self.user}"',
            "realm": f'"{self.realm}"',
            "nonce": f'"{nonce}"',
            "uri": f'"{self.uri}"',
            "response": f'"{digest}"',
            "algorithm": self.algorithm,
            "cnonce": f'"{self.cnonce}"',
            "nc": count,
            "qop": self.qop,
            **self.override,
        }
        return ("Digest " + ", ".join(f"{name}={value}" for name, value in given.items() if value)).encode()


class Server:
    """Two accounts, one for each algorithm and one for both, and a clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000
        self.accounts = {
            "1001": Secret.of("1001", REALM, "secret", ("MD5",)),
            "1002": Secret.of("1002", REALM, "secret", ("SHA-256",)),
            "1003": Secret.of("1003", REALM, "secret", ("MD5", "SHA-256")),
        }
        self.digest = Digest(REALM, lambda: self.now_s, self.accounts.get)

    def nonce(self, user: str = "1001", source: str = HOME) -> str:
        return fields(self.digest.challenges(source, user)[0])["nonce"]

    def try_(
        self, *words: bytes, method: str = "REGISTER", uri: str = URI, source: str = HOME
    ) -> tuple[str, bool]:
        verdict = self.digest.verify(words, method, uri, source)
        return verdict.user, verdict.stale


@pytest.fixture
def server() -> Server:
    return Server()


REFUSED = ("", False)
STALE = ("", True)


# --- challenges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "algorithms"), [("1001", ["MD5"]), ("1002", ["SHA-256"]), ("1003", ["SHA-256", "MD5"])]
)
def test_a_challenge_for_each_algorithm_of_the_account_the_stronger_first(
    server: Server, user: str, algorithms: list[str]
) -> None:
    """RFC 8760 §2.4."""
    challenges = [fields(text) for text in server.digest.challenges(HOME, user)]
    assert [challenge["algorithm"] for challenge in challenges] == algorithms
    assert all(
        challenge["realm"] == REALM and "auth" in challenge["qop"].split(",") for challenge in challenges
    )
    assert all("stale" not in challenge for challenge in challenges)


def test_nobodys_account_is_challenged_like_one(server: Server) -> None:
    unknown, known = (server.digest.challenges(HOME, user) for user in ("nobody", "1001"))
    assert [sorted(fields(text)) for text in unknown] == [sorted(fields(text)) for text in known]


def test_every_challenge_has_a_nonce_of_its_own(server: Server) -> None:
    assert len({server.nonce() for _ in range(50)}) == 50


def test_a_stale_challenge_says_so(server: Server) -> None:
    assert all(fields(text)["stale"] == "true" for text in server.digest.challenges(HOME, "1003", True))


# --- answers to them -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "algorithm"), [("1001", "MD5"), ("1002", "SHA-256"), ("1003", "MD5"), ("1003", "SHA-256")]
)
def test_the_right_password(server: Server, user: str, algorithm: str) -> None:
    client = Client(user, algorithm=algorithm)
    assert server.try_(client.words(server.nonce(user))) == (user, False)


WRONG = {
    "password": Client(password="guess"),
    "empty password": Client(password=""),
    "user that nobody has": Client(user="9999"),
    "user of another's password": Client(user="1002", algorithm="SHA-256", password="Secret"),
    "algorithm that the account does not use": Client(algorithm="SHA-256"),
    "algorithm named other than used": Client(override={"algorithm": "SHA-256"}),
    "algorithm that nobody knows": Client(override={"algorithm": "SHA-512-256"}),
    "session algorithm": Client(override={"algorithm": "MD5-sess"}),
    "method": Client(method="INVITE"),
    "uri": Client(uri="sip:other"),
    "uri written other than hashed": Client(uri="sip:other", override={"uri": f'"{URI}"'}),
    "realm": Client(realm="other"),
    "realm written other than hashed": Client(realm="other", override={"realm": f'"{REALM}"'}),
    "qop auth-int": Client(qop="auth-int"),
    "no qop": Client(override={"qop": ""}),
    "no qop, nc and cnonce": Client(override={"qop": "", "nc": "", "cnonce": ""}),
    "no nc": Client(override={"nc": ""}),
    "an nc of seven digits": Client(override={"nc": "0000001"}),
    "an nc of letters": Client(override={"nc": "zzzzzzzz"}),
    "an nc other than hashed": Client(override={"nc": "00000002"}),
    "no cnonce": Client(override={"cnonce": ""}),
    "an empty cnonce": Client(cnonce=""),
    "no response": Client(override={"response": ""}),
    "an empty response": Client(override={"response": '""'}),
    "a response that is not ASCII": Client(override={"response": '"é电话"'}),
    "a response of another length": Client(override={"response": '"00"'}),
    "no username": Client(override={"username": ""}),
    "no uri": Client(override={"uri": ""}),
    "no realm": Client(override={"realm": ""}),
}


@pytest.mark.parametrize("client", WRONG.values(), ids=WRONG.keys())
def test_anything_wrong_is_refused_and_not_called_stale(server: Server, client: Client) -> None:
    assert server.try_(client.words(server.nonce())) == REFUSED


def test_an_account_of_one_algorithm_cannot_be_entered_by_the_missing_one(server: Server) -> None:
    """The secret that is not kept is an empty text; an empty text is no password."""
    nonce = server.nonce()
    ha2 = hashlib.sha256(f"REGISTER:{URI}".encode()).hexdigest()
    forged = hashlib.sha256(f":{nonce}:00000001:0a4f113b:auth:{ha2}".encode()).hexdigest()
    client = Client(algorithm="SHA-256", override={"response": f'"{forged}"'})
    assert server.try_(client.words(nonce)) == REFUSED
    assert server.try_(replace(client, user="nobody").words(nonce)) == REFUSED


@pytest.mark.parametrize(
    "nonce",
    [
        "",
        "x",
        "AAAA",
        "é",
        "=" * 40,
        base64.urlsafe_b64encode(bytes(30)).decode(),
        base64.b64encode(bytes(12)).decode(),
    ],
)
def test_a_nonce_that_is_not_ours_is_stale(server: Server, nonce: str) -> None:
    assert server.try_(Client().words(nonce)) == STALE


def test_a_nonce_with_one_bit_changed_is_not_ours(server: Server) -> None:
    nonce = server.nonce()
    whole = base64.urlsafe_b64decode(nonce)
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        assert server.try_(Client().words(base64.urlsafe_b64encode(changed).decode())) == STALE


def test_a_nonce_of_another_source_is_stale(server: Server) -> None:
    words = Client().words(server.nonce(source=HOME))
    assert server.try_(words, source=ELSEWHERE) == STALE
    assert server.try_(words, source=HOME) == ("1001", False)


def test_a_nonce_of_another_process_is_stale(server: Server) -> None:
    assert Server().try_(Client().words(server.nonce())) == STALE


def test_a_nonce_expires(server: Server) -> None:
    nonce = server.nonce()
    server.now_s += NONCE_S
    assert server.try_(Client().words(nonce)) == ("1001", False)
    server.now_s += 1
    assert server.try_(Client().words(nonce, 2)) == STALE


def test_a_nonce_of_the_future_is_stale(server: Server) -> None:
    """The clock went back: ask again."""
    nonce = server.nonce()
    server.now_s -= 10
    assert server.try_(Client().words(nonce)) == STALE


def test_each_count_of_a_nonce_is_good_once(server: Server) -> None:
    nonce, client = server.nonce(), Client()
    assert server.try_(client.words(nonce, 1)) == ("1001", False)
    assert server.try_(client.words(nonce, 1)) == STALE, "a replay"
    assert server.try_(client.words(nonce, 2)) == ("1001", False)
    assert server.try_(client.words(nonce, 10)) == ("1001", False), "a gap"
    assert server.try_(client.words(nonce, 9)) == STALE, "out of order"
    assert server.try_(client.words(nonce, 0)) == STALE, "the first is 1"
    assert server.try_(client.words(nonce, 0xABCDEF01)) == ("1001", False)


def test_a_wrong_response_does_not_use_up_a_count(server: Server) -> None:
    nonce = server.nonce()
    assert server.try_(Client(password="guess").words(nonce, 5)) == REFUSED
    assert server.try_(Client().words(nonce, 1)) == ("1001", False)


def test_of_several_credentials_those_of_our_realm_count(server: Server) -> None:
    nonce = server.nonce()
    others = [Client(realm="proxy.example").words("n"), b"Basic QWxhZGRpbg==", b"", b"\xff\xfe", b"Digest"]
    assert server.try_(*others, Client().words(nonce)) == ("1001", False)
    assert server.try_(*others) == REFUSED
    assert server.try_() == REFUSED


@pytest.mark.parametrize(
    "spell",
    [
        lambda words: words.replace(b"Digest ", b"DIGEST  "),
        lambda words: words.replace(b", ", b","),
        lambda words: words.replace(b", ", b" ,\t"),
        lambda words: words.replace(b", ", b",\r\n   "),
        lambda words: words.replace(b"=", b" = "),
        lambda words: words.replace(b"username", b"UserName").replace(b"nonce=", b"NONCE="),
        lambda words: words.replace(b"algorithm=MD5", b'algorithm="md5"'),
        lambda words: words.replace(b"algorithm=MD5, ", b""),
        lambda words: words.replace(b"qop=auth", b'qop="auth"'),
        lambda words: words.replace(b'"1001"', b'"\\1\\001"'),
        lambda words: words + b', opaque="", unknown="a, response=b"',
    ],
)
def test_spellings_of_the_same_credentials(server: Server, spell: object) -> None:
    assert callable(spell)
    words = spell(Client().words(server.nonce()))
    assert server.try_(words) == ("1001", False)


def test_upper_case_digits_of_the_response(server: Server) -> None:
    words = Client().words(server.nonce())
    given_ = re.search(rb'response="(\w+)"', words)
    assert given_ is not None
    assert server.try_(words.replace(given_[1], given_[1].upper())) == ("1001", False)


def test_a_user_with_letters_beyond_ascii(server: Server) -> None:
    server.accounts["张三"] = Secret.of("张三", REALM, "密码")
    assert server.try_(Client("张三", "密码").words(server.nonce("张三"))) == ("张三", False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_header_raises_or_lets_anybody_in(server: Server, data: st.DataObject) -> None:
    words = bytearray(Client(password="guess").words(server.nonce()))
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(words)))
        words[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    assert server.try_(bytes(words))[0] == ""
    assert server.try_(data.draw(st.binary(max_size=80)))[0] == ""


def test_very_many_nonces_are_forgotten_without_a_way_in_for_replays(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.voice.edge.digest._MAX_NONCES", 20)
    used = []
    for _ in range(100):
        nonce = server.nonce()
        used.append(nonce)
        assert server.try_(Client().words(nonce)) == ("1001", False)
    assert all(server.try_(Client().words(nonce)) == STALE for nonce in used)


# --- our own answers ---------------------------------------------------------------------------------------


def test_rfc_7616_example_of_both_algorithms() -> None:
    """RFC 7616 §3.9.1, its figures; then our answers to the same challenges by the same client."""
    nonce, cnonce = (
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    expected = {
        "MD5": "8ca523f5e9506fed4657c9700eebdbec",
        "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    }
    who = ("Mufasa", "http-auth@example.org", "Circle of Life", "GET", "/dir/index.html")
    for algorithm, figure in expected.items():
        assert response(algorithm, *who, nonce, "00000001", cnonce, "auth") == figure
        challenge = (
            f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
            f'nonce="{nonce}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        words = answer("Mufasa", "Circle of Life", challenge.encode(), "GET", "/dir/index.html")
        assert words is not None
        given_ = fields(words)
        assert given_["response"] == response(algorithm, *who, nonce, given_["nc"], given_["cnonce"], "auth")
        assert (given_["username"], given_["realm"], given_["uri"]) == (who[0], who[1], who[4])
        assert (given_["qop"], given_["nc"], given_["algorithm"]) == ("auth", "00000001", algorithm)
        assert (given_["nonce"], given_["opaque"]) == (nonce, "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS")


def test_rfc_2617_without_qop() -> None:
    """RFC 2617 §3.2.2.1, for compatibility with RFC 2069; the example's challenge without its qop."""
    challenge = (
        b'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        b'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    words = answer("Mufasa", "CircleOfLife", challenge, "GET", "/dir/index.html")
    assert words is not None
    given_ = fields(words)
    assert given_["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert "qop" not in given_
    assert "nc" not in given_
    assert "cnonce" not in given_
    assert given_["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"


def test_our_server_takes_our_answers(server: Server) -> None:
    for user, count in (("1001", 1), ("1002", 1), ("1003", 2)):
        for at in range(count):
            challenge = server.digest.challenges(HOME, user)[at]
            words = answer(user, "secret", challenge.encode(), "REGISTER", URI)
            assert words is not None
            assert server.try_(words.encode()) == (user, False)


@pytest.mark.parametrize("separator", [b", ", b",", b",\r\n  "])
@pytest.mark.parametrize("scheme", [b"Digest ", b"digest ", b"DIGEST  "])
def test_challenges_however_they_are_written(separator: bytes, scheme: bytes) -> None:
    challenge = scheme + separator.join(
        [b'Realm="bank"', b"nonce=abc", b"stale=FALSE", b'qop="auth-int,auth"', b"algorithm=md5"]
    )
    words = answer("u", "p", challenge, "REGISTER", "sip:bank")
    assert words is not None
    given_ = fields(words)
    assert given_["response"] == response(
        "MD5", "u", "bank", "p", "REGISTER", "sip:bank", "abc", "00000001", given_["cnonce"], "auth"
    )


@pytest.mark.parametrize(
    "challenge",
    [
        *(b"", b"Basic realm=x", b"Digest", b"Digest realm=x", b"NTLM abc", b"\xff"),
        b'Digest realm="x", nonce="n", algorithm=SHA-512-256, qop="auth"',
        b'Digest realm="x", nonce="n", algorithm=MD5-sess, qop="auth"',
        b'Digest realm="x", nonce="n", algorithm=MD5, qop="auth-int"',
    ],
)
def test_challenges_that_we_cannot_answer(challenge: bytes) -> None:
    assert answer("u", "p", challenge, "REGISTER", "sip:bank") is None


def test_quotes_in_a_challenge_stay_quoted_in_the_answer() -> None:
    """RFC 7616 §3.4: realm, nonce and opaque go back as quoted strings of the same value."""
    words = answer(
        "u", "p", b'Digest realm="the \\"bank\\"", nonce="a\\\\b", qop="auth"', "REGISTER", "sip:b"
    )
    assert words is not None
    assert 'realm="the \\"bank\\""' in words
    assert 'nonce="a\\\\b"' in words


def test_a_client_nonce_is_never_used_twice() -> None:
    challenge = b'Digest realm="b", nonce="n", qop="auth"'
    made = [answer("u", "p", challenge, "REGISTER", "sip:b") or "" for _ in range(20)]
    assert len({fields(words)["cnonce"] for words in made}) == 20
