"""Accounts by which desk phones register at the edge, and where each of them is."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callcenter.kernel.errors import NotAllowed
from channels.voice.edge.digest import Secret
from channels.voice.edge.store import EdgeStore

DIGESTS = {"md5": ("MD5",), "sha256": ("SHA-256",), "both": ("SHA-256", "MD5")}
"""what a phone is challenged with; many fail at anything but MD5"""
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def new_password() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(16))


class PhoneAccounts:
    """Every method blocks, and is to run on a helper thread."""

    def __init__(self, file: Path, domain: str, registrar: str, now_ms: Callable[[], int]) -> None:
        self._file, self._domain, self._registrar, self._now_ms = file, domain, registrar, now_ms

    def all(self) -> list[dict[str, Any]]:
        store = EdgeStore(self._file)
        try:
            now_ms = self._now_ms()
            return [
                {
                    "user": user,
                    "places": [
                        {"address": str(one.flow), "phone": one.agent.decode("utf-8", "replace")}
                        for one in store.bindings(now_ms, user)
                    ],
                }
                for user in store.accounts()
            ]
        finally:
            store.close()

    def device(self, user: str) -> str:
        """The address by which this account is rung. Raises NotAllowed: unknown_phone."""
        store = EdgeStore(self._file)
        try:
            if user not in store.accounts():
                raise NotAllowed("unknown_phone")
        finally:
            store.close()
        return f"sip:{user}@{self._domain}"

    def add(self, user: str, password: str, digest: str = "md5") -> dict[str, str]:
        """A new account, or a new password for one; what the telephone is to be told."""
        store = EdgeStore(self._file)
        try:
            secret = Secret.of(user, self._domain, password, DIGESTS[digest])
            store.put_account(user, secret, self._now_ms())
        finally:
            store.close()
        return {
            "user": user,
            "realm": self._domain,
            "registrar": self._registrar,
            "device": f"sip:{user}@{self._domain}",
        }

    def drop(self, user: str) -> bool:
        """False where there was none."""
        store = EdgeStore(self._file)
        try:
            return store.drop_account(user)
        finally:
            store.close()
