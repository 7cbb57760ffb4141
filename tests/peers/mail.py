"""Mail servers and senders for tests: Dovecot, and Postfix's smtp-sink and smtp-source, and swaks; on 127.0.0.1 only.

Servers run as a system user without rights, also when root runs the tests; nothing of the system's own mail is read
or changed. What smtp-sink cannot do: TLS, log-ins (AUTH is not offered), SIZE and SMTPUTF8."""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import hmac
import imaplib
import itertools
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.peers.phones import HOST, ends_with_tests, free_port, until

_SBIN = Path("/usr/sbin")
"""not in everybody's PATH"""
_UP_WITHIN_S = 10.0
_DOWN_WITHIN_S = 5.0
_ANSWER_WITHIN_S = 10.0


class _Server:
    """A program on a port of its own with a folder of its own, started as a user without rights if we are root."""

    def __init__(self, user: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mail-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.output = self.directory / "output.txt"
        self.port = free_port()
        self.address = f"{HOST}:{self.port}"
        self._account = pwd.getpwnam(user) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, command: list[str]) -> None:
        """Until it listens. Raises RuntimeError when it has ended instead, AssertionError when it runs already."""
        assert not self.running, f"{command[0]} runs already"
        self._end(signal.SIGKILL)  # what is left of one that ended by itself
        # not by an option of the program: who changes its user itself is no longer told that the tests died
        lower: dict[str, Any] = {
            "user": self._account.pw_uid,
            "group": self._account.pw_gid,
            "extra_groups": [],
        }
        with self.output.open("ab") as out:
            self._process = process = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ends_with_tests(signal.SIGTERM),
                **(lower if os.geteuid() == 0 else {}),
            )

        def up() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode} at the start: {self.log()}")
            return _listening(self.port)

        try:
            until(up, _UP_WITHIN_S, f"{command[0]} listening", 0.01)
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _end(self, number: int) -> None:
        """This signal to it and its children; none of them remains. Does nothing if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        _tell(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_DOWN_WITHIN_S)
        _tell(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not _living(process.pid), _DOWN_WITHIN_S, f"the end of all of {process.pid}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self, lines: int = 40) -> str:
        """The end of what it said, for the report of a failed test."""
        files = [self.output, *sorted(self.directory.glob("*.log"))]
        said = [file.read_text(errors="replace").splitlines()[-lines:] for file in files if file.exists()]
        return "\n".join(itertools.chain(*said))

    def stop(self) -> None:
        """Away, its connections too, until it is started again; what it keeps remains."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Whatever state it is in: none of its processes and files remain."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Dovecot(_Server):
    """An IMAP server with one person's mailbox, who logs in with a password, or with a token (XOAUTH2, OAUTHBEARER).

    No TLS. Each name of a token has a mailbox of its own. Mails come back with CRLF at the ends of their lines,
    however they were appended."""

    def __init__(self, user: str = "service@example.com", password: str = "correct horse battery") -> None:
        super().__init__("mail")
        self.user, self.password = user, password
        self._key = secrets.token_bytes(32)
        self._config = self.directory / "dovecot.conf"
        try:
            self._write_config()
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """On the same port, with the mails it had. Raises RuntimeError with its log when it does not come up."""
        self._start([str(_SBIN / "dovecot"), "-F", "-c", str(self._config)])

    def kill(self) -> None:
        """Gone without a word to anybody (`stop` says BYE)."""
        self._end(signal.SIGKILL)

    def token(self, user: str, expires_in: float = 3600) -> str:
        """An access token for this user as the provider would sign it; below 0 it has expired already."""
        now = int(time.time())
        expires = int(now + expires_in)
        head = {"typ": "JWT", "alg": "HS256"}
        body = {"sub": user, "email": user, "iat": min(now, expires), "exp": expires}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (head, body))
        return f"{signed}.{_base64url(hmac.digest(self._key, signed.encode(), hashlib.sha256))}"

    def append(self, raw: bytes, folder: str = "INBOX", flags: str = "") -> int:
        """One more mail in a folder, which is made if need be; its UID."""
        with self.session() as session:
            if folder != "INBOX":
                session.create(_mailbox(folder))  # NO if it is there
            told = _done(session.append(_mailbox(folder), flags, "", raw))
        found = re.search(rb"APPENDUID \d+ (\d+)", told[0])
        assert found is not None, f"no UID: {told}"
        return int(found[1])

    def folder(self, name: str = "INBOX") -> list[bytes]:
        """All mails of a folder, oldest first; reading changes none of their flags."""
        rows = self._fetch(name, "BODY.PEEK[]")
        return [bytes(row[1]) for row in rows if isinstance(row, tuple)]

    def flags(self, folder: str = "INBOX") -> dict[int, set[str]]:
        """Of all mails of a folder by UID: `{7: {"\\\\Seen"}}`."""
        found: dict[int, set[str]] = {}
        for row in self._fetch(folder, "FLAGS"):
            uid = re.search(rb"\bUID (\d+)", row)
            assert uid is not None, f"no UID: {row!r}"
            found[int(uid[1])] = {flag.decode() for flag in imaplib.ParseFlags(row)} - {r"\Recent"}
        return found

    @contextlib.contextmanager
    def session(self) -> Iterator[imaplib.IMAP4]:
        """The person logged in, as from another mail program."""
        with imaplib.IMAP4(HOST, self.port, timeout=_ANSWER_WITHIN_S) as session:
            session.login(self.user, self.password)
            yield session

    def _fetch(self, folder: str, what: str) -> list[Any]:
        with self.session() as session:
            _done(session.select(_mailbox(folder), readonly=True))
            rows = _done(session.uid("FETCH", "1:*", f"({what})"))
        return [row for row in rows if row is not None]

    def _write_config(self) -> None:
        key = self.directory / "keys" / "default" / "HS256" / "default"
        key.parent.mkdir(parents=True)
        key.write_bytes(base64.b64encode(self._key))
        password = base64.b64encode(self.password.encode()).decode()
        (self.directory / "users").write_text(f"{self.user}:{{PLAIN.b64}}{password}\n")
        here, account = self.directory, self._account
        (here / "oauth2.conf").write_text(
            f"introspection_mode = local\nusername_attribute = sub\n"
            f"local_validation_key_dict = fs:posix:prefix={here}/keys/\n"
        )
        group = grp.getgrgid(account.pw_gid).gr_name
        self._config.write_text(
            _DOVECOT.format(here=here, user=account.pw_name, group=group, host=HOST, port=self.port)
        )
        if os.geteuid() == 0:
            os.chown(here, account.pw_uid, account.pw_gid)


