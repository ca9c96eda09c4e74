"""A roster read from its file is the roster read from its bytes, and never lies in memory whole."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings

from agent.authority.repository import Times
from agent.authority.synthetic import CALIBRATION, DAY_S, FORM, SyntheticAuthority, roster
from agent.biometrics.calibration import Method
from agent.biometrics.template import Metric
from agent.roster import codec, folder, secrecy
from agent.roster.document import DOCUMENT_BYTES_MAX, Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.folder import FolderRepository
from agent.roster.people import gallery_of
from agent.roster.secrecy import BLOCK_PEOPLE, Binding, new_key, seal
from tests.roster.conftest import Gate
from tests.roster.test_codec import content, damaged, rosters

NOW_S = 1_790_000_000
TIMES = Times(NOW_S, NOW_S + 7 * DAY_S, NOW_S + 30 * DAY_S)
KEY = new_key()


def released(people: int, *, length: int = 128, metric: Metric = Metric.EUCLIDEAN) -> Roster:
    form = replace(FORM, length=length, metric=metric)
    return roster(people, key=KEY, site="site", pack="pack-1", version=1, times=TIMES, form=form)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a test may write a document."""
    return tmp_path_factory.mktemp("document") / "roster.cbor"


def read(file: Path, data: bytes) -> Roster | str:
    """What stands in a file: a roster, or why not."""
    file.write_bytes(data)
    with file.open("rb") as source:
        try:
            return codec.read(source)
        except RosterError as error:
            return f"{error.reason}: {error}"


def decoded(data: bytes) -> Roster | str:
    try:
        value = codec.decode(data)
    except RosterError as error:
        return f"{error.reason}: {error}"
    return replace(value, people=tuple(replace(person, sealed=b"") for person in value.people))


@given(rosters())
@settings(max_examples=40, deadline=None)
def test_a_file_is_read_as_its_bytes_but_for_what_is_sealed(file: Path, value: Roster) -> None:
    data = codec.encode(value)
    assert read(file, data) == decoded(data)
    found: list[bytes] = []
    with file.open("rb") as source:
        codec.each_sealed(source, found.append)
    assert found == [person.sealed for person in value.people]


@given(damaged())
@settings(max_examples=150, deadline=None)
def test_a_file_with_one_wrong_value_is_refused_in_the_same_words_as_its_bytes(file: Path, data: bytes) -> None:
    assert read(file, data) == decoded(data)


