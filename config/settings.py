"""Settings from one TOML file and the environment, checked before anything starts.

Environment: `CALLCENTER_<SECTION>__<KEY>` overrides a scalar of the file
(`CALLCENTER_HTTP__LISTEN=127.0.0.1:0`). Secrets never stand in the file.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from callcenter.kernel.errors import ConfigError
from config.sections import Level, Name, Seconds, Section, split_address
from config.written import Chat, Email

PREFIX = "CALLCENTER_"
PORTS_PER_LEG = 4
MAX_RUN_DIR = 80
_DB_URL = re.compile(r"^sqlite:///.+|^postgresql(\+psycopg)?://.+")


class Database(Section):
    url: str = "sqlite:///var/callcenter.db"

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if not _DB_URL.match(url):
            raise ValueError("expected sqlite:///path or postgresql://...")
        return url


class Journal(Section):
    url: str = "sqlite:///var/journal.db"
    snapshot_every: Annotated[int, Field(ge=10)] = 5_000
    """activations between two snapshots"""

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if not _DB_URL.match(url):
            raise ValueError("expected sqlite:///path or postgresql://... (there it has a schema of its own)")
        return url

    @property
    def path(self) -> Path | None:
        """Its file; None on PostgreSQL."""
        return Path(self.url.removeprefix("sqlite:///")) if self.url.startswith("sqlite") else None


class Voice(Section):
    listen: str = "127.0.0.1:5060"
    advertise: str = ""
    rtp_ports: tuple[int, int] = (20_000, 29_999)
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    edge: bool = True
    """the edge has the public address and spreads calls over the workers; without it one worker has it"""
    inside: str = ""
    """loopback address of the edge's inner side, UDP; the workers' SIP ports follow it one by one. Empty:
    127.0.0.1 and the port of `listen` + 20"""
    domain: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.\-]{0,62}[a-z0-9])?$")] = "centre"
    """host part of our telephones' addresses and realm of their passwords"""
    accept: Literal["anyone", "known"] = "anyone"
    """`known`: only trunks and registered telephones may call"""
    source_rate: Annotated[float, Field(ge=0)] = 20.0
    """new requests a second of one address that is no trunk's; 0 is no limit"""
    calls_per_s: Annotated[float, Field(ge=0)] = 0.0
    """new calls a second in all; more get 503 at once; 0 is no limit"""
    tls_listen: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    library: Literal["auto", "stock", "dense"] = "auto"
    max_legs: Annotated[int, Field(ge=0)] = 0
    """upper bound on legs of a worker; 0 is what the library carries"""
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "CN"
    ring_timeout_s: Annotated[int, Field(ge=3, le=180)] = 20
    max_call_s: Annotated[int, Field(ge=60)] = 4 * 3600
    silence_probe_s: Annotated[int, Field(ge=2, le=600)] = 8
    """an agent's phone that sent audio and fell silent this long is asked whether it still lives"""
    record: bool = True
    retry_after_s: Annotated[int, Field(ge=1, le=3600)] = 10

    @field_validator("listen", "inside", "tls_listen")
    @classmethod
    def _address(cls, text: str) -> str:
        if text:
            split_address(text)
        return text

    @field_validator("rtp_ports")
    @classmethod
    def _range(cls, ports: tuple[int, int]) -> tuple[int, int]:
        low, high = ports
        if not (1024 <= low < high <= 65_535):
            raise ValueError("expected [low, high] with 1024 <= low < high <= 65535")
        return ports

    @model_validator(mode="after")
    def _fits(self) -> Voice:
        if self.workers > 1 and not self.edge:
            raise ValueError("workers: expected 1 without an edge, which spreads calls over several")
        if self.tls_listen and not (self.tls_cert and self.tls_key and self.edge):
            raise ValueError("tls_listen: expected tls_cert and tls_key beside it, and an edge")
        host, port = split_address(self.listen)
        if self.edge and host in ("0.0.0.0", "::") and not self.advertise:  # noqa: S104 - a check
            raise ValueError("advertise: expected the public address, since listen names none")
        if self.edge and not port:
            raise ValueError("listen: expected a port other than 0 where there is an edge")
        return self

    @property
    def inside_address(self) -> tuple[str, int]:
        if self.inside:
            return split_address(self.inside)
        return "127.0.0.1", split_address(self.listen)[1] + 20

    def worker_address(self, slot: int) -> tuple[str, int]:
        """Where the worker of this slot listens for SIP."""
        if not self.edge:
            return split_address(self.listen)
        host, port = self.inside_address
        return host, port + 1 + slot


