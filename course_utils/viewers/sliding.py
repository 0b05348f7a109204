"""A figure with a slider that needs no kernel: densities, one of which moves, over what follows."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence

from IPython.display import HTML

from course_utils.viewers.standalone import script

GREY, ORANGE = "#85898f", "#e0701a"
COLOURS = (GREY, "#2f86c8", "#009e73", "#a06cc8", ORANGE, GREY, ORANGE)  # on white and on black
WIDTH, PANELS = 640, ((180, 6), (320, 215))  # pixels: bottom and top of each panel
Lines = Mapping[str, Iterable[float]]


def figure(
    x: Iterable[float], above: Lines, stops: Iterable[float], below: Lines, said: Sequence[str], alt: str
) -> HTML:
    """Over x densities, the third filled and the last as it is at a stop of 0; below, curves over the stops.

    The slider moves that density, and a point along the last curve below, and shows what is `said` there.
    """
    xs, places, drawn, legends = [*map(float, x)], [*map(float, stops)], "", ["", ""]

    def across(value: float) -> float:
        return round((value - xs[0]) / (xs[-1] - xs[0]) * WIDTH, 1)

    colours = iter(COLOURS)
    for panel, (lines, at) in enumerate(((above, xs), (below, places))):
        values = {name: [*map(float, line)] for name, line in lines.items()}
        low, high = min(map(min, values.values())), max(map(max, values.values()))
        bottom, top = PANELS[panel]
        for name, colour in zip(lines, colours, strict=False):
            heights = [round(bottom - (bottom - top) * (v - low) / (high - low), 1) for v in values[name]]
            points = " ".join(f"{across(a)},{height}" for a, height in zip(at, heights, strict=True))
            fill = colour if colour == COLOURS[2] else "none"
            moves = ' class="moves" stroke-dasharray="7 4"' if name == [*above][-1] else ""
            look = f'fill="{fill}" fill-opacity="0.3" stroke="{colour}"{moves}'
            drawn += f'<polyline points="{points}" {look}/>'
            mark = f'<b style="color:{colour}">▬</b>'
            legends[panel] += f'<span style="white-space:nowrap">{mark} {name} &emsp;</span> '
    for n in range(int(xs[0]) + 1, int(xs[-1])):
        drawn += f'<text x="{across(n)}" y="198" fill="currentColor">{n}</text>'
    for place, words in ((16, "density"), (198, "z"), (235, "nats")):
        drawn += f'<text y="{place}" fill="currentColor">{words}</text>'
    stated = zip(map(across, places), heights, said, strict=True)
    states = [[place - across(0), place, *rest] for place, *rest in stated]
    return HTML(
        f'<figure class="sliding" data-states="{html.escape(json.dumps(states))}" '
        'style="max-width:640px;margin:0" data-lm-suppress-shortcuts="true">'
        f'<div>{legends[0]}</div><svg viewBox="0 0 {WIDTH} 330" role="img" aria-label="{html.escape(alt)}" '
        f'stroke-width="2.5" font-size="13">{drawn}<circle r="6" fill="{COLOURS[-1]}"/></svg>'
        f'<div>{legends[1]}</div><label>mean of q <input type="range" value="0" max="{len(said) - 1}" '
        f'style="width:60%"></label><output style="display:block"></output></figure>{script("sliding.js")}'
    )
