"""Mail from strangers and customers, through listener, queue, agent and relay; mailboxes; a core that dies."""

from __future__ import annotations

import email
import email.policy
import random
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from callcenter.cli.certificate import self_signed
from tests.peers.centre import Centre, Person, agent, queue
from tests.peers.mail import Dovecot, Relay, start_source, swaks
from tests.peers.phones import HOST, Baresip, free_port, until
from tests.postgres import Postgres, postgres

pytestmark = pytest.mark.peer("swaks", "dovecot", "smtp-source", "smtp-sink")

__all__ = ["postgres"]
OURS, CUSTOMER = "service@insurer.example", "zhang@customer.example"
Start = Callable[..., Centre]


class Post:
    """A centre that takes mail, and the relay it sends through."""

    def __init__(self, centre: Centre, address: str, relay: Relay) -> None:
        self.centre, self.address, self.relay = centre, address, relay
        host, _, port = address.partition(":")
        self.host, self.port = host, int(port)

    journal = ""

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


def started(start_centre: Start, relay: Relay, port: int = 0, database: str = "", **mail: Any) -> Post:
    """`database`: a PostgreSQL URL for journal and records; none: SQLite."""
    address = f"{HOST}:{free_port()}"
    centre = start_centre(
        numbers=[{"number": "95519", "flow": "hotline"}, {"number": "95520", "queue": "service"}],
        queues=[queue("service", title="客户服务"), queue("complaints", title="投诉")],
        agents=[
            agent("1001", port or free_port(), "service", "complaints", name="王芳"),
            agent("1002", free_port(), "service", name="李强", ready_at_start=False),
            agent("8002", role="supervisor"),
        ],
        sections={
            **({"database": {"url": database}, "journal": {"url": database}} if database else {}),
            "email": {
                "addresses": [OURS],
                "listen": address,
                "prove": False,
                "relay": {"address": relay.address, "tls": "none"},
                "retry_s": [1, 1],
                "rules": [{"queue": "complaints", "words": ["投诉", "complaint"]}],
                **mail,
            },
        },
    )
    found = Post(centre, address, relay)
    found.journal = database or str(centre.var / "journal.db")
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


def test_what_the_relay_refuses_waits_for_a_supervisor_who_mends_it(post: Post) -> None:
    post.relay.answer(hard="RCPT", reply="550 5.1.1 unknown")
    post.send()
    chat = post.take()
    post.answer(chat["id"], "您好")
    boss = post.person("8002")
    dead = until(
        lambda: [one for one in boss.get("/post")["dead"] if not one["automatic"]], 10, "a dead letter"
    )
    assert (dead[0]["to"], dead[0]["text"]) == ([CUSTOMER], "您好")
    assert dead[0]["reason"].startswith("550")
    post.relay.answer()
    body = {"to": ["right@customer.example"], "subject": dead[0]["subject"], "text": "您好，更正"}
    boss.act(f"/post/letters/{dead[0]['message']}/resend", body)
    (came,) = [parsed(one) for one in post.relay.wait(1)]
    assert (came["To"], "您好，更正" in came.get_content()) == ("right@customer.example", True)
    until(lambda: post.thread(chat["id"])[-1]["state"] == "sent", 5, "the state of the letter")


def test_a_relay_that_is_away_gets_the_letter_later_and_once(start_centre: Start, relay: Relay) -> None:
    post = started(start_centre, relay, retry_s=[1] * 30)
    post.relay.stop()
    post.send()
    chat = post.take()
    post.answer(chat["id"], "稍后送达")
    until(
        lambda: any(one["attempt"] for one in post.person("8002").get("/post")["waiting"]), 10, "an attempt"
    )
    post.centre.kill_core()
    post.centre.wait_ready()
    post.relay.start()
    answers = [parsed(one) for one in post.relay.wait(2, 20)]
    assert sorted("稍后送达" in one.get_content() for one in answers) == [False, True]
    until(lambda: not post.person("8002").get("/post")["waiting"], 10, "an empty outbox")
    assert len(post.relay.messages()) == 2


