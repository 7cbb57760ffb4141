"""Mails of strangers, as they come: in every charset and the wrong one, folded, cut, nested, forged and poisoned. What
can be read is there, what cannot be is named, and nothing breaks the reader."""

from __future__ import annotations

import base64
import io
import quopri
import re
import time
import zipfile
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.email import frames
from channels.email.decoding import decoded
from channels.email.heads import sender_of
from channels.email.html import LONGEST_HTML, clean
from channels.email.mail import KINDS, Envelope, File, Mail
from channels.email.translate import LONGEST_TEXT, Limits, language_of, read

HEAD = (
    b"From: zhang@customer.example\r\nTo: service@insurer.example\r\nMessage-ID: <1@customer.example>\r\n"
    b"MIME-Version: 1.0\r\n"
)
SENTENCE = "您好，我想问一下保单的理赔进度，谢谢。"
SENTENCES = [
    SENTENCE, "您好", "保单号：P2026-1103，请查收。", "我的车昨天被追尾了，需要什么材料？", "退保", "你好！請問保單何時生效？",
    "客户姓名：镕基、喆、陶晶莹", "Hello 您好 123", "一二三四五六七八九十", "谢谢！！", "😀 好的", "张三丰\n李四光\n王五",
]  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PDF = b"%PDF-1.7\n%\xe2\xe3\n"


def mail(body: bytes = b"", *headers: bytes, head: bytes = HEAD, envelope: Envelope = Envelope()) -> Mail:
    return read(head + b"".join(one + b"\r\n" for one in headers) + b"\r\n" + body, envelope)


def multi(kind: str, *parts: bytes, seam: str = "S") -> tuple[bytes, bytes]:
    """(body, header) of parts that have their own headers."""
    body = b"".join(f"--{seam}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{seam}--\r\n".encode()
    return body, f'Content-Type: multipart/{kind}; boundary="{seam}"'.encode()


def part(kind: str, body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([f"Content-Type: {kind}".encode(), *headers, b"", body])


def plain(text: str, *headers: bytes) -> bytes:
    return part("text/plain; charset=utf-8", text.encode(), *headers)


def attached(name: bytes, body: bytes = PDF, kind: str = "application/pdf") -> bytes:
    return part(kind, body, b"Content-Disposition: attachment; filename=" + name)


def healthy(found: Mail) -> None:
    """What whoever keeps, shows or answers a mail relies on."""
    for address in (found.sender, found.reply_to, *found.to, *found.cc):
        assert address == "" or re.fullmatch(r"[^@\s<>\"(),;:]{1,64}@[a-z0-9.\-\[\]:]{1,253}", address), repr(
            address
        )
        assert address.isprintable() and "\n" not in address, repr(address)
    for one in (found.message_id, *found.references, *found.bounced_ids):
        assert len(one) <= 250 and one.isascii() and one.isprintable() and not set(one) & set(" <>"), repr(
            one
        )
    assert len(found.references) <= 50
    for line in (found.subject, found.sender_name):
        assert len(line.splitlines()) <= 1 and "\x00" not in line, repr(line)
    assert len(found.subject) <= 300 and len(found.sender_name) <= 80
    assert len(found.text) <= LONGEST_TEXT and "\x00" not in found.text
    assert found.kind in KINDS and found.language in ("zh", "en")
    assert len(found.files) <= 50
    for file in found.files:
        assert 0 < len(file.name) <= 120 and not set(file.name) & set('/\\<>:"|?*\r\n\x00'), repr(file.name)
        assert bool(file.trouble) <= (file.data == b"") and (file.trouble or file.size == len(file.data))
        assert not set(file.content_id) & set("\r\n\x00")
    harmless(found.html)
    assert Mail.of(frames.read(io.BytesIO(frames.packed(found.to_plain()))) or {}) == found


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, "", "")] + [(tag, name, value or "") for name, value in attrs]


RUNNING = {
    "script", "style", "iframe", "frame", "object", "embed", "form", "input", "button", "textarea", "select", "meta", "base",
    "link", "svg", "math", "template", "noscript", "video", "audio", "source", "applet", "body", "html", "head", "title",
    "marquee", "dialog", "slot", "portal", "isindex", "layer", "bgsound", "xml",
}  # fmt: skip


def harmless(html: str) -> None:
    parser = Tags()
    parser.feed(html[:200_000])
    for tag, name, value in parser.found:
        assert tag not in RUNNING, tag
        assert not name.startswith("on") and name not in (
            "style",
            "id",
            "name",
            "srcset",
            "background",
            "target",
        ), name
        if name in ("src", "href"):
            assert re.match(r"(?:https?:|mailto:|cid:)", value.strip(), re.IGNORECASE), (tag, name, value)


# --- words in every charset -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("utf-8", "utf-8", SENTENCE),
        ("UTF8", "utf-8", SENTENCE),
        ('"utf-8"', "utf-8", SENTENCE),
        ("gb18030", "gb18030", SENTENCE + "㐂𠮷"),
        ("gbk", "gbk", SENTENCE + "镕喆"),
        ("gb2312", "gb2312", SENTENCE),
        ("gb2312", "gbk", "朱镕基、陶喆、堃"),
        ("GB2312", "gb18030", "㐂𠮷 €"),
        ("x-gbk", "gbk", "镕"),
        ("cp936", "gb18030", "㐂𠮷"),
        ("hz-gb-2312", "hz", SENTENCE),
        ("big5", "big5", "您好，請問保單的理賠進度"),
        ("big5", "cp950", "恒生銀行、裏、碁"),
        ("big5-hkscs", "big5hkscs", "我嘅保單咗"),
        ("big5", "big5hkscs", "我嘅保單咗"),
        ("utf-16", "utf-16", SENTENCE),
        ("iso-2022-jp", "iso-2022-jp", "保険証券"),
        ("shift_jis", "shift_jis", "保険証券です"),
        ("euc-kr", "euc-kr", "보험증권"),
        ("iso-8859-1", "latin-1", "Générale à côté, Zürich"),
        ("windows-1252", "cp1252", "“Générale” – 5 €"),
        ("us-ascii", "ascii", "plain words"),
    ],
)  # fmt: skip
def test_words_in_the_charset_that_they_name(charset: str, codec: str, text: str) -> None:
    for data, how in (
        (text.encode(codec), b"8bit"),
        (base64.encodebytes(text.encode(codec)), b"base64"),
        (quopri.encodestring(text.encode(codec)), b"quoted-printable"),
    ):
        if how == b"8bit" and codec == "utf-16":
            continue
        found = mail(
            data,
            f"Content-Type: text/plain; charset={charset}".encode(),
            b"Content-Transfer-Encoding: " + how,
        )
        assert found.text == text
        assert "charset" not in found.defects


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize(
    ("named", "written"),
    [
        ("utf-8", "gb18030"), ("gb2312", "utf-8"), ("gbk", "utf-8"), ("gb18030", "utf-8"), ("us-ascii", "gb18030"),
        ("us-ascii", "utf-8"), ("", "gb18030"), ("", "utf-8"), ("iso-8859-1", "utf-8"), ("windows-1252", "utf-8"),
        ("big5", "utf-8"), ("x-unknown", "gb18030"), ("x-unknown", "utf-8"), ("unknown-8bit", "gb18030"),
        ("utf-8-sig-x", "utf-8"), ("_charset_", "utf-8"), ("iso-2022-jp", "utf-8"),
    ],
)  # fmt: skip
def test_words_in_another_charset_than_they_name(named: str, written: str, text: str) -> None:
    kind = b"Content-Type: text/plain" + (f"; charset={named}".encode() if named else b"")
    assert mail(text.encode(written), kind).text == text


