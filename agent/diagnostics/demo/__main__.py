"""`script/demo`: lays the site out, plays the scene, judges it by the controller's log and the collector's store, and tells it."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from agent import program
from agent.diagnostics.demo import judge
from agent.diagnostics.demo.play import play
from agent.diagnostics.demo.report import page, terminal
from agent.diagnostics.demo.site import Site, lay_out
from agent.diagnostics.local_broker import LocalBroker
from agent.errors import UsageError

FAILED = 1
MARK = ".gate-agent-demo"
_MARK_TEXT = "script/demo made this folder and empties it when it runs again.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 only if the facts are right."""
    parser = argparse.ArgumentParser(prog="script/demo", description="One simulated lane of real parts, told as a timeline.")
    parser.add_argument("--json", action="store_true", help="print, last, one JSON object with the facts")
    parser.add_argument("--into", type=Path, default=Path("build/demo"), metavar="DIR", help="folder for everything (default: %(default)s)")
    args = program.arguments(parser, argv)
    return program.run(lambda: _run(args.into, as_json=args.json), program="script/demo", as_json=args.json)


def _run(folder: Path, *, as_json: bool) -> int:
    site = Site(emptied(folder))
    with LocalBroker(site.broker) as broker:
        _say(f"mosquitto runs on port {broker.port} of the loopback interface")
        lay_out(site, broker_port=broker.port, say=_say)
        killed_ns, back_ns = play(site, broker, _say)
    evidence = judge.collect(site)
    facts = judge.facts(evidence)
    problems = judge.problems(evidence, killed_ns=killed_ns, back_ns=back_ns)
    pictures = sorted(f"pictures/{file.name}" for file in site.pictures.glob("*.png"))
    entries = judge.timeline(evidence, killed_ns=killed_ns, back_ns=back_ns, pictures=pictures)
    tiles = [(name.replace("_", " "), _figure(value)) for name, value in facts.items()]
    (site.folder / "index.html").write_text(page(entries, tiles, problems), encoding="utf-8")
    print(terminal(entries))
    print(f"\nPictures of the decisions: {site.pictures}\nThe same as a page:         {site.folder / 'index.html'}")
    print("\n".join(f"WRONG: {problem}" for problem in problems) or "The controller's log and the collector's store agree: all is right.")
    if as_json:
        print(json.dumps(facts))
    return FAILED if problems else 0


def emptied(folder: Path) -> Path:
    """The folder, without what an earlier demo left in it. A folder of anything else is not touched: only the demo lays the mark.

    Raises:
        UsageError: it holds something and no mark, or cannot be written.
    """
    folder = folder.resolve()
    try:
        if folder.exists() and any(folder.iterdir()):
            if not _is_marked(folder):
                raise UsageError(f"{folder} holds something, and no mark that a demo made it; delete it, or name another with --into")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text(_MARK_TEXT, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be used ({error.strerror}: {error.filename}); give another folder with --into") from error
    return folder


def _is_marked(folder: Path) -> bool:
    mark = folder / MARK
    return mark.is_file() and not mark.is_symlink() and mark.read_bytes() == _MARK_TEXT.encode()


def _figure(value: object) -> str:
    return " / ".join(f"{figure:.0f}" for figure in value.values() if figure is not None) + " ms" if isinstance(value, dict) else str(value)


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
