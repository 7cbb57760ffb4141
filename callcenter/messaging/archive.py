"""Every written message as a row of history, and the index by which it is found.

The words lie sealed beside the journal; the index holds keyed hashes of words (of Chinese, of pairs of neighbours), so
it tells nothing to whoever has the database without the key. A search asks for messages that hold all of them, newest
first, and opens each to see whether the words really stand there; what was erased opens no more and is not found.
"""

from __future__ import annotations

import hmac
import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, text

from crm_core.db import reads

Plain = dict[str, Any]
Texts = Callable[[str], str]
"""what lies under a ref"""
COLUMNS = (
    *("id", "message", "interaction_id", "org_id", "medium", "writer", "kind", "at_ms"),
    *("ref", "head_ref", "files_ref", "state"),
)
FLOW = "flow"
_PER_ACTIVATION = 1_000
"""ids of messages: the activation's number and their place in it, so a rebuild gives the same"""
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUNS = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_TOKEN_BYTES = 5
_MOST_WORDS = 2_000
"""of one message, in the index"""
_MOST_OPENED = 400
"""messages that one search opens"""
_SHORTEST = 2
_CUSTOMERS_MESSAGES = 2_000
_SLACK = 10_000
"""activations by which a message may stand beside its time: it may have come while a core was away"""


class TooShort(ValueError):
    """Nothing in it that the index knows: at least two characters of a word."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; all that is given has to hold."""

    words: str = ""
    customer: int = 0
    agent: str = ""
    """who served the conversation"""
    since_ms: int = 0
    until_ms: int = 0
    org_ids: tuple[int, ...] = ()
    """none: any"""
    limit: int = 50


def plain(text_: str) -> str:
    """As words are compared: width and case do not count."""
    return unicodedata.normalize("NFKC", text_).casefold()


def said(row: Plain, open_text: Texts) -> str:
    """Subject, line end, text."""
    head = open_text(row["head_ref"]) if row["head_ref"] else ""
    subject = " ".join(str(json.loads(head).get("subject", "")).split()) if head else ""
    return f"{subject}\n{open_text(row['ref'])}"


def terms_of(text_: str) -> set[str]:
    """What a text is found by: words, and of Chinese pairs of neighbours."""
    found: set[str] = set()
    for run in _RUNS.findall(plain(text_)):
        if re.match(f"[{_HAN}]", run):
            found.update(run[n : n + 2] for n in range(max(1, len(run) - 1)))
        else:
            found.add(run[:64])
        if len(found) >= _MOST_WORDS:
            break
    return found


