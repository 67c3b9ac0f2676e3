"""ZeroGPU, with a stand-in for the package of the Space: a process forked for each call, fed by pickle."""

import logging
import multiprocessing
import os
import pickle
import sys
from contextvars import ContextVar
from types import SimpleNamespace

import numpy as np
import pytest

from mambaad_demo.errors import NonFiniteMapError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.inference import DetectorRunner
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.zero_gpu import NO_GPU_NOTE, SECONDS, ZeroGpu

request = ContextVar("request", default=None)


class Lender:
    """What `spaces.GPU` does to a function; remembers what it was asked for."""

    def __init__(self):
        self.refuses = None
        self.seconds = None
        self.requests = []

    def __call__(self, function, *, duration):
        self.seconds = duration

        def call(*args):
            self.requests.append(request.get())
            if self.refuses is not None:
                raise self.refuses
            sent = pickle.dumps(args)
            context = multiprocessing.get_context("fork")
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=lambda: sender.send_bytes(_answer(function, sent)))
            child.start()
            answer = pickle.loads(receiver.recv_bytes())  # noqa: S301 - our own
            child.join()
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def _answer(function, sent):
    try:
        return pickle.dumps(function(*pickle.loads(sent)))  # noqa: S301 - our own
    except Exception as error:
        return pickle.dumps(error)


@pytest.fixture
def lender(monkeypatch):
    lender = Lender()
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lender))
    return lender


@pytest.fixture
def opened(tiny_checkpoint):
    """Opens the checkpoint; its answers say which process they come from."""

    class Here(DetectorRunner):
        def __call__(self, inputs):
            return super().__call__(inputs).with_note(f"process {os.getpid()}")

    def open_(name):
        predictor = Predictor.from_checkpoint(tiny_checkpoint.parent / name, device="cpu", kernel="torch")
        return Here(predictor.checkpoint.detector)

    return open_


@pytest.fixture
def predictor(lender, opened, tiny_checkpoint):
    catalog = Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch", zero_gpu=ZeroGpu(opened))
    return catalog.predictor("tiny")


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 256, (80, 96, 3), dtype=np.uint8)


pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_maps_come_from_the_process_with_the_gpu_and_are_those_of_the_cpu(
    predictor, picture, tiny_checkpoint
):
    lent = predictor.predict(picture)
    own = Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch").predict(picture)

    (process,) = [note for note in lent.notes if note.startswith("process")]
    assert process != f"process {os.getpid()}"
    np.testing.assert_allclose(lent.anomaly_map, own.anomaly_map, atol=1e-5)
    assert (lent.category, lent.verdict) == (own.category, own.verdict)


def test_the_space_learns_whose_request_it_is_from_the_model_thread_too(predictor, lender, picture):
    request.set("of a visitor")

    model_thread.run(predictor.predict, picture)

    assert lender.requests == ["of a visitor"]
    assert lender.seconds == SECONDS


def test_without_a_gpu_the_cpu_computes_and_the_result_says_so(predictor, lender, picture, caplog):
    lender.refuses = RuntimeError("You have used up your GPU minutes")

    with caplog.at_level(logging.WARNING):
        prediction = predictor.predict(picture)

    assert NO_GPU_NOTE in prediction.notes
    assert np.isfinite(prediction.anomaly_map).all()
    assert "used up" in caplog.text


def test_a_network_that_gives_nonsense_there_is_not_asked_again_here(predictor, lender, picture):
    lender.refuses = NonFiniteMapError("The network returned NaN.")

    with pytest.raises(NonFiniteMapError):
        predictor.predict(picture)


def test_a_batch_goes_over_in_one_call(predictor, lender, picture):
    predictions = predictor.predict_batch([picture, picture[::-1].copy()])

    assert len(lender.requests) == 1
    assert not np.array_equal(predictions[0].anomaly_map, predictions[1].anomaly_map)
