"""From a verified roster to a gallery: references unsealed, access records resolved."""

from dataclasses import replace

import numpy as np

from agent.biometrics.calibration import Method
from agent.biometrics.errors import BiometricsError
from agent.biometrics.gallery import Gallery, assemble
from agent.core.identity import AccessRecord
from agent.roster.document import Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.fields import malformed
from agent.roster.secrecy import SiteKey, unseal_blocks

_HALF = np.dtype("<f4")


def gallery_of(roster: Roster, key: SiteKey) -> Gallery:
    """The roster's people, ready to be searched.

    Raises:
        RosterError: the references do not open, or cannot be compared.
    """
    halves = None if roster.cohort_halves is None else np.frombuffer(roster.cohort_halves, dtype=_HALF).astype(np.float32)
    if halves is not None and not np.isfinite(halves).all():
        raise malformed("x_cohort_halves", "hold a number that is not finite")
    try:
        return assemble(
            _records(roster),
            unseal_blocks(key, roster),
            metric=roster.form.metric,
            calibration=roster.calibration,
            version=roster.version,
            pack=roster.pack,
            halves=halves,
        )
    except BiometricsError as error:
        raise RosterError(Reason.MALFORMED, f"the roster cannot be searched: {error}") from error


def with_cohort_halves(roster: Roster, key: SiteKey) -> Roster:
    """The roster with everybody's cohort half in it, where its scores are normalised. Raises as `gallery_of`.

    Everybody is compared with everybody here, a minute and a half for 100,000 people, so that no gate has to.
    """
    if roster.calibration.method is not Method.COHORT:
        return replace(roster, cohort_halves=None)
    halves = gallery_of(replace(roster, cohort_halves=None), key).halves
    return replace(roster, cohort_halves=None if halves is None else halves.astype(_HALF).tobytes())


def _records(roster: Roster) -> list[AccessRecord]:
    """Access records; people with the same levels share one tuple of rules, which keeps a large roster small."""
    shared = {levels: roster.rules(levels) for levels in {person.levels for person in roster.people}}
    return [
        AccessRecord(
            person=person.id,
            status=person.status,
            not_before_s=person.not_before_s,
            not_after_s=person.not_after_s,
            rules=shared[person.levels],
        )
        for person in roster.people
    ]
