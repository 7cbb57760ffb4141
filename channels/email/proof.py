"""Who stands for the sender: SPF, DKIM and DMARC, by the libraries, and DNS by a resolver with a budget.

The answer is of three words, each pass, fail, softfail, neutral, none, temperror or permerror. Where a trusted server
in front has looked already, its word counts (RFC 8601), since only it saw the sender's address."""

from __future__ import annotations

import contextlib
import email
import email.policy
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import authres
import dns.exception
import dns.resolver
from authheaders import authenticate_message, dmarc_lookup

METHODS = ("spf", "dkim", "dmarc")
_ASK_S, _BUDGET_S = 2.0, 5.0
_MOST_CACHED = 20_000
Lookup = Callable[[str], list[str]]
"""TXT records of a name; [] for none. Raises TimeoutError."""


class _SuffixesOnce:
    """The library reads the list of public suffixes anew for every mail, which takes thirty times as long as all the
    rest; this stands in the place of its reader and reads once."""

    def __init__(self, reader: Callable[[TextIO], Any]) -> None:
        self._reader, self._suffixes = reader, None

    def __call__(self, file: TextIO) -> Any:
        if self._suffixes is None:
            self._suffixes = self._reader(file)
        return self._suffixes


dmarc_lookup.PublicSuffixList = _SuffixesOnce(dmarc_lookup.PublicSuffixList)


class Dns:
    """TXT lookups with a memory and a budget for each mail."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        """`servers`: host or host:port; none: those of the machine."""
        self._resolver = dns.resolver.Resolver(configure=not servers)
        if servers:
            hosts = [
                server.rpartition(":") if server.count(":") == 1 else (server, "", "53") for server in servers
            ]
            self._resolver.nameservers = [host for host, _, _port in hosts]
            self._resolver.port = int(hosts[0][2])
        dns.resolver.default_resolver = self._resolver  # the SPF library asks there
        self._resolver.lifetime = _ASK_S
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._until = 0.0

    def begin(self) -> None:
        """Of a mail."""
        self._until = time.monotonic() + _BUDGET_S

    def txt(self, name: str) -> list[str]:
        now = time.monotonic()
        known = self._known.get(name)
        if known is not None and known[0] > now:
            return known[1]
        if now >= self._until:
            raise TimeoutError(name)
        try:
            answer = self._resolver.resolve(name, "TXT", lifetime=min(_ASK_S, self._until - now))
            found = [b"".join(row.strings).decode("utf-8", "replace") for row in answer]
            keep_s = float(min(3600, max(60, answer.rrset.ttl if answer.rrset is not None else 300)))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            found, keep_s = [], 300.0
        except (dns.exception.DNSException, OSError) as error:
            raise TimeoutError(name) from error
        if len(self._known) >= _MOST_CACHED:
            self._known.clear()
        self._known[name] = (now + keep_s, found)
        return found


def prove(raw: bytes, peer: str, helo: str, mail_from: str, txt: Lookup) -> dict[str, str]:
    """`peer`: the address that the mail came from; "" where it was fetched (then SPF is not asked)."""

    def asked(name: bytes | str, timeout: float = _ASK_S) -> bytes | str | None:
        """As the libraries ask: the signature checker in bytes, the policy checker in text."""
        del timeout
        plain = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
        found = txt(plain.rstrip("."))
        wanted = next((one for one in found if "v=DMARC1" in one), found[0] if found else None)
        if wanted is None:
            return None
        return wanted.encode() if isinstance(name, bytes) else wanted

    try:
        told = authenticate_message(
            raw, "here", spf=bool(peer), ip=peer, mail_from=mail_from, helo=helo, dnsfunc=asked
        )
        results = dict(_results(told, "here"))
    except TimeoutError:
        return dict.fromkeys(METHODS, "temperror")
    except Exception:  # three libraries on a stranger's bytes: what fails proves nothing, and loses nothing
        return dict.fromkeys(METHODS, "permerror")
    if b"dkim-signature:" not in raw.split(b"\r\n\r\n", 1)[0].lower():
        results["dkim"] = "none"
    return {**dict.fromkeys(METHODS, "none"), **results}


def of_trusted_server(raw: bytes, servers: tuple[str, ...]) -> dict[str, str]:
    """The word of the servers in front that we trust; {} where none of them said one. The topmost counts: what lies
    under it anybody may have written."""
    head = email.message_from_bytes(raw.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n", policy=email.policy.compat32)
    for value in head.get_all("Authentication-Results", [])[:5]:
        text = str(value)
        server = text.split(";")[0].split()[0].strip().lower() if text.split(";")[0].split() else ""
        if server in servers:
            return {**dict.fromkeys(METHODS, "none"), **_results(text, server)}
    return {}


def _results(text: str, server: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    value = text.partition(":")[2] if text.lower().startswith("authentication-results:") else text
    with contextlib.suppress(authres.AuthResError, ValueError, TypeError, AttributeError, IndexError):
        parsed = authres.AuthenticationResultsHeader.parse_value(" ".join(value.split()))
        if parsed.authserv_id.lower() != server.lower():
            return {}
        for result in parsed.results:
            method = str(result.method)
            if method in METHODS and found.get(method) != "pass":
                found[method] = str(result.result)
    return found
