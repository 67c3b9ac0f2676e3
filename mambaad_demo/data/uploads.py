"""Bytes from a stranger to a safe image, or a clear refusal.

The format is told by content, sizes are checked before anything is decoded, and every complaint of a decoder
becomes one of our errors. Decoding itself stands in `raster_files` and `tiff_files`; resizing in `geometry`.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mambaad_demo.data.decoded import Budget, Decoded
from mambaad_demo.data.file_kinds import ImageKind, image_kind
from mambaad_demo.data.raster_files import decode_pillow_image, decode_png, decode_with_pillow
from mambaad_demo.data.tiff_files import decode_tiff
from mambaad_demo.errors import ImageTooLargeError, InputError, UnreadableImageError

MAX_FILE_BYTES = 512 * 2**20
"""Larger files are not even read: 40 megapixels of 32-bit RGB fit in uncompressed."""

DECODER_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError,
    AssertionError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow, tifffile and imagecodecs throw at damaged bytes; their own errors derive from these."""

TURNED_UPRIGHT = "turned upright as its EXIF orientation says"
"""The note of a picture whose pixels lie otherwise in its file."""

_CAMERA_BITS = (10, 12, 14, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """A picture that is safe to work with."""

    pixels: np.ndarray
    """(H, W, 3) float32 in [0, 1], RGB, upright; transparent parts shown on white."""
    sha256: str
    """Of the file's bytes; of the pixel buffer for arrays and Pillow images."""
    notes: tuple[str, ...] = ()
    """What was done to the picture that its owner should know, in plain words."""


def load_image(
    source: str | Path | bytes | Image.Image | np.ndarray, *, max_megapixels: float = 40.0
) -> LoadedImage:
    """Read a picture of a part.

    Args:
        source: a path, the bytes of a file, a Pillow image, or an array (H, W) or (H, W, 1|3|4) of uint8,
            uint16, bool, or float in [0, 1].
        max_megapixels: refuse larger ones, before decoding.

    Raises:
        UnreadableImageError: not a picture we read, damaged, an animation, or too small or narrow.
        ImageTooLargeError: over the pixel or byte budget.
    """
    budget = Budget(max_megapixels=max_megapixels)
    if isinstance(source, str | Path):
        try:
            return load_image(read_file(Path(source)), max_megapixels=max_megapixels)
        except InputError as error:
            raise type(error)(f"{_shown_name(source)}: {error}") from error
    if isinstance(source, bytes):
        return _finish(_decode_file(source, budget), source)
    if isinstance(source, Image.Image):
        decoded = _decode_pillow(source, budget)
        return _finish(decoded, np.ascontiguousarray(decoded.samples).data)
    if isinstance(source, np.ndarray):
        return _finish(_decode_array(source, budget), np.ascontiguousarray(source).data)
    raise TypeError(f"a path, bytes, Pillow image or NumPy array is needed, not {type(source).__name__}")


def load_mask(source: Path | bytes, *, max_megapixels: float = 40.0) -> np.ndarray:
    """Read a defect mask: (H, W) bool, True where any color channel is above 0 (architectures.md §9).

    Args:
        source: a path or the bytes of a file.
        max_megapixels: as for `load_image`.

    Raises:
        UnreadableImageError, ImageTooLargeError: as `load_image`; a mask may be of any shape.
    """
    budget = Budget(max_megapixels=max_megapixels, min_side=1, max_aspect=float("inf"))
    try:
        decoded = _decode_file(source if isinstance(source, bytes) else read_file(source), budget)
    except InputError as error:
        if isinstance(source, bytes):
            raise
        raise type(error)(f"{_shown_name(source)}: {error}") from error
    samples = _upright(decoded)
    color = samples.reshape(*samples.shape[:2], -1)[..., : _color_channels(samples)]
    background = samples.dtype.type(decoded.white or 0) if decoded.inverted else 0
    return np.asarray((color != background).any(axis=2))


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of at most `MAX_FILE_BYTES`.

    Raises:
        UnreadableImageError: it is not there, or cannot be read.
        ImageTooLargeError: it has more bytes.
    """
    try:
        if not path.is_file():  # also keeps us from devices and pipes without an end
            raise UnreadableImageError("There is no such file. Check the name, or upload it again.")
        _check_file_size(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImageError("The file could not be read from disk. Upload it again.") from error


def _check_file_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ImageTooLargeError(
            f"The file has {size / 1e6:.4g} MB; at most {MAX_FILE_BYTES / 1e6:.4g} are read. Save it smaller."
        )


def _shown_name(source: str | Path) -> str:
    """The bare file name, without anything that could garble a screen or log."""
    return "".join(c if c.isprintable() else "\ufffd" for c in Path(source).name)[-80:]


def _decode_file(data: bytes, budget: Budget) -> Decoded:
    _check_file_size(len(data))
    kind = image_kind(data)
    try:
        match kind:
            case ImageKind.PNG:
                return decode_png(data, budget)
            case ImageKind.TIFF:
                return decode_tiff(data, budget)
            case _:
                return decode_with_pillow(data, kind, budget)
    except InputError:
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise ImageTooLargeError("The picture needs more memory than is free. Save it smaller.") from error
    except DECODER_ERRORS as error:
        raise UnreadableImageError(
            f"The {kind} file is damaged, cut short, or of a variant that is not read. "
            "Copy it again, or open it in an image program and save it as PNG."
        ) from error


def _decode_pillow(image: Image.Image, budget: Budget) -> Decoded:
    budget.check(image.width, image.height, decoded_bytes=image.width * image.height * 4)
    if getattr(image, "is_animated", False) and image.format not in {"TIFF", "MPO"}:
        raise UnreadableImageError("The picture is an animation. Pass one frame, as a copy.")
    try:
        return decode_pillow_image(image)
    except DECODER_ERRORS as error:
        raise UnreadableImageError("The picture is damaged or cut short. Open another copy of it.") from error


def _decode_array(array: np.ndarray, budget: Budget) -> Decoded:
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {1, 3, 4}):
        raise UnreadableImageError(
            f"The array has shape {array.shape}; (H, W), (H, W, 3) and (H, W, 4) are read. Reorder its axes."
        )
    budget.check(array.shape[1], array.shape[0], decoded_bytes=array.nbytes)
    if array.dtype.kind != "f" and array.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.bool_):
        raise UnreadableImageError(
            f"Arrays of {array.dtype} are not read. Convert it to uint8, uint16 or float."
        )
    if array.dtype.kind == "f" and not (array.min() >= 0 and array.max() <= 1):
        raise UnreadableImageError(
            f"The float array reaches from {array.min():.4g} to {array.max():.4g}; [0, 1] is read. Scale it."
        )
    white = {"b": 1.0, "f": 1.0}.get(array.dtype.kind, 255.0 if array.dtype == np.uint8 else None)
    return Decoded(samples=array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array, white=white)


def _finish(decoded: Decoded, buffer: bytes | memoryview) -> LoadedImage:
    """Samples to upright RGB floats; `buffer` is what the hash is taken of."""
    notes = list(decoded.notes)
    if decoded.orientation != 1:
        notes.append(TURNED_UPRIGHT)
    samples = _upright(decoded)
    colors = _color_channels(samples)
    color = samples[..., :colors] if samples.ndim == 3 else samples[..., None]
    low, high, note = _sample_range(color, decoded.white)
    if note:
        notes.append(note)
    pixels = np.empty((*samples.shape[:2], 3), np.float32)
    if low == 0:
        np.divide(color, np.float32(high), out=pixels, casting="same_kind")
    else:
        wide = np.result_type(color, np.float32)  # float16 could not hold the difference
        np.subtract(color, low, out=pixels, dtype=wide, casting="same_kind")
        pixels /= np.float32(high - low)
    if decoded.inverted:
        np.subtract(1, pixels, out=pixels)
    if samples.ndim == 3 and samples.shape[2] > colors:
        alpha = samples[..., colors]
        if _show_on_white(pixels, alpha, white=high, premultiplied=decoded.premultiplied):
            notes.append("transparent parts shown on white")
    return LoadedImage(pixels=pixels, sha256=hashlib.sha256(buffer).hexdigest(), notes=tuple(notes))


def _color_channels(samples: np.ndarray) -> int:
    """Channels of (H, W[, C]) samples that are not alpha."""
    return 3 if samples.ndim == 3 and samples.shape[2] >= 3 else 1


def _upright(decoded: Decoded) -> np.ndarray:
    """A view of the samples turned as the EXIF orientation says."""
    view = decoded.samples
    if decoded.orientation >= 5:
        view = view.swapaxes(0, 1)
    if decoded.orientation in {3, 4, 7, 8}:
        view = view[::-1]
    if decoded.orientation in {2, 3, 6, 7}:
        view = view[:, ::-1]
    return view


def _sample_range(color: np.ndarray, white: float | None) -> tuple[float, float, str]:
    """The values that mean black and white, and a note where that was a judgement of ours."""
    if white is not None:
        usual = white in {1.0, 255.0}
        return 0.0, white, "" if usual else f"samples read by the range 0–{white:g} that the file declares"
    low, high = float(color.min()), float(color.max())
    if not np.isfinite([low, high]).all() or max(-low, high) > 1e30:
        raise UnreadableImageError(
            f"The picture holds values from {low:.4g} to {high:.4g}, which cannot be shown. "
            "Replace infinite, missing and huge values."
        )
    if color.dtype.kind in "ui" and low >= 0 and high < 2**16:
        bits = next(bits for bits in _CAMERA_BITS if high < 2**bits)
        return (
            0.0,
            2.0**bits - 1,
            f"16-bit picture read by its true range 0–{2**bits - 1} (brightest {high:.0f})",
        )
    if low >= 0 and high <= 1:
        return 0.0, 1.0, ""
    if low == high:
        return low, low + 1, f"every sample has the value {low:.4g}: shown as black"
    return low, high, f"{color.dtype} samples read by their own range {low:.4g} to {high:.4g}"


def _show_on_white(pixels: np.ndarray, alpha: np.ndarray, *, white: float, premultiplied: bool) -> bool:
    """Composite (H, W, 3) pixels over white in place; False where alpha is opaque everywhere."""
    opaque = white
    if alpha.dtype.kind == "u" and alpha.max() > white:
        opaque = float(np.iinfo(alpha.dtype).max)  # 12-bit colors may come with 16-bit alpha
    elif alpha.dtype.kind == "f":
        opaque = 1.0
    opacity = np.divide(alpha, np.float32(opaque), dtype=np.float32, casting="same_kind").clip(0, 1)[
        ..., None
    ]
    if opacity.min() == 1:
        return False
    if not premultiplied:
        pixels *= opacity
    pixels += 1 - opacity
    np.clip(pixels, 0, 1, out=pixels)
    return True
