"""Recordings over HTTP: who may, grants and their audit, ranges, search, legal hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callcenter.directory.people import UserService
from callcenter.journal.private import erase
from callcenter.kernel.sealed_file import CHUNK, seal_file
from callcenter.live import facts as f
from callcenter.recordings import MOST_FOUND
from crm_core.customers import CustomerCreate, CustomerService
from crm_core.db import session
from softphone_ui.audit_api import ACTIONS
from tests.callcenter.centre import MASTER
from tests.softphone_ui.office import Browser, Office

AGENT, ADMINISTRATOR, SUPERVISOR, AUDITOR = "1001", "1002", "8001", "9001"
ALICE, BERT = "13800138000", "13900139000"
HOUR_MS = 3_600_000
SOUND = bytes(n * 7 % 251 for n in range(CHUNK + 1000))
SIZE = len(SOUND)
NOTHING = "i0-0-0"


class Archive:
    """An office with a folder of recordings; the second agent is an administrator here."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office, self.folder = office, folder
        folder.mkdir()
        with session(office.records) as records:
            user = UserService(records).by_login(ADMINISTRATOR)
            assert user is not None
            user.role = "administrator"
            records.add(user)
            records.commit()

    def call(self, caller: str = ALICE, sound: bytes = SOUND, seconds: int = 1) -> tuple[str, str]:
        """A call that was recorded and is over: (interaction, recording)."""
        interaction = self.office.talk(AGENT, caller)
        (name,) = interaction.recordings
        self.office.do(self.office.centre.clock.advance, seconds * 1000)
        self.office.hang_up(interaction)
        self.office.do(self.save, interaction.id, name, caller, sound, seconds)
        return interaction.id, name

    def save(self, interaction: str, name: str, caller: str, sound: bytes, seconds: int) -> None:
        private = self.office.centre.private
        plain, path = self.folder / "plain", self.folder / f"{name}.sealed"
        plain.write_bytes(sound)
        key, key_name = private.sealing_key(private.person_of(f"+86{caller}"))
        about = {"name": path.stem, "ms": seconds * 1000, "outline": [1, 2]}
        sealed = seal_file(plain, path, key, key_name, about)
        plain.unlink()
        saved = f.RecordingSaved(interaction, str(path), seconds * 1000, sealed.sha256, sealed.size)
        self.submit(saved)

    def submit(self, *facts: Any) -> None:
        self.office.centre.host.submit(*facts)
        self.office.centre.settle()
        self.office.write_history()

    def many(self, customer: int, count: int, name: str) -> None:
        """Rows of history about calls of this customer, without files."""
        at_ms = self.office.centre.clock.now_ms()
        facts: list[Any] = [
            f.InteractionStarted(name, "voice", "in", "95519", "w", f"leg-{name}", "", at_ms),
            f.CustomerMatched(name, customer),
        ]
        for n in range(count):
            facts.append(f.RecordingSaved(name, f"rec/{name}-{n:03}.sealed", 1_000, "abc", 1))
        facts.append(f.InteractionEnded(name, "answered", "normal", "caller", at_ms))
        self.office.do(self.submit, *facts)

    def customer(self, name: str, *phones: str) -> int:
        with session(self.office.records) as records:
            made = CustomerService(records, MASTER).create(CustomerCreate(name=name, phones=list(phones)))
            records.commit()
            assert made.id is not None
            return made.id

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.sealed"

    def audit(self, **wanted: Any) -> list[tuple[str, str, str, str]]:
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        rows = self.office.log_in(AUDITOR).get(f"/api/audit?{query}").json()
        return [(row["actor"], row["action"], row["subject"], row["detail"]) for row in rows]


@pytest.fixture
def archive(office: Office, tmp_path: Path) -> Archive:
    return Archive(office, tmp_path / "rec")


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def granted(browser: Browser, name: str, use: str = "play") -> str:
    """The address of a fresh grant."""
    response = browser.post(f"/recordings/{name}/grants", {"use": use})
    assert response.status_code == 200, response.text
    url: str = response.json()["url"]
    return url


def hear(browser: Browser, url: str, wanted: str | None = None) -> Any:
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    if wanted is not None:
        headers["Range"] = wanted
    browser.office.client.cookies.clear()
    return browser.office.client.get(url, headers=headers)


def found(browser: Browser, **wanted: Any) -> list[str]:
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    response = browser.get(f"/api/recordings?{query}")
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()]


