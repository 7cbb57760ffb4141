"""axe-core on every page: nothing serious, nothing critical."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.peers.centre import PASSWORD, Centre, agent, queue
from tests.peers.phones import HOST, free_port

pytestmark = pytest.mark.peer("chromium")

SEAT, SUPERVISOR, ADMINISTRATOR, AUDITOR = "1001", "8002", "9001", "9002"
Start = Callable[..., Centre]
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]


def send_mail(port: int, subject: str, mark: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "zhang@customer.example",
        "service@insurer.example",
        subject,
    )
    message["Message-ID"] = f"<{subject.encode().hex()}@customer.example>"
    if mark:
        message["Auto-Submitted"] = mark
    message.set_content("您好")
    message.add_alternative("<p>您好</p>", subtype="html")
    with smtplib.SMTP(HOST, port, timeout=20) as peer:
        peer.send_message(message)


def findings(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in violations
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_serious_on_any_page(start_centre: Start, language: str) -> None:
    smtp = free_port()
    centre = start_centre(
        numbers=[{"number": "95520", "queue": "service"}],
        queues=[queue("service", title="客户服务")],
        agents=[
            agent(SEAT, device="browser", ready_at_start=False),
            agent(SUPERVISOR, role="supervisor"),
            agent(ADMINISTRATOR, role="administrator"),
            agent(AUDITOR, role="auditor"),
        ],
        webrtc={"sip": f"{HOST}:{free_port()}", "web_call_numbers": ["95520"]},
        sections={
            "email": {"addresses": ["service@insurer.example"], "listen": f"{HOST}:{smtp}", "prove": False}
        },
    )
    for login in (SEAT, SUPERVISOR, ADMINISTRATOR, AUDITOR):
        centre.set_password(login)
    found: dict[str, list[str]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)

        def enter(login: str) -> Page:
            page = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True).new_page()
            page.goto(f"http://{centre.http}/login?lang={language}")
            found["log-in"] = findings(page)
            page.fill("#login", login)
            page.fill("#password", PASSWORD)
            page.click("button[type=submit]")
            page.wait_for_selector("#sign-out")
            page.wait_for_timeout(500)
            return page

        seat = enter(SEAT)
        found["panel"] = findings(seat)
        seat.click("#help")
        found["shortcuts"] = findings(seat)
        overview = enter(SUPERVISOR)
        found["overview"] = findings(overview)
        overview.goto(f"http://{centre.http}/wallboard")
        overview.wait_for_selector("#wall-queues tr")
        found["wallboard"] = findings(overview)
        administrator = enter(ADMINISTRATOR)
        administrator.goto(f"http://{centre.http}/people")
        for tab in ("user", "queue", "reason", "code", "phone", "changes"):
            administrator.click(f"#tab-{tab}")
            administrator.wait_for_timeout(300)
            found[f"people: {tab}"] = findings(administrator)
        administrator.click("#tab-user")
        administrator.click(f"#edit-{SEAT}")
        found["people: form"] = findings(administrator)
        administrator.goto(f"http://{centre.http}/password")
        found["password"] = findings(administrator)
        auditor = enter(AUDITOR)
        for place in ("recordings", "audit"):
            auditor.goto(f"http://{centre.http}/{place}")
            auditor.wait_for_timeout(300)
            found[place] = findings(auditor)
        for subject, mark in (("保单 policy", ""), ("自动回复", "auto-replied")):
            send_mail(smtp, subject, mark)
        seat.keyboard.press("Escape")
        seat.click("#ready")
        seat.click("#chats .button.good")
        seat.wait_for_selector("#thread-log .said")
        seat.click("#tool-park")
        found["mail"] = findings(seat)
        seat.click("#tool-whose")
        found["whose"] = findings(seat)
        overview.goto(f"http://{centre.http}/post")
        overview.wait_for_selector("#kept tr")
        found["post"] = findings(overview)
        overview.goto(f"http://{centre.http}/find")
        overview.fill("#words", "保单")
        overview.keyboard.press("Enter")
        overview.wait_for_selector("#rows li")
        found["messages"] = findings(overview)
        overview.goto(f"http://{centre.http}/call")
        found["web call"] = findings(overview)
        browser.close()
    assert {page: problems for page, problems in found.items() if problems} == {}
