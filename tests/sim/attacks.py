"""Computed presentation attacks: a portrait as a print in a hand, on a screen, cut out of paper. No attack test: nothing was filmed.

What a real attack does to a picture (a printer's inks, a display's pixels seen by a sensor's) is only imitated here, so these frames show
that an attack's way through the lane ends in a denial. They say nothing about how many real attacks are seen.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import pi, sin
from types import MappingProxyType

import cv2
import numpy as np

from agent.diagnostics.walkup import U8, Point, Portrait, Sensor, wall

Sheet = tuple[Portrait, U8]
"""A flat thing with a face on it, and which of its pixels it covers, uint8 (h, w): 0 or 255."""


def cropped(person: Portrait, *, beside: float = 2.0, above: float = 2.2, below: float = 2.8) -> Portrait:
    """The portrait cut down to the head: so many eye distances about the middle of the eyes."""
    (x, y), eyes = person.middle, person.eye_distance_px
    x0, y0 = max(int(x - beside * eyes), 0), max(int(y - above * eyes), 0)
    image = np.ascontiguousarray(person.image[y0 : int(y + below * eyes), x0 : int(x + beside * eyes)])
    left, right = ((eye[0] - x0, eye[1] - y0) for eye in (person.left_eye, person.right_eye))
    return replace(person, image=image, left_eye=left, right_eye=right)


def printed(person: Portrait) -> Sheet:
    """On matt paper with a white border: fewer colours, no deep black, a printer's dots."""
    image = cropped(person).image.astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    ink = 38 + 0.76 * (grey + 0.72 * (image - grey))
    rows, columns = np.indices(image.shape[:2])
    dots = 5 * np.sin(rows * 2.1 + columns * 0.7) * np.sin(columns * 2.3 - rows * 0.5)
    return _bordered(cropped(person), ink + dots[:, :, None], share=0.1, colour=(236, 238, 240))


def on_screen(person: Portrait) -> Sheet:
    """On a telephone or a tablet: bluish, brighter than the room, the moire of two grids, a dark frame."""
    image = cropped(person).image.astype(np.float32)
    rows, columns = np.indices(image.shape[:2])
    moire = 1 + 0.09 * np.sin(columns / 3.3 + 0.15 * rows) * np.sin(rows / 4.1)
    lit = np.clip(image * np.array([1.22, 1.08, 1.0]) * moire[:, :, None] + 12, 0, 255)
    return _bordered(cropped(person), lit, share=0.06, colour=(22, 20, 20))


def cut_out(person: Portrait) -> Sheet:
    """The printed head alone, cut along its outline."""
    sheet, _ = printed(person)
    (x, y), eyes = sheet.middle, sheet.eye_distance_px
    cover = np.zeros(sheet.image.shape[:2], np.uint8)
    cv2.ellipse(cover, (round(x), round(y + 0.45 * eyes)), (round(1.35 * eyes), round(1.9 * eyes)), 0, 0, 360, 255, cv2.FILLED)
    return sheet, cover


KINDS: Mapping[str, Callable[[Portrait], Sheet]] = MappingProxyType({"print": printed, "screen": on_screen, "cut-out": cut_out})


def hold(frame: U8, sheet: Sheet, *, at: Point, eye_px: float, lean_deg: float = 0.0) -> U8:
    """Returns a copy of the frame with the thing before it, its edges as sharp as they are. at: where the middle of the eyes comes."""
    person, cover = sheet
    scale = eye_px / person.eye_distance_px
    turn = cv2.getRotationMatrix2D(person.middle, -lean_deg, scale)
    turn[:, 2] += np.array(at) - np.array(person.middle)
    size = (frame.shape[1], frame.shape[0])
    # A linear warp below one half aliases.
    image = person.image if scale >= 0.5 else np.asarray(cv2.GaussianBlur(person.image, (0, 0), 0.4 / scale), np.uint8)
    seen = cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.warpAffine(cover, turn, size, flags=cv2.INTER_LINEAR)[:, :, None] / np.float32(255)
    return np.asarray(frame + covered * (seen.astype(np.float32) - frame), dtype=np.uint8)


def held_up(sheet: Sheet, *, frames: int, size: tuple[int, int], eye_px: float, seed: int = 0) -> Iterator[U8]:
    """Frames of somebody who holds it before the camera, not quite still. size: width and height."""
    rng, sensor = np.random.default_rng(seed), Sensor(seed)
    sway, bob = rng.uniform(0, 2 * pi, 2)
    for i in range(frames):
        at = (size[0] * 0.5 + 0.08 * eye_px * sin(i / 5 + sway), size[1] * 0.45 + 0.05 * eye_px * sin(i / 3 + bob))
        near = eye_px * (1 + 0.02 * sin(i / 4))
        yield sensor.expose(hold(wall(size), sheet, at=at, eye_px=near, lean_deg=2 * sin(i / 6)), gain=1 + 0.03 * sin(0.2 * i))


def _bordered(person: Portrait, image: np.ndarray, *, share: float, colour: tuple[int, int, int]) -> Sheet:
    """With a border of this share of its width, all of which it covers."""
    border = round(share * image.shape[1])
    whole = cv2.copyMakeBorder(
        np.clip(image, 0, 255).astype(np.uint8), border, border, border, border, cv2.BORDER_CONSTANT, value=(*colour, 0)
    )
    left, right = ((eye[0] + border, eye[1] + border) for eye in (person.left_eye, person.right_eye))
    sheet = replace(person, image=np.asarray(whole, np.uint8), left_eye=left, right_eye=right)
    return sheet, np.full(whole.shape[:2], 255, np.uint8)
