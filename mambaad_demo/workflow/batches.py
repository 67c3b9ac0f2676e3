"""A batch: many pictures through one checkpoint, each confirmed in the store as soon as it is done.

Judging and storing overlap, a few pictures at a time, so memory stays bounded whatever the batch holds. What
is confirmed is never judged again: after a crash the same call goes on where the last one ended.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mambaad_demo.data.picture_sets import GoodSet, Picture, list_good, list_set
from mambaad_demo.data.uploads import read_file
from mambaad_demo.errors import DemoError, InputError, NonFiniteMapError, UnknownCategoryError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.prediction import Prediction
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import jobs, limits, text
from mambaad_demo.storage.inspections import Judged, VersionFacts
from mambaad_demo.storage.jobs import JobFacts, JobState, Refused
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.redrawing import redraw

MOST_PICTURES = 20_000
_AT_ONCE = 8
_BYTES_AT_ONCE = 8 * 10**6  # of files; a chunk ends at whichever bound is met first


class BatchSpec(BaseModel):
    """What is asked of a batch; kept with the job, so that it can be resumed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: str
    category: str | None = None
    """Limits to judge by; the nearest where None."""
    product: str | None = None
    """What the parts are called in the store; the category where None."""
    tiles: int | None = None
    """Along the longer side; as the checkpoint was calibrated where None."""
    has_labels: bool = False
    """Whether folder names are labels, as in the MVTec AD layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a batch is."""

    done: int
    total: int
    refused: int


@dataclass(frozen=True, slots=True)
class _Read:
    """A picture in memory, or why there is none."""

    position: int
    name: str
    content: bytes | None
    error: str = ""


@dataclass(slots=True)
class _Judge:
    """Who judges the next chunk; another one once limits were saved meanwhile."""

    predictor: Predictor


def pictures_of(paths: Sequence[Path]) -> list[Picture]:
    """All pictures in files, folders and zip files, with names of which no two are equal.

    A file that is no picture is listed all the same, so that it is refused by name.

    Raises:
        InputError: no pictures, too many, or a damaged zip file.
    """
    return _listed(paths, lambda path: list_set(path, at_most=MOST_PICTURES))


def good_pictures_of(paths: Sequence[Path]) -> GoodSet:
    """As `pictures_of`, of each folder and zip file the pictures of good parts alone, as `list_good` finds
    them; single files are taken as they are.

    Raises:
        InputError: as for `pictures_of`.
    """
    aside = 0

    def good(path: Path) -> list[Picture]:
        nonlocal aside
        found = list_good(path, at_most=MOST_PICTURES)
        aside += found.aside
        return found.pictures

    pictures = _listed(paths, good)
    return GoodSet(pictures=pictures, aside=aside)


def _listed(paths: Sequence[Path], inside: Callable[[Path], list[Picture]]) -> list[Picture]:
    """Files, and what is inside folders and zip files, with names of which no two are equal."""
    found: list[Picture] = []
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".zip":
            prefix = f"{path.stem}/" if len(paths) > 1 else ""
            found.extend(
                Picture(name=prefix + picture.name, is_anomalous=None, read=picture.read)
                for picture in inside(path)
            )
        else:
            found.append(Picture(name=path.name, is_anomalous=None, read=partial(Path, path)))
    if len(found) > MOST_PICTURES:
        raise InputError(f"These are {len(found)} pictures; send at most {MOST_PICTURES} in one batch.")
    taken: dict[str, int] = {}
    return [
        Picture(name=_untaken(text.note(picture.name), taken), is_anomalous=None, read=picture.read)
        for picture in found
    ]


def require_possible(spec: BatchSpec, predictor: Predictor) -> None:
    """Refuse what a checkpoint cannot do before there is a batch.

    Raises:
        InputError: it does not know the category, or cannot look that closely.
    """
    if spec.category is not None and spec.category not in predictor.categories:
        raise UnknownCategoryError(
            f"{spec.checkpoint} does not know {spec.category!r}. Choose another product."
        )
    if spec.tiles is not None:
        predictor.tiled(spec.tiles)


def new_batch(workspace: Workspace, spec: BatchSpec, *, name: str, actor: str) -> str:
    """Add a batch that nobody works on yet; returns the id of its job."""
    return jobs.create_job(workspace, kind=jobs.BATCH, name=name, spec=spec.model_dump(), actor=actor)


