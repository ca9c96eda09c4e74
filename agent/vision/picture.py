"""A picture of a decision, for people: the face, the candidate, the score against the threshold, the reason. Simulations only.

A gate keeps no pictures; the demo and `--pictures` of a simulation do, and each says on its face what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from agent.core.inputs import Box
from agent.vision.frame import U8

Colour = tuple[int, int, int]  # B, G, R

GRANTED: Colour = (96, 174, 39)
DENIED: Colour = (60, 60, 214)
NOTICE: Colour = (32, 165, 245)
INK: Colour = (245, 245, 245)
FAINT: Colour = (170, 170, 170)
PANEL: Colour = (38, 34, 32)

WIDTH_PX = 960  # of the finished picture; the frame is scaled to it
LINE_PX = 30
MARGIN_PX = 24
BANNER_PX = 36
FONT = cv2.FONT_HERSHEY_DUPLEX
SIMULATION, SIMULATION_PAD_OFF = "SIMULATION", "SIMULATION - PAD OFF"


@dataclass(frozen=True, slots=True)
class ScoreBar:
    """A comparison score beside its threshold; higher is more alike."""

    score: float
    threshold: float
    runner_up: float | None = None


def draw_decision(
    frame: U8,
    box: Box | None,
    lines: Sequence[str],
    *,
    granted: bool,
    banner: str | None = None,
    bar: ScoreBar | None = None,
    title: str | None = None,
) -> U8:
    """Returns the picture of one decision, uint8 (h, WIDTH_PX, 3) BGR; the frame is not written to.

    lines: what is said under the frame, the first one in the ink of a heading; title: instead of GRANTED or DENIED;
    banner: over the whole width: what nobody may take it for.
    """
    scale = WIDTH_PX / frame.shape[1]
    colour = GRANTED if granted else DENIED
    top = BANNER_PX if banner else 0
    shown = cv2.resize(frame, (WIDTH_PX, round(frame.shape[0] * scale)), interpolation=cv2.INTER_CUBIC)
    panel_px = 2 * MARGIN_PX + LINE_PX * (1 + len(lines)) + (2 * LINE_PX + 12 if bar else 0)
    picture = np.full((top + shown.shape[0] + panel_px, WIDTH_PX, 3), PANEL, dtype=np.uint8)
    picture[top : top + shown.shape[0]] = shown
    if box is not None:
        _face(picture, Box(box.x0 * scale, box.y0 * scale + top, box.x1 * scale, box.y1 * scale + top), colour, below_px=top)
    y = top + shown.shape[0]
    cv2.rectangle(picture, (0, y), (WIDTH_PX, y + 5), colour, cv2.FILLED)
    y = _title(picture, title or ("GRANTED" if granted else "DENIED"), y + MARGIN_PX + 8, colour)
    for number, line in enumerate(lines):
        y += LINE_PX
        _text(picture, line, (MARGIN_PX, y), INK if number == 0 else FAINT)
    if bar is not None:
        _bar(picture, bar, y + 2 * LINE_PX - 10, colour)
    if banner:
        cv2.rectangle(picture, (0, 0), (WIDTH_PX, BANNER_PX), NOTICE, cv2.FILLED)
        (width, height), _ = cv2.getTextSize(banner, FONT, 0.7, 1)
        cv2.putText(picture, banner, ((WIDTH_PX - width) // 2, (BANNER_PX + height) // 2), FONT, 0.7, (20, 20, 20), 1, cv2.LINE_AA)
    return picture


def png(picture: U8) -> bytes:
    """The picture as the bytes of a PNG file."""
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} and type {picture.dtype} cannot be written as PNG")
    return bytes(encoded)


def _face(picture: U8, box: Box, colour: Colour, *, below_px: int) -> None:
    """Four corners about the face, drawn twice so that they show on any background."""
    x0, y0, x1, y1 = round(box.x0), max(round(box.y0), below_px + 2), round(box.x1), round(box.y1)
    arm = max((x1 - x0) // 5, 8)
    for width, ink in ((7, (20, 20, 20)), (3, colour)):
        for x, y, right, down in ((x0, y0, 1, 1), (x1, y0, -1, 1), (x0, y1, 1, -1), (x1, y1, -1, -1)):
            cv2.line(picture, (x, y), (x + right * arm, y), ink, width, cv2.LINE_AA)
            cv2.line(picture, (x, y), (x, y + down * arm), ink, width, cv2.LINE_AA)


def _title(picture: U8, title: str, y: int, colour: Colour) -> int:
    cv2.putText(picture, title, (MARGIN_PX, y + 12), FONT, 1.1, colour, 2, cv2.LINE_AA)
    return y + 18


def _text(picture: U8, line: str, at: tuple[int, int], colour: Colour) -> None:
    size = 0.7
    (width, _), _ = cv2.getTextSize(line, FONT, size, 1)
    room = WIDTH_PX - at[0] - MARGIN_PX
    cv2.putText(picture, line, at, FONT, size * min(1, room / max(width, 1)), colour, 1, cv2.LINE_AA)


def _bar(picture: U8, bar: ScoreBar, y: int, colour: Colour) -> None:
    """Score, threshold and runner-up on one axis that holds all three."""
    figures = [bar.score, bar.threshold, *([] if bar.runner_up is None else [bar.runner_up])]
    room = max(max(figures) - min(figures), 0.05) * 0.15
    low, high = min(figures) - room, max(figures) + room
    left, right = MARGIN_PX, WIDTH_PX - MARGIN_PX

    def place(figure: float) -> int:
        return round(left + (figure - low) / (high - low) * (right - left))

    cv2.rectangle(picture, (left, y), (right, y + 10), (70, 66, 62), cv2.FILLED)
    cv2.rectangle(picture, (left, y), (place(bar.score), y + 10), colour, cv2.FILLED)
    _mark(picture, place(bar.threshold), y, f"threshold {bar.threshold:.3f}", INK, above=True)
    _mark(picture, place(bar.score), y, f"score {bar.score:.3f}", colour, above=False)
    if bar.runner_up is not None:
        _mark(picture, place(bar.runner_up), y, f"next person {bar.runner_up:.3f}", FAINT, above=False)


def _mark(picture: U8, x: int, y: int, words: str, colour: Colour, *, above: bool) -> None:
    cv2.line(picture, (x, y - 6), (x, y + 16), colour, 2, cv2.LINE_AA)
    (width, _), _ = cv2.getTextSize(words, FONT, 0.5, 1)
    start = min(max(x - width // 2, MARGIN_PX), WIDTH_PX - MARGIN_PX - width)
    cv2.putText(picture, words, (start, y - 12 if above else y + 34), FONT, 0.5, colour, 1, cv2.LINE_AA)
