"""The tree as the architecture tests read it: parsed, never imported."""

import ast
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "models", "firmware_bridge")


@dataclass(frozen=True, slots=True)
class Module:
    name: str  # dotted; a package's own file carries the package's name
    place: str  # path from the root of the tree
    tree: ast.Module
    lines: int


def module(name: str, text: str, place: str = "") -> Module:
    return Module(name, place or name.replace(".", "/") + ".py", ast.parse(text), len(text.splitlines()))


@cache
def modules() -> tuple[Module, ...]:
    """Every file of the three packages."""
    return tuple(_read(file) for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))


def _read(file: Path) -> Module:
    place = file.relative_to(ROOT)
    parts = place.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return module(name, file.read_text(encoding="utf-8"), str(place))


@cache
def tracked_files() -> tuple[Path, ...]:
    """What git holds or would take: no build output, no environment."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    return tuple(ROOT / name for name in found.split("\0") if name and (ROOT / name).is_file())


def longest_prefix(name: str, prefixes: Sequence[str]) -> str | None:
    """The most particular of the dotted prefixes that `name` lies in."""
    fitting = [prefix for prefix in prefixes if lies_in(name, prefix)]
    return max(fitting, key=len, default=None)


def lies_in(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def imports(of: Module, known: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Each imported module with its line, those under TYPE_CHECKING too. `known` tells a module from a name inside one."""
    for node in ast.walk(of.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(of, node)
            yield from ((f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base, node.lineno) for alias in node.names)


def _absolute(of: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = of.name.split(".") if of.place.endswith("__init__.py") else of.name.split(".")[:-1]
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def listed(faults: Sequence[object]) -> str:
    """The message of a failed assertion: every fault on a line of its own."""
    return "\n".join(["", *map(str, faults)])
