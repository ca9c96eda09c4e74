"""What every fault of a lane has in common: it is said, nobody is let in, people get out, and once it is mended all is well."""

import time

from tests.sim.lane_process import Lane


def out_of_service(lane: Lane, reason: str, words: str, *, by: str = "service.closed", event: str = "") -> None:
    """The enrolled person stands there; the lane says what it lacks in words, in an event and in the log, and does not release.

    event: what the event says, where that is less than what the snapshot says.
    """
    told = event or words
    lane.come("entry")
    released = len(lane.releases())
    lane.until(lambda: words in (lane.lacks() or {}).get(reason, ""), f"out of service by {reason}: {words}")
    lane.until(lambda: any(told in str(event) for event in lane.said(by)), f"an event {by} that says: {told}")
    lane.until(lambda: told in lane.agent_log(), f"a line of the log that says: {told}")
    lane.let_out_by_hand()
    assert len(lane.releases()) == released, "it was released while out of service"


def said_aloud(lane: Lane, words: str) -> None:
    """In the log, while no event can be written."""
    lane.until(lambda: words in lane.agent_log(), f"a line of the log that says: {words}")


def recovers(lane: Lane) -> float:
    """By itself, once it is mended: seconds until in service. Whoever stood there all the time is let in."""
    passed = len(lane.log("passage_completed", direction="ENTRY"))
    seconds = lane.until(lane.in_service, "in service again")
    lane.until(lambda: len(lane.log("passage_completed", direction="ENTRY")) > passed, "the passage of the person who waited")
    lane.until(lambda: lane.snapshot().get("phase") == "secured", "the lane at rest")
    lane.come("entry", "nobody")
    return seconds


def stays(condition: object, seconds: float) -> None:
    """A condition that must hold all the time, looked at often; for what must not happen within a known time."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert condition()
        time.sleep(0.05)
