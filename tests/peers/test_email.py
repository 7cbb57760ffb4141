"""Mail from strangers and customers, through listener, queue, agent and relay; mailboxes; a core that dies."""

from __future__ import annotations

import email
import email.policy
import smtplib
import socket
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from tests.peers.centre import Centre, Person, agent, queue
from tests.peers.mail import Relay, swaks
from tests.peers.phones import HOST, free_port, until

pytestmark = pytest.mark.peer("swaks", "dovecot", "smtp-source", "smtp-sink")

OURS, CUSTOMER = "service@insurer.example", "zhang@customer.example"
Start = Callable[..., Centre]


class Post:
    """A centre that takes mail, and the relay it sends through."""

    def __init__(self, centre: Centre, address: str, relay: Relay) -> None:
        self.centre, self.address, self.relay = centre, address, relay
        host, _, port = address.partition(":")
        self.host, self.port = host, int(port)

    def person(self, login: str = "1001") -> Person:
        return self.centre.person(login)

    def send(
        self, subject: str = "保单", text: str = "我想问一下保单。", sender: str = CUSTOMER, **headers: str
    ) -> str:
        """By SMTP; the server's last word."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, OURS, subject
        message["Message-ID"] = headers.pop("message_id", f"<{time.time_ns()}@customer.example>")
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        message.set_content(text)
        return self.raw(message.as_bytes(policy=email.policy.SMTP), sender)

    def raw(self, raw: bytes, sender: str = CUSTOMER, to: str = OURS) -> str:
        with smtplib.SMTP(self.host, self.port, timeout=20) as peer:
            peer.ehlo()
            peer.mail(sender)
            peer.rcpt(to)
            code, said = peer.data(raw)
        return f"{code} {said.decode()}"

    def chats(self, login: str = "1001") -> list[Any]:
        found: list[Any] = self.person(login).page()["chats"]
        return found

    def take(self, login: str = "1001") -> Any:
        """The agent takes the mail that rings."""
        ringing = until(
            lambda: next((one for one in self.chats(login) if one["state"] == "ringing"), None), 10, "a mail"
        )
        self.person(login).act(f"/chats/offers/{ringing['offer']}/accept")
        return until(
            lambda: next(
                (
                    one
                    for one in self.chats(login)
                    if one["state"] == "talking" and one["id"] == ringing["id"]
                ),
                None,
            ),
            5,
            "the mail in hand",
        )

    def thread(self, chat: str, login: str = "1001") -> list[Any]:
        found: list[Any] = self.person(login).get(f"/chats/{chat}/messages")
        return found

    def answer(self, chat: str, text: str, login: str = "1001", **more: Any) -> None:
        self.person(login).act(
            f"/chats/{chat}/messages", {"client": f"a{time.time_ns()}", "text": text, **more}
        )


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as opened:
        yield opened


@pytest.fixture
def post(start_centre: Start, relay: Relay) -> Post:
    return started(start_centre, relay)


def started(start_centre: Start, relay: Relay, sample: bool = False, **mail: Any) -> Post:
    address = f"{HOST}:{free_port()}"
    centre = start_centre(
        numbers=[{"number": "95519", "flow": "hotline"}],
        queues=[queue("service", title="客户服务"), queue("complaints", title="投诉")],
        agents=[
            agent("1001", free_port(), "service", "complaints", name="王芳"),
            agent("1002", free_port(), "service", name="李强", ready_at_start=False),
            agent("8002", role="supervisor"),
        ],
        sections={
            "email": {
                "addresses": [OURS],
                "listen": address,
                "prove": False,
                "relay": {"address": relay.address, "tls": "none"},
                "retry_s": [1, 1],
                "rules": [{"queue": "complaints", "words": ["投诉", "complaint"]}],
                **mail,
            }
        },
        sample=sample,
    )
    found = Post(centre, address, relay)
    until(lambda: _listens(found), 10, "the mail door", 0.05)
    return found


def _listens(post: Post) -> bool:
    try:
        with socket.create_connection((post.host, post.port), 1):
            return True
    except OSError:
        return False


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_is_acknowledged_queued_answered_and_goes_on(post: Post) -> None:
    """swaks from outside, the relay at the other end, the customer's answer in the same conversation."""
    told = swaks(
        post.address, "--to", OURS, "--from", CUSTOMER, "--h-Subject", "我要投诉", "--body", "理赔太慢了。"
    )
    assert "250 2.0.0 Kept as" in told
    chat = post.take()
    assert chat["medium"] == "email"
    assert chat["queue"] == "投诉 · E-Mail"
    assert chat["mail"]["subject"] == "我要投诉"
    (acknowledged,) = [parsed(one) for one in post.relay.wait(1)]
    assert acknowledged["To"] == CUSTOMER
    assert acknowledged["Auto-Submitted"] == "auto-replied"
    assert "编号" in acknowledged.get_content()
    post.answer(chat["id"], "非常抱歉，我们马上处理。", cc=["boss@customer.example"])
    answer = parsed(post.relay.wait(2)[1])
    assert answer["From"].addresses[0].addr_spec == OURS
    assert (answer["To"], answer["Cc"]) == (CUSTOMER, "boss@customer.example")
    assert "非常抱歉，我们马上处理。" in answer.get_content()
    assert "> 理赔太慢了。" in answer.get_content()
    until(lambda: post.thread(chat["id"])[-1]["state"] == "sent", 5, "the state of the letter")
    subject = str(answer["Subject"])
    post.send(subject, "谢谢。\n\n> 非常抱歉", In_Reply_To=str(answer["Message-ID"]))
    until(lambda: len(post.thread(chat["id"])) == 4, 5, "the customer's answer")
    assert post.thread(chat["id"])[-1]["text"] == "谢谢。"
