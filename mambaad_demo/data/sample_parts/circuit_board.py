"""A corner of a green circuit board: traces, plated holes, a package and three chips."""

import numpy as np

from mambaad_demo.data.sample_parts import defects
from mambaad_demo.data.sample_parts.defects import Flaw, blob
from mambaad_demo.data.sample_parts.fields import Field, Frame, blurred, linear, noise
from mambaad_demo.data.sample_parts.lettering import lettering
from mambaad_demo.data.sample_parts.scene import Scene, empty_scene
from mambaad_demo.data.sample_parts.shapes import bevel, box, copies, disc, path
from mambaad_demo.data.sample_parts.tables import pose

SURFACE_DEFECTS = {
    "scratch": defects.scratch(color=linear(214, 150, 104), metal=0.8, length=0.26, width=0.0042),
    "flux_stain": defects.stain(color=linear(150, 118, 58), radius=0.06, opacity=0.6, gloss=0.5),
}
SHAPE_DEFECTS = ("missing_component", "bent_pin", "solder_bridge", "open_trace")

TRACES = (
    [(-0.6, -0.36), (-0.30, -0.36), (-0.20, -0.26), (-0.20, -0.135)],
    [(-0.6, -0.30), (-0.33, -0.30), (-0.27, -0.24), (-0.27, -0.135)],
    [(-0.13, -0.135), (-0.13, -0.30), (-0.03, -0.40), (0.6, -0.40)],
    [(-0.06, -0.135), (-0.06, -0.27), (0.01, -0.34), (0.6, -0.34)],
    [(-0.27, 0.135), (-0.27, 0.24), (-0.36, 0.33), (-0.6, 0.33)],
    [(-0.20, 0.135), (-0.20, 0.28), (-0.31, 0.39), (-0.6, 0.39)],
    [(-0.13, 0.135), (-0.13, 0.33), (0.02, 0.33), (0.12, 0.23), (0.24, 0.23)],
    [(-0.06, 0.135), (-0.06, 0.26), (0.03, 0.17), (0.24, 0.17)],
    [(0.24, -0.16), (0.10, -0.16), (0.05, -0.21), (0.05, -0.24)],
    [(0.36, -0.16), (0.6, -0.16)],
    [(0.36, -0.06), (0.44, -0.06), (0.44, 0.05), (0.6, 0.05)],
    [(0.24, -0.06), (0.14, -0.06), (0.14, 0.07), (0.24, 0.07)],
)
FOOTPRINT = tuple((x, y) for y in (-0.10, 0.10) for x in (-0.27, -0.20, -0.13, -0.06))
PACKAGE = (-0.165, 0.0)
CHIPS = ((0.30, -0.16), (0.30, -0.06), (0.30, 0.07))
LANDS = tuple((x + dx, y) for x, y in CHIPS for dx in (-0.062, 0.062))
VIAS = (
    (0.05, -0.24),
    (0.24, 0.23),
    (0.24, 0.17),
    (0.40, 0.30),
    (0.31, 0.38),
    (-0.40, -0.08),
    (-0.40, 0.10),
    (0.10, 0.40),
)


