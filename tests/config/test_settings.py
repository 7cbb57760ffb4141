"""Configuration: what loads, and how each mistake is named."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.kernel.errors import ConfigError
from config.sections import split_address
from config.settings import Settings, load

EXAMPLE = """
[database]
url = "sqlite:///var/callcenter.db"
[journal]
url = "sqlite:///var/journal.db"
[voice]
listen = "127.0.0.1:5060"
advertise = ""
rtp_ports = [20000, 29999]
workers = 1
[http]
listen = "127.0.0.1:8080"
[[numbers]]
number = "95519"
flow = "hotline"
[[queues]]
name = "service"
skills = { service = 1 }
target_s = 20
[[agents]]
login = "1001"
name = "王芳"
device = "sip:agent1@127.0.0.1:17000"
skills = { service = 5 }
ready_at_start = true
wrap_up_s = 0
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "centre.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        load(write(folder, text), environ)
    return refused.value


def changed(path: str, value: Any) -> dict[str, Any]:
    """The example with one value replaced; `path` reads `queues.0.name`."""
    raw: Any = copy.deepcopy(tomllib.loads(EXAMPLE))
    at = raw
    *way, last = path.split(".")
    for part in way:
        if isinstance(at, list):
            at = at[int(part)]
        else:
            at = at.setdefault(part, {})
    if isinstance(at, list):
        at[int(last)] = value
    else:
        at[last] = value
    return raw


def as_toml(raw: dict[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in raw.items()]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)} = {_value(item)}" for key, item in value.items()) + "}"
    return str(value)


def test_the_documented_example_loads(tmp_path: Path) -> None:
    settings = load(write(tmp_path, EXAMPLE), {})
    (number,), (queue,), (agent,) = settings.numbers, settings.queues, settings.agents
    assert (number.number, number.flow, number.queue, number.language) == ("95519", "hotline", None, "zh")
    assert (queue.name, queue.skills, queue.target_s) == ("service", {"service": 1}, 20)
    assert (agent.login, agent.name, agent.device) == ("1001", "王芳", "sip:agent1@127.0.0.1:17000")
    assert (agent.skills, agent.ready_at_start, agent.wrap_up_s) == ({"service": 5}, True, 0)
    assert (settings.voice.listen, settings.voice.rtp_ports, settings.voice.workers) == (
        "127.0.0.1:5060", (20_000, 29_999), 1,
    )  # fmt: skip


def test_an_empty_file_is_a_centre_with_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, ""), {})
    assert (settings.queues, settings.agents, settings.numbers) == ((), (), ())
    assert settings.hours.week == {}


def test_relative_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    write(folder, EXAMPLE + '[paths]\nprompts = "sounds"\n')
    monkeypatch.chdir(tmp_path)
    settings = load(Path("etc/centre.toml"), {})
    assert settings.journal.path == folder / "var" / "journal.db"
    assert settings.database.url == f"sqlite:///{folder / 'var' / 'callcenter.db'}"
    assert settings.paths.var == folder / "var"
    assert settings.paths.prompts == folder / "sounds"


def test_absolute_paths_and_servers_stay_as_they_are(tmp_path: Path) -> None:
    text = (
        '[database]\nurl = "postgresql://host/db"\n[journal]\nurl = "sqlite:////srv/j.db"\nsnapshot_every = 77\n'
        '[paths]\nvar = "/srv/cc"\n'
    )
    settings = load(write(tmp_path, text), {})
    assert settings.database.url == "postgresql://host/db"
    assert (settings.journal.path, settings.journal.snapshot_every) == (Path("/srv/j.db"), 77)
    assert settings.paths.var == Path("/srv/cc")


