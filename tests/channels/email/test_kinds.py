"""Who writes: somebody, a machine that answers, a server that could not deliver, a newsletter, or we ourselves."""

from __future__ import annotations

import base64
import email
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.email import kinds
from channels.email.mail import AUTO_REPLY, BOUNCE, KINDS, LOOP, NEWSLETTER, NORMAL, Envelope, Mail
from channels.email.translate import read

OURS, CUSTOMER, MARK = "service@insurer.example", "zhang@customer.example", "centre.insurer.example"
LETTER = "m1-7.x@insurer.example"
DIRECT = Envelope("192.0.2.1", "mx.customer.example", CUSTOMER, (OURS,))
NOBODY = Envelope("192.0.2.1", "mx.customer.example", "", (OURS,))
FETCHED = Envelope()


def mail(
    *headers: str, sender: str = f"张三 <{CUSTOMER}>", body: str = "您好", envelope: Envelope = DIRECT
) -> Mail:
    lines = [f"From: {sender}", f"To: {OURS}", "Message-ID: <1@customer.example>", *headers, "", body]
    return read("\r\n".join(lines).encode(), envelope, (OURS,), MARK)


# --- somebody -------------------------------------------------------------------------------------------

SOMEBODY: dict[str, Sequence[str]] = {
    "a mail": ("Subject: 保单",),
    "an answer": (f"In-Reply-To: <{LETTER}>", "Subject: Re: 保单"),
    "about renewal": ("Subject: 自动续保怎么取消",),
    "about a debit": ("Subject: 自动扣款失败",),
    "about an automatic answer": ("Subject: 自动回复邮件里的保单号是错的",),
    "an answer to an automatic answer": ("Subject: Re: 自动回复: 我们已收到您的邮件",),
    "an answer to an automatic answer in English": ("Subject: RE: Automatic reply: policy",),
    "about treatment out of hours": ("Subject: Out of office hours treatment - is it covered?",),
    "about an accident": ("Subject: Out of the office window fell a flower pot",),
    "about returned mail": ("Subject: 退信：我没有收到保单",),
    "that forbids answers of machines": ("X-Auto-Response-Suppress: OOF, AutoReply",),
    "that says it is not automatic": ("Auto-Submitted: no",),
    "that says so with a comment": ("Auto-Submitted: NO ; x=y",),
    "with a priority": ("Precedence: first-class", "X-Priority: 1"),
    "from Proton": ("Feedback-ID: 53478694:user:proton", "X-Pm-Message-ID: 535e75224ca1"),
    "from Fastmail": ("Feedback-ID: i56a14606:Fastmail",),
    "that asks for a receipt": (f"Disposition-Notification-To: {CUSTOMER}",),
    "with another's mark": ("X-Loop: list@somewhere.example",),
    "with a mark of which ours is a part": (f"X-Loop: other-{MARK}.somewhere.example",),
    "with files": ("Content-Type: multipart/mixed; boundary=x",),
    "that speaks of reports": ("Content-Type: text/plain; name=multipart/report;",),
}


@pytest.mark.parametrize("headers", SOMEBODY.values(), ids=SOMEBODY.keys())
@pytest.mark.parametrize("envelope", [DIRECT, FETCHED], ids=["by SMTP", "fetched"])
def test_somebody_is_served(headers: Sequence[str], envelope: Envelope) -> None:
    assert mail(*headers, envelope=envelope).kind == NORMAL


@pytest.mark.parametrize(
    "sender",
    [
        "colleague@insurer.example",
        "service@insurer.example.cn",
        "xservice@insurer.example",
        "postmistress@a.cn",
    ],
)
def test_an_address_like_ours_is_not_ours(sender: str) -> None:
    assert mail(sender=sender).kind == NORMAL


# --- machines that answer -------------------------------------------------------------------------------

