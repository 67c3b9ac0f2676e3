"""The model thread: one thread computes, in order, for whoever asks."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mambaad_demo.pipeline import model_thread


def test_every_caller_computes_on_the_same_other_thread():
    with ThreadPoolExecutor(4) as callers:
        threads = set(callers.map(lambda _: model_thread.run(threading.get_ident), range(8)))

    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_calls_run_in_the_order_they_came():
    order = []
    last = [model_thread.submit(order.append, number) for number in range(20)][-1]

    last.result()

    assert order == list(range(20))


def test_a_call_from_the_model_thread_does_not_wait_for_itself():
    assert model_thread.run(lambda: model_thread.run(lambda: "inner")) == "inner"


def test_an_error_reaches_the_caller_and_the_next_call_still_runs():
    with pytest.raises(ZeroDivisionError):
        model_thread.run(lambda: 1 / 0)

    assert model_thread.run(sum, (1, 2)) == 3


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_model_thread_of_its_own():
    model_thread.run(int)
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=lambda: answer.put(model_thread.run(lambda: "computed")))

    child.start()
    child.join(timeout=60)

    assert child.exitcode == 0
    assert answer.get() == "computed"
