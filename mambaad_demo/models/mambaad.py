"""The MambaAD decoder (arXiv 2404.06564): locality-enhanced modules of Hilbert-scan blocks."""

from collections.abc import Sequence

from mambaad_demo.models.blocks import HilbertScanBlock, LocalBranch, LocalityEnhancedModule, ScanConfig
from mambaad_demo.models.decoder import Decoder


class MambaADDecoder(Decoder):
    """MambaAD.

    Args:
        dims, depths: see `Decoder`.
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
        super().__init__(dims, depths)
        self.scan = ScanConfig(
            path=path, directions=directions, direction_set=direction_set, state_dim=state_dim
        )
        self._build()

    def _module(self, stage: int, channels: int, blocks: int, drop_path: float) -> LocalityEnhancedModule:
        return LocalityEnhancedModule(
            channels, [HilbertScanBlock(channels, self.scan, drop_path) for _ in range(blocks)], LocalBranch
        )
