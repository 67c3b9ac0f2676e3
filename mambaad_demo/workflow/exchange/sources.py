"""The files of an import, from a folder, a zip file or a single file, by name.

Nothing is unpacked onto the disk, and no name that somebody wrote is used as a path: names are only compared.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from mambaad_demo.data.folders import IMAGE_SUFFIXES
from mambaad_demo.data.picture_sets import shown_name, zip_readers
from mambaad_demo.data.uploads import read_file
from mambaad_demo.errors import InputError

Model = TypeVar("Model", bound=BaseModel)

_JSON: TypeAdapter[Any] = TypeAdapter(Any)

MOST_FILES = 20_000
MOST_TEXT_BYTES = 100 * 10**6
"""Of a JSON or CSV file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a source."""

    name: PurePosixPath
    """Where it lies, for people and for comparing; at most four parts."""
    content: Callable[[], bytes]
    """
    Raises:
        InputError: it cannot be read, or another one is called the same.
    """

    def text(self) -> bytes:
        """The content of a text file.

        Raises:
            InputError: it holds too much.
        """
        content = self.content()
        if len(content) > MOST_TEXT_BYTES:
            raise InputError(
                f"{self.name} has {len(content) / 1e6:.0f} MB; at most {MOST_TEXT_BYTES / 1e6:.0f} are read. "
                "Split it."
            )
        return content

    def json(self) -> Any:
        """The content of a JSON file.

        Raises:
            InputError: it is none, or holds too much.
        """
        try:
            return _JSON.validate_json(self.text())
        except ValidationError as error:
            raise InputError(f"{self.name} is no JSON file, or a damaged one. Export it again.") from error


class Source:
    """Files by name."""

    def __init__(self, name: str, files: Sequence[SourceFile]) -> None:
        """
        Args:
            name: of the whole, for people.
            files: in the order of their names.
        """
        self.name = name
        self.files = files
        self._by_file_name: defaultdict[str, list[SourceFile]] = defaultdict(list)
        for file in self.files:
            self._by_file_name[file.name.name].append(file)

    @classmethod
    def open(cls, path: Path) -> Self:
        """List the files of a folder or zip file, or take one CSV or JSON file.

        Raises:
            InputError: none of these, a damaged one, or too many files.
        """
        files = _listed(path)
        if len(files) > MOST_FILES:
            raise InputError(f"It holds {len(files)} files; send at most {MOST_FILES} at once.")
        return cls(path.stem if path.is_file() else path.name, _told_apart(files))

    def without_pictures_in(self, folder: str) -> Self:
        """All but the pictures that lie right in a folder that is called so."""
        kept = [
            file
            for file in self.files
            if file.name.parent.name != folder or file.name.suffix.lower() not in IMAGE_SUFFIXES
        ]
        return type(self)(self.name, kept)

    def ending(self, suffixes: Collection[str]) -> list[SourceFile]:
        """Files whose names end so, in any case, in the order of their names."""
        return [file for file in self.files if file.name.suffix.lower() in suffixes]

    def find(self, name: str) -> SourceFile:
        """The file that is called so, or lies deeper and ends so.

        Raises:
            InputError: there is none, or several fit.
        """
        wanted = shown_name(name)
        fitting = [file for file in self._by_file_name[wanted.name] if _agree(file.name, wanted)]
        exact = [file for file in fitting if file.name == wanted] or fitting
        if len(exact) == 1:
            return exact[0]
        if exact:
            raise InputError(f"{len(exact)} files are called {wanted}. Send them apart.")
        raise InputError(f"The file {wanted} is not there. Send it along.")


def checked(model: type[Model], value: Any) -> Model:
    """A value of a JSON or CSV file as what it should be.

    Raises:
        InputError: it is something else.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place or 'The entry'}: {first['msg']}. Correct it and import again.") from error


def _listed(path: Path) -> list[SourceFile]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        files = [_on_disk(file, shown_name(file.relative_to(path).as_posix())) for file in found]
    elif path.suffix.lower() in (".csv", ".json"):
        files = [_on_disk(path, shown_name(path.name))]
    else:
        files = [_in_zip(name, read) for name, read in zip_readers(path)]
    return [file for file in files if not _is_hidden(file.name)]


def _on_disk(path: Path, name: PurePosixPath) -> SourceFile:
    return SourceFile(name=name, content=lambda: read_file(path))


def _in_zip(name: PurePosixPath, read: Callable[[], Path | bytes]) -> SourceFile:
    def content() -> bytes:
        found = read()
        return found if isinstance(found, bytes) else read_file(found)

    return SourceFile(name=name, content=content)


def _told_apart(files: list[SourceFile]) -> list[SourceFile]:
    """Files whose names, cut as they are, fit several are not read: one could be taken for the other."""
    uses = Counter(file.name for file in files)
    return [
        file if uses[file.name] == 1 else SourceFile(name=file.name, content=partial(_refuse, file.name))
        for file in files
    ]


def _refuse(name: PurePosixPath) -> bytes:
    raise InputError(f"Several files are called {name}. Send them apart.")


def _is_hidden(name: PurePosixPath) -> bool:
    return not name.parts or any(part.startswith((".", "__MACOSX")) for part in name.parts)


def _agree(name: PurePosixPath, other: PurePosixPath) -> bool:
    """Whether the shorter one is the end of the longer one."""
    length = min(len(name.parts), len(other.parts))
    return name.parts[-length:] == other.parts[-length:]
