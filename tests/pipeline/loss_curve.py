"""Fine-tune for eight steps, under `torchrun` or alone, and write the losses: BASE PHOTOS OUT."""

import json
import sys
from pathlib import Path

from mambaad_demo.hub.checkpoints import load_folder
from mambaad_demo.pipeline.finetune_spec import FinetuneSpec
from mambaad_demo.pipeline.finetuning import Finetuning
from mambaad_demo.pipeline.training import processes

base, photos, out = map(Path, sys.argv[1:])
spec = FinetuneSpec(category="stripes", steps=8, batch_size=4, patience=0)
device = processes().device.type
run = Finetuning(load_folder(base, device=device), sorted(photos.iterdir()), spec)
for _ in run.prepare():
    pass
losses = [step.loss for step in run.steps()]
if processes().is_main_process:
    out.write_text(json.dumps(losses), encoding="utf-8")
