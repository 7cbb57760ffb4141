"""`callcenter doctor [-c FILE]`: what is installed, what is missing, what that costs, how to mend it."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from channels.voice.worker import library
from channels.voice.worker.inband import detector_available

PACKAGES = (
    "twisted",
    "pjsua2-python",
    "sqlmodel",
    "fastapi",
    "jinja2",
    "prometheus-client",
    "msgpack",
    "aiortc",
)
PROGRAMS = (
    ("espeak-ng", "espeak-ng", "prompts without a recording and names are not spoken"),
    ("sox", "sox", "prompts without a recording and names are not spoken"),
)
TEST_PROGRAMS = (
    ("sipp", "sip-tester", "tests with real callers do not run"),
    ("baresip", "baresip-core", "tests of audio do not run"),
    ("chromium", "chromium", "tests of the pages do not run"),
    ("swig", "swig", "make dense does not run"),
)
LEGS_A_CONVERSATION = 2
_MIN_FREE_BYTES = 2 * 1024**3
GOOD, WARNING, BAD = "good", "warning", "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    state: str
    detail: str
    mend: str = ""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="callcenter doctor", description="what is installed and what is missing"
    )
    parser.add_argument("-c", "--config", help="also look at this configuration")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    findings = list(examine(options.config))
    if options.json:
        rows = [{"what": f.what, "state": f.state, "detail": f.detail, "mend": f.mend} for f in findings]
        sys.stdout.write(json.dumps(rows, ensure_ascii=False) + "\n")
    else:
        _show(findings)
    return 1 if any(finding.state == BAD for finding in findings) else 0


def examine(config: str | None) -> Iterator[Finding]:
    supported = sys.version_info >= (3, 11)
    yield Finding(
        "python", GOOD if supported else BAD, sys.version.split()[0], "" if supported else "use Python 3.11+"
    )
    for name in PACKAGES:
        try:
            yield Finding(name, GOOD, version(name))
        except PackageNotFoundError:
            yield Finding(name, BAD, "not installed", "make install")
    yield from _libraries()
    for program, package, cost in PROGRAMS + TEST_PROGRAMS:
        if shutil.which(program):
            yield Finding(program, GOOD, "installed")
        else:
            yield Finding(program, WARNING, cost, f"apt-get install {package}")
    if detector_available():
        yield Finding("libspandsp2", GOOD, "installed")
    else:
        yield Finding(
            "libspandsp2",
            WARNING,
            "keys of callers whose carrier sends them as sound are not heard",
            "apt-get install libspandsp2",
        )
    if config:
        yield from _configured(config)


def _libraries() -> Iterator[Finding]:
    used = library.DENSE if library.dense_installed() else library.STOCK
    for kind in (library.STOCK, library.DENSE):
        legs = legs_of(kind)
        name = f"pjsua2 ({kind})" + (", in use" if kind == used else "")
        if legs:
            detail = f"{legs} call legs a worker: {legs // LEGS_A_CONVERSATION} conversations, " + (
                f"{legs // (LEGS_A_CONVERSATION + 1)} with a consultation each"
            )
            yield Finding(name, GOOD, detail)
        else:
            yield Finding(
                name,
                WARNING if kind == library.DENSE else BAD,
                "not installed",
                "make dense" if kind == library.DENSE else "make install",
            )


def legs_of(kind: str) -> int:
    """Asked in a process of its own, since one process holds one of the two; 0 where it is missing."""
    code = (
        "import sys; from channels.voice.worker import library; "
        "print(library.legs(library.load(sys.argv[1])[0]))"
    )
    asked = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, check=False)
    return int(asked.stdout) if asked.returncode == 0 else 0


def _configured(config: str) -> Iterator[Finding]:
    from callcenter.cli.plan import complaints
    from callcenter.kernel.errors import ConfigError
    from config.sections import split_address
    from config.settings import load

    try:
        settings = load(Path(config))
    except ConfigError as error:
        yield Finding("configuration", BAD, str(error), f"edit {config}")
        return
    for complaint in complaints(settings):
        yield Finding("configuration", BAD, complaint, f"edit {config}")
    yield Finding("configuration", GOOD, config)
    host, _ = split_address(settings.voice.listen)
    if settings.voice.accept == "anyone" and not _trusted(host):
        yield Finding(
            "voice.accept",
            WARNING,
            "anybody on the network may call, up to source_rate new requests a second each",
            'accept = "known" with trunks and registered telephones',
        )
    stock = settings.voice.library == library.STOCK or not library.dense_installed()
    if stock and not settings.voice.edge and not _trusted(host):
        yield Finding(
            "voice.listen",
            WARNING,
            f"{settings.voice.listen} with the stock pjsua2: one malformed message can end the worker and its calls",
            "voice.edge = true, make dense, or listen on a trusted network only",
        )
    yield from _storage(settings.journal.url, settings.paths.var)


def _storage(journal: str, var: Path) -> Iterator[Finding]:
    from callcenter.journal.database import ERRORS, PostgresDatabase

    place = next(parent for parent in (var, *var.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    state = GOOD if free > _MIN_FREE_BYTES else WARNING
    yield Finding(
        "disk", state, f"{free / 1024**3:.1f} GiB free", "" if state == GOOD else f"make room on {place}"
    )
    file = Path(journal.removeprefix("sqlite:///"))
    embedded = journal.startswith("sqlite")
    if embedded and not file.exists():
        yield Finding("journal", GOOD, "none yet; made at the first start")
        return
    mend = (
        "move the file away; the next start makes a new one"
        if embedded
        else "start the server, check the URL"
    )
    try:
        reader = sqlite3.connect(f"file:{file}?mode=ro", uri=True) if embedded else PostgresDatabase(journal)
        with contextlib.closing(reader) as connection:
            count = connection.execute("SELECT count(*) FROM activations").fetchone()[0]
        yield Finding("journal", GOOD, f"{count} activations")
    except ERRORS as error:
        yield Finding("journal", BAD, str(error), mend)


def _trusted(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    marks = {GOOD: "[green]✓ good[/]", WARNING: "[yellow]! missing[/]", BAD: "[red]✗ bad[/]"}
    table = Table("", "what", "found", "to mend it", box=None)
    for finding in findings:
        table.add_row(marks[finding.state], finding.what, finding.detail, finding.mend)
    Console().print(table)
