"""The one table of events: what may stand in the journal, how grave it is, what it means and which fields it carries.

docs/EVENTS.md is generated from this table, and a test holds that every Event the code makes fits its row. An event holds identifiers and
numbers, never a template or a picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.core.moment import Moment

Scalar = str | int | float | bool | None
Value = Scalar | list[dict[str, Scalar]]


class Severity(StrEnum):
    INFO = "info"  # the ordinary life of a lane
    NOTICE = "notice"  # worth a line in the day's report
    WARNING = "warning"  # somebody should look within the day
    ALARM = "alarm"  # somebody should look now


@dataclass(frozen=True, slots=True)
class EventSpec:
    severity: Severity
    meaning: str
    fields: Mapping[str, str]  # field name -> meaning with unit


class EventType(StrEnum):
    AGENT_STARTED = "agent.started"
    AGENT_STOPPED = "agent.stopped"
    JOURNAL_EPOCH = "journal.epoch"
    JOURNAL_DISPUTED = "journal.disputed"
    ACCESS_GRANTED = "access.granted"
    ACCESS_DENIED = "access.denied"
    STAFF_GRANTED = "staff.granted"
    STAFF_DENIED = "staff.denied"
    STAFF_UNHEARD = "staff.unheard"
    GRANT_CANCELLED = "grant.cancelled"
    RELEASE_REFUSED = "release.refused"
    PASSAGE_MADE = "passage.made"
    PASSAGE_NOT_MADE = "passage.not_made"
    PASSAGE_UNCONFIRMED = "passage.unconfirmed"
    PASSAGE_UNGRANTED = "passage.ungranted"
    PASSAGE_GAP = "passage.gap"
    GRANT_GAP = "grant.gap"
    REQUEST_TO_EXIT = "exit.requested"
    EMERGENCY_RAISED = "emergency.raised"
    EMERGENCY_CLEARED = "emergency.cleared"
    BARRIER_CONNECTED = "barrier.connected"
    BARRIER_LOST = "barrier.lost"
    BARRIER_ALARM = "barrier.alarm"
    BARRIER_FAULT = "barrier.fault"
    SERVICE_OPENED = "service.opened"
    SERVICE_CLOSED = "service.closed"
    CAMERA_CONDITION = "camera.condition"
    ROSTER_LOADED = "roster.loaded"
    ROSTER_REFUSED = "roster.refused"
    ROSTER_STALE = "roster.stale"
    LOCK_DOWN = "lane.lock_down"
    UPLINK_CHANGED = "uplink.changed"


_LATE = "how long before this record the controller had it: it keeps its events while no agent takes them; null where it does not say"
_GRANT = "grant number, used once for ever by this lane's controller"
_DIRECTION = "entry or exit"
_PERSON = "the person's identifier in the roster; null where staff let somebody through"
# Of an order that was not believed, all but user is only what the order said.
_ORDER: Mapping[str, str] = {
    "staff": "name of the key that signed the order",
    "user": "user name at the control socket",
    "direction": _DIRECTION,
    "reason": "why, in the words of the staff",
    "request": "what the agent gave for this one order",
}
_TRACK = "number of the track (one face followed over frames) in this run of the agent"
# Of an attempt in which no sample was fit to compare, all but track, camera, captured_at_ns, seen_ns and latency_ms are null.
_COMPARISON: Mapping[str, str] = {
    "person": "identifier of the best candidate; null where nobody could be compared",
    "score": "comparison score of the best candidate after normalisation, higher is more alike",
    "runner_up": "score of the next other person; null where there is none",
    "threshold": "the score from which a candidate counts as a match",
    "margin": "by how much the first candidate has to lead the second",
    "frames": "templates fused in the probe",
    "pad": "bona_fide, attack, inconclusive or off",
    "pad_score": "continuous score of presentation attack detection; null where it is off",
    "track": _TRACK,
    "camera": "name of the camera",
    "captured_at_ns": "monotonic time at which the newest frame of the probe (or of the last refused sample) was captured",
    "seen_ms": "time from the track's first frame (or the first refused sample) to this decision, ms",
    "latency_ms": "time from the capture of the newest frame to this decision, ms",
    "roster_version": "version of the roster that was compared with",
    "pack": "model pack that made the templates",
}

EVENTS: Mapping[EventType, EventSpec] = {
    EventType.AGENT_STARTED: EventSpec(
        Severity.NOTICE,
        "The agent runs; what happened before is in earlier rows of this journal.",
        {"version": "version of the software", "simulation": "true when a part is simulated", "pad": "required or off"},
    ),
    EventType.AGENT_STOPPED: EventSpec(Severity.NOTICE, "The agent was asked to stop.", {"reason": "who or what asked"}),
    EventType.JOURNAL_EPOCH: EventSpec(
        Severity.NOTICE,
        "The first row of a journal: a new file, or the one before was damaged and set aside.",
        {
            "reason": "new, damaged, or removed (the file was gone while the agent ran)",
            "set_aside": "name of the file that was set aside; null where there was none",
            "detail": "what was found damaged",
        },
    ),
    EventType.JOURNAL_DISPUTED: EventSpec(
        Severity.ALARM,
        "The centre acknowledged a row that differs from ours or is not here: one of the two was changed or lost rows. Nothing is pruned.",
        {
            "seq": "the row acknowledged",
            "ours": "our chain's head there; null where we hold no such row",
            "theirs": "the head acknowledged",
        },
    ),
    EventType.ACCESS_GRANTED: EventSpec(
        Severity.INFO,
        "A person was identified and may pass; committed before the barrier is told.",
        {"grant": _GRANT, "direction": _DIRECTION, "expires_at_ns": "monotonic time from which the release is refused", **_COMPARISON},
    ),
    EventType.ACCESS_DENIED: EventSpec(
        Severity.INFO,
        "An attempt ended without a grant.",
        {"reason": "why; see the table of reasons", "direction": _DIRECTION, **_COMPARISON},
    ),
    EventType.STAFF_GRANTED: EventSpec(
        Severity.NOTICE,
        "Staff on site ordered one release with a signed order that counts once; committed before the barrier is told.",
        {
            "grant": _GRANT,
            **_ORDER,
            "key": "fingerprint of that key: the first 16 hexadecimal digits of its SHA-256",
            "expires_at_ns": "monotonic time from which the release is refused",
        },
    ),
    EventType.STAFF_DENIED: EventSpec(
        Severity.WARNING,
        "An order of staff was not carried out.",
        {"denial": "why not; see the table of denials", **_ORDER},
    ),
    EventType.STAFF_UNHEARD: EventSpec(
        Severity.ALARM,
        "The control socket fell silent: nobody can lock this gate down or order a release, until it turns again or the agent restarts.",
        {"detail": "for how long"},
    ),
    EventType.GRANT_CANCELLED: EventSpec(
        Severity.NOTICE,
        "A grant was taken back before anybody passed.",
        {
            "grant": _GRANT,
            "person": _PERSON,
            "reason": "subject_gone, subject_replaced, emergency, barrier_lost, no_answer, lock_down, journal or stopped",
        },
    ),
    EventType.RELEASE_REFUSED: EventSpec(
        Severity.WARNING,
        "The controller refused a release, or it expired on its way.",
        {"grant": _GRANT, "person": _PERSON, "reason": "the controller's reason"},
    ),
    EventType.PASSAGE_MADE: EventSpec(
        Severity.INFO,
        "The sensors saw the granted person pass.",
        {
            "grant": _GRANT,
            "person": _PERSON,
            "direction": _DIRECTION,
            "passage_counter": "the controller's count of all passages; null where a board keeps none",
            "since_grant_ms": "time since the decision, ms; null where the agent was started in between",
        },
    ),
    EventType.PASSAGE_NOT_MADE: EventSpec(
        Severity.INFO,
        "The release ended and nobody had passed.",
        {
            "grant": _GRANT,
            "person": _PERSON,
            "direction": _DIRECTION,
            "cause": "window_passed, cancelled, turned_back, emergency or reconciled",
        },
    ),
    EventType.PASSAGE_UNCONFIRMED: EventSpec(
        Severity.ALARM,
        "Somebody passed, or may have passed, on a grant, and it is not certain that it was the granted person.",
        {
            "grant": _GRANT,
            "person": _PERSON,
            "direction": _DIRECTION,
            "reason": "subject_gone, subject_replaced, direction (passed the other way), emergency, power_lost (the controller's, while "
            "it was released), unknown_outcome after a lost link or a restart, or unseen (no contact tells of passages)",
            "passage_counter": "the controller's count of all passages as last known; null where it is not",
        },
    ),
    EventType.PASSAGE_UNGRANTED: EventSpec(
        Severity.NOTICE,
        "Somebody passed without an open grant of this agent: request-to-exit, emergency, or an old grant.",
        {
            "grant": "grant number that the controller named; 0 is none",
            "direction": _DIRECTION,
            "passage_counter": "the controller's count of all passages; null where a board keeps none",
            "phase": "phase of the lane",
            "late_ms": _LATE,
        },
    ),
    EventType.PASSAGE_GAP: EventSpec(
        Severity.WARNING,
        "The controller counted passages that this journal does not know (the agent was not running, or the link was down).",
        {"expected": "count by this journal", "counted": "count by the controller", "grant": _GRANT, "outcome": "outcome of that grant"},
    ),
    EventType.GRANT_GAP: EventSpec(
        Severity.WARNING,
        "The controller has used grant numbers that this journal did not give: somebody released without the agent, as by the bench tool.",
        {"expected": "highest grant number by this journal", "found": "highest grant number by the controller"},
    ),
    EventType.REQUEST_TO_EXIT: EventSpec(
        Severity.INFO, "The exit button was pressed; the controller let the person out.", {"late_ms": _LATE}
    ),
    EventType.EMERGENCY_RAISED: EventSpec(
        Severity.ALARM, "The emergency input opened the lane.", {"phase": "phase before", "late_ms": _LATE}
    ),
    EventType.EMERGENCY_CLEARED: EventSpec(
        Severity.NOTICE,
        "A person on site has turned the key and the lane is armed again; the fire input may have been quiet long before.",
        {},
    ),
    EventType.BARRIER_CONNECTED: EventSpec(
        Severity.NOTICE,
        "The controller was read and armed.",
        {
            "controller": "its identifier",
            "firmware": "digest of its firmware; what a bought board says of itself",
            "kind": "hardware or emulator",
            "authenticated": "true when the link carries a keyed MAC",
            "highest_grant": "highest grant number it has used; of a board without a memory the highest that may have been written to it",
            "passage_counter": "its count of all passages; null where it keeps none",
        },
    ),
    EventType.BARRIER_LOST: EventSpec(Severity.ALARM, "The controller cannot be reached; it lets nobody in by itself.", {"detail": "why"}),
    EventType.BARRIER_ALARM: EventSpec(
        Severity.ALARM,
        "The sensors saw something that should not be.",
        {"alarm": "forced_open, held_open, tailgating, reverse_passage or tamper", "grant": _GRANT, "late_ms": _LATE},
    ),
    EventType.BARRIER_FAULT: EventSpec(
        Severity.WARNING,
        "The controller reports a fault of its own, or its end.",
        {"fault": "its name", "active": "false when it is over", "late_ms": _LATE},
    ),
    EventType.SERVICE_OPENED: EventSpec(Severity.NOTICE, "The lane is in service for this direction.", {"direction": _DIRECTION}),
    EventType.SERVICE_CLOSED: EventSpec(
        Severity.WARNING,
        "The lane is out of service for this direction; the way out stays by request-to-exit.",
        {"direction": _DIRECTION, "reasons": "what is missing, separated by commas", "detail": "in the words of the part that failed"},
    ),
    EventType.CAMERA_CONDITION: EventSpec(
        Severity.NOTICE,
        "A camera's condition changed.",
        {"camera": "name of the camera", "condition": "ok, absent, frozen, dark, stale or ended", "detail": "in its own words"},
    ),
    EventType.ROSTER_LOADED: EventSpec(
        Severity.NOTICE,
        "A verified roster is in force.",
        {
            "version": "version of the release",
            "people": "how many",
            "pack": "model pack that it is bound to",
            "calibration": "pack-default or measured",
            "threshold": "operating threshold",
            "expires": "wall time from which it denies entry, seconds since 1970",
        },
    ),
    EventType.ROSTER_REFUSED: EventSpec(
        Severity.ALARM, "An offered roster was not taken; the one in force stays.", {"reason": "short code", "detail": "what was found"}
    ),
    EventType.ROSTER_STALE: EventSpec(
        Severity.WARNING,
        "The roster in force is older than it should be; it denies entry once it has expired.",
        {"version": "version of the release", "expires": "wall time from which it denies entry, seconds since 1970"},
    ),
    EventType.LOCK_DOWN: EventSpec(
        Severity.ALARM, "Entry was locked down or freed.", {"on": "true: entry is stopped", "by": "who", "reason": "why"}
    ),
    EventType.UPLINK_CHANGED: EventSpec(
        Severity.INFO, "The broker was reached or lost.", {"connected": "true when connected", "detail": "in the client's words"}
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, ready for the journal.

    Attributes:
        at: when the core decided or learned it.
        data: exactly the fields of its row in EVENTS.
    """

    type: EventType
    at: Moment
    data: Mapping[str, Value]

    def __post_init__(self) -> None:
        if self.data.keys() != EVENTS[self.type].fields.keys():
            expected, found = sorted(EVENTS[self.type].fields), sorted(self.data)
            raise ValueError(f"{self.type} carries {found}; its row in EVENTS says {expected}")
