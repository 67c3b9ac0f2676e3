"""Label Studio: tasks in JSON with brush masks and choices, the labeling configuration, and the pictures.

Pictures are named as Label Studio's local files are; it has to be started with the folder of the export as
`LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`. Where the reviewers are divided the task comes without an answer.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
from pydantic import BaseModel, Field, RootModel

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, LabeledImage, Severity
from mambaad_demo.workflow.exchange.brush_masks import brush_bytes, mask_of_brush
from mambaad_demo.workflow.exchange.incoming import Entry, Incoming, Words, refused
from mambaad_demo.workflow.exchange.names import Names, stem_of
from mambaad_demo.workflow.exchange.outgoing import UNTYPED, OutgoingPicture, Shipment
from mambaad_demo.workflow.exchange.packs import Pack
from mambaad_demo.workflow.exchange.sources import Source, checked

PICTURES = "images"
TASKS = "tasks.json"
CONFIG = "labeling_config.xml"

_LOCAL = "/data/local-files/?d="
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the names of uploaded files


def write(shipment: Shipment, pack: Pack) -> None:
    """Write the pictures, `tasks.json` and `labeling_config.xml`."""
    names, tasks = Names(), []
    for picture in shipment.pack(shipment.labeled):
        name = names.claim(stem_of(picture.image.name), otherwise="picture") + picture.suffix
        pack.write(f"{PICTURES}/{name}", picture.content)
        tasks.append(json.dumps(_task(picture, f"{_LOCAL}{PICTURES}/{name}"), ensure_ascii=False))
    pack.write(TASKS, ("[" + ",\n".join(tasks) + "]\n").encode())
    pack.write(CONFIG, labeling_config(image.defect_type for image in shipment.labeled))
    if divided := sum(image.finding is None for image in shipment.labeled):
        shipment.notes.append(f"Tasks without an answer, because the reviewers are divided: {divided}.")


def labeling_config(defect_types: Iterable[str]) -> bytes:
    """The XML that shows our questions in Label Studio."""
    types = sorted({kind for kind in defect_types if kind} | {UNTYPED})
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true")
    _choices(view, "finding", Finding, required="true")
    brush = ElementTree.SubElement(view, "BrushLabels", name="mask", toName="image")
    for kind in types:
        ElementTree.SubElement(brush, "Label", value=kind)
    _choices(view, "defect_type", types)
    _choices(view, "severity", [severity for severity in Severity if severity])
    ElementTree.SubElement(view, "TextArea", name="note", toName="image", rows="3", maxSubmissions="1")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="utf-8", xml_declaration=False)


def _choices(view: ElementTree.Element, name: str, values: Iterable[str], **attributes: str) -> None:
    choices = ElementTree.SubElement(
        view,
        "Choices",
        {"name": name, "toName": "image", "choice": "single", "showInline": "true"} | attributes,
    )
    for value in values:
        ElementTree.SubElement(choices, "Choice", value=str(value))


def _task(picture: OutgoingPicture, url: str) -> dict[str, Any]:
    image = picture.image
    data = {"image": url, "sha256": image.sha256, "name": image.name, "product": image.product}
    results = list(_results(image, picture.mask)) if image.finding else []
    return {"data": data, "annotations": [{"result": results}] if results else []}


def _results(image: LabeledImage, mask: np.ndarray | None) -> Iterator[dict[str, Any]]:
    """The answers of an annotation."""
    place = {
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
    }
    for name in ("finding", "defect_type", "severity"):
        if value := getattr(image, name):
            yield {"id": name, "from_name": name, "type": "choices", "value": {"choices": [value]}} | place
    if image.note:
        yield {"id": "note", "from_name": "note", "type": "textarea", "value": {"text": [image.note]}} | place
    if mask is not None:
        paint = {
            "format": "rle",
            "rle": list(brush_bytes(mask)),
            "brushlabels": [image.defect_type or UNTYPED],
        }
        yield {"id": "mask", "from_name": "mask", "type": "brushlabels", "value": paint} | place


class _Value(BaseModel):
    """What was chosen, written or painted."""

    choices: list[str] = []
    text: list[str] | str = []
    format: str = ""
    rle: list[int] = []
    brushlabels: list[str] = []


class _Result(BaseModel):
    """One answer."""

    type: str
    from_name: str = ""
    original_width: int = 0
    original_height: int = 0
    image_rotation: float = 0
    value: _Value = _Value()


class _Annotation(BaseModel):
    """The answers of one person."""

    result: list[_Result]
    was_cancelled: bool = False


class _Data(BaseModel):
    """What a task shows; all but `image` is ours."""

    image: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    name: str | None = None
    product: str | None = None


class _Task(BaseModel):
    """A picture with what was said about it."""

    data: _Data
    annotations: list[_Annotation] = []


class _Tasks(RootModel[list[Any]]):
    """A file of tasks, which are looked at one by one."""


def entries(source: Source) -> Iterator[Entry]:
    """The tasks of every JSON file.

    Raises:
        InputError: there is none.
    """
    files = source.ending({".json"})
    if not files:
        raise InputError("There is no JSON file in it. Export the project from Label Studio as JSON.")
    for file in files:
        try:
            tasks = checked(_Tasks, file.json()).root
        except InputError as error:
            yield refused(str(file.name), str(error))
            continue
        for number, task in enumerate(tasks, start=1):
            yield Entry(name=f"{file.name} task {number}", read=partial(_incoming, source, task))


def _incoming(source: Source, raw: Any) -> Incoming:
    task = checked(_Task, raw)
    answered = [annotation for annotation in task.annotations if not annotation.was_cancelled]
    if not answered:
        raise InputError("Nobody has answered this task.")
    mask = _mask(answered[-1].result)
    words = _words(answered[-1].result, is_marked=mask is not None)
    if mask is not None and words.finding is not Finding.DEFECT:
        raise InputError(f"It is called {words.finding}, and yet a place is marked. Decide which it is.")
    file_name = _file_name(task.data.image)
    return Incoming(
        label=words.label(mask),
        name=task.data.name or file_name,
        sha256=task.data.sha256,
        product=task.data.product,
        picture=lambda: source.find(file_name).content(),
    )


def _file_name(url: str) -> str:
    """The name a picture had before Label Studio took it over.

    Raises:
        InputError: the address is damaged.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError("The address of its picture is damaged. Export it again.") from error
    if local := parse_qs(parts.query).get("d"):
        return PurePosixPath(local[0]).name
    return _UPLOAD_PREFIX.sub("", PurePosixPath(unquote(parts.path)).name)