def run_batch(
    workspace: Workspace,
    job_id: str,
    predictor: Predictor,
    pictures: Sequence[Picture],
    *,
    finish: Callable[[], None] = lambda: None,
) -> Generator[Progress]:
    """Judge and confirm every picture that is not confirmed yet; stop iterating to stop.

    The tensor work runs on the model thread, at most eight pictures a turn, so others wait for two turns at
    most. Limits that are saved meanwhile judge what follows, and what they find judged already.

    Args:
        pictures: as `pictures_of` lists them, the same ones each time the batch is resumed.
        finish: what else has to succeed before the batch is done; called once all pictures are confirmed.

    Raises:
        InputError: the job is gone, or the checkpoint does not know the category.
        StorageError: the store failed; what was confirmed stays confirmed.
    """
    facts = jobs.job(workspace, job_id)
    try:
        yield from _confirmed(workspace, facts, predictor, pictures)
        finish()
    except (GeneratorExit, KeyboardInterrupt):
        jobs.set_state(workspace, job_id, JobState.STOPPED)
        raise
    except BaseException as error:
        jobs.set_state(workspace, job_id, JobState.FAILED, error=reason_of(error))
        raise
    jobs.set_state(workspace, job_id, JobState.DONE)


def reason_of(error: BaseException) -> str:
    """Why a batch failed, in words that its owner may read."""
    return str(error) if isinstance(error, DemoError) else "It failed; the log of the server says why."


def _confirmed(
    workspace: Workspace, facts: JobFacts, predictor: Predictor, pictures: Sequence[Picture]
) -> Iterator[Progress]:
    """Work until every picture is confirmed, telling how far that is."""
    spec = BatchSpec.model_validate(facts.spec)
    predictor = predictor if spec.tiles is None else predictor.tiled(spec.tiles)
    jobs.set_total(workspace, facts.id, len(pictures))
    jobs.set_state(workspace, facts.id, JobState.RUNNING)
    done = jobs.done_names(workspace, facts.id)
    count, refused = len(done), facts.refused
    yield Progress(done=count, total=len(pictures), refused=refused)
    judge = _Judge(predictor)
    for used, chunk, outcome in _judged(judge, spec, pictures, done):
        items = list(_items(chunk, outcome, spec.product))
        jobs.add_items(workspace, facts.id, items, version=VersionFacts.of(used), tiles=used.tiles)
        newest, changed = limits.catch_up(workspace, used)
        for category in changed:
            for _ in redraw(workspace, newest, category):
                pass
        if spec.category is None or spec.category in newest.categories:  # else its limits were taken back
            judge.predictor = newest
        count += len(items)
        refused += sum(isinstance(item, Refused) for _, item in items)
        yield Progress(done=count, total=len(pictures), refused=refused)


def _judged(
    judge: _Judge, spec: BatchSpec, pictures: Sequence[Picture], done: set[str]
) -> Iterator[tuple[Predictor, list[_Read], list[Prediction | DemoError]]]:
    """Chunks with what the model says and the predictor that said it; the next one is judged while the caller
    stores this one.
    """
    pending: tuple[Predictor, list[_Read], Future[list[Prediction | DemoError]]] | None = None
    for chunk in _chunks(pictures, done):
        contents = [item.content for item in chunk if item.content is not None]
        predictor = judge.predictor
        future = model_thread.submit(_predictions, predictor, contents, spec.category)
        if pending is not None:
            yield *pending[:2], pending[2].result()
        pending = predictor, chunk, future
    if pending is not None:
        yield *pending[:2], pending[2].result()


def _predictions(
    predictor: Predictor, contents: Sequence[bytes], category: str | None
) -> list[Prediction | DemoError]:
    """What the model says; where it fails on several at once, one by one, so that one error is of one row."""
    try:
        return predictor.predict_batch(contents, category=category)
    except NonFiniteMapError as error:
        if len(contents) == 1:
            return [error]
        return [_predictions(predictor, [content], category)[0] for content in contents]


def _chunks(pictures: Sequence[Picture], done: set[str]) -> Iterator[list[_Read]]:
    chunk: list[_Read] = []
    size = 0
    for position, picture in enumerate(pictures):
        if picture.name in done:
            continue
        item = _read(position, picture)
        chunk.append(item)
        size += len(item.content or b"")
        if len(chunk) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _read(position: int, picture: Picture) -> _Read:
    try:
        source = picture.read()
        content = source if isinstance(source, bytes) else read_file(source)
        return _Read(position, picture.name, content)
    except DemoError as error:
        return _Read(position, picture.name, None, str(error))


def _items(
    chunk: Sequence[_Read], outcomes: Sequence[Prediction | DemoError], product: str | None
) -> Iterator[tuple[int, Judged | Refused]]:
    remaining = iter(outcomes)
    for item in chunk:
        outcome = next(remaining) if item.content is not None else None
        if isinstance(outcome, Prediction) and item.content is not None:
            yield (
                item.position,
                Judged(name=item.name, content=item.content, prediction=outcome, product=product),
            )
        else:
            yield item.position, Refused(name=item.name, error=str(outcome) if outcome else item.error)


def _untaken(name: str, taken: dict[str, int]) -> str:
    """The name, numbered from 2 on where another picture has it.

    Args:
        taken: names with the highest number that each was given; this one joins them.
    """
    wanted = name
    while wanted in taken:
        taken[name] += 1
        stem, dot, suffix = name.rpartition(".")
        wanted = f"{stem}-{taken[name]}.{suffix}" if dot else f"{name}-{taken[name]}"
    taken[wanted] = 1
    return wanted
