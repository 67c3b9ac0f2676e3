"""The training loop: it learns, resumes, stops, draws evenly, and refuses what cannot work."""

import io
import math
from collections import Counter
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from mambaad_demo.errors import DivergedError, InputError, TooFewImagesError
from mambaad_demo.models import Detector
from mambaad_demo.pipeline.training import (
    FeatureCache,
    Step,
    Trainer,
    TrainingConfig,
    cache_features,
    reconstruction_loss,
)
from tests.models.small import assert_same_state, copied_state, random_tensor, small_detector

SIDE = 64
WIDTHS = (24, 40, 112)


def good_image(index: int) -> Tensor:
    """A part with stripes one way or the other, each with its own phase and grain; (3, S, S) in [0, 1]."""
    generator = torch.Generator().manual_seed(index)
    along = torch.arange(SIDE) * (0.4 if index % 2 else 0.2) + 6 * torch.rand(1, generator=generator)
    stripes = (0.5 + 0.3 * along.sin()).expand(3, SIDE, SIDE)
    turned = stripes if index % 2 else stripes.transpose(1, 2)
    return (turned + 0.02 * torch.randn(3, SIDE, SIDE, generator=generator)).clamp(0, 1)


def striped_cache(detector: Detector, count: int = 8) -> FeatureCache:
    return cache_features(detector, [(good_image(index), index % 2) for index in range(count)])


def random_cache(groups: list[int], *, value: float | None = None) -> FeatureCache:
    """Features from nowhere: random, or one value throughout."""
    features = [random_tensor(len(groups), c, s, s) for c, s in zip(WIDTHS, (16, 8, 4), strict=True)]
    return FeatureCache(
        [(f if value is None else torch.full_like(f, value)).half() for f in features], groups
    )


def tiny_detector(**changes: Any) -> Detector:
    return small_detector(input_side=SIDE, **changes)


def prepared(detector: Detector, cache: FeatureCache) -> Detector:
    detector.set_feature_statistics(*cache.channel_statistics())
    return detector


class RecordingCache(FeatureCache):
    """Remembers which images were asked for."""

    drawn: list[list[int]]

    def batch(self, indices: Tensor) -> list[Tensor]:
        self.drawn.append(indices.tolist())
        return super().batch(indices)


def recording_cache(groups: list[int]) -> RecordingCache:
    features = [torch.zeros(len(groups), c, s, s).half() for c, s in zip(WIDTHS, (16, 8, 4), strict=True)]
    cache = RecordingCache([f + random_tensor(*f.shape).half() for f in features], groups)
    cache.drawn = []
    return cache


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Written and read as a stranger's file would be: without pickle."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.fixture(scope="module")
def trained() -> tuple[Detector, list[Step]]:
    """A detector a quarter as wide as the published one, fitted to eight striped parts."""
    detector = tiny_detector(standardize=True, options={"dims": (128, 64, 32, 16)})
    cache = striped_cache(detector)
    prepared(detector, cache)
    steps = list(Trainer(detector, cache, TrainingConfig(steps=60, learning_rate=1e-2)).steps())
    return detector.eval(), steps


def test_the_loss_on_eight_normal_images_falls_to_a_fraction(trained: tuple[Detector, list[Step]]) -> None:
    losses = [step.loss for step in trained[1]]
    assert losses[0] > 6 * sum(losses[-5:]) / 5  # eleven to twenty times over several seeds


def test_a_foreign_patch_lights_up_where_it_was_pasted(trained: tuple[Detector, list[Step]]) -> None:
    detector, _ = trained
    images = torch.stack([good_image(0), good_image(1)])
    spoilt = images.clone()
    spoilt[:, :, 20:36, 28:44] = random_tensor(2, 3, 16, 16)
    with torch.inference_mode():
        clean, marked = detector.anomaly_maps(images), detector.anomaly_maps(spoilt)
    for good, bad in zip(clean, marked, strict=True):
        assert bad.max() > 1.5 * good.max()  # at least 1.8 times over several seeds
        row, column = divmod(int(bad.argmax()), SIDE)
        assert 16 <= row < 40
        assert 24 <= column < 48


