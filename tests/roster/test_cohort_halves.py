"""What a release computes so that no gate has to: everybody's cohort half, signed with the rest."""

from dataclasses import replace

import cbor2
import numpy as np
import pytest

from agent.authority.repository import Times
from agent.authority.synthetic import CALIBRATION, roster
from agent.biometrics.calibration import Method
from agent.biometrics.normalisation import reference_halves
from agent.roster import codec
from agent.roster.document import HALF_BYTES, Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.people import gallery_of, with_cohort_halves
from agent.roster.secrecy import new_key

KEY = new_key()
TIMES = Times(issued_s=1_000, stale_after_s=2_000, expires_s=3_000)
K = 5


def released(people: int = 40, method: Method = Method.COHORT) -> Roster:
    made = roster(people, key=KEY, site="site", pack="pack-1", version=1, times=TIMES)
    return replace(made, calibration=replace(CALIBRATION, method=method, k=K))


def test_a_gate_takes_the_halves_of_the_release_and_finds_what_it_would_have_computed() -> None:
    computed = gallery_of(released(), KEY)
    carried = codec.decode(codec.encode(with_cohort_halves(released(), KEY)))
    assert carried.cohort_halves is not None
    assert len(carried.cohort_halves) == 40 * HALF_BYTES
    taken = gallery_of(carried, KEY)
    expected = reference_halves(computed.table, metric=computed.metric, k=K)
    assert taken.halves is not None
    np.testing.assert_array_equal(taken.halves, expected)
    probe = np.ascontiguousarray(computed.table[7] + np.float32(0.01))
    assert taken.identify(probe) == computed.identify(probe)


def test_the_halves_of_the_release_are_what_counts() -> None:
    moved = np.full(40, 0.25, "<f4").tobytes()
    gallery = gallery_of(codec.decode(codec.encode(replace(released(), cohort_halves=moved))), KEY)
    np.testing.assert_array_equal(gallery.halves, np.full(40, 0.25, np.float32))


def test_scores_that_are_not_normalised_have_no_halves() -> None:
    plain = with_cohort_halves(replace(released(method=Method.PLAIN), cohort_halves=b"left over"), KEY)
    assert plain.cohort_halves is None
    assert gallery_of(plain, KEY).halves is None


def test_halves_for_another_number_of_people_are_refused() -> None:
    tree = cbor2.loads(codec.encode(with_cohort_halves(released(), KEY)))
    tree["x_cohort_halves"] = tree["x_cohort_halves"][:-HALF_BYTES]
    with pytest.raises(RosterError) as refused:
        codec.decode(cbor2.dumps(tree, canonical=True))
    assert refused.value.reason is Reason.MALFORMED
    assert "156 bytes; 160 bytes are expected" in str(refused.value)


def test_a_half_that_is_not_finite_is_refused() -> None:
    wrong = np.full(40, np.nan, "<f4").tobytes()
    with pytest.raises(RosterError) as refused:
        gallery_of(replace(released(), cohort_halves=wrong), KEY)
    assert refused.value.reason is Reason.MALFORMED


def test_a_release_without_halves_is_read_as_before() -> None:
    assert codec.decode(codec.encode(released())).cohort_halves is None
