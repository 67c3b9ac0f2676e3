"""The building blocks MambaAD is made of: Hilbert-scan block, local branches, locality-enhanced module,
up-sampling.

Legend: `B` batch · `C` channels · `H W` height, width · `L = H·W` cells · `D = 2C` inner channels · `N`
state size · `K` scan directions · `R` rank of Δ. Maps are (B, H, W, C); convolutions see the same memory as
(B, C, H, W).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.layers.drop import DropPath
from torch import Tensor, nn

from mambaad_demo.ops.scan_order import scan_directions
from mambaad_demo.ops.selective_scan import resolve_backend, selective_scan


@cache  # without a bound: a recorded pass on the GPU keeps reading them
@torch.inference_mode(False)
def cached_directions(scan: "ScanConfig", side: int, device: torch.device) -> Tensor:
    """The orders of a scan block, (K, side²) int32, once for each size and device."""
    order = scan_directions(scan.path, side, scan.directions, scan.direction_set)
    return order.to(device, torch.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanConfig:
    """How every scan block of a decoder walks over its map."""

    path: str = "hilbert"
    """sweep, scan, zorder, zigzag or hilbert."""
    directions: int = 8
    """K: 2, 4 or 8."""
    direction_set: str = "reference"
    """`reference` (the published views) or `distinct` (no order twice)."""
    state_dim: int = 16
    """N."""

    def __post_init__(self) -> None:
        scan_directions(self.path, 2, self.directions, self.direction_set)
        if self.state_dim < 1:
            raise ValueError(f"state_dim must be at least 1, got {self.state_dim}.")


class ScanBlock(nn.Module):
    """A block that scans; `kernel` names the backend, a plain attribute because it says how to compute, not
    what."""

    kernel = "auto"

    def resolved_kernel(self, device: torch.device | str) -> str:
        """The backend that runs on a device."""
        raise NotImplementedError


class HilbertScanBlock(ScanBlock):
    """Mix the cells of a map by selective scans in K directions (MambaAD, section 3.2); residual."""

    def __init__(self, channels: int, scan: ScanConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        inner, rank = 2 * channels, math.ceil(channels / 16)
        directions, states = scan.directions, scan.state_dim
        self.scan, self.rank = scan, rank
        self.norm = nn.LayerNorm(channels)
        self.in_proj = nn.Linear(channels, 2 * inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, kernel_size=3, padding=1, groups=inner)
        self.x_proj = nn.Parameter(torch.empty(directions, rank + 2 * states, inner))
        self.dt_weight = nn.Parameter(torch.empty(directions, rank, inner))
        self.dt_bias = nn.Parameter(torch.empty(directions, inner))
        self.a_log = nn.Parameter(torch.empty(directions, states, inner))
        self.d = nn.Parameter(torch.ones(directions, inner))
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, channels, bias=False)
        self.drop_path = DropPath(drop_path)
        self._initialize()

    def _initialize(self) -> None:
        """Published initialisation: S4D-real decay, steps log-uniform in [1e-3, 1e-1]."""
        for weight in self.x_proj:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        nn.init.uniform_(self.dt_weight, -(self.rank**-0.5), self.rank**-0.5)
        with torch.no_grad():
            step = torch.exp(torch.empty_like(self.dt_bias).uniform_(math.log(1e-3), math.log(1e-1))).clamp(
                min=1e-4
            )
            self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # inverse softplus
            states = torch.arange(1, self.scan.state_dim + 1, dtype=torch.float32)
            self.a_log.copy_(states.log()[None, :, None].expand_as(self.a_log))

    def forward(self, x: Tensor) -> Tensor:
        """x and result: (B, H, W, C) with H = W."""
        side = x.shape[1]
        normed = self.norm(x)
        mixed, gate = (F.linear(normed, half) for half in self.in_proj.weight.chunk(2))  # (B, H, W, D) each
        mixed = F.silu(self.conv(rearrange(mixed, "B H W D -> B D H W")))
        y = self._mix(rearrange(mixed, "B D H W -> B (H W) D"), side)
        y = self.out_norm(rearrange(y, "B (H W) D -> B H W D", H=side))
        return x + self.drop_path(self.out_proj(y * F.silu(gate)))

    def resolved_kernel(self, device: torch.device | str) -> str:
        """The scan backend that runs on a device."""
        return resolve_backend(self.kernel, device)

    def _mix(self, cells: Tensor, side: int) -> Tensor:
        """Scan a square map in all directions: (B, L, D) in and out, row-major."""
        projected = cells @ rearrange(self.x_proj, "K P D -> D (K P)")
        return selective_scan(
            cells,
            rearrange(projected, "B L (K P) -> B L K P", K=self.scan.directions),
            self.dt_weight,
            self.dt_bias,
            -torch.exp(self.a_log),
            self.d.sum(0),
            cached_directions(self.scan, side, cells.device),
            backend=self.kernel,
        )


class NormalizedConv(nn.Module):
    """Convolution → instance norm without parameters → SiLU; (B, C, H, W) in and out."""

    def __init__(self, channels: int, kernel_size: int, *, depthwise: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=channels if depthwise else 1,
            bias=not depthwise,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Instance norm leaves the memory channels-first; depth-wise convolution is quick channels-last."""
        return F.silu(instance_norm(self.conv(x.contiguous(memory_format=torch.channels_last))))


def instance_norm(x: Tensor) -> Tensor:
    """Instance norm with a correct gradient for a batch of one too.

    Torch reads a channels-last gradient of a single image as if it were channels-first (seen in 2.11).
    """
    normed = F.instance_norm(x)
    if normed.requires_grad:
        normed.register_hook(Tensor.contiguous)
    return normed


class LocalBranch(nn.Sequential):
    """1×1, depth-wise k×k, 1×1 convolutions, each normalised; (B, C, H, W) in and out."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.before = NormalizedConv(channels, 1)
        self.depthwise = NormalizedConv(channels, kernel_size, depthwise=True)
        self.after = NormalizedConv(channels, 1)


class LocalityEnhancedModule(nn.Module):
    """A cascade of scan blocks beside two local branches, merged by a 1×1 convolution (MambaAD, equation 4).

    Args:
        channels: C.
        blocks: scan blocks, (B, H, W, C) in and out.
        branch: makes a local branch, (B, C, H, W) in and out, of channels and kernel size.
    """

    def __init__(
        self, channels: int, blocks: Sequence[nn.Module], branch: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.local5 = branch(channels, 5)
        self.local7 = branch(channels, 7)
        self.merge = nn.Conv2d(3 * channels, channels, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x and result: (B, H, W, C)."""
        image = rearrange(x, "B H W C -> B C H W")
        wide = rearrange(self.blocks(x), "B H W C -> B C H W")
        merged = self.merge(torch.cat([wide, self.local5(image), self.local7(image)], dim=1))
        return x + rearrange(merged, "B C H W -> B H W C")


class PatchExpand(nn.Module):
    """Double the side and halve the channels: (B, H, W, 2C) → (B, 2H, 2W, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        spread = rearrange(self.expand(x), "B H W (p q C) -> B (H p) (W q) C", p=2, q=2)
        return self.norm(spread)


def scan_blocks(network: nn.Module) -> list[ScanBlock]:
    """Every scan block of a network, so that its owner can choose their kernel."""
    return [module for module in network.modules() if isinstance(module, ScanBlock)]
