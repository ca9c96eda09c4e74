"""One release through the running agent: the order is signed here, decided and recorded there, and the journal tells what came of it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from agent.core.events import EventType
from agent.core.identity import Direction
from agent.core.moment import NS_PER_S
from agent.core.orders import StaffDenial
from agent.core.staff import MEANINGS
from agent.diagnostics.barrier_tool import keys
from agent.drivers.control_socket import ControlSocketError, NoAgentError, TooSoonError, UnansweredError, ask
from agent.drivers.journal_reader import JournalReader
from agent.drivers.staff_desk import PAUSE_NS, Order
from agent.errors import GateError

_DECISION_S: Final = 5.0  # a commit on a bad disk takes a second
_END_S: Final = 60.0  # the agent itself gives a passage up after 30 s
_LOOK_AGAIN_S: Final = 0.1
_TRIES: Final = 8  # while others order too

Say = Callable[[str], None]

_ENDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        EventType.PASSAGE_MADE: "somebody passed",
        EventType.PASSAGE_NOT_MADE: "nobody passed",
        EventType.PASSAGE_UNCONFIRMED: "somebody may have passed, and it is not certain who or which way",
        EventType.RELEASE_REFUSED: "the controller refused",
    }
)


class OrderError(GateError):
    """The order went out and what came of it is not known; the sentence says where to look."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the journal says of the order.

    Attributes:
        grant: None where it was denied.
        end: type of the event that closed the grant; of a denial staff.denied.
        why: the denial, or the end's own cause.
    """

    direction: Direction
    grant: int | None
    end: str
    why: str

    @property
    def released(self) -> bool:
        """Whether the barrier was released, or may have been."""
        return self.grant is not None and self.end != EventType.RELEASE_REFUSED

    @property
    def sentence(self) -> str:
        if self.grant is None:
            return f"denied: {MEANINGS[StaffDenial(self.why)]} ({self.why})"
        return f"grant {self.grant}, {self.direction}: {_ENDS[self.end]}{f' ({self.why})' if self.why else ''}"


def release(socket: Path, journal: Path, *, staff: str, key_file: Path, direction: Direction, reason: str, say: Say) -> Outcome:
    """Order one release and follow it to its end.

    Raises:
        GateError: the key cannot be used, the agent refuses to listen, or the journal does not tell in time.
    """
    key = keys.read_private(key_file)
    with JournalReader(journal) as reader:
        after = reader.extent().last_seq
        given = ask(socket, {"ask": "order"})["order"]
        order = Order(staff=staff, direction=str(direction), reason=reason, **given)
        _send(socket, keys.sign(order, key))
        story = _story(reader, after, socket)
        kind, fields = _wait(story, lambda kind, data: data.get("request") == order.nonce and kind.startswith("staff."), _DECISION_S)
        if kind == EventType.STAFF_DENIED:
            return Outcome(direction, None, kind, str(fields["denial"]))
        grant = int(fields["grant"])
        say(f"recorded as grant {grant}, and released for {direction}: somebody may pass")
        kind, fields = _wait(story, lambda kind, data: kind in _ENDS and data.get("grant") == grant, _END_S)
        return Outcome(direction, grant, kind, str(fields.get("cause") or fields.get("reason") or ""))


def _send(socket: Path, request: Mapping[str, Any]) -> None:
    """Send the order. Where no answer comes the journal tells what came of it as ever. Raises ControlSocketError: not taken."""
    for tries_left in reversed(range(_TRIES)):
        time.sleep(PAUSE_NS / NS_PER_S)  # the agent takes orders that far apart, and one may just have been
        try:
            ask(socket, request)
        except UnansweredError:
            return
        except TooSoonError:
            if not tries_left:
                raise
        else:
            return


Row = tuple[str, Mapping[str, Any]]  # type and fields


def _story(reader: JournalReader, after: int, socket: Path) -> Iterator[Row | None]:
    """Each row from there on; None where there is none yet.

    Raises:
        OrderError: there is none, and no agent any more that would write one.
    """
    while True:
        rows = reader.rows(after, 100)
        for row in rows:
            event = json.loads(row.chained)
            after = row.seq
            yield event["type"], event["data"]["fields"]
        if rows:
            continue
        try:
            ask(socket, {"ask": "snapshot"})
        except NoAgentError as error:
            raise OrderError(
                "the agent has ended; what came of the order stands in the journal when it runs again: journal show"
            ) from error
        except ControlSocketError:
            pass  # busy; it is asked again
        yield None


def _wait(story: Iterator[Row | None], wanted: Callable[[str, Mapping[str, Any]], bool], within_s: float) -> Row:
    end_s = time.monotonic() + within_s
    for found in story:
        if found is not None and wanted(*found):
            return found
        if found is None:
            if time.monotonic() > end_s:
                break
            time.sleep(_LOOK_AGAIN_S)
    raise OrderError(f"the journal does not say within {within_s:g} s what came of the order; see gate-agent journal show, and doctor")
