"""The log of a process: its two forms, and what never stands in it."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mambaad_demo.logs import CleanStream, JsonFormatter, PlainFormatter, Redactor

ROOT = Path(__file__).parent.parent
TOKEN = "hf_" + "QwErTyUiOp" * 3
WEB_TOKEN = "eyJhbGciOiJ.eyJzdWIi-_.c2lnbmF0dXJl"
REDACT = Redactor({"home": Path("/srv/demo"), "temp": Path("/srv/temp")}, ["open sesame"])

PROGRAM = """
import logging, sys, threading, traceback, warnings
from pathlib import Path
from mambaad_demo import logs
form, home = sys.argv[1], Path(sys.argv[2])
logs.set_up(form=form, level="INFO", places={"home": home}, secrets=["open sesame"])
SECRETS = f"{home}/visitors/photo.png hf_QwErTyUiOpQwErTyUiOp open sesame"
from mambaad_demo.ui.messages import shown_to_user
try:
    with shown_to_user():
        raise OSError(SECRETS)
except Exception:
    pass
logging.getLogger("mambaad_demo.workflow").info("at work: %s", SECRETS)
logging.getLogger("httpx").info("not said")
warnings.warn(SECRETS)
print(SECRETS)
try:
    raise ValueError(SECRETS)
except ValueError:
    traceback.print_exc()
thread = threading.Thread(target=lambda: open(home / "absent"))
thread.start()
thread.join()
raise RuntimeError(SECRETS)
"""


def record(message, *args, error=None):
    try:
        if error is not None:
            raise error
    except Exception:
        info = sys.exc_info()
    else:
        info = None
    return logging.LogRecord("mambaad_demo.ui", logging.WARNING, "x.py", 1, message, args, info)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("cannot read /srv/demo/files/a.png", "cannot read <home>/files/a.png"),
        ("'/srv/demo', /srv/demolition /a/srv/demo", "'<home>', /srv/demolition /a/srv/demo"),
        ("file:///srv/temp/x", "file://<temp>/x"),
        (f"token {TOKEN}.", "token ***."),
        (f"signed in with hf_oauth_{WEB_TOKEN}.", "signed in with ***."),
        (f"hf_jwt_{WEB_TOKEN}, hf_oauth_Ab3-_Cd4 hf_abcdef_gh", "***, *** ***"),
        (f"token_{TOKEN} x{WEB_TOKEN}", "token_*** x***"),
        ("GET /login/callback?code=Ab3Cd4&state=Ef5Gh6&x=1", "GET /login/callback?code=***&state=***&x=1"),
        ("POST grant_type=authorization_code&code=Ab3Cd4", "POST grant_type=authorization_code&code=***"),
        ("refresh_token=Ab3 client_secret=Cd4", "refresh_token=*** client_secret=***"),
        ('{"id_token": "Ab3", "client_secret": "Cd4"}', '{"id_token": "***", "client_secret": "***"}'),
        ("in hf_hub_download: exit code=1, state=ready", "in hf_hub_download: exit code=1, state=ready"),
        ("postgresql://me:p@ss@db/labels", "postgresql://***@db/labels"),
        ("GET /queue/data?session_hash=abc123&x=1", "GET /queue/data?session_hash=***&x=1"),
        ('{"session_hash": "abc123"}', '{"session_hash": "***"}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("say open sesame!", "say ***!"),
        ("nothing to hide: 12 of 40 parts, 3e-7", "nothing to hide: 12 of 40 parts, 3e-7"),
    ],
)
def test_places_get_names_and_secrets_stars(said, written):
    assert REDACT(said) == written


def test_the_deepest_place_gives_the_name(tmp_path):
    redact = Redactor({"outer": tmp_path, "inner": tmp_path / "deep"})

    assert redact(f"{tmp_path}/deep/a and {tmp_path}/b") == "<inner>/a and <outer>/b"


def test_a_place_behind_a_link_is_known_by_both_names(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    redact = Redactor({"home": tmp_path / "link"})

    assert redact(f"{tmp_path}/disk/a {tmp_path}/link/b") == "<home>/a <home>/b"


def test_a_root_of_the_disk_is_no_place_worth_a_name():
    assert Redactor({"user": Path("/")})("/usr/lib") == "/usr/lib"


def test_a_json_line_holds_message_and_traceback_apart():
    line = JsonFormatter(REDACT).format(record("part %s", "/srv/demo/a", error=OSError(TOKEN)))

    written = json.loads(line)
    assert "\n" not in line
    assert (written["level"], written["logger"], written["message"]) == (
        "WARNING",
        "mambaad_demo.ui",
        "part <home>/a",
    )
    assert written["traceback"].endswith("OSError: ***")
    assert written["time"].endswith("+00:00")


def test_plain_text_has_the_traceback_below():
    first, *_, last = PlainFormatter(REDACT).format(record("part", error=OSError(TOKEN))).splitlines()

    assert first.endswith("WARNING mambaad_demo.ui: part")
    assert last == "OSError: ***"


def test_what_is_printed_in_pieces_comes_out_in_whole_lines(tmp_path):
    with (tmp_path / "out").open("w+") as file:
        stream = CleanStream(file, REDACT, log_as=None)
        for piece in ("at /srv/", "demo/a\nand ", TOKEN, "\nunfinished"):
            stream.write(piece)
        file.seek(0)
        assert file.read() == "at <home>/a\nand ***\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_neither_places_nor_secrets_are_written_whoever_writes(form, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, form, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    written = ended.stdout + ended.stderr

    assert ended.returncode == 1
    for place_or_secret in (str(tmp_path), str(ROOT), "QwErTyUiOp", "open sesame"):
        assert place_or_secret not in written
    for message in ("A handler failed", "at work: <home>/visitors", "UserWarning", "ValueError: <home>"):
        assert message in written
    assert "RuntimeError: <home>" in written  # nobody caught it
    assert "No such file or directory: '<home>/absent'" in written  # nobody caught it in a thread
    assert "not said" not in written
    if form == "json":
        lines = [json.loads(line) for line in written.splitlines()]
        assert {line["level"] for line in lines if line["logger"] == "stdout"} == {"INFO"}
        assert {"mambaad_demo.ui.messages", "py.warnings", "stdout", "stderr"} <= {
            line["logger"] for line in lines
        }


def test_the_process_of_a_training_writes_no_place_either(tmp_path):
    job = tmp_path / "home" / "trainings" / "a1"
    job.mkdir(parents=True)

    ended = subprocess.run(
        [sys.executable, "-P", "-m", "mambaad_demo.workflow.training.process", str(job)],
        cwd=job,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "The folder holds no order" in ended.stderr
    assert 'File "<app>/mambaad_demo/workflow/training/loop.py"' in ended.stderr
    assert str(tmp_path) not in ended.stderr
    assert str(ROOT) not in ended.stderr