def test_what_comes_back_is_shown_at_the_letter_and_machines_stay_out(post: Post) -> None:
    post.send()
    chat = post.take()
    post.answer(chat["id"], "您的材料清单")
    letters = until(
        lambda: [d for d in post.relay.deliveries() if b"Auto-Submitted" not in d.raw], 10, "the answer"
    )
    sent = letters[0]
    report = (
        f"From: MAILER-DAEMON@relay.example\r\nTo: {sent.sender}\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        "Message-ID: <b1@relay.example>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nunknown user\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n"
        f"Final-Recipient: rfc822; {CUSTOMER}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    ).encode()
    assert post.raw(report, "", sent.sender).startswith("250")
    until(
        lambda: [m["state"] for m in post.thread(chat["id"]) if m["by"] == "agent"] == ["bounced"],
        10,
        "the bounce",
    )
    assert post.thread(chat["id"])[-1]["kind"] == "bounce"
    post.send("自动回复：休假中", Auto_Submitted="auto-replied")
    post.send("本月特惠", List_Unsubscribe="<mailto:x@y.example>", Precedence="bulk")
    kept = until(
        lambda: (k := post.person("8002").get("/post")["kept_out"]) and len(k) == 2 and k, 10, "both kept out"
    )
    assert [one["kind"] for one in kept] == ["newsletter", "auto_reply"]
    post.person("8002").act(f"/post/mails/{kept[0]['mail']}/release")
    assert post.take()["mail"]["subject"] == "本月特惠"


def _says(post: Post, *lines: bytes) -> str:
    """Everything that the listener answers to this, until it closes or falls silent."""
    with socket.create_connection((post.host, post.port), 5) as peer:
        peer.settimeout(2)
        said = peer.recv(1000)
        for line in lines:
            peer.sendall(line)
        try:
            while part := peer.recv(4096):
                said += part
                if b"221" in part:
                    break
        except (TimeoutError, ConnectionError):
            pass
    return said.decode("ascii", "replace")


def test_bad_dialogues_get_clear_answers_and_slow_nobody(post: Post) -> None:
    """Unknown recipients, 50 MB, smuggling, nonsense, and still the next mail comes in."""
    with smtplib.SMTP(post.host, post.port, timeout=20) as peer:
        peer.ehlo()
        peer.mail(CUSTOMER)
        assert peer.rcpt("nobody@insurer.example")[0] == 550
        assert peer.rcpt("service@elsewhere.example")[0] == 550
    with smtplib.SMTP(post.host, post.port, timeout=20) as peer:
        peer.ehlo()
        assert peer.mail(CUSTOMER, ["SIZE=50000000"])[0] == 552
    with smtplib.SMTP(post.host, post.port, timeout=60) as peer:
        peer.ehlo()
        peer.mail(CUSTOMER)
        peer.rcpt(OURS)
        assert peer.data(b"From: a@b.example\r\n\r\n" + b"x" * 998 + b"\r\n" * 26_000_000)[0] == 552
    head = b"EHLO me\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (CUSTOMER.encode(), OURS.encode())
    inner = (
        b"MAIL FROM:<ceo@insurer.example>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
        % OURS.encode()
    )
    for trick in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r"):
        body = (
            b"From: z@customer.example\r\nSubject: outer\r\nMessage-ID: <%d@c.example>\r\n\r\nhello"
            % time.time_ns()
        )
        said = _says(post, head + body + trick + inner, b"QUIT\r\n")
        assert said.count("250 2.0.0 Kept") == 1, (trick, said)
    said = _says(post, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"\x00\xff" * 300 + b"\r\n", b"QUIT\r\n")
    assert "500" in said
    assert "250 2.0.0 Kept" in post.send("after all that")
    seen = until(lambda: post.person("8002").page()["calls"], 10, "what came")
    assert all("smuggled" not in str(one) for one in seen)
    assert post.centre.metric("callcenter_mail_events_total", what="no_such_recipient") >= 2
    assert post.centre.metric("callcenter_mail_events_total", what="too_large") >= 1


def test_tls_may_be_required_and_a_flood_is_told_to_wait(
    start_centre: Start, relay: Relay, tmp_path: Any
) -> None:
    certificate, key = self_signed(tmp_path, HOST)
    tls = {"tls_cert": str(certificate), "tls_key": str(key), "require_tls": True}
    post = started(start_centre, relay, rate="2/minute", **tls)
    words = ("--to", OURS, "--from", CUSTOMER)
    assert "530" in swaks(post.address, *words)
    trusted = ssl.create_default_context(cafile=str(certificate))
    trusted.check_hostname = False
    for n, code in enumerate((250, 250, 451)):
        with smtplib.SMTP(post.host, post.port, timeout=20) as peer:
            peer.starttls(context=trusted)
            peer.ehlo()
            said = peer.mail(CUSTOMER)
            if code == 250:
                peer.rcpt(OURS)
                said = peer.data(f"From: {CUSTOMER}\r\nMessage-ID: <{n}@c.example>\r\n\r\nhello\r\n".encode())
        assert said[0] == code, said
    # words in clear behind STARTTLS are no words of the session that follows
    smuggled = _says(post, b"EHLO me\r\nSTARTTLS\r\nMAIL FROM:<x@y.example>\r\nQUIT\r\n")
    assert smuggled.count("250 2.1.0") == 0
    assert post.centre.metric("callcenter_mail_events_total", what="too_often") == 1


def test_a_call_interrupts_a_mail_which_comes_back_as_it_was(
    start_centre: Start, relay: Relay, tmp_path: Any
) -> None:
    port = free_port()
    post = started(start_centre, relay, port=port)
    post.send()
    chat = post.take()
    with (
        Baresip(tmp_path / "agent", "1001", answer="auto", port=port) as phone,
        Baresip(tmp_path / "caller", "13800138000") as caller,
    ):
        caller.dial("95520", post.centre.sip)
        phone.event("CALL_ESTABLISHED")
        until(lambda: [one["paused"] for one in post.chats()] == [True], 5, "the mail set aside")
        caller.hang_up()
        phone.event("CALL_CLOSED")
    until(
        lambda: [(one["paused"], one["id"]) for one in post.chats()] == [(False, chat["id"])],
        5,
        "the mail again",
    )
    post.answer(chat["id"], "您好，继续处理您的邮件。")
    until(lambda: post.thread(chat["id"])[-1]["state"] == "sent", 10, "the answer")


@pytest.mark.parametrize("login", ["password", "xoauth2"])
def test_an_existing_mailbox_is_fetched_once_over_a_core_that_dies(
    start_centre: Start, relay: Relay, tmp_path: Any, login: str
) -> None:
    secret = tmp_path / "secret"
    with Dovecot(OURS) as box:
        secret.write_text(box.token(OURS) if login == "xoauth2" else box.password)
        mailbox = {
            "address": f"{HOST}:{box.port}",
            "user": OURS,
            "secret_file": str(secret),
            "login": login,
            "tls": "none",
            "every_s": 0.2,
            "done_folder": "Done",
        }
        post = started(start_centre, relay, mailboxes=[mailbox])
        for n in range(5):
            raw = f"From: c{n}@customer.example\r\nTo: {OURS}\r\nSubject: box {n}\r\nMessage-ID: <box{n}@c>\r\n\r\nhello\r\n"
            box.append(raw.encode())
            if n == 2:
                post.centre.kill_core()
        post.centre.wait_ready()
        until(lambda: len(box.folder("Done")) == 5, 20, "all of them put away")
        calls = until(
            lambda: (c := post.person("8002").page()["calls"]) and len(c) == 5 and c, 10, "five conversations"
        )
        assert {one["medium"] for one in calls} == {"email"}
        box.stop()
        until(
            lambda: post.centre.metric("callcenter_mail_mailboxes", state="trouble") == 1,
            20,
            "the trouble told",
        )
        box.start()
        until(lambda: post.centre.metric("callcenter_mail_mailboxes", state="trouble") == 0, 30, "its end")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("database", "kills"), [("sqlite", 30), ("postgresql", 10)])
