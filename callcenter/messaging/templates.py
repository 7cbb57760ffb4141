"""Words of ours that go out by mail: the operator's, else the shipped ones; sandboxed, plain text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Template, TemplateError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from callcenter.kernel import logging

log = logging.get("templates")
ACKNOWLEDGED, CLOSED, SIGNATURE, TRANSCRIPT, CODE, INTRODUCTION = (
    *("acknowledged", "acknowledged_closed", "signature", "transcript", "code", "introduction"),
)
LANGUAGES = ("zh", "en")
_WORDS = Path(__file__).parent.parent / "words"
_LONGEST = 20_000


class Templates:
    def __init__(self, own: Mapping[str, Mapping[str, str]], name: str) -> None:
        """`own`: words of the operator by template and language; `name`: the house, as `{{ name }}`."""
        self._own, self._name = own, name
        self._shipped = {
            language: json.loads((_WORDS / f"mail.{language}.json").read_text(encoding="utf-8"))
            for language in LANGUAGES
        }
        self._environment = SandboxedEnvironment(autoescape=False, undefined=Undefined)
        self._compiled: dict[str, Template] = {}
        """by its words: compiling takes longer than all the rest of an acknowledgement"""

    def render(self, template: str, language: str, **values: str) -> str:
        """In this language, else in Chinese. The operator's words where they can be rendered, else ours: a letter goes
        out all the same."""
        language = language if language in LANGUAGES else LANGUAGES[0]
        own = self._own.get(template, {})
        for text in (own.get(language, ""), self._shipped[language]["letters"][template]):
            if text:
                try:
                    made = self._template(text).render(name=self._name, **values)
                    return made[:_LONGEST].strip()
                except (
                    TemplateError,
                    ValueError,
                    TypeError,
                    OverflowError,
                    RecursionError,
                    MemoryError,
                ) as error:
                    log.error(
                        "template_broken", name=template, language=language, reason=type(error).__name__
                    )
        return ""

    def subject(self, template: str, language: str) -> str:
        words: str = self._shipped[language if language in LANGUAGES else LANGUAGES[0]]["subjects"][template]
        return words

    def render_text(self, text: str, **values: str) -> str:
        """A beginning that an agent picked; as it stands where it cannot be rendered."""
        try:
            return self._template(text).render(name=self._name, **values)[:_LONGEST].strip()
        except (TemplateError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
            return text

    def _template(self, text: str) -> Template:
        """Raises TemplateError."""
        known = self._compiled.get(text)
        if known is None:
            known = self._compiled[text] = self._environment.from_string(text)
        return known
