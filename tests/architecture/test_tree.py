"""What holds for the tree as a whole: the sample configuration, the locks, and nothing of the machine that it was written on."""

import re
import tomllib
from pathlib import Path

import pytest

from agent.config import Config, example, load
from tests.architecture.source import ROOT, tracked_files

SAMPLE = ROOT / "config" / "agent.example.toml"


def test_the_sample_configuration_is_what_the_code_prints() -> None:
    assert SAMPLE.read_text(encoding="utf-8") == example(), "write it again: gate-agent check --print-example > config/agent.example.toml"


def test_the_sample_configuration_is_the_defaults() -> None:
    assert load(SAMPLE) == Config()


# Built from halves, so that this file does not hold what it looks for.
_WORKPLACE = re.compile("/" + "work/|" + r"\." + "library/|" + "py" + r"pi[-.]|python" + "hosted", re.IGNORECASE)


def workplace_names(text: str) -> list[str]:
    return [line for line in text.splitlines() if _WORKPLACE.search(line)]


def test_nothing_names_the_machine_or_the_index_it_was_made_with() -> None:
    named = {}
    for file in tracked_files():
        try:
            lines = workplace_names(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError:  # a picture
            continue
        if lines:
            named[str(file.relative_to(ROOT))] = lines[:3]
    assert named == {}


@pytest.mark.parametrize("text", ["see /" + "work/main", "--index-url https://py" + "pi.example/simple"])
def test_a_name_of_the_workplace_is_seen(text: str) -> None:
    assert workplace_names(text) == [text]


LOCKS = ("requirements/gate.txt", "requirements/boards.txt", "requirements/dev.txt")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_each_package_with_hashes_and_names_no_index(lock: str) -> None:
    lines = [line.split(" #")[0].strip() for line in (ROOT / lock).read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    strange = [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[^ ;]+( ; [^\\]+)? \\|--hash=sha256:[0-9a-f]{64}( \\)?", line)]
    assert strange == []
    unhashed = [a for a, b in zip(lines, [*lines[1:], ""], strict=True) if "==" in a and not b.startswith("--hash")]
    assert unhashed == []


def _pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE)
    return {name.replace(".", "-"): version for name, version in found}


def test_a_gate_gets_the_same_versions_as_the_tests() -> None:
    tested = _pins("requirements/dev.txt")
    assert {name: version for name, version in _pins("requirements/gate.txt").items() if tested.get(name) != version} == {}


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = dict.fromkeys(LOCKS, project["dependencies"])
    declared["requirements/dev.txt"] = [
        *project["dependencies"],
        *(d for extra in project["optional-dependencies"].values() for d in extra),
    ]
    for lock, wanted in declared.items():
        names = {re.split(r"[<>=~! ]", requirement)[0].replace("_", "-").lower() for requirement in wanted}
        assert names - _pins(lock).keys() == set(), lock


def test_no_unit_file_and_no_script_of_a_gate_simulates() -> None:
    simulating = [
        str(file.relative_to(ROOT))
        for file in tracked_files()
        if file.is_relative_to(ROOT / "systemd") and file.suffix != ".md" and "--simulation" in _without_comments(file)
    ]
    assert simulating == []


def _without_comments(file: Path) -> str:
    return "\n".join(line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#"))
