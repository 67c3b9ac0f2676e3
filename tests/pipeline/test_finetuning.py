"""Fine-tuning: a checkpoint learns a part, keeps what it knows, stops, resumes, refuses what cannot work."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.hub.checkpoints import Checkpoint, load_folder, save_checkpoint
from mambaad_demo.hub.schemas import CheckpointConfig
from mambaad_demo.hub.self_test import pattern_images
from mambaad_demo.models.detector import Detector, build_detector
from mambaad_demo.pipeline import finetuning
from mambaad_demo.pipeline.calibration import calibrate
from mambaad_demo.pipeline.encoded_images import encode
from mambaad_demo.pipeline.finetune_photos import GoodPhoto
from mambaad_demo.pipeline.finetune_spec import FinetuneSpec
from mambaad_demo.pipeline.finetuning import Finetuning, Progress
from mambaad_demo.pipeline.held_out import HeldOutParts, Judgment
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.rehearsal import Rehearsal, RehearsalStore
from tests.conftest import TINY
from tests.models.small import assert_same_state, copied_state

ROOT = Path(__file__).resolve().parents[2]
SPEC = FinetuneSpec(category="stripes", steps=8, batch_size=4, patience=0)


def striped(index: int, *, across: bool = False) -> np.ndarray:
    """A good part, (60, 80, 3) uint8: stripes with their own phase and grain."""
    generator = np.random.default_rng(index)
    wave = np.sin(np.arange(80) * 0.7 + 6 * generator.random())
    pixels = 128 + 60 * np.broadcast_to(wave, (60, 80))[..., None] + generator.normal(0, 4, (60, 80, 3))
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 0, 2)[:60]) if across else pixels


def written(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:02d}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.fromarray(striped(index)).save(path)
    return paths


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that knows the part `crosses`."""
    folder = tmp_path_factory.mktemp("checkpoints") / "base"
    torch.manual_seed(0)
    detector = build_detector(replace(TINY, noise_std=0.1, standardize=True))
    crosses = [
        ModelInput.from_pixels(
            striped(index, across=True).astype(np.float32) / 255, side=64, resize="letterbox"
        )
        for index in range(6)
    ]
    config = CheckpointConfig(name="base", detector={}, categories=("crosses",))
    save_checkpoint(folder, detector, config, calibrate(detector, {"crosses": crosses}), pattern_images(64))
    return folder


def first_input(path: Path) -> ModelInput:
    return ModelInput.from_pixels(
        np.asarray(Image.open(path), dtype=np.float32) / 255, side=64, resize="letterbox"
    )


@pytest.fixture
def base(base_folder: Path) -> Checkpoint:
    return load_folder(base_folder, device="cpu")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return written(tmp_path / "photos", 12)


def prepared(run: Finetuning) -> Finetuning:
    for _ in run.prepare():
        pass
    return run


