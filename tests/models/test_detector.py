"""The detector: what it takes and gives, what trains and what stays frozen, and its config."""

import json
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from torch import Tensor

from mambaad_demo.errors import KernelUnavailableError
from mambaad_demo.models import Detector, DetectorConfig, build_detector
from mambaad_demo.ops.anomaly_map import anomaly_map
from tests.models.small import (
    OPTIONS,
    assert_same_state,
    copied_state,
    random_tensor,
    small_config,
    small_detector,
)

WIDTHS = (24, 40, 112)


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Shared by the tests that change nothing."""
    return small_detector()


def fused_in_training(detector: Detector, features: list[Tensor], *, seed: int) -> Tensor:
    """What the decoder is given during one training pass."""
    seen: list[Tensor] = []
    handle = detector.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    torch.manual_seed(seed)
    detector.train()
    detector.reconstruct(features)
    detector.eval()
    handle.remove()
    return seen[0]


def train_once(detector: Detector, images: Tensor) -> None:
    detector.train()
    optimizer = torch.optim.AdamW(detector.trainable_parameters(), lr=1e-2)
    encoded, decoded = detector(images)
    sum((e - d).square().mean() for e, d in zip(encoded, decoded, strict=True)).backward()
    optimizer.step()
    detector.eval()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("side", [64, 128, 256])
def test_targets_reconstructions_and_maps_have_the_shapes_of_their_strides(side: int, batch: int) -> None:
    detector = small_detector(input_side=side)
    assert detector.side == side
    images = random_tensor(batch, 3, side, side)
    with torch.inference_mode():
        encoded, decoded = detector(images)
        maps = detector.anomaly_maps(images)
    expected = [
        (batch, c, side // stride, side // stride) for c, stride in zip(WIDTHS, (4, 8, 16), strict=True)
    ]
    assert [tuple(e.shape) for e in encoded] == [tuple(d.shape) for d in decoded] == expected
    assert maps.shape == (batch, side, side)


def test_one_pass_is_encoding_followed_by_reconstruction(detector: Detector) -> None:
    images = random_tensor(2, 3, 128, 128)
    with torch.inference_mode():
        encoded, decoded = detector(images)
        features = detector.encode(images)
        rebuilt = detector.reconstruct(features)
    assert all(torch.equal(a, b) for a, b in zip([*encoded, *decoded], [*features, *rebuilt], strict=True))


def test_two_evaluations_give_the_same_bits_even_with_noise_configured() -> None:
    detector, images = small_detector(noise_std=0.5), random_tensor(2, 3, 128, 128)
    with torch.inference_mode():
        assert torch.equal(detector.anomaly_maps(images), detector.anomaly_maps(images))


@pytest.mark.parametrize(("sigma", "side"), [(4.0, 128), (4.0, 256), (0.0, 128)])
def test_maps_are_cosine_distances_smoothed_in_proportion_to_the_side(sigma: float, side: int) -> None:
    detector = small_detector(input_side=side, sigma=sigma)
    with torch.inference_mode():
        encoded, decoded = detector(random_tensor(1, 3, side, side))
        maps = detector.maps_from_features(encoded)
    expected = anomaly_map(encoded, decoded, size=side, sigma=sigma * side / 256)
    torch.testing.assert_close(maps, expected, rtol=0, atol=1e-5)
    assert 0 <= maps.min() < maps.max() <= 2


def test_an_embedding_has_two_halves_of_unit_length_that_forget_position_and_brightness(
    detector: Detector,
) -> None:
    features = [random_tensor(2, c, s, s, seed=c) for c, s in zip(WIDTHS, (32, 16, 8), strict=True)]
    embedding = detector.embed(features)
    assert embedding.shape == (2, 40 + 112)
    for half in embedding.split([40, 112], dim=1):
        torch.testing.assert_close(half.norm(dim=1), torch.ones(2))
    moved = detector.embed([3 * feature.flip(2).transpose(2, 3) for feature in features])
    torch.testing.assert_close(moved, embedding, rtol=0, atol=1e-5)


def test_gradients_reach_every_trained_parameter_and_no_frozen_one() -> None:
    detector = small_detector()
    encoded, decoded = detector(random_tensor(2, 3, 128, 128))
    sum((e - d).square().mean() for e, d in zip(encoded, decoded, strict=True)).backward()
    trained = {id(parameter) for parameter in detector.trainable_parameters()}
    for name, parameter in detector.named_parameters():
        frozen = name.startswith("encoder.")
        assert (id(parameter) in trained) == (parameter.grad is not None) == (not frozen), name
        # A bias in front of a norm without statistics has no effect, hence no gradient.
        if not frozen and not name.endswith("conv.bias"):
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_one_optimiser_step_moves_the_rest_and_leaves_every_bit_of_the_encoder() -> None:
    detector = small_detector()
    before = copied_state(detector.state_dict())
    train_once(detector, random_tensor(4, 3, 128, 128))
    after = detector.state_dict()
    frozen = {name for name in after if name.startswith("encoder.")}
    assert any(name.endswith("running_mean") for name in frozen)
    assert_same_state({name: after[name] for name in frozen}, {name: before[name] for name in frozen})
    parameters = {name for name, _ in detector.named_parameters()} - frozen
    assert [name for name in parameters if torch.equal(after[name], before[name])] == []
    statistics = {name for name in after if name.endswith(("running_mean", "running_var"))} - frozen
    assert [name for name in statistics if torch.equal(after[name], before[name])] == []


def test_switching_to_training_leaves_the_encoder_in_eval_mode() -> None:
    detector = small_detector().train()
    assert detector.fusion.training
    assert detector.decoder.training
    assert not any(module.training for module in detector.encoder.modules())


def test_noise_has_the_stated_size_and_is_added_to_the_fused_map_in_training_only() -> None:
    quiet, noisy = small_detector(), small_detector(noise_std=0.05)
    noisy.load_state_dict(quiet.state_dict())
    features = quiet.encode(random_tensor(8, 3, 128, 128))
    with torch.inference_mode():
        for clean, other in zip(quiet.reconstruct(features), noisy.reconstruct(features), strict=True):
            assert torch.equal(clean, other)
        clean = fused_in_training(quiet, features, seed=0)
        assert torch.equal(fused_in_training(quiet, features, seed=1), clean)
        noise = fused_in_training(noisy, features, seed=1) - clean
        other = fused_in_training(noisy, features, seed=2) - clean
    # 8192 draws: the standard error of their spread is 0.0004, of their mean 0.0006.
    assert noise.std().item() == pytest.approx(0.05, abs=0.002)
    assert abs(noise.mean().item()) < 0.003
    assert abs(torch.corrcoef(torch.stack([noise.flatten(), other.flatten()]))[0, 1].item()) < 0.05


def test_bare_features_are_the_targets_unless_standardised(detector: Detector) -> None:
    images = random_tensor(2, 3, 128, 128)
    for target, bare in zip(detector.encode(images), detector.encoder(images), strict=True):
        assert torch.equal(target, bare)


def test_standardised_targets_have_the_stored_statistics_taken_out_and_travel_with_the_weights() -> None:
    detector, images = small_detector(standardize=True), random_tensor(2, 3, 128, 128)
    bare = detector.encoder(images)
    means = [feature.mean((0, 2, 3)) for feature in bare]
    stds = [feature.std((0, 2, 3)) for feature in bare]
    detector.set_feature_statistics(means, stds)
    copy = small_detector(standardize=True, seed=1)
    copy.load_state_dict(detector.state_dict(), strict=True)
    for target, again, feature, mean, std in zip(
        detector.encode(images), copy.encode(images), bare, means, stds, strict=True
    ):
        expected = (feature - mean[:, None, None]) / std[:, None, None]
        torch.testing.assert_close(target, expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(target, again)


def test_where_widths_agree_there_is_nothing_between_decoder_and_target() -> None:
    agreeing = build_detector(DetectorConfig(encoder="resnet34.bt_in1k", encoder_weights="random"))
    assert not any(name.startswith("heads") for name in agreeing.state_dict())
    assert sum(parameter.numel() for parameter in agreeing.parameters()) == 25_615_232  # published: 25.615 M
    heads = {n: tuple(t.shape) for n, t in small_detector().state_dict().items() if n.startswith("heads")}
    assert heads == {
        **{
            f"heads.{i}.weight": (out, c, 1, 1)
            for i, (out, c) in enumerate(zip(WIDTHS, (8, 16, 32), strict=True))
        },
        **{f"heads.{i}.bias": (out,) for i, out in enumerate(WIDTHS)},
    }


def test_weights_hold_parameters_and_norm_statistics_but_no_index_tables(detector: Detector) -> None:
    state = detector.state_dict()
    assert {name.split(".")[0] for name in state} == {"encoder", "fusion", "decoder", "heads"}
    integers = {name for name, tensor in state.items() if not tensor.is_floating_point()}
    assert all(name.endswith("num_batches_tracked") for name in integers)
    assert not any(
        name.startswith("decoder.") for name in state.keys() - dict(detector.named_parameters()).keys()
    )


def test_weights_copied_to_a_second_detector_give_the_same_maps(detector: Detector) -> None:
    copy = small_detector(seed=1)
    copy.load_state_dict(detector.state_dict(), strict=True)
    images = random_tensor(1, 3, 128, 128)
    with torch.inference_mode():
        assert torch.equal(copy.anomaly_maps(images), detector.anomaly_maps(images))


def test_the_kernel_is_chosen_by_name_and_changes_the_result_by_rounding_only() -> None:
    detector, images = small_detector(), random_tensor(1, 3, 128, 128)
    assert (detector.kernel, detector.resolved_kernel("cpu")) == ("auto", "numba")
    maps = {}
    for kernel in ("torch", "numba"):
        detector.kernel = kernel
        assert (detector.kernel, detector.resolved_kernel("cpu")) == (kernel, kernel)
        with torch.inference_mode():
            maps[kernel] = detector.anomaly_maps(images)
    torch.testing.assert_close(maps["torch"], maps["numba"], rtol=0, atol=1e-5)


def test_a_kernel_that_cannot_run_here_is_refused_and_not_replaced() -> None:
    detector = small_detector()
    detector.kernel = "mamba_ssm"
    with pytest.raises(KernelUnavailableError, match="mamba_ssm"):
        detector.anomaly_maps(random_tensor(1, 3, 128, 128))


@pytest.mark.parametrize("side", [0, 32, 100, 127, 240, -64])
def test_an_input_side_that_is_no_multiple_of_32_or_too_small_is_refused(side: int) -> None:
    with pytest.raises(ValueError, match=str(side)):
        build_detector(small_config(input_side=side, options={"path": "sweep"}))


def test_a_side_whose_maps_hilbert_cannot_walk_is_refused_and_sweep_takes_it() -> None:
    with pytest.raises(ValueError, match="power of two"):
        small_detector(input_side=96)
    with torch.inference_mode():
        maps = small_detector(input_side=96, options={"path": "sweep"}).anomaly_maps(
            random_tensor(1, 3, 96, 96)
        )
    assert maps.shape == (1, 96, 96)


def test_a_config_survives_json() -> None:
    config = small_config(noise_std=0.05, standardize=True, options={"path": "scan"})
    again = DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert json.dumps(again.to_dict()) == json.dumps(config.to_dict())
    assert set(config.to_dict()) == {field.name for field in fields(DetectorConfig)}
    build_detector(again)


def test_a_config_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        small_config().input_side = 64  # type: ignore[misc]


def test_a_config_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="colour"):
        DetectorConfig.from_dict({**small_config().to_dict(), "colour": "blue"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise_std", -0.1),
        ("sigma", -1.0),
        ("fusion_blocks", 0),
        ("encoder_weights", "pakage"),
        ("decoder", "nonsense"),
    ],
)
def test_a_config_refuses_values_that_make_no_detector(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name if name != "decoder" else "nonsense"):
        build_detector(DetectorConfig.from_dict({**small_config().to_dict(), name: value}))


def test_a_detector_whose_encoder_comes_with_the_checkpoint_needs_no_weights_beforehand() -> None:
    source = small_detector(seed=3)
    config = DetectorConfig(decoder_options=OPTIONS, encoder_weights="checkpoint", input_side=128)
    detector = build_detector(config, load_encoder_weights=False)
    detector.load_state_dict(source.state_dict(), strict=True)
    images = random_tensor(1, 3, 128, 128)
    with torch.inference_mode():
        assert torch.equal(detector.eval().anomaly_maps(images), source.anomaly_maps(images))


def test_the_anchor_appends_a_constant_channel_to_what_is_compared() -> None:
    plain, anchored = small_detector(), small_detector(anchor=0.5)
    anchored.load_state_dict(plain.state_dict())
    images = random_tensor(2, 3, plain.side, plain.side)
    with torch.inference_mode():
        encoded, decoded = plain(images)
        maps = anchored.anomaly_maps(images)
        compared = [
            [torch.cat([f, torch.full_like(f[:, :1], 0.5 * f.shape[1] ** 0.5)], dim=1) for f in features]
            for features in (encoded, decoded)
        ]
        sigma = plain.config.sigma * plain.side / 256
        torch.testing.assert_close(maps, anomaly_map(*compared, plain.side, sigma))
        assert not torch.allclose(maps, plain.anomaly_maps(images))


def test_a_negative_anchor_is_refused() -> None:
    with pytest.raises(ValueError, match="anchor"):
        DetectorConfig(anchor=-1.0)


def test_wavelets_need_an_even_side_and_say_so_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match=r"mambaad_v2.*multiple of 64, got 96"):
        DetectorConfig(decoder="mambaad_v2", decoder_options={"path": "sweep"}, input_side=96)
