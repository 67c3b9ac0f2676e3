"""A report as PDF, printed by the Chromium of this machine where there is one.

It runs in a process of its own, with a profile that is thrown away and no network. Scripts are refused by the
report itself; a switch that forbids them all also ends Chromium's own printing.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from mambaad_demo.data.temporary import PREFIX
from mambaad_demo.errors import InputError

NAMES = ("chromium", "chromium-browser", "google-chrome")
TIME_LIMIT = 60.0
"""Seconds for one report."""

_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
)


def chromium() -> str | None:
    """Where Chromium lies; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path is not None), None)


def report_pdf(html: bytes, *, time_limit: float = TIME_LIMIT) -> bytes:
    """Print a report.

    Args:
        html: as `report_html` made it.
        time_limit: in seconds; then Chromium and all it started are ended.

    Raises:
        InputError: there is no Chromium, or it did not print; the HTML file does without.
    """
    program = chromium()
    if program is None:
        raise InputError(
            "This machine has no Chromium to make a PDF. Download the HTML report and print it from your "
            "browser, or install Debian's package chromium here."
        )
    with TemporaryDirectory(prefix=f"{PREFIX}report-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        page, printed = folder / "report.html", folder / "report.pdf"
        page.write_bytes(html)
        _run(
            [
                program,
                *_FLAGS,
                *(["--no-sandbox"] if os.geteuid() == 0 else []),  # root cannot have one
                f"--user-data-dir={folder / 'profile'}",
                f"--print-to-pdf={printed}",
                page.as_uri(),
            ],
            time_limit,
        )
        content = printed.read_bytes() if printed.is_file() else b""
    if not content.startswith(b"%PDF-"):
        raise InputError("Chromium made no PDF. Download the HTML report and print it from your browser.")
    return content


def _run(command: list[str], time_limit: float) -> None:
    """Run a program that starts others, and end them all if they take too long."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(time_limit)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"Chromium was not done after {time_limit:g} seconds. Download the HTML report and print it from "
            "your browser."
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
