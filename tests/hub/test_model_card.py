"""The model card says what a run was, in tables, and nobody's words can become markup or front matter."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mambaad_demo.hub.markdown import cell, code, comparison, figures, nested_table, text
from mambaad_demo.hub.model_card import model_card
from mambaad_demo.hub.schemas import (
    CalibrationFile,
    CategoryCalibration,
    CheckpointConfig,
    FileHashes,
    Rates,
)

HASHES = FileHashes(model="a" * 64, calibration="b" * 64, golden="c" * 64)
EVIL = "a|b\r\n---\r\n# <script>alert(1)</script> `${1}` [x](javascript:1) __init__ &lt; \u202e=cmd()"

RUN: dict[str, Any] = {
    "command": "python -m train.train_decoder --recipe quick --data parts --out parts",
    "note": "photos of June",
    "recipe": {"name": "quick", "source": "chosen here", "departures": "all is ours", "changed": "--seed 7"},
    "categories": {"gasket": 30, "gear": 40},
    "held_out": {"gasket": 5, "gear": 6},
    "seed": 7,
    "settings": {"steps": 200, "minutes": None, "learning_rate": 0.008},
    "validation": [{"step": 20, "loss": 0.51234}, {"step": 40, "loss": 0.4}],
    "throughput": {"images_per_second": 4.2, "peak_memory_mb": 812, "device_name": "A processor"},
    "device": "cpu",
    "torch": "2.11.0",
}
VERSION: dict[str, Any] = {
    "base": {"name": "mambaad", "sha256": "d" * 64},
    "category": "cookie",
    "photos": {"given": 31, "trained_on": 26, "held_out": 5},
    "replay": True,
    "before": {"gasket": {"loss": 0.5, "separation": 3}, "cookie": {"loss": 0.9}},
    "after": {"gasket": {"loss": 0.45, "separation": 3}, "cookie": {"loss": 0.3}},
}


def _calibration(*names: str) -> CalibrationFile:
    known = CategoryCalibration(
        scores=(0.1, 0.2),
        pixel_quantiles={"0.5": 0.1},
        check=0.15,
        reject=0.2,
        images=2,
        rates=Rates(check=0.05, reject=0.005),
        embedding=(0.0,),
        embedding_distances=(0.0, 1.0),
    )
    return CalibrationFile(embedding_scale=(1.0,), categories=dict.fromkeys(names, known))


def _card(training: dict[str, Any], *, names: tuple[str, ...] = ("gasket", "gear"), **changes: Any) -> str:
    detector = {"decoder": "mambaad", "encoder": "resnet34", "encoder_weights": "hub", "input_side": 256}
    config = CheckpointConfig(
        **{"name": "parts", "detector": detector, "categories": names, "training": training, **changes}
    )
    return model_card(config, _calibration(*names), HASHES)


def _front_matter(card: str) -> dict[str, Any]:
    return dict(yaml.safe_load(card.split("---\n")[1]))


def _tokens(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)


def _tables(markdown: str) -> list[list[list[str]]]:
    """Rows of plain cells of each table, as a reader sees them."""
    tables: list[list[list[str]]] = []
    for before, token in zip([Token("", "", 0), *_tokens(markdown)], _tokens(markdown), strict=False):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and before.type in ("td_open", "th_open"):
            tables[-1][-1].append(_plain(token))
    return tables


def _plain(token: Token) -> str:
    """What a reader sees of an inline token, which must hold nothing but text."""
    children = token.children or []
    assert {child.type for child in children} <= {"text", "text_special", "code_inline"}, token.content
    return "".join(child.content for child in children)


def _table_under(card: str, heading: str) -> list[list[str]]:
    level = "#" * (len(heading) - len(heading.lstrip("#")))
    return _tables(card.split(f"\n{heading}\n", 1)[1].split(f"\n{level} ", 1)[0])[0]


QUOTED: dict[str, Any] = {
    "image_auroc": 98.6,
    "image_ap": 99.6,
    "image_f1_max": 97.8,
    "pixel_auroc": 97.7,
    "pixel_ap": 56.3,
    "pixel_f1_max": 59.2,
    "au_pro": 93.1,
    "source": EVIL,
}


def test_figures_of_the_authors_have_a_section_that_says_so_and_only_where_there_are_any() -> None:
    title = "## Figures of the authors, not measured here"
    card = _card({}, quoted=QUOTED)

    header, row = _table_under(card, title)
    assert dict(zip(header, row, strict=True)) == {
        "image AUROC": "98.6",
        "image AP": "99.6",
        "image F1-max": "97.8",
        "pixel AUROC": "97.7",
        "pixel AP": "56.3",
        "pixel F1-max": "59.2",
        "AU-PRO": "93.1",
    }
    assert "<script>" not in card
    assert title not in _card({})
    assert "98.6" not in _card({})


def test_a_run_is_told_in_tables_by_subject() -> None:
    card = _card(RUN)

    assert _table_under(card, "## Data")[1:] == [["gasket", "30", "5"], ["gear", "40", "6"]]
    assert ["source", "chosen here"] in _table_under(card, "## Training")
    assert ["learning_rate", "0.008"] in _table_under(card, "### settings")
    assert _table_under(card, "## Validation")[1:] == [["1", "20", "0.5123"], ["2", "40", "0.4"]]
    assert ["peak_memory_mb", "812"] in _table_under(card, "## Speed and versions")
    assert [row[0] for row in _table_under(card, "## Limits")[1:]] == ["gasket", "gear"]
    assert "photos of June" in card
    assert f"`{RUN['command']}`" in card
    assert "Not tested: other products" in card
    assert "## Fine-tuning" not in card
    assert "{" not in card


def test_a_version_says_what_it_came_from_and_compares_before_and_after() -> None:
    card = _card(VERSION)

    assert ["category", "cookie"] in _table_under(card, "## Fine-tuning")
    assert ["name", "mambaad"] in _table_under(card, "### base")
    assert _table_under(card, "### Before and after") == [
        ["", "loss, before → after", "separation, before → after"],
        ["gasket", "0.5 → 0.45", "3 → 3"],
        ["cookie", "0.9 → 0.3", "– → –"],
    ]
    assert "fine-tuned" in _front_matter(card)["tags"]


def test_a_version_shows_what_became_of_each_part_the_base_knew() -> None:
    facts = {"before": {"loss": 0.5}, "after": {"loss": 0.45}, "reject_before": 0.2, "reject_after": None}
    refused = [{"name": EVIL, "reason": "no image"}]
    card = _card(
        {
            "base": "mambaad",
            "base_sha256": "d" * 64,
            "not_rehearsed": ["gear", EVIL],
            "photos": {"given": 2, "refused": refused},
            "known": {"gasket": facts},
            "history": [{"step": 20, "loss": 0.5, "separation": 3.1}],
        }
    )

    assert _table_under(card, "### Before and after") == [
        ["", "loss, before → after", "reject, before → after"],
        ["gasket", "0.5 → 0.45", "0.2 → –"],
    ]
    assert _table_under(card, "#### refused")[1][2] == "no image"
    assert _table_under(card, "## Validation")[1] == ["1", "20", "0.5", "3.1"]
    assert "best here was kept" in card


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"base": "mambaad"},
        {"before": 0.3, "after": {"loss": 0.2}},
        {"before": {"loss": 0.3}, "after": {"loss": {"mean": 0.2}}},
        {"known": {"gear": 3}, "history": {"a": 1}},
        {"known": {}},
        {"categories": ["a", "b"], "held_out": 5, "validation": 0.3, "recipe": "quick", "throughput": None},
        {"validation": {"loss": float("nan")}, "deep": {"a": {"b": {"c": {"d": [1, [2, {"e": 3}]]}}}}},
    ],
)
def test_facts_of_any_shape_become_a_card(training: dict[str, Any]) -> None:
    card = _card(training)

    assert "## Not tested" in card
    assert all(len(row) == len(table[0]) for table in _tables(card) for row in table)
    if not training:
        assert "## Training\n\nUnknown." in card


def test_the_front_matter_is_what_the_hub_reads() -> None:
    known = _front_matter(_card({"datasets": ["owner/parts", "x\ny: z", 5]}, license="apache-2.0"))
    unknown = _front_matter(_card({}))

    assert known == {
        "license": "apache-2.0",
        "library_name": "pytorch",
        "pipeline_tag": "image-segmentation",
        "tags": ["anomaly-detection", "mamba", "safetensors", "mambaad"],
        "datasets": ["owner/parts"],
    }
    assert "datasets" not in unknown


def test_words_of_people_reach_neither_the_front_matter_nor_html_nor_a_row_of_their_own() -> None:
    training = {
        **RUN,
        **VERSION,
        "note": EVIL,
        "category": EVIL,
        "command": f"`` {EVIL}",
        "categories": {EVIL: 3},
        "held_out": {EVIL: 5},
        "before": {EVIL: {EVIL: 1.0}},
        "after": {EVIL: {EVIL: 2.0}},
        EVIL: {EVIL: {EVIL: [EVIL]}},
        "recipe": {EVIL: EVIL},
    }
    card = _card(training, names=(EVIL,), license=f"x\n---\nevil: 1\n{EVIL}")
    body = card.split("\n---\n\n", 1)[1]

    assert _front_matter(card).keys() == {"license", "library_name", "pipeline_tag", "tags"}
    made = {token.type for token in _tokens(body)}
    assert made.isdisjoint({"html_block", "hr", "bullet_list_open", "fence", "code_block"})
    assert all(_plain(token) for token in _tokens(body) if token.type == "inline" and token.content)
    assert "<script" not in body.replace(code(f"`` {EVIL}"), "")
    assert _table_under(card, "## Data")[1] == [" ".join(EVIL.replace("\u202e", " ").split()), "3", "5"]
    assert "\u202e" not in card


def _read(markdown: str) -> str:
    (row,) = _tables(f"| {markdown} |\n| --- |\n")[0]
    return row[0]


@given(st.text(min_size=1))
def test_any_words_read_in_a_table_as_they_were_written(words: str) -> None:
    shown = " ".join("".join(c if c.isprintable() else " " for c in words).split())

    assert _read(f"x{text(words)}x") == f"x{shown}x"


@given(st.text(alphabet=st.sampled_from("\\`*_[]|~$<>&;#!( )ab1\n"), min_size=1, max_size=12))
def test_marks_of_markdown_read_as_they_were_written(words: str) -> None:
    shown = " ".join(words.split())

    assert _read(f"x{text(words)}x") == f"x{shown}x"
    (inline,) = [token for token in _tokens(f"x {code(words)} x") if token.type == "inline"]
    if shown:
        assert [child.content.strip() for child in inline.children or [] if child.type == "code_inline"] == [
            shown
        ]


def test_names_of_parts_stay_readable_in_the_source() -> None:
    assert text("bottle_cap 2 (left)") == "bottle_cap 2 (left)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (True, "yes"),
        (12345, "12345"),
        (2186.93, "2187"),
        (43210.9, "43211"),
        (0.000123456, "0.0001235"),
        (float("inf"), "inf"),
        ([1, 2.5, "a"], "1, 2.5, a"),
        ([], "–"),
        ({}, "–"),
        ("", "–"),
    ],
)
def test_values_are_short(value: Any, shown: str) -> None:
    assert cell(value) == shown


def test_figures_of_two_levels_share_one_table_with_a_column_each() -> None:
    lines = nested_table({"gear": {"loss": 0.3}, "gasket": {"loss": 0.2, "images": 4}})

    assert _tables("\n".join(lines)) == [
        [["", "loss", "images"], ["gear", "0.3", "–"], ["gasket", "0.2", "4"]]
    ]


def test_deeper_figures_get_headings_and_plain_ones_come_first() -> None:
    lines = figures({"run": {"gear": {"scores": {"low": 1}}}, "seed": 3})

    assert _tables("\n".join(lines)) == [[["", ""], ["seed", "3"]], [["", "low"], ["scores", "1"]]]
    assert [line for line in lines if line.startswith("#")] == ["### run", "#### gear"]


def test_what_only_one_side_has_is_compared_with_nothing() -> None:
    rows = _tables("\n".join(comparison({"a": 1, "note": "x"}, {"a": 2, "b": True})))[0]

    assert rows[1:] == [["a", "1", "2", "+1"], ["note", "x", "–", "–"], ["b", "–", "yes", "–"]]
