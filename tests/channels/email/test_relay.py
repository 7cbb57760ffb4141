"""A relay that is real (aiosmtpd), over every kind of TLS, with log-in, and refusing at every step of the dialogue."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from callcenter.cli.certificate import self_signed
from channels.email.relay import LATER, REFUSED, SENT, Relay, Result

HOST = "127.0.0.1"
SENDER, ZHANG, WIFE = "service@insurer.example", "zhang@customer.example", "wife@customer.example"
RAW = b"Subject: x\r\n\r\nhello\r\n"
Answers = dict[str, str]


class World:
    """What the relay keeps, and what it answers to which step (or recipient)."""

    def __init__(self, answers: Answers) -> None:
        self.answers, self.kept, self.logins = answers, [], []  # type: Answers, list[Envelope], list[str]

    async def handle_MAIL(
        self, _s: SMTP, _n: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        if "MAIL" not in self.answers:
            envelope.mail_from = address
        return self.answers.get("MAIL", "250 fine")

    async def handle_RCPT(
        self, _s: SMTP, _n: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        said = self.answers.get(address, "250 fine")
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, _s: SMTP, _n: Session, envelope: Envelope) -> str:
        if "DATA" not in self.answers:
            self.kept.append(envelope)
        return self.answers.get("DATA", "250 taken")

    def log_in(self, _s: SMTP, _n: Session, _e: Envelope, _m: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password == b"right", handled=False)


class Greeting(SMTP):
    """Says what it is told before anything else."""

    first = ""

    async def push(self, status: Any) -> None:
        if self.first and str(status).startswith("220"):
            status, self.first = self.first, ""
        await super().push(status)


@asynccontextmanager
async def relay(answers: Answers, **more: Any) -> AsyncIterator[tuple[int, World]]:
    world = World(answers)
    context, implicit = more.pop("context", None), more.pop("implicit", False)
    made: list[Greeting] = []

    def make() -> Greeting:
        server = Greeting(
            world, tls_context=None if implicit else context, authenticator=world.log_in, **more
        )
        server.first = answers.get("CONNECT", "")
        made.append(server)
        return server

    server = await asyncio.get_running_loop().create_server(make, HOST, 0, ssl=context if implicit else None)
    try:
        yield server.sockets[0].getsockname()[1], world
    finally:
        server.close()
        await server.wait_closed()
        for one in made:
            if one.transport is not None:
                one.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    path, key = self_signed(tmp_path_factory.mktemp("tls"), HOST)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path, key)
    return path, context


def sent(
    answers: Answers,
    to: list[str],
    kind: str = "none",
    user: str = "",
    secret: Path | None = None,
    **more: Any,
) -> tuple[Result, World]:
    ca = more.pop("ca", None)

    async def go() -> tuple[Result, World]:
        async with relay(answers, **more) as (port, world):
            return await Relay(HOST, port, kind, user, secret, ca).send(SENDER, to, RAW), world

    return asyncio.run(go())


def test_one_mail_goes_to_all(certificate: Any) -> None:
    result, world = sent({}, [ZHANG, WIFE])
    assert result == Result(SENT)
    (kept,) = world.kept
    assert (kept.mail_from, kept.rcpt_tos, kept.content) == (SENDER, [ZHANG, WIFE], RAW)


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
def test_over_tls_with_a_login(certificate: tuple[Path, ssl.SSLContext], tmp_path: Path, kind: str) -> None:
    path, context = certificate
    secret = tmp_path / "secret"
    secret.write_text("right\n", encoding="utf-8")
    inside = kind == "implicit"  # where the server sees no TLS of its own
    more = {"context": context, "implicit": inside, "auth_require_tls": not inside, "ca": path}
    result, world = sent({}, [ZHANG], kind, "insurer", secret, **more)
    assert result == Result(SENT)
    assert world.logins == ["insurer"]
    secret.write_text("wrong", encoding="utf-8")
    result, world = sent({}, [ZHANG], kind, "insurer", secret, **more)
    assert (result.state, result.reason[:10], world.kept) == (LATER, "login: 535", [])


def test_nothing_goes_in_clear_where_tls_is_asked_for(certificate: tuple[Path, ssl.SSLContext]) -> None:
    _path, context = certificate
    result, world = sent({}, [ZHANG], "starttls")
    assert (result.state, world.kept) == (LATER, [])
    result, world = sent({}, [ZHANG], "starttls", context=context)
    assert (result.state, world.kept) == (LATER, []), "a certificate that nobody vouches for"


@pytest.mark.parametrize(
    ("answers", "to", "expected"),
    [
        ({"CONNECT": "554 5.7.1 go away"}, [ZHANG], Result(LATER, "554 5.7.1 go away")),
        ({"CONNECT": "421 4.3.2 later"}, [ZHANG], Result(LATER, "421 4.3.2 later")),
        ({"MAIL": "550 5.7.1 not you"}, [ZHANG], Result(REFUSED, "550 5.7.1 not you")),
        ({"MAIL": "451 4.3.0 busy"}, [ZHANG], Result(LATER, "451 4.3.0 busy")),
        ({ZHANG: f"550 5.1.1 {ZHANG} unknown"}, [ZHANG], Result(REFUSED, "550 5.1.1 … unknown")),
        ({ZHANG: "450 4.2.1 full"}, [ZHANG], Result(LATER, "450 4.2.1 full")),
        ({ZHANG: "550 5.1.1 no", WIFE: "450 4.2.1 full"}, [ZHANG, WIFE], Result(LATER, "550 5.1.1 no")),
        ({ZHANG: "550 5.1.1 no"}, [ZHANG, WIFE], Result(SENT, "550 5.1.1 no", (ZHANG,))),
        ({"DATA": "552 5.2.3 too large"}, [ZHANG], Result(REFUSED, "552 5.2.3 too large")),
        ({"DATA": "452 4.3.1 no room"}, [ZHANG], Result(LATER, "452 4.3.1 no room")),
    ],
)
def test_what_it_says_decides(answers: Answers, to: list[str], expected: Result) -> None:
    result, world = sent(answers, to)
    assert result == expected
    assert len(world.kept) == (expected.state == SENT)


def test_a_relay_that_is_nowhere_is_tried_later() -> None:
    async def go() -> Result:
        return await Relay(HOST, 9, "none", "", None).send(SENDER, [ZHANG], RAW)

    result = asyncio.run(go())
    assert (result.state, result.reason.partition(":")[0]) == (LATER, "unreachable")