@pytest.mark.parametrize("named", ["iso-8859-1", "latin1", "windows-1252"])
def test_chinese_that_says_it_is_western(named: str) -> None:
    """Older programs in China named whatever charset the system was installed with."""
    for text in (SENTENCE, "我的车昨天被追尾了，需要什么材料？", "保单号：P2026-1103，请查收。"):
        assert mail(text.encode("gbk"), f"Content-Type: text/plain; charset={named}".encode()).text == text


@pytest.mark.parametrize("named", ["utf-8", "gb18030", "gb2312", "", "x-unknown"])
@pytest.mark.parametrize("written", ["utf-8", "gb18030"])
@pytest.mark.parametrize("bad", [b"\xff", b"\x80", b"\xc3"])
def test_one_wrong_byte_spoils_one_character(named: str, written: str, bad: bytes) -> None:
    data = SENTENCE.encode(written) + b" " + bad + b" " + SENTENCE.encode(written)
    found = mail(data, f"Content-Type: text/plain; charset={named}".encode())
    assert found.text.startswith(SENTENCE) and found.text.endswith(SENTENCE)
    assert "charset" in found.defects


@pytest.mark.parametrize("written", ["utf-8", "gb18030"])
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_text_that_ends_in_the_middle_of_a_character_is_read_up_to_it(written: str, cut: int) -> None:
    data = (SENTENCE * 3).encode(written)[:-cut]
    found = mail(data, f"Content-Type: text/plain; charset={written}".encode())
    assert found.text.startswith(SENTENCE * 2 + SENTENCE[:-3])


@pytest.mark.parametrize(
    "charset",
    [
        "undefined", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "utf-32", "rot13", "zlib",
        "hex", "bz2", "base64", "quopri", "uu", "mbcs", "oem", "charmap", "cp65001", "utf_8_sig", "a b", "a;b", "'", '"', "\xff",
        "x" * 1_000, "../../etc/passwd", "a\x00b", "utf-8\x00", "None", "ascii", "string_escape", "utf-8*zh", "GB2312_CHARSET",
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["plain words", "您好，\\q \\x41 +2AA- " + "x" * 80 + ".." + "y" * 70])
def test_no_name_of_a_charset_breaks_it(charset: str, text: str) -> None:
    body = text.encode()
    for head in (
        f"Content-Type: text/plain; charset={charset}".encode("latin-1"),
        f'Content-Type: text/plain; charset="{charset}"'.encode("latin-1"),
        f"Content-Type: text/plain; charset*={charset}'en'{charset}".encode("latin-1"),
        f"Content-Type: text/plain; charset*0*={charset}''utf; charset*1=-8".encode("latin-1"),
    ):
        found = mail(body, head)
        healthy(found)
        if charset not in ("utf-16", "utf-32", "punycode", "hex"):
            assert "x" * 80 in found.text or "plain words" in found.text
    subject = (
        f"Subject: =?{charset}?B?{base64.b64encode(body).decode()}?= a =?{charset}?Q?=E6=82=A8?=".encode(
            "latin-1"
        )
    )
    healthy(mail(b"", subject))
    name = f"filename*={charset}''%E4%BF%9D%E5%8D%95.pdf".encode("latin-1")
    healthy(mail(PDF, b"Content-Type: application/pdf", b"Content-Disposition: attachment; " + name))


@given(
    st.binary(max_size=300),
    st.sampled_from(["", "utf-8", "gb2312", "big5", "utf-7", "iso-2022-cn", "utf-16", "hz", "x"]),
)
def test_any_bytes_are_some_text(data: bytes, charset: str) -> None:
    text, _mended = decoded(data, charset)
    text.encode("utf-8")


@given(
    st.text("您好请问保单理赔进度谢谢，。abc 12\n", min_size=8, max_size=80),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_chinese_is_read_whatever_it_calls_itself(text: str, written: str) -> None:
    if len(re.findall(r"[\u4e00-\u9fff]", text)) < 4:
        return
    for named in ("utf-8", "gb2312", "gb18030", "", "us-ascii", "x-unknown"):
        assert decoded(text.encode(written), named)[0] == text


def test_a_body_of_many_languages_is_read_in_its_own() -> None:
    body, kind = multi(
        "mixed",
        part("text/plain; charset=gb2312", "简体".encode("gb18030")),
        part("text/plain; charset=big5", "繁體".encode("big5")),
        part("text/plain; charset=utf-8", "統一".encode()),
    )
    assert mail(body, kind).text.split() == ["简体", "繁體", "統一"]


# --- headers ----------------------------------------------------------------------------------------------


def b64(text: str, charset: str = "utf-8", codec: str = "") -> str:
    return f"=?{charset}?B?{base64.b64encode(text.encode(codec or charset)).decode()}?="


def split_word(text: str, at: int, charset: str = "utf-8") -> str:
    """Two words that part in the middle of a character, as QQ, Foxmail and others write them."""
    data = text.encode(charset)
    return " ".join(f"=?{charset}?B?{base64.b64encode(one).decode()}?=" for one in (data[:at], data[at:]))


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("policy", "policy"),
        (b64("保单"), "保单"),
        (b64("保单", "gb2312"), "保单"),
        (b64("镕", "gb2312", "gbk"), "镕"),
        (b64("㐂𠮷", "gb18030"), "㐂𠮷"),
        (b64("保單", "big5"), "保單"),
        (b64("恒生", "big5", "cp950"), "恒生"),
        (b64("保单查询", "utf-8", "gb18030"), "保单查询"),
        (b64("保单查询", "gb2312", "utf-8"), "保单查询"),
        (b64("保单", "x-unknown", "utf-8"), "保单"),
        ("=?utf-8?q?=E4=BF=9D=E5=8D=95?=", "保单"),
        ("=?UTF-8?Q?Re=3A_=E4=BF=9D=E5=8D=95?=", "Re: 保单"),
        ("=?utf-8?Q?a b?=", "a b"),
        ("=?utf-8*zh-CN?B?5L+d5Y2V?=", "保单"),
        ("=?utf-8?B?5L+d5Y2V", "=?utf-8?B?5L+d5Y2V"),
        ("=?utf-8?B??=", ""),
        ("=?utf-8?B?5L+d5Y2V?= =?utf-8?B?5p+l6K+i?=", "保单查询"),
        ("=?utf-8?B?5L+d5Y2V?=\r\n =?utf-8?B?5p+l6K+i?=", "保单查询"),
        ("=?utf-8?B?5L+d5Y2V?=\r\n\t=?gb2312?B?sunRrw==?=", "保单查询"),
        ("=?utf-8?B?5L+d5Y2V?==?utf-8?B?5p+l6K+i?=", "保单查询"),
        ("Re:=?utf-8?B?5L+d5Y2V?=x", "Re:保单x"),
        ("Re: =?utf-8?B?5L+d5Y2V?= [#A1]", "Re: 保单 [#A1]"),
        ("=?utf-8?B?5L+d5Y2V", "=?utf-8?B?5L+d5Y2V"),
        ("=?utf-8?B?5L+d5Y2V5?=", "保单"),
        ("=?utf-8?B?5L+d5Y2V5p+?=", "保单"),
        ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
        (split_word("保单查询进度", 7), "保单查询进度"),
        (split_word("保单查询进度", 5, "gb18030"), "保单查询进度"),
        (split_word("😀好的", 2), "😀好的"),
        ("a\r\n b\r\n\tc", "a b c"),
        ("  spaces   between  ", "spaces between"),
        ("=?us-ascii?q?a=0D=0ABcc:_x?=", "a Bcc: x"),
        ("=?utf-8?q?a=00b?=", "ab"),
    ],
)
def test_subjects_as_programs_write_them(raw: str, subject: str) -> None:
    found = mail(b"", b"Subject: " + raw.encode())
    assert found.subject.replace("\ufffd", "") == subject
    healthy(found)


