"""The anomaly map against the published code, against SciPy and against what a distance must obey."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from mambaad_demo.ops.anomaly_map import anomaly_map, gaussian_smooth
from tests.reference import anomaly_map as reference

few = settings(max_examples=20, deadline=None, derandomize=True)
seeds = st.integers(0, 2**16)
rounding = 1e-6  # float32 features of order one


def random_features(seed: int, *, batch: int = 2, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, 4, 8, 8), (batch, 6, 4, 4), (batch, 8, 2, 2)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def recorded_features(file: Path, part: str) -> list[Tensor]:
    with np.load(file) as recording:
        return [torch.from_numpy(recording[f"{part}.{scale}"]) for scale in range(3)]


@pytest.mark.golden
def test_map_equals_three_times_the_recorded_map_of_the_published_code(golden):
    # Derived from the full recording: its first image, the two vectors of each pixel turned into the plane
    # they span (2 channels, same lengths and angle), and every third row and column of the map.
    file = golden / "anomaly_map_ader.npz"
    encoded, decoded = (recorded_features(file, part) for part in ("encoder", "decoder"))
    maps = anomaly_map(encoded, decoded, size=256, sigma=4)
    with np.load(file) as recording:
        np.testing.assert_allclose(maps[0, ::3, ::3], 3 * recording["anomaly_map"], rtol=0, atol=rounding)


@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_map_agrees_with_the_slow_reference_in_float64(sigma):
    encoded, decoded = random_features(0, dtype=torch.float64), random_features(1, dtype=torch.float64)
    expected = reference.anomaly_map(
        [e.numpy() for e in encoded], [d.numpy() for d in decoded], size=(12, 17), sigma=sigma
    )
    maps = anomaly_map(encoded, decoded, size=(12, 17), sigma=sigma)
    assert maps.dtype == torch.float64
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-12)


@few
@given(seed=seeds)
def test_equal_features_give_a_map_of_zeros(seed):
    features = random_features(seed)
    assert anomaly_map(features, features, size=16).abs().max() < rounding


@few
@given(seed=seeds)
def test_map_ignores_the_length_of_each_feature_vector(seed):
    encoded, decoded = random_features(seed), random_features(seed + 1)
    generator = torch.Generator().manual_seed(seed + 2)
    lengths = [10 ** torch.empty_like(d[:, :1]).uniform_(-2, 2, generator=generator) for d in decoded]
    scaled = [d * length for d, length in zip(decoded, lengths, strict=True)]
    difference = anomaly_map(encoded, scaled, size=16) - anomaly_map(encoded, decoded, size=16)
    assert difference.abs().max() < rounding


@few
@given(seed=seeds, sigma=st.floats(0, 6))
def test_map_stays_between_zero_and_two(seed, sigma):
    maps = anomaly_map(random_features(seed), random_features(seed + 1), size=16, sigma=sigma)
    assert maps.min() >= 0
    assert maps.max() <= 2 + rounding


def test_opposite_features_reach_two():
    features = random_features(0)
    maps = anomaly_map(features, [-f for f in features], size=16)
    assert torch.allclose(maps, torch.full((2, 16, 16), 2.0), atol=rounding)


def test_each_scale_counts_the_same():
    first, second, third = random_features(0)
    one_turned = anomaly_map([first, second, third], [first, -second, third], size=16, sigma=0)
    assert torch.allclose(one_turned, torch.full((2, 16, 16), 2 / 3), atol=rounding)


def test_maximum_lies_where_the_decoder_failed():
    encoded = random_features(0, batch=1)
    decoded = [e.clone() for e in encoded]
    decoded[0][:, :, 7, 0] *= -1
    maps = anomaly_map(encoded, decoded, size=(32, 64), sigma=1)
    assert maps.shape == (1, 32, 64)
    assert divmod(int(maps[0].argmax()), 64) == (31, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 2), (7, 40), (33, 16), (64, 64)])
@pytest.mark.parametrize("sigma", [0.1, 1, 2.6, 4])
def test_smoothing_equals_scipy_also_where_the_kernel_is_larger_than_the_map(shape, sigma):
    maps = np.random.default_rng(0).random((2, *shape))
    expected = np.stack([ndimage.gaussian_filter(one, sigma) for one in maps])
    np.testing.assert_allclose(gaussian_smooth(torch.from_numpy(maps), sigma), expected, rtol=0, atol=1e-14)


def test_smoothing_in_float32_stays_within_its_rounding_of_scipy():
    maps = np.random.default_rng(0).random((1, 256, 256), dtype=np.float32)
    expected = ndimage.gaussian_filter(maps[0], 4)
    np.testing.assert_allclose(gaussian_smooth(torch.from_numpy(maps), 4)[0], expected, rtol=0, atol=rounding)


def test_no_smoothing_returns_the_values_unchanged():
    maps = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(gaussian_smooth(maps, 0), maps)


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_impossible_sigma_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma is"):
        gaussian_smooth(torch.zeros(1, 4, 4), sigma)


def test_inputs_are_left_untouched():
    encoded, decoded = random_features(0), random_features(1)
    anomaly_map(encoded, decoded, size=16)
    for before, after in zip(random_features(0) + random_features(1), encoded + decoded, strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_but_computed_wider(dtype):
    encoded, decoded = random_features(0, dtype=dtype), random_features(1, dtype=dtype)
    maps = anomaly_map(encoded, decoded, size=16)
    wide = anomaly_map([e.float() for e in encoded], [d.float() for d in decoded], size=16)
    assert maps.dtype == dtype
    assert torch.equal(maps, wide.to(dtype))


def test_nothing_is_copied_to_the_host():
    # A tensor on the "meta" device has no values: reading one back, or mixing in a host tensor, raises.
    encoded, decoded = ([f.to("meta") for f in random_features(seed)] for seed in (0, 1))
    maps = anomaly_map(encoded, decoded, size=(16, 24))
    assert maps.device.type == "meta"
    assert maps.shape == (2, 16, 24)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_accelerator_and_cpu_agree():
    encoded, decoded = random_features(0), random_features(1)
    expected = anomaly_map(encoded, decoded, size=64)
    maps = anomaly_map([e.cuda() for e in encoded], [d.cuda() for d in decoded], size=64)
    assert maps.is_cuda
    assert torch.allclose(maps.cpu(), expected, atol=rounding)


def test_scales_that_do_not_pair_up_are_refused():
    features = random_features(0)
    with pytest.raises(ValueError, match="3 encoder and 2 decoder scales"):
        anomaly_map(features, features[:2], size=16)
    with pytest.raises(ValueError, match="0 encoder and 0 decoder scales"):
        anomaly_map([], [], size=16)


def test_features_of_different_shapes_are_refused_instead_of_broadcast():
    features = random_features(0)
    with pytest.raises(ValueError, match=r"\(2, 4, 8, 8\).*\(1, 4, 8, 8\)"):
        anomaly_map(features, [f[:1] for f in features], size=16)
