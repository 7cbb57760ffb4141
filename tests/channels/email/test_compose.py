"""Letters of ours as others read them: by the standard library, and by our own reader."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.email.compose import Enclosure, Letter, compose, is_address, one_line, quoted
from channels.email.mail import Envelope, Mail
from channels.email.translate import read

OURS, CUSTOMER = "service@insurer.example", "zhang@customer.example"
LETTER = Letter(
    "m1-1@insurer.example",
    OURS,
    "客户服务",
    (CUSTOMER,),
    (),
    "回复：保单",
    "您好，已收到。",
    1_793_671_200_000,
)
PDF = b"%PDF-1.7\n\xff\x00\r\n.\r\nFrom here\n"
LONG_ID = "PH0PR11MB" + "5" * 90 + "@PH0PR11MB4949.namprd11.prod.outlook.com"
words = st.text(st.characters(blacklist_categories=["Cs"]), max_size=120)
"""what a line of JSON may hold"""
printable = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp", "Cn", "Co"]), max_size=60)


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def words_of(message: EmailMessage) -> str:
    return str(message.get_content()).replace("\r\n", "\n")


def there_and_back(letter: Letter) -> Mail:
    return read(compose(letter), Envelope())


def fit_for_smtp(raw: bytes) -> None:
    assert not re.search(rb"[^\r]\n|\r[^\n]", raw), "a bare CR or LF"
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "a line that is too long"
    assert raw.isascii()


def test_a_letter_says_what_it_was_told() -> None:
    letter = replace(LETTER, cc=("li@customer.example",), in_reply_to="a@b", references=("x@y", "a@b"))
    raw = compose(letter)
    fit_for_smtp(raw)
    message = parsed(raw)
    assert (str(message["From"]), str(message["To"])) == (f"客户服务 <{OURS}>", CUSTOMER)
    assert (str(message["Cc"]), str(message["Subject"])) == ("li@customer.example", "回复：保单")
    assert (message["Message-ID"], message["In-Reply-To"]) == ("<m1-1@insurer.example>", "<a@b>")
    assert message["References"] == "<x@y> <a@b>"
    assert message["Date"].datetime.timestamp() == LETTER.at_ms // 1000
    assert words_of(message) == "您好，已收到。\n"
    assert "Auto-Submitted" not in message and "X-Loop" not in message and "Bcc" not in message


def test_our_reader_reads_what_we_wrote() -> None:
    letter = replace(LETTER, cc=("li@customer.example",), in_reply_to="a@b", references=("x@y", "a@b"))
    mail = there_and_back(letter)
    assert (mail.sender, mail.sender_name, mail.to, mail.cc) == (OURS, "客户服务", letter.to, letter.cc)
    assert (mail.subject, mail.text, mail.message_id) == ("回复：保单", "您好，已收到。", LETTER.message_id)
    assert mail.references == ("a@b", "x@y")
    assert mail.date_ms == LETTER.at_ms
    assert (mail.kind, mail.defects, mail.quoted, mail.files) == ("", (), False, ())


def test_what_nobody_wrote_says_so() -> None:
    raw = compose(replace(LETTER, automatic=True, mark="centre.insurer.example"))
    message = parsed(raw)
    assert message["Auto-Submitted"] == "auto-replied" and message["Precedence"] == "auto_reply"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert read(raw, Envelope()).kind == "auto_reply"
    assert read(raw, Envelope(), mark="centre.insurer.example").kind == "loop"
    assert read(raw, Envelope(), own=(OURS,)).kind == "loop"


# --- the same letter is the same mail -------------------------------------------------------------------


@pytest.mark.parametrize(
    "files", [(), (Enclosure("保单.pdf", "application/pdf", PDF),)], ids=["plain", "with a file"]
)
def test_the_same_letter_makes_the_same_mail(files: tuple[Enclosure, ...]) -> None:
    letter = replace(LETTER, files=files)
    assert compose(letter) == compose(letter)


def test_two_letters_with_files_have_different_seams() -> None:
    one = replace(LETTER, files=(Enclosure("a.pdf", "application/pdf", PDF),))
    other = replace(one, message_id="m1-2@insurer.example")
    assert parsed(compose(one)).get_boundary() != parsed(compose(other)).get_boundary()


# --- headers -------------------------------------------------------------------------------------------

INJECTIONS = [
    "x\r\nBcc: all@customers.example",
    "x\nBcc: all@customers.example",
    "x\rBcc: all@customers.example",
    "x\r\n\r\n<script>alert(1)</script>",
    "x\n\n\nhi",
    "x\x00\x0bBcc: a@b.cn",
    "x\u2028Bcc: a@b.cn",
    "x\x85Bcc: a@b.cn",
    "=?utf-8?q?x=0D=0ABcc:_all=40customers.example?=",
]


@pytest.mark.parametrize("trick", INJECTIONS)
@pytest.mark.parametrize("where", ["subject", "sender_name", "in_reply_to", "text"])
def test_nothing_that_is_written_becomes_a_header(where: str, trick: str) -> None:
    raw = compose(replace(LETTER, **{where: trick}))
    fit_for_smtp(raw)
    message = parsed(raw)
    assert message["Bcc"] is None and not message.defects
    assert sorted(message.keys()) == sorted(set(message.keys()))


@pytest.mark.parametrize("trick", INJECTIONS)
def test_no_reference_becomes_a_header(trick: str) -> None:
    raw = compose(replace(LETTER, references=("a@b", trick, "c@d")))
    fit_for_smtp(raw)
    assert parsed(raw)["Bcc"] is None


@pytest.mark.parametrize("trick", INJECTIONS)
def test_no_name_of_a_file_becomes_a_header(trick: str) -> None:
    try:
        raw = compose(replace(LETTER, files=(Enclosure(trick, "application/pdf", PDF),)))
    except ValueError:
        return
    fit_for_smtp(raw)
    (file,) = parsed(raw).iter_attachments()
    assert set(file.keys()) == {
        "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "MIME-Version",
    }  # fmt: skip
    assert file.get_content() == PDF


@pytest.mark.parametrize(
    "kind", ["application/pdf\r\nBcc: a@b.cn", "text/plain; charset=x", "a b/c d", "pdf", "/", ""]
)
def test_no_type_of_a_file_becomes_a_header(kind: str) -> None:
    try:
        raw = compose(replace(LETTER, files=(Enclosure("a.pdf", kind, PDF),)))
    except ValueError:
        return
    fit_for_smtp(raw)
    assert parsed(raw)["Bcc"] is None
    (file,) = read(raw, Envelope()).files
    assert (file.name, file.data) == ("a.pdf", PDF)


@pytest.mark.parametrize(
    "name",
    [
        "客户服务", "Customer Service", 'The "best", really', "a\\b", "Zhang, San (张三)", "客服 <x@y.cn>", "😀 客服",
        "", "中国某某人寿保险股份有限公司客户服务中心理赔一部", "x" * 80, "客" * 70, "a@b.cn", "=?utf-8?b?5a6i?=",
        "Ünïcödé, GmbH; & Co.", "'single'", "a.b.c", "trailing\\", "Name:", "tab\there",
    ],
)  # fmt: skip
def test_every_name_of_ours_is_read_as_it_was_written(name: str) -> None:
    letter = replace(LETTER, sender_name=name)
    mail = there_and_back(letter)
    assert mail.sender == OURS
    if "=?" not in name:
        assert mail.sender_name == one_line(name)
    (address,) = parsed(compose(letter))["From"].addresses
    assert address.addr_spec == OURS


@given(printable)
def test_any_name_leaves_our_address_alone(name: str) -> None:
    raw = compose(replace(LETTER, sender_name=name))
    fit_for_smtp(raw)
    assert read(raw, Envelope()).sender == OURS


@given(printable)
@example("回复：" + "保单" * 80)
@example("Re: " + "policy " * 40)
@example("😀" * 70)
@example("x" * 300)
def test_any_subject_is_read_as_it_was_written(subject: str) -> None:
    raw = compose(replace(LETTER, subject=subject))
    fit_for_smtp(raw)
    expected = one_line(subject)
    if "=?" not in expected:
        assert read(raw, Envelope()).subject == " ".join(expected.split())[:300]
        assert str(parsed(raw)["Subject"]) == expected


# --- threads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one", [LONG_ID, "a" * 70 + "@b.cn", "x" * 240 + "@y", "a.b-c+d=e/f@host", "a" * 76, "no.at.sign"]
)
def test_a_long_id_stays_whole(one: str) -> None:
    """An id that a mail program of the customer cut up or encoded tears the thread."""
    letter = replace(LETTER, message_id=one, in_reply_to=one, references=("x@y", one))
    raw = compose(letter)
    fit_for_smtp(raw)
    assert raw.count(f"<{one}>".encode()) == 3
    mail = read(raw, Envelope())
    assert (mail.message_id, mail.references) == (one, (one, "x@y"))


def test_many_references_keep_the_first_and_the_last() -> None:
    names = tuple(f"{n:03}-{LONG_ID}" for n in range(150))
    letter = replace(LETTER, in_reply_to=names[-1], references=names)
    raw = compose(letter)
    fit_for_smtp(raw)
    plain = email.message_from_bytes(raw)["References"].split()
    assert (plain[0], plain[-1]) == (f"<{names[0]}>", f"<{names[-1]}>")
    assert [one.strip("<>") for one in plain[1:]] == list(names[-len(plain) + 1 :])
    assert 10 <= len(plain) <= 20


@given(
    st.lists(
        st.from_regex(r"[A-Za-z0-9.+_=-]{1,120}@[a-z0-9.]{1,40}", fullmatch=True), max_size=19, unique=True
    )
)
def test_any_references_come_back(names: list[str]) -> None:
    raw = compose(replace(LETTER, references=tuple(names)))
    fit_for_smtp(raw)
    assert list(read(raw, Envelope()).references) == names[::-1]


def test_brackets_and_blanks_of_ids_are_not_doubled() -> None:
    message = parsed(compose(replace(LETTER, in_reply_to=" <a@b> ", references=("<a@b>", "c\r\n@d"))))
    assert (message["In-Reply-To"], message["References"]) == ("<a@b>", "<a@b> <c@d>")


# --- addresses -----------------------------------------------------------------------------------------

NO_ADDRESSES = [
    "", "a", "@", "a@", "@b.cn", "a@b@c.cn", "a b@c.cn", "a@b c.cn", "a@b.cn, c@d.cn", "a@b.cn;c@d.cn", "<a@b.cn>",
    "张三 <a@b.cn>", "张@b.cn", "a@例子.cn", "a@b.cn\r\nBcc: c@d.cn", "a@b.cn\n", "a\n@b.cn", "a@b.cn\r", "a\x00@b.cn",
    "a\x7f@b.cn", "a@b.cn ", " a@b.cn", 'a"b@c.cn', "a\\b@c.cn", "a(b)@c.cn", "a:b@c.cn", "a" * 65 + "@b.cn",
    "a@" + "b" * 254, "a@b_c.cn", "mailto:a@b.cn",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_none(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize("text", NO_ADDRESSES)
@pytest.mark.parametrize("where", ["sender", "to", "cc"])
def test_nothing_is_sent_to_what_is_no_address(where: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compose(replace(LETTER, **{where: text if where == "sender" else ("a@b.cn", text)}))


@pytest.mark.parametrize(
    "text",
    [
        "zhang.san@163.com", "123456789@qq.com", "a+b@c.cn", "O'Brien@Example.COM", "a_b-c@d-e.com.cn", "x@localhost",
        "a..b@docomo.example", ".a@b.cn", "a.@b.cn", "!#$%&'*+-/=?^_`{|}~@b.cn", "a" * 64 + "@" + "b" * 60 + ".example",
    ],
)  # fmt: skip
def test_whoever_has_an_address_is_reached(text: str) -> None:
    assert is_address(text)
    raw = compose(replace(LETTER, to=(text,), cc=(text, CUSTOMER)))
    fit_for_smtp(raw)
    mail = read(raw, Envelope())
    assert (mail.to, mail.cc) == ((text.lower(),), (text.lower(), CUSTOMER))
    assert [one.addr_spec for one in parsed(raw)["To"].addresses] == [text]


@given(st.text(max_size=40) | st.from_regex(r"[^@\s]{1,70}@[^@\s]{1,40}\n?", fullmatch=True))
def test_whatever_passes_for_an_address_makes_a_mail_to_it_alone(text: str) -> None:
    if not is_address(text):
        return
    raw = compose(replace(LETTER, to=(text,)))
    fit_for_smtp(raw)
    assert read(raw, Envelope()).to == (text.lower(),)


def test_many_recipients_are_all_there() -> None:
    many = tuple(f"somebody.with.a.long.name.{n}@department-{n}.customer.example" for n in range(60))
    raw = compose(replace(LETTER, to=many, cc=many))
    fit_for_smtp(raw)
    mail = read(raw, Envelope())
    assert (mail.to, mail.cc) == (many, many)


# --- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Hello.", "您好。\n\n此致", "a\r\nb", "x" * 5_000, "中" * 5_000, ".\n..\n.", "From here\nFrom there",
        "--\nsignature", "> quoted\n> more", "=3D =?utf-8?q?x?=", "tab\there", "naïve 😀", "  indented\n    more",
        "\n\nbegin", "--=_boundary\n----", "a\rb",
    ],
)  # fmt: skip
def test_words_arrive_as_they_were_written(text: str) -> None:
    raw = compose(replace(LETTER, text=text))
    fit_for_smtp(raw)
    expected = text.replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n"
    assert words_of(parsed(raw)) == expected


@given(words)
def test_any_words_arrive(text: str) -> None:
    raw = compose(replace(LETTER, text=text))
    fit_for_smtp(raw)
    assert words_of(parsed(raw)).split() == text.split()


def test_what_is_answered_stands_below() -> None:
    text = quoted("您好\n\n> 上次\r\n谢谢", "张三 于2026年11月3日 10:15写道：")
    assert text == "张三 于2026年11月3日 10:15写道：\n> 您好\n> \n> > 上次\n> 谢谢"
    mail = there_and_back(replace(LETTER, text=f"已收到。\n\n{text}"))
    assert (mail.text, mail.quoted) == ("已收到。", True)


@given(words)
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1 and line == line.strip()
    assert one_line(line) == line


# --- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "保单.pdf", "policy.pdf", "a b c.pdf", 'the "best".pdf', "a;b=c.pdf", "a'b%20c.pdf", "很长的名字" * 20 + ".pdf",
        "x" * 110 + ".pdf", "😀.pdf", "a\\b.pdf", "naïve.pdf", "(1).pdf", "100%.pdf", "a,b.pdf",
    ],
)  # fmt: skip
def test_a_file_arrives_with_its_name(name: str) -> None:
    raw = compose(replace(LETTER, files=(Enclosure(name, "application/pdf", PDF),)))
    fit_for_smtp(raw)
    (file,) = parsed(raw).iter_attachments()
    assert (file.get_filename(), file.get_content(), file.get_content_type()) == (
        name,
        PDF,
        "application/pdf",
    )
    assert file.is_attachment()
    mail = read(raw, Envelope())
    assert mail.text == "您好，已收到。"
    assert mail.files[0].data == PDF
    if not set(name) & set('"\\?='):
        assert mail.files[0].name == name[:116] + name[116:]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("application/pdf", b""),
        ("text/plain", "您好\r\n".encode("gb18030")),
        ("text/plain", b"plain\n"),
        ("image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100),
        ("application/octet-stream", b"--boundary\r\n.\r\nFrom x\r\n" * 50),
        ("message/rfc822", b"From: a@b.cn\r\nSubject: inner\r\n\r\ninner words\r\n"),
        ("multipart/mixed", b"--x\r\n\r\nhi\r\n--x--\r\n"),
        ("message/delivery-status", b"Reporting-MTA: dns; x\r\n"),
        ("text/html", b"<p>x</p>"),
    ],
)
def test_a_file_arrives_byte_for_byte(kind: str, data: bytes) -> None:
    """Whatever it is: also a mail, which is a file to us."""
    letter = replace(
        LETTER, files=(Enclosure("a.bin", kind, data), Enclosure("b.pdf", "application/pdf", PDF))
    )
    fit_for_smtp(compose(letter))
    mail = there_and_back(letter)
    assert [(file.name, file.size) for file in mail.files] == [("a.bin", len(data)), ("b.pdf", len(PDF))]
    assert mail.files[0].data == data
    assert (mail.text, mail.defects) == ("您好，已收到。", ())
