"""One HTML file with everything in it: the shell of the explorer and the animation, and their data.

Nothing is loaded from anywhere, which the page's own policy forbids besides.
"""

import base64
import html
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("recall.js", "sliding.js")
Arrays = dict[str, np.ndarray]


def source(name: str, kind: str) -> str:
    """What all pages share, then that of `name` ('explorer', 'animation'); `kind` is 'js' or 'css'."""
    return "\n".join(
        (TEMPLATES / folder / f"{folder}.{kind}").read_text(encoding="utf-8")
        for folder in ("standalone", name)
    )


def script(name: str) -> str:
    """A script of templates/ as a notebook saves it with what it moves; the site has it as a file."""
    return f"<script>{(TEMPLATES / name).read_text(encoding='utf-8')}</script>"


def sentence(text: str) -> str:
    """A text as HTML; what stands between backquotes becomes code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def packed(arrays: Arrays) -> tuple[list[list[Any]], bytes]:
    """Names, types and lengths of arrays, and all of them deflated: what standalone.js's `unpack` reads."""
    layout = [[name, array.dtype.name, array.size] for name, array in arrays.items()]
    plain = b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values())
    return layout, zlib.compress(plain, 9)


def page(name: str, meta: dict[str, Any], arrays: Arrays, *, title: str, lead: str, colophon: str) -> str:
    """The page that shows `meta` and `arrays` by the script of `name`."""
    layout, pack = packed(arrays)
    content = {**meta, "arrays": layout, "pack": base64.b64encode(pack).decode()}
    # The data are JSON in a script element: there an escaped `<` keeps a name from ending it.
    data = Markup(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))
    code = {kind: Markup(source(name, kind)) for kind in ("css", "js")}
    environment = Environment(loader=FileSystemLoader(TEMPLATES / "standalone"), autoescape=True)
    template = environment.get_template("page.html.j2")
    return template.render(title=title, lead=lead, colophon=colophon, data=data, **code)


def frame(name: str, text: str, *, title: str, height: int) -> str:
    """A page as a notebook saves it: in its own frame, dark where JupyterLab is, `height` pixels high."""
    return (
        f"<style>[data-jp-theme-light=false] .{name}-saved{{color-scheme:dark}}"
        f"[data-jp-theme-light=true] .{name}-saved{{color-scheme:light}}</style>"
        f'<iframe class="{name}-saved" title="{html.escape(title)}" sandbox="allow-scripts" loading="lazy" '
        f'style="width:100%;height:{height}px;border:0" srcdoc="{html.escape(text)}"></iframe>'
    )