def build(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """The board; `flaw` may leave out a chip, bend a lead, bridge two leads or interrupt a trace."""
    part = pose(frame, rng, turn=1.2, shift=0.008, stretch=0.006)
    scene = empty_scene(frame, part, linear(20, 92, 58), gloss=0.8, rough=0.30)
    side = frame.side
    weave = np.sin(part.x * np.float32(2 * np.pi * 62)) * np.sin(part.y * np.float32(2 * np.pi * 62))
    scene.albedo *= (1.0 + 0.03 * weave + 0.04 * noise(rng, side, 5, octaves=3))[..., None]

    wires = [path(part, points, reach=0.03) - np.float32(0.0085) for points in TRACES]
    if flaw and flaw.name == "open_trace":
        wires = interrupted(part, wires, flaw)
    copper = part.inside(np.minimum.reduce(wires))
    rings = copies(part, VIAS, 0.06, lambda local: disc(local, 0.030))
    copper = np.maximum(copper, part.inside(rings + np.float32(0.002)))
    scene.height += np.float32(0.0022) * copper
    scene.cover(copper * 0.92, linear(46, 132, 74), gloss=0.8, rough=0.30)

    solder = np.minimum(
        copies(part, FOOTPRINT, 0.08, lambda local: box(local, 0.044, 0.090, corner=0.012)),
        copies(part, LANDS, 0.08, lambda local: box(local, 0.062, 0.070, corner=0.012)),
    )
    if flaw and flaw.name == "solder_bridge":
        solder = bridged(part, solder, flaw)
    tinned = part.inside(solder)
    bulge = np.clip(-solder / 0.022, 0.0, 1.0)
    wavy = noise(rng, side, 22, octaves=2)
    rounded = blurred(tinned * (0.010 * np.sqrt(bulge) + 0.0012 * wavy * bulge).astype(np.float32), 0.0022)
    scene.height += rounded
    scene.cover(tinned, linear(205, 205, 202), metal=1.0, rough=0.27 + 0.03 * wavy)

    plated = part.inside(rings + np.float32(0.008))
    drilled = part.inside(copies(part, VIAS, 0.06, lambda local: disc(local, 0.0125)))
    scene.cover(plated, linear(216, 186, 120), metal=1.0, rough=0.32)
    scene.height -= np.float32(0.03) * drilled
    scene.cover(drilled, linear(14, 12, 10), gloss=0.0)

    legend = np.maximum.reduce(
        [
            part.inside(disc(part, 0.008, -0.345, -0.085)),
            lettering(part, "U7", x=-0.375, y=0.0, size=0.036),
            lettering(part, "R12", x=0.30, y=-0.212, size=0.026),
            lettering(part, "C4", x=0.43, y=-0.112, size=0.026),
            lettering(part, "R9", x=0.30, y=0.122, size=0.026),
            lettering(part, "REV B", x=-0.36, y=-0.42, size=0.034),
        ]
    )
    ink = np.clip(0.9 + 0.06 * noise(rng, side, 120, octaves=2), 0.0, 1.0)
    scene.cover(legend * ink, linear(228, 230, 222), gloss=0.2, rough=0.5)
    scene.height += np.float32(0.0004) * legend + np.float32(0.00007) * noise(rng, side, 90, octaves=2)

    mold = noise(rng, side, 200, octaves=2)
    missing = int(flaw.rng.integers(len(CHIPS))) if flaw and flaw.name == "missing_component" else -1
    outlines = [
        mounted_chip(scene, part, mold, at, brown=index == 1)
        for index, at in enumerate(CHIPS)
        if index != missing
    ]
    outlines.append(mounted_package(scene, part, mold, flaw if flaw and flaw.name == "bent_pin" else None))
    scene.caster = np.maximum.reduce(outlines)
    scene.body = np.ones_like(scene.body)
    scene.lift = 0.026
    scene.shadow = 0.65
    return scene


def mounted_chip(scene: Scene, part: Frame, mold: Field, at: tuple[float, float], *, brown: bool) -> Field:
    """Solder a resistor, or a brown capacitor, onto its two lands; returns its outline 0–1."""
    x, y = at
    whole = copies(part, [at], 0.12, lambda local: box(local, 0.128, 0.056, corner=0.004))
    middle = copies(part, [at], 0.12, lambda local: box(local, 0.088, 0.060, corner=0.003))
    outline, coated = part.inside(whole), part.inside(middle)
    scene.height += (
        bevel(whole, 0.006, 0.020) + np.float32(0.0015) * coated + np.float32(0.00010) * mold * outline
    )
    scene.cover(outline, linear(214, 214, 212), metal=1.0, rough=0.34)
    scene.cover(coated, linear(150, 108, 74) if brown else linear(26, 26, 28), gloss=0.7, rough=0.36)
    if not brown:
        scene.cover(lettering(part, "103", x=x, y=y, size=0.032), linear(214, 214, 206), gloss=0.2)
    return outline


def mounted_package(scene: Scene, part: Frame, mold: Field, bent: Flaw | None) -> Field:
    """Solder the black package with its eight leads, one of them bent if asked; returns its outline 0–1."""
    x, y = PACKAGE
    wrong = int(bent.rng.integers(len(FOOTPRINT))) if bent else -1
    straight = [spot for index, spot in enumerate(FOOTPRINT) if index != wrong]
    leads = copies(part, straight, 0.08, lambda local: box(local, 0.024, 0.086, corner=0.003))
    if bent:
        foot_x, foot_y = FOOTPRINT[wrong]
        sign = 1 if bent.rng.random() < 0.5 else -1
        root = (foot_x, foot_y * 0.62)
        length = 0.078 * float(bent.rng.uniform(0.9, 1.15))
        angle = sign * float(bent.rng.uniform(0.45, 0.75)) * min(bent.strength, 1.3)
        tip = (
            foot_x + length * float(np.sin(angle)),
            root[1] + float(np.sign(foot_y)) * length * float(np.cos(angle)),
        )
        leads = np.minimum(leads, path(part, [root, tip]) - np.float32(0.013))
    pins = part.inside(leads)
    drop = np.clip((np.abs(part.y - np.float32(y)) - 0.075) / 0.035, 0.0, 1.0)
    scene.height += pins * (0.018 - 0.013 * drop) + np.float32(0.4) * bevel(leads, 0.006, 0.006)
    scene.cover(pins, linear(216, 216, 214), metal=1.0, rough=0.24)
    shell = copies(part, [PACKAGE], 0.24, lambda local: box(local, 0.31, 0.140, corner=0.004))
    outline = part.inside(shell)
    dimple = part.inside(disc(part, 0.011, x - 0.125, y + 0.040))
    top = 0.010 + bevel(shell, 0.013, 0.030) - 0.003 * dimple + 0.00022 * mold
    scene.height = np.where(outline > 0.5, top, scene.height).astype(np.float32)
    scene.cover(outline, linear(34, 34, 36), gloss=0.55, rough=0.45)
    marking = np.maximum(
        lettering(part, "MB2407", x=x + 0.01, y=y - 0.022, size=0.040),
        lettering(part, "DE 1142", x=x + 0.01, y=y + 0.030, size=0.026),
    )
    scene.cover(marking * np.float32(0.75), linear(196, 196, 192), gloss=0.1)
    return np.maximum(outline, pins)


def interrupted(part: Frame, wires: list[Field], flaw: Flaw) -> list[Field]:
    """The traces with a gap in one of them, etched away raggedly."""
    index = int(flaw.rng.integers(8))
    start, end = TRACES[index][1], TRACES[index][2]
    t = float(flaw.rng.uniform(0.25, 0.75))
    x, y = start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])
    gap = blob(part, flaw.rng, x, y, float(flaw.rng.uniform(0.032, 0.044)) * flaw.strength, wobble=0.2)
    return [np.maximum(wire, -gap) if i == index else wire for i, wire in enumerate(wires)]


def bridged(part: Frame, solder: Field, flaw: Flaw) -> Field:
    """The solder with a bridge between two neighboring pads."""
    row, gap = int(flaw.rng.integers(2)), int(flaw.rng.integers(3))
    left, right = FOOTPRINT[4 * row + gap], FOOTPRINT[4 * row + gap + 1]
    y = left[1] * float(flaw.rng.uniform(1.1, 1.3))
    lump = blob(part, flaw.rng, (left[0] + right[0]) / 2, y, 0.024 * flaw.strength, wobble=0.25)
    bar = path(part, [(left[0], y), (right[0], y)]) - np.float32(0.017 * flaw.strength)
    return np.minimum(solder, np.minimum(bar, lump))
