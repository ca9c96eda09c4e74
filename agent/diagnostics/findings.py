"""What a check of this gate finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.config import Config


class Health(StrEnum):
    OK = "ok"
    LOOK = "look"  # works, but somebody should look
    MEND = "mend"  # the lane cannot do its work


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    health: Health
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """What the checks look at; `snapshot` is None where no agent answers."""

    config: Config
    simulation: bool
    snapshot: Mapping[str, Any] | None
