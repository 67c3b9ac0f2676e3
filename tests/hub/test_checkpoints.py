"""Checkpoint folders: what is saved comes back, and what was tampered with is refused."""

import json
import pickle
import shutil
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mambaad_demo.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    InputError,
    KernelUnavailableError,
    UnknownReleaseError,
)
from mambaad_demo.hub import self_test
from mambaad_demo.hub.checkpoints import (
    embedded_names,
    load_checkpoint,
    load_folder,
    round_to_half,
    save_checkpoint,
)
from mambaad_demo.hub.model_card import model_card
from mambaad_demo.hub.schemas import CalibrationFile, CheckpointConfig
from mambaad_demo.hub.self_test import golden_file, pattern_images
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.models import build_detector


def edit_config(folder: Path, edit) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


def edit_weights(folder: Path, edit) -> None:
    state = load_file(folder / "model.safetensors")
    edit(state)
    save_file(state, folder / "model.safetensors")


def test_a_saved_detector_computes_the_same_after_loading(tiny_checkpoint, tiny_detector, generator):
    images = torch.rand(2, 3, 64, 64, generator=generator)

    loaded = load_folder(tiny_checkpoint, device="cpu", kernel="torch")

    with torch.inference_mode():
        torch.testing.assert_close(loaded.detector.anomaly_maps(images), tiny_detector.anomaly_maps(images))
    assert loaded.self_test.passed
    assert loaded.self_test.largest_difference < 1e-5
    assert loaded.config.categories == ("plate", "tile")
    assert set(loaded.calibration.categories) == {"plate", "tile"}


def test_a_checkpoint_folder_holds_the_promised_files_and_a_card(tiny_checkpoint):
    names = {path.name for path in tiny_checkpoint.iterdir()}

    assert names == {
        "config.json",
        "model.safetensors",
        "calibration.json",
        "golden.safetensors",
        "README.md",
    }
    card = (tiny_checkpoint / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "| plate |" in card
    assert str(tiny_checkpoint.parent) not in card


def test_half_precision_on_disk_is_float32_in_memory(tmp_path, tiny_detector):
    detector = round_to_half(tiny_detector)
    config = CheckpointConfig(name="half", detector={})
    save_checkpoint(tmp_path / "half", detector, config, CalibrationFile(), pattern_images(64), half=True)

    loaded = load_folder(tmp_path / "half", kernel="torch")

    assert {parameter.dtype for parameter in loaded.detector.parameters()} == {torch.float32}
    stored = load_file(tmp_path / "half" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.int64}
    assert loaded.self_test.largest_difference < 1e-5


def test_half_precision_of_unrounded_weights_is_a_mistake(tmp_path, tiny_detector):
    config = CheckpointConfig(name="half", detector={})

    with pytest.raises(ValueError, match="round_to_half"):
        save_checkpoint(
            tmp_path / "half", tiny_detector, config, CalibrationFile(), pattern_images(64), half=True
        )

    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_checkpoint_alone(tiny_checkpoint, tiny_detector):
    before = (tiny_checkpoint / "model.safetensors").read_bytes()
    config = CheckpointConfig(name="tiny", detector={})

    with pytest.raises(ValueError, match="golden images"):
        save_checkpoint(tiny_checkpoint, tiny_detector, config, CalibrationFile(), pattern_images(32))

    assert (tiny_checkpoint / "model.safetensors").read_bytes() == before
    assert [path.name for path in tiny_checkpoint.parent.iterdir()] == ["tiny"]


def test_saving_again_replaces_the_whole_folder(tiny_checkpoint, tiny_detector):
    config = CheckpointConfig(name="tiny", detector={})

    save_checkpoint(tiny_checkpoint, tiny_detector, config, CalibrationFile(), pattern_images(64))

    assert load_folder(tiny_checkpoint, kernel="torch").calibration.categories == {}
    assert [path.name for path in tiny_checkpoint.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "calibration.json", "golden.safetensors"]
)
def test_a_missing_file_is_named(tiny_checkpoint, file):
    (tiny_checkpoint / file).unlink()

    with pytest.raises(CheckpointNotFoundError, match=file):
        load_folder(tiny_checkpoint)


