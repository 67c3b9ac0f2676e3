"""The command line: `python -m mambaad_demo inspect | compare | batch | doctor | checkpoints | …`.

Parses, calls the package, prints. Exit status: 0 all done, 1 a check failed, 2 wrong usage, 3 some files
refused.
"""

import json
import os
import sys
import zipfile
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from mambaad_demo.cli import calibrate, checkpoints, promote, push_labels, store
from mambaad_demo.cli.checkpoints import checkpoint_line
from mambaad_demo.cli.options import FAILED, SOME_REFUSED, DeviceOption, Json, errors_shown, predictor_of
from mambaad_demo.data.picture_sets import read_set
from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.hub.layout import embedded_names
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.comparison import Comparison
from mambaad_demo.pipeline.comparison import compare as compare_predictors
from mambaad_demo.pipeline.cost import measure_costs
from mambaad_demo.pipeline.health import Health, examine
from mambaad_demo.pipeline.prediction import Prediction
from mambaad_demo.pipeline.predictor import MAX_MEGAPIXELS, Predictor
from mambaad_demo.pipeline.result_files import input_files, write_results
from mambaad_demo.pipeline.set_comparison import Interval, SetComparison, compare_set
from mambaad_demo.settings import Settings
from mambaad_demo.workflow.disk_use import DiskUse, disk_use

