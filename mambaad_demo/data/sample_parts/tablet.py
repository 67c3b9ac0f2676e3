"""A pressed white tablet with a score line on a blue tray."""

import numpy as np

from mambaad_demo.data.sample_parts import defects
from mambaad_demo.data.sample_parts.defects import Flaw, blob
from mambaad_demo.data.sample_parts.fields import Frame, linear, noise, step
from mambaad_demo.data.sample_parts.lettering import lettering
from mambaad_demo.data.sample_parts.scene import Scene
from mambaad_demo.data.sample_parts.tables import coated_tray, pose

SURFACE_DEFECTS = {
    "crack": defects.crack(color=linear(96, 88, 78), length=0.38, width=0.0024),
    "spot": defects.stain(color=linear(150, 104, 52), radius=0.036, opacity=0.85, gloss=0.0, grain=0.6),
    "hair": defects.fibre(color=linear(40, 26, 18), length=0.36, width=0.0024),
}
SHAPE_DEFECTS = ("chip",)
RADIUS = 0.335


def build(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """The tablet; `flaw` may break a chip off its edge."""
    part = pose(frame, rng, turn=6)
    scene = coated_tray(frame, part, rng, linear(52, 86, 122))
    radius = np.hypot(part.x, part.y)
    outline = radius - np.float32(RADIUS)
    powder = noise(rng, frame.side, 130, octaves=2, gain=0.8)
    clouds = noise(rng, frame.side, 7, octaves=3)
    speckle = step(1.9, 2.6, noise(rng, frame.side, 110))

    broken = drop = np.zeros_like(radius)
    if flaw and flaw.name == "chip":
        angle = float(flaw.rng.uniform(0, 2 * np.pi))
        size = float(flaw.rng.uniform(0.070, 0.105)) * flaw.strength
        reach = RADIUS + 0.30 * size
        bite = blob(
            part, flaw.rng, reach * float(np.cos(angle)), reach * float(np.sin(angle)), size, wobble=0.28
        )
        rough = noise(flaw.rng, frame.side, 30, octaves=3, gain=0.7)
        bite = bite + 0.0025 * rough
        broken = step(0.0015, -0.0035, bite)
        drop = (
            0.010 * broken
            + 0.055 * np.clip(-bite / np.float32(size), 0.0, 1.0) ** 1.3
            + 0.0016 * rough * broken
        )
        outline = np.maximum(outline, -(bite + np.float32(0.42 * size)))

    body = part.inside(outline)
    dome = 0.050 + 0.055 * np.sqrt(np.clip(1.0 - (radius / np.float32(RADIUS * 1.12)) ** 2, 0.0, 1.0))
    rim = step(0.0, 0.022, -(radius - np.float32(RADIUS)))
    score = step(0.013, 0.001, np.abs(part.x)) * step(RADIUS * 0.98, RADIUS * 0.9, radius)
    letters = np.maximum(
        lettering(part, "M", x=-0.155, y=0.0, size=0.145), lettering(part, "50", x=0.155, y=0.0, size=0.145)
    )
    top = dome - 0.026 * (1 - rim) ** 2 - 0.013 * score - 0.008 * letters
    top = top - drop + 0.00042 * powder
    scene.height = np.where(body > 0.5, top, scene.height).astype(np.float32)
    color = linear(233, 228, 216) * (1.0 + 0.012 * powder + 0.012 * clouds - 0.10 * speckle)[..., None]
    color = color * (1.0 - 0.12 * broken - 0.10 * letters)[..., None]
    scene.cover(body, color.astype(np.float32), gloss=0.03, rough=0.6)
    scene.body = body
    scene.lift = 0.075
    scene.shadow = 0.7
    return scene
