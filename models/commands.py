"""`models build | fetch | import | list | verify`: mounted by the gate-agent command line, and by `python -m models`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from models import manifest as manifests
from models import manifest_reader
from models import pack as packs
from models.errors import ModelError, PackMissingError
from models.manifest import AnyManifest, Download, Manifest
from models.places import DEFAULT_PACK, ENVIRONMENT, RECOMMENDED_PACK, built_folder, manifests_folder

FAILED = 1
UNREAD = 141  # the shell's own code for a program that SIGPIPE ended
BAR_WIDTH = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions and their flags; `run` carries out what was parsed."""
    actions = parser.add_subparsers(dest="models_action", required=True, metavar="build | fetch | import | list | verify")
    build = actions.add_parser("build", help="build a pack from published weights that are here, their digests checked")
    build.add_argument("--quiet-if-built", action="store_true", help="say nothing and return at once where the pack is built and intact")
    fetch = actions.add_parser("fetch", help="fetch a pack's published weights over the internet, their digests checked, and build it")
    fetch.add_argument(
        "pack", metavar="PACK", nargs="?", default=RECOMMENDED_PACK, help=f"which pack (default: {RECOMMENDED_PACK}, the recommended one)"
    )
    bring = actions.add_parser("import", help="take a pack's weights from files, each recognised by its digest, and build it")
    bring.add_argument("files", metavar="FILE", type=Path, nargs="+", help="published weights or built graphs, in any order")
    listing = actions.add_parser("list", help="show the packs that can be built and those that are")
    verify = actions.add_parser("verify", help="check every file of a built pack against its manifest, and load it")
    for action, default in ((build, DEFAULT_PACK), (bring, RECOMMENDED_PACK), (verify, DEFAULT_PACK)):
        action.add_argument("--pack", metavar="NAME", default=default, help=f"which pack (default: {default})")
    for action in (build, fetch, bring):
        action.add_argument("--manifest", metavar="FILE", type=Path, help="manifest.toml of a pack of your own; CARD.md stands beside it")
    for action in (build, fetch, bring, listing, verify):
        action.add_argument(
            "--into", metavar="DIR", type=Path, help=f"folder of built packs (default: ${ENVIRONMENT}, else the gate's or the checkout's)"
        )
        action.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace) -> int:
    """Carries out the parsed action; returns the exit code. Raises ModelError and OSError: whose program it is says them."""
    folder = args.into if args.into is not None else built_folder()
    return _ACTIONS[args.models_action](args, folder)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models", description="Model packs of the gate agent.")
    add_arguments(parser)
    try:
        code = run(parser.parse_args(argv))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except ModelError as reason:
        return _failed(str(reason))
    except OSError as reason:
        place = f"{reason.filename}: " if reason.filename else ""
        return _failed(f"{place}{reason.strerror}; check that the folder exists and may be written")
    return code


def _build(args: argparse.Namespace, folder: Path) -> int:
    manifest, manifest_folder = _wanted(args)
    if args.quiet_if_built and _is_intact(folder / manifest.name, manifest):
        return 0
    return _built(args, manifest, manifest_folder, folder)


def _fetch(args: argparse.Namespace, folder: Path) -> int:
    from models.build import fetch  # noqa: PLC0415  a gate lists and verifies without it

    manifest, manifest_folder = _wanted(args)
    for source in manifest.sources:
        if isinstance(source, Download):
            fetch.fetch(source, folder, progress=_bytes_bar())
    return _built(args, manifest, manifest_folder, folder)


def _import(args: argparse.Namespace, folder: Path) -> int:
    from models.build import imports  # noqa: PLC0415  a gate lists and verifies without it

    manifest, manifest_folder = _wanted(args)
    for file, what in imports.take(args.files, manifest, folder):
        print(f"models: {file} is {what}", file=sys.stderr)
    return _built(args, manifest, manifest_folder, folder)


