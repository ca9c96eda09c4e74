"""What `calibrate` prints, and its page: text for people, plain values for programs, one HTML file that needs nothing else."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from agent.authority.calibrate import Calibrated, Lookalikes
from agent.authority.report import day
from agent.biometrics.measurement import EXTRAPOLATION, GroupRates, Row
from agent.biometrics.rates import F64, Rate, curve, percent
from agent.biometrics.tail import ATTEMPT_SEARCHES, FAMILY
from agent.biometrics.tail_fit import FIT_MIN
from agent.charts import Axis, Chart, Line, Mark, page, svg, table

ALIKE = "check whether they are one person under two names; if they are two, the gate tells them apart by the margin or asks again"


def verdict(done: Calibrated) -> str:
    """The first sentence of every report."""
    file, people = done.file, done.here.people
    targets = f"FPIR {percent(file.fpir)} and FNIR {percent(file.fnir)}"
    if done.fit:
        return f"FIT: with {targets}, pack {file.pack} serves up to {file.n_max} people; {people} are enrolled."
    most = f"up to {file.n_max} people" if file.n_max else "no number of people"
    return f"UNFIT: with {targets}, pack {file.pack} serves {most}; {people} are enrolled. gate-roster release refuses."


def facts(done: Calibrated) -> Iterator[str]:
    measured, file = done.measurement, done.file
    low, high = done.n_max_interval
    how = "sampled, because all would be too many" if measured.sampled else "every one of them"
    yield f"{measured.people} people, {measured.references} references; {day(file.date_s)}; cohort of {measured.k}, margin {file.margin:g}"
    yield f"strangers: {len(measured.strangers.person)} searches ({how}), each in the roster without its person"
    yield f"rightful people: {len(measured.genuine.person)} searches with a reference that was held back"
    yield f"an attempt counts as {ATTEMPT_SEARCHES:g} searches; every rate is of attempts, with its 95 % interval over people"
    yield f"threshold {done.here.threshold:.4f} for {done.here.people} people: FPIR {done.here.fpir}, FNIR {done.here.fnir}"
    yield f"largest roster: {file.n_max} ({low} to {high}); never more than {EXTRAPOLATION} times the people measured"
    tail = file.tail
    yield (
        f"tail: {FAMILY} above {tail.start:.4f}, scale {tail.scale:.4f}, shape {tail.shape:.3f}; growth {tail.growth:.2f}, "
        f"decline {tail.decline:.2f}; goodness of fit {file.fit:.2f}"
    )
    seen, predicted = measured.seen(done.here.threshold), tail.searched(done.here.threshold)
    yield f"at that threshold {percent(seen)} of single searches found somebody; the tail says {percent(predicted)}"
    if file.fit < FIT_MIN and seen > predicted:
        yield "WARNING: the tail does not fit these scores; do not rely on a roster larger than the one measured"
    elif file.fit < FIT_MIN:
        yield "the tail does not fit these scores: they end sooner, so the threshold is stricter than it would have to be"


def text(done: Calibrated, page_file: str) -> Iterator[str]:
    yield verdict(done)
    yield from (f"  {line}" for line in facts(done))
    yield ""
    head, rows = _size_rows(done.table)
    yield "  " + "".join(f"{cell:>{width}}" for cell, width in zip(head, _WIDTHS, strict=True))
    for row in rows:
        yield "  " + "".join(f"{cell:>{width}}" for cell, width in zip(row, _WIDTHS, strict=True))
    for group in done.groups:
        yield f"  group '{group.group}' ({group.people} people): FPIR {group.fpir}, FNIR {group.fnir or 'not known'}"
    if done.groups:
        yield f"  worst group: '{done.groups[0].group}'"
    if done.lookalikes:
        yield f"  above the threshold with each other; of each pair {ALIKE}:"
    for pair in done.lookalikes:
        yield f"    '{pair.one}' and '{pair.other}' (score {pair.score:.3f}, distance {pair.distance:.2f})"
    yield f"  report: {page_file}"
    yield (
        "next: gate-roster release"
        if done.fit
        else "next: more pictures of each person, a better pack, or other targets: docs/CALIBRATION.md"
    )


_WIDTHS = (9, 11, 28, 28, 24)


def _size_rows(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    head = ("people", "threshold", "FPIR", "FNIR", "")
    return head, [(f"{row.people}", f"{row.threshold:.4f}", str(row.fpir), str(row.fnir), _standing(row)) for row in rows]


def _standing(row: Row) -> str:
    return "measured" if row.measured else "continued" if row.supported else "beyond what is known"


def json_values(done: Calibrated) -> dict[str, object]:
    file = done.file
    return {
        "fit": done.fit,
        "pack": file.pack,
        "people": file.people,
        "references": done.measurement.references,
        "n_max": file.n_max,
        "n_max_interval": list(done.n_max_interval),
        "target_fpir": file.fpir,
        "target_fnir": file.fnir,
        "threshold": done.here.threshold,
        "margin": file.margin,
        "k": done.measurement.k,
        "fpir": _rate(done.here.fpir),
        "fnir": _rate(done.here.fnir),
        "tail_family": FAMILY,
        "tail": list(file.tail.figures()),
        "goodness": file.fit,
        "sizes": [
            {
                "people": row.people,
                "threshold": row.threshold,
                "fpir": _rate(row.fpir),
                "fnir": _rate(row.fnir),
                "standing": _standing(row),
            }
            for row in done.table
        ],
        "groups": [_group(group) for group in done.groups],
        "lookalikes": [{"one": p.one, "other": p.other, "score": p.score, "distance": p.distance} for p in done.lookalikes],
    }


def _group(group: GroupRates) -> dict[str, object]:
    return {
        "group": group.group,
        "people": group.people,
        "fpir": _rate(group.fpir),
        "fnir": None if group.fnir is None else _rate(group.fnir),
    }


def _rate(rate: Rate) -> dict[str, float]:
    return {"value": rate.value, "low": rate.low, "high": rate.high}


# --- the page ---------------------------------------------------------------------------------------------------------------------


def html(done: Calibrated) -> str:
    head, rows = _size_rows(done.table)
    body = [
        "<h1>Calibration of the roster</h1>",
        f'<p class="{"good" if done.fit else "bad"}">{escape(verdict(done))}</p>',
        *(f'<p class="note">{escape(line)}</p>' for line in facts(done) if line.startswith("WARNING")),
        '<ul class="facts">',
        *(f"<li>{escape(line)}</li>" for line in facts(done) if not line.startswith("WARNING")),
        "</ul>",
        "<h2>By size of the roster</h2>",
        table([*head[:-1], "standing"], rows),
        '<div class="charts">',
        *(svg(chart) for chart in (_det(done), _distributions(done), _tail(done), _sizes(done))),
        "</div>",
        "<h2>Groups</h2>",
        _groups_table(done.groups),
        "<h2>People above the threshold with each other</h2>",
        _lookalike_table(done.lookalikes),
    ]
    return page("Calibration of the roster", body)


def _groups_table(groups: Sequence[GroupRates]) -> str:
    if not groups:
        return "<p>Nobody carries a group (person.toml), or no group has ten people: differences between groups were not measured.</p>"
    rows = [(g.group, f"{g.people}", str(g.fpir), "not known" if g.fnir is None else str(g.fnir)) for g in groups]
    return f"<p>The worst first: <b>{escape(groups[0].group)}</b>.</p>" + table(("group", "people", "FPIR", "FNIR"), rows)


def _lookalike_table(pairs: Sequence[Lookalikes]) -> str:
    if not pairs:
        return "<p>Nobody.</p>"
    rows = [(p.one, p.other, f"{p.score:.3f}", f"{p.distance:.2f}") for p in pairs]
    return f"<p>Of each pair: {escape(ALIKE)}.</p>" + table(("one", "other", "score", "distance"), rows)


def _det(done: Calibrated) -> Chart:
    strangers, genuine = done.measurement.strangers, done.measurement.genuine
    found = curve(genuine.effective, strangers.effective, genuine_weights=genuine.weights(), impostor_weights=strangers.weights())
    seen = [(fp, fn) for fp, fn in zip(found.false_positive.tolist(), found.false_negative.tolist(), strict=True) if fp > 0 and fn > 0]
    people, tail = done.here.people, done.file.tail
    scores = np.linspace(tail.start, tail.threshold(0.0005, people=people), 60).tolist()
    fitted = [(tail.rate(t, people=people), done.measurement.missed(t)) for t in scores]
    return Chart(
        title=f"Detection error trade-off, {people} people",
        x="FPIR: strangers who find somebody",
        y="FNIR: rightful people not found",
        lines=(
            Line(name="single searches", points=_thinned(seen)),
            Line(name="attempts, by the tail", points=[(fp, fn) for fp, fn in fitted if fn > 0], dashed=True),
        ),
        marks=(Mark(name="target", x=done.file.fpir),),
        x_axis=Axis.DEVIATE,
        y_axis=Axis.DEVIATE,
    )


def _thinned(points: Sequence[tuple[float, float]], most: int = 400) -> Sequence[tuple[float, float]]:
    step = max(1, len(points) // most)
    return [*points[::step], *points[-1:]]


def _distributions(done: Calibrated) -> Chart:
    strangers, genuine = done.measurement.strangers, done.measurement.genuine
    both = np.concatenate([strangers.score, genuine.score])
    edges = np.linspace(float(np.quantile(both, 0.001)), float(np.quantile(both, 0.999)), 61)
    return Chart(
        title="Scores of strangers and of rightful people",
        x="score: higher is more alike",
        y="part of searches in each sixtieth",
        lines=(
            Line(name="strangers, best score", points=_histogram(strangers.score, strangers.weights(), edges), filled=True),
            Line(name="rightful, own score", points=_histogram(genuine.score, genuine.weights(), edges), filled=True),
        ),
        marks=(Mark(name=f"threshold {done.here.threshold:.3f}", x=done.here.threshold),),
    )


def _histogram(scores: F64, weights: F64, edges: F64) -> list[tuple[float, float]]:
    counts, _ = np.histogram(scores, edges, weights=weights)
    return list(zip(((edges[1:] + edges[:-1]) / 2).tolist(), (counts / weights.sum()).tolist(), strict=True))


def _tail(done: Calibrated) -> Chart:
    strangers, tail = done.measurement.strangers, done.file.tail
    order = np.argsort(strangers.effective)
    upper = np.cumsum(strangers.weights()[order][::-1])[::-1] / strangers.weights().sum()
    seen = [(score, part) for score, part in zip(strangers.effective[order].tolist(), upper.tolist(), strict=True) if score > tail.start]
    far = tail.threshold(done.file.fpir / EXTRAPOLATION, people=tail_people(done))
    scores = np.linspace(tail.start, far, 80).tolist()
    return Chart(
        title=f"Tail of strangers' searches (goodness of fit {done.file.fit:.2f})",
        x="score",
        y="part of searches at or above",
        lines=(
            Line(name="seen", points=seen, dots=True),
            Line(name="fitted", points=[(t, tail.searched(t)) for t in scores]),
        ),
        marks=(Mark(name=f"threshold {done.here.threshold:.3f}", x=done.here.threshold),),
        y_axis=Axis.LOG,
    )


def tail_people(done: Calibrated) -> int:
    return round(done.file.tail.people)


def _sizes(done: Calibrated) -> Chart:
    sizes = [size for size, _ in done.file.misses if size <= max(row.people for row in done.table)]
    of = dict(done.file.misses)
    return Chart(
        title="Misses by size of the roster, at the target FPIR",
        x="people",
        y="FNIR",
        lines=(
            Line(name="predicted FNIR", points=[(float(n), of[n]) for n in sizes if n <= done.measurement.reach]),
            Line(name="beyond what is known", points=[(float(n), of[n]) for n in sizes if n > done.measurement.reach], dashed=True),
            Line(name="target", points=[(float(n), done.file.fnir) for n in sizes], dashed=True),
        ),
        marks=(Mark(name=f"enrolled: {done.here.people}", x=float(done.here.people)),),
        x_axis=Axis.LOG,
    )
