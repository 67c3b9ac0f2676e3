"""Pictures and what was said about them, out as they went in."""

import secrets
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sqlalchemy import delete

from mambaad_demo.errors import CheckpointError, InputError, StorageError
from mambaad_demo.pipeline.photo_quality import photo_quality
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import maps, text
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import (
    VersionFacts,
    anomaly_map,
    closeness,
    inspection,
    inspections,
    sha256_of,
)
from mambaad_demo.storage.tables import Image
from tests.storage.parts import PRODUCT, VERSION, add, judged

SCORES = st.floats(0, 4)
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)


def test_every_value_comes_back_equal(workspace):
    part = judged(3, notes=("read as 16 bit", "ünï 🙂"), kernel="numba", embedding_distance=1.25)
    said = part.prediction
    before = datetime.now(UTC)
    (stored,) = add(workspace, part, tiles=2)
    quality = photo_quality(said.image)
    assert asdict(stored) | {"regions": None, "created_at": None} == {
        "id": stored.id,
        "image_id": stored.image_id,
        "sha256": said.sha256,
        "name": "line 1/part 3.png",
        "product": PRODUCT,
        "width": said.width,
        "height": said.height,
        "brightness": quality.brightness,
        "sharpness": quality.sharpness,
        "checkpoint": VERSION.checkpoint,
        "decoder": VERSION.decoder,
        "encoder": VERSION.encoder,
        "checkpoint_sha256": VERSION.sha256,
        "calibration_sha256": VERSION.calibration_sha256,
        "side": VERSION.side,
        "resize": VERSION.resize,
        "tiles": 2,
        "category": said.category,
        "category_source": said.category_source,
        "score": said.image_score,
        "percentile": said.percentile,
        "limits": {"check": said.limits.check, "reject": said.limits.reject},
        "pixel_median": said.pixel_median,
        "closeness": closeness(said.image_score, said.limits),
        "verdict": said.verdict,
        "regions": None,
        "timings_ms": said.timings_ms,
        "notes": list(said.notes),
        "kernel": "numba",
        "device": said.device,
        "precision": said.precision,
        "app_version": said.version,
        "embedding_distance": 1.25,
        "map_sha256": sha256_of(maps.packed(said.model_map)),
        "created_at": None,
    }
    assert before <= stored.created_at <= before + timedelta(minutes=1)


def test_regions_keep_their_outlines(workspace):
    part = judged(3)
    (stored,) = add(workspace, part)
    assert len(stored.regions) == len(part.prediction.regions) > 1
    for kept, region in zip(stored.regions, part.prediction.regions, strict=True):
        assert kept.pop("outline").startswith("M")
        assert kept == region.to_json()


@MANY
@given(
    name=st.text(st.characters(), max_size=300),
    product=st.text(st.characters(), max_size=300),
)
def test_any_name_comes_back_as_it_is_kept(workspace, name, product):
    (stored,) = add(workspace.of(secrets.token_hex(16)), judged(1, name=name, product=product))
    assert stored.name == text.note(name)
    assert stored.product == (text.name(product) or PRODUCT)


@MANY
@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_any_map_comes_back_to_the_bit(workspace, model_map):
    (stored,) = add(workspace, judged(1, model_map=model_map))
    back = anomaly_map(workspace, stored)
    assert (back.dtype, back.shape, back.tobytes()) == (np.float32, model_map.shape, model_map.tobytes())


def test_files_of_a_picture_are_kept_as_they_came(workspace):
    part = judged(5)
    (stored,) = add(workspace, part)
    assert workspace.files.read(FileKind.PICTURE, stored.sha256) == part.content
    for kind in (FileKind.PREVIEW, FileKind.THUMBNAIL):
        assert workspace.files.read(kind, stored.sha256).startswith(b"\xff\xd8\xff")  # a JPEG


def test_without_limits_nothing_is_near_them(workspace):
    part = judged(3, limits=Limits(), verdict=Verdict.CHECK, percentile=None, embedding_distance=None)
    (stored,) = add(workspace, part)
    assert stored.limits == Limits()
    assert (stored.closeness, stored.percentile, stored.embedding_distance) == (None, None, None)
    assert stored.multiple is None


