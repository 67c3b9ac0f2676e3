"""Words and figures of a run as Markdown. What people wrote stays text: it makes no markup, no HTML, and no
row or column of its own."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

_NONE = "–"
_MEANS_SOMETHING = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def one_line(words: str) -> str:
    """Without line breaks, control characters and marks that turn the direction of writing."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())


def text(words: object) -> str:
    """Words within a line that read as they were written, whatever they hold; not for the start of a line."""
    escaped = _MEANS_SOMETHING.sub(r"\\\g<0>", one_line(str(words)))
    return "".join(_ENTITIES.get(character, character) for character in escaped)


def code(words: object) -> str:
    """One line in a code span, which no backtick inside can end; not for tables, where a bar would."""
    line = one_line(str(words))
    if not line:
        return _NONE
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def cell(value: JsonValue) -> str:
    """A value in few characters: four digits of a number, words as they are, a list with commas."""
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        return text(value) or _NONE
    if isinstance(value, dict):
        return ", ".join(f"{text(name)} {cell(inner)}" for name, inner in value.items()) or _NONE
    return ", ".join(cell(inner) for inner in value) or _NONE


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table whose cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def figures(values: Mapping[str, JsonValue], *, heading: str = "###") -> list[str]:
    """A nested dict as tables: plain values first, then one titled table for each dict or list of dicts."""
    plain = {name: value for name, value in values.items() if not _is_table(value)}
    lines = table(["", ""], [(text(name), cell(value)) for name, value in plain.items()]) if plain else []
    for name, value in values.items():
        if name not in plain:
            lines += ["", f"{heading} {text(name)}", "", *nested_table(value, heading=heading)]
    return lines[1:] if lines and not lines[0] else lines


def nested_table(value: JsonValue, *, heading: str = "###") -> list[str]:
    """Rows by name where all inner values are dicts of plain values; deeper nesting gets headings."""
    named: dict[str, JsonValue] = (
        value if isinstance(value, dict) else {str(n): row for n, row in enumerate(_list(value), start=1)}
    )
    if not all(_is_row(row) for row in named.values()):
        return figures(named, heading=f"{heading}#")
    rows = [_dict(row) for row in named.values()]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    titles = ["" if isinstance(value, dict) else "no."]
    return table(
        [*titles, *map(text, columns)],
        [
            [text(name), *(cell(row.get(column)) for column in columns)]
            for name, row in zip(named, rows, strict=True)
        ],
    )


def comparison(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> list[str]:
    """Two dicts of figures side by side: "before → after" in one cell where both hold a dict of plain values
    for each name, else one row for each figure in either."""
    if all(_is_row(value) for value in (*before.values(), *after.values())):
        return _moved(before, after)
    old, new = dict(_flat(before)), dict(_flat(after))
    rows = [
        (text(name), cell(old.get(name)), cell(new.get(name)), _change(old.get(name), new.get(name)))
        for name in dict.fromkeys([*old, *new])
    ]
    return table(["", "before", "after", "change"], rows)


def _moved(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> list[str]:
    """A row for each name, a column for each of its figures."""
    sides = [{name: _dict(value) for name, value in side.items()} for side in (before, after)]
    columns = list(dict.fromkeys(column for side in sides for row in side.values() for column in row))
    return table(
        ["", *(f"{text(column)}, before → after" for column in columns)],
        [
            [text(name), *(" → ".join(cell(side.get(name, {}).get(c)) for side in sides) for c in columns)]
            for name in dict.fromkeys([*before, *after])
        ],
    )


def _is_row(value: JsonValue) -> bool:
    """Whether a value is a dict of plain values."""
    return isinstance(value, dict) and not any(_is_table(inner) for inner in value.values())


def _dict(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _is_table(value: JsonValue) -> bool:
    """Whether a value needs lines of its own."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value)


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _flat(values: Mapping[str, JsonValue], above: str = "") -> Iterable[tuple[str, JsonValue]]:
    """Every plain value under the names that lead to it."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{name}: ")
        else:
            yield f"{above}{name}", value


def _change(old: JsonValue, new: JsonValue) -> str:
    """The difference of two numbers with its sign."""
    if isinstance(old, bool | str | list | dict | None) or isinstance(new, bool | str | list | dict | None):
        return _NONE
    difference = new - old
    return f"+{_number(difference)}" if difference > 0 else _number(difference)


def _number(value: float) -> str:
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
