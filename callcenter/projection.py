"""History: `interactions`, their `segments`, `contacts` and `recordings`, and the `audit`, as a fold over the journal,
by sequence number.

The same fold runs behind the live core and in `callcenter rebuild`, so wallboard, report and audit
cannot disagree. Works on the journal's plain maps, without the engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from callcenter.live.book import recording_name
from callcenter.live.facts import ROOT_ORG

Plain = dict[str, Any]

INTERACTION_COLUMNS = (
    *(
        "id",
        "org_id",
        "medium",
        "direction",
        "number",
        "party_ref",
        "customer_id",
        "flow",
        "path",
        "language",
    ),
    *("queue", "agent", "arrived_at_ms", "queued_at_ms", "answered_at_ms", "ended_at_ms", "outcome", "cause"),
    *("ended_by", "wrap_up_code", "note_ref", "quality", "last_seq", "stars"),
)
SEGMENT_COLUMNS = (
    *("interaction_id", "n", "org_id", "kind", "queue", "agent", "started_at_ms", "ended_at_ms", "result"),
)
CONTACT_COLUMNS = (
    *(
        "id",
        "interaction_id",
        "org_id",
        "queue",
        "agent",
        "queued_at_ms",
        "answered_at_ms",
        "ended_at_ms",
        "result",
    ),
)
RECORDING_COLUMNS = (
    *("id", "interaction_id", "org_id", "kind", "file", "started_at_ms", "duration_ms", "size", "sha256"),
    *("state", "reason", "marks", "held", "note_ref", "deleted_at_ms", "queue", "taken_by", "done_at_ms"),
)
AUDIT_COLUMNS = ("seq", "n", "org_id", "at_ms", "actor", "action", "subject", "detail")
RECORDING, SAVED, FAILED, DELETED = "recording", "saved", "failed", "deleted"
"""states of a recording"""
REFUSED, MOVED = "refused", "moved"
"""a contact that its queue did not take; one that went on to another queue before anybody answered"""
QUEUED, RINGING, TALKING, WRAPPING, IN_FLOW = "queued", "ringing", "talking", "wrapping", "flow"
HELD, PARKED, OUTSIDE, CALLING = "held", "parked", "outside", "calling"
_UNANSWERED = {"cut_off": "cut_off", "callback": MOVED, "callback_again": MOVED}
"""what becomes of a contact that nobody answered, where it is not abandoned"""
_WITH_AGENT = (TALKING, HELD, CALLING)
_QUALITY = ("codec", "rx", "rx_lost", "tx", "tx_lost", "jitter_us", "rtt_us")


class Record:
    """One interaction with its segments, while it may still change."""

    __slots__ = ("contacts", "open", "recordings", "row", "segments")

    def __init__(
        self,
        row: Plain,
        segments: list[Plain],
        contacts: list[Plain] | None = None,
        recordings: list[Plain] | None = None,
    ) -> None:
        self.row = row
        self.contacts = contacts or []
        self.recordings = recordings or []
        self.segments = segments
        self.open = next((s for s in reversed(segments) if s["ended_at_ms"] is None), None)


class Projection:
    """`load` brings back a record that was put away; `dirty` holds what changed since `put_away`."""

    def __init__(self, load: Callable[[str], Record | None]) -> None:
        self._load = load
        self.records: dict[str, Record] = {}
        self.dirty: dict[str, Record] = {}
        self.actions: list[Plain] = []
        """rows of the audit since `put_away`"""
        self._wrapping: dict[str, str] = {}
        """agent -> interaction they wrap up"""
        self._seq = self._now_ms = 0
        self._handlers: dict[str, Callable[[Plain], None]] = {
            "InteractionStarted": self._started,
            "CustomerMatched": self._matched,
            "CustomerLinked": self._matched,
            "ConversationRated": self._rated,
            "ConversationParked": self._parked,
            "FlowMoved": self._moved,
            "InteractionQueued": self._queued,
            "QueueChanged": self._queue_changed,
            "CallbackPlanned": self._callback_planned,
            "AgentDialled": self._dialled,
            "OfferEnded": self._offer_ended,
            "InteractionAnswered": self._answered,
            "CallPlaced": self._placed,
            "AgentLost": self._agent_lost,
            "ModesChanged": self._modes_changed,
            "AgentReleased": self._released,
            "GuestTookOver": self._took_over,
            "InteractionParked": self._parked,
            "RecordingStarted": self._recording_started,
            "RecordingPaused": lambda fact: self._marked(fact, "paused"),
            "RecordingResumed": lambda fact: self._marked(fact, "resumed"),
            "RecordingSaved": self._recorded,
            "RecordingFailed": self._recording_failed,
            "RecordingDeleted": self._recording_deleted,
            "MessageTaken": lambda fact: self._message(fact, taken_by=fact["agent"]),
            "MessageDone": lambda fact: self._message(fact, done_at_ms=fact["occurred_at_ms"]),
            "RecordingsHeld": lambda fact: self._held(fact, 1, fact["note_ref"]),
            "RecordingsFreed": lambda fact: self._held(fact, 0, ""),
            "ActionTaken": self._acted,
            "InteractionEnded": self._ended,
            "LegClosed": self._leg_closed,
            "WrapUpSaved": self._wrapped_up,
        }

    def apply(self, seq: int, now_ms: int, facts: list[Plain], commands: list[Plain]) -> None:
        """Fold one activation. Facts of other kinds pass by."""
        self._seq, self._now_ms = seq, now_ms
        handlers = self._handlers
        for fact in facts:
            handler = handlers.get(fact["k"])
            if handler is not None:
                handler(fact)
        for command in commands:
            if command["k"] == "Overflow":
                self._refused(command, facts, now_ms)
        if self._wrapping:
            for command in commands:
                if command["k"] == "AgentChanged" and command["state"] != "wrap_up":
                    self._agent_moved_on(command["agent"], now_ms)

    def put_away(self) -> None:
        """What changed is saved: forget of it whatever is over; `load` finds it again."""
        for interaction, record in self.dirty.items():
            if record.row["ended_at_ms"] is not None and record.open is None:
                self.records.pop(interaction, None)
        self.dirty.clear()
        self.actions.clear()

    def resume(self, records: list[Record]) -> None:
        """Start with the records that were open when an earlier process stopped."""
        for record in records:
            self.records[record.row["id"]] = record
            if record.open is not None and record.open["kind"] == WRAPPING:
                self._wrapping[record.row["agent"]] = record.row["id"]

    def _record(self, fact: Plain) -> Record | None:
        interaction = fact["interaction"]
        record = self.records.get(interaction) or self._load(interaction)
        if record is not None:
            self.records[interaction] = self.dirty[interaction] = record
            record.row["last_seq"] = self._seq
        return record

    def _open(self, record: Record, kind: str, at_ms: int, agent: str = "") -> None:
        self._shut(record, at_ms, "")
        row = record.row
        record.open = {
            "interaction_id": row["id"],
            "n": len(record.segments) + 1,
            "org_id": row["org_id"],
            "kind": kind,
            "queue": row["queue"],
            "agent": agent,
            "started_at_ms": at_ms,
            "ended_at_ms": None,
            "result": "",
        }
        record.segments.append(record.open)

    @staticmethod
    def _shut(record: Record, at_ms: int, result: str) -> None:
        segment, record.open = record.open, None
        if segment is not None:
            segment["ended_at_ms"] = max(at_ms, segment["started_at_ms"])
            segment["result"] = result

    def _started(self, fact: Plain) -> None:
        row: Plain = dict.fromkeys(INTERACTION_COLUMNS, "")
        row.update(
            id=fact["interaction"],
            org_id=fact["org_id"],
            medium=fact["medium"],
            direction=fact["direction"],
            number=fact["number"],
            party_ref=fact["party_ref"],
            customer_id=None,
            language="zh",
            arrived_at_ms=fact["occurred_at_ms"],
            queued_at_ms=None,
            answered_at_ms=None,
            ended_at_ms=None,
            last_seq=self._seq,
            stars=0,
        )
        record = Record(row, [])
        self.records[row["id"]] = self.dirty[row["id"]] = record
        self._open(record, IN_FLOW, fact["occurred_at_ms"])

    def _matched(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            record.row["customer_id"] = fact["customer"] or None

    def _rated(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            record.row["stars"] = fact["stars"]

    def _moved(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is None:
            return
        row = record.row
        if record.open is not None and record.open["kind"] == QUEUED:
            # the queue did not take them, or a supervisor sent them back
            self._end_contact(record, MOVED, self._now_ms)
            self._open(record, IN_FLOW, self._now_ms)
        row["flow"], row["language"] = fact["flow"], fact["language"]
        path = row["path"].split(",") if row["path"] else []
        for node in fact.get("passed") or (fact["node"],):
            if not path or path[-1] != node:
                path.append(node)
        row["path"] = ",".join(path)

    def _queued(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            self._queue(
                record, fact["contact"], fact["queue"], fact["occurred_at_ms"], fact["occurred_at_ms"]
            )

    def _queue_changed(self, fact: Plain) -> None:
        """With its age: the row of the other queue begins when the contact first waited."""
        record = self._record(fact)
        if record is not None:
            row, since_ms = f"{fact['contact']}.{fact['queue']}", record.row["queued_at_ms"]
            self._queue(record, row, fact["queue"], since_ms, fact["occurred_at_ms"])

    def _callback_planned(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            row, since_ms = f"{fact['contact']}.{record.row['id']}", fact["queued_at_ms"]
            self._queue(record, row, fact["queue"], since_ms, fact["occurred_at_ms"])

    def _queue(self, record: Record, contact: str, queue: str, since_ms: int, at_ms: int) -> None:
        """It waits in a queue: `since_ms` counts, `at_ms` is when that began."""
        record.row["queue"], record.row["queued_at_ms"] = queue, since_ms
        self._end_contact(record, MOVED, at_ms)
        record.contacts.append(
            {
                "id": contact,
                "interaction_id": record.row["id"],
                "org_id": record.row["org_id"],
                "queue": queue,
                "agent": "",
                "queued_at_ms": since_ms,
                "answered_at_ms": None,
                "ended_at_ms": None,
                "result": "",
            }
        )
        self._open(record, QUEUED, at_ms)

    def _refused(self, command: Plain, facts: list[Plain], now_ms: int) -> None:
        """It never entered the queue."""
        for fact in facts:
            if fact["k"] == "InteractionQueued" and fact["contact"] == command["contact"]:
                record = self._record(fact)
                if record is not None and record.contacts:
                    record.contacts[-1].update(result=REFUSED, ended_at_ms=now_ms)

    @staticmethod
    def _end_contact(record: Record, unanswered: str, at_ms: int) -> None:
        """The last contact is over: answered, or else as said."""
        contact = record.contacts[-1] if record.contacts else None
        if contact is not None and contact["ended_at_ms"] is None:
            contact["ended_at_ms"] = max(at_ms, contact["queued_at_ms"])
            contact["result"] = unanswered if contact["answered_at_ms"] is None else "answered"

    def _dialled(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is None:
            return
        segment = record.open
        if segment is not None and segment["kind"] == RINGING and segment["agent"] == fact["agent"]:
            return
        self._open(record, RINGING, fact["occurred_at_ms"], fact["agent"])

    def _offer_ended(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None and record.open is not None and record.open["kind"] == RINGING:
            self._shut(record, fact["occurred_at_ms"], fact["cause"])
            if record.row["ended_at_ms"] is None:
                self._open(record, QUEUED, fact["occurred_at_ms"])

    def _answered(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is None:
            return
        record.row["agent"] = fact["agent"]
        record.row["answered_at_ms"] = record.row["answered_at_ms"] or fact["occurred_at_ms"]
        contact = record.contacts[-1] if record.contacts else None
        if contact is not None and contact["id"].partition(".")[0] == fact["contact"]:
            contact["agent"] = fact["agent"]
            contact["answered_at_ms"] = contact["answered_at_ms"] or fact["occurred_at_ms"]
        if record.open is not None:
            self._shut(record, fact["occurred_at_ms"], "answered")
        self._open(record, TALKING, fact["occurred_at_ms"], fact["agent"])

    def _placed(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            record.row["agent"], record.row["queue"] = fact["agent"], fact["queue"]
            self._open(record, CALLING, fact["occurred_at_ms"], fact["agent"])

    def _agent_lost(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            self._shut(record, fact["occurred_at_ms"], "agent_lost")
            self._open(record, QUEUED, fact["occurred_at_ms"])

    def _modes_changed(self, fact: Plain) -> None:
        """The customer is always the first."""
        record = self._record(fact)
        if (
            record is None
            or record.open is None
            or record.open["kind"] not in _WITH_AGENT
            or not fact["modes"]
        ):
            return
        kind = HELD if fact["modes"][0] == "hold" else TALKING
        if kind != record.open["kind"]:
            agent = record.open["agent"]
            self._shut(record, fact["occurred_at_ms"], kind)
            self._open(record, kind, fact["occurred_at_ms"], agent)

    def _released(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            self._shut(record, fact["occurred_at_ms"], fact["why"])
            self._end_contact(record, MOVED, fact["occurred_at_ms"])

    def _took_over(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            record.row["agent"] = fact["agent"] or record.row["agent"]
            self._open(record, TALKING if fact["agent"] else OUTSIDE, fact["occurred_at_ms"], fact["agent"])

    def _parked(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            self._open(record, PARKED, fact["occurred_at_ms"], fact["agent"])

    def _recording_started(self, fact: Plain) -> None:
        name = recording_name(fact["caller_file"])
        row = self._recording(fact, name, fact["occurred_at_ms"])
        if row is not None:
            row.update(kind=fact.get("kind", "call"), queue=fact.get("queue", ""))

    def _message(self, fact: Plain, **changes: Any) -> None:
        row = self._recording(fact, fact["name"], fact["occurred_at_ms"])
        if row is not None:
            row.update(changes)

    def _recording(self, fact: Plain, name: str, at_ms: int) -> Plain | None:
        """The row of this recording; a new one where the log does not know its beginning."""
        record = self._record(fact)
        if record is None:
            return None
        found = next((one for one in record.recordings if one["id"] == name), None)
        if found is None:
            held = next((one for one in record.recordings if one["held"]), {"held": 0, "note_ref": ""})
            found = {
                "id": name,
                "interaction_id": record.row["id"],
                "org_id": record.row["org_id"],
                "kind": "call",
                "file": "",
                "started_at_ms": at_ms,
                "duration_ms": 0,
                "size": 0,
                "sha256": "",
                "state": RECORDING,
                "reason": "",
                "marks": "",
                "held": held["held"],
                "note_ref": held["note_ref"],
                "deleted_at_ms": None,
                "queue": "",
                "taken_by": "",
                "done_at_ms": None,
            }
            record.recordings.append(found)
        return found

    def _marked(self, fact: Plain, mark: str) -> None:
        record = self._record(fact)
        if record is not None and record.recordings:
            newest = record.recordings[-1]
            marks = json.loads(newest["marks"] or "[]")
            marks.append([mark, fact["occurred_at_ms"]])
            newest["marks"] = json.dumps(marks)

    def _recorded(self, fact: Plain) -> None:
        """Older facts name the file of a stereo recording in clear; its name is the same."""
        row = self._recording(fact, PurePath(fact["file"]).stem, self._now_ms)
        if row is not None:
            row.update(
                file=fact["file"],
                duration_ms=fact["duration_ms"],
                size=fact.get("size", 0),
                sha256=fact.get("sha256", ""),
                state=SAVED,
                reason="",
            )

    def _recording_failed(self, fact: Plain) -> None:
        """One that could not even begin has a row too. Older facts name none: then it was the one that ran."""
        record = self._record(fact)
        if record is None:
            return
        at_ms = fact.get("occurred_at_ms") or self._now_ms
        running = [one["id"] for one in record.recordings if one["state"] == RECORDING]
        name = fact.get("name") or next(reversed(running), f"{record.row['id']}-{at_ms}")
        row = self._recording(fact, name, at_ms)
        if row is not None:
            row.update(state=FAILED, reason=fact["reason"])

    def _recording_deleted(self, fact: Plain) -> None:
        row = self._recording(fact, fact["name"], fact["occurred_at_ms"])
        if row is not None:
            row.update(state=DELETED, reason=fact["why"], deleted_at_ms=fact["occurred_at_ms"])

    def _held(self, fact: Plain, held: int, note_ref: str) -> None:
        record = self._record(fact)
        for row in record.recordings if record is not None else ():
            row.update(held=held, note_ref=note_ref)

    def _acted(self, fact: Plain) -> None:
        self.actions.append(
            {
                "seq": self._seq,
                "n": len([one for one in self.actions if one["seq"] == self._seq]),
                "org_id": fact.get("org_id", ROOT_ORG),
                "at_ms": fact["occurred_at_ms"],
                "actor": fact["by"],
                "action": fact["action"],
                "subject": fact["subject"],
                "detail": fact["detail"],
            }
        )

    def _ended(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is None or record.row["ended_at_ms"] is not None:
            return
        row, at_ms = record.row, fact["occurred_at_ms"]
        row_end = max(at_ms, row["arrived_at_ms"])
        self._end_contact(record, _UNANSWERED.get(fact["outcome"], "abandoned"), row_end)
        talked = record.open is not None and record.open["kind"] in _WITH_AGENT
        self._shut(record, at_ms, fact["outcome"])
        row["ended_at_ms"] = row_end
        row["outcome"], row["cause"], row["ended_by"] = fact["outcome"], fact["cause"], fact["by"]
        if talked:
            self._open(record, WRAPPING, row["ended_at_ms"], row["agent"])
            self._wrapping[row["agent"]] = row["id"]

    def _leg_closed(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None and fact["codec"]:
            quality = json.loads(record.row["quality"] or "{}")
            quality[fact["role"]] = {name: fact[name] for name in _QUALITY}
            record.row["quality"] = json.dumps(quality, sort_keys=True)

    def _wrapped_up(self, fact: Plain) -> None:
        record = self._record(fact)
        if record is not None:
            record.row["wrap_up_code"], record.row["note_ref"] = fact["code"], fact["note_ref"]

    def _agent_moved_on(self, agent: str, now_ms: int) -> None:
        interaction = self._wrapping.pop(agent, None)
        if interaction is None:
            return
        known = self.records.get(interaction) or self._load(interaction)
        if known is not None and known.open is not None and known.open["kind"] == WRAPPING:
            self._record({"interaction": interaction})
            self._shut(self.records[interaction], now_ms, "done")
