"""Browser phones: two real Chromiums with sound files for microphones; tones found in both ears."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.peers.centre import PASSWORD, Centre, agent, queue
from tests.peers.phones import HOST, free_port, until
from tests.peers.sound import write_tone

pytestmark = pytest.mark.peer("chromium")

NUMBER, SEAT = "95520", "1001"
AGENT_HZ, VISITOR_HZ = 1130, 620
Start = Callable[..., Centre]
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
]
_EAR = """
() => {
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...words) {
      super(...words);
      this.addEventListener('track', (event) => {
        const context = new AudioContext();
        const ear = context.createAnalyser();
        ear.fftSize = 8192;
        ear.smoothingTimeConstant = 0;
        context.createMediaStreamSource(new MediaStream([event.track])).connect(ear);
        window.ear = { context, ear };
      });
    }
  };
}
"""
_LOUDEST = """
() => {
  if (!window.ear) return [0, 0];
  const { context, ear } = window.ear;
  const bins = new Float32Array(ear.frequencyBinCount);
  ear.getFloatFrequencyData(bins);
  let best = 0;
  bins.forEach((value, n) => { if (value > bins[best]) best = n; });
  return [best * context.sampleRate / ear.fftSize, bins[best]];
}
"""


def hears(page: Page, hertz: float) -> bool:
    """Is this tone the loudest of what the page hears now?"""
    found, decibels = page.evaluate(_LOUDEST)
    return bool(abs(found - hertz) < 25 and decibels > -70)


@pytest.fixture
def centre(start_centre: Start) -> Centre:
    made = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent(SEAT, device="browser", ready_at_start=False)],
        webrtc={
            "sip": f"{HOST}:{free_port()}",
            "advertise": [HOST],
            "web_call_numbers": [NUMBER],
            "web_call_rate": "5/minute",
        },
    )
    made.set_password(SEAT)
    return made


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[[int], Page]]:
    """A browser whose microphone hears this tone. An error of a script fails the test."""
    errors: list[str] = []
    with sync_playwright() as playwright, ExitStack() as stack:

        def start(hertz: int) -> Page:
            write_tone(tmp_path / f"{hertz}.wav", hertz, 30, 48_000)
            words = [f"--use-file-for-fake-audio-capture={tmp_path / f'{hertz}.wav'}"]
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=[*_ARGUMENTS, *words]
            )
            stack.callback(browser.close)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(8000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.add_init_script(f"({_EAR})()")
            return page

        yield start
    assert errors == []


def log_in(page: Page, centre: Centre) -> None:
    page.goto(f"http://{centre.http}/")
    page.fill("#login", SEAT)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    expect(page.locator("#phone")).to_be_visible()


def talking(centre: Centre, browse: Callable[[int], Page]) -> tuple[Page, Page]:
    """A visitor who talks to the agent."""
    seat, visitor = browse(AGENT_HZ), browse(VISITOR_HZ)
    log_in(seat, centre)
    seat.click("#phone-open")
    expect(seat.locator("#phone-state")).to_have_class("badge idle", timeout=10_000)
    seat.keyboard.press("r")
    expect(seat.locator("#state-badge")).to_have_class("badge idle")
    visitor.goto(f"http://{centre.http}/call")
    visitor.click("#web-dial")
    expect(seat.locator("#answer")).to_be_visible(timeout=10_000)
    seat.keyboard.press("a")
    expect(seat.locator("#hang-up")).to_be_visible(timeout=10_000)
    until(lambda: hears(seat, VISITOR_HZ), 10, "the visitor in the agent's ear", 0.2)
    until(lambda: hears(visitor, AGENT_HZ), 10, "the agent in the visitor's ear", 0.2)
    return seat, visitor


def test_a_whole_call_with_nothing_but_browsers(centre: Centre, browse: Callable[[int], Page]) -> None:
    seat, visitor = talking(centre, browse)
    expect(visitor.locator("#web-state")).to_contain_text(re.compile("通话中"))
    seat.keyboard.press("h")
    expect(visitor.locator("#web-dial")).to_be_visible(timeout=10_000)
    expect(seat.locator("#state-badge")).to_have_class("badge idle", timeout=10_000)
    row = centre.ended(NUMBER)
    assert (row["outcome"], row["agent"]) == ("answered", SEAT)
    assert row["quality"]["agent"]["codec"] == "PCMU"


def test_a_core_that_dies_is_not_heard(centre: Centre, browse: Callable[[int], Page]) -> None:
    seat, visitor = talking(centre, browse)
    centre.kill_core()
    for _ in range(15):
        assert hears(seat, VISITOR_HZ)
        assert hears(visitor, AGENT_HZ)
        time.sleep(0.2)
    centre.wait_ready()
    expect(seat.locator("#offline")).to_be_hidden(timeout=10_000)
    expect(seat.locator("#hang-up")).to_be_visible()
    seat.keyboard.press("h")
    expect(visitor.locator("#web-dial")).to_be_visible(timeout=10_000)


def test_a_reloaded_page_has_its_call_again(centre: Centre, browse: Callable[[int], Page]) -> None:
    seat, visitor = talking(centre, browse)
    seat.reload()
    expect(seat.locator("#phone-state")).to_have_class("badge idle", timeout=12_000)
    until(lambda: hears(seat, VISITOR_HZ), 10, "the visitor again", 0.2)
    until(lambda: hears(visitor, AGENT_HZ), 10, "the agent again", 0.2)
    expect(seat.locator("#hang-up")).to_be_visible()
    visitor.click("#web-over")
    expect(seat.locator("#state-badge")).to_have_class("badge idle", timeout=10_000)


def test_a_page_that_does_not_come_back_gives_the_customer_to_the_queue(
    centre: Centre, browse: Callable[[int], Page]
) -> None:
    seat, visitor = talking(centre, browse)
    seat.close()
    time.sleep(4)
    assert not hears(visitor, AGENT_HZ)
    until(lambda: centre.metric("callcenter_queue_length", queue="service") == 1, 25, "waiting again", 0.2)
    visitor.click("#web-over")
    until(lambda: centre.metric("callcenter_queue_length", queue="service") == 0, 10, "gone", 0.2)


def test_keys_of_the_web_reach_the_flow(start_centre: Start, browse: Callable[[int], Page]) -> None:
    centre = start_centre(
        numbers=[{"number": "95519", "flow": "hotline"}],
        queues=[queue("service"), queue("complaints")],
        agents=[],
        webrtc={"sip": f"{HOST}:{free_port()}", "advertise": [HOST], "web_call_numbers": ["95519"]},
    )
    visitor = browse(VISITOR_HZ)
    visitor.goto(f"http://{centre.http}/call?lang=en")
    visitor.click("#web-dial")
    expect(visitor.locator("#web-state")).to_contain_text("Talking", timeout=10_000)
    time.sleep(14)
    visitor.keyboard.press("2")
    time.sleep(6)
    visitor.keyboard.press("0")
    until(
        lambda: centre.metric("callcenter_queue_length", queue="service") == 1,
        20,
        "waiting, as was chosen",
        0.3,
    )
    visitor.click("#web-over")
    until(lambda: centre.metric("callcenter_queue_length", queue="service") == 0, 10, "gone", 0.2)


def test_refusals_are_told(centre: Centre, browse: Callable[[int], Page]) -> None:
    visitor = browse(VISITOR_HZ)
    visitor.goto(f"http://{centre.http}/call")
    answers = visitor.evaluate(
        """async () => {
          const ask = async (body) => {
            const answer = await fetch('/api/web-call', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
            return [answer.status, (await answer.json()).error];
          };
          const found = [await ask({ sdp: 'v=0 nonsense nonsense' }), await ask({ sdp: 'v=0 nonsense nonsense', number: '10086' }), await ask({})];
          for (let n = 0; n < 5; n += 1) found.push(await ask({ sdp: 'v=0 nonsense nonsense' }));
          return found;
        }"""
    )
    assert answers[:3] == [[422, "bad_description"], [422, "unknown_number"], [422, "invalid"]]
    assert answers[-1] == [429, "too_often"]
    assert centre.status()["restarts"] == dict.fromkeys(centre.status()["restarts"], 0)


def test_a_microphone_that_is_denied(centre: Centre, browse: Callable[..., Page]) -> None:
    page = browse(VISITOR_HZ)
    page.goto(f"http://{centre.http}/call?lang=en")
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')); }"
    )
    page.click("#web-dial")
    expect(page.locator("#web-state")).to_contain_text("may not use the microphone")
    expect(page.locator("#web-dial")).to_be_enabled()


def test_a_microphone_that_is_pulled_out_in_a_call(centre: Centre, browse: Callable[[int], Page]) -> None:
    """It is said, another one is taken, and the call goes on."""
    seat = browse(AGENT_HZ)
    seat.add_init_script(
        "const asked = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = async (wanted) => (window.plugged = await asked(wanted));"
    )
    visitor = browse(VISITOR_HZ)
    log_in(seat, centre)
    seat.click("#phone-open")
    expect(seat.locator("#phone-state")).to_have_class("badge idle", timeout=10_000)
    seat.keyboard.press("r")
    visitor.goto(f"http://{centre.http}/call")
    visitor.click("#web-dial")
    expect(seat.locator("#answer")).to_be_visible(timeout=10_000)
    seat.keyboard.press("a")
    until(lambda: hears(visitor, AGENT_HZ), 15, "the agent", 0.2)
    seat.evaluate(
        "() => { const [track] = window.plugged.getAudioTracks(); track.stop(); track.dispatchEvent(new Event('ended')); }"
    )
    expect(seat.locator("#toasts")).to_contain_text("麦克风已拔出")
    expect(seat.locator("#phone-state")).to_have_class("badge idle", timeout=15_000)
    until(lambda: hears(visitor, AGENT_HZ), 15, "the agent again", 0.2)
    expect(seat.locator("#hang-up")).to_be_visible()


def test_the_ring_the_echo_and_the_light(centre: Centre, browse: Callable[[int], Page]) -> None:
    seat = browse(AGENT_HZ)
    log_in(seat, centre)
    seat.click("#phone-open")
    expect(seat.locator("#phone-state")).to_have_class("badge idle", timeout=10_000)
    expect(seat.locator("#phone-ring option")).not_to_have_count(0)
    expect(seat.locator("#phone-mute")).to_have_text("未通话")
    seat.click("#phone-echo")
    expect(seat.locator("#phone-echo")).to_have_text("请说话…")
    expect(seat.locator("#phone-echo")).to_have_text("正在回放…", timeout=6_000)
    expect(seat.locator("#phone-echo")).to_have_text("试音", timeout=10_000)
    expect(seat.locator("#toasts .bad")).to_have_count(0)
    seat.evaluate(
        "() => { window.rung = 0; const play = Audio.prototype.play;"
        " Audio.prototype.play = function () { if (this.src.endsWith('ring.wav')) window.rung += 1; return play.call(this); }; }"
    )
    seat.keyboard.press("r")
    visitor = browse(VISITOR_HZ)
    visitor.goto(f"http://{centre.http}/call")
    visitor.click("#web-dial")
    expect(seat.locator("#answer")).to_be_visible(timeout=10_000)
    assert seat.evaluate("() => window.rung") == 1
    seat.keyboard.press("a")
    expect(seat.locator("#phone-mute")).to_have_text("麦克风开", timeout=10_000)
    seat.keyboard.press("m")
    expect(seat.locator("#phone-mute")).to_have_class("badge alarm")
