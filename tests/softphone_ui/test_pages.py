"""Pages in two languages, Chinese first; every word of them exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import softphone_ui
from callcenter import live
from callcenter.directory.reasons import DEFAULTS as REASONS
from callcenter.live.control import IN_CONSULT
from callcenter.live.supervision import BY_SUPERVISOR
from crm_core.customers import CLASSES
from crm_core.policies import STATES
from routing.state import AGENT_TRANSITIONS
from softphone_ui import api
from tests.softphone_ui.office import Office

ROOT = Path(softphone_ui.__file__).parent
STATIC, TEMPLATES = ROOT / "static", ROOT / "templates"
WORDS = {
    language: json.loads((ROOT / "locales" / f"{language}.json").read_text(encoding="utf-8"))
    for language in ("zh", "en")
}
SCRIPTS = sorted(STATIC.glob("*.js"))
LIMIT_BYTES = 150 * 1024


# --- pages -----------------------------------------------------------------------------------------------


def test_who_is_not_logged_in_is_led_to_the_login(office: Office) -> None:
    response = office.browser().get("/")
    assert (response.status_code, response.headers["location"]) == (303, "/login")


def test_chinese_is_spoken_unless_one_asks_for_english(office: Office) -> None:
    browser = office.browser()
    page = browser.get("/login").text
    assert '<html lang="zh-CN">' in page
    assert WORDS["zh"]["sign_in"] in page
    page = browser.get("/login?lang=en").text
    assert '<html lang="en">' in page
    assert WORDS["en"]["sign_in"] in page
    assert '<html lang="en">' in browser.get("/login").text, "the choice is kept"
    assert '<html lang="zh-CN">' in browser.get("/login?lang=zh").text
    assert '<html lang="zh-CN">' in office.browser().get("/login").text


def test_any_other_language_is_chinese(office: Office) -> None:
    for language in ("fr", "zh-CN", "../en", "<script>", ""):
        page = office.client.get("/login", params={"lang": language}).text
        assert '<html lang="zh-CN">' in page
        assert "<script>" not in page.replace('<script type="', "")


def test_the_panel_of_an_agent(office: Office) -> None:
    browser = office.log_in("1001")
    page = browser.get("/").text
    settings = json.loads(re.search(r'id="settings">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert (settings["login"], settings["role"], settings["csrf"], settings["language"]) == (
        "1001",
        "agent",
        browser.csrf,
        "zh",
    )
    assert [reason["code"] for reason in settings["reasons"]] == [code for code, _zh, _en in REASONS]
    assert "王芳" in page
    for element in ("ready", "not-ready", "wrap-up", "offer", "conversation", "shortcuts"):
        assert f'id="{element}"' in page
    assert "Wrap-up" in browser.get("/?lang=en").text


def test_the_panel_of_a_supervisor_is_an_overview(office: Office) -> None:
    page = office.log_in("8001").get("/").text
    assert 'id="agent-rows"' in page
    assert 'id="wrap-up"' not in page


def test_names_cannot_become_markup(office: Office) -> None:
    from crm_core.db import session

    with session(office.records) as db:
        from callcenter.directory.people import UserService

        user = UserService(db).by_login("1001")
        assert user is not None
        user.name = '</script><script>alert("x")</script>'
        db.add(user)
        db.commit()
    page = office.log_in("1001").get("/").text
    assert 'alert("x")</script>' not in page
    assert "<script>alert" not in page


def test_static_files_are_served_and_nothing_beside_them(office: Office) -> None:
    for path in STATIC.iterdir():
        assert office.client.get(f"/static/{path.name}").status_code == 200
    for path in (
        "/static/../panel.py",
        "/static/%2e%2e/panel.py",
        "/static/",
        "/panel.py",
        "/locales/zh.json",
    ):
        assert office.client.get(path, follow_redirects=False).status_code in (301, 307, 404, 405)


# --- words -----------------------------------------------------------------------------------------------


def test_both_languages_have_the_same_words() -> None:
    assert set(WORDS["zh"]) == set(WORDS["en"])
    for language, words in WORDS.items():
        empty = [key for key, text in words.items() if not text.strip()]
        assert empty == [], f"{language}: {empty}"


def test_chinese_words_are_chinese() -> None:
    latin = {key for key, text in WORDS["zh"].items() if not re.search(r"[\u4e00-\u9fff]", text)}
    assert latin <= {"language"}, latin


def said_in_scripts() -> set[str]:
    keys: set[str] = set()
    for path in SCRIPTS:
        source = path.read_text(encoding="utf-8")
        keys.update(re.findall(r"""say\(\s*["']([^"']+)["']""", source))
        keys.update(re.findall(r"""say\([^()"']*\?\s*["']([^"']+)["']""", source))
        keys.update(re.findall(r"""say\([^()]*:\s*["']([^"']+)["']\)""", source))
        keys.update(re.findall(r"""\|\|\s*["'](\w+)["']\)""", source))
        keys.update(re.findall(r"""new Error\(["'](\w+)["']\)""", source))
        keys.update(re.findall(r"""\?\?\s*["'](failed|\w+_\w+)["']""", source))
        keys.update(re.findall(r"""^\s*\["(\w+)", contact\.""", source, re.M))
    return keys


