"""`callcenter policy check FILE -c FILE`: would these routing rules count? Names every fault with its line."""

from __future__ import annotations

import sys
from pathlib import Path

from callcenter.cli.common import parser, settings_or_exit


def main(arguments: list[str]) -> int:
    options_parser = parser("policy", "look at a file of routing rules before it counts")
    options_parser.add_argument("action", choices=["check"])
    options_parser.add_argument("file", type=Path)
    options = options_parser.parse_args(arguments)
    settings = settings_or_exit(options.config)
    from callcenter.directory.directory import Directory
    from callcenter.policies import overlay_file
    from config.policy import PolicyError
    from crm_core.db import migrate, open_engine

    engine = open_engine(settings.database.url)
    migrate(engine)
    base = Directory(settings, engine).base_policy()
    try:
        policy = overlay_file(base, options.file)
    except PolicyError as error:
        sys.stderr.write(f"policy: {error}\n")
        return 2
    changed = [name for name, queue in policy.queues.items() if queue != base.queues[name]]
    agents = [name for name, agent in policy.agents.items() if agent != base.agents[name]]
    sys.stdout.write(f"{options.file}: good; changes {len(changed)} queues and {len(agents)} agents\n")
    return 0
