"""Backup and restore: everything back as it was, on either database, or nothing at all."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from mambaad_demo.errors import InputError, SchemaTooNewError, StorageError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import audit, backup_file, labels
from mambaad_demo.storage.backup import back_up, restore
from mambaad_demo.storage.backup_file import BackupWriter
from mambaad_demo.storage.files import FileKind, FileStore
from mambaad_demo.storage.labels import decide
from mambaad_demo.storage.migrations import newest_revision
from mambaad_demo.storage.tables import Study, Table
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.version import __version__
from tests.databases import NewStore, Store
from tests.storage.parts import add, add_parts, everything, judged
from tests.storage.teams import fill
from tests.storage.writer import frame

KINDS = ("sqlite", "postgresql")
Members = dict[str, bytes]


def rows(workspace: Workspace) -> dict[str, list[Any]]:
    """All rows as values, the same on both databases."""
    with workspace.database.reading() as session:
        return {
            table.name: [tuple(row) for row in session.execute(select(table).order_by(*table.primary_key))]
            for table in Table.metadata.sorted_tables
        }


def files(store: FileStore) -> dict[tuple[FileKind, str], bytes]:
    return {(kind, name): store.read(kind, name) for kind in FileKind for name in store.names(kind)}


def is_bare(store: Store) -> bool:
    """Whether there is nothing at all in a store."""
    with store.opened() as workspace:
        return not any(rows(workspace).values()) and not files(workspace.files)


def restored(store: Store, source: Path) -> Any:
    return restore(store.database_url, store.files_url, source)


def rewrite(path: Path, change: Callable[[Members], object], *, vouched: bool = False) -> None:
    """Change members of a backup, and let the manifest vouch for the new ones if asked."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    if vouched:
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in members.items()
            if name != "manifest.json"
        }
        manifest["rows"] = {
            name[7:-6]: content.count(b"\n")
            for name, content in members.items()
            if name.startswith("tables/")
        }
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def with_manifest(**facts: object) -> Callable[[Members], object]:
    def change(members: Members) -> None:
        members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | facts).encode()

    return change


def first(members: Members, start: str) -> str:
    return next(name for name in sorted(members) if name.startswith(start))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the backup goes."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "store.zip"


@pytest.fixture
def saved(new_store: NewStore, path: Path) -> Path:
    """A backup of a small store on SQLite."""
    with new_store("sqlite").opened() as workspace:
        fill(workspace)
        back_up(workspace, path)
    return path


@pytest.fixture
def empty(new_store: NewStore) -> Store:
    """A store on SQLite without tables."""
    return new_store("sqlite", bare=True)


