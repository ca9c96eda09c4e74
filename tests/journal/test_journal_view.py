"""`gate-agent journal`: what a technician and an auditor ask of a journal, while it is being written or after it was set aside."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import cli
from agent.core import envelope
from agent.core.events import EVENTS, Event, EventType, Value
from agent.diagnostics.journal_line import TELLING
from agent.drivers.journal import SqliteJournal
from tests.journal.test_chain import verify_as_another_maker
from tests.sim.clock import StandingClock
from tests.sim.lane_events import event, granted

CLOCK = StandingClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A journal of 1 + 2,500 rows, of which 10 are delivered."""
    journal = SqliteJournal(tmp_path / "journal.db", site="hk", gate="gate-1", simulation=True, clock=CLOCK)
    done = journal.commit([granted(CLOCK.now(), grant=n) for n in range(1, 10)])
    journal.mark_delivered(epoch=done.epoch, seq=done.seq, head=done.head)
    journal.commit([event(EventType.SERVICE_CLOSED, CLOCK.now(), detail=f"n {n}") for n in range(2491)])
    journal.close()
    return tmp_path / "journal.db"


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def one(*words: str) -> tuple[int, str, str]:
        code = cli.main(["journal", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return one


def test_the_newest_rows_are_shown_readable(file: Path, ask: Ask) -> None:
    code, out, _ = ask("show", "--file", str(file), "-n", "3")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["2499*S", "2500*S", "2501*S"]
    assert "service.closed" in out.splitlines()[-1]
    assert out.splitlines()[-1].endswith("detail=n 2490")


def test_what_the_centre_does_not_have_is_marked(file: Path, ask: Ask) -> None:
    _, out, _ = ask("show", "--file", str(file), "-n", "2492")
    assert [line[8] for line in out.splitlines()[:3]] == [" ", "*", "*"]  # rows 10, 11, 12


def test_the_export_is_what_the_centre_gets(file: Path, ask: Ask) -> None:
    code, out, _ = ask("export", "--file", str(file))
    lines = out.encode().splitlines()
    assert code == 0
    assert [envelope.read(line).seq for line in lines] == list(range(1, 2502))
    assert verify_as_another_maker(lines)


@pytest.mark.parametrize(
    ("words", "seqs"), [(["--from", "2499"], [2499, 2500, 2501]), (["--from", "5", "--to", "6"], [5, 6]), (["--from", "9999"], [])]
)
def test_a_part_can_be_exported(file: Path, ask: Ask, words: list[str], seqs: list[int]) -> None:
    _, out, _ = ask("export", "--file", str(file), *words)
    assert [json.loads(line)["data"]["seq"] for line in out.splitlines()] == seqs


def test_a_whole_chain_is_verified(file: Path, ask: Ask) -> None:
    code, out, _ = ask("verify", "--file", str(file))
    assert (code, out.split(": ")[1]) == (0, "the chain holds over 2501 rows\n")


def changed(file: Path) -> None:
    data = file.read_bytes()
    assert data.count(b'"detail":"n 700"') == 1
    file.write_bytes(data.replace(b'"detail":"n 700"', b'"detail":"n 701"'))


def removed(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executescript("DROP TRIGGER event_is_kept_until_delivered; DELETE FROM event WHERE seq = 711")
    connection.close()


def unreadable(file: Path) -> None:
    with file.open("r+b") as handle:
        handle.seek(file.stat().st_size // 2)
        handle.write(b"\xa5" * 8192)


def newest_removed(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executescript("DROP TRIGGER event_is_never_changed; UPDATE mark SET seq = 3000 WHERE name = 'pruned'")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (changed, "broken after 710 rows: row 711 is not what was written"),
        (removed, "broken after 710 rows: row 711 is missing"),
        (unreadable, "its contents are damaged"),
        (newest_removed, "is missing"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_whatever_was_changed_is_found_and_gives_exit_code_1(file: Path, ask: Ask, damage: Callable[[Path], None], fault: str) -> None:
    damage(file)
    code, out, _ = ask("verify", "--file", str(file))
    assert code == 1
    assert fault in out


def test_the_counts_are_those_of_the_rows(file: Path, ask: Ask) -> None:
    code, out, _ = ask("stats", "--file", str(file), "--json")
    told = json.loads(out)
    assert code == 0
    assert told["events"] == {"access.granted": 9, "journal.epoch": 1, "service.closed": 2491}
    assert (told["first"], told["last"], told["delivered"], told["waiting"]) == (1, 2501, 10, 2491)
    assert ask("stats", "--file", str(file))[1].splitlines()[1].startswith("delivered up to 10; 2491 wait for the centre; ")


def test_a_journal_can_be_read_while_it_is_written(tmp_path: Path, ask: Ask) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", site="hk", gate="gate-1", simulation=False, clock=CLOCK)
    journal.commit([granted(CLOCK.now())])
    assert ask("verify", "--file", str(tmp_path / "journal.db"))[0] == 0
    journal.commit([granted(CLOCK.now(), grant=2)])
    journal.close()


def test_the_configuration_says_where_the_journal_is(file: Path, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(f'[gate]\nstate_dir = "{file.parent}"\n')
    assert ask("stats", "--config", str(tmp_path / "agent.toml"))[0] == 0


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_a_file_that_is_no_journal_is_said_in_one_sentence(tmp_path: Path, ask: Ask, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.db").write_bytes(content)
    for command in ("show", "export", "verify", "stats"):
        code, out, err = ask(command, "--file", str(tmp_path / "x.db"))
        assert (code, out) == (1, "")
        assert err.startswith("gate-agent: ")
        assert err.count("\n") == 1


# --- what a line says -------------------------------------------------------------------------------------------------------------


def shown(folder: Path, ask: Ask, *events: Event, words: tuple[str, ...] = ()) -> list[str]:
    """The lines of these events, without the first row."""
    journal = SqliteJournal(folder / "journal.db", site="hk", gate="gate-1", simulation=False, clock=CLOCK)
    journal.commit(list(events))
    journal.close()
    code, out, _ = ask("show", "--file", str(folder / "journal.db"), "-n", str(len(events)), *words)
    assert code == 0
    return out.splitlines()


def test_the_table_names_every_kind_of_event_and_only_fields_that_it_has() -> None:
    assert set(TELLING) == set(EventType)
    assert {
        kind: set(names) - EVENTS[kind].fields.keys() for kind, names in TELLING.items() if set(names) - EVENTS[kind].fields.keys()
    } == {}
    assert [kind for kind, spec in EVENTS.items() if spec.fields and not TELLING[kind]] == []


@pytest.mark.parametrize("kind", EventType)
def test_every_kind_of_event_says_what_it_is_about(tmp_path: Path, ask: Ask, kind: EventType) -> None:
    (line,) = shown(tmp_path, ask, event(kind, CLOCK.now()))
    assert kind in line
    assert [name for name in TELLING[kind] if f" {name}=" not in line] == []


def test_a_lock_down_says_on_or_off_who_and_why(tmp_path: Path, ask: Ask) -> None:
    fields: list[dict[str, Value]] = [{"on": True, "by": "wong", "reason": "lost badge"}, {"on": False, "by": "lee", "reason": "found"}]
    lines = shown(tmp_path, ask, *(event(EventType.LOCK_DOWN, CLOCK.now(), **each) for each in fields))
    assert [line.split("lane.lock_down")[1].strip() for line in lines] == [
        "on=true by=wong reason=lost badge",
        "on=false by=lee reason=found",
    ]


def test_a_roster_that_was_loaded_says_which_and_until_when(tmp_path: Path, ask: Ask) -> None:
    loaded = event(EventType.ROSTER_LOADED, CLOCK.now(), version=7, people=12, pack="mtcnn-dlib-1", expires=1_790_000_000)
    (line,) = shown(tmp_path, ask, loaded)
    assert "version=7 people=12 pack=mtcnn-dlib-1" in line
    assert line.endswith("expires=2026-09-21T14:13:20Z")


@pytest.mark.parametrize("words", [(), ("--all-fields",)])
def test_no_text_of_others_speaks_to_the_terminal(tmp_path: Path, ask: Ask, words: tuple[str, ...]) -> None:
    (line,) = shown(tmp_path, ask, event(EventType.LOCK_DOWN, CLOCK.now(), reason="a\x1b[2Jb\x9bc\nd\u202ee"), words=words)
    assert "reason=a\\x1b[2Jb\\x9bc\\nd\\u202ee" in line
    assert line.isprintable()


def test_a_verification_can_be_read_by_a_program(file: Path, ask: Ask) -> None:
    code, out, _ = ask("verify", "--json", "--file", str(file))
    told = json.loads(out)
    assert (code, told["ok"], told["verified"], told["last"], told["fault"]) == (0, True, 2501, 2501, None)
    changed(file)
    code, out, _ = ask("verify", "--json", "--file", str(file))
    told = json.loads(out)
    assert (code, told["ok"], told["verified"], told["fault"]) == (1, False, 710, "row 711 is not what was written")


def test_the_newest_rows_can_be_read_by_a_program(file: Path, ask: Ask) -> None:
    code, out, _ = ask("show", "--json", "-n", "2", "--file", str(file))
    assert (code, [each["data"]["fields"]["detail"] for each in json.loads(out)["rows"]]) == (0, ["n 2489", "n 2490"])
