"""Encoder, fusion and decoder as one network: images in, encoder features and their reconstruction out.

Legend: `B` batch · `C` channels · `S` side of the square model input · `E` length of an embedding.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaad_demo.models.blocks import scan_blocks
from mambaad_demo.models.encoder import PACKAGED_ENCODER, Encoder, WeightsSource, build_encoder
from mambaad_demo.models.fusion import Fusion
from mambaad_demo.models.registry import DECODERS, build_decoder
from mambaad_demo.ops.anomaly_map import anomaly_map
from mambaad_demo.ops.scan_order import scan_order

_COARSEST_STRIDE = 32
_SMALLEST_SIDE = 64  # below, the coarsest map is a single cell and instance norm has nothing to normalise
_SMOOTHING_SIDE = 256  # the side at which `sigma` is stated


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """Everything needed to build the network again; stored beside the weights."""

    decoder: str = "mambaad"
    """A name of `registry.DECODERS`."""
    decoder_options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the decoder class."""
    encoder: str = PACKAGED_ENCODER
    """A timm model name with feature maps."""
    encoder_weights: WeightsSource = "package"
    """Where the encoder's weights come from."""
    fusion_blocks: int = 3
    """Residual blocks at the end of the fusion."""
    input_side: int = 256
    """Side of the square model input in pixels, a multiple of 32 that the scan path allows."""
    standardize: bool = False
    """Shift and scale each encoder channel to mean 0, variance 1 over the training images."""
    anchor: float = 0.0
    """Length, in units of √C, of a constant channel beside targets and reconstructions when they meet, which
    calms the noisy directions of short features; 0 compares plain directions."""
    noise_std: float = 0.0
    """Standard deviation of Gaussian noise on the fused map while training."""
    sigma: float = 4.0
    """Smoothing of the anomaly map in pixels of a 256-pixel input; scaled with the input side."""

    def __post_init__(self) -> None:
        if not isinstance(self.decoder_options, Mapping):
            raise TypeError(f"decoder_options must map names to values, got {self.decoder_options!r}.")
        if self.input_side % _COARSEST_STRIDE or self.input_side < _SMALLEST_SIDE:
            raise ValueError(
                f"The input side must be a multiple of {_COARSEST_STRIDE}, at least {_SMALLEST_SIDE}, "
                f"got {self.input_side}."
            )
        if min(self.anchor, self.noise_std, self.sigma) < 0 or self.fusion_blocks < 1:
            raise ValueError(
                "anchor, noise_std and sigma must not be negative and fusion_blocks must be at least 1."
            )
        if self.encoder_weights not in get_args(WeightsSource):
            raise ValueError(
                f"encoder_weights names no source of weights: {self.encoder_weights!r}; "
                f"choose one of {', '.join(get_args(WeightsSource))}."
            )
        if self.decoder not in DECODERS:
            raise ValueError(f"Unknown decoder {self.decoder!r}: choose one of {', '.join(DECODERS)}.")
        decoder, side = DECODERS[self.decoder], self.input_side // _COARSEST_STRIDE
        scan_order(self.decoder_options.get("path", decoder.default_path), side)
        if decoder.even_sides and side % 2:
            raise ValueError(
                f"{self.decoder} needs an input side that is a multiple of {2 * _COARSEST_STRIDE}, "
                f"got {self.input_side}."
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The config behind a dict.

        Raises:
            ValueError: unknown keys, or values that make no detector.
        """
        unknown = set(values) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ValueError(f"Unknown detector settings: {', '.join(sorted(unknown))}.")
        return cls(**values)


class Detector(nn.Module):
    """Frozen encoder, trained fusion and decoder.

    Where decoder and encoder widths differ, a 1×1 convolution per scale (`heads`) meets the encoder's;
    where they agree it is the identity, so that published weights fit.
    """

    def __init__(self, config: DetectorConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.decoder = build_decoder(config.decoder, **config.decoder_options)
        dims = self.decoder.dims
        self.fusion = Fusion(encoder.channels, dims, config.fusion_blocks)
        self.heads = nn.ModuleList(
            nn.Identity() if width == channels else nn.Conv2d(width, channels, kernel_size=1)
            for width, channels in zip(dims[:0:-1], encoder.channels, strict=True)
        )
        for index, channels in enumerate(encoder.channels if config.standardize else ()):
            self.register_buffer(f"feature_mean_{index}", torch.zeros(channels))
            self.register_buffer(f"feature_std_{index}", torch.ones(channels))

    @property
    def side(self) -> int:
        """Side of the square model input in pixels."""
        return self.config.input_side

    def encode(self, images: Tensor) -> list[Tensor]:
        """images (B, 3, S, S) in [0, 1] → targets at strides 4, 8, 16, standardised if the config says so."""
        return self.standardized(self.encoder(images))

    def standardized(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Bare encoder features → targets."""
        if not self.config.standardize:
            return list(features)
        return [(f - mean) / std for f, (mean, std) in zip(features, self._feature_statistics(), strict=True)]

    def reconstruct(self, features: Sequence[Tensor], noise: Tensor | None = None) -> list[Tensor]:
        """What normal features would look like here; shapes as the targets.

        Args:
            features: targets.
            noise: standard normal, (B, dims[0], s, s), scaled and added to the fused map; in training mode it
                is drawn where none is given.
        """
        fused = self.fusion(features)
        if noise is None and self.training and self.config.noise_std > 0:
            noise = torch.randn_like(fused)
        if noise is not None:
            fused = fused + self.config.noise_std * noise
        return [head(decoded) for head, decoded in zip(self.heads, self.decoder(fused), strict=True)]

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """images (B, 3, S, S) in [0, 1] → (targets, reconstructions)."""
        encoded = self.encode(images)
        return encoded, self.reconstruct(encoded)

    def maps_from_features(self, encoded: Sequence[Tensor]) -> Tensor:
        """Targets → smoothed anomaly maps (B, S, S), 0 where the reconstruction points the same way."""
        side = _COARSEST_STRIDE // 2 * encoded[-1].shape[-1]
        decoded = self.reconstruct(encoded)
        sigma = self.config.sigma * side / _SMOOTHING_SIDE
        return anomaly_map(self._anchored(encoded), self._anchored(decoded), side, sigma)

    def anomaly_maps(self, images: Tensor) -> Tensor:
        """images (B, 3, S, S) in [0, 1] → smoothed anomaly maps (B, S, S)."""
        return self.maps_from_features(self.encode(images))

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Targets → (B, E): channel means over the map at strides 8 and 16, each of unit length, side by
        side."""
        return torch.cat([F.normalize(feature.mean(dim=(2, 3)), dim=1) for feature in features[1:]], dim=1)

    def set_feature_statistics(self, means: Sequence[Tensor], stds: Sequence[Tensor]) -> None:
        """Store the channel means and standard deviations that `encode` standardises with."""
        for (mean, std), new_mean, new_std in zip(self._feature_statistics(), means, stds, strict=True):
            mean.copy_(new_mean.view_as(mean))
            std.copy_(new_std.view_as(std))

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of fusion, decoder and heads."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    @property
    def kernel(self) -> str:
        """The scan backend asked for: `auto` or a name."""
        return scan_blocks(self.decoder)[0].kernel

    @kernel.setter
    def kernel(self, name: str) -> None:
        for block in scan_blocks(self.decoder):
            block.kernel = name

    def resolved_kernel(self, device: torch.device | str) -> str:
        """The scan backend that runs on a device."""
        return scan_blocks(self.decoder)[0].resolved_kernel(device)

    def _anchored(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Append the constant channel, so that the cosine between two features also sees their lengths."""
        if self.config.anchor == 0:
            return list(features)
        lengths = [self.config.anchor * feature.shape[1] ** 0.5 for feature in features]
        return [
            F.pad(feature, (0, 0, 0, 0, 0, 1), value=length)
            for feature, length in zip(features, lengths, strict=True)
        ]

    def _feature_statistics(self) -> list[tuple[Tensor, Tensor]]:
        """Views (C, 1, 1) of the stored statistics, one pair per scale."""
        count = len(self.encoder.channels)
        return [
            (
                getattr(self, f"feature_mean_{i}").view(-1, 1, 1),
                getattr(self, f"feature_std_{i}").view(-1, 1, 1),
            )
            for i in range(count)
        ]


def build_detector(config: DetectorConfig, *, load_encoder_weights: bool = True) -> Detector:
    """A detector with fresh fusion and decoder; the encoder's weights from where the config says."""
    weights: WeightsSource = config.encoder_weights if load_encoder_weights else "random"
    return Detector(config, build_encoder(config.encoder, weights)).eval()
