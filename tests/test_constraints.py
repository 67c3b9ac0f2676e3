"""The pinned packages against advisories that matter here: what an audit can say without a network.

`make audit` asks the advisory service about all of them.
"""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]

FIXED_IN = {
    ("gradio", "6.7.0"): "CVE-2026-28414, any file of a Windows server",
    ("gradio", "6.16.0"): "GHSA-j36p-7w88-g82j, paths out of a FileExplorer",
    ("gradio", "6.31.0"): "the oldest version this project was checked on",
    ("h11", "0.16.0"): "CVE-2025-43859, request smuggling",
    ("jinja2", "3.1.6"): "CVE-2025-27516, a way out of the sandbox",
    ("mcp", "1.23.0"): "CVE-2025-66416, names that were rebound are served",
    ("mcp", "1.27.2"): "GHSA-jpw9-pfvf-9f58, sessions are served to others than their owner",
    ("pillow", "11.3.0"): "CVE-2025-48379, a write beyond a buffer",
    ("pillow", "12.2.0"): "CVE-2026-42309, a write beyond a buffer",
    ("pillow", "12.3.0"): "CVE-2026-59199 and eleven more, writes beyond buffers",
    ("python-multipart", "0.0.22"): "CVE-2026-24486, files written anywhere",
    ("python-multipart", "0.0.27"): "CVE-2026-42561, endless headers of parts",
    ("starlette", "0.49.1"): "CVE-2025-62727, ranges in quadratic time",
    ("torch", "2.6.0"): "CVE-2025-32434, code in files read with weights_only=True",
    ("torch", "2.10.0"): "CVE-2026-24747, memory overwritten by files read with weights_only=True",
}
"""(Package, first version without it): advisory."""

OPEN = {("pillow", "13.0.0"): "gradio"}
"""(Package, first version without advisories that SECURITY.md lists as open): who keeps us from it."""


def pinned() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {_normal(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize(("package", "version"), FIXED_IN)
def test_a_pinned_package_is_past_its_known_advisories(package, version):
    assert pinned()[package] >= Version(version), FIXED_IN[package, version]


@pytest.mark.parametrize(("package", "version"), OPEN)
def test_an_advisory_stays_open_only_while_another_package_forbids_the_cure(package, version):
    holder = OPEN[package, version]
    bounds = [
        requirement.specifier
        for requirement in map(Requirement, requires(holder) or [])
        if _normal(requirement.name) == package and not requirement.marker
    ]
    assert not all(version in bound for bound in bounds), f"{holder} allows {package} {version}: take it"
    assert f"{package} {version}".casefold() in (ROOT / "SECURITY.md").read_text(encoding="utf-8").casefold()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