def assert_same_curve(losses: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(losses[:3], expected[:3], rtol=1e-4)
    np.testing.assert_allclose(losses, expected, rtol=0.02)


def judged_as(
    monkeypatch: pytest.MonkeyPatch, *, losses: Iterable[float], separations: Iterable[float] = repeat(2.0)
) -> None:
    """Let the held-out parts say this, one validation after the other."""
    said = zip(losses, separations, strict=False)

    def judge(parts: HeldOutParts, detector: Detector) -> Judgment:
        loss, separation = next(said)
        return Judgment(loss=float(loss), separation=separation, median_score=1.0)

    monkeypatch.setattr(finetuning.HeldOutParts, "judge", judge)


def named(photos: list[GoodPhoto]) -> set[str]:
    return {photo.name for photo in photos}


def fitted(run: Finetuning) -> list[Progress]:
    prepared(run)
    return list(run.steps())


def test_the_part_is_learned_and_the_result_is_a_calibrated_checkpoint(
    base: Checkpoint, photos: list[Path], tmp_path: Path
) -> None:
    run = Finetuning(base, photos, SPEC)
    steps = fitted(run)
    report = run.save(tmp_path / "stripes-1", "stripes-1")

    checked = [step.validation for step in steps if step.validation is not None]
    assert [step.step for step in steps] == list(range(1, 9))
    assert checked[-1].loss < report["history"][0]["loss"]
    predictor = Predictor.from_checkpoint(tmp_path / "stripes-1", device="cpu")
    assert predictor.categories == ("crosses", "stripes")
    assert predictor.checkpoint.calibration.categories["stripes"].images == report["photos"]["held_out"] == 3
    assert predictor.predict(photos[0], category="stripes").verdict == "accept"


def test_the_best_state_is_kept_not_the_last_one(
    base: Checkpoint, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, losses=[9.0, 1.0, *[5.0] * 99])
    run = prepared(Finetuning(base, photos, SPEC))
    weights = {}
    for step in run.steps():
        if step.validation is not None and step.validation.is_best:
            weights = copied_state(dict(base.detector.named_parameters()))
    report = run.save(tmp_path / "v", "v")

    assert report["best_step"] == 1
    saved = dict(load_folder(tmp_path / "v", device="cpu").detector.named_parameters())
    learned = {name for name, value in base.detector.named_parameters() if value.requires_grad}
    assert_same_state(
        {name: saved[name].data for name in learned}, {name: weights[name].half().float() for name in learned}
    )


def test_training_ends_by_itself_when_nothing_gets_better(
    base: Checkpoint, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, losses=range(99))
    run = Finetuning(base, photos, SPEC.model_copy(update={"steps": 40, "patience": 3}))

    steps = fitted(run)

    assert sum(step.validation is not None for step in steps) == 3
    assert run.save(tmp_path / "v", "v")["ended_early"] is True


def test_a_state_that_copies_noise_is_not_kept_however_well_it_rebuilds(
    base: Checkpoint, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, losses=range(99, 0, -1), separations=[2.0, 1.9, *[1.0] * 99])
    run = Finetuning(base, photos, SPEC)
    fitted(run)
    assert run.save(tmp_path / "v", "v")["best_step"] == 1


def test_an_early_state_gives_way_to_later_ones_that_show_noise_far_better(
    base: Checkpoint, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    separations = [1.0, 2.0, 2.2, 2.3, *[2.0] * 99]
    judged_as(monkeypatch, losses=[0.30, 0.31, 0.305, 0.302, *[0.1] * 99], separations=separations)
    run = Finetuning(base, photos, SPEC.model_copy(update={"patience": 2}))
    steps = fitted(run)
    report = run.save(tmp_path / "v", "v")

    assert len(steps) == 5, "patience is counted from the state that was kept last"
    assert (report["best_step"], report["best"]["separation"]) == (3, 2.3)


def test_the_same_seed_gives_the_same_weights(base_folder: Path, photos: list[Path]) -> None:
    states = []
    for _ in range(2):
        run = Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC)
        fitted(run)
        states.append(run.detector.state_dict())
    assert_same_state(*states)


def test_a_run_that_was_cut_off_goes_on_as_if_nothing_had_happened(
    base_folder: Path, photos: list[Path], tmp_path: Path
) -> None:
    whole = Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC)
    fitted(whole)
    cut = prepared(
        Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC, state_path=tmp_path / "state.pt")
    )
    steps = cut.steps()
    for _ in range(3):
        next(steps)
    steps.close()

    again = Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC, state_path=tmp_path / "state.pt")
    rest = fitted(again)

    assert [step.step for step in rest] == [4, 5, 6, 7, 8]
    assert_same_state(again.detector.state_dict(), whole.detector.state_dict())


@pytest.mark.parametrize("change", ["fewer", "another", "another order"])
def test_a_state_of_other_photos_is_refused(
    base_folder: Path, photos: list[Path], tmp_path: Path, change: str
) -> None:
    state = tmp_path / "state.pt"
    prepared(Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC, state_path=state))
    Image.fromarray(striped(99)).save(other := tmp_path / "other.png")
    changed = {"fewer": photos[:-4], "another": [*photos[:-1], other], "another order": photos[::-1]}[change]
    again = Finetuning(load_folder(base_folder, device="cpu"), changed, SPEC, state_path=state)
    with pytest.raises(InputError, match="or other photos"):
        prepared(again)


