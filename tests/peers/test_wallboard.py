"""The wallboard on a wall: 1920 × 1080, no scroll, and the figures that the report gives for the same interval."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.peers.centre import PASSWORD, Centre, agent, queue
from tests.peers.phones import Sipp, free_port

pytestmark = pytest.mark.peer("sipp", "chromium")

NUMBER, SUPERVISOR = "95520", "8002"
Start = Callable[..., Centre]
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]


def test_the_wall_and_the_report_agree(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service", title="客户服务")],
        agents=[agent("1001", port), agent(SUPERVISOR, role="supervisor")],
    )
    centre.set_password(SUPERVISOR)
    with Sipp("agent", tmp_path / "seat", port=port, calls=10, hold_s=0.5, timeout_s=60):
        for n in range(3):
            with Sipp(
                "caller",
                tmp_path / f"caller-{n}",
                remote=centre.sip,
                number=NUMBER,
                caller=f"1380013800{n}",
                hold_s=0.5,
            ) as caller:
                caller.wait()
    report = centre.service_report()
    (row,) = report["queues"]
    assert (row["offered"], row["answered"], row["service_level"]) == (3, 3, 1.0)
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://{centre.http}/")
        page.fill("#login", SUPERVISOR)
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("#queue-rows tr")
        page.goto(f"http://{centre.http}/wallboard")
        expect(page.locator("#answered")).to_have_text("3")
        expect(page.locator("#level")).to_have_text("100%")
        expect(page.locator("#tile-level")).to_have_class("tile good")
        shown = page.evaluate("async () => (await (await fetch('/api/wallboard')).json())")
        for name, value in row.items():
            assert shown["queues"][0][name] == value, name
        overflow = page.evaluate(
            "() => [document.documentElement.scrollHeight - innerHeight, document.documentElement.scrollWidth - innerWidth]"
        )
        assert max(overflow) <= 0, "no scrolling on a wall"
        size = page.evaluate("() => parseFloat(getComputedStyle(document.querySelector('.figure')).fontSize)")
        assert size >= 72
        browser.close()
    assert errors == [], json.dumps(errors)
