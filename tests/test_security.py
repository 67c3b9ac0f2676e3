"""SECURITY.md names code and tests that are there, for every threat it lists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| **")]


@cache
def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_kind_of_threat_has_a_row():
    assert len(ROWS) == 14


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("**")[1])
def test_code_and_tests_of_a_defence_exist(row):
    _threat, _defence, code, tests = row.strip("| ").split(" | ")
    assert quoted(code)
    assert [name for name in quoted(code) if not (ROOT / name).is_file()] == []
    assert quoted(tests)
    for name in quoted(tests):
        file, _, function = name.partition("::")
        assert function in functions(ROOT / file), name


@pytest.mark.parametrize("command", ["make check", "make audit", "python -m benchmarks.bombs"])
def test_a_command_it_names_exists(command):
    assert f"`{command}`" in TEXT
    program, _, name = command.rpartition(" ")
    if program == "make":
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    else:
        assert (ROOT / f"{name.replace('.', '/')}.py").is_file()