@pytest.mark.parametrize("file", ["model.safetensors", "calibration.json", "golden.safetensors"])
def test_one_changed_byte_is_noticed(tiny_checkpoint, file):
    content = bytearray((tiny_checkpoint / file).read_bytes())
    content[-3] ^= 1
    (tiny_checkpoint / file).write_bytes(content)

    with pytest.raises(CheckpointCorruptError, match=rf"{file} of 'tiny' has SHA-256"):
        load_folder(tiny_checkpoint)


def test_a_config_without_hashes_is_refused(tiny_checkpoint):
    edit_config(tiny_checkpoint, lambda config: config.pop("sha256"))

    with pytest.raises(CheckpointCorruptError, match="no hashes"):
        load_folder(tiny_checkpoint)


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config.update(run_this="import os"),
        lambda config: config["encoder"].update(url="http://example.org"),
        lambda config: config.update(schema_version=2),
        lambda config: config.update(resize="stretch"),
        lambda config: config.update(name="../../etc"),
    ],
)
def test_a_config_outside_the_schema_is_refused(tiny_checkpoint, edit):
    edit_config(tiny_checkpoint, edit)

    with pytest.raises(CheckpointCorruptError, match=r"config\.json does not follow the schema"):
        load_folder(tiny_checkpoint)


def test_a_config_that_is_no_json_is_refused(tiny_checkpoint):
    (tiny_checkpoint / "config.json").write_text("{'decoder':")

    with pytest.raises(CheckpointCorruptError, match="schema"):
        load_folder(tiny_checkpoint)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("decoder", "os.system"),
        ("decoder_options", {"dims": [16, 8, 4, 2], "depths": [2, 2, 2, 2], "activation": "exec"}),
        ("decoder_options", {"dims": [16, 8, 4, 3], "depths": [2, 2, 2, 2]}),
        ("encoder", "hf-hub:someone/something"),
        ("encoder", "local-dir:../../secret"),
        ("encoder", "no_such_backbone"),
        ("input_side", 65),
        ("surprise", True),
    ],
)
def test_detector_options_that_make_no_detector_are_refused(tiny_checkpoint, option, value):
    edit_config(tiny_checkpoint, lambda config: config["detector"].update({option: value}))

    with pytest.raises(CheckpointMismatchError, match="describes no network"):
        load_folder(tiny_checkpoint)


@pytest.mark.parametrize("value", [{"dims": [1_000_000, 500_000, 250_000, 125_000]}, {"depths": [2] * 1000}])
def test_an_absurdly_large_network_is_never_built(tiny_checkpoint, value):
    edit_config(tiny_checkpoint, lambda config: config["detector"]["decoder_options"].update(value))

    with pytest.raises(CheckpointCorruptError, match="absurd"):
        load_folder(tiny_checkpoint)


def test_missing_and_extra_tensors_are_listed(tiny_checkpoint, rehash):
    def edit(state):
        state["decoder.extra"] = torch.zeros(3)
        del state["fusion.merge.conv.weight"]

    edit_weights(tiny_checkpoint, edit)
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointMismatchError, match="1 tensors missing, 1 unexpected") as caught:
        load_folder(tiny_checkpoint)

    assert caught.value.missing == ("fusion.merge.conv.weight",)
    assert caught.value.unexpected == ("decoder.extra",)


def test_a_tensor_of_another_shape_is_refused(tiny_checkpoint, rehash):
    edit_weights(tiny_checkpoint, lambda state: state.update({"heads.0.bias": torch.zeros(25)}))
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointMismatchError, match=r"heads\.0\.bias \[25\]"):
        load_folder(tiny_checkpoint)


