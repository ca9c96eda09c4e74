"""gate-roster: enrol people, sign releases, bring them to the gates.

Exit codes: those of agent.program; 3 is done, but somebody was refused, or the pack is unfit.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent import program
from agent.authority import calibrate_command, calibrate_report, report
from agent.authority.authority import DAY_S, RENEW_WARNING_DAYS, Authority
from agent.authority.errors import AuthorityError
from agent.authority.keys import KEYED_ROLES, OPERATORS, SINGLE, Quorum
from agent.authority.lock import WAIT_S, locked
from agent.authority.passphrase import existing, new
from agent.authority.people import Enrolment, enrol
from agent.authority.plan import NAME_RULE
from agent.authority.register import Bound
from agent.biometrics.quality import Bounds
from agent.biometrics.template import Metric
from agent.core.identity import PersonStatus
from agent.core.topics import is_name
from agent.errors import UsageError
from agent.roster.document import TemplateForm
from agent.vision.sampler import Sampler
from models.errors import ModelError, PackMissingError
from models.manifest import Manifest
from models.pack import find_pack, list_packs, open_pack, read_manifest
from models.places import built_folder, manifests_folder

EXIT_REFUSED: Final = 3
AUTHORITY_VARIABLE: Final = "GATE_ROSTER_DIR"

ENROLLING: Final = ".enrolling"
"""Lock of enrolments, apart from that of releases: an enrolment may take an hour."""

_STOPPED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "init": "nothing is made",
        "enrol": "who was done is in the register",
        "release": "a release that was cut short is never taken for one; run it again",
    }
)
"""What holds after Ctrl-C, by command."""

_BAR_WIDTH = 30


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; agent.program says which exit code it ends with."""
    options = program.arguments(_parser(), argv)
    command: Callable[[argparse.Namespace], int] = options.command
    return program.run(
        lambda: command(options),
        program="gate-roster",
        as_json=options.json,
        stopped=f"stopped; {options.stopped}",
        reported=lambda: getattr(options, "reported", ""),
    )


# --- commands ---------------------------------------------------------------------------------------------------------------------


def _init(options: argparse.Namespace) -> int:
    if not is_name(options.site):
        raise UsageError(f"--site {options.site!r}: {NAME_RULE}")
    _check_pack(options.pack)
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE) | {role: getattr(options, role) for role in OPERATORS}
    passphrase = new(options.passphrase_file, ask=options.passphrase)
    authority = Authority.found(
        options.folder,
        site=options.site,
        pack=options.pack,
        quorums=quorums,
        passphrase=passphrase,
        now_s=int(time.time()),
        simulation=options.simulation,
    )
    folder = authority.folder
    _print(
        options,
        (
            f"{folder} is the authority of site '{options.site}'",
            f"    {folder / 'authority.toml'}   areas, access levels, validity: change them to fit your site",
            f"    {folder / 'root.json'}        install on every gate (roster.root): it trusts what this authority signs",
            f"    {folder / 'site.key'}         install on every gate (roster.site_key_file), readable by the agent alone; keep it secret",
            f"    {folder / 'keys'}             private keys: keep those of root offline, and a backup of the whole folder",
            f"next: gate-roster enrol FOLDER --authority {folder}",
        ),
        {"authority": str(folder), "root": str(folder / "root.json"), "site_key": str(folder / "site.key"), "site": options.site},
    )
    return 0


def _enrol(options: argparse.Namespace) -> int:
    authority = _open(options)
    with locked(authority.folder, "enrol", name=ENROLLING, wait_s=0):  # two would not see each other's people, and one face under two names
        return _enrol_alone(options, authority)


def _enrol_alone(options: argparse.Namespace, authority: Authority) -> int:
    pack = open_pack(_pack_folder(authority))
    manifest = pack.manifest
    sampler = Sampler(pack, _bounds(manifest))
    bound = Bound(pack=pack.id, form=TemplateForm(length=manifest.embedder.template_length, metric=Metric(manifest.embedder.metric)))
    bar = _Bar(show=sys.stderr.isatty() and not options.json)
    people = enrol(
        authority,
        options.folder,
        sampler=sampler,
        bound=bound,
        defaults=manifest.comparison,
        now_s=int(time.time()),
        progress=bar.show,
    )
    done: list[Enrolment] = []
    is_whole = False
    try:
        done.extend(people)
        is_whole = True
    finally:
        bar.end()
        if is_whole or done:  # what was done before Ctrl-C, or an error, is in the register: it is reported too
            _print(options, report.enrolment_text(done, is_whole=is_whole), report.enrolment_json(done, is_whole=is_whole))
    return EXIT_REFUSED if any(each.refused for each in done) else 0


def _list(options: argparse.Namespace) -> int:
    authority = _open(options)
    people = authority.register.people()
    offset = authority.plan.site.utc_offset_minutes
    _print(options, report.people_text(people, utc_offset_minutes=offset), report.people_json(people))
    return 0