def test_a_state_of_photos_that_were_held_out_otherwise_is_refused(
    base_folder: Path, photos: list[Path], tmp_path: Path
) -> None:
    state = tmp_path / "state.pt"
    run = Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC, state_path=state)
    prepared(run)
    Image.fromarray(striped(99)).save(run._held_out[1].path)
    with pytest.raises(InputError, match="or other photos"):
        prepared(Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC, state_path=state))


def test_a_state_of_other_settings_is_refused(base_folder: Path, photos: list[Path], tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    prepared(Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC, state_path=state))
    faster = SPEC.model_copy(update={"learning_rate": 1e-2})
    with pytest.raises(InputError, match="other settings or images"):
        prepared(Finetuning(load_folder(base_folder, device="cpu"), photos, faster, state_path=state))


def test_an_unreadable_photo_is_left_out_by_name(base: Checkpoint, photos: list[Path]) -> None:
    photos[4].write_bytes(b"no picture")
    run = prepared(Finetuning(base, photos, SPEC))
    assert [refusal.name for refusal in run.refused] == [photos[4].name]


@pytest.mark.parametrize("count", [0, 3, 4])
def test_fewer_than_five_good_photos_are_refused(base: Checkpoint, photos: list[Path], count: int) -> None:
    with pytest.raises(TooFewImagesError, match="at least 5"):
        prepared(Finetuning(base, photos[:count], SPEC))


def test_held_out_photos_are_never_trained_on(base: Checkpoint, photos: list[Path], tmp_path: Path) -> None:
    run = prepared(Finetuning(base, photos, SPEC))
    names = {photo.name for photo in run._train}, {photo.name for photo in run._held_out}
    assert names[0].isdisjoint(names[1])
    assert len(names[0] | names[1]) == len(photos)


def test_known_parts_are_rehearsed_and_get_limits_for_the_new_weights(
    base: Checkpoint, photos: list[Path], tmp_path: Path
) -> None:
    crosses = [
        ModelInput.from_pixels(
            striped(index, across=True).astype(np.float32) / 255, side=64, resize="letterbox"
        )
        for index in range(20, 32)
    ]
    images = list(encode(base.detector, crosses))
    known = Rehearsal(train=images[:6], held_out=images[6:])
    store = RehearsalStore(tmp_path / "replay")
    store.keep(base.sha256, base, "crosses", known, inherited=[])
    before = base.calibration.categories["crosses"].reject

    run = Finetuning(base, photos, SPEC, replay_folder=tmp_path / "replay")
    fitted(run)
    report = run.save(tmp_path / "v", "v")

    assert report["not_rehearsed"] == []
    assert report["known"]["crosses"]["reject_before"] == pytest.approx(before, abs=1e-5)
    version = load_folder(tmp_path / "v", device="cpu")
    assert version.calibration.categories["crosses"].images == 6
    for category in ("crosses", "stripes"):  # the version can be gone on from
        assert store.rehearsal(version, category) is not None


def test_what_is_not_rehearsed_loses_its_limits_and_is_named(
    base: Checkpoint, photos: list[Path], tmp_path: Path
) -> None:
    run = Finetuning(base, photos, SPEC, replay_folder=tmp_path / "replay")
    fitted(run)
    report = run.save(tmp_path / "v", "v")
    assert report["not_rehearsed"] == ["crosses"]
    predictor = Predictor.from_checkpoint(tmp_path / "v", device="cpu")
    assert "crosses" in predictor.categories
    assert predictor.limits("crosses").reject is None


