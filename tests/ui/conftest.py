"""Closes the event loops that Gradio opens for each `gr.Blocks` built outside a server."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _gradio_loops_are_closed() -> Iterator[None]:
    opened: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def remembered() -> asyncio.AbstractEventLoop:
        opened.append(new_event_loop())
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", remembered)
        yield
    for loop in opened:
        loop.close()