BAD = [
    ("database.url", "mysql://x/y", "sqlite"),
    ("database.url", "sqlite:///", "sqlite"),
    ("database.url", "", "sqlite"),
    ("journal.url", "mysql://host/db", "sqlite"),
    ("journal.snapshot_every", 0, "10"),
    ("voice.listen", "127.0.0.1", "host:port"),
    ("voice.listen", "127.0.0.1:70000", "65535"),
    ("voice.listen", ":5060", "host:port"),
    ("voice.listen", "127.0.0.1:", "host:port"),
    ("voice.listen", "127.0.0.1:sip", "host:port"),
    ("voice.listen", 5060, "string"),
    ("voice.rtp_ports", [29999, 20000], "low < high"),
    ("voice.rtp_ports", [80, 1000], "1024"),
    ("voice.rtp_ports", [60000, 70000], "65535"),
    ("voice.workers", 65, "64"),
    ("voice.workers", 0, "1"),
    ("voice.workers", "many", "integer"),
    ("voice.library", "newest", "stock"),
    ("voice.max_legs", -1, "0"),
    ("voice.region", "china", "A-Z"),
    ("voice.ring_timeout_s", 1, "3"),
    ("voice.ring_timeout_s", 500, "180"),
    ("voice.max_call_s", 5, "60"),
    ("voice.record", "sometimes", "bool"),
    ("http.listen", "0.0.0.0", "host:port"),
    ("http.session_hours", 0, "1"),
    ("hours.timezone", "Asia/Peking-ish", "IANA"),
    ("hours.week", {"monday": "08:00-20:00"}, "mon..sun"),
    ("hours.week", {"mon": "8-20"}, "HH:MM"),
    ("hours.week", {"mon": "08:00-25:00"}, "HH:MM"),
    ("hours.week", {"mon": "20:00-08:00"}, "mon"),
    ("hours.week", {"mon": "08:00-08:00"}, "mon"),
    ("hours.holidays", ["2026-13-01"], "date"),
    ("hours.holidays", ["国庆节"], "date"),
    ("numbers.0.number", "", "pattern"),
    ("numbers.0.number", "95 519", "pattern"),
    ("numbers.0.language", "fr", "zh"),
    ("queues.0.name", "客服", "pattern"),
    ("queues.0.name", "", "pattern"),
    ("queues.0.target_s", -1, "0"),
    ("queues.0.skills.service", 0, "1"),
    ("queues.0.skills.service", 11, "10"),
    ("queues.0.priority", 1000, "100"),
    ("queues.0.ring_timeout_s", 1, "3"),
    ("queues.0.max_waiting", -1, "0"),
    ("agents.0.login", "王芳", "pattern"),
    ("agents.0.device", "agent1@127.0.0.1", "pattern"),
    ("agents.0.device", "sip:a b@127.0.0.1", "pattern"),
    ("agents.0.wrap_up_s", -1, "0"),
    ("agents.0.wrap_up_s", 100_000, "86400"),
    ("agents.0.answer", "both", "phone"),
    ("agents.0.role", "chief", "agent"),
    ("agents.0.skills.service", "high", "integer"),
    ("routing.missed_action", "dismiss", "not_ready"),
    ("routing.decline_pause_s", -1, "0"),
]


@pytest.mark.parametrize(("key", "value", "expected"), BAD, ids=[f"{key}={value}" for key, value, _ in BAD])
def test_a_bad_value_is_named_with_what_was_expected(
    tmp_path: Path, key: str, value: Any, expected: str
) -> None:
    error = refusal(tmp_path, as_toml(changed(key, value)))
    assert error.key == key or error.key.startswith(f"{key}.")
    assert repr(value) in str(error) or isinstance(value, dict | list)
    assert expected in error.expected


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[voise]\nlisten = '127.0.0.1:5060'\n", "voise"),
        ("[voice]\nlisten_on = '127.0.0.1:5060'\n", "voice.listen_on"),
        ("[[queues]]\nname = 'a'\nskill = {x = 1}\n", "queues.0.skill"),
        ("[[agents]]\nlogin = '1'\nname = 'x'\npassword = 'geheim'\n", "agents.0.password"),
        ("tenant = 5\n", "tenant"),
    ],
)
def test_a_key_that_does_not_exist_is_named(tmp_path: Path, text: str, key: str) -> None:
    error = refusal(tmp_path, text)
    assert (error.key, error.expected) == (key, "no such key")


@pytest.mark.parametrize(
    ("text", "key"),
    [("[[queues]]\ntitle = 'x'\n", "queues.0.name"), ("[[agents]]\nname = 'x'\n", "agents.0.login")],
)
def test_a_missing_key_is_named(tmp_path: Path, text: str, key: str) -> None:
    assert refusal(tmp_path, text).key == key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[[numbers]]\nnumber = "1"\nqueue = "nowhere"\n',
            ["numbers", "queue", "nowhere", "none of the queues"],
        ),
        ('[[numbers]]\nnumber = "1"\n', ["numbers", "either flow or queue"]),
        (
            '[chat]\norigins = ["www.example.com"]\n',
            ["chat.origins", "www.example.com", "a scheme and a host"],
        ),
        (
            '[[chat.answers]]\ntitle = "t"\nzh = "{customer}您好"\nen = "Dear {name}"\n',
            ["chat.answers", "{name}", "{customer} or {agent}"],
        ),
        (
            '[[numbers]]\nnumber = "1"\nflow = "hotline"\nqueue = "q"\n[[queues]]\nname = "q"\n',
            ["numbers", "either"],
        ),
        (
            '[[numbers]]\nnumber = "1"\nflow = "hotline"\nprompt = "hello"\n',
            ["numbers", "prompt goes with queue"],
        ),
        ('[[queues]]\nname = "q"\n[[queues]]\nname = "q"\n', ["queues.name", "'q'", "twice"]),
        (
            '[[agents]]\nlogin = "1"\nname = "a"\n[[agents]]\nlogin = "1"\nname = "b"\n',
            ["agents.login", "'1'", "twice"],
        ),
        (
            '[[numbers]]\nnumber = "1"\nflow = "f"\n[[numbers]]\nnumber = "1"\nflow = "g"\n',
            ["numbers.number", "twice"],
        ),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    said = str(refusal(tmp_path, text))
    for word in words:
        assert word in said