@given(SCORES, SCORES, SCORES)
def test_closeness_is_zero_at_a_limit_and_grows_away_from_both(score, check, beyond):
    limits = Limits(check=check, reject=check + beyond + 0.1)
    assert closeness(limits.check, limits) == closeness(limits.reject, limits) == 0
    distance = closeness(score, limits)
    assert distance * limits.reject == pytest.approx(
        min(abs(score - limits.check), abs(score - limits.reject))
    )


def test_the_same_picture_is_one_picture_with_two_inspections(workspace):
    first, second = add(workspace, judged(1, name="monday.png"), judged(1, name="tuesday.png"))
    assert first.image_id == second.image_id
    assert first.id != second.id
    assert second.name == "monday.png"


def test_a_known_picture_stays_what_it_was_unless_somebody_says_so(workspace):
    assert add(workspace, judged(1, product="lid"))[0].product == "lid"
    assert add(workspace, judged(1))[0].product == "lid"
    assert add(workspace, judged(1, product="cap"))[0].product == "cap"


def test_the_numbers_of_deleted_rows_are_not_given_again(workspace):
    gone = add(workspace, judged(1), judged(2))
    with workspace.database.writing() as session:
        session.execute(delete(Image))
    after = add(workspace, judged(1), judged(2))
    assert {stored.id for stored in after}.isdisjoint(stored.id for stored in gone)
    assert {stored.image_id for stored in after}.isdisjoint(stored.image_id for stored in gone)


def test_versions_are_told_apart_by_their_hashes(workspace):
    newer = replace(VERSION, calibration_sha256="12" * 32)
    add(workspace, judged(1), judged(2))
    add(workspace, judged(1), version=newer)
    assert [found.calibration_sha256 for found in inspections(workspace)] == [
        VERSION.calibration_sha256,
        VERSION.calibration_sha256,
        newer.calibration_sha256,
    ]


def test_inspections_are_found_by_number_product_and_checkpoint(workspace):
    lid, cap = add(workspace, judged(1, product="lid"), judged(2, product="cap"))
    (other,) = add(workspace, judged(3, product="lid"), version=replace(VERSION, checkpoint="mambaad_v2"))
    assert inspections(workspace) == [lid, cap, other]
    assert inspections(workspace, ids=[other.id, lid.id]) == [lid, other]
    assert inspections(workspace, ids=[]) == []
    assert inspections(workspace, product="lid") == [lid, other]
    assert inspections(workspace, product="lid", checkpoint="mambaad_v2") == [other]
    assert inspection(workspace, cap.id) == cap


def test_an_inspection_that_is_not_there_is_the_fault_of_who_asked(workspace):
    with pytest.raises(InputError, match="no longer here"):
        inspection(workspace, 7)


def test_a_map_whose_file_is_gone_or_damaged_is_told(workspace):
    (stored,) = add(workspace, judged(1))
    workspace.files.delete(FileKind.MAP, stored.map_sha256)
    with pytest.raises(StorageError, match="Restore it from a backup"):
        anomaly_map(workspace, stored)
    workspace.files.write(FileKind.MAP, stored.map_sha256, b"no map")
    with pytest.raises(StorageError, match="damaged"):
        anomaly_map(workspace, stored)


def test_a_version_is_what_a_predictor_runs(tiny_checkpoint):
    predictor = Predictor.from_checkpoint(tiny_checkpoint, device="cpu")
    version = VersionFacts.of(predictor)
    checkpoint = predictor.checkpoint
    assert (version.checkpoint, version.decoder, version.encoder) == ("tiny", "mambaad", "test_efficientnet")
    assert (version.side, version.resize) == (64, "letterbox")
    assert version.sha256 == checkpoint.sha256
    assert version.calibration_sha256 == sha256_of((tiny_checkpoint / "calibration.json").read_bytes())


def test_a_checkpoint_without_hashes_is_no_version(tiny_checkpoint):
    predictor = Predictor.from_checkpoint(tiny_checkpoint, device="cpu")
    bare = replace(
        predictor.checkpoint, config=predictor.checkpoint.config.model_copy(update={"sha256": None})
    )
    with pytest.raises(CheckpointError, match="has no hashes"):
        VersionFacts.of(Predictor(bare))
