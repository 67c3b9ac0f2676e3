"""What a checkpoint says of what fine-tuning taught it."""

import numpy as np
import pytest
from pydantic import ValidationError

from mambaad_demo.hub import schemas
from mambaad_demo.hub.schemas import CheckpointConfig
from mambaad_demo.pipeline import learned
from mambaad_demo.pipeline.learned import digest, learned_categories, learned_hashes, with_learned


def config(**changes) -> CheckpointConfig:
    return CheckpointConfig(**({"name": "part-1", "detector": {}} | changes))


def bits(*seeds: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).random(576) < 0.5 for seed in seeds]


def test_hashes_come_back_as_they_were_kept_those_of_the_base_first():
    base = config(learned_photos=with_learned(config(), bits(1, 2)))
    version = config(learned_photos=with_learned(base, bits(3)))
    again = CheckpointConfig.model_validate_json(version.model_dump_json())
    np.testing.assert_array_equal(learned_hashes(again), bits(1, 2, 3))


def test_a_photo_that_is_learned_again_is_kept_once_as_the_newest_and_the_oldest_go_first(monkeypatch):
    base = config(learned_photos=with_learned(config(), bits(1, 2, 3)))
    assert with_learned(base, bits(2, 4, 4)) == with_learned(config(), bits(1, 3, 2, 4))
    monkeypatch.setattr(learned, "MOST_LEARNED_PHOTOS", 3)
    assert with_learned(base, bits(2, 4)) == with_learned(config(), bits(3, 2, 4))


@pytest.mark.parametrize("wrong", [["ab"], ["g" * 144], ["A" * 144], "0" * 144, [None]])
def test_what_is_no_list_of_hashes_is_refused(wrong):
    with pytest.raises(ValidationError):
        config(learned_photos=wrong)


def test_too_many_hashes_are_refused():
    packed = "0" * 144
    assert len(config(learned_photos=(packed,) * schemas.MOST_LEARNED_PHOTOS).learned_photos) == 10_000
    with pytest.raises(ValidationError, match="at most 10000"):
        config(learned_photos=(packed,) * (schemas.MOST_LEARNED_PHOTOS + 1))


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({}, ()),
        ({"category": "cookie"}, ("cookie",)),
        ({"category": "cookie", "learned": ["cap", "cookie"]}, ("cap", "cookie")),
        ({"category": 5}, ()),
        ({"learned": "cookie"}, ()),
        ({"learned": [["cookie"], "cap"]}, ("cap",)),
    ],
)
def test_categories_are_those_it_names_and_of_an_older_version_its_own(training, expected):
    assert learned_categories(config(training=training)) == expected


def test_other_photos_or_another_order_have_another_digest():
    assert digest(bits(1, 2)) == digest(bits(1, 2))
    assert len({digest(bits(1, 2)), digest(bits(2, 1)), digest(bits(1, 3)), digest(bits(1)), digest([])}) == 5
