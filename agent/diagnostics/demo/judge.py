"""The facts, from those who do not decide: the controller's own log and the collector's store. The agent is not asked.

Only the number of events recorded comes from the agent's side: the newest row of its journal, read from outside.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from agent.collector.report import open_store, report, verify
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.diagnostics.bench.figures import quantile
from agent.diagnostics.demo.play import newest
from agent.diagnostics.demo.report import Entry, Stage
from agent.diagnostics.demo.site import PERSON, Site

EXPECTED_PASSAGES = ("ENTRY", "EXIT")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was left behind.

    Attributes:
        log: the controller's lines, each with t_ns, monotonic, and kind.
        events: the collector's events in order, as they came over the wire.
        recorded: newest row of the agent's journal.
        chain: what is wrong with the chain of the delivered events, if anything.
    """

    log: Sequence[dict[str, Any]]
    events: Sequence[dict[str, Any]]
    duplicates: int
    refused: int
    recorded: int
    chain: Sequence[str]


def collect(site: Site) -> Evidence:
    """Read everything once, after the processes have ended."""
    log = [json.loads(line) for line in site.controller_log.read_text(encoding="utf-8").splitlines()]
    with closing(open_store(site.collector_store)) as store:
        told = report(store)
        chain = [f"{name}: {wrong}" for name, _, wrong in verify(store) if wrong]
        events = [json.loads(payload) for (payload,) in store.execute("SELECT payload FROM event ORDER BY epoch, seq")]
    return Evidence(log, events, told.duplicates, told.refused, newest(site.folder / "state" / "journal.db"), chain)


def facts(evidence: Evidence) -> dict[str, Any]:
    """The one object that `--json` prints. decision_ms: from the capture of the deciding frame to the decision."""
    types = Counter(event["type"] for event in evidence.events)
    latencies = [event["data"]["fields"]["latency_ms"] for event in evidence.events if event["type"] in {"access.granted", "access.denied"}]
    return {
        "granted": types["access.granted"],
        "denied": types["access.denied"],
        "released": len(_releases(evidence)),
        "passages": len(_passages(evidence)),
        "events_recorded": evidence.recorded,
        "events_delivered": len(evidence.events),
        "duplicates": evidence.duplicates,
        "decision_ms": {f"p{share}": quantile(latencies, share / 100) if latencies else None for share in (50, 99)},
    }


def problems(evidence: Evidence, *, killed_ns: int, back_ns: int) -> list[str]:
    """What is not as it should have been; empty: the demo succeeded."""
    told = facts(evidence)
    wanted = {"granted": 2, "denied": 1, "released": 2, "passages": 2, "duplicates": 0, "events_delivered": evidence.recorded}
    found = [f"{name} is {told[name]}, not {figure}" for name, figure in wanted.items() if told[name] != figure]
    directions = tuple(line["direction"] for line in _passages(evidence))
    if directions != EXPECTED_PASSAGES:
        found.append(f"the passages were {directions}, not {EXPECTED_PASSAGES}")
    granted = {event["data"]["fields"]["person"] for event in evidence.events if event["type"] == "access.granted"}
    if granted - {PERSON}:
        found.append(f"granted were {sorted(granted)}; only {PERSON} is enrolled")
    unrecorded = {line["grant_number"] for line in _releases(evidence)} - {
        event["data"]["fields"]["grant"] for event in evidence.events if event["type"] == "access.granted"
    }
    if unrecorded:
        found.append(f"the controller released for grants {sorted(unrecorded)}, which no event names")
    if not all(event["data"]["simulation"] for event in evidence.events):
        found.append("an event does not say that it is a simulation")
    if evidence.refused:
        found.append(f"the collector refused {evidence.refused} messages")
    if not any(killed_ns < line["t_ns"] < back_ns for line in _passages(evidence)):
        found.append("nobody passed while the broker was dead")
    return found + list(evidence.chain)


