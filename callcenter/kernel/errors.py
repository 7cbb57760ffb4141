"""Two kinds of error: our own misuse raises, the peer's misbehaviour is answered and counted."""

from __future__ import annotations


class ContactCentreError(Exception):
    """Base of everything this product raises on purpose."""


class ConfigError(ContactCentreError):
    """A setting that cannot be used. Shown with key, value and expectation; ends in exit 2."""

    def __init__(self, key: str, value: object, expected: str) -> None:
        self.key, self.value, self.expected = key, value, expected
        super().__init__(f"{key} = {value!r}: expected {expected}")


class PeerError(ContactCentreError):
    """Somebody outside sent what we cannot use; `code` goes into the counter's label."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        super().__init__(f"{code}: {detail}" if detail else code)


class NotAllowed(ContactCentreError):
    """A person asked for what their role or the state of things does not permit."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)
