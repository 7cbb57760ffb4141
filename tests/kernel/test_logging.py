"""One JSON event a line, and no personal data on the disk."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from callcenter.kernel import logging
from callcenter.kernel.logging import ALLOWED

PHONE = "13800138000"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    written = io.StringIO()
    logging.configure("core", written)
    yield written
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_time_level_and_process(stream: io.StringIO) -> None:
    logging.get("calls").info("taken", interaction="i1-1", leg="l1-1", count=3)
    (event,) = events(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "taken", "level": "info", "process": "core", "interaction": "i1-1", "leg": "l1-1", "count": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "key", ["caller", "phone", "text", "digits", "customer_name", "message", "number", "uri"]
)
def test_a_key_that_is_not_known_loses_its_value(stream: io.StringIO, key: str) -> None:
    logging.get("calls").warning("odd", **{key: f"+86{PHONE}"}, agent="1001")
    (event,) = events(stream)
    assert event[key] == "?"
    assert event["agent"] == "1001"
    assert PHONE not in stream.getvalue()


@pytest.mark.parametrize("value", ["王芳", "to be called back", 5, None, {"caller": "x"}, ["x"]])
def test_whatever_the_value_is(stream: io.StringIO, value: Any) -> None:
    logging.get("calls").warning("odd", customer_name=value)
    assert events(stream)[0]["customer_name"] == "?"


def test_what_is_bound_for_the_process_is_filtered_too(stream: io.StringIO) -> None:
    logging.bind(epoch=7, caller=PHONE)
    logging.get("calls").info("taken")
    (event,) = events(stream)
    assert (event["epoch"], event["caller"]) == (7, "?")


def test_no_allowed_key_is_made_for_personal_data() -> None:
    personal = {
        "caller",
        "called",
        "phone",
        "number",
        "text",
        "digits",
        "body",
        "note",
        "password",
        "uri",
        "to",
    }
    assert not personal & ALLOWED


def test_an_exception_is_told_without_the_number_in_its_message(stream: io.StringIO) -> None:
    try:
        int(f"call from {PHONE}")
    except ValueError:
        logging.get("calls").exception("failed")
    (event,) = events(stream)
    assert "ValueError" in event["exception"]
    assert PHONE not in stream.getvalue()


@pytest.mark.parametrize("key", ["reason", "error", "name", "path"])
def test_a_number_inside_an_allowed_value_is_not_printed(stream: io.StringIO, key: str) -> None:
    """A refusal that quotes the peer's words may carry one."""
    logging.get("calls").warning("refused", **{key: f"no route to +86{PHONE}"})
    assert PHONE not in stream.getvalue()


def test_ids_and_moments_are_not_taken_for_numbers(stream: io.StringIO) -> None:
    logging.get("calls").info(
        "taken", interaction="i1234567890-13800138000", ms=1_767_600_000_000, boot="13800138"
    )
    (event,) = events(stream)
    assert (event["interaction"], event["ms"], event["boot"]) == (
        "i1234567890-13800138000",
        1_767_600_000_000,
        "13800138",
    )


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    logging.get("calls").debug("noise")
    assert events(stream) == []
    logging.configure("core", stream, level="debug")
    logging.get("calls").debug("noise")
    assert [event["level"] for event in events(stream)] == ["debug"]
