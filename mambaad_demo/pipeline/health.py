"""What runs here: versions, device, scan kernels, and whether each checkpoint passes its self-test."""

import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mambaad_demo.errors import DemoError
from mambaad_demo.hub.checkpoints import embedded_names, load_checkpoint, resolve_device
from mambaad_demo.models.encoder import Precision
from mambaad_demo.ops.selective_scan import available_backends, resolve_backend, unavailable_backends
from mambaad_demo.version import __version__

_PACKAGES = (
    "torch", "torchvision", "timm", "numba", "triton", "mamba-ssm", "numpy", "scikit-image", "pillow",
    "safetensors", "huggingface_hub", "gradio",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointHealth:
    """One checkpoint, loaded and replayed on the live device."""

    name: str
    passed: bool
    decoder: str | None = None
    encoder: str | None = None
    categories: tuple[str, ...] = ()
    calibrated: tuple[str, ...] = ()
    """Categories that have limits."""
    sha256: str | None = None
    largest_difference: float | None = None
    tolerance: float | None = None
    error: str | None = None
    """Why it did not pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state of this installation."""

    version: str
    python: str
    platform: str
    packages: dict[str, str | None]
    """None where not installed; some are optional."""
    device: str
    device_name: str
    precision: str
    """Arithmetic of the encoder."""
    kernel: str
    kernels: tuple[str, ...]
    """All that can run on the device, preferred one first."""
    kernels_missing: dict[str, str]
    """Why the others cannot."""
    checkpoints: tuple[CheckpointHealth, ...] = field(default=())

    @property
    def is_healthy(self) -> bool:
        """Whether there is a checkpoint and every one of them passed."""
        return bool(self.checkpoints) and all(checkpoint.passed for checkpoint in self.checkpoints)

    def to_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return asdict(self) | {"healthy": self.is_healthy}


def examine(
    checkpoints_root: Path,
    *,
    device: str = "auto",
    kernel: str = "auto",
    precision: Precision = "float32",
) -> Health:
    """Look at everything; loads each checkpoint once.

    Raises:
        InputError, KernelUnavailableError: the device or kernel asked for is not here.
    """
    target = resolve_device(device)
    return Health(
        version=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: _version(name) for name in _PACKAGES},
        device=target.type,
        device_name=torch.cuda.get_device_name(target) if target.type == "cuda" else platform.machine(),
        precision=precision,
        kernel=resolve_backend(kernel, target),
        kernels=available_backends(target),
        kernels_missing=unavailable_backends(target),
        checkpoints=tuple(
            examine_checkpoint(name, checkpoints_root, device=device, kernel=kernel, precision=precision)
            for name in embedded_names(checkpoints_root)
        ),
    )


def examine_checkpoint(
    name: str,
    checkpoints_root: Path,
    *,
    device: str = "auto",
    kernel: str = "auto",
    precision: Precision = "float32",
    allowed_repos: Iterable[str] = (),
) -> CheckpointHealth:
    """Load one checkpoint with all its checks; a refusal becomes the result."""
    try:
        checkpoint = load_checkpoint(
            name,
            device=device,
            kernel=kernel,
            precision=precision,
            checkpoints_root=checkpoints_root,
            allowed_repos=allowed_repos,
        )
    except DemoError as error:
        return CheckpointHealth(name=name, passed=False, error=str(error))
    return CheckpointHealth(
        name=name,
        passed=checkpoint.self_test.passed,
        decoder=checkpoint.detector.config.decoder,
        encoder=checkpoint.detector.config.encoder,
        categories=checkpoint.config.categories,
        calibrated=tuple(checkpoint.calibration.categories),
        sha256=checkpoint.sha256,
        largest_difference=checkpoint.self_test.largest_difference,
        tolerance=checkpoint.self_test.tolerance,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
