"""Flat goods that fill the picture: brushed steel, canvas, leather, planks and terrazzo."""

import numpy as np
from scipy.spatial import cKDTree

from mambaad_demo.data.sample_parts.defects import Flaw
from mambaad_demo.data.sample_parts.fields import Field, Frame, blurred, linear, noise, resized, step
from mambaad_demo.data.sample_parts.scene import Scene, empty_scene
from mambaad_demo.data.sample_parts.tables import pose

CHIPS = ((112, 108, 104), (150, 122, 104), (214, 210, 202), (92, 94, 98), (172, 156, 134))
"""Colors of the marble in terrazzo, sRGB."""


def cells(
    rng: np.random.Generator, frame: Frame, count: int, *, grid: int = 256
) -> tuple[Field, Field, Field]:
    """A random pattern of cells.

    Returns:
        Distance to the nearest and second nearest of `count`² scattered points, in cell widths, and a random
        number 0–1 for each pixel's cell.
    """
    rows, columns = np.mgrid[-1 : count + 1, -1 : count + 1]
    points = np.stack([rows.ravel(), columns.ravel()], axis=1) + rng.uniform(0.05, 0.95, (rows.size, 2))
    values = rng.random(rows.size).astype(np.float32)
    side = min(grid, frame.side)
    at = np.stack([(frame.y + 0.5) * count, (frame.x + 0.5) * count], axis=-1)
    coarse = np.stack([resized(at[..., axis], side, side) for axis in (0, 1)], axis=-1)
    distances, nearest = cKDTree(points).query(coarse.reshape(-1, 2), k=2)
    shape = (side, side)
    first, second = (distances[:, k].reshape(shape).astype(np.float32) for k in (0, 1))
    own = values[nearest[:, 0]].reshape(shape)
    if side == frame.side:
        return first, second, own
    repeat = np.clip((np.arange(frame.side) * side) // frame.side, 0, side - 1)
    return (
        resized(first, frame.side, frame.side),
        resized(second, frame.side, frame.side),
        own[repeat][:, repeat],
    )


def brushed_steel(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """Sheet steel with a vertical brushed finish."""
    del flaw
    scene = empty_scene(frame, frame, linear(190, 190, 188), rough=0.42)
    side = frame.side
    fine = noise(rng, side, 460, stretch=(0.012, 1.0))
    short = noise(rng, side, 400, stretch=(0.07, 1.0))
    broad = noise(rng, side, 40, stretch=(0.04, 1.0))
    scene.height += np.float32(0.00030) * (fine + 0.7 * short) + np.float32(0.0006) * broad
    scene.albedo *= (1.0 + 0.05 * fine + 0.04 * short + 0.025 * broad + 0.02 * noise(rng, side, 3))[..., None]
    scene.metal += 1.0
    scene.body += 1.0
    scene.shadow = 0.0
    return scene


def canvas(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """Woven cotton: over and under, threads of uneven thickness; `flaw` may be a missing thread."""
    part = pose(frame, rng, turn=1.5)
    side = frame.side
    drift_x, drift_y = 0.0022 * noise(rng, side, 5, octaves=2), 0.0022 * noise(rng, side, 5, octaves=2)
    threads = 46.0
    u, v = (part.x + drift_x) * np.float32(threads), (part.y + drift_y) * np.float32(threads)
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    over = (column + row) % 2 == 0
    across_u, across_v = (u - column - 0.5).astype(np.float32), (v - row - 0.5).astype(np.float32)
    tone_warp, tone_weft = (rng.normal(0, 1, 160).astype(np.float32) for _ in range(2))
    warp_back = np.sqrt(np.clip(1 - (2.05 * across_u) ** 2, 0, 1)) + 0.55 * np.cos(
        np.pi * across_v
    ) * np.where(over, 1, -1)
    weft_back = np.sqrt(np.clip(1 - (2.05 * across_v) ** 2, 0, 1)) + 0.55 * np.cos(
        np.pi * across_u
    ) * np.where(over, -1, 1)
    warp_tone, weft_tone = tone_warp[(column + 80) % 160], tone_weft[(row + 80) % 160]
    warp_back = warp_back + 0.08 * warp_tone
    weft_back = weft_back + 0.08 * weft_tone
    if flaw and flaw.name == "missing_thread":
        pulled = int(flaw.rng.integers(-14, 14))
        from_v, length = flaw.rng.uniform(-0.35, 0.05), flaw.rng.uniform(0.2, 0.4) * flaw.strength
        ragged = 0.01 * noise(flaw.rng, side, 30)
        span = step(from_v - 0.01, from_v + 0.01, part.y + ragged) * step(
            from_v + length + 0.01, from_v + length - 0.01, part.y + ragged
        )
        warp_back = warp_back - 2.5 * span * ((column == pulled) | (column == pulled + 1))
    top_warp = warp_back > weft_back
    fuzz = noise(rng, side, 256, octaves=2, gain=0.9)
    scene = empty_scene(frame, part, linear(178, 160, 128), gloss=0.0, rough=0.7)
    relief = np.maximum(np.maximum(warp_back, weft_back), -0.9)
    scene.height = (0.0048 * relief + 0.00035 * fuzz).astype(np.float32)
    tone = np.where(top_warp, 0.07 * warp_tone - 0.02, 0.07 * weft_tone + 0.02)
    valley = step(0.9, -0.3, relief) + 0.5 * step(-0.2, -0.9, relief)
    scene.albedo *= (1.0 + tone + 0.06 * fuzz + 0.03 * noise(rng, side, 4) - 0.40 * valley)[..., None].astype(
        np.float32
    )
    scene.body += 1.0
    scene.shadow = 0.0
    return scene


def leather(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """Grained brown leather: pebbles between fine furrows."""
    del flaw
    side = frame.side
    warp = 0.010
    bent = Frame(
        side=side,
        x=frame.x + np.float32(warp) * noise(rng, side, 12, octaves=2),
        y=frame.y + np.float32(warp) * noise(rng, side, 12, octaves=2),
    )
    first, second, own = cells(rng, bent, 46)
    coarse_first, coarse_second, _ = cells(rng, bent, 15)
    furrow = step(0.30, 0.02, second - first)
    fold = step(0.16, 0.0, coarse_second - coarse_first)
    pores = noise(rng, side, 200, octaves=2, gain=0.9)
    depth = blurred(np.maximum(furrow * (0.35 + 0.5 * own), 0.9 * fold), 0.0011)
    scene = empty_scene(frame, frame, linear(128, 76, 48), gloss=0.42, rough=0.50)
    scene.height += -0.0022 * depth + 0.00016 * pores + 0.0018 * noise(rng, side, 3)
    tone = 1.0 + 0.05 * noise(rng, side, 4, octaves=3) + 0.03 * pores - 0.20 * depth
    scene.albedo *= tone[..., None]
    scene.body += 1.0
    scene.shadow = 0.0
    return scene


def planks(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """Oiled pine boards with grain, joined by narrow gaps."""
    del flaw
    part = pose(frame, rng, turn=1.0, shift=0.008)
    side = frame.side
    scene = empty_scene(frame, part, linear(186, 138, 88), gloss=0.28, rough=0.45)
    wide = np.float32(0.25)
    board = np.clip(np.floor((part.y + 0.5) / wide), -1, 4).astype(np.int32) + 1
    shift = rng.uniform(0, 50, 6).astype(np.float32)[board]
    tone = rng.normal(0, 0.05, 6).astype(np.float32)[board]
    local = (part.y + np.float32(0.5)) % wide - wide / 2
    wave = noise(rng, side, 4, octaves=3, gain=0.45, stretch=(1.4, 0.45))
    rings = (local * 20 + shift + 0.6 * wave + 0.10 * noise(rng, side, 40, stretch=(1.0, 0.06))) % 1.0
    late = rings**1.8 * step(1.0, 0.93, rings)
    fibres = noise(rng, side, 420, stretch=(1.0, 0.025))
    vessels = step(1.3, 2.4, noise(rng, side, 360, stretch=(1.0, 0.045)))
    gap = step(0.0042, 0.0018, np.abs(np.abs(local) - wide / 2))
    scene.albedo *= (
        1.0
        + tone
        + 0.08 * fibres
        + 0.05 * noise(rng, side, 50, stretch=(1.0, 0.06))
        + 0.04 * noise(rng, side, 3)
    )[..., None]
    dark = linear(120, 72, 36)
    scene.albedo += (0.42 * late + 0.42 * vessels)[..., None] * (dark - scene.albedo)
    scene.height += np.float32(0.00022) * fibres + np.float32(0.0010) * late - np.float32(0.0006) * vessels
    scene.height -= np.float32(0.012) * gap
    scene.cover(gap * 0.85, linear(30, 20, 12), gloss=0.0)
    scene.body += 1.0
    scene.shadow = 0.0
    return scene


def terrazzo(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """A polished tile: small marble chips of several colors in pale cement."""
    del flaw
    side = frame.side
    scene = empty_scene(frame, frame, linear(186, 182, 174), gloss=0.35, rough=0.30)
    cloud = noise(rng, side, 6, octaves=4, gain=0.6)
    sand = noise(rng, side, 256)
    scene.albedo *= (1.0 + 0.025 * cloud + 0.05 * sand)[..., None]
    colors = np.stack([linear(*rgb) for rgb in CHIPS])
    veins = 1.0 + 0.10 * noise(rng, side, 40, octaves=3, gain=0.7)
    for count, share in ((52, 0.55), (27, 0.50)):
        rough = noise(rng, side, count * 3, octaves=2)
        first, second, own = cells(rng, frame, count)
        edge = np.minimum(second - first - 0.16, 0.66 - first) + 0.06 * rough
        chip = np.clip(0.5 + edge * np.float32(side / count / 1.6), 0.0, 1.0) * (own < share)
        which = (own / share * len(CHIPS)).astype(np.int32).clip(0, len(CHIPS) - 1)
        scene.cover(
            chip.astype(np.float32),
            (colors[which] * veins[..., None]).astype(np.float32),
            gloss=0.42,
            rough=0.26,
        )
    scene.height += np.float32(0.00008) * noise(rng, side, 100, octaves=2)
    scene.height += np.float32(0.0006) * blurred(cloud, 0.02)
    scene.body += 1.0
    scene.shadow = 0.0
    return scene
