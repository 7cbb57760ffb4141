"""A visitor on the insurer's own site, an agent at the panel, and a core that dies between them."""

from __future__ import annotations

import email
import email.policy
import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.peers.centre import PASSWORD, Centre, agent, queue
from tests.peers.mail import Relay
from tests.peers.phones import HOST, free_port

pytestmark = pytest.mark.peer("chromium")

Start = Callable[..., Centre]
ANSWERS = [{"title": "greeting", "zh": "{customer}请问有什么可以帮您？", "en": "How may I help?"}]
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0f01f000500"
    "0201e5271f2e0000000049454e44ae426082"
)
_SITE = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>site</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src http://{http}; connect-src ws://{http} http://{http}; img-src http://{http}">
<script src="http://{http}/chat/widget.js" data-lang="{lang}" data-transcript data-call="95519" defer></script></head><body><p>A page.</p></body></html>"""


class Site:
    """The insurer's own site: another origin, and a strict one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handler = type("Handler", (http.server.SimpleHTTPRequestHandler,), {})
        serve = functools.partial(self.handler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer((HOST, 0), serve)
        self.origin = f"http://{HOST}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def embed(self, http: str) -> None:
        for lang in ("zh", "en"):
            (self.folder / f"{lang}.html").write_text(_SITE.format(http=http, lang=lang), encoding="utf-8")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    opened = Site(folder)
    yield opened
    opened.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def centre(start_centre: Start, site: Site) -> Centre:
    started = start_centre(
        numbers=[{"number": "95519", "flow": "hotline"}],
        queues=[queue("service", title="客户服务")],
        agents=[
            agent("1001", free_port(), ready_at_start=False, wrap_up_s=30),
            agent("8002", role="supervisor"),
        ],
        sections={"chat": {"flow": "hotline", "origins": [site.origin], "answers": ANSWERS}},
    )
    site.embed(started.http)
    return started


def visitor(browser: Browser, site: Site, errors: list[str], lang: str = "zh") -> Page:
    page = browser.new_context(viewport={"width": 900, "height": 700}).new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Content Security" in line.text else None)
    page.goto(f"{site.origin}/{lang}.html")
    page.click("button.open")
    return page


def at_panel(browser: Browser, centre: Centre, errors: list[str], login: str = "1001") -> Page:
    centre.set_password(login)
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://{centre.http}/")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    return page


def write(page: Page, text: str) -> None:
    page.fill("textarea", text)
    page.keyboard.press("Enter")


def test_from_menu_to_person_over_reload_and_death_of_the_core(
    centre: Centre, site: Site, browser: Browser
) -> None:
    errors: list[str] = []
    seat = at_panel(browser, centre, errors)
    expect(seat.locator("#state-badge")).to_have_class("badge not_ready")
    seat.click("#ready")
    expect(seat.locator("#state-badge")).to_have_class("badge idle")

    page = visitor(browser, site, errors)
    texts = page.locator(".log .text")
    expect(texts.first).to_contain_text("在线客服")
    page.click(".choices button:has-text('核实业务员')")
    expect(texts.last).to_contain_text("工号或执业证号")
    write(page, "88001234")
    expect(page.locator(".log")).to_contain_text("88001234")
    expect(texts.last).to_contain_text("还需要什么")
    page.click(".choices button:has-text('人工服务'):not([disabled])")
    expect(page.locator(".standing")).to_contain_text("马上为您接入人工客服")

    seat.click("#chats button:has-text('接入')")
    expect(seat.locator("#thread-log")).to_contain_text("88001234")
    expect(page.locator(".standing")).to_contain_text("座席1001 正在为您服务")
    seat.fill("#thread-text", "您好，")
    seat.select_option("#thread-canned", label="greeting")
    expect(seat.locator("#thread-text")).to_have_value("您好，请问有什么可以帮您？")
    seat.keyboard.press("Enter")
    expect(texts.last).to_have_text("您好，请问有什么可以帮您？")
    write(page, "我的保单什么时候到期？")
    expect(seat.locator("#thread-log .said.customer").last).to_contain_text("什么时候到期")

    page.reload()
    expect(page.locator(".log .text").last).to_have_text("我的保单什么时候到期？")
    centre.kill_core()
    write(page, "还在吗")  # while nobody reigns
    seat.fill("#thread-text", "在的，请稍等。")
    seat.keyboard.press("Enter")
    seat.fill("#thread-text", "一个没有写完的句子")
    expect(seat.locator("#thread-log .said.customer").last).to_contain_text("还在吗", timeout=30_000)
    expect(page.locator(".log")).to_contain_text("在的，请稍等。", timeout=30_000)
    expect(page.locator(".log .who:has-text('发送中')")).to_have_count(0)
    seat.reload()
    expect(seat.locator("#thread-text")).to_have_value("一个没有写完的句子")
    for words in ("还在吗", "在的，请稍等。"):
        expect(page.locator(f".log .text:text-is('{words}')")).to_have_count(1)
        expect(seat.locator(f"#thread-log .text:text-is('{words}')")).to_have_count(1)

    seat.click("#thread-end")
    expect(page.locator(".standing")).to_have_text("对话已结束")
    seat.select_option("#thread-code", index=1)
    seat.click("#thread-wrap button")
    expect(seat.locator("#state-badge")).to_have_class("badge idle")
    expect(seat.locator("#chats-empty")).to_be_visible()
    page.click("button:has-text('开始新的对话')")
    expect(page.locator(".log .text").first).to_contain_text("在线客服")
    assert errors == [], json.dumps(errors, ensure_ascii=False)
    (row,) = [row for row in centre.report() if row["outcome"] == "answered"]
    assert (row["medium"], row["queue"], row["agent"]) == ("chat", "service@chat", "1001")


def test_foreign_sites_and_forged_visits_get_nothing(centre: Centre, site: Site, browser: Browser) -> None:
    script = """(first) => new Promise((done) => {
        const socket = new WebSocket(`ws://%s/chat/socket`);
        socket.onopen = () => socket.send(first);
        socket.onmessage = (event) => done(event.data);
        socket.onclose = (event) => done(String(event.code));
    })"""
    ask = script % centre.http
    foreign = browser.new_page()
    foreign.goto(f"{site.origin.replace(HOST, 'localhost')}/nothing")
    assert foreign.evaluate(ask, '{"start":{}}') == "4403"
    allowed = browser.new_page()
    allowed.goto(f"{site.origin}/nothing")
    for first, code in (
        ('{"resume":"i1-1.wrong","after":0}', "4410"),
        ('{"send":"first?","id":"1"}', "4400"),
        ("nonsense", "4400"),
        ('{"start":{"identity":"forged"}}', '{"refused":"bad_identity"}'),
    ):
        assert allowed.evaluate(ask, first) == code, first
    assert centre.metric("callcenter_chat_events_total", event="foreign_origin") == 1
    assert centre.metric("callcenter_chat_events_total", event="forged_visit") == 1


def test_files_rating_and_transcript(start_centre: Start, site: Site, browser: Browser) -> None:
    """Both ways between visitor and agent; what is refused says so; the transcript goes out through the relay."""
    errors: list[str] = []
    with Relay() as relay:
        centre = start_centre(
            numbers=[{"number": "95519", "flow": "hotline"}],
            queues=[queue("service", title="客户服务")],
            agents=[agent("1001", free_port(), wrap_up_s=30)],
            sections={
                "chat": {"flow": "hotline", "origins": [site.origin]},
                "email": {
                    "addresses": ["service@insurer.example"],
                    "relay": {"address": relay.address, "tls": "none"},
                    "prove": False,
                },
            },
        )
        site.embed(centre.http)
        seat = at_panel(browser, centre, errors)
        page = visitor(browser, site, errors)
        page.click(".choices button:has-text('人工服务')")
        seat.click("#chats button:has-text('接入')")
        expect(page.locator(".standing")).to_contain_text("正在为您服务")
        picture = {"name": "保单.png", "mimeType": "image/png", "buffer": PNG}
        page.set_input_files("input[type=file]", picture)
        expect(page.locator(".me .file img")).to_be_visible()
        expect(seat.locator("#thread-log .thumb")).to_be_visible()
        for name, data, words in (
            ("病毒.exe", b"MZ" + b"\0" * 100, "不接受此类文件"),
            ("big.pdf", b"%PDF-1.4" + b"\0" * 10_000_001, "文件过大"),
        ):
            page.set_input_files(
                "input[type=file]", {"name": name, "mimeType": "application/pdf", "buffer": data}
            )
            expect(page.locator(".error")).to_contain_text(words)
        seat.set_input_files(
            "#thread-file", {"name": "条款.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 terms"}
        )
        expect(seat.locator("#thread-files li")).to_contain_text("条款.pdf")
        seat.fill("#thread-text", "请看附件")
        seat.keyboard.press("Enter")
        with page.expect_download() as download:
            page.click(".file:has-text('条款.pdf')")
        assert Path(download.value.path()).read_bytes() == b"%PDF-1.4 terms"
        seat.click("#thread-end")
        expect(page.locator(".standing")).to_have_text("对话已结束")
        page.click(".stars button >> nth=3")
        expect(page.locator(".after p[role=status]")).to_have_text("感谢您的评价！")
        page.fill("input[type=email]", "zhang@customer.example")
        page.click("button:has-text('把对话记录发送到邮箱')")
        expect(page.locator(".after p[role=status]")).to_have_text("已发送。")
        (mail,) = relay.wait(1, 20)
        message = email.message_from_bytes(mail, policy=email.policy.default)
        assert message["To"] == "zhang@customer.example"
        assert "请看附件" in str(message.get_content())  # type: ignore[attr-defined]
        assert centre.metric("callcenter_files_total", what="type_refused") == 1
        (row,) = [row for row in centre.report() if row["outcome"] == "answered"]
        assert row["stars"] == 4
        seat.select_option("#thread-code", index=1)
        seat.click("#thread-wrap button")
    assert [one for one in errors if "Content Security" in one] == []
