"""What the parts lie on: bench, mat, tray and paper, each with the unevenness of a real surface."""

import numpy as np

from mambaad_demo.data.sample_parts.fields import Field, Frame, linear, noise
from mambaad_demo.data.sample_parts.scene import Scene, empty_scene


def rubber_mat(frame: Frame, part: Frame, rng: np.random.Generator, color: Field) -> Scene:
    """A grained mat with dust in its pores."""
    scene = empty_scene(frame, part, color, gloss=0.25, rough=0.55)
    grain = noise(rng, frame.side, 170, octaves=2, gain=0.8)
    scene.height += np.float32(0.00050) * grain
    scene.albedo *= (1.0 + 0.10 * noise(rng, frame.side, 5, octaves=3) + 0.10 * grain)[..., None]
    np.clip(scene.albedo, 0.002, 1.0, out=scene.albedo)
    dust = np.clip(noise(rng, frame.side, 256) - 2.9, 0.0, 1.0)
    scene.cover(dust * 0.5, linear(200, 195, 185))
    return scene


def steel_bench(frame: Frame, part: Frame, rng: np.random.Generator, shade: int = 150) -> Scene:
    """A steel bench brushed from side to side, dull from use."""
    scene = empty_scene(frame, part, linear(shade, shade, shade + 3), rough=0.5)
    scene.metal += np.float32(0.75)
    streaks = noise(rng, frame.side, 420, stretch=(1.0, 0.02)) + 0.6 * noise(
        rng, frame.side, 300, stretch=(1.0, 0.1)
    )
    scene.height += np.float32(0.00022) * streaks
    scene.albedo *= (1.0 + 0.05 * noise(rng, frame.side, 4, octaves=3) + 0.05 * streaks)[..., None]
    return scene


def coated_tray(frame: Frame, part: Frame, rng: np.random.Generator, color: Field) -> Scene:
    """A powder-coated tray: fine orange peel and a soft sheen."""
    scene = empty_scene(frame, part, color, gloss=0.45, rough=0.42)
    scene.height += np.float32(0.00045) * noise(rng, frame.side, 75, octaves=2, gain=0.5)
    scene.albedo *= (1.0 + 0.06 * noise(rng, frame.side, 4, octaves=4, gain=0.6))[..., None]
    return scene


def paper(frame: Frame, part: Frame, rng: np.random.Generator, color: Field) -> Scene:
    """Thick matt paper with visible fibres."""
    scene = empty_scene(frame, part, color, gloss=0.0, rough=0.7)
    fibres = noise(rng, frame.side, 120, octaves=2, stretch=(1.0, 0.4)) + noise(
        rng, frame.side, 120, octaves=2, stretch=(0.4, 1.0)
    )
    scene.height += np.float32(0.00032) * fibres
    scene.albedo *= (1.0 + 0.035 * noise(rng, frame.side, 5, octaves=4, gain=0.7) + 0.015 * fibres)[..., None]
    return scene


def pose(
    frame: Frame, rng: np.random.Generator, *, turn: float, shift: float = 0.012, stretch: float = 0.012
) -> Frame:
    """The pose a feeder leaves a part in: turned by up to `turn` degrees, a little off center."""
    return frame.posed(
        angle=float(np.deg2rad(rng.uniform(-turn, turn))),
        dx=float(np.clip(rng.normal(0, shift), -2 * shift, 2 * shift)),
        dy=float(np.clip(rng.normal(0, shift), -2 * shift, 2 * shift)),
        scale=1.0 + float(rng.uniform(-stretch, stretch)),
    )
