"""The demo as a visitor runs it, once; and its judge, who must not be talked into anything: the same evidence, doctored."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agent.diagnostics.demo import judge
from agent.diagnostics.demo.__main__ import emptied
from agent.diagnostics.demo.judge import Evidence
from agent.diagnostics.demo.site import Site
from agent.errors import UsageError
from tests.sim import town as towns

FIGURES = {"granted": 2, "denied": 1, "released": 2, "passages": 2, "duplicates": 0}
KEYS = [*list(FIGURES)[:4], "events_recorded", "events_delivered", "duplicates", "decision_ms"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One demo: its exit code, what it printed, and what it left."""

    code: int
    lines: list[str]
    folder: Path
    evidence: Evidence

    @property
    def between_ns(self) -> dict[str, int]:
        """Times just around the passage that was made while the broker was dead."""
        passed_ns = [line["t_ns"] for line in self.evidence.log if line["kind"] == "passage_completed"][-1]
        return {"killed_ns": passed_ns - 1, "back_ns": passed_ns + 1}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    missing = towns.missing()
    if missing:
        pytest.skip(f"no demo without models and portraits: {missing}")
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "agent.diagnostics.demo", "--json", "--into", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110)
    assert done.stdout, done.stderr
    return Shown(done.returncode, done.stdout.splitlines(), folder, judge.collect(Site(folder)))


def test_the_demo_succeeds_and_prints_its_facts_last(shown: Shown) -> None:
    assert shown.code == 0, "\n".join(shown.lines)
    facts = json.loads(shown.lines[-1])
    assert list(facts) == KEYS
    assert {name: facts[name] for name in FIGURES} == FIGURES
    assert facts["events_delivered"] == facts["events_recorded"] > 15
    assert list(facts["decision_ms"]) == ["p50", "p99"]
    assert 0 < facts["decision_ms"]["p50"] <= facts["decision_ms"]["p99"]


def test_the_page_and_the_timeline_say_what_they_show(shown: Shown) -> None:
    page = (shown.folder / "index.html").read_text(encoding="utf-8")
    for text in (page, "\n".join(shown.lines)):
        assert "SIMULATION - presentation attack detection is OFF" in text
        assert "somebody begins to pass" in text
    pictures = sorted(file.name for file in (shown.folder / "pictures").glob("*.png"))
    assert len(pictures) == 3
    assert [name for name in pictures if f"pictures/{name}" not in page] == []
    assert page.count("http") == 0, "it opens without a network"


def test_a_second_demo_does_not_touch_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("mine")
    command = [sys.executable, "-m", "agent.diagnostics.demo", "--into", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, (tmp_path / "letter").read_text()) == (2, "mine")
    assert len(done.stderr.splitlines()) == 1


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("names", [["agent.toml"], ["broker/README.md"], ["agent.toml", "broker/README.md"], [".gate-agent-demo"]], ids=str)
def test_a_folder_with_the_names_of_a_demo_and_not_its_mark_is_left_alone(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="no mark that a demo made it"):
        emptied(tmp_path)
    assert contents(tmp_path) == before


