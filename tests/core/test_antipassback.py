"""The memory of confirmed passages: bounded, never changed in place."""

from hypothesis import given
from hypothesis import strategies as st

from agent.core import antipassback
from agent.core.antipassback import MOST_PEOPLE, Passages
from agent.core.identity import Direction, PersonId

walks = st.lists(st.tuples(st.sampled_from("abc").map(PersonId), st.sampled_from(Direction)), max_size=20)


@given(walks)
def test_the_last_passage_of_each_person_counts(walked: list[tuple[PersonId, Direction]]) -> None:
    passages = Passages()
    for person, direction in walked:
        passages = antipassback.confirm(passages, person, direction, now_ns=0)
    assert {p: last.direction for p, last in passages.last.items()} == dict(walked)


def test_a_confirmation_leaves_the_old_value_as_it_was() -> None:
    before = antipassback.confirm(Passages(), PersonId("a"), Direction.ENTRY, now_ns=0)
    antipassback.confirm(before, PersonId("a"), Direction.EXIT, now_ns=1)
    assert before.last[PersonId("a")].direction is Direction.ENTRY


def test_the_memory_is_bounded_and_forgets_the_passage_longest_ago() -> None:
    passages = antipassback.known({PersonId(str(n)): Direction.ENTRY for n in range(MOST_PEOPLE + 5)}, now_ns=0)
    passages = antipassback.confirm(passages, PersonId("5"), Direction.ENTRY, now_ns=1)
    passages = antipassback.confirm(passages, PersonId("new"), Direction.ENTRY, now_ns=1)
    assert len(passages.last) == MOST_PEOPLE
    assert [str(n) in passages.last for n in (4, 5, 6, 7)] == [False, True, False, True]