def _wanted(args: argparse.Namespace) -> tuple[AnyManifest, Path]:
    """The manifest of the pack that is to be made, and the folder that it and its card lie in."""
    file = args.manifest if args.manifest is not None else manifests_folder() / args.pack / manifests.FILE
    if args.manifest is None and not file.is_file():
        known = ", ".join(sorted(each.parent.name for each in manifests_folder().glob(f"*/{manifests.FILE}")))
        raise PackMissingError(f"pack {args.pack!r} is not known; packs that can be built: {known}")
    manifest = manifest_reader.load_any(file)
    if not (card := file.parent / manifests.CARD).is_file():
        raise PackMissingError(f"{card} is missing; write there what was measured with the pack and what was not")
    return manifest, file.parent


def _built(args: argparse.Namespace, manifest: AnyManifest, manifest_folder: Path, folder: Path) -> int:
    from models.build import builder  # noqa: PLC0415  a gate lists and verifies without the builder

    built = builder.build(manifest, manifest_folder=manifest_folder, into=folder, report=_progress())
    now = packs.verify_pack(built)
    _print(args, _row(built, now, state="built"), text=f"{now.id} built in {built}{_unverified(now)}")
    return 0


def _list(args: argparse.Namespace, folder: Path) -> int:
    rows = [_checked_row(directory) for directory in packs.list_packs((folder,))]
    there = {row["name"] for row in rows}
    known = sorted(manifests_folder().glob(f"*/{manifests.FILE}"))
    rows += [_row(file.parent, manifest_reader.load_any(file), state="not built") for file in known if file.parent.name not in there]
    text = "\n".join(f"{row['name']:<20} {row['state']:<10} {row.get('id', row.get('reason', ''))}" for row in rows)
    _print(args, {"folder": str(folder), "packs": rows}, text=text)
    return 0


def _verify(args: argparse.Namespace, folder: Path) -> int:
    directory = packs.find_pack(args.pack, (folder,))
    manifest = packs.open_any(directory).manifest
    text = f"{manifest.id} in {directory}: every digest right, every graph loads{_unverified(manifest)}"
    _print(args, _row(directory, manifest, state="verified"), text=text)
    return 0


def _unverified(manifest: AnyManifest) -> str:
    return "" if manifest.verified else "\nUNVERIFIED: nobody measured this pack; its CARD.md says what that means"


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, Path], int]] = MappingProxyType(
    {"build": _build, "fetch": _fetch, "import": _import, "list": _list, "verify": _verify}
)


def _checked_row(directory: Path) -> dict[str, str]:
    try:
        return _row(directory, packs.verify_pack(directory), state="built")
    except ModelError as reason:
        return {"name": directory.name, "folder": str(directory), "state": "damaged", "reason": str(reason)}


def _is_intact(directory: Path, wanted: AnyManifest) -> bool:
    try:
        return packs.verify_pack(directory) == wanted
    except ModelError:
        return False


def _row(directory: Path, manifest: AnyManifest, *, state: str) -> dict[str, str]:
    return {
        "name": manifest.name,
        "id": manifest.id,
        "kind": "recognition" if isinstance(manifest, Manifest) else "pad",
        "state": state,
        "folder": str(directory),
        "summary": manifest.summary,
    }


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


def _bytes_bar() -> Callable[[str, int, int], None]:
    """Returns what shows a download: a bar that redraws on a terminal, a line a tenth elsewhere."""
    said = -1

    def progress(what: str, have: int, of: int) -> None:
        nonlocal said
        tenth = 10 * have // of
        if sys.stderr.isatty():
            done = BAR_WIDTH * have // of
            line = f"\rmodels: [{'#' * done}{'.' * (BAR_WIDTH - done)}] {have / 1e6:.1f} of {of / 1e6:.1f} MB {what}\x1b[K"
            print(line, end="\n" if have == of else "", file=sys.stderr, flush=True)
        elif tenth != said:
            print(f"models: fetching {what}: {have} of {of} bytes", file=sys.stderr)
        said = tenth

    return progress


def _failed(sentence: str) -> int:
    print(f"models: {sentence}", file=sys.stderr)
    return FAILED