def _words(results: list[_Result], *, is_marked: bool) -> Words:
    chosen = {result.from_name: result.value.choices[0] for result in results if result.value.choices}
    painted = [kind for result in results for kind in result.value.brushlabels if kind != UNTYPED]
    notes = [result.value.text for result in results if result.from_name == "note"]
    lines = [note if isinstance(note, str) else "\n".join(note) for note in notes]
    said = {"defect_type": painted[0] if painted else "", "note": "\n".join(lines)}
    if is_marked:
        said["finding"] = Finding.DEFECT
    return checked(Words, said | chosen)


def _mask(results: list[_Result]) -> np.ndarray | None:
    """All that is painted, (H, W) bool."""
    mask: np.ndarray | None = None
    for result in results:
        if result.type == "brushlabels":
            part = _painted(result)
            if mask is not None and mask.shape != part.shape:
                raise InputError("Its masks differ in size. Export them again.")
            mask = part if mask is None else mask | part
        elif result.type.endswith("labels"):
            raise InputError(f"It is marked with {result.type}; only the brush is read. Paint it.")
    return mask


def _painted(result: _Result) -> np.ndarray:
    if result.value.format != "rle" or result.image_rotation:
        raise InputError("It is turned, or painted in a way that is not read. Export it again as JSON.")
    try:
        packed = bytes(result.value.rle)
    except ValueError as error:
        raise InputError("Its brush mask is damaged. Export it again.") from error
    return mask_of_brush(packed, result.original_height, result.original_width)
