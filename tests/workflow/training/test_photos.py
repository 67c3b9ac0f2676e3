"""Photos on their way into a job."""

import pytest

from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.workflow.training import photos as intake
from mambaad_demo.workflow.training.events import Note, read_events
from mambaad_demo.workflow.training.layout import JobFolder
from mambaad_demo.workflow.training.photos import take_over
from tests.workflow.training.stand_ins import photo


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "job").mkdir()
    return JobFolder(tmp_path / "job")


def notes(folder):
    return [event.text for event in read_events(folder.events, most_steps=1) if isinstance(event, Note)]


def contents(folder):
    names = folder.photo_list().names
    return {name: (folder.photos / file).read_bytes() for file, name in names.items()}


def test_pictures_and_zip_files_are_taken_in_their_order(folder, photos, zipped):
    file = zipped({f"b/{number}.png": photo(10 + number) for number in range(3)})
    take_over([*photos(3), file], folder)
    assert contents(folder) == {
        **{f"part {number}.png": photo(number) for number in range(3)},
        **{f"good/b/{number}.png": photo(10 + number) for number in range(3)},
    }
    assert [path.name for path in sorted(folder.photos.iterdir())] == [f"0000{n}.png" for n in range(6)]


def test_nothing_in_folders_of_defects_or_tests_is_learned_and_a_note_says_so(folder, zipped):
    good = {f"train/good/{number}.png": photo(number) for number in range(5)}
    take_over([zipped({**good, "test/bent/0.png": photo(9), "test/good/0.png": photo(10)})], folder)
    assert contents(folder) == good
    (note,) = notes(folder)
    assert note.startswith("2 pictures in folders of defects or tests were left aside")


def test_the_uploads_stay(folder, photos):
    sent = photos()
    take_over([*sent, sent[0]], folder)
    assert all(path.exists() for path in sent)
    assert len(contents(folder)) == 5


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/evil.png", "a\\..\\evil.png", "=cmd().png", "x\n.png"]
)
def test_no_name_of_a_stranger_is_used_as_a_path(folder, photos, zipped, name, tmp_path):
    take_over([*photos(), zipped({name: photo(9)})], folder)
    assert sorted(path.name for path in folder.photos.iterdir()) == [f"0000{n}.png" for n in range(6)]
    assert list(tmp_path.rglob("*evil*")) == []


def test_one_broken_picture_is_left_out_by_name_and_the_rest_is_used(folder, zipped):
    good = {f"{number}.png": photo(number) for number in range(6)}
    take_over([zipped({"0 torn.png": photo(9)[:60], **good})], folder)
    assert list(contents(folder)) == list(good)
    (note,) = notes(folder)
    assert note.startswith("0 torn.png was left out: The PNG file is cut short")


def test_a_picture_that_is_damaged_in_its_zip_is_left_out(folder, zipped):
    file = zipped({f"{number}.png": photo(number) for number in range(6)})
    content = bytearray(file.read_bytes())
    content[content.index(photo(0)) + 30] ^= 0xFF  # its checksum is wrong now
    file.write_bytes(content)
    take_over([file], folder)
    assert list(contents(folder)) == [f"{number}.png" for number in range(1, 6)]
    assert notes(folder) == ["0.png was left out: 0.png is damaged in the zip file."]


def test_only_as_many_as_are_needed_are_looked_at(folder, photos, monkeypatch):
    looked = []
    monkeypatch.setattr(intake, "load_image", lambda content, **options: looked.append(content))
    take_over(photos(9), folder)
    assert len(looked) == 5


@pytest.mark.parametrize("count", [1, 3, 4])
def test_fewer_than_five_are_refused(folder, photos, count):
    with pytest.raises(TooFewImagesError, match=f"needs 5 good photos that can be read; there are {count}"):
        take_over(photos(count), folder)


def test_a_file_that_is_gone_is_left_out(folder, photos):
    sent = photos(6)
    sent[2].unlink()
    take_over(sent, folder)
    assert notes(folder) == ["part 2.png was left out: There is no such file. Upload it again."]


def test_a_damaged_zip_is_refused(folder, tmp_path):
    (tmp_path / "good.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="zip"):
        take_over([tmp_path / "good.zip"], folder)


def test_too_many_photos_and_too_much_of_them_are_refused(folder, photos, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(intake, "MOST", 5)
        with pytest.raises(InputError, match="at most 5"):
            take_over(photos(6), folder)
    monkeypatch.setattr(intake, "_MOST_BYTES", 2000)
    with pytest.raises(InputError, match="fewer or smaller"):
        take_over(photos(6), folder)
