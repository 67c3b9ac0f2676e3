"""Measure every row of the target table on this machine and write the figures as JSON, and into the README.

Run with `make bench` or `python -m benchmarks.run`. Nothing else should be running.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import kernels, networks, peers, serving
from benchmarks.timing import Row, machine_facts

DEFAULT_RESULT = Path(__file__).parent / "results.json"
README = Path(__file__).parents[1] / "README.md"
_BEGIN, _END = "<!-- speed: written by make bench -->", "<!-- end of speed -->"


def main(
    out: Annotated[Path, typer.Option(help="Where to write the figures.")] = DEFAULT_RESULT,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements per figure.")] = 7,
    inspections: Annotated[int, typer.Option(min=71, help="Inspections over HTTP.")] = 500,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint name or folder.")] = "mambaad",
    readme: Annotated[Path | None, typer.Option(help="File with the table to renew.")] = None,
) -> None:
    """Print the table, write the figures to `--out` and the table into `--readme`."""
    facts = machine_facts()
    rows = [
        *kernels.cpu_rows(repeats),
        *networks.rows(repeats, checkpoint),
        *peers.rows(repeats),
        *kernels.gpu_rows(repeats),
        *serving.rows(inspections),
    ]
    results = {"machine": facts, "repeats": repeats, "rows": [row.to_json() for row in rows]}
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    table = markdown(rows)
    typer.echo(f"{json.dumps(facts)}\n{table}")
    if readme is not None:
        readme.write_text(with_table(readme.read_text(encoding="utf-8"), table), encoding="utf-8")


def markdown(rows: Sequence[Row]) -> str:
    """The table a reader sees."""
    lines = ["| what | target | measured | how |", "|---|---|---|---|"]
    for row in rows:
        verdict = {True: "", False: " (falls short)", None: ""}[row.met]
        value = "–" if row.value is None else f"{row.value:g}{verdict}"
        lines.append(f"| {row.name} | {row.target} | {value} | {row.note} |")
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """The text with the table between its two marks replaced.

    Raises:
        ValueError: it has no such marks.
    """
    pattern = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"There is no place for the table: '{_BEGIN}' and '{_END}' are missing.")
    return pattern.sub(lambda _: f"{_BEGIN}\n{table}\n{_END}", text, count=1)


if __name__ == "__main__":
    typer.run(main)
