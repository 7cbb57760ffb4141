"""`callcenter demo [--var DIR]`: a running centre with sample data, two seats and their telephones."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from callcenter.cli.certificate import self_signed

RULES = Path(__file__).resolve().parent.parent.parent / "config" / "demo-policy.toml"
TEMPLATE = Path(__file__).resolve().parent.parent.parent / "config" / "demo.toml"
LOGINS = ("1001", "1002", "8001", "9001", "9002")
_READY_S = 30.0
_POLL_S = 0.1


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="callcenter demo", description="a running centre with sample data")
    parser.add_argument("--var", type=Path, default=Path("var/demo"), help="where everything of it lies")
    parser.add_argument(
        "--lan",
        action="store_true",
        help="pages for other computers, too, over TLS with a certificate of its own",
    )
    options = parser.parse_args(arguments)
    var = options.var.resolve()
    var.mkdir(parents=True, exist_ok=True)
    addresses = _addresses(var, options.lan)
    config = var / "demo.toml"
    if not (var / "policy.toml").exists():
        shutil.copyfile(RULES, var / "policy.toml")
    config.write_text(TEMPLATE.read_text(encoding="utf-8").format(var=var, **addresses), encoding="utf-8")
    password = _password(var)
    _prepare(config, password)
    return _run(config, var, addresses, password)


def _addresses(var: Path, lan: bool) -> dict[str, Any]:
    """The usual ports where they are free, others where not."""
    sip, http = _free(5060, socket.SOCK_DGRAM), _free(8443 if lan else 8080, socket.SOCK_STREAM)
    phone = _free(17010, socket.SOCK_DGRAM)
    host = _own_address() if lan else "127.0.0.1"
    tls = self_signed(var, host) if lan else ()
    return {
        "sip": f"127.0.0.1:{sip}",
        "http": f"{host}:{http}",
        "page": f"{'https' if lan else 'http'}://{host}:{http}",
        "tls": "\n".join(
            f'{name} = "{path}"' for name, path in zip(("tls_cert", "tls_key"), tls, strict=False)
        ),
        "advertise": json.dumps([] if lan else ["127.0.0.1", *_others()]),
        "phone_2": f"127.0.0.1:{phone}",
        "browser_rtp_low": 20_200,
        "browser_rtp_high": 20_299,
        "smtp": f"127.0.0.1:{_free(2525, socket.SOCK_STREAM)}",
        "relay": f"127.0.0.1:{_free(2526, socket.SOCK_STREAM)}",
        "rtp_low": 20_000,
        "rtp_high": 20_199,
    }


def _own_address() -> str:
    """The address by which others of this network reach this machine; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _others() -> list[str]:
    """Browsers may leave loopback out of what they offer, so the machine's own address is told, too."""
    own = _own_address()
    return [] if own == "127.0.0.1" else [own]


def _free(wanted: int, kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.close()
            with socket.socket(socket.AF_INET, kind) as other:
                other.bind(("127.0.0.1", 0))
                return int(other.getsockname()[1])
    return wanted


def _password(var: Path) -> str:
    """Made once for this demonstration and kept beside it, readable by its owner only."""
    path = var / "password"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(9))
    return path.read_text().strip()


def _prepare(config: Path, password: str) -> None:
    from callcenter.cli.user import set_password
    from callcenter.directory.directory import Directory
    from callcenter.kernel.envelope import MasterKey
    from config.settings import load
    from crm_core.db import migrate, open_engine, session
    from crm_core.sample import fill

    settings = load(config)
    engine = open_engine(settings.database.url)
    migrate(engine)
    Directory(settings, engine)
    master = MasterKey.load(settings.paths.var / "keys" / "master.key")
    with session(engine) as records:
        fill(records, master, datetime.now(UTC).date())
        records.commit()
    for login in LOGINS:
        set_password(engine, login, password)
    engine.dispose()


def _run(config: Path, var: Path, addresses: dict[str, Any], password: str) -> int:
    python = sys.executable
    children: list[subprocess.Popen[bytes]] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        centre = subprocess.Popen([python, "-m", "callcenter", "run", "-c", str(config)])
        children.append(centre)
        from ivr_flows.library import PROMPTS

        say = str(PROMPTS / "zh" / "agent_greeting.wav")
        command = [python, "-m", "callcenter", "phone", "--listen", addresses["phone_2"], "--say", say]
        children.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        # what the centre sends is filed, not sent: a mailbox stands for the world
        relay = [python, "-m", "aiosmtpd", "-n", "-l", addresses["relay"], "-c", "aiosmtpd.handlers.Mailbox"]
        children.append(
            subprocess.Popen(
                [*relay, str(var / "sent-mail")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        if not _wait_ready(centre, var):
            return centre.poll() or 1
        _tell(addresses, password, config)
        return centre.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()


def _wait_ready(centre: subprocess.Popen[bytes], var: Path) -> bool:
    deadline = time.monotonic() + _READY_S
    while centre.poll() is None and time.monotonic() < deadline:
        try:
            said = json.loads((var / "run" / "core.json").read_text())
        except (OSError, ValueError):
            said = {}
        if said.get("state") == "ready" and Path(f"/proc/{said['pid']}").exists():
            return True
        time.sleep(_POLL_S)
    return False


def _tell(addresses: dict[str, Any], password: str, config: Path) -> None:
    sip = addresses["sip"]
    lines = [
        f"agent         {addresses['page']}/        log in as 1001 / {password}, open the phone, press R for ready",
        f"caller        {addresses['page']}/call    another tab: call, press 1, then 0; the agent answers with A",
        f"colleague     1002 / {password}    (a telephone that answers by itself: to consult, to transfer to)",
        f"supervisor    8001 / {password}    (administrator 9001, auditor 9002: same password)",
        f"hotline       sip:95519@{sip}    (straight to a person: sip:95520@{sip})",
        f"dial it       sipp {sip} -sn uac -s 95520 -i 127.0.0.1 -m 1 -d 30000 -nostdin   (Debian: sip-tester)",
        f"  with keys   .venv/bin/callcenter phone --dial sip:95519@{sip} --keys 14:1,20:0 --seconds 60",
        f"chat          {addresses['page']}/chat/sample    a page of the insurer with the widget on it",
        f"mail          swaks --server {addresses['smtp']} --to service@insurer.example --from customer1@example.com",
        "              (Debian: swaks)  it lands with 1001; answers lie in sent-mail/new of the folder of the demo",
        f"status        .venv/bin/callcenter status -c {config}",
        "",
        "Two tabs of one browser are enough. Ctrl-C stops everything.",
    ]
    sys.stdout.write("\nThe centre is running.\n\n" + "\n".join(lines) + "\n")
    sys.stdout.flush()
