"""What the commands print: text for people, plain values for programs. One table, no pictures."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from agent.authority.authority import Published
from agent.authority.people import WANTED_PICTURES, Enrolment
from agent.core.inputs import SampleQuality
from agent.roster.document import TIME_MAX_S, Person

_SHORT: Final = 10
"""People up to whom the list is seen at a glance."""


def enrolment_text(done: Sequence[Enrolment], *, is_whole: bool = True) -> Iterator[str]:
    """One block for each person: what became of them, then each picture. is_whole: everybody in the folder was looked at."""
    width = max((len(p.file) for each in done for p in each.pictures), default=0)
    for each in done:
        yield f"{each.person}: {_became(each)}"
        for picture in each.pictures:
            verdict = "ok" if picture.reason is None else "no"
            yield f"    {picture.file:<{width}}  {verdict}  {_figures(picture.quality):<46}  {picture.reason or ''}".rstrip()
        for warning in each.warnings:
            yield f"    warning: {warning}"
    yield from _to_look_at(done)
    refused = sum(each.refused is not None for each in done)
    if not is_whole:
        yield "cut short: others in the folder were not looked at; run it again"
    yield f"{len(done) - refused} enrolled, {refused} refused; to bring them to the gates: gate-roster release, then gate-roster export DIR"


def _became(each: Enrolment) -> str:
    if each.refused:
        return f"REFUSED: {each.refused}"
    again = f", in place of {each.replaced} from before" if each.replaced else ""
    return f"enrolled with {each.references} picture(s){again}"


def _to_look_at(done: Sequence[Enrolment]) -> Iterator[str]:
    """What an operator has to do, once more at the end of a long list."""
    if len(done) <= _SHORT:
        return
    refused = [each for each in done if each.refused]
    alike = [(each.person, other) for each in done for other in each.alike if not each.refused]
    few = sum(not each.refused and each.references < WANTED_PICTURES for each in done)
    if refused:
        yield "refused:"
        yield from (f"    {each.person}: {each.refused}" for each in refused)
    if alike:
        yield "nearly the same face; look at their pictures, whether it is one person under two names:"
        yield from (f"    '{name}' and '{other.person}' ({other.figures})" for name, other in alike)
    if few:
        yield f"fewer than {WANTED_PICTURES} pictures that serve: of {few} people; more pictures of each are the surest way to fewer misses"


def _figures(quality: SampleQuality | None) -> str:
    if quality is None:
        return ""
    return f"eyes {quality.eye_distance_px:4.0f} px  yaw {quality.yaw:+.2f}  blur {quality.blur:5.0f}  light {quality.brightness:3.0f}"


def enrolment_json(done: Sequence[Enrolment], *, is_whole: bool = True) -> dict[str, object]:
    return {
        "whole": is_whole,
        "enrolled": sum(each.refused is None for each in done),
        "refused": sum(each.refused is not None for each in done),
        "people": [
            {
                "person": each.person,
                "refused": each.refused,
                "warnings": list(each.warnings),
                "alike": [{"person": a.person, "distance": round(a.distance, 4), "score": a.score} for a in each.alike],
                "references": 0 if each.refused else each.references,
                "pictures": [
                    {
                        "file": p.file,
                        "reason": p.reason,
                        "quality": None
                        if p.quality is None
                        else {
                            "eye_distance_px": round(p.quality.eye_distance_px, 1),
                            "yaw": round(p.quality.yaw, 3),
                            "blur": round(p.quality.blur, 1),
                            "brightness": round(p.quality.brightness, 1),
                            "clipped": round(p.quality.clipped, 4),
                        },
                    }
                    for p in each.pictures
                ],
            }
            for each in done
        ],
    }


def people_text(people: Sequence[Person], *, utc_offset_minutes: int) -> Iterator[str]:
    """Days are the site's, as in person.toml."""
    width, offset_s = max((len(person.id) for person in people), default=0), utc_offset_minutes * 60
    for person in people:
        dates = f"{day(person.not_before_s + offset_s)} to {day(person.not_after_s - 1 + offset_s)}"
        yield f"{person.id:<{width}}  {person.status:<9}  {dates}  {len(person.quality)} picture(s)  {', '.join(person.levels)}"
    yield f"{len(people)} people"


def people_json(people: Sequence[Person]) -> dict[str, object]:
    return {
        "people": [
            {
                "person": person.id,
                "revision": person.revision,
                "status": str(person.status),
                "not_before": person.not_before_s,
                "not_after": person.not_after_s,
                "levels": list(person.levels),
                "group": person.group,
                "references": len(person.quality),
            }
            for person in people
        ]
    }


def published_text(published: Published) -> Iterator[str]:
    times = published.times
    yield f"release {published.version}: {published.people} people, calibration {published.calibration}, threshold {published.threshold:g}"
    yield f"gates install it until {instant(times.stale_after_s)} and use it until {instant(times.expires_s)}"
    yield "next: gate-roster export DIR, to where the gates look, or onto a stick"


def published_json(published: Published) -> dict[str, object]:
    return {
        "version": published.version,
        "people": published.people,
        "calibration": published.calibration,
        "threshold": published.threshold,
        "issued": published.times.issued_s,
        "stale_after": published.times.stale_after_s,
        "expires": published.times.expires_s,
        "renew_before": published.valid_until_s,
    }


def printable(text: str) -> str:
    """One line for a terminal: a file's name may hold a line feed, or what would move the cursor."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def day(seconds: int) -> str:
    return datetime.fromtimestamp(min(seconds, TIME_MAX_S), UTC).strftime("%Y-%m-%d")


def instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
