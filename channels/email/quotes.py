"""What of a mail's text is new: quoted mails and what introduces them are cut, as Chinese and English clients write
them. Line by line, each looked at once: a text may be as long and as strange as it likes."""

from __future__ import annotations

import re

_SPACE = re.compile(r"&nbsp;|[\u00a0\u3000\ufeff]")
_MARKS = re.compile(r"[ \t>*|]*")
_WROTE = re.compile(r".{0,300}(?:写道|寫道|wrote)\s*[：:﹕]", re.IGNORECASE)
_BEGINS = re.compile(r"(?:在|于|於|On\b|At\b|.{0,200}(?:于|於|在)\s*\d{4}|\d{4}\s*年)", re.IGNORECASE)
_DAY = re.compile(r"\d{4}\s*[-/.年]\s*\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d{4}", re.IGNORECASE)
_TIME = re.compile(r"\d{1,2}[:：]\d\d")
_RULE = re.compile(
    r"-{2,}\s*(?:原始邮件|原始郵件|原始信息|原邮件|邮件原件|邮件原文|回复的原邮件|转发邮件|转发的邮件|转发的消息"
    r"|Original(?: Message)?|Replied Message|Forwarded Message)\s*-{2,}",
    re.IGNORECASE,
)
_LINE = re.compile(r"[-_]{10,}")
_HEADS = {
    "from": re.compile(r"(?:发件人|寄件者|寄件人|发送者|From)\s*(?:[：:|*]|\s)", re.IGNORECASE),
    "when": re.compile(r"(?:发送时间|发送日期|寄件日期|日期|时间|Sent|Date)\s*(?:[：:|*]|\s)", re.IGNORECASE),
    "to": re.compile(r"(?:收件人|收件者|To)\s*(?:[：:|*]|\s)", re.IGNORECASE),
    "subject": re.compile(r"(?:主\s*题|主旨|Subject)\s*(?:[：:|*]|\s)", re.IGNORECASE),
}
_MOST, _LONGEST_LINE, _NEAR = 200_000, 400, 7
"""characters that are looked at: a longer text is no letter; lines that a table of heads has"""


def fresh(text: str) -> str:
    """The new words; the whole text where nothing would be left of it (a forwarded mail without a word), or where the
    answers stand between the quoted lines."""
    text = text.replace("\r\n", "\n").replace("\u00a0", " ")
    whole = text.strip()
    if len(text) > _MOST:
        return whole
    lines = text.split("\n")
    plain = [_MARKS.sub("", _SPACE.sub(" ", line[:_LONGEST_LINE]), 1).strip() for line in lines]
    cut = next((n for n in range(len(lines)) if plain[n] and _introduces(lines, plain, n)), len(lines))
    if cut < len(lines) and _answered_between(lines, plain, cut):
        return whole
    kept = cut
    while kept and (not lines[kept - 1].strip(" \t") or lines[kept - 1].lstrip(" \t").startswith(">")):
        kept -= 1
    if kept and cut < len(lines) and _LINE.fullmatch(plain[kept - 1]):
        kept -= 1
    return "\n".join(lines[:kept]).strip() or whole


def _introduces(lines: list[str], plain: list[str], n: int) -> bool:
    return bool(_RULE.fullmatch(plain[n])) or _is_head(plain, n) or bool(_wrote(lines, plain, n))


def _is_head(plain: list[str], n: int) -> bool:
    """A table of who, when, to whom and about what; From and To alone are words of any journey or parcel."""
    if not _HEADS["from"].match(plain[n]):
        return False
    near = plain[n : n + _NEAR]
    found = {name for name, head in _HEADS.items() if any(head.match(line) for line in near)}
    return len(found) >= 3 and ("subject" in found or "@" in plain[n])


def _wrote(lines: list[str], plain: list[str], n: int) -> int:
    """How many lines introduce what somebody wrote: it ends the line, and has a time, or quoted lines below."""
    if not _BEGINS.match(plain[n]) and "<" not in plain[n]:
        return 0
    for count in (1, 2):
        text = " ".join(plain[n : n + count])
        if _WROTE.fullmatch(text):
            below = next((line for line in lines[n + count :] if line.strip()), "")
            dated = _DAY.search(text) and _TIME.search(text)
            return count if dated or below.lstrip().startswith(">") else 0
        if count == 1 and _WROTE.match(text):
            return 0
    return 0


def _answered_between(lines: list[str], plain: list[str], cut: int) -> bool:
    """Unquoted words below quoted lines: they are answers."""
    rest = lines[cut + _wrote(lines, plain, cut) :]
    if len(rest) == len(lines) - cut:
        return False
    words = [line.lstrip() for line in rest if line.strip()]
    return bool(words) and words[0].startswith(">") and not all(line.startswith(">") for line in words)