@pytest.mark.parametrize("word", ["A", "AA", "AAA", "A===", "=", "5L+d5Y2V5L", "!!!!", "5L+d 5Y2V", "AAAAA"])
def test_no_word_of_a_header_breaks_it(word: str) -> None:
    for line in (b"Subject: ", b"From: ", b"To: ", b"X-Loop: ", b"Content-Type: text/plain; name="):
        for how in ("B", "Q"):
            healthy(mail(b"hi", line + f"=?utf-8?{how}?{word}?= <a@b.cn>".encode()))


@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_headers_of_raw_bytes_are_read(codec: str) -> None:
    for name in ("张三", "李小龙", "陈 明"):
        found = mail(
            b"", f"Subject: 关于{name}的保单".encode(codec), f'From: "{name}" <a@b.cn>'.encode(codec),
            f"To: {name} <c@d.cn>, 客服 <e@f.cn>".encode(codec), head=b"",
        )  # fmt: skip
        assert (found.subject, found.sender, found.sender_name) == (f"关于{name}的保单", "a@b.cn", name)
        assert found.to == ("c@d.cn", "e@f.cn")


def test_ids_and_days() -> None:
    found = mail(
        b"",
        b"In-Reply-To: <near@x>",
        b"References: <far@x>\r\n <mid@x> <near@x>",
        b"Date: Tue, 3 Nov 2026 10:15:00 +0800",
    )
    assert (found.message_id, found.references) == ("1@customer.example", ("near@x", "mid@x", "far@x"))
    assert found.date_ms == 1_793_672_100_000


@pytest.mark.parametrize(
    "raw",
    ["", "x", "<>", "<a>", "a@b", "<a b@c>", "<a@b\r\n c>", "<" + "a" * 300 + "@b>", "<张@b>", "<a\x01@b>", "<a\x7f@b>", "<a\x00@b>",
     "<<a@b>>", "<=?utf-8?q?x?=@y>", "<a@b><c@d>", "<a@b", "a@b>"],
)  # fmt: skip
def test_strange_ids_are_whole_or_none(raw: str) -> None:
    for name in ("Message-ID", "In-Reply-To", "References"):
        healthy(mail(b"", f"{name}: {raw}".encode(), head=b"From: a@b.cn\r\n"))


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        ("Tue, 03 Nov 2026 10:15:00 +0800", 1_793_672_100_000),
        ("Tue, 03 Nov 2026 10:15:00 +0800 (CST)", 1_793_672_100_000),
        ("3 Nov 2026 02:15:00 GMT", 1_793_672_100_000),
        ("Tue, 03 Nov 2026 02:15:00 -0000", 1_793_672_100_000),
        ("Tue, 03 Nov 26 02:15:00 +0000", 1_793_672_100_000),
        ("", 0),
        ("yesterday", 0),
        ("Tue, 99 Nov 2026 10:15:00 +0800", 0),
        ("Tue, 03 Nov 99999 10:15:00 +0800", 0),
        ("Tue, 03 Nov 2026 10:15:00 +9999999999", 0),
        ("2026年11月3日", 0),
    ],
)
def test_days_are_of_the_world_and_not_of_the_machine(
    raw: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert mail(b"", f"Date: {raw}".encode()).date_ms == at
    finally:
        monkeypatch.undo()
        time.tzset()


# --- senders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "sender", "name"),
    [
        ("From: a@b.cn", "a@b.cn", ""),
        ("From: A@B.CN", "a@b.cn", ""),
        ("From: <a@b.cn>", "a@b.cn", ""),
        ("From: 张三 <a@b.cn>", "a@b.cn", "张三"),
        ('From: "Zhang, San" <a@b.cn>', "a@b.cn", "Zhang, San"),
        ('From: "张三(理赔)" <a@b.cn>', "a@b.cn", "张三(理赔)"),
        ("From: a@b.cn (Zhang San)", "a@b.cn", "Zhang San"),
        (f"From: {b64('张三')} <a@b.cn>", "a@b.cn", "张三"),
        (f'From: "{b64("张三")}" <a@b.cn>', "a@b.cn", "张三"),
        (f"From: {b64('张三, 李四')} <a@b.cn>", "a@b.cn", "张三, 李四"),
        (f"From: {b64('x@y.cn')} <a@b.cn>", "a@b.cn", "x@y.cn"),
        ('From: "x@y.cn" <a@b.cn>', "a@b.cn", "x@y.cn"),
        ("From: x@y.cn <a@b.cn>", "a@b.cn", "x@y.cn"),
        ("From: a@b.cn <a@b.cn>", "a@b.cn", "a@b.cn"),
        ("From: 张三 <\r\n a@b.cn>", "a@b.cn", "张三"),
        ("From: 张三\r\n\t<a@b.cn>", "a@b.cn", "张三"),
        ("FROM:a@b.cn", "a@b.cn", ""),
        ("From: zhang.san+x@b-c.com.cn", "zhang.san+x@b-c.com.cn", ""),
    ],
)
def test_who_wrote(head: str, sender: str, name: str) -> None:
    found = mail(b"hi", head.encode(), head=b"", envelope=Envelope("192.0.2.1", "x", "envelope@e.cn"))
    assert (found.sender, found.sender_name) == (sender, name)
    assert found.defects == ()


@pytest.mark.parametrize(
    "name", ["a\x00b", "=?utf-8?q?a=00b?=", "=?utf-8?q?a=0D=0Ab?=", "a\x85b", "=?utf-8?q?a=1B[31mb?="]
)
def test_a_name_stands_on_one_line_without_control_characters(name: str) -> None:
    found = mail(b"hi", f"From: {name} <a@b.cn>".encode(), head=b"")
    healthy(found)
    assert found.sender == "a@b.cn" and found.sender_name.replace(" ", "").replace("[31m", "") == "ab"
    assert found.sender_name.isprintable()


@pytest.mark.parametrize(
    "head",
    ["X: y", "From:", "From: ", "From: nobody", "From: <>", "From: @b.cn", "From: a@", "From: undisclosed:;", "From: a b c",
     "From: (a@b.cn)"],
)  # fmt: skip
def test_a_mail_from_nobody_is_from_the_envelopes_sender(head: str) -> None:
    found = mail(b"hi", head.encode(), head=b"", envelope=Envelope("192.0.2.1", "x", "Envelope@E.cn"))
    assert (found.sender, found.text) == ("envelope@e.cn", "hi")
    assert "no_from" in found.defects
    assert mail(b"hi", head.encode(), head=b"").sender == ""


