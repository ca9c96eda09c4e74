"""From a verified roster to a gallery: references unsealed, access records resolved."""

from dataclasses import replace
from typing import BinaryIO

import numpy as np

from agent.biometrics.calibration import Method
from agent.biometrics.errors import BiometricsError
from agent.biometrics.gallery import Assembly, Gallery
from agent.core.identity import AccessRecord
from agent.roster import codec
from agent.roster.document import Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.fields import malformed
from agent.roster.secrecy import Opener, SiteKey

_HALF = np.dtype("<f4")


def gallery_of(roster: Roster, key: SiteKey, *, source: BinaryIO | None = None) -> Gallery:
    """The roster's people, ready to be searched.

    source: the file that the roster was read from by `codec.read`; None: the roster holds the references itself.

    Raises:
        RosterError: the references do not open, or cannot be compared.
        OSError: the file cannot be read.
    """
    halves = None if roster.cohort_halves is None else np.frombuffer(roster.cohort_halves, dtype=_HALF).astype(np.float32)
    if halves is not None and not np.isfinite(halves).all():
        raise malformed("x_cohort_halves", "hold a number that is not finite")
    try:
        assembly = Assembly(_records(roster), length=roster.form.length, metric=roster.form.metric, calibration=roster.calibration)
        opener = Opener(key, roster, assembly.add)
        if source is None:
            for person in roster.people:
                opener.add(person.sealed)
        else:
            codec.each_sealed(source, opener.add)
        opener.finish()
        return assembly.gallery(version=roster.version, pack=roster.pack, halves=halves)
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
