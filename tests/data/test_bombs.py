"""Bombs, in a process of its own whose memory is limited: read or refused, whatever they claim."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells the peak")


@pytest.fixture(scope="module")
def measured():
    """What `benchmarks.bombs` tells of each, in 600 MB; a picture of full size would take 480 as floats."""
    command = [sys.executable, "-m", "benchmarks.bombs", "--json", "--limit", "600"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert finished.returncode == 0, finished.stderr
    return {bomb["name"]: bomb for bomb in json.loads(finished.stdout)}


def test_no_bomb_takes_more_memory_than_a_picture_of_its_size(measured):
    assert {name: bomb["peak_mb"] for name, bomb in measured.items() if bomb["peak_mb"] > 150} == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PNG of 144 megapixels", "144 megapixels; at most 40"),
        ("PNG that claims 40001 × 40001", "40001 × 40001 pixels"),
        ("PNG with a text of 50 MB", "damaged"),
        ("PNG in one chunk of 24 MB", "read: 2000 × 2000 pixels"),
        ("JPEG that claims 65500 × 65500", "65500 × 65500 pixels"),
        ("JPEG of 400 scans", "more than 100 scans"),
        ("BMP mask that skips 255 rows", "takes 10240 MB to decode"),
        ("TIFF of 10 000 pages", "read: 96 × 64 pixels"),
        ("TIFF that claims 100000 × 100000", "100000 × 100000 pixels"),
        ("TIFF of one tile of 4 gigapixels", "takes 4295 MB to decode"),
        ("TIFF of tiles of 16 GB in all", "takes 15800 MB to decode"),
        ("TIFF strip that unpacks to 200 MB", "damaged"),
        ("zip entry of 1000 to 1", "unpacks to 150 MB and was left alone"),
        ("zip entry that hides its ratio", "lie over one another"),
        ("zip of 1500 entries in one place", "lie over one another"),
        ("zip of 200 000 entries", "too many entries"),
        ("zip that hides its list", "too many entries"),
        ("zip in a zip, six deep", "zip archive"),
    ],
)
def test_a_bomb_is_read_or_refused_for_what_it_is(measured, name, words):
    assert words in measured[name]["outcome"]


def test_a_second_end_mark_of_zip64_is_followed_by_nobody(measured):
    outcome = measured["zip64 that hides its list"]["outcome"]
    assert "too many entries" in outcome or "no zip file" in outcome  # newer zipfiles see it themselves


def test_a_canvas_that_memory_cannot_hold_is_refused(measured):
    outcome = measured["WebP that claims 65536 × 65535"]["outcome"]
    assert (
        "4295 megapixels" in outcome or "damaged" in outcome
    )  # by the budget, or where it is allocated first
