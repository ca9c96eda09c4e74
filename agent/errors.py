"""The root of this package's errors. Each carries a sentence for a person: the thing, the value, the limit, what to do."""


class GateError(Exception):
    """Anything that a person has to mend; the command line prints it as one sentence and leaves with a code of its own."""

    exit_code = 1


class UsageError(GateError):
    """Wrong use: an unknown option, key or value."""

    exit_code = 2


class JournalError(GateError):
    """The journal could not take events, or was told something that it cannot be; nothing of the call is in it."""