def _set_status(options: argparse.Namespace) -> int:
    person = _open(options).set_status(options.person, options.status, now_s=int(time.time()))
    _print(
        options,
        (f"{person.id} is {person.status}; it takes effect at the gates with the next release: gate-roster release",),
        {"person": person.id, "status": str(person.status), "revision": person.revision},
    )
    return 0


def _remove(options: argparse.Namespace) -> int:
    _open(options).register.remove(options.person)
    _print(
        options,
        (f"{options.person} is removed, their references deleted; the gates forget them with the next release: gate-roster release",),
        {"person": options.person, "status": "removed"},
    )
    return 0


def _release(options: argparse.Namespace) -> int:
    authority = _open(options)
    manifest = _manifest(authority)
    authority.open_keys()  # a person may take their time over a passphrase
    now_s = int(time.time())
    published = authority.release(manifest.comparison, now_s=now_s)
    _print(options, report.published_text(published), report.published_json(published))
    if not published.people:
        _warn("nobody is enrolled any more: once they have this release, gates let nobody in by face")
    if published.before_s is not None and published.before_s > now_s + WAIT_S:
        _warn(
            f"this machine's clock says {report.instant(now_s)}; the release before was issued at {report.instant(published.before_s)}: "
            "one of the two is wrong; mend the clock, then release again, or gates may refuse it as stale"
        )
    if published.valid_until_s - now_s < RENEW_WARNING_DAYS * DAY_S:
        until = report.day(published.valid_until_s)
        _warn(f"root or targets are valid until {until} only; renew them: gate-roster rotate root")
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    authority = _open(options)
    if options.discard:
        sentence = calibrate_command.discard(authority)
        _print(options, (sentence,), {"discarded": True})
        return 0
    manifest = _manifest(authority)
    bar = _Bar(show=sys.stderr.isatty() and not options.json)
    done, page = calibrate_command.run(options, authority, margin=manifest.comparison.margin, progress=calibrate_command.shown(bar.show))
    bar.end()
    _print(options, calibrate_report.text(done, str(page)), calibrate_report.json_values(done) | {"report": str(page)})
    return 0 if done.fit else EXIT_REFUSED


def _export(options: argparse.Namespace) -> int:
    version = _open(options).export(options.folder)
    _print(options, (f"release {version} lies in {options.folder}",), {"version": version, "folder": str(options.folder)})
    return 0


def _rotate(options: argparse.Namespace) -> int:
    authority = _open(options)
    passphrase = None
    if options.role in OPERATORS:
        file = options.new_passphrase_file or (None if options.passphrase else options.passphrase_file)
        passphrase = new(file, ask=options.passphrase or authority.has_passphrase(options.role))
    quorum = authority.rotate(options.role, options.quorum, passphrase=passphrase, now_s=int(time.time()))
    kept = f"{quorum.keys} new key(s), of which {quorum.threshold} must sign, {'with a' if passphrase else 'without'} passphrase"
    _print(
        options,
        (
            f"role '{options.role}' has {kept}",
            "the old ones are of no use once the gates have the next release: gate-roster release",
        ),
        {"role": options.role, "threshold": quorum.threshold, "keys": quorum.keys, "passphrase": passphrase is not None},
    )
    return 0


def _check_pack(name: str) -> None:
    """Raises UsageError: no pack of that name is known or built here, or it recognises no faces."""
    folders: tuple[Path, ...] = (manifests_folder(),)
    with suppress(PackMissingError):  # an authority may be made before any pack is built
        folders = (built_folder(), *folders)
    known = [each.name for each in list_packs(folders)]
    if name not in known:
        raise UsageError(f"--pack {name!r} is no pack that is known here; one of: {', '.join(sorted(set(known)))}")
    try:
        read_manifest(find_pack(name, folders))
    except ModelError as error:
        raise UsageError(f"--pack {name!r} makes no templates: {error}") from error


# --- what commands share ----------------------------------------------------------------------------------------------------------


def _open(options: argparse.Namespace) -> Authority:
    return Authority(options.authority, passphrase=existing(options.passphrase_file))


def _manifest(authority: Authority) -> Manifest:
    """Of the pack that the register's references were made with."""
    manifest = read_manifest(_pack_folder(authority))
    bound = authority.register.bound()
    if bound is not None and bound.pack != manifest.id:
        raise AuthorityError(f"the register's references are made with pack '{bound.pack}'; here lies '{manifest.id}': install the first")
    return manifest


def _pack_folder(authority: Authority) -> Path:
    return find_pack(authority.plan.people.pack, (built_folder(),))


def _bounds(manifest: Manifest) -> Bounds:
    quality = manifest.quality
    return Bounds(
        min_eye_distance_px=quality.min_eye_distance_px,
        max_yaw=quality.max_yaw,
        min_blur=quality.min_blur,
        min_brightness=quality.min_brightness,
        max_brightness=quality.max_brightness,
        max_clipped=quality.max_clipped,
    )


