"""What of a mail's text is new: quoted mails and what introduces them are cut, as Chinese and English clients write
them. The library knows the tables of Outlook and the lines of English clients; what it does not know stands here."""

from __future__ import annotations

import re

from mailparser_reply import EmailReplyParser

_WROTE = re.compile(
    r"^[ \t>]*(?:"
    r"在[^\n]{4,160}?(?:写道|寫道)\s*[：:]"  # 在 2026年11月3日 …，客服 <a@b> 写道：
    r"|(?:于|於)[^\n]{4,160}?(?:写道|寫道)\s*[：:]"
    r"|[^\n]{1,120}?(?:于|於)\s*\d{4}[^\n]{4,80}?(?:写道|寫道|wrote)\s*[：:]"  # 客服 <a@b> 于2026年…写道：
    r"|At\s\d{4}-\d\d-\d\d[^\n]{4,160}?,[^\n]{1,120}?wrote:"  # NetEase in English
    r"|-{2,}\s*(?:原始邮件|原始郵件|原邮件|转发邮件|回复的原邮件|Original|Original Message)\s*-{2,}"
    r"|_{20,}\s*$(?=\s*^(?:发件人|寄件者|From)\s*[：:])"
    r"|\|\s*(?:发件人|发件人\s*\|)"  # NetEase's mobile table
    r")",
    re.MULTILINE,
)
_HEADS = re.compile(
    r"^[ \t>*]*(?:发件人|寄件者|发送者|From)\s*[：:*][^\n]*\n(?:[^\n]*\n){0,2}?"
    r"[ \t>*]*(?:发送时间|发送日期|寄件日期|日期|时间|Sent|Date|收件人|To)\s*[：:*]",
    re.MULTILINE,
)
_QUOTED_TAIL = re.compile(r"(?:^[ \t]*>[^\n]*(?:\n|\Z)|^[ \t]*(?:\n|\Z))+\Z", re.MULTILINE)
_PARSER = EmailReplyParser(languages=["en", "zh"])
_MOST = 200_000
"""characters that are looked at: a longer text is no letter"""


def fresh(text: str) -> str:
    """The new words; the whole text where nothing would be left of it (a forwarded mail without a word)."""
    text = text.replace("\r\n", "\n").replace("\u00a0", " ")
    head, rest = text[:_MOST], text[_MOST:]
    cut = min((found.start() for found in (_WROTE.search(head), _HEADS.search(head)) if found), default=-1)
    if cut >= 0:
        head, rest = head[:cut], ""
    elif not rest:
        head = str(_PARSER.parse_reply(head) or "") if _could_quote(head) else head
        head = _QUOTED_TAIL.sub("", head)
    fresh_text = (head + rest).strip()
    return fresh_text or text.strip()


def _could_quote(text: str) -> bool:
    """Cheap to see: without any of these the library finds nothing to cut."""
    return "\n>" in text or "wrote" in text or "From:" in text or "发件人" in text or "\n--" in text
