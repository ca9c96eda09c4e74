"""An authority of made-up people, and a gate that looks at what it exports."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.authority.synthetic import FORM, SyntheticAuthority
from agent.biometrics.gallery import Gallery
from agent.core.inputs import Input, LockDownSet, RosterLoaded, RosterRefused
from agent.core.moment import NS_PER_S, ClockQuality, Moment
from agent.drivers.roster_loader import RosterLoader, Sources
from agent.drivers.trust_store import TrustStore
from agent.roster.secrecy import SiteKey, write_key
from agent.roster.trust import Expected

NOW_S = 1_790_000_000  # 2026-09-21


@dataclass(slots=True)
class SteppedClock:
    """A clock that says what the test sets."""

    wall_s: int = NOW_S
    quality: ClockQuality = ClockQuality.SYNCHRONISED

    def now(self) -> Moment:
        return Moment(monotonic_ns=time.monotonic_ns(), wall_ns=self.wall_s * NS_PER_S, quality=self.quality, boot_id="boot")


@dataclass(slots=True)
class Gate:
    """What a gate has on its disk, and what its loader said."""

    disk: Path
    pack: str
    site: str = "site"
    clock: SteppedClock = field(default_factory=SteppedClock)
    said: list[Input] = field(default_factory=list)
    used: list[Gallery] = field(default_factory=list)
    store: TrustStore | None = None
    loader: RosterLoader | None = None

    @property
    def folder(self) -> Path:
        return self.disk / "roster"

    @property
    def trust_db(self) -> Path:
        return self.disk / "trust.db"

    def boot(self) -> RosterLoader:
        """Start anew from the disk, as after a restart; the test turns the loader by hand."""
        if self.store is not None:
            self.store.close()
        self.said.clear()
        self.used.clear()
        self.store = TrustStore(self.trust_db)
        self.loader = RosterLoader(
            sources=Sources(folder=self.folder, root=self.disk / "root.json", site_key=self.disk / "site.key"),
            expected=lambda: Expected(site=self.site, pack=self.pack, template_length=FORM.length, metric=FORM.metric),
            store=self.store,
            clock=self.clock,
            poll_s=0.05,
            use=self.used.append,
            post=self.said.append,
        )
        return self.loader

    def look(self) -> list[Input]:
        """One turn of the loader; what it said in it."""
        assert self.loader is not None
        before = len(self.said)
        self.loader.turn()
        return self.said[before:]

    def versions(self) -> list[int]:
        return [each.version for each in self.said if isinstance(each, RosterLoaded)]

    def lock_downs(self) -> list[bool]:
        return [each.on for each in self.said if isinstance(each, LockDownSet)]

    def refusals(self) -> list[str]:
        return [each.reason for each in self.said if isinstance(each, RosterRefused)]


@pytest.fixture
def authority(tmp_path: Path) -> SyntheticAuthority:
    return SyntheticAuthority(tmp_path / "authority", now_s=NOW_S)


@pytest.fixture
def make_gate(tmp_path: Path) -> Callable[..., Gate]:
    made: list[Gate] = []

    def make(authority: SyntheticAuthority, *, key: SiteKey | None = None, root: bytes | None = None, site: str = "site") -> Gate:
        disk = tmp_path / f"gate-{len(made)}"
        disk.mkdir()
        write_key(disk / "site.key", key or authority.key)
        (disk / "root.json").write_bytes(root or authority.repository.first_root())
        gate = Gate(disk=disk, pack=authority.pack, site=site)
        made.append(gate)
        gate.boot()
        return gate

    yield make
    for gate in made:
        if gate.store is not None:
            gate.store.close()


@pytest.fixture
def gate(authority: SyntheticAuthority, make_gate: Callable[..., Gate]) -> Gate:
    return make_gate(authority)
