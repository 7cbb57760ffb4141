"""How much one source may ask for, and who asks for nothing good. Told the time; no memory grows without
bound."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

_SCANNERS = re.compile(
    rb"friendly-scanner|sipvicious|sundayddr|sip-scan|vaxsipuseragent"
    rb"|\r\nuser-agent[ \t]*:[^\r]*\b(?:sipcli|iwar|smap|pplsip|nmap|masscan)\b",
    re.I,
)
"""short names only where a tool names itself: four letters also stand in many a nonce"""
_MAX_SOURCES = 20_000
_LOOKED_THROUGH = 2048
PASS, REFUSE, IGNORE = "pass", "refuse", "ignore"


def is_scanner(data: bytes) -> bool:
    """Does the head of this message name a tool that looks for open telephone systems? Asked only of what
    begins something: it costs as much as forwarding."""
    return _SCANNERS.search(data[:_LOOKED_THROUGH]) is not None


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` a second, at most `burst` saved up. A rate of 0 is no limit."""

    rate: float
    burst: float
    level: float = -1.0
    at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        if not self.rate:
            return True
        self.level = self.burst if self.level < 0 else self._filled(now_s)
        self.at_s = now_s
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True

    def _filled(self, now_s: float) -> float:
        return min(self.burst, self.level + max(0.0, now_s - self.at_s) * self.rate)


@dataclass(slots=True)
class _Source:
    asked: Bucket
    refused: Bucket


class SourceLimits:
    """New requests by source address. Beyond `rate` they are refused; who goes on at more than ten refusals
    a second is not even answered, since answers to a forged source are an attack on somebody else."""

    def __init__(self, rate: float, burst: float = 0.0) -> None:
        self._rate, self._burst = rate, burst or max(10.0, rate * 2)
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def judge(self, host: str, now_s: float) -> str:
        source = self._sources.get(host)
        if source is None:
            source = _Source(Bucket(self._rate, self._burst), Bucket(10.0, 20.0))
            self._sources[host] = source
            if len(self._sources) > _MAX_SOURCES:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(host)
        if source.asked.take(now_s):
            return PASS
        return REFUSE if source.refused.take(now_s) else IGNORE
