"""Frozen structs from TOML: each field of a dataclass is a key, and says its default, its unit, its limits and what it is for.

The same declaration parses a file, refuses what it does not know, and prints the sample file, so the three cannot differ.
"""

import dataclasses
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast, get_type_hints

from agent.errors import UsageError


class ConfigError(UsageError):
    """A key or value that is not understood; the sentence names file, key, limit and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a value may be: a range for numbers, a least and greatest length for strings."""

    low: float | None = None
    high: float | None = None


def setting(default: Any, doc: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A key with its documented default. `low` and `high` are inclusive: of a number its value, of a string its length."""
    metadata = {"doc": doc, "limits": Limits(low, high)}
    if isinstance(default, list | dict):
        raise TypeError("a default must be immutable")
    return field(default=default, metadata=metadata)


def section(kind: type, doc: str) -> Any:
    """A table of keys."""
    return field(default_factory=kind, metadata={"doc": doc})


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        OSError: it cannot be read.
        ConfigError: it is not UTF-8 text, or not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # not only of TOML: a number of 5,000 digits, lists a thousand deep
        raise ConfigError(f"{file}: is not TOML: {error}") from error


def parse(kind: type[Any], data: Mapping[str, Any], *, file: str, path: str = "") -> Any:
    """Make a `kind` from a TOML table.

    Raises:
        ConfigError: an unknown key, a wrong type, or a value outside its limits.
    """
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}
    for key in data:
        if key not in known:
            raise ConfigError(f"{file}: unknown key '{path}{key}'; the keys here are: {', '.join(sorted(known))}")
    values = {name: _value(known[name], hints[name], value, file=file, key=f"{path}{name}") for name, value in data.items()}
    missing = [n for n, f in known.items() if n not in data and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise ConfigError(f"{file}: '{path}{missing[0]}' is missing and has no default")
    return kind(**values)


def _value(spec: Field[Any], hint: Any, value: Any, *, file: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{file}: '{key}' must be a table ([{key}]), not {value!r}")
        return parse(cast("type[Any]", hint), value, file=file, path=f"{key}.")
    if getattr(hint, "__origin__", None) is tuple:
        (inner, _) = hint.__args__
        if not isinstance(value, list):
            raise ConfigError(f"{file}: '{key}' must be a list, not {value!r}")
        return tuple(_value(spec, inner, item, file=file, key=f"{key}[{i}]") for i, item in enumerate(value))
    return _scalar(spec.metadata.get("limits", Limits()), hint, value, where=f"{file}: '{key}'")


def _scalar(limits: Limits, hint: Any, value: Any, *, where: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        try:
            return hint(value)
        except ValueError:
            raise ConfigError(f"{where} is {value!r}; it must be one of: {', '.join(hint)}") from None
    wanted: dict[Any, tuple[type, ...]] = {str: (str,), Path: (str,), int: (int,), float: (int, float), bool: (bool,)}
    kinds = wanted[hint]
    if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} is {_brief(value)}; it must be {_KIND_NAMES[hint]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value!r}; it must be {_KIND_NAMES[hint]} that is neither infinite nor nan")  # no limit holds a nan
    if isinstance(value, str) and (control := _CONTROL.search(value)):
        raise ConfigError(f"{where} holds the control character {control[0]!r}; leave it out")
    size = len(value) if isinstance(value, str) else cast("float", value)
    if limits.low is not None and size < limits.low:
        raise ConfigError(f"{where} is {_brief(value)}; the least {_what(hint)} is {limits.low:g}")
    if limits.high is not None and size > limits.high:
        raise ConfigError(f"{where} is {_brief(value)}; the greatest {_what(hint)} is {limits.high:g}")
    return hint(value)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no name, path or address holds; some of it would speak to a terminal, and no path may hold a zero byte."""

_KIND_NAMES = MappingProxyType(
    {str: "a string", Path: "a string (a path)", int: "a whole number", float: "a number", bool: "true or false"}
)


def _brief(value: Any) -> str:
    return f"{value!r:.80}"


def _what(hint: Any) -> str:
    return "length" if hint in (str, Path) else "value"


def sample(kind: type[Any], *, heading: str) -> str:
    """The whole sample file: every key with its default, unit, limits and purpose."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    for spec in fields(kind):
        hint = get_type_hints(kind)[spec.name]
        many = getattr(hint, "__origin__", None) is tuple
        inner = hint.__args__[0] if many else hint
        title = f"[[{spec.name}]]" if many else f"[{spec.name}]"
        lines += ["", *(f"# {line}" for line in spec.metadata["doc"].splitlines()), title]
        lines += [line for f in fields(inner) for line in _sample_key(f, get_type_hints(inner)[f.name])]
    return "\n".join(lines) + "\n"


def _sample_key(spec: Field[Any], hint: Any) -> list[str]:
    note = spec.metadata["doc"]
    limits = spec.metadata["limits"]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        note += f" One of: {', '.join(hint)}."
    elif limits.low is not None and limits.high is not None and hint in (int, float):
        note += f" {limits.low:g} to {limits.high:g}."
    return [*(f"# {line}" for line in note.splitlines()), f"{spec.name} = {toml_value(spec.default)}"]


def toml_value(value: Any) -> str:
    """A scalar as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
