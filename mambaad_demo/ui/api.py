"""What programs may call: `/inspect`, `/compare` and `/health`, through `gradio_client` or plain HTTP.

The components only describe the arguments and answers; nobody sees them.
"""

from typing import Any

import gradio as gr
import torch

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline import overlay
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.comparison import Comparison
from mambaad_demo.ui.comparing import MOST_AT_ONCE, Comparer
from mambaad_demo.ui.inspection import Inspector, Photo, Question
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import download, uploaded_path
from mambaad_demo.workflow.service import Service

INSPECT_DESCRIPTION = (
    "Judge one picture of a part. Takes the file, the name of a checkpoint (empty: the default one) and a "
    "category (empty: the nearest one). Without a checkpoint the one promoted for the category is taken. "
    "Returns the result as JSON, in pixels of the upright original, and "
    "two files of at most 1600 pixels a side: the picture as JPEG and its heat map as PNG with transparency."
)
COMPARE_DESCRIPTION = (
    "Judge one picture of a part with several checkpoints, each at the same false-reject rate. Takes the "
    "file, up to three names of checkpoints with commas between them (empty: the first three) and a "
    "category (empty: the one that the first checkpoint suggests). Returns results, votes and costs as "
    "JSON, and files of at most 1600 pixels a side: the picture, where the checkpoints disagree, and the "
    "heat map of each."
)
HEALTH_DESCRIPTION = (
    "Versions, checkpoints, and for the default one: device, kernel and the result of its self-test. "
    "Under `installation` what `doctor --json` says, with the checkpoints as they are here; under `service` "
    "queue, disk, retention and uptime."
)


def build_api(inspector: Inspector, comparer: Comparer, service: Service) -> None:
    """Add the public endpoints to the surrounding Blocks."""
    with gr.Column(visible=False):
        file = gr.File(label="file")
        checkpoint = gr.Textbox(label="checkpoint", value="")
        category = gr.Textbox(label="category", value="")
        result = gr.JSON(label="result")
        pictures = gr.File(label="preview and heat map", file_count="multiple")
        health_report = gr.JSON(label="health")
        checkpoints = gr.Textbox(label="checkpoints", value="")
        comparison_result = gr.JSON(label="comparison")
        inspect_button, compare_button, health_button = gr.Button(), gr.Button(), gr.Button()

    def inspect(
        file: dict[str, Any] | None, checkpoint: str = "", category: str = ""
    ) -> tuple[dict[str, Any], list[str]]:
        with shown_to_user():
            question = Question(
                source=_photo(file),
                checkpoint=checkpoint or inspector.default_for(category),
                category=category or None,
            )
            prediction = inspector.inspect(question).prediction
            files = {
                "preview.jpg": overlay.preview_jpeg(prediction),
                "heat.png": overlay.heat_png(prediction),
            }
            cache = pictures.GRADIO_CACHE
            return prediction.to_json(), [download(data, name, cache) for name, data in files.items()]

    def compare(
        file: dict[str, Any] | None, checkpoints: str = "", category: str = ""
    ) -> tuple[dict[str, Any], list[str]]:
        with shown_to_user():
            names = [name.strip() for name in checkpoints.split(",") if name.strip()]
            names = names or list(inspector.catalog.names()[:MOST_AT_ONCE])
            predictions = tuple(comparer.predictions(_photo(file), names, category or None))
            comparison = Comparison(predictions=predictions, rates=DEFAULT_RATES)
            files = {
                "preview.jpg": overlay.preview_jpeg(predictions[0]),
                "disagreement.png": overlay.levels_png(comparison.disagreement()),
                **{f"heat-{number}.png": overlay.heat_png(p) for number, p in enumerate(predictions, 1)},
            }
            costs = [cost.to_json() for cost in comparer.costs(names)]
            cache = pictures.GRADIO_CACHE
            return comparison.to_json() | {"costs": costs}, [
                download(data, name, cache) for name, data in files.items()
            ]

    def health() -> dict[str, Any]:
        with shown_to_user():
            return health_facts(inspector, service)

    inspect_button.click(
        inspect,
        [file, checkpoint, category],
        [result, pictures],
        api_name="inspect",
        api_description=INSPECT_DESCRIPTION,
        preprocess=False,
        **MODEL_LANE,
    )
    compare_button.click(
        compare,
        [file, checkpoints, category],
        [comparison_result, pictures],
        api_name="compare",
        api_description=COMPARE_DESCRIPTION,
        preprocess=False,
        **MODEL_LANE,
    )
    health_button.click(
        health, None, health_report, api_name="health", api_description=HEALTH_DESCRIPTION, queue=False
    )


def health_facts(inspector: Inspector, service: Service) -> dict[str, Any]:
    """What runs here, for people who operate it; the default checkpoint is loaded if it is not yet.

    Raises:
        CheckpointError: there is no checkpoint, or the default one cannot be loaded.
    """
    predictor = inspector.catalog.predictor(inspector.default_for(None))
    health = service.health()
    one = next(one for one in health.checkpoints if one.name == predictor.checkpoint.name)
    return {
        "version": health.version,
        "python": health.python,
        "torch": torch.__version__,
        "gradio": gr.__version__,
        "checkpoints": list(inspector.catalog.names()),
        "checkpoint": one.name,
        "checkpoint_sha256": one.sha256,
        "device": predictor.device,
        "precision": predictor.precision,
        "kernel": predictor.kernel,
        "self_test": {
            "passed": one.passed,
            "largest_difference": one.largest_difference,
            "tolerance": one.tolerance,
        },
        "installation": health.to_json(),
        "service": service.facts().to_json(),
    }


def _photo(file: dict[str, Any] | None) -> Photo:
    path = uploaded_path(file)
    if path is None:
        raise InputError("Send a picture of a part.")
    return Photo(path)