def _warn(sentence: str) -> None:
    print(f"gate-roster: {sentence}", file=sys.stderr)


def _print(options: argparse.Namespace, text: Iterable[str], data: dict[str, object]) -> None:
    lines = list(text)
    options.reported = lines[0] if lines else ""  # should standard output not take it
    if options.json:
        print(json.dumps(data))  # in ASCII: a file's name may hold what no terminal's letters can show
        return
    for line in lines:
        print(report.printable(line))


class _Bar:
    """A progress bar on the terminal."""

    def __init__(self, *, show: bool) -> None:
        self._on = show

    def show(self, done: int, of: int, name: str) -> None:
        if self._on:
            filled = _BAR_WIDTH * done // max(of, 1)
            print(f"\r[{'#' * filled:<{_BAR_WIDTH}}] {done}/{of} {report.printable(name):<40.40}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._on:
            print("\r" + " " * (_BAR_WIDTH + 60) + "\r", end="", file=sys.stderr, flush=True)


# --- arguments --------------------------------------------------------------------------------------------------------------------


def _place(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty name is no folder")
    return Path(text)


def _quorum(text: str) -> Quorum:
    threshold, _, keys = text.partition("/")
    try:
        return Quorum(int(threshold), int(keys or threshold))
    except (ValueError, AuthorityError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N, for example 2/3") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gate-roster", description="Enrol people, sign releases, bring them to the gates.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    init = _command(commands, "init", _init, "make a new authority in DIR", opens=False)
    init.add_argument("folder", type=_place, metavar="DIR")
    init.add_argument("--site", default="site", help="name of the site, as in the gates' configuration (default: site)")
    init.add_argument("--pack", default="mtcnn-dlib", help="model pack that makes the templates (default: mtcnn-dlib)")
    init.add_argument("--simulation", action="store_true", help="for made-up people: a gate in service refuses this authority's releases")
    for role, what in (("root", "name who may sign"), ("enrol", "add people"), ("revoke", "remove people")):
        init.add_argument(f"--{role}", type=_quorum, default=SINGLE, metavar="K/N", help=f"K of N keys {what} (default: 1/1)")
    _add_new_passphrase(init)

    enrolling = _command(commands, "enrol", _enrol, "enrol everybody in FOLDER: one sub-folder of pictures for each person")
    enrolling.add_argument("folder", type=_place, metavar="FOLDER")
    _command(commands, "list", _list, "who is enrolled")
    for name, status, text in (
        ("suspend", PersonStatus.SUSPENDED, "stop a person from passing, keeping their references"),
        ("resume", PersonStatus.ACTIVE, "let a suspended person pass again"),
    ):
        changing = _command(commands, name, _set_status, text)
        changing.add_argument("person", metavar="PERSON")
        changing.set_defaults(status=status)
    removing = _command(commands, "remove", _remove, "forget a person and their references")
    removing.add_argument("person", metavar="PERSON")

    calibrating = _command(
        commands, "calibrate", _calibrate, "measure the threshold on everybody who is enrolled, and how many people it serves"
    )
    calibrate_command.add_arguments(calibrating)
    _command(commands, "release", _release, "sign everybody who is enrolled as the next release")
    exporting = _command(commands, "export", _export, "copy the newest release to DIR: where gates look, or a stick")
    exporting.add_argument("folder", type=_place, metavar="DIR")
    rotating = _command(commands, "rotate", _rotate, "give a role new keys, and renew root and targets")
    rotating.add_argument("role", choices=KEYED_ROLES, metavar="ROLE", help=", ".join(KEYED_ROLES))
    rotating.add_argument("--quorum", type=_quorum, metavar="K/N", help="K of N new keys (default: as it is)")
    rotating.add_argument(
        "--passphrase", action="store_true", help="ask for a new passphrase for the new keys (default: if the old have one)"
    )
    rotating.add_argument(
        "--new-passphrase-file", type=Path, metavar="FILE", help="file with the new keys' passphrase (default: --passphrase-file)"
    )
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
    *,
    opens: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=run, stopped=_STOPPED.get(name, "run it again"))
    command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    if opens:
        default = Path(os.environ.get(AUTHORITY_VARIABLE, "."))
        help_text = f"folder of the authority (default: ${AUTHORITY_VARIABLE}, else the current folder)"
        command.add_argument("--authority", type=_place, default=default, metavar="DIR", help=help_text)
        command.add_argument("--passphrase-file", type=Path, metavar="FILE", help="file with the passphrase of the private keys")
    return command


def _add_new_passphrase(command: argparse.ArgumentParser) -> None:
    command.add_argument("--passphrase", action="store_true", help="ask for a passphrase for the keys that people hold")
    command.add_argument("--passphrase-file", type=Path, metavar="FILE", help="take it from a file (mode 0600)")


if __name__ == "__main__":
    sys.exit(main())
