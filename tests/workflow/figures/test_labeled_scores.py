"""Which inspection stands beside which label."""

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.labels import labeled_images
from mambaad_demo.workflow.figures.labeled_scores import labeled_set, versions
from tests.workflow.figures.labeled_store import other


def newest_set(store, **whose):
    found = inspections(store.workspace)
    return labeled_set(versions(found)[0], found, labeled_images(store.workspace, **whose))


def test_the_newest_inspection_of_a_picture_counts(store):
    image = store.add(0.2, Finding.GOOD)
    store.inspect(0.6, same_as=image)

    labeled = newest_set(store)

    assert labeled.scores.tolist() == [0.6]
    assert (labeled.n_inspected, len(labeled.inspections)) == (1, 2)


def test_another_calibration_or_number_of_tiles_is_another_version(store):
    for change in ({}, {"calibration_sha256": "ef" * 32}, {"sha256": "01" * 32}):
        store.add(0.2, Finding.GOOD, version=other(**change))
    store.add(0.2, Finding.GOOD, tiles=2)

    found = versions(inspections(store.workspace))

    assert len({version.key for version in found}) == 4
    assert found[0].tiles == 2  # used last
    labeled = newest_set(store)
    assert (len(labeled.decided), labeled.n_unseen) == (1, 3)


def test_who_is_unsure_or_divided_is_left_out_and_counted(store):
    store.add(0.2, Finding.GOOD)
    store.add(0.3, Finding.UNSURE)
    divided = store.add(0.6, Finding.DEFECT)
    store.say(divided, Finding.GOOD, reviewer="noor")
    settled = store.add(0.7, Finding.DEFECT)
    store.say(settled, Finding.UNSURE, reviewer="noor")

    labeled = newest_set(store)

    assert labeled.is_defective.tolist() == [False, True]
    assert (labeled.n_good, labeled.n_defect) == (1, 1)
    assert [one.inspection.score for one in labeled.unsure] == [0.3]
    assert [one.inspection.score for one in labeled.divided] == [0.6]


def test_one_reviewer_may_speak_alone(store):
    image = store.add(0.6, Finding.DEFECT)
    store.say(image, Finding.GOOD, reviewer="noor")

    assert newest_set(store).n_good == 0
    assert newest_set(store, reviewer="noor").n_good == 1


def test_a_label_is_no_label_of_a_version_that_never_saw_the_picture(store):
    image = store.add(0.6, Finding.DEFECT)
    store.inspect(0.2, version=other(sha256="99" * 32))

    labeled = newest_set(store)

    assert (labeled.decided, labeled.n_unseen, labeled.n_inspected) == ((), 1, 1)
    assert image
