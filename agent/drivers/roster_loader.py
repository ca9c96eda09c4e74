"""The thread that brings rosters in: what trust.db holds at the start, then whatever arrives in the folder, verified off the hot path."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.biometrics.gallery import Gallery
from agent.core.inputs import LockDownSet, RosterLoaded, RosterRefused
from agent.core.moment import NS_PER_S
from agent.drivers.memory import give_back
from agent.drivers.trust_store import TrustStore
from agent.ports import Clock, Post
from agent.roster import codec, trust
from agent.roster.document import Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.folder import TIMESTAMP, Fingerprint, FolderRepository, fingerprint
from agent.roster.people import gallery_of
from agent.roster.plain_file import read_plain
from agent.roster.secrecy import read_key
from agent.roster.trust import Expected, Release

AGAIN_NS: Final = 60 * NS_PER_S
"""How often what was refused is tried again unchanged: the clock may have been mended. Any other change is seen at the next look."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where rosters and what verifies them are found.

    Attributes:
        folder: where releases arrive (`metadata/`, `targets/`).
        root: file of the trusted root.
        site_key: file of the key that references are sealed under.
    """

    folder: Path
    root: Path
    site_key: Path


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What was refused last, so that one bad release is one event."""

    reason: Reason
    detail: str
    seen: Fingerprint
    due_ns: int


_Conditions = tuple[Expected | str, tuple[tuple[int, int, int] | None, ...]]
"""What a verdict rests on beside the release and the clock: what this gate is set up for (or why that is not known), root and site key."""


