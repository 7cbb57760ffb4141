"""The documented API: who may do what, and how a refusal reads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.softphone_ui.office import PASSWORD, Office

CHANGES: list[tuple[str, Any]] = [
    ("/agent/ready", None),
    ("/agent/not-ready", {"reason": "meal"}),
    ("/offers/o1-1/answer", None),
    ("/offers/o1-1/decline", None),
    ("/interactions/i1-1/hang-up", None),
    ("/interactions/i1-1/wrap-up", {"code": "enquiry_answered"}),
    ("/interactions/i1-1/hold", {"on": True}),
    ("/interactions/i1-1/mute", {"on": True}),
    ("/interactions/i1-1/keys", {"keys": "1"}),
    ("/interactions/i1-1/recording", {"on": False}),
    ("/interactions/i1-1/consult", {"agent": "1002"}),
    ("/interactions/i1-1/take-back", None),
    ("/interactions/i1-1/swap", None),
    ("/interactions/i1-1/join", None),
    ("/interactions/i1-1/drop", {"leg": "l1-1"}),
    ("/interactions/i1-1/complete", None),
    ("/interactions/i1-1/transfer", {"queue": "service"}),
    ("/interactions/i1-1/park", None),
    ("/interactions/i1-1/bring", {"parked": "i1-2"}),
    ("/interactions/i1-1/take", None),
]


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


# --- logging in ------------------------------------------------------------------------------------------


def test_log_in_gives_a_cookie_that_scripts_and_strangers_do_not_get(office: Office) -> None:
    browser = office.browser()
    response = browser.log_in("1001")
    assert response.status_code == 200
    assert set(response.json()) == {"csrf", "name", "role", "must_change"}
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert browser.get("/api/contacts").status_code == 200


def test_a_wrong_login_is_401(office: Office) -> None:
    for login, password in (("1001", "wrong"), ("nobody", PASSWORD), ("1009", ""), ("", ""), ("1001", "")):
        browser = office.browser()
        assert error(browser.log_in(login, password)) == (401, "wrong_login")
        assert browser.cookies == {}


def test_five_failures_are_423(office: Office) -> None:
    browser = office.browser()
    for _ in range(5):
        assert browser.log_in("1001", "wrong").status_code == 401
    assert error(browser.log_in("1001")) == (423, "locked")
    office.centre.clock.advance(5 * 60_000 + 1)
    assert browser.log_in("1001").status_code == 200


def test_log_out_ends_the_session_and_the_shift(office: Office) -> None:
    browser = office.log_in("1001")
    stolen = dict(browser.cookies)
    browser.post("/agent/ready")
    assert office.centre.agent("1001") == "idle"
    assert browser.send("DELETE", "/api/session").status_code == 204
    assert office.centre.agent("1001") == "logged_out"
    browser.cookies = stolen
    assert error(browser.post("/agent/ready")) == (401, "not_logged_in")


def test_a_body_that_is_none_is_a_refusal_like_any_other(office: Office) -> None:
    for body in (
        None,
        {},
        {"login": "1001"},
        {"login": 5, "password": []},
        {"login": "x" * 100, "password": "y"},
    ):
        response = office.client.post("/api/session", json=body)
        assert response.status_code == 422
        assert set(response.json()) == {"error"}


def test_a_refusal_does_not_repeat_the_password(office: Office) -> None:
    response = office.client.post("/api/session", json={"login": "1001", "password": "secret" * 100})
    assert response.status_code == 422
    assert "secret" not in response.text


# --- who may -----------------------------------------------------------------------------------------------


def test_nothing_without_a_session(office: Office) -> None:
    for path, body in CHANGES:
        assert error(office.browser().post(path, body)) == (401, "not_logged_in"), path
    assert error(office.browser().get("/api/contacts")) == (401, "not_logged_in")


@pytest.mark.parametrize("csrf", [None, "", "wrong", "another's", "é".encode("latin-1")])
def test_nothing_without_the_sessions_token(office: Office, csrf: str | bytes | None) -> None:
    browser = office.log_in("1001")
    if csrf == "another's":
        csrf = office.log_in("1002").csrf
    for path, body in CHANGES:
        assert error(browser.send("POST", f"/api{path}", body, csrf=csrf)) == (403, "csrf"), path


def test_log_out_wants_the_token_too(office: Office) -> None:
    browser = office.log_in("1001")
    assert error(browser.send("DELETE", "/api/session", csrf="wrong")) == (403, "csrf")


@pytest.mark.parametrize("login", ["8001", "9001"])
def test_calls_are_for_agents(office: Office, login: str) -> None:
    browser = office.log_in(login)
    for path, body in CHANGES:
        assert error(browser.post(path, body)) == (403, "role"), path


# --- at the seat -----------------------------------------------------------------------------------------


def test_ready_and_not_ready(office: Office) -> None:
    browser = office.log_in("1001")
    assert browser.post("/agent/ready").status_code == 204
    assert office.centre.agent("1001") == "idle"
    assert browser.post("/agent/not-ready", {"reason": "meal"}).status_code == 204
    view = office.centre.host.engine.agent_view("1001")
    assert view is not None
    assert (view.state, view.reason) == ("not_ready", "meal")


@pytest.mark.parametrize("reason", ["smoke", ""])
def test_a_reason_that_is_none_is_422(office: Office, reason: str) -> None:
    assert error(office.log_in("1001").post("/agent/not-ready", {"reason": reason})) == (
        422,
        "unknown_reason",
    )


def test_an_offer_is_answered_at_the_panel(office: Office) -> None:
    browser = office.log_in("1001")
    interaction = office.ring("1001")
    assert browser.post(f"/offers/{interaction.offer}/answer").status_code == 204
    office.do(office.centre.settle)
    office.do(office.centre.pick_up, interaction)
    assert office.centre.agent("1001") == "talking"


def test_an_offer_is_declined(office: Office) -> None:
    browser = office.log_in("1001")
    interaction = office.ring("1001")
    offer = interaction.offer
    assert browser.post(f"/offers/{offer}/decline").status_code == 204
    assert interaction.state == "waiting"
    assert error(browser.post(f"/offers/{offer}/decline")) == (409, "offer_over")


@pytest.mark.parametrize("act", ["answer", "decline"])
def test_an_offer_that_is_over_or_anothers_is_409(office: Office, act: str) -> None:
    mine, other = office.log_in("1001"), office.log_in("1002")
    interaction = office.ring("1001")
    assert error(other.post(f"/offers/{interaction.offer}/{act}")) == (409, "offer_over")
    assert error(mine.post(f"/offers/o99-1/{act}")) == (409, "offer_over")
    offer = interaction.offer
    office.hang_up(interaction)
    assert error(mine.post(f"/offers/{offer}/{act}")) == (409, "offer_over")


def test_hanging_up(office: Office) -> None:
    browser = office.log_in("1001")
    interaction = office.talk("1001")
    assert error(office.log_in("1002").post(f"/interactions/{interaction.id}/hang-up")) == (409, "call_over")
    assert browser.post(f"/interactions/{interaction.id}/hang-up").status_code == 204
    office.do(office.centre.settle)
    assert office.centre.worker.legs == {}
    assert error(browser.post(f"/interactions/{interaction.id}/hang-up")) == (409, "call_over")


# --- wrap-up -----------------------------------------------------------------------------------------------


def test_a_wrap_up_is_saved_and_frees_the_agent(office: Office) -> None:
    browser = office.log_in("1001")
    interaction = office.talk("1001")
    office.hang_up(interaction)
    assert office.centre.agent("1001") == "wrap_up"
    body = {"code": "enquiry_answered", "note": "答复保单状态"}
    assert browser.post(f"/interactions/{interaction.id}/wrap-up", body).status_code == 204
    assert office.centre.agent("1001") == "idle"
    (row,) = browser.get("/api/contacts").json()
    assert (row["id"], row["wrap_up_code"], row["note"]) == (
        interaction.id,
        "enquiry_answered",
        "答复保单状态",
    )
    assert row["caller"] == "138 0013 8000"


def test_a_wrap_up_may_be_saved_later_by_who_had_the_call(office: Office) -> None:
    browser = office.log_in("1001")
    interaction = office.talk("1001")
    office.hang_up(interaction)
    office.do(office.centre.wait, 60)
    office.write_history()
    body = {"code": "complaint_taken"}
    assert error(office.log_in("1002").post(f"/interactions/{interaction.id}/wrap-up", body)) == (
        404,
        "not_yours",
    )
    assert browser.post(f"/interactions/{interaction.id}/wrap-up", body).status_code == 204
    assert browser.get("/api/contacts").json()[0]["wrap_up_code"] == "complaint_taken"


def test_an_unknown_code_is_422(office: Office) -> None:
    browser = office.log_in("1001")
    interaction = office.talk("1001")
    for code in ("nonsense", "", "ENQUIRY_ANSWERED"):
        response = browser.post(f"/interactions/{interaction.id}/wrap-up", {"code": code})
        assert error(response) == (422, "unknown_code")


def test_a_form_that_does_not_fit_is_422(office: Office) -> None:
    browser = office.log_in("1001")
    interaction = office.talk("1001")
    for body in ({}, {"code": "x" * 50}, {"code": "enquiry_answered", "note": "x" * 2_001}, {"note": "x"}):
        assert browser.post(f"/interactions/{interaction.id}/wrap-up", body).status_code == 422


def test_nobody_elses_contacts(office: Office) -> None:
    mine, other = office.log_in("1001"), office.log_in("1002")
    interaction = office.talk("1001")
    office.hang_up(interaction)
    office.write_history()
    assert [row["id"] for row in mine.get("/api/contacts").json()] == [interaction.id]
    assert other.get("/api/contacts").json() == []
    body = {"code": "enquiry_answered"}
    for unknown in ("i99-1", interaction.id):
        assert error(other.post(f"/interactions/{unknown}/wrap-up", body)) == (404, "not_yours")


# --- around it -----------------------------------------------------------------------------------------------


def test_health(office: Office) -> None:
    assert office.client.get("/healthz").json() == {"status": "ok"}
    assert office.client.get("/readyz").json() == {"ready": True, "troubles": []}
    office.troubles.append("voice: no worker")
    response = office.client.get("/readyz")
    assert (response.status_code, response.json()) == (
        503,
        {"ready": False, "troubles": ["voice: no worker"]},
    )
    assert office.client.get("/healthz").status_code == 200


def test_metrics_are_text(office: Office) -> None:
    response = office.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "callcenter_agents" in response.text


def test_every_answer_is_guarded(office: Office) -> None:
    for path in ("/", "/login", "/healthz", "/api/contacts", "/static/panel.js", "/nowhere"):
        headers = office.client.get(path, follow_redirects=False).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy, path
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_the_api_is_documented(office: Office) -> None:
    paths = office.client.get("/api/openapi.json").json()["paths"]
    documented = {path for path in paths if path.startswith("/api")}
    assert {"/api/session", "/api/agent/ready", "/api/offers/{offer}/answer", "/api/contacts"} <= documented
    for path, _ in CHANGES:
        known = path.replace("o1-1", "{offer}").replace("i1-1", "{interaction}")
        assert f"/api{known}" in documented
    for page in ("/docs", "/redoc"):
        assert office.client.get(page).status_code == 404


@pytest.mark.parametrize("path", ["customers?text=%00", "customers/3000000000", "recordings?queue=%00"])
def test_what_no_column_holds_is_no_fault_of_ours(office: Office, path: str) -> None:
    browser = office.browser()
    browser.log_in("8001")
    assert browser.get(f"/api/{path}").status_code in (200, 404, 422)


def test_records_that_cannot_be_read_are_503(office: Office) -> None:
    from sqlalchemy import text

    browser = office.log_in("1001")
    with office.records.begin() as connection:
        connection.execute(text("ALTER TABLE interactions RENAME TO away"))
    assert error(browser.get("/api/contacts")) == (503, "database")


# --- a call in an agent's hands ----------------------------------------------------------------------------


@pytest.fixture
def call(office: Office) -> tuple[Office, Any, str]:
    """1001 talks; 1002 is ready."""
    browser = office.log_in("1001")
    browser.post("/agent/ready")
    interaction = office.do(office.centre.queue_up)
    browser.post(f"/offers/{interaction.offer}/answer")
    office.do(office.centre.settle)
    office.do(office.centre.pick_up, interaction)
    office.log_in("1002").post("/agent/ready")
    return office, browser, interaction.id


def shown(office: Office, login: str) -> dict[str, Any]:
    state: dict[str, Any] = office.do(office.panel.state, login)
    return state


def test_hold_and_mute_show_what_the_worker_says(call: tuple[Office, Any, str]) -> None:
    office, browser, interaction = call
    assert browser.post(f"/interactions/{interaction}/hold", {"on": True}).status_code == 204
    assert not shown(office, "1001")["contacts"][0]["held"], "not yet"
    office.do(office.centre.settle)
    assert shown(office, "1001")["contacts"][0]["held"]
    browser.post(f"/interactions/{interaction}/mute", {"on": True})
    office.do(office.centre.settle)
    assert shown(office, "1001")["contacts"][0]["muted"]


def test_a_consultation_in_both_panels(call: tuple[Office, Any, str]) -> None:
    office, browser, interaction = call
    whom = browser.get("/api/directory").json()
    assert [agent["login"] for agent in whom["agents"]] == ["1001", "1002", "1009"]
    assert {queue["name"] for queue in whom["queues"]} >= {"service", "complaints"}
    assert browser.post(f"/interactions/{interaction}/consult", {"agent": "1002"}).status_code == 204
    office.do(office.centre.settle)
    (guest,) = shown(office, "1001")["contacts"][0]["guests"]
    assert (guest["joined"], guest["kind"]) == (False, "agent")
    assert [contact["state"] for contact in shown(office, "1002")["contacts"]] == ["consulting"]
    assert error(browser.post(f"/interactions/{interaction}/consult", {"number": "10086"})) == (
        409,
        "already_ringing",
    )
    office.do(office.centre.worker.pick_up, guest["leg"])
    office.do(office.centre.settle)
    assert browser.post(f"/interactions/{interaction}/complete").status_code == 204
    office.do(office.centre.settle)
    assert [contact["state"] for contact in shown(office, "1002")["contacts"]] == ["talking"]
    done = browser.post(
        f"/interactions/{interaction}/wrap-up", {"code": "enquiry_answered", "note": "an 1002"}
    )
    assert done.status_code == 204, "who handed it on has their own wrap-up"


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("consult", {"agent": "1002", "number": "10086"}, (422, "invalid")),
        ("consult", {}, (422, "invalid")),
        ("consult", {"queue": "service"}, (422, "invalid")),
        ("consult", {"agent": "nobody"}, (422, "unknown_agent")),
        ("consult", {"number": "sip:a@b"}, (422, "bad_number")),
        ("transfer", {"queue": "nowhere"}, (422, "unknown_queue")),
        ("keys", {"keys": "x"}, (422, "bad_keys")),
        ("drop", {"leg": "l9"}, (409, "no_guest")),
        ("bring", {"parked": "i9"}, (409, "not_parked")),
        ("take", None, (409, "not_parked")),
    ],
)
def test_call_control_refuses_with_a_reason(
    call: tuple[Office, Any, str], path: str, body: Any, wanted: tuple[int, str]
) -> None:
    _office, browser, interaction = call
    assert error(browser.post(f"/interactions/{interaction}/{path}", body)) == wanted


def test_two_people_acting_on_one_call(call: tuple[Office, Any, str]) -> None:
    office, browser, interaction = call
    other = office.log_in("1002")
    assert error(other.post(f"/interactions/{interaction}/hold", {"on": True})) == (409, "call_over")
    assert browser.post(f"/interactions/{interaction}/park").status_code == 204
    assert error(browser.post(f"/interactions/{interaction}/park")) == (409, "call_over"), "a double click"
    office.do(office.centre.settle)
    assert [parked["id"] for parked in shown(office, "1002")["parked"]] == [interaction]
    assert other.post(f"/interactions/{interaction}/take").status_code == 204
    assert error(other.post(f"/interactions/{interaction}/take")) == (409, "not_parked")


# --- a supervisor --------------------------------------------------------------------------------------------

SUPERVISED: list[tuple[str, Any]] = [
    ("/supervise/interactions/i1-1/watch", {"way": "listen"}),
    ("/supervise/interactions/i1-1/leave", None),
    ("/supervise/interactions/i1-1/take-over", None),
    ("/supervise/interactions/i1-1/assign", {"agent": "1002"}),
    ("/supervise/agents/1001/state", {"state": "ready"}),
]


def test_supervision_is_for_supervisors(office: Office) -> None:
    for login in ("1001", "9001"):
        browser = office.log_in(login)
        for path, body in SUPERVISED:
            assert error(browser.post(path, body)) == (403, "role"), path


def test_a_supervisor_listens_unseen(call: tuple[Office, Any, str]) -> None:
    office, _browser, interaction = call
    supervisor = office.log_in("8001")
    assert (
        supervisor.post(f"/supervise/interactions/{interaction}/watch", {"way": "listen"}).status_code == 204
    )
    office.do(office.centre.settle)
    (leg,) = office.centre.host.book.interactions[interaction].guests
    office.do(office.centre.worker.pick_up, leg)
    office.do(office.centre.settle)
    (row,) = [row for row in shown(office, "8001")["calls"] if row["id"] == interaction]
    assert row["watched"] == [{"who": "8001", "joined": True, "mode": "listen"}]
    assert shown(office, "1001")["contacts"][0]["guests"] == [], "as configured"
    assert supervisor.post("/supervise/agents/1002/state", {"state": "not_ready"}).status_code == 204
    assert office.centre.agent("1002") == "not_ready"
    assert [fact["action"] for fact in office.centre.journalled("ActionTaken")] == [
        "listen",
        "state_not_ready",
    ]


# --- permissions, as a table ---------------------------------------------------------------------------------


def test_the_table_of_permissions() -> None:
    from softphone_ui.permissions import PERMISSIONS, ROLES, may

    table = {action: "".join(role[0:2] for role in ROLES if may(role, action)) for action in PERMISSIONS}
    assert table == {
        "own.state": "ag",
        "own.offers": "ag",
        "own.call": "ag",
        "post": "su",
        "messages.find": "agsuau",
        "own.chats": "ag",
        "own.wrap_up": "ag",
        "own.phone": "agsu",
        "own.messages": "agsu",
        "own.contacts": "agsuadau",
        "customers.read": "agsu",
        "directory.read": "agsuad",
        "calls.watch": "su",
        "calls.assign": "su",
        "calls.explain": "suadau",
        "agents.state": "su",
        "overview.read": "suadau",
        "wallboard.read": "suadau",
        "people.read": "adau",
        "people.edit": "ad",
        "queues.members": "suad",
        "queues.close": "su",
        "announcement": "su",
        "audit.read": "adau",
        "recordings.read": "suau",
        "recordings.download": "au",
        "recordings.hold": "adau",
    }
    assert not any(
        may(role, action) for role in (*ROLES, "", "root") for action in ("", "calls.delete", "own")
    )


def test_every_change_asks_for_a_permission(office: Office) -> None:
    """A route that changes something and asks nobody is an oversight; logging in, and ringing from the web under
    its own limits, are not."""
    open_to_all = {"/api/session", "/api/web-call", "/api/web-call/{call}", "/api/web-call/{call}/keys"}
    found = set()
    for path, methods in office.client.get("/api/openapi.json").json()["paths"].items():
        if path.startswith("/api/") and set(methods) - {"get"} and path not in open_to_all:
            found.add(path)
            sent = path
            for name in ("interaction", "offer", "login"):
                sent = sent.replace(f"{{{name}}}", "x1")
            for method in set(methods) - {"get"}:
                assert office.browser().send(method.upper(), sent, {}).status_code in (401, 403), (
                    method,
                    path,
                )
    assert len(found) > 20


# --- the wallboard ---------------------------------------------------------------------------------------------


def test_the_wallboard_is_for_those_who_watch(office: Office) -> None:
    assert error(office.log_in("1001").get("/api/wallboard")) == (403, "role")
    assert error(office.browser().get("/api/wallboard")) == (401, "not_logged_in")
    assert office.log_in("1001").get("/wallboard").headers["location"] == "/"


def test_the_wallboard_counts_as_the_report_does(call: tuple[Office, Any, str]) -> None:
    from callcenter.service import figures, start_of_day_ms

    office, _browser, _interaction = call
    office.do(office.centre.queue_up, "13800138009")
    told = office.log_in("8001").get("/api/wallboard").json()
    targets = {
        name: queue.target_ms // 1000 for name, queue in office.centre.host.engine.policy.queues.items()
    }
    since = start_of_day_ms(told["now_ms"], "Asia/Shanghai")
    rows = [one.to_plain() for one in figures(office.records, since, told["now_ms"] + 1, targets)]
    for row, shown_row in zip(rows, told["queues"], strict=True):
        assert {name: shown_row[name] for name in row} == row
    assert sum(row["offered"] for row in rows) == 2
    assert told["agents"]["talking"] == 1
    assert sum(slot["offered"] for slot in told["trend"]) == 2
