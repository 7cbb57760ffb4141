"""Files of strangers: names that are tricks, types that are lies, archives that are bombs."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels.files import ARCHIVE_BOMB, PICTURES, TOO_LARGE, TYPE_REFUSED, refusal, safe_name, type_of

MOST = 10_000_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
RIGHT_TO_LEFT = "\u202e"


def archive(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as into:
        for name, data in members:
            into.writestr(name, data)
    return target.getvalue()


def claimed(data: bytes, size: int) -> bytes:
    """An archive of one member whose own table says that it unpacks to this size."""
    at = data.index(b"PK\x01\x02") + 24
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


# --- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("保单.pdf", "保单.pdf"),
        ("事故照片 1.jpg", "事故照片 1.jpg"),
        ("../../etc/passwd", "etc passwd"),
        ("..\\..\\Windows\\win.ini", "Windows win.ini"),
        ("/etc/passwd", "etc passwd"),
        ("C:\\Users\\me\\x.pdf", "C Users me x.pdf"),
        ("\\\\server\\share\\x.pdf", "server share x.pdf"),
        ("a\r\nContent-Type:text/html.pdf", "a Content-Type text html.pdf"),
        ("a\x00.pdf", "a .pdf"),
        ("a\x7fb.pdf", "a b.pdf"),
        ("x.pdf:Zone.Identifier", "x.pdf Zone.Identifier"),
        ('a"b|c?d*e.pdf', "a b c d e.pdf"),
        ("<script>.pdf", "script .pdf"),
        (".htaccess", "htaccess"),
        ("...", "file"),
        ("", "file"),
        ("   ", "file"),
        ("/", "file"),
        ("\u202e\u2066", "file"),
        ("invoice.exe. . .", "invoice.exe"),
    ],
)
def test_a_name_keeps_its_words_and_loses_its_tricks(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_name_that_reads_backwards_shows_what_it_ends_with() -> None:
    assert safe_name(f"invoice{RIGHT_TO_LEFT}fdp.exe") == "invoice fdp.exe"


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x80", "\x9b"])
def test_a_name_stands_on_one_line_without_control_characters(mark: str) -> None:
    assert mark not in safe_name(f"a{mark}b.pdf")


def test_a_long_name_keeps_its_end() -> None:
    name = safe_name("长" * 500 + ".pdf")
    assert len(name) <= 120 and name.endswith("长.pdf")
    assert len(safe_name("x" * 500)) <= 120
    assert len(safe_name("a." + "b" * 500)) <= 120


def test_another_word_stands_for_a_name_of_which_nothing_is_left() -> None:
    assert safe_name("///", "picture") == "picture"


@given(st.text(max_size=300))
@example("a" * 119 + " .exe")
def test_no_name_leads_elsewhere(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe) <= 120
    assert not set(safe) & set('/\\<>:"|?*\r\n\t\x00')
    assert safe not in (".", "..") and safe == safe.strip(" .")
    assert safe_name(safe) == safe


# --- types ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg"),
        (b"GIF89a" + bytes(10), "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(10), "image/webp"),
        (PDF, "application/pdf"),
        ("您好，这是一份说明。".encode(), "text/plain"),
        (b"plain words", "text/plain"),
        (("长" * 2_000).encode(), "text/plain"),
        (bytes(range(128, 256)) * 4, "application/octet-stream"),
    ],
)
def test_a_type_is_what_the_first_bytes_tell(data: bytes, kind: str) -> None:
    assert type_of(data, "lie.exe") == kind
    assert type_of(data, "") == kind


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<?xml version='1.0'?><svg onload='alert(1)'/>",
        b"<html><script>alert(1)</script>",
        b"<script>alert(1)</script>",
        b"MZ" + bytes(100),
        PDF,
        b"",
    ],
)
def test_what_pages_show_is_a_picture_and_nothing_else(data: bytes) -> None:
    assert type_of(data, "photo.png") not in PICTURES


@given(st.binary(max_size=5_000), st.text(max_size=20))
@example(b"", "")
@example(b"\x00", "a.png")
@example("中".encode() * 1_366, "")
@example("中".encode("gb18030") * 3_000, "")
def test_every_file_has_a_type_fit_for_a_header(data: bytes, name: str) -> None:
    kind = type_of(data, name)
    major, _, minor = kind.partition("/")
    assert major and minor and kind.isascii() and kind.isprintable() and " " not in kind and ";" not in kind


# --- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("保单.pdf", PDF),
        ("事故.jpg", b"\xff\xd8\xff\xe0"),
        ("说明.txt", "您好".encode()),
        ("表格.xlsx", archive([("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")])),
        ("合同.docx", archive([("word/document.xml", b"<w:document/>")])),
        ("照片.zip", archive([("事故/1.jpg", b"\xff\xd8\xff" * 200), ("事故/2.jpg", bytes(500))])),
        ("空.zip", archive([])),
        ("无扩展名", PDF),
        ("空", b""),
        ("exe", b"words"),
        ("关于 setup.exe 的说明.txt", b"words"),
    ],
)
def test_what_customers_send_is_taken(name: str, data: bytes) -> None:
    assert refusal(data, name, MOST) == ""


def test_a_file_may_be_as_large_as_is_said_and_no_larger() -> None:
    assert refusal(b"x" * 100, "a.txt", 100) == ""
    assert refusal(b"x" * 101, "a.txt", 100) == TOO_LARGE


@pytest.mark.parametrize(
    "head",
    [b"MZ\x90\x00", b"\x7fELF\x02", b"#!/bin/sh\n", b"\xca\xfe\xba\xbe\x00\x00", b"\xcf\xfa\xed\xfe",
     b"L\x00\x00\x00\x01\x14\x02\x00"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["保单.pdf", "photo.jpg", "file", "readme.txt"])
def test_what_runs_is_refused_whatever_it_is_called(head: bytes, name: str) -> None:
    assert refusal(head + bytes(100), name, MOST) == TYPE_REFUSED


@pytest.mark.parametrize(
    "name",
    [
        "a.exe", "A.EXE", "a.pdf.exe", "a.exe.", "a.exe ", "a.exe . .", "保单.Scr", "a.com", "a.js", "a.jse", "a.vbs",
        "a.hta", "a.lnk", "a.jar", "a.apk", "a.ps1", "a.bat", "a.cmd", "a.iso", "a.html", "a.HTM", "a.svg", "a.mht",
        "a.url", "a.chm", "a.msi", "a.reg", "a.wsf",
        # the same by another name
        "a.mhtml", "a.svgz", "a.xht", "a.vhdx", "a.vb", "a.ws", "a.wsc", "a.sct", "a.msc", "a.scf", "a.xll",
        "a.msix", "a.appx", "a.application", "a.gadget", "a.dmg", "a.pkg", "a.command", "a.desktop",
    ],
)  # fmt: skip
def test_what_runs_by_its_name_is_refused_whatever_it_holds(name: str) -> None:
    assert refusal(b"harmless words", name, MOST) == TYPE_REFUSED
    assert refusal(archive([("read.me", b"x"), (f"folder/{name}", b"x")]), "a.zip", MOST) == TYPE_REFUSED


def test_a_name_is_refused_by_what_is_left_of_it() -> None:
    for name in (f"保单{RIGHT_TO_LEFT}fdp.exe", "a.exe\x00", "a.exe\r\n", "..\\a.exe"):
        assert refusal(b"words", safe_name(name), MOST) == TYPE_REFUSED


@pytest.mark.parametrize(
    "data",
    [
        archive([("zeros", bytes(20_000_000))]),
        archive([(f"{n}", bytes(1_100_000)) for n in range(20)]),
        archive([(f"{n}", b"") for n in range(10_001)], zipfile.ZIP_STORED),
        claimed(archive([("a.txt", b"x")]), 600_000_000),
        b"junk before it" + archive([("zeros", bytes(20_000_000))]),
        PDF + archive([("zeros", bytes(20_000_000))]),
    ],
    ids=["one file", "many files", "too many names", "by its table", "after junk", "behind a PDF"],
)
def test_an_archive_that_would_burst_is_refused(data: bytes) -> None:
    assert refusal(data, "照片.zip", MOST) == ARCHIVE_BOMB


def test_an_archive_in_another_file_is_looked_into() -> None:
    assert refusal(PDF + archive([("a.exe", b"x")]), "保单.pdf", MOST) == TYPE_REFUSED


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04",
        b"PK\x03\x04" + bytes(5_000),
        archive([("a.txt", b"x" * 500)])[:-10],
        archive([("a.txt", b"x" * 500)])[:60],
        b"PK\x05\x06" + bytes(18),
        b"PK\x05\x06" + b"\xff" * 18,
        b"x" * 100 + b"PK\x05\x06",
    ],
)
def test_a_broken_archive_is_nobodys_danger(data: bytes) -> None:
    assert refusal(data, "a.zip", MOST) == ""


def test_a_table_of_many_names_is_read_in_time() -> None:
    data = archive([(f"{n:07}", b"") for n in range(60_000)], zipfile.ZIP_STORED)
    before = time.perf_counter()
    assert refusal(data, "a.zip", MOST) == ARCHIVE_BOMB
    assert time.perf_counter() - before < 10


@given(st.binary(max_size=2_000), st.text(max_size=30))
def test_no_file_breaks_it(data: bytes, name: str) -> None:
    assert refusal(data, name, MOST) in ("", TYPE_REFUSED, ARCHIVE_BOMB)


WHOLE = archive([("a.txt", b"words " * 50), ("b/c.pdf", PDF * 20)])


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, len(WHOLE)),
)
def test_no_damaged_archive_breaks_it(wrong: list[tuple[int, int]], end: int) -> None:
    data = bytearray(WHOLE)
    for at, value in wrong:
        data[at] = value
    assert refusal(bytes(data), "a.zip", MOST) in ("", TYPE_REFUSED, ARCHIVE_BOMB)
    assert refusal(bytes(data[:end]), "a.zip", MOST) in ("", TYPE_REFUSED, ARCHIVE_BOMB)
