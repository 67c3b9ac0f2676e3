"""The names, shapes and dtypes of a released full-size checkpoint, filled with random numbers."""

import json
from pathlib import Path

import torch

KEYS = Path(__file__).resolve().parents[1] / "golden" / "official_mambaad_state_dict.json"


def official_state() -> dict[str, torch.Tensor]:
    """All 588 tensors: small random numbers; variances positive, counts and tables whole."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, (shape, dtype) in json.loads(KEYS.read_text(encoding="utf-8"))["keys"].items():
        if dtype == "int64":
            state[name] = torch.zeros(shape, dtype=torch.int64)
        elif name.endswith("running_var"):
            state[name] = torch.ones(shape)
        else:
            state[name] = torch.randn(shape, generator=generator) * 0.02
    return state
