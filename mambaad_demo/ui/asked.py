"""Whether somebody waits for what is computed."""

from gradio.context import LocalContext


def by_visitor() -> bool:
    """Whether this runs for a request of a visitor; not so in batches and before the server serves."""
    return LocalContext.request.get(None) is not None
