"""Published state dicts in our names: what moves, what is ignored, what is refused."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mambaad_demo.errors import CheckpointMismatchError
from mambaad_demo.models import build_fusion
from mambaad_demo.models.state_dicts import Part, from_published
from tests.models.slow_fusion import fuse
from tests.models.small import random_tensor

PREFIXES = {"decoder": "net_s.", "fusion": "mff_oce."}
BLOCK = "layers_up.0.blocks.0.smm_blocks.0.self_attention"


@pytest.fixture(scope="module")
def published(golden: Path) -> dict[str, Tensor]:
    """All keys of a released checkpoint; one number repeated, so that it costs no memory."""
    keys = json.loads((golden / "official_mambaad_state_dict.json").read_text())["keys"]
    return {
        name: torch.zeros((), dtype=getattr(torch, kind)).expand(shape)
        for name, (shape, kind) in keys.items()
    }


def part_of(published: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = PREFIXES[part]
    return {name.removeprefix(prefix): t for name, t in published.items() if name.startswith(prefix)}


def published_fusion(
    *, inputs: tuple[int, int, int], dims: tuple[int, int, int], layers: int
) -> dict[str, Tensor]:
    """Random numbers under the published names of a fusion block."""
    generator = torch.Generator().manual_seed(0)
    f1, f2, f3 = inputs
    out, wide, narrow = dims
    mid = out // 4
    convs = {
        ("conv1", "bn1"): (narrow, f1, 3),
        ("conv21", "bn21"): (narrow, f2, 1),
        ("conv2", "bn2"): (wide, narrow, 3),
        ("conv31", "bn31"): (wide, f3, 1),
        ("convf", "bnf"): (wide, wide, 1),
        ("bn_layer.0.downsample.0", "bn_layer.0.downsample.1"): (out, wide, 1),
    }
    for index in range(layers):
        block = f"bn_layer.{index}"
        convs[f"{block}.conv1", f"{block}.bn1"] = (mid, out if index else wide, 1)
        convs[f"{block}.conv2", f"{block}.bn2"] = (mid, mid, 3)
        convs[f"{block}.conv3", f"{block}.bn3"] = (out, mid, 1)
    state: dict[str, Tensor] = {}
    for (conv, norm), (to, come, side) in convs.items():
        state[f"{conv}.weight"] = torch.randn(to, come, side, side, generator=generator) / (come**0.5 * side)
        if conv in {"conv21", "conv31", "convf"}:
            state[f"{conv}.bias"] = torch.randn(to, generator=generator)
        for name in ("weight", "bias", "running_mean"):
            state[f"{norm}.{name}"] = torch.randn(to, generator=generator)
        state[f"{norm}.running_var"] = 0.5 + torch.rand(to, generator=generator)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    return state


@pytest.mark.parametrize("layers", [1, 3])
def test_a_published_fusion_computes_the_formula_of_the_specification(layers: int) -> None:
    state = published_fusion(inputs=(8, 12, 20), dims=(64, 32, 16), layers=layers)
    features = [random_tensor(3, channels, side, side) for channels, side in ((8, 32), (12, 16), (20, 8))]
    fusion = build_fusion(in_channels=(8, 12, 20), dims=(64, 32, 16, 8), block_layers=layers).eval()
    fusion.load_state_dict(from_published("mambaad", state, part="fusion"), strict=True)
    torch.testing.assert_close(fusion(features), fuse(state, features), rtol=1e-5, atol=1e-5)


def test_scan_parameters_move_to_the_channel_last_layout_with_their_numbers() -> None:
    k, d, n, r = 2, 128, 16, 4
    generator = torch.Generator().manual_seed(0)
    theirs = {
        f"{BLOCK}.A_logs": torch.randn(k * d, n, generator=generator),
        f"{BLOCK}.Ds": torch.randn(k * d, generator=generator),
        f"{BLOCK}.dt_projs_weight": torch.randn(k, d, r, generator=generator),
        f"{BLOCK}.dt_projs_bias": torch.randn(k, d, generator=generator),
        f"{BLOCK}.x_proj_weight": torch.randn(k, r + 2 * n, d, generator=generator),
    }
    ours = from_published("mambaad", theirs)
    names = {name.rsplit(".", 1)[1]: tensor for name, tensor in ours.items()}
    assert set(names) == {"a_log", "d", "dt_weight", "dt_bias", "x_proj"}
    decays = theirs[f"{BLOCK}.A_logs"]
    for direction, channel in ((0, 0), (0, 127), (1, 0), (1, 63)):
        assert torch.equal(names["a_log"][direction, :, channel], decays[direction * d + channel])
        assert names["d"][direction, channel] == theirs[f"{BLOCK}.Ds"][direction * d + channel]
        step_weights = theirs[f"{BLOCK}.dt_projs_weight"][direction, channel]
        assert torch.equal(names["dt_weight"][direction, :, channel], step_weights)
    assert torch.equal(names["dt_bias"], theirs[f"{BLOCK}.dt_projs_bias"])
    assert torch.equal(names["x_proj"], theirs[f"{BLOCK}.x_proj_weight"])


@pytest.mark.parametrize("part", ["decoder", "fusion"])
def test_a_part_may_come_alone_with_or_without_its_prefix_or_inside_the_whole(
    published: dict[str, Tensor], part: Part
) -> None:
    alone = part_of(published, part)
    expected = from_published("mambaad", alone, part)
    assert expected
    for state in (
        published,
        {PREFIXES[part] + name: tensor for name, tensor in alone.items()},
        {f"module.{name}": tensor for name, tensor in published.items()},
        {f"module.{name}": tensor for name, tensor in alone.items()},
    ):
        assert from_published("mambaad", state, part).keys() == expected.keys()


def test_index_tables_are_ignored(published: dict[str, Tensor]) -> None:
    tables = {name for name in published if ".scans." in name}
    assert tables
    ours = from_published("mambaad", published, part="detector")
    without = {name: tensor for name, tensor in published.items() if name not in tables}
    assert not any("scans" in name for name in ours)
    assert len(ours) == len(without)
    assert from_published("mambaad", without, part="detector").keys() == ours.keys()


@pytest.mark.parametrize("missing", ["net_t.", "mff_oce.", "net_s."])
def test_a_detector_without_one_of_its_parts_is_refused(published: dict[str, Tensor], missing: str) -> None:
    rest = {name: tensor for name, tensor in published.items() if not name.startswith(missing)}
    with pytest.raises(CheckpointMismatchError, match=missing) as caught:
        from_published("mambaad", rest, part="detector")
    assert caught.value.decoder == "mambaad"


@pytest.mark.parametrize("part", ["decoder", "fusion", "detector"])
@pytest.mark.parametrize(
    "foreign",
    [{}, {"layer1.0.conv1.weight": torch.zeros(1)}, {"state_dict": torch.zeros(1)}],
    ids=["empty", "another network", "nested"],
)
def test_keys_of_another_kind_of_network_are_refused(foreign: dict[str, Tensor], part: Part) -> None:
    with pytest.raises(CheckpointMismatchError) as caught:
        from_published("mambaad", foreign, part)
    assert caught.value.decoder == "mambaad"


def test_a_decoder_without_its_projections_is_refused(published: dict[str, Tensor]) -> None:
    state = part_of(published, "decoder")
    rest = {name: tensor for name, tensor in state.items() if not name.endswith("x_proj_weight")}
    with pytest.raises(CheckpointMismatchError):
        from_published("mambaad", rest)


def test_an_unknown_decoder_or_part_is_refused(published: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="resnet"):
        from_published("resnet", published)
    with pytest.raises(ValueError, match="head"):
        from_published("mambaad", published, part="head")  # type: ignore[arg-type]


def test_translating_leaves_the_published_dict_as_it_was(published: dict[str, Tensor]) -> None:
    names, shapes = list(published), [tensor.shape for tensor in published.values()]
    from_published("mambaad", published, part="detector")
    assert (list(published), [tensor.shape for tensor in published.values()]) == (names, shapes)