MACHINES: dict[str, Sequence[str]] = {
    "RFC 3834": ("Auto-Submitted: auto-replied", "Subject: Re: 保单"),
    "RFC 3834 with parameters": ('Auto-Submitted: Auto-Replied; owner-email="a@b.cn"',),
    "generated": ("Auto-Submitted: auto-generated", "Subject: 提醒"),
    "notified": ("Auto-Submitted: auto-notified; state=sent",),
    "Outlook": ("Subject: 自动答复: 保单", "X-Auto-Response-Suppress: All", "Auto-Submitted: auto-generated"),
    "Outlook by its subject": ("Subject: 自动答复: 保单",),
    "Outlook in English": ("Subject: Automatic reply: policy",),
    "older Outlook": ("Subject: Out of Office AutoReply: policy",),
    "out of office": ("Subject: Out of Office: policy",),
    "out of the office": ("Subject: Out of the office",),
    "QQ": ("Subject: 自动回复:Re: 保单",),
    "163": ("Subject: 自动回复：回复：保单",),
    "traditional": ("Subject: 自動回覆: 保單",),
    "in words of RFC 2047": ("Subject: =?utf-8?B?6Ieq5Yqo5Zue5aSNOiDkv53ljZU=?=",),
    "in words of RFC 2047 and gb18030": ("Subject: =?gb18030?B?19S2r7vYuLSjurGjtaU=?=",),
    "nothing but the words": ("Subject: 自动回复",),
    "auto-reply": ("Subject: Auto-Reply: I am away",),
    "autoreply": ("Subject: AUTOREPLY",),
    "X-Autoreply": ("X-Autoreply: yes", "Subject: Re: 保单"),
    "X-Autorespond": ("X-Autorespond: 保单",),
    "precedence": ("Precedence: auto_reply",),
    "vacation": ("Precedence: bulk", "Auto-Submitted: auto-replied (vacation)"),
    "from a list as well": ("List-Id: <x.y>", "Auto-Submitted: auto-replied"),
}


@pytest.mark.parametrize("headers", MACHINES.values(), ids=MACHINES.keys())
@pytest.mark.parametrize("envelope", [DIRECT, FETCHED, NOBODY], ids=["by SMTP", "fetched", "from nobody"])
def test_a_machine_that_answers_is_known(headers: Sequence[str], envelope: Envelope) -> None:
    assert mail(*headers, envelope=envelope).kind == AUTO_REPLY


def test_what_nobody_sent_is_a_machines() -> None:
    assert mail("Subject: 保单", envelope=NOBODY).kind == AUTO_REPLY


RECEIPT = f"""\
From: 张三 <{CUSTOMER}>
To: {OURS}
Subject: 已读: 保单
Message-ID: <r1@customer.example>
References: <{LETTER}>
Content-Type: multipart/report; report-type=disposition-notification; boundary=x

--x
Content-Type: text/plain; charset=utf-8

您的邮件已阅读
--x
Content-Type: message/disposition-notification

Final-Recipient: rfc822;{CUSTOMER}
Original-Message-ID: <{LETTER}>
Disposition: manual-action/MDN-sent-manually; displayed

--x--
"""


@pytest.mark.parametrize("envelope", [DIRECT, NOBODY, FETCHED])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_receipt_is_no_letter_that_came_back(envelope: Envelope, quote: str) -> None:
    """It would be told of a letter that was read that it did not arrive."""
    raw = RECEIPT.replace("disposition-notification;", f"{quote}disposition-notification{quote};")
    found = read(raw.encode(), envelope, (OURS,), MARK)
    assert (found.kind, found.bounced, found.bounced_ids) == (AUTO_REPLY, (), ())


# --- newsletters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["List-Id: <news.shop.example>", "List-Unsubscribe: <mailto:x@shop.example>", "Precedence: bulk", "Precedence: List",
     "Precedence: junk", "X-Campaign: 7", "X-MC-User: 1", "X-Mailgun-Tag: a"],
)  # fmt: skip
def test_a_newsletter_is_known(header: str) -> None:
    assert mail(header, "Subject: 双十一大促").kind == NEWSLETTER


