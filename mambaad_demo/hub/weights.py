"""safetensors files read with suspicion: everything is checked against what is expected before it is
allocated.

Which tensors to expect is the caller's knowledge.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mambaad_demo.errors import CheckpointCorruptError, CheckpointMismatchError

MAX_HEADER_BYTES = 4 * 1024 * 1024

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "U8": torch.uint8,
}
_FLOATS_READ_AS_FLOAT32 = ("F32", "F16", "BF16")


def read_tensors(path: Path, expected: Mapping[str, Tensor], *, owner: str) -> dict[str, Tensor]:
    """Read a file that must hold exactly the expected tensors.

    Args:
        path: a safetensors file.
        expected: names with tensors of the wanted shape and dtype; where float32 is wanted, the file may hold
            half precision.
        owner: what the tensors are for, such as "decoder 'mambaad'"; used in messages.

    Returns:
        Finite tensors of the wanted dtypes, on the CPU.

    Raises:
        CheckpointCorruptError: not a safetensors file, an oversized header, or values that are not finite.
        CheckpointMismatchError: names, shapes or dtypes differ from the expected ones.
    """
    _require_small_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            shapes = {name: tuple(piece.get_shape()) for name, piece in found.items()}
            dtypes = {name: piece.get_dtype() for name, piece in found.items()}
            require_match(shapes, expected, file=path.name, owner=owner)
            _require_dtypes(dtypes, expected, file=path.name, owner=owner)
            tensors = {name: file.get_tensor(name).to(expected[name].dtype) for name in found}
    except SafetensorError as error:
        raise CheckpointCorruptError(
            f"{path.name} is not a readable safetensors file ({error}). Fetch or export the checkpoint again."
        ) from error
    require_finite(tensors, file=path.name)
    return tensors


def require_match(
    shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor], *, file: str, owner: str
) -> None:
    """Refuse names or shapes other than the expected ones.

    Raises:
        CheckpointMismatchError: with the names in `missing` and `unexpected`; a wrong shape counts as both.
    """
    reshaped = [
        name for name, shape in shapes.items() if name in expected and shape != tuple(expected[name].shape)
    ]
    missing = sorted(expected.keys() - shapes.keys()) + reshaped
    unexpected = sorted(shapes.keys() - expected.keys()) + reshaped
    if not missing and not unexpected:
        return
    first = ", ".join(f"{name} {list(shapes[name])}" for name in reshaped[:2]) or ", ".join(
        (missing + unexpected)[:2]
    )
    raise CheckpointMismatchError(
        f"{file} does not fit {owner}: {len(missing)} tensors missing, {len(unexpected)} unexpected, "
        f"{len(reshaped)} of them by shape (first: {first}). Choose the network it was trained with, or "
        "export "
        "it again.",
        decoder=owner,
        missing=missing,
        unexpected=unexpected,
    )


def require_finite(tensors: Mapping[str, Tensor], *, file: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        CheckpointCorruptError: naming the first bad tensor.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointCorruptError(
                f"{file} holds NaN or infinite values in {name}. Fetch or train the checkpoint again."
            )


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_id(content: bytes) -> str:
    """How git, and so the Hub, names a small file of this content: 40 hexadecimal digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def tensors_sha256(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Hexadecimal SHA-256 over names, shapes and values, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _require_small_header(path: Path) -> None:
    """Read the length the file states for its header; a pickle or zip states an absurd one."""
    with path.open("rb") as file:
        prefix = file.read(8)
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if not 2 <= length <= min(MAX_HEADER_BYTES, path.stat().st_size - 8):
        raise CheckpointCorruptError(
            f"{path.name} is no safetensors file, or its header of {length} bytes exceeds the file or the "
            "limit "
            f"of {MAX_HEADER_BYTES}. Pickled weights are never loaded; import them with "
            "'python -m mambaad_demo checkpoints import'."
        )


def _require_dtypes(
    dtypes: Mapping[str, str], expected: Mapping[str, Tensor], *, file: str, owner: str
) -> None:
    for name, found in dtypes.items():
        wanted = expected[name].dtype
        if _DTYPES.get(found) is wanted or (wanted is torch.float32 and found in _FLOATS_READ_AS_FLOAT32):
            continue
        raise CheckpointMismatchError(
            f"{file} does not fit {owner}: {name} is stored as {found}, {wanted} is needed. Export it again.",
            decoder=owner,
            missing=[name],
            unexpected=[name],
        )
