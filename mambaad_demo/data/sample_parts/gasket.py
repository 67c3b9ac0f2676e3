"""A black rubber flange gasket on grey paper."""

import numpy as np

from mambaad_demo.data.sample_parts import defects
from mambaad_demo.data.sample_parts.defects import Flaw, blob
from mambaad_demo.data.sample_parts.fields import Frame, linear, noise, step
from mambaad_demo.data.sample_parts.scene import Scene
from mambaad_demo.data.sample_parts.shapes import bevel, disc
from mambaad_demo.data.sample_parts.tables import paper, pose

SURFACE_DEFECTS = {
    "contamination": defects.stain(
        color=linear(196, 188, 170), radius=0.034, opacity=0.85, gloss=0.0, grain=0.8
    ),
    "fibre": defects.fibre(color=linear(225, 220, 210), length=0.34, width=0.0026),
}
SHAPE_DEFECTS = ("tear", "flash")
EARS = 0.330


def build(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """The gasket; `flaw` may tear a piece out of it or leave flash at its edge."""
    part = pose(frame, rng, turn=5)
    scene = paper(frame, part, rng, linear(176, 178, 176))
    ring = disc(part, 0.265)
    ears = np.minimum(disc(part, 0.085, EARS, 0.0), disc(part, 0.085, -EARS, 0.0))
    # a smooth union, so that ears and ring flow into each other
    blend = np.clip(0.5 + 0.5 * (ears - ring) / 0.12, 0.0, 1.0)
    outline = ears + (ring - ears) * blend - 0.12 * blend * (1 - blend)
    grain = noise(rng, frame.side, 200, octaves=2, gain=0.7)
    slack = noise(rng, frame.side, 3)

    bores = np.minimum(disc(part, 0.165), np.minimum(disc(part, 0.036, EARS), disc(part, 0.036, -EARS)))
    if flaw and flaw.name == "tear":
        outer = flaw.rng.random() < 0.6
        angle = float(flaw.rng.uniform(0.25, 0.75) * np.pi) + float(np.pi * flaw.rng.integers(2))
        reach, size = (0.285 if outer else 0.150), float(flaw.rng.uniform(0.035, 0.055)) * flaw.strength
        x, y = reach * float(np.cos(angle)), reach * float(np.sin(angle))
        outline = np.maximum(outline, -blob(part, flaw.rng, x, y, size, wobble=0.35))
    if flaw and flaw.name == "flash":
        angle = float(flaw.rng.uniform(0, 2 * np.pi))
        size = float(flaw.rng.uniform(0.040, 0.060)) * flaw.strength
        x, y = 0.155 * float(np.cos(angle)), 0.155 * float(np.sin(angle))
        skin = blob(part, flaw.rng, x, y, size, wobble=0.35)
        bores = np.maximum(bores, -skin)

    solid = np.maximum(outline, -bores)
    body = part.inside(solid)
    bead = np.exp(-(((np.hypot(part.x, part.y) - np.float32(0.213)) / np.float32(0.013)) ** 2))
    top = bevel(solid, 0.014, 0.022) + 0.008 * bead + 0.00028 * grain + 0.0012 * slack
    scene.height = np.where(body > 0.5, top, scene.height).astype(np.float32)
    color = linear(42, 42, 44) * (1.0 + 0.10 * grain[..., None] + 0.08 * slack[..., None])
    scene.cover(body, np.maximum(color, 0.004).astype(np.float32), gloss=0.30, rough=0.45)
    bloom = step(1.2, 2.6, noise(rng, frame.side, 90)) * body
    scene.cover(bloom * 0.10, linear(120, 120, 120))
    scene.body = body
    scene.lift = 0.036
    scene.shadow = 0.62
    return scene
