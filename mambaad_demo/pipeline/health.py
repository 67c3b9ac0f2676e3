"""What runs here: versions, device, scan kernels, and how each checkpoint is. The page of models and health,
`/health` and `doctor` all tell what stands here."""

import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mambaad_demo.errors import DemoError
from mambaad_demo.hub.checkpoints import embedded_names, resolve_device
from mambaad_demo.hub.layout import MANIFEST
from mambaad_demo.hub.manifest import Release, read_manifest
from mambaad_demo.models.encoder import Precision
from mambaad_demo.models.mambaad_v2 import core_kernel
from mambaad_demo.ops import mamba3, selective_scan
from mambaad_demo.pipeline.checkpoint_health import CheckpointHealth, examine_checkpoint
from mambaad_demo.version import __version__

_PACKAGES = (
    "torch", "torchvision", "timm", "numba", "triton", "mamba-ssm", "numpy", "scikit-image", "pillow",
    "safetensors", "huggingface_hub", "gradio",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPath:
    """What computes one kind of scan."""

    kernel: str
    """That runs."""
    kernels: tuple[str, ...]
    """All that can run on the device, preferred one first."""
    missing: dict[str, str]
    """Why the others cannot."""


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
    mamba3: KernelPath
    """The same for the core of MambaADv2."""
    checkpoints: tuple[CheckpointHealth, ...] = field(default=())

    @property
    def is_healthy(self) -> bool:
        """Whether there is a checkpoint and none of them failed."""
        return bool(self.checkpoints) and all(one.passed is not False for one in self.checkpoints)

    def to_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return asdict(self) | {"healthy": self.is_healthy}


def examine(
    checkpoints_root: Path,
    *,
    versions_root: Path | None = None,
    device: str = "auto",
    kernel: str = "auto",
    precision: Precision = "float32",
) -> Health:
    """Look at everything; loads each checkpoint once.

    Raises:
        InputError, KernelUnavailableError: the device or kernel asked for is not here.
    """
    names = embedded_names(checkpoints_root)
    own = () if versions_root is None else embedded_names(versions_root)

    def look(name: str, release: Release | None) -> CheckpointHealth:
        return examine_checkpoint(
            name,
            checkpoints_root,
            versions_root=versions_root,
            device=device,
            kernel=kernel,
            precision=precision,
            release=release,
        )

    return health_of(
        dict.fromkeys((*names, *own)),
        look,
        checkpoints_root,
        device=device,
        kernel=kernel,
        precision=precision,
    )


def health_of(
    names: Iterable[str],
    look: Callable[[str, Release | None], CheckpointHealth],
    checkpoints_root: Path,
    *,
    device: str,
    kernel: str,
    precision: str,
) -> Health:
    """The state of this installation, with checkpoints as somebody sees them.

    Args:
        names: of the checkpoints.
        look: name and entry in the manifest → what is known of it.
        checkpoints_root: holds the manifest.
        device: auto, cpu or cuda.
        kernel: selective-scan backend that was asked for.
        precision: arithmetic of the encoder.

    Raises:
        InputError, KernelUnavailableError: the device or kernel asked for is not here.
    """
    target = resolve_device(device)
    releases = _releases(checkpoints_root)
    return Health(
        version=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: _version(name) for name in _PACKAGES},
        device=target.type,
        device_name=torch.cuda.get_device_name(target) if target.type == "cuda" else platform.machine(),
        precision=precision,
        kernel=selective_scan.resolve_backend(kernel, target),
        kernels=selective_scan.available_backends(target),
        kernels_missing=selective_scan.unavailable_backends(target),
        mamba3=KernelPath(
            kernel=core_kernel(kernel, target),
            kernels=mamba3.available_backends(target),
            missing=mamba3.unavailable_backends(target),
        ),
        checkpoints=tuple(look(name, releases.get(name)) for name in names),
    )


def _releases(root: Path) -> dict[str, Release]:
    """The manifest by name; a damaged one hides no checkpoint."""
    try:
        return {release.name: release for release in read_manifest(root / MANIFEST).releases}
    except DemoError:
        return {}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
