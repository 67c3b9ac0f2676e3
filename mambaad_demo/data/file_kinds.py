"""What kind of file some bytes are, by content alone; reading them is left to the decoders."""

from enum import StrEnum

from mambaad_demo.data.decoded import READABLE_KINDS
from mambaad_demo.errors import UnreadableImageError


class ImageKind(StrEnum):
    """The picture formats we decode."""

    PNG = "PNG"
    JPEG = "JPEG"
    BMP = "BMP"
    TIFF = "TIFF"
    WEBP = "WebP"


_READ: tuple[tuple[int, bytes, ImageKind], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", ImageKind.PNG),
    (0, b"\xff\xd8\xff", ImageKind.JPEG),
    (0, b"BM", ImageKind.BMP),
    (0, b"II*\x00", ImageKind.TIFF),
    (0, b"MM\x00*", ImageKind.TIFF),
    (0, b"II+\x00", ImageKind.TIFF),
    (0, b"MM\x00+", ImageKind.TIFF),
    (8, b"WEBP", ImageKind.WEBP),
)

_SAVE_AS_PNG = "Open it in an image program and save it as PNG."
_UNPACK = "Unpack it and choose the pictures inside."
_EXPORT = "Export the page or drawing as PNG."

_REFUSED: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"GIF8", "a GIF, a format for animations", "Save the one frame to inspect as PNG."),
    (0, b"%PDF", "a PDF document", _EXPORT),
    (0, b"PK\x03\x04", "a zip archive (or an office document)", _UNPACK),
    (0, b"PK\x05\x06", "an empty zip archive", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (4, b"ftypavif", "an AVIF picture", _SAVE_AS_PNG),
    (4, b"ftypheic", "a HEIC picture", _SAVE_AS_PNG),
    (4, b"ftypmif1", "a HEIF picture", _SAVE_AS_PNG),
    (4, b"ftyp", "a video", "Save the one frame to inspect as PNG."),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture", _SAVE_AS_PNG),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture", _SAVE_AS_PNG),
    (0, b"\xff\x0a", "a JPEG XL picture", _SAVE_AS_PNG),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture", _SAVE_AS_PNG),
    (0, b"8BPS", "a Photoshop document", _SAVE_AS_PNG),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture", _SAVE_AS_PNG),
    (0, b"\x00\x00\x01\x00", "a Windows icon", _SAVE_AS_PNG),
    (128, b"DICM", "a DICOM file", _SAVE_AS_PNG),
    (0, b"\x93NUMPY", "a NumPy array", "Save it as PNG or TIFF."),
    (0, b"\x7fELF", "a program", "Choose a photo of the part."),
    (0, b"MZ", "a program", "Choose a photo of the part."),
)


def image_kind(data: bytes) -> ImageKind:
    """The format of a picture.

    Raises:
        UnreadableImageError: the bytes are empty, or of a kind we do not decode; the text names it if known.
    """
    if not data:
        raise UnreadableImageError("The file is empty (0 bytes). Choose another file, or copy it again.")
    for offset, magic, kind in _READ:
        if data.startswith(magic, offset) and (kind is not ImageKind.WEBP or data.startswith(b"RIFF")):
            return kind
    for offset, magic, name, advice in _REFUSED:
        if data.startswith(magic, offset):
            raise _refusal(name, advice)
    raise _refusal(*_text_kind(data[:1024]))


def _text_kind(start: bytes) -> tuple[str, str]:
    """Name and advice for markup, told by the first tag, and for everything else."""
    text = start.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n").lower()
    if not text.startswith("<"):
        return "of a kind we do not know", _SAVE_AS_PNG
    if "<svg" in text:
        return "an SVG drawing", _EXPORT
    if "<html" in text or "<!doctype html" in text:
        return "a web page (HTML)", "Save the picture itself, not the page around it."
    return "an XML or HTML document", _EXPORT


def _refusal(name: str, advice: str) -> UnreadableImageError:
    return UnreadableImageError(f"The file is {name}. {READABLE_KINDS} pictures are read here. {advice}")
