"""What all decoders share: stages from the coarsest map to the finest, each up-sampled and then refined by
modules.

A decoder is this plus one kind of module (MambaAD, arXiv 2404.06564, section 3).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from mambaad_demo.models.blocks import PatchExpand

_LARGEST_DROP_PATH = 0.2


class Decoder(nn.Module, ABC):
    """Rebuild the encoder's features from the fused map; a subclass says what a module is.

    Args:
        dims: channels of the stages, coarsest first; each is half of the one before.
        depths: scan blocks per stage, each divisible by 3 or 2, in modules of three blocks or else of two.
    """

    default_path: ClassVar[str] = "hilbert"
    """The scan path where the options name none."""
    even_sides: ClassVar[bool] = False
    """Whether the coarsest map must have an even side."""

    def __init__(self, dims: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        if len(dims) != len(depths) or any(coarse != 2 * fine for coarse, fine in pairwise(dims)):
            raise ValueError(
                f"dims must halve from stage to stage, one per depth; got {tuple(dims)}, {tuple(depths)}."
            )
        self.dims, self.depths = tuple(dims), tuple(depths)
        self.stages = nn.ModuleList()

    def _build(self) -> None:
        """Fill the stages; called by subclasses once they hold what `_module` needs."""
        rates = torch.linspace(0, _LARGEST_DROP_PATH, sum(self.depths), device="cpu").flip(0).tolist()
        for index, (channels, depth) in enumerate(zip(self.dims, self.depths, strict=True)):
            size = next((size for size in (3, 2) if depth % size == 0), None)
            if size is None or depth < 1:
                raise ValueError(f"A stage depth must be divisible by 2 or 3, got {depth}.")
            # As published: module j takes the j-th rate of the stage, shared by its blocks.
            stage_rates = rates[sum(self.depths[:index]) :]
            modules = [self._module(index, channels, size, stage_rates[j]) for j in range(depth // size)]
            self.stages.append(Stage(PatchExpand(2 * channels) if index else nn.Identity(), modules))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)

    @abstractmethod
    def _module(self, stage: int, channels: int, blocks: int, drop_path: float) -> nn.Module:
        """A module of so many scan blocks, (B, H, W, C) in and out."""

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
    """Up-sampling or nothing, then modules in a row."""

    def __init__(self, upsample: nn.Module, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.upsample = upsample
        self.layers = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) at this stage's size, or before up-sampling at half of it with twice the channels."""
        return self.layers(self.upsample(x))
