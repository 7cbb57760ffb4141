"""`callcenter run -c FILE [--only core|worker [--slot N]]`."""

from __future__ import annotations

import os
import sys

OPTIONS_ONLY = ("core", "worker")


def main(arguments: list[str]) -> int:
    if "--only" in arguments:
        return _one_part(arguments)
    import argparse

    parser = argparse.ArgumentParser(
        prog="callcenter run", description="start the centre; TERM or INT stops it"
    )
    parser.add_argument("-c", "--config", required=True, help="configuration file (TOML)")
    parser.add_argument("--only", choices=OPTIONS_ONLY, help="one part alone, in the foreground")
    options = parser.parse_args(arguments)
    from callcenter import supervisor

    return supervisor.main(options.config)


def _one_part(arguments: list[str]) -> int:
    from callcenter.cli.common import parser, settings_or_exit
    from callcenter.cli.plan import worker_argument

    options_parser = parser("run", "one part alone")
    options_parser.add_argument("--only", choices=OPTIONS_ONLY, required=True)
    options_parser.add_argument("--slot", type=int, default=0)
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    if options.only == "worker":
        argv = [sys.executable, "-m", "channels.voice.worker", worker_argument(settings, options.slot)]
        os.execv(sys.executable, argv)  # noqa: S606 - becomes the worker
    from callcenter.bootstrap import run_core

    return run_core(settings)