def test_everything_acknowledged_is_there_once_however_often_the_core_is_killed(
    start_centre: Start,
    relay: Relay,
    postgres: Postgres,
    database: str,
    kills: int,
) -> None:
    """smtp-source without end, kills at random moments; what got 250 is a message of exactly one conversation."""
    url = postgres.create("kills") if database == "postgresql" else ""
    run_kills(started(start_centre, relay, database=url, rate="100000/minute", acknowledge=False), kills)


def test_journal_and_records_live_in_postgresql(
    start_centre: Start,
    relay: Relay,
    postgres: Postgres,
) -> None:
    """The same mail, answer and search there; a server that goes away for a while loses nothing."""
    post = started(start_centre, relay, database=postgres.create("mailhouse"))
    post.send("保单", "我想问一下缴费日期")
    chat = post.take()
    postgres.stop()
    writing = threading.Thread(target=post.answer, args=(chat["id"], "缴费日期是每月五日"))
    writing.start()
    time.sleep(1)
    postgres.start()
    writing.join(20)
    until(
        lambda: [m["state"] for m in post.thread(chat["id"]) if m["by"] == "agent"] == ["sent"],
        20,
        "the answer",
    )
    found = until(
        lambda: post.person("8002").get("/search/messages?words=%E7%BC%B4%E8%B4%B9%E6%97%A5%E6%9C%9F"),
        10,
        "hits",
    )
    assert [one["text"] for one in found] == ["缴费日期是每月五日", "我想问一下缴费日期"]
    post.centre.kill_core()
    post.centre.wait_ready()
    assert [m["by"] for m in post.thread(chat["id"])] == ["customer", "flow", "agent"]


