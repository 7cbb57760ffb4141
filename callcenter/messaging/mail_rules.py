"""Which queue a mail goes to: the first rule of the operator that fits. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol


class Rule(Protocol):
    """As `config.written.MailRule`."""

    @property
    def queue(self) -> str: ...

    @property
    def recipient(self) -> str: ...

    @property
    def language(self) -> str: ...

    @property
    def words(self) -> tuple[str, ...]: ...

    @property
    def klass(self) -> str: ...


def queue_of(
    rules: Sequence[Rule], recipients: Collection[str], language: str, words: str, klass: str, default: str
) -> str:
    """All that a rule names has to hold; of its words one. `words`: subject and text."""
    lowered = words.casefold()
    for rule in rules:
        if (
            (not rule.recipient or rule.recipient.lower() in recipients)
            and (not rule.language or rule.language == language)
            and (not rule.klass or rule.klass == klass)
            and (not rule.words or any(word.casefold() in lowered for word in rule.words))
        ):
            return rule.queue
    return default
