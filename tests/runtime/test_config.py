"""The configuration: the sample equals the defaults, and every mistake is named with file, key and limit."""

import re
from pathlib import Path

import pytest

from agent.config import Config, example, load
from agent.settings import ConfigError

SAMPLE = Path(__file__).parents[2] / "config" / "agent.example.toml"


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
