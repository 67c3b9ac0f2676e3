"""A store as hostile as its users may be, and what is compared after a round trip."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from mambaad_demo.pipeline.labeling import Finding, Label, LabeledImage, Severity
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.labels import decide, labeled_images
from mambaad_demo.storage.masks import mask_of, mask_png
from mambaad_demo.storage.pictures import add_picture
from mambaad_demo.storage.workspace import Workspace
from tests.conftest import textured

FORMULA = "=cmd|' /C calc'!A0"
CLIMBER = "../..\\etc: Ø 🚀"
WIDTH, HEIGHT = 60, 44


@contextmanager
def open_store(folder: Path) -> Iterator[Workspace]:
    """An empty store that is closed in the end."""
    workspace = Workspace.open(f"sqlite:///{folder}/m.db", str(folder / "files"))
    try:
        yield workspace
    finally:
        workspace.database.close()


def png(pixels: np.ndarray) -> bytes:
    """A picture or mask as a PNG file."""
    return _saved(pixels, "PNG")


def picture(seed: int = 0) -> bytes:
    """A PNG of `WIDTH` × `HEIGHT` pixels."""
    return png(textured(WIDTH, HEIGHT, seed=seed))


def write_files(folder: Path, files: dict[str, bytes | str]) -> Path:
    """Write files by their names below a folder; returns the folder."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def lying_jpeg(width: int = WIDTH, height: int = HEIGHT, *, seed: int = 0) -> bytes:
    """A JPEG whose upright picture is `width` × `height` and which is stored on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved(np.rot90(textured(width, height, seed=seed)), "JPEG", exif=exif)


def lying_tiff(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A 16-bit TIFF stored on its side; its gray levels do not fit into 8 bits."""
    levels = np.linspace(0, 65535, width * height).astype(np.uint16).reshape(height, width)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.rot90(levels), extratags=[(274, "H", 1, 6, True)])
    return buffer.getvalue()


def random_mask(width: int = WIDTH, height: int = HEIGHT, *, seed: int = 0) -> np.ndarray:
    """(H, W) bool of no particular shape."""
    return np.random.default_rng(seed).random((height, width)) < 0.3


def _saved(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A picture with what people say about it."""

    name: str
    product: str
    labels: tuple[Label, ...]
    """One of each reviewer."""
    make: Callable[..., bytes] = png


def _label(
    finding: str, kind: str = "", severity: str = "", note: str = "", mask: np.ndarray | None = None
) -> Label:
    return Label(
        finding=Finding(finding),
        defect_type=kind,
        severity=Severity(severity),
        note=note,
        mask=None if mask is None else mask_png(mask),
    )


_ONE_PIXEL = np.zeros((HEIGHT, WIDTH), dtype=bool)
_ONE_PIXEL[-1, -1] = True
_FULL = np.ones((HEIGHT, WIDTH), dtype=bool)

PARTS = (
    Part(name="part.png", product=FORMULA, labels=(_label("good"),)),
    Part(name="b/PART.PNG", product=FORMULA, labels=(_label("good", note="'=1+1 stays '"),)),
    Part(
        name="../../evil\\part.png",
        product=FORMULA,
        labels=(_label("defect", "Größe <b>", "minor", "=cmd()\nline two", random_mask()),),
    ),
    Part(
        name="=1+1;a,b.jpg",
        product=FORMULA,
        labels=(_label("defect", "=SUM(1)", "critical", "@x 🚀 ${}", random_mask(seed=1)),),
        make=lambda seed: lying_jpeg(seed=seed),
    ),
    Part(
        name="CON",
        product=FORMULA,
        labels=(_label("defect", "good", "major", "'tis", _ONE_PIXEL),),
        make=lambda seed: lying_tiff(),
    ),
    Part(name="line\nbreak.png", product=FORMULA, labels=(_label("defect", "Good", mask=_FULL),)),
    Part(name="🚀.bmp", product=FORMULA, labels=(_label("defect", mask=_ONE_PIXEL),)),
    Part(name="nobody knows.png", product=FORMULA, labels=(_label("unsure", note="-?"),)),
    Part(name="divided.png", product=FORMULA, labels=(_label("good"), _label("defect", "dent"))),
    Part(name="part.png", product=CLIMBER, labels=(_label("good"), _label("good"))),
    Part(
        name="{{name}}.webp",
        product=CLIMBER,
        labels=(_label("defect", "defect", "minor", "", random_mask(seed=2)),),
    ),
    Part(name="no mask.png", product=CLIMBER, labels=(_label("defect", "dent", "major", '<b> "x"; + 1'),)),
    Part(name="no type.png", product=CLIMBER, labels=(_label("defect"), _label("unsure"))),
)
"""Good, defective, unsure and divided ones of two products, in several formats; two have to be turned."""

_KINDS = {".jpg": "JPEG", ".bmp": "BMP", ".webp": "WEBP"}


def fill(workspace: Workspace, *, with_labels: bool = True) -> None:
    """Put `PARTS` into a store."""
    for seed, part in enumerate(PARTS):
        if part.make is png:
            kind = _KINDS.get(Path(part.name).suffix, "PNG")
            content = _saved(textured(WIDTH, HEIGHT, seed=seed), kind)
        else:
            content = part.make(seed=seed)
        image_id = add_picture(workspace, content, part.name, part.product)
        if with_labels:
            for reviewer, label in zip(("mira", "jo"), part.labels, strict=False):
                decide(workspace, image_id, label, reviewer=reviewer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a store says about a picture, whatever the picture's bytes are."""

    finding: Finding | None
    defect_type: str
    severity: Severity
    note: str
    mask: tuple[tuple[int, ...], bytes] | None
    """Shape and pixels."""
    size: tuple[int, int]


def told(workspace: Workspace, *findings: str | None) -> dict[tuple[str, str], Told]:
    """What is known by product and name; of pictures with these findings only, if any are given."""
    return {
        (image.product, image.name): _told(workspace, image)
        for image in labeled_images(workspace)
        if not findings or image.finding in findings
    }


def _told(workspace: Workspace, image: LabeledImage) -> Told:
    mask = None
    if image.mask_sha256 is not None:
        pixels = mask_of(workspace.files.read(FileKind.MASK, image.mask_sha256))
        mask = pixels.shape, pixels.tobytes()
    return Told(
        finding=image.finding,
        defect_type=image.defect_type,
        severity=image.severity,
        note=image.note,
        mask=mask,
        size=(image.width, image.height),
    )