@pytest.mark.parametrize(
    "sender", ["<a@b\n>", "a@b.cn\n", "\n", "a@b.cn\r\nX: y", "a\x00@b.cn", "a b@c.cn", "张@b.cn\u2028"]
)
def test_an_envelope_that_is_none_names_nobody_else(sender: str) -> None:
    healthy(mail(b"hi", head=b"", envelope=Envelope("192.0.2.1", "x", sender)))


@pytest.mark.parametrize(
    "address",
    [
        "zhang@ban\u212a.cn",
        "\u212aate@bank.cn",
        "zhang@bank\u3002cn",
        "zhang@ｂａｎｋ.cn",
        "zhang@bänk.cn",
        "zhang@bank.cn\u200b",
    ],
)
def test_letters_that_only_look_like_others_stay_apart(address: str) -> None:
    """A sign that becomes k when it is written small must not become somebody else's address."""
    assert mail(b"", f"From: {address}".encode(), head=b"").sender not in ("zhang@bank.cn", "kate@bank.cn")


@pytest.mark.parametrize(
    "address",
    [
        "a\x00@b.cn",
        "a\x01b@c.cn",
        "a\x7f@b.cn",
        "a\u202eb@c.cn",
        "a\u200b@b.cn",
        "a\u2066@b.cn",
        "a\x85@b.cn",
        "a\ufeff@b.cn",
    ],
)
def test_an_address_has_no_signs_that_cannot_be_seen(address: str) -> None:
    for name in ("From", "Reply-To", "To", "Cc"):
        healthy(mail(b"", f"{name}: {address}".encode(), head=b"From: z@z.cn\r\n" if name != "From" else b""))


FORGED = [
    b"From: a@b.cn\r\nFrom: c@d.cn",
    b"From: a@b.cn, c@d.cn",
    b"From: a@b.cn; c@d.cn",
    b"From: friends: a@b.cn, c@d.cn;",
    b"From: <a@b.cn> <c@d.cn>",
    b"From: a@b.cn\rFrom: c@d.cn",
    b"X: y\rFrom: a@b.cn\r\nFrom: c@d.cn",
    b"From: a@b.cn\x00c@d.cn",
    b'From: "a@b.cn" "c@d.cn"',
    b"From: <a@b.cn",
    b"From: " + b"a@b.cn, " * 1_000,
]


@pytest.mark.parametrize("head", FORGED)
def test_a_sender_is_one_address_however_it_is_forged(head: bytes) -> None:
    found = mail(b"hi", head, head=b"")
    healthy(found)
    assert found.sender in ("", "a@b.cn", "c@d.cn")


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("x@y.cn", "x@y.cn"),
        ("X <x@Y.cn>", "x@y.cn"),
        ("x@y.cn, z@y.cn", "x@y.cn"),
        ("", ""),
        ("nobody", ""),
        ("<>", ""),
        ("team: x@y.cn;", "x@y.cn"),
        (f"{b64('客服')} <x@y.cn>", "x@y.cn"),
        ("w@w.cn <x@y.cn>", "x@y.cn"),
    ],
)
def test_where_an_answer_goes(raw: str, address: str) -> None:
    assert mail(b"", f"Reply-To: {raw}".encode()).reply_to == address


def test_everybody_it_was_written_to() -> None:
    found = mail(
        b"",
        b"To: A <a@x.cn>, b@x.cn,\r\n c@x.cn",
        b"To: d@x.cn",
        b"Cc: e@x.cn, A@X.cn, e@x.cn",
        head=b"From: a@b.cn\r\n",
    )
    assert (found.to, found.cc) == (("a@x.cn", "b@x.cn", "c@x.cn", "d@x.cn"), ("e@x.cn", "a@x.cn"))


@given(
    st.lists(
        st.sampled_from(
            [
                b"From: a@b.cn",
                b"From: x",
                b"Message-ID: <a@b>",
                b"message-id:<c@d>",
                b"X: y",
                b"nonsense",
                b"",
                b" z",
            ]
        )
    )
)
def test_the_head_alone_says_the_same(lines: list[bytes]) -> None:
    raw = b"\r\n".join(lines) + b"\r\n\r\nbody\r\n\r\nFrom: other@b.cn\r\n"
    found = read(raw, Envelope())
    assert sender_of(raw) == (found.sender, found.message_id)


# --- forms ------------------------------------------------------------------------------------------------


def test_one_content_in_two_forms_is_read_once() -> None:
    body, kind = multi(
        "alternative", plain("您好"), part("text/html; charset=utf-8", "<p><b>您好</b></p>".encode())
    )
    found = mail(body, kind)
    assert (found.text, found.html, found.files, found.defects) == ("您好", "<p><b>您好</b></p>", (), ())


def test_html_alone_is_read_as_words() -> None:
    found = mail(
        "<html><body><p>您好，</p><p>请问<br>保单&nbsp;A&amp;B</p></body></html>".encode(),
        b"Content-Type: text/html; charset=utf-8",
    )
    assert found.text.split() == ["您好，", "请问", "保单", "A&B"]
    assert "<p>您好，</p>" in found.html


def test_html_beside_an_empty_text_is_read_as_words() -> None:
    body, kind = multi(
        "alternative", plain(" \r\n"), part("text/html; charset=utf-8", "<p>您好</p>".encode())
    )
    assert mail(body, kind).text == "您好"


@pytest.mark.parametrize("first", ["html", "plain"])
def test_words_in_html_beside_words_in_text_are_both_read(first: str) -> None:
    """A gateway puts its notice under a mail, in another form than the mail has."""
    words, notice = (
        part("text/html; charset=utf-8", "<p>我要报案</p>".encode()),
        plain("This mail was scanned."),
    )
    body, kind = multi("mixed", *((words, notice) if first == "html" else (notice, words)))
    found = mail(body, kind)
    assert "我要报案" in found.text and "This mail was scanned." in found.text


def test_text_between_pictures_is_read_in_order() -> None:
    body, kind = multi(
        "mixed",
        plain("第一"),
        part("image/png; name=1.png", PNG, b"Content-Disposition: inline; filename=1.png"),
        plain("第二"),
    )
    found = mail(body, kind)
    assert found.text.split() == ["第一", "第二"]
    assert [(file.name, file.inline) for file in found.files] == [("1.png", False)]


def test_a_picture_of_the_html_is_known_by_its_name() -> None:
    inner, kind = multi(
        "related",
        part("text/html; charset=utf-8", '<p>见图<img src="cid:p1@x"></p>'.encode()),
        part(
            "image/png",
            base64.b64encode(PNG),
            b"Content-ID: <p1@x>",
            b"Content-Transfer-Encoding: base64",
            b"Content-Disposition: inline",
        ),
        seam="R",
    )
    body, outer = multi("alternative", plain("见图"), kind + b"\r\n\r\n" + inner)
    found = mail(body, outer)
    assert found.text == "见图" and 'src="cid:p1@x"' in found.html
    assert found.files == (
        File("picture", "image/png", len(PNG), found.files[0].sha256, "p1@x", True, "", PNG),
    )
    attached_too, kind = multi(
        "mixed",
        part("image/png", PNG, b"Content-ID: <p2>", b"Content-Disposition: attachment; filename=a.png"),
    )
    assert [(one.content_id, one.inline) for one in mail(attached_too, kind).files] == [("p2", False)]


