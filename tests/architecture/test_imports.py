"""Who may import whom: one literal table, held against every file. Imports under TYPE_CHECKING count like the others."""

import sys
from collections.abc import Iterable, Mapping

import pytest

from agent.cli import COMMANDS
from tests.architecture.source import Module, imports, lies_in, listed, longest_prefix, module, modules

# The words of a row: the unit on the left may import itself, the standard library and what stands on the right; nothing else of ours.
# The most particular row counts. docs/adr/0001-names-and-layout.md says why the arrows point as they do.
BELOW_DRIVERS = (
    "agent.vision",
    "agent.roster",
    "agent.biometrics",
    "agent.core",
    "agent.ports",
    "agent.errors",
    "agent.mqtt",
    "models",
    "firmware_bridge",
)
MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    "models": (),
    "firmware_bridge": (),
    "agent.core": (),
    "agent.errors": (),
    "agent.settings": ("agent.errors",),
    "agent.program": ("agent.errors", "models.errors", "firmware_bridge.errors"),  # how each program ends
    "agent.barrier_config": ("agent.core", "agent.settings"),
    "agent.config": ("agent.barrier_config", "agent.core", "agent.settings"),
    "agent.ports": ("agent.core",),
    "agent.clock": ("agent.core",),
    "agent.mailbox": ("agent.core", "agent.errors"),
    "agent.liveness": ("agent.core", "agent.ports"),
    "agent.mqtt": ("agent.core", "agent.errors"),  # one client for both ends of the uplink
    "agent.runtime": ("agent.ports", "agent.core", "agent.errors"),
    "agent.biometrics": ("agent.core", "agent.errors"),
    "agent.vision": ("models", "agent.biometrics", "agent.core", "agent.errors"),
    "agent.roster": ("agent.biometrics", "agent.core", "agent.errors"),
    "agent.drivers": (
        "agent.vision",
        "agent.roster",
        "agent.biometrics",
        "agent.core",
        "agent.ports",
        "agent.errors",
        "agent.mqtt",
        "firmware_bridge",
    ),
    "agent.charts": (),  # drawing of reports: numbers in, text out
    "agent.authority": (
        *(
            "agent.roster",
            "agent.vision",
            "agent.biometrics",
            "agent.charts",
            "agent.core",
            "agent.errors",
            "agent.settings",
            "agent.program",
            "models",
        ),
    ),
    "agent.collector": ("agent.core", "agent.errors", "agent.settings", "agent.program", "agent.mqtt"),
    "agent.barrier_key": ("agent.barrier_config", "agent.errors", "agent.roster", "firmware_bridge"),
    "agent.plan_line": (),
    "agent.barrier_plan": (
        *("agent.config", "agent.barrier_config", "agent.barrier_key", "agent.plan_line", "agent.core", "agent.errors"),
        "firmware_bridge",
    ),
    "agent.plan": ("agent.config", "agent.barrier_plan", "agent.plan_line", "agent.core", "agent.errors", "agent.roster", "models"),
    "agent.diagnostics": (
        *("agent.drivers", "agent.config", "agent.settings", "agent.plan", "agent.plan_line", "agent.barrier_key", "agent.clock"),
        *BELOW_DRIVERS,
    ),
    "agent.diagnostics.evaluate": ("agent.charts", "agent.vision", "agent.biometrics", "agent.core", "agent.errors", "models"),
    # whole lanes for measuring and showing: they join parts as the composition root does, and stand beside it
    "agent.diagnostics.bench": (
        *("agent.authority.synthetic", "agent.diagnostics", "agent.drivers", "agent.config", "agent.parts", "agent.clock"),
        *("agent.mailbox", "agent.liveness", "agent.runtime", *BELOW_DRIVERS),
    ),
    "agent.diagnostics.demo": ("agent.collector", "agent.diagnostics", "agent.drivers", "agent.settings", *BELOW_DRIVERS),
    "agent.diagnostics.demo.__main__": ("agent.program", "agent.diagnostics", "agent.errors"),
    # the composition root and its neighbours: what joins the parts, and what watches them being joined
    "agent.ending": ("agent.core",),
    "agent.event_lines": ("agent.drivers", "agent.errors", "agent.ports"),
    "agent.pictures": ("agent.core", "agent.vision"),
    "agent.parts": ("agent.config", "agent.drivers", *BELOW_DRIVERS),
    "agent.barrier_parts": ("agent.config", "agent.barrier_config", "agent.barrier_key", "agent.drivers", *BELOW_DRIVERS),
    "agent.app": (
        *("agent.config", "agent.plan", "agent.parts", "agent.barrier_parts", "agent.clock", "agent.mailbox", "agent.liveness"),
        "agent.runtime",
        *("agent.ending", "agent.event_lines", "agent.pictures", "agent.drivers", *BELOW_DRIVERS),
    ),
    "agent.run_command": (
        "agent.app",
        "agent.config",
        "agent.plan",
        "agent.plan_line",
        "agent.parts",
        "agent.errors",
        "agent.core",
        "agent.ports",
    ),
    "agent.lock_down_command": ("agent.config", "agent.drivers.control_socket"),
    "agent.check_command": (
        "agent.config",
        "agent.barrier_plan",
        "agent.plan",
        "agent.plan_line",
        "agent.errors",
        "firmware_bridge.assurance",
    ),
    "agent.cli": (
        *("agent.run_command", "agent.check_command", "agent.lock_down_command", "agent.diagnostics"),
        *("agent.program", "models"),
    ),
    "agent.__main__": ("agent.cli",),
    "agent": (),
}

