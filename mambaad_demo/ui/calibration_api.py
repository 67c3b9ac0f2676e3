"""What programs may call of limits: `/calibration`.

The components only describe the arguments and the answer; nobody sees them.
"""

from typing import Any

import gradio as gr

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage.limits import category_name
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import limit_trials
from mambaad_demo.ui.allowance import counted
from mambaad_demo.ui.desk import SOMEBODY, Desk
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import uploaded_path
from mambaad_demo.workflow import calibrating
from mambaad_demo.workflow.calibrating import Measured
from mambaad_demo.workflow.limit_overview import overview, overview_json, standing_limits

DESCRIPTION = (
    "Limits of a product under a checkpoint. Takes photos of good parts that it has not learned from (files, "
    "zip files, or none: the limits in force, or others from the same parts where rates are given), the name "
    "of a checkpoint (empty: the one promoted for the category, else the default one), a category, the "
    "shares of good parts to reject and to check or reject (0 to 1; 0: as in force, or 0.005 and 0.05 for "
    "photos), tiles along the longer side (0: as the checkpoint looks) and whether to put the limits in "
    "force, which judges stored results anew. Answers with limits, counts with exact 95 % intervals, how "
    "many more photos it takes to know the rate to ±1 %, a histogram and the past."
)


def build_calibration_api(desk: Desk) -> None:
    """Add the public endpoint to the surrounding Blocks.

    Args:
        desk: the store and the checkpoints.
    """
    with gr.Column(visible=False):
        files = gr.File(label="files", file_count="multiple")
        checkpoint, category = (gr.Textbox(label=label, value="") for label in ("checkpoint", "category"))
        reject_rate, check_rate = (gr.Number(0, label=label) for label in ("reject_rate", "check_rate"))
        tiles = gr.Number(0, label="tiles", precision=0)
        save = gr.Checkbox(label="save")
        result = gr.JSON(label="calibration")
        button = gr.Button()

    def calibration(
        request: gr.Request,
        files: list[dict[str, Any]] | None = None,
        checkpoint: str = "",
        category: str = "",
        reject_rate: float = 0,
        check_rate: float = 0,
        tiles: int = 0,
        save: bool = False,
    ) -> dict[str, Any]:
        with shown_to_user():
            workspace = desk.workspace(request)
            name = category_name(category)
            predictor = desk.catalog.predictor(checkpoint or desk.default_for(name))
            closeness = limit_trials.whole(tiles or 0) or predictor.checkpoint.config.tiles
            predictor = predictor.tiled(closeness)
            sent = [path for path in map(uploaded_path, files or []) if path is not None]
            if sent:
                rates = wanted_rates(reject_rate, check_rate) or DEFAULT_RATES
                steps = calibrating.measure_photos(predictor, sent, name, rates=rates)
                tried: Measured | None = calibrating.outcome(counted(steps, times=predictor.tiles**2))
            else:
                tried = replaced(workspace, predictor, name, reject_rate, check_rate)
            changed = None
            if save:
                if tried is None:
                    raise InputError("There is nothing to save. Send photos of good parts, or rates.")
                changed = calibrating.outcome(
                    calibrating.put_in_force(workspace, predictor, tried, actor=SOMEBODY)
                )
            seen = overview(workspace, predictor, name, None if save else tried)
            refused = () if tried is None else tried.refused
            return {
                **overview_json(seen),
                "refused": [{"file": file, "error": reason} for file, reason in refused],
                "notes": [] if tried is None else list(tried.notes),
                "saved": None if changed is None else changed.limits_id,
            }

    button.click(
        calibration,
        [files, checkpoint, category, reject_rate, check_rate, tiles, save],
        result,
        api_name="calibration",
        api_description=DESCRIPTION,
        preprocess=False,
        concurrency_id="calibrating",
        concurrency_limit=1,
    )


def wanted_rates(reject: object, check: object, *, standing: Rates | None = None) -> Rates | None:
    """The rates that are asked for; None where neither is.

    Args:
        standing: those in force, of which the one that is not given is taken as it is; without them it is
            the default one, moved as far as the other asks for.

    Raises:
        InputError: no shares between 0 and 1, or more rejected than checked.
    """
    shares = [limit_trials.number(value or 0) for value in (reject, check)]
    if not any(shares):
        return None
    if standing is None:
        rejected = shares[0] or min(DEFAULT_RATES.reject, shares[1])
        checked = shares[1] or max(DEFAULT_RATES.check, shares[0])
    else:
        rejected, checked = shares[0] or standing.reject, shares[1] or standing.check
        if not all(shares) and 0 < checked < rejected < 1:
            given, kept = ("reject", "check") if shares[0] else ("check", "reject")
            raise InputError(
                f"The {given} rate {max(shares):g} does not fit the {kept} rate in force, "
                f"{checked if kept == 'check' else rejected:g}: those above the check limit include the "
                "rejected ones. Give both rates."
            )
    return limit_trials.rates_of(100 * checked, 100 * rejected)


def replaced(
    workspace: Workspace, predictor: Predictor, category: str, reject: object, check: object
) -> Measured | None:
    """The good parts of the limits in force with limits that aim at other rates; None where none is given.

    Raises:
        InputError: there are none, or the rates make no sense.
    """
    standing = standing_limits(workspace, predictor, category)
    rates = wanted_rates(reject, check, standing=None if standing is None else standing.calibration.rates)
    if rates is None:
        return None
    if standing is None:
        raise InputError(f"{category!r} has no limits yet. Send photos of good parts.")
    return calibrating.placed(standing, rates)
