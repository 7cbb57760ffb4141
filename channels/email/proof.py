"""Who stands for the sender: SPF, DKIM and DMARC, by the libraries, and DNS by a resolver with a budget.

The answer is of three words, each pass, fail, softfail, neutral, none, temperror or permerror. Where a trusted server
in front has looked already, its word counts (RFC 8601), since only it saw the sender's address."""

from __future__ import annotations

import contextlib
import email.policy
import re
import time
from collections.abc import Callable, Mapping
from email.parser import BytesHeaderParser
from typing import Any, TextIO

import authres
import dkim
import dns.exception
import dns.nameserver
import dns.resolver
import spf
from authheaders import dmarc_lookup

from channels.email.heads import sole_sender_of

_WORDS = frozenset({"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"})
_PLAIN = re.compile(r"[^@\s\"]+@[A-Za-z0-9._\-]+")
_HEAD_ENDS, _BARE_CR = re.compile(rb"\n\r?\n"), re.compile(rb"\r(?!\n|\Z)")
_MOST_SIGNATURES = 5
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
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*_host_port(one)) for one in servers]
        dns.resolver.default_resolver = self._resolver  # the SPF library asks there
        self._resolver.lifetime = _ASK_S
        self._resolver.timeout = _ASK_S / (
            len(self._resolver.nameservers) + 1
        )  # one that is silent is not all
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


def _host_port(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":") if server.count(":") == 1 or "]:" in server else (server, "", "53")
    return host.strip("[]"), int(port)


def prove(raw: bytes, peer: str, helo: str, mail_from: str, txt: Lookup) -> dict[str, str]:
    """`peer`: the address that the mail came from; "" where it was fetched (then SPF is not asked)."""
    try:
        spf_word, spf_domain = _spf(peer, mail_from, helo) if peer else ("none", "")
        dkim_word, signers = _dkim(raw, txt)
        dmarc = _dmarc(_from_domain(raw), spf_domain, signers, "temperror" in (spf_word, dkim_word), txt)
    except Exception:  # three libraries on a stranger's bytes: what fails proves nothing, and loses nothing
        return dict.fromkeys(METHODS, "permerror")
    return {"spf": spf_word, "dkim": dkim_word, "dmarc": dmarc}


def _spf(peer: str, mail_from: str, helo: str) -> tuple[str, str]:
    """(result, the domain that it is about)."""
    if mail_from and not _PLAIN.fullmatch(mail_from):
        return "permerror", ""
    try:
        word = str(spf.check2(peer, mail_from, helo, timeout=_BUDGET_S, querytime=_ASK_S)[0])
    except Exception:  # an address or a name that is none
        return "permerror", ""
    domain = mail_from.rpartition("@")[2] or helo
    return (word, domain.lower() if word == "pass" else "") if word in _WORDS else ("permerror", "")


def _dkim(raw: bytes, txt: Lookup) -> tuple[str, list[str]]:
    """(result, the domains that signed all of it): one good signature of several is enough."""

    def asked(name: bytes, timeout: float = _ASK_S) -> bytes | None:
        del timeout
        return next((one.encode() for one in txt(name.decode("ascii", "replace").rstrip("."))), None)

    words, signers = set(), []
    try:
        checker = dkim.DKIM(raw)
        signatures = sum(name.lower() == b"dkim-signature" for name, _value in checker.headers)
    except dkim.DKIMException:
        return "permerror", []
    for n in range(min(signatures, _MOST_SIGNATURES)):
        try:
            good = checker.verify(n, dnsfunc=asked) and b"from" in checker.include_headers
            words.add("pass" if good else "fail")
            if good and b"l" not in checker.signature_fields:
                signers.append(checker.domain.decode("ascii", "replace").lower())
        except TimeoutError:
            words.add("temperror")
        except Exception:  # a signature that is none
            words.add("fail")
    return next((word for word in ("pass", "temperror", "fail") if word in words), "none"), signers


def _dmarc(domain: str, spf_domain: str, signers: list[str], unsure: bool, txt: Lookup) -> str:
    """Of the sender that the application sees, and of no other."""
    if not domain:
        return "permerror"
    whole = _organisation(domain)
    try:
        rows = (row for name in dict.fromkeys((domain, whole)) for row in txt(f"_dmarc.{name}"))
        record = next((row for row in rows if row.strip().lower().startswith("v=dmarc1")), "")
    except TimeoutError:
        return "temperror"
    tags = {name.strip().lower(): value.strip().lower() for name, _, value in _pairs_of(record)}
    if not tags.get("p"):
        return "none"
    for tag, domains in (("aspf", [spf_domain]), ("adkim", signers)):
        strict = tags.get(tag) == "s"
        if any(one and (one == domain if strict else _organisation(one) == whole) for one in domains):
            return "pass"
    return "temperror" if unsure else "fail"


def _pairs_of(record: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in record.split(";")]


def _organisation(domain: str) -> str:
    """The library takes a zone that its list does not know for one organisation."""
    found = str(dmarc_lookup.get_org_domain(domain))
    return found if "." in found else ".".join(domain.split(".")[-2:])


def _from_domain(raw: bytes) -> str:
    """Of the one sender; "" where there are none or several, or where a header ends as some programs see it only."""
    head = _HEAD_ENDS.split(raw, 1)[0]
    return "" if _BARE_CR.search(head) else sole_sender_of(raw).rpartition("@")[2]


def of_trusted_server(raw: bytes, servers: tuple[str, ...]) -> dict[str, str]:
    """The word of the servers in front that we trust; {} where the topmost is none of theirs: what lies under it
    anybody may have written."""
    head = BytesHeaderParser(policy=email.policy.compat32).parsebytes(raw)
    value = next((str(v) for name, v in head.raw_items() if name.lower() == "authentication-results"), "")
    text = " ".join("".join(letter if letter.isascii() else "?" for letter in value).split())
    server = (text.partition(";")[0].split() or [""])[0].lower()
    if server not in {one.lower() for one in servers}:
        return {}
    return {**dict.fromkeys(METHODS, "none"), **_results(text, server, _from_domain(raw))}


def _results(text: str, server: str, domain: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    with contextlib.suppress(authres.AuthResError, ValueError, TypeError, AttributeError, IndexError):
        parsed = authres.AuthenticationResultsHeader.parse_value(text)
        if parsed.authserv_id.lower() != server:
            return {}
        for result in parsed.results:
            method, word = str(result.method), str(result.result)
            about = [
                str(one.value).lower()
                for one in result.properties
                if (one.type, one.name) == ("header", "from")
            ]
            if method == "dmarc" and (not domain or any(one.rpartition("@")[2] != domain for one in about)):
                word = "permerror"
            again = found.get(method) == "pass" if method == "dmarc" else found.get(method) != "pass"
            if method in METHODS and (
                method not in found or again
            ):  # one signature is enough; one doubt is, too
                found[method] = word
    return found
