"""Time and memory of a training, from a trial run in a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.errors import DivergedError, InputError, TooFewImagesError
from mambaad_demo.pipeline import augmentation, warmup
from mambaad_demo.pipeline.good_set_estimate import Estimate, estimate
from mambaad_demo.pipeline.good_set_photos import GoodPicture
from mambaad_demo.pipeline.good_set_trial import NO_MEMORY, Failure, WarmUp, WarmUpRequest
from mambaad_demo.pipeline.predictor import Predictor
from tests.conftest import textured

KNOWN = Estimate(
    seconds_to_start=10,
    seconds_per_photo=0.5,
    seconds_per_step=2,
    megabytes=600,
    megabytes_per_photo=0.4,
    megabytes_per_variant=0.3,
    gpu_megabytes=None,
    batch_size=8,
    device="cpu",
)
TRIED = WarmUp(
    seconds_per_step=2,
    seconds_per_photo=0.5,
    seconds_of_work=0,
    megabytes=600,
    gpu_megabytes=None,
    megabytes_per_photo=0.4,
    megabytes_per_variant=0.3,
)


@pytest.fixture
def tiny(tiny_checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        Image.fromarray(textured(seed=seed)).save(path)
    return paths


@pytest.fixture
def interpreter(tmp_path: Path) -> Callable[[str], str]:
    """Stands in for Python: a shell script."""

    def write(script: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o700)
        return str(path)

    return write


def request_for(folder: Path, photos: list[Path], **changes: object) -> WarmUpRequest:
    values = {
        "folder": folder,
        "photos": tuple(photos),
        "batch_size": 2,
        "tiles": 1,
        "device": "cpu",
        "kernel": "torch",
        "precision": "float32",
    }
    return WarmUpRequest.model_validate(values | changes)


def test_minutes_count_the_start_the_photos_and_the_steps():
    assert KNOWN.minutes_for(steps=100, photos=20) == pytest.approx((10 + 10 + 200) / 60)


def test_the_steps_that_fit_into_a_time_take_no_longer():
    steps = KNOWN.steps_in(minutes=5, photos=20)

    assert steps == 140
    assert KNOWN.minutes_for(steps=steps, photos=20) <= 5 < KNOWN.minutes_for(steps=steps + 1, photos=20)
    assert KNOWN.steps_in(minutes=0.1, photos=20) == 0


def test_memory_grows_with_the_photos():
    assert KNOWN.megabytes_for(photos=300) == pytest.approx(720)


def test_pictures_made_of_three_quarters_of_the_photos_take_time_and_memory_too():
    assert KNOWN.seconds_to_read(photos=20, variants=7) == pytest.approx(10 + (20 + 15 * 7) * 0.5)
    assert KNOWN.minutes_for(steps=100, photos=20, variants=7) == pytest.approx((72.5 + 200) / 60)
    assert KNOWN.steps_in(minutes=5, photos=20, variants=7) == 113
    assert KNOWN.megabytes_for(photos=300, variants=2) == pytest.approx(720 + 225 * 2 * 0.3)
    assert "798 MB" in KNOWN.words(steps=100, photos=100, variants=7)


@pytest.mark.parametrize(
    "chosen",
    [(), ("flip",), ("rotate",), ("brightness",), ("flip", "rotate", "brightness"), ("flip", "flip")],
)
def test_as_many_variants_are_counted_as_are_made(chosen):
    made = list(augmentation.variants(textured(seed=0) / np.float32(255), chosen))
    assert augmentation.variant_count(chosen) == len(made)


def test_an_estimate_is_said_in_words_and_in_json():
    assert KNOWN.words(steps=100, photos=20) == (
        "About 4 min for 100 steps with 20 photos, at 2 s a step on cpu. It takes about 608 MB of memory."
    )
    assert Estimate(**json.loads(json.dumps(KNOWN.to_json()))) == KNOWN


def test_a_trial_in_a_process_of_its_own_gives_figures(tiny, photos):
    pictures = [GoodPicture(name=path.name, content=path) for path in photos[1:]]
    pictures.append(GoodPicture(name="in a zip", content=photos[0].read_bytes))
    pictures.append(GoodPicture(name="broken", content=b""))

    found = estimate(tiny, pictures, batch_size=2)

    assert found.seconds_per_step > 0
    assert found.seconds_per_photo > 0
    assert found.seconds_to_start > 0
    assert 50 < found.megabytes < 5000  # of torch alone some hundreds
    assert found.gpu_megabytes is None
    assert (found.device, found.batch_size) == ("cpu", 2)
    sides = [64 // stride for stride in (4, 8, 16)]
    features = sum(c * side**2 for c, side in zip(tiny.runner.detector.encoder.channels, sides, strict=True))
    assert found.megabytes_per_variant == pytest.approx(2 * features / 1e6)  # half precision
    pixels = 2 * 64 * 64 * 3  # the canvas and the tile for the self-test, one byte a color
    assert found.megabytes_per_photo == pytest.approx((2 * features + pixels) / 1e6)


def test_tiles_multiply_the_memory_of_a_photo(tiny_checkpoint, photos):
    one, three = (
        warmup.warm_up(request_for(tiny_checkpoint, photos, tiles=tiles)).megabytes_per_variant
        for tiles in (1, 3)
    )

    assert three == pytest.approx(9 * one)  # 96 × 80 pixels: three by three


def test_photos_none_of_which_can_be_read_are_an_error_in_words(tiny_checkpoint, tmp_path):
    (tmp_path / "note.png").write_text("no picture", encoding="utf-8")

    said = warmup.answer(request_for(tiny_checkpoint, [tmp_path / "note.png"]).model_dump_json())

    assert isinstance(said, Failure)
    assert "None of the photos could be read" in said.error


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -KILL $$", "needs more memory"),
        ("exit 3", "status 3"),
        ("exec sleep 30", "more than 0 s"),
        ("""echo '{"error": "The weights are broken. Fetch them again."}'""", "Fetch them again"),
    ],
    ids=["killed", "crashed", "slow", "failed"],
)
def test_a_trial_without_an_answer_is_an_error_that_says_what_to_do(tiny, photos, interpreter, script, words):
    with pytest.raises(InputError, match=words) as caught:
        estimate(
            tiny,
            [GoodPicture(name="a", content=photos[0])],
            python=interpreter(script),
            longest=0.4 if "sleep" in script else 60,
        )

    assert str(photos[0].parent) not in str(caught.value)


def test_an_interpreter_that_is_not_there_is_an_error_in_words(tiny, photos, tmp_path):
    with pytest.raises(InputError, match="could be started"):
        estimate(tiny, [GoodPicture(name="a", content=photos[0])], python=str(tmp_path / "none"))


def test_a_few_photos_are_tried_spread_over_the_set(tiny, photos, interpreter, tmp_path):
    asked = tmp_path / "asked.json"
    script = f"cat > '{asked}'; echo; echo noise; echo '{TRIED.model_dump_json()}'"
    pictures = [GoodPicture(name=str(i), content=tmp_path / f"{i}.png") for i in range(100)]

    found = estimate(tiny, pictures, python=interpreter(script), batch_size=4)

    request = WarmUpRequest.model_validate_json(asked.read_bytes())
    assert [path.stem for path in request.photos] == ["0", "17", "34", "51", "68", "85"]
    assert (request.batch_size, request.kernel, request.device) == (4, "torch", "cpu")
    assert found.seconds_per_step == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), NO_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"), NO_MEMORY),
        (TooFewImagesError("None."), "None."),
        (DivergedError(step=1, learning_rate=0.1), "smaller `--learning-rate`"),
    ],
    ids=["memory", "torch's memory", "photos", "diverged"],
)
def test_what_a_person_can_do_something_about_is_answered_in_words(tiny_checkpoint, photos, error, words):
    def fail(request: WarmUpRequest) -> WarmUp:
        raise error

    said = warmup.answer(request_for(tiny_checkpoint, photos).model_dump_json(), run=fail)

    assert isinstance(said, Failure)
    assert words in said.error


def test_a_bug_in_a_trial_stays_a_bug(tiny_checkpoint, photos):
    def fail(request: WarmUpRequest) -> WarmUp:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        warmup.answer(request_for(tiny_checkpoint, photos).model_dump_json(), run=fail)


def test_memory_that_was_given_back_stays_in_the_peak():
    held = np.ones(300_000_000, np.uint8)
    with_it = warmup.peak_bytes()
    del held

    assert warmup.peak_bytes() > 0.95 * with_it  # the kernel counts in lumps
    assert with_it > 300_000_000
