"""The roster document as bytes: CBOR (RFC 8949), deterministic where it is written, strict where it is read.

A document that decodes is well formed; whether this gate may use it is `trust.admit`'s question.
"""

import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import BinaryIO

import cbor2

from agent.biometrics.calibration import Calibration
from agent.biometrics.errors import CalibrationError
from agent.biometrics.template import Metric
from agent.core.identity import AccessRule, Area, Interval
from agent.errors import GateError
from agent.roster.document import (
    AREAS_MAX,
    DOCUMENT_BYTES_MAX,
    FORMAT,
    FORMAT_VERSION,
    HALF_BYTES,
    INTERVALS_MAX,
    ITEM_BYTES,
    KEY_ID_BYTES,
    LEVELS_MAX,
    PEOPLE_MAX,
    RULES_MAX,
    SUITE,
    TEMPLATE_LENGTHS,
    TIME_MAX_S,
    VALIDITY_MAX_S,
    VERSION_MAX,
    KeyNotice,
    Person,
    Roster,
    TemplateForm,
)
from agent.roster.errors import Reason, RosterError
from agent.roster.fields import Fields, integer, label, malformed, sequence
from agent.roster.people_reader import SEALED, PeopleReader

_DEPTH_MAX = 8
_DAY_MINUTES = 1440
_HALVES = "x_cohort_halves"  # may be ignored: a gate that does not know it computes them

# --- writing ----------------------------------------------------------------------------------------------------------------------


def encode(roster: Roster) -> bytes:
    """The document's bytes: deterministic, so the same roster is the same file.

    Raises:
        RosterError: it breaks a rule of the format; nothing is ever signed that no gate would read.
    """
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": "full",
        "site": roster.site,
        "version": roster.version,
        "issued": roster.issued_s,
        "stale_after": roster.stale_after_s,
        "expires": roster.expires_s,
        "pack": roster.pack,
        "template": {"length": roster.form.length, "dtype": roster.form.dtype, "metric": str(roster.form.metric)},
        "calibration": roster.calibration.as_record(),
        "site_key": {"epoch": roster.key.epoch, "id": roster.key.id, "suite": SUITE, "wrapped": {}},
        "areas": list(roster.areas),
        "levels": {name: _encoded_level(rules) for name, rules in roster.levels.items()},
        "people": [_encoded_person(person) for person in roster.people],
        **({"simulation": True} if roster.simulation else {}),
        **({} if roster.cohort_halves is None else {_HALVES: roster.cohort_halves}),
    }
    data = cbor2.dumps(content, canonical=True)
    decode(data)
    return data


def _encoded_level(rules: Sequence[AccessRule]) -> dict[str, object]:
    return {
        "rules": [
            {
                "from": rule.origin,
                "to": rule.destination,
                "utc_offset": rule.utc_offset_minutes,
                "weekly": [[i.weekdays, i.start_minute, i.end_minute] for i in rule.schedule],
            }
            for rule in rules
        ]
    }


def _encoded_person(person: Person) -> dict[str, object]:
    content: dict[str, object] = {
        "id": person.id,
        "rev": person.revision,
        "status": str(person.status),
        "from": person.not_before_s,
        "until": person.not_after_s,
        "levels": list(person.levels),
        "quality": [[q.eye_distance_px, q.yaw, q.blur, q.brightness, q.clipped] for q in person.quality],
        "sealed": person.sealed,
    }
    return content if person.group is None else {**content, "group": person.group}


# --- reading ----------------------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> Roster:
    """Read a full release.

    Raises:
        RosterError: MALFORMED, TOO_LARGE, or NOT_IMPLEMENTED for a part of the format that this version does not carry out.
    """
    _check_length(len(data))
    reader = PeopleReader()
    with _without_collection():
        return _roster(_decoded(cbor2.loads, data, reader.take), reader)


