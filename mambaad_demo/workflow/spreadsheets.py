"""Cells that a spreadsheet shows instead of running them: a leading `'` before what would start a formula."""

_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")  # the last one, so that `unguarded` can tell


def guarded(value: object) -> object:
    """A value as it goes into a CSV cell; numbers stay what they are, None is empty."""
    if isinstance(value, str) and value.startswith(_STARTS):
        return f"'{value}"
    return "" if value is None else value


def unguarded(cell: str) -> str:
    """The text that `guarded` was given."""
    return cell.removeprefix("'")
