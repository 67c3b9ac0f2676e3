"""What is asked of a fine-tuning job, kept with its row in the store so that it can be resumed."""

from mambaad_demo.hub.schemas import Border, CheckpointName
from mambaad_demo.pipeline.finetune_spec import FinetuneSpec


class TrainingSpec(Border):
    """Which checkpoint learns what."""

    checkpoint: str
    """That is fine-tuned, by its name in the catalog."""
    version: CheckpointName | None = None
    """What the new one shall be called, numbered where that is taken; else after the category."""
    finetune: FinetuneSpec
