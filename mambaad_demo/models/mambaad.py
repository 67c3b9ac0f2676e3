"""The MambaAD decoder (arXiv 2404.06564): four stages of locality-enhanced modules from the coarsest map to
the finest."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn

from mambaad_demo.models.blocks import LocalityEnhancedModule, PatchExpand, ScanConfig

_LARGEST_DROP_PATH = 0.2


class MambaADDecoder(nn.Module):
    """Rebuild the encoder's features from the fused map.

    Args:
        dims: channels of the stages, coarsest first; each is half of the one before.
        depths: scan blocks per stage, each divisible by 2 or 3.
        path, directions, direction_set, state_dim: see `ScanConfig`.
    """

    def __init__(
        self,
        dims: Sequence[int] = (512, 256, 128, 64),
        depths: Sequence[int] = (3, 4, 6, 3),
        path: str = "hilbert",
        directions: int = 8,
        direction_set: str = "reference",
        state_dim: int = 16,
    ) -> None:
        super().__init__()
        if len(dims) != len(depths) or any(coarse != 2 * fine for coarse, fine in pairwise(dims)):
            raise ValueError(
                f"dims must halve from stage to stage, one per depth; got {tuple(dims)}, {tuple(depths)}."
            )
        scan = ScanConfig(path=path, directions=directions, direction_set=direction_set, state_dim=state_dim)
        self.dims, self.depths, self.scan = tuple(dims), tuple(depths), scan
        rates = torch.linspace(0, _LARGEST_DROP_PATH, sum(depths)).flip(0).tolist()
        self.stages = nn.ModuleList()
        for index, (channels, depth) in enumerate(zip(dims, depths, strict=True)):
            before = sum(depths[:index])
            self.stages.append(
                Stage(channels, depth, scan, drop_paths=rates[before : before + depth], upsamples=index > 0)
            )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)

    def forward(self, fused: Tensor) -> list[Tensor]:
        """fused (B, dims[0], s, s) → maps at 8s, 4s and 2s with dims[3], dims[2] and dims[1] channels."""
        if fused.shape[-1] != fused.shape[-2]:
            raise ValueError(f"The decoder scans square maps, got {tuple(fused.shape[-2:])}.")
        x = rearrange(fused, "B C H W -> B H W C")
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(rearrange(x, "B H W C -> B C H W"))
        return maps[:0:-1]


class Stage(nn.Module):
    """Optional up-sampling, then modules of three scan blocks each, or of two where three do not divide the
    depth."""

    def __init__(
        self, channels: int, depth: int, scan: ScanConfig, *, drop_paths: Sequence[float], upsamples: bool
    ) -> None:
        super().__init__()
        size = next((size for size in (3, 2) if depth % size == 0), None)
        if size is None or depth < 1:
            raise ValueError(f"A stage depth must be divisible by 2 or 3, got {depth}.")
        self.upsample = PatchExpand(2 * channels) if upsamples else nn.Identity()
        # As published: module j takes the j-th rate of the stage, shared by its blocks.
        self.layers = nn.Sequential(
            *(LocalityEnhancedModule(channels, size, scan, drop_paths[j]) for j in range(depth // size))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.upsample(x))
