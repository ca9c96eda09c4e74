"""A journal row as a CloudEvents 1.0 event in structured JSON, and back. This text is the specification for other makers.

One event on the wire, shown here on several lines, is one line of ASCII without spaces:

    {"specversion":"1.0","id":"EPOCH:SEQ","source":"/gate/SITE/GATE","type":"access.granted","time":"2026-11-22T09:00:00.000000Z",
     "subject":"grant/42","datacontenttype":"application/json",
     "data":{"severity":"info","fields":{...},"simulation":false,"epoch":"EPOCH","seq":SEQ,"monotonic_ns":N,"boot_id":"...",
             "clock":"synchronised","head":"HEAD"}}

id              names the event for ever; a second delivery has the same id and the same bytes.
source          /gate/SITE/GATE, or /gate-sim/SITE/GATE for a simulated lane.
time            wall time as the gate read it; how far it can be trusted is in data.clock. The order of events is data.seq, never the time.
subject         what it is about, without naming a person: grant/N, camera/NAME, direction/NAME; absent where nothing fits.
data.fields     the fields of the event's type; see the table of events. A text of more than 1,000 characters is cut.
data.simulation true when any part of the lane is simulated. It is inside the chained bytes.
data.epoch      16 hexadecimal digits, random for each journal file. data.seq counts from 1 in an epoch, without gaps.
data.monotonic_ns, data.boot_id   monotonic time of the event and the boot that it counts from.
data.head       64 hexadecimal digits: the hash chain's value after this row.

Verifying the chain. The chained bytes of a row are its bytes on the wire without the last member: cut the 74 bytes `,"head":"HEAD"`
that stand before the closing `}}`. Then head = SHA-256(previous head as 32 bytes || chained bytes), and the head before seq 1 is 32 zero
bytes. Keep the bytes as they came; JSON that was read and written again may differ in the form of its numbers.

A gate deletes old rows that the centre has. Should a centre without them ask for them, the oldest row that is left carries the MQTT 5
user property `chain-start` with the head before it: the rows before that one cannot be had any more.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from agent.core import chain
from agent.core.events import EVENTS, Event, Value
from agent.core.topics import Lane

PAYLOAD_LIMIT = 65_536  # bytes; the largest event of a lane is below 2 KB
SEQ_LIMIT = 2**63 - 1  # what SQLite counts
CHAIN_START = "chain-start"  # MQTT 5 user property, see above
EPOCH = re.compile(r"[0-9a-f]{16}", re.ASCII)
FIELD_LIMITS = (1000, 100)  # characters of a field's text, entries of a list; the second where the first is still too much
SUBJECT_LIMIT = 64  # characters
TEXT_LIMIT = 256  # characters of source, type and time
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
_END = b"}}"
_TAIL = re.compile(rb',"head":"([0-9a-f]{64})"\}\}')
_TAIL_BYTES = len(b',"head":""}}') + 64
_SUBJECTS = ("grant", "camera", "direction")  # the first of these fields that an event carries is its subject


class EnvelopeError(ValueError):
    """The bytes are not an event of ours; the sentence says where they differ."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An event as it arrived, its own statements checked for form but not yet against a chain."""

    source: str
    epoch: str
    seq: int
    type: str
    time: str
    simulation: bool
    head: str
    chained: bytes


def seal(event: Event, lane: Lane, *, epoch: str, seq: int) -> bytes:
    """The chained bytes of a row. Never more than a consumer takes: one row too long would stop all that come after it."""
    size = 0
    for limit in FIELD_LIMITS:
        body = _written(event, lane, epoch=epoch, seq=seq, limit=limit)
        size = len(body) + _TAIL_BYTES
        if size <= PAYLOAD_LIMIT:
            return body
    raise EnvelopeError(f"the event {event.type} has {size} bytes; an event has {PAYLOAD_LIMIT} at most")


def _written(event: Event, lane: Lane, *, epoch: str, seq: int, limit: int) -> bytes:
    subject = next((f"{name}/{str(event.data[name])[:SUBJECT_LIMIT]}" for name in _SUBJECTS if event.data.get(name)), None)
    return chain.canonical(
        {
            "specversion": "1.0",
            "id": f"{epoch}:{seq}",
            "source": lane.source,
            "type": event.type.value,
            "time": event.at.rfc3339(),
            **({} if subject is None else {"subject": subject}),
            "datacontenttype": "application/json",
            "data": {
                "severity": EVENTS[event.type].severity.value,
                "fields": {name: _bounded(value, limit) for name, value in event.data.items()},
                "simulation": lane.simulation,
                "epoch": epoch,
                "seq": seq,
                "monotonic_ns": event.at.monotonic_ns,
                "boot_id": event.at.boot_id,
                "clock": event.at.quality.value,
            },
        }
    )


def _bounded(value: Value, limit: int) -> Value:
    match value:
        case str():
            return value if len(value) <= limit else f"{value[:limit]}..."
        case list():
            return [{name: _bounded(inner, limit) for name, inner in entry.items()} for entry in value[:limit]]  # type: ignore[misc]
        case _:
            return value


def payload(chained: bytes, head: str) -> bytes:
    """The bytes on the wire."""
    return chained[: -len(_END)] + f',"head":"{head}"'.encode("ascii") + _END


def read(data: bytes) -> Sealed:
    """Take an event apart.

    Raises:
        EnvelopeError: not an event of ours.
    """
    if len(data) > PAYLOAD_LIMIT:
        raise EnvelopeError(f"{len(data)} bytes; an event has {PAYLOAD_LIMIT} at most")
    if not data.isascii():
        raise EnvelopeError("it is not ASCII")
    tail = _TAIL.fullmatch(data[-_TAIL_BYTES:])
    if tail is None:
        raise EnvelopeError("it does not end in the member 'head' with 64 hexadecimal digits")
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(f"it is not JSON: {error}") from None
    inner = _member(_mapping(whole, "the event"), "data", dict)
    epoch, seq = _member(inner, "epoch", str), _member(inner, "seq", int)
    if not EPOCH.fullmatch(epoch):
        raise EnvelopeError(f"data.epoch is {epoch!r:.40}; it must be 16 hexadecimal digits")
    if not 1 <= seq <= SEQ_LIMIT:
        raise EnvelopeError(f"data.seq is {seq!r:.40}; it must be 1 to {SEQ_LIMIT}")
    for name, wanted in (("specversion", "1.0"), ("id", f"{epoch}:{seq}")):
        if whole.get(name) != wanted:
            raise EnvelopeError(f"'{name}' is {whole.get(name)!r:.60}; it must be {wanted!r}")
    head = tail[1].decode("ascii")
    if inner.get("head") != head:
        raise EnvelopeError("data.head is not the last member")
    return Sealed(
        source=_member(whole, "source", str),
        epoch=epoch,
        seq=seq,
        type=_member(whole, "type", str),
        time=_member(whole, "time", str),
        simulation=_member(inner, "simulation", bool),
        head=head,
        chained=data[:-_TAIL_BYTES] + _END,
    )


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EnvelopeError(f"{what} is not a JSON object")
    return value


def _member(mapping: dict[str, Any], name: str, kind: type[Any]) -> Any:
    value = mapping.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise EnvelopeError(f"'{name}' is missing or of the wrong kind")
    if isinstance(value, str) and not (value.isascii() and len(value) <= TEXT_LIMIT):
        raise EnvelopeError(f"'{name}' is not ASCII of at most {TEXT_LIMIT} characters")
    return value
