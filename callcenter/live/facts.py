"""Facts about interactions, in the past tense, as the journal keeps them beside the routing facts.

Ids, codes and times only; `*_ref` points to personal data in the private store. `occurred_at_ms` is
when it happened at the edge, which may lie before the activation (the core was away).
"""

from __future__ import annotations

from dataclasses import dataclass

from callcenter.kernel.codec import FactCodec

ROOT_ORG = 1


@dataclass(frozen=True, slots=True)
class InteractionStarted:
    interaction: str
    medium: str
    direction: str
    number: str
    """the number of ours that was called"""
    worker: str
    """boot id of the worker that holds its legs"""
    leg: str
    party_ref: str
    occurred_at_ms: int
    org_id: int = ROOT_ORG


@dataclass(frozen=True, slots=True)
class CustomerMatched:
    """`klass`: the customer's class; `last_agent`: who served them last, not too long ago."""

    interaction: str
    customer: int
    klass: str = ""
    last_agent: str = ""


@dataclass(frozen=True, slots=True)
class CallerVerified:
    """Who it is, is certain. how: signed (a signed word of the insurer's own site), id_number (keyed and
    compared), proved (the domain of a known mail address stands for the mail), code (sent to a known address)."""

    interaction: str
    how: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class KeyEntryStarted:
    """The caller keys in what nobody else may hear or see; a recording that runs is paused meanwhile."""

    interaction: str
    what: str
    by: str
    occurred_at_ms: int
    paused: bool = False
    """the recording was paused for this, not by the agent before"""


@dataclass(frozen=True, slots=True)
class KeyEntryEnded:
    """result: matched, differs, cancelled, timed_out, unknown (there is nothing to compare with)."""

    interaction: str
    result: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class FlowMoved:
    """Where the flow stands now; an interaction resumes here. `passed`: the nodes on the way, `node` last."""

    interaction: str
    flow: str
    node: str
    language: str
    tries: int
    vars_ref: str = ""
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InteractionQueued:
    interaction: str
    contact: str
    queue: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """It waits in another queue, with the age it has: the engine's rules sent it there."""

    interaction: str
    contact: str
    queue: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class CallbackPlanned:
    """The customer keeps the place of `contact` and is rung once an agent has taken it. `attempt` counts from 1."""

    interaction: str
    contact: str
    queue: str
    queued_at_ms: int
    attempt: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class CallbackPlaced:
    """An agent is rung for it at this worker, where the customer's leg will be."""

    interaction: str
    worker: str
    leg: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class AgentDialled:
    interaction: str
    contact: str
    offer: str
    agent: str
    leg: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class OfferEnded:
    """An offer came to nothing; the interaction waits again."""

    interaction: str
    offer: str
    agent: str
    cause: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class InteractionAnswered:
    interaction: str
    contact: str
    offer: str
    agent: str
    leg: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class CallPlaced:
    """An agent calls: a number, or a colleague (`callee`). The agent's own device is rung first.

    queue: whose number is shown, and where the call goes when it is handed on."""

    interaction: str
    contact: str
    agent: str
    leg: str
    """the agent's"""
    callee: str
    queue: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class AgentLost:
    """The agent's leg vanished while the customer stayed; the interaction waits again."""

    interaction: str
    agent: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class GuestDialled:
    """Somebody is rung to join: an agent, an outside number, or a supervisor.

    kind: agent, outside, supervisor, link (the leg to another conversation). who: a login, a reference to a
    number, or the other interaction. purpose: consult, transfer, listen, whisper, barge. by: the login that asked
    for it."""

    interaction: str
    leg: str
    kind: str
    who: str
    purpose: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class GuestJoined:
    interaction: str
    leg: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class GuestLeft:
    interaction: str
    leg: str
    cause: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ModesChanged:
    """Who is held, mute or listening, as the worker says it is: `modes[n]` is that of `legs[n]`."""

    interaction: str
    legs: tuple[str, ...]
    modes: tuple[str, ...]
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class AgentReleased:
    """The agent is done with an interaction that goes on. why: transfer, park, hand_over."""

    interaction: str
    agent: str
    why: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class GuestTookOver:
    """A guest who had joined is the one who serves it now: an agent with a contact of their own, or, with
    `agent` empty, somebody outside the engine's care."""

    interaction: str
    leg: str
    agent: str
    contact: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class AgentSeated:
    """Hot-desking: rung at this device until the agent logs out; "" is their own."""

    agent: str
    device: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class QueueShut:
    """Closed by hand, whatever the hours say, until it is reopened by hand."""

    queue: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class QueueReopened:
    queue: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class AnnouncementSet:
    """Said to everybody who calls before anything else; "" ends it."""

    text_ref: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ActionTaken:
    """Somebody used a power over others: what, and over whom or what. For the audit."""

    by: str
    action: str
    subject: str
    detail: str
    occurred_at_ms: int
    org_id: int = ROOT_ORG


