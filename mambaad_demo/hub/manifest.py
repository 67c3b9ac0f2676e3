"""`checkpoints/manifest.toml`: every release that may be loaded, and from where.

Fetching is `remote`'s business, loading `checkpoints`'.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mambaad_demo.errors import CheckpointCorruptError, UnknownReleaseError
from mambaad_demo.hub.schemas import (
    Border,
    CategoryName,
    CheckpointName,
    QuotedMetrics,
    Sha256,
    SourceOfNumbers,
)

FULL_REVISION = re.compile(r"[0-9a-f]{40}")


class ReleaseFile(Border):
    """One file of a release."""

    path: str
    """Inside the repository or folder."""
    sha256: Sha256 | None = None
    """None until the file was seen once; then it is pinned."""


class Release(Border):
    """One entry of the manifest."""

    name: CheckpointName
    kind: Literal["embedded", "folder", "published"]
    """`embedded`: a folder beside the manifest. `folder`: our checkpoint folder in a Hub repository.
    `published`: the authors' `.pth`, which has to be imported once before it can be loaded."""
    decoder: str
    encoder: str
    input_side: Annotated[int, Field(ge=64, le=1024)] = 256
    """Side of the square model input in pixels."""
    categories: tuple[CategoryName, ...] = ()
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """Full commit; None until pinned."""
    revision_prefix: Annotated[str, Field(pattern=r"^[0-9a-f]{7,39}$")] | None = None
    """What is known of the commit while it is not pinned; the resolved commit must start with it."""
    status: str = ""
    """What is not settled yet, said plainly."""
    files: tuple[ReleaseFile, ...] = ()
    """What has to be what it was; of an embedded release, all that loading reads."""
    license: str
    source_of_numbers: SourceOfNumbers = ""
    """Where quoted metrics of this release come from."""
    quoted: QuotedMetrics | None = None
    """What its authors report; an import writes it into the checkpoint and its card."""

    @model_validator(mode="after")
    def _says_where_it_is(self) -> Self:
        if self.kind == "embedded":
            return self
        if self.repo is None or (self.revision is None and self.revision_prefix is None):
            raise ValueError(f"release {self.name} needs a repo and a revision or revision_prefix")
        if self.kind == "published" and len(self.files) != 1:
            raise ValueError(f"published release {self.name} needs exactly one file")
        return self


class Manifest(Border):
    """All releases, by unique name."""

    schema_version: Literal[1]
    releases: tuple[Release, ...] = Field(alias="release")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [release.name for release in self.releases]
        if len(set(names)) != len(names):
            raise ValueError("two releases share a name")
        return self

    def release(self, name: str) -> Release:
        """The release called `name`.

        Raises:
            UnknownReleaseError: there is none.
        """
        for release in self.releases:
            if release.name == name:
                return release
        known = ", ".join(release.name for release in self.releases) or "none"
        raise UnknownReleaseError(f"No release is called {name!r}. The manifest lists: {known}.")

    def published(self, name: str, which: str | None = None) -> Release:
        """The published release called `name`, or the one of the repository `name` that `which` means, by its
        name or by its path there.

        Raises:
            UnknownReleaseError: there is none, or `which` is none of those in the repository.
        """
        found = [one for one in self.releases if one.kind == "published" and name in (one.name, one.repo)]
        if not found and "/" in name:
            repos = sorted({str(one.repo) for one in self.releases if one.kind == "published"})
            raise UnknownReleaseError(
                f"The manifest lists no published weights of {name}, but of: {', '.join(repos) or 'none'}. "
                "Add them to the manifest, or download the file and import that."
            )
        if not found:
            raise UnknownReleaseError(
                f"{self.release(name).name} needs no import: it is a checkpoint already."
            )
        for release in found:
            if which in (release.name, release.files[0].path) or (which is None and name == release.name):
                return release
        choice = "; ".join(f"{one.files[0].path} ({one.name})" for one in found)
        raise UnknownReleaseError(f"Say after {name} which of its files to import: {choice}.")

    @property
    def repos(self) -> frozenset[str]:
        """Repositories on the allow-list."""
        return frozenset(release.repo for release in self.releases if release.repo)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; an absent file is an empty one.

    Raises:
        CheckpointCorruptError: it is no TOML or does not follow the schema.
    """
    if not path.is_file():
        return Manifest(schema_version=1, release=())
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise CheckpointCorruptError(f"{path.name} is not a valid manifest: {error}") from error