def test_each_step_tells_its_number_progress_and_time() -> None:
    steps = list(
        Trainer(tiny_detector(), random_cache([0] * 4), TrainingConfig(steps=4, batch_size=2)).steps()
    )
    assert [step.number for step in steps] == [1, 2, 3, 4]
    assert [step.progress for step in steps] == pytest.approx([0.25, 0.5, 0.75, 1])
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_only_fusion_decoder_and_heads_are_trained() -> None:
    detector = tiny_detector()
    before = copied_state(detector.encoder.state_dict())
    moved = {
        name: p.detach().clone() for name, p in detector.named_parameters() if not name.startswith("encoder.")
    }
    list(Trainer(detector, random_cache([0] * 4), TrainingConfig(steps=2, batch_size=4)).steps())
    assert_same_state(detector.encoder.state_dict(), before)
    after = dict(detector.named_parameters())
    assert [name for name, tensor in moved.items() if torch.equal(after[name], tensor)] == []


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    states = []
    for seed in (1, 1, 2):
        detector = tiny_detector(noise_std=0.05)
        config = TrainingConfig(steps=3, batch_size=4, seed=seed)
        list(Trainer(detector, random_cache([0, 1] * 5), config).steps())
        states.append(detector.state_dict())
    assert_same_state(states[0], states[1])
    assert not torch.equal(states[0]["heads.0.weight"], states[2]["heads.0.weight"])


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_equals_one_that_was_never_interrupted(stop: int) -> None:
    config = TrainingConfig(steps=6, batch_size=4)
    cache = random_cache([0, 1, 1] * 4)
    whole = tiny_detector(noise_std=0.05)
    expected = list(Trainer(whole, cache, config).steps())

    interrupted = tiny_detector(noise_std=0.05)
    trainer = Trainer(interrupted, cache, config)
    first = list(islice(trainer.steps(), stop))
    kept = through_a_file({"trainer": trainer.state_dict(), "detector": interrupted.state_dict()})
    torch.rand(1)  # whatever else draws random numbers in between
    resumed = tiny_detector(noise_std=0.05, seed=9)
    resumed.load_state_dict(kept["detector"])
    trainer = Trainer(resumed, cache, config)
    trainer.load_state_dict(kept["trainer"])
    rest = list(trainer.steps())

    assert [s.number for s in (*first, *rest)] == [s.number for s in expected]
    assert [s.loss for s in (*first, *rest)] == [s.loss for s in expected]
    assert [s.learning_rate for s in (*first, *rest)] == [s.learning_rate for s in expected]
    assert_same_state(resumed.state_dict(), whole.state_dict())


def test_a_run_stops_where_its_steps_are_no_longer_asked_for_and_can_go_on() -> None:
    cache = recording_cache([0] * 6)
    detector = tiny_detector()
    trainer = Trainer(detector, cache, TrainingConfig(steps=5, batch_size=2))
    steps = trainer.steps()
    next(steps)
    assert len(cache.drawn) == 1
    stopped = copied_state(detector.state_dict())
    steps.close()  # type: ignore[attr-defined]
    assert_same_state(detector.state_dict(), stopped)
    assert [step.number for step in trainer.steps()] == [2, 3, 4, 5]


def test_a_run_by_the_clock_ends_when_the_time_is_spent() -> None:
    config = TrainingConfig(minutes=0.2 / 60, batch_size=2)
    steps = list(Trainer(tiny_detector(), random_cache([0] * 4), config).steps())
    assert steps[-1].progress >= 1
    assert all(step.progress < 1 for step in steps[:-1])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_no_numbers_end_the_run_with_the_step_and_rate(value: float) -> None:
    trainer = Trainer(
        tiny_detector(), random_cache([0] * 4, value=value), TrainingConfig(steps=3, batch_size=2)
    )
    with pytest.raises(DivergedError) as caught:
        list(trainer.steps())
    assert caught.value.step in {0, 1}
    assert caught.value.learning_rate > 0


