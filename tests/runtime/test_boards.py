"""The configuration of a bought board: what cannot be is refused with what to do, and what is lost is said, rule by rule."""

import json
import os
import pty
from pathlib import Path

import pytest

from agent.barrier_config import BarrierKind, BoardFlash
from agent.barrier_parts import BarrierNeeds, barrier, wiring
from agent.barrier_plan import assurance
from agent.cli import main
from agent.config import load
from agent.core.identity import Direction, GrantNumber
from agent.drivers.barrier import SerialBarrier
from agent.drivers.board_barrier import BoardBarrier
from agent.drivers.board_lane import Wiring
from agent.errors import UsageError
from agent.plan import plan
from agent.plan_line import Verdict
from agent.settings import ConfigError
from firmware_bridge.assurance import CONCERNED_RULES, CONTROLLER, MODBUS, OSDP, RELAY, Assurance, Keeping
from firmware_bridge.modbus_words import FLASHES

CABINET = 'key_file = ""\nlink_inside_cabinet = true\n'
WALK = "[lane]\nsubject_lost_ms = 3000\n"
MODBUS_LANE = f'{WALK}[barrier]\nkind = "modbus"\n{CABINET}'
RELAY_LANE = (
    f'[lane]\nanti_passback = "off"\n[barrier]\nkind = "relay"\nallow_unsafe_actuator = true\n{CABINET}'
    "[board]\ninput_passed_entry = -1\ninput_passed_exit = -1\ninput_emergency = -1\n"
)


def written(folder: Path, text: str) -> Path:
    file = folder / "agent.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (WALK + '[barrier]\nkind = "modbus"\n', "'barrier.key_file' is set, and kind = \"modbus\" knows no key"),
        (WALK + f'[barrier]\nkind = "osdp"\n{CABINET}', "an OSDP board is used with its secure channel only"),
        (f'[barrier]\nkind = "relay"\n{CABINET}', "set allow_unsafe_actuator = true on a bench"),
        (RELAY_LANE.replace("input_emergency = -1", "input_emergency = 2"), "a plain relay reads nothing"),
        (RELAY_LANE.replace('"off"', '"hard"'), "without 'board.input_passed_entry' nobody sees who passed"),
        (MODBUS_LANE + "[board]\naddress = 0\n", "to which no Modbus board answers"),
        (WALK + '[barrier]\nkind = "osdp"\n[board]\naddress = 127\n', "an OSDP board has one from 0 to 126"),
        (MODBUS_LANE + "[board]\npulse_ms = 250\n", "boards count in steps of 100 ms"),
        (MODBUS_LANE + "[board]\npulse_ms = 1100\n", "the greatest value is 1000"),
        (MODBUS_LANE + "[board]\noutput_entry = -1\n", "camera 'entry' serves that direction"),
        (MODBUS_LANE + "[board]\noutput_exit = 0\n", "'board.output_entry' and 'board.output_exit' are both 0"),
        (MODBUS_LANE + "[board]\ninput_emergency = 1\n", "'board.input_passed_exit' and 'board.input_emergency' are both 1"),
        (MODBUS_LANE.replace("3000", "700"), "'lane.subject_lost_ms' is 700"),
        (MODBUS_LANE + '[board]\nflash = "guess"\n', "it must be one of: coil_0200, register_3"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, text))
    assert named in str(error.value)


def test_the_flashes_of_the_configuration_are_those_of_the_driver() -> None:
    assert {str(flash) for flash in BoardFlash} == set(FLASHES)


def test_the_wiring_is_what_the_configuration_says(tmp_path: Path) -> None:
    board = load(written(tmp_path, MODBUS_LANE + "[board]\noutput_exit = -1\ninput_passed_exit = -1\ninput_emergency = 5\n")).board
    assert wiring(board) == Wiring(outputs={Direction.ENTRY: 0}, passed={Direction.ENTRY: 0}, emergency=5)
    assert wiring(board).inputs == 6


# --- what is lost -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [CONTROLLER, OSDP, MODBUS, RELAY])
def test_every_table_says_a_sentence_of_each_rule_that_concerns_a_controller(table: Assurance) -> None:
    assert tuple(rule.rule for rule in table.rules) == CONCERNED_RULES
    assert all(rule.meaning.endswith(".") for rule in table.rules)


def test_only_our_controller_keeps_every_rule() -> None:
    lost = {table.hardware: [rule.rule for rule in table.not_kept] for table in (CONTROLLER, OSDP, MODBUS, RELAY)}
    assert lost == {
        "the controller": [],
        "an OSDP output board": [1, 2, 3, 4, 5, 6, 8],
        "a Modbus relay board": [1, 2, 3, 4, 5, 6, 8],
        "a plain relay": [1, 2, 3, 4, 5, 6, 8],
    }


@pytest.mark.parametrize(("text", "table"), [(MODBUS_LANE, MODBUS), (RELAY_LANE, RELAY)])
def test_check_prints_each_rule_that_is_not_kept_with_what_it_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, table: Assurance
) -> None:
    main(["check", "--config", str(written(tmp_path, text))])
    printed = " ".join(capsys.readouterr().out.split())
    for rule in table.rules:
        assert f"rule {rule.rule} {'LOST' if rule.keeping is Keeping.LOST else 'KEPT ELSEWHERE'}" in printed
        assert rule.meaning in printed


