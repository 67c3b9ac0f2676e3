"""Pictures that are taken in without an inspection."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import Judged, write_files
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.pictures import add_picture, stored_pictures
from tests.conftest import textured
from tests.workflow.exchange.stores import HEIGHT, WIDTH, lying_jpeg, open_store, picture, png


def test_a_picture_lies_in_the_store_as_it_came(empty):
    image_id = add_picture(empty, lying_jpeg(), "a/b\n=c.jpg", "plate <b>")
    [stored] = stored_pictures(empty)
    assert (stored.id, stored.name, stored.product) == (image_id, "a/b\n=c.jpg", "plate <b>")
    assert (stored.width, stored.height) == (WIDTH, HEIGHT)
    assert stored.sha256 == hashlib.sha256(lying_jpeg()).hexdigest()
    assert empty.files.read(FileKind.PICTURE, stored.sha256) == lying_jpeg()


def test_a_picture_that_is_known_stays_as_it_is(empty):
    first = add_picture(empty, picture(), "a.png", "plate")
    second = add_picture(empty, picture(), "b.png", "lid")
    assert first == second
    assert [(one.name, one.product) for one in stored_pictures(empty)] == [("a.png", "plate")]


def test_pictures_of_one_product_may_be_listed_alone(empty):
    for seed, product in enumerate(("plate", "lid", "plate")):
        add_picture(empty, picture(seed), f"{seed}.png", product)
    assert [one.name for one in stored_pictures(empty, product="plate")] == ["0.png", "2.png"]
    assert stored_pictures(empty.of("stranger")) == []


def test_pictures_are_found_by_hash(empty):
    for number in range(3):
        add_picture(empty, picture(number), f"{number}.png", "plate")
    _, wanted, _ = stored_pictures(empty)
    assert stored_pictures(empty, sha256s=[wanted.sha256, "00" * 32]) == [wanted]
    assert stored_pictures(empty, sha256s=[]) == []


def test_small_versions_are_those_of_an_inspection(empty, tiny_checkpoint, tmp_path):
    content = png(textured(1500, 1100))
    add_picture(empty, content, "a.png", "plate")
    prediction = Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch").predict(content)
    with open_store(tmp_path / "inspected") as inspected:
        write_files(inspected, Judged(name="a.png", content=content, prediction=prediction))
        for kind in (FileKind.PREVIEW, FileKind.THUMBNAIL):
            mine = empty.files.read(kind, prediction.sha256)
            assert mine == inspected.files.read(kind, prediction.sha256)
            with Image.open(io.BytesIO(mine)) as image:
                assert max(image.size) == {FileKind.PREVIEW: 1024, FileKind.THUMBNAIL: 128}[kind]


@pytest.mark.parametrize(
    ("content", "product", "mask", "words"),
    [
        (b"no picture", "plate", None, "of a kind we do not know"),
        (png(np.zeros((4, 4), np.uint8)), "plate", None, "at least 16"),
        (picture(), " \n", None, "no name"),
        (picture(), "plate", mask_png(np.ones((5, 5), dtype=bool)), "5 × 5"),
    ],
)
def test_what_is_refused_leaves_nothing(empty, content, product, mask, words):
    with pytest.raises(InputError, match=words):
        add_picture(empty, content, "a.png", product, mask=mask)
    assert stored_pictures(empty) == []
    assert list(empty.files.names(FileKind.PICTURE)) == []
