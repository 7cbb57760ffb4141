"""What commands share: the -c option and its refusal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from callcenter.kernel.errors import ConfigError
from config.settings import Settings, load

EXIT_CONFIG = 2


def parser(name: str, purpose: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"callcenter {name}", description=purpose)
    made.add_argument("-c", "--config", required=True, help="configuration file (TOML)")
    return made


def settings_or_exit(path: str) -> Settings:
    """The settings, or exit 2 with key, value and expectation."""
    try:
        return load(Path(path))
    except ConfigError as error:
        sys.stderr.write(f"configuration: {error}\n")
        raise SystemExit(EXIT_CONFIG) from error
