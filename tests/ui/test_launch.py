"""Every launch option this app depends on; a changed default of Gradio must not change it behind our back."""

import inspect
import sys
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.ui.availability import Availability
from mambaad_demo.ui.bodies import EXCEPTION_HANDLERS
from mambaad_demo.ui.caps import FOR_STRANGERS, Caps, Disk
from mambaad_demo.ui.launch import MODEL_LANE, QUEUE_OPTIONS, delete_cache, launch_options, trusted_hosts
from mambaad_demo.ui.layout import build_app
from mambaad_demo.ui.middleware import Gatekeeper
from mambaad_demo.ui.visits import Visits
from tests.ui.desks import desk_in
from tests.ui.fakes import FakeCatalog, FakePredictor

STATE = SimpleNamespace(is_ready=True, is_closing=False)


@pytest.fixture
def visits():
    return Visits()


@pytest.fixture
def options(visits, tmp_path):
    return options_of(visits, tmp_path)


def options_of(visits, tmp_path):
    return launch_options(
        host="127.0.0.1",
        port=7860,
        max_upload_mb=64,
        on_space=False,
        visits=visits,
        caps=FOR_STRANGERS,
        disk=Disk(tmp_path),
        state=STATE,
        hosts=("*.example.org",),
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    desk = desk_in(tmp_path_factory.mktemp("desk"))
    yield build_app(FakeCatalog(FakePredictor()), desk, retention_minutes=60, visits=Visits(), caps=Caps())
    desk.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_name", "127.0.0.1"),
        ("server_port", 7860),
        ("share", False),
        ("run_history", False),
        ("enable_monitoring", False),
        ("show_error", False),
        ("ssr_mode", False),
        ("strict_cors", True),
        ("allowed_paths", []),
        ("num_workers", 0),
        ("mcp_server", False),
        ("footer_links", []),
        ("pwa", False),
        ("max_file_size", 64 * 2**20),
        ("state_session_capacity", 200),
    ],
)
def test_launch_option(options, name, value):
    assert options[name] == value


def test_gradio_knows_every_option(options):
    known = inspect.signature(gr.Blocks.launch).parameters
    assert options.keys() <= known.keys()
    assert QUEUE_OPTIONS.keys() <= inspect.signature(gr.Blocks.queue).parameters.keys()


def test_the_gatekeeper_stands_before_gradio(options, visits):
    middleware, availability, *_ = options["app_kwargs"]["middleware"]

    assert middleware.cls is Gatekeeper
    assert (availability.cls, availability.kwargs) == (Availability, {"state": STATE})
    assert middleware.kwargs["max_body_bytes"] >= 64 * 2**20
    assert middleware.kwargs["on_space"] is False
    assert middleware.kwargs["visits"] is visits
    assert middleware.kwargs["caps"] is FOR_STRANGERS
    assert "*.example.org" in middleware.kwargs["trusted_hosts"]
    assert options["app_kwargs"]["exception_handlers"] is EXCEPTION_HANDLERS


def test_agents_have_a_door_behind_the_gatekeeper_where_the_package_mcp_is(options):
    pytest.importorskip("mcp")

    *_, door = options["app_kwargs"]["middleware"]

    assert (door.cls.__name__, door.kwargs) == ("McpDoor", {})
    assert len(options["app_kwargs"]["middleware"]) == 3


@pytest.mark.parametrize("missing", ["mcp", "mambaad_demo.ui.mcp_door"])
def test_without_a_package_mcp_that_fits_all_but_the_door_is_there(missing, visits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)

    options = options_of(visits, tmp_path)

    assert [one.cls for one in options["app_kwargs"]["middleware"]] == [Gatekeeper, Availability]


def test_the_queue_is_bounded_and_cannot_be_passed_by():
    assert QUEUE_OPTIONS == {"max_size": 40, "api_open": False}
    assert MODEL_LANE == {"concurrency_id": "model", "concurrency_limit": 1}


def test_the_theme_fetches_no_fonts(options):
    fonts = [*options["theme"]._font, *options["theme"]._font_mono]

    assert [font for font in fonts if isinstance(font, gr.themes.GoogleFont | gr.themes.LocalFont)] == []
    assert "http" not in options["css"] + options["head"]


@pytest.mark.parametrize(("minutes", "expected"), [(60, (600, 3600)), (5, (300, 300)), (1440, (600, 86400))])
def test_uploads_are_deleted_after_the_retention_time(minutes, expected):
    assert delete_cache(minutes) == expected


def test_only_a_space_answers_to_the_names_of_the_hub():
    assert "*.hf.space" in trusted_hosts(on_space=True)
    assert "*.hf.space" not in trusted_hosts(on_space=False)


def test_an_operator_can_add_names():
    assert "parts.example.org" in trusted_hosts("parts.example.org", on_space=False)


def test_the_app_is_private_and_cleans_up(app):
    assert app.analytics_enabled is False
    assert app.delete_cache == (600, 3600)
    assert app._queue.max_size == 40
    assert app.api_open is False


def test_only_the_contract_is_public(app):
    public = [fn.api_name for fn in app.fns.values() if fn.api_visibility == "public"]

    assert sorted(public) == [
        "batch",
        "calibration",
        "compare",
        "finetune_start",
        "finetune_status",
        "finetune_stop",
        "health",
        "inspect",
        "label",
        "labels",
        "metrics",
    ]


def test_all_that_runs_the_detector_shares_one_lane(app):
    names = ("inspect", "prepare_download", "delete_files")
    running = [fn for fn in app.fns.values() if (fn.name or "").startswith(names)]

    assert len(running) >= 6
    assert {(fn.concurrency_id, fn.concurrency_limit) for fn in running} == {("model", 1)}


def test_the_page_asks_the_same_disk_as_the_gatekeeper(tmp_path):
    disk = Disk(tmp_path)
    desk = desk_in(tmp_path)
    app = build_app(
        FakeCatalog(FakePredictor()),
        desk,
        retention_minutes=60,
        visits=Visits(),
        caps=FOR_STRANGERS,
        disk=disk,
    )
    desk.close()

    assert app.allowances.disk is disk
    assert app.allowances.written.most == 2**20 * FOR_STRANGERS.written_mb_per_hour
