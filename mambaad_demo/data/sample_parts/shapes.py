"""Signed distances of flat shapes, in image widths, negative inside; relief is up to the parts."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from mambaad_demo.data.sample_parts.fields import Field, Frame


def disc(frame: Frame, radius: float, x: float = 0.0, y: float = 0.0) -> Field:
    """Distance to a disc around (x, y)."""
    return np.hypot(frame.x - np.float32(x), frame.y - np.float32(y)) - np.float32(radius)


def box(
    frame: Frame, width: float, height: float, *, x: float = 0.0, y: float = 0.0, corner: float = 0.0
) -> Field:
    """Distance to a rectangle of the given full size around (x, y) with rounded corners."""
    qx = np.abs(frame.x - np.float32(x)) - np.float32(width / 2 - corner)
    qy = np.abs(frame.y - np.float32(y)) - np.float32(height / 2 - corner)
    outside = np.hypot(np.maximum(qx, 0.0), np.maximum(qy, 0.0))
    return outside + np.minimum(np.maximum(qx, qy), 0.0) - np.float32(corner)


def regular_polygon(frame: Frame, sides: int, inradius: float, corner: float = 0.0) -> Field:
    """Distance to a regular polygon with one edge at the top, corners rounded by `corner`."""
    sector = np.float32(2 * np.pi / sides)
    angle = np.arctan2(frame.x, -frame.y)
    local = angle - sector * np.round(angle / sector)
    radius = np.hypot(frame.x, frame.y)
    across = radius * np.cos(local) - np.float32(inradius - corner)
    along = np.abs(radius * np.sin(local)) - np.float32((inradius - corner) * np.tan(np.pi / sides))
    return np.where(along > 0, np.hypot(np.maximum(across, 0.0), along), across) - np.float32(corner)


def path(frame: Frame, points: Sequence[tuple[float, float]], *, reach: float = 0.05) -> Field:
    """Distance (never negative) to a polyline through `points`, each (x, y); at most `reach` large."""
    nearest = np.full((frame.side, frame.side), reach * reach, np.float32)
    for (ax, ay), (bx, by) in pairwise(points):
        window = frame.window([(ax, ay), (bx, by)], reach)
        local = frame.cut(window, x=ax, y=ay)
        dx, dy = np.float32(bx - ax), np.float32(by - ay)
        t = np.clip((local.x * dx + local.y * dy) / max(float(dx * dx + dy * dy), 1e-9), 0.0, 1.0)
        part = nearest[window]
        np.minimum(part, (local.x - t * dx) ** 2 + (local.y - t * dy) ** 2, out=part)
    return np.sqrt(nearest)


def copies(
    frame: Frame, spots: Sequence[tuple[float, float]], reach: float, shape: Callable[[Frame], Field]
) -> Field:
    """Distance to the nearest copy of a shape around each of `spots`, at most `reach` large."""
    nearest = np.full((frame.side, frame.side), reach, np.float32)
    for x, y in spots:
        window = frame.window([(x, y)], 1.5 * reach)
        part = nearest[window]
        np.minimum(part, shape(frame.cut(window, x=x, y=y)), out=part)
    return nearest


def bevel(distance: Field, width: float, height: float) -> Field:
    """Height of a plate that rises from its outline to `height` over a rounded edge of `width`."""
    t = np.clip(-distance / np.float32(width), 0.0, 1.0)
    return np.float32(height) * np.sqrt(1.0 - (1.0 - t) ** 2)