# Each third-party name, and the only places that may import it.
THIRD_PARTIES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("models", "agent.biometrics", "agent.vision", "agent.roster", "agent.drivers", "agent.authority", "agent.diagnostics"),
    "cv2": (
        "models",
        "agent.vision",
        "agent.drivers.camera_sources",
        "agent.pictures",
        "agent.authority.enrolment",
        "agent.authority.picture_file",
        "agent.diagnostics",
    ),
    "onnxruntime": ("models.session",),
    "onnx": ("models.build",),
    "joblib": ("models.build",),
    "serial": ("firmware_bridge.transport",),
    "osdp_sys": ("firmware_bridge.osdp_session",),
    "paho": ("agent.mqtt",),
    "pymodbus": ("firmware_bridge.modbus_words",),
    "tuf": ("agent.roster", "agent.authority"),
    "securesystemslib": ("agent.roster", "agent.authority"),
    "cryptography": ("agent.roster", "agent.authority", "agent.drivers.staff_desk", "agent.diagnostics.barrier_tool.keys"),
    "cbor2": ("agent.roster", "agent.authority"),
    "sqlite_utils": ("agent.diagnostics",),
}

# What a unit may not even take from the standard library, and why.
_CLOCKS_AND_THREADS = {"time", "threading", "queue", "asyncio", "concurrent", "multiprocessing", "sched", "signal", "contextvars"}
_WORLD = {
    "os",
    "io",
    "pathlib",
    "socket",
    "ssl",
    "select",
    "selectors",
    "subprocess",
    "http",
    "urllib",
    "shutil",
    "tempfile",
    "fcntl",
    "sqlite3",
}
_HIDDEN_INPUT = {"random", "secrets", "uuid", "locale", "platform", "sys", "logging", "warnings", "inspect", "gc", "ctypes", "importlib"}
DENIED: Mapping[str, frozenset[str]] = {
    "agent.core": frozenset(_CLOCKS_AND_THREADS | _WORLD | _HIDDEN_INPUT),  # a recorded stream of inputs must replay to the same effects
    "agent.biometrics": frozenset(_CLOCKS_AND_THREADS | _WORLD),  # arithmetic
    "agent.vision": frozenset(_CLOCKS_AND_THREADS | {"socket", "subprocess", "sqlite3"}),  # no thread and no queue: the driver has them
    "agent.roster": frozenset({"socket", "ssl", "http", "urllib", "threading", "asyncio"}),  # verifies what lies there, fetches nothing
    "firmware_bridge": frozenset({"socket", "asyncio", "random", "logging"}),
    "firmware_bridge.emulator": frozenset({"asyncio", "logging"}),
    "firmware_bridge.link": frozenset(_CLOCKS_AND_THREADS | _WORLD),  # sans-I/O: bytes in, events out, time passed in
    "firmware_bridge.session": frozenset(_CLOCKS_AND_THREADS | _WORLD),
    "firmware_bridge.framing": frozenset(_CLOCKS_AND_THREADS | _WORLD),
    "firmware_bridge.messages": frozenset(_CLOCKS_AND_THREADS | _WORLD),
}

