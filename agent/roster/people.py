"""From a verified roster to a gallery: references unsealed, access records resolved."""

from agent.biometrics.errors import BiometricsError
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.core.identity import AccessRecord
from agent.roster.document import Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.secrecy import SiteKey, unseal_all


def gallery_of(roster: Roster, key: SiteKey) -> Gallery:
    """The roster's people, ready to be searched.

    Raises:
        RosterError: the references do not open, or cannot be compared.
    """
    templates = unseal_all(key, roster)
    enrolled = [Enrolled(record=record, templates=each) for record, each in zip(_records(roster), templates, strict=True)]
    try:
        return build(enrolled, metric=roster.form.metric, calibration=roster.calibration, version=roster.version, pack=roster.pack)
    except BiometricsError as error:
        raise RosterError(Reason.MALFORMED, f"the roster cannot be searched: {error}") from error


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
