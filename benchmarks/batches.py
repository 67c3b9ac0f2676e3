"""A batch against the bare model, and what a killed one loses.

Prints pictures per second of the network alone and of the command `batch`, its largest memory, and, after a
SIGKILL in the middle and `--resume`, how many confirmed rows are missing or doubled.

    python -m benchmarks.batches --checkpoint mambaad --limit 1000 PICTURES...
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from mambaad_demo.data.folders import list_images
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.settings import Settings
from mambaad_demo.storage.tables import JobItem
from mambaad_demo.storage.workspace import Workspace

_LOOK_SECONDS = 0.05
_ONE_CHUNK = timedelta(milliseconds=50)  # rows of one chunk are written within this


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", type=Path, nargs="+", help="folders")
    parser.add_argument("--checkpoint", default="mambaad")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--database-url", default="", help="an empty database; default: SQLite, new")
    options = parser.parse_args()
    files = [path for folder in options.pictures for path in list_images(folder, recursive=True)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        source = _linked(files[: options.limit], home / "pictures")
        environ = {**os.environ, "MAMBAAD_HOME": str(home / "home")}
        if options.database_url:
            environ["MAMBAAD_DATABASE_URL"] = options.database_url
        store = _open(environ)
        bare = _bare(options.checkpoint, sorted(source.iterdir()))
        whole = _whole(options.checkpoint, source, home / "whole", environ)
        killed = _killed(options.checkpoint, source, home / "killed", environ, store)
    print(
        json.dumps(
            {
                "pictures": len(files[: options.limit]),
                "database": store.database.engine.dialect.name,
                "bare_per_second": round(bare, 2),
                "ratio": round(whole["batch_per_second"] / bare, 3),
                **whole,
                **killed,
            },
            indent=2,
        )
    )


def _linked(files: list[Path], folder: Path) -> Path:
    folder.mkdir()
    for number, file in enumerate(files):
        (folder / f"{number:05d}{file.suffix}").symlink_to(file.resolve())
    return folder


def _open(environ: dict[str, str]) -> Workspace:
    settings = Settings.from_env(environ)
    return Workspace.open(settings.database_url, settings.files_url)


def _bare(checkpoint: str, files: list[Path]) -> float:
    """Pictures per second of decoding and the network, in chunks as the batch takes them."""
    predictor = Predictor.from_checkpoint(checkpoint)
    predictor.predict_batch(files[:8])
    start = time.perf_counter()
    for _ in predictor.predict_stream(files):
        pass
    return len(files) / (time.perf_counter() - start)


def _command(checkpoint: str, source: Path, out: Path, *more: str) -> list[str]:
    program = [sys.executable, "-m", "mambaad_demo", "batch", str(source), "--out", str(out)]
    return [*program, "--checkpoint", checkpoint, *more]


def _whole(checkpoint: str, source: Path, out: Path, environ: dict[str, str]) -> dict[str, float]:
    """Pictures per second between the first and the last confirmed row, seconds in all, largest memory."""
    start = time.perf_counter()
    process = subprocess.Popen(
        _command(checkpoint, source, out), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"batch ended with status {status}")
    rows = json.loads((out / "results.json").read_text(encoding="utf-8"))
    moments = sorted(datetime.fromisoformat(row["inspected_at"]) for row in rows if "inspected_at" in row)
    first_chunk = sum(moment <= moments[0] + _ONE_CHUNK for moment in moments)
    between = (moments[-1] - moments[0]).total_seconds()
    return {
        "batch_per_second": round((len(moments) - first_chunk) / between, 2),
        "seconds_with_start_and_pack": round(time.perf_counter() - start, 2),
        "peak_megabytes": round(usage.ru_maxrss / 1024),
        "rows": len(rows),
    }


def _killed(
    checkpoint: str, source: Path, out: Path, environ: dict[str, str], store: Workspace
) -> dict[str, int]:
    """Kill a batch when half is confirmed, resume it, and count what is missing or doubled."""
    total = len(list(source.iterdir()))
    process = subprocess.Popen(
        _command(checkpoint, source, out), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (out / "batch.json").exists() or len(_confirmed(store, out)) < total // 2:
        time.sleep(_LOOK_SECONDS)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = _confirmed(store, out)
    subprocess.run(
        _command(checkpoint, source, out, "--resume"),
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = _confirmed(store, out)
    return {
        "confirmed_when_killed": len(before),
        "confirmed_and_lost": len(before.items() - after.items()),
        "rows_after_resume": len(after),
        "rows_missing": total - len(after),
    }


def _confirmed(store: Workspace, out: Path) -> dict[str, int | None]:
    """Name and inspection of each confirmed row."""
    job_id = json.loads((out / "batch.json").read_text(encoding="utf-8"))["job"]
    query = select(JobItem.name, JobItem.inspection_id).where(JobItem.job_id == job_id)
    with store.database.reading() as session:
        count = session.scalar(select(func.count()).where(JobItem.job_id == job_id))
        rows = {row.name: row.inspection_id for row in session.execute(query)}
    if count != len(rows):
        raise RuntimeError("a row is confirmed twice")
    return rows


if __name__ == "__main__":
    main()
