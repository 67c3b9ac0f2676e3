"""MambaADv2 as we read its abstract; no code, weights or full text are public.

From the abstract: modules of cascaded Hilbert-scan blocks beside frequency-enhanced convolutions, blocks of
Mamba-3's lineage computed both as a recurrence and as a matrix, and scanning that gets simpler towards the
coarse maps. Chosen by us: all numbers, Haar wavelets as the frequency transform, and everything else as in
MambaAD, so that the decoders differ in their modules alone.

Legend: as in `blocks`, and `h` heads of `P` channels · `S` rotated pairs of the state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.layers.drop import DropPath
from torch import Tensor, nn

from mambaad_demo.models.blocks import (
    LocalBranch,
    LocalityEnhancedModule,
    NormalizedConv,
    ScanBlock,
    ScanConfig,
    cached_directions,
    instance_norm,
)
from mambaad_demo.models.decoder import Decoder
from mambaad_demo.ops.mamba3 import mamba3_scan, resolve_backend

Gate = Literal["none", "softmax"]
Frequency = Literal["haar", "none"]
Decay = Literal["softplus", "heavy_tail"]

_KERNELS = ("auto", "reference", "torch", "numba")
_SLOWEST_RATE = 1e-4
_NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreConfig:
    """The state-space core of every block, and the switches its ablations need."""

    head_dim: int = 32
    """P, which divides D or is larger: then all of D is one head."""
    rope_fraction: float = 0.5
    """Share of the state that is turned by the accumulated angle, 0 to 1; 0 turns nothing."""
    trapezoid: bool = True
    """Whether each step shares its weight between this input and the last (λ learned) or not (λ = 1)."""
    decay: Decay = "softplus"
    """How the decay rate comes from its logit: as in every release of mamba-ssm, or as on its main branch."""
    conv: bool = False
    """A depth-wise 3×3 convolution and SiLU before the core, as in MambaAD."""
    gate: Gate = "none"
    """`softmax`: each image weighs its directions by its mean features."""

    def __post_init__(self) -> None:
        if self.head_dim < 1 or not 0 <= self.rope_fraction <= 1:
            raise ValueError(
                f"head_dim must be positive and rope_fraction within 0 and 1, got {self.head_dim}, "
                f"{self.rope_fraction}."
            )
        for name, choices in (("decay", Decay), ("gate", Gate)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} is one of {', '.join(get_args(choices))}, got {getattr(self, name)!r}."
                )

    def pairs(self, states: int) -> int:
        """S."""
        return int(states * self.rope_fraction) // 2


class MambaADv2Decoder(Decoder):
    """Our MambaADv2.

    Args:
        dims, depths: see `Decoder`.
        path, direction_set, state_dim: see `ScanConfig`.
        directions: K of each stage, coarsest first, or one number for all.
        frequency: `haar` adds a wavelet path to the local branches.
        head_dim, rope_fraction, trapezoid, decay, conv, gate: see `CoreConfig`.
    """

    even_sides = True  # for the wavelets

    def __init__(
        self,
        dims: Sequence[int] = (512, 256, 128, 64),
        depths: Sequence[int] = (3, 4, 6, 3),
        path: str = "hilbert",
        directions: int | Sequence[int] = (2, 2, 4, 8),
        direction_set: str = "distinct",
        state_dim: int = 32,
        head_dim: int = 32,
        rope_fraction: float = 0.5,
        trapezoid: bool = True,
        decay: Decay = "softplus",
        conv: bool = False,
        gate: Gate = "none",
        frequency: Frequency = "haar",
    ) -> None:
        super().__init__(dims, depths)
        if frequency not in get_args(Frequency):
            raise ValueError(f"frequency is one of {', '.join(get_args(Frequency))}, got {frequency!r}.")
        counts = [directions] * len(dims) if isinstance(directions, int) else list(directions)
        if len(counts) != len(dims):
            raise ValueError(f"directions must be one number or one per stage, got {tuple(counts)}.")
        self.scans = [
            ScanConfig(path=path, directions=count, direction_set=direction_set, state_dim=state_dim)
            for count in counts
        ]
        self.core = CoreConfig(
            head_dim=head_dim,
            rope_fraction=rope_fraction,
            trapezoid=trapezoid,
            decay=decay,
            conv=conv,
            gate=gate,
        )
        self.branch = FrequencyBranch if frequency == "haar" else LocalBranch
        self._build()

    def _module(self, stage: int, channels: int, blocks: int, drop_path: float) -> LocalityEnhancedModule:
        scans = [DualityScanBlock(channels, self.scans[stage], self.core, drop_path) for _ in range(blocks)]
        return LocalityEnhancedModule(channels, scans, self.branch)


class DualityScanBlock(ScanBlock):
    """Mix the cells of a map by Mamba-3 scans in K directions; residual.

    Its two forms are the kernels `torch` (matrix) and `reference` or `numba` (recurrence), equal to rounding.
    """

    gate: nn.Parameter | None

    def __init__(self, channels: int, scan: ScanConfig, core: CoreConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        inner, states, directions = 2 * channels, scan.state_dim, scan.directions
        self.scan, self.core = scan, core
        if inner % min(inner, core.head_dim):
            raise ValueError(f"head_dim {core.head_dim} does not divide the {inner} inner channels.")
        self.heads = inner // min(inner, core.head_dim)
        self.pairs = core.pairs(states)
        self.norm = nn.LayerNorm(channels)
        self.in_proj = nn.Linear(channels, 2 * inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner) if core.conv else nn.Identity()
        self.sizes = (states, states, self.heads, self.heads, self.heads, self.pairs)
        self.x_proj = nn.Linear(channels, directions * sum(self.sizes), bias=False)
        self.dt_bias = nn.Parameter(torch.empty(directions, self.heads))
        self.k_norm = nn.Parameter(torch.ones(directions, states))
        self.q_norm = nn.Parameter(torch.ones(directions, states))
        self.k_bias = nn.Parameter(torch.ones(directions, self.heads, states))
        self.q_bias = nn.Parameter(torch.ones(directions, self.heads, states))
        self.d = nn.Parameter(torch.ones(directions, self.heads))
        gate = torch.zeros(directions, channels) if core.gate == "softmax" else None  # all weigh the same
        self.register_parameter("gate", None if gate is None else nn.Parameter(gate))
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, channels, bias=False)
        self.drop_path = DropPath(drop_path)
        with torch.no_grad():
            step = torch.exp(torch.empty_like(self.dt_bias).uniform_(math.log(1e-3), math.log(1e-1)))
            self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # inverse softplus

    def resolved_kernel(self, device: torch.device | str) -> str:
        """What `core_kernel` says."""
        return core_kernel(self.kernel, device)

    def forward(self, x: Tensor) -> Tensor:
        """x and result: (B, H, W, C) with H = W."""
        side = x.shape[1]
        normed = self.norm(x)
        gate, mixed = (F.linear(normed, half) for half in self.in_proj.weight.chunk(2))  # (B, H, W, D) each
        if self.core.conv:
            mixed = rearrange(F.silu(self.conv(rearrange(mixed, "B H W D -> B D H W"))), "B D H W -> B H W D")
        cells = rearrange(normed, "B H W C -> B (H W) C")
        y = self._mix(cells, rearrange(mixed, "B H W (h P) -> B (H W) h P", h=self.heads), side)
        y = self.out_norm(rearrange(y, "B (H W) h P -> B H W (h P)", H=side))
        return x + self.drop_path(self.out_proj(y * F.silu(gate)))

    def _mix(self, cells: Tensor, value: Tensor, side: int) -> Tensor:
        """cells (B, L, C) say how the scans move, value (B, L, h, P) is what they carry; as value."""
        order = cached_directions(self.scan, side, cells.device).long()  # (K, L)
        row = torch.arange(len(order), device=cells.device)[:, None]
        projected = rearrange(self.x_proj(cells), "B L (K F) -> B K L F", K=len(order))[:, row, order]
        k, q, step, rate, share, angle = projected.split(self.sizes, dim=-1)  # (B, K, L, ·)
        step = F.softplus(step + self.dt_bias[:, None])
        share = torch.sigmoid(share) if self.core.trapezoid else torch.ones_like(share)
        step, rate, share = (rearrange(x, "B K L h -> B (K h) L") for x in (step, self._rate(rate), share))
        y = mamba3_scan(
            F.rms_norm(q, q.shape[-1:], eps=_NORM_EPS) * self.q_norm[:, None],
            F.rms_norm(k, k.shape[-1:], eps=_NORM_EPS) * self.k_norm[:, None],
            rearrange(value[:, order], "B K L h P -> B (K h) L P"),
            step,
            rate,
            share,
            angle,
            self.d.flatten(),
            self.q_bias.flatten(0, 1),
            self.k_bias.flatten(0, 1),
            backend=self.resolved_kernel(cells.device),
        )
        y = rearrange(y, "B (K h) L P -> B K L h P", h=self.heads)
        y = y[:, row, torch.argsort(order, dim=1)]  # back to the cells they came from
        if self.gate is None:
            return y.sum(1)
        weights = len(order) * torch.softmax(F.linear(cells.mean(1), self.gate), dim=-1)  # (B, K)
        return torch.einsum("bk,bklhp->blhp", weights, y)

    def _rate(self, logit: Tensor) -> Tensor:
        if self.core.decay == "softplus":
            positive = F.softplus(logit)
        else:
            positive = torch.where(logit >= 0, 1 + logit, 1 / (1 - logit.clamp(max=0)))
        return torch.clamp(-positive, max=-_SLOWEST_RATE)


def core_kernel(kernel: str, device: torch.device | str) -> str:
    """The form of Mamba-3 that runs on a device, as asked for. The kernels of the other decoders stand for
    `auto`, and so does mamba-ssm's, whose bfloat16 would miss what the self-test of a checkpoint allows."""
    return resolve_backend(kernel if kernel in _KERNELS else "auto", device)


