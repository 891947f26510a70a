"""From a template to a page that needs nothing but itself."""

import base64
import hashlib
from pathlib import Path

import jinja2

from autospec.report import words
from autospec.tables import atomic_path
from autospec.text import counted


def write_page(output: str | Path, template: str | Path, script: str, **context) -> None:
    """Render a template that needs nothing but itself.

    Parameters
    ----------
    output : path
        The HTML file to write, whole or not at all.
    template : path
        The Jinja template. It gets `style` and `script`, the text of `style.css` and of `script` beside it, and
        `policy`: nothing may be fetched, and no script but that one may run.
    script : str
        Name of the script.
    **context
        What else the template gets.
    """
    template = Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": words.number, "p": words.p, "words": words.words, "interval": words.interval}
    environment.globals["counted"] = counted
    code = (template.parent / script).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    page = environment.get_template(template.name).render(
        style=(template.parent / "style.css").read_text(encoding="utf-8"),
        script=code,
        policy=f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        **context,
    )
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
