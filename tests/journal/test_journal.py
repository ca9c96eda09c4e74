"""The journal on a real file: what is committed is there, in order, chained; what is undelivered is never pruned."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import chain
from agent.core.events import Event, EventType
from agent.core.identity import Direction, GrantNumber, PersonId
from agent.core.known import LastKnown, OpenGrant
from agent.core.moment import ClockQuality
from agent.drivers.journal import SqliteJournal
from agent.drivers.journal_opening import CHECKED_ROWS
from agent.drivers.journal_reader import JournalReader, StoredRow
from agent.errors import AcknowledgementError, JournalError
from tests.sim.clock import StandingClock
from tests.sim.lane_events import event, granted, passed, pressed

DAY_S = 86_400


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


def opened(folder: Path, clock: StandingClock, *, gate: str = "gate-1", simulation: bool = False, keep_days: int = 30) -> SqliteJournal:
    return SqliteJournal(folder / "journal.db", site="hk", gate=gate, simulation=simulation, clock=clock, keep_days=keep_days)


@pytest.fixture
def journal(tmp_path: Path, clock: StandingClock) -> Iterator[SqliteJournal]:
    one = opened(tmp_path, clock)
    yield one
    one.close()


def stored(folder: Path) -> list[StoredRow]:
    with JournalReader(folder / "journal.db") as reader:
        return reader.rows(0, 1_000_000)


def chain_holds(rows: list[StoredRow], head: str = chain.GENESIS) -> bool:
    for row in rows:
        head = chain.link(head, row.chained)
        if head != row.head:
            return False
    return True


def test_the_first_row_of_a_new_journal_says_that_an_epoch_begins(tmp_path: Path, journal: SqliteJournal) -> None:
    [row] = stored(tmp_path)
    assert (row.seq, journal.seq) == (1, 1)
    assert b'"type":"journal.epoch"' in row.chained
    assert b'"reason":"new"' in row.chained


def test_what_is_committed_is_numbered_without_gaps_and_chained(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    first = journal.commit([granted(clock.now()), passed(clock.now())])
    second = journal.commit([pressed(clock.now())])
    rows = stored(tmp_path)
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert chain_holds(rows)
    assert (first.seq, second.seq, second.head) == (3, 4, rows[-1].head)
    assert first.epoch == second.epoch == journal.epoch


def test_a_journal_opened_again_goes_on_where_it_was(tmp_path: Path, clock: StandingClock) -> None:
    one = opened(tmp_path, clock)
    before = one.commit([pressed(clock.now())])
    one.close()
    two = opened(tmp_path, clock)
    after = two.commit([pressed(clock.now())])
    two.close()
    assert (after.epoch, after.seq) == (before.epoch, before.seq + 1)
    assert chain_holds(stored(tmp_path))


def test_a_commit_of_nothing_changes_nothing(journal: SqliteJournal) -> None:
    assert journal.commit([]).seq == 1


def test_an_event_that_cannot_be_written_leaves_no_transaction_behind(journal: SqliteJournal, clock: StandingClock) -> None:
    strange = event(EventType.PASSAGE_UNGRANTED, clock.now(), passage_counter="not a number")
    with pytest.raises(TypeError, match="whole number"):
        journal.commit([pressed(clock.now()), strange])
    assert journal.commit([pressed(clock.now())]).seq == 2


def test_every_journal_file_has_an_epoch_of_its_own(tmp_path: Path, clock: StandingClock) -> None:
    epochs = set()
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        one = opened(tmp_path / name, clock)
        epochs.add(one.epoch)
        one.close()
    assert len(epochs) == 3


def test_only_the_owner_may_read_the_journal(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    journal.commit([pressed(clock.now())])
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.glob("journal.db*")} == {
        "journal.db": "0o600",
        "journal.db-wal": "0o600",
        "journal.db-shm": "0o600",
        "journal.db.lock": "0o600",
    }


def test_the_settings_that_make_a_commit_durable_are_in_force(tmp_path: Path, journal: SqliteJournal) -> None:
    connection = journal._connection
    assert connection is not None
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert stored(tmp_path)


# --- delivery and pruning ---------------------------------------------------------------------------------------------------------


def test_an_acknowledgement_with_our_head_is_marked(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    done = journal.commit([pressed(clock.now())])
    journal.mark_delivered(epoch=done.epoch, seq=done.seq, head=done.head)
    with JournalReader(tmp_path / "journal.db") as reader:
        assert reader.extent().delivered_seq == done.seq


@pytest.mark.parametrize(("seq", "head"), [(2, "0" * 64), (3, "f" * 64)])
def test_an_acknowledgement_unlike_ours_is_refused_and_changes_nothing(
    tmp_path: Path, journal: SqliteJournal, clock: StandingClock, seq: int, head: str
) -> None:
    journal.commit([pressed(clock.now())])
    with pytest.raises(AcknowledgementError, match=f"row {seq} .*journal verify"):
        journal.mark_delivered(epoch=journal.epoch, seq=seq, head=head)
    with JournalReader(tmp_path / "journal.db") as reader:
        assert reader.extent().delivered_seq == 0


def test_an_older_acknowledgement_does_not_take_delivery_back(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    first = journal.commit([pressed(clock.now())])
    second = journal.commit([pressed(clock.now())])
    journal.mark_delivered(epoch=journal.epoch, seq=second.seq, head=second.head)
    journal.mark_delivered(epoch=journal.epoch, seq=first.seq, head=first.head)
    with JournalReader(tmp_path / "journal.db") as reader:
        assert reader.extent().delivered_seq == second.seq


def test_an_acknowledgement_of_another_epoch_is_not_ours(tmp_path: Path, journal: SqliteJournal) -> None:
    journal.mark_delivered(epoch="f" * 16, seq=1, head="0" * 64)
    with JournalReader(tmp_path / "journal.db") as reader:
        assert reader.extent().delivered_seq == 0


def fill(journal: SqliteJournal, clock: StandingClock, rows: int) -> None:
    journal.commit([pressed(clock.now()) for _ in range(rows)])


def deliver_all(journal: SqliteJournal) -> None:
    journal.mark_delivered(epoch=journal.epoch, seq=journal.seq, head=journal._tail.head)


def test_delivered_rows_are_pruned_when_they_are_old(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    fill(journal, clock, 999)
    clock.forward(31 * DAY_S)
    for _ in range(10):
        fill(journal, clock, 1)
        deliver_all(journal)
    rows = stored(tmp_path)
    with JournalReader(tmp_path / "journal.db") as reader:
        extent = reader.extent()
    assert (extent.last_seq, len(rows)) == (1010, CHECKED_ROWS)  # as many stay as every start verifies
    assert chain_holds(rows, extent.pruned_head)


def test_old_rows_that_are_not_delivered_are_never_pruned(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    fill(journal, clock, 999)
    third = stored(tmp_path)[2]
    clock.forward(400 * DAY_S)
    fill(journal, clock, 1)
    journal.mark_delivered(epoch=journal.epoch, seq=third.seq, head=third.head)
    assert [row.seq for row in stored(tmp_path)] == list(range(4, 1002))


def test_the_database_itself_refuses_to_delete_what_is_not_delivered(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    fill(journal, clock, 5)
    other = sqlite3.connect(tmp_path / "journal.db")
    with pytest.raises(sqlite3.IntegrityError, match="does not have this row yet"):
        other.execute("DELETE FROM event WHERE seq = 2")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute("UPDATE event SET body = '' WHERE seq = 2")
    other.close()


def test_young_rows_stay_although_they_are_delivered(tmp_path: Path, journal: SqliteJournal, clock: StandingClock) -> None:
    fill(journal, clock, 999)
    clock.forward(29 * DAY_S)
    fill(journal, clock, 1)
    deliver_all(journal)
    assert len(stored(tmp_path)) == 1001


def test_a_clock_that_is_not_known_prunes_nothing_and_ages_nothing(tmp_path: Path, clock: StandingClock) -> None:
    clock.of_quality(ClockQuality.UNKNOWN)
    journal = opened(tmp_path, clock)
    fill(journal, clock, 999)
    clock.forward(400 * DAY_S)
    deliver_all(journal)
    assert len(stored(tmp_path)) == 1000  # the clock does not know how old they are
    clock.of_quality(ClockQuality.SYNCHRONISED)
    fill(journal, clock, 1)
    deliver_all(journal)
    assert len(stored(tmp_path)) == 1001  # and no row before the first trusted day is older than it
    journal.close()


def test_a_pruned_journal_opens_and_goes_on(tmp_path: Path, clock: StandingClock) -> None:
    journal = opened(tmp_path, clock)
    fill(journal, clock, 600)
    clock.forward(31 * DAY_S)
    for _ in range(5):
        fill(journal, clock, 1)
        deliver_all(journal)
    epoch, seq = journal.epoch, journal.seq
    journal.close()
    again = opened(tmp_path, clock)
    assert (again.epoch, again.seq) == (epoch, seq)
    again.close()


# --- what the core begins with ----------------------------------------------------------------------------------------------------


def known_after(folder: Path, clock: StandingClock, events: list[Event]) -> LastKnown:
    one = opened(folder, clock)
    one.commit(events)
    one.close()
    again = opened(folder, clock)
    try:
        return again.last_known()
    finally:
        again.close()


def test_a_new_journal_knows_nothing(journal: SqliteJournal) -> None:
    assert journal.last_known() == LastKnown(last_passage={})


def test_a_grant_without_an_end_is_known_after_a_restart(tmp_path: Path, clock: StandingClock) -> None:
    highest = 2**64 - 1
    known = known_after(tmp_path, clock, [granted(clock.now(), grant=highest, person="p-9", direction="exit")])
    assert known.highest_grant == GrantNumber(highest)
    assert known.open_grant == OpenGrant(GrantNumber(highest), PersonId("p-9"), Direction.EXIT)


@pytest.mark.parametrize("kind", [EventType.PASSAGE_NOT_MADE, EventType.PASSAGE_UNCONFIRMED, EventType.RELEASE_REFUSED])
def test_a_grant_that_ended_without_a_confirmed_passage_is_closed_and_counts_nobody(
    tmp_path: Path, clock: StandingClock, kind: EventType
) -> None:
    known = known_after(tmp_path, clock, [granted(clock.now(), grant=5), event(kind, clock.now(), grant=5)])
    assert (known.open_grant, known.highest_grant, known.last_passage) == (None, GrantNumber(5), {})


def test_a_cancelled_grant_stays_open_until_its_end_is_recorded(tmp_path: Path, clock: StandingClock) -> None:
    known = known_after(tmp_path, clock, [granted(clock.now(), grant=5), event(EventType.GRANT_CANCELLED, clock.now(), grant=5)])
    assert known.open_grant == OpenGrant(GrantNumber(5), PersonId("p-1"), Direction.ENTRY)


def test_the_end_of_another_grant_does_not_close_this_one(tmp_path: Path, clock: StandingClock) -> None:
    known = known_after(tmp_path, clock, [granted(clock.now(), grant=5), event(EventType.PASSAGE_NOT_MADE, clock.now(), grant=4)])
    assert known.open_grant is not None


def test_a_passage_leaves_its_direction_and_the_counter(tmp_path: Path, clock: StandingClock) -> None:
    at = clock.now()
    events = [granted(at, 5), passed(at, 5, counter=11), granted(at, 6, direction="exit"), passed(at, 6, direction="exit", counter=12)]
    known = known_after(tmp_path, clock, events)
    assert (known.open_grant, known.passage_counter) == (None, 12)
    assert known.last_passage == {PersonId("p-1"): Direction.EXIT}


@pytest.mark.parametrize(("kind", "field"), [(EventType.PASSAGE_GAP, "counted"), (EventType.BARRIER_CONNECTED, "passage_counter")])
def test_the_controllers_own_count_is_taken_over(tmp_path: Path, clock: StandingClock, kind: EventType, field: str) -> None:
    known = known_after(tmp_path, clock, [event(kind, clock.now(), **{field: 41})])
    assert known.passage_counter == 41


def test_the_controllers_highest_grant_counts_as_used(tmp_path: Path, clock: StandingClock) -> None:
    events = [granted(clock.now(), grant=5), event(EventType.BARRIER_CONNECTED, clock.now(), highest_grant=9)]
    assert known_after(tmp_path, clock, events).highest_grant == GrantNumber(9)


def test_the_people_are_known_in_the_order_of_their_passages(tmp_path: Path, clock: StandingClock) -> None:
    at = clock.now()
    passages = [passed(at, grant, person=person) for grant, person in enumerate(("p-1", "p-2", "p-3", "p-1"), start=1)]
    assert list(known_after(tmp_path, clock, passages).last_passage or {}) == ["p-2", "p-3", "p-1"]


def test_an_emergency_forgets_who_went_which_way(tmp_path: Path, clock: StandingClock) -> None:
    at = clock.now()
    events = [passed(at, 1, "p-1"), event(EventType.EMERGENCY_RAISED, at), passed(at, 2, "p-2")]
    assert known_after(tmp_path, clock, events).last_passage == {PersonId("p-2"): Direction.ENTRY}


def test_a_count_that_nobody_knows_does_not_replace_the_one_that_is_known(tmp_path: Path, clock: StandingClock) -> None:
    events = [passed(clock.now(), counter=7), event(EventType.PASSAGE_UNCONFIRMED, clock.now(), passage_counter=None)]
    assert known_after(tmp_path, clock, events).passage_counter == 7


@given(st.lists(st.tuples(st.sampled_from(["p-1", "p-2", "p-3"]), st.sampled_from(Direction), st.booleans()), max_size=12))
def test_what_is_known_is_what_the_rows_say(tmp_path_factory: pytest.TempPathFactory, attempts: list[tuple[str, Direction, bool]]) -> None:
    clock = StandingClock()
    folder = tmp_path_factory.mktemp("journal")
    events, expected = [], {}
    for grant, (person, direction, walked) in enumerate(attempts, start=1):
        events.append(granted(clock.now(), grant=grant, person=person, direction=direction.value))
        if walked:
            events.append(passed(clock.now(), grant=grant, person=person, direction=direction.value, counter=grant))
            expected[PersonId(person)] = direction
    known = known_after(folder, clock, events)
    assert known.last_passage == expected
    assert known.highest_grant == len(attempts)
    assert (known.open_grant is None) == (not attempts or attempts[-1][2])


# --- who may open it --------------------------------------------------------------------------------------------------------------


def test_a_second_agent_on_the_same_journal_is_refused_with_the_number_of_the_first(
    tmp_path: Path, journal: SqliteJournal, clock: StandingClock
) -> None:
    assert journal.seq == 1
    with pytest.raises(JournalError, match=r"in use by process \d+; stop that one first"):
        opened(tmp_path, clock)


@pytest.mark.parametrize(("gate", "simulation"), [("gate-2", False), ("gate-1", True)])
def test_the_journal_of_another_lane_is_refused_and_left_alone(tmp_path: Path, clock: StandingClock, gate: str, simulation: bool) -> None:
    opened(tmp_path, clock).close()
    with pytest.raises(JournalError, match="belongs to /gate/hk/gate-1, this lane is"):
        opened(tmp_path, clock, gate=gate, simulation=simulation)
    opened(tmp_path, clock).close()
    assert len(stored(tmp_path)) == 1


def test_a_journal_of_a_newer_software_is_refused_and_left_alone(tmp_path: Path, clock: StandingClock) -> None:
    opened(tmp_path, clock).close()
    other = sqlite3.connect(tmp_path / "journal.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(JournalError, match="format 99, this software knows 1; install the newer one again"):
        opened(tmp_path, clock)
    assert not list(tmp_path.glob("*damaged*"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, clock: StandingClock) -> None:
    with pytest.raises(JournalError, match=r"missing/journal.db cannot be opened.*No such file"):
        opened(tmp_path / "missing", clock)
