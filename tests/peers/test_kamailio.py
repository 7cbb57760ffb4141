"""Kamailio, configured as we ship it, in the edge's place: register, call, spread over two workers."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.centre import Centre, agent, queue
from tests.peers.phones import Baresip, Sipp, ends_with_tests, until

pytestmark = [pytest.mark.peer("sipp", "baresip", "kamailio"), pytest.mark.dense]

NUMBER, PASSWORD, CALLS = "95520", "open-sesame-9", 8
CONFIG = Path(__file__).parents[2] / "config" / "deploy" / "kamailio.cfg"
Start = Callable[..., Centre]


@contextmanager
def kamailio(centre: Centre, folder: Path) -> Iterator[None]:
    """On both addresses of the edge, which is dead meanwhile."""
    host, _, port = centre.inside.rpartition(":")
    workers = folder / "dispatcher.list"
    workers.write_text("".join(f"1 sip:{host}:{int(port) + 1 + slot}\n" for slot in range(2)))
    given = {"PUBLIC": centre.sip, "INSIDE": centre.inside, "WORKERS": str(workers), "PASSWORD": PASSWORD}
    words = [f"--substdef=!{name}!{value}!g" for name, value in given.items()]
    log = (folder / "kamailio.log").open("wb")
    command = ["kamailio", "-f", str(CONFIG), "-DD", "-E", "-m", "64", "-M", "8", "-Y", str(folder), *words]
    with centre.without_supervisor():
        centre.kill_edge()
        process = subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=ends_with_tests(15), start_new_session=True
        )
        try:
            yield
            assert process.poll() is None, (folder / "kamailio.log").read_text()[-2000:]
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # its own way down takes up to a minute at times
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            log.close()


def test_register_call_and_spread(start_centre: Start, tmp_path: Path) -> None:
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent("1001", device="sip:1001@centre")],
        library="dense",
        voice={"workers": 2, "max_legs": 60},
    )
    with kamailio(centre, tmp_path):
        with Baresip(
            tmp_path / "desk", "1001", answer="auto", registrar=centre.sip, password=PASSWORD
        ) as phone:
            until(lambda: "200 OK" in phone.output.read_text(), 10, "the registration", 0.1)
            with Baresip(tmp_path / "caller", "13800138001") as caller:
                caller.dial(NUMBER, centre.sip)
                phone.event("CALL_ESTABLISHED")
                until(lambda: caller.heard_s() > 1, 10, "talk")
                phone.hang_up()
                caller.event("CALL_CLOSED")
            row = centre.ended(NUMBER, "13800138001")
            assert (row["outcome"], row["agent"]) == ("answered", "1001")
        with Sipp(
            "caller_many", tmp_path / "many", remote=centre.sip, number=NUMBER, calls=CALLS, rate=8, hold_s=3
        ) as many:
            until(lambda: sum(w["legs"] for w in centre.status()["workers"]) >= CALLS, 10, "all of them", 0.1)
            assert [w["legs"] >= CALLS // 2 for w in centre.status()["workers"]] == [True, True]
            many.wait(30)
    until(lambda: centre.status()["edge"], 10, "the edge again", 0.1)
