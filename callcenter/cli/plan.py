"""`callcenter plan -c FILE`: check the configuration; print what the supervisor shall run, as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from callcenter.cli.common import parser, settings_or_exit
from callcenter.directory.directory import prompt_file
from callcenter.directory.rules import RulesFile
from config.policy import PolicyError
from config.sections import split_address
from config.settings import PORTS_PER_LEG, Settings, Trunk

MIN_LEGS = 4


def worker_argument(settings: Settings, slot: int) -> str:
    """The JSON that the worker of this slot is started with."""
    voice = settings.voice
    host, port = voice.worker_address(slot)
    low, high = settings.rtp_slice(slot)
    return json.dumps(
        {
            "slot": slot,
            "run_dir": str(settings.run_dir),
            "sip": {
                "host": host,
                "port": port,
                "advertise": "" if voice.edge else voice.advertise,
                "rtp_host": split_address(voice.listen)[0],
                "rtp_advertise": voice.advertise,
                "edge": "{}:{}".format(*voice.inside_address) if voice.edge else "",
                "rtp_low": low,
                "rtp_high": high,
                "library": voice.library,
                "max_legs": voice.max_legs,
                "credentials": [
                    [trunk.username, str(trunk.password_file)]
                    for trunk in settings.trunks
                    if trunk.password_file is not None
                ],
            },
            "music": prompt_file(settings, "music"),
            "retry_after_s": voice.retry_after_s,
            "silence_probe_s": voice.silence_probe_s,
            "calls_per_s": 0.0 if voice.edge else voice.calls_per_s,
        }
    )


def edge_argument(settings: Settings) -> str:
    """The JSON that the edge is started with. Passwords stay in their files."""
    voice = settings.voice
    tls = {"listen": voice.tls_listen, "cert": str(voice.tls_cert), "key": str(voice.tls_key)}
    return json.dumps(
        {
            "run_dir": str(settings.run_dir),
            "file": str(settings.edge_file),
            "listen": voice.listen,
            "inside": "{}:{}".format(*voice.inside_address),
            "advertise": voice.advertise,
            "domain": voice.domain,
            "tls": tls if voice.tls_listen else None,
            "rules": {
                "accept": voice.accept,
                "retry_after_s": voice.retry_after_s,
                "source_rate": voice.source_rate,
                "calls_per_s": voice.calls_per_s,
            },
            "trunks": [_trunk(trunk) for trunk in settings.trunks],
        }
    )


def browser_argument(settings: Settings, slot: int) -> str:
    """The JSON that the host of browser phones of this slot is started with."""
    webrtc = settings.webrtc
    host, port = settings.browser_address(slot)
    low, high = webrtc.rtp_ports
    size = (high - low + 1) // settings.browser_hosts
    listen, hotline_port = split_address(settings.voice.listen)
    return json.dumps(
        {
            "slot": slot,
            "run_dir": str(settings.run_dir),
            "host": host,
            "port": port,
            "rtp_low": low + slot * size,
            "rtp_high": low + (slot + 1) * size - 1,
            "music": prompt_file(settings, "music"),
            "advertise": list(webrtc.advertise),
            "udp_ports": list(webrtc.udp_slice(slot, settings.browser_hosts)),
            "ice_servers": [server.model_dump(exclude_defaults=True) for server in webrtc.ice_servers],
            "hotline": f"{'127.0.0.1' if listen == '0.0.0.0' else listen}:{hotline_port}",  # noqa: S104 - a check
        }
    )


def _trunk(trunk: Trunk) -> dict[str, Any]:
    host, port = split_address(trunk.address)
    return {
        "name": trunk.name,
        "host": host,
        "port": port,
        "transport": trunk.transport,
        "sources": trunk.sources,
        "username": trunk.username,
        "password_file": str(trunk.password_file or ""),
        "register": trunk.register_,
        "monitor_s": trunk.monitor_s,
        "calls_per_s": trunk.calls_per_s,
    }


def plan(settings: Settings, config: str) -> dict[str, Any]:
    python = sys.executable
    workers = [
        {
            "name": f"worker-{slot}",
            "argv": [python, "-m", "channels.voice.worker", worker_argument(settings, slot)],
            "lock": f"w-{slot}.lock",
        }
        for slot in range(settings.voice.workers)
    ]
    edge = {
        "name": "edge",
        "argv": [python, "-m", "channels.voice.edge", edge_argument(settings)],
        "lock": "edge.lock",
    }
    edges = [edge] if settings.voice.edge else []
    browsers = [
        {
            "name": f"browser-{slot}",
            "argv": [python, "-m", "channels.voice.browser", browser_argument(settings, slot)],
            "lock": f"b-{slot}.lock",
        }
        for slot in range(settings.browser_hosts)
    ]
    core = {
        "name": "core",
        "argv": [python, "-m", "callcenter", "run", "--only", "core", "-c", config],
        "lock": "core.lock",
    }
    return {
        "run_dir": str(settings.run_dir),
        "log_dir": str(settings.paths.var / "log"),
        "parts": [*edges, *workers, *browsers, core],
    }


def complaints(settings: Settings) -> list[str]:
    """What only the whole configuration shows, each as key = value: expected."""
    found = []
    legs = settings.voice.max_legs or MIN_LEGS
    low, high = settings.rtp_slice(0)
    if high - low + 1 < legs * PORTS_PER_LEG:
        found.append(
            f"voice.rtp_ports = {list(settings.voice.rtp_ports)}: expected at least {PORTS_PER_LEG} ports a leg, "
            f"{legs * PORTS_PER_LEG} for {legs} legs"
        )
    for trunk in settings.trunks:
        if trunk.password_file is not None and not trunk.password_file.is_file():
            found.append(f"trunks.{trunk.name}.password_file = {str(trunk.password_file)!r}: expected a file")
    try:
        RulesFile(settings.routing.policy_file).read()
    except PolicyError as error:
        found += [f"routing.policy_file: {line}" for line in str(error).splitlines()]
    if settings.run_dir.exists() and settings.run_dir.stat().st_uid != os.getuid():
        found.append(f"paths.var: {settings.run_dir} belongs to somebody else")
    if settings.journal.path is not None and settings.journal.url == settings.database.url:
        found.append(f"journal.url = {settings.journal.url!r}: expected another file than database.url")
    from ivr_flows.library import shipped

    flows = shipped()
    for n, number in enumerate(settings.numbers):
        if number.prompt is not None and not _has_prompt(settings, number.prompt, number.language):
            found.append(
                f"numbers.{n}.prompt = {number.prompt!r}: expected the name of a WAV file among the prompts"
            )
        if number.flow is not None and number.flow not in flows:
            found.append(f"numbers.{n}.flow = {number.flow!r}: expected one of {sorted(flows)}")
    return found


def _has_prompt(settings: Settings, name: str, language: str) -> bool:
    folders = [folder for folder in (settings.paths.prompts, _shipped_prompts()) if folder is not None]
    return any(
        (folder / place).is_file()
        for folder in folders
        for place in (f"{language}/{name}.wav", f"{name}.wav")
    )


def _shipped_prompts() -> Path:
    from ivr_flows.library import PROMPTS

    return PROMPTS


def main(arguments: list[str]) -> int:
    options = parser("plan", "check a configuration and print what would run").parse_args(arguments)
    settings = settings_or_exit(options.config)
    found = complaints(settings)
    for complaint in found:
        sys.stderr.write(f"configuration: {complaint}\n")
    if found:
        return 2
    sys.stdout.write(json.dumps(plan(settings, str(Path(options.config).resolve()))) + "\n")
    return 0