def run_kills(post: Post, kills: int) -> None:
    dice = random.Random(20_261_128)
    acknowledged: set[str] = set()
    unsure: set[str] = set()
    stop = threading.Event()

    def write(sender: int) -> None:
        n = 0
        while not stop.is_set():
            name = f"k{sender}-{n}"
            raw = (
                f"From: s{sender}@load.example\r\nTo: {OURS}\r\nSubject: {name}\r\n"
                f"Message-ID: <{name}@load.example>\r\n\r\n{name}\r\n"
            ).encode()
            try:
                if post.raw(raw, f"s{sender}@load.example").startswith("250"):
                    acknowledged.add(name)
                    n += 1
                    stop.wait(0.02)
                    continue
            except (OSError, smtplib.SMTPException):
                pass
            unsure.add(name)  # told nothing, or no: it is sent again, as servers do
            stop.wait(0.05)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for one in writers:
        one.start()
    load = start_source(
        post.address,
        count=100_000,
        sessions=2,
        size=3_000,
        sender="src@load.example",
        recipient=OURS,
        keep_going=True,
        options=("-w", "1"),
    )
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.8))
            post.centre.kill_core()
            post.centre.wait_ready()
    finally:
        stop.set()
        for one in writers:
            one.join(60)
        load.terminate()
        load.wait(10)
        if load.stdout is not None:
            load.stdout.close()
    until(lambda: post.person("8002").get("/post")["unread"] == 0, 120, "everything read", 0.5)
    found = subjects_of(post)
    mine = [one for one in found if one.startswith("k")]
    assert len(acknowledged) > kills
    assert set(mine) >= acknowledged
    assert len(mine) == len(set(mine)), "twice"
    assert set(mine) <= acknowledged | unsure


def subjects_of(post: Post) -> list[str]:
    """Of every mail conversation in the journal, read as the product reads it."""
    from callcenter.journal import store
    from callcenter.journal.private import PrivateStore
    from callcenter.kernel.envelope import MasterKey

    connection = store.connect(post.journal)
    try:
        private = PrivateStore(connection, MasterKey.load(post.centre.var / "keys" / "master.key"))
        return [
            private.get(fact["ref"]).strip()
            for row in store.rows_after(connection, 0)
            for fact in row.facts
            if fact["k"] == "MessageReceived"
        ]
    finally:
        connection.close()
