"""HTML fragments from Jinja templates with autoescaping: the only way user text gets into markup.

Gradio's own `{{…}}` in `gr.HTML(html_template=…)` is not used for such text: it pastes the escaped text
into a JavaScript template literal and evaluates it, so a file called `${alert(1)}.png` would run. What is
rendered here reaches `gr.HTML` as a finished value instead, which is inserted as it stands.
"""

from functools import cache

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from mambaad_demo.ui.assets import text


@cache
def template(name: str) -> Template:
    """A compiled template from the assets; unknown names inside it are errors."""
    environment = Environment(
        loader=FunctionLoader(text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def render(name: str, **values: object) -> str:
    """Fill a template; every value is escaped."""
    return template(name).render(**values)
