"""What a pass costs."""

import torch

from mambaad_demo.models import DetectorConfig, build_detector
from mambaad_demo.pipeline.cost import measure_cost


def small(**options):
    torch.manual_seed(0)
    config = DetectorConfig(
        decoder_options={"dims": (64, 32, 16, 8), "depths": (2, 2, 2, 2), "directions": 2, **options},
        encoder_weights="random",
        input_side=64,
    )
    detector = build_detector(config)
    detector.kernel = "torch"
    return detector


def test_parameters_are_counted_and_the_pass_is_timed():
    detector = small()
    cost = measure_cost(detector, repeats=1)

    assert cost.parameters == sum(parameter.numel() for parameter in detector.parameters())
    assert cost.decoder_parameters == sum(parameter.numel() for parameter in detector.decoder.parameters())
    assert cost.milliseconds > 0
    assert set(cost.to_json()) == {
        "parameters", "decoder_parameters", "gmacs", "milliseconds", "peak_megabytes",
    }  # fmt: skip


def test_more_directions_cost_more_arithmetic_and_memory():
    few, many = measure_cost(small(), repeats=1), measure_cost(small(directions=8), repeats=1)

    assert many.gmacs > few.gmacs
    assert many.peak_megabytes > few.peak_megabytes > 64 * 64 * 3 * 4 / 2**20
