"""What an evaluation leaves behind: lines of text, one page, the DET picture and a contact sheet, which the page shows."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from agent.charts import Axis, Chart, Line, Mark, page, svg, table
from agent.diagnostics.evaluate.found import Found, WorstCase
from agent.diagnostics.evaluate.samples import read
from agent.vision.frame import U8
from agent.vision.picture import png

PAGE, DET, SHEET = "report.html", "det.svg", "worst.png"
TILE_PX: Final = 160
CAPTION_PX: Final = 40
PAIR: Final = 2  # pictures of a case at most: itself, and what it was compared with
ACROSS: Final = 3  # pairs in a row of the sheet
_INK, _PAPER, _WRONG = (30, 30, 30), (255, 255, 255), (40, 40, 200)
_FAILURES_SHOWN: Final = 20
_POINTS: Final = 400


def text(found: Found, folder: Path) -> Iterator[str]:
    yield found.title
    width = max(len(name) for name, _ in found.facts)
    yield from (f"  {name:<{width}}  {value}" for name, value in found.facts)
    if found.note:
        yield f"  {found.note}"
    for number, (file, why) in enumerate(found.failures.items()):
        if number == _FAILURES_SHOWN:
            yield f"  and {len(found.failures) - number} more; all are in {folder / PAGE}"
            break
        yield f"  not acquired: {file}: {why}"
    yield (
        f"  written: {folder / PAGE}"
        + ("" if _det(found) is None else f", {folder / DET}")
        + (f", {folder / SHEET}" if found.worst else "")
    )


def write(found: Found, folder: Path) -> None:
    """Raises OSError: the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    chart = _det(found)
    picture = None if chart is None else svg(chart)
    if picture is None:
        (folder / DET).unlink(missing_ok=True)  # of an earlier evaluation
    else:
        (folder / DET).write_text(picture, encoding="utf-8")
    if found.worst:
        (folder / SHEET).write_bytes(png(contact_sheet(found.worst)))
    (folder / PAGE).write_text(_page(found, picture), encoding="utf-8")


def _page(found: Found, picture: str | None) -> str:
    failures = [(str(file), why) for file, why in found.failures.items()]
    return page(
        found.title,
        [
            f"<h1>{escape(found.title)}</h1>",
            f'<div class="facts">{table(("figure", "value"), found.facts)}</div>',
            f'<p class="note">{escape(found.note)}</p>' if found.note else "",
            f"<p>{_NO_CURVE}</p>" if picture is None else f'<div class="charts">{picture}</div>',
            f"<h2>Not acquired ({len(failures)})</h2>",
            f'<div class="facts">{table(("file", "why"), failures)}</div>' if failures else "<p>None.</p>",
            "<h2>Worst cases</h2>",
            f"<p>In {SHEET} beside this page: each case is the picture, and what it was compared with if it was.</p>"
            if found.worst
            else "<p>None.</p>",
            f'<img src="{SHEET}" alt="the worst cases as pictures">' if found.worst else "",
            f'<div class="facts">{table(("case", "files"), [(c.words, ", ".join(str(f) for f in c.files)) for c in found.worst])}</div>',
        ],
    )


_NO_CURVE: Final = "No trade-off is drawn: at no threshold is there an error of one kind that a step further would exchange for the other."


def _det(found: Found) -> Chart | None:
    """None where the curve has no inside: everybody is told apart, or one side has no trial."""
    if found.curve is None:
        return None
    fps, fns = found.curve.false_positive, found.curve.false_negative
    least = [
        float(rates[rates > 0].min(initial=1.0)) / 2 for rates in (fps, fns)
    ]  # where a rate of 0 is drawn: the axes have no place for it
    points = [
        (max(fp, least[0]), max(fn, least[1]))
        for fp, fn in zip(fps.tolist(), fns.tolist(), strict=True)
        if fp < 1 and fn < 1 and fp + fn > 0
    ]
    if not points:
        return None
    step = max(1, len(points) // _POINTS)
    lines = [Line(name="every threshold", points=[*points[::step], *points[-1:]])]
    marks = []
    if found.at is not None and max(found.at) < 1:
        here = (max(found.at[0], least[0]), max(found.at[1], least[1]))
        lines.append(Line(name="at the threshold", points=[here], dots=True))
        marks.append(Mark(name="at the threshold", x=here[0]))
    return Chart(
        title="Detection error trade-off" + (" (a rate of 0 is drawn at the edge)" if min(fps.min(), fns.min()) <= 0 else ""),
        x=found.axes[0],
        y=found.axes[1],
        lines=lines,
        marks=marks,
        x_axis=Axis.DEVIATE,
        y_axis=Axis.DEVIATE,
    )


def contact_sheet(cases: Sequence[WorstCase]) -> U8:
    """The cases as one picture, uint8 (h, w, 3) BGR: each the probe and what it was compared with, with its words below."""
    tiles = max(min(len(case.files), PAIR) for case in cases)
    across = ACROSS * PAIR // tiles
    rows = -(-len(cases) // across)
    wide, high = tiles * TILE_PX + 16, TILE_PX + CAPTION_PX
    sheet = np.full((rows * high, across * wide, 3), _PAPER, dtype=np.uint8)
    for number, case in enumerate(cases):
        top, left = number // across * high, number % across * wide
        for place, file in enumerate(case.files[:PAIR]):
            sheet[top : top + TILE_PX, left + place * TILE_PX : left + (place + 1) * TILE_PX] = _tile(file)
        colour = _WRONG if (case.words.isascii() and case.words.split(":")[0].isupper()) or case.words.startswith("MISSED") else _INK
        _caption(sheet, case.words, (left + 2, top + TILE_PX + 18), colour, wide - 16)
    return sheet


def _caption(sheet: U8, words: str, at: tuple[int, int], colour: tuple[int, int, int], room_px: int) -> None:
    plain = words.encode("ascii", "replace").decode()  # what the font can draw
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    cv2.putText(sheet, plain, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * min(1.0, room_px / max(width, 1)), colour, 1, cv2.LINE_AA)


def _tile(file: Path) -> U8:
    """The picture, whole, on a square."""
    tile = np.full((TILE_PX, TILE_PX, 3), 225, dtype=np.uint8)
    image = read(file)
    if isinstance(image, str):
        return tile
    scale = (TILE_PX - 4) / max(image.shape[:2])
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    top, left = (TILE_PX - small.shape[0]) // 2, (TILE_PX - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile
