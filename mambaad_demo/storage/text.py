"""Texts from strangers, made fit for a column: printable and not too long."""

_LONGEST_NAME = 200
_LONGEST_NOTE = 4000


def name(text: str) -> str:
    """A name of something: printable, trimmed, at most 200 characters."""
    return " ".join(_printable(text).split())[:_LONGEST_NAME].rstrip()


def note(text: str) -> str:
    """Free text: lines are kept, at most 4000 characters."""
    return "\n".join(_printable(line).rstrip() for line in text.splitlines())[:_LONGEST_NOTE].strip()


def _printable(text: str) -> str:
    """PostgreSQL takes no zero bytes, and half a surrogate pair goes into no file."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
