"""From a category, a seed and perhaps a defect to a picture and its exact mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mambaad_demo.data.sample_parts.camera import Camera, developed, drawn_camera, exposed, sensor_noise
from mambaad_demo.data.sample_parts.catalog import KINDS, Kind
from mambaad_demo.data.sample_parts.defects import Flaw
from mambaad_demo.data.sample_parts.fields import Field, Frame, generator
from mambaad_demo.data.sample_parts.lighting import Light, drawn_light, shaded
from mambaad_demo.data.sample_parts.scene import Scene

CATEGORIES: tuple[str, ...] = tuple(KINDS)
"""Names of all kinds of part, sorted."""
DEFECTS: dict[str, tuple[str, ...]] = {
    name: tuple(sorted((*kind.surface_defects, *kind.shape_defects))) for name, kind in KINDS.items()
}
"""Names of the defects of each category, sorted."""

VISIBLE = 0.035
"""Change of a display value (0–1) from which a pixel belongs to the mask."""
SMALLEST, LARGEST = 0.0012, 0.13
"""Accepted share of the picture that a defect changes."""
CLEAR = 0.085
"""Least mean change within the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One photograph of one part."""

    image: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    mask: NDArray[np.bool_]
    """(S, S) True where the defect changed the picture; all False on a good part."""
    category: str
    defect: str | None
    """None for a good part."""


def render_part(category: str, *, seed: int, defect: str | None = None, side: int = 512) -> Part:
    """Photograph one part.

    The same arguments give the same picture. Part, light, camera and sensor noise depend on category and seed
    only, so a part with a defect is the good part of that seed, changed where the mask is True (and, faintly,
    in soft shadows around it).

    Args:
        category: one of `CATEGORIES`.
        seed: which part; not negative.
        defect: one of `DEFECTS[category]`, or None for a good part.
        side: pixels of the square picture, at least 32; the scene is the same at every size.

    Raises:
        ValueError: unknown category or defect, or a side below 32.
    """
    kind = KINDS.get(category)
    if kind is None:
        raise ValueError(f"Unknown category {category!r}; known are {', '.join(CATEGORIES)}.")
    if defect is not None and defect not in DEFECTS[category]:
        raise ValueError(f"{category} has no defect {defect!r}; it has {', '.join(DEFECTS[category])}.")
    if side < 32:
        raise ValueError(f"A side of {side} pixels is too small; use at least 32.")
    frame = Frame.of_side(side)
    shot = generator(category, seed, "shot")
    light, camera = drawn_light(shot), drawn_camera(shot)
    good = kind.build(frame, generator(category, seed, "part"), None)
    display = developed(shaded(good, light), frame, camera)
    mask = np.zeros((side, side), np.bool_)
    if defect is not None:
        display, mask = damaged(kind, good, display, light, camera, category, seed, defect)
    grain = sensor_noise(shot, frame, camera)
    return Part(image=exposed(display, grain), mask=mask, category=category, defect=defect)


def damaged(
    kind: Kind,
    good: Scene,
    display: Field,
    light: Light,
    camera: Camera,
    category: str,
    seed: int,
    defect: str,
) -> tuple[Field, NDArray[np.bool_]]:
    """Display values with the defect, and its mask; draws again, bolder, while it is hard to see."""
    best: tuple[Field, NDArray[np.bool_]] | None = None
    best_contrast = -1.0
    for attempt in range(4):
        rng = generator(category, seed, defect, attempt)
        strength = float(rng.uniform(0.85, 1.2)) * (1.0 + 0.2 * attempt)
        if defect in kind.surface_defects:
            scene = good.copy()
            kind.surface_defects[defect](scene, rng, strength)
        else:
            flaw = Flaw(name=defect, rng=rng, strength=strength)
            scene = kind.build(good.frame, generator(category, seed, "part"), flaw)
        spoilt = developed(shaded(scene, light), good.frame, camera)
        change = np.abs(spoilt - display).max(axis=2)
        mask = changed_area(change)
        area = float(mask.mean())
        contrast = float(change[mask].mean()) if mask.any() else 0.0
        if contrast > best_contrast and area <= LARGEST:
            best, best_contrast = (spoilt, mask), contrast if area >= SMALLEST else 0.0
        if contrast >= CLEAR and SMALLEST <= area <= LARGEST:
            break
    if best is None:
        best = spoilt, mask
    return best


def changed_area(change: Field) -> NDArray[np.bool_]:
    """Pixels whose value changed visibly, with the pinholes closed and lone pixels removed."""
    reach = max(1, round(change.shape[0] / 130))
    visible = change > VISIBLE
    closed = ndimage.binary_closing(np.pad(visible, reach), iterations=reach)[reach:-reach, reach:-reach]
    labels, count = ndimage.label(closed | visible)
    if count == 0:
        return np.zeros(change.shape, np.bool_)
    areas = ndimage.sum_labels(closed | visible, labels, np.arange(count + 1))
    areas[0] = 0
    least = max(2.0, 0.00004 * change.size)
    return np.asarray(ndimage.binary_fill_holes(areas[labels] >= least), np.bool_)