# --- ourselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        (f"X-Loop: {MARK}",),
        (f"X-Loop: {MARK}", "Auto-Submitted: auto-replied"),
        (f"X-Loop: {MARK}", "Content-Type: multipart/report; boundary=x"),
        ("X-Loop: list@somewhere.example", f"X-Loop: {MARK}"),
        (f"X-Loop: {MARK}", "X-Loop: list@somewhere.example"),
    ],
)
def test_our_own_mail_that_comes_back_is_known_by_its_mark(headers: Sequence[str]) -> None:
    assert mail(*headers).kind == LOOP


@pytest.mark.parametrize("sender", [OURS, OURS.upper(), f"客户服务 <{OURS}>", f'"{OURS}" <{OURS}>'])
def test_what_says_it_is_from_us_is_from_us(sender: str) -> None:
    assert mail(sender=sender).kind == LOOP


def test_without_a_mark_nothing_is_ours_by_it() -> None:
    assert read(f"From: {CUSTOMER}\r\nX-Loop: \r\n\r\nx".encode(), DIRECT).kind == NORMAL


# --- what came back -------------------------------------------------------------------------------------


def report(text: str, status: str, head: str = "", more: str = "", what: str = "message/rfc822") -> str:
    """As RFC 3464 says."""
    return f"""\
From: {head or "Mail Delivery System <MAILER-DAEMON@mx.customer.example>"}
To: bounces+x@insurer.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <b1@mx.customer.example>
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="B1"
MIME-Version: 1.0
{more}
--B1
Content-Description: Notification
Content-Type: text/plain; charset=utf-8

{text}

--B1
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.customer.example
Arrival-Date: Tue, 3 Nov 2026 10:15:00 +0800

{status}

--B1
Content-Type: {what}

From: {OURS}
To: {CUSTOMER}
Subject: =?utf-8?B?5L+d5Y2V?=
Message-ID: <{LETTER}>

您好
--B1--
"""


def status(action: str = "failed", code: str = "5.1.1", recipient: str = CUSTOMER) -> str:
    return f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {code}\nDiagnostic-Code: smtp; 550 no such user"


QMAIL = f"""\
From: MAILER-DAEMON@mx.customer.example
To: bounces+x@insurer.example
Subject: failure notice
Message-ID: <b2@mx.customer.example>

Hi. This is the qmail-send program at mx.customer.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{CUSTOMER}>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

From: {OURS}
Message-ID: <{LETTER}>

hello
"""
EXIM = f"""\
From: Mail Delivery System <Mailer-Daemon@mx.customer.example>
To: bounces+x@insurer.example
Subject: Mail delivery failed: returning message to sender
X-Failed-Recipients: {CUSTOMER}
Message-ID: <b3@mx.customer.example>

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {CUSTOMER}
    SMTP error from remote mail server after RCPT TO: 550 user unknown

------ This is a copy of the message, including all the headers. ------

From: {OURS}
Message-ID: <{LETTER}>

hello
"""
SINA = f"""\
From: mailer-daemon@sina.com
To: bounces+x@insurer.example
Subject: Undeliverable
Message-ID: <b4@sina.com>
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain

Sorry, the following could not be reached
<{CUSTOMER}> user unknown
--x
Content-Type: message/rfc822

From: {OURS}
Message-ID: <{LETTER}>

hello
--x--
"""
EXCHANGE_HEAD = "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@customer.example>"
EXCHANGE = report(
    f"未能传递到以下收件人或组:\n\n{CUSTOMER}\n找不到您输入的电子邮件地址。",
    status(code="5.1.10"),
    EXCHANGE_HEAD,
)
RETURNED: dict[str, tuple[str, bool]] = {
    "Postfix": (
        report(f"This is the mail system at host mx.customer.example.\n\n<{CUSTOMER}>: no such user", status()),
        True,
    ),
    "Postfix, delayed": (report("Your message could not be delivered for 4 hours.", status("delayed", "4.4.1")), False),
    "Exchange": (EXCHANGE, True),
    "Exchange in English": (
        report(
            "Delivery has failed to these recipients or groups:", status(code="5.1.10"), EXCHANGE_HEAD,
            "X-MS-Exchange-Message-Is-Ndr:",
        ),
        True,
    ),
    "163": (
        report(
            f"抱歉，您的邮件被退回来了……\n收件人邮箱 {CUSTOMER} 不存在", status(), "Postmaster@163.com",
            "X-Priority: 3", "text/rfc822-headers",
        ),
        True,
    ),
    "QQ": (
        report("很抱歉，您的邮件未能发送到收件人邮箱", status(code="5.7.1"), '"QQ邮箱" <PostMaster@qq.com>'),
        True,
    ),
    "Gmail": (
        report("** Address not found **", status(), "Mail Delivery Subsystem <mailer-daemon@googlemail.com>", "X-X: 1"),
        True,
    ),
    "a full mailbox": (report("邮箱已满", status(code="5.2.2")), True),
    "with the recipient first asked for": (
        report("no", f"Original-Recipient: rfc822;{CUSTOMER}\n{status(recipient='forward@else.example')}"),
        True,
    ),
    "qmail": (QMAIL, True),
    "Exim": (EXIM, True),
    "Sina": (SINA, True),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "for_good"), RETURNED.values(), ids=RETURNED.keys())
