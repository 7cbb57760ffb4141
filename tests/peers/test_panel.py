"""An agent at the panel: a real browser, a real telephone, a real caller."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.peers.centre import PASSWORD, Centre, agent, queue
from tests.peers.phones import Baresip, Sipp, kept_port, until

pytestmark = pytest.mark.peer("sipp", "baresip", "chromium")

NUMBER, SEAT = "95520", "1001"
FIRST, SECOND = "13800138007", "13800138009"
"""telephone numbers of sample customers"""
RECOVERS_WITHIN_S = 5
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


PORT = kept_port()


@pytest.fixture(scope="module")
def centre() -> Iterator[Centre]:
    made = Centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent(SEAT, PORT, answer="panel", wrap_up_s=120, ready_at_start=False)],
        sample=True,
    )
    try:
        made.wait_ready()
        made.set_password(SEAT)
        yield made
        made.stop()
    finally:
        made.close()


@pytest.fixture
def page(centre: Centre) -> Iterator[Page]:
    """The panel after log-in, the agent ready. An error of a script fails the test."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        try:
            opened = browser.new_page(viewport={"width": 1280, "height": 800})
            opened.set_default_timeout(5000)
            opened.on("pageerror", lambda error: errors.append(str(error)))
            opened.goto(f"http://{centre.http}/")
            opened.fill("#login", SEAT)
            opened.fill("#password", PASSWORD)
            opened.click("button[type=submit]")
            expect(opened.locator("#state-badge")).to_have_class(re.compile("not_ready|idle"))
            opened.keyboard.press("r")
            expect(opened.locator("#state-badge")).to_have_class("badge idle")
            yield opened
        finally:
            browser.close()
    assert errors == []


def name_of(centre: Centre, caller: str) -> str:
    from callcenter.kernel.envelope import MasterKey
    from config.settings import load
    from crm_core.customers import CustomerService
    from crm_core.db import open_engine, session

    settings = load(centre.config, {})
    engine = open_engine(settings.database.url)
    try:
        with session(engine) as records:
            master = MasterKey.load(settings.paths.var / "keys" / "master.key")
            [customer] = CustomerService(records, master).by_phone(f"+86{caller}")
            return customer.name
    finally:
        engine.dispose()


def test_an_agent_takes_a_call_and_writes_down_what_it_was_about(
    centre: Centre, page: Page, tmp_path: Path
) -> None:
    name = name_of(centre, FIRST)
    with (
        Sipp("agent", tmp_path / "seat", port=PORT, hold_s=60) as seat,
        Sipp(
            "caller", tmp_path / "caller", remote=centre.sip, number=NUMBER, caller=FIRST, hold_s=60
        ) as phone,
    ):
        offer = page.get_by_role("dialog")
        expect(offer.locator(".who")).to_have_text(name)
        expect(offer).to_contain_text("138 0013 8007")
        assert seat.received("INVITE") == []  # the phone is dialled once the offer is taken
        page.keyboard.press("a")
        expect(page.locator("#hang-up")).to_be_visible()
        expect(offer).to_be_hidden()
        expect(page.locator("#state-badge")).to_have_class("badge talking")
        expect(page.locator("#call .call-who")).to_have_text(name)
        expect(page.locator("#customer .who")).to_have_text(name)
        assert len(seat.received("ACK")) == 1
        page.locator("#hang-up").click()
        expect(page.locator("#state-badge")).to_have_class("badge wrap_up")
        seat.wait(5)
        phone.wait(5)
    page.select_option("#code", "policy_service")
    page.fill("#note", "客户询问保单变更。")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state-badge")).to_have_class("badge idle")
    expect(page.locator("#wrap-up")).to_be_hidden()
    expect(page.locator("#last li").first).to_contain_text("客户询问保单变更。")
    row = centre.recorded(NUMBER, FIRST)
    assert (row["agent"], row["outcome"], row["wrap_up_code"]) == (SEAT, "answered", "policy_service")
    assert row["caller"] == f"+86{FIRST}"


def test_the_page_recovers_by_itself_and_shows_the_call(centre: Centre, page: Page, tmp_path: Path) -> None:
    name = name_of(centre, SECOND)
    core = centre.status()["core"]["pid"]
    with (
        Baresip(tmp_path / "seat", SEAT, port=PORT, answer="auto", hertz=880) as seat,
        Baresip(tmp_path / "caller", SECOND) as phone,
    ):
        phone.dial(NUMBER, centre.sip)
        page.wait_for_selector("#answer")
        page.keyboard.press("a")
        page.wait_for_selector("#hang-up")
        until(lambda: seat.heard_s() > 0.3, 5, "talk")
        page.evaluate("window.sameDocument = true")
        killed = time.monotonic()
        centre.kill(core)
        expect(page.locator("#offline")).to_be_visible()
        centre.wait_ready()
        # where no core can start in four seconds, the page cannot be quicker than the core
        left_s = max(RECOVERS_WITHIN_S - (time.monotonic() - killed), 1)
        expect(page.locator("#offline")).to_be_hidden(timeout=left_s * 1000)
        assert page.evaluate("window.sameDocument") is True, "the page was loaded again"
        expect(page.locator("#state-badge")).to_have_class("badge talking")
        expect(page.locator("#call .call-who")).to_have_text(name)
        expect(page.locator("#hang-up")).to_be_visible()
        page.keyboard.press("h")  # and it commands the new core
        seat.event("CALL_CLOSED")
        phone.event("CALL_CLOSED")
        expect(page.locator("#state-badge")).to_have_class("badge wrap_up")
    assert centre.recorded(NUMBER, SECOND)["ended_by"] == "agent"
