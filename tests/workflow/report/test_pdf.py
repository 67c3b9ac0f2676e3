"""The PDF file, printed by the real Chromium where there is one."""

import os
import re
import stat
from pathlib import Path

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.workflow.report.contents import study_report
from mambaad_demo.workflow.report.html import report_html
from mambaad_demo.workflow.report.pdf import chromium, report_pdf
from mambaad_demo.workflow.studies.appraisers import msa_sheet
from tests.workflow.studies.line import part, study


def program(folder: Path, script: str) -> None:
    """Put a program called chromium into a folder."""
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def html(line):
    found = study(*(part(0.5, 0.9, name=f"part {number}.png") for number in range(80)))
    return report_html(study_report(line.workspace, found, msa_sheet(line.workspace, found)))


def test_chromium_prints_a_report_of_several_pages(html):
    if chromium() is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail("REQUIRE_BROWSER=1, but there is no chromium. Install Debian's package chromium.")
        pytest.skip("no chromium here; install Debian's package chromium to print reports")
    content = report_pdf(html)
    assert content.startswith(b"%PDF-")
    assert b"%%EOF" in content[-32:]
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert 4 <= pages <= 12  # 80 rows of parts take three pages or so by themselves
    a4 = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", content)
    assert {(round(float(width)), round(float(height))) for width, height in a4} == {(595, 842)}
    assert b"Repeatability of mambaad" in content  # the title, in the file's own facts


def test_chromium_has_no_network_and_a_profile_of_its_own(monkeypatch, tmp_path):
    program(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/arguments')
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="made no PDF"):
        report_pdf(b"<p>report</p>")
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert "--host-resolver-rules=MAP * ~NOTFOUND" in arguments
    assert "--disable-background-networking" in arguments
    (profile,) = [one.partition("=")[2] for one in arguments if one.startswith("--user-data-dir=")]
    assert not Path(profile).exists()  # thrown away
    assert arguments[-1].startswith("file://")


def test_without_chromium_the_error_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium() is None
    with pytest.raises(InputError, match="Download the HTML report"):
        report_pdf(b"<p>report</p>")


def test_chromium_that_hangs_is_ended_with_all_it_started(monkeypatch, tmp_path):
    path = os.environ["PATH"]
    program(tmp_path, f"export PATH={path}; sleep 60 & echo $! > {tmp_path}/child; wait")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"not done after 0\.5 seconds"):
        report_pdf(b"<p>report</p>", time_limit=0.5)
    child = int((tmp_path / "child").read_text())
    status = Path(f"/proc/{child}/stat")

    def is_dead() -> bool:
        try:
            return status.read_text().split(") ")[1].startswith("Z")
        except OSError:
            return True

    assert any(is_dead() or os.sched_yield() for _ in range(100_000))  # a killed process needs a turn to go


def test_messages_hold_no_path(monkeypatch, tmp_path):
    program(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        report_pdf(b"<p>report</p>")
    assert str(tmp_path) not in str(caught.value)