def test_a_mail_in_a_mail_is_a_file() -> None:
    inner = b"From: x@y.cn\r\nSubject: inner\r\nContent-Type: text/plain\r\n\r\ninner words\r\n"
    body, kind = multi(
        "mixed",
        plain("见附件"),
        part("message/rfc822", inner, b"Content-Disposition: attachment; filename=a.eml"),
        part("message/rfc822", inner),
    )
    found = mail(body, kind)
    assert found.text == "见附件" and found.sender == "zhang@customer.example"
    assert [file.name for file in found.files] == ["a.eml", "message.eml"]
    assert b"inner words" in found.files[0].data and b"Subject: inner" in found.files[0].data


def nested(
    depth: int, inner: bytes = b"Content-Type: text/plain; charset=utf-8\r\n\r\ninner words\r\n"
) -> bytes:
    begins = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)
    )
    return HEAD + begins + inner + b"".join(b"--b%d--\r\n" % n for n in reversed(range(depth)))


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_parts_in_parts_are_read(depth: int) -> None:
    found = read(nested(depth), Envelope())
    assert (found.text, found.defects) == ("inner words", ())


@pytest.mark.parametrize("depth", [31, 300, 3_000])
def test_parts_that_are_too_deep_are_named(depth: int) -> None:
    before = time.perf_counter()
    found = read(nested(depth), Envelope())
    healthy(found)
    assert found.sender == "zhang@customer.example" and found.files == ()
    assert {"too_deep", "unreadable:RecursionError"} & set(found.defects)
    assert time.perf_counter() - before < 20


@pytest.mark.parametrize("depth", [30, 300, 3_000])
def test_mails_in_mails_in_mails_are_survived(depth: int) -> None:
    before = time.perf_counter()
    found = read(HEAD + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"\r\ninner", Envelope())
    healthy(found)
    assert time.perf_counter() - before < 20


def test_ten_thousand_parts_are_read_as_far_as_they_go() -> None:
    body, kind = multi("mixed", plain("第一"), *[plain(f"{n}") for n in range(10_000)])
    before = time.perf_counter()
    found = mail(body, kind)
    assert found.text.startswith("第一") and "too_many_parts" in found.defects
    assert time.perf_counter() - before < 20


def test_more_files_than_anybody_sends_are_named() -> None:
    body, kind = multi("mixed", plain("见附件"), *[attached(f"{n}.pdf".encode()) for n in range(60)])
    found = mail(body, kind)
    assert len(found.files) == 50 and "too_many_files" in found.defects and found.text == "见附件"


def test_forms_of_one_text_are_read_once_but_files_among_them_are_kept() -> None:
    body, kind = multi("alternative", plain("您好"), plain("您好"), attached(b"a.txt", b"file", "text/plain"))
    found = mail(body, kind)
    assert found.text == "您好" and [file.name for file in found.files] == ["a.txt"]


def test_a_text_that_is_attached_is_a_file() -> None:
    body, kind = multi(
        "mixed", plain("您好"), attached(b"note.txt", "说明".encode(), "text/plain; charset=utf-8")
    )
    found = mail(body, kind)
    assert found.text == "您好" and [(file.name, file.type) for file in found.files] == [
        ("note.txt", "text/plain")
    ]


def test_the_only_text_is_read_even_if_it_has_a_name() -> None:
    """Some programs name the body like a file."""
    for kind in (b"text/plain; charset=utf-8; name=body.txt", b"text/html; charset=utf-8; name=mail.html"):
        assert (
            "我要报案"
            in mail("我要报案".encode(), b"Content-Type: " + kind, b"Content-Disposition: inline").text
        )


# --- broken forms -----------------------------------------------------------------------------------------

WORDS = "我要报案，车牌京A12345"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([b"Content-Type: multipart/mixed"], WORDS),
        ([b"Content-Type: multipart/mixed; boundary=S"], WORDS),
        ([b"Content-Type: multipart/alternative; boundary="], WORDS),
        ([b"Content-Type: multipart/mixed; boundary=S"], f"--S\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{WORDS}"),
        ([b"Content-Type: multipart/mixed; boundary=S"], f"--S\r\n\r\n{WORDS}\r\n--S"),
        ([b"Content-Type: multipart/mixed; boundary=S"], f"--S\r\n{WORDS}\r\n--S--"),
        ([b"Content-Type: multipart/mixed; boundary=S"], f"--T\r\n\r\n{WORDS}\r\n--T--"),
        ([b"Content-Type: multipart/mixed; boundary=S", b"Content-Transfer-Encoding: base64"], f"--S\r\n\r\n{WORDS}\r\n--S--"),
        ([b"Content-Type: nonsense"], WORDS),
        ([b"Content-Type: text"], WORDS),
        ([b"Content-Type: "], WORDS),
        ([b"Content-Type: text/plain; charset"], WORDS),
        ([b"Content-Type: text/plain;;;=;charset=utf-8"], WORDS),
        ([b"Content-Type: text/plain charset=utf-8"], WORDS),
        ([b"Content-Type: text/plain\r\nContent-Type: text/html"], WORDS),
        ([b"Content-Transfer-Encoding: nonsense"], WORDS),
        ([b"Content-Transfer-Encoding: 7bit"], WORDS),
        ([b"Content-Transfer-Encoding: base64"], WORDS),
        ([b"Content-Transfer-Encoding: quoted-printable"], WORDS),
        ([b"Content-Transfer-Encoding: quoted-printable"], f"{WORDS} = =X =4"),
        ([b"Content-Transfer-Encoding: x-uuencode"], WORDS),
        ([b"Content-Transfer-Encoding: base64"], base64.b64encode(WORDS.encode()).decode() + "\r\n\r\n"),
        ([b"Content-Transfer-Encoding: base64"], base64.b64encode(WORDS.encode()).decode().rstrip("=")),
        ([b"Content-Transfer-Encoding: base64"], "\r\n".join(base64.b64encode((WORDS + "。" * 9).encode()).decode()[n : n + 7] for n in range(0, 99, 7))),
        ([b"Content-Transfer-Encoding: BASE64 "], base64.b64encode(WORDS.encode()).decode()),
        ([b"nonsense without a colon"], WORDS),
        ([b"X-A: " + b"a" * 1_000_000], WORDS),
        ([b"X-%d: a" % n for n in range(20_000)], WORDS),
        ([b"Content-Disposition: "], WORDS),
        ([b"Content-Disposition: inline"], WORDS),
        ([b"Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes"], WORDS),
    ],
)  # fmt: skip
def test_words_are_read_however_broken_the_form_is(headers: list[bytes], body: str) -> None:
    found = mail(body.encode(), *headers)
    healthy(found)
    assert WORDS in found.text


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_text_in_base64_that_was_cut_is_read_up_to_the_cut(cut: int) -> None:
    whole = "我要报案，请尽快联系我，电话13800138000。" * 5
    data = base64.encodebytes(whole.encode()).rstrip(b"=\n")
    found = mail(
        data[:-cut], b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: base64"
    )
    assert found.text.startswith(whole[:-12])


