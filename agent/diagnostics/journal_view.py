"""`gate-agent journal`: show, export, verify and count the rows of a journal, whether or not an agent is writing it. Reads only.

A set-aside journal is read the same way; what could not be delivered from one is taken in at the centre with `gate-collector import`.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from agent.config import GateConfig, load
from agent.core import chain
from agent.core.text import harmless
from agent.diagnostics.journal_line import readable
from agent.drivers.journal_reader import Extent, JournalReader, StoredRow
from agent.errors import JournalError

AT_ONCE = 1_000  # rows read at once
SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="journal_command", metavar="WHAT", required=True)
    show = commands.add_parser("show", help="the newest rows, readable")
    show.add_argument("-n", "--rows", type=_count, default=SHOWN, metavar="N", help=f"how many (default {SHOWN})")
    show.add_argument("--all-fields", action="store_true", help="every field of an event, not only the telling ones")
    export = commands.add_parser("export", help="rows as JSON lines: the CloudEvents that went, or will go, to the centre")
    export.add_argument("--from", dest="first", type=_count, default=1, metavar="SEQ", help="first row (default 1)")
    export.add_argument("--to", dest="last", type=_count, metavar="SEQ", help="last row (default: the newest)")
    verify = commands.add_parser("verify", help="follow the hash chain over every row; exit code 1 where it is broken")
    stats = commands.add_parser("stats", help="how far it goes, what is delivered, how many of each event")
    for command in (show, verify, stats):
        command.add_argument("--json", action="store_true", help="one JSON object")
    for command in commands.choices.values():
        where = command.add_mutually_exclusive_group()
        where.add_argument("--config", type=Path, metavar="FILE", help="the gate's configuration, which says where the journal is")
        where.add_argument("--file", type=Path, metavar="JOURNAL", help="a journal file, as one that was set aside")


def run(args: argparse.Namespace) -> int:
    with JournalReader(_path(args)) as reader:
        match args.journal_command:
            case "show":
                return _show(reader, args)
            case "export":
                return _export(reader, args.first, args.last)
            case "verify":
                return _verify(reader, as_json=args.json)
            case _:
                return _stats(reader, as_json=args.json)


def _path(args: argparse.Namespace) -> Path:
    if args.file is not None:
        return Path(args.file)
    gate = load(args.config).gate if args.config is not None else GateConfig()
    return gate.state_dir / "journal.db"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def _rows(reader: JournalReader, after: int) -> Iterator[StoredRow]:
    while batch := reader.rows(after, AT_ONCE):
        yield from batch
        after = batch[-1].seq


def _show(reader: JournalReader, args: argparse.Namespace) -> int:
    extent = reader.extent()
    rows = _rows(reader, max(extent.pruned_seq, extent.last_seq - args.rows))
    if args.json:
        print(json.dumps({"rows": [_event(row) for row in rows], "delivered": extent.delivered_seq}))
        return 0
    for row in rows:
        print(readable(row, delivered=row.seq <= extent.delivered_seq, all_fields=args.all_fields))
    return 0


def _event(row: StoredRow) -> dict[str, Any]:
    """As it goes to the centre; of a row that was damaged only its number."""
    try:
        return dict(json.loads(row.payload))
    except (ValueError, TypeError, RecursionError):
        return {"seq": row.seq, "unreadable": True}


def _export(reader: JournalReader, first: int, last: int | None) -> int:
    extent = reader.extent()
    end = extent.last_seq if last is None else min(last, extent.last_seq)
    for row in islice(_rows(reader, max(first - 1, extent.pruned_seq)), max(0, end - max(first - 1, extent.pruned_seq))):
        sys.stdout.buffer.write(row.payload + b"\n")
    sys.stdout.flush()
    return 0


def _verify(reader: JournalReader, *, as_json: bool) -> int:
    extent = reader.extent()
    verified, fault = follow(reader, extent)
    if as_json:
        held = {"epoch": extent.epoch, "source": extent.source, "first": extent.pruned_seq + 1, "last": extent.last_seq}
        print(json.dumps({"ok": not fault, **held, "verified": verified, "fault": fault or None}))
    else:
        words = f"broken after {verified} rows: {fault}" if fault else f"the chain holds over {verified} rows"
        print(harmless(f"rows {extent.pruned_seq + 1} to {extent.last_seq} of epoch {extent.epoch}: {words}"))
    return 1 if fault else 0


def follow(reader: JournalReader, extent: Extent) -> tuple[int, str]:
    """(rows that follow from the one before, what is wrong with the next; empty when nothing is)."""
    verified, head = 0, extent.pruned_head
    try:
        for row in _rows(reader, extent.pruned_seq):
            if row.seq != extent.pruned_seq + verified + 1:
                return verified, f"row {extent.pruned_seq + verified + 1} is missing"
            if chain.link(head, row.chained) != row.head:
                return verified, f"row {row.seq} is not what was written"
            verified, head = verified + 1, row.head
        (found,) = reader.connection.execute("PRAGMA quick_check(1)").fetchone()
    except (JournalError, sqlite3.Error) as error:
        return verified, str(error)
    if verified != extent.last_seq - extent.pruned_seq:
        return verified, f"row {extent.pruned_seq + verified + 1} is missing"
    return verified, "" if found == "ok" else f"the rows fit, but SQLite says: {found}"


def _stats(reader: JournalReader, *, as_json: bool) -> int:
    extent = reader.extent()
    told = stats(reader, extent)
    if as_json:
        print(json.dumps(told))
        return 0
    print(f"epoch {extent.epoch} of {extent.source}: rows {extent.pruned_seq + 1} to {extent.last_seq}")
    print(f"delivered up to {extent.delivered_seq}; {told['waiting']} wait for the centre; {told['bytes'] / 1e6:.1f} MB")
    for kind, count in told["events"].items():
        print(f"  {count:>9}  {kind}")
    return 0


def stats(reader: JournalReader, extent: Extent) -> dict[str, Any]:
    """Counts of a journal, as one JSON-able object."""
    database = Database(reader.connection)
    counts = database.query("SELECT json_extract(body, '$.type') AS type, count(*) AS rows FROM event GROUP BY 1 ORDER BY 1")
    pages, size = (next(database.query(f"PRAGMA {name}"))[name] for name in ("page_count", "page_size"))
    return {
        "epoch": extent.epoch,
        "source": extent.source,
        "first": extent.pruned_seq + 1,
        "last": extent.last_seq,
        "delivered": extent.delivered_seq,
        "waiting": extent.last_seq - max(extent.delivered_seq, extent.pruned_seq),
        "bytes": pages * size,
        "events": {row["type"]: row["rows"] for row in counts},
    }
