"""Logging in by way of an identity provider that runs here, as a browser would; and with words that are not its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from config.settings import Oidc
from softphone_ui.oidc import OidcLogin
from tests.peers.phones import free_port
from tests.softphone_ui.office import Browser, Office


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("oidc") / "log"
    claims = [
        '{"sub": "u1", "preferred_username": "1001"}',
        '{"sub": "u2", "preferred_username": "nobody"}',
        '{"sub": "u3"}',
    ]
    arguments = [part for one in claims for part in ("--user-claims", one)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(port), *arguments],
            stdout=out, stderr=out,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{address}/.well-known/openid-configuration", timeout=1).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


@contextmanager
def with_provider(office: Office, issuer: str) -> Iterator[Browser]:
    secret = Path(tempfile.mkdtemp()) / "secret"
    secret.write_text("of this client\n")
    office.panel.oidc = OidcLogin(
        Oidc(issuer=issuer, client_id="callcenter", client_secret_file=secret, name="统一身份")
    )
    yield office.browser()


def at_the_provider(place: str, sub: str) -> str:
    """The person agrees there; answers where the browser is sent back to."""
    answer = httpx.post(place, data={"sub": sub}, follow_redirects=False, timeout=5)
    assert answer.status_code in (302, 303), answer.text
    return answer.headers["location"]


def back(browser: Browser, place: str) -> Any:
    parts = urlsplit(place)
    return browser.get(f"{parts.path}?{parts.query}")


def test_who_the_provider_names_is_logged_in(office: Office, issuer: str) -> None:
    with with_provider(office, issuer) as browser:
        assert "统一身份" in browser.get("/login").text
        begun = browser.get("/login/oidc")
        query = parse_qs(urlsplit(begun.headers["location"]).query)
        assert query["code_challenge_method"] == ["S256"]
        done = back(browser, at_the_provider(begun.headers["location"], "u1"))
        assert done.status_code == 200
        assert "url=/" in done.text
        assert browser.get("/api/contacts").status_code == 200
        assert "王芳" in browser.get("/").text


@pytest.mark.parametrize("sub", ["u2", "u3"], ids=["no user of ours", "without the claim"])
def test_who_is_none_of_ours_stays_outside(office: Office, issuer: str, sub: str) -> None:
    with with_provider(office, issuer) as browser:
        begun = browser.get("/login/oidc")
        done = back(browser, at_the_provider(begun.headers["location"], sub))
        assert done.headers["location"] == "/login?problem=oidc_refused"
        assert browser.get("/api/contacts").status_code == 401
        assert "统一登录没有成功" in browser.get("/login?problem=oidc_refused").text


def test_an_answer_serves_once_and_only_the_browser_that_asked(office: Office, issuer: str) -> None:
    with with_provider(office, issuer) as browser:
        place = at_the_provider(browser.get("/login/oidc").headers["location"], "u1")
        stranger = office.browser()
        assert "oidc_refused" in back(stranger, place).headers["location"]
        assert back(browser, place).status_code == 200
        browser.cookies["cc_oidc"] = parse_qs(urlsplit(place).query)["state"][0]
        assert "oidc_refused" in back(browser, place).headers["location"]


@pytest.mark.parametrize("query", ["", "state=x&code=y", "error=access_denied&state=x"])
def test_an_answer_to_nothing(office: Office, issuer: str, query: str) -> None:
    with with_provider(office, issuer) as browser:
        assert "oidc_refused" in browser.get(f"/login/oidc/back?{query}").headers["location"]


def test_a_provider_that_is_away(office: Office) -> None:
    with with_provider(office, f"http://127.0.0.1:{free_port()}") as browser:
        assert browser.get("/login/oidc").headers["location"] == "/login?problem=oidc_unreachable"


def test_without_a_provider_there_is_no_button(office: Office) -> None:
    browser = office.browser()
    assert 'id="oidc"' not in browser.get("/login").text
    assert browser.get("/login/oidc").headers["location"] == "/login"


# --- tokens that are not the provider's ------------------------------------------------------------------

KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
ISSUER = "https://id.example"


def keys() -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}


def token(key: Any = KEY, algorithm: str = "RS256", kid: str = "k1", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "callcenter", "sub": "u1", "iat": now, "exp": now + 60, **changes}
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        key,
        algorithm,
        headers={"kid": kid},
    )


def verified(text: str) -> dict[str, Any]:
    return OidcLogin(Oidc(issuer=ISSUER, client_id="callcenter"))._verified(text, keys(), ISSUER)


def test_a_good_token() -> None:
    assert verified(token())["sub"] == "u1"


@pytest.mark.parametrize(
    "bad",
    [
        lambda: token(OTHER),
        lambda: token(kid="k2"),
        lambda: token("secret" * 8, "HS256"),
        lambda: jwt.encode({"sub": "u1", "iss": ISSUER, "aud": "callcenter"}, "", "none", headers={"kid": "k1"}),
        lambda: token(iss="https://evil.example"),
        lambda: token(aud="another"),
        lambda: token(exp=int(time.time()) - 120),
        lambda: token(exp=None),
        lambda: token(sub=None),
        lambda: token() + "x",
        lambda: "no.token",
        lambda: "",
    ],
    ids=["another key", "unknown key", "symmetric", "unsigned", "issuer", "audience", "expired", "no end", "nobody", "changed", "no token", "nothing"],
)  # fmt: skip
def test_a_token_that_is_not_good(bad: Any) -> None:
    with pytest.raises((jwt.PyJWTError, ValueError)):
        verified(bad())


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="client_id"):
        Oidc(issuer="https://id.example")
    assert Oidc().issuer == ""
