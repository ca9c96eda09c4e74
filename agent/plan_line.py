"""One line of the plan that `check` prints and `run` enforces, and the lines of what is only a file."""

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it runs as configured, and somebody should know
    MISSING = "missing"  # it starts all the same, out of service, and keeps trying
    UNUSABLE = "unusable"  # as MISSING: something is there and cannot be used
    REFUSED = "refused"  # it does not start


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One part of the lane.

    Attributes:
        key: the configuration's key that decides it.
        text: what would run, or what is wrong and what to do.
    """

    key: str
    verdict: Verdict
    text: str


def what_is(path: str) -> str:
    """What lies there: "file", "folder", "device", or "absent"."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  one call answers all of it
    except OSError:
        return "absent"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "device"


def file_line(key: str, file: Path, what: str) -> PlanLine:
    """A file that has to be there."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return PlanLine(key, Verdict.MISSING, f"{what} {file} is absent; put it there, or name another file")
    except OSError as error:
        why = f"cannot be looked at ({error.strerror}); name another file, or run as root or as the agent's user"
        return PlanLine(key, Verdict.UNUSABLE, f"{what} {file!s:.200} {why}")
    found = what_is(str(file))
    if found != "file":
        return PlanLine(key, Verdict.UNUSABLE, f"{what} {file} is a {found} and no file; put the file there, or name another")
    return PlanLine(key, Verdict.OK, f"{what} {file}")


def secret_line(key: str, file: Path) -> PlanLine:
    """A file with a key, which nobody but its owner may read."""
    line = file_line(key, file, "key")
    if line.verdict is Verdict.OK and (mode := stat.S_IMODE(file.stat().st_mode)) & (stat.S_IRWXG | stat.S_IRWXO):
        return PlanLine(key, Verdict.REFUSED, f"key {file} may be read by others (mode {mode:04o}); run: chmod 0600 {file}")
    return line
