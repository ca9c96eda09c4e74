"""A roster of made-up people opens nothing at a gate in service (safety rule 10)."""

from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from agent.authority import synthetic
from agent.authority.repository import Times
from agent.roster import codec, trust
from agent.roster.document import Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.secrecy import new_key
from agent.roster.trust import Expected, Release

PACK = "pack-000000000000"
RELEASE = Release(version=1, document=Path("roster.cbor"), metadata={}, versions={})


@pytest.fixture
def roster() -> Roster:
    times = Times(issued_s=1_800_000_000, stale_after_s=1_800_000_100, expires_s=1_800_000_200)
    return synthetic.roster(2, key=new_key(), site="site", pack=PACK, version=1, times=times)


def expected(*, simulation: bool) -> Expected:
    return Expected(site="site", pack=PACK, template_length=synthetic.FORM.length, metric=synthetic.FORM.metric, simulation=simulation)


def test_a_gate_in_service_refuses_a_roster_of_a_simulation(roster: Roster) -> None:
    made_up = codec.decode(codec.encode(replace(roster, simulation=True)))
    with pytest.raises(RosterError, match="of a simulation") as refused:
        trust.admit(made_up, release=RELEASE, expected=expected(simulation=False))
    assert refused.value.reason is Reason.SIMULATION


def test_a_simulated_gate_takes_it(roster: Roster) -> None:
    trust.admit(codec.decode(codec.encode(replace(roster, simulation=True))), release=RELEASE, expected=expected(simulation=True))


def test_a_roster_in_service_does_not_mention_simulation(roster: Roster) -> None:
    assert "simulation" not in cbor2.loads(codec.encode(roster))
    trust.admit(codec.decode(codec.encode(roster)), release=RELEASE, expected=expected(simulation=False))


@pytest.mark.parametrize("value", [False, 1, "true", None])
def test_the_member_says_true_or_is_absent(roster: Roster, value: object) -> None:
    content = cbor2.loads(codec.encode(roster)) | {"simulation": value}
    with pytest.raises(RosterError, match="simulation"):
        codec.decode(cbor2.dumps(content, canonical=True))