def test_a_queue_may_be_named_by_a_number(tmp_path: Path) -> None:
    text = '[[numbers]]\nnumber = "95520"\nqueue = "q"\nprompt = "welcome"\nlanguage = "en"\n[[queues]]\nname = "q"\n'
    (number,) = load(write(tmp_path, text), {}).numbers
    assert (number.queue, number.prompt, number.language) == ("q", "welcome", "en")


# --- the file itself ---------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "none.toml", {})
    assert refused.value.value == str(tmp_path / "none.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, {})


@pytest.mark.parametrize("content", [b"[voice\n", b"voice = {", b"a = 1\na = 2\n", "名 = 1".encode("gbk")])
def test_what_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "centre.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="TOML"):
        load(path, {})


@given(st.text(max_size=60))
def test_no_text_does_anything_but_load_or_be_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load(path, {})
    except ConfigError as error:
        assert error.expected


# --- the environment ---------------------------------------------------------------------------------


def test_the_environment_overrides_scalars(tmp_path: Path) -> None:
    environ = {
        "CALLCENTER_HTTP__LISTEN": "127.0.0.1:0",
        "CALLCENTER_VOICE__RECORD": "false",
        "CALLCENTER_VOICE__RING_TIMEOUT_S": "30",
        "CALLCENTER_PATHS__VAR": "/srv/cc",
        "CALLCENTER_MASTER_KEY": "not a setting",
        "HTTP__LISTEN": "ignored",
        "PATH": "/bin",
    }
    settings = load(write(tmp_path, EXAMPLE), environ)
    assert settings.http.listen == "127.0.0.1:0"
    assert settings.voice.record is False
    assert settings.voice.ring_timeout_s == 30
    assert settings.paths.var == Path("/srv/cc")
    assert settings.voice.listen == "127.0.0.1:5060"


def test_the_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCENTER_HTTP__LISTEN", "127.0.0.1:1234")
    assert load(write(tmp_path, EXAMPLE)).http.listen == "127.0.0.1:1234"


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("CALLCENTER_VOICE__WORKERS", "65", "voice.workers"),
        ("CALLCENTER_VOICE__LISTEN", "nowhere", "voice.listen"),
        ("CALLCENTER_VOICE__LISTEN_ON", "x", "voice.listen_on"),
        ("CALLCENTER_NOTHING__AT_ALL", "x", "nothing"),
        ("CALLCENTER_AGENTS__LOGIN", "x", "agents"),
        ("CALLCENTER_QUEUES__0", "x", "queues"),
    ],
)
def test_a_bad_override_is_named_like_a_bad_key(tmp_path: Path, variable: str, value: str, key: str) -> None:
    assert refusal(tmp_path, EXAMPLE, **{variable: value}).key.startswith(key)


# --- small parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:5060", "127.0.0.1", 5060),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:8080", "::1", 8080),
        ("sip.example.com:65535", "sip.example.com", 65535),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:65536", "host:-1", "::1:80", "a b:80", "host:80x"]
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        split_address(text)


@given(st.integers(1024, 60_000), st.integers(64, 5_000), st.integers(1, 8))
def test_workers_get_equal_slices_that_never_overlap(low: int, size: int, workers: int) -> None:
    settings = Settings.model_construct(voice=Settings().voice.model_copy(
        update={"rtp_ports": (low, low + size - 1), "workers": workers}
    ))  # fmt: skip
    slices = [settings.rtp_slice(slot) for slot in range(workers)]
    assert len({high - first for first, high in slices}) == 1
    ports = [port for first, high in slices for port in range(first, high + 1)]
    assert len(ports) == len(set(ports))
    assert low <= min(ports)
    assert max(ports) <= low + size - 1


def test_sockets_and_locks_lie_under_var_where_the_path_is_short() -> None:
    settings = Settings.model_construct(
        paths=Settings().paths.model_copy(update={"var": Path("/srv/cc/var")})
    )
    assert settings.run_dir == Path("/srv/cc/var/run")


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = load(write(tmp_path, EXAMPLE), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.voice.workers = 5  # type: ignore[misc]
