"""`python -m channels.voice.edge '<json>'`: the voice edge until TERM or INT."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor as _reactor  # noqa: E402 - after the reactor was chosen
from twisted.internet.error import CannotListenError  # noqa: E402

from callcenter.kernel import locks, logging  # noqa: E402
from callcenter.kernel.collector import spare_the_collector  # noqa: E402
from channels.voice.edge.digest import Digest  # noqa: E402
from channels.voice.edge.flow import UDP, Flow, Seal, bracketed  # noqa: E402
from channels.voice.edge.proxy import EdgeConfig, Proxy  # noqa: E402
from channels.voice.edge.registrar import Registrar  # noqa: E402
from channels.voice.edge.server import EdgeServer  # noqa: E402
from channels.voice.edge.spread import Spread, Upstream  # noqa: E402
from channels.voice.edge.store import EdgeStore  # noqa: E402
from channels.voice.edge.trunks import TrunkConfig, Trunks  # noqa: E402
from channels.voice.edge.workers import WorkerWatch  # noqa: E402

NICE = -10
log = logging.get("edge")
reactor: Any = _reactor


class Edge:
    def __init__(self, raw: dict[str, Any]) -> None:
        run_dir = Path(raw["run_dir"])
        self.listen, self.inside = _pair(raw["listen"]), _pair(raw["inside"])
        public = (raw["advertise"] or self.listen[0], self.listen[1])
        self.store = EdgeStore(Path(raw["file"]))
        self.spread = Spread()
        self.trunks = Trunks(
            [_trunk(trunk) for trunk in raw["trunks"]],
            f"{bracketed(public[0])}:{public[1]}",
            raw["domain"],
        )
        tls_port = _pair(raw["tls"]["listen"])[1] if raw["tls"] else 0
        config = EdgeConfig(public, self.inside, raw["domain"], tls_port, **raw["rules"])
        self.proxy = Proxy(
            config,
            Seal(self.store.key()),
            Digest(raw["domain"], lambda: int(time.time()), self.store.account),
            Registrar(self.store, _now_ms),
            self.spread,
            self.trunks,
            time.monotonic,
        )
        self.server = EdgeServer(self.proxy, self._natted)
        self.watch = WorkerWatch(run_dir, self._workers_changed)
        self._saved: list[tuple[str, int, int]] = self.store.workers()
        self._run_dir, self._tls = run_dir, raw["tls"]

    def start(self) -> None:
        self.server.listen(self.listen, self.inside)
        if self._tls:
            self.server.listen_tls(
                _pair(self._tls["listen"]), Path(self._tls["cert"]), Path(self._tls["key"])
            )
        self.server.listen_status(self._run_dir / "edge.sock", self.describe)
        self.watch.start(self._saved)
        self.server.start(time.monotonic)

    def describe(self) -> dict[str, Any]:
        now_s = time.monotonic()
        bindings = self.store.bindings(_now_ms())
        return {
            "pid": os.getpid(),
            "address": f"{bracketed(self.listen[0])}:{self.listen[1]}",
            "inside": f"{self.inside[0]}:{self.inside[1]}",
            "counts": dict(self.proxy.counts + self.server.counts),
            "connections": self.server.connections,
            "paths": len(self.proxy.paths),
            "registered": len({binding.user for binding in bindings}),
            "trunks": self.trunks.describe(now_s),
            "workers": [
                {"slot": worker.slot, "free": worker.room, "draining": worker.draining}
                for worker in self.spread.workers.values()
            ],
        }

    def _natted(self) -> list[Flow]:
        return [b.flow for b in self.store.bindings(_now_ms()) if b.nat and b.flow.transport == UDP]

    def _workers_changed(self, workers: list[Upstream]) -> None:
        self.spread.replace(workers)
        present = sorted((w.host, w.port, w.slot) for w in workers)
        if present and present != self._saved:
            self._saved = present
            self.store.save_workers(present)


def _trunk(raw: dict[str, Any]) -> TrunkConfig:
    file = raw.pop("password_file")
    password = Path(file).read_text(encoding="utf-8").strip() if file else ""
    return TrunkConfig(**{**raw, "sources": tuple(raw["sources"]), "password": password})


def _pair(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(argument: str) -> int:
    raw = json.loads(argument)
    logging.configure("edge")
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    except OSError:
        log.info("not_preferred", reason="permitted to root only, and good without")
    run_dir = Path(raw["run_dir"])
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        locks.hold(run_dir / "edge.lock")
    except locks.LockTaken as error:
        sys.stderr.write(f"edge: {error} is held by another one\n")
        return 3
    try:
        edge = Edge(raw)
        edge.start()
    except (CannotListenError, OSError) as error:
        sys.stderr.write(f"edge: cannot start on {raw['listen']} and {raw['inside']}: {error}\n")
        return 4
    log.info("edge_ready", address=edge.describe()["address"])
    spare_the_collector()
    reactor.run()
    log.info("edge_stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
