"""A zinc-plated hex nut on a dark mat."""

import numpy as np

from mambaad_demo.data.sample_parts import defects
from mambaad_demo.data.sample_parts.defects import Flaw, blob
from mambaad_demo.data.sample_parts.fields import Field, Frame, linear, noise, step
from mambaad_demo.data.sample_parts.scene import Scene
from mambaad_demo.data.sample_parts.shapes import regular_polygon
from mambaad_demo.data.sample_parts.tables import pose, rubber_mat

SURFACE_DEFECTS = {
    "scratch": defects.scratch(color=linear(104, 98, 92), metal=0.7, width=0.0036),
    "rust": defects.stain(color=defects.RUST, radius=0.062, opacity=0.95, gloss=0.0, grain=0.7),
}
SHAPE_DEFECTS = ("burr", "nick")
INRADIUS = 0.315
BORE = 0.185


def build(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """The nut as it lies there, with a burr in its bore or a nick in its edge if `flaw` says so."""
    part = pose(frame, rng, turn=4)
    scene = rubber_mat(frame, part, rng, linear(46, 48, 52))
    radius = np.hypot(part.x, part.y)
    angle = np.arctan2(part.y, part.x)
    outline = regular_polygon(part, 6, INRADIUS, corner=0.012)
    bore = radius - np.float32(BORE)
    turning = noise(rng, 512, 512, stretch=(1.0, 0.002))[:, 0]
    rings = turning[np.clip(radius * 900, 0, 511).astype(np.int32)].astype(np.float32)
    cast = noise(rng, frame.side, 26, octaves=3, gain=0.6)
    start = float(rng.uniform(0, 2 * np.pi))

    if flaw and flaw.name == "nick":
        outline, bitten = nicked(part, outline, flaw)
    else:
        bitten = np.zeros_like(radius)
    if flaw and flaw.name == "burr":
        bore = burred(angle, bore, flaw)

    body = part.inside(outline) * part.inside(-bore)
    chamfer = np.maximum(radius - np.float32(INRADIUS * 1.005), 0.0) * 0.55
    top = 0.060 - chamfer - np.maximum(0.026 - bore, 0.0) * 0.8
    top = top - np.float32(0.010) * step(0.012, 0.0, -outline) ** 2 - 0.03 * bitten
    flat = step(0.026, 0.030, bore) * step(INRADIUS * 1.01, INRADIUS * 1.0, radius)
    top = top + flat * 0.00010 * rings + (1 - flat) * 0.00030 * cast

    # the thread inside the bore: ledges of a spiral that get darker with depth
    depth = np.clip(-bore / 0.034, 0.0, 1.0)
    turns = np.sin(2 * np.pi * (depth * 3.2) + angle + np.float32(start))
    wall = 0.045 - 0.030 * depth + 0.0035 * turns
    threaded = part.inside(bore) * step(1.0, 0.985, depth)
    scene.height = np.where(body > 0.5, top, np.where(threaded > 0.5, wall, scene.height)).astype(np.float32)
    tint = linear(205, 203, 198) * (1.0 + 0.03 * cast[..., None])
    scene.cover(np.maximum(body, threaded), tint.astype(np.float32), metal=1.0, rough=0.30 + 0.03 * cast)
    scene.albedo *= (1.0 - threaded * (0.30 + 0.55 * depth))[..., None]
    scene.body = body
    scene.brushed = np.where(body * flat > 0.5, angle + np.float32(np.pi / 2), np.nan).astype(np.float32)
    scene.lift = 0.085
    scene.shadow = 0.75
    return scene


def nicked(part: Frame, outline: Field, flaw: Flaw) -> tuple[Field, Field]:
    """The outline with a piece struck out of it, and how deep the broken face lies (0–1)."""
    corner = np.pi / 6 + np.pi / 3 * float(flaw.rng.integers(6)) + float(flaw.rng.normal(0, 0.07))
    reach = INRADIUS * float(flaw.rng.uniform(1.13, 1.19))
    size = float(flaw.rng.uniform(0.030, 0.050)) * flaw.strength
    # the polygon has an edge at the top, so its corners point left and right
    x, y = reach * float(np.cos(corner + np.pi / 6)), reach * float(np.sin(corner + np.pi / 6))
    bite = blob(part, flaw.rng, x, y, size, wobble=0.22)
    return np.maximum(outline, -bite), step(0.020, 0.0, bite)


def burred(angle: Field, bore: Field, flaw: Flaw) -> Field:
    """The bore with torn metal standing into it over part of its circle."""
    center, spread = float(flaw.rng.uniform(-np.pi, np.pi)), float(flaw.rng.uniform(0.22, 0.45))
    phases = flaw.rng.uniform(0, 2 * np.pi, 3)
    off = np.angle(np.exp(1j * (angle - center))).astype(np.float32)
    ragged = (
        0.6
        + 0.25 * np.sin(9 * off + phases[0])
        + 0.2 * np.sin(17 * off + phases[1])
        + 0.15 * np.sin(31 * off)
    )
    tooth = np.float32(0.042 * flaw.strength) * np.clip(ragged, 0.0, 1.2) * np.exp(-((off / spread) ** 4))
    return np.asarray(bore + tooth, np.float32)
