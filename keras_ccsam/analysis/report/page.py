"""The page: blocks, style and script in one file that asks the network for nothing.

A content security policy allows the page's own script and style by their hashes and nothing else.
If a name ever got past the escaping, it would still run no code and load no picture.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from keras_ccsam.analysis.report.blocks import Details, Section, Surface, Surfaces, Tabs

GENERATOR = "keras-ccsam report"
"""What the page says of its maker, and by which it is known again."""


@dataclass(frozen=True)
class Part:
    """The sections on one data set; `title` is shown where a page has several."""

    id: str
    title: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: its heading.
        subtitle: one line below it.
        facts: short facts, as name and value.
        parts: one per data set.
        numbers: everything as JSON types, kept in the page for programs.
    """

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    parts: Sequence[Part]
    numbers: Any

    def html(self) -> str:
        """Return the page.

        Raises:
            ValueError: it has a surface and plotly is not installed.
        """
        surfaces = list(_surfaces([b for p in self.parts for s in p.sections for b in s.blocks]))
        style, script = _file("style.css"), _file("script.js")
        scripts = [script]
        if surfaces:
            scripts += [_plotly(), _file("surface.js")]
        environment = jinja2.Environment(
            loader=jinja2.FunctionLoader(_file),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        text: str = environment.get_template("report.html").render(
            page=self,
            generator=GENERATOR,
            policy=_policy(style, scripts),
            style=Markup(style),
            script=Markup(script),
            plotly=[Markup(text) for text in scripts[1:]],
            surfaces={id(surface): index for index, surface in enumerate(surfaces)},
            surface_data=[
                {"x": s.x, "y": s.y, "z": s.z, "label": s.label, "zLabel": s.z_label}
                for s in surfaces
            ],
            payload=payload,
            identity=id,
        )
        # Where the locale is not UTF-8, Python reads the name of a folder byte by byte.
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def payload(content: Any) -> Markup:
    """JSON that may stand in a `<script>` element: no `<`, `>`, `&`, U+2028 or U+2029 is in it.

    They are only possible within strings, where a JSON escape means the same.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _surfaces(blocks: Sequence[Any]) -> Iterator[Surface]:
    for block in blocks:
        if isinstance(block, Surfaces):
            yield from block.surfaces
        elif isinstance(block, Tabs):
            for _, inner in block.tabs:
                yield from _surfaces(inner)
        elif isinstance(block, Details):
            yield from _surfaces(block.blocks)


def _policy(style: str, scripts: Sequence[str]) -> str:
    allowed = " ".join(_hash(text) for text in scripts)
    # plotly.js makes style elements of its own, and draws labels through data and blob addresses.
    plotly = len(scripts) > 1
    styles = "'unsafe-inline'" if plotly else _hash(style)
    images = "img-src data: blob:; " if plotly else ""
    return (
        f"default-src 'none'; script-src {allowed}; style-src {styles}; {images}"
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ValueError(
            'a surface needs plotly: pip install "keras-ccsam[report]", or leave the surface out. '
            "Received: surface=True"
        ) from None
    # The hash is of what a browser reads: it makes one line feed of each line's end.
    text: str = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("</script", "<\\/script")
