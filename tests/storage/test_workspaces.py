"""Teams that share a store do not see each other's rows and cannot touch them."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import mambaad_demo.storage
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Collection
from mambaad_demo.storage import (
    audit,
    collecting,
    inspections,
    jobs,
    labels,
    limits,
    listing,
    pictures,
    promotions,
    rejudging,
    removal,
    review,
    studies,
    taxonomy,
)
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.jobs import BATCH, JobState
from mambaad_demo.storage.listing import Decided, Filters
from mambaad_demo.storage.workspace import Workspace
from tests.storage.parts import PRODUCT, VERSION, everything, judged
from tests.storage.teams import QUEUE, SCRATCH, Ids, fill


@pytest.fixture
def ids(workspace: Workspace) -> Ids:
    """Another team's workspace, `theirs`, with a row in every table."""
    found = fill(workspace.of("theirs"))
    assert all(everything(workspace.database).values()), "a table is empty; give it a row in `teams`"
    return found


PREDICTOR: Any = SimpleNamespace(checkpoint=SimpleNamespace(sha256=VERSION.sha256), tiles=1)
"""As far as stored rows are found by it."""
PROMOTION = promotions.NewStep(
    category=PRODUCT,
    checkpoint="mambaad",
    checkpoint_sha256=VERSION.sha256,
    action=promotions.Action.PROMOTE,
    note="",
    golden={},
)

Call = Callable[[Workspace, Ids], Any]

LOOKING: dict[Any, Call] = {
    audit.entries: lambda ours, ids: audit.entries(ours, subject=f"image {ids.sha256}") + audit.entries(ours),
    collecting.members: lambda ours, ids: collecting.members(ours, Collection.TEACH),
    collecting.collections_of: lambda ours, ids: collecting.collections_of(ours, ids.image),
    inspections.inspection: lambda ours, ids: inspections.inspection(ours, ids.inspection),
    inspections.inspections: lambda ours, ids: inspections.inspections(ours, ids=[ids.inspection]),
    jobs.done_names: lambda ours, ids: jobs.done_names(ours, ids.job),
    jobs.job: lambda ours, ids: jobs.job(ours, ids.job),
    jobs.jobs: lambda ours, ids: jobs.jobs(ours),
    jobs.items: lambda ours, ids: jobs.items(ours, ids.job),
    jobs.refused: lambda ours, ids: jobs.refused(ours, ids.job)[1],
    labels.draft: lambda ours, ids: labels.draft(ours, ids.image, reviewer="Mira"),
    labels.history: lambda ours, ids: labels.history(ours, ids.image),
    labels.image_id: lambda ours, ids: labels.image_id(ours, ids.sha256),
    labels.labeled_images: lambda ours, ids: labels.labeled_images(ours, product=PRODUCT, reviewer="Mira"),
    labels.products: lambda ours, ids: labels.products(ours),
    labels.repeats: lambda ours, ids: labels.repeats(ours),
    labels.reviewers: lambda ours, ids: labels.reviewers(ours),
    listing.count: lambda ours, ids: listing.count(ours, Filters(job_id=ids.job)),
    listing.page: lambda ours, ids: (
        listing.page(ours, Filters(job_id=ids.job, finding="defect", collection="teach", search="part"))
        + listing.page(ours, Filters(decided=Decided.SOMEBODY))
    ),
    limits.history: lambda ours, ids: limits.history(ours, PREDICTOR, PRODUCT),
    limits.newest: lambda ours, ids: limits.newest(ours, PREDICTOR, PRODUCT),
    pictures.stored_pictures: lambda ours, ids: pictures.stored_pictures(ours, sha256s=[ids.sha256]),
    promotions.active: lambda ours, ids: promotions.active(ours, PRODUCT),
    promotions.active_checkpoints: lambda ours, ids: promotions.active_checkpoints(ours),
    promotions.golden: lambda ours, ids: promotions.golden(ours, ids.promotion),
    promotions.history: lambda ours, ids: promotions.history(ours, PRODUCT),
    rejudging.results: lambda ours, ids: rejudging.results(ours, PREDICTOR, PRODUCT),
    rejudging.stored_scores: lambda ours, ids: rejudging.stored_scores(ours, PREDICTOR, PRODUCT),
    review.pace: lambda ours, ids: review.pace(ours, "Mira").decided,
    review.saved_views: lambda ours, ids: review.saved_views(ours),
    review.turn_of: lambda ours, ids: review.turn_of(ours, ids.image),
    review.waiting: lambda ours, ids: any(review.waiting(ours, QUEUE)),
    studies.studies: lambda ours, ids: studies.studies(ours),
    studies.study: lambda ours, ids: studies.study(ours, ids.study),
}
"""Functions that look for something of theirs; they find nothing, or say that it is not here."""

