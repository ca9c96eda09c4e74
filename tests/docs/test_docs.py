"""What the documentation names exists: pages, headings, files, tests, and commands with their options."""

import argparse
import importlib
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import ROOT
from tests.docs.pages import Command, all_commands, anchors, commands, links, named_paths, pages

# Programs of the system that the pages tell a person to use.
OF_THE_SYSTEM = frozenset(
    {
        *("apt-get", "cat", "cc", "cd", "chmod", "cp", "git", "head", "install", "journalctl", "ln", "ls", "make", "mkdir"),
        *(
            "mosquitto",
            "openssl",
            "pip",
            "python3",
            "rm",
            "sqlite3",
            "systemctl",
            "systemd-sysusers",
            "systemd-tmpfiles",
            "timedatectl",
            "udevadm",
            "xxd",
        ),
    }
)


def test_every_link_leads_somewhere() -> None:
    dead = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for link in links(text):
            place, _, anchor = link.partition("#")
            target = page.parent / place if place else page
            if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
                dead.append(f"{page.relative_to(ROOT)}: {link}")
    assert dead == []


def test_every_path_that_is_named_exists() -> None:
    found = [(page, path) for page in pages() for path in named_paths(page.read_text(encoding="utf-8"))]
    assert len(found) > 10
    # build/ is made by script/setup; the others stand in the tree
    assert [
        f"{page.relative_to(ROOT)}: {path}" for page, path in found if not (ROOT / path).exists() and not path.startswith("build/")
    ] == []


def test_every_decision_is_in_the_list_and_numbered_once() -> None:
    folder = ROOT / "docs" / "adr"
    decisions = sorted(file.name for file in folder.glob("[0-9]*.md"))
    assert sorted(set(links((folder / "README.md").read_text(encoding="utf-8")))) == decisions
    assert len({name[:4] for name in decisions}) == len(decisions)


class _Parsed(Exception):  # noqa: N818  not an error: it ends a program after its arguments
    pass


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Sequence[str]], None]:
    """Give words to a program of ours, with its real parser, and stop before it does anything."""
    original = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *args: Any, **named: Any) -> None:
        original(self, *args, **named)
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]

    def parse_words(program: str, words: Sequence[str]) -> None:
        module, _, function = scripts[program].partition(":")
        with pytest.raises(_Parsed):
            getattr(importlib.import_module(module), function)(list(words))

    return parse_words


def test_the_pages_show_commands_of_all_three_programs() -> None:
    """Were the blocks not found, the tests below would check nothing."""
    shown = {Path(c.words[0]).name for c in all_commands()}
    assert {"gate-agent", "gate-roster", "gate-collector", "demo", "test"} <= shown


@pytest.mark.parametrize("command", all_commands(), ids=str)
def test_a_command_in_the_documentation_exists_with_its_options(
    command: Command, parse: Callable[[str, Sequence[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = command.words
    name = Path(program).name
    if program.startswith(("script/", ".ci/")):
        script = ROOT / program
        assert os.access(script, os.X_OK)
        assert [w for w in words if w.startswith("-") and w not in script.read_text(encoding="utf-8")] == []
    elif name.startswith("gate-"):
        if "--help" in words or "--version" in words:
            with pytest.raises(SystemExit) as left:
                parse(name, words)
            assert left.value.code == 0, capsys.readouterr().err
        else:
            parse(name, words)
    else:
        assert name in OF_THE_SYSTEM, f"{name} is no program of ours; add it to OF_THE_SYSTEM if a person should use it"


@pytest.mark.parametrize("words", ["gate-agent fly", "gate-agent check --confg x", "gate-agent doctor extra"])
def test_a_command_that_does_not_exist_is_seen(
    words: str, parse: Callable[[str, Sequence[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = commands("page", f"```sh\n{words}\n```\n")
    with pytest.raises(SystemExit):
        parse(command.words[0], command.words[1:])
    assert "usage" in capsys.readouterr().err


SAFETY = ROOT / "docs" / "SAFETY.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_test_that_the_safety_page_names_exists() -> None:
    named = _TEST.findall(SAFETY.read_text(encoding="utf-8"))
    missing = [f"{f}::{t}" for f, t in named if not (ROOT / f).is_file() or f"def {t}(" not in (ROOT / f).read_text(encoding="utf-8")]
    assert missing == []


def test_every_safety_rule_names_files_and_tests() -> None:
    rules = re.findall(r"^## Rule (\d+)\n(.*?)(?=^## )", SAFETY.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in rules] == list(range(1, 12))
    assert [number for number, text in rules if not _TEST.search(text) or "Kept in `" not in text] == []
