"""The bench tool while the agent runs: core, journal, driver and control socket are the agent's own, the controller an emulator."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.core.events import EventType
from agent.core.inputs import LockDownSet
from agent.diagnostics.barrier_tool import keys
from agent.drivers import journal_known
from agent.drivers.control_socket import ControlSocket, ask
from agent.drivers.journal_reader import JournalReader
from agent.drivers.staff_desk import Order, StaffDesk, TooSoon
from firmware_bridge.emulator.person import Behaviour
from tests.diagnostics.barrier_bench import Bench, Said
from tests.sim.oracle import problems
from tests.sim.waiting import wait_for


@pytest.fixture
def new_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def new(**options: Any) -> Bench:
        made.append(Bench(tmp_path, lambda: tuple(capsys.readouterr()), **options))  # type: ignore[arg-type, return-value]
        made[-1].start_agent()
        return made[-1]

    yield new
    for bench in made:
        bench.stop_agent()
        assert problems(bench.log(), bench.rows()) == []
        bench.close()


@pytest.fixture
def bench(new_bench: Callable[..., Bench]) -> Bench:
    return new_bench()


def order(bench: Bench, *words: str, direction: str = "entry") -> Said:
    return bench.barrier("release", "--direction", direction, *words)


def test_staff_let_somebody_through_and_the_journal_has_who_and_why_before_it_opened(bench: Bench) -> None:
    said = order(bench, *bench.staff())
    assert (said.code, said.out.splitlines()[-1]) == (0, "grant 1, entry: somebody passed")
    (granted,) = (row for row in bench.rows() if row["type"] == EventType.STAFF_GRANTED)
    assert granted["data"]["fields"].items() >= {"grant": 1, "staff": "li", "reason": "a wheelchair", "direction": "entry"}.items()
    assert granted["data"]["monotonic_ns"] <= bench.log("release")[0]["t_ns"]
    assert [(made["grant"], made["person"]) for made in bench.fields(EventType.PASSAGE_MADE)] == [(1, None)]
    with JournalReader(bench.folder / "journal.db") as reader:
        assert journal_known.last_known(reader.connection).last_passage == {}


def test_a_release_that_nobody_uses_is_told_as_the_journal_has_it(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(behaviour=Behaviour.NOBODY)
    bench.emulator.do({"set": {"beam_exit": True}})
    said = order(bench, *bench.staff(), "--json", direction="entry")
    assert (said.code, said.json) == (1, {"direction": "entry", "grant": 1, "end": "release.refused", "why": "lane_occupied"})


def denied(bench: Bench) -> list[tuple[str, str]]:
    return [(each["denial"], each["staff"]) for each in bench.fields(EventType.STAFF_DENIED)]


def test_in_a_lock_down_an_entry_is_denied_recorded_and_said(bench: Bench) -> None:
    assert bench.host is not None
    bench.host.mailbox.post(LockDownSet(on=True, by="ops", reason="drill"))
    said = order(bench, *bench.staff())
    assert (said.code, bench.releases(), denied(bench)) == (1, [], [("lock_down", "li")])
    assert said.out == "denied: Entry is locked down. (lock_down)\n"


def test_while_somebody_owns_the_lane_an_order_is_denied(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(behaviour=Behaviour.NOBODY)
    words = bench.staff()
    host = bench.host
    assert host is not None
    given = ask(bench.folder / "control.sock", {"ask": "order"})["order"]
    first = Order(staff="li", direction="entry", reason="r", **given)
    ask(bench.folder / "control.sock", keys.sign(first, keys.read_private(bench.folder / "li.key")))
    wait_for(lambda: host.runtime.state.lane.phase == "released")
    assert order(bench, *words).code == 1
    assert denied(bench) == [("busy", "li")]
    host.mailbox.post(LockDownSet(on=True, by="ops", reason="takes the first one back"))
    wait_for(lambda: bench.fields(EventType.PASSAGE_NOT_MADE))


def test_an_order_whose_answer_is_lost_is_told_as_the_journal_has_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ControlSocket._act

    def losing(desk: ControlSocket, request: Mapping[Any, Any], uid: int) -> Mapping[str, Any]:
        answer = real(desk, request, uid)
        if "do" in request:
            raise ConnectionAbortedError
        return answer

    monkeypatch.setattr(ControlSocket, "_act", losing)
    said = order(bench, *bench.staff())
    assert (said.code, said.out.splitlines()[-1]) == (0, "grant 1, entry: somebody passed")


def test_an_order_that_comes_right_after_anothers_is_sent_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real, judged = StaffDesk.judge, list[object]()

    def judge(desk: StaffDesk, *words: str, user: str) -> object:
        judged.append(TooSoon() if len(judged) < 2 else real(desk, *words, user=user))
        return judged[-1]

    monkeypatch.setattr(StaffDesk, "judge", judge)
    assert order(bench, *bench.staff()).code == 0
    assert len(judged) == 3


def test_a_full_disk_under_the_words_takes_no_release_back_and_its_end_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    words = bench.staff()
    with Path("/dev/full").open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", full)
        said = order(bench, *words)
    assert (said.code, bench.releases()) == (1, [1])
    assert "standard output cannot be written (No space left on device); grant 1, entry: somebody passed" in said.err


def test_an_order_with_the_key_of_somebody_unknown_is_denied_and_recorded(bench: Bench) -> None:
    private, _, _ = keys.make("wong", bench.folder)
    said = order(bench, "--staff", "wong", "--key", str(private), "--reason", "x", "--yes")
    assert (said.code, bench.releases(), denied(bench)) == (1, [], [("unknown_key", "wong")])
    assert "No key of that name is installed here" in said.out


def test_an_order_in_the_name_of_another_is_denied_and_recorded(bench: Bench) -> None:
    words = bench.staff("li")
    bench.staff("wong")
    words[1] = "wong"
    assert order(bench, *words).code == 1
    assert denied(bench) == [("wrong_signature", "wong")]


def test_an_order_needs_a_name_a_key_that_is_its_owners_alone_and_a_reason(bench: Bench) -> None:
    words = bench.staff()
    for without in ("--staff", "--key", "--reason"):
        at = words.index(without)
        said = order(bench, *words[:at], *words[at + 2 :])
        assert (said.code, said.err.count(f"missing: {without}")) == (2, 1)
    (bench.folder / "li.key").chmod(0o644)
    said = order(bench, *words)
    assert said.code == 1
    assert "chmod 0600" in said.err
    assert (bench.log("release"), bench.fields(EventType.STAFF_DENIED)) == ([], [])


def test_the_line_is_not_tested_while_the_agent_has_it(bench: Bench) -> None:
    for words in (("loopback",), ("loopback", "--plug"), ("soak",)):
        said = bench.barrier(*words)
        assert (said.code, said.out) == (1, "")
        assert "stop it first" in said.err


def test_a_watch_goes_through_the_agent(bench: Bench) -> None:
    said = bench.barrier("watch", "--for", "0.1", "--json")
    assert (said.code, said.json["through"], said.json["snapshot"]["phase"]) == (0, "agent", "secured")
    assert "through the running agent" in bench.barrier("watch", "--for", "0.1").out
