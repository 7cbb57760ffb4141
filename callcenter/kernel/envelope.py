"""The key envelope: a master key outside the database wraps one data key per person.

Erasing a person destroys the wrapped data key; every text sealed under it is gone with it.
AES-256-GCM throughout (NIST SP 800-38D, 96-bit random nonces). Blind indexes are HMAC-SHA-256
under a key derived from the master key (RFC 5869), so equal numbers can be found without being
readable.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from callcenter.kernel.errors import ConfigError

NONCE_BYTES = 12
MASTER_KEY_ENV = "CALLCENTER_MASTER_KEY"


def seal(key: bytes, plain: bytes, context: bytes = b"") -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def unseal(key: bytes, sealed: bytes, context: bytes = b"") -> bytes:
    """Raises ValueError when key, context or text do not belong together."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except InvalidTag as error:
        raise ValueError("sealed text does not open with this key") from error


class MasterKey:
    """Wraps data keys and derives the index key. 32 bytes."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise ConfigError("master key", f"{len(raw)} bytes", "32 bytes, base64")
        self._raw = raw
        self._aead = AESGCM(raw)
        self._index_key = HKDF(hashes.SHA256(), 32, None, b"blind index").derive(raw)

    @classmethod
    def load(cls, path: Path) -> MasterKey:
        """From the environment (base64), else from `path`, which is made on the first start."""
        from_env = os.environ.get(MASTER_KEY_ENV)
        if from_env:
            return cls(_decode(MASTER_KEY_ENV, from_env))
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = base64.b64encode(secrets.token_bytes(32))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh + b"\n")
        return cls(_decode(str(path), path.read_text().strip()))

    def wrap(self, data_key: bytes, person: str) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, data_key, person.encode())

    def unwrap(self, wrapped: bytes, person: str) -> bytes:
        return unseal(self._raw, wrapped, person.encode())

    def seal_text(self, text: str, context: str) -> bytes:
        """For records that belong to the installation rather than to one person."""
        return seal(self._raw, text.encode(), context.encode())

    def unseal_text(self, sealed: bytes, context: str) -> str:
        return unseal(self._raw, sealed, context.encode()).decode()

    def index_key(self, purpose: str) -> bytes:
        """A key of its own for the index of this purpose."""
        return hmac.digest(self._index_key, f"key\0{purpose}".encode(), "sha256")

    def blind_index(self, purpose: str, text: str) -> str:
        return hmac.digest(self._index_key, f"{purpose}\0{text}".encode(), "sha256").hex()[:32]


def _decode(source: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ConfigError(source, "(not shown)", "32 bytes, base64") from error
