"""Studies into the store and back, equal to the last digit."""

from pydantic import TypeAdapter, ValidationError

from mambaad_demo.errors import StorageError
from mambaad_demo.storage import studies
from mambaad_demo.storage.studies import StoredStudy
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.studies.study import Study, StudySpec

_SPEC = TypeAdapter(StudySpec)
_STUDY = TypeAdapter(Study)


def save_study(workspace: Workspace, study: Study, *, actor: str) -> int:
    """Keep a study; returns its number."""
    return studies.save(
        workspace,
        name=study_name(study),
        spec=_SPEC.dump_python(study.spec, mode="json"),
        result=_STUDY.dump_python(study, mode="json"),
        actor=actor,
    )


def load_study(stored: StoredStudy) -> Study:
    """A study as it was saved.

    Raises:
        StorageError: another version of this program wrote it.
    """
    try:
        return _STUDY.validate_python(stored.result)
    except ValidationError as error:
        raise StorageError(
            f"The study {stored.name!r} was kept in a form that this version does not read. Run it again."
        ) from error


def study_name(study: Study) -> str:
    """What a study is called in lists."""
    spec, count = study.spec, len(study.parts)
    parts = "1 part" if count == 1 else f"{count} parts"
    return f"{spec.product}, {spec.checkpoint}: {parts}, {spec.kind.value} shots"
