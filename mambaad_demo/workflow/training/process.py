"""The process of one fine-tuning job: `python -m mambaad_demo.workflow.training.process FOLDER`.

Its orders lie in the folder, and so does all it writes; it never touches the store.
"""

import sys
from pathlib import Path

from mambaad_demo import logs
from mambaad_demo.hub.loading import load_folder
from mambaad_demo.pipeline.finetune_spec import FinetuneSpec
from mambaad_demo.pipeline.finetuning import Finetuning
from mambaad_demo.workflow.training.layout import JobFolder, Order
from mambaad_demo.workflow.training.loop import run_job


def finetuning(order: Order, folder: JobFolder) -> Finetuning:
    """The engine over the photos of a job."""
    return Finetuning(
        load_folder(order.base, device=order.device, kernel=order.kernel),
        [folder.photos / file for file in folder.photo_list().names],
        FinetuneSpec.model_validate(order.finetune),
        replay_folder=order.replay,
        state_path=folder.state,
        names=folder.photo_list().names,
    )


if __name__ == "__main__":
    job = JobFolder(Path(sys.argv[1]))
    logs.set_up(form="text", level="INFO", places={"home": job.path.parents[1]})  # people read it on the page
    sys.exit(run_job(job, finetuning))
