"""Light on a scene: a key lamp, sky and softboxes, cavities and shadows; the camera comes afterwards."""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.data.sample_parts.fields import Field, blurred, step
from mambaad_demo.data.sample_parts.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Where the lamps of one photograph stand and how strong they are."""

    azimuth: float
    """Direction of the key lamp in the picture, radians; -π/2 is the upper edge."""
    elevation: float
    """Angle of the key lamp above the table, radians."""
    key: float
    ambient: float
    falloff: tuple[float, float]
    """Change of the key light per image width along (x, y)."""


def drawn_light(rng: np.random.Generator, *, grazing: bool = False) -> Light:
    """The lamps of one photograph: upper left, with the small differences between two shots."""
    return Light(
        azimuth=float(np.deg2rad(-125 + rng.uniform(-9, 9))),
        elevation=float(np.deg2rad((34 if grazing else 50) + rng.uniform(-4, 4))),
        key=float(rng.uniform(0.92, 1.08)),
        ambient=float(rng.uniform(0.36, 0.44)),
        falloff=(float(rng.normal(-0.10, 0.05)), float(rng.normal(-0.14, 0.05))),
    )


VIEW = 0.42
"""How much the view direction turns over one image width: the camera is close to the part."""


def lamp_direction(light: Light) -> tuple[float, float, float]:
    """Unit vector from the table to the key lamp."""
    flat = np.cos(light.elevation)
    return (
        float(np.cos(light.azimuth) * flat),
        float(np.sin(light.azimuth) * flat),
        float(np.sin(light.elevation)),
    )


def softboxes(rx: Field, ry: Field, rz: Field, rough: Field, light: Light) -> Field:
    """Mirror image of the lamps in directions (rx, ry, rz), spread by `rough`."""
    lx, ly, lz = lamp_direction(light)
    lamps = (
        (lx, ly, lz, 2.1 * light.key, 0.035),
        (0.80, -0.25, 0.55, 0.9, 0.05),
        (-0.15, 0.80, 0.58, 0.5, 0.06),
    )
    spread = rough * rough
    total = np.zeros_like(rx)
    for x, y, z, power, size in lamps:
        width = np.float32(size) + spread
        cosine = rx * np.float32(x) + ry * np.float32(y) + rz * np.float32(z)
        total += np.float32(power) * (np.float32(size) / width) ** 0.6 * np.exp((cosine - 1.0) / width)
    return total


def room(rx: Field, ry: Field, rz: Field) -> Field:
    """Mirror image of the dim room: brighter overhead and towards the upper edge, dark at the horizon."""
    return 0.10 + 0.22 * step(-0.8, 0.8, -ry - 0.4 * rx) + 0.26 * step(0.0, 1.0, rz)


def shaded(scene: Scene, light: Light) -> Field:
    """(S, S, 3) radiance in linear light, about 0–1."""
    frame = scene.frame
    slope_y, slope_x = np.gradient(scene.height, frame.pixel)
    inverse = 1.0 / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    nx, ny, nz = -slope_x * inverse, -slope_y * inverse, inverse

    lx, ly, lz = (np.float32(v) for v in lamp_direction(light))
    facing = np.maximum(nx * lx + ny * ly + nz * lz, 0.0) / lz
    falloff = 1.0 + np.float32(light.falloff[0]) * frame.x + np.float32(light.falloff[1]) * frame.y

    # cavities see less of the sky: compare each height with its surroundings at two scales
    near = blurred(scene.height, 0.006) - scene.height
    far = blurred(scene.height, 0.025) - scene.height
    open_sky = np.clip(1.0 - 28.0 * np.maximum(near, 0.0) - 9.0 * np.maximum(far, 0.0), 0.2, 1.0)

    lit = falloff * open_sky
    sky = open_sky
    if scene.shadow > 0:
        shade = cast_shadow(scene, float(lx), float(ly))
        lit = lit * shade
        sky = sky * (0.55 + 0.45 * shade)
    diffuse = np.float32(light.ambient) * sky * (0.7 + 0.3 * nz)
    diffuse = diffuse + np.float32(light.key * 0.66) * facing * lit

    # the mirror direction of the view, which leans outwards away from the center of the picture
    vx, vy = np.float32(VIEW) * frame.x, np.float32(VIEW) * frame.y
    toward = nz - nx * vx - ny * vy
    rx, ry, rz = 2 * toward * nx + vx, 2 * toward * ny + vy, 2 * toward * nz - 1.0
    lamps = softboxes(rx, ry, rz, scene.rough, light) * lit
    if scene.brushed is not None:
        lamps = lamps * brushed_sheen(scene.brushed, frame.x, frame.y, light)
    mirrored = room(rx, ry, rz) * sky * falloff + lamps
    color = scene.albedo * ((1.0 - scene.metal) * diffuse + scene.metal * mirrored * 1.25)[..., None]
    fresnel = 0.30 + 0.70 * (1.0 - nz) ** 2
    sheen = (1.0 - scene.metal) * scene.gloss * fresnel * (0.55 * lamps + 0.10 * mirrored)
    return np.asarray(color + sheen[..., None], np.float32)


def brushed_sheen(direction: Field, x: Field, y: Field, light: Light) -> Field:
    """Factor on the mirrored lamps where grooves run along `direction` (radians; NaN: no grooves).

    Grooves spread the lamp across themselves, so it shines where they run at right angles to it.
    """
    lx, ly, lz = lamp_direction(light)
    half_x, half_y = np.float32(lx) - np.float32(VIEW) * x, np.float32(ly) - np.float32(VIEW) * y
    length = np.sqrt(half_x**2 + half_y**2 + np.float32((1 + lz) ** 2))
    along = (np.cos(direction) * half_x + np.sin(direction) * half_y) / length
    return np.where(np.isnan(along), 1.0, 0.45 + 2.3 * np.exp(-((along / np.float32(0.16)) ** 2))).astype(
        np.float32
    )


def cast_shadow(scene: Scene, lx: float, ly: float) -> Field:
    """Factor 0–1 on the light around the part: a tight contact shadow that widens away from the lamp."""
    reach = scene.lift / max(float(np.hypot(lx, ly)), 1e-3)
    caster = scene.body if scene.caster is None else scene.caster
    shade = np.zeros_like(caster)
    for share, strength in ((0.25, 0.95), (0.6, 1.0), (1.0, 0.9)):
        soft = blurred(caster, 0.004 + 0.16 * share * scene.lift)
        moved = shifted(soft, -lx * reach * share, -ly * reach * share)
        np.maximum(shade, np.float32(strength) * moved, out=shade)
    shade *= 1.0 - caster
    return 1.0 - np.float32(scene.shadow) * shade


def shifted(values: Field, dx: float, dy: float) -> Field:
    """The field moved by (dx, dy) image widths, to the nearest pixel, its border repeated."""
    side = values.shape[0]
    columns, rows = round(dx * side), round(dy * side)
    index_y = np.clip(np.arange(side) - rows, 0, side - 1)
    index_x = np.clip(np.arange(side) - columns, 0, side - 1)
    return values[index_y][:, index_x]