def test_too_few_images_are_refused() -> None:
    with pytest.raises(TooFewImagesError, match="none"):
        cache_features(tiny_detector(), [])
    with pytest.raises(TooFewImagesError, match="3"):
        Trainer(tiny_detector(), random_cache([0] * 3), TrainingConfig(steps=1, batch_size=4))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "steps or minutes"),
        ({"steps": 10, "minutes": 1}, "steps or minutes"),
        ({"steps": 0}, "steps"),
        ({"steps": -1}, "steps"),
        ({"minutes": 0}, "minutes"),
        ({"steps": 10, "batch_size": 0}, "batch"),
        ({"steps": 10, "batch_size": 1}, "batch"),
        ({"steps": 10, "learning_rate": 0.0}, "learning"),
        ({"steps": 10, "learning_rate": math.nan}, "learning"),
        ({"steps": 10, "warmup": -0.1}, "warmup"),
        ({"steps": 10, "warmup": 1.5}, "warmup"),
        ({"steps": 10, "clip_norm": 0.0}, "clip"),
        ({"steps": 10, "weight_decay": -1e-4}, "decay"),
        ({"steps": 10, "mse_weight": 0.0, "cosine_weight": 0.0}, "weight"),
        ({"steps": 10, "mse_weight": -1.0}, "weight"),
        ({"steps": 10, "optimizer": "sgd"}, "muon, adamw"),
        ({"steps": 10, "schedule": "linear"}, "cosine, step"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TrainingConfig(**values)


def test_categories_are_drawn_evenly_whatever_their_size_and_no_image_twice_in_a_batch() -> None:
    groups = [0] * 36 + [1] * 8 + [2] * 4
    cache = recording_cache(groups)
    list(islice(Trainer(tiny_detector(), cache, TrainingConfig(steps=1000, batch_size=6)).steps(), 24))
    assert all(len(set(batch)) == 6 for batch in cache.drawn)
    counts = Counter(groups[index] for batch in cache.drawn for index in batch)
    # 144 draws: a third is 48 with a standard deviation below 5.7; draws by size would give 108, 24 and 12.
    assert all(30 <= counts[group] <= 66 for group in range(3))
    assert len({index for batch in cache.drawn for index in batch if groups[index] == 0}) > 20


@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_the_learning_rate_warms_up_in_a_line_and_falls_in_a_cosine(warmup: float) -> None:
    config = TrainingConfig(steps=20, batch_size=2, learning_rate=1e-3, warmup=warmup)
    steps = list(Trainer(tiny_detector(), random_cache([0] * 4), config).steps())
    rates = [step.learning_rate for step in steps]
    warm = round(20 * warmup)
    assert min(rates) > 0
    assert max(rates) <= 1e-3
    assert rates[warm] == pytest.approx(1e-3, rel=0.05)
    assert rates[:warm] == sorted(rates[:warm])
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    halfway = warm + (20 - warm) // 2
    assert rates[halfway] == pytest.approx(0.5e-3, rel=0.15)
    assert rates[-1] < 0.05e-3


def test_the_published_schedule_stays_and_falls_to_a_tenth_for_the_last_fifth() -> None:
    config = TrainingConfig(steps=20, batch_size=2, learning_rate=1e-3, warmup=0.0, schedule="step")
    steps = list(Trainer(tiny_detector(), random_cache([0] * 4), config).steps())
    assert [step.learning_rate for step in steps] == pytest.approx([1e-3] * 16 + [1e-4] * 4)


def test_adamw_alone_takes_the_whole_learning_rate_for_every_parameter() -> None:
    detector = tiny_detector()
    before = copied_state(dict(detector.named_parameters()))
    config = TrainingConfig(
        steps=1,
        batch_size=4,
        learning_rate=1e-3,
        optimizer="adamw",
        schedule="step",
        warmup=0,
        weight_decay=0,
    )
    list(Trainer(detector, random_cache([0] * 4), config).steps())
    changes = [
        float((parameter - before[name]).detach().abs().max())
        for name, parameter in detector.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 1e-4
    ]
    assert len(changes) > 50
    assert changes == pytest.approx([1e-3] * len(changes), rel=0.01)  # Adam's first step is the rate itself


def test_weights_decay_but_biases_norms_and_scan_parameters_do_not() -> None:
    after = []
    for decay in (0.0, 0.5):
        detector = tiny_detector()
        config = TrainingConfig(steps=1, batch_size=4, weight_decay=decay, learning_rate=1e-2, warmup=0)
        list(Trainer(detector, random_cache([0] * 4), config).steps())
        after.append(dict(detector.named_parameters()))
    decayed = {name for name, parameter in after[0].items() if not torch.equal(parameter, after[1][name])}
    spared = ("a_log", "dt_bias", ".d")
    assert decayed == {
        name
        for name, parameter in after[0].items()
        if parameter.ndim > 1 and not name.startswith("encoder.") and not name.endswith(spared)
    }


def test_the_loss_sums_squared_error_and_cosine_distance_over_the_scales() -> None:
    encoded = [torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[[2.0]], [[0.0]]]])]
    decoded = [torch.tensor([[[[0.0]], [[1.0]]]]), torch.tensor([[[[1.0]], [[0.0]]]])]
    # Scale 1: mean of (1, 1) and cosine 0; scale 2: mean of (1, 0) and cosine 1.
    assert reconstruction_loss(encoded, decoded).item() == pytest.approx(1 + 1 + 0.5)
    assert reconstruction_loss(encoded, decoded, cosine_weight=0).item() == pytest.approx(1.5)
    assert reconstruction_loss(encoded, decoded, mse_weight=5, cosine_weight=0).item() == pytest.approx(7.5)
    assert reconstruction_loss(encoded, encoded).item() == pytest.approx(0, abs=1e-6)