OURS = ("agent", "models", "firmware_bridge")


def violations(of: Iterable[Module]) -> list[str]:
    looked_at = tuple(of)
    known = frozenset(m.name for m in (*modules(), *looked_at))
    found = {
        f"{m.place}:{line}: {m.name} imports {target}: {fault}": None
        for m in looked_at
        for target, line in imports(m, known)
        if (fault := _fault(m.name, target)) is not None
    }
    return list(found)


def _fault(importer: str, target: str) -> str | None:
    top = target.split(".", maxsplit=1)[0]
    if top in OURS:
        unit = longest_prefix(importer, tuple(MAY_IMPORT))
        if unit is None or (unit == "agent" and importer != "agent"):
            return f"{importer} has no row in MAY_IMPORT; give it one"
        allowed = (unit, *MAY_IMPORT[unit])
        return None if any(lies_in(target, a) for a in allowed) else f"the row of {unit} allows only: {', '.join(allowed)}"
    if top in sys.stdlib_module_names:
        unit = longest_prefix(importer, tuple(DENIED))
        return f"{unit} must do without {top}" if unit is not None and top in DENIED[unit] else None
    places = THIRD_PARTIES.get(top, ())
    return None if any(lies_in(importer, p) for p in places) else f"{top} may be imported only in: {', '.join(places) or 'no file at all'}"


def test_every_import_follows_the_table() -> None:
    faults = violations(modules())
    assert not faults, listed(faults)


def test_every_file_of_the_agent_has_a_row() -> None:
    missing = [m.name for m in modules() if longest_prefix(m.name, tuple(MAY_IMPORT)) in (None, "agent") and m.name != "agent"]
    assert not missing, listed(missing)


def test_every_row_names_something_that_exists() -> None:
    names = {m.name for m in modules()}
    rows = {*MAY_IMPORT, *(a for allowed in MAY_IMPORT.values() for a in allowed), *DENIED, *(p for v in THIRD_PARTIES.values() for p in v)}
    nothing = sorted(row for row in rows if not any(lies_in(name, row) for name in names))
    assert not nothing, listed(nothing)


def test_every_command_of_the_table_may_be_imported_by_the_command_line() -> None:
    assert [command.module for command in COMMANDS.values() if _fault("agent.cli", command.module)] == []


def test_no_unit_can_reach_itself_through_others() -> None:
    def reached(unit: str) -> set[str]:
        found: set[str] = set()
        ahead = list(MAY_IMPORT[unit])
        while ahead:
            row = longest_prefix(ahead.pop(), tuple(MAY_IMPORT))
            if row is not None and row not in found:
                found.add(row)
                ahead += MAY_IMPORT[row]
        return found

    assert [unit for unit in MAY_IMPORT if unit in reached(unit)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("agent.core.passage", "import time"),
        ("agent.core.passage", "from os import path"),
        ("agent.core.passage", "import numpy"),
        ("agent.core.passage", "from agent.errors import GateError"),
        ("agent.runtime", "from agent.drivers import journal"),
        ("agent.runtime", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from agent.drivers.journal import SqliteJournal"),
        ("agent.drivers.barrier", "from agent import runtime"),
        ("agent.drivers.barrier", "def late():\n    import serial"),
        ("agent.drivers.barrier", "from ..config import Config"),
        ("agent.vision.tracker", "import threading"),
        ("agent.roster.trust", "import urllib.request"),
        ("agent.collector.store", "from agent.roster import trust"),
        ("models.session", "from agent.core import moment"),
        ("firmware_bridge.link", "from models import pack"),
        ("firmware_bridge.link", "import time"),
        ("models.detector", "import onnxruntime"),
        ("agent.brand_new", "from agent.core import moment"),
    ],
)
def test_a_forbidden_import_is_seen(name: str, text: str) -> None:
    assert len(violations([module(name, text)])) == 1