def test_a_notice_under_a_text_in_base64_does_not_spoil_it() -> None:
    data = base64.encodebytes(WORDS.encode()) + b"\r\n______\r\nThis mail was scanned by a gateway.\r\n"
    found = mail(data, b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: base64")
    assert found.text.startswith(WORDS)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
def test_lines_may_end_in_any_way(end: bytes) -> None:
    body, kind = multi("alternative", plain("第一行\r\n第二行"), part("text/html", b"<p>x</p>"))
    found = read((HEAD + kind + b"\r\n\r\n" + body).replace(b"\r\n", end), Envelope())
    assert (found.sender, found.text.split()) == ("zhang@customer.example", ["第一行", "第二行"])


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n", b"\r\n\r\n", b"\x00", b"hi", b"\xff" * 100, b":", b"From", b" \r\n\r\nhi"]
)
def test_what_is_hardly_a_mail_is_read(raw: bytes) -> None:
    healthy(read(raw, Envelope()))


def test_a_mail_that_is_only_words_keeps_them() -> None:
    assert WORDS in read(f"{WORDS}\r\n第二行\r\n".encode(), Envelope()).text


def test_a_text_longer_than_any_letter_is_cut_and_named() -> None:
    found = mail(("保单" * LONGEST_TEXT).encode(), b"Content-Type: text/plain; charset=utf-8")
    assert len(found.text) == LONGEST_TEXT and "text_cut" in found.defects
    body = b"<p>" + ("保单" * LONGEST_TEXT).encode() + b"</p>"
    found = mail(body, b"Content-Type: text/html; charset=utf-8")
    assert len(found.text) == LONGEST_TEXT and "text_cut" in found.defects


def test_html_that_is_cut_is_named() -> None:
    found = mail(b"<p>x</p>" * (LONGEST_HTML // 7), b"Content-Type: text/html")
    healthy(found)
    assert any("cut" in one for one in found.defects)


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"filename=a.pdf", "a.pdf"),
        (b'filename="a b.pdf"', "a b.pdf"),
        (b"filename*=utf-8''%E4%BF%9D%E5%8D%95.pdf", "保单.pdf"),
        (b"filename*=UTF-8'zh'%E4%BF%9D%E5%8D%95.pdf", "保单.pdf"),
        (b"filename*=gb18030''%B1%A3%B5%A5.pdf", "保单.pdf"),
        (b"filename*=GB2312''%E9%46.pdf", "镕.pdf".replace("镕", b"\xe9\x46".decode("gbk"))),
        (b"filename*=utf-8''%B1%A3%B5%A5.pdf", "保单.pdf"),
        (b"filename*0=very; filename*1=long; filename*2=.pdf", "verylong.pdf"),
        (b"filename*0*=utf-8''%E4%BF; filename*1*=%9D%E5%8D%95; filename*2=.pdf", "保单.pdf"),
        (b"filename*0*=utf-8''%E4%BF%9D;\r\n\tfilename*1*=%E5%8D%95.pdf", "保单.pdf"),
        (b"filename*1=b.pdf; filename*0=a", "ab.pdf"),
        (b'filename="=?utf-8?B?5L+d5Y2VLnBkZg==?="', "保单.pdf"),
        (b"filename==?utf-8?B?5L+d5Y2VLnBkZg==?=", "保单.pdf"),
        (b'filename="=?utf-8?B?5L+d?=\r\n =?utf-8?B?5Y2VLnBkZg==?="', "保单.pdf"),
        (b'filename="=?gb2312?B?saO1pS5wZGY=?="', "保单.pdf"),
        ('filename="保单.pdf"'.encode(), "保单.pdf"),
        ('filename="保单.pdf"'.encode("gb18030"), "保单.pdf"),
        ("filename=保单.pdf".encode(), "保单.pdf"),
        (b"filename=", "file"),
        (b'filename=""', "file"),
        (b"x=y", "file"),
    ],
)
def test_names_of_files_as_programs_write_them(header: bytes, name: str) -> None:
    found = mail(PDF, b"Content-Type: application/pdf", b"Content-Disposition: attachment; " + header)
    assert [file.name for file in found.files] == [name]
    also = mail(PDF, b"Content-Type: application/pdf; " + header.replace(b"filename", b"name"))
    assert [file.name for file in also.files] == [name]


@pytest.mark.parametrize(
    "name",
    [b"../../etc/passwd", b"..\\\\..\\\\x.pdf", b"/etc/passwd", b"C:\\\\x.pdf", b"a\\x00.pdf", b"a\r\n .pdf", b".", b"..", b"a\x00b", b"%2e%2e%2fx",
     b"a" * 5_000, b"con\x7f.pdf", b"=?utf-8?q?..=2F..=2Fetc=2Fpasswd?=", b"=?utf-8?q?a=0D=0Ab?=", b"=?utf-8?q?=E2=80=AEfdp.pdf?="],
)  # fmt: skip
def test_no_name_of_a_file_leads_elsewhere(name: bytes) -> None:
    found = mail(
        PDF, b"Content-Type: application/pdf", b'Content-Disposition: attachment; filename="' + name + b'"'
    )
    healthy(found)
    assert len(found.files) == 1 and ".." not in found.files[0].name[:2]
    assert "\u202e" not in found.files[0].name


def bomb() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20_000_000))
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "trouble"),
    [
        (b"a.pdf", PDF, ""),
        (b"a.exe", b"MZ\x90", "type_refused"),
        (b"policy.pdf", b"MZ\x90\x00" + bytes(50), "type_refused"),
        (b"photo.jpg", b"\x7fELF" + bytes(50), "type_refused"),
        (b"a.pdf.js", b"alert(1)", "type_refused"),
        (b"=?utf-8?q?a=2Eexe?=", b"words", "type_refused"),
        (b'"=?utf-8?q?invoice=E2=80=AEfdp=2Eexe?="', b"words", "type_refused"),
        (b"photos.zip", bomb(), "archive_bomb"),
        (b"large.pdf", PDF + bytes(2_000_000), "too_large"),
    ],
)  # fmt: skip
def test_files_that_are_not_taken_are_named_and_not_kept(name: bytes, data: bytes, trouble: str) -> None:
    body, kind = multi(
        "mixed",
        plain("见附件"),
        part(
            "application/pdf",
            base64.encodebytes(data),
            b"Content-Transfer-Encoding: base64",
            b"Content-Disposition: attachment; filename=" + name,
        ),
    )
    found = read(HEAD + kind + b"\r\n\r\n" + body, Envelope(), limits=Limits(1_000_000))
    (file,) = found.files
    assert (file.trouble, file.size, found.text) == (trouble, len(data), "见附件")
    assert file.data == (b"" if trouble else data)
    healthy(found)


def test_a_file_is_what_it_holds_and_not_what_it_says() -> None:
    body, kind = multi(
        "mixed", attached(b"a.png", PDF, "image/png"), attached(b"b.pdf", b"<script>alert(1)</script>")
    )
    kinds = [file.type for file in mail(body, kind).files]
    assert kinds[0] == "application/pdf" and not any(one.startswith("image/") for one in kinds)


# --- HTML -------------------------------------------------------------------------------------------------

