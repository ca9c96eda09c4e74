"""The thread gate-roster: what it says, when it looks again, and how it ends."""

import os
import resource
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.authority.synthetic import FORM, SyntheticAuthority
from agent.core.inputs import RosterLoaded, RosterRefused
from agent.drivers.roster_loader import RosterLoader
from agent.roster.secrecy import new_key, write_key
from agent.roster.trust import Expected
from tests.roster.conftest import Gate
from tests.roster.test_trust_attacks import install


def until(condition: Callable[[], bool], *, deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not happen within its deadline"
        time.sleep(0.005)


def test_the_thread_brings_a_release_in_swaps_to_the_next_and_stops(authority: SyntheticAuthority, gate: Gate) -> None:
    loader = gate.loader
    assert loader is not None
    loader.start()
    started_ns = loader.fresh_ns()
    authority.publish(people=2)
    authority.export(gate.folder)
    until(lambda: gate.versions() == [1])
    authority.publish(people=3)
    authority.export(gate.folder)
    until(lambda: gate.versions() == [1, 2])
    until(lambda: loader.fresh_ns() > started_ns)
    loader.stop()
    assert loader.join(5.0)
    assert ([g.version for g in gate.used], gate.refusals()) == ([1, 2], [])
    assert "gate-roster" not in {thread.name for thread in threading.enumerate()}


def test_a_restart_needs_no_folder(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate, people=4)
    shutil.rmtree(gate.folder)
    gate.boot().turn()
    assert (gate.versions(), gate.used[0].people, gate.refusals()) == ([1], 4, [])


def test_the_issue_time_of_an_installed_release_is_told(authority: SyntheticAuthority, gate: Gate) -> None:
    issued: list[int] = []
    assert gate.loader is not None
    gate.loader._issued = issued.append
    authority.publish()
    authority.export(gate.folder)
    gate.look()
    gate.look()
    assert issued == [authority.now_s]


def test_the_gallery_is_in_use_before_it_is_announced(authority: SyntheticAuthority, gate: Gate) -> None:
    seen: list[str] = []
    gate.used = type("Uses", (list,), {"append": lambda self, g: (seen.append("used"), list.append(self, g))})()
    gate.boot()
    assert gate.store is not None
    loader = RosterLoader(
        sources=gate.loader._sources,  # type: ignore[union-attr]
        expected=lambda: Expected(site="site", pack=gate.pack, template_length=FORM.length, metric=FORM.metric),
        store=gate.store,
        clock=gate.clock,
        poll_s=1.0,
        use=lambda _gallery: seen.append("used"),
        post=lambda message: seen.append(type(message).__name__),
    )
    authority.publish()
    authority.export(gate.folder)
    loader.turn()
    assert seen == ["used", "RosterLoaded"]


def test_an_empty_or_absent_folder_is_quiet(gate: Gate) -> None:
    assert gate.look() == []
    gate.folder.mkdir()
    assert gate.look() == []


def test_the_same_release_is_announced_once_also_after_a_restart(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    authority.export(gate.folder)
    assert gate.look() == []
    gate.boot()
    gate.look()
    gate.look()
    assert gate.versions() == [1]


def test_a_release_still_being_copied_is_no_alarm(authority: SyntheticAuthority, gate: Gate, tmp_path: Path) -> None:
    """Copied by hand, file by file, the time stamp not last: what is refused is not whole yet; it is taken once it is."""
    authority.publish()
    authority.export(tmp_path / "stick")
    (gate.folder / "metadata").mkdir(parents=True)
    shutil.copy(tmp_path / "stick" / "metadata" / "timestamp.json", gate.folder / "metadata")
    (refusal,) = gate.look()
    assert isinstance(refusal, RosterRefused)
    assert refusal.reason == "unreadable"
    shutil.copytree(tmp_path / "stick", gate.folder, dirs_exist_ok=True)
    (loaded,) = gate.look()
    assert isinstance(loaded, RosterLoaded)


def test_a_site_key_that_comes_later_is_found(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    (gate.disk / "site.key").rename(gate.disk / "mislaid.key")
    gate.boot()
    gate.look()
    assert set(gate.refusals()) == {"unreadable"}
    (gate.disk / "mislaid.key").rename(gate.disk / "site.key")
    gate.look()
    assert gate.versions() == [1]


def test_what_was_refused_is_tried_again_at_the_next_look_once_the_key_is_mended(authority: SyntheticAuthority, gate: Gate) -> None:
    (gate.disk / "site.key").rename(gate.disk / "right.key")
    write_key(gate.disk / "site.key", new_key())
    authority.publish()
    authority.export(gate.folder)
    gate.look()
    assert gate.refusals() == ["wrong_key"]
    assert gate.look() == []
    (gate.disk / "right.key").replace(gate.disk / "site.key")
    gate.look()
    assert (gate.versions(), gate.refusals()) == ([1], ["wrong_key"])


def test_a_model_pack_that_comes_later_is_found_at_the_next_look(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish()
    authority.export(gate.folder)
    pack, gate.pack = gate.pack, "pack-of-another"
    gate.look()
    assert (gate.refusals(), gate.look()) == (["wrong_pack"], [])
    gate.pack = pack
    gate.look()
    assert gate.versions() == [1]


def test_a_disk_that_would_not_take_a_release_keeps_the_one_in_force(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    authority.publish(people=200)
    authority.export(gate.folder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # no file may grow longer, as on a disk that is full
    try:
        gate.look()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (gate.versions(), gate.refusals()) == ([1], ["not_stored"])
    assert len(list(gate.disk.glob("roster-*.cbor"))) == 1
    gate.boot().turn()
    assert gate.versions() == [1, 2]


def test_a_mistake_of_the_program_is_said_and_ends_the_thread(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish()
    authority.export(gate.folder)
    loader = gate.boot()

    def broken(_gallery: object) -> None:
        raise ZeroDivisionError("made up")

    loader._use = broken
    loader.start()
    until(lambda: gate.refusals() == ["internal"])
    assert loader.join(5.0)


def sparse(file: Path) -> None:
    with file.open("wb") as sink:
        sink.truncate(20 * 10**9)  # a hole: no disk is used


TRAPS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a pipe": (os.mkfifo, "unreadable", "is not a regular file"),
    "20 GB": (sparse, "too_large", "is longer than 512000 bytes"),
    "a link to /dev/zero": (lambda file: file.symlink_to("/dev/zero"), "unreadable", "is a link, and no regular file"),
    "a device": (lambda file: file.symlink_to("/dev/full"), "unreadable", "is a link, and no regular file"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_for_the_time_stamp_is_refused_in_words_and_the_next_release_still_loads(
    authority: SyntheticAuthority, gate: Gate, trap: str
) -> None:
    lay, reason, words = TRAPS[trap]
    install(authority, gate)
    loader = gate.loader
    assert loader is not None
    timestamp = gate.folder / "metadata" / "timestamp.json"
    timestamp.unlink()
    lay(timestamp)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loader.start()
    until(lambda: gate.refusals() == [reason])
    assert words in next(each.detail for each in gate.said if isinstance(each, RosterRefused))
    turned_ns = loader.fresh_ns()
    until(lambda: loader.fresh_ns() > turned_ns)
    authority.publish(people=7)
    timestamp.unlink()
    authority.export(gate.folder)
    until(lambda: gate.versions() == [1, 2])
    loader.stop()
    assert loader.join(5.0)
    assert (gate.refusals(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000) == ([reason], True)


@pytest.mark.parametrize("name", ["root.json", "site.key"])
def test_a_pipe_in_place_of_an_installed_file_holds_nobody_up(authority: SyntheticAuthority, gate: Gate, name: str) -> None:
    (gate.disk / name).unlink()
    os.mkfifo(gate.disk / name, 0o600)
    authority.publish()
    authority.export(gate.folder)
    loader = gate.boot()
    loader.start()
    until(lambda: gate.refusals() == ["unreadable"])
    assert "it is not a regular file" in next(each.detail for each in gate.said if isinstance(each, RosterRefused))
    loader.stop()
    assert loader.join(5.0)
