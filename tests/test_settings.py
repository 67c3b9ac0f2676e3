"""The environment becomes one checked `Settings`, and nonsense is refused with the value."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.settings import Settings


def test_empty_environment_gives_a_private_server_on_this_machine():
    settings = Settings.from_env({})

    assert (settings.host, settings.port, settings.on_space) == ("127.0.0.1", 7860, False)
    assert (settings.device, settings.kernel, settings.allowed_repos) == ("auto", "auto", ())
    assert settings.home == Path("~/.local/share/mambaad").expanduser()
    assert settings.database_url == f"sqlite:///{settings.home}/mambaad.db"
    assert settings.checkpoints == Path(__file__).parent.parent / "checkpoints"


@pytest.mark.parametrize(
    ("environ", "shared"),
    [
        ({}, True),
        ({"SPACE_ID": "a/b"}, False),
        ({"SPACE_ID": "a/b", "MAMBAAD_SHARED": "1"}, True),
        ({"MAMBAAD_SHARED": "0"}, False),
    ],
)
def test_strangers_on_a_space_share_nothing_unless_its_owner_says_so(environ, shared):
    assert Settings.from_env(environ).shared is shared


def test_secrets_are_known_and_never_shown():
    settings = Settings.from_env(
        {
            "HF_TOKEN": "hf_abcdef",
            "MAMBAAD_DATABASE_URL": "postgresql://me:pass-word@db/x",
            "KEYBOARD": "qwerty",
        }
    )

    assert set(settings.secrets) == {"hf_abcdef", "pass-word"}
    assert "hf_abcdef" not in repr(settings)


def test_places_leave_out_a_store_that_lies_elsewhere(tmp_path):
    here = Settings.from_env({"MAMBAAD_HOME": str(tmp_path)})
    there = Settings.from_env(
        {"MAMBAAD_DATABASE_URL": "postgresql://db/x", "MAMBAAD_FILES_URL": "s3://bucket"}
    )

    assert here.places["store"][0] == tmp_path / "mambaad.db"
    assert there.places["store"] == ()


def test_the_disk_quota_covers_what_strangers_store_and_no_store_that_is_kept(tmp_path):
    kept, strangers = (
        Settings.from_env({"MAMBAAD_HOME": str(tmp_path), "MAMBAAD_SHARED": shared}) for shared in "10"
    )

    assert kept.places_of_strangers == ()
    for name in ("mambaad.db", "files", "batches", "trainings", "versions", "replay"):
        assert tmp_path / name in strangers.places_of_strangers
    assert strangers.uploads not in strangers.places_of_strangers


def test_every_variable_is_read(tmp_path):
    settings = Settings.from_env(
        {
            "MAMBAAD_HOME": str(tmp_path),
            "MAMBAAD_DATABASE_URL": "postgresql://db/labels",
            "MAMBAAD_FILES_URL": "s3://bucket/parts",
            "MAMBAAD_CHECKPOINTS": str(tmp_path / "weights"),
            "MAMBAAD_DEVICE": "cuda",
            "MAMBAAD_KERNEL": "numba",
            "MAMBAAD_PRECISION": "bfloat16",
            "MAMBAAD_ALLOWED_REPOS": f"owner/one, owner/two@{'ab' * 20}",
            "MAMBAAD_RETENTION_MINUTES": "15",
            "MAMBAAD_MAX_UPLOAD_MB": "8",
            "MAMBAAD_MAX_DISK_GB": "3",
            "MAMBAAD_TRUSTED_HOSTS": "Parts.example.org, *.example.com",
            "MAMBAAD_SHARED": "0",
            "MAMBAAD_LOG": "json",
            "MAMBAAD_LOG_LEVEL": "warning",
            "GRADIO_TEMP_DIR": str(tmp_path / "sent"),
            "GRADIO_SERVER_NAME": "::1",
            "PORT": "9000",
            "SPACE_ID": "owner/space",
        }
    )

    assert settings == Settings(
        home=tmp_path,
        database_url="postgresql://db/labels",
        files_url="s3://bucket/parts",
        checkpoints=tmp_path / "weights",
        device="cuda",
        kernel="numba",
        precision="bfloat16",
        allowed_repos=("owner/one", f"owner/two@{'ab' * 20}"),
        retention_minutes=15,
        max_upload_mb=8,
        max_disk_gb=3,
        trusted_hosts=("parts.example.org", "*.example.com"),
        shared=False,
        log_format="json",
        log_level="WARNING",
        uploads_folder=tmp_path / "sent",
        host="::1",
        port=9000,
        on_space=True,
    )


def test_blank_values_count_as_unset():
    assert Settings.from_env({"PORT": " ", "MAMBAAD_DEVICE": "", "SPACE_ID": ""}) == Settings.from_env({})


def test_port_goes_before_gradio_server_port():
    assert Settings.from_env({"GRADIO_SERVER_PORT": "7001"}).port == 7001
    assert Settings.from_env({"GRADIO_SERVER_PORT": "7001", "PORT": "7002"}).port == 7002


def test_a_space_listens_on_every_interface():
    assert Settings.from_env({"SPACE_ID": "owner/space"}).host == "0.0.0.0"


def test_uploads_of_strangers_take_half_the_disk():
    assert Settings.from_env({"SPACE_ID": "owner/space"}).max_disk_gb == 10
    assert Settings.from_env({}).max_disk_gb == 20


def test_the_database_lives_in_the_chosen_home(tmp_path):
    assert (
        Settings.from_env({"MAMBAAD_HOME": str(tmp_path)}).database_url == f"sqlite:///{tmp_path}/mambaad.db"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("GRADIO_SERVER_PORT", "7860.5"),
        ("MAMBAAD_DEVICE", "tpu"),
        ("MAMBAAD_KERNEL", "cython"),
        ("MAMBAAD_PRECISION", "float8"),
        ("MAMBAAD_RETENTION_MINUTES", "0"),
        ("MAMBAAD_RETENTION_MINUTES", "525601"),
        ("MAMBAAD_MAX_UPLOAD_MB", "-1"),
        ("MAMBAAD_ALLOWED_REPOS", "https://example.org/owner/name"),
        ("MAMBAAD_ALLOWED_REPOS", "../name"),
        ("MAMBAAD_ALLOWED_REPOS", "owner/name@main"),
        ("MAMBAAD_MAX_DISK_GB", "0"),
        ("MAMBAAD_TRUSTED_HOSTS", "https://example.org"),
        ("MAMBAAD_TRUSTED_HOSTS", "example.org:8000"),
        ("MAMBAAD_TRUSTED_HOSTS", "*"),
        ("MAMBAAD_TRUSTED_HOSTS", "*example.org"),
        ("MAMBAAD_SHARED", "yes"),
        ("MAMBAAD_LOG", "xml"),
        ("MAMBAAD_LOG_LEVEL", "LOUD"),
    ],
)
def test_nonsense_is_refused_with_the_variable_and_its_value(name, value):
    with pytest.raises(InputError) as refusal:
        Settings.from_env({name: value})

    assert value in str(refusal.value)
    assert name in str(refusal.value)


def test_the_database_password_appears_in_no_message():
    assert "geheim" not in repr(
        Settings.from_env({"MAMBAAD_DATABASE_URL": "postgresql://me:geheim@db/labels"})
    )
    with pytest.raises(InputError) as refusal:
        Settings.from_env({"MAMBAAD_DATABASE_URL": "me:geheim@db/labels"})
    assert "geheim" not in str(refusal.value)


def test_settings_do_not_change_after_reading():
    settings = Settings.from_env({})
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]


def test_a_variable_that_would_show_files_of_the_machine_is_refused():
    with pytest.raises(InputError, match="GRADIO_ALLOWED_PATHS"):
        Settings.from_env({"GRADIO_ALLOWED_PATHS": "/etc"})