POISON = [
    "<script>alert(1)</script>", "<SCRIPT SRC=//x.cn/x.js></SCRIPT>", "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>", "<p onclick='alert(1)' OnMouseOver=alert(1)>x</p>", "<body onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>', '<a href=" java\tscript:alert(1)">x</a>', '<a href="&#106;avascript:alert(1)">x</a>',
    '<a href="JaVaScRiPt:alert(1)">x</a>', '<a href="data:text/html,<script>alert(1)</script>">x</a>', '<a href="vbscript:x">x</a>',
    '<a href="\x01javascript:alert(1)">x</a>', '<a href="file:///etc/passwd">x</a>', '<a href="tel:95500">x</a>',
    '<img src="data:image/svg+xml,<svg onload=alert(1)>">', '<img src="javascript:alert(1)">', '<img src=x style="position:fixed">',
    "<svg><script>alert(1)</script></svg>", "<svg onload=alert(1)>", "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", "<style>*{background:url(//x.cn)}</style>",
    "<div style='background:url(https://x.cn/t.gif)'>x</div>", "<meta http-equiv=refresh content='0;url=https://x.cn'>",
    "<base href='https://x.cn/'>", "<link rel=stylesheet href=//x.cn/x.css>", "<iframe src=https://x.cn></iframe>",
    "<form action=https://x.cn><input name=p><button>x</button></form>", "<object data=x.swf></object>", "<embed src=x.swf>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<template><script>alert(1)</script></template>",
    "<textarea><img src=x onerror=alert(1)></textarea>", "<title><img src=x onerror=alert(1)></title>",
    "<!--><img src=x onerror=alert(1)>-->", "<!--[if IE]><script>alert(1)</script><![endif]-->", "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><x>y</x>", "<a href='https://x.cn' target=_top ping=https://y.cn>x</a>", "<img src=https://x.cn/t.gif srcset=//x.cn/2x>",
    "<video src=https://x.cn/v.mp4 autoplay></video>", "<p id=x name=y class=z>x</p>", "<a name=x id=y>x</a>", "<details ontoggle=alert(1) open>x</details>",
    "<table background=https://x.cn/t.gif><td background=//x.cn>x</table>", '<img src="/chats/1/close">', '<a href="/logout">x</a>',
    '<img src="//x.cn/t.gif">', '<a href="//x.cn">x</a>', '<a href="?x=1">x</a>', '<a href="#x">x</a>', '<a href="chats">x</a>',
    "<p>\x00<scr\x00ipt>alert(1)</scr\x00ipt>", "<xmp><img src=x onerror=alert(1)></xmp>", "<plaintext><script>alert(1)</script>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>", "<select><style></select><img src onerror=alert(1)></style>",
    "<img src='cid:x' alt='\"><script>alert(1)</script>'>", "<a title='</a><script>alert(1)</script>' href=https://x.cn>x</a>",
]  # fmt: skip


@pytest.mark.parametrize("poison", POISON)
def test_html_is_shown_without_its_poison(poison: str) -> None:
    html = f"<p>您好</p>{poison}<p>再见</p>"
    harmless(clean(html))
    found = mail(html.encode(), b"Content-Type: text/html; charset=utf-8")
    healthy(found)
    assert "您好" in found.text and "您好" in found.html
    assert "alert(1)</script>" not in found.html or "&lt;" in found.html


def test_html_keeps_what_mails_are_made_of() -> None:
    html = (
        '<h1>标题</h1><p>a<br>b <b>c</b> <font color="#f00">d</font></p><ul><li>e</li></ul><blockquote>f</blockquote>'
        '<table border="1"><tbody><tr><td colspan="2">g</td></tr></tbody></table><img src="cid:x" alt="i"><img src="https://x.cn/i.png">'
    )
    assert clean(html) == html
    link = clean('<a href="https://x.cn/a?b=1&amp;c=2">x</a> <a href="mailto:a@b.cn">y</a>')
    assert 'href="https://x.cn/a?b=1&amp;c=2"' in link and 'href="mailto:a@b.cn"' in link
    assert link.count("noopener") == link.count("noreferrer") == 2


@given(
    st.lists(
        st.sampled_from(POISON)
        | st.sampled_from(
            ["<", ">", "/", "'", '"', "=", "<p>", "</p>", "<!--", "-->", "<b", "&#", "\x00", "<a href="]
        )
        | st.text(max_size=10),
        max_size=6,
    ).map("".join)
)
def test_any_html_is_harmless_and_stays_so(html: str) -> None:
    once = clean(html)
    harmless(once)
    assert clean(once) == once


BOMBS: dict[str, Callable[[], Iterable[str]]] = {
    "fonts that are never closed": lambda: (f"<font color={n}><p>" for n in range(1_500)),
    "fonts, and paragraphs after them": lambda: (
        *(f"<font color={n}><p>" for n in range(300)),
        *("<p>x" for _ in range(4_000)),
    ),
    "a list in lists": lambda: (*("<ul>" for _ in range(390)), *("<li>x" for _ in range(20_000))),
    "lines in quotes": lambda: (*("<blockquote>" for _ in range(390)), *("x<br>" for _ in range(20_000))),
    "quotes in quotes": lambda: ("<blockquote>x" for _ in range(6_000)),
    "lists in lists": lambda: ("<ul><li>x" for _ in range(4_000)),
    "tables in tables": lambda: ("<table><tr><td>x" for _ in range(4_000)),
    "links in links": lambda: (f"<a href=https://x.cn/{n}><div>" for n in range(2_000)),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_html_that_grows_when_it_is_read_is_bounded(bomb: Callable[[], Iterable[str]]) -> None:
    """A few kilobytes that would become hundreds of megabytes."""
    before = time.perf_counter()
    found = mail("".join(["<p>您好</p>", *bomb()]).encode(), b"Content-Type: text/html; charset=utf-8")
    assert len(found.html) <= 3 * LONGEST_HTML and len(found.text) <= LONGEST_TEXT
    assert "您好" in found.text
    assert time.perf_counter() - before < 5


# --- languages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("您好", "zh"), ("", "zh"), ("12345", "zh"), ("Hello, I have a question about my policy.", "en"), ("保单 policy P123", "zh"),
        ("OK", "en"), ("请把 certificate 发给我", "zh"), ("Dear Sir, 张三 is my husband.", "en"), ("請問", "zh"),
    ],
)  # fmt: skip
def test_the_language_is_that_of_most_words(text: str, language: str) -> None:
    assert language_of(text) == language


# --- anything ---------------------------------------------------------------------------------------------


