"""A blue plastic screw cap with a white print, seen from above on a light bench."""

import numpy as np

from mambaad_demo.data.sample_parts import defects
from mambaad_demo.data.sample_parts.defects import Flaw, blob
from mambaad_demo.data.sample_parts.fields import Field, Frame, linear, noise, step
from mambaad_demo.data.sample_parts.lettering import lettering
from mambaad_demo.data.sample_parts.scene import Scene
from mambaad_demo.data.sample_parts.tables import paper, pose

SURFACE_DEFECTS = {
    "scratch": defects.scratch(color=linear(168, 196, 224), metal=0.0, width=0.0042),
    "stain": defects.stain(color=linear(70, 52, 30), radius=0.048, opacity=0.8, gloss=0.15),
    "crack": defects.crack(color=linear(8, 16, 34), length=0.32, width=0.0022),
}
SHAPE_DEFECTS = ("misprint", "broken_rim")
RADIUS = 0.365
RIDGES = 72


def build(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """The cap; `flaw` may spoil its print or break its rim."""
    part = pose(frame, rng, turn=4)
    scene = paper(frame, part, rng, linear(206, 204, 198))
    radius = np.hypot(part.x, part.y)
    angle = np.arctan2(part.y, part.x)
    ridges = np.cos(np.float32(RIDGES) * angle).astype(np.float32)
    outline = radius - np.float32(RADIUS) - np.float32(0.004) * ridges
    peel = noise(rng, frame.side, 60, octaves=2)
    flow = noise(rng, frame.side, 4, octaves=2)

    if flaw and flaw.name == "broken_rim":
        turn = float(flaw.rng.uniform(0, 2 * np.pi))
        size = float(flaw.rng.uniform(0.040, 0.065)) * flaw.strength
        reach = RADIUS * 1.01
        bite = blob(
            part, flaw.rng, reach * float(np.cos(turn)), reach * float(np.sin(turn)), size, wobble=0.3
        )
        outline = np.maximum(outline, -bite)

    body = part.inside(outline)
    shoulder = step(0.365, 0.300, radius)
    top = 0.018 + 0.062 * shoulder - 0.010 * step(0.255, 0.235, radius)
    skirt = step(0.300, 0.325, radius)
    top = top + skirt * 0.0045 * ridges
    gate = np.exp(-((radius / np.float32(0.012)) ** 2))
    top = top + 0.004 * gate + 0.00009 * peel
    scene.height = np.where(body > 0.5, top, scene.height).astype(np.float32)
    color = linear(28, 84, 168) * (1.0 + 0.03 * flow + 0.01 * peel)[..., None]
    scene.cover(body, color.astype(np.float32), gloss=1.4, rough=0.24)

    words, badge = printed(part)
    if flaw and flaw.name == "misprint":
        words, badge = misprinted(part, flaw)
    worn = np.clip(0.93 + 0.05 * noise(rng, frame.side, 90, octaves=2), 0.0, 1.0)
    scene.cover(np.maximum(words, badge) * worn * body, linear(238, 238, 234), gloss=0.5, rough=0.35)
    scene.body = body
    scene.lift = 0.085
    scene.shadow = 0.6
    return scene


def printed(part: Frame) -> tuple[Field, Field]:
    """Coverage of the words and of the ring around them, where the press puts them."""
    radius = np.hypot(part.x, part.y)
    words = np.maximum(
        lettering(part, "AQUA", x=0.0, y=-0.062, size=0.078),
        lettering(part, "500 ml", x=0.0, y=0.075, size=0.056),
    )
    ring = part.inside(np.abs(radius - np.float32(0.205)) - np.float32(0.0055))
    return words, ring


def misprinted(part: Frame, flaw: Flaw) -> tuple[Field, Field]:
    """The print displaced and turned, printed twice, or partly missing."""
    manner = int(flaw.rng.integers(3))
    turn, dx, dy = flaw.rng.uniform(0.12, 0.25), flaw.rng.uniform(0.025, 0.05), flaw.rng.normal(0, 0.02)
    sign = 1 if flaw.rng.random() < 0.5 else -1
    if manner == 0:
        moved = part.posed(
            angle=sign * float(turn) * flaw.strength, dx=sign * float(dx), dy=float(dy), scale=1.0
        )
        return printed(moved)
    words, ring = printed(part)
    if manner == 1:
        ghost = part.posed(angle=0.02 * sign, dx=sign * 0.022 * flaw.strength, dy=float(dy), scale=1.0)
        other_words, other_ring = printed(ghost)
        return np.maximum(words, 0.75 * other_words), np.maximum(ring, 0.75 * other_ring)
    x, y = float(flaw.rng.normal(0, 0.05)), -0.06 if flaw.rng.random() < 0.5 else 0.07
    gone = step(0.012, -0.012, blob(part, flaw.rng, x, y, 0.085 * flaw.strength, wobble=0.3))
    return words * (1 - gone), ring * (1 - gone)
