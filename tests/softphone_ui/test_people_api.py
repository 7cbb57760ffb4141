"""People, queues, codes and phones in the pages: who may, what counts at once, first passwords, seats."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from callcenter.directory.directory import Directory
from softphone_ui.auth import hash_password
from softphone_ui.recordings import _Grant
from tests.softphone_ui.office import PASSWORD, SETTINGS, Browser, Office, give_passwords

ADMINISTRATOR, AUDITOR, AGENT = "9002", "9001", "1001"


@pytest.fixture
def boss(office: Office) -> Browser:
    give_passwords(office.records, ADMINISTRATOR)
    return office.log_in(ADMINISTRATOR)


def record(boss: Browser, kind: str, key: str) -> dict[str, Any]:
    found = boss.get("/api/people").json()[kind]
    return next(one for one in found if key in (one.get("login"), one.get("name"), one.get("code")))


def put(boss: Browser, kind: str, key: str, **changes: Any) -> Any:
    return boss.send("PUT", f"/api/people/{kind}/{key}", {**record(boss, kind, key), **changes})


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_skills_count_at_once(office: Office, boss: Browser) -> None:
    assert put(boss, "user", AGENT, skills={"claims": 3}).status_code == 200
    assert dict(office.centre.host.engine.policy.agents[AGENT].skills) == {"claims": 3}
    change = boss.get("/api/people/changes").json()[0]
    assert boss.post(f"/people/changes/{change['id']}/undo").status_code == 200
    assert office.centre.host.engine.policy.agents[AGENT].skills == ()
    office.write_history()
    actions = [row["action"] for row in boss.get("/api/audit").json()]
    assert actions == ["undo_user", "edit_user"]


def test_a_new_queue_and_a_new_agent_work_at_once(office: Office, boss: Browser) -> None:
    assert (
        boss.post("/people/queue", {"name": "claims", "title": "理赔", "skills": {"claims": 2}}).status_code
        == 201
    )
    assert (
        boss.post("/people/user", {"login": "1077", "name": "新人", "skills": {"claims": 4}}).status_code
        == 201
    )
    policy = office.centre.host.engine.policy
    assert "claims" in policy.queues
    assert "1077" in policy.agents
    assert office.panel.state(AGENT)["queues"][-1]["title"] == "理赔"


def test_who_is_taken_out_of_use_is_logged_out(office: Office, boss: Browser) -> None:
    agent = office.log_in(AGENT)
    assert put(boss, "user", AGENT, active=False).status_code == 200
    assert agent.get("/api/contacts").status_code == 401
    assert AGENT not in office.centre.host.engine.policy.agents
    assert error(office.browser().log_in(AGENT)) == (401, "wrong_login")


def test_a_role_that_was_taken_away_is_gone_at_once(office: Office, boss: Browser) -> None:
    give_passwords(office.records, AUDITOR)
    auditor = office.log_in(AUDITOR)
    assert auditor.get("/api/audit").status_code == 200
    assert put(boss, "user", AUDITOR, role="agent").status_code == 200
    assert auditor.get("/api/audit").status_code == 403


def test_a_queue_in_use_stays(office: Office, boss: Browser) -> None:
    assert error(put(boss, "queue", "service", active=False)) == (409, "queue_in_use")
    assert put(boss, "queue", "complaints", active=False).status_code == 200
    office.do(office.centre.queue_up, "13800138000", "13")
    assert office.centre.host.engine.queue_view("service")[0] == 1, (
        "who asks for it goes where everybody goes"
    )


def test_what_is_wrong_with_a_form_is_said_by_field(boss: Browser) -> None:
    answer = boss.post("/people/user", {"login": "x y", "name": ""})
    assert error(answer) == (422, "invalid")
    assert set(answer.json()["fields"]) == {"login", "name"}


@pytest.mark.parametrize("login", [AGENT, "8001", AUDITOR])
def test_others_may_not(office: Office, login: str) -> None:
    give_passwords(office.records, login)
    browser = office.log_in(login)
    read = 200 if login == AUDITOR else 403
    assert browser.get("/api/people").status_code == read
    assert browser.get("/api/people/changes").status_code == read
    for path, body in (
        ("/people/user", {"login": "1", "name": "x"}), ("/people/changes/1/undo", None), ("/people/users/1001/password", None),
        ("/people/phones", {"user": "1"}),
    ):  # fmt: skip
        assert error(browser.post(path, body)) == (403, "role")


# --- passwords -----------------------------------------------------------------------------------------


def test_a_given_password_has_to_be_changed_before_anything_else(office: Office, boss: Browser) -> None:
    agent = office.log_in(AGENT)
    given = boss.post(f"/people/users/{AGENT}/password").json()["password"]
    assert agent.get("/api/contacts").status_code == 401, "earlier sessions are over"
    newcomer = office.browser()
    assert newcomer.log_in(AGENT, given).json()["must_change"] is True
    assert error(newcomer.get("/api/contacts")) == (403, "password_change_needed")
    assert newcomer.get("/").headers["location"] == "/password"
    assert "password" in newcomer.get("/password").text
    with newcomer.feed() as feed:
        assert feed.socket.receive()["code"] == 4403
    assert error(newcomer.post("/session/password", {"old": given, "new": given})) == (409, "password_same")
    assert error(newcomer.post("/session/password", {"old": given, "new": "short"})) == (
        409,
        "password_too_short",
    )
    assert error(newcomer.post("/session/password", {"old": "not it", "new": PASSWORD})) == (
        401,
        "wrong_login",
    )
    changed = newcomer.post("/session/password", {"old": given, "new": PASSWORD})
    newcomer.csrf = changed.json()["csrf"]
    assert newcomer.get("/api/contacts").status_code == 200
    assert newcomer.post("/agent/ready").status_code == 204
    assert office.browser().log_in(AGENT, given).status_code == 401


def test_a_password_of_nobody(boss: Browser) -> None:
    assert error(boss.post("/people/users/nobody/password")) == (404, "unknown_record")


def test_changing_ends_other_sessions(office: Office) -> None:
    first, second = office.log_in(AGENT), office.log_in(AGENT)
    assert first.post("/session/password", {"old": PASSWORD, "new": "another one 电池"}).status_code == 200
    assert second.get("/api/contacts").status_code == 401
    assert hash_password("another one 电池") != hash_password("another one 电池"), "salted"


# --- desk phones and seats -----------------------------------------------------------------------------


def test_phones_come_and_go(boss: Browser) -> None:
    told = boss.post("/people/phones", {"user": "2001"}).json()
    assert (told["device"], len(told["password"])) == ("sip:2001@centre", 16)
    assert error(boss.post("/people/phones", {"user": "2001"})) == (409, "phone_taken")
    assert boss.post("/people/phones", {"user": "../etc"}).status_code == 422
    assert boss.get("/api/people/phones").json() == [{"user": "2001", "places": []}]
    assert boss.send("DELETE", "/api/people/phones/2001").status_code == 204
    assert error(boss.send("DELETE", "/api/people/phones/2001")) == (422, "unknown_phone")


def test_an_agent_sits_at_any_phone_for_a_day(office: Office, boss: Browser) -> None:
    boss.post("/people/phones", {"user": "2001"})
    agent, other = office.log_in(AGENT), office.log_in("1002")
    assert agent.post("/agent/seat", {"seat": "2001"}).status_code == 204
    assert office.core.directory.seat(AGENT).device == "sip:2001@centre"
    assert agent.get("/api/agent/seats").json()["seat"] == "2001"
    (phone,) = other.get("/api/agent/seats").json()["phones"]
    assert phone["taken_by"] == AGENT
    assert error(other.post("/agent/seat", {"seat": "2001"})) == (409, "phone_in_use")
    assert error(other.post("/agent/seat", {"seat": "2002"})) == (422, "unknown_phone")
    assert error(other.post("/agent/seat", {"seat": "browser"})) == (409, "no_browser_phones")
    office.centre.ready(AGENT)
    office.do(office.centre.agents.log_out, AGENT)
    assert office.core.directory.seat(AGENT).device == "sip:1001@10.1.1.1"
    assert other.post("/agent/seat", {"seat": "2001"}).status_code == 204


def test_nobody_changes_seats_in_a_call(office: Office, boss: Browser) -> None:
    boss.post("/people/phones", {"user": "2001"})
    agent = office.log_in(AGENT)
    office.talk(AGENT)
    assert error(agent.post("/agent/seat", {"seat": "2001"})) == (409, "you_are_busy")


def test_a_seat_outlives_the_core(office: Office, boss: Browser) -> None:
    boss.post("/people/phones", {"user": "2001"})
    office.log_in(AGENT).post("/agent/seat", {"seat": "2001"})
    office.centre.restart()
    assert office.centre.host.book.seats == {AGENT: "sip:2001@centre"}


# --- who serves which queue ------------------------------------------------------------------------------


def test_a_supervisor_moves_an_agent_between_queues(office: Office, boss: Browser) -> None:
    put(boss, "queue", "complaints", skills={"complaints": 3})
    supervisor = office.log_in("8001")

    def serves(queue: str, on: bool, login: str = AGENT) -> Any:
        return supervisor.send("PUT", f"/api/supervise/queues/{queue}/members/{login}", {"serves": on})

    assert office.panel.serves(AGENT, "complaints") is False
    assert serves("complaints", True).status_code == 204
    assert office.panel.serves(AGENT, "complaints") is True
    assert dict(office.centre.host.engine.policy.agents[AGENT].skills) == {"complaints": 3}
    assert serves("complaints", False).status_code == 204
    assert office.panel.serves(AGENT, "complaints") is False
    assert error(serves("nowhere", True)) == (422, "unknown_queue")
    assert error(serves("complaints", True, "8001")) == (422, "unknown_agent")
    assert error(serves("service", False)) == (409, "queue_needs_nothing")
    assert [row["actor"] for row in boss.get("/api/people/changes").json()] == ["8001", "8001", ADMINISTRATOR]


# --- what a review found ---------------------------------------------------------------------------------


def test_a_grant_ends_with_the_role(office: Office, boss: Browser) -> None:
    give_passwords(office.records, AUDITOR)
    auditor = office.log_in(AUDITOR)
    recordings = office.panel.recordings
    opened = SimpleNamespace(size=4, about={}, read=lambda _start, _length: b"RIFF")
    recordings._grants["t"] = _Grant(AUDITOR, "r1", "play", "recordings.read", opened, 1 << 60)  # type: ignore[arg-type]
    assert auditor.get("/api/recordings/r1/sound?grant=t").status_code == 200
    put(boss, "user", AUDITOR, role="agent")
    assert error(auditor.get("/api/recordings/r1/sound?grant=t")) == (403, "no_grant")


def test_undo_neither_loses_people_in_a_queue_nor_sessions(office: Office, boss: Browser) -> None:
    put(boss, "queue", "complaints", active=False)
    put(boss, "queue", "complaints", active=True)
    office.do(office.centre.queue_up, "13800138000", "13")
    restored = boss.get("/api/people/changes").json()[0]["id"]
    assert error(boss.post(f"/people/changes/{restored}/undo")) == (409, "queue_in_use")


def test_an_old_change_is_undone_like_a_new_one(office: Office, boss: Browser) -> None:
    made = boss.post("/people/user", {"login": "1077", "name": "新人"}).json()["change"]
    give_passwords(office.records, "1077")
    newcomer = office.log_in("1077")
    for n in range(205):
        office.core.editor.put("x", "reason", {"code": f"r{n}", "title_zh": "x", "title_en": "x"})
    assert boss.post(f"/people/changes/{made}/undo").status_code == 200
    assert newcomer.get("/api/contacts").status_code == 401
    assert office.centre.journalled("ActionTaken")[-1]["action"] == "undo_user"


def test_nobody_gives_themselves_a_password_for_once(boss: Browser) -> None:
    assert error(boss.post(f"/people/users/{ADMINISTRATOR}/password")) == (409, "itself")


def test_two_clicks_for_one_agent_both_count(office: Office, boss: Browser) -> None:
    for name in ("qa", "qb"):
        boss.post("/people/queue", {"name": name, "title": name, "skills": {f"s_{name}": 1}})

    async def both() -> None:
        desk = office.panel.people_desk
        await asyncio.gather(*(desk.member("8001", name, AGENT, True) for name in ("qa", "qb")))

    office.do(both)
    assert set(record(boss, "user", AGENT)["skills"]) == {"s_qa", "s_qb"}


def test_a_supervisor_sees_who_serves_what_now(office: Office, boss: Browser) -> None:
    supervisor = office.log_in("8001")
    with supervisor.feed() as feed:
        feed.so_far()
        put(boss, "queue", "complaints", skills={"complaints": 1})
        feed.until(lambda state: all("complaints" not in agent["queues"] for agent in state["agents"]))


def test_a_seat_is_free_when_its_holder_logs_out(office: Office, boss: Browser) -> None:
    boss.post("/people/phones", {"user": "2001"})
    supervisor = office.log_in("8001")
    assert supervisor.post("/agent/seat", {"seat": "2001"}).status_code == 204
    assert supervisor.send("DELETE", "/api/session").status_code == 204
    assert office.centre.host.book.seats == {}


def test_nobody_sits_at_the_telephone_of_somebody_at_work(office: Office, boss: Browser) -> None:
    boss.post("/people/phones", {"user": "2001"})
    put(boss, "user", "1002", device="sip:2001@centre")
    office.do(office.centre.agents.ready, "1002")
    agent = office.log_in(AGENT)
    assert error(agent.post("/agent/seat", {"seat": "2001"})) == (409, "phone_in_use")
    office.do(office.centre.agents.log_out, "1002")
    assert agent.post("/agent/seat", {"seat": "2001"}).status_code == 204
    boss.send("DELETE", "/api/people/phones/2001")
    assert office.centre.host.book.seats == {}


def test_a_session_that_ends_while_it_is_read_stays_over(office: Office) -> None:
    agent = office.log_in(AGENT)
    sessions = office.panel.sessions
    token = agent.cookies["cc_session"]
    sessions.changed(AGENT)
    read = sessions._read

    def slowly(key: str) -> Any:
        found = read(key)
        asyncio.run_coroutine_threadsafe(sessions.end_all(AGENT), office.loop()).result(5)
        return found

    sessions._read = slowly  # type: ignore[method-assign]
    office.do(sessions.who, token)
    sessions._read = read  # type: ignore[method-assign]
    assert agent.get("/api/contacts").status_code == 401


def test_whom_a_provider_let_in_needs_no_password_of_ours(office: Office, boss: Browser) -> None:
    boss.post(f"/people/users/{AGENT}/password")
    token, who = office.do(office.panel.sessions.open_for, AGENT)
    office.panel.sessions.changed(AGENT)
    again = office.do(office.panel.sessions.who, token)
    assert (who.must_change, again is not None and again.must_change) == (False, False)


@pytest.mark.parametrize("number", ["99999999999999999999", "-1", "x"])
def test_a_customer_that_no_database_holds(office: Office, number: str) -> None:
    agent = office.log_in(AGENT)
    assert agent.get(f"/api/customers/{number}").status_code == 422
    assert agent.post("/calls", {"customer": 10**20}).status_code == 422


def test_a_setting_of_the_centre_changes_nobody_s_queue(office: Office, boss: Browser) -> None:
    put(boss, "queue", "complaints", active=False)
    changed = SETTINGS.model_copy(update={"voice": SETTINGS.voice.model_copy(update={"ring_timeout_s": 33})})
    again = Directory(changed, office.records)
    assert "complaints" not in again.queue_titles()
