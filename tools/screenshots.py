#!/usr/bin/env python3
"""Pictures of every state of the pages for docs/screenshots, from a running `make demo`.

python tools/screenshots.py var/demo      (needs Chromium and the development requirements)
"""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

TARGET = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
SIZE = {"width": 1280, "height": 800}


def open_page(browser: Browser, address: str, language: str) -> Page:
    page = browser.new_context(viewport=SIZE).new_page()
    page.goto(f"http://{address}/login?lang={language}")
    return page


def log_in(page: Page, login: str, password: str) -> None:
    page.fill("#login", login)
    page.fill("#password", password)
    page.click("button[type=submit]")


def main(var: Path) -> None:
    address = json.loads((var / "run" / "core.json").read_text())["http"]
    password = (var / "password").read_text().strip()
    sip = tomllib.loads((var / "demo.toml").read_text())["voice"]["listen"]
    smtp = tomllib.loads((var / "demo.toml").read_text())["email"]["listen"]
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for language in ("zh", "en"):
            take(browser, address, password, sip, language)

            def shot(page: Page, name: str, language: str = language) -> None:
                page.wait_for_timeout(900)
                page.screenshot(path=str(TARGET / f"{name}-{language}.png"))

            mail(browser, address, password, smtp, language, shot)
        browser.close()


def chat(
    browser: Browser, address: str, password: str, language: str, shot: Callable[[Page, str], None]
) -> None:
    """A visitor on the sample page, an agent at the inbox."""
    seat = open_page(browser, address, language)
    log_in(seat, "1001", password)
    seat.wait_for_selector("#state-badge")
    seat.wait_for_timeout(700)
    if seat.is_enabled("#ready"):
        seat.click("#ready")
    seat.wait_for_selector("#state-badge.idle")
    visitor = browser.new_context(viewport=SIZE).new_page()
    visitor.goto(f"http://{address}/chat/sample?lang={language}")
    visitor.click("button.open")
    visitor.click(".choices button >> nth=0")
    seat.wait_for_selector("#chats li.ringing")
    shot(seat, "inbox-offer")
    seat.click("#chats .button.good")
    seat.wait_for_selector("#thread:not([hidden])")
    seat.fill(
        "#thread-text",
        "您好，请问您想咨询哪一份保单？" if language == "zh" else "Good morning, which policy is it about?",
    )
    seat.keyboard.press("Enter")
    visitor.wait_for_selector(".standing:has-text('1001'), .standing:has-text('王芳')")
    visitor.fill(
        "textarea",
        "去年买的重大疾病保险什么时候续费？受益人可以改吗，需要准备哪些材料？"
        if language == "zh"
        else "When is my critical illness cover due, and may I change the beneficiary?",
    )
    visitor.keyboard.press("Enter")
    seat.wait_for_selector("#thread-log .said.customer >> nth=1")
    shot(visitor, "chat-widget")
    shot(seat, "inbox")
    seat.click("#thread-end")
    seat.select_option("#thread-code", index=1)
    seat.click("#thread-wrap button")
    seat.wait_for_selector("#state-badge.idle")


LETTER = {
    "zh": (
        "关于保单 P2026-0011 缴费日期变更及续期扣款账户更换的申请",
        "您好，\n\n我想把缴费日期从每月 5 日改到 15 日，并更换扣款账户，请问需要什么材料？附上保单照片。\n\n谢谢！",
        "您好，\n\n变更需要投保人身份证件和新账户的银行卡复印件，填写附件中的申请书后回复本邮件即可。",
        "申请书.pdf",
        "客户要求周五前答复",
    ),
    "en": (
        "Change of the payment date and of the account for policy P2026-0011",
        "Hello,\n\nI would like to pay on the 15th instead of the 5th, from another account. What do you need? "
        "A photo of the policy is enclosed.\n\nThank you!",
        "Good morning,\n\nplease send us your identity document and the new bank card, with the form enclosed.",
        "form.pdf",
        "The customer wants an answer by Friday",
    ),
}


def send_mail(smtp: str, language: str, kind: str = "") -> None:
    """A mail from outside, with HTML, a picture and two files, one of which is refused."""
    subject, text, *_rest = LETTER[language]
    message = EmailMessage()
    message["From"], message["To"] = "customer3@example.com", "service@insurer.example"
    message["Subject"] = subject if not kind else f"自动回复: {subject}"
    message["Message-ID"] = f"<{time.time_ns()}@example.com>"
    if kind:
        message["Auto-Submitted"] = kind
    message.set_content(text)
    paragraphs = "".join(f"<p>{line}</p>" for line in text.split("\n") if line)
    message.add_alternative(
        f"<h3>{subject}</h3>{paragraphs}<img src='http://example.com/x.png'>", subtype="html"
    )
    for name, data in (("policy.pdf", b"%PDF-1.4"), ("setup.exe", b"MZ")):
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    host, _, port = smtp.partition(":")
    with smtplib.SMTP(host, int(port)) as peer:
        peer.send_message(message)


