"""A mail in a real browser: its HTML can do nothing, pictures from the net come when they are asked for, and what an
agent has begun survives a reload and the death of the core."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from email.message import EmailMessage

import pytest
from playwright.sync_api import Browser, expect

from tests.peers.centre import Centre, agent, queue
from tests.peers.mail import Relay
from tests.peers.phones import HOST, free_port
from tests.peers.test_web_chat import PNG, Site, at_panel, browser, site

__all__ = ["browser", "site"]
pytestmark = pytest.mark.peer("chromium", "smtp-sink")
Start = Callable[..., Centre]
HTML = """<p>您好，<b>附上照片</b></p><script>parent.document.title = "stolen"</script>
<img src="{origin}/remote.png" onerror="parent.document.title = 'stolen'"><img src="cid:photo" alt="photo">
<form action="{origin}/steal"><input name="x"></form><a href="javascript:alert(1)">x</a>
<a href="/api/session">logout</a><a href="https://example.com/terms">terms</a>"""


@pytest.fixture
def asked(site: Site) -> Iterator[list[str]]:
    """Paths that the outside was asked for."""
    (site.folder / "remote.png").write_bytes(PNG)
    found: list[str] = []
    handler = site.handler
    original = handler.log_request

    def log_request(self: object, *_words: object) -> None:
        found.append(getattr(self, "path", ""))

    handler.log_request = log_request  # type: ignore[method-assign]
    yield found
    handler.log_request = original  # type: ignore[method-assign]


def letter(origin: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "zhang@customer.example", "service@insurer.example"
    message["Subject"], message["Message-ID"] = "照片", "<photo@customer.example>"
    message.set_content("您好，附上照片")
    message.add_alternative(HTML.format(origin=origin), subtype="html")
    message.get_payload()[1].add_related(PNG, "image", "png", cid="<photo>")  # type: ignore[union-attr, index]
    message.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="run.exe")
    return message


def test_a_mail_in_the_browser(start_centre: Start, site: Site, browser: Browser, asked: list[str]) -> None:
    errors: list[str] = []
    smtp = free_port()
    with Relay() as relay:
        centre = start_centre(
            numbers=[{"number": "95519", "flow": "hotline"}],
            queues=[queue("service", title="客户服务")],
            agents=[agent("1001", free_port(), wrap_up_s=30)],
            sections={
                "email": {
                    "addresses": ["service@insurer.example"],
                    "listen": f"{HOST}:{smtp}",
                    "prove": False,
                    "relay": {"address": relay.address, "tls": "none"},
                }
            },
        )
        with smtplib.SMTP(HOST, smtp, timeout=20) as peer:
            peer.send_message(letter(site.origin))
        seat = at_panel(browser, centre, errors)
        seat.click("#chats button:has-text('接入')")
        expect(seat.locator("#thread-log .said.customer .text")).to_have_text("您好，附上照片")
        expect(seat.locator("#thread-log .refused")).to_contain_text("不接受此类文件")
        seat.click("[id^=original-]")
        frame = seat.frame_locator("iframe.mail-html")
        expect(frame.locator("b")).to_have_text("附上照片")
        expect(frame.locator("img[alt=photo]")).to_have_js_property("naturalWidth", 1)
        assert frame.locator("script, form, input").count() == 0
        assert [one.get_attribute("href") for one in frame.locator("a").all()] == [
            None,
            None,
            "https://example.com/terms",
        ]
        assert asked == []
        seat.click("button:has-text('显示外部图片')")
        expect(frame.locator("img").first).to_have_js_property("naturalWidth", 1)
        assert asked == ["/remote.png"]
        seat.fill("#thread-text", "已收到，")
        seat.fill("#thread-cc", "wife@customer.example")
        seat.set_input_files(
            "#thread-file", {"name": "表.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 x"}
        )
        expect(seat.locator("#thread-files li")).to_contain_text("表.pdf")
        centre.kill_core()
        centre.wait_ready()
        seat.reload()
        expect(seat.locator("#thread-text")).to_have_value("已收到，")
        expect(seat.locator("#thread-cc")).to_have_value("wife@customer.example")
        expect(seat.locator("#thread-files li")).to_contain_text("表.pdf")
        seat.click("#thread-form button[type=submit]")
        expect(seat.locator("#thread-log .said.agent")).to_contain_text("已发送", timeout=15_000)
        sent = relay.wait(2)[1]
        assert b"wife@customer.example" in sent
        assert "stolen" not in seat.title()
        seat.click("#thread-end")
        seat.select_option("#thread-code", index=1)
        seat.click("#thread-wrap button")
    assert errors == []
