"""Labels as a data set of the Hub: what the card tells, and that nobody's name goes along."""

import csv
import io

import pytest
import yaml

from mambaad_demo.errors import InputError
from mambaad_demo.hub.publishing import push
from mambaad_demo.workflow.exchange.exporting import ExportKind
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from mambaad_demo.workflow.exchange.publishing import labels_plan
from tests.hub.client import REPO, SENDS_OLD_STYLE, TOKEN, hub, pauses
from tests.workflow.exchange.stores import CLIMBER, FORMULA, PARTS, open_store, told

__all__ = ["hub", "pauses"]


def sent(plan):
    return {
        file.path: file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        for file in plan.files
    }


@pytest.mark.parametrize("kind", ExportKind)
def test_every_format_becomes_a_private_data_set_with_a_card(full, tmp_path, kind):
    plan, facts = labels_plan(full, tmp_path / "out", REPO, kind)

    front_matter = yaml.safe_load(plan.card.split("---\n")[1])
    assert (plan.kind, plan.private, plan.others) == ("dataset", True, "refuse")
    assert front_matter["license"] == "other"
    assert kind.value in front_matter["tags"]
    assert f"{facts.labels} labels, {facts.pictures} picture files, {facts.masks} masks" in plan.card
    assert {path for path in sent(plan) if path != "README.md"} == {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert sum(sum(counts.values()) for counts in facts.counts.values()) == facts.labels


def test_the_card_counts_what_is_said_of_each_product(full, tmp_path):
    plan, facts = labels_plan(full, tmp_path / "out", REPO, ExportKind.CSV)

    assert facts.labels == len(PARTS)
    assert facts.counts[CLIMBER] == {"good": 1, "defect": 3}
    assert facts.counts[FORMULA] == {"good": 2, "defect": 5, "unsure": 1, "divided": 1}
    row = next(line for line in plan.card.splitlines() if line.startswith("| =cmd"))
    assert row.split("|")[-5:-1] == [" 2 ", " 5 ", " 1 ", " 1 "]


@pytest.mark.parametrize("kind", ExportKind)
def test_the_names_of_those_who_labeled_stay_here(full, tmp_path, kind):
    plan, _ = labels_plan(full, tmp_path / "out", REPO, kind)

    assert not any(b"mira" in content.replace(REPO.encode(), b"") for content in sent(plan).values())


def test_people_without_names_can_still_be_told_apart(full, tmp_path):
    plan, _ = labels_plan(full, tmp_path / "out", REPO, ExportKind.CSV)

    files = sent(plan)
    tables = {
        name: list(csv.DictReader(io.StringIO(files[name].decode("utf-8-sig"), newline="")))
        for name in ("labels.csv", "decisions.csv")
    }
    assert tables["labels.csv"][8]["reviewers"] == "reviewer 1; reviewer 2"
    assert {row["reviewer"] for row in tables["decisions.csv"]} == {"reviewer 1", "reviewer 2"}


def test_nothing_labeled_is_nothing_to_send(empty, tmp_path):
    with pytest.raises(InputError, match="Nothing is labeled"):
        labels_plan(empty, tmp_path / "out", REPO, ExportKind.CSV)


@SENDS_OLD_STYLE
def test_a_pushed_data_set_can_be_imported_again(full, hub, tmp_path):
    plan, _ = labels_plan(full, tmp_path / "out", REPO, ExportKind.MVTEC)
    push(plan, token=TOKEN)

    repo = hub.repos["dataset", REPO]
    for path, content in repo.commits[repo.head].items():
        (tmp_path / "pulled" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pulled" / path).write_bytes(content)
    with open_store(tmp_path / "other") as other:
        import_labels(other, tmp_path / "pulled", ImportKind.MVTEC)
        assert told(other) == told(full, "good", "defect")
