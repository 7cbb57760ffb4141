"""`callcenter phone`: a test telephone. Answers by itself, or dials with --dial and presses --keys.
`callcenter phone add|remove|list` keeps the accounts of desk phones."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from callcenter.cli import accounts
from config.sections import split_address


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in accounts.ACTIONS:
        return accounts.main(arguments)
    parser = argparse.ArgumentParser(prog="callcenter phone", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port of this telephone")
    parser.add_argument("--say", type=Path, help="8 kHz mono WAV to say over and over")
    parser.add_argument("--answer-after", type=float, default=0.5, metavar="SECONDS")
    parser.add_argument("--dial", default="", metavar="SIP-URI", help="such as sip:95519@127.0.0.1:5060")
    parser.add_argument("--caller", default="13800138007", help="number to call from")
    parser.add_argument("--keys", default="", metavar="SECONDS:KEY,…", help="such as 8:1,14:0")
    parser.add_argument("--seconds", type=float, default=0.0, help="hang up so long after the answer")
    options = parser.parse_args(arguments)
    from channels.voice.phone import Phone, PhoneConfig

    host, port = split_address(options.listen)
    pairs = [pair.partition(":") for pair in options.keys.split(",") if pair]
    config = PhoneConfig(
        host,
        port,
        options.say,
        options.answer_after,
        options.dial,
        options.caller,
        tuple((float(after), key) for after, _, key in pairs),
        options.seconds,
    )
    status = Phone(config).run()
    sys.stdout.flush()
    os._exit(status)  # the library's own tear-down takes a second and changes nothing