def test_a_tensor_of_another_kind_of_number_is_refused(tiny_checkpoint, rehash):
    whole = torch.zeros(24, dtype=torch.int64)
    edit_weights(tiny_checkpoint, lambda state: state.update({"heads.0.bias": whole}))
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointMismatchError, match="stored as I64"):
        load_folder(tiny_checkpoint)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused(tiny_checkpoint, rehash, value):
    edit_weights(tiny_checkpoint, lambda state: state["heads.0.bias"].fill_(value))
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointCorruptError, match=r"NaN or infinite values in heads\.0\.bias"):
        load_folder(tiny_checkpoint)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Bomb()),
        b"",
        b"\x10",
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 200) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}" + b"hidden payload",
    ],
    ids=["pickle", "empty", "one byte", "huge header", "header past the end", "no object", "trailing bytes"],
)
def test_a_file_that_is_no_safetensors_is_refused_unopened(
    tiny_checkpoint, rehash, content, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tiny_checkpoint / "model.safetensors").write_bytes(content)
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointCorruptError, match="safetensors"):
        load_folder(tiny_checkpoint)

    assert not (tmp_path / "exploded").exists()


def test_weights_that_compute_something_else_fail_the_self_test(tiny_checkpoint, rehash):
    edit_weights(tiny_checkpoint, lambda state: state["heads.2.weight"].neg_())
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointCorruptError, match=r"self-test of checkpoint 'tiny' failed on cpu"):
        load_folder(tiny_checkpoint, kernel="torch", device="cpu")


def test_a_golden_file_for_another_input_side_is_refused(tiny_checkpoint, rehash, tiny_detector):
    wrong = {"images": torch.zeros(2, 32, 32, 3, dtype=torch.uint8), "maps": torch.zeros(2, 32, 32)}
    save_file(wrong, tiny_checkpoint / "golden.safetensors")
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointMismatchError, match="inputs of side 64"):
        load_folder(tiny_checkpoint)


def test_golden_images_must_be_bytes_of_the_right_size(tiny_detector):
    with pytest.raises(ValueError, match="golden images"):
        golden_file(tiny_detector, np.zeros((2, 64, 64, 3), np.float32))


@pytest.mark.parametrize(
    "edit",
    [
        lambda category: category.update(check=category["reject"] + 1),
        lambda category: category["scores"].reverse(),
        lambda category: category["scores"].pop(),
        lambda category: category["pixel_quantiles"].pop("0.5"),
        lambda category: category["embedding"].pop(),
        lambda category: category.update(secret=1),
    ],
)
def test_a_calibration_that_contradicts_itself_is_refused(tiny_checkpoint, rehash, edit):
    path = tiny_checkpoint / "calibration.json"
    content = json.loads(path.read_text())
    edit(content["categories"]["plate"])
    path.write_text(json.dumps(content))
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointCorruptError, match=r"calibration\.json does not follow the schema"):
        load_folder(tiny_checkpoint)


def test_an_encoder_with_other_weights_than_recorded_is_refused(tiny_checkpoint):
    edit_config(tiny_checkpoint, lambda config: config["encoder"].update(mean=[0.5, 0.5, 0.5]))

    with pytest.raises(CheckpointCorruptError, match="another normalization"):
        load_folder(tiny_checkpoint)


