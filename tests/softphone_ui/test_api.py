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
]


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


# --- logging in ------------------------------------------------------------------------------------------


def test_log_in_gives_a_cookie_that_scripts_and_strangers_do_not_get(office: Office) -> None:
    browser = office.browser()
    response = browser.log_in("1001")
    assert response.status_code == 200
    assert set(response.json()) == {"csrf", "name", "role"}
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


def test_records_that_cannot_be_read_are_503(office: Office) -> None:
    from sqlalchemy import text

    browser = office.log_in("1001")
    with office.records.begin() as connection:
        connection.execute(text("ALTER TABLE interactions RENAME TO away"))
    assert error(browser.get("/api/contacts")) == (503, "database")
