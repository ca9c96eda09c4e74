"""The roster document as bytes: CBOR (RFC 8949), deterministic where it is written, strict where it is read.

A document that decodes is well formed; whether this gate may use it is `trust.admit`'s question.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import cast

import cbor2

from agent.biometrics.calibration import Calibration
from agent.biometrics.errors import CalibrationError
from agent.biometrics.template import Metric
from agent.core.identity import AccessRule, Area, Interval, PersonId, PersonStatus
from agent.core.inputs import SampleQuality
from agent.roster.document import (
    AREAS_MAX,
    DOCUMENT_BYTES_MAX,
    FORMAT,
    FORMAT_VERSION,
    INTERVALS_MAX,
    ITEM_BYTES,
    KEY_ID_BYTES,
    LEVELS_MAX,
    LEVELS_OF_A_PERSON_MAX,
    PEOPLE_MAX,
    REFERENCES_MAX,
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
from agent.roster.fields import IDENTIFIER, Fields, integer, label, malformed, number, sequence

_DEPTH_MAX = 8
_DAY_MINUTES = 1440
_FIGURE_MAX = 1e9

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
    if len(data) > DOCUMENT_BYTES_MAX:
        raise RosterError(Reason.TOO_LARGE, f"the roster has {len(data)} bytes; the limit is {DOCUMENT_BYTES_MAX}")
    top = Fields(_decoded(data), place="")
    _check_format(top)
    form = _form(Fields(top.take("template"), place="template"))
    areas = tuple(Area(label(a, place=f"areas[{i}]")) for i, a in enumerate(top.take_list("areas", low=0, high=AREAS_MAX)))
    levels = {name: _level(name, content, areas) for name, content in top.take_map("levels", high=LEVELS_MAX).items()}
    people = _people(top.take_list("people", low=0, high=PEOPLE_MAX), form, levels)
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
    )
    top.done()
    return roster


def _decoded(data: bytes) -> object:
    try:
        return cbor2.loads(
            data,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            max_depth=_DEPTH_MAX,
            semantic_decoders=_NO_TAGS,
        )
    except (cbor2.CBORDecodeError, ValueError, OverflowError, MemoryError) as error:
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


def _people(rows: list[object], form: TemplateForm, levels: Mapping[str, object]) -> list[Person]:
    people = []
    for index, row in enumerate(rows):
        people.append(_person(row, index, form, levels))
        rows[index] = None  # a large roster must not lie in memory twice while a gate starts
    _check_no_double(people)
    return people


def _person(row: object, index: int, form: TemplateForm, levels: Mapping[str, object]) -> Person:
    fields = Fields(row, place=f"people[{index}]")
    name = fields.take("id")
    if type(name) is not str or not IDENTIFIER.fullmatch(name):
        raise malformed(f"people[{index}].id", f"is {name!r:.80}; 1 to 64 letters, digits, '.', '_' or '-' are expected")
    place = f"person '{name}'"
    quality = tuple(_quality(q, f"{place}: quality") for q in fields.take_list("quality", low=1, high=REFERENCES_MAX))
    status = fields.take_name("status")
    if status not in _STATUS:
        raise malformed(f"{place}: status", f"is '{status}'; one of {', '.join(_STATUS)} is expected")
    not_before_s = fields.take_int("from", low=0, high=TIME_MAX_S)
    person = Person(
        id=PersonId(name),
        revision=fields.take_int("rev", low=1, high=VERSION_MAX),
        status=_STATUS[status],
        not_before_s=not_before_s,
        not_after_s=fields.take_int("until", low=not_before_s, high=TIME_MAX_S),
        levels=_levels_of(fields.take_list("levels", low=0, high=LEVELS_OF_A_PERSON_MAX), place, levels),
        quality=quality,
        sealed=fields.take_bytes("sealed", length=form.sealed_bytes(len(quality))),
        group=fields.take_name("group") if fields.has("group") else None,
    )
    fields.done()
    return person


_STATUS: Mapping[str, PersonStatus] = MappingProxyType({str(status): status for status in PersonStatus})


def _levels_of(names: list[object], place: str, levels: Mapping[str, object]) -> tuple[str, ...]:
    found = tuple(label(name, place=f"{place}: levels") for name in names)
    for name in found:
        if name not in levels:
            raise malformed(f"{place}: levels", f"names the access level '{name}', which the roster does not hold")
    return found


def _quality(row: object, place: str) -> SampleQuality:
    values = sequence(row, low=5, high=5, place=place)
    for value, (low, high) in zip(values, _FIGURES, strict=True):
        if type(value) is not float or not low <= value <= high:  # in place: 45,000 rows are read while a gate starts
            number(value, low=low, high=high, place=place)
    eyes, yaw, blur, brightness, clipped = cast("list[float]", values)
    return SampleQuality(eye_distance_px=eyes, yaw=yaw, blur=blur, brightness=brightness, clipped=clipped)


_FIGURES = ((0, _FIGURE_MAX), (-_FIGURE_MAX, _FIGURE_MAX), (0, _FIGURE_MAX), (0, 255), (0, 1))
"""Least and greatest of each figure, in the order of SampleQuality."""


def _check_no_double(people: Sequence[Person]) -> None:
    seen: set[str] = set()
    for person in people:
        if person.id in seen:
            raise malformed(f"person '{person.id}'", "is listed twice")
        seen.add(person.id)
