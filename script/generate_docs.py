#!/usr/bin/env python3
"""Writes what the documentation takes from the code: docs/EVENTS.md, and the passage table with its diagram in docs/ARCHITECTURE.md.

script/generate_docs.py          writes
script/generate_docs.py --check  writes nothing; exit code 1 and the names of the files that differ
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agent.core import passage, reasons, staff  # noqa: E402  the checkout, wherever it is called from
from agent.core.events import EVENTS, EventSpec, EventType, Severity  # noqa: E402

_SEVERITIES = {
    Severity.INFO: "the ordinary life of a lane",
    Severity.NOTICE: "worth a line in the day's report",
    Severity.WARNING: "somebody should look within the day",
    Severity.ALARM: "somebody should look now",
}

_HEAD = """# Events

Written by `script/generate_docs.py` from `agent/core/events.py`, `agent/core/reasons.py` and `agent/core/staff.py`; do not edit.

Every event is one row of the journal and one CloudEvent at the broker. The form on the wire and the hash chain are specified in
`agent/core/envelope.py`, the topics in `agent/core/topics.py`. An event holds identifiers and numbers, never a template or a picture.
A field that does not apply is null. Order is `data.seq`, never the time: a gate's clock may be wrong, and `data.clock` says how far it can
be trusted.
"""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _event(kind: EventType, spec: EventSpec) -> str:
    fields = (
        _table(("field", "meaning"), [(f"`{name}`", meaning) for name, meaning in spec.fields.items()]) if spec.fields else "No fields.\n"
    )
    return f"### {kind}\n\nSeverity: {spec.severity}. {spec.meaning}\n\n{fields}"


def events() -> str:
    """The whole text of docs/EVENTS.md."""
    return (
        "\n".join(
            [
                _HEAD,
                "## Severities\n",
                _table(("severity", "meaning"), list(_SEVERITIES.items())),
                "## All events\n",
                _table(
                    ("event", "severity", "meaning"), [(f"[{k}](#{k.replace('.', '')})", s.severity, s.meaning) for k, s in EVENTS.items()]
                ),
                "## Reasons of access.denied\n",
                "In the order in which they are judged: the first that holds is recorded. The exit button needs no face.\n",
                reasons.markdown(),
                "## Denials of staff.denied\n",
                "In the order in which they are judged, the first ones by the control socket, before the core hears of the order.\n",
                staff.markdown(),
                "## Fields\n",
                "\n".join(_event(kind, spec) for kind, spec in EVENTS.items()),
            ]
        ).rstrip("\n")
        + "\n"
    )


_ARCHITECTURE = ROOT / "docs" / "ARCHITECTURE.md"
_BEGIN, _END = "<!-- passage: begin -->\n", "<!-- passage: end -->"


def architecture() -> str:
    """docs/ARCHITECTURE.md with what stands between the marks written anew."""
    before, rest = _ARCHITECTURE.read_text(encoding="utf-8").split(_BEGIN)
    after = rest.split(_END)[1]
    return f"{before}{_BEGIN}\n```mermaid\n{passage.mermaid()}```\n\n{passage.markdown()}\n{_END}{after}"


PAGES: Mapping[Path, Callable[[], str]] = {ROOT / "docs" / "EVENTS.md": events, _ARCHITECTURE: architecture}


def outdated() -> list[Path]:
    return [page for page, text in PAGES.items() if not page.is_file() or page.read_text(encoding="utf-8") != text()]


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        for page in outdated():
            print(f"{page.relative_to(ROOT)} is not what the code says; run script/generate_docs.py", file=sys.stderr)
        return int(bool(outdated()))
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    for page, text in PAGES.items():
        page.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
