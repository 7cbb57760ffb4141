"""`callcenter plan -c FILE`: check the configuration; print what the supervisor shall run, as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from callcenter.cli.common import parser, settings_or_exit
from config.settings import PORTS_PER_LEG, Settings, split_address

MIN_LEGS = 4


def worker_argument(settings: Settings, slot: int) -> str:
    """The JSON that the worker of this slot is started with."""
    voice = settings.voice
    host, port = split_address(voice.listen)
    low, high = settings.rtp_slice(slot)
    overrides = settings.paths.prompts
    music = overrides / "music.wav" if overrides and (overrides / "music.wav").is_file() else None
    return json.dumps(
        {
            "slot": slot,
            "run_dir": str(settings.run_dir),
            "sip": {
                "host": host,
                "port": port,
                "advertise": voice.advertise,
                "rtp_low": low,
                "rtp_high": high,
                "library": voice.library,
                "max_legs": voice.max_legs,
            },
            "music": str(music or _shipped_prompts() / "music.wav"),
            "retry_after_s": voice.retry_after_s,
            "silence_probe_s": voice.silence_probe_s,
        }
    )


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
    core = {
        "name": "core",
        "argv": [python, "-m", "callcenter", "run", "--only", "core", "-c", config],
        "lock": "core.lock",
    }
    return {
        "run_dir": str(settings.run_dir),
        "log_dir": str(settings.paths.var / "log"),
        "parts": [*workers, core],
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
    if settings.run_dir.exists() and settings.run_dir.stat().st_uid != os.getuid():
        found.append(f"paths.var: {settings.run_dir} belongs to somebody else")
    if settings.journal.url == settings.database.url:
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