def test_rehearsing_forgets_less(base: Checkpoint, photos: list[Path], tmp_path: Path) -> None:
    crosses = tmp_path / "crosses"
    crosses.mkdir()
    for index in range(16):
        Image.fromarray(striped(index, across=True)).save(crosses / f"{index:02d}.png")
    spec = SPEC.model_copy(update={"category": "crosses", "steps": 60})
    first = Finetuning(base, sorted(crosses.iterdir()), spec, replay_folder=tmp_path / "replay")
    fitted(first)
    first.save(tmp_path / "v", "v")
    unseen = Rehearsal(train=[], held_out=[photo.encoded for photo in first._held_out])

    losses = []
    for folder in (tmp_path / "replay", None):
        version = load_folder(tmp_path / "v", device="cpu")
        spec = SPEC.model_copy(update={"steps": 40, "learning_rate": 2e-2})
        run = Finetuning(version, photos, spec, replay_folder=folder)
        fitted(run)
        losses.append(run._judged(unseen)["loss"])
    assert losses[0] < losses[1]


def test_a_part_learned_again_is_judged_by_photos_that_were_never_trained_on(
    base: Checkpoint, photos: list[Path], tmp_path: Path
) -> None:
    first = Finetuning(base, photos[:8], SPEC, replay_folder=tmp_path / "replay")
    fitted(first)
    first.save(tmp_path / "v-1", "v-1")
    version = load_folder(tmp_path / "v-1", device="cpu")

    again = prepared(Finetuning(version, photos, SPEC, replay_folder=tmp_path / "replay"))

    assert again._known["stripes"] == Rehearsal(train=[], held_out=[])  # all were given again
    assert named(again._held_out).isdisjoint(named(first._train))
    assert again.notices == []
    list(again.steps())
    report = again.save(tmp_path / "v-2", "v-2")
    limits = load_folder(tmp_path / "v-2", device="cpu").calibration.categories["stripes"]
    assert limits.images == len(again._held_out) == report["photos"]["held_out"]
    assert report["photos"]["held_out_learned_before"] == 0


def test_photos_that_were_learned_for_an_earlier_version_are_not_held_out_however_many_came_between(
    base_folder: Path, photos: list[Path], tmp_path: Path
) -> None:
    learned, folder = set(), base_folder
    dots = written(tmp_path / "dots", 20)[12:]
    versions = (("stripes", photos[:6]), ("dots", dots), ("stripes", photos[:9]), ("stripes", photos))
    for number, (category, given) in enumerate(versions):
        spec = SPEC.model_copy(update={"category": category, "steps": 1})
        run = Finetuning(load_folder(folder, device="cpu"), given, spec)
        fitted(run)
        assert named(run._held_out).isdisjoint(learned)
        learned |= named(run._train)
        folder = tmp_path / f"v-{number}"
        report = run.save(folder, folder.name)

    assert report["learned"] == ["stripes", "dots"]
    assert report["photos"]["held_out_learned_before"] == 0


def test_where_only_learned_photos_are_given_again_limits_are_set_but_said_to_be_too_tight(
    base: Checkpoint, photos: list[Path], tmp_path: Path
) -> None:
    first = Finetuning(base, photos, SPEC)
    fitted(first)
    first.save(tmp_path / "v-1", "v-1")
    version = load_folder(tmp_path / "v-1", device="cpu")

    again = Finetuning(version, [photo.path for photo in first._train], SPEC)
    fitted(again)
    report = again.save(tmp_path / "v-2", "v-2")

    (notice,) = again.notices
    assert notice.startswith("v-1 learned 3 of the 3 held-out photos before")
    assert (report["photos"]["held_out"], report["photos"]["held_out_learned_before"]) == (0, 3)
    assert load_folder(tmp_path / "v-2", device="cpu").calibration.categories["stripes"].images == 3


