import threading

from agent.drivers.frame_slots import FrameSlots
from agent.vision.frame import Frame
from tests.camera.lane import pictures

IMAGE = pictures(1)[0]


def frame(seq: int) -> Frame:
    return Frame(seq, seq, IMAGE)


def test_only_the_newest_frame_of_a_camera_is_given_and_the_others_are_counted() -> None:
    slots = FrameSlots(["entry"])
    for seq in range(1, 5):
        slots.put("entry", frame(seq))
    taken = slots.take(0)
    assert taken is not None
    assert (taken[0], taken[1].seq) == ("entry", 4)
    assert slots.take(0) is None
    assert slots.dropped("entry") == 3


def test_a_camera_that_always_has_a_frame_does_not_keep_the_other_waiting() -> None:
    slots = FrameSlots(["entry", "exit"])
    served = []
    for seq in range(1, 9):
        slots.put("entry", frame(seq))
        if seq > 2:
            slots.put("exit", frame(seq))
        taken = slots.take(0)
        assert taken is not None
        served.append(taken[0])
    assert served == ["entry", "entry", "exit", "entry", "exit", "entry", "exit", "entry"]


def test_a_frame_is_done_with_only_when_the_next_one_is_asked_for() -> None:
    slots = FrameSlots(["entry", "exit"])
    slots.put("entry", frame(1))
    assert not slots.wait_until_taken("entry", 0)
    slots.take(0)
    assert slots.wait_until_taken("entry", 0)
    assert not slots.wait_until_done("entry", 0)
    assert slots.wait_until_done("exit", 0)
    slots.take(0)
    assert slots.wait_until_done("entry", 0)


def test_a_waiting_taker_is_woken_by_a_frame() -> None:
    slots, got = FrameSlots(["entry"]), []
    taker = threading.Thread(target=lambda: got.append(slots.take(10)))
    taker.start()
    slots.put("entry", frame(7))
    taker.join(5)
    assert [each[1].seq for each in got if each] == [7]
