"""The card that takes labels out and in, its handlers called as functions."""

import io
import zipfile
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from mambaad_demo.storage.pictures import stored_pictures
from mambaad_demo.ui.allowance import Allowances
from mambaad_demo.ui.caps import Caps
from mambaad_demo.ui.exchange_card import build_exchange_card
from tests.ui.allowances import asking
from tests.ui.desks import desk_in
from tests.ui.test_inspect_tab import upload

__all__ = ["upload"]

ADA = SimpleNamespace(session_hash="ada")


@pytest.fixture
def desk(tmp_path):
    desk = desk_in(tmp_path, is_private=True)
    yield desk
    desk.close()


@pytest.fixture
def call(desk, tmp_path, monkeypatch):
    """Calls a handler of the card; returns what it changes, in the order of its outputs."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        build_exchange_card(desk, product=gr.Dropdown())
    (delivery,) = [one for one in blocks.blocks.values() if isinstance(one, gr.DownloadButton)]
    monkeypatch.setattr(delivery, "GRADIO_CACHE", str(tmp_path / "cache"))

    def handler(name, *arguments):
        fn = next(fn for fn in blocks.fns.values() if fn.name == name)
        return list(fn.fn(*arguments, ADA).values())

    return handler


def flat_parts(count):
    """A small zip file of large pictures, in the MVTec AD layout."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            picture = io.BytesIO()
            pixels = np.full((200, 200, 3), number, np.uint8)
            pixels[:4] = np.random.default_rng(number).integers(0, 255, (4, 200, 3))
            Image.fromarray(pixels).save(picture, "BMP")
            archive.writestr(f"cap/test/good/{number}.bmp", picture.getvalue())
    return packed.getvalue()


def test_labels_that_come_in_go_out_again(call, upload):
    _, told = call("receive", "mvtec", "", upload("labels.zip", flat_parts(2)))
    assert "2 labels recorded" in told

    path, told = call("send", "csv", "")
    assert zipfile.is_zipfile(path)
    assert path.endswith("/labels-csv.zip")
    assert "2 labels, " in told


def test_a_small_zip_of_large_pictures_takes_no_more_of_a_stranger_s_room_than_they_have(call, upload, desk):
    content = flat_parts(20)
    assert len(content) < 120_000 < 20 * 200 * 200 * 3
    with Allowances(Caps(written_mb_per_hour=0.25)).of(asking("ada"), "ada"):
        told = call("receive", "mvtec", "", upload("labels.zip", content))[-1]

    assert "as much as it may for one visitor" in told
    assert 0 < len(stored_pictures(desk.workspace(ADA))) < 5