@pytest.mark.parametrize("envelope", [NOBODY, FETCHED], ids=["by SMTP", "fetched"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_letter_that_came_back_is_known(raw: str, for_good: bool, envelope: Envelope, end: str) -> None:
    found = read(raw.replace("\n", end).encode(), envelope, (OURS,), MARK)
    assert found.kind == BOUNCE
    assert found.bounced == (CUSTOMER,)
    assert found.bounce_for_good is for_good
    assert LETTER in found.bounced_ids


def test_a_server_that_says_nothing_of_use_is_still_a_server() -> None:
    html = base64.b64encode("<p>很抱歉，您的邮件被退回。</p>".encode("gb18030")).decode()
    raw = (
        "From: =?gb18030?B?UVHTys/k?= <PostMaster@qq.com>\r\nSubject: =?gb18030?B?z7XNs83L0MU=?=\r\n"
        f"Content-Type: text/html; charset=gb18030\r\nContent-Transfer-Encoding: base64\r\n\r\n{html}\r\n"
    )
    for envelope in (NOBODY, FETCHED):
        found = read(raw.encode(), envelope, (OURS,), MARK)
        assert (found.kind, found.text, found.bounced) == (BOUNCE, "很抱歉，您的邮件被退回。", ())


def test_several_that_could_not_be_reached_are_all_named() -> None:
    raw = report(
        "no",
        f"{status()}\n\n{status(recipient='Li@Customer.example')}\n\n{status('delivered', '2.0.0', 'a@b.cn')}",
    )
    found = read(raw.encode(), NOBODY, (OURS,), MARK)
    assert found.bounced == ("li@customer.example", CUSTOMER)


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_a_letter_that_arrived_did_not_come_back(action: str) -> None:
    found = read(report("ok", status(action, "2.0.0")).encode(), NOBODY, (OURS,), MARK)
    assert (found.bounced, found.bounce_for_good) == ((), False)
    assert found.kind == AUTO_REPLY


def test_the_words_of_a_server_are_read() -> None:
    assert "找不到您输入的电子邮件地址。" in read(EXCHANGE.encode(), NOBODY, (OURS,), MARK).text


def test_a_person_who_forwards_what_came_back_is_a_person() -> None:
    found = mail("Subject: Fwd: Undelivered Mail", body=QMAIL)
    assert (found.kind, found.bounced) == (NORMAL, ())


BROKEN: dict[str, bytes] = {
    "a name of raw bytes": "From: 系统 <postmaster@qq.com>\r\nSubject: 退信\r\n\r\n退信".encode("gb18030"),
    "a name of raw bytes in a report": report("x", "nothing", head="系统 <postmaster@qq.com>").encode("gb18030"),
    "an action of raw bytes": report("x", "Final-Recipient: rfc822; a@b.cn\nAction: 失败").encode("gb18030"),
    "a recipient of raw bytes": report("x", "Final-Recipient: rfc822; 张@b.cn\nAction: failed").encode("gb18030"),
    "a description of raw bytes": report("x", "x").replace("Notification", "通知").encode("gb18030"),
    "no parts": b"From: postmaster@b.cn\r\nContent-Type: multipart/report; boundary=x\r\n\r\nhello",
    "no seam": b"From: postmaster@b.cn\r\nContent-Type: multipart/report;\r\n\r\nhello",
    "an empty status": report("x", "").encode(),
    "a status that is text": report("x", "words\n\nwords").encode(),
    "a status in base64": report("x", "x").replace(
        "Content-Type: message/delivery-status\n",
        "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n",
    ).encode(),
    "an unknown charset": report("x", status()).replace("utf-8", "x-nonsense").encode(),
    "an address without an end": report("x", "Final-Recipient: rfc822; <\nAction: failed").encode(),
    "a very long recipient": report("x", status(recipient="a" * 50_000 + "@b.cn")).encode(),
    "qmail with raw bytes": QMAIL.replace("Sorry, no", "对不起").replace("<zhang@", "<张@").encode("gb18030"),
    "Exim with raw bytes": EXIM.replace("zhang@", "张@").encode("gb18030"),
    "Sina with raw bytes": SINA.replace("<zhang@", "<张@").encode("gb18030"),
    "mixed in mixed": SINA.replace("Content-Type: text/plain\n", "Content-Type: multipart/mixed; boundary=y\n").encode(),
}  # fmt: skip


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("envelope", [NOBODY, FETCHED], ids=["by SMTP", "fetched"])
def test_no_server_speaks_so_badly_that_it_is_not_read(raw: bytes, envelope: Envelope) -> None:
    found = read(raw, envelope, (OURS,), MARK)
    assert found.kind in (BOUNCE, AUTO_REPLY)
    for address in found.bounced:
        assert address.isprintable() and len(address) <= 320


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Auto-Submitted",
                    "Precedence",
                    "Subject",
                    "Content-Type",
                    "X-Loop",
                    "List-Id",
                    "X-Autoreply",
                    "Feedback-ID",
                ]
            ),
            st.sampled_from(
                ["", "no", "auto-replied", "bulk", "multipart/report; x", MARK, "自动回复:", "\xff", ";"]
            )
            | st.text(max_size=20),
        ),
        max_size=6,
    ),
    st.sampled_from(["", None, CUSTOMER]),
    st.sampled_from(["", CUSTOMER, OURS, "postmaster@a.cn", "bounces+1@a.cn"]),
)
def test_every_head_has_one_kind(pairs: list[tuple[str, str]], envelope: str | None, sender: str) -> None:
    headers: Mapping[str, str] = {name.lower(): value for name, value in pairs}
    kind = kinds.kind_of(lambda name: headers.get(name.lower(), ""), envelope, sender, (OURS,), False)
    assert kind in KINDS
    assert (kind == LOOP) == (sender == OURS)


BOUNCES = [raw for raw, _for_good in RETURNED.values()]


@given(st.sampled_from(BOUNCES), st.lists(st.tuples(st.floats(0, 0.999), st.binary(max_size=6)), max_size=6))
def test_no_damaged_report_breaks_it(raw: str, wrong: list[tuple[float, bytes]]) -> None:
    data = raw.encode()
    for where, put in wrong:
        at = int(where * len(data))
        data = data[:at] + put + data[at + len(put) :]
    addresses, _for_good = kinds.failures(email.message_from_bytes(data))
    assert all(isinstance(address, str) for address in addresses)
    assert all(one.isascii() for one in kinds.came_back(data))


def test_ids_are_found_wherever_they_stand() -> None:
    raw = (
        b"Message-ID: <own@x>\r\n\r\nmessage-id:\r\n <folded@y>\r\nX-Original-Message-ID: <z@z>\r\n"
        b"References: <no@no>\r\nMessage-ID: <own@x>\r\nMessage-ID: broken>\r\nMessage-ID: <a b@c>\r\n"
    )
    assert kinds.came_back(raw) == ("own@x", "folded@y", "z@z")
