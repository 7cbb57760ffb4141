"""`callcenter COMMAND …`; each command is imported only when it is asked for."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "run": ("callcenter.cli.run", "start the centre (or one part: --only core|worker)"),
    "status": ("callcenter.cli.status", "every process and what it carries"),
    "doctor": ("callcenter.cli.doctor", "what is installed, what is missing, how to mend it"),
    "demo": ("callcenter.cli.demo", "a running centre with sample data"),
    "phone": ("callcenter.cli.phone", "accounts of desk phones (add, remove, list), or a test telephone"),
    "restart": ("callcenter.cli.restart", "new code part by part, without a dropped call"),
    "report": ("callcenter.cli.report", "history as JSON or a table"),
    "recordings": ("callcenter.cli.recordings", "verify the archive of recordings, or export one"),
    "policy": ("callcenter.cli.policy", "look at a file of routing rules before it counts"),
    "simulate": ("callcenter.cli.simulate", "what a day would be like, by the engine itself"),
    "explain": ("callcenter.cli.explain", "why an interaction went as it went"),
    "replay": ("callcenter.cli.replay", "the journal again: does the engine decide the same?"),
    "rebuild": ("callcenter.cli.rebuild", "history anew from the journal"),
    "bench": ("callcenter.cli.bench", "figures of this machine"),
    "flow": ("callcenter.cli.flow", "check a flow, or try it in the terminal"),
    "user": ("callcenter.cli.user", "set a password"),
    "plan": ("callcenter.cli.plan", "check a configuration and print what would run"),
}


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = [f"  {name:<10} {purpose}" for name, (_, purpose) in COMMANDS.items()]
        sys.stdout.write("usage: callcenter COMMAND [options]\n\n" + "\n".join(lines) + "\n")
        return 0 if arguments else 2
    command = COMMANDS.get(arguments[0])
    if command is None:
        sys.stderr.write(f"callcenter: no command {arguments[0]!r}; see callcenter --help\n")
        return 2
    return int(importlib.import_module(command[0]).main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
