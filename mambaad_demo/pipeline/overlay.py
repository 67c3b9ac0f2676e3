"""Pictures made from a prediction: heat map, blend, outlines, and the files a person may download.

One colour scale for all images of a category: level 0 is the median of good pixels, level 1 the reject limit,
level 2 the top; nothing is stretched to the image at hand, so a good part stays cold. All results are encoded
bytes.
"""

import io

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw

from mambaad_demo.pipeline.prediction import Prediction

TOP_LEVEL = 2.0
"""Level at which the colour scale ends."""
PREVIEW_SIDE = 1600
MAP_CEILING = 2.0
"""Largest value an anomaly map can take: one minus a cosine."""

_COLORS = np.rint(colormaps["inferno"](np.linspace(0.0, 1.0, 256))[:, :3] * 255).astype(np.uint8)  # (256, 3)
_LEVELS = np.linspace(0.0, TOP_LEVEL, 256)
_ALPHA = np.rint(np.clip((_LEVELS - 0.25) / 0.75, 0.0, 1.0) * 255).astype(np.uint8)
"""Opacity of each palette entry: nothing below level 0.25, full from the reject limit on."""
_OUTLINE = (64, 224, 255)


def levels(prediction: Prediction) -> np.ndarray:
    """The map in units of its calibration, (H, W) float32: 0 at the good median, 1 at the reject limit."""
    zero, one = prediction.color_range
    return (prediction.anomaly_map - zero) / (one - zero)


def colour_levels(prediction: Prediction) -> np.ndarray:
    """The map on the fixed scale, (H, W) uint8: 0 at the good median, 127.5 at the reject limit, 255 at level
    2."""
    return _palette_entries(levels(prediction))


def heat_png(prediction: Prediction, max_side: int = PREVIEW_SIDE) -> bytes:
    """The heat map alone as a palette PNG whose cold colours are transparent; at most `max_side` pixels."""
    return levels_png(levels(prediction), max_side)


def levels_png(values: np.ndarray, max_side: int = PREVIEW_SIDE) -> bytes:
    """Any levels (H, W) in the same colours; see `heat_png`."""
    heat = _shrunk(Image.fromarray(_palette_entries(values)), max_side)
    heat.putpalette(_COLORS.tobytes(), "RGB")  # turns mode L into P
    return _encoded(heat, "PNG", transparency=_ALPHA.tobytes())


def preview_jpeg(prediction: Prediction, max_side: int = PREVIEW_SIDE) -> bytes:
    """The image itself, at most `max_side` pixels, without metadata."""
    return small_jpeg(prediction.image, max_side)


def small_jpeg(image: np.ndarray, max_side: int) -> bytes:
    """Any image (H, W, 3) uint8, at most `max_side` pixels."""
    return _encoded(_shrunk(Image.fromarray(image), max_side), "JPEG", quality=88)


def seen_jpeg(prediction: Prediction, max_side: int = PREVIEW_SIDE) -> bytes:
    """What the model saw, at most `max_side` pixels."""
    return _encoded(_shrunk(Image.fromarray(prediction.model_input), max_side), "JPEG", quality=88)


def overlay_png(prediction: Prediction, opacity: float = 0.6, *, outlines: bool = True) -> bytes:
    """The heat map over the image at full size, with region outlines.

    Args:
        prediction: the image and its map.
        opacity: 0 (image only) to 1 (colours cover it where the part would be rejected).
        outlines: whether to draw the regions' contours.
    """
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity must lie in [0, 1], got {opacity}")
    picture = Image.fromarray(blended(prediction.image, levels(prediction), opacity))
    if outlines:
        draw = ImageDraw.Draw(picture)
        for region in prediction.regions:
            draw.line(
                region.contour, fill=_OUTLINE, width=max(1, round(max(picture.size) / 400)), joint="curve"
            )
    return _encoded(picture, "PNG", compress_level=3)


def blended(image: np.ndarray, values: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Levels (H, W) in colours over an image (H, W, 3) uint8; cold ones leave it as it is."""
    entries = _palette_entries(values)
    weight = (_ALPHA[entries].astype(np.float32) * (opacity / 255.0))[..., None]
    blend = image + weight * (_COLORS[entries].astype(np.float32) - image)
    return np.rint(blend).astype(np.uint8)


def contour_paths(prediction: Prediction) -> list[str]:
    """The regions' outlines as SVG path data in pixels of the original image, in the order of `regions`."""
    return ["M" + "L".join(f"{x:g},{y:g}" for x, y in region.contour) + "Z" for region in prediction.regions]


def map_npy(prediction: Prediction) -> bytes:
    """The raw anomaly map, (H, W) float32, as a NumPy file."""
    buffer = io.BytesIO()
    np.save(buffer, prediction.anomaly_map, allow_pickle=False)
    return buffer.getvalue()


def map_png16(prediction: Prediction) -> bytes:
    """The raw map as a 16-bit gray PNG: 65535 is the map's ceiling of 2, the same for every image."""
    scaled = np.rint(np.clip(prediction.anomaly_map / MAP_CEILING, 0.0, 1.0) * 65535).astype(np.uint16)
    return _encoded(Image.fromarray(scaled), "PNG")


def mask_png(prediction: Prediction) -> bytes:
    """The anomaly mask as a 1-bit PNG, white where anomalous."""
    return _encoded(Image.fromarray(prediction.anomaly_mask), "PNG")


def _palette_entries(values: np.ndarray) -> np.ndarray:
    """Levels as entries of the palette, uint8."""
    return np.rint(np.clip(values / TOP_LEVEL, 0.0, 1.0) * 255).astype(np.uint8)


def _shrunk(image: Image.Image, max_side: int) -> Image.Image:
    scale = max_side / max(image.size)
    if scale >= 1.0:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