OSDP_LANE = f'{WALK}[barrier]\nkind = "osdp"\n'
LOOSE = "[board]\ninput_passed_entry = -1\ninput_passed_exit = -1\ninput_emergency = -1\n"


@pytest.mark.parametrize(("text", "table"), [(MODBUS_LANE, MODBUS), (OSDP_LANE, OSDP)])
def test_a_board_that_is_wired_whole_has_the_table_of_its_kind(tmp_path: Path, text: str, table: Assurance) -> None:
    assert assurance(load(written(tmp_path, text))) == table


@pytest.mark.parametrize("text", [MODBUS_LANE, OSDP_LANE])
def test_without_a_fire_contact_nobody_is_told_that_a_fire_is_noticed(tmp_path: Path, text: str) -> None:
    config = load(written(tmp_path, text + "[board]\ninput_emergency = -1\n"))
    (rule,) = [rule for rule in assurance(config).rules if rule.rule == 4]
    assert "When the fire input clears" not in rule.meaning
    assert "This program is not told of a fire: it goes on granting entry." in rule.meaning
    (line,) = [line for line in plan(config, simulation=False) if line.key == "board.input_emergency"]
    assert (line.verdict, "goes on granting entry" in line.text) == (Verdict.WARNING, True)


@pytest.mark.parametrize("text", [MODBUS_LANE, OSDP_LANE])
def test_without_its_contact_a_passage_is_said_to_be_seen_by_nobody(tmp_path: Path, text: str) -> None:
    off = text.replace("[lane]\n", '[lane]\nanti_passback = "off"\n')
    for board, unseen, seen in (("[board]\ninput_passed_exit = -1\n", "exit", True), (LOOSE, "entry and exit", False)):
        config = load(written(tmp_path, off + board))
        (rule,) = [rule for rule in assurance(config).rules if rule.rule == 6]
        assert f"For {unseen} no contact is wired: nobody sees who walks through" in rule.meaning
        assert ("a passage is seen once the contact" in rule.meaning) is seen
        warned = [line.key for line in plan(config, simulation=False) if line.key.startswith("board.input_passed")]
        assert warned == [f"board.input_passed_{direction}" for direction in unseen.split(" and ")]


def test_of_our_controller_check_prints_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--config", str(written(tmp_path, ""))])
    said = [line for line in capsys.readouterr().out.splitlines() if "rule" in line]
    assert len(said) == 1
    assert said[0].endswith("the controller keeps safety rules 1, 2, 3, 4, 5, 6, 8 by itself")


def test_a_program_gets_the_rules_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--json", "--config", str(written(tmp_path, MODBUS_LANE))])
    table = json.loads(capsys.readouterr().out)["assurance"]
    assert table["hardware"] == "a Modbus relay board"
    assert [(rule["rule"], rule["keeping"]) for rule in table["rules"] if rule["keeping"] == "lost"] == [
        (3, "lost"),
        (6, "lost"),
        (8, "lost"),
    ]


# --- what is made of it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("simulation", "expected"), [(False, Verdict.REFUSED), (True, Verdict.OK)])
def test_a_pretended_board_goes_with_a_simulation_only(tmp_path: Path, simulation: bool, expected: Verdict) -> None:
    ends = pty.openpty()
    config = load(written(tmp_path, MODBUS_LANE.replace("[barrier]", f'[barrier]\nport = "{os.ttyname(ends[1])}"')))
    found = {line.key: line.verdict for line in plan(config, simulation=simulation)}
    for end in ends:
        os.close(end)
    assert found["barrier.port"] is expected


def test_a_real_port_does_not_go_with_a_simulation(tmp_path: Path) -> None:
    config = load(written(tmp_path, MODBUS_LANE.replace("[barrier]", '[barrier]\nport = "/dev/null"')))
    (port,) = [line for line in plan(config, simulation=True) if line.key == "barrier.port"]
    assert (port.verdict, "a simulation switches nothing real" in port.text) == (Verdict.REFUSED, True)


def needs() -> BarrierNeeds:
    return BarrierNeeds(simulation=True, highest=GrantNumber(0), post=lambda _: None, control_fresh_ns=lambda: 0)


@pytest.mark.parametrize(
    ("text", "made"),
    [(f"[barrier]\n{CABINET}", SerialBarrier), (MODBUS_LANE, BoardBarrier), (RELAY_LANE, BoardBarrier)],
)
def test_each_kind_has_its_driver(tmp_path: Path, text: str, made: type) -> None:
    config = load(written(tmp_path, text))
    thread = barrier(config, needs())
    assert type(thread) is made
    thread.start()
    thread.stop()
    assert thread.join(5)


def test_an_osdp_key_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("00" * 16, encoding="ascii")
    config = load(written(tmp_path, f'{WALK}[barrier]\nkind = "osdp"\nkey_file = "{key}"\n'))
    assert assurance(config) == OSDP
    with pytest.raises(UsageError, match="can be guessed"):
        barrier(config, needs())


def test_the_kinds_are_all_that_there_is_an_assurance_for(tmp_path: Path) -> None:
    assert assurance(load(written(tmp_path, ""))) is CONTROLLER
    assert len(BarrierKind) == len((CONTROLLER, OSDP, MODBUS, RELAY))
