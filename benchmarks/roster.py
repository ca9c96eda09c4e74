"""What a large roster costs a gate: `python benchmarks/roster.py [PEOPLE ...]` (default: 15000 100000). Prints one JSON object.

A signed, sealed release of made-up people (128-d templates, three references each) is verified, installed and made a gallery by the
loader as a gate does it, from the folder and then from trust.db, each in a process of its own; and searched, beside a plain product
over the same bytes. Seconds are of the processor, which other work on the machine does not stretch; wall seconds are beside them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as a gate runs; before numpy is loaded

import numpy as np

from agent.authority import synthetic
from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.comparison import exact_distances
from agent.biometrics.gallery import CANDIDATES, Gallery
from agent.biometrics.tail import FAMILY, Tail
from agent.clock import SystemClock
from agent.core.inputs import CalibrationKind, RosterLoaded
from agent.diagnostics.bench.figures import resident_mb, spread
from agent.drivers.roster_loader import RosterLoader, Sources
from agent.drivers.trust_store import TrustStore
from agent.roster import codec
from agent.roster.document import HALF_BYTES
from agent.roster.people import with_cohort_halves
from agent.roster.secrecy import write_key
from agent.roster.trust import Expected

PACK, SITE = "pack-000000000000", "bench"
K = 30
BLOCKS, SEARCHES = 20, 15
COMPUTED_UP_TO = (
    20_000  # people; above, the release's cohort halves are made up too: computing them takes minutes and changes no figure here
)


def main(sizes: list[int]) -> None:
    figures = {}
    for people in sizes:
        with tempfile.TemporaryDirectory(prefix="gate-bench-") as name:
            folder = Path(name)
            released_s = release(folder, people)
            figures[str(people)] = {"halves_at_release_s": released_s} | {how: apart(folder, how) for how in ("folder", "kept")}
    print(json.dumps(figures))


def release(folder: Path, people: int) -> float | None:
    """Sign and export; returns how long the cohort halves took."""
    authority = synthetic.SyntheticAuthority(folder / "authority", site=SITE, pack=PACK, now_s=int(time.time()))
    made = synthetic.roster(people, key=authority.key, site=SITE, pack=PACK, version=1, times=authority.times())
    made = replace(made, calibration=measured(people))
    began, took_s = time.process_time(), None
    if people <= COMPUTED_UP_TO:
        made = with_cohort_halves(made, authority.key)
        took_s = round(time.process_time() - began, 2)
    else:
        made = replace(made, cohort_halves=np.full(people, 0.5, "<f4").tobytes())
        assert len(made.cohort_halves or b"") == HALF_BYTES * people
    authority.repository.publish(codec.encode(made), version=1, times=authority.times())
    authority.export(folder / "roster")
    (folder / "root.json").write_bytes(authority.repository.first_root())
    write_key(folder / "site.key", authority.key)
    return took_s


def measured(people: int) -> Calibration:
    """A record that permits so many people. Its figures are made up, as the people are; no rate follows from them."""
    return Calibration(
        kind=CalibrationKind.MEASURED,
        method=Method.COHORT,
        k=K,
        threshold=0.2,
        margin=0.03,
        people_max=people,
        tail=Tail(people=people, share=0.05, start=0.1, scale=0.02, shape=0.0, growth=1.0, decline=1.0, searches=1.0),
        n_max=people,
        fpir=0.01,
        fnir=0.1,
        tail_family=FAMILY,
        fit=0.5,
        date=0,
        pack=PACK,
        people=people,
    )


def apart(folder: Path, how: str) -> dict[str, object]:
    """The figures of one load, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, how, str(folder)], check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def load(folder: Path, how: str) -> dict[str, object]:
    """Load from the folder (and so into trust.db), or what trust.db keeps; then search."""
    before_mb = resident_mb()
    store, said, galleries = TrustStore(folder / "trust.db"), list[object](), list[Gallery]()
    loader = RosterLoader(
        sources=Sources(folder / "roster" if how == "folder" else folder / "nothing", folder / "root.json", folder / "site.key"),
        expected=lambda: Expected(site=SITE, pack=PACK, template_length=synthetic.FORM.length, metric=synthetic.FORM.metric),
        store=store,
        clock=SystemClock(),
        poll_s=1,
        use=galleries.append,
        post=said.append,
    )
    wall, processor = time.perf_counter(), time.process_time()
    loader.turn()
    wall_s, processor_s = time.perf_counter() - wall, time.process_time() - processor
    assert [type(each) for each in said] == [RosterLoaded], said
    figures: dict[str, object] = {
        "processor_s": round(processor_s, 2),
        "wall_s": round(wall_s, 2),
        "resident_before_mb": round(before_mb),
        "resident_after_mb": round(resident_mb()),
        "highest_mb": round(resident_mb(field="VmHWM")),
    }
    return figures | (search(galleries[0]) if how == "kept" else {})


def search(gallery: Gallery) -> dict[str, object]:
    """One identification over one product of the table with the probe, in interleaved blocks; and whether the two best are right."""
    rng = np.random.default_rng(1)
    rows, wrong = [], 0
    for _ in range(BLOCKS + 1):  # the first one warms up and is not counted
        probe = np.ascontiguousarray(gallery.table[rng.integers(gallery.people)] + rng.normal(scale=0.03, size=128).astype(np.float32))
        pairs = [(timed(lambda p=probe: gallery.identify(p)), timed(lambda p=probe: gallery.table @ p)) for _ in range(SEARCHES)]
        rows.append([statistics.median(side) for side in zip(*pairs, strict=True)])
        wrong += [each.record.person for each in gallery.identify(probe)] != reference(gallery, probe)
    del rows[0]
    return {
        "search_ms": round(statistics.median(row[0] for row in rows), 3),
        "product_ms": round(statistics.median(row[1] for row in rows), 3),
        "search_over_product": spread([row[0] / row[1] for row in rows]),
        "searches_unlike_float64": wrong,
    }


def reference(gallery: Gallery, probe: np.ndarray) -> list[str]:
    """The two best, all in double precision and in the plainest way."""
    assert gallery.halves is not None
    apart = exact_distances(gallery.table, probe, metric=gallery.metric)
    order = np.argsort(apart, kind="stable")
    near, k = apart[order[: K + 1]], K
    halves = np.full(gallery.people, near[:k].sum() / (2 * k))
    halves[order[:k]] += (near[k] - near[:k]) / (2 * k)  # nobody is in their own cohort
    best = np.argsort(-(gallery.halves.astype(np.float64) + halves - apart), kind="stable")[:CANDIDATES]
    return [gallery.records[i].person for i in best]


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of this thread on the processor."""
    began = time.thread_time()
    call()
    return (time.thread_time() - began) * 1e3


if __name__ == "__main__":
    match sys.argv[1:]:
        case [("folder" | "kept") as how, place]:
            print(json.dumps(load(Path(place), how)))
        case sizes:
            main([int(each) for each in sizes] or [15_000, 100_000])
