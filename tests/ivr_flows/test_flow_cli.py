"""`callcenter flow`: check files, play a flow in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callcenter.cli.flow import main, play
from ivr_flows.library import SHIPPED, shipped
from tests.ivr_flows.flows import END, flow_of, say

HOTLINE = shipped()["hotline"]
ACTIVE = {"result": "active", "name": "陈静", "branch": "北京分公司"}


def attempt(
    keys: str, answers: dict[str, dict[str, str]] | None = None, language: str = ""
) -> tuple[int, str]:
    """Play the hotline with these keys (blank-separated, `-` is an empty line); what was shown."""
    shown: list[str] = []
    left: Iterator[str] = iter("" if key == "-" else key for key in keys.split())

    def ask(_prompt: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    status = play(HOTLINE, language, answers or {}, ask, shown.append)
    return status, "".join(shown)


def test_check_says_good_of_the_shipped_flows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *(str(path) for path in SHIPPED.glob("*.yaml"))]) == 0
    out, err = capsys.readouterr()
    assert f"hotline.yaml: hotline, {len(HOTLINE.nodes)} nodes, good" in out
    assert err == ""


def test_check_says_all_that_is_wrong_and_ends_in_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text("flow: bad\nstart: a\nnodes: {a: {goto: {next: b}}, c: {goto: {next: d}}}\n")
    good.write_text("flow: good\nstart: a\nnodes: {a: {end: {}}}\n")
    assert main(["check", str(bad), str(good), str(tmp_path / "none.yaml")]) == 1
    out, err = capsys.readouterr()
    assert "good.yaml: good, 1 nodes, good" in out
    assert len([line for line in err.splitlines() if line.startswith("bad.yaml: ")]) == 3
    assert "none.yaml: cannot be read" in err


def test_check_wants_a_file() -> None:
    with pytest.raises(SystemExit) as left:
        main(["check"])
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("keys", "answers", "last"),
    [
        ("1 1", {"hours": {"open": "yes"}}, "[wait] queue service"),
        ("1 1", {}, "[wait] queue service"),
        ("2 3", {"hours": {"open": "yes"}}, "[wait] queue complaints"),
        ("1 1 -", {"hours": {"open": "no"}}, "[end_closed] end: closed"),
        ("1 1 1 -", {"hours": {"open": "no"}}, "[end_message] end: message"),
        ("1 2 10001# - -", {"sales_agent": ACTIVE}, "[end_served] end: served"),
        ("1 2 10001# 0", {"sales_agent": {**ACTIVE, "result": "left"}}, "[wait] queue service"),
        ("- - - - -", {}, "[wait] queue service"),
        ("1 q", {}, "hung up"),
        ("1", {}, "hung up"),
    ],
)
def test_try_plays_the_flow(keys: str, answers: dict[str, dict[str, str]], last: str) -> None:
    status, shown = attempt(keys, answers)
    assert status == 0
    assert shown.strip().splitlines()[-1].strip() == last


def test_try_says_what_a_caller_would_hear() -> None:
    _, shown = attempt("2 2 10001# q", {"sales_agent": ACTIVE})
    assert "[notice] 您好，欢迎致电" in shown
    assert "To verify a sales agent press two" in shown
    assert "陈静, 北京分公司." in shown
    assert "lookup sales_agent {'number': '10001'}" in shown
    assert attempt("q", language="en")[1].count("Welcome to the customer service hotline") == 1


def test_the_answer_of_the_help_text_leads_to_the_end() -> None:
    """`--answer sales_agent.result=active` is what the help suggests."""
    status, shown = attempt("1 2 10001# - -", {"sales_agent": {"result": "active"}})
    assert status == 0
    assert "[end_served]" in shown


def test_a_flow_at_fault_ends_in_1(capsys: pytest.CaptureFixture[str]) -> None:
    flow = flow_of(a=say("z", {"text": {"zh": "{{ nobody }}", "en": ""}}), z=END)
    assert play(flow, "", {}, lambda _prompt: "", lambda _text: None) == 1
    assert "nobody" in capsys.readouterr().err


def test_try_by_name_by_file_and_by_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang_up(_prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", hang_up)
    assert main(["try", "hotline", "--language", "en", "--answer", "customer.known=yes"]) == 0
    assert "Welcome to the customer service hotline" in capsys.readouterr().out
    path = tmp_path / "small.yaml"
    path.write_text("flow: small\nstart: a\nnodes: {a: {end: {}}}\n")
    assert main(["try", str(path)]) == 0
    assert "[a] end: served" in capsys.readouterr().out
    assert main(["try", "coldline"]) == 1
    assert "shipped: hotline" in capsys.readouterr().err
    assert main(["try", str(tmp_path / "none.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err
