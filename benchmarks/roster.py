"""What a large roster costs a gate: `python benchmarks/roster.py [--people N ...] [--length 128 512] [--json]`.

A signed, sealed release of made-up people (three references each) is brought in by the loader as a gate does it, each time in a process of
its own: from the folder, from the gate's own disk after a restart, and while the release before is in force. Then it is searched, beside a
plain product over the same bytes. Seconds are of the processor, which other work on the machine does not stretch; wall seconds are beside
them. The floor is what nobody can leave out: SHA-256 of the document and one decryption of as many bytes as are sealed.

Memory is of a bare process with the loader in it, 51 MB before anything is loaded; a whole lane has its models beside that.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as a gate runs; before numpy is loaded

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from agent.authority import synthetic
from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.comparison import exact_distances
from agent.biometrics.gallery import CANDIDATES, Gallery
from agent.biometrics.tail import FAMILY, Tail
from agent.clock import SystemClock
from agent.core.inputs import CalibrationKind, Input, RosterLoaded
from agent.diagnostics.bench.figures import resident_mb, spread
from agent.drivers.roster_loader import RosterLoader, Sources
from agent.drivers.trust_store import TrustStore
from agent.roster import codec
from agent.roster.document import HALF_BYTES, TemplateForm
from agent.roster.people import with_cohort_halves
from agent.roster.secrecy import write_key
from agent.roster.trust import Expected

PACK, SITE = "pack-000000000000", "bench"
K = 30
REFERENCES = 3
BLOCKS, SEARCHES = 20, 15
COMPUTED_UP_TO = (
    20_000  # people; above, the release's cohort halves are made up too: computing them takes minutes and changes no figure here
)
RESET_PEAK = "5\n"  # to /proc/self/clear_refs: the highest resident memory starts anew (man proc)
HOW = ("folder", "restart", "swap")


def main(sizes: list[int], lengths: list[int], *, as_json: bool) -> None:
    rows = []
    for people in sizes:
        for length in lengths:
            with tempfile.TemporaryDirectory(prefix="gate-bench-") as name:
                folder, form = Path(name), replace(synthetic.FORM, length=length)
                made = release(folder, people, form)
                rows.append({"people": people, "length": length} | made | {how: apart(folder, how, length) for how in HOW})
    if as_json:
        print(json.dumps({"load": os.getloadavg(), "rosters": rows}))
        return
    for row in rows:
        print(f"{row['people']} people, {row['length']} numbers in a template, document {row['document_mb']} MB")
        print(f"  floor: {row['floor']}")
        for how in HOW:
            print(f"  {how}: {row[how]}")


# --- the release ------------------------------------------------------------------------------------------------------------------


def release(folder: Path, people: int, form: TemplateForm) -> dict[str, object]:
    """Sign and export two releases; returns what making them cost, and the floor of loading one."""
    authority = synthetic.SyntheticAuthority(folder / "authority", site=SITE, pack=PACK, now_s=int(time.time()))
    made = synthetic.roster(people, key=authority.key, site=SITE, pack=PACK, version=1, times=authority.times(), form=form)
    made = replace(made, calibration=measured(people))
    began, halves_s = time.process_time(), None
    if people <= COMPUTED_UP_TO:
        made = with_cohort_halves(made, authority.key)
        halves_s = round(time.process_time() - began, 2)
    else:
        made = replace(made, cohort_halves=np.full(people, 0.5, "<f4").tobytes())
        assert len(made.cohort_halves or b"") == HALF_BYTES * people
    document = b""
    for version in (1, 2):
        document = codec.encode(replace(made, version=version))
        authority.repository.publish(document, version=version, times=authority.times())
        authority.export(folder / f"release-{version}")
    (folder / "root.json").write_bytes(authority.repository.first_root())
    write_key(folder / "site.key", authority.key)
    return {
        "document_mb": round(len(document) / 2**20, 1),
        "table_mb": round(4 * people * form.length / 2**20, 1),
        "halves_at_release_s": halves_s,
        "floor": floor(document, sealed=people * form.sealed_bytes(REFERENCES)),
    }


def floor(document: bytes, *, sealed: int) -> dict[str, float]:
    """Processor seconds of the bare calls that no gate can leave out, and what this machine's memory gives."""
    cipher, nonce, chunk = ChaCha20Poly1305(bytes(32)), bytes(12), bytes(2**20)
    closed = cipher.encrypt(nonce, chunk, None)
    digest_s = timed(lambda: hashlib.sha256(document))
    opened_s = timed(lambda: [cipher.decrypt(nonce, closed, None) for _ in range(max(1, sealed // len(chunk)))])
    source = np.ones(32 * 2**20, np.float32)
    target = np.empty_like(source)
    copied_s = min(timed(lambda: np.copyto(target, source)) for _ in range(5))
    return {
        "sha256_s": round(digest_s / 1e3, 3),
        "decrypt_s": round(opened_s / 1e3, 3),
        "copy_gb_per_s": round(2 * source.nbytes / copied_s / 1e6, 1),
    }


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


# --- the gate ---------------------------------------------------------------------------------------------------------------------


def apart(folder: Path, how: str, length: int) -> dict[str, object]:
    """The figures of one load, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--only", how, folder, str(length)], check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def load(folder: Path, how: str, length: int) -> Mapping[str, object]:
    """Bring a roster in from the folder, after a restart (with what the folder's load has left), or over another one; then search."""
    before_mb, used, said = resident_mb(), list[Gallery](), list[Input]()
    state = folder / ("swapped" if how == "swap" else "state")
    state.mkdir(exist_ok=True)
    offered = folder / f"offered-{how}"
    if how != "restart":
        offered.symlink_to(folder / "release-1")
    form = replace(synthetic.FORM, length=length)
    began_s = time.perf_counter(), time.process_time()
    store = TrustStore(state / "trust.db")
    loader = RosterLoader(
        sources=Sources(offered, folder / "root.json", folder / "site.key"),
        expected=lambda: Expected(site=SITE, pack=PACK, template_length=form.length, metric=form.metric),
        store=store,
        clock=SystemClock(),
        poll_s=1,
        use=lambda gallery: used.__setitem__(slice(None), [gallery]),  # as recognition: the one before is forgotten
        post=said.append,
    )
    loader.turn()
    if how == "swap":
        offered.unlink()
        offered.symlink_to(folder / "release-2")
        before_mb = resident_mb()
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        began_s = time.perf_counter(), time.process_time()
        loader.turn()
    wall_s, processor_s = time.perf_counter() - began_s[0], time.process_time() - began_s[1]
    assert [each.version for each in said if isinstance(each, RosterLoaded)] == ([1, 2] if how == "swap" else [1]), said
    figures: dict[str, object] = {
        "processor_s": round(processor_s, 2),
        "wall_s": round(wall_s, 2),
        "resident_before_mb": round(before_mb),
        "resident_after_mb": round(resident_mb()),
        "highest_mb": round(resident_mb(field="VmHWM")),
    }
    return figures | (search(used[0]) if how == "restart" else {})


def search(gallery: Gallery) -> dict[str, object]:
    """One identification over one product of the table with the probe, in interleaved blocks; and whether the two best are right."""
    rng = np.random.default_rng(1)
    rows, wrong, length = [], 0, gallery.table.shape[1]
    for _ in range(BLOCKS + 1):  # the first one warms up and is not counted
        noise = rng.normal(scale=0.34 / np.sqrt(length), size=length).astype(np.float32)
        probe = np.ascontiguousarray(gallery.table[rng.integers(gallery.people)] + noise)
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


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a large roster costs a gate.")
    parser.add_argument("--people", type=int, nargs="+", default=[15_000, 100_000])
    parser.add_argument("--length", type=int, nargs="+", default=[128], help="numbers in one template, half precision")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs=3, metavar=("HOW", "FOLDER", "LENGTH"), help=argparse.SUPPRESS)  # one load, for `apart`
    return parser.parse_args()


if __name__ == "__main__":
    given = options()
    if given.only:
        print(json.dumps(load(Path(given.only[1]), given.only[0], int(given.only[2]))))
    else:
        main(given.people, given.length, as_json=given.json)
