"""The real process over the real engine, from photos to a checkpoint that can be loaded."""

import os
from contextlib import closing

import pytest

from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.finetune_spec import FinetuneSpec
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.workflow.training.job_folder import TrainingSpec
from mambaad_demo.workflow.training.runner import TrainingRunner
from tests.workflow.training.stand_ins import photo


@pytest.fixture
def catalog(tmp_path, tiny_checkpoint):
    return Catalog(tiny_checkpoint.parent, versions_root=tmp_path / "versions", device="cpu", kernel="torch")


@pytest.fixture
def runner(tmp_path, catalog):
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    places = (tmp_path / "trainings", tmp_path / "versions", tmp_path / "replay")
    with closing(TrainingRunner(catalog, *places, device="cpu", kernel="torch", environ=environ)) as runner:
        yield runner


def test_good_photos_become_a_checkpoint_that_judges_the_part(
    workspace, runner, catalog, zipped, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)  # the process finds the package from anywhere
    file = zipped({f"{number}.png": photo(number, 96) for number in range(7)} | {"torn.png": photo(9)[:60]})
    spec = TrainingSpec(checkpoint="tiny", finetune=FinetuneSpec(category="Cookie", steps=4, batch_size=2))
    job_id = runner.start(workspace, spec, [file], name="cookies", actor="test")
    runner.wait(job_id)

    status = runner.status(workspace, job_id)
    assert (status.job.state, status.version) == (JobState.DONE, "cookie-1"), runner.log_tail(
        workspace, job_id
    )
    assert [point.step for point in status.steps] == [1, 2, 3, 4]
    assert [point.step for point in status.validations][-1] == 4
    assert all(path.read_bytes().startswith(b"\xff\xd8") for path in status.previews)
    assert set(status.preview_names) <= {f"{number}.png" for number in range(7)}
    assert len(status.notes) == 1
    assert status.notes[0].startswith("torn.png was left out: ")
    predictor = catalog.predictor("cookie-1")
    assert "Cookie" in predictor.categories
    assert predictor.predict(photo(1, 96), category="Cookie").category == "Cookie"
