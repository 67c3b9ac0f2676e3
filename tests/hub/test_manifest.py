"""The manifest: the one in the repository is true to the product's promises, others are read strictly."""

import pytest

from mambaad_demo.errors import CheckpointCorruptError, UnknownReleaseError
from mambaad_demo.hub.layout import CARD, EMBEDDED_ROOT, FILES, MANIFEST, embedded_names
from mambaad_demo.hub.loading import read_records
from mambaad_demo.hub.manifest import read_manifest
from mambaad_demo.hub.weights import file_sha256

EMBEDDED = """
schema_version = 1
[[release]]
name = "one"
kind = "embedded"
decoder = "mambaad"
encoder = "tf_efficientnet_lite0"
license = "apache-2.0"
"""
QUOTED = """[release.quoted]
image_auroc = 98.6
image_ap = 99.6
image_f1_max = 97.8
pixel_auroc = 97.7
pixel_ap = 56.3
pixel_f1_max = 59.2
au_pro = 93.1
source = "a paper"
"""


def test_the_repositorys_manifest_lists_the_embedded_and_the_six_published_checkpoints():
    manifest = read_manifest(EMBEDDED_ROOT / MANIFEST)

    published = [release for release in manifest.releases if release.kind == "published"]
    assert manifest.release("mambaad").kind == "embedded"
    assert {release.files[0].path for release in published} == {
        "mvtec/mambaad_mvtec.pth",
        "visa/mambaad_visa.pth",
        "realiad/mambaad_realiad.pth",
        "medical/mambaad_medical.pth",
        "mvtec3d/mambaad_mvtec3d.pth",
        "cocoad/coco0/mambaad_coco0.pth",
    }
    assert manifest.repos == {"Lewandofski/MambaAD"}


def test_a_release_that_is_not_pinned_says_so():
    for release in read_manifest(EMBEDDED_ROOT / MANIFEST).releases:
        if release.kind != "embedded" and release.revision is None:
            assert "pinned at the first online import" in release.status


def test_figures_of_the_paper_are_quoted_for_the_sets_that_have_them_and_for_nothing_trained_here():
    quoted = {one.name: one.quoted for one in read_manifest(EMBEDDED_ROOT / MANIFEST).releases if one.quoted}

    assert quoted.keys() == {
        "mambaad_mvtec",
        "mambaad_visa",
        "mambaad_realiad",
        "mambaad_medical",
        "mambaad_mvtec3d",
    }
    paper = quoted["mambaad_mvtec"].model_dump()
    assert list(paper.values())[:-1] == [98.6, 99.6, 97.8, 97.7, 56.3, 59.2, 93.1]
    assert "Table 1" in paper["source"]


@pytest.mark.parametrize("name", embedded_names(EMBEDDED_ROOT))
def test_the_manifest_says_of_each_embedded_checkpoint_what_its_folder_holds(name):
    release, folder = read_manifest(EMBEDDED_ROOT / MANIFEST).release(name), EMBEDDED_ROOT / name
    config, _ = read_records(folder)

    assert {file.path: file.sha256 for file in release.files} == {
        file: file_sha256(folder / file) for file in FILES if file != CARD
    }
    assert (release.kind, release.categories, release.license) == (
        "embedded",
        config.categories,
        config.license,
    )
    assert (release.decoder, release.encoder, release.input_side) == (
        config.detector["decoder"],
        config.detector["encoder"],
        config.detector["input_side"],
    )


def test_every_embedded_release_of_the_manifest_is_there():
    listed = {one.name for one in read_manifest(EMBEDDED_ROOT / MANIFEST).releases if one.kind == "embedded"}

    assert listed == set(embedded_names(EMBEDDED_ROOT))


def test_an_absent_manifest_is_empty(tmp_path):
    manifest = read_manifest(tmp_path / "manifest.toml")

    assert manifest.releases == ()
    with pytest.raises(UnknownReleaseError, match="none"):
        manifest.release("mambaad")


def test_a_manifest_may_quote_figures(tmp_path):
    (tmp_path / "manifest.toml").write_text(EMBEDDED + QUOTED)

    assert read_manifest(tmp_path / "manifest.toml").release("one").quoted.au_pro == 93.1


@pytest.mark.parametrize(
    "text",
    [
        "schema_version = ",
        "schema_version = 2\nrelease = []\n",
        EMBEDDED + 'command = "rm -rf /"\n',
        EMBEDDED.replace('"embedded"', '"pickle"'),
        EMBEDDED.replace('"embedded"', '"folder"'),
        EMBEDDED.replace('"embedded"', '"folder"') + 'repo = "a/b"\nrevision = "main"\n',
        EMBEDDED.replace('"embedded"', '"published"') + 'repo = "a/b"\nrevision_prefix = "0123456"\n',
        EMBEDDED + EMBEDDED.partition("1\n")[2],
        EMBEDDED + QUOTED.replace("93.1", "931"),
        EMBEDDED + QUOTED.replace("au_pro = 93.1\n", ""),
        EMBEDDED + QUOTED.replace('"a paper"', '""'),
    ],
    ids=[
        *("toml", "version", "unknown key", "kind", "no repo", "branch", "no file", "twice"),
        *("over 100 per cent", "six figures", "no source"),
    ],
)
def test_a_manifest_outside_the_schema_is_refused(tmp_path, text):
    (tmp_path / "manifest.toml").write_text(text)

    with pytest.raises(CheckpointCorruptError, match="not a valid manifest"):
        read_manifest(tmp_path / "manifest.toml")