def whole() -> list[bytes]:
    first = EmailMessage()
    first["From"], first["To"], first["Subject"] = (
        "张三 <zhang@customer.example>",
        "service@insurer.example",
        "保单查询",
    )
    first["Message-ID"], first["References"], first["Date"] = (
        "<1@x>",
        "<a@b> <c@d>",
        "Tue, 03 Nov 2026 10:15:00 +0800",
    )
    first.set_content(SENTENCE)
    first.add_alternative(f"<p>{SENTENCE}<img src='cid:p'></p>", subtype="html")
    first.add_attachment(PDF, maintype="application", subtype="pdf", filename="保单.pdf")
    first.add_attachment(bomb()[:2_000], maintype="application", subtype="zip", filename="a.zip")
    report, kind = multi(
        "report; report-type=delivery-status",
        plain("failed"),
        part(
            "message/delivery-status",
            b"Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@b.cn\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        ),
        part("message/rfc822", b"Message-ID: <m1@x>\r\n\r\nhi"),
    )
    return [
        first.as_bytes(policy=SMTP),
        HEAD + kind + b"\r\n\r\n" + report,
        nested(4),
        HEAD + b"\r\n" + SENTENCE.encode("gb18030"),
    ]


WHOLE = whole()
TRICKS = [
    b"\r\n", b"\n", b"\r", b"--", b"\x00", b"\xff", b"=?utf-8?B?A?=", b"=?undefined?Q?a?=", b"; charset=undefined", b"; charset*=a\x00''x",
    b"; name*" + b"9" * 4_400 + b"=x", b'"', b"(" * 50, b"\r\nContent-Type: multipart/report; boundary=x\r\n", b"\r\nContent-Type: message/rfc822\r\n\r\n",
    b"\r\nContent-Transfer-Encoding: x-uuencode\r\n", b"\r\nFrom: \xb1\xb1 <postmaster@x.cn>\r\n", b"Date: Tue, 99 \r\n", b"<", b"\xe6\x82", b"=", b"+2AA-",
    b"\r\nContent-Transfer-Encoding: base64\r\n", b"\r\nContent-Type: text/plain; charset=utf-7\r\n", b"\r\n\r\n",
]  # fmt: skip
ENVELOPES = [
    Envelope(),
    Envelope("192.0.2.1", "x", ""),
    Envelope("192.0.2.1", "x", "a@b.cn", ("service@insurer.example",)),
]


@settings(max_examples=300)
@given(
    st.sampled_from(WHOLE),
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(TRICKS) | st.binary(max_size=8)),
        max_size=6,
    ),
    st.sampled_from(ENVELOPES),
)
def test_no_damaged_mail_breaks_it(
    raw: bytes, wrong: list[tuple[float, int, bytes]], envelope: Envelope
) -> None:
    for where, out, put in wrong:
        at = int(where * len(raw))
        raw = raw[:at] + put + raw[at + out :]
    healthy(read(raw, envelope, ("service@insurer.example",), "mark"))


@given(st.binary(max_size=500), st.sampled_from(ENVELOPES))
def test_no_bytes_break_it(raw: bytes, envelope: Envelope) -> None:
    healthy(read(raw, envelope))
    healthy(read(HEAD + raw, envelope))


HEADERS = ["Subject", "From", "To", "Reply-To", "Message-ID", "References", "Date", "Content-Type", "Content-Disposition", "Content-ID",
           "Content-Transfer-Encoding", "X-Loop", "Precedence"]  # fmt: skip
VALUES = ["multipart/mixed; boundary=", "text/plain; charset=", "attachment; filename=", "attachment; filename*0*=", "=?utf-8?B?", "?=", "a@b.cn", "<", ">",
          '"', ";", "'", "%", "=", "\xff", "base64", "quoted-printable", "x-uuencode", "message/rfc822", "multipart/report;"]  # fmt: skip


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(HEADERS),
            st.lists(st.sampled_from(VALUES) | st.text(max_size=6), max_size=5).map("".join),
        ),
        max_size=8,
    ),
    st.binary(max_size=60),
)
def test_no_headers_break_it(headers: list[tuple[str, str]], body: bytes) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    healthy(read(head.encode("utf-8", "surrogatepass") + b"\r\n" + body, ENVELOPES[1]))


LONG: dict[str, bytes] = {
    "an empty line many times": b"\r\n" + b"\r\n" * 20_000 + b"x",
    "semicolons": b"Content-Type: text/plain; a=\"" + b";" * 100_000 + b"\r\n\r\nhi",
    "semicolons of a file": b"Content-Disposition: attachment; filename=\"" + b"\\\";" * 60_000 + b"\r\n\r\nhi",
    "parameters": b"Content-Type: text/plain" + b"; a=b" * 100_000 + b"\r\n\r\nhi",
    "pieces of a name": b"Content-Type: application/pdf" + b"".join(b"; name*%d=a" % n for n in range(30_000)) + b"\r\n\r\nhi",
    "senders": b"From: " + b"a@b.cn, " * 100_000 + b"\r\n\r\nhi",
    "brackets": b"To: " + b"<" * 200_000 + b"\r\n\r\nhi",
    "parentheses": b"To: " + b"(" * 200_000 + b"\r\n\r\nhi",
    "at signs": b"To: " + b"@" * 200_000 + b"\r\n\r\nhi",
    "a group of groups": b"To: " + b"a:;" * 60_000 + b"\r\n\r\nhi",
    "words": b"Subject: " + b"=?utf-8?Q?a?= " * 50_000 + b"\r\n\r\nhi",
    "beginnings of words": b"Subject: " + b"=?a?b?" * 100_000 + b"\r\n\r\nhi",
    "ids": b"References: " + b"<a@b> " * 100_000 + b"\r\n\r\nhi",
    "beginnings of ids": b"References: " + b"<a" * 200_000 + b"\r\n\r\nhi",
    "a day": b"Date: " + b"1 " * 200_000 + b"\r\n\r\nhi",
    "a fold": b"Subject: a" + b"\r\n " * 100_000 + b"b\r\n\r\nhi",
    "names of codes": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a" * 200_000 + b"-" + b"zz" * 100_000,
    "a seam of dashes": b"Content-Type: multipart/mixed; boundary=\"--\"\r\n\r\n" + b"-" * 500_000,
    "lines that look like seams": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--xx\r\n" * 100_000,
    "html brackets": b"Content-Type: text/html\r\n\r\n" + b"<" * 500_000,
    "html attributes": b"Content-Type: text/html\r\n\r\n<a " + b"x=1 " * 100_000 + b">hi",
    "html entities": b"Content-Type: text/html\r\n\r\n" + b"&nbsp;" * 100_000,
    "html paragraphs": b"Content-Type: text/html\r\n\r\n" + b"<p>hi</p>" * 50_000,
    "html comments": b"Content-Type: text/html\r\n\r\n" + b"<!--" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("raw", LONG.values(), ids=LONG.keys())
def test_no_mail_takes_long(raw: bytes) -> None:
    """A reader that is busy with one mail keeps all others waiting."""
    before = time.perf_counter()
    healthy(read((b"" if raw.startswith(b"From:") else HEAD) + raw, Envelope()))
    assert time.perf_counter() - before < 10


def test_a_mail_of_the_largest_size_is_read_in_time() -> None:
    data = base64.encodebytes(bytes(range(256)) * 40_000)
    body, kind = multi(
        "mixed",
        plain(SENTENCE),
        part(
            "application/pdf",
            data,
            b"Content-Transfer-Encoding: base64",
            b"Content-Disposition: attachment; filename=a.bin",
        ),
    )
    before = time.perf_counter()
    found = read(HEAD + kind + b"\r\n\r\n" + body, Envelope(), limits=Limits(20_000_000))
    assert found.text == SENTENCE and found.files[0].size == 256 * 40_000
    assert time.perf_counter() - before < 20


def test_a_mail_goes_between_processes_as_it_is() -> None:
    found: Any = read(WHOLE[0], ENVELOPES[2], ("service@insurer.example",), "mark")
    healthy(found)
    assert found.files[0].name == "保单.pdf" and found.text == SENTENCE and found.sender_name == "张三"