class TestThereAndBack:
    @pytest.mark.parametrize("target_kind", KINDS)
    @pytest.mark.parametrize("is_new", [True, False], ids=["new database", "empty tables"])
    def test_every_row_and_file_comes_back_equal(self, workspace, new_store, path, target_kind, is_new):
        for key in ("shared", "a team", "another team"):
            fill(workspace.of(key))
        made = back_up(workspace, path)
        target = new_store(target_kind, bare=is_new)
        assert restored(target, path) == made
        with target.opened() as back:
            assert rows(back) == rows(workspace)
            assert files(back.files) == files(workspace.files)
            assert all(rows(back).values())

    def test_the_facts_say_what_a_backup_holds(self, workspace, path):
        before = datetime.now(UTC)
        fill(workspace)
        made = back_up(workspace, path)
        assert (made.schema_revision, made.program) == (newest_revision(), __version__)
        assert before <= made.created_at <= before + timedelta(minutes=1)
        assert made.rows == {name: len(found) for name, found in rows(workspace).items()}
        assert made.files == {"pictures": 3, "previews": 3, "thumbnails": 3, "maps": 3, "masks": 1}
        assert (made.missing, made.size) == ((), path.stat().st_size)

    @pytest.mark.parametrize("target_kind", KINDS)
    def test_awkward_values_come_back_exactly(self, workspace, new_store, path, target_kind):
        values = {"": [None, True, -0.0, 5e-324, 1.7e308, 2**70, "\x00\ud800\u2028🙂", {}, [[]]]}
        moments = [datetime(1990, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, 999_999, UTC)]
        with workspace.database.writing() as session:
            for moment in moments:
                session.add(Study(workspace="w", name="", spec=values, result={}, created_at=moment))
        back_up(workspace, path)
        target = new_store(target_kind, bare=True)
        restored(target, path)
        with target.opened() as back, back.database.reading() as session:
            studies = session.scalars(select(Study).order_by(Study.id)).all()
            assert [study.created_at for study in studies] == moments
            assert [repr(study.spec) for study in studies] == [repr(values)] * 2

    @pytest.mark.parametrize("target_kind", KINDS)
    def test_work_goes_on_in_the_restored_store(self, workspace, new_store, path, target_kind):
        fill(workspace)
        back_up(workspace, path)
        target = new_store(target_kind, bare=True)
        restored(target, path)
        with target.opened() as back:
            fill(back.of("newcomers"))
            found = rows(back)
        for name, before in rows(workspace).items():
            assert all(row in found[name] for row in before)
            assert len(found[name]) == (1 if name == "versions" else 2) * len(before)

    def test_an_empty_store_comes_back_too(self, workspace, empty, path):
        made = back_up(workspace, path)
        assert restored(empty, path) == made
        assert is_bare(empty)

    def test_files_may_lie_anywhere(self, new_store, empty, path):
        source = Store(new_store("sqlite").database_url, f"memory://{path.parent.parent.name}")
        with source.opened() as workspace:
            add(workspace, judged(1))
            back_up(workspace, path)
            restored(empty, path)
            with empty.opened() as back:
                assert files(back.files) == files(workspace.files)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("is_new", [True, False], ids=["new database", "empty tables"])
    def test_the_program_of_tomorrow_restores_the_backup_of_today(
        self, workspace, new_store, path, tomorrow, kind, is_new
    ):
        fill(workspace)
        back_up(workspace, path)
        before = rows(workspace)
        tomorrow()
        target = new_store(kind, bare=is_new)
        restored(target, path)
        with target.opened() as back:
            assert rows(back) == before
            after = everything(back.database)
        assert after["alembic_version"] == ["('9999',)"]
        assert all(row.endswith("'gray')") for row in after["reviewers"])

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_backup_from_before_limits_and_promotions_comes_back_too(self, saved, new_store, kind):
        def as_then(members: Members) -> None:
            for table in ("limit_sets", "promotions"):
                del members[f"tables/{table}.jsonl"]
            with_manifest(schema_revision="0001")(members)

        rewrite(saved, as_then, vouched=True)
        target = new_store(kind, bare=True)
        assert restored(target, saved).schema_revision == "0001"
        with target.opened() as back:
            found = rows(back)
            assert [name for name in found if not found[name]] == ["limit_sets", "promotions"]
            fill(back.of("newcomers"))


