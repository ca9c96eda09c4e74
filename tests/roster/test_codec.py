"""The document: what is written is read back, and whatever else is read is a RosterError that names the place."""

from dataclasses import replace
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.authority.repository import Times
from agent.authority.synthetic import DAY_S, roster
from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.template import Metric
from agent.core.identity import AccessRule, Area, Interval, PersonId, PersonStatus
from agent.core.inputs import CalibrationKind, SampleQuality
from agent.roster import codec
from agent.roster.document import DOCUMENT_BYTES_MAX, TIME_MAX_S, KeyNotice, Person, Roster, TemplateForm
from agent.roster.errors import Reason, RosterError
from agent.roster.secrecy import SiteKey, new_key, unseal_all

NOW_S = 1_790_000_000
TIMES = Times(NOW_S, NOW_S + 7 * DAY_S, NOW_S + 30 * DAY_S)
KEY = new_key()


def small(people: int = 2) -> Roster:
    return roster(people, key=KEY, site="site", pack="pack-1", version=1, times=TIMES)


def content() -> dict[str, Any]:
    decoded: dict[str, Any] = cbor2.loads(codec.encode(small()))
    return decoded


# --- any roster, any bytes --------------------------------------------------------------------------------------------------------

names = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=64)
identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True).map(PersonId)
figures = st.floats(0, 1e6, allow_nan=False)
qualities = st.builds(
    SampleQuality,
    eye_distance_px=figures,
    yaw=st.floats(-1, 1),
    blur=figures,
    brightness=st.floats(0, 255),
    clipped=st.floats(0, 1),
)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    start = draw(st.integers(0, 1439))
    return Interval(draw(st.integers(1, 127)), start, draw(st.integers(start + 1, 2880)))


@st.composite
def rosters(draw: st.DrawFn) -> Roster:
    form = TemplateForm(draw(st.integers(16, 64)), draw(st.sampled_from(Metric)), draw(st.sampled_from(["f2", "f4"])))
    areas = tuple(Area(a) for a in draw(st.lists(names, min_size=1, max_size=4, unique=True)))
    rules = st.builds(
        AccessRule,
        origin=st.sampled_from(areas),
        destination=st.sampled_from(areas),
        schedule=st.lists(intervals(), max_size=3).map(tuple),
        utc_offset_minutes=st.integers(-1440, 1440),
    )
    levels = draw(st.dictionaries(names, st.lists(rules, max_size=3).map(tuple), min_size=1, max_size=3))
    people = []
    for name in draw(st.lists(identifiers, max_size=4, unique=True)):
        quality = tuple(draw(st.lists(qualities, min_size=1, max_size=3)))
        since = draw(st.integers(0, TIME_MAX_S))
        length = form.sealed_bytes(len(quality))
        people.append(
            Person(
                id=name,
                revision=draw(st.integers(1, 2**53 - 1)),
                status=draw(st.sampled_from(PersonStatus)),
                not_before_s=since,
                not_after_s=draw(st.integers(since, TIME_MAX_S)),
                levels=tuple(draw(st.lists(st.sampled_from(sorted(levels)), max_size=3))),
                quality=quality,
                sealed=draw(st.binary(min_size=length, max_size=length)),
                group=draw(st.none() | names),
            )
        )
    calibration = Calibration(
        kind=CalibrationKind.PACK_DEFAULT,
        method=draw(st.sampled_from(Method)),
        k=draw(st.integers(1, 1000)),
        threshold=draw(st.floats(-2, 2)),
        margin=draw(st.floats(0, 1)),
        people_max=draw(st.integers(1, 300)),
    )
    issued = draw(st.integers(0, 2**32))
    stale = draw(st.integers(issued, issued + 100 * DAY_S))
    return Roster(
        site=draw(names),
        version=draw(st.integers(1, 2**53 - 1)),
        issued_s=issued,
        stale_after_s=stale,
        expires_s=draw(st.integers(stale, issued + 400 * DAY_S)),
        pack=draw(names),
        form=form,
        calibration=calibration,
        key=KeyNotice(draw(st.integers(1, 2**32 - 1)), draw(st.binary(min_size=8, max_size=8))),
        areas=areas,
        levels=levels,
        people=tuple(people),
    )


@given(rosters())
@settings(max_examples=60, deadline=None)
def test_a_roster_is_read_as_it_was_written(value: Roster) -> None:
    data = codec.encode(value)
    assert codec.decode(data) == value
    assert codec.encode(codec.decode(data)) == data