def test_the_demo_empties_what_it_made_itself(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    for _ in range(2):
        assert emptied(folder) == folder
        assert list(contents(folder)) == [".gate-agent-demo"]
        (folder / "broker").mkdir()
        (folder / "broker" / "log").write_text("old")


@pytest.mark.parametrize("kind", ["a file", "a pipe", "below a file"])
def test_what_can_be_no_folder_is_said_in_words(tmp_path: Path, kind: str) -> None:
    there = tmp_path / "there"
    os.mkfifo(there) if kind == "a pipe" else there.write_text("mine")
    with pytest.raises(UsageError, match="cannot be used"):
        emptied(there / "demo" if kind == "below a file" else there)
    assert there.exists()


# --- the judge ------------------------------------------------------------------------------------------------------------------------

Lines = list[dict[str, Any]]


def found(shown: Shown, evidence: Evidence) -> list[str]:
    return judge.problems(evidence, **shown.between_ns)


def test_what_happened_is_right_to_the_judge(shown: Shown) -> None:
    assert found(shown, shown.evidence) == []


def of_kind(lines: Lines, kind: str) -> dict[str, Any]:
    return next(line for line in lines if line.get("kind") == kind or line.get("type") == kind)


def released_without_a_grant(log: Lines) -> None:
    log.append({**of_kind(log, "release"), "grant_number": 99})


def nobody_passed(log: Lines) -> None:
    log.remove(of_kind(log, "passage_completed"))


def passed_twice(log: Lines) -> None:
    log.append(of_kind(log, "passage_completed"))


def passed_the_other_way(log: Lines) -> None:
    of_kind(log, "passage_completed")["direction"] = "EXIT"


def refused_by_the_controller(log: Lines) -> None:
    of_kind(log, "release")["result"] = "REFUSED"


@pytest.mark.parametrize(
    ("doctor", "words"),
    [
        (released_without_a_grant, "released for grants [99], which no event names"),
        (nobody_passed, "passages is 1, not 2"),
        (passed_twice, "passages is 3, not 2"),
        (passed_the_other_way, "the passages were"),
        (refused_by_the_controller, "released is 1, not 2"),
    ],
)
def test_a_controller_that_did_something_else_is_seen(shown: Shown, doctor: Callable[[Lines], None], words: str) -> None:
    log = copy.deepcopy(list(shown.evidence.log))
    doctor(log)
    assert words in "; ".join(found(shown, replace(shown.evidence, log=log)))


def one_lost(events: Lines) -> None:
    events.remove(of_kind(events, "roster.loaded"))


def not_said_to_be_simulated(events: Lines) -> None:
    of_kind(events, "service.opened")["data"]["simulation"] = False


def a_stranger_granted(events: Lines) -> None:
    of_kind(events, "access.granted")["data"]["fields"]["person"] = "stranger"


def a_denial_missing(events: Lines) -> None:
    of_kind(events, "access.denied")["type"] = "access.pending"


def a_grant_of_another_number(events: Lines) -> None:
    of_kind(events, "access.granted")["data"]["fields"]["grant"] = 7


@pytest.mark.parametrize(
    ("doctor", "words"),
    [
        (one_lost, "events_delivered is"),
        (not_said_to_be_simulated, "does not say that it is a simulation"),
        (a_stranger_granted, "only eileen is enrolled"),
        (a_denial_missing, "denied is 0, not 1"),
        (a_grant_of_another_number, "which no event names"),
    ],
)
def test_events_that_say_something_else_are_seen(shown: Shown, doctor: Callable[[Lines], None], words: str) -> None:
    events = copy.deepcopy(list(shown.evidence.events))
    doctor(events)
    assert words in "; ".join(found(shown, replace(shown.evidence, events=events)))


def test_a_duplicate_a_refusal_a_broken_chain_and_a_row_that_did_not_arrive_are_seen(shown: Shown) -> None:
    evidence = shown.evidence
    assert "duplicates is 1, not 0" in found(shown, replace(evidence, duplicates=1))
    assert "the collector refused 2 messages" in found(shown, replace(evidence, refused=2))
    assert "epoch: row 3 is not what was written" in found(shown, replace(evidence, chain=["epoch: row 3 is not what was written"]))
    assert f"events_delivered is {evidence.recorded}, not {evidence.recorded + 1}" in found(
        shown, replace(evidence, recorded=evidence.recorded + 1)
    )


def test_a_broker_that_was_not_dead_while_somebody_passed_is_seen(shown: Shown) -> None:
    last_ns = max(line["t_ns"] for line in shown.evidence.log)
    assert judge.problems(shown.evidence, killed_ns=last_ns, back_ns=last_ns + 1) == ["nobody passed while the broker was dead"]