class TestSaving:
    def test_a_backup_made_while_people_decide_is_consistent(self, workspace, new_store, path):
        parts = add_parts(workspace, 3)
        confirmed: list[int] = []
        is_busy, is_over = threading.Event(), threading.Event()

        def review() -> None:
            for number in count():
                label = Label(finding=Finding.DEFECT, defect_type=f"type {number}", mask=frame(number))
                confirmed.append(decide(workspace, parts[number % 3], label, reviewer="Mira").id)
                if number == 5:
                    is_busy.set()
                if is_over.is_set():
                    return

        with ThreadPoolExecutor(1) as lane:
            reviewing = lane.submit(review)
            try:
                assert is_busy.wait(timeout=60)
                before = set(confirmed)
                back_up(workspace, path)
            finally:
                is_over.set()
            reviewing.result()
        target = new_store("postgresql", bare=True)
        restored(target, path)
        with target.opened() as back:
            made = [decision for part in parts for decision in labels.history(back, part)]
            trail = {entry.details["decision"] for entry in audit.entries(back, at_most=10_000)}
            assert before <= {decision.id for decision in made} == trail <= set(confirmed)
            assert {decision.defect_type for decision in made} == {
                name for names in labels.products(back).values() for name in names
            }
            assert all(back.files.holds(FileKind.MASK, decision.mask_sha256) for decision in made)

    def test_what_the_store_has_lost_does_not_stand_in_the_way_of_the_rest(self, workspace, new_store, path):
        fill(workspace)
        lost, damaged = list(workspace.files.names(FileKind.PICTURE))[:2]
        workspace.files.delete(FileKind.PICTURE, lost)
        workspace.files.delete(FileKind.PICTURE, damaged)
        workspace.files.write(FileKind.PICTURE, damaged, b"damaged")
        made = back_up(workspace, path)
        assert sorted(made.missing) == sorted(f"pictures/{name}" for name in (lost, damaged))
        target = new_store("sqlite", bare=True)
        assert restored(target, path).missing == made.missing
        with target.opened() as back:
            assert rows(back) == rows(workspace)
            expected = files(workspace.files)
            del expected[FileKind.PICTURE, damaged]
            assert files(back.files) == expected

    def test_files_without_rows_are_left_behind(self, workspace, path):
        (stored,) = add(workspace, judged(1))
        workspace.files.write(FileKind.MAP, "ab" * 32, b"from a crash")
        back_up(workspace, path)
        with zipfile.ZipFile(path) as archive:
            assert [name for name in archive.namelist() if name.startswith("maps/")] == [
                f"maps/{stored.map_sha256}"
            ]

    def test_a_file_that_is_there_is_never_replaced(self, workspace, path):
        path.write_bytes(b"yesterday's backup")
        with pytest.raises(InputError, match="already"):
            back_up(workspace, path)
        assert path.read_bytes() == b"yesterday's backup"

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_a_backup_that_fails_in_the_middle_leaves_nothing(self, workspace, path, monkeypatch, error):
        def fail(self: BackupWriter, **facts: object) -> None:
            raise error

        fill(workspace)
        monkeypatch.setattr(BackupWriter, "finish", fail)
        expected = StorageError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected) as caught:
            back_up(workspace, path)
        assert list(path.parent.iterdir()) == []
        assert str(path.parent) not in str(caught.value)

    def test_a_folder_that_is_not_there_is_told_without_its_path(self, workspace, path):
        with pytest.raises(StorageError, match="Choose another place") as caught:
            back_up(workspace, path.parent / "nowhere" / "store.zip")
        assert "nowhere" not in str(caught.value)


