"""What is sent to the Hub, and what became of it, as HTML."""

from mambaad_demo.hub.publishing import Published, PushPlan
from mambaad_demo.ui.templates import render

_MOST_FILES = 20


def plan_html(plan: PushPlan, *, is_changed: bool) -> str:
    """Where to, who may see it, and the files with size and hash.

    Args:
        plan: not sent yet.
        is_changed: whether something else was shown before.
    """
    return render(
        "publish_plan.html",
        plan=plan,
        is_changed=is_changed,
        files=plan.files[:_MOST_FILES],
        more=max(0, len(plan.files) - _MOST_FILES),
    )


def sent_html(published: Published, plan: PushPlan) -> str:
    """Where it is now."""
    return render("publish_sent.html", published=published, plan=plan)


def refused_html(problem: str) -> str:
    """Why nothing was sent."""
    return render("publish_refused.html", problem=problem)


def whose_html(words: str) -> str:
    """In whose name something is sent."""
    return render("publish_whose.html", words=words)
