"""A page whose network carries nothing any more, a page from before an upgrade, and people edited while others work."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from tests.peers.centre import PASSWORD, Centre, agent, queue

pytestmark = pytest.mark.peer("chromium")

SEAT, ADMINISTRATOR = "1001", "9001"
Start = Callable[..., Centre]
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    # a page that a test has answered for the server counts as one from elsewhere
    "--disable-features=LocalNetworkAccessChecks",
]


class Line:
    """A line between browser and server that can go dead without a word: 0 KB/s both ways."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.carries = threading.Event()
        self.carries.set()
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65_536):
                self.carries.wait()
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            end.close()

    def close(self) -> None:
        self._open = False
        self.carries.set()
        self._server.close()


@contextmanager
def pages() -> Iterator[Callable[[], Page]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield lambda: browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        browser.close()


@pytest.fixture
def centre(start_centre: Start) -> Centre:
    made = start_centre(
        numbers=[{"number": "95520", "queue": "service"}],
        queues=[queue("service", title="客户服务")],
        agents=[
            agent(SEAT, device="sip:nobody@127.0.0.1:9", ready_at_start=False),
            agent(ADMINISTRATOR, role="administrator"),
        ],
    )
    for login in (SEAT, ADMINISTRATOR):
        made.set_password(login)
    return made


def log_in(page: Page, address: str, login: str, password: str = PASSWORD) -> None:
    page.goto(f"http://{address}/login")
    page.fill("#login", login)
    page.fill("#password", password)
    page.click("button[type=submit]")


def test_a_dead_network_is_shown_and_left_behind(centre: Centre) -> None:
    line = Line(centre.http)
    with pages() as page_of:
        page = page_of()
        log_in(page, line.address, SEAT)
        expect(page.locator("#state-badge")).to_have_class(re.compile("not_ready"))
        line.carries.clear()
        expect(page.locator("#offline")).to_be_visible(timeout=20_000)
        centre.person(SEAT).act("/agent/ready")
        line.carries.set()
        expect(page.locator("#offline")).to_be_hidden(timeout=20_000)
        expect(page.locator("#state-badge")).to_have_class(re.compile("idle"), timeout=10_000)
    line.close()


def test_a_page_from_before_an_upgrade_loads_itself_anew(centre: Centre) -> None:
    served = 0

    def older(route: Route) -> None:
        nonlocal served
        served += 1
        answer = route.fetch()
        body = answer.text()
        if served == 1:
            body = re.sub(r'"version": "[0-9a-f]{16}"', '"version": "0000000000000000"', body)
        route.fulfill(response=answer, body=body)

    with pages() as page_of:
        page = page_of()
        page.route(f"http://{centre.http}/", older)
        log_in(page, centre.http, SEAT)
        expect(page.locator("#state-badge")).to_have_class(re.compile("not_ready"))
        page.wait_for_timeout(1_000)
        assert served == 2
        expect(page.locator("#outdated")).to_be_hidden()


def test_an_administrator_s_changes_reach_an_agent_who_is_at_work(centre: Centre) -> None:
    with pages() as page_of:
        seat, desk = page_of(), page_of()
        log_in(seat, centre.http, SEAT)
        expect(seat.locator("#queues")).to_contain_text("客户服务")
        log_in(desk, centre.http, ADMINISTRATOR)
        desk.wait_for_selector("#queue-rows tr")
        desk.goto(f"http://{centre.http}/people")
        desk.click("#tab-queue")
        desk.click("#edit-service")
        desk.fill("#field-title", "贵宾专线")
        desk.click("#edit-form button.primary")
        expect(desk.locator("#rows tr")).to_contain_text("贵宾专线")
        expect(seat.locator("#queues")).to_contain_text("贵宾专线", timeout=5_000)
        desk.click("#tab-changes")
        desk.click("#rows tr button >> nth=0")
        expect(desk.locator("#rows tr")).to_have_count(2)
        expect(seat.locator("#queues")).to_contain_text("客户服务", timeout=5_000)
        desk.click("#tab-user")
        desk.click(f"#password-{SEAT}")
        expect(desk.locator("#told")).to_be_visible()
        given = desk.locator("#told-facts dd").nth(1).inner_text()
        fresh = page_of()
        log_in(fresh, centre.http, SEAT, given)
        expect(fresh).to_have_url(re.compile("/password$"))
        fresh.fill("#old", given)
        fresh.fill("#new", "another password")
        fresh.fill("#again", "another passwort")
        fresh.click("button[type=submit]")
        expect(fresh.locator("#error")).to_be_visible()
        fresh.fill("#again", "another password")
        fresh.click("button[type=submit]")
        expect(fresh.locator("#state-badge")).to_be_visible()
        expect(seat).to_have_url(re.compile("/login"), timeout=10_000)