class Trunk(Section):
    """A carrier's line."""

    name: Name
    address: str
    """host:port where it takes our calls"""
    transport: Literal["udp", "tcp", "tls"] = "udp"
    sources: tuple[str, ...] = ()
    """addresses and networks that its calls come from, beside `address`"""
    username: Annotated[str, Field(pattern=r"^[^\s\"<>@:;]{0,64}$")] = ""
    password_file: Path | None = None
    register_: Annotated[bool, Field(alias="register")] = False
    monitor_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """seconds between two OPTIONS; 0 asks never and trusts it"""
    calls_per_s: Annotated[float, Field(ge=0)] = 0.0
    """calls a second it may bring; 0 is no limit"""

    @field_validator("address")
    @classmethod
    def _address(cls, text: str) -> str:
        split_address(text)
        return text

    @field_validator("sources")
    @classmethod
    def _networks(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            try:
                ipaddress.ip_network(source, strict=False)
            except ValueError as error:
                raise ValueError(f"expected addresses or networks, not {source!r}") from error
        return sources

    @model_validator(mode="after")
    def _credentials(self) -> Trunk:
        if (self.register_ or self.password_file) and not self.username:
            raise ValueError("username: expected one where the trunk registers or has a password")
        return self


class Http(Section):
    listen: str = "127.0.0.1:8080"
    session_hours: Annotated[int, Field(ge=1, le=168)] = 12
    secure_cookies: bool = False
    """cookies go over TLS only; they do where `tls_cert` is set"""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    """pages over TLS: microphones need it away from this very computer"""

    @model_validator(mode="after")
    def _both(self) -> Http:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert: expected tls_key beside it, or neither")
        return self

    @field_validator("listen")
    @classmethod
    def _address(cls, text: str) -> str:
        split_address(text)
        return text


class Paths(Section):
    var: Path = Path("var")
    prompts: Path | None = None
    """a folder whose WAV files take the place of shipped prompts of the same name"""


class OpeningHours(Section):
    timezone: str = "Asia/Shanghai"
    week: dict[str, str] = Field(default_factory=dict)
    """`{mon = "08:00-20:00"}`; no entry at all means always open"""
    holidays: tuple[str, ...] = ()
    workdays: dict[str, Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        default_factory=dict
    )
    """make-up workdays: `{"2026-10-10" = "fri"}` has the hours of a Friday, whatever day it is"""

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except Exception as error:
            raise ValueError("expected an IANA time zone, such as Asia/Shanghai") from error
        return name

    @field_validator("week")
    @classmethod
    def _days(cls, week: dict[str, str]) -> dict[str, str]:
        for day, span in week.items():
            if day not in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"):
                raise ValueError(f"expected days mon..sun, not {day!r}")
            if not re.match(r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$", span):
                raise ValueError(f"expected HH:MM-HH:MM for {day}")
            opens, _, closes = span.partition("-")
            if closes <= opens:
                raise ValueError(f"expected {day} to open before it closes")
        return week

    @field_validator("holidays", "workdays")
    @classmethod
    def _dates(cls, holidays: Any) -> Any:
        for day in holidays:
            try:
                if date.fromisoformat(day).isoformat() != day:
                    raise ValueError(day)
            except ValueError as error:
                raise ValueError(f"expected dates, YYYY-MM-DD, not {day!r}") from error
        return holidays


class Number(Section):
    number: Annotated[str, Field(pattern=r"^[+0-9A-Za-z_.\-]{1,32}$")]
    flow: Name | None = None
    queue: Name | None = None
    prompt: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,48}$")] | None = None
    language: Literal["zh", "en"] = "zh"

    @model_validator(mode="after")
    def _either(self) -> Number:
        if (self.flow is None) == (self.queue is None):
            raise ValueError("expected either flow or queue")
        if self.prompt is not None and self.queue is None:
            raise ValueError("prompt goes with queue")
        return self


class Queue(Section):
    name: Name
    title: Annotated[str, Field(max_length=80)] = ""
    skills: dict[Name, Level] = Field(default_factory=dict)
    target_s: Annotated[int, Field(ge=0, le=3600)] = 20
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """each step moves a contact forward as if it had waited `priority_step_s` longer"""
    ring_timeout_s: Annotated[int, Field(ge=3, le=180)] | None = None
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 0
    caller_id: Annotated[str, Field(pattern=r"^(\+?[0-9]{2,20})?$")] = ""
    """our number that outside telephones rung for this queue are shown"""
    sound: Literal["music", "ringback"] = "music"
    """what a caller hears while waiting"""
    whisper: bool = False
    """before the customer, the agent hears the queue's title and whether a VIP waits"""


BROWSER = "browser"


class Agent(Section):
    login: Name
    name: Annotated[str, Field(max_length=80)]
    device: Annotated[str, Field(pattern=r"^(browser|sips?:[^\s<>\"]{1,180}|tel:\+?[0-9]{2,20})$")] = (
        "sip:nobody@127.0.0.1:9"
    )
    """a telephone's address: `sip:1001@centre` for one registered here, `tel:+86…` by way of a trunk, or
    `browser`: the panel itself"""
    skills: dict[Name, Level] = Field(default_factory=dict)
    ready_at_start: bool = False
    wrap_up_s: Seconds = 30
    answer: Literal["phone", "panel", "auto"] = "phone"
    """`phone`: the device rings at once; `panel`: it is dialled once the offer is accepted there; `auto`: it answers by
    itself, and a tone says that a customer comes"""
    role: Literal["agent", "supervisor", "administrator", "auditor"] = "agent"


class Routing(Section):
    missed_action: Literal["not_ready", "stay_ready"] = "not_ready"
    decline_pause_s: Seconds = 10
    device_pause_s: Seconds = 30
    priority_step_s: Annotated[int, Field(ge=0, le=3600)] = 30
    policy_file: Path | None = None
    """routing rules beside what the pages edit (docs/routing.md); read anew whenever it changes"""
    after_cut_off: Literal["first", "none"] = "first"
    """a caller whom a fault of ours cut off is put first when they ring again within `cut_off_memory_s`"""
    remember_agent_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    """queues with `preferred_s` ask for the agent who served the customer last, within so many days"""
    callback_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    callback_retry_s: Annotated[int, Field(ge=10, le=86_400)] = 300
    """customers who asked to be rung back are tried so often, so long after each other"""
    cut_off_memory_s: Annotated[int, Field(ge=0, le=86_400)] = 900


class Supervision(Section):
    visible: bool = False
    """agents see on their panel that a supervisor is in their call"""
    service_level_goal: Annotated[float, Field(gt=0, le=1)] = 0.8
    """share of contacts to be answered within their queue's target; the wallboard's first tile"""
    long_wait_s: Annotated[int, Field(ge=1, le=3600)] = 60
    """a wait from which the wallboard's tile changes its edge; at twice as long once more"""


class Retention(Section):
    """Recordings for which all that is named here holds are kept this long."""

    queue: str = ""
    wrap_up: str = ""
    direction: Literal["", "in", "out"] = ""
    number: str = ""
    """the number of ours that was called"""
    keep_days: Annotated[int, Field(ge=1, le=36_500)]


class Recordings(Section):
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 3_650
    """where no rule says otherwise"""
    rules: tuple[Retention, ...] = ()
    """the first that fits counts"""
    min_free_mb: Annotated[int, Field(ge=0)] = 1_024
    """less room than this on the disk raises the alarm: what is beyond its time goes at once, and new calls are not
    recorded until there is room again; below a quarter of it running recordings end too"""


class IceServer(Section):
    """A STUN or TURN server that pages and hosts use."""

    urls: str
    username: str = ""
    credential: str = ""


class WebRtc(Section):
    """Telephones in the browser."""

    hosts: Annotated[int, Field(ge=0, le=64)] = 0
    """processes that carry browser phones, four calls each; 0: one where anybody needs it"""
    sip: str = ""
    """address of the first host's SIP side, UDP; the others follow one by one. Empty: behind the workers'"""
    rtp_ports: tuple[int, int] = (30_000, 30_999)
    """between the hosts and the workers"""
    udp_ports: tuple[int, int] | None = None
    """towards browsers, cut into equal slices per host; none: any free port"""
    advertise: tuple[str, ...] = ()
    """addresses that pages are told; empty: all of this machine's but loopback"""
    ice_servers: tuple[IceServer, ...] = ()
    web_call_numbers: tuple[str, ...] = ()
    """numbers of ours that visitors may ring at /call; none: nobody may"""
    identity_key_file: Path | None = None
    """verifies the signed identities (JWT) of visitors: a shared secret for HS256, else a public key (PEM)"""
    identity_algorithm: Literal["HS256", "RS256", "ES256"] = "HS256"
    web_call_rate: Annotated[str, Field(pattern=r"^[0-9]{1,5}/(second|minute|hour)$")] = "6/minute"
    """for each address"""

    @field_validator("sip")
    @classmethod
    def _address(cls, text: str) -> str:
        if text:
            split_address(text)
        return text

    @field_validator("udp_ports")
    @classmethod
    def _range(cls, ports: tuple[int, int] | None) -> tuple[int, int] | None:
        if ports is not None and not (1024 <= ports[0] < ports[1] <= 65_535):
            raise ValueError("expected [low, high] with 1024 <= low < high <= 65535")
        return ports

    def udp_slice(self, slot: int, hosts: int) -> tuple[int, ...]:
        """The ports of host `slot`, inclusive; () for any."""
        if self.udp_ports is None:
            return ()
        low, high = self.udp_ports
        size = (high - low + 1) // max(1, hosts)
        return low + slot * size, low + (slot + 1) * size - 1

    @field_validator("advertise")
    @classmethod
    def _addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise ValueError(f"expected addresses, not {address!r}") from error
        return addresses


class Oidc(Section):
    """Logging in by way of the insurer's own identity provider (OpenID Connect, authorisation code with PKCE)."""

    issuer: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """its address; nothing: there is none"""
    client_id: str = ""
    client_secret_file: Path | None = None
    login_claim: str = "preferred_username"
    """the claim that holds our login"""
    scope: str = "openid profile"
    name: str = ""
    """as the button on the log-in page calls it"""

    @model_validator(mode="after")
    def _whole(self) -> Oidc:
        if self.issuer and not self.client_id:
            raise ValueError("client_id: expected one where there is an issuer")
        return self


class Settings(Section):
    database: Database = Database()
    journal: Journal = Journal()
    voice: Voice = Voice()
    http: Http = Http()
    paths: Paths = Paths()
    routing: Routing = Routing()
    supervision: Supervision = Supervision()
    recordings: Recordings = Recordings()
    oidc: Oidc = Oidc()
    webrtc: WebRtc = WebRtc()
    hours: OpeningHours = OpeningHours()
    chat: Chat = Chat()
    email: Email = Email()
    trunks: tuple[Trunk, ...] = ()
    numbers: tuple[Number, ...] = ()
    queues: tuple[Queue, ...] = ()
    agents: tuple[Agent, ...] = ()

    @model_validator(mode="after")
    def _refers(self) -> Settings:
        names = [queue.name for queue in self.queues]
        for kind, values in (
            ("queues.name", names),
            ("agents.login", [agent.login for agent in self.agents]),
            ("numbers.number", [number.number for number in self.numbers]),
            ("trunks.name", [trunk.name for trunk in self.trunks]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{kind}: {twice[0]!r} stands twice")
        if self.trunks and not self.voice.edge:
            raise ValueError("trunks: expected none without an edge, which knows them by their address")
        strange = sorted(set(self.webrtc.web_call_numbers) - {number.number for number in self.numbers})
        if strange:
            raise ValueError(f"webrtc.web_call_numbers: {strange[0]!r} is none of the numbers")
        for name in (self.email.default_queue, *(rule.queue for rule in self.email.rules)):
            if name and name not in names:
                raise ValueError(f"email.rules.queue: {name!r} is none of the queues {names}")
        for number in self.numbers:
            if number.queue is not None and number.queue not in names:
                raise ValueError(f"numbers.queue: {number.queue!r} is none of the queues {names}")
        return self

    @property
    def run_dir(self) -> Path:
        """Sockets, locks and pids: under `paths.var`, or under /tmp where that path is too long for the
        name of a unix socket (about 107 bytes)."""
        usual = self.paths.var.absolute() / "run"
        if len(os.fsencode(usual)) <= MAX_RUN_DIR:
            return usual
        digest = hashlib.sha256(os.fsencode(usual)).hexdigest()[:16]
        return Path(f"/tmp/callcenter-{os.getuid()}-{digest}")  # noqa: S108 - made 0700 and refused if not ours

    @property
    def edge_file(self) -> Path:
        """Accounts and places of telephones."""
        return self.paths.var / "edge.db"

    @property
    def browser_hosts(self) -> int:
        """How many processes for browser phones run."""
        needed = bool(self.webrtc.web_call_numbers) or any(agent.device == BROWSER for agent in self.agents)
        return self.webrtc.hosts or int(needed)

    def browser_address(self, slot: int) -> tuple[str, int]:
        """Where the browser phone host of this slot takes SIP."""
        if self.webrtc.sip:
            host, port = split_address(self.webrtc.sip)
            return host, port + slot
        host, port = self.voice.inside_address
        return host, port + 1 + self.voice.workers + slot

    def rtp_slice(self, slot: int) -> tuple[int, int]:
        """The ports of worker `slot`, inclusive; equal slices of `voice.rtp_ports`."""
        low, high = self.voice.rtp_ports
        size = (high - low + 1) // self.voice.workers
        return low + slot * size, low + (slot + 1) * size - 1


def load(path: Path, environ: dict[str, str] | None = None) -> Settings:
    """Read, override, check. Raises ConfigError naming key, value and expectation."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("-c", str(path), "a readable TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "(file)", f"TOML ({error})") from error
    _override(raw, os.environ if environ is None else environ)
    try:
        return _anchored(Settings.model_validate(raw), path.resolve().parent)
    except ValidationError as error:
        raise _first(error) from error


def _override(raw: dict[str, Any], environ: Any) -> None:
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX) or "__" not in variable:
            continue
        section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
        values = raw.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(section, value, f"a section with keys, which {variable} would override")
        values[key] = value


def _anchored(settings: Settings, base: Path) -> Settings:
    """Relative paths of the file are relative to the file's folder."""
    var = settings.paths.var if settings.paths.var.is_absolute() else base / settings.paths.var
    prompts = settings.paths.prompts
    if prompts is not None and not prompts.is_absolute():
        prompts = base / prompts
    voice = settings.voice.model_copy(
        update={name: _anchored_path(getattr(settings.voice, name), base) for name in ("tls_cert", "tls_key")}
    )
    http = settings.http.model_copy(
        update={name: _anchored_path(getattr(settings.http, name), base) for name in ("tls_cert", "tls_key")}
    )
    webrtc = settings.webrtc.model_copy(
        update={"identity_key_file": _anchored_path(settings.webrtc.identity_key_file, base)}
    )
    chat = settings.chat.model_copy(
        update={"identity_key_file": _anchored_path(settings.chat.identity_key_file, base)}
    )
    mail = settings.email
    email = mail.model_copy(
        update={
            "tls_cert": _anchored_path(mail.tls_cert, base),
            "tls_key": _anchored_path(mail.tls_key, base),
            "relay": mail.relay.model_copy(
                update={
                    name: _anchored_path(getattr(mail.relay, name), base)
                    for name in ("ca_file", "password_file")
                }
            ),
            "mailboxes": tuple(
                one.model_copy(
                    update={
                        "secret_file": base / one.secret_file,
                        "ca_file": _anchored_path(one.ca_file, base),
                    }
                )
                for one in mail.mailboxes
            ),
        }
    )
    oidc = settings.oidc.model_copy(
        update={"client_secret_file": _anchored_path(settings.oidc.client_secret_file, base)}
    )
    routing = settings.routing.model_copy(
        update={"policy_file": _anchored_path(settings.routing.policy_file, base)}
    )
    trunks = tuple(
        trunk.model_copy(update={"password_file": _anchored_path(trunk.password_file, base)})
        for trunk in settings.trunks
    )
    return settings.model_copy(
        update={
            "voice": voice,
            "http": http,
            "webrtc": webrtc,
            "chat": chat,
            "email": email,
            "routing": routing,
            "oidc": oidc,
            "trunks": trunks,
            "paths": Paths(var=var, prompts=prompts),
            "database": Database(url=_anchored_url(settings.database.url, base)),
            "journal": settings.journal.model_copy(update={"url": _anchored_url(settings.journal.url, base)}),
        }
    )


def _anchored_path(path: Path | None, base: Path) -> Path | None:
    return path if path is None or path.is_absolute() else base / path


def _anchored_url(url: str, base: Path) -> str:
    if not url.startswith("sqlite:///"):
        return url
    path = Path(url.removeprefix("sqlite:///"))
    return url if path.is_absolute() else f"sqlite:///{base / path}"


def _first(error: ValidationError) -> ConfigError:
    detail = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in detail["loc"]) or "configuration"
    value = detail.get("input")
    if isinstance(value, dict):
        value = "{…}"
    expected = str(detail["msg"]).removeprefix("Value error, ").removeprefix("expected ")
    if detail["type"] == "extra_forbidden":
        expected = "no such key"
    return ConfigError(key, value, expected)