class Index:
    """Words as the database sees them."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, str] = {}

    def token(self, term: str) -> str:
        known = self._known.get(term)
        if known is None:
            known = hmac.digest(self._key, term.encode(), sha256)[:_TOKEN_BYTES].hex()
            if len(self._known) > 200_000:
                self._known.clear()
            self._known[term] = known
        return known

    def agent(self, login: str) -> str:
        """A word that no text has: who served it."""
        return self.token(f"agent\0{login}")

    def tokens(self, text_: str) -> list[str]:
        return sorted(self.token(term) for term in terms_of(text_))


@dataclass(frozen=True, slots=True)
class _Written:
    row: Plain
    agents: tuple[str, ...]
    """who served the conversation until then"""


@dataclass(frozen=True, slots=True)
class _Changed:
    message: str
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Served:
    """From now on, and for what was written before."""

    interaction: str
    agent: str = ""
    """none: whoever has served it"""


class MessageFold:
    """Rows that facts bring, until they are saved. `open_text` and `index`: None where nothing is indexed.

    What happens to rows is done in its order, so a rebuild gives the same however it was parted into batches."""

    def __init__(self, open_text: Texts | None = None, index: Index | None = None) -> None:
        self._open_text, self._index = open_text, index
        self._todo: list[_Written | _Changed | _Served] = []
        self._media: dict[str, tuple[str, int]] = {}
        self._agents: dict[str, list[str]] = {}
        """who served a conversation so far"""
        self._learnt: set[str] = set()
        """conversations of which history had to be asked, until what came with them is saved"""

    def apply(self, seq: int, facts: Sequence[Plain]) -> None:
        for n, fact in enumerate(facts):
            kind, interaction = fact["k"], fact.get("interaction", "")
            if kind == "InteractionStarted":
                self._media[interaction] = (fact["medium"], fact["org_id"])
            elif kind == "InteractionAnswered":
                agents = self._agents.setdefault(interaction, [])
                if fact["agent"] not in agents:
                    agents.append(fact["agent"])
                    self._todo.append(_Served(interaction, fact["agent"]))
            elif kind in ("MessageReceived", "MessageSent"):
                self._wrote(seq * _PER_ACTIVATION + min(n, _PER_ACTIVATION - 1), fact)
            elif kind == "LetterTried" and fact["result"] in ("sent", "dead"):
                self._change(fact["message"], state=fact["result"])
            elif kind == "LetterChanged":
                self._change(fact["message"], state="waiting", ref=fact["ref"], head_ref=fact["head_ref"])
            elif kind == "LetterBounced":
                self._change(fact["message"], state="bounced")
            elif kind == "LetterDropped":
                self._change(fact["message"], state="dropped")
            elif kind == "MessagesMoved":
                for name in fact["messages"]:
                    self._change(name, interaction_id=fact["to"])
                self._todo.append(_Served(fact["to"]))
            elif kind == "InteractionEnded":
                self._media.pop(interaction, None)
                self._agents.pop(interaction, None)

    def _change(self, message: str, **values: str) -> None:
        self._todo.append(_Changed(message, values))

    def _wrote(self, number: int, fact: Plain) -> None:
        row = {
            "id": number,
            "message": fact["message"],
            "interaction_id": fact["interaction"],
            "writer": fact.get("by", ""),
            "kind": fact.get("kind", ""),
            "at_ms": fact["occurred_at_ms"],
            "ref": fact["ref"],
            "head_ref": fact.get("head_ref", ""),
            "files_ref": fact.get("files_ref", ""),
            "state": "",
        }
        self._todo.append(_Written(row, tuple(self._agents.get(fact["interaction"], ()))))

    def save(self, connection: Connection) -> None:
        """In the caller's transaction; may be called again with the same rows where that failed."""
        for kind, group in itertools.groupby(self._todo, type):
            done = list(group)
            if kind is _Written:
                self._save_rows(connection, [one for one in done if isinstance(one, _Written)])
            elif kind is _Changed:
                for one in done:
                    if isinstance(one, _Changed):
                        columns = ", ".join(f"{name} = :{name}" for name in one.values)
                        connection.execute(
                            text(f"UPDATE written_messages SET {columns} WHERE message = :message"),  # noqa: S608 - constants
                            {**one.values, "message": one.message},
                        )
            else:
                self._save_agents(connection, [one for one in done if isinstance(one, _Served)])

    def saved(self) -> None:
        self._todo = []
        self._learnt.clear()

    def _save_rows(self, connection: Connection, written: list[_Written]) -> None:
        self._learn(connection, {one.row["interaction_id"] for one in written})
        for one in written:
            one.row["medium"], one.row["org_id"] = self._media.get(one.row["interaction_id"], ("", 1))
        connection.execute(_INSERT, [one.row for one in written])
        self._save_index(connection, written)

    def _learn(self, connection: Connection, interactions: set[str]) -> None:
        """Of conversations that began before this follower did."""
        for interaction in interactions - self._media.keys():
            row = connection.execute(_MEDIUM, {"id": interaction}).first()
            if row is not None:
                self._media[interaction] = (row[0], row[1])
                known = self._agents.setdefault(interaction, [])
                before = (one[0] for one in connection.execute(_SERVED_BEFORE, {"id": interaction}))
                known += [agent for agent in before if agent not in known]
                self._learnt.add(interaction)

    def _save_index(self, connection: Connection, written: list[_Written]) -> None:
        if self._open_text is None or self._index is None:
            return
        rows: list[Plain] = []
        for one in written:
            tokens = self._index.tokens(said(one.row, self._open_text))
            if tokens:
                interaction = one.row["interaction_id"]
                agents = self._agents[interaction] if interaction in self._learnt else one.agents
                tokens += [self._index.agent(login) for login in agents]
                rows.append({"id": one.row["id"], "words": tokens})
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            for row in rows:
                row["words"] = " ".join(row["words"])
            connection.execute(_DELETE_WORDS, [{"id": row["id"]} for row in rows])
            connection.execute(text("INSERT INTO message_words (rowid, words) VALUES (:id, :words)"), rows)
        else:
            connection.execute(
                text(
                    "INSERT INTO message_words (id, words) VALUES (:id, :words) "
                    "ON CONFLICT (id) DO UPDATE SET words = excluded.words"
                ),
                rows,
            )

    def _save_agents(self, connection: Connection, served: list[_Served]) -> None:
        """What was written before somebody took the conversation is found as theirs, too."""
        if self._index is None:
            return
        statement = _SERVED_SQLITE if connection.dialect.name == "sqlite" else _SERVED_POSTGRES
        self._learn(connection, {one.interaction for one in served if not one.agent})
        for one in served:
            for agent in (one.agent,) if one.agent else self._agents.get(one.interaction, ()):
                token = self._index.agent(agent)
                connection.execute(statement, {"interaction": one.interaction, "token": token})


