"""Damaged and forged checkpoint folders: loaded as they should be, or refused in words; nothing else."""

import json
import random
import struct
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from mambaad_demo.errors import CheckpointCorruptError, CheckpointError, CheckpointMismatchError
from mambaad_demo.hub.checkpoints import load_folder
from mambaad_demo.hub.weights import MAX_HEADER_BYTES, read_tensors
from tests.data.mutations import mutated

EXPECTED = {"bias": torch.arange(4.0), "steps": torch.arange(3), "weight": torch.ones(2, 8)}
VALID = save(EXPECTED)
OWNER = "the test"

STRANGE = (
    *(None, True, "", "hf-hub:a/b", "../../etc", "é" * 300, -1, 0, 1, 10**9, 10**400, -1.5, 1e308),
    *([], [[]], {}, {"": None}, [0] * 1000, {"dims": [16, 8, 4, 2]}, [16, 8], ["16"]),
)
"""Values that a forger may put anywhere."""


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(content)
    return path


def with_header(header: str, body: bytes = bytes(104)) -> bytes:
    """A safetensors file of a header as it is given."""
    return struct.pack("<Q", len(header.encode())) + header.encode() + body


def entry(dtype: str = "F32", shape: object = (4,), offsets: object = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@settings(derandomize=True, max_examples=600, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_weight_file_holds_what_is_expected_or_is_refused(folder, seed):
    path = written(folder, mutated(VALID, [VALID, b"{}", b"\x80\x04pickle"], seed))
    try:
        tensors = read_tensors(path, EXPECTED, owner=OWNER)
    except CheckpointError as refusal:
        _check_words(refusal, folder)
        return
    assert {name: (one.shape, one.dtype) for name, one in tensors.items()} == {
        name: (one.shape, one.dtype) for name, one in EXPECTED.items()
    }
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.parametrize(
    "header",
    [
        json.dumps({"bias": entry(offsets=(0, 10**12))}),
        json.dumps({"bias": entry(offsets=(16, 0))}),
        json.dumps({"bias": entry(offsets=(-16, 0))}),
        json.dumps({"bias": entry(offsets=(8, 24))}),
        json.dumps({"bias": entry(), "weight": entry(shape=(2, 8), offsets=(0, 64))}),
        json.dumps({"bias": entry(shape=(2**62, 8), offsets=(0, 16))}),
        json.dumps({"bias": entry(shape=(2**32, 2**32), offsets=(0, 0))}),
        json.dumps({"bias": entry(shape=(4, -1))}),
        json.dumps({"bias": entry(shape=[1] * 5000)}),
        json.dumps(
            {"bias": entry(dtype="F4"), "steps": entry(dtype="F8_E4M3", shape=(16,), offsets=(16, 32))}
        ),
        json.dumps({"bias": entry(dtype="OBJECT")}),
        json.dumps({"bias": {**entry(), "code": "import os"}}),
        '{"bias": ' + json.dumps(entry()) + ', "bias": ' + json.dumps(entry(offsets=(16, 32))) + "}",
        '{"bias": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"__metadata__": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}",
        json.dumps({"__metadata__": {"a": "x" * 3_000_000}}),
        json.dumps({f"layer.{number}": entry(shape=(0,), offsets=(0, 0)) for number in range(40_000)}),
        '{"bias": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, Infinity]}}',
        "[]",
        "null",
        " " * 1000,
    ],
    ids=lambda header: header[:40],
)
def test_a_forged_header_is_refused(folder, header):
    with pytest.raises((CheckpointCorruptError, CheckpointMismatchError)) as refusal:
        read_tensors(written(folder, with_header(header)), EXPECTED, owner=OWNER)
    _check_words(refusal.value, folder)


@pytest.mark.parametrize("length", [0, 1, MAX_HEADER_BYTES + 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_an_absurd_length_is_not_read(folder, length):
    path = written(folder, struct.pack("<Q", length) + VALID[8:])
    with pytest.raises(CheckpointCorruptError, match=f"header of {length} bytes"):
        read_tensors(path, EXPECTED, owner=OWNER)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_one_value_that_is_not_finite_spoils_a_file(folder, value, dtype):
    tensors = {**EXPECTED, "weight": EXPECTED["weight"].clone().to(dtype)}
    tensors["weight"][1, 7] = value
    with pytest.raises(CheckpointCorruptError, match="NaN or infinite values in weight"):
        read_tensors(written(folder, save(tensors)), EXPECTED, owner=OWNER)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8, torch.bool, torch.int32])
def test_another_kind_of_number_is_refused(folder, dtype):
    tensors = {**EXPECTED, "weight": EXPECTED["weight"].to(dtype)}
    with pytest.raises(CheckpointMismatchError, match="stored as"):
        read_tensors(written(folder, save(tensors)), EXPECTED, owner=OWNER)


# config.json and calibration.json


@pytest.mark.parametrize("file", ["config.json", "calibration.json"])
@settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_forged_json_file_is_refused_or_changes_nothing_it_may_not(tiny_checkpoint, rehash, file, seed):
    path = tiny_checkpoint / file
    sound = {name: (tiny_checkpoint / name).read_bytes() for name in ("config.json", "calibration.json")}
    try:
        path.write_text(json.dumps(_forged(json.loads(sound[file]), seed)))
        if file == "calibration.json":
            rehash(tiny_checkpoint)
        checkpoint = load_folder(tiny_checkpoint, device="cpu", kernel="torch")
    except CheckpointError as refusal:
        _check_words(refusal, tiny_checkpoint)
    else:
        assert checkpoint.self_test.passed
    finally:
        for name, content in sound.items():
            (tiny_checkpoint / name).write_bytes(content)


@pytest.mark.parametrize("file", ["config.json", "calibration.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 200_000 + b"]" * 200_000,
        b'{"detector": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b'{"name": "tiny", "__class__": "os.system", "detector": {}}',
        b'{"detector": {"side": ' + b"9" * 5000 + b"}}",
        b'{"detector": {"side": NaN}, "name": "tiny"}',
        b" " * (33 * 1024 * 1024),
    ],
    ids=["empty", "no text", "deep list", "deep object", "class name", "long number", "NaN", "33 MB"],
)
def test_json_of_any_shape_is_refused(tiny_checkpoint, rehash, file, content):
    (tiny_checkpoint / file).write_bytes(content)
    if file == "calibration.json":
        rehash(tiny_checkpoint)
    with pytest.raises(CheckpointCorruptError, match=file) as refusal:
        load_folder(tiny_checkpoint, device="cpu", kernel="torch")
    _check_words(refusal.value, tiny_checkpoint)


def test_of_a_name_given_twice_the_last_value_counts_and_is_checked(tiny_checkpoint):
    text = (tiny_checkpoint / "config.json").read_text()
    (tiny_checkpoint / "config.json").write_text(text.rstrip()[:-1] + ', "name": "../elsewhere"}')
    with pytest.raises(CheckpointCorruptError, match=r"config\.json does not follow the schema: name"):
        load_folder(tiny_checkpoint, device="cpu", kernel="torch")


def _forged(value: object, seed: int) -> object:
    """JSON with up to three values replaced, doubled or left out."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 3)):
        at: object = value
        while isinstance(at, dict | list) and at:
            key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
            if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8:
                at = at[key]
                continue
            action = rng.random()
            if action < 0.6:
                at[key] = deepcopy(rng.choice(STRANGE))
            elif action < 0.8:
                del at[key]
            elif isinstance(at, dict):
                at[rng.choice(("name", "extra", "__class__", "code"))] = deepcopy(rng.choice(STRANGE))
            else:
                at.append(deepcopy(rng.choice(STRANGE)))
            break
    return value


def _check_words(refusal: CheckpointError, folder: Path) -> None:
    message = str(refusal)
    assert str(folder) not in message
    assert "site-packages" not in message
    assert message.count(". ") >= 1  # what happened, and what to do next


def test_the_files_that_are_forged_here_are_sound_before(tiny_checkpoint, folder):
    assert load_folder(tiny_checkpoint, device="cpu", kernel="torch").self_test.passed
    assert read_tensors(written(folder, VALID), EXPECTED, owner=OWNER).keys() == EXPECTED.keys()
    assert load_file(folder / "model.safetensors").keys() == EXPECTED.keys()
