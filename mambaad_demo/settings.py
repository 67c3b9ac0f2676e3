"""What the operator chose through environment variables, read once and checked.

Only `app.py`, `train/` and the command line read this module; they pass plain values on. Variables of the Hub
library (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`) are left to that library.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast, get_args
from urllib.parse import urlsplit

from huggingface_hub.constants import HF_HUB_CACHE

from mambaad_demo.errors import InputError
from mambaad_demo.hub.layout import EMBEDDED_ROOT
from mambaad_demo.logs import FORMATS, LEVELS
from mambaad_demo.models.encoder import Precision
from mambaad_demo.ops.selective_scan import Backend

DEVICES = ("auto", "cpu", "cuda")
DEFAULT_RETENTION_MINUTES = 60
DEFAULT_MAX_UPLOAD_MB = 64
DEFAULT_MAX_DISK_GB = 20
DEFAULT_MAX_DISK_GB_ON_SPACE = 10
DEFAULT_PORT = 7860
DATABASE = "mambaad.db"
"""Name of the SQLite file in the home."""

_SECRET_NAME = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|_KEY|CREDENTIALS?)$", re.IGNORECASE)
_MINUTES_IN_A_YEAR = 525_600
_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)
_REPO_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[0-9a-f]{40})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One consistent set of operator choices; nothing else in the package reads the environment."""

    home: Path
    """Folder for all that is written at run time: database, uploads, fetched checkpoints (`MAMBAAD_HOME`)."""

    database_url: str = field(repr=False)
    """SQLAlchemy URL of the label store, never printed because it may hold a password; an SQLite file in
    `home` unless `MAMBAAD_DATABASE_URL` is set."""

    files_url: str = field(repr=False)
    """Where pictures, maps and masks of the store lie: a folder or an fsspec URL; `files` in `home` unless
    `MAMBAAD_FILES_URL` is set."""

    checkpoints: Path = EMBEDDED_ROOT
    """Folder that holds the checkpoint folders; the repository's own by default (`MAMBAAD_CHECKPOINTS`)."""

    device: str = "auto"
    """Where the detector runs, one of `DEVICES` (`MAMBAAD_DEVICE`)."""

    kernel: str = "auto"
    """Selective-scan backend, one of `ops.selective_scan.Backend` (`MAMBAAD_KERNEL`)."""

    precision: Precision = "float32"
    """Arithmetic of the encoder, one of `models.encoder.Precision` (`MAMBAAD_PRECISION`)."""

    allowed_repos: tuple[str, ...] = ()
    """Hub repositories, `owner/name`, that may be loaded besides the manifest's; as `owner/name@commit` only
    at that commit, which the page then offers; split at commas and spaces (`MAMBAAD_ALLOWED_REPOS`)."""

    retention_minutes: int = DEFAULT_RETENTION_MINUTES
    """Minutes until a visitor's files are deleted, 1 to a year (`MAMBAAD_RETENTION_MINUTES`)."""

    max_upload_mb: int = DEFAULT_MAX_UPLOAD_MB
    """Largest accepted upload in megabytes, 1 to 4096 (`MAMBAAD_MAX_UPLOAD_MB`)."""

    max_disk_gb: int = DEFAULT_MAX_DISK_GB
    """Gigabytes that uploads and downloads may take together, among strangers with their stored work, 1 to
    100000; half as many in a Space by default (`MAMBAAD_MAX_DISK_GB`)."""

    trusted_hosts: tuple[str, ...] = ()
    """Names this server answers to besides its own and address literals, such as a proxy's, in lower case and
    without a port; `*.example.org` stands for all names below it; split at commas and spaces
    (`MAMBAAD_TRUSTED_HOSTS`)."""

    host: str = "127.0.0.1"
    """Address to bind: this machine only, every interface in a Space (`GRADIO_SERVER_NAME`)."""

    uploads_folder: Path | None = None
    """Folder for uploads that the operator named; it may hold other files than ours (`GRADIO_TEMP_DIR`)."""

    shared: bool = True
    """Whether all who open the page share one store, which is kept; else each visit has its own, deleted in
    time (`MAMBAAD_SHARED`: `1` or `0`; unset, a Space has `0`)."""

    log_format: str = "text"
    """How the server writes its log, one of `logs.FORMATS` (`MAMBAAD_LOG`)."""

    log_level: str = "INFO"
    """From which level on, one of `logs.LEVELS` (`MAMBAAD_LOG_LEVEL`)."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Words that must never be written: passwords in URLs, and variables called token, secret, password or
    key."""

    port: int = DEFAULT_PORT
    """TCP port, 1 to 65535 (`PORT`, then `GRADIO_SERVER_PORT`)."""

    on_space: bool = False
    """Whether a Hugging Face Space runs this process (`SPACE_ID` is set)."""

    offers_sign_in: bool = False
    """Whether that Space lets visitors sign in (`OAUTH_CLIENT_ID`, from `hf_oauth` in its front matter)."""

    on_zero_gpu: bool = False
    """Whether that Space lends a GPU for one call at a time (`SPACES_ZERO_GPU`)."""

    @property
    def uploads(self) -> Path:
        """Folder of what visitors send (`GRADIO_TEMP_DIR`)."""
        return self.uploads_folder or self.home / "uploads"

    @property
    def batches(self) -> Path:
        """Folder of the pictures of batches that are not done."""
        return self.home / "batches"

    @property
    def versions(self) -> Path:
        """Folder of the checkpoints that were fine-tuned here."""
        return self.home / "versions"

    @property
    def trainings(self) -> Path:
        """Folder of fine-tuning jobs: their photos, progress and states."""
        return self.home / "trainings"

    @property
    def replay(self) -> Path:
        """Folder of stored encoder features, with which fine-tuning rehearses what a checkpoint knows."""
        return self.home / "replay"

    @property
    def places(self) -> dict[str, tuple[Path, ...]]:
        """Files and folders of what is written at run time, by kind; a store elsewhere has none."""
        database = self.database_url.removeprefix("sqlite:///")
        rows = [] if "://" in database else [Path(database + end) for end in ("", "-wal", "-shm")]
        files = [] if "://" in self.files_url else [Path(self.files_url)]
        return {
            "store": (*rows, *files),
            "uploads": (self.uploads,),
            "batches at work": (self.batches,),
            "trainings": (self.trainings,),
            "versions": (self.versions,),
            "rehearsals": (self.replay,),
            "checkpoints": (self.checkpoints,),
            "downloaded weights": (Path(HF_HUB_CACHE),),
        }

    @property
    def places_of_strangers(self) -> tuple[Path, ...]:
        """What strangers can make grow besides the uploads; nothing where the store is kept."""
        kinds = () if self.shared else ("store", "batches at work", "trainings", "versions", "rehearsals")
        return tuple(path for kind in kinds for path in self.places[kind])

    @property
    def named_places(self) -> dict[str, Path]:
        """What logs call the folders that the operator chose."""
        named = {"home": self.home, "uploads": self.uploads, "checkpoints": self.checkpoints}
        if "://" not in self.files_url:
            named["files"] = Path(self.files_url)
        return named

    def __post_init__(self) -> None:
        _require_one_of("MAMBAAD_DEVICE", self.device, DEVICES)
        _require_one_of("MAMBAAD_KERNEL", self.kernel, get_args(Backend))
        _require_one_of("MAMBAAD_PRECISION", self.precision, get_args(Precision))
        _require_one_of("MAMBAAD_LOG", self.log_format, FORMATS)
        _require_one_of("MAMBAAD_LOG_LEVEL", self.log_level, LEVELS)
        _require_within("MAMBAAD_RETENTION_MINUTES", self.retention_minutes, 1, _MINUTES_IN_A_YEAR)
        _require_within("MAMBAAD_MAX_UPLOAD_MB", self.max_upload_mb, 1, 4096)
        _require_within("MAMBAAD_MAX_DISK_GB", self.max_disk_gb, 1, 100_000)
        _require_within("PORT", self.port, 1, 65_535)
        for repo in self.allowed_repos:
            if not _REPO_NAME.fullmatch(repo):
                raise InputError(
                    f"MAMBAAD_ALLOWED_REPOS names {repo!r}. Write each repository as owner/name, with @ and "
                    "a full commit where the page should offer it."
                )
        for name in self.trusted_hosts:
            if not _HOST_NAME.fullmatch(name):
                raise InputError(
                    f"MAMBAAD_TRUSTED_HOSTS names {name!r}. Write names such as parts.example.org or "
                    "*.example.org, without scheme and port."
                )
        if "://" not in self.database_url:  # the value stays out of the message: it may hold a password
            raise InputError("MAMBAAD_DATABASE_URL is no URL. Write one such as sqlite:////srv/labels.db.")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from `environ`, usually `os.environ`; a blank value counts as unset.

        Raises:
            InputError: a value makes no sense; the message names the variable and, unless secret, the value.
        """
        given = {name: value.strip() for name, value in environ.items() if value.strip()}
        if "GRADIO_ALLOWED_PATHS" in given:  # Gradio reads it although `launch` is told that there are none
            raise InputError("GRADIO_ALLOWED_PATHS would show files of this machine to visitors. Unset it.")
        home = Path(given.get("MAMBAAD_HOME", "~/.local/share/mambaad")).expanduser().absolute()
        on_space = "SPACE_ID" in given
        return cls(
            home=home,
            database_url=given.get("MAMBAAD_DATABASE_URL", f"sqlite:///{home / DATABASE}"),
            files_url=given.get("MAMBAAD_FILES_URL", str(home / "files")),
            checkpoints=Path(given.get("MAMBAAD_CHECKPOINTS", EMBEDDED_ROOT)).expanduser().absolute(),
            device=given.get("MAMBAAD_DEVICE", "auto"),
            kernel=given.get("MAMBAAD_KERNEL", "auto"),
            precision=cast(Precision, given.get("MAMBAAD_PRECISION", "float32")),  # checked above
            allowed_repos=tuple(given.get("MAMBAAD_ALLOWED_REPOS", "").replace(",", " ").split()),
            retention_minutes=_integer(given, "MAMBAAD_RETENTION_MINUTES", default=DEFAULT_RETENTION_MINUTES),
            max_upload_mb=_integer(given, "MAMBAAD_MAX_UPLOAD_MB", default=DEFAULT_MAX_UPLOAD_MB),
            max_disk_gb=_integer(
                given,
                "MAMBAAD_MAX_DISK_GB",
                default=DEFAULT_MAX_DISK_GB_ON_SPACE if on_space else DEFAULT_MAX_DISK_GB,
            ),
            trusted_hosts=tuple(given.get("MAMBAAD_TRUSTED_HOSTS", "").lower().replace(",", " ").split()),
            host=given.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_space else "127.0.0.1"),  # noqa: S104 - a container
            uploads_folder=Path(given["GRADIO_TEMP_DIR"]) if "GRADIO_TEMP_DIR" in given else None,
            shared=_yes_or_no(given, "MAMBAAD_SHARED", default=not on_space),
            log_format=given.get("MAMBAAD_LOG", "text"),
            log_level=given.get("MAMBAAD_LOG_LEVEL", "INFO").upper(),
            secrets=tuple(_secrets(given)),
            port=_integer(given, "PORT" if "PORT" in given else "GRADIO_SERVER_PORT", default=DEFAULT_PORT),
            on_space=on_space,
            offers_sign_in="OAUTH_CLIENT_ID" in given,
            on_zero_gpu=given.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true"),
        )


def _yes_or_no(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = given.get(name, str(int(default)))
    if value not in ("0", "1"):
        raise InputError(f"{name} is {value!r}. Write 1 for yes or 0 for no.")
    return value == "1"


def _secrets(given: Mapping[str, str]) -> Iterator[str]:
    for name, value in given.items():
        if _SECRET_NAME.search(name):
            yield value
        if "://" in value:
            with suppress(ValueError):  # no URL after all
                if password := urlsplit(value).password:
                    yield password


def _integer(given: Mapping[str, str], name: str, *, default: int) -> int:
    try:
        return int(given.get(name, default))
    except ValueError as error:
        raise InputError(f"{name} is {given[name]!r}. Write a whole number.") from error


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} is {value!r}. Choose one of {', '.join(choices)}.")


def _require_within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} is {value}. Choose a number from {low} to {high}.")