def test_a_version_from_a_version_is_made_even_where_nothing_got_better(
    base: Checkpoint, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Finetuning(base, photos, SPEC, replay_folder=tmp_path / "replay")
    fitted(first)
    first.save(tmp_path / "v-1", "v-1")
    version = load_folder(tmp_path / "v-1", device="cpu")
    judged_as(monkeypatch, losses=range(99))
    again = Finetuning(version, photos, SPEC, replay_folder=tmp_path / "replay")
    fitted(again)
    assert again.save(tmp_path / "v-2", "v-2")["best_step"] == 0
    assert load_folder(tmp_path / "v-2", device="cpu").sha256 == version.sha256


def test_a_half_written_rehearsal_is_none(base: Checkpoint, photos: list[Path], tmp_path: Path) -> None:
    store = RehearsalStore(tmp_path)
    images = list(encode(base.detector, (first_input(path) for path in photos[:4])))
    store.keep(base.sha256, base, "crosses", Rehearsal(train=images[:2], held_out=images[2:]), inherited=[])
    (missing,) = tmp_path.rglob("train.safetensors")
    missing.unlink()
    assert store.rehearsal(base, "crosses") is None


def test_a_part_that_is_called_like_a_sample_part_is_not_mixed_with_it(
    base: Checkpoint, photos: list[Path]
) -> None:
    known = replace(base, config=base.config.model_copy(update={"categories": ("gear",)}))
    run = prepared(Finetuning(known, photos, SPEC.model_copy(update={"category": "gear"})))
    assert "gear" not in run._known


def test_a_state_of_another_part_is_refused(base_folder: Path, photos: list[Path], tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    fitted(Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC, state_path=state))
    other = SPEC.model_copy(update={"category": "dots"})
    with pytest.raises(InputError, match="another checkpoint or category"):
        prepared(Finetuning(load_folder(base_folder, device="cpu"), photos, other, state_path=state))


def test_augmented_photos_are_learned_from_too(base: Checkpoint, photos: list[Path]) -> None:
    plain = prepared(Finetuning(base, photos, SPEC))
    flipped = prepared(
        Finetuning(base, photos, SPEC.model_copy(update={"augmentations": ("flip", "rotate")}))
    )
    assert len(flipped._trainer._cache) == 6 * len(plain._trainer._cache)


def test_previews_show_held_out_photos(base: Checkpoint, photos: list[Path]) -> None:
    run = prepared(Finetuning(base, photos, SPEC))
    shown = run.previews()
    assert [name for name, _ in shown] == [photo.name for photo in run._held_out]
    assert all(jpeg.startswith(b"\xff\xd8") for _, jpeg in shown)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": None},
        {"steps": 3, "minutes": 1.0},
        {"batch_size": 1},
        {"learning_rate": -1.0},
        {"category": ""},
        {"augmentations": ("shear",)},
        {"check_rate": 0.01, "reject_rate": 0.02},
        {"unknown": 1},
    ],
)
def test_a_contradictory_spec_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FinetuneSpec.model_validate(SPEC.model_dump() | wrong)


def test_where_memory_runs_out_smaller_parts_give_the_same_losses(
    base_folder: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 1e-4 in the first steps; then the optimiser, which works in bfloat16, enlarges the rounding."""
    whole = fitted(Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC))
    run = prepared(Finetuning(load_folder(base_folder, device="cpu"), photos, SPEC))
    loss = run._trainer._loss
    sizes = []

    def short_of_memory(features: list[torch.Tensor], noise: torch.Tensor | None) -> torch.Tensor:
        if len(features[0]) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        sizes.append(len(features[0]))
        return loss(features, noise)

    monkeypatch.setattr(run._trainer, "_loss", short_of_memory)
    parts = list(run.steps())

    assert sizes == [1] * 4 * 8
    assert_same_curve([step.loss for step in parts], [step.loss for step in whole])


def test_two_processes_give_the_loss_curve_of_one(
    base_folder: Path, photos: list[Path], tmp_path: Path
) -> None:
    """Only the order of sums differs: to 1e-4 in the first steps, then as above."""
    curves = []
    for processes in (1, 2):
        out = tmp_path / f"curve{processes}.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", str(processes), "-m", "tests.pipeline.loss_curve"]
        done = subprocess.run(
            [*command, str(base_folder), str(photos[0].parent), str(out)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        curves.append(json.loads(out.read_text(encoding="utf-8")))
    assert len(curves[0]) == 8
    assert_same_curve(*curves)
