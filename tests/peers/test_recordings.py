"""Recordings at rest and in the page: sealed on the disk, found, seen and heard in Chromium, fetched, verified; and
what becomes of them when the disk is full."""

from __future__ import annotations

import contextlib
import io
import subprocess
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.peers.centre import PASSWORD, Centre, agent, queue, until
from tests.peers.phones import Sipp, free_port

pytestmark = pytest.mark.peer("sipp", "chromium")

NUMBER, CALLER, AUDITOR = "95520", "13800138003", "9001"
Start = Callable[..., Centre]
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
]


def begun(start_centre: Start, port: int, **more: object) -> Centre:
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service", title="客户服务")],
        agents=[agent("1001", port), agent(AUDITOR, role="auditor")],
        **more,
    )
    centre.set_password(AUDITOR)
    return centre


def one_call(centre: Centre, port: int, folder: Path, hold_s: float = 3) -> None:
    with (
        Sipp("agent", folder / "seat", port=port, calls=1, hold_s=hold_s, timeout_s=60),
        Sipp(
            "caller", folder / "caller", remote=centre.sip, number=NUMBER, caller=CALLER, hold_s=hold_s
        ) as caller,
    ):
        caller.wait()


def log_in(page: Page, centre: Centre, login: str) -> None:
    page.goto(f"http://{centre.http}/login")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("#queue-rows tr")


def heard_s(page: Page) -> float:
    return float(page.evaluate("() => document.getElementById('audio').currentTime"))


def test_a_recording_is_found_heard_fetched_and_on_record(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = begun(start_centre, port)
    one_call(centre, port, tmp_path)
    row = centre.recorded(NUMBER)
    (file,) = (centre.var / "recordings").iterdir()
    assert file.suffix == ".sealed"
    assert b"WAVE" not in file.read_bytes()
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: errors.append(str(error)))
        log_in(page, centre, AUDITOR)
        page.click("a[href='/recordings']")
        expect(page.locator("#rows tr")).to_have_count(1)
        page.fill("#party", "13900139000")
        page.click("button[type=submit]")
        expect(page.locator("#empty")).to_be_visible()
        page.fill("#party", "no number")
        page.click("button[type=submit]")
        expect(page.locator("#search-error")).to_be_visible()
        page.fill("#party", "138 0013 8003")
        page.select_option("#queue", "service")
        page.click("button[type=submit]")
        expect(page.locator("#rows tr")).to_have_count(1)
        page.click(f"#play-{row['recordings'][0]['id']}")
        until(lambda: heard_s(page) > 0.5, 10, "sound", 0.1)
        drawn = page.evaluate(
            "() => { const c = document.getElementById('wave'); const d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n }"
        )
        assert drawn > 500, "a waveform is drawn"
        page.evaluate("document.getElementById('audio').currentTime = 2.5")
        until(lambda: heard_s(page) >= 2.5, 10, "the later part", 0.1)
        with page.expect_download() as fetched:
            page.click("#rows tr button:has-text('下载')")
        with wave.open(io.BytesIO(Path(fetched.value.path()).read_bytes())) as sound:
            assert sound.getnchannels() == 2
            assert sound.getnframes() / sound.getframerate() == pytest.approx(3, abs=1)
        page.goto(f"http://{centre.http}/audit")
        expect(page.locator("#rows tr")).to_have_count(2)
        expect(page.locator("#rows tr").first).to_contain_text("下载录音")
        browser.close()
    assert errors == []
    assert centre.verify("--deep") == {"counts": {"sound": 1}, "faults": [], "strays": []}
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.write_bytes(raw)
    (fault,) = centre.verify()["faults"]
    assert (fault["fault"], fault["interaction"]) == ("changed", row["id"])


def test_without_room_calls_go_on_and_supervisors_are_told(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = begun(start_centre, port, sections={"recordings": {"min_free_mb": 10**9}})
    one_call(centre, port, tmp_path, hold_s=1)
    row = centre.ended(NUMBER)
    assert row["outcome"] == "answered"
    assert [(one["state"], one["reason"]) for one in row["recordings"]] == [("failed", "disk_full")]
    assert centre.metric("callcenter_alarm", alarm="recordings_disk") == 1
    (alarm,) = centre.person("8001").page()["alarms"]
    assert alarm["name"] == "recordings_disk"
    assert not list((centre.var / "recordings").iterdir())


def test_a_disk_that_fills_up_while_recording(start_centre: Start, tmp_path: Path) -> None:
    """The last room goes while somebody talks: the call goes on, and what was recorded is sealed once there is room."""
    port = free_port()
    limit_mb = 20
    centre = begun(start_centre, port, sections={"recordings": {"min_free_mb": limit_mb}})
    folder = centre.var / "recordings"
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        with (
            Sipp("agent", tmp_path / "seat", port=port, calls=1, hold_s=14, timeout_s=60),
            Sipp(
                "caller", tmp_path / "caller", remote=centre.sip, number=NUMBER, caller=CALLER, hold_s=14
            ) as caller,
        ):
            until(lambda: list(folder.glob("*-caller.wav")), 10, "a recording", 0.1)
            time.sleep(2)
            ballast = folder / "ballast"
            with contextlib.suppress(OSError):
                ballast.write_bytes(bytes(29_900_000))
            until(
                lambda: centre.metric("callcenter_alarm", alarm="recordings_disk") == 1, 10, "the alarm", 0.2
            )
            caller.wait()
        row = centre.ended(NUMBER)
        assert row["outcome"] == "answered"
        ballast.unlink()
        until(
            lambda: centre.metric("callcenter_alarm", alarm="recordings_disk") == 0,
            10,
            "the alarm's end",
            0.2,
        )
        row = centre.recorded(NUMBER, within_s=40)
        assert row["recordings"][0]["duration_ms"] >= 1_500
        assert centre.verify("--deep")["counts"] == {"sound": 1}
    finally:
        subprocess.run(["umount", str(folder)], check=True)