class RosterLoader:
    """Thread `gate-roster`.

    Args:
        expected: says what this gate is set up for, asked at each look; raises RosterError while that cannot be said (no model pack yet).
        use: takes the new gallery: one reference assignment in the recognition thread.
        post: takes RosterLoaded and RosterRefused, and LockDownSet where the lane is locked down because nobody knows whether it was.
        issued: told the newest signed issue time, seconds since 1970, with each release that is installed: the clock's floor.
    """

    name = "gate-roster"

    def __init__(
        self,
        *,
        sources: Sources,
        expected: Callable[[], Expected],
        store: TrustStore,
        clock: Clock,
        poll_s: float,
        use: Callable[[Gallery], None],
        post: Post,
        issued: Callable[[int], None] = lambda _issued_s: None,
    ) -> None:
        self._sources = sources
        self._expected = expected
        self._store = store
        self._clock = clock
        self._poll_s = poll_s
        self._use = use
        self._post = post
        self._issued = issued
        self._lock_down_doubt = store.lock_down_doubt()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()
        self._in_force: int | None = None  # version of the roster that recognition uses
        self._kept_due_ns = 0
        self._kept_refusal = ""
        self._refusal: _Refusal | None = None
        self._conditions: _Conditions | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def fresh_ns(self) -> int:
        return self._fresh_ns

    def _run(self) -> None:
        try:
            while True:
                self.turn()
                if self._stopping.wait(self._poll_s):
                    return
        except Exception as error:  # noqa: BLE001  the top of the thread: say so and end it; the roster in force stays until it expires
            self._post(RosterRefused(reason=Reason.INTERNAL, detail=f"the roster loader has ended: {error!r}; restart the agent"))

    def turn(self) -> None:
        """One look: at trust.db until its roster is in force, then at the folder."""
        self._fresh_ns = time.monotonic_ns()
        was_out = self._store.fault is not None
        if self._lock_down_doubt is not None:
            self._post(LockDownSet(on=True, by="gate-agent", reason=f"{self._lock_down_doubt}: locked down until somebody frees the lane"))
            self._lock_down_doubt = None
        if not self._store.reopen() and self._store.fault is not None:
            self._say_kept_refusal(self._store.fault)
            return
        conditions = self._conditions_now()
        if was_out or conditions != self._conditions:
            self._conditions = conditions
            self._refusal, self._kept_due_ns = None, 0  # something was mended or exchanged: everything is worth another try
        before = self._in_force
        if self._in_force is None and self._kept_due_ns <= self._fresh_ns:
            self._kept_due_ns = self._fresh_ns + AGAIN_NS
            self._take_kept()
        self._look_at_folder()
        if self._in_force != before:
            give_back()

    def _conditions_now(self) -> _Conditions:
        try:
            expected: Expected | str = self._expected()
        except RosterError as error:
            expected = str(error)
        return expected, tuple(_stamp(file) for file in (self._sources.root, self._sources.site_key))

    # --- what trust.db holds ---

    def _take_kept(self) -> None:
        """Put the stored roster in force. It was new and unexpired when it was installed; how long it may be used the core decides."""
        try:
            stored = self._store.load()
            if stored is None:
                return
            root = self._root()
            release = trust.verify_kept(stored.metadata, stored.document, root=root, floors=self._store.floors())
            self._put_in_force(*self._read(release))
        except RosterError as error:
            self._say_kept_refusal(error)

    def _say_kept_refusal(self, error: RosterError) -> None:
        if str(error) != self._kept_refusal:
            self._kept_refusal = str(error)
            self._post(RosterRefused(reason=error.reason, detail=f"the roster in trust.db cannot be used: {error}"))

    # --- what arrives ---

    def _look_at_folder(self) -> None:
        seen = fingerprint(self._sources.folder)
        has_arrived = any(name == TIMESTAMP for name, *_ in seen)  # it comes last
        if not has_arrived or not self._worth_trying(seen):
            return
        try:
            self._install()
        except RosterError as error:
            if fingerprint(self._sources.folder) != seen:
                return  # it was still being copied; the next look sees the rest
            self._refuse(error, seen)

    def _worth_trying(self, seen: Fingerprint) -> bool:
        refusal = self._refusal
        return refusal is None or refusal.seen != seen or refusal.due_ns <= time.monotonic_ns()

    def _install(self) -> None:
        kept = self._store.metadata()
        if self._in_force is not None and self._offered(TIMESTAMP) == kept.get("timestamp.json"):
            return
        floors = self._store.floors()
        moment = self._clock.now()
        with self._store.incoming() as copy:
            repository = FolderRepository(self._sources.folder, copy=copy)
            release = trust.verify_offer(repository, root=self._root(), kept=kept, floors=floors, moment=moment)
            roster, gallery = self._read(release)
            trust.admit_time(roster, moment)
            floors = trust.raised(floors, release, roster)
            self._store.install(release, floors)
        self._issued(floors.issued_s)
        self._refusal = None
        if release.version != self._in_force:
            self._put_in_force(roster, gallery)

    def _offered(self, url: str) -> bytes | None:
        return FolderRepository(self._sources.folder).held(url, bytes_max=trust.METADATA_BYTES_MAX)

    def _refuse(self, error: RosterError, seen: Fingerprint) -> None:
        detail = str(error)
        refusal = self._refusal
        if refusal is None or (refusal.reason, refusal.detail) != (error.reason, detail):
            self._post(RosterRefused(reason=error.reason, detail=detail))
        self._refusal = _Refusal(reason=error.reason, detail=detail, seen=seen, due_ns=time.monotonic_ns() + AGAIN_NS)

    # --- both ---

    def _root(self) -> bytes:
        try:
            return read_plain(self._sources.root, bytes_max=trust.METADATA_BYTES_MAX)
        except OSError as error:
            sentence = f"the trusted root {self._sources.root} cannot be read ({error.strerror}); install the authority's root.json"
            raise RosterError(Reason.UNREADABLE, sentence) from error

    def _read(self, release: Release) -> tuple[Roster, Gallery]:
        try:
            with release.document.open("rb") as source:
                roster = codec.read(source)
                trust.admit(roster, release=release, expected=self._expected())
                return roster, gallery_of(roster, read_key(self._sources.site_key), source=source)
        except OSError as error:
            raise RosterError(Reason.UNREADABLE, f"the gate's own copy of the roster cannot be read ({error}); mend the disk") from error

    def _put_in_force(self, roster: Roster, gallery: Gallery) -> None:
        self._use(gallery)
        self._in_force = roster.version
        self._kept_refusal = ""
        self._post(
            RosterLoaded(
                version=roster.version,
                people=gallery.people,
                pack=roster.pack,
                calibration=roster.calibration.kind,
                threshold=gallery.threshold,
                stale_after_s=roster.stale_after_s,
                expires_s=roster.expires_s,
            )
        )


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What a file looks like from outside; None: it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