def test_every_word_that_a_script_says_exists() -> None:
    keys = said_in_scripts()
    assert len(keys) > 25, "the search itself must find something"
    assert {"withheld", "saved", "pick_code", "network", "failed"} <= keys
    assert keys <= set(WORDS["zh"]), keys - set(WORDS["zh"])


def test_every_word_that_a_page_says_exists() -> None:
    keys: set[str] = set()
    for path in TEMPLATES.glob("*.html"):
        keys.update(re.findall(r"\bw\.(\w+)", path.read_text(encoding="utf-8")))
    assert len(keys) > 30
    assert keys <= set(WORDS["zh"]), keys - set(WORDS["zh"])


def refusals(*files: str) -> set[str]:
    """Every reason that these modules refuse with."""
    sources = " ".join((Path(live.__file__).parent / file).read_text(encoding="utf-8") for file in files)
    return set(re.findall(r'NotAllowed\("(\w+)"\)', sources))


DATA = {
    "states of agents": set(AGENT_TRANSITIONS),
    "reasons": {code for code, _zh, _en in REASONS} | {"missed", "logged_in", IN_CONSULT, BY_SUPERVISOR},
    "devices": {f"device_{cause}" for cause in ("busy", "unreachable", "not_found", "error", "agent_lost")},
    "classes": set(CLASSES),
    "policies": set(STATES),
    "modes of premium": {"yearly", "monthly", "single"},
    "outcomes": {
        "answered",
        "abandoned",
        "served",
        "left_in_flow",
        "closed",
        "overflowed",
        "cut_off",
        "not_reached",
        "message",
    },
    "refusals": set(api.STATUS)
    | {"offer_over", "call_over", "database"}
    | refusals("control.py", "supervision.py"),
    "ways of listening": {"listen", "whisper", "barge"},
    "contacts": {"flow", "waiting", "ringing", "talking", "wrapping", "parked", "outside", "consulting"},
}


@pytest.mark.parametrize("what", DATA)
@pytest.mark.parametrize("language", WORDS)
def test_every_word_that_data_brings_exists(what: str, language: str) -> None:
    assert DATA[what] <= set(WORDS[language]), DATA[what] - set(WORDS[language])


def test_ids_that_scripts_look_for_are_on_the_page() -> None:
    pages = " ".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html"))
    scripts = " ".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    wanted = set(re.findall(r"""byId\(["']([\w-]+)["']\)""", scripts))
    there = set(re.findall(r'\bid="([\w-]+)"', pages)) | set(
        re.findall(r"""(?:\bid: |#button\()["']([\w-]+)["']""", scripts)
    )
    assert wanted <= there, wanted - there


# --- weight ----------------------------------------------------------------------------------------------


def test_our_own_javascript_is_small() -> None:
    assert sum(path.stat().st_size for path in SCRIPTS) < LIMIT_BYTES


@pytest.mark.parametrize(
    "path", [*SCRIPTS, *STATIC.glob("*.css"), *TEMPLATES.glob("*.html")], ids=lambda path: path.name
)
def test_nothing_is_fetched_from_another_host_and_nothing_is_inline(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    hosts = re.findall(r"""(?:src|href|url|import|from|fetch)\s*[=(:]?\s*["'(]?(?:https?:)?//[\w.]""", source)
    assert hosts == []
    if path.suffix == ".html":
        assert not re.search(r"\son\w+=", source), "handlers belong in scripts"
        assert "style=" not in source
        inline = re.findall(r"<script(?![^>]*(?:src=|application/json))", source)
        assert inline == []
    if path.suffix == ".js":
        assert "innerHTML" not in source
        assert "eval(" not in source
