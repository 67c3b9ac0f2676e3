"""A study and its agreement sheet as HTML fragments, the same ones in a report and on the page."""

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.workflow.report import words
from mambaad_demo.workflow.report.strips import WIDTH, scale_of
from mambaad_demo.workflow.report.templates import render
from mambaad_demo.workflow.studies.acceptance import judgements
from mambaad_demo.workflow.studies.analysis import effects, scatter, steady, straddled
from mambaad_demo.workflow.studies.attribute_msa import Sheet
from mambaad_demo.workflow.studies.study import PartResult, Study
from mambaad_demo.workflow.studies.variations import BOUNDS


def study_html(study: Study) -> str:
    """What a study says: over all, part by part, variation by variation."""
    scale = scale_of(study.parts)
    kinds = {
        finding: [part for part in study.parts if part.reference.finding is finding]
        for finding in (Finding.GOOD, Finding.DEFECT)
    }
    return render(
        "study_section.html",
        shots=words.shots(study.spec),
        totals=[
            {
                "parts": name,
                "count": len(parts),
                "steady": words.share_text(steady(parts)),
                "scatter": words.scatter_text(scatter(parts)),
                "check": sum("check" in straddled(part) for part in parts),
                "reject": sum("reject" in straddled(part) for part in parts),
            }
            for name, parts in (
                ("all", study.parts),
                ("good", kinds[Finding.GOOD]),
                ("defective", kinds[Finding.DEFECT]),
            )
        ],
        width=WIDTH,
        ticks=scale.ticks,
        parts=[{**_part(part), "strip": scale.strip(part)} for part in study.parts],
        effects=[
            {
                "name": effect.variation.value,
                "bounds": BOUNDS[effect.variation],
                "mean_size": f"{effect.mean_size:.3f}",
                "mean": words.signed(effect.mean),
                "largest": f"{effect.largest:.3f}",
                "changed": f"{effect.verdicts_changed} of {effect.parts}",
            }
            for effect in effects(study.parts)
        ],
        refused=study.refused,
    )


def sheet_html(sheet: Sheet) -> str:
    """The attribute agreement analysis."""
    return render(
        "sheet_section.html",
        good=sheet.good,
        defective=sheet.defective,
        from_golden_set=sheet.from_golden_set,
        appraisals=[
            {
                "name": appraisal.name,
                "kind": "person" if appraisal.is_person else "checkpoint",
                "parts": appraisal.parts,
                "looks": appraisal.looks,
                "own": appraisal.own,
                "measures": [
                    None
                    if share is None
                    else {
                        "value": words.percent(share.value),
                        "span": words.span(share),
                        "count": f"{share.count} of {share.total}",
                    }
                    for share in (
                        appraisal.within,
                        appraisal.effectiveness,
                        appraisal.miss,
                        appraisal.false_alarm,
                        appraisal.undecided,
                    )
                ],
                "kappa": _kappa(appraisal.kappa),
            }
            for appraisal in sheet.appraisals
        ],
        judgements=[
            {
                "name": appraisal.name,
                "criterion": judgement.criterion.name,
                "value": words.percent(judgement.share.value),
                "band": words.BANDS[judgement.estimate],
                "is_shown": judgement.is_shown,
                "text": words.judgement_text(judgement),
            }
            for appraisal in sheet.appraisals
            for judgement in judgements(appraisal)
        ],
        several=len(sheet.appraisals) > 1,
        common=sheet.common,
        between=words.share_text(sheet.between),
        system=words.share_text(sheet.system),
        fleiss=_kappa(sheet.fleiss),
        bounds=words.bounds_text(),
        notes=(words.HOW_COUNTED, words.HOW_UNDECIDED_COUNTS),
    )


def _part(part: PartResult) -> dict[str, object]:
    multiples = part.multiples
    return {
        "name": part.name,
        "finding": part.reference.finding.value,
        "range": f"{min(multiples):.2f} to {max(multiples):.2f}",
        "verdicts": ", ".join(
            f"{part.verdicts[verdict]} {verdict.value}" for verdict in Verdict if part.verdicts[verdict]
        ),
        "changed": part.changed,
    }


def _kappa(kappa: float | None) -> str:
    return "undefined" if kappa is None else f"{kappa:.2f}"
