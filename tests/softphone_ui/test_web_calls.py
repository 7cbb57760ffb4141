"""Who rings from the web: how often, where to, and the signed identity."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from callcenter.kernel.errors import ConfigError, NotAllowed
from softphone_ui.web_calls import AUDIENCE, WebCalls
from tests.callcenter.centre import Centre
from tests.callcenter.sim_worker import invite

SECRET = "a secret that both sides know well"


def desk(folder: Path, key: str = SECRET, algorithm: str = "HS256") -> WebCalls:
    (folder / "key").write_text(f"{key}\n")
    return WebCalls(("95519",), "2/minute", "CN", folder / "key", algorithm)


def identity(key: Any = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"aud": AUDIENCE, "exp": int(time.time()) + 60, "phone": "138 0013 8000", **changes}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def test_a_signed_number_is_believed_once(tmp_path: Path) -> None:
    calls = desk(tmp_path)
    word = calls.visit(identity())
    assert len(word) >= 20
    assert calls.arrived(word) == "+8613800138000"
    assert calls.arrived(word) == "", "once"
    assert calls.visit("") == ""


@pytest.mark.parametrize(
    "token",
    [
        identity("another secret that is long enough"), identity(aud="panel"), identity(exp=int(time.time()) - 1), identity(exp=None),
        identity(phone=None), identity(phone="nobody"), identity(phone=["1"]), identity(aud=None), "x.y.z", "nonsense",
        jwt.encode({"aud": AUDIENCE, "exp": int(time.time()) + 60, "phone": "13800138000"}, "", "none"),
    ],
)  # fmt: skip
def test_any_other_word_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(NotAllowed, match="bad_identity"):
        desk(tmp_path).visit(token)


def test_a_public_key_never_serves_as_a_secret(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    calls = desk(tmp_path, public, "ES256")
    assert calls.arrived(calls.visit(identity(key, "ES256"))) == "+8613800138000"
    with pytest.raises(NotAllowed, match="bad_identity"):
        calls.visit(identity())


def test_without_a_key_nobody_is_believed() -> None:
    with pytest.raises(NotAllowed, match="bad_identity"):
        WebCalls(("95519",), "2/minute", "CN", None, "HS256").visit(identity())


def test_a_key_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="identity_key_file"):
        WebCalls(("95519",), "2/minute", "CN", tmp_path / "none", "HS256")


def test_who_rings_too_often_and_where_nobody_may(tmp_path: Path) -> None:
    calls = desk(tmp_path)
    for _ in range(2):
        calls.admit("10.0.0.1")
    with pytest.raises(NotAllowed, match="too_often"):
        calls.admit("10.0.0.1")
    calls.admit("10.0.0.2")
    assert calls.number("") == "95519"
    with pytest.raises(NotAllowed, match="unknown_number"):
        calls.number("10086")
    with pytest.raises(NotAllowed, match="no_browser_phones"):
        WebCalls((), "2/minute", "CN", None, "HS256").admit("10.0.0.1")


def test_the_call_of_a_known_visitor_comes_with_their_number(tmp_path: Path) -> None:
    centre, calls = Centre(), desk(tmp_path)
    centre.desk.visitor_of = calls.arrived
    word = calls.visit(identity())
    head, blank, rest = invite("95519", "anonymous").partition("\r\n\r\n")
    leg = centre.worker.ring()
    centre.worker.facts[-1]["message"] = f"{head}\r\nX-Visit: {word}{blank}{rest}"
    centre.settle()
    live = centre.host.book.of_leg(leg)
    assert live is not None
    assert (centre.private.get(live.party_ref), live.verified) == ("+8613800138000", "signed")
    other = centre.worker.ring()
    centre.worker.facts[-1]["message"] = f"{head}\r\nX-Visit: {word}{blank}{rest}"
    centre.settle()
    live = centre.host.book.of_leg(other)
    assert live is not None
    assert (live.party_ref, live.verified) == ("", ""), "a word serves once"
