"""A report as one HTML file that loads nothing, runs nothing and prints on A4.

Its policy allows pictures inside the file and the one style sheet whose hash it names.
"""

import hashlib
from base64 import b64encode

from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.version import __version__
from mambaad_demo.workflow.report import words
from mambaad_demo.workflow.report.contents import Report, ReportedPart
from mambaad_demo.workflow.report.sections import sheet_html, study_html
from mambaad_demo.workflow.report.templates import asset, render

SIGNERS = ("Prepared by", "Checked by", "Released by")


def report_html(report: Report) -> bytes:
    """The file."""
    style = asset("report.css")
    table = report.verdicts
    return render(
        "report.html",
        policy=content_security_policy(style),
        style=style,
        report=report,
        made_at=words.moment(report.made_at),
        version=__version__,
        limits=[
            {
                "category": limits.category,
                "check": f"{limits.check:#.4g}",
                "reject": f"{limits.reject:#.4g}",
                "check_rate": _rate(limits.check_rate),
                "reject_rate": _rate(limits.reject_rate),
                "good_parts": "not recorded" if limits.good_parts is None else limits.good_parts,
            }
            for limits in report.limits
        ],
        verdicts=[
            (verdict.value, [table.count(verdict, column) for column in table.columns], table.count(verdict))
            for verdict in Verdict
        ],
        totals=[table.count(column=column) for column in table.columns],
        false_rejects=words.share_text(table.false_rejects),
        escapes=words.share_text(table.escapes),
        parts=[_part(part) for part in report.parts],
        study=None if report.study is None else study_html(report.study),
        sheet=None if report.sheet is None else sheet_html(report.sheet),
        signers=SIGNERS,
    ).encode()


def content_security_policy(style: str) -> str:
    """What the file may load: nothing but data pictures and exactly this style sheet."""
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _part(part: ReportedPart) -> dict[str, object]:
    return {
        "name": part.name,
        "sha256": part.sha256,
        "verdict": part.verdict.value,
        "score": f"{part.score:#.3g}",
        "multiple": "no limits" if part.multiple is None else f"{part.multiple:.2f} × its limit",
        "finding": part.finding,
        "picture": None if part.thumbnail is None else b64encode(part.thumbnail).decode(),
    }


def _rate(rate: float | None) -> str:
    return "not recorded" if rate is None else f"{100 * rate:g} %"