def mail(
    browser: Browser, address: str, password: str, smtp: str, language: str, shot: Callable[[Page, str], None]
) -> None:
    """A mail in hand, its original, what can be done with it; the supervisor's post and the search."""
    _subject, _text, answer, form, note = LETTER[language]
    seat = open_page(browser, address, language)
    log_in(seat, "1001", password)
    seat.wait_for_selector("#state-badge")
    seat.wait_for_timeout(700)
    if seat.is_enabled("#ready"):
        seat.click("#ready")
    seat.wait_for_selector("#state-badge.idle")
    send_mail(smtp, language)
    send_mail(smtp, language, "auto-replied")
    seat.wait_for_selector("#chats li.ringing")
    seat.click("#chats .button.good")
    seat.wait_for_selector("#thread:not([hidden])")
    seat.click("#tool-note")
    seat.fill(".tool input", note)
    seat.keyboard.press("Enter")
    seat.wait_for_selector("#notes li")
    seat.fill("#thread-text", answer)
    enclosed = {"name": form, "mimeType": "application/pdf", "buffer": b"%PDF-1.4"}
    seat.set_input_files("#thread-file", enclosed)
    seat.wait_for_selector("#thread-files li")
    shot(seat, "mail")
    seat.click("[id^=original-]")
    seat.wait_for_selector("iframe.mail-html")
    seat.click("#tool-park")
    shot(seat, "mail-original")
    seat.click("#tool-park")
    seat.click("#thread-form button[type=submit]")
    seat.wait_for_selector("#thread-log .said.agent")
    seat.click("#thread-end")
    seat.select_option("#thread-code", index=1)
    seat.click("#thread-wrap button")
    seat.wait_for_selector("#state-badge.idle")
    seat.keyboard.press("n")  # as the next language begins
    seat.wait_for_selector("#state-badge.not_ready")
    boss = open_page(browser, address, language)
    log_in(boss, "8001", password)
    boss.wait_for_url("**/")
    boss.goto(f"http://{address}/post?lang={language}")
    boss.wait_for_selector("#kept tr")
    shot(boss, "post")
    boss.goto(f"http://{address}/find?lang={language}")
    boss.fill("#words", "缴费日期" if language == "zh" else "payment date")
    boss.keyboard.press("Enter")
    boss.wait_for_selector("#rows li")
    shot(boss, "messages")


