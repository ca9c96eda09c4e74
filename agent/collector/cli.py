"""gate-collector: run | report | verify | import, for whoever keeps the centre's record."""

import argparse
import dataclasses
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent import program
from agent.collector import report as reports
from agent.collector import settings
from agent.collector.consume import Consumer
from agent.collector.intake import take_in
from agent.collector.settings import CollectorSettings
from agent.collector.store import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; agent.program says which exit code it ends with."""
    options = program.arguments(_parser(), arguments)
    logging.basicConfig(level=logging.WARNING, format="gate-collector: %(message)s")
    command: Callable[[argparse.Namespace], int] = options.command
    return program.run(lambda: command(options), program="gate-collector", as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gate-collector", description="Takes the events of all gates from the broker and keeps each once."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="take events until told to stop (SIGTERM or Ctrl-C)")
    run.set_defaults(command=_run)
    run.add_argument("--config", type=Path, metavar="FILE", help="TOML file; what is given besides it counts more")
    run.add_argument("--store", type=Path, metavar="FILE", help="the store, an SQLite file")
    run.add_argument("--name", help="name of this client at the broker")
    run.add_argument("--host", help="broker")
    run.add_argument("--port", type=int, help="its port")
    run.add_argument("--no-tls", dest="tls", action="store_const", const=False, help="only to a broker on the loopback interface")
    for key, what in (("ca", "the broker's certificate authority"), ("cert", "our certificate"), ("key", "its key")):
        run.add_argument(f"--{key}", dest=f"{key}_file", type=Path, metavar="FILE", help=what)
    run.add_argument("--simulation", action="store_true", help="take simulated lanes, and only those")
    run.add_argument("--json", action="store_true", help="say one JSON line each time the broker has taken the subscription")
    report = commands.add_parser("report", help="what the store holds: counts, high waters, gaps, what was refused")
    report.set_defaults(command=_report)
    verify = commands.add_parser("verify", help="follow every hash chain from its beginning; exit code 1 where one is broken")
    verify.set_defaults(command=_verify)
    intake = commands.add_parser("import", help="take the rows of a gate's journal file, as one that was damaged and set aside")
    intake.set_defaults(command=_import)
    intake.add_argument("journal", type=Path, metavar="JOURNAL", help="a journal.db, whole or what is left of one")
    intake.add_argument("--simulation", action="store_true", help="the store is one of simulated lanes")
    for command in (report, verify, intake):
        command.add_argument("--store", type=Path, required=True, metavar="FILE", help="the store")
        command.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _settings(options: argparse.Namespace) -> CollectorSettings:
    base = settings.load(options.config) if options.config else CollectorSettings()
    given = {f.name: getattr(options, f.name, None) for f in dataclasses.fields(CollectorSettings)}
    return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})


def _run(options: argparse.Namespace) -> int:
    wanted = _settings(options)
    broker = wanted.broker()
    store = Store(wanted.store, simulation=options.simulation)

    def subscribed() -> None:
        if options.json:
            print(json.dumps({"ready": True, "broker": str(broker), "store": str(wanted.store)}), flush=True)

    consumer = Consumer(broker, store, simulation=options.simulation, client_id=wanted.name, subscribed=subscribed)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: consumer.stop())
    try:
        consumer.run()
    finally:
        store.close()
    return 0


def _report(options: argparse.Namespace) -> int:
    connection = reports.open_store(options.store)
    try:
        found = reports.report(connection)
    finally:
        connection.close()
    if options.json:
        print(json.dumps(found.as_dict()))
        return 0
    print(f"{found.total} events, {found.duplicates} duplicates, {found.refused} messages refused")
    for kind, count in found.events.items():
        print(f"  {count:>9}  {kind}")
    for one in found.epochs:
        gaps = ", ".join(f"{first}..{last}" for first, last in one.gaps) or "none"
        print(f"{one.site}/{one.gate} epoch {one.epoch}: {one.rows} rows up to {one.high_water}, gaps: {gaps}, missing: {one.missing}")
        print(f"  came again: {one.redelivered}, came too early: {one.ahead}")
    for reason, count in found.reasons.items():
        print(f"refused {count} times: {reason}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    connection = reports.open_store(options.store)
    try:
        chains = list(reports.verify(connection))
    finally:
        connection.close()
    broken = [name for name, _, wrong in chains if wrong]
    if options.json:
        print(json.dumps({"ok": not broken, "chains": [{"epoch": n, "rows": rows, "fault": wrong or None} for n, rows, wrong in chains]}))
    else:
        for name, rows, wrong in chains:
            print(f"{name}: {rows} rows fit{'' if not wrong else f', then: {wrong}'}")
    return 1 if broken else 0


def _import(options: argparse.Namespace) -> int:
    store = Store(options.store, simulation=options.simulation)
    try:
        done = take_in(options.journal, store)
    finally:
        store.close()
    if options.json:
        print(json.dumps(dataclasses.asdict(done)))
    else:
        print(f"{done.read} rows read from {options.journal}; the store now holds epoch {done.epoch} up to row {done.high_water}")
        if done.fault:
            print(f"gate-collector: {options.journal}: reading ended early: {done.fault}", file=sys.stderr)
    return 1 if done.fault else 0


if __name__ == "__main__":
    sys.exit(main())
