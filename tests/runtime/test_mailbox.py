"""The mailbox: urgent first and never lost, news of the same thing in place of the old, bounded."""

import threading

import pytest

from agent.core.identity import Direction, TrackId
from agent.core.inputs import (
    BarrierLost,
    CameraCondition,
    CameraReported,
    EmergencyRaised,
    RosterRefused,
    SampleFault,
    SampleRefused,
    StopRequested,
    TrackLost,
)
from agent.core.orders import StaffRelease
from agent.mailbox import LINE, RESERVED, Mailbox, MailboxFullError

NOW = 0.0
ORDER = StaffRelease(staff="li", key="k", user="root", direction=Direction.ENTRY, reason="r", request="n", expires_at_ns=1)


def refused(track: int, captured_at_ns: int = 0) -> SampleRefused:
    return SampleRefused("entry", Direction.ENTRY, TrackId(track), captured_at_ns, SampleFault.BLUR)


def drain(mailbox: Mailbox) -> list[object]:
    taken = []
    while (message := mailbox.take(NOW)) is not None:
        taken.append(message)
    return taken


def test_nothing_in_time_is_none() -> None:
    assert Mailbox().take(NOW) is None


def test_what_the_barrier_and_staff_say_is_taken_first_and_in_order() -> None:
    mailbox = Mailbox()
    for message in (refused(1), BarrierLost("unplugged"), EmergencyRaised(), ORDER, StopRequested("test")):
        mailbox.post(message)
    assert drain(mailbox) == [BarrierLost("unplugged"), EmergencyRaised(), ORDER, StopRequested("test"), refused(1)]


def test_a_newer_sample_of_a_track_replaces_the_older_and_another_track_stays() -> None:
    mailbox = Mailbox()
    for message in (refused(1, 10), refused(2, 20), refused(1, 30), TrackLost("entry", TrackId(1), 40)):
        mailbox.post(message)
    assert drain(mailbox) == [refused(1, 30), refused(2, 20), TrackLost("entry", TrackId(1), 40)]


def test_a_full_line_drops_the_oldest_sample_and_counts_it() -> None:
    mailbox = Mailbox()
    for track in range(LINE + 3):
        mailbox.post(refused(track))
    assert mailbox.dropped == 3
    assert drain(mailbox) == [refused(track) for track in range(3, LINE + 3)]


def test_a_full_line_never_drops_another_kind() -> None:
    mailbox = Mailbox()
    mailbox.post(refused(0))
    for n in range(LINE):
        mailbox.post(RosterRefused("rollback", str(n)))
    assert mailbox.dropped == 1
    with pytest.raises(MailboxFullError):
        mailbox.post(RosterRefused("rollback", "one too many"))


def test_a_thousand_samples_take_no_room_from_an_emergency() -> None:
    mailbox = Mailbox()
    for track in range(1000):
        mailbox.post(refused(track))
    mailbox.post(EmergencyRaised())
    assert mailbox.take(NOW) == EmergencyRaised()


def test_the_reserved_slots_are_bounded_and_say_so() -> None:
    mailbox = Mailbox()
    for _ in range(RESERVED):
        mailbox.post(EmergencyRaised())
    with pytest.raises(MailboxFullError, match="control thread must be restarted"):
        mailbox.post(EmergencyRaised())


def test_a_waiting_taker_wakes_for_a_post() -> None:
    mailbox = Mailbox()
    message = CameraReported("entry", Direction.ENTRY, CameraCondition.OK)
    sender = threading.Timer(0.02, mailbox.post, (message,))
    sender.start()
    assert mailbox.take(10.0) == message
    sender.join()
