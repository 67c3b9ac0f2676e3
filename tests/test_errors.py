"""Errors of this project pass from one process to another."""

import pickle

import pytest

from mambaad_demo import errors
from mambaad_demo.errors import CheckpointMismatchError, DemoError, DivergedError

PLAIN = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, DemoError)
    and kind not in (CheckpointMismatchError, DivergedError)
]


@pytest.mark.parametrize(
    "error",
    [
        *(kind("What happened. What to do.") for kind in PLAIN),
        CheckpointMismatchError("Keys differ.", decoder="mambaad", missing=["a"], unexpected=["b"]),
        DivergedError(step=7, learning_rate=0.1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_as_it_was_sent(error):
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert type(arrived) is type(error)
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))
