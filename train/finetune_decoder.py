"""Teach a checkpoint a new part from photos of good ones and write a checkpoint folder.

    python -m train.finetune_decoder --checkpoint mambaad --images good.zip --category cookie --minutes 10 \\
        --out runs/cookie

Runs alone or under `torchrun`/`accelerate launch`. An interrupted run goes on with `--resume`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from mambaad_demo.data.picture_sets import list_good
from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.hub.checkpoints import load_checkpoint
from mambaad_demo.hub.saving import require_writable
from mambaad_demo.pipeline.finetune_spec import DEFAULT_MINUTES, FinetuneSpec
from mambaad_demo.pipeline.finetuning import Finetuning, Progress
from mambaad_demo.pipeline.training import processes
from mambaad_demo.settings import Settings
from train.precision import add_precision
from train.results import require_parent, write_json

_MOST_PHOTOS = 2000
_SECONDS_BETWEEN_LINES = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Fine-tune, calibrate, save; returns the exit code."""
    options = _parse(arguments)
    try:
        report = _run(options)
    except DemoError as error:
        print(f"finetune_decoder: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"finetune_decoder: a file cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("finetune_decoder: stopped; run the same command with --resume to go on.", file=sys.stderr)
        return 130
    write_json(options.json, report)
    return 0


def _run(options: argparse.Namespace) -> dict[str, JsonValue]:
    name: str = options.name or options.out.resolve().name
    require_writable(options.out, name)
    require_parent(options.json)
    options.out.resolve().parent.mkdir(parents=True, exist_ok=True)
    settings = Settings.from_env(os.environ)
    process = processes()
    base = load_checkpoint(
        options.checkpoint,
        device=process.device.type if process.num_processes > 1 else settings.device,
        kernel=settings.kernel,
        checkpoints_root=settings.checkpoints,
        versions_root=settings.versions,
        allowed_repos=settings.allowed_repos,
    )
    state = options.out.parent / f"{options.out.name}.finetuning.pt"
    if not options.resume and process.is_main_process:
        state.unlink(missing_ok=True)
    process.wait_for_everyone()
    with tempfile.TemporaryDirectory() as folder:
        run = Finetuning(
            base,
            _photos(options.images, Path(folder)),
            _spec(options),
            replay_folder=settings.replay,
            state_path=state,
        )
        for _ in run.prepare():
            pass
        for refusal in run.refused:
            _say(f"left out {refusal.name}: {refusal.reason}")
        for notice in run.notices:
            _say(notice)
        _fit(run)
        report = run.save(options.out, name) if process.is_main_process else {}
    process.wait_for_everyone()
    lost = report.get("not_rehearsed")
    if isinstance(lost, list) and lost:
        _say(f"not rehearsed, so without limits now: {', '.join(map(str, lost))}")
    if process.is_main_process:
        state.unlink(missing_ok=True)
    _say(f"checkpoint written to {options.out}")
    return report


def _photos(source: Path, folder: Path) -> list[Path]:
    """The good photos of a folder, or of a zip file unpacked into `folder`; damaged ones are left out.

    Raises:
        InputError: there are none, or too many.
    """
    paths = []
    good = list_good(source, at_most=_MOST_PHOTOS)
    for note in good.notes:
        _say(note)
    for number, picture in enumerate(good.pictures):
        try:
            content = picture.read()
        except InputError as error:
            _say(f"left out {picture.name}: {error}")
            continue
        if isinstance(content, bytes):
            path = folder / f"{number:05d}" / Path(picture.name).name
            path.parent.mkdir()
            path.write_bytes(content)
            content = path
        paths.append(content)
    return paths


def _spec(options: argparse.Namespace) -> FinetuneSpec:
    given = {name: getattr(options, name) for name in FinetuneSpec.model_fields if hasattr(options, name)}
    if options.steps is None and options.minutes is None:
        given["minutes"] = DEFAULT_MINUTES
    try:
        return FinetuneSpec.model_validate(
            {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InputError(f"These options do not fit: {problems}.") from error


def _fit(run: Finetuning) -> None:
    printed = time.monotonic()
    for step in run.steps():
        if step.validation is not None or time.monotonic() - printed > _SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            _say(_line(step))


def _line(step: Progress) -> str:
    line = f"{step.progress:6.1%}  step {step.step}  loss {step.loss:.4f}  {step.seconds:.0f} s"
    found = step.validation
    if found is None:
        return line
    best = "  best so far" if found.is_best else ""
    return f"{line}  held out: loss {found.loss:.4f}, noise stands out by {found.separation:.2f}{best}"


def _say(line: str) -> None:
    if processes().is_main_process:
        print(line, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m train.finetune_decoder", description="Good photos + checkpoint → checkpoint."
    )
    defaults = FinetuneSpec.model_fields
    parser.add_argument("--checkpoint", required=True, metavar="NAME|DIR", help="what to go on from")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|ZIP", help="good parts only")
    parser.add_argument("--category", required=True, metavar="NAME", help="what the part is called")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="instead of minutes")
    budget.add_argument("--minutes", type=float, help=f"default: {DEFAULT_MINUTES:g}")
    for name, kind in (
        ("batch_size", int),
        ("learning_rate", float),
        ("seed", int),
        ("patience", int),
        ("check_rate", float),
        ("reject_rate", float),
    ):
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=kind, help=f"default: {defaults[name].default}")
    parser.add_argument("--augmentations", nargs="+", choices=("flip", "rotate", "brightness"))
    add_precision(parser)
    parser.add_argument(
        "--no-replay",
        dest="replay",
        action="store_false",
        default=None,
        help="do not rehearse what the checkpoint knows; it loses the limits of those parts",
    )
    parser.add_argument("--name", help="name of the checkpoint; default: the folder's")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the report of the run here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
