"""Fixtures of the peer tests: programs that must be there, and centres that leave nothing behind."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from tests.peers.centre import Centre

_PACKAGES = {
    "sipp": "sip-tester",
    "baresip": "baresip-core",
    "chromium": "chromium",
    "kamailio": "kamailio",
    "swaks": "swaks",
    "dovecot": "dovecot-imapd",
    "smtp-source": "postfix",
    "smtp-sink": "postfix",
}
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
Start = Callable[..., Centre]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`peer(*programs)` names what a test needs; "raw" is the right to send recorded RTP."""
    missing = []
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if program == "raw" and not _may_send_raw():
                missing.append("raw sockets: run as root, or with CAP_NET_RAW")
            elif program != "raw" and shutil.which(program, path=_PATH) is None:
                missing.append(f"{program}: apt-get install {_PACKAGES[program]}")
    if item.get_closest_marker("dense") is not None:
        from channels.voice.worker.library import dense_installed

        if not dense_installed():
            missing.append("the dense pjsua2: make dense")
    if not missing:
        return
    reason = "; ".join(dict.fromkeys(missing))
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"missing here, where everything must be tested: {reason}", pytrace=False)
    pytest.skip(f"missing {reason}")


def _may_send_raw() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close()
    except PermissionError:
        return False
    return True


@pytest.fixture
def start_centre(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start a centre; after the test it must stop cleanly, unless the test failed already."""
    started: list[Centre] = []

    def start(**settings: Any) -> Centre:
        centre = Centre(**settings)
        started.append(centre)
        centre.wait_ready()
        return centre

    request.node.stash[_CENTRES] = started
    try:
        yield start
        if not request.node.stash.get(_FAILED, False):
            for centre in started:
                if centre.supervisor.poll() is None:
                    centre.stop()
    finally:
        for centre in started:
            centre.close()


_CENTRES = pytest.StashKey[list[Centre]]()
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """The logs of the centres that a failed test used stand in its report."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
        used = [*item.stash.get(_CENTRES, []), *_centres_of(item)]
        for centre in used:
            report.sections.append(("logs of the centre", centre.logs()))
    return report


def _centres_of(item: pytest.Item) -> list[Centre]:
    return [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Centre)]
