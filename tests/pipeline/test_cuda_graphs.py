"""Recorded passes: a stand-in records where there is no GPU; the recording itself needs one."""

import warnings

import pytest
import torch

from mambaad_demo.pipeline import cuda_graphs
from mambaad_demo.pipeline.cuda_graphs import SIZES, GraphedPass, record
from mambaad_demo.pipeline.inference import DetectorRunner, ModelInput


@pytest.fixture(autouse=True)
def _nothing_failed_yet():
    cuda_graphs._failed.clear()
    yield
    cuda_graphs._failed.clear()


def compute(images):
    return images.flatten(1).cumsum(1)


class Recorder:
    """Replays by calling the pass again into one result that every replay overwrites, as a GPU graph does."""

    def __init__(self, error=0.0):
        self.shapes = []
        self.error = error

    def __call__(self, function, example):
        self.shapes.append(tuple(example.shape))
        batch, result = example.clone(), function(example) * 0

        def replay(images):
            batch.copy_(images)
            return result.copy_(function(batch) * (1 + self.error))

        return replay


def images(count, seed=0):
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 20])
def test_a_batch_of_any_size_gives_what_the_plain_pass_gives(count):
    graphed = GraphedPass(compute, recorder=Recorder())

    for seed in range(3):
        torch.testing.assert_close(graphed(images(count, seed)), compute(images(count, seed)))


def test_a_size_is_recorded_once_and_smaller_batches_are_filled_up():
    recorder = Recorder()
    graphed = GraphedPass(compute, recorder=recorder)

    for count in (3, 4, 3, 1):
        graphed(images(count))

    assert recorder.shapes == [(4, 3, 4, 4), (1, 3, 4, 4)]


def test_batches_beyond_the_largest_size_are_never_recorded():
    recorder = Recorder()

    GraphedPass(compute, recorder=recorder)(images(SIZES[-1] + 1))

    assert recorder.shapes == []


def test_another_image_size_gets_a_recording_of_its_own():
    recorder = Recorder()
    graphed = GraphedPass(compute, recorder=recorder)

    graphed(torch.ones(1, 3, 4, 4))
    torch.testing.assert_close(graphed(torch.ones(1, 3, 6, 6)), compute(torch.ones(1, 3, 6, 6)))

    assert len(recorder.shapes) == 2


@pytest.mark.parametrize("error", [1e-3, float("nan")])
def test_after_a_replay_that_differs_nothing_is_recorded_any_more_in_this_process(error):
    graphed = GraphedPass(compute, recorder=Recorder(error))

    with pytest.warns(RuntimeWarning, match="differs from the plain pass"):
        first = graphed(images(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = graphed(images(2))
        GraphedPass(compute, recorder=Recorder(error))(images(1))

    assert torch.equal(first, compute(images(1)))
    assert torch.equal(second, compute(images(2)))


def test_a_recording_that_fails_leaves_the_plain_pass():
    def failing(function, example):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.warns(
        RuntimeWarning, match=r"not used: recording failed \(operation not permitted .*capturing\)"
    ):
        result = GraphedPass(compute, recorder=failing)(images(2))

    assert torch.equal(result, compute(images(2)))


def test_a_batch_whose_result_is_not_finite_is_returned_and_recorded_another_time():
    recorder = Recorder()
    graphed = GraphedPass(compute, recorder=recorder)

    assert graphed(images(1) * float("nan")).isnan().all()
    assert recorder.shapes == []
    graphed(images(1))
    assert recorder.shapes == [(1, 3, 4, 4)]


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_gpu
def test_a_pass_that_waits_for_the_gpu_is_not_recorded_and_harms_nothing():
    def waiting(batch):
        return compute(batch) * float(batch.flatten()[0].item() > -1)

    batch = images(1).cuda()
    with pytest.warns(RuntimeWarning, match="recording failed"):
        result = GraphedPass(waiting)(batch)

    torch.testing.assert_close(result, compute(batch))
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert torch.ones(3, device="cuda").sum().item() == 3


@needs_gpu
def test_the_detector_itself_is_recorded(tiny_detector):
    runner = DetectorRunner(tiny_detector.cuda())
    side = tiny_detector.side
    pixels = torch.rand(side, side, 3).numpy()
    for _ in range(2):
        runner([ModelInput.from_pixels(pixels, side=side, resize="square")])
    assert runner._pass._recordings


@needs_gpu
def test_a_graph_on_the_gpu_gives_what_the_plain_pass_gives():
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        graphed = GraphedPass(compute, recorder=record)
        for count in (1, 3, 8):
            batch = images(count, seed=count).cuda()
            torch.testing.assert_close(graphed(batch), compute(batch))
