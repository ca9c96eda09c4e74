"""docs/ROSTER.md says what the code does: every refusal, command, key and limit stands in it."""

import argparse
from pathlib import Path
from typing import Any

import cbor2
import pytest

from agent.authority.cli import _parser
from agent.authority.repository import Times
from agent.authority.synthetic import roster
from agent.roster import codec, document
from agent.roster.errors import Reason
from agent.roster.secrecy import CONTEXT, new_key

TEXT = (Path(__file__).parents[2] / "docs" / "ROSTER.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_has_its_row(reason: Reason) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    assert any(f"`{reason}`" in row.split("|")[1] for row in rows)


def commands() -> list[str]:
    (action,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    return sorted(action.choices)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_named(command: str) -> None:
    synopsis = TEXT.split("## For operators")[1].split("Each command takes")[0]
    assert command in synopsis


def keys(value: Any) -> set[str]:
    match value:
        case dict():
            return {key for key in value if key != "always"} | {key for item in value.values() for key in keys(item)}
        case list():
            return {key for item in value for key in keys(item)}
        case _:
            return set()


def test_every_key_of_the_document_is_described() -> None:
    data = codec.encode(roster(1, key=new_key(), site="site", pack="pack", version=1, times=Times(1, 2, 3)))
    described = TEXT.split("### Document")[1]
    assert [key for key in sorted(keys(cbor2.loads(data))) if f"{key}:" not in described] == []


@pytest.mark.parametrize(
    "limit",
    [
        document.VERSION_MAX,
        document.TIME_MAX_S,
        document.PEOPLE_MAX,
        document.VALIDITY_MAX_S // 86_400,
        f"*{document.LEVELS_MAX} ",
        f"*{document.AREAS_MAX} ",
        f"1*{document.REFERENCES_MAX} ",
        f"*{document.LEVELS_OF_A_PERSON_MAX} ",
        "{}..{}".format(*document.TEMPLATE_LENGTHS),
        document.SUITE,
        CONTEXT,
    ],
)
def test_every_limit_is_written_as_it_is_kept(limit: object) -> None:
    assert str(limit) in TEXT