app = typer.Typer(
    help="Show where a part is defective.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(checkpoints.app, name="checkpoints")
store.add_to(app)
push_labels.add_to(app)
calibrate.add_to(app)
promote.add_to(app)


Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Image files or folders.")]


@app.command()
def inspect(
    paths: Paths,
    checkpoint: Annotated[str, typer.Option(metavar="NAME|DIR", help="What to judge with.")] = "mambaad",
    category: Annotated[str | None, typer.Option(help="Kind of part; the nearest if left out.")] = None,
    tiles: Annotated[
        int | None,
        typer.Option(
            help="Tiles along the longer side, for small defects; default: as the checkpoint's limits."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for overlay, map, mask and JSON of each.")] = None,
    as_json: Json = False,
    device: DeviceOption = None,
) -> None:
    """Judge photographs of parts by the limits saved here: accept, check or reject, and where."""
    refused = 0
    with errors_shown():
        files = input_files(paths)
        predictor = store.with_saved_limits(predictor_of(checkpoint, device))
        predictor = predictor if tiles is None else predictor.tiled(tiles)
        results = predictor.predict_stream(
            (file.path for file in files), category=category, max_megapixels=MAX_MEGAPIXELS
        )
        before = "["
        for file, result in zip(files, results, strict=True):
            refused += isinstance(result, DemoError)
            if out is not None and isinstance(result, Prediction):
                write_results(result, out / file.result)
            if as_json:
                typer.echo(f"{before}\n{json.dumps(_result(file.path, result))}", nl=False)
                before = ","
            else:
                typer.echo(_result_line(file.path, result), err=isinstance(result, DemoError))
        if as_json:
            typer.echo("\n]")
    raise typer.Exit(SOME_REFUSED if refused else 0)


@app.command()
def compare(
    path: Annotated[Path, typer.Argument(exists=True, help="An image file, or a folder or zip of them.")],
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME|DIR", help="One of them; repeat. Default: all here.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Kind of part; the nearest if left out.")] = None,
    as_json: Json = False,
    device: DeviceOption = None,
) -> None:
    """Judge one image, or a set of them, with several checkpoints at the same false-reject rates.

    In a set, images in a folder `good` are taken for good parts, those in other folders for defective ones.
    """
    with errors_shown():
        names = checkpoint or list(embedded_names(Settings.from_env(os.environ).checkpoints))
        if not names:
            raise InputError("There are no checkpoints here. Name one with --checkpoint.")
        predictors = [predictor_of(name, device) for name in names]
        if path.is_dir() or zipfile.is_zipfile(path):
            result = _compared_set(predictors, path, category)
            typer.echo(json.dumps(result.to_json(), indent=2) if as_json else _set_text(result))
            raise typer.Exit(SOME_REFUSED if result.refused else 0)
        predictions = tuple(compare_predictors(predictors, path, category=category))
        costs = measure_costs([predictor.checkpoint.detector for predictor in predictors])
    comparison = Comparison(predictions=predictions, rates=DEFAULT_RATES)
    if as_json:
        report = comparison.to_json() | {"costs": [cost.to_json() for cost in costs]}
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    for prediction, cost in zip(predictions, costs, strict=True):
        typer.echo(
            f"{prediction.checkpoint} ({prediction.decoder}): {prediction.verdict.value}, score "
            f"{prediction.image_score:.4f} as {prediction.category}, {_limit_text(prediction)}; "
            f"{cost.milliseconds:.0f} ms, {cost.parameters / 1e6:.2f} M parameters, {cost.gmacs:.2f} GMAC "
            f"in convolutions and products, {cost.peak_megabytes:.0f} MB"
        )
    votes = ", ".join(f"{count} {verdict.value}" for verdict, count in comparison.votes.items() if count)
    typer.echo(f"{comparison.majority.value} ({votes})")


@app.command()
def doctor(as_json: Json = False, device: DeviceOption = None) -> None:
    """Show versions, device and kernel, and run the self-test of every checkpoint."""
    with errors_shown():
        settings = Settings.from_env(os.environ)
        health = examine(
            settings.checkpoints,
            versions_root=settings.versions,
            device=device or settings.device,
            kernel=settings.kernel,
            precision=settings.precision,
        )
        disk = disk_use(settings.places)
    report = health.to_json() | {"disk": disk.to_json()}
    typer.echo(json.dumps(report, indent=2) if as_json else f"{_health_text(health)}\n{_disk_text(disk)}")
    raise typer.Exit(0 if health.is_healthy else FAILED)


def _result(path: Path, result: Prediction | DemoError) -> dict[str, Any]:
    """One element of the array that `inspect --json` prints; files are named as the caller named them."""
    if isinstance(result, DemoError):
        return {"file": str(path), "error": str(result)}
    return result.to_json() | {"file": str(path)}


def _result_line(path: Path, result: Prediction | DemoError) -> str:
    if isinstance(result, DemoError):
        return f"refused {path}: {result}"
    rarer = "" if result.percentile is None else f", rarer than {result.percentile:.1f} % of good parts"
    return (
        f"{result.verdict.value:<7} {path}: {result.category} ({result.category_source}), score "
        f"{result.image_score:.4f}{rarer}, regions: {len(result.regions)}"
    )


def _compared_set(predictors: list[Predictor], path: Path, category: str | None) -> SetComparison:
    """The comparison, with progress on standard error."""
    with typer.progressbar(length=1000, label="Judging", file=sys.stderr) as bar:
        for step in compare_set(predictors, read_set(path), category=category):
            if isinstance(step, SetComparison):
                return step
            bar.update(1000 * step.done // step.total - bar.pos)
    raise AssertionError("a comparison ends with its result")


def _set_text(result: SetComparison) -> str:
    """The table of a set comparison."""
    good = None if result.labels is None else False
    rate = "rejected" if result.labels is None else "good parts rejected"

    def line(
        what: str, auroc: Interval | None, rejected: Interval | None, found: Interval | None = None
    ) -> str:
        ranking = "" if auroc is None else f"AUROC {_interval_text(auroc)}, "
        detected = "" if found is None else f", defective parts rejected {_interval_text(found)}"
        return f"{what}: {ranking}{rate} {_interval_text(rejected)}{detected}"

    lines = [f"{len(result.names)} images, limits at {100 * result.rates.reject:g} % false rejects"]
    for one in result.results:
        rejected = result.reject_rate(one, anomalous=good)
        found = None if result.labels is None else result.reject_rate(one, anomalous=True)
        lines.append(line(f"{one.checkpoint} ({one.decoder})", result.auroc(one), rejected, found))
    for one, other in combinations(result.results, 2):
        difference = result.reject_difference(one, other, anomalous=good)
        what = f"{one.checkpoint} - {other.checkpoint}"
        lines.append(line(what, result.auroc_difference(one, other), difference))
    return "\n".join([*lines, *(f"refused {name}: {error}" for name, error in result.refused)])


def _interval_text(interval: Interval | None) -> str:
    if interval is None:
        return "unknown without limits"
    value = f"{100 * interval.value:.1f} %"
    if interval.low is None or interval.high is None:
        return value
    return f"{value} (95 %: {100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _limit_text(prediction: Prediction) -> str:
    reject = prediction.limits.reject
    return "no limits, no vote" if reject is None else f"reject limit {reject:.4f}"


def _health_text(health: Health) -> str:
    packages = ", ".join(f"{name} {version or 'absent'}" for name, version in health.packages.items())
    return "\n".join(
        [
            f"mambaad_demo {health.version} on Python {health.python}, {health.platform}",
            f"packages: {packages}",
            f"device: {health.device} ({health.device_name}), encoder in {health.precision}",
            f"scan kernel: {health.kernel}; can run: {', '.join(health.kernels)}",
            *(f"  not {name}: {reason}" for name, reason in health.kernels_missing.items()),
            f"Mamba-3 kernel: {health.mamba3.kernel}; can run: {', '.join(health.mamba3.kernels)}",
            *(f"  not {name}: {reason}" for name, reason in health.mamba3.missing.items()),
            *(checkpoint_line(checkpoint) for checkpoint in health.checkpoints),
            *([] if health.checkpoints else ["There are no checkpoints."]),
        ]
    )


def _disk_text(disk: DiskUse) -> str:
    used = ", ".join(f"{kind} {size / 1e6:.1f} MB" for kind, size in disk.used.items())
    return f"disk: {used}; " + ("free: unknown" if disk.free is None else f"free: {disk.free / 1e9:.1f} GB")


if __name__ == "__main__":
    app(prog_name="python -m mambaad_demo")
