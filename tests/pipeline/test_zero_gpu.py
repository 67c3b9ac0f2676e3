"""ZeroGPU, with a stand-in for the package of the Space: a process forked for each call, fed by pickle.

The stand-in passes on errors as that package does: of those in the process nothing but the name of the class
arrives, unless they are Gradio's own, and refusals are Gradio's errors.
"""

import logging
import multiprocessing
import os
import pickle
import sys
from contextvars import ContextVar
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from mambaad_demo.errors import CheckpointMismatchError, DemoError, NonFiniteMapError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.inference import DetectorRunner
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.zero_gpu import NO_GPU_NOTE, PATIENCE, PAUSE, SECONDS, ZeroGpu

request = ContextVar("request", default=None)

NO_MINUTES = gr.Error(
    "You have exceeded your free ZeroGPU quota (30s requested vs. 0s left). Try again in 11:59:59. ",
    title="ZeroGPU quota exceeded",
    print_exception=False,
)
NO_GPU = gr.Error(
    "No GPU was available after 60s. Try re-running outside of examples if it happened after clicking one",
    title="ZeroGPU quota exceeded",
    print_exception=False,
)


class Lender:
    """What `spaces.GPU` does to a function; remembers what it was asked for."""

    def __init__(self):
        self.now = 0.0
        self.refuses = None
        self.refuses_after = 0.0
        self.seconds = None
        self.requests = []

    def __call__(self, function, *, duration):
        self.seconds = duration

        def call(*args):
            self.requests.append(request.get())
            if self.refuses is not None:
                self.now += self.refuses_after
                raise self.refuses
            sent = pickle.dumps(args)
            context = multiprocessing.get_context("fork")
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=lambda: sender.send_bytes(_answer(function, sent)))
            child.start()
            is_value, answer = pickle.loads(receiver.recv_bytes())  # noqa: S301 - our own
            child.join()
            if is_value:
                return answer
            raise gr.Error(answer, title="ZeroGPU worker error", print_exception=False)

        return call


def _answer(function, sent):
    try:
        return pickle.dumps((True, function(*pickle.loads(sent))))  # noqa: S301 - our own
    except Exception as error:
        return pickle.dumps((False, type(error).__name__))


@pytest.fixture
def lender(monkeypatch):
    lender = Lender()
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lender))
    return lender


@pytest.fixture
def failures():
    """What the process with the GPU fails with."""
    return []


@pytest.fixture
def opened(tiny_checkpoint, failures):
    """Opens the checkpoint; its answers say which process they come from, unless it fails there."""

    class Here(DetectorRunner):
        def __call__(self, inputs):
            if failures:
                raise failures[0]
            return super().__call__(inputs).with_note(f"process {os.getpid()}")

    def open_(name):
        predictor = Predictor.from_checkpoint(tiny_checkpoint.parent / name, device="cpu", kernel="torch")
        return Here(predictor.checkpoint.detector)

    return open_


@pytest.fixture
def visitor():
    """Who waits while the test runs."""
    token = request.set("of a visitor")
    yield "of a visitor"
    request.reset(token)


@pytest.fixture
def predictor(lender, opened, tiny_checkpoint):
    zero_gpu = ZeroGpu(opened, is_asked=lambda: request.get() is not None, clock=lambda: lender.now)
    catalog = Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch", zero_gpu=zero_gpu)
    return catalog.predictor("tiny")


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 256, (80, 96, 3), dtype=np.uint8)


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.usefixtures("visitor"),
]


def test_maps_come_from_the_process_with_the_gpu_and_are_those_of_the_cpu(
    predictor, picture, tiny_checkpoint
):
    lent = predictor.predict(picture)
    own = Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch").predict(picture)

    (process,) = [note for note in lent.notes if note.startswith("process")]
    assert process != f"process {os.getpid()}"
    np.testing.assert_allclose(lent.anomaly_map, own.anomaly_map, atol=1e-5)
    assert (lent.category, lent.verdict) == (own.category, own.verdict)


def test_the_space_learns_whose_request_it_is_from_the_model_thread_too(predictor, lender, picture, visitor):
    model_thread.run(predictor.predict, picture)

    assert lender.requests == [visitor]
    assert lender.seconds == SECONDS


def test_without_a_gpu_the_cpu_computes_and_the_result_says_so(predictor, lender, picture, caplog):
    lender.refuses = NO_MINUTES

    with caplog.at_level(logging.WARNING):
        prediction = predictor.predict(picture)

    assert NO_GPU_NOTE in prediction.notes
    assert np.isfinite(prediction.anomaly_map).all()
    assert "exceeded your free ZeroGPU quota" in caplog.text


def test_a_gpu_that_fails_is_replaced_by_the_cpu(predictor, failures, picture, caplog):
    failures.append(RuntimeError("CUDA error: out of memory"))

    with caplog.at_level(logging.WARNING):
        prediction = predictor.predict(picture)

    assert NO_GPU_NOTE in prediction.notes
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        NonFiniteMapError("The network returned NaN."),
        CheckpointMismatchError("Keys differ.", decoder="mambaad", missing=["a.weight"]),
    ],
)
def test_what_is_wrong_there_is_told_in_our_words_and_not_asked_again_here(
    predictor, failures, picture, error
):
    failures.append(error)

    with pytest.raises(DemoError) as refusal:
        predictor.predict(picture)

    assert type(refusal.value) is type(error)
    assert (str(refusal.value), vars(refusal.value)) == (str(error), vars(error))


def test_after_waiting_in_vain_nobody_waits_again_for_some_minutes(predictor, lender, picture):
    lender.refuses, lender.refuses_after = NO_GPU, PATIENCE + 1

    first = predictor.predict(picture)
    lender.now += PAUSE - 1
    second = predictor.predict(picture)

    assert [NO_GPU_NOTE in answer.notes for answer in (first, second)] == [True, True]
    assert len(lender.requests) == 1
    lender.refuses = None
    lender.now += 2
    assert NO_GPU_NOTE not in predictor.predict(picture).notes
    assert len(lender.requests) == 2


def test_one_whose_minutes_are_used_up_does_not_keep_the_gpu_from_the_next(predictor, lender, picture):
    lender.refuses = NO_MINUTES
    predictor.predict(picture)
    lender.refuses = None

    assert NO_GPU_NOTE not in predictor.predict(picture).notes


def test_what_no_visitor_waits_for_is_computed_here_at_once(predictor, lender, picture):
    token = request.set(None)
    prediction = predictor.predict(picture)
    request.reset(token)

    assert lender.requests == []
    assert NO_GPU_NOTE not in prediction.notes
    assert prediction.device == "cpu"


def test_several_pictures_go_over_in_one_call(predictor, lender, picture):
    predictions = predictor.predict_batch([picture, picture[::-1].copy()])

    assert len(lender.requests) == 1
    assert not np.array_equal(predictions[0].anomaly_map, predictions[1].anomaly_map)
