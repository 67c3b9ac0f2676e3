"""HTML fragments from Jinja templates with autoescaping: the only way user text gets into markup.

Gradio's own `{{…}}` in `gr.HTML(html_template=…)` is not used for such text: it pastes the escaped text
into a JavaScript template literal and evaluates it, so a file called `${alert(1)}.png` would run. What is
rendered here reaches `gr.HTML` as a finished value instead, which is inserted as it stands.
"""

from mambaad_demo.workflow.report.templates import environment


def render(name: str, **values: object) -> str:
    """Fill a template; every value is escaped."""
    return environment("mambaad_demo.ui").get_template(name).render(**values)