@dataclass(frozen=True, slots=True)
class InteractionParked:
    interaction: str
    agent: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    interaction: str
    caller_file: str
    agent_file: str
    occurred_at_ms: int
    kind: str = "call"
    """call, voicemail"""
    queue: str = ""
    """whose agents listen to a message"""


@dataclass(frozen=True, slots=True)
class RecordingPaused:
    """From here on the file holds silence, until it is resumed or ends."""

    interaction: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class RecordingResumed:
    interaction: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class RecordingSaved:
    """Sealed and on the disk. `sha256` and `size` are of the file as it lies there."""

    interaction: str
    file: str
    duration_ms: int
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class RecordingFailed:
    """`name` of the one that failed or could not begin; older facts name none."""

    interaction: str
    reason: str
    name: str = ""
    occurred_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecordingDeleted:
    """why: retention, or disk (its time was over and room was needed)."""

    interaction: str
    name: str
    why: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class MessageTaken:
    """An agent sees to a message; "" gives it back."""

    interaction: str
    name: str
    agent: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class MessageDone:
    interaction: str
    name: str
    agent: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The customer wrote. `client`: the id that their side gave it; the same one again is no second message."""

    interaction: str
    message: str
    client: str
    ref: str
    occurred_at_ms: int
    head_ref: str = ""
    """what surrounds the text, as a map: of a mail its addresses, subject, ids, proof, HTML"""
    files_ref: str = ""
    """attachments, as a list of maps; their content lies under the names that stand there"""
    kind: str = ""
    """`bounce` or `auto_reply`, of a mail that nobody wrote"""


@dataclass(frozen=True, slots=True)
class MessageSent:
    """We wrote. by: the agent's login, or `flow`. `client`: the id that the agent's page gave it; "" of a flow's."""

    interaction: str
    message: str
    by: str
    client: str
    ref: str
    occurred_at_ms: int
    choices: tuple[str, ...] = ()
    """answers that a flow offers, by the key that each stands for"""
    choices_ref: str = ""
    """their words"""
    head_ref: str = ""
    files_ref: str = ""


@dataclass(frozen=True, slots=True)
class MailTaken:
    """A mail is safe, under the name `mail` in the private store; nobody has read it yet."""

    mail: str
    size: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class MailRead:
    """What became of it. kind: "" (somebody's words), auto_reply, bounce, newsletter, loop, unreadable. `interaction`:
    where it belongs; "" where it was kept out of conversations. `head_ref`: sender and subject, for those."""

    mail: str
    kind: str
    interaction: str
    occurred_at_ms: int
    head_ref: str = ""


