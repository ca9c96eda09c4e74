"""The configuration: the sample equals the defaults, and every mistake is named with file, key and limit."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from agent.authority import plan
from agent.config import Config, example, load
from agent.settings import ConfigError

SAMPLE = Path(__file__).parents[2] / "config" / "agent.example.toml"


def kind_of(hint: Any) -> Any:
    """The dataclass of a table, also of a repeated one."""
    return get_args(hint)[0] if get_origin(hint) is tuple else hint


def write(folder: Path, text: str) -> Path:
    file = folder / "agent.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_sample_file_is_complete_and_equal_to_the_defaults() -> None:
    assert SAMPLE.read_text(encoding="utf-8") == example()
    assert load(SAMPLE) == Config()


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, "")) == Config()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[lane]\nwindow = 5", r"unknown key 'lane.window'; the keys here are: anti_passback, "),
        ("[gat]\n", r"unknown key 'gat'"),
        ("[lane]\nrelease_window_ms = 10001", r"'lane.release_window_ms' is 10001; the greatest value is 10000"),
        ("[lane]\nrelease_window_ms = 499", r"'lane.release_window_ms' is 499; the least value is 500"),
        ("[lane]\nrelease_window_ms = true", r"'lane.release_window_ms' is True; it must be a whole number"),
        ("[lane]\nrelease_window_ms = 900.5", r"'lane.release_window_ms' is 900.5; it must be a whole number"),
        ('[lane]\nanti_passback = "soft"', r"'lane.anti_passback' is 'soft'; it must be one of: off, hard"),
        ("lane = 3", r"'lane' must be a table"),
        ("[camera]\n", r"'camera' must be a list"),
        ('[gate]\nsite = ""', r"'gate.site' is ''; the least length is 1"),
        ('[lane]\noutside = "bridge"', r"'lane.outside' and 'lane.inside' are both 'bridge'"),
        ('[[camera]]\nsource = "rtsp://camera/1"', r"set allow_network_camera = true"),
        ("[[camera]]\n[[camera]]\n", r"two cameras have the same 'name'"),
        ('[[camera]]\n[[camera]]\nname = "b"\n', r"two cameras have the same 'direction'"),
        ("[barrier]\nlink_inside_cabinet = true", r"set either 'barrier.key_file' or"),
        ('[barrier]\nkey_file = ""', r"set either 'barrier.key_file' or"),
        ('[uplink]\ntls = false\nhost = "broker.example"', r"'uplink.tls' is false and the broker is 'broker.example'"),
        ('[gate]\nsite = "a/b"', r"'gate.site' is 'a/b'; it stands in topics and certificates"),
        ("[[camera]]\nlane_left = nan", r"'camera\[0\].lane_left' is nan; it must be a number that is neither infinite nor nan"),
        ("[recognition]\nmin_eye_distance_px = nan", r"'recognition.min_eye_distance_px' is nan; it must be a number"),
        ("[recognition]\nmax_yaw = -inf", r"'recognition.max_yaw' is -inf; it must be a number"),
        ("[journal]\ncommit_budget_ms = inf", r"'journal.commit_budget_ms' is inf; it must be a number"),
        ("[[camera]]\nwidth = 1" + "0" * 400, r"'camera\[0\].width' is 10+; the greatest value is 3840"),
        ("[[camera]]\nwidth = 1" + "0" * 5000, r"is not TOML: Exceeds the limit"),
        ("a = " + "[" * 3000 + "]" * 3000, r"is not TOML: maximum recursion"),
        ('[gate]\nstate_dir = "/var/\\u0000lib"', r"'gate.state_dir' holds the control character '\\x00'; leave it out"),
        ('[lane]\ninside = "bridge\\u001b[2J"', r"'lane.inside' holds the control character '\\x1b'; leave it out"),
        ("[gate\n", r"is not TOML: .*line 1"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_limit(tmp_path: Path, text: str, sentence: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: .*{sentence}"):
        load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml: cannot be read \(No such file or directory\)"):
        load(tmp_path / "nowhere.toml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 0\)"):
        load(file)


FRACTIONS = [
    (table.name, key.name)
    for table in fields(Config)
    for key in fields(kind_of(get_type_hints(Config)[table.name]))
    if get_type_hints(kind_of(get_type_hints(Config)[table.name]))[key.name] is float
]


@pytest.mark.parametrize(("table", "key"), FRACTIONS, ids=str)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_no_key_takes_what_is_no_number(tmp_path: Path, table: str, key: str, value: str) -> None:
    heading = f"[[{table}]]" if table == "camera" else f"[{table}]"
    with pytest.raises(ConfigError, match=rf"{key}' is {value}; it must be a number that is neither infinite nor nan"):
        load(write(tmp_path, f"{heading}\n{key} = {value}\n"))


@pytest.mark.parametrize("key", ["stale_after_days", "expires_days"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_an_authoritys_file_is_held_to_the_same(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"'release.{key}' is {value}; it must be a number that is neither infinite nor nan"):
        plan.load(write(tmp_path, f"[release]\n{key} = {value}\n"))
