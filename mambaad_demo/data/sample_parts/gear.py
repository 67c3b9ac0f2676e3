"""A brass spur gear on a steel bench."""

import numpy as np

from mambaad_demo.data.sample_parts import defects
from mambaad_demo.data.sample_parts.defects import Flaw, blob
from mambaad_demo.data.sample_parts.fields import Frame, linear, noise, step
from mambaad_demo.data.sample_parts.scene import Scene
from mambaad_demo.data.sample_parts.shapes import bevel, box, copies, disc
from mambaad_demo.data.sample_parts.tables import pose, steel_bench

SURFACE_DEFECTS = {
    "scratch": defects.scratch(color=linear(255, 242, 205), metal=1.0, width=0.004),
    "oil_stain": defects.stain(color=defects.OIL, radius=0.055, opacity=0.8, gloss=0.6),
    "dent": defects.dent(radius=0.032, depth=0.018),
}
SHAPE_DEFECTS = ("broken_tooth",)
TEETH = 24
ROOT, TIP = 0.325, 0.385


def build(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """The gear; `flaw` may break one or two of its teeth."""
    part = pose(frame, rng, turn=2.5)
    scene = steel_bench(frame, part, rng, 118)
    radius = np.hypot(part.x, part.y)
    angle = np.arctan2(part.y, part.x)
    wave = np.abs(((angle * np.float32(TEETH / (2 * np.pi))) % 1.0) - 0.5) * 2  # 0 at a tooth's middle
    middle = np.float32((ROOT + TIP) / 2)
    flank = (wave - (0.52 - 2.6 * (radius - middle))) * np.float32(np.pi / TEETH) * radius
    tooth = np.maximum(flank, radius - np.float32(TIP))
    outline = np.minimum(radius - np.float32(ROOT), tooth)
    cast = noise(rng, frame.side, 40, octaves=3, gain=0.6)
    turning = noise(rng, 512, 512, stretch=(1.0, 0.002))[:, 0]
    rings = turning[np.clip(radius * 1100, 0, 511).astype(np.int32)].astype(np.float32)

    if flaw and flaw.name == "broken_tooth":
        which = float(np.floor(flaw.rng.uniform(0, TEETH)) + 0.5) * 2 * np.pi / TEETH
        size = float(flaw.rng.uniform(0.034, 0.052)) * flaw.strength
        x, y = TIP * float(np.cos(which)), TIP * float(np.sin(which))
        outline = np.maximum(outline, -blob(part, flaw.rng, x, y, size, wobble=0.16))

    turns = [2 * np.pi * spoke / 5 - np.pi / 2 for spoke in range(5)]
    spots = [(0.205 * float(np.cos(turn)), 0.205 * float(np.sin(turn))) for turn in turns]
    holes = copies(part, spots, 0.1, lambda local: disc(local, 0.050))
    bore = np.minimum(disc(part, 0.062), box(part, 0.032, 0.06, y=-0.055))
    solid = np.maximum(outline, np.maximum(-holes, -bore))
    body = part.inside(solid)
    web = step(0.300, 0.292, radius) * step(0.118, 0.126, radius)
    top = 0.040 - 0.012 * web + bevel(solid, 0.007, 0.008) - 0.004
    top = top + 0.00012 * rings * (1 - 0.3 * web) + 0.00012 * cast
    scene.height = np.where(body > 0.5, top, scene.height).astype(np.float32)
    tint = linear(214, 172, 96) * (1.0 + 0.035 * cast[..., None])
    scene.cover(body, tint.astype(np.float32), metal=1.0, rough=0.33 + 0.04 * web)
    scene.body = body
    scene.brushed = np.where(body > 0.5, angle + np.float32(np.pi / 2), np.nan).astype(np.float32)
    scene.lift = 0.06
    scene.shadow = 0.7
    return scene
