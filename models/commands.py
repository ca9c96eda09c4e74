"""`models build | list | verify`: mounted by the gate-agent command line, and by `python -m models`."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from models import manifest as manifests
from models import manifest_reader
from models import pack as packs
from models.errors import ModelError, PackMissingError
from models.manifest import Manifest
from models.places import DEFAULT_PACK, ENVIRONMENT, built_folder, manifests_folder

FAILED = 1
BAR_WIDTH = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions and their flags; `run` carries out what was parsed."""
    actions = parser.add_subparsers(dest="models_action", required=True, metavar="build | list | verify")
    build = actions.add_parser("build", help="build a pack from published weights, their digests checked")
    build.add_argument("--quiet-if-built", action="store_true", help="say nothing and return at once where the pack is built and intact")
    listing = actions.add_parser("list", help="show the packs that can be built and those that are")
    verify = actions.add_parser("verify", help="check every file of a built pack against its manifest, and load it")
    for action in (build, verify):
        action.add_argument("--pack", metavar="NAME", default=DEFAULT_PACK, help=f"which pack (default: {DEFAULT_PACK})")
    for action in (build, listing, verify):
        action.add_argument(
            "--into", metavar="DIR", type=Path, help=f"folder of built packs (default: ${ENVIRONMENT}, else the gate's or the checkout's)"
        )
        action.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace) -> int:
    """Carries out the parsed action; returns the exit code. Errors are one sentence on stderr."""
    try:
        folder = args.into if args.into is not None else built_folder()
        return _ACTIONS[args.models_action](args, folder)
    except ModelError as reason:
        return _failed(str(reason))
    except OSError as reason:
        return _failed(f"{reason.filename}: {reason.strerror}; check that the folder exists and may be written")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models", description="Model packs of the gate agent.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


def _build(args: argparse.Namespace, folder: Path) -> int:
    from models.build import builder  # noqa: PLC0415  a gate lists and verifies without the builder

    manifest_folder = manifests_folder() / args.pack
    if not (manifest_folder / manifests.FILE).is_file():
        known = ", ".join(sorted(each.parent.name for each in manifests_folder().glob(f"*/{manifests.FILE}")))
        raise PackMissingError(f"pack {args.pack!r} is not known; packs that can be built: {known}")
    manifest = manifest_reader.load(manifest_folder / manifests.FILE)
    if args.quiet_if_built and _is_intact(folder / manifest.name, manifest):
        return 0
    built = builder.build(manifest, manifest_folder=manifest_folder, into=folder, report=_progress())
    _print(args, _row(built, manifest, state="built"), text=f"{manifest.id} built in {built}")
    return 0


def _list(args: argparse.Namespace, folder: Path) -> int:
    rows = [_checked_row(directory) for directory in packs.list_packs((folder,))]
    there = {row["name"] for row in rows}
    known = sorted(manifests_folder().glob(f"*/{manifests.FILE}"))
    rows += [_row(file.parent, manifest_reader.load(file), state="not built") for file in known if file.parent.name not in there]
    text = "\n".join(f"{row['name']:<20} {row['state']:<10} {row.get('id', row.get('reason', ''))}" for row in rows)
    _print(args, {"folder": str(folder), "packs": rows}, text=text)
    return 0


def _verify(args: argparse.Namespace, folder: Path) -> int:
    directory = packs.find_pack(args.pack, (folder,))
    opened = packs.open_pack(directory)
    _print(
        args, _row(directory, opened.manifest, state="verified"), text=f"{opened.id} in {directory}: every digest right, every graph loads"
    )
    return 0


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, Path], int]] = MappingProxyType({"build": _build, "list": _list, "verify": _verify})


def _checked_row(directory: Path) -> dict[str, str]:
    try:
        return _row(directory, packs.verify_pack(directory), state="built")
    except ModelError as reason:
        return {"name": directory.name, "folder": str(directory), "state": "damaged", "reason": str(reason)}


def _is_intact(directory: Path, wanted: Manifest) -> bool:
    try:
        return packs.verify_pack(directory) == wanted
    except ModelError:
        return False


def _row(directory: Path, manifest: Manifest, *, state: str) -> dict[str, str]:
    return {"name": manifest.name, "id": manifest.id, "state": state, "folder": str(directory), "summary": manifest.summary}


def _print(args: argparse.Namespace, value: Mapping[str, object], *, text: str) -> None:
    print(json.dumps(value) if args.json else text)


def _progress() -> Callable[[str, int, int], None]:
    """Returns what shows each stage: a bar that redraws on a terminal, a line a stage elsewhere."""

    def report(what: str, number: int, of: int) -> None:
        if not sys.stderr.isatty():
            print(f"models: building {what} ({number} of {of})", file=sys.stderr)
            return
        done = BAR_WIDTH * number // of
        line = f"\rmodels: [{'#' * done}{'.' * (BAR_WIDTH - done)}] {number}/{of} {what}\x1b[K"
        print(line, end="\n" if number == of else "", file=sys.stderr, flush=True)

    return report


def _failed(sentence: str) -> int:
    print(f"models: {sentence}", file=sys.stderr)
    return FAILED
