"""People, queues and numbers as the running core knows them."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from callcenter.directory.directory import Directory
from callcenter.directory.people import UserService
from config.settings import Settings
from crm_core.db import session
from ivr_flows.interpreter import Enqueue, Finish, Refused, Said, Speak, begin, step
from ivr_flows.library import complain

QUEUES = [
    {"name": "service", "title": "客户服务", "skills": {"service": 1}, "target_s": 20},
    {"name": "complaints", "priority": 1, "ring_timeout_s": 10, "max_waiting": 5},
]
AGENTS = [
    {
        "login": "1001",
        "name": "王芳",
        "device": "sip:a@127.0.0.1",
        "skills": {"service": 5},
        "answer": "panel",
        "wrap_up_s": 0,
    },
    {"login": "1002", "name": "李强", "ready_at_start": True},
    {"login": "8001", "name": "周敏", "role": "supervisor"},
]
NUMBERS = [
    {"number": "95519", "flow": "hotline"},
    {"number": "95520", "queue": "complaints", "prompt": "welcome", "language": "en"},
    {"number": "95521", "queue": "service"},
]


def settings_of(**more: object) -> Settings:
    return Settings.model_validate({"queues": QUEUES, "agents": AGENTS, "numbers": NUMBERS, **more})


@pytest.fixture
def directory(records: Engine) -> Directory:
    return Directory(settings_of(), records)


def test_queues_and_their_defaults(directory: Directory) -> None:
    policy = directory.policy()
    service, complaints = policy.queues["service"], policy.queues["complaints"]
    assert (service.skills, service.target_ms, service.ring_ms, service.priority) == (
        (("service", 1),),
        20_000,
        20_000,
        0,
    )
    assert (complaints.ring_ms, complaints.priority, complaints.max_waiting) == (10_000, 1, 5)
    assert directory.default_queue == "service"
    assert directory.queue_titles() == {"service": "客户服务", "complaints": "complaints"}


def test_agents_take_contacts_and_others_do_not(directory: Directory) -> None:
    policy = directory.policy()
    assert set(policy.agents) == {"1001", "1002"}
    assert (policy.agents["1001"].skills, policy.agents["1001"].wrap_up_ms) == ((("service", 5),), 0)
    seat = directory.seat("1001")
    assert seat is not None
    assert (seat.device, seat.answer, seat.name) == ("sip:a@127.0.0.1", "panel", "王芳")
    assert directory.seat("8001") is not None, "a supervisor has a device, for listening"
    assert directory.seat("nobody") is None


def test_rules_of_routing_come_from_the_settings(records: Engine) -> None:
    rules = {"missed_action": "stay_ready", "decline_pause_s": 3, "device_pause_s": 4, "priority_step_s": 5}
    policy = Directory(settings_of(routing=rules), records).policy()
    assert (policy.missed_action, policy.decline_pause_ms) == ("stay_ready", 3_000)
    assert (policy.device_pause_ms, policy.priority_step_ms) == (4_000, 5_000)


def test_the_same_configuration_is_the_same_policy(records: Engine) -> None:
    assert (
        Directory(settings_of(), records).policy().digest()
        == Directory(settings_of(), records).policy().digest()
    )


def test_the_configuration_wins_and_a_password_stays(records: Engine) -> None:
    Directory(settings_of(), records)
    with session(records) as db:
        user = UserService(db).by_login("1001")
        assert user is not None
        user.password_hash, user.language = "argon2", "en"
        db.add(user)
        db.commit()
    changed = [{**AGENTS[0], "name": "王芳芳", "skills": {"service": 9}}, *AGENTS[1:]]
    directory = Directory(settings_of(agents=changed), records)
    user = directory.agents["1001"]
    assert (user.name, user.skills, user.password_hash, user.language) == (
        "王芳芳",
        {"service": 9},
        "argon2",
        "en",
    )


def test_people_may_live_in_the_database_alone(records: Engine) -> None:
    """The configuration adds and changes; it sends nobody away."""
    Directory(settings_of(), records)
    directory = Directory(settings_of(agents=AGENTS[1:]), records)
    assert "1001" in directory.policy().agents
    assert directory.seat("1001") is not None


def test_the_first_configured_queue_is_the_one_to_fall_back_on(records: Engine) -> None:
    Directory(settings_of(), records)
    directory = Directory(settings_of(queues=QUEUES[1:], numbers=NUMBERS[:2]), records)
    assert set(directory.policy().queues) == {"service", "complaints"}
    assert directory.default_queue == "complaints"


@pytest.mark.parametrize(
    ("number", "flow", "language"),
    [
        ("95519", "hotline", "zh"),
        ("95520", "direct_complaints_welcome", "en"),
        ("95521", "direct_service_", "zh"),
    ],
)
def test_numbers_lead_to_flows(directory: Directory, number: str, flow: str, language: str) -> None:
    assert directory.flow_of(number) == (flow, language)
    assert flow == "hotline" or flow in directory.direct_flows()


@pytest.mark.parametrize("number", ["", "95522", "9551", "+8695519"])
def test_other_numbers_are_not_ours(directory: Directory, number: str) -> None:
    assert directory.flow_of(number) is None


def test_a_number_of_a_queue_greets_and_queues(directory: Directory) -> None:
    flow = directory.direct_flows()["direct_complaints_welcome"]
    at = begin(flow, {"number": "95520"}, "en")
    (speak,) = at.verbs
    assert isinstance(speak, Speak)
    assert [(words.prompt, words.language) for words in speak.words] == [("welcome", "en")]
    at = step(flow, at.state, Said())
    assert at.verbs == (Enqueue("complaints"),)
    assert step(flow, at.state, Refused("full")).verbs == (Finish("closed"),)
    silent = directory.direct_flows()["direct_service_"]
    assert begin(silent, {}).verbs == (Enqueue("service"),)
    assert list(complain(silent)) == []


def test_wrap_up_codes_are_there_from_the_first_start(directory: Directory) -> None:
    assert len(directory.wrap_up_codes) >= 5


def test_without_queues_there_is_no_default(records: Engine) -> None:
    assert Directory(Settings(), records).default_queue == ""