def read(source: BinaryIO) -> Roster:
    """As `decode`, from an open file and with little memory: what is sealed is checked for its length and left where it lies.

    Raises:
        RosterError: as `decode`.
        OSError: the file cannot be read.
    """
    _check_length(os.fstat(source.fileno()).st_size)
    reader = PeopleReader(keep_sealed=False)
    source.seek(0)
    with _without_collection():
        return _roster(_decoded(cbor2.load, source, reader.take), reader)


def each_sealed(source: BinaryIO, take: Callable[[bytes], None]) -> None:
    """Call `take` with the sealed references of everybody, in the order of a document that `read` has read. Raises what `take` raises."""

    def seen(content: Mapping[object, object], _immutable: bool) -> object:
        sealed = content.get(SEALED)
        if type(sealed) is not bytes:
            return content
        take(sealed)
        return None

    source.seek(0)
    _decoded(cbor2.load, source, seen)


def _check_length(length: int) -> None:
    if length > DOCUMENT_BYTES_MAX:
        raise RosterError(Reason.TOO_LARGE, f"the roster has {length} bytes; the limit is {DOCUMENT_BYTES_MAX}")


@contextmanager
def _without_collection() -> Iterator[None]:
    """Millions of values are made and none of them in a cycle: the collector would look through all of them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _roster(decoded: object, reader: PeopleReader) -> Roster:
    top = Fields(decoded, place="")
    _check_format(top)
    form = _form(Fields(top.take("template"), place="template"))
    areas = tuple(Area(label(a, place=f"areas[{i}]")) for i, a in enumerate(top.take_list("areas", low=0, high=AREAS_MAX)))
    levels = {name: _level(name, content, areas) for name, content in top.take_map("levels", high=LEVELS_MAX).items()}
    people = reader.finish(top.take_list("people", low=0, high=PEOPLE_MAX), form, levels)
    issued_s = top.take_int("issued", low=0, high=TIME_MAX_S)
    expires_s = top.take_int("expires", low=issued_s, high=issued_s + VALIDITY_MAX_S)
    roster = Roster(
        site=top.take_name("site"),
        version=top.take_int("version", low=1, high=VERSION_MAX),
        issued_s=issued_s,
        stale_after_s=top.take_int("stale_after", low=issued_s, high=expires_s),
        expires_s=expires_s,
        pack=top.take_name("pack"),
        form=form,
        calibration=_calibration(top.take("calibration")),
        key=_key(Fields(top.take("site_key"), place="site_key")),
        areas=areas,
        levels=MappingProxyType(levels),
        people=tuple(people),
        simulation=_simulation(top),
        cohort_halves=top.take_bytes(_HALVES, length=HALF_BYTES * len(people)) if top.has(_HALVES) else None,
    )
    top.done()
    return roster


def _decoded(load: Callable[..., object], source: bytes | BinaryIO, hook: Callable[[Mapping[object, object], bool], object]) -> object:
    try:
        return load(
            source,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            max_depth=_DEPTH_MAX,
            semantic_decoders=_NO_TAGS,
            object_hook=hook,
        )
    except (cbor2.CBORDecodeError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error.__cause__, GateError):
            raise error.__cause__ from None  # what a hook found, in its own words
        raise RosterError(Reason.MALFORMED, f"the roster is not the CBOR that its format allows ({error!s:.120}); make it again") from error


def _no_tag(_value: object, _immutable: bool) -> object:
    raise ValueError("a tag")


_NO_TAGS = dict.fromkeys((*range(6), 25, *range(28, 31), 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _no_tag)
"""The format has no tags; without this the decoder would compile regular expressions and build shared references for a stranger."""


def _check_format(top: Fields) -> None:
    found = top.take("format")
    if found != FORMAT:
        raise malformed("format", f"is {found!r:.80}, not '{FORMAT}'")
    version = top.take_int("format_version", low=1, high=VERSION_MAX)
    if version != FORMAT_VERSION:
        raise _not_implemented(f"format version {version}", f"this version reads {FORMAT_VERSION}")
    kind = top.take_name("kind")
    if kind == "delta":
        raise _not_implemented("a delta", "publish a full release")
    if kind != "full":
        raise malformed("kind", f"is '{kind}'; full or delta is expected")


def _simulation(top: Fields) -> bool:
    """The member says true or is absent, so that a roster in service has one form."""
    if not top.has("simulation"):
        return False
    if top.take("simulation") is not True:
        raise malformed("simulation", "must be true, or absent")
    return True


def _not_implemented(what: str, instead: str) -> RosterError:
    return RosterError(Reason.NOT_IMPLEMENTED, f"the roster holds {what}, which is not implemented in this version; {instead}")


def _form(fields: Fields) -> TemplateForm:
    low, high = TEMPLATE_LENGTHS
    length = fields.take_int("length", low=low, high=high)
    dtype = fields.take_name("dtype")
    if dtype not in ITEM_BYTES:
        raise malformed("template.dtype", f"is '{dtype}'; one of {', '.join(ITEM_BYTES)} is expected")
    metric = fields.take_name("metric")
    if metric not in list(Metric):
        raise malformed("template.metric", f"is '{metric}'; one of {', '.join(Metric)} is expected")
    fields.done()
    return TemplateForm(length=length, metric=Metric(metric), dtype=dtype)


def _calibration(content: object) -> Calibration:
    if type(content) is not dict:
        raise malformed("calibration", f"is a {type(content).__name__}, not a map")
    try:
        return Calibration.from_record(content)
    except CalibrationError as error:
        raise malformed("calibration", f"cannot be followed: {error!s:.200}") from error


def _key(fields: Fields) -> KeyNotice:
    notice = KeyNotice(epoch=fields.take_int("epoch", low=1, high=2**32 - 1), id=fields.take_bytes("id", length=KEY_ID_BYTES))
    suite = fields.take_name("suite")
    if suite != SUITE:
        raise _not_implemented(f"references sealed with '{suite}'", f"this version opens {SUITE}")
    if fields.take_map("wrapped", high=10_000):
        raise _not_implemented("site keys wrapped for each gate", "bring the site key to the gate as a file")
    fields.done()
    return notice


def _level(name: str, content: object, areas: Sequence[Area]) -> tuple[AccessRule, ...]:
    place = f"levels.{name}"
    fields = Fields(content, place=place)
    rows = fields.take_list("rules", low=0, high=RULES_MAX)
    fields.done()
    return tuple(_rule(Fields(row, place=f"{place}.rules[{i}]"), f"{place}.rules[{i}]", areas) for i, row in enumerate(rows))


def _rule(fields: Fields, place: str, areas: Sequence[Area]) -> AccessRule:
    origin, destination = Area(fields.take_name("from")), Area(fields.take_name("to"))
    for area in (origin, destination):
        if area not in areas:
            raise malformed(place, f"names the area '{area}', which is not in areas")
    rows = fields.take_list("weekly", low=0, high=INTERVALS_MAX)
    schedule = tuple(_interval(row, f"{place}.weekly[{i}]") for i, row in enumerate(rows))
    offset = fields.take_int("utc_offset", low=-_DAY_MINUTES, high=_DAY_MINUTES)
    fields.done()
    return AccessRule(origin=origin, destination=destination, schedule=schedule, utc_offset_minutes=offset)


def _interval(row: object, place: str) -> Interval:
    weekdays, start, end = sequence(row, low=3, high=3, place=place)
    start_minute = integer(start, low=0, high=_DAY_MINUTES - 1, place=f"{place}[1]")
    return Interval(
        weekdays=integer(weekdays, low=1, high=127, place=f"{place}[0]"),
        start_minute=start_minute,
        end_minute=integer(end, low=start_minute + 1, high=2 * _DAY_MINUTES, place=f"{place}[2]"),
    )
