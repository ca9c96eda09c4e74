"""Templates at rest: only the right key opens them, only for the person, revision, pack and site that they were sealed for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.authority.repository import Times
from agent.authority.synthetic import DAY_S, FORM, name, roster, templates
from agent.biometrics.template import Metric
from agent.core.identity import PersonId
from agent.roster import codec
from agent.roster.document import TemplateForm
from agent.roster.errors import Reason, RosterError
from agent.roster.people import gallery_of
from agent.roster.secrecy import Binding, new_key, read_key, seal, unseal, unseal_all, write_key

NOW_S = 1_790_000_000
TIMES = Times(NOW_S, NOW_S + 7 * DAY_S, NOW_S + 30 * DAY_S)
BINDING = Binding(site="site", pack="pack-1", epoch=1, person=PersonId("a"), revision=1)


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_what_is_sealed_is_opened_again(dtype: str) -> None:
    key, form = new_key(), replace(FORM, dtype=dtype)
    (table,) = templates(1, references=3)
    sealed = seal(key, table, form=form, binding=BINDING)
    assert len(sealed) == form.sealed_bytes(3)
    opened = unseal(key, sealed, form=form, binding=BINDING)
    np.testing.assert_array_equal(opened, table.astype(dtype).astype(np.float32))


def test_half_precision_moves_a_distance_by_less_than_a_thousandth() -> None:
    key = new_key()
    one, two = (each[0] for each in templates(2, references=1))
    exact = float(np.linalg.norm(one - two))
    opened = [unseal(key, seal(key, t[None], form=FORM, binding=BINDING), form=FORM, binding=BINDING)[0] for t in (one, two)]
    assert abs(float(np.linalg.norm(opened[0] - opened[1])) - exact) < 0.001


def test_two_sealings_of_one_template_differ() -> None:
    key = new_key()
    (table,) = templates(1)
    assert seal(key, table, form=FORM, binding=BINDING) != seal(key, table, form=FORM, binding=BINDING)


@pytest.mark.parametrize("change", [{"site": "x"}, {"pack": "x"}, {"epoch": 2}, {"person": "b"}, {"revision": 2}])
def test_a_record_opens_only_for_what_it_was_sealed_for(change: dict[str, object]) -> None:
    key = new_key()
    (table,) = templates(1)
    sealed = seal(key, table, form=FORM, binding=BINDING)
    with pytest.raises(RosterError) as caught:
        unseal(key, sealed, form=FORM, binding=replace(BINDING, **change))
    assert caught.value.reason is Reason.WRONG_KEY


@given(st.integers(0, 12 + 128 * 2 * 2 + 16 - 1), st.integers(1, 255))
@settings(max_examples=50, deadline=None)
def test_one_changed_byte_anywhere_does_not_open(place: int, change: int) -> None:
    key = new_key()
    (table,) = templates(1, references=2)
    sealed = bytearray(seal(key, table, form=FORM, binding=BINDING))
    sealed[place] ^= change
    with pytest.raises(RosterError):
        unseal(key, bytes(sealed), form=FORM, binding=BINDING)


def test_records_of_two_people_exchanged_are_noticed() -> None:
    key = new_key()
    value = roster(2, key=key, site="site", pack="pack-1", version=1, times=TIMES)
    one, two = value.people
    mixed = replace(value, people=(replace(one, sealed=two.sealed), replace(two, sealed=one.sealed)))
    with pytest.raises(RosterError, match="synthetic-000000"):
        unseal_all(key, mixed)


def test_a_template_that_is_not_finite_names_the_person() -> None:
    key = new_key()
    value = roster(3, key=key, site="site", pack="pack-1", version=1, times=TIMES)
    bad = np.full((3, FORM.length), 0.5, dtype=np.float32)
    binding = Binding(site="site", pack="pack-1", epoch=1, person=name(1), revision=1)
    sealed = bytearray(seal(key, bad, form=FORM, binding=binding))
    # Sealing refuses it, so the bytes are made as somebody else's software might.
    nonce = bytes(sealed[:12])
    bad[2, 5] = np.inf
    forged = nonce + ChaCha20Poly1305(key.secret).encrypt(nonce, bad.astype("<f2").tobytes(), binding.associated_data())
    with pytest.raises(RosterError, match="person 'synthetic-000001' has a template that is not finite"):
        unseal_all(key, replace(value, people=(value.people[0], replace(value.people[1], sealed=forged), value.people[2])))
    with pytest.raises(ValueError, match="holds a value that f2 cannot"):
        seal(key, bad, form=FORM, binding=binding)


def test_an_opened_roster_becomes_a_gallery_that_knows_its_people() -> None:
    key = new_key()
    value = codec.decode(codec.encode(roster(20, key=key, site="site", pack="pack-1", version=7, times=TIMES)))
    gallery = gallery_of(value, key)
    probe = templates(20)[11].mean(axis=0)
    best, other = gallery.identify(probe)
    assert (gallery.version, gallery.people, best.record.person) == (7, 20, name(11))
    assert best.score > gallery.threshold > other.score
    assert len(best.record.rules) == 4


def test_an_empty_roster_is_an_empty_gallery() -> None:
    key = new_key()
    value = codec.decode(codec.encode(roster(0, key=key, site="site", pack="pack-1", version=1, times=TIMES)))
    assert gallery_of(value, key).people == 0


# --- the key's file ---------------------------------------------------------------------------------------------------------------


def test_a_key_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    key = new_key()
    write_key(tmp_path / "site.key", key)
    assert (tmp_path / "site.key").stat().st_mode & 0o777 == 0o600
    assert read_key(tmp_path / "site.key") == key
    assert key.secret.hex() not in repr(key)
    with pytest.raises(FileExistsError):
        write_key(tmp_path / "site.key", new_key())


@pytest.mark.parametrize("text", ["", "00" * 31, "zz" * 32, "00" * 33, "\xff" * 64])
def test_a_file_that_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "site.key"
    file.write_text(text, encoding="latin-1")
    file.chmod(0o600)
    with pytest.raises(RosterError, match="does not hold 64 hexadecimal digits") as caught:
        read_key(file)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "site.key"
    write_key(file, new_key())
    file.chmod(mode)
    with pytest.raises(RosterError, match="chmod 600"):
        read_key(file)


def test_a_template_of_another_length_is_not_sealed() -> None:
    (table,) = templates(1, length=64)
    with pytest.raises(ValueError, match="128"):
        seal(new_key(), table, form=TemplateForm(128, Metric.COSINE), binding=BINDING)
