"""`python -m tests.fuzz.edge CORPUS -max_total_time=20`: atheris, guided by coverage, feeds the edge what a network
may. A stranger's bytes must never raise, never leave for anybody but who sent them or a worker, and whatever
leaves must be a message again."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["channels.voice.edge"]):
    from channels.voice.edge.framing import StreamBroken, StreamFraming
    from channels.voice.edge.proxy import OUTSIDE

from tests.channels.edge.far_ends import CALLER, NUMBER, OTHER, Party, World

_MAX = 65_535
world = World(Path(tempfile.mkdtemp(prefix="fuzz-")), rules={"source_rate": 0.0})
world.account("1001")


def stranger(data: bytes) -> None:
    """The first byte says how the rest comes: one datagram, or a stream in pieces of that size."""
    if not data:
        return
    pieces, rest = data[0], data[1:]
    messages = [rest]
    if pieces:
        framing, messages = StreamFraming(_MAX), []
        try:
            for at in range(0, len(rest), pieces):
                messages += framing.feed(rest[at : at + pieces])
        except StreamBroken:
            messages += framing.done
    for message in messages:
        for send in world.outside(message):
            assert send.side != OUTSIDE or send.flow.host == CALLER.host, "sent to somebody who did not ask"
    world.now_s += 0.01


def seeds(folder: Path) -> None:
    """Whole messages to begin with."""
    party = Party("caller", CALLER)
    invite = party.request("INVITE", NUMBER, "Supported: timer", body=b"v=0\r\n")
    found = [invite, party.request("OPTIONS", NUMBER), party.request("REGISTER", "sip:centre", "Expires: 60")]
    found += [party.request("BYE", NUMBER), Party("x", OTHER).request("REFER", NUMBER, "Refer-To: <sip:1@h>")]
    found.append(b"SIP/2.0 200 OK\r\n" + invite.partition(b"\r\n")[2])
    for n, data in enumerate(found):
        (folder / f"datagram-{n}").write_bytes(b"\x00" + data)
        (folder / f"stream-{n}").write_bytes(b"\x17" + data + data)


if __name__ == "__main__":
    seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, stranger)
    atheris.Fuzz()