_DOVECOT = """\
base_dir = {here}/run
state_dir = {here}/state
log_path = {here}/dovecot.log
auth_verbose = yes

# everything as one user, so nothing can change its root
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 0
service anvil {{
  chroot =
  # no penalty for an address with wrong passwords: all tests have the same
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}

protocols = imap
listen = {host}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
mail_max_userip_connections = 100
default_process_limit = 100
default_client_limit = 500
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = {here}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {here}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={here}/home/%u
}}
mail_location = maildir:~/Maildir
namespace inbox {{
  inbox = yes
  separator = /
}}
mail_fsync = never
"""


class Delivery(NamedTuple):
    """One mail as the relay was given it."""

    sender: str
    recipients: list[str]
    helo: str
    raw: bytes
    """with CRLF at the ends of its lines, even if they came without CR"""


class Relay(_Server):
    """An SMTP server (smtp-sink) that takes everything and keeps it, until it is told by `answer` to refuse."""

    def __init__(self) -> None:
        super().__init__("nobody")
        self._taken, self._refused = self.directory / "taken", self.directory / "refused"
        for folder in (self._taken, self._refused):
            folder.mkdir()
            if os.geteuid() == 0:
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        self._options: list[str] = []
        self._keeps = self._taken
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """On the same port, answering as before. Raises RuntimeError with its words when it does not come up."""
        options = ["-a", "-h", "relay.test", "-d", f"{self._keeps}/m.", *self._options]
        self._start([str(_SBIN / "smtp-sink"), *options, self.address, "100"])

    def stop(self) -> None:
        # a mail that it has half would look whole once nobody has its file open
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            for file in self._unfinished():
                file.unlink(missing_ok=True)
        self._end(signal.SIGKILL)

    def answer(
        self,
        *,
        soft: str = "",
        hard: str = "",
        leave: str = "",
        hang_up: str = "",
        reply: str = "",
        options: Sequence[str] = (),
    ) -> None:
        """From now on, with connections cut; without anything it takes everything again.

        The first four name commands ("RCPT", "MAIL,DATA"; "." is the end of a mail, "CONNECT" the greeting) that
        are refused with 450, refused with 500, answered by 421 and the end of the connection, or by its end alone
        (at "." the mail is kept: taken, and nobody told). `reply` stands instead of 450 or 500, "550 5.1.1 unknown".
        `options` are more of smtp-sink's: `-w 2` waits before it answers DATA, `-W RCPT:2` before RCPT."""
        refusals = {"-r": soft, "-f": hard, "-Q": leave, "-q": hang_up}
        self.stop()
        self._options = [
            word for option, commands in refusals.items() if commands for word in (option, commands)
        ]
        self._options += ["-b" if reply.startswith("4") else "-B", reply] if reply else []
        self._options += options
        # smtp-sink keeps a mail although it refuses its end
        self._keeps = self._refused if "." in re.split(r"[\s,]+", f"{soft},{hard},{leave}") else self._taken
        self.start()

    def messages(self) -> list[bytes]:
        """The mails it took, in the order of their ends."""
        return [delivery.raw for delivery in self.deliveries()]

    def deliveries(self) -> list[Delivery]:
        """As `messages`, with their envelopes."""
        return self._read(self._taken)

    def refused(self) -> list[Delivery]:
        """What it was sent to the end and refused only there."""
        return self._read(self._refused)

    def wait(self, count: int, within_s: float = 10) -> list[bytes]:
        """Until it took so many mails, or more; all of them."""

        def there() -> list[bytes] | None:
            found = self.messages() if sum(1 for _ in self._taken.iterdir()) >= count else []
            return found if len(found) >= count else None

        try:
            return until(there, within_s, "mails", 0.02)
        except TimeoutError:
            raise TimeoutError(f"{len(self.messages())} of {count} mails within {within_s} s") from None

    def _unfinished(self) -> set[Path]:
        """Files of mails whose ends have not come yet."""
        found: set[Path] = set()
        if self._process is not None:
            with contextlib.suppress(FileNotFoundError):
                for entry in Path(f"/proc/{self._process.pid}/fd").iterdir():
                    with contextlib.suppress(FileNotFoundError):
                        found.add(entry.readlink())
        return {file for file in found if file.parent in (self._taken, self._refused)}

    def _read(self, folder: Path) -> list[Delivery]:
        # in this order: what is listed and then not open was whole
        files = list(folder.iterdir())
        unfinished = self._unfinished()
        found = []
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # given up by who sent it
                if file not in unfinished:
                    found.append((file.stat().st_mtime_ns, _delivery(file.read_bytes())))
        return [delivery for _, delivery in sorted(found, key=lambda pair: pair[0])]


