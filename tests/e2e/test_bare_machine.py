"""A machine with none of the optional things: no numba, no Triton, no compiler."""

import html
import json
import os
import shutil
import subprocess
import sys

import httpx
import pytest

from tests.e2e.conftest import ROOT, running_app

HIDE = """
import sys
for name in ("numba", "llvmlite", "triton", "mamba_ssm"):
    sys.modules[name] = None
"""


@pytest.fixture
def bare(tmp_path, checkpoints_root):
    """Environment variables under which Python finds no compiled kernel and no way to compile one."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HIDE)
    (tmp_path / "bin").mkdir()
    return {
        "PYTHONPATH": str(tmp_path / "site"),
        "PATH": str(tmp_path / "bin"),
        "MAMBAAD_CHECKPOINTS": str(checkpoints_root),
        "MAMBAAD_DEVICE": "cpu",
        "MAMBAAD_KERNEL": "auto",
    }


def test_the_app_starts_there_inspects_and_says_what_it_uses(bare, tmp_path):
    assert not any(shutil.which(compiler, path=bare["PATH"]) for compiler in ("cc", "gcc", "g++", "clang"))

    with running_app(tmp_path, {**bare, "GRADIO_TEMP_DIR": str(tmp_path / "uploads")}) as (url, log):
        page = httpx.get(url, timeout=60).text
        event = httpx.post(f"{url}/gradio_api/call/health", json={"data": []}, timeout=60).json()["event_id"]
        health = json.loads(
            httpx.get(f"{url}/gradio_api/call/health/{event}", timeout=60).text.rsplit("data: ", 1)[1]
        )[0]

    assert health["kernel"] == "torch"
    assert health["self_test"]["passed"]
    assert "kernel torch" in html.unescape(page)
    assert log.read_text().count("'numba' cannot run on cpu: numba is not installed.") == 1


def test_doctor_names_the_missing_kernels_there(bare):
    doctor = subprocess.run(
        [sys.executable, "-m", "mambaad_demo", "doctor", "--json"],
        cwd=ROOT,
        env={**os.environ, **bare},
        capture_output=True,
        text=True,
        check=True,
    )

    report = json.loads(doctor.stdout)
    assert (report["kernel"], report["healthy"]) == ("torch", True)
    assert report["kernels_missing"]["numba"] == "numba is not installed."
