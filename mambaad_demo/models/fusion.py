"""Half-pyramid fusion: three encoder maps become one coarse map that keeps what is normal and little else."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class Fusion(nn.Module):
    """MambaAD's "half FPN" bottleneck.

    Args:
        in_channels: encoder channels at strides 4, 8 and 16.
        dims: decoder channels, coarsest first; the result has `dims[0]` channels at stride 32.
        block_layers: residual bottleneck blocks at the end.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256),
        dims: Sequence[int] = (512, 256, 128, 64),
        block_layers: int = 3,
    ) -> None:
        super().__init__()
        fine, middle, coarse = in_channels
        out, width3, width2 = dims[:3]
        self.down1 = ConvNorm(fine, width2, kernel_size=3, stride=2, bias=False)
        self.lateral2 = ConvNorm(middle, width2, kernel_size=1)
        self.down2 = ConvNorm(width2, width3, kernel_size=3, stride=2, bias=False)
        self.lateral3 = ConvNorm(coarse, width3, kernel_size=1)
        self.merge = ConvNorm(width3, width3, kernel_size=1)
        self.bottleneck = nn.Sequential(
            Bottleneck(width3, out, stride=2), *(Bottleneck(out, out) for _ in range(block_layers - 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features at strides 4, 8, 16 → (B, dims[0], s, s) at stride 32; ReLU comes before each sum, never
        after."""
        fine, middle, coarse = features
        level2 = F.relu(self.lateral2(middle)) + F.relu(self.down1(fine))
        level3 = F.relu(self.down2(level2)) + F.relu(self.lateral3(coarse))
        return self.bottleneck(F.relu(self.merge(level3)))


class ConvNorm(nn.Sequential):
    """Convolution → batch norm."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=bias)
        self.norm = nn.BatchNorm2d(out_channels)


class Bottleneck(nn.Module):
    """The ResNet bottleneck block, a quarter wide inside; a strided 1×1 shortcut where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        width = out_channels // 4
        self.reduce = ConvNorm(in_channels, width, kernel_size=1, bias=False)
        self.spatial = ConvNorm(width, width, kernel_size=3, stride=stride, bias=False)
        self.restore = ConvNorm(width, out_channels, kernel_size=1, bias=False)
        self.shortcut = (
            ConvNorm(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
            if stride != 1 or in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, s, s) → (B, out, s / stride, s / stride)."""
        y = F.relu(self.spatial(F.relu(self.reduce(x))))
        return F.relu(self.restore(y) + self.shortcut(x))
