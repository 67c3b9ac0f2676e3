"""Running a repeatability study with scores that are written down."""

import numpy as np
import pytest

from mambaad_demo.errors import CheckpointError, InputError, TooFewImagesError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage.files import FileKind
from mambaad_demo.workflow.studies.repeatability import run_study
from mambaad_demo.workflow.studies.study import Choice, ShotKind, Study
from mambaad_demo.workflow.studies.variations import Variation
from tests.storage.parts import PRODUCT, VERSION
from tests.workflow.studies.line import complete, scripted, spec

ALONE = [0.30 + 0.01 * number for number in range(len(Variation))]


def run(line, predictor, **changes):
    *_, study = run_study(line.workspace, predictor, spec(**changes))
    assert isinstance(study, Study)
    return study


def test_every_shot_is_judged_in_turn_and_kept(line):
    line.add("good.png", Finding.GOOD)
    line.add("bad.png", Finding.DEFECT)
    scores = [0.30, 0.45, 0.55, *ALONE, 0.80, 0.90, 0.70, *ALONE]
    study = run(line, scripted(scores), shots=3)
    good, bad = study.parts
    assert [shot.score for shot in good.shots] == [0.30, 0.45, 0.55]
    assert [shot.name for shot in good.shots] == ["as stored", "varied 1", "varied 2"]
    assert [shot.verdict for shot in good.shots] == [Verdict.ACCEPT, Verdict.CHECK, Verdict.REJECT]
    assert [shot.score for shot in good.alone.values()] == ALONE
    assert list(good.alone) == list(Variation)
    assert (good.changed, bad.changed) == (2, 0)
    assert bad.verdicts == {Verdict.REJECT: 3}
    assert good.multiples == pytest.approx([0.6, 0.9, 1.1])


def test_progress_counts_shots_a_few_at_a_time(line):
    line.add("good.png", Finding.GOOD)
    *steps, _ = run_study(line.workspace, scripted([0.3] * 9), spec(shots=3))
    assert steps == [Progress(done=done, total=9) for done in (0, 4, 8, 9)]


def test_nothing_is_judged_before_the_next_step_is_asked_for(line):
    line.add("good.png", Finding.GOOD)
    predictor = scripted([0.3] * 9)
    steps = run_study(line.workspace, predictor, spec(shots=3))
    next(steps), next(steps)
    steps.close()
    assert len(predictor.asked) == 4


def test_tensor_work_runs_on_the_model_thread(line, monkeypatch):
    line.add("good.png", Finding.GOOD)
    predictor, sizes = scripted([0.3] * 8), []

    def run_there(function, sources, **options):
        sizes.append(len(sources))
        return function(sources, **options)

    monkeypatch.setattr(model_thread, "run", run_there)
    run(line, predictor)
    assert sizes == [4, 4]


def test_the_first_shot_is_the_picture_itself_and_the_others_differ_by_seed_alone(line):
    inspection = line.add("good.png", Finding.GOOD)
    content = line.workspace.files.read(FileKind.PICTURE, inspection.sha256)

    def shown(seed):
        predictor = scripted([0.3] * 9)
        sources = []
        judge = predictor.predict
        predictor.predict = lambda image, category=None: (
            sources.append(image) or judge(image, category=category)
        )
        run(line, predictor, shots=3, seed=seed)
        return sources

    first, again, other = shown(0), shown(0), shown(1)
    assert first[0] == content
    assert all(np.array_equal(one, two) for one, two in zip(first[1:], again[1:], strict=True))
    assert not any(np.array_equal(one, two) for one, two in zip(first[1:3], other[1:3], strict=True))
    assert not np.array_equal(first[1], first[2])


def test_the_shots_of_a_part_do_not_depend_on_other_parts(line):
    line.add("a.png", Finding.GOOD, score=0.39)

    def brightness(name):
        predictor = scripted([])
        predictor.map_of = lambda pixels: np.full(pixels.shape[:2], float(pixels.mean()))
        study = run(line, predictor, choice=Choice.NEAREST)
        return next([shot.score for shot in part.shots] for part in study.parts if part.name == name)

    before = brightness("a.png")
    line.add("b.png", Finding.GOOD, score=0.401)
    assert brightness("a.png") == before


def test_stored_shots_are_judged_as_they_are(line):
    for name in ("a_1.png", "a_2.png", "a_3.png"):
        line.add(name, Finding.GOOD)
    study = run(line, scripted([0.30, 0.39, 0.41]), kind=ShotKind.STORED, shots=5)
    (part,) = study.parts
    assert [shot.name for shot in part.shots] == ["a_1.png", "a_2.png", "a_3.png"]
    assert len(part.sha256s) == 3
    assert part.alone == {}
    assert part.changed == 1


def test_shots_are_judged_as_the_product_where_the_checkpoint_knows_it(line):
    line.add("good.png", Finding.GOOD)
    known = scripted([0.3] * 8)
    assert run(line, known).category == PRODUCT
    assert set(known.asked) == {PRODUCT}
    stranger = scripted([0.3] * 8, categories=("circuit_board",))
    assert run(line, stranger).category is None
    assert set(stranger.asked) == {None}


def test_what_ran_and_the_limits_in_force_are_part_of_the_study(line):
    line.add("good.png", Finding.GOOD)
    study = run(line, scripted([0.3] * 8))
    assert study.setup.version == VERSION
    assert (study.setup.kernel, study.setup.device) == ("torch", "cpu")
    (limits,) = study.limits
    assert (limits.category, limits.check, limits.reject) == (PRODUCT, 0.4, 0.5)
    assert (limits.check_rate, limits.reject_rate, limits.good_parts) == (0.1, 0.01, 40)


def test_a_part_without_its_file_is_named_and_the_others_are_judged(line):
    gone = line.add("gone.png", Finding.GOOD, score=0.39)
    line.add("good.png", Finding.GOOD, score=0.2)
    line.workspace.files.delete(FileKind.PICTURE, gone.sha256)
    study = run(line, scripted([0.3] * 8))
    assert [part.name for part in study.parts] == ["good.png"]
    ((name, reason),) = study.refused
    assert name == "gone.png"
    assert "missing" in reason


def test_where_no_part_can_be_judged_the_reason_is_told(line):
    gone = line.add("gone.png", Finding.GOOD)
    line.workspace.files.delete(FileKind.PICTURE, gone.sha256)
    with pytest.raises(TooFewImagesError, match=r"None of the 1 parts could be judged.*missing"):
        run(line, scripted([]))


def test_a_checkpoint_without_limits_is_refused(line):
    line.add("good.png", Finding.GOOD)
    predictor = scripted([0.3] * 8)
    judge = predictor.predict_batch

    def without_limits(images, *, category=None):
        answers = judge(images, category=category)
        for answer in answers:
            object.__setattr__(answer, "limits", type(answer.limits)())
        return answers

    predictor.predict_batch = without_limits
    with pytest.raises(InputError, match="has no limits for 'bottle_cap'"):
        run(line, predictor)


def test_a_checkpoint_without_hashes_is_refused(line):
    line.add("good.png", Finding.GOOD)
    predictor = scripted([])
    complete(predictor)
    predictor.checkpoint.config.sha256 = None
    with pytest.raises(CheckpointError, match="no hashes"):
        next(run_study(line.workspace, predictor, spec()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": 0}, "1 to 200 parts of each kind, not 0"),
        ({"shots": 1}, "2 to 20 shots, not 1"),
        ({"seed": -1}, "as a seed, not -1"),
    ],
)
def test_a_study_of_nothing_cannot_be_asked_for(changes, message):
    with pytest.raises(InputError, match=message):
        spec(**changes)