class FrequencyBranch(nn.Sequential):
    """A local branch whose depth-wise convolution also works on wavelet coefficients; (B, C, H, W)."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.before = NormalizedConv(channels, 1)
        self.depthwise = FrequencyEnhancedConv(channels, kernel_size)
        self.after = NormalizedConv(channels, 1)


class FrequencyEnhancedConv(nn.Module):
    """Depth-wise k×k convolution plus scaled depth-wise 3×3 convolutions of the Haar sub-bands, then instance
    norm and SiLU; (B, C, H, W) with even H, W in and out."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=False
        )
        self.bands = nn.Conv2d(4 * channels, 4 * channels, 3, padding=1, groups=4 * channels, bias=False)
        self.scale = nn.Parameter(torch.full((4 * channels,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """x and result: (B, C, H, W)."""
        bands = self.scale[:, None, None] * self.bands(haar(x))
        return F.silu(instance_norm(self.conv(x) + inverse_haar(bands)))


def haar(x: Tensor) -> Tensor:
    """One level of the orthonormal Haar transform: (B, C, H, W) → (B, 4 C, H/2, W/2), four sub-bands (LL, LH,
    HL, HH) behind one another for each channel.

    Raises:
        ValueError: an odd side.
    """
    if x.shape[-2] % 2 or x.shape[-1] % 2:
        raise ValueError(f"The wavelet transform needs even sides, got {tuple(x.shape[-2:])}.")
    return _butterfly(F.pixel_unshuffle(x, 2))


def inverse_haar(bands: Tensor) -> Tensor:
    """The inverse of `haar`, which is also its transpose: (B, 4 C, H, W) → (B, C, 2 H, 2 W)."""
    return F.pixel_shuffle(_butterfly(bands), 2)


def _butterfly(x: Tensor) -> Tensor:
    """Sums and differences of the four entries of each 2×2 block, (B, 4 C, H, W) in and out; its own
    inverse."""
    a, b, c, d = x.unflatten(1, (-1, 4)).unbind(2)
    top, bottom, left, right = a + b, c + d, a - b, c - d
    bands = torch.stack([top + bottom, top - bottom, left + right, left - right], dim=2)
    return (bands / 2).flatten(1, 2)
