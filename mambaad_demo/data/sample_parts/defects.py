"""Defects any surface can have, such as scratch, crack and stain; parts add those of their own shape."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mambaad_demo.data.sample_parts.fields import Field, Frame, blurred, linear, noise, resized, step
from mambaad_demo.data.sample_parts.scene import Scene
from mambaad_demo.data.sample_parts.shapes import path


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """A defect to be built into a part: its name, its randomness and how strong it is (1 is usual)."""

    name: str
    rng: np.random.Generator
    strength: float


SurfaceDefect = Callable[[Scene, np.random.Generator, float], None]
"""Changes a finished scene in place."""


def blob(
    frame: Frame, rng: np.random.Generator, x: float, y: float, radius: float, *, wobble: float = 0.25
) -> Field:
    """Distance to an irregular patch around (x, y); `wobble` is how far its outline strays from a disc."""
    stretch, turn = float(rng.uniform(0.75, 1.3)), float(rng.uniform(0, np.pi))
    window = frame.window([(x, y)], 3.0 * radius)
    local = frame.cut(window, x=x, y=y)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    along = (local.x * cos + local.y * sin) * np.float32(stretch)
    across = (local.y * cos - local.x * sin) / np.float32(stretch)
    angle = np.arctan2(across, along)
    outline = np.ones_like(along)
    for count in range(2, 9):
        amount, phase = rng.normal(0, wobble / count), rng.uniform(0, 2 * np.pi)
        if wobble:
            outline += np.float32(amount) * np.cos(np.float32(count) * angle + np.float32(phase))
    distance = np.full((frame.side, frame.side), 3.0 * radius, np.float32)
    distance[window] = np.hypot(along, across) - np.float32(radius) * outline
    return distance


def place(scene: Scene, rng: np.random.Generator, margin: float) -> tuple[float, float]:
    """A random point (x, y) of the part, at least about `margin` inside its outline and the picture."""
    coarse = resized(blurred(scene.body, margin * 0.6), 64, 64) > 0.9
    rim = max(1, round(margin * 64))
    coarse[:rim] = coarse[-rim:] = False
    coarse[:, :rim] = coarse[:, -rim:] = False
    rows, columns = np.nonzero(coarse)
    jitter = rng.random(2)
    draw = rng.random()
    if len(rows) == 0:
        rows, columns = np.nonzero(resized(scene.body, 64, 64) > 0.6)
    chosen = int(draw * len(rows))
    return (
        float((columns[chosen] + jitter[0]) / 64 - 0.5),
        float((rows[chosen] + jitter[1]) / 64 - 0.5),
    )


def wander(
    rng: np.random.Generator,
    x: float,
    y: float,
    length: float,
    *,
    restless: float,
    heading: float | None = None,
    steps: int = 12,
) -> list[tuple[float, float]]:
    """Points of a line of about `length` through (x, y) that strays by `restless` radians a step.

    It runs roughly along `heading` (radians), or anywhere when that is None.
    """
    drawn = float(rng.uniform(0, 2 * np.pi))
    strays = rng.normal(0, restless, steps)
    turns = drawn + np.cumsum(strays) if heading is None else heading + strays
    xs = np.cumsum(np.cos(turns)) * length / steps
    ys = np.cumsum(np.sin(turns)) * length / steps
    middle = steps // 2
    return [(float(x + px - xs[middle]), float(y + py - ys[middle])) for px, py in zip(xs, ys, strict=True)]


def scratch(*, color: Field, metal: float, length: float = 0.24, width: float = 0.0035) -> SurfaceDefect:
    """A maker of scratches that bare the material below the skin, which has `color`."""

    def apply(scene: Scene, rng: np.random.Generator, strength: float) -> None:
        x, y = place(scene, rng, 0.04)
        size = length * float(rng.uniform(0.6, 1.25)) * strength
        line = wander(rng, x, y, size, restless=0.07)
        wide = width * float(rng.uniform(0.8, 1.4)) * strength
        distance = path(scene.frame, line)
        second = rng.random() < 0.45
        offset = rng.normal(0, 0.018, 2)
        cut = int(rng.integers(5, 10))
        if second:
            other = [(px + float(offset[0]), py + float(offset[1])) for px, py in line[:cut]]
            distance = np.minimum(distance, path(scene.frame, other) + np.float32(0.3 * wide))
        broken = 0.80 + 0.22 * noise(rng, scene.frame.side, 22)
        groove = step(wide, 0.25 * wide, distance) * scene.body * np.clip(broken, 0.3, 1.0)
        lip = step(2.4 * wide, 1.2 * wide, distance) * step(0.7 * wide, 1.2 * wide, distance) * scene.body
        scene.height += np.float32(0.0007 * strength) * lip - np.float32(0.0024 * strength) * groove
        scene.cover(groove * 0.95, color, metal=metal, gloss=0.3, rough=0.35)

    return apply


def dent(*, radius: float = 0.038, depth: float = 0.016) -> SurfaceDefect:
    """A maker of dents: the surface is pressed in, its color stays."""

    def apply(scene: Scene, rng: np.random.Generator, strength: float) -> None:
        size = radius * float(rng.uniform(0.8, 1.35))
        x, y = place(scene, rng, size)
        ellipse = blob(scene.frame, rng, x, y, size, wobble=0.0)
        uneven = np.float32(0.10 * size) * noise(rng, scene.frame.side, 9, octaves=2)
        hollow = step(0.35 * size, -0.95 * size, ellipse + uneven) * scene.body
        deep = depth * strength * float(rng.uniform(0.85, 1.2))
        scene.height -= np.float32(deep) * hollow
        scene.rough += 0.06 * hollow

    return apply


def crack(
    *, color: Field, length: float = 0.30, width: float = 0.0022, heading: float | None = None
) -> SurfaceDefect:
    """A maker of cracks: jagged dark gaps, often forked, along `heading` (radians) if there is a grain."""

    def apply(scene: Scene, rng: np.random.Generator, strength: float) -> None:
        x, y = place(scene, rng, 0.05)
        size = length * float(rng.uniform(0.75, 1.25)) * strength
        restless = 0.34 if heading is None else 0.12
        line = wander(rng, x, y, size, restless=restless, heading=heading, steps=18)
        start = line[int(rng.integers(4, 12))]
        lean = None if heading is None else heading + 0.35
        branch = wander(rng, start[0], start[1], size * 0.7, restless=restless, heading=lean, steps=8)[4:]
        forked = rng.random() < 0.6
        side = scene.frame.side
        jagged_x, jagged_y = (
            np.float32(0.0022) * noise(rng, side, 55, octaves=2, gain=0.7) for _ in range(2)
        )
        broken = replace(scene.frame, x=scene.frame.x + jagged_x, y=scene.frame.y + jagged_y)
        distance = path(broken, line)
        if forked:
            distance = np.minimum(distance, path(broken, [start, *branch]) + np.float32(0.4 * width))
        ends = np.hypot(scene.frame.x - np.float32(x), scene.frame.y - np.float32(y))
        taper = np.clip(1.3 - ends / np.float32(0.55 * size), 0.3, 1.0)
        thickness = np.clip(1.0 + 0.22 * noise(rng, side, 30), 0.5, 1.6) * taper
        wide = np.float32(width * strength * float(rng.uniform(0.9, 1.3))) * thickness
        gap = np.clip((wide - distance) / np.float32(0.0014) + 0.5, 0.0, 1.0) * scene.body
        scene.height -= np.float32(0.006) * gap
        scene.cover(gap, color, metal=0.0, gloss=0.0, rough=0.6)

    return apply


def stain(
    *, color: Field, radius: float = 0.05, opacity: float = 0.75, gloss: float = 0.1, grain: float = 0.35
) -> SurfaceDefect:
    """A maker of stains: dried liquid, rust, ink; denser towards the rim and uneven."""

    def apply(scene: Scene, rng: np.random.Generator, strength: float) -> None:
        size = radius * float(rng.uniform(0.7, 1.4))
        x, y = place(scene, rng, size * 0.8)
        distance = blob(scene.frame, rng, x, y, size, wobble=0.3)
        uneven = noise(rng, scene.frame.side, 14, octaves=4, gain=0.7)
        distance = distance + np.float32(0.16 * size) * uneven
        inside = step(0.10 * size, -0.12 * size, distance)
        rim = step(-0.45 * size, -0.05 * size, distance)
        density = np.clip(0.80 + 0.20 * rim + grain * 0.25 * uneven, 0.62, 1.0)
        for _ in range(int(rng.integers(1, 4))):
            angle, far = rng.uniform(0, 2 * np.pi), size * rng.uniform(1.2, 1.7)
            drop = blob(
                scene.frame,
                rng,
                x + float(far * np.cos(angle)),
                y + float(far * np.sin(angle)),
                size * float(rng.uniform(0.08, 0.2)),
            )
            inside = np.maximum(inside, step(0.004, -0.004, drop))
        covered = inside * density * scene.body
        amount = np.minimum(covered * np.float32(opacity * min(strength, 1.25)), 1.0)
        mottled = (
            color * (1.0 + 0.45 * grain * noise(rng, scene.frame.side, 30, octaves=3, gain=0.7))[..., None]
        )
        scene.cover(amount, np.maximum(mottled, 0.002), metal=scene.metal * 0.15, gloss=gloss, rough=0.45)
        scene.height += np.float32(0.0004) * covered

    return apply


def hole(*, color: Field, radius: float = 0.017, count: int = 3, frayed: float = 0.12) -> SurfaceDefect:
    """A maker of pores: one to `count` deep pits near each other, their rims ragged by `frayed` radii."""

    def apply(scene: Scene, rng: np.random.Generator, strength: float) -> None:
        x, y = place(scene, rng, 0.06)
        pits = int(rng.integers(1, count + 1))
        ragged = noise(rng, scene.frame.side, 70, octaves=2)
        for pit in range(pits):
            size = radius * float(rng.uniform(0.7, 1.35)) * strength * (1.0 if pit == 0 else 0.6)
            shift = rng.normal(0, 0.035, 2) if pit else np.zeros(2)
            distance = blob(scene.frame, rng, x + float(shift[0]), y + float(shift[1]), size, wobble=0.18)
            distance = distance + np.float32(frayed * size) * ragged
            pitted = step(0.12 * size, -0.35 * size, distance) * scene.body
            lip = (
                step(0.5 * size, 0.1 * size, distance) * step(-0.1 * size, 0.15 * size, distance) * scene.body
            )
            scene.height += np.float32(0.0015) * lip - np.float32(0.020) * pitted
            scene.cover(pitted * 0.9, color, metal=scene.metal * 0.3, gloss=0.05, rough=0.5)

    return apply


def fibre(*, color: Field, length: float = 0.34, width: float = 0.0030, gloss: float = 0.3) -> SurfaceDefect:
    """A maker of hairs and threads that lie on the part and throw a small shadow."""

    def apply(scene: Scene, rng: np.random.Generator, strength: float) -> None:
        x, y = place(scene, rng, 0.06)
        size = length * float(rng.uniform(0.7, 1.3)) * strength
        curl = float(np.clip(rng.normal(0, 0.07), -0.13, 0.13))
        steps = 22
        turns = float(rng.uniform(0, 2 * np.pi)) + np.cumsum(curl + rng.normal(0, 0.13, steps))
        xs, ys = np.cumsum(np.cos(turns)) * size / steps, np.cumsum(np.sin(turns)) * size / steps
        line = [(float(x + px - xs[11]), float(y + py - ys[11])) for px, py in zip(xs, ys, strict=True)]
        wide = width * float(rng.uniform(0.85, 1.25)) * strength
        distance = path(scene.frame, line)
        # the lamp stands at the upper left, so the shadow lies to the lower right
        shade_line = [(px + 0.5 * wide + 0.0022, py + 0.5 * wide + 0.0030) for px, py in line]
        shade = step(2.0 * wide, 0.2 * wide, path(scene.frame, shade_line))
        scene.albedo *= 1.0 - 0.55 * shade[..., None]
        lying = scene.frame.inside(distance - np.float32(wide))
        scene.cover(lying, color, metal=0.0, gloss=gloss, rough=0.4)
        round_back = np.sqrt(np.clip(1.0 - (distance / np.float32(wide)) ** 2, 0.0, 1.0))
        scene.height += np.float32(0.9 * wide) * round_back

    return apply


DARK = linear(24, 21, 20)
RUST = linear(126, 62, 28)
OIL = linear(38, 30, 20)
BARE_STEEL = linear(232, 232, 228)
