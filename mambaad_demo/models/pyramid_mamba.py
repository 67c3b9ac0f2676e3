"""The Pyramid-Mamba decoder: MambaAD's layout, whose scan blocks also scan the quadrants of their map.

Each quadrant is a map of its own with a fresh state, scanned with the weights of the whole map; the next
level scans the quadrants of the quadrants. The published code uses the four sweeps and one level.
"""

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor

from mambaad_demo.models.blocks import HilbertScanBlock, LocalBranch, LocalityEnhancedModule, ScanConfig
from mambaad_demo.models.decoder import Decoder

_DIRECTIONS = 4
_MOST_LEVELS = 2


class PyramidMambaDecoder(Decoder):
    """Pyramid-Mamba.

    Args:
        dims, depths: see `Decoder`.
        pyramid_levels: 0 (the whole map alone), 1 (also its quadrants; as published) or 2 (theirs too).
        pyramid_min_side: quadrants smaller than this are left out, and their level with them.
        state_dim: N.
    """

    default_path = "sweep"

    def __init__(
        self,
        dims: Sequence[int] = (512, 256, 128, 64),
        depths: Sequence[int] = (3, 4, 6, 3),
        pyramid_levels: int = 1,
        pyramid_min_side: int = 4,
        state_dim: int = 16,
    ) -> None:
        super().__init__(dims, depths)
        if not 0 <= pyramid_levels <= _MOST_LEVELS:
            raise ValueError(f"pyramid_levels must be 0, 1 or 2, got {pyramid_levels}.")
        if pyramid_min_side < 1:
            raise ValueError(f"pyramid_min_side must be at least 1, got {pyramid_min_side}.")
        self.levels, self.min_side = pyramid_levels, pyramid_min_side
        self.scan = ScanConfig(path=self.default_path, directions=_DIRECTIONS, state_dim=state_dim)
        self._build()

    def _module(self, stage: int, channels: int, blocks: int, drop_path: float) -> LocalityEnhancedModule:
        scans = [
            PyramidScanBlock(channels, self.scan, drop_path, levels=self.levels, min_side=self.min_side)
            for _ in range(blocks)
        ]
        return LocalityEnhancedModule(channels, scans, LocalBranch)


class PyramidScanBlock(HilbertScanBlock):
    """A scan block whose output is the mean over the levels of a pyramid of quadrants."""

    def __init__(
        self, channels: int, scan: ScanConfig, drop_path: float = 0.0, *, levels: int = 1, min_side: int = 4
    ) -> None:
        super().__init__(channels, scan, drop_path)
        self.levels, self.min_side = levels, min_side

    def _mix(self, cells: Tensor, side: int) -> Tensor:
        """Quadrants are folded into the batch; level 2 scans what level 1 gave."""
        total, terms, folded = super()._mix(cells, side), 1, cells
        for level in range(1, self.levels + 1):
            if side % 2**level or side // 2**level < self.min_side:
                break
            folded = super()._mix(split_quadrants(folded), side // 2**level)
            whole = folded
            for _ in range(level):
                whole = join_quadrants(whole)
            total, terms = total + whole, terms + 1
        return total / terms


def split_quadrants(cells: Tensor) -> Tensor:
    """(B, L, D) in row-major order → (4 B, L/4, D): the quadrants of each map behind one another, row by
    row."""
    half = round(cells.shape[1] ** 0.5) // 2
    return rearrange(cells, "B (p h q w) D -> (B p q) (h w) D", p=2, q=2, h=half, w=half)


def join_quadrants(quadrants: Tensor) -> Tensor:
    """The inverse of `split_quadrants`."""
    half = round(quadrants.shape[1] ** 0.5)
    return rearrange(quadrants, "(B p q) (h w) D -> B (p h q w) D", p=2, q=2, h=half, w=half)
