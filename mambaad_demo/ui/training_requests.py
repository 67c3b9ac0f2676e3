"""What the Train page and its API ask for: a good set looked at, a training started; no components.

Both refuse where strangers share the machine or a GPU is lent call by call, with the same words.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.data.temporary import PREFIX
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.augmentation import Augmentation
from mambaad_demo.pipeline.finetune_spec import FinetuneSpec
from mambaad_demo.storage import labels, text
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present
from mambaad_demo.ui.desk import SOMEBODY, Desk
from mambaad_demo.ui.good_photos import unpacked
from mambaad_demo.ui.present_train import refusal_of
from mambaad_demo.ui.train_page import OWN
from mambaad_demo.ui.uploads import uploaded_path
from mambaad_demo.workflow.training.job_folder import TrainingSpec

_FIELDS = {
    "category": "a product name of at most 100 characters",
    "minutes": "minutes above 0 and up to 10000",
    "steps": "a whole number of steps from 1 to 1000000",
    "seed": "a whole number from 0 as the seed",
    "augmentations": "changes among flip, rotate and brightness",
    "reject_rate": "a share of good parts that may be rejected, above 0 and below 1",
    "check_rate": "a share of good parts that may be rejected, above 0 and below 1",
}
_CHECK_RATE = 0.05
_LONGEST_CATEGORY = 100


def refusal(desk: Desk) -> str:
    """Why nobody may fine-tune here; empty where everybody may."""
    return refusal_of(is_private=desk.is_private, on_zero_gpu=desk.on_zero_gpu)


def require_allowed(desk: Desk) -> None:
    """Refuse to fine-tune where strangers share the machine, or a GPU is lent call by call.

    Raises:
        InputError: either is so.
    """
    if words := refusal(desk):
        raise InputError(words)


def go_on(desk: Desk, how: Callable[[Workspace, str], None], workspace: Workspace, job_id: str) -> None:
    """Let a training that the workspace knows start its process again.

    Raises:
        InputError: it does not know it, or fine-tuning is off here.
    """
    desk.trainings.status(workspace, job_id)
    require_allowed(desk)
    how(workspace, job_id)


def category_name(product: object) -> str:
    """What the new version will call the product; empty for none."""
    return text.name(str(product or ""))


def training_spec(checkpoint: object, product: object, **finetune: Any) -> TrainingSpec:
    """What the controls ask for; they may hold anything, since a browser or program sends them.

    Args:
        checkpoint: name of the base.
        product: what the version will call the part.
        finetune: other fields of `FinetuneSpec`.

    Raises:
        InputError: something is missing or makes no sense; says what to fill in.
    """
    category = category_name(product)
    if not category:
        raise InputError("Name the product first: the new version will know the part by this name.")
    if not checkpoint:
        raise InputError("Choose the checkpoint to start from.")
    try:
        rate = float(finetune.get("reject_rate", FinetuneSpec.model_fields["reject_rate"].default))
        finetune["check_rate"] = min(max(_CHECK_RATE, 2 * rate), 0.99)
        return TrainingSpec(checkpoint=str(checkpoint), finetune=FinetuneSpec(category=category, **finetune))
    except (ValidationError, TypeError, ValueError, OverflowError) as error:
        raise InputError(_complaint(error)) from error


def _complaint(error: Exception) -> str:
    wrong = (
        [str(problem["loc"][0]) for problem in error.errors() if problem["loc"]]
        if isinstance(error, ValidationError)
        else []
    )
    named = list(dict.fromkeys(_FIELDS[name] for name in wrong if name in _FIELDS))
    if named:
        return f"Give {' and '.join(named)}."
    return "Give either minutes or steps, as a number, and a share of rejected good parts below 1."


def start_training(desk: Desk, workspace: Workspace, spec: TrainingSpec, photos: Sequence[Picture]) -> str:
    """Hand the photos over to a new job; returns its id.

    Raises:
        InputError: fine-tuning is off here, too few photos, no such checkpoint, or too many trainings wait.
        StorageError: no room for the photos.
    """
    require_allowed(desk)
    name = f"{spec.finetune.category}, {len(photos)} photo{'' if len(photos) == 1 else 's'}"
    with TemporaryDirectory(prefix=f"{PREFIX}good-photos-") as folder:
        paths = unpacked(photos, Path(folder))
        return desk.trainings.start(workspace, spec, paths, name=name, actor=SOMEBODY)


def files_of(uploads: list[dict[str, Any]] | None) -> list[Path]:
    """Where uploaded files lie.

    Raises:
        InputError: one of them was never uploaded.
    """
    return [path for path in map(uploaded_path, uploads or []) if path is not None]


def minutes_of(budget: str, minutes: object) -> Any:
    """The minutes that are chosen; checked when they are used."""
    return minutes if budget == OWN else budget


def share(percent: Any) -> Any:
    """Percent as a share; what is no number stays, and is refused where it is used."""
    return percent / 100 if isinstance(percent, int | float) else percent


def chosen_training(job_id: str | None) -> str:
    """The training that is chosen.

    Raises:
        InputError: none is.
    """
    if not job_id:
        raise InputError("Choose a training first.")
    return job_id


def changes_of(is_flipped: object, is_rotated: object, varies_brightness: object) -> tuple[Augmentation, ...]:
    """The changes of photos that are ticked."""
    ticked: dict[Augmentation, object] = {
        "flip": is_flipped,
        "rotate": is_rotated,
        "brightness": varies_brightness,
    }
    return tuple(name for name, is_chosen in ticked.items() if is_chosen)


def product_choices(workspace: Workspace) -> list[tuple[str, str]]:
    """Products of the store as entries of a list."""
    return present.named(list(labels.products(workspace)))
