"""Is a file taken? By its first bytes, not by what it says of itself. Pure; the scan for malware is `malware.py`."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath

import puremagic

TOO_LARGE, TYPE_REFUSED, ARCHIVE_BOMB = "too_large", "type_refused", "archive_bomb"
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""that pages show; anything else is downloaded"""
_RUNS = frozenset(
    [
        ".exe",
        ".dll",
        ".scr",
        ".com",
        ".bat",
        ".cmd",
        ".pif",
        ".msi",
        ".msp",
        ".js",
        ".jse",
        ".vbs",
        ".vbe",
        ".wsf",
        ".wsh",
        ".hta",
        ".ps1",
        ".jar",
        ".lnk",
        ".reg",
        ".cpl",
        ".iso",
        ".img",
        ".vhd",
        ".app",
        ".apk",
        ".sh",
        ".so",
        ".elf",
        ".html",
        ".htm",
        ".xhtml",
        ".svg",
        ".mht",
        ".shtml",
        ".url",
        ".chm",
        ".mhtml",
        ".svgz",
        ".xht",
        ".vhdx",
        ".vb",
        ".ws",
        ".wsc",
        ".sct",
        ".msc",
        ".scf",
        ".xll",
        ".msix",
        ".appx",
        ".application",
        ".gadget",
        ".dmg",
        ".pkg",
        ".command",
        ".desktop",
    ]
)
"""by name: what runs or is opened by a browser"""
_RUNNING_HEADS = (
    b"MZ",
    b"\x7fELF",
    b"#!",
    b"\xca\xfe\xba\xbe",
    b"\xcf\xfa\xed\xfe",
    b"L\x00\x00\x00\x01\x14\x02\x00",
)
_ZIP = b"PK\x03\x04"
_MOST_RATIO, _MOST_UNPACKED, _MOST_MEMBERS = 100, 500_000_000, 10_000
_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\<>:\"|?*\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
"""what no file name has: control characters, separators, marks that turn the direction of reading"""
_LONGEST_NAME = 120


def safe_name(name: str, fallback: str = "file") -> str:
    """A name without path, tricks or excess; the end with the extension is kept."""
    clean = _NAME.sub(" ", name).strip(" .")
    if len(clean) > _LONGEST_NAME:
        suffix = PurePath(clean).suffix[:12]
        clean = clean[: _LONGEST_NAME - len(suffix)] + suffix
    return clean or fallback


def type_of(data: bytes, name: str) -> str:
    """The type that the first bytes tell; `text/plain` or `application/octet-stream` where they tell nothing."""
    for head, kind in (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"%PDF-", "application/pdf"),
    ):
        if data.startswith(head):
            return kind
    try:
        found = puremagic.from_string(data[:4096], mime=True, filename=name)
    except (puremagic.PureError, ValueError):
        found = ""
    if found:
        return str(found)
    try:
        data[:4096].decode("utf-8")
        return "text/plain"
    except UnicodeDecodeError as error:
        return "text/plain" if error.start > 4090 else "application/octet-stream"


def refusal(data: bytes, name: str, most_bytes: int) -> str:
    """Why this file is not taken; "" where it is."""
    if len(data) > most_bytes:
        return TOO_LARGE
    if data.startswith(_RUNNING_HEADS) or PurePath(name.lower().strip(" .")).suffix in _RUNS:
        return TYPE_REFUSED
    if data.startswith(_ZIP) or b"PK\x05\x06" in data[-66_000:]:
        return _archive(data)
    return ""


def _archive(data: bytes) -> str:
    """By the archive's own table: nothing is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return ""  # no archive that anybody could open
    unpacked = sum(member.file_size for member in members)
    if (
        len(members) > _MOST_MEMBERS
        or unpacked > _MOST_UNPACKED
        or unpacked > _MOST_RATIO * max(len(data), 10_000)
    ):
        return ARCHIVE_BOMB
    if any(PurePath(member.filename.lower().strip(" .")).suffix in _RUNS for member in members):
        return TYPE_REFUSED
    return ""
