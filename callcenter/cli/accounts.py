"""`callcenter phone add|remove|list -c FILE`: accounts by which desk phones register at the edge."""

from __future__ import annotations

import re
import sys
import time

from callcenter.cli.common import parser, settings_or_exit
from callcenter.directory.phones import DIGESTS, PhoneAccounts, new_password

ACTIONS = ("add", "remove", "list")
MIN_PASSWORD = 8
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,31}\Z")


def main(arguments: list[str]) -> int:
    options_parser = parser("phone " + arguments[0], "accounts of desk phones")
    options_parser.add_argument("action", choices=ACTIONS)
    options_parser.add_argument("user", nargs="*", help="name of the account, such as 1001")
    options_parser.add_argument(
        "--password-stdin", action="store_true", help="read the password; otherwise one is made and printed"
    )
    options_parser.add_argument(
        "--digest",
        choices=list(DIGESTS),
        default="md5",
        help="what the phone is challenged with (default md5: many phones fail at anything else)",
    )
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    voice = settings.voice
    accounts = PhoneAccounts(settings.edge_file, voice.domain, voice.listen, _now_ms)
    if options.action == "list":
        return _list(accounts)
    if len(options.user) != 1 or not _USER.match(options.user[0]):
        sys.stderr.write("phone: expected one user of letters, digits, - _ . (at most 32)\n")
        return 2
    user = options.user[0]
    if options.action == "remove":
        if not accounts.drop(user):
            sys.stderr.write(f"phone: no account {user}\n")
            return 1
        return 0
    password = sys.stdin.readline().rstrip("\n") if options.password_stdin else new_password()
    if len(password) < MIN_PASSWORD:
        sys.stderr.write(f"phone: expected a password of at least {MIN_PASSWORD} characters\n")
        return 2
    told = accounts.add(user, password, options.digest)
    if not options.password_stdin:
        told["password"] = password
    sys.stdout.write("".join(f"{name} {value}\n" for name, value in told.items()))
    return 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _list(accounts: PhoneAccounts) -> int:
    for account in accounts.all():
        places = [f"{place['address']} ({place['phone']})" for place in account["places"]]
        sys.stdout.write(f"{account['user']}\t{', '.join(places) or '-'}\n")
    return 0