class TestRefusing:
    """A backup is checked as a whole before anything is written."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, empty: Store) -> Iterator[None]:
        yield
        assert is_bare(empty)

    @pytest.mark.parametrize("position", [0, 0.01, 0.3, 0.6, 0.9, 0.999])
    def test_a_backup_that_was_cut_short(self, saved, empty, position):
        content = saved.read_bytes()
        saved.write_bytes(content[: int(position * len(content))])
        with pytest.raises(InputError, match="Take another copy"):
            restored(empty, saved)

    def test_a_flipped_bit_anywhere(self, saved, empty):
        content = saved.read_bytes()
        with zipfile.ZipFile(saved) as archive:
            # behind each member's local header of 30 bytes and its name
            places = [
                entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2
                for entry in archive.infolist()
            ]
        for place in places:
            flipped = bytearray(content)
            flipped[place] ^= 1
            saved.write_bytes(flipped)
            with pytest.raises(InputError):
                restored(empty, saved)

    @pytest.mark.parametrize("kind", ["tables/decisions", "pictures/", "previews/", "maps/", "masks/"])
    def test_a_member_that_was_replaced(self, saved, empty, kind):
        rewrite(saved, lambda members: members.update({first(members, kind): b"{}\n"}))
        with pytest.raises(InputError, match="is not what was saved"):
            restored(empty, saved)

    @pytest.mark.parametrize("kind", ["pictures/", "maps/", "masks/"])
    def test_a_file_that_holds_something_else_than_its_name_says(self, saved, empty, kind):
        rewrite(saved, lambda members: members.update({first(members, kind): b"evil"}), vouched=True)
        with pytest.raises(InputError, match=f"{kind}.* is not what was saved"):
            restored(empty, saved)

    @pytest.mark.parametrize("kind", ["tables/claims", "pictures/", "masks/"])
    def test_a_member_that_was_taken_out(self, saved, empty, kind):
        rewrite(saved, lambda members: members.pop(first(members, kind)))
        with pytest.raises(InputError, match="does not hold what its manifest lists"):
            restored(empty, saved)

    def test_a_member_that_was_added(self, saved, empty):
        rewrite(saved, lambda members: members.update({f"masks/{'ab' * 32}": b""}))
        with pytest.raises(InputError, match="does not hold what its manifest lists"):
            restored(empty, saved)

    def test_a_member_that_is_there_twice(self, saved, empty):
        with zipfile.ZipFile(saved, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(first(dict.fromkeys(archive.namelist(), b""), "pictures/"), b"evil")
        with pytest.raises(InputError, match="does not hold what its manifest lists"):
            restored(empty, saved)

    @pytest.mark.parametrize(
        "name",
        [
            "../../evil",
            "/etc/evil",
            "pictures/../../evil",
            "pictures/evil",
            f"pictures/{'ab' * 32}/x",
            f"pictures/{'AB' * 32}",
            f"pictures\\{'ab' * 32}",
            f"logs/{'ab' * 32}",
            "tables/../evil.jsonl",
            "tables/Evil.jsonl",
            "C:evil",
        ],
    )
    def test_names_that_no_backup_has(self, saved, empty, name):
        rewrite(saved, lambda members: members.update({name: b"evil"}), vouched=True)
        with pytest.raises(InputError, match=r"no backup has|does not hold what|manifest"):
            restored(empty, saved)
        assert not list(saved.parent.parent.rglob("*evil*"))

    def test_files_that_are_packed_may_be_bombs(self, saved, empty):
        name = f"previews/{'ab' * 32}"
        with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, bytes(10**6))

        def vouch(members: Members) -> None:
            manifest = json.loads(members["manifest.json"])
            manifest["members"][name] = hashlib.sha256(bytes(10**6)).hexdigest()
            members["manifest.json"] = json.dumps(manifest).encode()

        rewrite(saved, vouch)
        with zipfile.ZipFile(saved) as archive:
            members = {entry: archive.read(entry) for entry in archive.namelist()}
        with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, content in members.items():
                archive.writestr(entry, content)
        with pytest.raises(InputError, match="packed in a way that no backup is"):
            restored(empty, saved)

    @pytest.mark.parametrize("limit", ["MAX_FILE_BYTES", "_MOST_MANIFEST_BYTES", "_LONGEST_LINE"])
    def test_members_beyond_all_bounds(self, saved, empty, monkeypatch, limit):
        monkeypatch.setattr(backup_file, limit, 20)
        with pytest.raises(InputError, match=r"left alone|not as this program writes it"):
            restored(empty, saved)

    @pytest.mark.parametrize(
        "content",
        [b"", b"PK", b"no zip", b"PK\x05\x06" + bytes(18)],
        ids=["empty", "PK", "text", "empty zip"],
    )
    def test_files_that_are_no_backup(self, path, empty, content):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no backup"):
            restored(empty, path)

    def test_a_file_that_is_not_there(self, path, empty):
        with pytest.raises(InputError, match="no such backup file"):
            restored(empty, path)

    def test_a_folder(self, path, empty):
        with pytest.raises(InputError, match="no backup"):
            restored(empty, path.parent)

    @pytest.mark.parametrize(
        "facts",
        [
            {"format": 2},
            {"more": 1},
            {"rows": None},
            {"members": {"x": "not a hash"}},
            {"created_at": "yesterday"},
            {"created_at": "2026-01-01T00:00:00"},
            {"rows": {"products": -1}},
        ],
    )
    def test_a_manifest_of_another_kind(self, saved, empty, facts):
        rewrite(saved, with_manifest(**facts))
        with pytest.raises(InputError, match="manifest"):
            restored(empty, saved)

    @pytest.mark.parametrize("revision", ["9999", "", "'; --"])
    def test_a_backup_of_a_schema_that_this_program_does_not_know(self, saved, empty, revision):
        rewrite(saved, with_manifest(schema_revision=revision))
        with pytest.raises(SchemaTooNewError, match="Update this program; nothing was changed"):
            restored(empty, saved)


class TestStoreAfterARefusal:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_store_that_holds_data_is_left_alone(self, new_store, saved, kind):
        target = new_store(kind)
        with target.opened() as workspace:
            labels.save_draft(workspace, add_parts(workspace, 1)[0], {}, reviewer="Mira")
            before = everything(workspace.database), files(workspace.files)
            with pytest.raises(
                InputError, match=r"holds data already; nothing was changed\. Restore into an empty"
            ):
                restored(target, saved)
            assert (everything(workspace.database), files(workspace.files)) == before

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_store_of_a_newer_program_is_left_alone(self, new_store, saved, kind):
        target = new_store(kind)
        with target.opened() as workspace:
            with workspace.database.writing() as session:
                session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            with pytest.raises(SchemaTooNewError, match="nothing was changed"):
                restored(target, saved)
            assert everything(workspace.database)["alembic_version"] == ["('9999',)"]

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("table", "change", "expected"),
        [
            ("decisions", {"image_id": 999}, StorageError),
            ("decisions", {"decided_at": "yesterday"}, InputError),
            ("decisions", {"decided_at": 7}, InputError),
            ("decisions", {"is_admin": True}, InputError),
            ("decisions", {"finding": None}, StorageError),
            ("audit", {"workspace": None}, StorageError),
        ],
    )
    def test_rows_that_do_not_fit_leave_no_rows(self, new_store, saved, kind, table, change, expected):
        target = new_store(kind, bare=True)

        def spoil(members: Members) -> None:
            name = f"tables/{table}.jsonl"
            lines = [json.loads(line) for line in members[name].splitlines()]
            lines[-1] |= change
            members[name] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)

        good = saved.read_bytes()
        rewrite(saved, spoil, vouched=True)
        with pytest.raises(expected):
            restored(target, saved)
        with target.opened() as workspace:
            assert not any(rows(workspace).values())
        saved.write_bytes(good)
        restored(target, saved)

    def test_a_table_that_is_no_json_leaves_no_rows(self, empty, saved):
        rewrite(saved, lambda members: members.update({"tables/studies.jsonl": b"{]\n"}), vouched=True)
        with pytest.raises(InputError, match="Take another copy"):
            restored(empty, saved)
        with empty.opened() as workspace:
            assert not any(rows(workspace).values())

    def test_a_table_that_no_schema_has_leaves_no_rows(self, empty, saved):
        rewrite(saved, lambda members: members.update({"tables/admins.jsonl": b"{}\n"}), vouched=True)
        with pytest.raises(StorageError):
            restored(empty, saved)
        with empty.opened() as workspace:
            assert not any(rows(workspace).values())

    def test_a_file_that_lies_there_damaged_is_replaced(self, empty, saved):
        with zipfile.ZipFile(saved) as archive:
            name = first(dict.fromkeys(archive.namelist(), b""), "maps/")
            content = archive.read(name)
        store = FileStore(empty.files_url)
        store.write(FileKind.MAP, name.partition("/")[2], b"damaged")
        restored(empty, saved)
        assert store.read(FileKind.MAP, name.partition("/")[2]) == content


def test_a_mask_is_in_the_backup_to_the_bit(workspace, empty, path):
    (part,) = add_parts(workspace, 1)
    made = decide(workspace, part, Label(finding=Finding.DEFECT, mask=frame(70)), reviewer="Mira")
    back_up(workspace, path)
    restored(empty, path)
    assert FileStore(empty.files_url).read(FileKind.MASK, made.mask_sha256) == frame(70)
