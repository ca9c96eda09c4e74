"""Line charts as SVG text, drawn without a library: reports open without a network, and a gate needs no plotting package.

Pure: numbers in, text out. Axes are linear, logarithmic or those of a DET picture (normal deviates), where straight lines are good news.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from math import floor, isfinite, log10
from statistics import NormalDist
from types import MappingProxyType
from typing import Final

WIDTH, HEIGHT = 560, 360  # user units of the picture
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 48, 52  # room around the plot
COLOURS: Final = ("#0b61a4", "#c2410c", "#15803d", "#7c3aed", "#64748b")
RATES: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Where a rate's axis is marked."""

_NORMAL: Final = NormalDist()
_LEAST_RATE: Final = 1e-6

Point = tuple[float, float]


class Axis(StrEnum):
    LINEAR = "linear"
    LOG = "log"
    DEVIATE = "deviate"  # rates, as normal deviates


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """points: in the units of the axes, drawn in their order. filled: down to the axis, for a distribution."""

    name: str
    points: Sequence[Point]
    dashed: bool = False
    filled: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A line across the plot at one value of x."""

    name: str
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    title: str
    x: str
    y: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    x_axis: Axis = Axis.LINEAR
    y_axis: Axis = Axis.LINEAR


def _deviate(rate: float) -> float:
    return _NORMAL.inv_cdf(min(max(rate, _LEAST_RATE), 1 - _LEAST_RATE))


def _log(value: float) -> float:
    return log10(max(value, _LEAST_RATE))


_PLACES: Mapping[Axis, Callable[[float], float]] = MappingProxyType({Axis.LINEAR: float, Axis.LOG: _log, Axis.DEVIATE: _deviate})


def svg(chart: Chart) -> str:
    """The picture as one <svg> element; it scales with the page."""
    lines = [(line, [(x, y) for x, y in line.points if isfinite(x) and isfinite(y)]) for line in chart.lines]
    across = _Scale([x for _, points in lines for x, _ in points] + [mark.x for mark in chart.marks], chart.x_axis, LEFT, WIDTH - RIGHT)
    up = _Scale([y for _, points in lines for _, y in points], chart.y_axis, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{escape(chart.title)}</text>',
    ]
    for value, words in across.ticks():
        x = across.place(value)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#475569">{words}</text>')
    for value, words in up.ticks():
        y = up.place(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#475569">{words}</text>')
    parts.append(f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#334155"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(chart.x)}</text>')
    parts.append(f'<text transform="translate(15 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(chart.y)}</text>')
    floor_y = HEIGHT - BOTTOM
    for number, (line, points) in enumerate(lines):
        parts += _drawn(line, [(across.place(x), up.place(y)) for x, y in points], COLOURS[number % len(COLOURS)], floor_y)
    for number, mark in enumerate(chart.marks):
        x, y = across.place(mark.x), TOP + 14 + 15 * number
        side, anchor = (-4, "end") if x > (LEFT + WIDTH) / 2 else (4, "start")
        parts.append(f'<path d="M{x:.1f} {TOP}V{floor_y}" stroke="#334155" stroke-dasharray="2 3"/>')
        parts.append(f'<text x="{x + side:.1f}" y="{y}" text-anchor="{anchor}" fill="#334155">{escape(mark.name)}</text>')
    parts += _legend([line.name for line, _ in lines])
    return "".join([*parts, "</svg>"])


def _drawn(line: Line, points: Sequence[Point], colour: str, floor_y: float) -> list[str]:
    if not points:
        return []
    if line.dots:
        return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    found = []
    if line.filled:
        found.append(f'<path d="{path}L{points[-1][0]:.1f} {floor_y}L{points[0][0]:.1f} {floor_y}Z" fill="{colour}" opacity="0.15"/>')
    dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
    return [*found, f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes}/>']


def _legend(names: Sequence[str]) -> list[str]:
    """One row between title and plot."""
    found, x = [], float(LEFT)
    for number, name in enumerate(names):
        found.append(f'<path d="M{x:.0f} 34h18" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="3"/>')
        found.append(f'<text x="{x + 23:.0f}" y="38">{escape(name)}</text>')
        x += 23 + 6.6 * len(name) + 18  # a letter is about so wide
    return found


class _Scale:
    """From the units of an axis to those of the picture."""

    def __init__(self, values: Sequence[float], axis: Axis, start: float, end: float) -> None:
        self._axis, self._of, self._start, self._end = axis, _PLACES[axis], start, end
        places = [self._of(v) for v in values] or [0.0, 1.0]
        low, high = min(places), max(places)
        room = (high - low) * 0.03 or 0.5
        self._low, self._high = low - room, high + room
        if axis is Axis.LINEAR and min(values, default=0.0) >= 0 and low < high / 4:
            self._low = 0.0

    def place(self, value: float) -> float:
        return self._start + (self._of(value) - self._low) / (self._high - self._low) * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        """Where the axis is marked, and with which words."""
        match self._axis:
            case Axis.LINEAR:
                return self._round_steps()
            case Axis.LOG:
                low, high = floor(self._low), floor(self._high) + 1
                every = max(1, (high - low) // 6)
                return [(10.0**e, f"{10.0**e:g}") for e in range(low, high + 1, every) if self._low <= e <= self._high]
            case Axis.DEVIATE:
                return [(rate, f"{100 * rate:g} %") for rate in RATES if self._low <= self._of(rate) <= self._high]

    def _round_steps(self) -> list[tuple[float, str]]:
        span = self._high - self._low
        step = 10.0 ** floor(log10(span / 4))
        step *= next((times for times in (1, 2, 5) if span / (step * times) <= 7), 10)  # noqa: PLR2004  as many marks as can be read
        first = floor(self._low / step) + 1
        values = [step * (first + i) for i in range(int(span / step) + 1) if step * (first + i) <= self._high]
        return [(value, f"{value:.6g}" if abs(value) > step / 2 else "0") for value in values]


PAGE_STYLE: Final = """
body{font:16px/1.5 sans-serif;color:#0f172a;max-width:1200px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.facts{color:#475569}.good,.bad,.note{padding:.7rem 1rem;border-left:6px solid;margin:1rem 0}
.good{border-color:#15803d;background:#f0fdf4}.bad{border-color:#b91c1c;background:#fef2f2}.note{border-color:#b45309;background:#fffbeb}
table{border-collapse:collapse;margin:.5rem 0;display:block;max-width:100%;overflow-x:auto}
td,th{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #e2e8f0}
th{background:#f1f5f9;font-weight:600}td:first-child,th:first-child{text-align:left}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),560px));gap:1rem;margin-top:1rem}
.facts td:last-child,.facts th:last-child{text-align:left}
svg{width:100%;height:auto;box-sizing:border-box;border:1px solid #e2e8f0}img{max-width:100%}
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole page that needs nothing else: no script, no font, no network."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{PAGE_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; every cell is escaped."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