def test_the_cache_holds_the_bare_features_of_every_image_in_turn() -> None:
    detector = tiny_detector(standardize=True)
    images = [good_image(index) for index in range(5)]
    cache = cache_features(detector, zip(images, [0] * 5, strict=True), batch_size=2)
    assert len(cache) == 5
    for kept, bare in zip(
        cache.batch(torch.tensor([4, 1])), detector.encoder(torch.stack(images)), strict=True
    ):
        assert kept.dtype == torch.float32
        # Half precision keeps eleven bits.
        torch.testing.assert_close(kept, bare[[4, 1]], rtol=2**-10, atol=1e-4)


def test_channel_statistics_are_those_of_all_images_and_positions_and_never_zero() -> None:
    features = [random_tensor(6, c, s, s) for c, s in zip(WIDTHS, (16, 8, 4), strict=True)]
    features[0][:, 3] = 0.5
    means, stds = FeatureCache([f.half() for f in features], [0] * 6).channel_statistics()
    for feature, mean, std in zip(features, means, stds, strict=True):
        torch.testing.assert_close(mean, feature.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
        varied = feature.std((0, 2, 3)) > 0
        torch.testing.assert_close(std[varied], feature.std((0, 2, 3))[varied], rtol=1e-2, atol=1e-3)
        assert (std > 0).all()


def test_gradients_that_are_no_numbers_end_the_run_before_they_reach_a_weight() -> None:
    detector = tiny_detector()
    trainer = Trainer(detector, random_cache([0] * 4), TrainingConfig(steps=3, batch_size=2))
    name, parameter = next((n, p) for n, p in detector.named_parameters() if p.requires_grad)
    parameter.register_hook(lambda gradient: gradient * math.nan)
    before = copied_state(dict(detector.named_parameters()))
    with pytest.raises(DivergedError):
        list(trainer.steps())
    assert_same_state(dict(detector.named_parameters()), before)
    assert bool(detector.get_parameter(name).isfinite().all())


@pytest.mark.parametrize("other", ["settings", "images", "network"])
def test_a_run_with_anything_else_than_the_interrupted_one_is_refused(other: str) -> None:
    config = TrainingConfig(steps=6, batch_size=4)
    trainer = Trainer(tiny_detector(), random_cache([0] * 6), config)
    next(trainer.steps())
    state = through_a_file({"trainer": trainer.state_dict()})["trainer"]
    different = Trainer(
        tiny_detector(standardize=other == "network"),
        random_cache([0] * (7 if other == "images" else 6)),
        TrainingConfig(steps=7, batch_size=4) if other == "settings" else config,
    )
    with pytest.raises(InputError, match="resume"):
        different.load_state_dict(state)