def take(browser: Browser, address: str, password: str, sip: str, language: str) -> None:
    def shot(page: Page, name: str) -> None:
        page.wait_for_timeout(700)
        page.screenshot(path=str(TARGET / f"{name}-{language}.png"))

    page = open_page(browser, address, language)
    log_in(page, "1001", "not the password")
    page.wait_for_selector("#error:not([hidden])")
    shot(page, "login-error")
    log_in(page, "1001", password)
    page.wait_for_selector("#state-badge.not_ready")
    shot(page, "panel-not-ready")
    page.click("#phone-open")
    page.wait_for_selector("#phone-state.idle", timeout=20_000)
    page.keyboard.press("r")
    page.wait_for_selector("#state-badge.idle")
    keys = "9:1,22:1" if language == "zh" else "9:2,22:1"
    command = ["callcenter", "phone", "--dial", f"sip:95519@{sip}", "--keys", keys, "--seconds", "90"]
    caller = subprocess.Popen([sys.executable, "-m", *command])
    page.wait_for_selector("#answer", timeout=60_000)
    shot(page, "panel-offer")
    page.keyboard.press("a")
    page.wait_for_selector("#hang-up")
    page.wait_for_timeout(3_000)
    shot(page, "panel-talking")
    overview = open_page(browser, address, language)
    log_in(overview, "8001", password)
    overview.wait_for_selector("#agent-rows tr")
    page.keyboard.press("t")
    page.wait_for_selector("#whom-agents .line")
    shot(page, "panel-whom")
    page.click("#whom-close")
    colleague = open_page(browser, address, language)
    log_in(colleague, "1002", password)
    colleague.wait_for_selector("#state-badge.not_ready")
    page.keyboard.press("t")
    page.click("#whom-agents .line:has-text('1002') button:first-of-type")
    page.wait_for_selector(".guests .badge.talking", timeout=20_000)
    shot(page, "panel-consult")
    shot(colleague, "panel-consulted")
    overview.wait_for_selector("#call-rows .badge.held")
    shot(overview, "overview")
    page.click("#take-back")
    page.wait_for_selector(".guests", state="detached")
    page.keyboard.press("k")
    shot(page, "panel-keypad")
    page.keyboard.press("k")
    page.keyboard.press("p")
    page.wait_for_selector("#parked li")
    shot(page, "panel-parked")
    page.select_option("#code", "enquiry_answered")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#state-badge.idle")
    page.click("#parked button")
    page.wait_for_selector("#answer", timeout=20_000)
    page.keyboard.press("a")
    page.wait_for_selector("#hang-up")
    page.keyboard.press("h")
    page.wait_for_selector("#state-badge.wrap_up")
    shot(page, "panel-wrap-up")
    page.select_option("#code", "enquiry_answered")
    page.fill("#note", "客户咨询保单变更流程，已逐条说明并发送材料清单。 Asked how to change the policy.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#state-badge.idle")
    page.fill("#find-text", "王")
    page.click("#find button")
    page.wait_for_selector("#customer li button")
    page.click("#customer li button >> nth=0")
    page.wait_for_selector("#customer .phones")
    shot(page, "panel-found")
    page.keyboard.press("c")
    page.wait_for_selector("#whom-agents .line")
    shot(page, "panel-dial")
    page.click("#whom-close")
    supervise(overview, shot)
    auditor = open_page(browser, address, language)
    log_in(auditor, "9002", password)
    auditor.wait_for_selector("#queue-rows tr")
    auditor.goto(f"http://{address}/recordings")
    auditor.wait_for_selector("#rows tr")
    auditor.click("#rows tr:has(.badge.idle) >> nth=-1 >> button >> nth=0")
    auditor.wait_for_selector("#player:not([hidden])")
    auditor.wait_for_timeout(1_500)
    shot(auditor, "recordings")
    auditor.goto(f"http://{address}" + str(auditor.get_attribute('#rows a[href^="/why?"]', "href")))
    auditor.wait_for_selector("#rows tr")
    shot(auditor, "why")
    auditor.goto(f"http://{address}/audit")
    auditor.wait_for_selector("#rows tr")
    shot(auditor, "audit")
    administer(browser, address, password, language, shot)
    chat(browser, address, password, language, shot)
    overview.set_viewport_size({"width": 1920, "height": 1080})
    overview.goto(f"http://{address}/wallboard")
    overview.wait_for_selector("#wall-queues tr")
    shot(overview, "wallboard")
    visitor = browser.new_context(viewport={"width": 360, "height": 740}).new_page()
    visitor.goto(f"http://{address}/call?lang={language}")
    shot(visitor, "web-call")
    visitor.click("#web-dial")
    visitor.wait_for_selector("#web-over:visible", timeout=20_000)
    visitor.wait_for_timeout(2_000)
    shot(visitor, "web-call-talking")
    visitor.click("#web-over")
    page.keyboard.press("?")
    shot(page, "panel-shortcuts")
    page.keyboard.press("Escape")
    page.click("#sign-out")
    page.wait_for_selector("#login-form")
    caller.wait()


def supervise(overview: Page, shot: Callable[[Page, str], None]) -> None:
    overview.fill("#announcement-zh", "系统维护中，查询可能较慢，敬请谅解。")
    overview.fill("#announcement-en", "We are maintaining our systems; enquiries may take longer.")
    overview.click("#announce")
    overview.wait_for_selector("#announced:not([hidden])")
    overview.click("#close-complaints")
    overview.wait_for_selector("#closing[open]")
    overview.select_option("#closing-then", "move")
    shot(overview, "overview-closing")
    overview.click("#closing-form button.danger")
    overview.wait_for_selector("#queue-rows .badge.alarm")
    shot(overview, "overview-closed")
    overview.click("#close-complaints")
    overview.click("#end-announcement")


def administer(
    browser: Browser, address: str, password: str, language: str, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(browser, address, language)
    log_in(page, "9001", password)
    page.wait_for_selector("#queue-rows tr")
    page.goto(f"http://{address}/people")
    page.wait_for_selector("#rows tr")
    shot(page, "people")
    page.click("#edit-1002")
    page.wait_for_selector("#edit[open]")
    shot(page, "people-edit")
    page.fill("#field-skills", "service 9, complaints 2")
    page.click("#edit-form button.primary")
    page.wait_for_selector("#edit:not([open])", state="attached")
    page.click("#tab-changes")
    page.wait_for_selector("#rows tr")
    shot(page, "people-changes")
    page.click("#rows tr button >> nth=0")
    page.wait_for_timeout(500)
    page.goto(f"http://{address}/password")
    shot(page, "password")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "var/demo"))
