"""Making a folder's content in one step: whoever interrupts it leaves nothing behind, or the whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.authority import lock
from agent.authority.errors import AuthorityError
from agent.authority.files import sync_folder, unique
from agent.authority.lock import locked

_MAKING: Final = ".init-"
"""How the folder's name begins in which everything is made first."""


@contextmanager
def in_one_step(folder: Path, *, last: str) -> Iterator[Path]:
    """A folder inside of `folder`, whose content moves up when the block ends without an error; `last` of it moves last.

    What a killed attempt left in it is cleared away.

    Raises:
        AuthorityError: there is something in `folder`, or it cannot be written.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise AuthorityError(f"{folder} cannot be made ({error.strerror}); name a folder that can be") from error
    try:
        with locked(folder, "init", wait_s=0):
            _clear(folder, last=last)
            making = folder / f"{_MAKING}{unique()}"
            try:
                making.mkdir(mode=0o700)
                yield making
                _move_up(making, folder, last=last)
            except OSError as error:
                raise AuthorityError(
                    f"{folder} cannot be written ({error.strerror}); make room or mend its rights; nothing is made"
                ) from error
            finally:
                shutil.rmtree(making, ignore_errors=True)
    except BaseException:
        if new and not any(each.name != lock.FILE for each in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _clear(folder: Path, *, last: str) -> None:
    """We have the lock, so what an earlier attempt left is nobody's any more."""
    found = [each for each in folder.iterdir() if each.name != lock.FILE]
    others = [each for each in found if not each.name.startswith(_MAKING)]
    if others and (folder / last).exists():
        raise AuthorityError(f"{folder} is not empty: it is an authority; name a new folder (none is ever made over another)")
    if others:
        raise AuthorityError(f"{folder} is not empty: '{others[0].name}' is in it, and no {last}; name a new folder, or clear this one")
    for each in found:
        shutil.rmtree(each)


def _move_up(making: Path, folder: Path, *, last: str) -> None:
    moved: list[Path] = []
    try:
        for each in sorted(making.iterdir(), key=lambda found: (found.name == last, found.name)):
            moved.append(folder / each.name)
            each.rename(moved[-1])
        sync_folder(folder)
    except BaseException:
        for each in moved:
            shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
        raise