# --- who may -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "find", "play", "download", "hold", "audit"),
    [
        (AGENT, 403, 403, 403, 403, 403),
        (ADMINISTRATOR, 403, 403, 403, 204, 200),
        (SUPERVISOR, 200, 200, 403, 403, 403),
        (AUDITOR, 200, 200, 200, 204, 200),
    ],
)
def test_each_role_may_what_it_may(
    archive: Archive, login: str, find: int, play: int, download: int, hold: int, audit: int
) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(login)
    answers = {
        "find": (find, browser.get("/api/recordings")),
        "play": (play, browser.post(f"/recordings/{name}/grants", {"use": "play"})),
        "download": (download, browser.post(f"/recordings/{name}/grants", {"use": "download"})),
        "hold": (hold, browser.post(f"/recordings/{name}/hold", {"on": True})),
        "audit": (audit, browser.get("/api/audit")),
    }
    for what, (status, response) in answers.items():
        assert response.status_code == status, what
        if status == 403:
            assert response.json() == {"error": "role"}, what
    sound = hear(browser, f"/api/recordings/{name}/sound?grant=x")
    assert error(sound) == (403, "no_grant")


def test_nothing_without_a_session(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.browser()
    for path in ("/api/recordings", f"/api/recordings/{name}/sound?grant=x", "/api/audit"):
        assert error(browser.get(path)) == (401, "not_logged_in"), path
    for path, body in (("grants", {"use": "play"}), ("hold", {"on": True})):
        assert error(browser.post(f"/recordings/{name}/{path}", body)) == (401, "not_logged_in"), path


def test_grants_and_holds_want_the_sessions_token(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    for path, body in (("grants", {"use": "play"}), ("hold", {"on": True})):
        response = browser.send("POST", f"/api/recordings/{name}/{path}", body, csrf="wrong")
        assert error(response) == (403, "csrf"), path
    assert archive.audit() == []


def test_a_use_that_is_none_is_422(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    bodies: tuple[Any, ...] = (None, {}, {"use": "keep"}, {"use": ["play"]}, "play")
    for body in bodies:
        assert browser.post(f"/recordings/{name}/grants", body).status_code == 422, body


# --- grants --------------------------------------------------------------------------------------------


def test_a_grant_says_what_to_draw_and_where_to_hear(archive: Archive) -> None:
    _, name = archive.call(seconds=3)
    browser = archive.office.log_in(SUPERVISOR)
    answer = browser.post(f"/recordings/{name}/grants", {"use": "play"}).json()
    assert (answer["ms"], answer["outline"], answer["marks"]) == (3_000, [1, 2], [])
    response = hear(browser, answer["url"], "bytes=0-")
    assert response.content == SOUND
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["cache-control"] == "no-store"


def test_a_grant_serves_nobody_else(archive: Archive) -> None:
    _, name = archive.call()
    url = granted(archive.office.log_in(SUPERVISOR), name)
    assert error(hear(archive.office.log_in(AUDITOR), url)) == (403, "no_grant")
    assert error(hear(archive.office.log_in(AGENT), url)) == (403, "no_grant")
    assert error(hear(archive.office.browser(), url)) == (401, "not_logged_in")


def test_a_grant_serves_no_other_recording(archive: Archive) -> None:
    _, one = archive.call()
    _, two = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    url = granted(browser, one)
    assert error(hear(browser, url.replace(one, two))) == (403, "no_grant")
    assert error(hear(browser, url.replace(one, NOTHING))) == (403, "no_grant")
    assert hear(browser, url, "bytes=0-0").status_code == 206


def test_a_grant_that_was_never_given_is_none(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    granted(browser, name)
    path = f"/api/recordings/{name}/sound"
    for url in (path, f"{path}?grant=", f"{path}?grant=x", f"{path}?grant=%00"):
        assert error(hear(browser, url)) == (403, "no_grant")
    assert hear(browser, f"{path}?grant={'x' * 65}").status_code == 422


def test_a_grant_lasts_an_hour(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    url = granted(browser, name)
    archive.office.do(archive.office.centre.clock.advance, HOUR_MS - 1)
    assert hear(browser, url, "bytes=0-0").status_code == 206
    archive.office.do(archive.office.centre.clock.advance, 1)
    assert error(hear(browser, url, "bytes=0-0")) == (403, "no_grant")
    again = granted(browser, name)
    assert again != url
    assert hear(browser, again, "bytes=0-0").status_code == 206
    assert error(hear(browser, url, "bytes=0-0")) == (403, "no_grant")


def test_a_grant_ends_with_the_session(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    url, cookies = granted(browser, name), dict(browser.cookies)
    browser.send("DELETE", "/api/session")
    browser.cookies = cookies
    assert error(hear(browser, url)) == (401, "not_logged_in")


def test_a_download_is_the_whole_file_under_its_name(archive: Archive) -> None:
    sound = bytes(n % 256 for n in range(CHUNK)) * 70
    assert len(sound) > 4 << 20
    _, name = archive.call(sound=sound)
    browser = archive.office.log_in(AUDITOR)
    response = hear(browser, granted(browser, name, "download"))
    assert response.status_code == 200
    assert response.content == sound
    assert response.headers["content-length"] == str(len(sound))
    assert response.headers["content-disposition"] == f'attachment; filename="{name}.wav"'


def test_what_cannot_be_opened_is_not_granted(archive: Archive) -> None:
    interaction, deleted = archive.call()
    _, damaged = archive.call()
    _, missing = archive.call()
    archive.office.do(archive.submit, f.RecordingDeleted(interaction, deleted, "retention", 5))
    failed = f.RecordingFailed(interaction, "disk_full", "failed-one", 5)
    archive.office.do(archive.submit, failed)
    archive.file(damaged).write_bytes(b"RIFF" + bytes(50))
    archive.file(missing).unlink()
    browser = archive.office.log_in(AUDITOR)
    for name, refusal in (
        (NOTHING, (404, "no_recording")),
        ("..%2F..%2Fetc", (404, "no_recording")),
        (deleted, (410, "recording_deleted")),
        ("failed-one", (409, "recording_not_ready")),
        (damaged, (500, "recording_damaged")),
        (missing, (500, "recording_damaged")),
    ):
        for use in ("play", "download"):
            response = browser.post(f"/recordings/{name}/grants", {"use": use})
            if name.startswith(".."):
                assert response.status_code == 404
            else:
                assert error(response) == refusal, name
    assert archive.audit() == [], "what was refused was not done"


def test_an_erased_person_is_heard_no_more(archive: Archive) -> None:
    _, name = archive.call()
    _, other = archive.call(BERT)
    person = archive.office.centre.private.person_of(f"+86{ALICE}")
    archive.office.do(erase, archive.office.centre.journal.connection, person)
    browser = archive.office.log_in(AUDITOR)
    response = browser.post(f"/recordings/{name}/grants", {"use": "play"})
    assert error(response) == (410, "recording_erased")
    assert hear(browser, granted(browser, other), "bytes=0-").content == SOUND


def test_a_file_that_was_damaged_after_the_grant_is_500(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    play = granted(browser, name)
    raw = archive.file(name).read_bytes()
    archive.file(name).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert error(hear(browser, play, "bytes=-1")) == (500, "recording_damaged")
    assert hear(browser, play, "bytes=0-9").content == SOUND[:10]


def test_a_damaged_download_is_no_200(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    url = granted(browser, name, "download")
    archive.file(name).unlink()
    assert error(hear(browser, url)) == (500, "recording_damaged")


# --- the audit -----------------------------------------------------------------------------------------


def test_every_grant_is_a_row_of_the_audit(archive: Archive) -> None:
    interaction, name = archive.call()
    supervisor, auditor = archive.office.log_in(SUPERVISOR), archive.office.log_in(AUDITOR)
    for browser, use in (
        (supervisor, "play"),
        (auditor, "play"),
        (auditor, "download"),
        (supervisor, "play"),
    ):
        url = granted(browser, name, use)
        for _ in range(2):
            hear(browser, url, "bytes=0-9")
    refused = supervisor.post(f"/recordings/{name}/grants", {"use": "download"})
    assert error(refused) == (403, "role")
    assert archive.audit() == [
        (SUPERVISOR, "play_recording", interaction, name),
        (AUDITOR, "download_recording", interaction, name),
        (AUDITOR, "play_recording", interaction, name),
        (SUPERVISOR, "play_recording", interaction, name),
    ]
    assert len(archive.audit(actor=SUPERVISOR)) == 2
    assert len(archive.audit(action="download_recording")) == 1
    assert len(archive.audit(subject=name)) == len(archive.audit(subject=interaction)) == 4
    assert archive.audit(subject=NOTHING) == []
    now_ms = archive.office.centre.clock.now_ms()
    assert len(archive.audit(since_ms=now_ms)) == 4
    assert archive.audit(until_ms=now_ms) == []


def test_what_is_written_is_what_the_page_can_ask_for(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    for use in ("play", "download"):
        granted(browser, name, use)
    for on in (True, False):
        browser.post(f"/recordings/{name}/hold", {"on": on})
    assert {action for _, action, _, _ in archive.audit()} <= set(ACTIONS)


# --- ranges --------------------------------------------------------------------------------------------


RANGES = {
    "bytes=0-0": (0, 0),
    "bytes=0-": (0, SIZE - 1),
    "bytes=5-9": (5, 9),
    f"bytes={CHUNK - 1}-{CHUNK}": (CHUNK - 1, CHUNK),
    f"bytes={SIZE - 1}-": (SIZE - 1, SIZE - 1),
    f"bytes={SIZE - 1}-{SIZE + 99}": (SIZE - 1, SIZE - 1),
    "bytes=-1": (SIZE - 1, SIZE - 1),
    "bytes=-500": (SIZE - 500, SIZE - 1),
    f"bytes=-{SIZE + 1}": (0, SIZE - 1),
    " bytes=1-2 ": (1, 2),
}
BEYOND = (f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=99999999999-", "bytes=-0")
NONSENSE = (
    *("", "bytes", "bytes=", "bytes=-", "items=0-1", "bytes=a-b", "bytes=0-1-2", "bytes=--1", "bytes 0-1"),
    *("bytes=0x0-0x5", "bytes=1.5-2", "bytes=-1-"),
)


def test_a_range_is_answered_to_the_byte(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    url = granted(browser, name)
    for wanted, (first, last) in RANGES.items():
        response = hear(browser, url, wanted)
        assert response.status_code == 206, wanted
        assert response.headers["content-range"] == f"bytes {first}-{last}/{SIZE}", wanted
        assert response.headers["accept-ranges"] == "bytes"
        assert response.headers["content-length"] == str(last - first + 1), wanted
        assert response.content == SOUND[first : last + 1], wanted


def test_a_range_beyond_the_end_is_416(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    url = granted(browser, name)
    for wanted in BEYOND:
        response = hear(browser, url, wanted)
        assert response.status_code == 416, wanted
        assert response.headers["content-range"] == f"bytes */{SIZE}", wanted
        assert response.content == b"", wanted


def test_what_is_no_single_range_is_the_whole(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    url = granted(browser, name)
    for wanted in (*NONSENSE, "bytes=0-1,5-6", "bytes=0-1, -5"):
        response = hear(browser, url, wanted)
        assert response.status_code in (200, 206), wanted
        assert response.content == SOUND, wanted


def test_a_range_that_ends_before_it_begins_is_none(archive: Archive) -> None:
    """RFC 9110, 14.1.1: it is invalid, and what is invalid is ignored."""
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    response = hear(browser, granted(browser, name), "bytes=9-2")
    assert "bytes 9-2/" not in response.headers.get("content-range", "")
    assert response.content == SOUND


def test_a_number_of_thousands_of_digits_is_no_fault_of_ours(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    response = hear(browser, granted(browser, name), f"bytes={'9' * 5000}-")
    assert response.status_code in (200, 206, 416)


def test_without_a_range_the_answer_is_200(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(SUPERVISOR)
    response = hear(browser, granted(browser, name))
    assert response.content == SOUND
    assert response.status_code == 200
    assert "content-range" not in response.headers


def test_without_a_range_even_a_long_one_is_whole(archive: Archive) -> None:
    sound = bytes(n % 256 for n in range(CHUNK)) * 70
    _, name = archive.call(sound=sound)
    browser = archive.office.log_in(SUPERVISOR)
    assert len(hear(browser, granted(browser, name)).content) == len(sound)


def test_a_long_one_is_heard_piece_by_piece(archive: Archive) -> None:
    sound = bytes(n % 256 for n in range(CHUNK)) * 70
    _, name = archive.call(sound=sound)
    browser = archive.office.log_in(SUPERVISOR)
    url, heard = granted(browser, name), b""
    while len(heard) < len(sound):
        response = hear(browser, url, f"bytes={len(heard)}-")
        assert response.headers["content-range"].startswith(f"bytes {len(heard)}-")
        heard += response.content
    assert heard == sound


# --- finding -------------------------------------------------------------------------------------------


def test_a_row_shows_what_people_want_to_see(archive: Archive) -> None:
    interaction, name = archive.call(seconds=2)
    (row,) = archive.office.log_in(SUPERVISOR).get("/api/recordings").json()
    assert (row["id"], row["interaction_id"], row["state"], row["held"]) == (
        name, interaction, "saved", False,
    )  # fmt: skip
    assert (row["agent"], row["agent_name"], row["queue"], row["queue_title"]) == (
        AGENT, "王芳", "service", "客户服务",
    )  # fmt: skip
    assert (row["party"], row["direction"], row["duration_ms"]) == ("138 0013 8000", "in", 2_000)
    assert not {"party_ref", "file", "sha256", "note_ref"} & set(row)


def test_found_by_the_number_of_the_party(archive: Archive) -> None:
    _, alice = archive.call(ALICE)
    archive.call(BERT)
    browser = archive.office.log_in(SUPERVISOR)
    ways = (ALICE, "138 0013 8000", "138-0013-8000", "%2B8613800138000", "008613800138000", f" {ALICE} ")
    for party in ways:
        assert found(browser, party=party) == [alice], party


def test_a_number_that_nobody_rang_from_finds_nothing(archive: Archive) -> None:
    archive.call()
    assert found(archive.office.log_in(SUPERVISOR), party="13700137000") == []


def test_what_is_no_number_is_422(archive: Archive) -> None:
    browser = archive.office.log_in(SUPERVISOR)
    for party in ("12", "王芳", "1380013800x", "+", "%20", "'%20OR%201=1"):
        assert error(browser.get(f"/api/recordings?party={party}")) == (422, "bad_number"), party


def match(archive: Archive, interaction: str, customer: int) -> None:
    archive.office.do(archive.submit, f.CustomerMatched(interaction, customer))


def test_found_by_the_name_of_the_customer(archive: Archive) -> None:
    chen, wang = archive.customer("陈静"), archive.customer("王小明")
    interaction, sound = archive.call(ALICE)
    match(archive, interaction, chen)
    other, _ = archive.call(BERT)
    match(archive, other, wang)
    browser = archive.office.log_in(SUPERVISOR)
    for name in ("陈静", "陈", "chenjing", "cj", " chen jing "):
        assert found(browser, name=name) == [sound], name


def test_a_name_that_nobody_has_finds_nothing(archive: Archive) -> None:
    archive.call()
    assert found(archive.office.log_in(SUPERVISOR), name="欧阳") == []


def test_namesakes_are_found_together_the_newest_first(archive: Archive) -> None:
    one, two = archive.customer("陈静"), archive.customer("陈静")
    sounds = []
    for caller, customer in ((ALICE, two), (BERT, one), (ALICE, two)):
        interaction, sound = archive.call(caller)
        match(archive, interaction, customer)
        sounds.append(sound)
    browser = archive.office.log_in(SUPERVISOR)
    assert found(browser, name="陈静") == sounds[::-1]
    assert found(browser, name="陈静", party=BERT) == [sounds[1]]


def test_a_name_and_a_customer_have_both_to_fit(archive: Archive) -> None:
    chen, wang = archive.customer("陈静"), archive.customer("王小明")
    interaction, sound = archive.call(ALICE)
    match(archive, interaction, chen)
    browser = archive.office.log_in(SUPERVISOR)
    assert found(browser, name="陈静", customer=chen) == [sound]
    assert found(browser, name="陈静", customer=wang) == []


def test_a_name_finds_no_more_than_anything_else(archive: Archive) -> None:
    for n in range(2):
        archive.many(archive.customer("陈静"), MOST_FOUND - 50, f"i9-{n}")
    browser = archive.office.log_in(SUPERVISOR)
    assert len(found(browser)) == MOST_FOUND
    assert len(found(browser, name="陈静")) == MOST_FOUND


def test_found_by_what_the_record_says(archive: Archive) -> None:
    interaction, name = archive.call(seconds=5)
    browser = archive.office.log_in(SUPERVISOR)
    (row,) = browser.get("/api/recordings").json()
    at_ms = row["started_at_ms"]
    fitting: dict[str, Any] = {
        "queue": "service", "agent": AGENT, "number": "95519", "direction": "in", "outcome": "answered",
        "interaction": interaction, "kind": "call", "state": "saved", "held": "false", "since_ms": at_ms,
        "until_ms": at_ms + 1, "longer_ms": 5_000,
    }  # fmt: skip
    assert found(browser, **fitting) == [name]
    for field, value in {
        **dict.fromkeys(("queue", "agent", "number", "outcome", "interaction", "kind", "state"), "other"),
        "direction": "out", "held": "true", "since_ms": at_ms + 1, "until_ms": at_ms, "longer_ms": 5_001,
    }.items():  # fmt: skip
        assert found(browser, **{field: value}) == [], field


def test_a_search_that_makes_no_sense_is_422(archive: Archive) -> None:
    browser = archive.office.log_in(SUPERVISOR)
    for query in ("held=maybe", "since_ms=yesterday", "longer_ms=-1", "customer=x", f"queue={'q' * 65}"):
        assert error(browser.get(f"/api/recordings?{query}")) == (422, "invalid"), query


@pytest.mark.parametrize(
    "query", ["recordings?since_ms", "recordings?longer_ms", "recordings?customer", "audit?until_ms"]
)
def test_a_number_that_no_database_holds_is_no_fault_of_ours(archive: Archive, query: str) -> None:
    response = archive.office.log_in(AUDITOR).get(f"/api/{query}={10**30}")
    assert response.status_code in (200, 422)


# --- legal hold ----------------------------------------------------------------------------------------


def test_a_hold_is_seen_at_once_and_ends_when_freed(archive: Archive) -> None:
    interaction, name = archive.call()
    _, other = archive.call(BERT)
    administrator = archive.office.log_in(ADMINISTRATOR)
    supervisor = archive.office.log_in(SUPERVISOR)
    response = administrator.post(f"/recordings/{name}/hold", {"on": True, "note": " 法院 2026-17 "})
    assert response.status_code == 204
    assert found(supervisor, held="true") == [name]
    assert found(supervisor, held="false") == [other]
    (held,) = archive.office.centre.journalled("RecordingsHeld")
    assert (held["interaction"], held["by"]) == (interaction, ADMINISTRATOR)
    assert archive.office.do(archive.office.centre.private.get, held["note_ref"]) == "法院 2026-17"
    assert "法院" not in str(archive.office.centre.journalled())
    assert administrator.post(f"/recordings/{name}/hold", {"on": False}).status_code == 204
    assert found(supervisor, held="true") == []
    assert archive.audit() == [
        (ADMINISTRATOR, "free_recordings", interaction, name),
        (ADMINISTRATOR, "hold_recordings", interaction, name),
    ]


def test_a_hold_is_on_everything_of_the_interaction(archive: Archive) -> None:
    interaction, name = archive.call()
    archive.office.do(archive.save, interaction, "second", ALICE, b"more", 1)
    archive.office.log_in(AUDITOR).post(f"/recordings/{name}/hold", {"on": True})
    assert sorted(found(archive.office.log_in(SUPERVISOR), held="true")) == sorted([name, "second"])


def test_a_note_of_blanks_is_none(archive: Archive) -> None:
    _, name = archive.call()
    archive.office.log_in(AUDITOR).post(f"/recordings/{name}/hold", {"on": True, "note": "   "})
    (held,) = archive.office.centre.journalled("RecordingsHeld")
    assert held["note_ref"] == ""


def test_a_held_one_is_heard_as_before(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    browser.post(f"/recordings/{name}/hold", {"on": True, "note": "x"})
    assert hear(browser, granted(browser, name), "bytes=0-").content == SOUND


def test_what_there_is_not_is_not_held(archive: Archive) -> None:
    response = archive.office.log_in(AUDITOR).post(f"/recordings/{NOTHING}/hold", {"on": True})
    assert error(response) == (404, "no_recording")
    assert archive.audit() == []


def test_a_hold_that_makes_no_sense_is_422(archive: Archive) -> None:
    _, name = archive.call()
    browser = archive.office.log_in(AUDITOR)
    bodies: tuple[Any, ...] = (None, {}, {"on": "perhaps"}, {"on": True, "note": "x" * 501})
    for body in bodies:
        assert browser.post(f"/recordings/{name}/hold", body).status_code == 422, body
    assert archive.audit() == []
