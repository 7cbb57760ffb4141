"""`callcenter plan`: what would run, or exit 2 with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from callcenter.cli import plan
from callcenter.cli.common import EXIT_CONFIG
from config.settings import load
from tests.config.test_settings import EXAMPLE, write


def run(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        status = plan.main(["-c", str(path)])
    except SystemExit as left:
        status = int(left.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def test_the_example_is_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, EXAMPLE)
    status, out, err = run(path, capsys)
    planned = json.loads(out)
    assert (status, err) == (0, "")
    assert [part["name"] for part in planned["parts"]] == ["edge", "worker-0", "core"]
    assert planned["run_dir"] == str(load(path, {}).run_dir)
    core = planned["parts"][-1]["argv"]
    assert core[1:] == ["-m", "callcenter", "run", "--only", "core", "-c", str(path)]


def test_a_worker_is_told_all_it_needs(tmp_path: Path) -> None:
    settings = load(write(tmp_path, EXAMPLE), {})
    told = json.loads(plan.worker_argument(settings, 0))
    assert (told["slot"], told["run_dir"]) == (0, str(settings.run_dir))
    sip = told["sip"]
    assert (sip["host"], sip["port"]) == ("127.0.0.1", 5081)
    assert (sip["rtp_low"], sip["rtp_high"]) == (20_000, 29_999)
    assert Path(told["music"]).is_file()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("workers = 1", "workers = 65", ["voice.workers", "65", "64"]),
        ("rtp_ports = [20000, 29999]", "rtp_ports = [20000, 20010]", ["voice.rtp_ports", "20010", "16"]),
        ('flow = "hotline"', 'flow = "coldline"', ["numbers.0.flow", "'coldline'", "hotline"]),
        (
            'flow = "hotline"',
            'queue = "service"\nprompt = "No-Such-Prompt"',
            ["numbers.0.prompt", "No-Such-Prompt"],
        ),
        ('flow = "hotline"', 'queue = "service"\nprompt = "nosuch"', ["numbers.0.prompt", "nosuch"]),
        ("target_s = 20", "target = 20", ["queues.0.target", "no such key"]),
    ],
)
def test_a_bad_configuration_ends_in_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: list[str]
) -> None:
    assert old in EXAMPLE
    status, out, err = run(write(tmp_path, EXAMPLE.replace(old, new)), capsys)
    assert (status, out) == (EXIT_CONFIG, "")
    for word in words:
        assert word in err


def test_a_deep_folder_still_has_room_for_the_name_of_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    settings = load(write(tmp_path, EXAMPLE + f'[paths]\nvar = "{deep}"\n'), {})
    assert len(str(settings.run_dir / "w-00-01234567.sock")) <= 107
    other = load(write(tmp_path, EXAMPLE + f'[paths]\nvar = "{deep}e"\n'), {})
    assert settings.run_dir != other.run_dir, "two centres never share a run directory"


def test_two_files_are_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Journal and records apart: one file for both would make every commit wait for imports."""
    text = EXAMPLE.replace("var/journal.db", "var/callcenter.db")
    status, _, err = run(write(tmp_path, text), capsys)
    assert status == EXIT_CONFIG
    assert "journal.url" in err


def test_the_command_line_says_it_and_ends_in_exit_2(tmp_path: Path) -> None:
    path = write(tmp_path, EXAMPLE.replace("workers = 1", "workers = 65"))
    ended = subprocess.run(
        [sys.executable, "-m", "callcenter", "plan", "-c", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "voice.workers = 65: expected" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_file_that_is_not_there_ends_in_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(tmp_path / "none.toml", capsys)
    assert status == EXIT_CONFIG
    assert "none.toml" in err


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["--help"], 0), (["dance"], 2)])
def test_the_entry_point(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    from callcenter.__main__ import main

    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert "plan" in out or "no command 'dance'" in err