def test_an_embedded_name_comes_before_a_folder_of_that_name(tiny_checkpoint, tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")

    checkpoint = load_checkpoint("tiny", kernel="torch", checkpoints_root=tiny_checkpoint.parent)

    assert checkpoint.folder == tiny_checkpoint


def listing(folder, **changes):
    """A manifest of the files of a checkpoint folder, with other hashes for some."""
    files = ", ".join(
        f'{{ path = "{path.name}", sha256 = "{changes.get(path.stem, file_sha256(path))}" }}'
        for path in sorted(folder.iterdir())
    )
    return (
        f'schema_version = 1\n[[release]]\nname = "{folder.name}"\nkind = "embedded"\ndecoder = "mambaad"\n'
        f'encoder = "test_efficientnet"\nlicense = "apache-2.0"\nfiles = [{files}]\n'
    )


@pytest.mark.parametrize("file", ["model.safetensors", "calibration.json", "README.md"])
def test_an_embedded_checkpoint_is_refused_unless_its_files_are_those_of_the_manifest(tiny_checkpoint, file):
    root, manifest = tiny_checkpoint.parent, tiny_checkpoint.parent / "manifest.toml"
    load = partial(load_checkpoint, "tiny", kernel="torch", checkpoints_root=root)

    manifest.write_text(listing(tiny_checkpoint))
    assert load().name == "tiny"

    manifest.write_text(listing(tiny_checkpoint, **{file.partition(".")[0]: "0" * 64}))
    with pytest.raises(CheckpointCorruptError, match=rf"{file} of .*'tiny'.* expects 000000000000.*Restore"):
        load()

    manifest.write_text(listing(tiny_checkpoint))
    (tiny_checkpoint / file).unlink()
    with pytest.raises(CheckpointNotFoundError, match=f"'tiny' lacks {file}"):
        load()


def test_a_manifest_vouches_for_nothing_but_its_own_embedded_folders(tiny_checkpoint, tmp_path):
    wrong = listing(tiny_checkpoint, model="0" * 64)
    shutil.copytree(tiny_checkpoint, tmp_path / "versions" / "mine")
    release = f'repo = "a/b"\nrevision = "{"0" * 40}"\n'
    (tmp_path / "versions" / "manifest.toml").write_text(wrong.replace('"tiny"', '"mine"'))
    (tiny_checkpoint.parent / "manifest.toml").write_text(wrong.replace('"embedded"', '"folder"') + release)

    load = partial(load_checkpoint, kernel="torch", checkpoints_root=tiny_checkpoint.parent)

    assert load("mine", versions_root=tmp_path / "versions").folder == tmp_path / "versions" / "mine"
    assert load("tiny").folder == tiny_checkpoint


def test_a_folder_may_be_named_by_its_path(tiny_checkpoint, tmp_path):
    checkpoint = load_checkpoint(str(tiny_checkpoint), kernel="torch", checkpoints_root=tmp_path / "none")

    assert checkpoint.name == "tiny"


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    (tmp_path / "manifest.toml").write_text(
        'schema_version = 1\n[[release]]\nname = "mambaad"\nkind = "embedded"\ndecoder = "mambaad"\n'
        'encoder = "x"\nlicense = "apache-2.0"\n'
    )

    with pytest.raises(UnknownReleaseError, match="lists: mambaad"):
        load_checkpoint("mambad", checkpoints_root=tmp_path)


def test_published_weights_are_not_loaded_but_the_way_is_shown():
    with pytest.raises(CheckpointNotFoundError, match="checkpoints import mambaad_mvtec"):
        load_checkpoint("mambaad_mvtec")


def test_the_decoders_own_checkpoints_are_named_first_and_odd_folders_not_at_all(tmp_path):
    for name in ("zebra", "mambaad_v2", "pyramid_mamba", "mambaad", "alpha", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    (tmp_path / "empty").mkdir()

    assert embedded_names(tmp_path) == ("mambaad", "pyramid_mamba", "mambaad_v2", "alpha", "zebra")
    assert embedded_names(tmp_path / "nowhere") == ()


def test_a_device_or_kernel_that_is_not_here_is_refused(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(InputError, match="no CUDA device"):
        load_folder(tiny_checkpoint, device="cuda")
    with pytest.raises(InputError, match="Choose auto"):
        load_folder(tiny_checkpoint, device="tpu")
    with pytest.raises(KernelUnavailableError):
        load_folder(tiny_checkpoint, device="cpu", kernel="mamba_ssm")


def test_the_card_of_mambaad_v2_says_that_it_is_a_reading_and_of_tiles_how_many(tiny_checkpoint):
    checkpoint = load_checkpoint(tiny_checkpoint, device="cpu")
    config = checkpoint.config
    plain, other = (
        model_card(changed, checkpoint.calibration, config.sha256)
        for changed in (
            config,
            config.model_copy(update={"detector": config.detector | {"decoder": "mambaad_v2"}, "tiles": 8}),
        )
    )
    assert "Our reading of the abstract" not in plain
    assert "tiles" not in plain
    assert "Our reading of the abstract of MambaADv2, not the authors' network" in other
    assert "8 overlapping tiles along the longer side" in other


@pytest.mark.parametrize("kind", ["part.jpg", "README.md", "file"])
def test_nothing_but_a_checkpoint_is_ever_replaced(tmp_path, tiny_detector, kind):
    target = tmp_path / "photos"
    precious = target if kind == "file" else target / kind
    precious.parent.mkdir(exist_ok=True)
    precious.write_bytes(b"precious")
    config = CheckpointConfig(name="photos", detector={})

    with pytest.raises(InputError, match="no checkpoint folder"):
        save_checkpoint(target, tiny_detector, config, CalibrationFile(), pattern_images(tiny_detector.side))

    assert precious.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_network_that_its_weight_file_cannot_fill_is_never_built(tiny_checkpoint, monkeypatch):
    edit_config(
        tiny_checkpoint,
        lambda config: config["detector"]["decoder_options"].update(
            {"dims": [2048, 1024, 512, 256], "depths": [300, 2, 2, 2]}
        ),
    )

    def outlined_only(config, *, load_encoder_weights=True):
        if load_encoder_weights:
            pytest.fail("it was built")
        return build_detector(config, load_encoder_weights=False)

    monkeypatch.setattr("mambaad_demo.hub.loading.build_detector", outlined_only)

    with pytest.raises(CheckpointMismatchError, match="absurd"):
        load_folder(tiny_checkpoint)


@pytest.mark.parametrize("options", [[], None, "mambaad"])
def test_decoder_options_that_are_no_mapping_are_refused(tiny_checkpoint, options):
    edit_config(tiny_checkpoint, lambda config: config["detector"].update({"decoder_options": options}))

    with pytest.raises(CheckpointMismatchError, match="decoder_options"):
        load_folder(tiny_checkpoint)


def test_category_embeddings_of_another_encoder_are_refused(tiny_checkpoint, rehash):
    calibration = json.loads((tiny_checkpoint / "calibration.json").read_text())
    calibration["embedding_scale"].append(1.0)
    for category in calibration["categories"].values():
        category["embedding"].append(0.0)
    (tiny_checkpoint / "calibration.json").write_text(json.dumps(calibration))
    rehash(tiny_checkpoint)

    with pytest.raises(CheckpointCorruptError, match="embeddings"):
        load_folder(tiny_checkpoint)


def test_an_encoder_in_half_precision_must_pass_the_self_test_too(monkeypatch):
    monkeypatch.setattr(self_test, "TOLERANCE", 0.003)  # float16 is off by 0.001, bfloat16 by 0.008
    half = load_checkpoint("mambaad", device="cpu", precision="float16")

    assert half.detector.encoder.precision == "float16"
    assert 1e-5 < half.self_test.largest_difference <= 0.003
    with pytest.raises(CheckpointCorruptError, match="MAMBAAD_PRECISION=float32"):
        load_checkpoint("mambaad", device="cpu", precision="bfloat16")


@pytest.mark.parametrize(
    "detector",
    [
        {"decoder": "mambaad_v2", "decoder_options": {"depths": [60, 60, 60, 60]}},
        {
            "decoder": "mambaad_v2",
            "decoder_options": {
                "dims": [64, 32, 16, 8], "depths": [150, 2, 2, 2], "state_dim": 2048, "head_dim": 1,
                "directions": 8,
            },
        },
        {"encoder": "eva02_enormous_patch14_clip_224", "encoder_weights": "checkpoint"},
    ],
    ids=["default widths", "wide states", "huge encoder"],
)  # fmt: skip
def test_a_network_the_weight_file_cannot_fill_takes_no_memory(tiny_checkpoint, detector):
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    (tiny_checkpoint / "config.json").write_text(json.dumps(config | {"detector": detector}))

    with pytest.raises(CheckpointMismatchError, match="absurd"):
        load_folder(tiny_checkpoint, device="cpu")
