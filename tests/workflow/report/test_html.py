"""The HTML file: what it holds, and what it lets nobody do."""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import replace

import pytest

from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.storage import jobs
from mambaad_demo.storage.jobs import Refused
from mambaad_demo.workflow.report.contents import batch_report, study_report
from mambaad_demo.workflow.report.html import report_html
from mambaad_demo.workflow.report.sections import sheet_html, study_html
from mambaad_demo.workflow.studies.appraisers import msa_sheet
from mambaad_demo.workflow.studies.attribute_msa import attribute_msa
from mambaad_demo.workflow.studies.variations import Variation
from tests.storage.parts import VERSION, judged
from tests.workflow.report.markup import Document
from tests.workflow.studies.line import BAD, LIMITS, part, spec, study
from tests.workflow.studies.test_attribute_msa import MIRA, REFERENCES, appraiser

HOSTILE = "</style></title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>${alert(1)}{{7*7}}"
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "section", "p", "h1", "h2", "h3",
    "dl", "dt", "dd", "div", "table", "thead", "tbody", "tr", "th", "td", "span", "b", "ul", "li", "img",
    "svg", "line", "circle", "text", "details", "summary",
}  # fmt: skip


@pytest.fixture
def study_file(line):
    found = study(
        part(0.5, 0.9, name=HOSTILE, alone=dict.fromkeys(Variation, 0.7)),
        part(1.5, 1.6, name="bad", reference=BAD, alone=dict.fromkeys(Variation, 1.7)),
        spec=spec(product=HOSTILE, checkpoint=HOSTILE),
        category=HOSTILE,
        refused=((HOSTILE, HOSTILE),),
    )
    sheet = attribute_msa(REFERENCES, [MIRA, replace(MIRA, name=HOSTILE)])
    return report_html(study_report(line.workspace, found, sheet))


@pytest.fixture
def batch_file(line):
    job_id = jobs.create_job(line.workspace, kind=jobs.BATCH, name=HOSTILE, spec={}, actor="mira")
    items = [
        judged(1, name=HOSTILE, product=HOSTILE, image_score=0.9, verdict=LIMITS.verdict(0.9)),
        Refused(name="=" + HOSTILE, error=HOSTILE),
    ]
    jobs.add_items(line.workspace, job_id, list(enumerate(items)), version=VERSION, tiles=1)
    return report_html(batch_report(line.workspace, job_id))


@pytest.fixture(params=["study_file", "batch_file"])
def file(request):
    return request.getfixturevalue(request.param)


def test_hostile_names_stay_text(file):
    document = Document(file)
    assert document.tags <= ELEMENTS
    assert "<script>alert(1)</script>" in document.text
    names = {name for _, attributes in document.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert {attributes["src"][:23] for attributes in document.attributes("img")} <= {
        "data:image/jpeg;base64,"
    }
    assert "{{7*7}}" in document.text


def test_the_policy_allows_nothing_but_data_pictures_and_the_one_style_sheet(file):
    document = Document(file)
    (policy,) = [
        attributes["content"]
        for attributes in document.attributes("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = document.styles
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "unsafe" not in policy


def test_the_policy_comes_before_anything_it_governs(file):
    assert file.index(b"Content-Security-Policy") < file.index(b"<style>")


def test_nothing_is_loaded_and_no_style_stands_in_an_attribute(file):
    document = Document(file)
    names = {name for _, attributes in document.elements for name in attributes}
    assert not names & {"style", "href", "srcset", "action", "background", "formaction", "xlink:href"}
    assert not re.search(r"url\(|@import", document.styles[0])


def test_the_file_holds_what_an_auditor_looks_for(study_file):
    text = Document(study_file).text
    for needed in (
        VERSION.sha256,
        VERSION.calibration_sha256,
        "tf_efficientnet_lite0",
        "kernel torch",
        "Limits in force",
        "0.5000",
        "Repeatability",
        "Attribute agreement (MSA)",
        "What this rests on",
        "What it does not show",
        "Prepared by",
        "Signature",
    ):
        assert needed in text


def test_pages_are_numbered_on_a4(file):
    (style,) = Document(file).styles
    assert "size: A4" in style
    assert "counter(page)" in style
    assert "counter(pages)" in style


def test_thumbnails_are_inside_the_file(batch_file):
    (picture,) = Document(batch_file).attributes("img")
    assert b64decode(picture["src"].removeprefix("data:image/jpeg;base64,")).startswith(b"\xff\xd8")


def test_how_many_parts_are_not_shown_is_said(line):
    found = study(part(0.5, 0.9))
    report = replace(study_report(line.workspace, found, msa_sheet(line.workspace, found)), more_parts=12)
    assert "12 more are not shown" in Document(report_html(report)).text


def test_figures_of_the_study_stand_in_its_section():
    found = study(
        part(0.4, 0.6, name="one", alone=dict.fromkeys(Variation, 0.5)),
        part(0.9, 1.1, name="two", reference=BAD, alone=dict.fromkeys(Variation, 1.1)),
    )
    text = Document(study_html(found)).text
    assert "50.0 % (1.3 to 98.7), 1 of 2" in text  # binomtest(1, 2)
    assert "0.141 (0.074 to 0.889)" in text  # sqrt(0.04 / 2), chi-square with 2 degrees
    assert "0.40 to 0.60" in text
    assert "1 check, 1 reject" in text
    assert "up to 1 degree either way" in text
    assert "+0.150" in text


def test_dots_stand_on_the_side_of_the_limit_that_their_verdict_says():
    document = Document(study_html(study(part(0.5, 0.9, 1.5), part(40.0, 0.0, reference=BAD))))
    lines = [float(found["x1"]) for found in document.attributes("line") if found["x1"] == found["x2"]]
    check, reject = lines[0], lines[1]
    dots = [(float(found["cx"]), found["fill"]) for found in document.attributes("circle")]
    colors = {Verdict.ACCEPT: "#15803d", Verdict.CHECK: "#b7791f", Verdict.REJECT: "#c81e1e"}
    for x, color in dots:
        verdict = Verdict.ACCEPT if x < check else Verdict.CHECK if x < reject else Verdict.REJECT
        assert color == colors[verdict]
        assert 0 <= x <= 220


def test_figures_of_the_sheet_stand_in_its_section():
    text = Document(sheet_html(attribute_msa(REFERENCES, [MIRA]))).text
    assert "4 good and 2 defective parts" in text
    assert "1 of 4" in text
    assert "183 defective parts without an error show it" in text
    assert "Nobody else decided on these parts" in text


def test_a_band_is_colored_only_where_it_is_shown():
    perfect = appraiser("perfect", is_person=False, g1="g")
    few = sheet_html(attribute_msa(REFERENCES, [perfect]))
    assert 'class="band"' in few
    assert 'class="band acceptable"' not in few
    many = {f"g{number}": REFERENCES["g1"] for number in range(200)}
    shown = sheet_html(
        attribute_msa(many, [appraiser("perfect", is_person=False, **dict.fromkeys(many, "g"))])
    )
    assert 'class="band acceptable"' in shown


def test_no_report_speaks_of_nan(file):
    assert not re.search(r"\bnan\b|\binf\b|None", Document(file).text)