def source(address: str, *, timeout_s: float = 60, **mails: Any) -> subprocess.CompletedProcess[str]:
    """Mails by smtp-source, as `start_source` has them, until all are sent; `returncode` 1 says why in `stdout`."""
    with start_source(address, **mails) as process:
        try:
            told, _ = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, told)


def start_source(
    address: str,
    *,
    count: int = 1,
    sessions: int = 1,
    size: int = 0,
    sender: str = "customer@example.net",
    recipient: str = "service@example.com",
    subject: str = "",
    message: bytes = b"",
    recipients: int = 1,
    numbered: bool = False,
    reuse: bool = False,
    keep_going: bool = False,
    options: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """smtp-source on its way: so many mails to host:port, by so many sessions at once. Close it (`with`).

    `size`: bytes of the text; `message`: a mail of our own instead (it arrives with one empty line more at its end).
    `recipients`: of each mail; they differ by a number before the address, the last has none. `numbered`: each address
    of all mails has another number. `reuse`: many mails by one connection. The first refusal ends it unless it is to
    `keep_going`."""
    command = [str(_SBIN / "smtp-source"), "-M", "source.test", "-m", str(count), "-s", str(sessions)]
    command += ["-f", sender, "-t", recipient, "-r", str(recipients), *(["-S", subject] if subject else [])]
    command += [*(["-l", str(size)] if size else []), *(["-F", "/dev/stdin"] if message else [])]
    command += [*["-N"] * numbered, *["-d"] * reuse, *["-A"] * keep_going, *options, address]
    with tempfile.TemporaryFile() as given:
        given.write(message.replace(b"\r\n", b"\n"))
        given.seek(0)
        return subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=ends_with_tests(signal.SIGKILL),
        )


