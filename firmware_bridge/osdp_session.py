"""One secure session with one OSDP board: the only file that knows libosdp.

libosdp's own package starts a thread that dies of an exception while `is_online` stays true. Here its core is stepped from our thread
instead, and a session that has gone wrong is thrown away: quicker than its eight repetitions (9 s) and its wait of 300 s.
"""

import ctypes
import sys
from dataclasses import dataclass
from enum import Enum, auto
from types import ModuleType
from typing import Any, Final

from firmware_bridge.errors import PackageAbsentError
from firmware_bridge.osdp_line import OsdpLine

_TEMPORARY_ON: Final = 5  # output control code: on now, back to the permanent state when the timer ends
_PERMANENT_OFF: Final = 1  # output control code: off now, and after every pulse
_TIMER_UNIT_MS: Final = 100
_TIMED_OUTPUTS: Final = 2  # compliance level of output control: 1 switches only, 2 times too
_COMPLETED: Final = 0  # of the completion statuses: the command has its positive reply


class Status(Enum):
    """Which status to ask for: the inputs, or the outputs of a board that has no inputs."""

    INPUTS = auto()
    OUTPUTS = auto()


@dataclass(frozen=True, slots=True)
class SwitchingDone:
    """libosdp is done with the output command. `positive` is its word only: it says so of a failed write too, so ask the line as well."""

    positive: bool


@dataclass(frozen=True, slots=True)
class StatusDone:
    positive: bool


@dataclass(frozen=True, slots=True)
class InputsReported:
    active: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class OutputsReported:
    active: tuple[bool, ...]


Report = SwitchingDone | StatusDone | InputsReported | OutputsReported


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What the board says of itself."""

    identity: str
    firmware: str
    outputs: int
    outputs_timed: bool
    inputs: int


def libosdp() -> ModuleType:
    """The core of libosdp, silent: its lines would go to standard error around our log.

    Raises:
        PackageAbsentError: it is not installed.
    """
    try:
        import osdp_sys  # noqa: PLC0415  only a gate with such a board has it
    except ImportError as error:
        raise PackageAbsentError("libosdp") from error
    osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
    core: ModuleType = osdp_sys
    return core


class OsdpSession:
    """Begins with the first `step`; `close` it before the next one is made."""

    def __init__(self, core: ModuleType, *, line: OsdpLine, address: int, key: bytes) -> None:
        self._core = core
        self._kinds: dict[int, type[InputsReported | OutputsReported]] = {
            core.STATUS_REPORT_INPUT: InputsReported,
            core.STATUS_REPORT_OUTPUT: OutputsReported,
        }
        about = {"name": f"board {address}", "address": address, "flags": core.FLAG_ENFORCE_SECURE, "scbk": key, "channel": line}
        self._panel: Any = core.ControlPanel([about])
        self._panel.set_event_callback(self._on_event)
        self._panel.set_command_completion_callback(self._on_completion)
        self._events: list[dict[str, Any]] = []
        self._reports: list[Report] = []

    def step(self) -> tuple[Report, ...]:
        """One step of libosdp: at most one frame in and one out. Does not wait."""
        self._panel.refresh()
        while self._events:
            event = self._events.pop()
            if event["event"] == self._core.EVENT_STATUS and event["type"] in self._kinds:
                self._reports.append(self._kinds[event["type"]](tuple(state != 0 for state in event["report"])))
            # libosdp 3.2.9 forgets to give back each event (362 bytes; with our polling 700 MB a day). Done here for it, but only where
            # it did forget: `alone` is held the way an event is that nobody forgot.
            alone: dict[str, Any] = {}
            if sys.getrefcount(event) > sys.getrefcount(alone):
                ctypes.pythonapi.Py_DecRef(ctypes.py_object(event))
        reports, self._reports = tuple(self._reports), []
        return reports

    @property
    def online(self) -> bool:
        """The board answers, and through the secure channel with our key."""
        return bool(self._panel.status() & self._panel.sc_status() & 1)

    def nameplate(self) -> Nameplate:
        about = self._panel.get_pd_id(0)
        outputs_level, outputs = self._panel.check_capability(0, self._core.CAP_OUTPUT_CONTROL)
        inputs_level, inputs = self._panel.check_capability(0, self._core.CAP_CONTACT_STATUS_MONITORING)
        major, minor, build = about["firmware_version"].to_bytes(3)
        vendor, serial = about["vendor_code"], about["serial_number"] % 2**32
        return Nameplate(
            identity=f"vendor {vendor:06x}, model {about['model']}.{about['version']}, serial {serial:08x}",
            firmware=f"{major}.{minor}.{build}",
            outputs=outputs if outputs_level else 0,
            outputs_timed=outputs_level >= _TIMED_OUTPUTS,
            inputs=inputs if inputs_level else 0,
        )

    def ask(self, status: Status) -> bool:
        """Queue a question for the status; False: libosdp does not take it."""
        kind = self._core.STATUS_REPORT_INPUT if status is Status.INPUTS else self._core.STATUS_REPORT_OUTPUT
        return bool(self._panel.submit_command(0, {"command": self._core.CMD_STATUS, "type": kind}))

    def pulse(self, *, output: int, pulse_ms: int) -> bool:
        """Queue one output command that the board times itself, to the next 100 ms above; False: libosdp does not take it."""
        timer = -(-pulse_ms // _TIMER_UNIT_MS)
        return self._switch(output, control=_TEMPORARY_ON, timer=timer)

    def switch_off(self, output: int) -> bool:
        """Queue the command that ends a pulse and makes off its rest position; False: libosdp does not take it."""
        return self._switch(output, control=_PERMANENT_OFF, timer=0)

    def _switch(self, output: int, *, control: int, timer: int) -> bool:
        command = {"command": self._core.CMD_OUTPUT, "output_no": output, "control_code": control, "timer_count": timer}
        return bool(self._panel.submit_command(0, command))

    def close(self) -> None:
        """Give libosdp's memory back, and drop what it has queued."""
        self._panel = None

    # --- called by libosdp ----------------------------------------------------------------------------------------------------

    def _on_event(self, _board: int, event: dict[str, Any]) -> int:
        self._events.append(event)
        return 0

    def _on_completion(self, _board: int, command: dict[str, Any], status: int) -> None:
        done = SwitchingDone if command["command"] == self._core.CMD_OUTPUT else StatusDone
        self._reports.append(done(positive=status == _COMPLETED))