def timeline(evidence: Evidence, *, killed_ns: int, back_ns: int, pictures: Sequence[str]) -> list[Entry]:
    """Everything in the order in which it happened, by the one monotonic clock that all parts of this machine share."""
    zero_ns = min(event["data"]["monotonic_ns"] for event in evidence.events)
    rows: list[tuple[int, Entry]] = []
    for event in evidence.events:
        at_ns = event["data"]["monotonic_ns"]
        text = _told(event)
        if text:
            stages, picture = _stages(event, evidence), _picture(event, pictures)
            rows.append((at_ns, Entry(_seconds(at_ns, zero_ns), "collector", text, stages, picture)))
    for line in evidence.log:
        words = _CONTROLLER_WORDS.get(line["kind"])
        if words:
            rows.append((line["t_ns"], Entry(_seconds(line["t_ns"], zero_ns), "controller", words.format(**line))))
    rows.append((killed_ns, Entry(_seconds(killed_ns, zero_ns), "demo", "the broker is killed")))
    waited = sum(killed_ns < event["data"]["monotonic_ns"] < back_ns for event in evidence.events)
    rows.append((back_ns, Entry(_seconds(back_ns, zero_ns), "demo", f"the broker is back; {waited} events waited in the journal for it")))
    return [entry for _, entry in sorted(rows, key=lambda row: row[0])]


_CONTROLLER_WORDS = {
    "arm": "armed by the agent",
    "release": "release {direction}, grant {grant_number}: {result}",
    "passage_started": "somebody begins to pass, {direction}, grant {grant_number}",
    "passage_completed": "passage completed, {direction}, grant {grant_number}; {passages} passages in all",
    "disarm": "disarmed by the agent",
}


# What a kind of event is to a person; a kind that is not here is left out of the timeline.
_EVENT_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "agent.started": lambda _: "the agent has started",
    "agent.stopped": lambda _: "the agent stops",
    "roster.loaded": lambda f: f"roster {f['version']} in force: {f['people']} person(s), {f['calibration']}",
    "service.opened": lambda f: f"{f['direction']} is in service",
    "service.closed": lambda f: f"{f['direction']} is out of service: {f['reasons']}",
    "uplink.changed": lambda f: "the broker is reached" if f["connected"] else "the broker is lost; events wait in the journal",
    "access.granted": lambda f: f"GRANTED {f['direction']}: {f['person']}, score {f['score']:.3f} >= {f['threshold']:.3f}",
    "access.denied": lambda f: f"DENIED {f['direction']}: {f['reason']}, {_best(f)}",
    "passage.made": lambda f: f"passage made, {f['direction']}: {f['person']}, grant {f['grant']}",
}


def _best(fields: dict[str, Any]) -> str:
    return "no score" if fields["score"] is None else f"best score {fields['score']:.3f}, threshold {fields['threshold']:.3f}"


def _told(event: dict[str, Any]) -> str:
    words = _EVENT_WORDS.get(event["type"])
    return "" if words is None else words(event["data"]["fields"])


def _stages(event: dict[str, Any], evidence: Evidence) -> tuple[Stage, ...]:
    """The way of one decision, from the first sight of the face to the passage."""
    if event["type"] not in {"access.granted", "access.denied"}:
        return ()
    fields, decided_ns = event["data"]["fields"], event["data"]["monotonic_ns"]
    stages = [Stage("face first seen -> decided", fields["seen_ms"]), Stage("deciding frame captured -> decided", fields["latency_ms"])]
    previous_ns, previous = decided_ns, "decided and recorded"
    for kind, name in (("release", "released by the controller"), ("passage_started", "passage started"), ("passage_completed", "passed")):
        line = next((line for line in evidence.log if line["kind"] == kind and line["grant_number"] == fields.get("grant")), None)
        if line is None:
            break
        stages.append(Stage(f"{previous} -> {name}", (line["t_ns"] - previous_ns) / NS_PER_MS))
        previous_ns, previous = line["t_ns"], name
    return tuple(stages)


def _picture(event: dict[str, Any], pictures: Sequence[str]) -> str:
    captured = str(event["data"]["fields"].get("captured_at_ns", "no frame"))
    return next((name for name in pictures if captured in name), "") if event["type"].startswith("access.") else ""


def _releases(evidence: Evidence) -> list[dict[str, Any]]:
    return [line for line in evidence.log if line["kind"] == "release" and line["result"] == "ACCEPTED"]


def _passages(evidence: Evidence) -> list[dict[str, Any]]:
    return [line for line in evidence.log if line["kind"] == "passage_completed"]


def _seconds(at_ns: int, zero_ns: int) -> float:
    return (at_ns - zero_ns) / NS_PER_S
