"""Who a visitor of the insurer's own site is, as that site says in a signed token (JWT)."""

from __future__ import annotations

from pathlib import Path

import jwt

from callcenter.kernel.e164 import to_e164
from callcenter.kernel.errors import ConfigError, NotAllowed


class SignedIdentity:
    """The token says `aud` (what it is for), `exp`, and `phone`, the customer's number."""

    def __init__(
        self, setting: str, key_file: Path | None, algorithm: str, audience: str, region: str
    ) -> None:
        """`setting`: what names the file. Raises ConfigError where it cannot be read."""
        self._algorithm, self._audience, self._region = algorithm, audience, region
        self._key = ""
        if key_file is not None:
            try:
                self._key = key_file.read_text().strip()
            except OSError as error:
                raise ConfigError(setting, str(key_file), "a readable file") from error

    def phone(self, token: str) -> str:
        """The number, as E.164. Raises NotAllowed: bad_identity."""
        if not self._key:
            raise NotAllowed("bad_identity")
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=self._audience,
                options={"require": ["exp", "aud", "phone"]},
            )
            phone = to_e164(str(claims["phone"]), self._region)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotAllowed("bad_identity") from error
        if phone is None:
            raise NotAllowed("bad_identity")
        return phone
