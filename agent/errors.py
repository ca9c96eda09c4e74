"""The root of this package's errors. Each carries a sentence for a person: the thing, the value, the limit, what to do."""


class GateError(Exception):
    """Anything that a person has to mend; the command line prints it as one sentence and leaves with a code of its own."""

    exit_code = 1


class UsageError(GateError):
    """Wrong use: an unknown option, key or value."""

    exit_code = 2


class JournalError(GateError):
    """The journal could not take events, or was told something that it cannot be; nothing of the call is in it."""


class AcknowledgementError(JournalError):
    """The centre acknowledged a row that this journal does not hold, or whose hash differs: one of the two was changed or lost rows.

    Entry need not close: nothing of the journal is lost and nothing is pruned. It is recorded as journal.disputed.
    """

    def __init__(self, *, seq: int, ours: str | None, theirs: str) -> None:
        held = f"here it ends in {ours}" if ours else "this journal does not hold that row"
        super().__init__(f"the centre acknowledged row {seq} with head {theirs}, but {held}; compare both: gate-agent journal verify")
        self.seq = seq
        self.ours = ours
        self.theirs = theirs
