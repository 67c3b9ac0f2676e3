"""Parts of a production line for tests of the store: small noisy pictures with what a predictor would say."""

import io

import numpy as np
from PIL import Image
from sqlalchemy import MetaData, select

from mambaad_demo.storage.database import Database
from mambaad_demo.storage.inspections import (
    Judged,
    StoredInspection,
    VersionFacts,
    add_inspection,
    inspections,
    sha256_of,
    write_files,
)
from mambaad_demo.storage.workspace import Workspace
from tests.ui.fakes import prediction

WIDTH, HEIGHT = 48, 40
PRODUCT = "bottle_cap"
VERSION = VersionFacts(
    checkpoint="mambaad",
    decoder="mambaad",
    encoder="tf_efficientnet_lite0",
    sha256="ab" * 32,
    calibration_sha256="ef" * 32,
    side=64,
    resize="letterbox",
)


def judged(number: int = 0, *, name: str | None = None, product: str | None = None, **says: object) -> Judged:
    """A part by its number; the same number is the same picture, and every third one has two defects."""
    pixels = np.random.default_rng(number).integers(90, 110, (HEIGHT, WIDTH, 3), np.uint8)
    if number % 3 == 0:
        pixels[5:11, 8:16] = pixels[25:32, 30:40] = 250
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    content = buffer.getvalue()
    return Judged(
        name=f"line 1/part {number}.png" if name is None else name,
        content=content,
        product=product,
        prediction=prediction(
            pixels.astype(np.float32) / 255, **{"sha256": sha256_of(content), "category": PRODUCT} | says
        ),
    )


def add(
    workspace: Workspace, *parts: Judged, version: VersionFacts = VERSION, tiles: int = 1
) -> list[StoredInspection]:
    """Put parts into a store."""
    ids = []
    for part in parts:
        map_sha256 = write_files(workspace, part)
        with workspace.database.writing() as session:
            ids.append(
                add_inspection(session, workspace, part, version=version, tiles=tiles, map_sha256=map_sha256)
            )
    return inspections(workspace, ids=ids)


def everything(database: Database) -> dict[str, list[str]]:
    """All rows of all tables as they lie there."""
    with database.reading() as session:
        schema = MetaData()
        schema.reflect(session.connection())
        return {
            name: sorted(map(repr, session.execute(select(table)))) for name, table in schema.tables.items()
        }


def add_parts(workspace: Workspace, count: int) -> list[int]:
    """Put some different parts into a store; returns the ids of their pictures."""
    return [stored.image_id for stored in add(workspace, *map(judged, range(count)))]
