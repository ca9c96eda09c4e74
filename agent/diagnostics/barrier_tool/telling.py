"""What the measurements say, in sentences and as figures, and the bar that shows how far they are."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from agent.diagnostics.barrier_tool.loopback import Figures, Plugged

BAR = 30  # characters


def bar(what: str, total: int) -> Callable[[int], None]:
    """A progress bar on a terminal, nothing elsewhere."""
    last = -1

    def show(done: int) -> None:
        nonlocal last
        filled = BAR * min(done, total) // total
        if sys.stderr.isatty() and (done != last):
            last = done
            print(f"\r{what:<9} [{'#' * filled}{'.' * (BAR - filled)}] {min(done, total)}/{total}", end="", file=sys.stderr, flush=True)
            if done >= total:
                print(file=sys.stderr)

    return show


def figures(found: Figures) -> dict[str, Any]:
    return {**asdict(found), "ratio": found.ratio}


def figure_words(found: Figures) -> str:
    if found.p50_ms is None:
        return f"no answer to {found.exchanges} questions"
    asked = f"lost {found.lost}, asked again {found.repeated}, sessions lost {found.sessions_lost}"
    here = f"bad frames here {found.frames_refused}"
    there = f"at the controller {found.checksum_errors} by checksum and {found.refused_by_controller} otherwise"
    least = f"their bytes take {found.wire_ms:.2f} ms at this speed, p50 is {found.ratio} times that"
    if found.p50_ms < found.wire_ms:
        least += ": quicker than any wire, so this is no serial line"
    words = [
        f"{found.exchanges} exchanges: p50 {found.p50_ms:.2f} ms, p99 {found.p99_ms:.2f} ms, worst {found.worst_ms:.2f} ms; {least}",
        f"{asked}; {here}, {there}",
    ]
    if found.waiting_events:
        words.append(
            f"{found.waiting_events} events wait for the agent and are sent again and again meanwhile, which takes time on the line"
        )
    words.append(
        "the line is good" if found.faults == 0 else "THE LINE IS NOT GOOD: check plugs, shield, earth, and the length of the cable"
    )
    return "\n".join(words)


def plug_words(found: Plugged) -> str:
    if found.missing == found.sent:
        return "nothing came back: TX and RX are not bridged at the far end, or the cable is broken (or a controller is still on it)"
    words = f"{found.sent} bytes sent, {found.wrong} wrong, {found.missing} missing, {found.stray} too many; {found.bytes_per_s} bytes/s"
    return f"{words}\nfirst: {found.first}\nTHE CABLE IS NOT GOOD" if found.first else f"{words}\nthe cable is good"
