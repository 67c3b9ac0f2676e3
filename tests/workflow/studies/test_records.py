"""Studies in the store."""

import json

import pytest

from mambaad_demo.errors import StorageError
from mambaad_demo.storage import studies
from mambaad_demo.workflow.studies.records import load_study, save_study
from mambaad_demo.workflow.studies.study import ShotKind
from mambaad_demo.workflow.studies.variations import Variation
from tests.workflow.studies.line import BAD, part, spec, study


def test_a_study_comes_back_as_it_was(line):
    before = study(
        part(0.1 + 0.2, 1 / 3, name="=cmd()<b>\n${x}🙂", alone=dict.fromkeys(Variation, 0.7)),
        part(1.5, 1e-12, reference=BAD),
        spec=spec(kind=ShotKind.STORED, seed=2**32 - 1),
        category=None,
        refused=(("gone.png", "The file is missing."),),
    )
    number = save_study(line.workspace, before, actor="mira")
    assert load_study(studies.study(line.workspace, number)) == before


def test_what_is_stored_is_plain_json_without_nan(line):
    number = save_study(line.workspace, study(part(0.5, 0.6)), actor="mira")
    stored = studies.study(line.workspace, number)
    json.dumps([stored.spec, stored.result], allow_nan=False)
    assert stored.name == "bottle_cap, mambaad: 1 part, generated shots"
    assert stored.spec["seed"] == 0


@pytest.mark.parametrize("result", [{}, {"parts": []}, {"spec": {"parts": 0}}])
def test_a_study_of_another_version_is_refused(line, result):
    number = studies.save(line.workspace, name="old", spec={}, result=result, actor="mira")
    with pytest.raises(StorageError, match="Run it again"):
        load_study(studies.study(line.workspace, number))