_NAMES = ", ".join(COLUMNS)
_INSERT = text(
    f"INSERT INTO written_messages ({_NAMES}) VALUES ({', '.join(f':{c}' for c in COLUMNS)}) "  # noqa: S608 - constants
    "ON CONFLICT (id) DO NOTHING"
)
_MEDIUM = text("SELECT medium, org_id FROM interactions WHERE id = :id")
_DELETE_WORDS = text("DELETE FROM message_words WHERE rowid = :id")
_SERVED_SQLITE = text(
    "UPDATE message_words SET words = words || ' ' || :token WHERE rowid IN "
    "(SELECT id FROM written_messages WHERE interaction_id = :interaction) AND instr(words, :token) = 0"
)
_SERVED_POSTGRES = text(
    "UPDATE message_words SET words = array_append(words, CAST(:token AS text)) WHERE id IN "
    "(SELECT id FROM written_messages WHERE interaction_id = :interaction) "
    "AND NOT words @> ARRAY[CAST(:token AS text)]"
)
_SERVED_BEFORE = text(
    "SELECT DISTINCT agent FROM segments WHERE interaction_id = :id AND kind = 'talking' AND agent <> '' "
    "ORDER BY agent"
)


def clear(connection: Connection) -> None:
    """Before a rebuild."""
    for table in ("message_words", "written_messages"):
        connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - constants


def forget(connection: Connection, refs: Iterable[str]) -> int:
    """Take these messages out of the index, as a person is erased whose they are; answers how many there were."""
    column = "rowid" if connection.dialect.name == "sqlite" else "id"
    gone = 0
    for ref in refs:
        for row in connection.execute(
            text("SELECT id FROM written_messages WHERE ref = :ref"), {"ref": ref}
        ).all():
            done = connection.execute(
                text(f"DELETE FROM message_words WHERE {column} = :id"),  # noqa: S608 - constants
                {"id": row[0]},
            )
            gone += max(0, done.rowcount)
    return gone