def read_or_refuse(data: bytes) -> None:
    sentence = "a roster that can be read needs no sentence"
    try:
        codec.decode(data)
    except RosterError as error:
        sentence = str(error)
    assert 20 < len(sentence) < 600


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_roster_or_a_roster_error(data: bytes) -> None:
    read_or_refuse(data)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.binary(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good document with one value, anywhere, replaced by anything."""
    tree = content()
    place: Any = tree
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        deeper = place[key]
        if not isinstance(deeper, dict | list) or not deeper or draw(st.booleans()):
            place[key] = draw(ANYTHING)
            return cbor2.dumps(tree)
        place = deeper


@given(damaged())
@settings(max_examples=200, deadline=None)
def test_one_wrong_value_anywhere_is_a_roster_or_a_roster_error(data: bytes) -> None:
    read_or_refuse(data)


@pytest.mark.slow
@given(st.binary(max_size=4000) | damaged())
@settings(max_examples=5_000, deadline=None)
def test_any_bytes_many_times(data: bytes) -> None:
    read_or_refuse(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * 100_000 + b"\x00",  # nested without end
        b"\x9b" + b"\xff" * 8,  # a list of 2**64 - 1
        b"\x5b\x7f" + b"\xff" * 7,  # a string of 2**63 bytes
        b"\xbf\x61a\x00\xff",  # indefinite length
        b"\xa2\x61a\x00\x61a\x01",  # a key twice
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xd8\x23\x6a(a+)+(a+)+$",  # a regular expression
        b"\xc2\x58\xff" + b"\xff" * 255,  # a number of 2040 bits
    ],
)
def test_cbor_that_the_format_has_no_use_for_is_refused(data: bytes) -> None:
    with pytest.raises(RosterError) as caught:
        codec.decode(data)
    assert caught.value.reason is Reason.MALFORMED


# --- each rule, by name -----------------------------------------------------------------------------------------------------------


def refusal(**changes: object) -> RosterError:
    tree = content()
    for path, value in changes.items():
        place = tree
        *parents, last = path.split("__")
        for parent in parents:
            place = place[int(parent) if isinstance(place, list) else parent]
        place[int(last) if isinstance(place, list) else last] = value
    with pytest.raises(RosterError) as caught:
        codec.decode(cbor2.dumps(tree))
    return caught.value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, "format is 'other'"),
        ({"kind": "partial"}, "kind is 'partial'"),
        ({"site": ""}, "site is ''"),
        ({"site": "a\nb"}, "site is 'a\\nb'"),
        ({"version": 0}, "version is 0"),
        ({"version": True}, "version is True"),
        ({"version": 2**60}, f"version is {2**60}"),
        ({"stale_after": NOW_S - 1}, "stale_after is"),
        ({"expires": NOW_S + 401 * DAY_S}, "expires is"),
        ({"template__length": 4096}, "template.length is 4096; a whole number from 16 to 2048"),
        ({"template__dtype": "f8"}, "template.dtype is 'f8'"),
        ({"template__metric": "manhattan"}, "template.metric is 'manhattan'"),
        ({"calibration__threshold": float("nan")}, "calibration cannot be followed"),
        ({"calibration__people_max": 100_000}, "calibration cannot be followed"),
        ({"site_key__id": b"short"}, "site_key.id is 5 bytes; 8 bytes"),
        ({"levels__always__rules__0__to": "moon"}, "levels.always.rules[0] names the area 'moon'"),
        ({"levels__always__rules__0__weekly": [[0, 0, 10]]}, "levels.always.rules[0].weekly[0][0] is 0"),
        ({"levels__always__rules__0__weekly": [[1, 100, 100]]}, "weekly[0][2] is 100; a whole number from 101"),
        ({"people__1__id": "../../etc"}, "people[1].id is '../../etc'"),
        ({"people__1__id": "synthetic-000000"}, "person 'synthetic-000000' is listed twice"),
        ({"people__1__rev": 0}, "rev is 0"),
        ({"people__1__status": "deleted"}, "person 'synthetic-000001': status is 'deleted'"),
        ({"people__1__levels": ["none"]}, "person 'synthetic-000001': levels names the access level 'none'"),
        ({"people__1__quality": []}, "quality is a list of 0; a list of 1 to 16"),
        ({"people__1__quality__0": [80.0, float("inf"), 1.0, 1.0, 0.0]}, "person 'synthetic-000001': quality is inf"),
        ({"people__1__sealed": b"\0" * 10}, "sealed is 10 bytes; 796 bytes"),
        ({"calibration": {"kind": "measured", "date": "2026-10-01"}}, "calibration cannot be followed: the calibration record cannot be"),
        ({"calibration__people_max": 301}, "301 people; with a pack's default 300 at most"),
        ({"people__1__photo": b"\xff\xd8"}, "people[1].photo is not known to this version"),
        ({"policy": {}}, "policy is not known to this version"),
    ],
)
def test_each_rule_names_place_value_and_limit(changes: dict[str, object], words: str) -> None:
    error = refusal(**changes)
    assert error.reason is Reason.MALFORMED
    assert words in str(error)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 2}, "format version 2"),
        ({"kind": "delta"}, "a delta"),
        ({"site_key__wrapped": {"gate-1": b"\0" * 80}}, "site keys wrapped for each gate"),
        ({"site_key__suite": "aes-256-gcm"}, "references sealed with 'aes-256-gcm'"),
    ],
)
def test_what_is_not_implemented_is_refused_by_its_name(changes: dict[str, object], words: str) -> None:
    error = refusal(**changes)
    assert error.reason is Reason.NOT_IMPLEMENTED
    assert words in str(error)
    assert "not implemented in this version" in str(error)


def test_an_extension_may_be_ignored() -> None:
    tree = content()
    tree["x_printed_by"], tree["people"][0]["x_badge"] = "office", 7
    assert codec.decode(cbor2.dumps(tree)) == small_as(tree)


def small_as(tree: dict[str, Any]) -> Roster:
    value = small()
    sealed = [row["sealed"] for row in tree["people"]]  # each sealing has its own nonce
    return replace(value, people=tuple(replace(p, sealed=s) for p, s in zip(value.people, sealed, strict=True)))


def test_a_document_over_the_limit_is_not_parsed() -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return DOCUMENT_BYTES_MAX + 1

    with pytest.raises(RosterError) as caught:
        codec.decode(Large())
    assert caught.value.reason is Reason.TOO_LARGE


def test_nothing_is_written_that_no_gate_would_read() -> None:
    with pytest.raises(RosterError):
        codec.encode(replace(small(), version=0))


def test_two_thousand_people_are_read_back_and_opened() -> None:
    value = roster(2_000, key=KEY, site="site", pack="pack-1", version=1, times=TIMES)
    opened = unseal_all(SiteKey(KEY.secret), codec.decode(codec.encode(value)))
    assert (len(opened), opened[0].shape, opened[0].dtype) == (2_000, (3, 128), np.dtype(np.float32))
