"""The documentation as the tests read it: links, paths and the commands of its `sh` blocks."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT, tracked_files


@dataclass(frozen=True, slots=True)
class Command:
    page: str
    words: tuple[str, ...]
    runnable: bool  # its block begins with ```sh run: a test runs it, in a folder of its own

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def pages() -> tuple[Path, ...]:
    return tuple(file for file in tracked_files() if file.suffix == ".md")


def links(text: str) -> list[str]:
    """Targets of links and pictures, without those to other sites."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target and not target.startswith("mailto:")]


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def named_paths(text: str) -> list[str]:
    """Paths of this tree in backticks: they begin with one of its folders and hold no placeholder."""
    folders = {file.relative_to(ROOT).parts[0] for file in tracked_files() if file.parent != ROOT}
    words = re.findall(r"`([\w./-]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [word for word in words if "/" in word and word.split("/")[0] in folders]


def commands(page: str, text: str) -> list[Command]:
    found = []
    for kind, block in re.findall(r"^```sh( run)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and (words[0] == "sudo" or re.fullmatch(r"[A-Z_]+=.*", words[0])):
                words = words[1:]
            if words:
                found.append(Command(page, tuple(words), bool(kind)))
    return found


def all_commands() -> tuple[Command, ...]:
    return tuple(c for page in pages() for c in commands(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")))