@dataclass(frozen=True, slots=True)
class MailReleased:
    """Somebody looked at a mail that was kept out, and had it served."""

    mail: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ThreadOpened:
    """The interaction belongs to this thread: it began there, or goes on with it."""

    interaction: str
    thread: str
    subject_ref: str
    language: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class LetterWritten:
    """A message that has to be carried out of the house: it stands in the outbox from now on. `interaction` may be ""
    (a code, a transcript after the end)."""

    message: str
    interaction: str
    ref: str
    head_ref: str
    files_ref: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class LetterTried:
    """result: sent, later (again at `next_at_ms`), dead (somebody has to look)."""

    message: str
    interaction: str
    attempt: int
    result: str
    reason: str
    next_at_ms: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class LetterChanged:
    """Somebody mended it; it is tried anew, from the first attempt on."""

    message: str
    interaction: str
    ref: str
    head_ref: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class LetterDropped:
    message: str
    interaction: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class LetterBounced:
    """It had been sent, and came back."""

    message: str
    interaction: str
    for_good: bool
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class NoteWritten:
    """For colleagues; no customer sees it."""

    interaction: str
    note: str
    by: str
    ref: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ConversationParked:
    """The agent will see to it again at `until_ms`, or when the customer writes."""

    interaction: str
    agent: str
    until_ms: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class MessagesMoved:
    """These messages belong to the conversation `to` from now on."""

    interaction: str
    to: str
    messages: tuple[str, ...]
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ConversationMerged:
    """It goes on in `into`; "" undoes that."""

    interaction: str
    into: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ConversationRated:
    """The customer says how it was, 1 (bad) to 5."""

    interaction: str
    stars: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class CustomerLinked:
    """Whose it is was decided. how: agent, code (sent to a known address and written back), proved (a known address
    whose domain stands for the mail), undone (then `customer` is 0)."""

    interaction: str
    customer: int
    how: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class MessagesRead:
    """Everything up to the `n`th message of the conversation. by: a login, or "" for the customer."""

    interaction: str
    by: str
    n: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class RecordingsHeld:
    """Legal hold: nothing of this interaction is deleted until it is lifted."""

    interaction: str
    by: str
    note_ref: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class RecordingsFreed:
    interaction: str
    by: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class InteractionEnded:
    """outcome: answered, abandoned (while queued), served (by the flow), left_in_flow, closed,
    overflowed, cut_off, not_reached (a call of ours), message (left one), merged (with another conversation).
    by: caller, agent, system, worker."""

    interaction: str
    outcome: str
    cause: str
    by: str
    occurred_at_ms: int
    queue: str = ""
    queued_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class LegClosed:
    """One leg of the interaction is gone; quality figures of its audio (packets, microseconds)."""

    interaction: str
    leg: str
    role: str
    code: int
    cause: str
    by: str
    occurred_at_ms: int
    codec: str = ""
    rx: int = 0
    rx_lost: int = 0
    tx: int = 0
    tx_lost: int = 0
    jitter_us: int = 0
    rtt_us: int = 0


@dataclass(frozen=True, slots=True)
class WrapUpSaved:
    interaction: str
    agent: str
    code: str
    note_ref: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerTaken:
    """A worker's inventory was taken over: how many legs stood, how many facts it still held."""

    worker: str
    slot: int
    legs: int
    facts: int


@dataclass(frozen=True, slots=True)
class LegAdopted:
    """A live leg that the log did not know was taken over by its tag."""

    interaction: str
    worker: str
    leg: str
    role: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerLost:
    worker: str
    occurred_at_ms: int


LIVE_KINDS = (
    QueueChanged,
    CallbackPlanned,
    CallbackPlaced,
    InteractionStarted,
    CustomerMatched,
    CallerVerified,
    KeyEntryStarted,
    KeyEntryEnded,
    FlowMoved,
    InteractionQueued,
    AgentDialled,
    OfferEnded,
    InteractionAnswered,
    CallPlaced,
    AgentLost,
    GuestDialled,
    GuestJoined,
    GuestLeft,
    ModesChanged,
    AgentReleased,
    GuestTookOver,
    InteractionParked,
    AgentSeated,
    QueueShut,
    QueueReopened,
    AnnouncementSet,
    ActionTaken,
    RecordingStarted,
    RecordingPaused,
    RecordingResumed,
    RecordingSaved,
    RecordingFailed,
    RecordingDeleted,
    MessageTaken,
    MessageDone,
    MessageReceived,
    MessageSent,
    MessagesRead,
    MailTaken,
    MailRead,
    MailReleased,
    ThreadOpened,
    LetterWritten,
    LetterTried,
    LetterChanged,
    LetterDropped,
    LetterBounced,
    NoteWritten,
    ConversationParked,
    MessagesMoved,
    ConversationMerged,
    ConversationRated,
    CustomerLinked,
    RecordingsHeld,
    RecordingsFreed,
    InteractionEnded,
    LegClosed,
    WrapUpSaved,
    WorkerTaken,
    LegAdopted,
    WorkerLost,
)
CODEC = FactCodec(LIVE_KINDS)
