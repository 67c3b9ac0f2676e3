"""Rules about the source tree that no single module can keep alone."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mambaad_demo"
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = sorted(
    path for folder in ("mambaad_demo", "train", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
ENTRY_POINTS = {
    ROOT / "app.py", PACKAGE / "__main__.py", PACKAGE / "settings.py", *(PACKAGE / "cli").glob("*.py"),
}  # fmt: skip
OF_THE_TESTS = {"gradio-client", "playwright"}
"""What one benchmark drives the page with; in `requirements-dev.txt`."""
OPTIONAL = {"mcp"}
"""What the app does without where it is not installed; in `requirements-dev.txt`, for the tests."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _imports(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    modules = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def test_imports_point_downwards(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("logging.config.dictConfig", lambda config: None)  # it would silence all our loggers
    assert lint_imports(no_cache=True) == 0


def test_every_package_stands_in_the_layers():
    contracts = CONFIG["tool"]["importlinter"]["contracts"]
    layers = {
        name.strip()
        for contract in contracts
        for layer in contract.get("layers", ())
        for name in layer.split("|")
    }
    packages = {path.name for path in PACKAGE.iterdir() if any(path.glob("*.py"))}
    assert packages <= layers


def test_gradio_is_known_to_the_user_interface_alone():
    knowing = [
        _name(path)
        for path in [*SOURCES, ROOT / "app.py"]
        if any(module.split(".")[0] == "gradio" for module in _imports(path))
    ]
    assert [name for name in knowing if not name.startswith("mambaad_demo/ui/")] == []


def test_the_environment_is_read_by_entry_points_alone():
    reading = [
        _name(path)
        for path in PACKAGE.rglob("*.py")
        if path not in ENTRY_POINTS
        and any(
            word in path.read_text(encoding="utf-8") for word in ("os.environ", "getenv(", ".settings import")
        )
    ]
    assert reading == []


def test_requirements_name_what_is_imported_and_say_why_where_it_is_not():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = {_normal(re.split(r"[^\w.-]", line)[0]): "#" in line for line in lines if line[:1].isalpha()}
    providers = packages_distributions()

    roots = {module.split(".")[0] for path in [*SOURCES, ROOT / "app.py"] for module in _imports(path)}
    third_party = roots - sys.stdlib_module_names - {"app", "benchmarks", "mambaad_demo", "tests", "train"}
    imported = {root: {_normal(name) for name in providers[root]} for root in third_party}

    known = required.keys() | OF_THE_TESTS | OPTIONAL
    assert {root for root, names in imported.items() if not names & known} == set()
    unexplained = {name for name, is_explained in required.items() if not is_explained}
    assert unexplained - set().union(*imported.values()) == set()


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_no_module_is_a_drawer_for_everything():
    assert [_name(p) for p in SOURCES if p.stem in {"utils", "helpers", "common", "manager", "misc"}] == []


def test_importing_the_package_is_cheap_and_its_public_names_stay_silent():
    code = (
        "import sys, mambaad_demo; light = 'torch' not in sys.modules;"
        "[getattr(mambaad_demo, name) for name in mambaad_demo.__all__];"
        "heavy = {'gradio', 'matplotlib.pyplot', 'plotly'} & sys.modules.keys();"
        "assert light and not heavy, (light, heavy)"
    )

    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_importing_the_app_builds_nothing():
    code = (
        "import gc, app; from gradio import Blocks; from torch import cuda, nn;"
        "made = [type(o).__name__ for o in gc.get_objects() if isinstance(o, (Blocks, nn.Module))];"
        "assert not made and not cuda.is_initialized(), made"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_temporary_folders_of_ours_can_be_told_from_others():
    """The janitor goes by names to delete what killed processes left; what has a `dir` lies in ours."""
    kinds = {"TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile", "mkdtemp", "mkstemp"}
    calls = [
        (_name(path), node)
        for path in SOURCES
        if path.is_relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in kinds
    ]
    named = {
        (name, node.lineno): {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        for name, node in calls
    }

    assert len(named) > 5
    assert [
        place
        for place, how in named.items()
        if "dir" not in how and not how.get("prefix", "").startswith("f'{PREFIX}")
    ] == []
