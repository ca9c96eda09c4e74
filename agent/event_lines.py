"""Prints each recorded event as one JSON line, exactly as it goes to the centre; for `gate-agent run --json`."""

import os
import sys
from pathlib import Path

from agent.drivers.journal_reader import JournalReader
from agent.errors import JournalError
from agent.ports import Committed

_AT_ONCE = 1000  # rows of one step: a few, or all that waited while the journal took nothing


class EventLines:
    """Follows the journal by reading it, so that only what is durable is printed."""

    def __init__(self, journal: Path, *, after: int) -> None:
        self._journal = journal
        self._reader = JournalReader(journal)
        self._after = after
        self._unread = False

    def print_new(self, done: Committed) -> None:
        """Print what was committed since the last call, up to `done`. When nobody reads any more, the lane goes on without."""
        if self._unread:
            return
        try:
            if self._reader.replaced() or done.seq < self._after:
                self._reader.close()
                self._reader, self._after = JournalReader(self._journal), 0
            for row in self._reader.rows(self._after, _AT_ONCE):
                print(row.payload.decode("ascii"))
                self._after = row.seq
            sys.stdout.flush()
        except JournalError as error:
            print(f"gate-agent: {error}", file=sys.stderr)
        except OSError as error:  # a reader that went away, a full disk: never a reason to stop the lane
            self._unread = True
            is_gone = isinstance(error, BrokenPipeError)
            why = "nobody reads the events any more" if is_gone else f"the events cannot be printed ({error.strerror})"
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still in the buffer has to go somewhere at the end
            print(f"gate-agent: {why}; they are in the journal and are printed no longer", file=sys.stderr)

    def close(self) -> None:
        self._reader.close()
