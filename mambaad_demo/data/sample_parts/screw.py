"""A steel screw lying on a dark mat."""

import numpy as np

from mambaad_demo.data.sample_parts import defects
from mambaad_demo.data.sample_parts.defects import Flaw
from mambaad_demo.data.sample_parts.fields import Frame, linear, noise, step
from mambaad_demo.data.sample_parts.scene import Scene
from mambaad_demo.data.sample_parts.tables import coated_tray, pose

SURFACE_DEFECTS = {
    "rust": defects.stain(color=defects.RUST, radius=0.042, opacity=0.92, gloss=0.0, grain=0.8),
    "scratch": defects.scratch(color=linear(70, 66, 64), metal=0.5, length=0.20, width=0.0040),
}
SHAPE_DEFECTS = ("worn_thread", "bent_tip")
HEAD_END, SHANK_END, TIP_END = -0.30, -0.07, 0.40
PITCH = 0.0385


def build(frame: Frame, rng: np.random.Generator, flaw: Flaw | None) -> Scene:
    """The screw, its head to the upper left; `flaw` may wear off threads or bend its tip."""
    settled = pose(frame, rng, turn=4, shift=0.012)
    part = settled.posed(angle=float(np.deg2rad(38)), dx=-0.028, dy=-0.022, scale=1.13)
    scene = coated_tray(frame, part, rng, linear(64, 82, 70))
    along, across = part.x, part.y
    roll = float(rng.uniform(0, 2 * np.pi))
    grain = noise(rng, frame.side, 70, octaves=3, gain=0.7)

    if flaw and flaw.name == "bent_tip":
        sign = 1 if flaw.rng.random() < 0.5 else -1
        start = float(flaw.rng.uniform(0.12, 0.2))
        bend = np.maximum(along - np.float32(start), 0.0)
        across = across - np.float32(sign * 1.35 * flaw.strength) * bend**1.6
    worn = np.zeros_like(along)
    if flaw and flaw.name == "worn_thread":
        center = float(flaw.rng.uniform(0.02, 0.26))
        length = float(flaw.rng.uniform(0.035, 0.06)) * flaw.strength
        ragged = noise(flaw.rng, frame.side, 40, octaves=2)
        worn = step(
            length * 1.15, length * 0.9, np.abs(along - np.float32(center)) + np.float32(0.006) * ragged
        )

    # the radius of the turned body along its axis: pan head, plain shank, threads, point
    turns = ((along - 0.006 * across / 0.05 - SHANK_END) / PITCH + roll / (2 * np.pi)) % 1.0
    crest = np.clip(1.25 - 2.9 * np.abs(turns - 0.5), 0.0, 1.0)
    taper = np.clip((TIP_END - along) / 0.11, 0.0, 1.0) ** 0.8
    threaded = step(SHANK_END - 0.01, SHANK_END + 0.03, along)
    core = (0.043 - 0.007 * threaded) * taper
    thread = 0.026 * crest * threaded * np.sqrt(taper)
    body_radius = core + thread * (1.0 - 0.92 * worn)
    head_depth = (along - HEAD_END + 0.075) / 0.075
    head = 0.118 * np.sqrt(np.clip(1.0 - (1.0 - np.clip(head_depth, 0.0, 1.0)) ** 2.4, 0.0, 1.0))
    in_head = (along < HEAD_END) & (along > HEAD_END - 0.075)
    body_radius = np.where(in_head, head, np.where(along <= HEAD_END - 0.075, 0.0, body_radius))
    distance = np.where(body_radius > 0, np.abs(across) - body_radius, np.float32(1.0))
    body = part.inside(distance.astype(np.float32))
    back = np.sqrt(np.clip(1.0 - (across / np.maximum(body_radius, 1e-4)) ** 2, 0.0, 1.0))
    top = 0.030 + body_radius * back + 0.00035 * grain
    scene.height = np.where(body > 0.5, top, scene.height).astype(np.float32)
    tint = linear(206, 204, 200) * (1.0 + 0.04 * grain[..., None])
    valley = threaded * (1.0 - crest) * (1.0 - worn) * (along > SHANK_END)
    scene.cover(body, tint.astype(np.float32), metal=1.0, rough=0.30 + 0.02 * grain)
    scene.albedo *= (1.0 - 0.45 * body * valley)[..., None]
    scene.body = body
    scene.lift = 0.075
    scene.shadow = 0.75
    return scene
