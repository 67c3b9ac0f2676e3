"""Composition root: settings → store, catalog → page. Run it, or let a Hugging Face Space run it."""

import os
import signal
from functools import partial
from pathlib import Path

from mambaad_demo import logs
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.zero_gpu import ZeroGpu
from mambaad_demo.settings import Settings
from mambaad_demo.storage.jobs import mark_orphans
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import asked
from mambaad_demo.ui.caps import FOR_STRANGERS, Caps, Disk
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.janitor import Janitor, chores, kept_files
from mambaad_demo.ui.launch import launch_options
from mambaad_demo.ui.layout import build_app
from mambaad_demo.ui.shutdown import close_down, end_before_serving, end_for_certain, wait_for_signal
from mambaad_demo.ui.sign_in import SignIn
from mambaad_demo.ui.uploads import delete_old_files
from mambaad_demo.ui.visits import Visits
from mambaad_demo.workflow.batch_runner import BatchRunner
from mambaad_demo.workflow.folder_labels import read_folder_labels
from mambaad_demo.workflow.service import Retention, Service
from mambaad_demo.workflow.training.runner import TrainingRunner


def main() -> None:
    """Serve the page until interrupted."""
    settings = Settings.from_env(os.environ)
    logs.set_up(
        form=settings.log_format,
        level=settings.log_level,
        places=settings.named_places,
        secrets=settings.secrets,
    )
    if "GRADIO_TEMP_DIR" not in os.environ:  # a folder the operator names may hold other files than ours
        os.environ["GRADIO_TEMP_DIR"] = str(settings.uploads)
        delete_old_files(settings.uploads, minutes=settings.retention_minutes)
    signal.signal(signal.SIGTERM, end_before_serving)
    catalog = _catalog(settings)
    store = Workspace.open(settings.database_url, settings.files_url)
    runner = BatchRunner(catalog, settings.batches, finish=read_folder_labels)
    trainings = TrainingRunner(
        catalog,
        settings.trainings,
        settings.versions,
        settings.replay,
        device=settings.device,
        kernel=settings.kernel,
        environ=os.environ,
    )
    mark_orphans(store, runner.left_over() | trainings.left_over())
    caps = Caps() if settings.shared else FOR_STRANGERS
    disk = Disk(
        Path(os.environ["GRADIO_TEMP_DIR"]),
        others=settings.places_of_strangers,
        most_gb=settings.max_disk_gb,
    )
    visits = Visits(keep_minutes=settings.retention_minutes)
    desk = Desk(
        store,
        catalog,
        runner,
        trainings,
        is_private=not settings.shared,
        on_zero_gpu=settings.on_zero_gpu,
        retention_minutes=settings.retention_minutes,
        most_unfinished=caps.unfinished_batches,
    )
    service = Service(
        catalog,
        runner,
        trainings,
        places=settings.places,
        retention=Retention(
            uploads_minutes=settings.retention_minutes,
            stored_work_minutes=settings.retention_minutes if desk.is_private else None,
        ),
    )
    app = build_app(
        catalog,
        desk,
        retention_minutes=settings.retention_minutes,
        visits=visits,
        caps=caps,
        disk=disk,
        service=service,
        sign_in=SignIn(
            on_space=settings.on_space, is_shared=settings.shared, is_offered=settings.offers_sign_in
        ),
        on_space=settings.on_space,
        needs_storage=settings.on_space and settings.shared,
    )
    app.launch(
        **launch_options(
            host=settings.host,
            port=settings.port,
            max_upload_mb=settings.max_upload_mb,
            on_space=settings.on_space,
            visits=visits,
            caps=caps,
            disk=disk,
            hosts=settings.trusted_hosts,
            state=service,
        ),
        prevent_thread_lock=True,
    )
    own_folder = None if settings.uploads_folder else settings.uploads
    janitor = Janitor(chores(desk, uploads=own_folder, kept=lambda: kept_files(app)))
    janitor.start()
    logs.take_over("uvicorn", "uvicorn.error", "uvicorn.access")
    wait_for_signal()
    end_for_certain()
    janitor.close()
    if not close_down(app, desk, service):
        os._exit(1)  # threads that are still at work would keep the process


def _catalog(settings: Settings) -> Catalog:
    """The checkpoints; where a GPU is lent for one call at a time, the server itself keeps off it."""
    lends = settings.on_zero_gpu and settings.device != "cpu"
    open_on = partial(
        Predictor.from_checkpoint,
        kernel=settings.kernel,
        precision=settings.precision,
        checkpoints_root=settings.checkpoints,
        versions_root=settings.versions,
        allowed_repos=settings.allowed_repos,
    )
    return Catalog(
        settings.checkpoints,
        versions_root=settings.versions,
        replay_root=settings.replay,
        device="cpu" if lends else settings.device,
        kernel=settings.kernel,
        precision=settings.precision,
        zero_gpu=ZeroGpu(lambda name: open_on(name, device=settings.device).runner, is_asked=asked.by_visitor)
        if lends
        else None,
        allowed_repos=settings.allowed_repos,
    )


if __name__ == "__main__":
    main()
