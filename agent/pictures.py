"""A picture of each decision of a simulation: the frame that decided, the face, the candidate, its score against the threshold.

A gate keeps no pictures; `gate-agent run` refuses this outside a simulation.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import cv2

from agent.core.events import Event, EventType, Value
from agent.core.inputs import Box, PadVerdict, ProbeCompared
from agent.vision.frame import U8
from agent.vision.picture import SIMULATION, SIMULATION_PAD_OFF, ScoreBar, draw_decision

_KEPT_FRAMES = 60  # four seconds of one camera: an attempt's decision comes within one second of its last frame
_DECISIONS = frozenset({EventType.ACCESS_GRANTED, EventType.ACCESS_DENIED})

_log = logging.getLogger("gate.pictures")


class DecisionPictures:
    """Keeps the newest probes' frames (recognition thread) and writes one for each decision (control thread)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._frames: OrderedDict[tuple[str, int], tuple[U8, Box]] = OrderedDict()
        self._written = 0

    def keep(self, probe: ProbeCompared, image: U8) -> None:
        with self._lock:
            self._frames[probe.camera, probe.captured_at_ns] = (image, probe.box)
            while len(self._frames) > _KEPT_FRAMES:
                self._frames.popitem(last=False)

    def decided(self, event: Event) -> None:
        """Write the picture of a decision, named by the order of decisions and the time of its frame."""
        if event.type not in _DECISIONS:
            return
        captured_at_ns = event.data["captured_at_ns"]
        with self._lock:
            kept = self._frames.get((str(event.data["camera"]), int(str(captured_at_ns))))
        if kept is None:
            return
        self._written += 1
        image, box = kept
        granted = event.type is EventType.ACCESS_GRANTED
        banner = SIMULATION_PAD_OFF if event.data["pad"] == PadVerdict.OFF else SIMULATION
        drawn = draw_decision(image, box, _lines(event.data, granted=granted), granted=granted, banner=banner, bar=_bar(event.data))
        word = "granted" if granted else "denied"
        file = self._folder / f"{self._written:03d}-{event.data['direction']}-{word}-{captured_at_ns}.png"
        if not cv2.imwrite(str(file), drawn):
            _log.warning("%s could not be written", file)


def _lines(data: Mapping[str, Value], *, granted: bool) -> list[str]:
    candidate = "nobody to compare with" if data["person"] is None else f"best candidate: {data['person']}"
    reason = "released" if granted else f"reason: {data['reason']}"
    pad = f"attack detection: {data['pad']}" + ("" if data["pad_score"] is None else f" {data['pad_score']:.2f}")
    return [f"{candidate} - {reason}", f"{data['direction']}, {data['frames']} frames fused, track {data['track']}", pad]


def _bar(data: Mapping[str, Value]) -> ScoreBar | None:
    score, threshold = _figure(data["score"]), _figure(data["threshold"])
    return None if score is None or threshold is None else ScoreBar(score, threshold, _figure(data["runner_up"]))


def _figure(value: Value) -> float | None:
    return value if isinstance(value, float) else None
