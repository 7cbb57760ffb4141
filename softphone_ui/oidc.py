"""Logging in by way of an identity provider: OpenID Connect, authorisation code with PKCE (RFC 7636), ID token verified
against the provider's keys. Whoever the provider names has to be one of our users already."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt

from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from config.settings import Oidc

log = logging.get("oidc")
_ALGORITHMS = ["RS256", "ES256", "PS256"]
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_TIMEOUT_S = 5.0
_MINUTES_TO_LOG_IN = 10
_MOST_ATTEMPTS = 1_000
_LEEWAY_S = 30


@dataclass(frozen=True, slots=True)
class _Attempt:
    verifier: str
    nonce: str
    redirect_uri: str
    until: float


class OidcLogin:
    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._attempts: dict[str, _Attempt] = {}
        self._provider: dict[str, Any] = {}

    @property
    def enabled(self) -> bool:
        return bool(self._settings.issuer)

    @property
    def name(self) -> str:
        return self._settings.name

    async def begin(self, redirect_uri: str) -> tuple[str, str]:
        """(where to send the browser, the state it has to bring back). Raises NotAllowed: oidc_unreachable."""
        provider = await self._configuration()
        now = time.monotonic()
        live = {state: one for state, one in self._attempts.items() if one.until > now}
        self._attempts = dict(list(live.items())[-_MOST_ATTEMPTS:])
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        self._attempts[state] = _Attempt(verifier, nonce, redirect_uri, now + _MINUTES_TO_LOG_IN * 60)
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._settings.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{provider['authorization_endpoint']}?{urlencode(query)}", state

    async def finish(self, state: str, code: str) -> str:
        """The login that the provider vouches for. Each state serves once. Raises NotAllowed: oidc_refused,
        oidc_unreachable."""
        attempt = self._attempts.pop(state, None)
        if attempt is None or attempt.until <= time.monotonic() or not code:
            raise NotAllowed("oidc_refused")
        provider = await self._configuration()
        secret = self._secret()
        answer = await self._ask(
            "POST",
            provider["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": attempt.redirect_uri,
                "client_id": self._settings.client_id,
                "code_verifier": attempt.verifier,
                **({"client_secret": secret} if secret else {}),
            },
        )
        keys = await self._ask("GET", provider["jwks_uri"])
        try:
            claims = self._verified(str(answer["id_token"]), keys, str(provider["issuer"]))
            if not secrets.compare_digest(str(claims.get("nonce", "")), attempt.nonce):
                raise ValueError("nonce")
            if self._settings.login_claim not in claims and "userinfo_endpoint" in provider:
                bearer = {"Authorization": f"Bearer {answer['access_token']}"}
                more = await self._ask("GET", provider["userinfo_endpoint"], headers=bearer)
                if more.get("sub") == claims["sub"]:  # OpenID Connect Core 5.3.2
                    claims = {**more, **claims}
            return str(claims[self._settings.login_claim])
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            log.warning("oidc_refused", reason=type(error).__name__)
            raise NotAllowed("oidc_refused") from error

    def _secret(self) -> str:
        file = self._settings.client_secret_file
        try:
            return file.read_text().strip() if file is not None else ""
        except OSError as error:
            log.error("oidc_secret_unreadable", reason=type(error).__name__)
            raise NotAllowed("oidc_refused") from error

    def _verified(self, token: str, keys: dict[str, Any], issuer: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        candidates = [
            key
            for key in jwt.PyJWKSet.from_dict(keys).keys
            if header.get("kid") in (None, key.key_id) and header.get("alg") in _ALGORITHMS
        ]
        if not candidates:
            raise ValueError("no key fits")
        claims: dict[str, Any] = jwt.decode(
            token,
            candidates[0].key,
            algorithms=_ALGORITHMS,
            audience=self._settings.client_id,
            issuer=issuer,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        return claims

    async def _configuration(self) -> dict[str, Any]:
        """The provider's own description, read once; again after it could not be had."""
        if not self._provider:
            issuer = self._settings.issuer.rstrip("/")
            found = await self._ask("GET", f"{issuer}/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != issuer:
                log.warning("oidc_refused", reason="another issuer")
                raise NotAllowed("oidc_refused")
            if not all(isinstance(found.get(name), str) for name in _ENDPOINTS):
                log.warning("oidc_refused", reason="endpoints missing")
                raise NotAllowed("oidc_refused")
            self._provider = found
        return self._provider

    async def _ask(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as client:
                response = await client.request(method, url, **more)
            if response.status_code >= 500:
                raise NotAllowed("oidc_unreachable")
            if response.status_code != 200:
                log.warning("oidc_refused", reason=f"status {response.status_code}")
                raise NotAllowed("oidc_refused")
            found = response.json()
        except (httpx.HTTPError, ValueError) as error:
            log.warning("oidc_unreachable", reason=type(error).__name__)
            raise NotAllowed("oidc_unreachable") from error
        if not isinstance(found, dict):
            raise NotAllowed("oidc_refused")
        return found
