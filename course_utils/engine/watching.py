"""What is seen of a training while it runs: a bar, and in a notebook the curves of its terms.

Nothing is shown where nobody watches (`settings.watched`), so nothing of it is in stored notebooks, under
nbval or in grading. A terminal has the bar alone. A notebook keeps the last curves as its output.

The curves are one output that is drawn again in its place after an epoch: HTML that a notebook exchanges in
one go, which does not flicker as a cleared output or an image that is still to be decoded does. Their lines
and letters take the page's own colour where they can, light or dark.
"""

from __future__ import annotations

import html
import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from course_utils import objectives, progress, settings
from course_utils.training import LOOK, Observer, State

PAUSE = 0.5  # seconds at least from one drawing to the next: of a GPU's short epochs few are drawn singly
COLOURS = {"train": "#0072b2", "test": "#d55e00"}  # the first two of `plotting`, which is not needed to train
WIDTH, HEIGHT = 316, 150  # of a panel, pixels
LEFT, RIGHT, TOP, FLOOR = 50, 300, 26, 126  # where its axes lie


class View(Observer):
    """The bar and the curves of one training.

    A context: leaving it puts the bar away and draws the curves a last time, also of an interrupted training.
    """

    def __init__(self) -> None:
        self._steps = itertools.count()
        self._state: State | None = None
        self._handle: Any = None

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        if self._state is not None:
            self._bar.close()
            if self._drawn < self._state.history.epochs:
                self._draw(self._state)

    def start(self, state: State) -> None:
        self._state = state
        self._bar = progress.bar(state.images * state.epochs, "images", state.seen)
        self._drawn, self._drawn_at = state.history.epochs, time.monotonic()
        self._name_epoch(state)

    def step(self, state: State, terms: Any, images: int) -> None:
        if next(self._steps) % LOOK == 0:
            words = f"loss {terms[0].item():.4g} {unit(terms._fields)}"
            self._bar.set_postfix_str(words.strip(), refresh=False)
        self._bar.update(images)

    def epoch(self, state: State) -> None:
        self._name_epoch(state)
        if time.monotonic() - self._drawn_at >= PAUSE:
            self._draw(state)

    def _name_epoch(self, state: State) -> None:
        now = min(state.history.epochs + 1, state.epochs)
        self._bar.set_description(f"epoch {now} of {state.epochs}", refresh=False)

    def _draw(self, state: State) -> None:
        """Show the curves, or exchange those that are shown."""
        history = state.history
        self._drawn, self._drawn_at = history.epochs, time.monotonic()
        if not settings.watched() or not progress.in_notebook():
            return
        from IPython.display import display

        shown = {
            "text/html": curves(history.train, history.test, state.epochs),
            "text/plain": repr(history),
        }
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def unit(terms: Collection[str]) -> str:
    """What a loss with these terms is counted in: the ELBO's, told by their names, in nats."""
    return "nats" if set(objectives.Terms._fields) <= set(terms) else ""


def curves(train: Mapping[str, Sequence[float]], test: Mapping[str, Sequence[float]], epochs: int) -> str:
    """The terms of a History as HTML: a small SVG per term, over all epochs that are to come."""
    panels = [
        _panel(name, {"train": line} | ({"test": test[name]} if name in test else {}), epochs, unit(train))
        for name, line in train.items()
    ]
    return f'<div style="display:flex;flex-wrap:wrap">{"".join(panels)}</div>'


def _panel(name: str, series: Mapping[str, Sequence[float]], epochs: int, counted_in: str) -> str:
    """One term: axes, lines and last values."""
    values = [value for line in series.values() for value in line]
    low, high = min(values), max(values)

    def x(epoch: int) -> float:
        return LEFT + (RIGHT - LEFT) * (epoch - 1) / max(1, epochs - 1)

    def y(value: float) -> float:
        return FLOOR - (FLOOR - TOP) * (value - low) / ((high - low) or 1.0)

    parts = [
        f'<path d="M{LEFT} {TOP}V{FLOOR + 4}H{RIGHT + 4}" fill="none" stroke="currentColor" opacity="0.4"/>',
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{LEFT - 6}" y="{FLOOR + 4}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 6}">epoch 1</text>',
        f'<text x="{RIGHT + 4}" y="{HEIGHT - 6}" text-anchor="end">{epochs}</text>',
    ]
    heading = f"{html.escape(name)}{f', {counted_in}' if counted_in else ''}"
    title = f'<tspan font-weight="600">{heading}</tspan>'
    for which, line in series.items():
        dash, sign = (' stroke-dasharray="5 3"', "- -") if which == "test" else ("", "—")
        places = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(line, start=1))
        colour = COLOURS[which]
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<circle cx="{x(len(line)):.1f}" cy="{y(line[-1]):.1f}" r="3" fill="{colour}"/>')
        title += f'<tspan dx="7" fill="{colour}" font-weight="900">{sign}</tspan>'
        title += f'<tspan dx="3">{which} {line[-1]:.4g}</tspan>'
    last = ", ".join(f"{which} {line[-1]:.4g}" for which, line in series.items())
    summary = f"Curve of {heading}, to epoch {len(series['train'])} of {epochs}: {last}"
    return (
        f'<svg role="img" aria-label="{summary}" viewBox="0 0 {WIDTH} {HEIGHT}" fill="currentColor" '
        f'style="flex:1 1 15rem;max-width:{WIDTH}px;font:12px system-ui,sans-serif">'
        f'<text y="13" style="font-size:11.5px">{title}</text>{"".join(parts)}</svg>'
    )
