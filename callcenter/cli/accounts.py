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
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def main(arguments: list[str]) -> int:
    options_parser = parser("phone " + arguments[0], "accounts of desk phones")
    options_parser.add_argument("action", choices=ACTIONS)
    options_parser.add_argument("user", nargs="*", help="name of the account, such as 1001")
    options_parser.add_argument(
        "--password-stdin", action="store_true", help="read the password; otherwise one is made and printed"
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
        return _add(store, user, settings.voice.domain, settings.voice.listen, options.password_stdin)
    finally:
        store.close()


def _add(store: EdgeStore, user: str, domain: str, address: str, given: bool) -> int:
    password = (
        sys.stdin.readline().rstrip("\n") if given else "".join(secrets.choice(_LETTERS) for _ in range(16))
    )
    if len(password) < MIN_PASSWORD:
        sys.stderr.write(f"phone: expected a password of at least {MIN_PASSWORD} characters\n")
        return 2
    store.put_account(user, Secret.of(user, domain, password), time.time_ns() // 1_000_000)
    sys.stdout.write(f"user {user}\nrealm {domain}\nregistrar {address}\ndevice sip:{user}@{domain}\n")
    if not given:
        sys.stdout.write(f"password {password}\n")
    return 0


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
