"""How unlike the other photos of a good set each one is, by the frozen encoder's features alone.

Each patch of a photo is compared with those of all other photos. Its distance is that to the second photo
most like it, since one defective part often comes with another, and counts for more where the patch it
resembles is itself a common one (the reweighing of PatchCore, Roth et al. 2022, section 3.3). A photo is as
odd as its oddest patches on average. What is kept is bounded, so that hundreds of photos fit into memory.

`n` photos · `P` patches that are kept of a photo · `M` of them in the bank · `C` channels.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.good_set_outliers import Finding, robust_z
from mambaad_demo.pipeline.inference import ModelInput

FEWEST_DISTINCT = 5
"""Different photos from which on one can be unlike the others."""

_TILES_AT_ONCE = 8
_MOST_PATCHES = 1024  # of a photo
_MOST_BYTES = 2**19  # of a photo, in half precision
_BANK = 4000  # patches of all photos together that each is compared with; more find no more
_FEWEST_IN_BANK = 8  # of a photo
_ODDEST = 8  # patches that make the score of a photo
_RANK = 2  # the photo whose distance counts, from the most alike
_LEAST_COMMON = 0.1  # of the mean distance: patches that repeat exactly would make any difference infinite
_ODD_Z, _ODD_RATIO = 3.0, 1.4  # measured: of 100 photos of good parts one to four are named


class PatchSample:
    """Some encoder features at the coarsest stride of each photo that was added; in order."""

    def __init__(self, detector: Detector, *, seed: int = 0) -> None:
        """
        Args:
            detector: on its device.
            seed: which patches are kept of a photo that has too many.
        """
        self._detector = detector
        self._generator = torch.Generator().manual_seed(seed)
        self._photos: list[Tensor] = []

    def add(self, item: ModelInput) -> None:
        """Encode a photo, on the model thread."""
        self._photos.append(model_thread.run(self._encoded, item))

    def oddness(self, groups: Sequence[int], *, progress: Callable[[int, int], None]) -> np.ndarray:
        """How unlike the photos outside its own group each photo is.

        Args:
            groups: (n) the same number for photos that are nearly the same, and would excuse each other.
            progress: hears how many photos are done, of how many.

        Returns:
            (n,) positive multiples of what is usual; empty with fewer than `FEWEST_DISTINCT` groups.
        """
        if len(set(groups)) < FEWEST_DISTINCT:
            return np.empty(0)
        bank, per_photo = self._bank()
        owners = torch.tensor(groups)
        distances: list[Tensor] = []
        nearest: list[Tensor] = []
        for number, patches in enumerate(self._photos):
            progress(number, len(self._photos))
            excluded = owners == owners[number]
            found = model_thread.run(_second_nearest, patches, bank, excluded)
            distances.append(found[0])
            nearest.append(found[1])
        common = torch.cat([own[:per_photo] for own in distances])
        common = common.clamp(min=max(_LEAST_COMMON * float(common.mean()), 1e-6))
        scores = [
            float((own.square() / common[near]).topk(min(_ODDEST, len(own))).values.mean())
            for own, near in zip(distances, nearest, strict=True)
        ]
        return np.maximum(scores, 1e-9) / max(float(np.median(scores)), 1e-9)

    @torch.inference_mode()
    def _encoded(self, item: ModelInput) -> Tensor:
        """(P, C) half, in random order."""
        tiles = torch.from_numpy(np.stack(item.tiles)).permute(0, 3, 1, 2)
        device = next(iter(self._detector.state_dict().values())).device
        parts = [self._detector.encode(some.to(device))[-1].cpu() for some in tiles.split(_TILES_AT_ONCE)]
        patches = torch.cat([part.permute(0, 2, 3, 1).flatten(0, 2) for part in parts])
        most = max(_ODDEST, min(_MOST_PATCHES, _MOST_BYTES // (2 * patches.shape[1])))
        return patches[torch.randperm(len(patches), generator=self._generator)[:most]].half()

    def _bank(self) -> tuple[Tensor, int]:
        """Patches of all photos, (n, M, C), and M: the first ones of each photo, which stand in random
        order."""
        wanted = max(_BANK // len(self._photos), _FEWEST_IN_BANK)
        per_photo = min(wanted, *(len(patches) for patches in self._photos))
        return torch.stack([patches[:per_photo] for patches in self._photos]), per_photo


@torch.inference_mode()
def _second_nearest(patches: Tensor, bank: Tensor, excluded: Tensor) -> tuple[Tensor, Tensor]:
    """For each patch its distance to the second photo most like it, (P,), and the number of the patch in the
    bank that is most like it, (P,).

    Args:
        patches: (P, C).
        bank: (n, M, C).
        excluded: (n,) bool, photos that do not count.
    """
    count, per_photo, _ = bank.shape
    distances = torch.cdist(patches.float(), bank.flatten(0, 1).float())
    of_photo, place = distances.view(-1, count, per_photo).min(dim=2)  # (P, n)
    of_photo[:, excluded] = torch.inf
    smallest = of_photo.topk(_RANK, largest=False)
    photo = smallest.indices[:, 0]
    return smallest.values[:, -1], photo * per_photo + place.gather(1, photo[:, None])[:, 0]


def odd_ones(names: Sequence[str], oddness: np.ndarray) -> list[Finding]:
    """The photos that stand out, the oddest first.

    Args:
        names: (n).
        oddness: (n,) as `PatchSample.oddness` gives it, or empty.
    """
    if not len(oddness):
        return []
    z = robust_z(np.log(oddness), least_spread=0.05)
    return [
        Finding(names[i], float(oddness[i]), f"{oddness[i]:.1f} times as unlike the others as is usual")
        for i in np.argsort(-oddness, kind="stable")
        if z[i] > _ODD_Z and oddness[i] > _ODD_RATIO
    ]