def swaks(address: str, *args: str, timeout_s: float = 30) -> str:
    """One conversation with host:port by swaks, said as `args` say (`--to` at least); its transcript."""
    host, _, port = address.rpartition(":")
    command = ["swaks", "--config", "--server", host, "--port", port, "--helo", "swaks.test", *args]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={name: value for name, value in os.environ.items() if not name.startswith("SWAKS_")},
        timeout=timeout_s,
        check=False,
    )
    return done.stdout


def _tell(group: int, number: int) -> None:
    """A signal to all of a process group that we started, if any are left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _living(group: int) -> list[int]:
    """Processes of this group; not those that ended and wait for whoever adopted them to notice."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # after the name, which may hold blanks: state, parent, group
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state not in "ZX":
                    found.append(int(entry.name))
    return found


def _listening(port: int) -> bool:
    return f" 0100007F:{port:04X} 00000000:0000 0A " in Path("/proc/net/tcp").read_text()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _mailbox(name: str) -> str:
    """A folder's name as IMAP writes it: modified UTF-7 (RFC 3501, 5.1.3), quoted."""

    def shift(found: re.Match[str]) -> str:
        coded = base64.b64encode(found[0].encode("utf-16-be")).decode().rstrip("=")
        return f"&{coded.replace('/', ',')}-"

    coded = re.sub(r"[^\x20-\x7e]+", shift, name.replace("&", "&-"))
    return '"' + re.sub(r'(["\\])', r"\\\1", coded) + '"'


def _done(answer: tuple[str, list[Any]]) -> list[Any]:
    """An IMAP command's data. Raises AssertionError when it was refused."""
    kind, data = answer
    assert kind == "OK", f"{kind}: {data}"
    return data


def _delivery(dump: bytes) -> Delivery:
    """One of smtp-sink's files: its own headers up to a `Received` of three lines, the mail, an empty line."""
    found = re.match(rb"((?:X-[A-Za-z-]+: .*\n)*)Received: .*\n\t.*\n\t.*\n", dump)
    assert found is not None, f"not a file of smtp-sink: {dump[:200]!r}"
    head = found[1].decode(errors="replace")

    def values(name: str) -> list[str]:
        return re.findall(rf"^X-{name}-Args: (.*)$", head, re.MULTILINE)

    def path(value: str) -> str:
        return value.partition(">")[0].lstrip("<").strip()

    raw = dump[found.end() :].removesuffix(b"\n").replace(b"\n", b"\r\n")
    senders, helo = values("Mail"), values("Helo")
    return Delivery(path(senders[0]), [path(value) for value in values("Rcpt")], "".join(helo[-1:]), raw)
