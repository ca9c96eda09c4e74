"""Tells what happened: a timeline for the terminal, and a page that opens without a network."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

BANNER = "SIMULATION - presentation attack detection is OFF - the controller is emulated, the faces are portraits from software packages"


@dataclass(frozen=True, slots=True)
class Stage:
    """One leg of a decision's way, and how long it took."""

    name: str
    ms: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline.

    Attributes:
        at_s: seconds since the lane was ready.
        source: who says so: the controller's log, the collector's store, or the demo itself.
        stages: of a decision, its latencies.
        picture: file name of the decision's picture, beside the page.
    """

    at_s: float
    source: str
    text: str
    stages: tuple[Stage, ...] = ()
    picture: str = ""


def terminal(entries: Sequence[Entry]) -> str:
    """The timeline as text, one line an entry, latencies below the decision that they belong to."""
    lines = [BANNER, ""]
    for entry in entries:
        lines.append(f"{entry.at_s:8.3f} s  {entry.source:<10}  {entry.text}")
        lines += [f"{'':12}{'':12}  {'':4}{stage.name:<36}{stage.ms:9.1f} ms" for stage in entry.stages]
    return "\n".join(lines)


def page(entries: Sequence[Entry], facts: Sequence[tuple[str, str]], problems: Sequence[str]) -> str:
    """The same as one HTML file; pictures are read from its own folder."""
    rows = "\n".join(_row(entry) for entry in entries)
    tiles = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in facts)
    verdict = (
        "<p class=good>The controller's log and the collector's store agree with what should have happened.</p>"
        if not problems
        else "<ul class=bad>" + "".join(f"<li>{html.escape(problem)}</li>" for problem in problems) + "</ul>"
    )
    return _PAGE.format(banner=html.escape(BANNER), tiles=tiles, verdict=verdict, rows=rows)


def _row(entry: Entry) -> str:
    longest = max((stage.ms for stage in entry.stages), default=1.0)
    stages = "".join(
        f"<tr><td>{html.escape(stage.name)}</td><td class=n>{stage.ms:.1f} ms</td>"
        f"<td><i style='width:{max(1.0, 100 * stage.ms / longest):.0f}%'></i></td></tr>"
        for stage in entry.stages
    )
    table = f"<table class=stages>{stages}</table>" if stages else ""
    picture = f"<img src='{html.escape(entry.picture)}' alt='{html.escape(entry.text)}'>" if entry.picture else ""
    return (
        f"<li class='{html.escape(entry.source)}'><time>{entry.at_s:.3f} s</time><em>{html.escape(entry.source)}</em>"
        f"<div><p>{html.escape(entry.text)}</p>{picture}{table}</div></li>"
    )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gate-agent: one lane, end to end (simulation)</title>
<style>
:root {{ font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #f5f6f8 }}
body {{ max-width: 60rem; margin: 0 auto; padding: 0 1rem 4rem }}
header {{ background: #8a2b0b; color: #fff; margin: 0 -1rem; padding: .5rem 1rem; font-weight: 600 }}
h1 {{ font-size: 1.5rem; margin: 1.5rem 0 .5rem }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0 }}
.tiles div {{ background: #fff; border: 1px solid #d9dde3; border-radius: .4rem; padding: .6rem .8rem }}
.tiles b {{ display: block; font-size: 1.4rem }} .tiles span {{ color: #5a6472; font-size: .85rem }}
.good {{ color: #1b6e3c; font-weight: 600 }} .bad {{ color: #a01818; font-weight: 600 }}
ol {{ list-style: none; padding: 0; border-left: 3px solid #d9dde3 }}
ol > li {{ display: grid; grid-template-columns: 6rem 6.5rem 1fr; gap: .5rem; padding: .35rem .8rem }}
ol > li > div > p {{ margin: 0 }}
time {{ color: #5a6472; font-variant-numeric: tabular-nums }} em {{ font-style: normal; color: #5a6472 }}
li.collector {{ background: #fff }} li.controller em {{ color: #0b5cad }} li.demo em {{ color: #8a2b0b }}
img {{ max-width: 100%; border-radius: .3rem; margin: .5rem 0; border: 1px solid #d9dde3 }}
.stages {{ border-collapse: collapse; width: 100%; font-size: .9rem; margin: .2rem 0 .6rem }}
.stages td {{ padding: .1rem .5rem .1rem 0; width: 15rem }} .stages .n {{ width: 6rem; text-align: right }}
.stages td:last-child {{ width: auto }} .stages i {{ display: block; height: .6rem; background: #0b5cad; border-radius: .15rem }}
@media (max-width: 40rem) {{ ol > li {{ grid-template-columns: 1fr }} }}
</style>
<header>{banner}</header>
<h1>One lane, end to end</h1>
<p>A person walks up, the gate opens, the centre knows. Grants, releases and passages below are read from the controller's own log;
decisions and deliveries from the collector's store.</p>
<div class="tiles">{tiles}</div>
{verdict}
<ol>
{rows}
</ol>
</html>
"""
