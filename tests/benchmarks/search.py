"""A million messages, searched by words, customer and agent, on SQLite and PostgreSQL."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from callcenter.journal import store
from callcenter.journal.private import PrivateStore
from callcenter.kernel.envelope import MasterKey
from callcenter.messaging.archive import Index, MessageFold, MessageSearch, Wanted
from crm_core.db import migrate, open_engine
from tests.benchmarks.centre import percentile
from tests.postgres import Postgres

Figures = dict[str, Any]
MESSAGES, PEOPLE, AGENTS = 1_000_000, 50_000, 300
_PART = 20_000
_EACH = 40
_WORDS = ["保单", "缴费", "日期", "变更", "理赔", "进度", "材料", "身份证", "银行", "账户", "扣款", "续期", "退保", "受益人", "电话", "地址", "投诉", "业务员", "保费", "发票", "医院", "住院", "报销", "重疾", "意外", "年金", "分红", "贷款", "复效", "宽限期", "生效", "合同", "条款", "免责", "等待期", "核保", "体检", "保障", "额度", "期限", "您好", "请问", "谢谢", "麻烦", "尽快", "回复", "已经", "提交", "没有", "收到", "什么", "时候", "可以", "办理", "需要", "怎么", "为什么", "多少", "客服", "经理", "上海", "北京", "广州", "分公司", "网点", "微信", "短信", "邮件", "附件", "照片", "扫描件", "签字", "申请书", "表格"]  # fmt: skip
ASKED = {
    "common word (one of six messages)": Wanted("缴费"),
    "two words": Wanted("缴费日期 变更"),
    "phrase": Wanted("理赔进度"),
    "policy number": Wanted("P2026000777"),
    "not there": Wanted("量子纠缠"),
    "word and agent": Wanted("理赔", agent="1007"),
    "word and customer": Wanted("理赔", customer=777),
    "word and an hour": Wanted(
        "理赔", since_ms=1_767_600_000_000 + 500_000_000, until_ms=1_767_600_000_000 + 503_600_000
    ),
}


def run() -> Figures:
    found: Figures = {}
    with tempfile.TemporaryDirectory() as folder, Postgres(Path("/tmp")) as server:
        journal, master = store.connect(Path(folder) / "journal.db"), MasterKey(bytes(range(32)))
        journal.execute("PRAGMA synchronous=OFF")
        engines = {
            "sqlite": open_engine(f"sqlite:///{folder}/records.db"),
            "postgresql": open_engine(server.create("records")),
        }
        index = Index(master.index_key("messages"))
        for engine in engines.values():
            migrate(engine)
        started = time.perf_counter()
        _fill(journal, master, index, engines)
        found["filled_s"] = round(time.perf_counter() - started, 1)
        for name, engine in engines.items():
            with engine.begin() as connection:
                connection.execute(text("ANALYZE"))
            found[name] = _measure(engine, index, PrivateStore(journal, master))
            engine.dispose()
        found["records_mb"] = round((Path(folder) / "records.db").stat().st_size / 1e6)
        journal.close()
    return found


def _fill(journal: sqlite3.Connection, master: MasterKey, index: Index, engines: dict[str, Engine]) -> None:
    private, dice = PrivateStore(journal, master), random.Random(1)
    folds = {name: MessageFold(private.get, index) for name in engines}
    at_ms, n = 1_767_600_000_000, 0
    seen: set[int] = set()
    for engine in engines.values():
        with engine.begin() as connection:
            for rows in _parts(_interactions()):
                columns = ", ".join(rows[0])
                values = ", ".join(f":{name}" for name in rows[0])
                connection.execute(text(f"INSERT INTO interactions ({columns}) VALUES ({values})"), rows)
    while n < MESSAGES:
        for _ in range(_PART):
            n += 1
            person = dice.randrange(PEOPLE)
            words = "".join(
                dice.choice(_WORDS) + ("，" if dice.random() < 0.2 else "")
                for _ in range(dice.randrange(8, 30))
            )
            ref = private.put(f"p{person}", f"m{n}", f"{words} P{2026000000 + n % 5_000}")
            fact = {
                "interaction": f"i{person}",
                "message": ref,
                "ref": ref,
                "occurred_at_ms": at_ms + n * 1_000,
                "client": "",
            }
            answered = {
                "k": "InteractionAnswered",
                "interaction": fact["interaction"],
                "agent": f"{1001 + person % AGENTS}",
            }
            for fold in folds.values():
                fold.apply(n, [*([] if person in seen else [answered]), {"k": "MessageReceived", **fact}])
            seen.add(person)
        pending = private.take_pending()
        with journal:
            journal.execute("BEGIN")
            journal.executemany("INSERT INTO person_keys VALUES (?, ?)", pending.person_keys)
            journal.executemany("INSERT INTO private VALUES (?, ?, ?)", pending.private)
        for name, engine in engines.items():
            with engine.begin() as connection:
                folds[name].save(connection)
            folds[name].saved()
        private.saved(pending)


def _interactions() -> Iterator[Figures]:
    for person in range(PEOPLE):
        yield {
            "id": f"i{person}", "org_id": 1, "medium": "email", "direction": "in", "number": "", "party_ref": "",
            "customer_id": person, "flow": "", "path": "", "language": "zh", "queue": "service", "agent": f"{1001 + person % AGENTS}",
            "arrived_at_ms": 1, "outcome": "", "cause": "", "ended_by": "", "wrap_up_code": "", "note_ref": "", "quality": "",
            "last_seq": 1,
        }  # fmt: skip


def _parts(rows: Iterator[Figures]) -> Iterator[list[Figures]]:
    part: list[Figures] = []
    for row in rows:
        part.append(row)
        if len(part) == _PART:
            yield part
            part = []
    if part:
        yield part


def _measure(engine: Engine, index: Index, private: PrivateStore) -> Figures:
    found: Figures = {}
    search = MessageSearch(engine, index, private.get)
    for name, wanted in ASKED.items():
        took = []
        for _ in range(_EACH):
            started = time.perf_counter()
            rows = search.find(wanted)
            took.append((time.perf_counter() - started) * 1000)
        took.sort()
        found[name] = {
            "found": len(rows),
            "p50_ms": round(percentile(took, 0.5), 1),
            "p95_ms": round(percentile(took, 0.95), 1),
        }
    found["worst_p95_ms"] = max(one["p95_ms"] for one in found.values())
    return found
