"""Each channel says what it can do and how far it is, and shows it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from channels import base

ROOT = Path(base.__file__).parent
LADDER = ("bronze", "silver", "gold")
FOLDERS = sorted(path.parent for path in ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_manifest_says_what_the_channel_can_do(folder: Path) -> None:
    manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    assert manifest["name"] == folder.name
    for ability in ("inbound", "outbound", "live", "text", "attachments", "recording"):
        assert isinstance(manifest[ability], bool), ability


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_rung_it_claims_is_shown_by_tests_that_exist(folder: Path) -> None:
    manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    claimed = LADDER.index(manifest["quality"])
    for rung in LADDER[: claimed + 1]:
        tests = manifest["ladder"][rung]
        assert tests, f"{rung}: nothing shows it"
        missing = [test for test in tests if not (ROOT.parent / test.partition("::")[0]).is_file()]
        assert not missing, f"{rung}: {missing}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_channel_has_the_same_files(folder: Path) -> None:
    assert {"adapter.py", "translate.py", "manifest.toml"} <= {path.name for path in folder.iterdir()}