def test_a_file_that_ends_too_early_is_refused(file: Path) -> None:
    data = codec.encode(released(3))
    for length in (0, 1, 100, len(data) // 2, len(data) - 1):
        assert str(read(file, data[:length])).startswith(Reason.MALFORMED)


def test_a_file_over_the_limit_is_not_parsed(file: Path) -> None:
    file.write_bytes(b"")
    with file.open("r+b") as sink:
        sink.truncate(DOCUMENT_BYTES_MAX + 1)  # no byte of it is on the disk
    with file.open("rb") as source, pytest.raises(RosterError) as caught:
        codec.read(source)
    assert caught.value.reason is Reason.TOO_LARGE


def nested_in_a_person(tree: dict) -> None:
    tree["people"][0]["x_other"] = tree["people"].pop()


def beside_the_people(tree: dict) -> None:
    tree["x_others"] = [tree["people"].pop()]


def before_the_people(tree: dict) -> None:
    rest = {key: tree.pop(key) for key in list(tree)}
    tree |= {"x_first": rest["people"][1]} | rest


@pytest.mark.parametrize("change", [nested_in_a_person, beside_the_people, before_the_people])
def test_references_outside_the_list_of_people_are_refused(file: Path, change: Callable[[dict], None]) -> None:
    """Else they would be taken for the next person's."""
    tree = content()
    change(tree)
    sentence = read(file, cbor2.dumps(tree))
    assert isinstance(sentence, str)
    assert "outside its list of people" in sentence
    assert sentence == decoded(cbor2.dumps(tree))


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("people", [0, 1, 6, BLOCK_PEOPLE, BLOCK_PEOPLE + 1])
def test_a_gallery_made_from_the_file_is_the_gallery_made_from_memory(file: Path, people: int, metric: Metric) -> None:
    value = released(people, length=16, metric=metric)
    if people > 5:
        value = replace(value, calibration=replace(CALIBRATION, method=Method.COHORT, k=5))
    value = replace(value, calibration=replace(value.calibration, people_max=3_000))
    file.write_bytes(b"")
    written = codec.encode(replace(value, calibration=CALIBRATION))  # as far as the format goes; the calibration is not its question here
    head = read(file, written)
    assert isinstance(head, Roster)
    with file.open("rb") as source:
        found = gallery_of(replace(head, calibration=value.calibration), KEY, source=source)
    expected = gallery_of(value, KEY)
    np.testing.assert_array_equal(found.table, expected.table)
    np.testing.assert_array_equal(found.norms, expected.norms)
    assert (found.records, found.halves is None) == (expected.records, people <= 5)
    if people > 5:
        np.testing.assert_array_equal(found.halves, expected.halves)


@pytest.fixture(params=[1, BLOCK_PEOPLE])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is found while the file is still being decoded, or after it."""
    monkeypatch.setattr(secrecy, "BLOCK_PEOPLE", request.param)


@pytest.mark.usefixtures("block")
def test_a_record_in_the_file_that_does_not_open_names_its_person(file: Path) -> None:
    value = released(3)
    exchanged = (replace(value.people[0], sealed=value.people[1].sealed), *value.people[1:])
    head = read(file, codec.encode(replace(value, people=exchanged)))
    assert isinstance(head, Roster)
    with file.open("rb") as source, pytest.raises(RosterError, match="the references of 'synthetic-000000' do not open") as caught:
        gallery_of(head, KEY, source=source)
    assert caught.value.reason is Reason.WRONG_KEY


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("people", [2, 4])
def test_a_file_of_other_people_than_were_read_makes_no_gallery(file: Path, people: int) -> None:
    """Nobody can exchange the gate's own copy; if it happens all the same, no row of the table stays without a face of its owner."""
    head = read(file, codec.encode(released(3)))
    assert isinstance(head, Roster)
    everybody = released(4)
    for one, other in zip(head.people, everybody.people, strict=False):
        assert one.id == other.id
    file.write_bytes(codec.encode(replace(everybody, people=everybody.people[:people])))
    with file.open("rb") as source, pytest.raises(RosterError) as caught:
        gallery_of(head, KEY, source=source)
    assert caught.value.reason is Reason.MALFORMED
    assert "references" in str(caught.value)


@pytest.mark.usefixtures("block")
def test_a_template_in_the_file_that_cannot_be_compared_is_refused(file: Path) -> None:
    """What the gallery finds leaves the decoder in its own words too."""
    value = released(2, metric=Metric.COSINE)
    binding = Binding(site="site", pack="pack-1", epoch=1, person=value.people[1].id, revision=1)
    null = seal(KEY, np.zeros((3, 128), np.float32), form=value.form, binding=binding)
    head = read(file, codec.encode(replace(value, people=(value.people[0], replace(value.people[1], sealed=null)))))
    assert isinstance(head, Roster)
    with file.open("rb") as source, pytest.raises(RosterError, match=r"cannot be searched: template [03] of [36] is null") as caught:
        gallery_of(head, KEY, source=source)
    assert caught.value.reason is Reason.MALFORMED


def test_a_roster_read_from_a_file_opens_nothing_without_it(file: Path) -> None:
    head = read(file, codec.encode(released(2)))
    assert isinstance(head, Roster)
    with pytest.raises(RosterError) as caught:
        gallery_of(head, KEY)
    assert caught.value.reason is Reason.WRONG_KEY


def test_the_document_never_lies_in_memory(file: Path) -> None:
    """Python's and numpy's memory, beside the table that is wanted: a small part of the document."""
    value = released(2_500, length=512)
    file.write_bytes(codec.encode(value))
    permitted = replace(value.calibration, people_max=2_500)
    del value
    length = file.stat().st_size
    tracemalloc.start()
    with file.open("rb") as source:
        head = replace(codec.read(source), calibration=permitted)
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        table = gallery_of(head, KEY, source=source).table.nbytes
        opening = tracemalloc.get_traced_memory()[1] - table
    tracemalloc.stop()
    assert length > 7_500_000
    assert reading < length / 4
    # A block is open three times over: as it was sealed, as it was written, and as numbers of double precision.
    assert opening < 10 * 3 * 512 * BLOCK_PEOPLE * 2


# --- the gate's own copy ----------------------------------------------------------------------------------------------------------


def test_a_document_exchanged_after_it_was_verified_is_not_read(
    authority: SyntheticAuthority, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write in the folder where releases arrive waits for the moment between the check and the use."""
    authority.publish(people=5)
    authority.export(gate.folder)
    (offered,) = (gate.folder / "targets" / "enrol").iterdir()
    original = FolderRepository.document

    def exchanged(self: FolderRepository, url: str, length: int) -> Path:
        found = original(self, url, length)
        offered.write_bytes(b"anything else")
        return found

    monkeypatch.setattr(FolderRepository, "document", exchanged)
    gate.look()
    assert (gate.versions(), gate.used[0].people, gate.refusals()) == ([1], 5, [])


def test_a_document_that_grows_while_it_is_copied_is_cut_off(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish(people=5)
    authority.export(gate.folder)
    (offered,) = (gate.folder / "targets" / "enrol").iterdir()
    length = offered.stat().st_size
    with offered.open("ab") as sink:
        sink.write(b"\0" * 5_000_000)
    gate.look()
    assert (gate.refusals(), list(gate.disk.glob("roster-*.cbor"))) == (["tampered"], [])
    with pytest.raises(folder.DownloadLengthMismatchError):
        FolderRepository(gate.folder, copy=gate.disk / "copy").document(f"targets/enrol/{offered.name}", length)
    assert (gate.disk / "copy").stat().st_size <= length + (1 << 20)


def test_a_link_in_the_place_of_the_copy_is_not_followed(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish()
    authority.export(gate.folder)
    victim = gate.disk / "site.key"
    before = victim.read_bytes()
    (gate.disk / "roster-0.cbor").symlink_to(victim)
    gate.look()
    assert (gate.refusals(), victim.read_bytes()) == (["not_stored"], before)
    gate.boot().turn()
    assert gate.versions() == [1]
