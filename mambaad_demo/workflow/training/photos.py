"""Good photos on their way into a job: taken over from uploads and zip files, told apart from what is none.

The server looks just closely enough to know that there are enough of them; the engine reads each one.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mambaad_demo.data.folders import IMAGE_SUFFIXES
from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.data.uploads import load_image, read_file
from mambaad_demo.errors import InputError, TooFewImagesError, UnreadableImageError
from mambaad_demo.pipeline.finetune_spec import MIN_PHOTOS
from mambaad_demo.pipeline.predictor import MAX_MEGAPIXELS_IN_BATCH
from mambaad_demo.workflow.batches import good_pictures_of
from mambaad_demo.workflow.training.events import EventLog, Note, left_out
from mambaad_demo.workflow.training.layout import JobFolder, PhotoList, write_whole

MOST = 2000
_MOST_BYTES = 8 * 10**9
_ARRIVING = ".arriving-"
_TOO_OLD = 86_400  # seconds after which photos that no job took over were left by a killed server


@contextmanager
def arriving(folder: Path) -> Iterator[JobFolder]:
    """A folder among those of the jobs for photos whose job is not known yet; deleted in the end, unless it
    was renamed.

    Raises:
        OSError: no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{_ARRIVING}*"):
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _TOO_OLD:
                shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(dir=folder, prefix=_ARRIVING))
    try:
        yield JobFolder(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def take_over(paths: Sequence[Path], folder: JobFolder) -> None:
    """Put photos under numbers into a job's folder, without a copy where the disk allows it.

    What is no photo is left out and noted by name.

    Args:
        paths: pictures and zip files; of those, the pictures of good parts.

    Raises:
        TooFewImagesError: fewer than `MIN_PHOTOS` photos can be read; says why each of the others cannot.
        InputError: too many of them, or a damaged zip file.
        OSError: no room.
    """
    good = good_pictures_of(list(dict.fromkeys(paths)))
    pictures = good.pictures
    if len(pictures) > MOST:
        raise InputError(f"These are {len(pictures)} photos; send at most {MOST} to learn from.")
    events = EventLog(folder.events)
    for note in good.notes:
        events.write(Note(text=note))
    names: dict[str, str] = {}
    refused: list[str] = []
    readable = size = 0
    folder.photos.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        file = folder.photos / f"{number:05d}{_suffix(picture.name)}"
        try:
            _keep(picture, file)
            if readable < MIN_PHOTOS:  # reading all of them would keep their owner waiting
                load_image(read_file(file), max_megapixels=MAX_MEGAPIXELS_IN_BATCH)
                readable += 1
        except InputError as error:
            file.unlink(missing_ok=True)
            refused.append(left_out(picture.name, str(error)))
            events.write(Note(text=refused[-1]))
            continue
        names[file.name] = picture.name
        size += file.stat().st_size
        if size > _MOST_BYTES:
            raise InputError(
                f"The photos take more than {_MOST_BYTES / 1e9:.0f} GB. Send fewer or smaller ones."
            )
    _require_enough(readable, refused)
    write_whole(folder.photo_list_file, PhotoList(names=names))


def _require_enough(count: int, refused: Sequence[str]) -> None:
    if count < MIN_PHOTOS:
        said = " ".join(refused[:MIN_PHOTOS])
        raise TooFewImagesError(
            f"Fine-tuning needs {MIN_PHOTOS} good photos that can be read; there are {count}. {said}".rstrip()
        )


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix in IMAGE_SUFFIXES else ""


def _keep(picture: Picture, file: Path) -> None:
    """A photo under another name; the upload itself stays, since other visitors may have sent the same."""
    source = picture.read()
    if isinstance(source, bytes):
        file.write_bytes(source)
        return
    if not source.is_file():
        raise UnreadableImageError("There is no such file. Upload it again.")
    try:
        file.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, file)