class MessageSearch:
    """Blocks; for helper threads."""

    def __init__(self, engine: Engine, index: Index, open_text: Texts) -> None:
        self._engine, self._index, self._open_text = reads(engine), index, open_text

    def find(self, wanted: Wanted) -> list[Plain]:
        """Newest first, each with its `text`. Raises TooShort for words that no index knows."""
        terms = terms_of(wanted.words)
        if wanted.words.strip() and not any(len(term) >= _SHORTEST for term in terms):
            raise TooShort(wanted.words)
        tokens = [self._index.token(term) for term in sorted(terms) if len(term) >= _SHORTEST]
        if not (tokens or wanted.customer or wanted.agent):
            raise TooShort("")
        words = bool(tokens)
        if wanted.agent:
            tokens.append(self._index.agent(wanted.agent))
        found: list[Plain] = []
        with self._engine.connect() as connection:
            for row in self._candidates(connection, wanted, tokens):
                there = said(row, self._open_text)
                if there.strip() and (not words or _holds(there, wanted.words)):
                    subject, _, text_ = there.partition("\n")
                    found.append({**row, "subject": subject, "text": text_})
                    if len(found) >= wanted.limit:
                        break
        return found

    def history(self, interactions: Sequence[str]) -> list[Plain]:
        """All that was written in these, oldest first."""
        found: list[Plain] = []
        with self._engine.connect() as connection:
            for interaction in interactions:
                query = text(f"SELECT {_NAMES} FROM written_messages WHERE interaction_id = :id ORDER BY id")  # noqa: S608
                rows = connection.execute(query, {"id": interaction})
                found += [{**row._mapping, "text": self._open_text(row.ref)} for row in rows]
        return found

    def _candidates(self, connection: Connection, wanted: Wanted, tokens: list[str]) -> Iterable[Plain]:
        values: Plain = {}
        where = _where(wanted, values)
        if wanted.customer and wanted.agent:
            where += " AND i.agent = :agent"
            values["agent"] = wanted.agent
        between = self._between(connection, wanted)
        if between is None:
            return []
        low, high = between
        names = ", ".join(f"m.{name}" for name in COLUMNS)
        if wanted.customer:
            # of one customer there are few: each is opened
            query = (
                f"SELECT {names}, i.customer_id, i.queue, i.agent FROM interactions i "  # noqa: S608 - constants
                f"JOIN written_messages m ON m.interaction_id = i.id WHERE i.customer_id = :customer {where} "
                f"ORDER BY m.id DESC LIMIT {_CUSTOMERS_MESSAGES}"
            )
            values["customer"] = wanted.customer
        elif tokens and connection.dialect.name == "sqlite":
            query = (
                f"SELECT {names}, i.customer_id, i.queue, i.agent FROM message_words w "  # noqa: S608 - constants
                f"CROSS JOIN written_messages m ON m.id = w.rowid JOIN interactions i "
                f"ON i.id = m.interaction_id WHERE w.message_words MATCH :tokens "
                f"AND w.rowid BETWEEN {low} AND {high} {where} ORDER BY w.rowid DESC LIMIT {_MOST_OPENED}"
            )
            values["tokens"] = " AND ".join(f'"{token}"' for token in tokens)
        else:
            query = (
                f"SELECT {names}, i.customer_id, i.queue, i.agent FROM message_words w "  # noqa: S608 - constants
                f"JOIN written_messages m ON m.id = w.id JOIN interactions i ON i.id = m.interaction_id "
                f"WHERE w.words @> CAST(:tokens AS text[]) "
                f"AND w.id BETWEEN {low} AND {high} {where} ORDER BY w.id DESC LIMIT {_MOST_OPENED}"
            )
            values["tokens"] = tokens
        return [dict(row._mapping) for row in connection.execute(text(query), values)]

    @staticmethod
    def _between(connection: Connection, wanted: Wanted) -> tuple[int, int] | None:
        """The first and last id of that time; None where nothing was written then. Ids go with time, so an index need
        not look elsewhere."""
        low, high = 0, 2**62
        if wanted.since_ms:
            query = text("SELECT id FROM written_messages WHERE at_ms >= :since ORDER BY at_ms LIMIT 1")
            low = connection.execute(query, {"since": wanted.since_ms}).scalar() or 0
            if not low:
                return None
        if wanted.until_ms:
            query = text("SELECT id FROM written_messages WHERE at_ms < :until ORDER BY at_ms DESC LIMIT 1")
            high = connection.execute(query, {"until": wanted.until_ms}).scalar() or 0
            if not high:
                return None
        slack = _SLACK * _PER_ACTIVATION
        return max(0, int(low) - slack), int(high) + slack


def _where(wanted: Wanted, values: Plain) -> str:
    """Conditions beside the words."""
    parts = []
    if wanted.since_ms:
        parts.append("m.at_ms >= :since")
        values["since"] = wanted.since_ms
    if wanted.until_ms:
        parts.append("m.at_ms < :until")
        values["until"] = wanted.until_ms
    if wanted.org_ids:
        parts.append(f"m.org_id IN ({', '.join(str(int(one)) for one in wanted.org_ids)})")
    return "".join(f" AND {part}" for part in parts)


def _holds(said: str, words: str) -> bool:
    """Every run of the words stands there: Chinese as a piece of text, others as whole words."""
    text_ = plain(said)
    whole = {run[:64] for run in _RUNS.findall(text_)}
    return all(
        (run in text_) if re.match(f"[{_HAN}]", run) else run[:64] in whole
        for run in _RUNS.findall(plain(words))
    )
