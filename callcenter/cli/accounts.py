"""`callcenter phone add|remove|list -c FILE`: accounts by which desk phones register at the edge."""

from __future__ import annotations

import re
import secrets
import sys
import time

from callcenter.cli.common import parser, settings_or_exit
from callcenter.cli.plan import edge_file
from channels.voice.edge.digest import Secret
from channels.voice.edge.store import Binding, EdgeStore

ACTIONS = ("add", "remove", "list")
MIN_PASSWORD = 8
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,31}\Z")
_DIGESTS = {"md5": ("MD5",), "sha256": ("SHA-256",), "both": ("SHA-256", "MD5")}
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def main(arguments: list[str]) -> int:
    options_parser = parser("phone " + arguments[0], "accounts of desk phones")
    options_parser.add_argument("action", choices=ACTIONS)
    options_parser.add_argument("user", nargs="*", help="name of the account, such as 1001")
    options_parser.add_argument(
        "--password-stdin", action="store_true", help="read the password; otherwise one is made and printed"
    )
    options_parser.add_argument(
        "--digest",
        choices=list(_DIGESTS),
        default="md5",
        help="what the phone is challenged with (default md5: many phones fail at anything else)",
    )
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    store = EdgeStore(edge_file(settings))
    try:
        if options.action == "list":
            return _list(store)
        if len(options.user) != 1 or not _USER.match(options.user[0]):
            sys.stderr.write("phone: expected one user of letters, digits, - _ . (at most 32)\n")
            return 2
        user = options.user[0]
        if options.action == "remove":
            if not store.drop_account(user):
                sys.stderr.write(f"phone: no account {user}\n")
                return 1
            return 0
        password = _password(options.password_stdin)
        if len(password) < MIN_PASSWORD:
            sys.stderr.write(f"phone: expected a password of at least {MIN_PASSWORD} characters\n")
            return 2
        domain = settings.voice.domain
        secret = Secret.of(user, domain, password, _DIGESTS[options.digest])
        store.put_account(user, secret, time.time_ns() // 1_000_000)
        told = {
            "user": user,
            "realm": domain,
            "registrar": settings.voice.listen,
            "device": f"sip:{user}@{domain}",
        }
        if not options.password_stdin:
            told["password"] = password
        sys.stdout.write("".join(f"{name} {value}\n" for name, value in told.items()))
        return 0
    finally:
        store.close()


def _password(given: bool) -> str:
    if given:
        return sys.stdin.readline().rstrip("\n")
    return "".join(secrets.choice(_LETTERS) for _ in range(16))


def _list(store: EdgeStore) -> int:
    now_ms = time.time_ns() // 1_000_000
    for user in store.accounts():
        places = [
            f"{binding.flow} ({binding.agent.decode('utf-8', 'replace')})"
            for binding in store.bindings(now_ms, user)
        ]
        sys.stdout.write(f"{user}\t{', '.join(places) or '-'}\n")
    return 0


def _place(binding: Binding) -> str:
    return f"{binding.flow} ({binding.agent.decode('utf-8', 'replace')})"