CHANGING: dict[Any, Call] = {
    jobs.add_items: lambda ours, ids: jobs.add_items(
        ours, ids.job, [(9, judged(9))], version=VERSION, tiles=1
    ),
    jobs.set_state: lambda ours, ids: jobs.set_state(ours, ids.job, JobState.FAILED),
    jobs.set_total: lambda ours, ids: jobs.set_total(ours, ids.job, 7),
    labels.decide: lambda ours, ids: labels.decide(ours, ids.image, SCRATCH, reviewer="Mira"),
    labels.redo: lambda ours, ids: labels.redo(ours, reviewer="Mira"),
    labels.save_draft: lambda ours, ids: labels.save_draft(ours, ids.image, {}, reviewer="Mira"),
    labels.undo: lambda ours, ids: labels.undo(ours, reviewer="Mira"),
    removal.delete_job: lambda ours, ids: removal.delete_job(ours, ids.job, actor="Mira"),
    review.delete_view: lambda ours, ids: review.delete_view(ours, "view"),
    taxonomy.rename_defect_type: lambda ours, ids: taxonomy.rename_defect_type(
        ours, PRODUCT, "scratch", "bent", reviewer="Mira"
    ),
    review.claim: lambda ours, ids: review.claim(ours, ids.image, reviewer="Mira"),
    review.next_turn: lambda ours, ids: review.next_turn(ours, QUEUE),
}
"""Functions that would change something of theirs; they do not, and find nothing or say it is not here."""

CREATING: dict[Any, Call] = {
    jobs.create_job: lambda ours, ids: jobs.create_job(
        ours, kind=BATCH, name="theirs", spec={}, actor="Mira"
    ),
    pictures.add_picture: lambda ours, ids: pictures.add_picture(ours, judged(0).content, "x.png", PRODUCT),
    promotions.add: lambda ours, ids: promotions.add(ours, PROMOTION, actor="Mira", seen=promotions.NOTHING),
    review.save_view: lambda ours, ids: review.save_view(ours, "view", Filters(search="ours")),
    studies.save: lambda ours, ids: studies.save(ours, name="theirs", spec={}, result={}, actor="Mira"),
}
"""Functions that add something of the same name; theirs stays as it is."""

FOR_ALL = {
    "anomaly_map": "takes an inspection that was looked up already",
    "back_up": "saves the whole store",
    "concerned": "a part of queries that are tried here",
    "delete_old": "cleans the whole store",
    "delete_workspace": "deletes nothing of others: test_removal.py",
    "delete_old_workspaces": "cleans the whole store",
    "discard": "versions belong to all",
    "filtered": "a part of queries that are tried here",
    "catch_up": "judges what is stored: test_limits.py",
    "in_force": "gives a predictor in any case: test_limits.py",
    "mark_orphans": "runs once at the start of a server",
    "known": "tells the janitor which batches there are at all",
    "newest_ids": "a part of queries that are tried here",
    "save": "of limits, judges what is stored: test_limits.py",
    "take_back": "as `save`",
    "restore_files": "files are shared and named by what they hold",
    "selection": "a part of queries that are tried here",
    "write_regions": "takes an inspection that was looked up already",
    "write_files": "files are shared and named by what they hold",
    "write_picture": "files are shared and named by what they hold",
}


def outcome(call: Call, workspace: Workspace, ids: Ids) -> Any:
    """What a function finds; nothing where it says that it is not here."""
    try:
        return call(workspace, ids)
    except InputError as error:
        return None if re.search("no longer here|is in the store", str(error)) else error


def of_others(workspace: Workspace) -> dict[str, list[str]]:
    """All rows but those of `ours`."""
    rows = everything(workspace.database)
    return {table: [row for row in found if "'ours'" not in row] for table, found in rows.items()}


def test_what_belongs_to_others_is_not_there(workspace, ids):
    for function, call in (LOOKING | CHANGING).items():
        before = of_others(workspace)
        assert not outcome(call, workspace.of("ours"), ids), function
        assert of_others(workspace) == before, function


def test_its_owners_find_it(workspace, ids):
    for function, call in LOOKING.items():
        assert outcome(call, workspace.of("theirs"), ids), function


def test_the_same_name_may_be_used_by_others(workspace, ids):
    before = of_others(workspace)
    for function, call in CREATING.items():
        assert call(workspace.of("ours"), ids), function
        assert of_others(workspace) == before, function


def test_deleting_our_copy_leaves_theirs(workspace, ids):
    ours = workspace.of("ours")
    before = of_others(workspace)
    job = jobs.create_job(ours, kind=BATCH, name="", spec={}, actor="Mira")
    jobs.add_items(ours, job, [(0, judged(0))], version=VERSION, tiles=1)
    assert removal.delete_job(ours, job, actor="Mira") == 1
    assert of_others(workspace) == before
    stored = inspections.inspection(workspace.of("theirs"), ids.inspection)
    assert inspections.anomaly_map(workspace, stored).size
    for kind in (FileKind.PICTURE, FileKind.PREVIEW, FileKind.THUMBNAIL):
        assert workspace.files.holds(kind, stored.sha256)


def test_every_function_of_the_store_is_tried_here():
    modules = [
        importlib.import_module(f"mambaad_demo.storage.{module.name}")
        for module in pkgutil.iter_modules(mambaad_demo.storage.__path__)
    ]
    public = {
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and next(iter(inspect.signature(function).parameters), None) == "workspace"
    }
    tried = {*LOOKING, *CHANGING, *CREATING}
    assert {function.__name__ for function in public - tried} == set(FOR_ALL)
