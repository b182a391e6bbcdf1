"""A table as HTML: a fragment for a page, or a page of its own, which needs nothing but itself.

What is shown comes from strangers: everything is escaped, letters that only steer (terminal codes, the direction of
writing) are replaced, and the page's policy lets no script run but ours, and nothing be fetched.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from results.layout import Entry, Layout
from results.numerals import PREFIXES

_TEMPLATES = Path(__file__).parent / "templates"
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NUMBER = re.compile(rf"[<≤≥>\[( ]*([-−+]?\d*\.?\d+(?:e[-+]?\d+)?)\s?([{''.join(PREFIXES)}]?)(?![\d.A-Za-zµ])")


def html(layout: Layout) -> str:
    """A ``<div>`` with the table and its footnotes: best ``<strong>``, second ``<u>``, each section a ``<tbody>``."""
    return _rendered("table.html", layout=layout, widths=_widths(layout))


def html_file(layout: Layout) -> str:
    """A whole page with the table alone."""
    return page("page.html", title=layout.name, body=Markup(html(layout)))


def page(template: str, **values: Any) -> str:
    """A template NAME.html that extends page.html, with the style of all pages, under that of NAME.css where there is
    one, and with the script NAME.js, or else that of reports."""
    name = Path(template).stem
    style = _asset("report.css") + (_asset(f"{name}.css") if name != "report" else "")
    script = _asset(f"{name}.js") or _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _rendered(template, style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **values)


def _asset(name: str) -> str:
    """Empty where there is none."""
    file = _TEMPLATES / name
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _rendered(template: str, **values: Any) -> str:
    return _STEERING.sub("\ufffd", _environment().get_template(template).render(**values))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = _cell
    return environment


def _cell(entry: Entry, width: int) -> Markup:
    """``width`` of what stands right of the column's alignment point, in digits."""
    tag = {1: "strong", 2: "u"}.get(entry.place)
    text = Markup(f"<{tag}>{{}}</{tag}>").format(entry.text) if tag else escape(entry.text)
    rest = Markup('<span style="width:{}ch">{}</span>').format(width, _rest(entry)) if width else ""
    value = _value(entry)
    sorted_by = "" if value is None else Markup(' data-value="{:.12g}"').format(value)
    return Markup("<td{}>{}{}</td>").format(sorted_by, text, rest)


def _rest(entry: Entry) -> str:
    return (f" ±{entry.deviation}" if entry.deviation else "") + entry.rest + entry.symbol


def _widths(layout: Layout) -> list[int]:
    """One a column."""
    columns = range(len(layout.columns))
    return [max((len(_rest(line.entries[column])) for line in layout.lines), default=0) for column in columns]


def _value(entry: Entry) -> float | None:
    """The number that a cell is sorted by, its first: 1200000 of "1.20 M"; None where it does not begin with one."""
    found = _NUMBER.match(entry.text + entry.rest)
    return float(found[1].replace("−", "-")) * PREFIXES[found[2]] if found else None
