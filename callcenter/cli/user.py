"""`callcenter user password LOGIN -c FILE`: set a password, read from standard input."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from callcenter.cli.common import parser, settings_or_exit

if TYPE_CHECKING:
    from sqlalchemy import Engine


def main(arguments: list[str]) -> int:
    options_parser = parser("user", "set a password")
    options_parser.add_argument("action", choices=["password"])
    options_parser.add_argument("login")
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    from callcenter.directory.directory import Directory
    from callcenter.kernel.errors import NotAllowed
    from crm_core.db import migrate, open_engine

    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    engine = open_engine(settings.database.url)
    migrate(engine)
    Directory(settings, engine)
    try:
        set_password(engine, options.login, password)
    except NotAllowed as error:
        sys.stderr.write(f"{options.login}: {error.code}\n")
        return 1
    return 0


def set_password(engine: Engine, login: str, password: str) -> None:
    """Raises NotAllowed: unknown_login, password_too_short."""
    from sqlmodel import col, delete

    from callcenter.directory.people import LoginSession, UserService
    from callcenter.kernel.errors import NotAllowed
    from crm_core.db import session
    from softphone_ui.auth import hash_password

    with session(engine) as records:
        user = UserService(records).by_login(login)
        if user is None:
            raise NotAllowed("unknown_login")
        user.password_hash = hash_password(password)
        user.failed_logins, user.locked_until_ms, user.must_change = 0, 0, False
        records.exec(delete(LoginSession).where(col(LoginSession.user_id) == user.id))
        records.add(user)
        records.commit()
