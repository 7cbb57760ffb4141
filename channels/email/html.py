"""HTML of mails: cleaned to be shown, and as words. Pure."""

from __future__ import annotations

import html as markup
import re
from typing import Any

import html2text
import nh3

LONGEST_HTML = 1_000_000
_ELEMENT = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
_REOPENED = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
"""what is not closed is repeated in every block that follows"""
_NESTS = _REOPENED | {"blockquote", "div", "dl", "ol", "span", "table", "ul"}
_DEEPEST_HTML, _MOST_REOPENED = 400, 200_000
_TAG = re.compile(r"<[^<>]*>")
_TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "div",
        "dl",
        "dt",
        "em",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
    ]
)
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "font": {"color"},
    **{tag: {"colspan", "rowspan", "align", "width"} for tag in ("td", "th")},
    "table": {"border", "cellpadding", "cellspacing", "width", "align"},
}


def clean(html: str) -> str:
    """HTML without script, style, form or frame. Links open elsewhere and tell nobody where from; pictures are left as
    they are named: whoever shows them decides about `cid:` and the net."""
    return nh3.clean(html, **clean_arguments())


def clean_arguments() -> dict[str, Any]:
    """Of nh3: what mails may show, whoever cleans them."""
    return {
        "tags": set(_TAGS),
        "clean_content_tags": {"script", "style", "title", "head", "noscript", "template", "svg", "math"},
        "attributes": {tag: set(names) for tag, names in _ATTRIBUTES.items()},
        "url_schemes": {"http", "https", "mailto", "cid"},
        "url_relative": "deny",
        "link_rel": "noopener noreferrer nofollow",
    }


def too_deep(html: str) -> bool:
    """Elements that nobody closes: what reads them makes megabytes of kilobytes."""
    depth = reopened = total = 0
    for found in _ELEMENT.finditer(html):
        name, step = found[2].lower(), -1 if found[1] else 1
        if name in _NESTS:
            depth = max(0, depth + step)
        if name in _REOPENED:
            reopened = max(0, reopened + step)
        total += reopened
        if depth > _DEEPEST_HTML or total > _MOST_REOPENED:
            return True
    return False


def words_of(html: str) -> str:
    html = html[:LONGEST_HTML]
    if too_deep(html):
        return markup.unescape(_TAG.sub(" ", html))
    reader = html2text.HTML2Text(bodywidth=0)
    reader.ignore_links = reader.ignore_images = reader.ignore_emphasis = reader.ignore_tables = True
    reader.escape_snob = False
    try:
        words = reader.handle(clean(html))
    except (RecursionError, ValueError, AssertionError, IndexError, AttributeError):
        return nh3.clean(html, tags=set())
    return re.sub(r"\n{3,}", "\n\n", words).strip()
