"""Which way somebody went, from two beams."""

import pytest

from firmware_bridge.emulator.beams import Step, begin, follow
from firmware_bridge.emulator.person import Behaviour, Pace, Person, script
from firmware_bridge.vocabulary import Direction, Drive, Inputs

N, E, X, B = Inputs(0), Inputs.BEAM_ENTRY, Inputs.BEAM_EXIT, Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT


def walked(*beams: Inputs, tie: Direction = Direction.ENTRY) -> tuple[Direction, list[Step], int]:
    traverse = begin(beams[0], tie=tie)
    steps = []
    for broken in beams:
        traverse, step = follow(traverse, broken)
        steps += [] if step is Step.NOTHING else [step]
    return traverse.heading, steps, traverse.followers


@pytest.mark.parametrize(
    ("beams", "heading", "steps", "followers"),
    [
        ((E, B, X, N), Direction.ENTRY, [Step.BETWEEN, Step.PASSED], 0),
        ((X, B, E, N), Direction.EXIT, [Step.BETWEEN, Step.PASSED], 0),
        ((E, N), Direction.ENTRY, [Step.TOUCHED], 0),
        ((X, N), Direction.EXIT, [Step.TOUCHED], 0),
        ((E, B, E, N), Direction.ENTRY, [Step.BETWEEN, Step.RETURNED], 0),
        ((E, B, X, B, E, N), Direction.ENTRY, [Step.BETWEEN, Step.RETURNED], 1),
        ((E, B, E, B, X, N), Direction.ENTRY, [Step.BETWEEN, Step.PASSED], 0),
        ((E, B, X, B, X, N), Direction.ENTRY, [Step.BETWEEN, Step.PASSED], 1),
        ((E, X, N), Direction.ENTRY, [Step.BETWEEN, Step.PASSED], 0),  # the sample with both was missed
        ((B, X, N), Direction.ENTRY, [Step.BETWEEN, Step.PASSED], 0),  # both broke in one sample
        ((E, B, N), Direction.ENTRY, [Step.BETWEEN, Step.PASSED], 0),  # both cleared in one sample
        ((B, N), Direction.ENTRY, [Step.BETWEEN, Step.PASSED], 0),
    ],
)
def test_the_beams_tell_who_passed_and_which_way(beams: tuple[Inputs, ...], heading: Direction, steps: list[Step], followers: int) -> None:
    assert walked(*beams) == (heading, steps, followers)


def test_where_both_beams_break_at_once_the_released_way_counts() -> None:
    assert walked(B, E, N, tie=Direction.EXIT)[:2] == (Direction.EXIT, [Step.BETWEEN, Step.PASSED])


@pytest.mark.parametrize(
    ("behaviour", "last"),
    [
        (Behaviour.WALKS, Step.PASSED),
        (Behaviour.TURNS_BACK, Step.RETURNED),
        (Behaviour.TOUCHES, Step.TOUCHED),
        (Behaviour.TAILGATES, Step.PASSED),
        (Behaviour.COMES_AGAINST, Step.PASSED),
    ],
)
@pytest.mark.parametrize("direction", list(Direction))
def test_a_scripted_person_does_what_its_name_says(behaviour: Behaviour, last: Step, direction: Direction) -> None:
    heading, steps, followers = walked(*script(behaviour, direction))
    assert steps[-1] is last
    assert (heading is direction) is (behaviour is not Behaviour.COMES_AGAINST)
    assert followers == (1 if behaviour is Behaviour.TAILGATES else 0)


def test_a_person_walks_once_for_each_opening() -> None:
    person, seen = Person(Behaviour.WALKS, Pace(reaction_ms=10, step_ms=5)), []
    for now in range(200):
        person.see(Drive.EXIT if 20 <= now < 100 else Drive(0), now)
        if person.step(now):
            seen.append((now, person.beams))
    assert seen == [(30, X), (35, B), (40, E), (45, N)]
