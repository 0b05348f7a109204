"""A figure with a slider that needs no kernel: densities, one of which moves, and a curve of its stops below."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from IPython.display import HTML

SCRIPT = Path(__file__).parent / "templates" / "sliding.js"
COLOURS = ("#85898f", "#2f86c8", "#a06cc8", "#009e73", "#e0701a", "#85898f", "#e0701a")  # on white and on black
WIDTH, TOP, BOTTOM = 640, (6, 180), (215, 320)  # pixels; of the two panels from where to where
Numbers = Sequence[float]


def figure(
    x: Numbers, above: Mapping[str, Numbers], stops: Numbers, below: Mapping[str, Numbers],
    said: Sequence[str], *, area: str, x_name: str, alt: str,
) -> HTML:  # fmt: skip
    """Over x the curves `above`, the last of them drawn for a stop at 0; at the stops those `below`.

    The slider moves that curve, and a point along the last one below, and writes what is `said` of the stop.
    """

    def across(value: float) -> float:
        return round((value - x[0]) / (x[-1] - x[0]) * WIDTH, 1)

    def scaled(of: Mapping[str, Numbers], panel: tuple[int, int]) -> list[list[float]]:
        low, high = min(map(min, of.values())), max(map(max, of.values()))
        return [[round(panel[1] - (panel[1] - panel[0]) * (v - low) / (high - low), 1) for v in y] for y in of.values()]

    heights = scaled(below, BOTTOM)
    curves, legend = [], []
    drawn = [*((x, y) for y in scaled(above, TOP)), *((stops, y) for y in heights)]
    for name, (at, y), colour in zip([*above, *below], drawn, COLOURS, strict=True):
        points = " ".join(f"{across(a)},{b}" for a, b in zip(at, y, strict=True))
        curves.append(f'<polyline points="{points}" fill="{colour if name == area else "none"}" fill-opacity="0.3" '
                      f'stroke="{colour}" stroke-width="2.5"/>')  # fmt: skip
        legend.append(f'<span style="white-space:nowrap"><b style="color:{colour}">▬</b> {html.escape(name)}</span>')
    curves[len(above) - 1] = f'<g class="moves">{curves[len(above) - 1]}</g>'
    ticks = "".join(f'<text x="{across(v)}" y="198" text-anchor="middle">{v}</text>'
                    for v in range(int(x[0]) + 1, int(x[-1])))  # fmt: skip
    states = [[across(s) - across(0), across(s), y, word] for s, y, word in zip(stops, heights[-1], said, strict=True)]
    return HTML(
        f'<figure class="sliding" style="max-width:{WIDTH}px;margin:1em 0" data-states="{html.escape(json.dumps(states))}">'
        f'<div>{" &emsp; ".join(legend[:len(above)])}</div><svg viewBox="0 0 {WIDTH} 330" width="100%" role="img" '
        f'aria-label="{html.escape(alt)}" fill="currentColor" font-size="13">{"".join(curves)}{ticks}'
        f'<circle r="6" fill="{COLOURS[-1]}"/></svg><div>{" &emsp; ".join(legend[len(above):])}</div>'
        f'<label>{x_name} <input type="range" min="0" max="{len(stops) - 1}" value="0" style="width:60%"></label>'
        f'<output style="display:block"></output></figure><script>{SCRIPT.read_text("utf-8")}</script>'
    )
