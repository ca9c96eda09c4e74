"""Words that others may have written, on their way to a terminal or a log."""


def harmless(text: str) -> str:
    """A control character, or one that turns the line round, is shown by its number."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
