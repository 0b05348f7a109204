"""What is seen of a training while it runs: a bar, and in a notebook the curves of its terms.

Nothing is shown where nobody watches (`settings.watched`). A terminal has the bar alone. The curves are one
output that is drawn again in its place after an epoch: HTML that a notebook exchanges in one go, which does
not flicker as an image does. At the end both are gone: what is to be seen of a training then, a lesson draws.
Lines and letters take the page's own colour where they can, light or dark.
"""

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
AXES = {"left": 50, "right": 300, "top": 26, "bottom": 126}  # where they lie in it


class View(Observer):
    """The bar and the curves of one training. `close` leaves the curves of one that was interrupted."""

    _state: State | None = None  # before the training starts

    def start(self, state: State) -> None:
        self._state, self._steps, self._output = state, itertools.count(), progress.Output()
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

    def close(self) -> None:
        """Put the bar away, and the curves of a whole training; draw those of another a last time."""
        if self._state is not None:
            self._bar.close()
            if self._state.history.epochs == self._state.epochs:
                self._output.clear()
            elif self._drawn < self._state.history.epochs:
                self._draw(self._state)

    def _name_epoch(self, state: State) -> None:
        now = min(state.history.epochs + 1, state.epochs)
        self._bar.set_description(f"epoch {now} of {state.epochs}", refresh=False)

    def _draw(self, state: State) -> None:
        history = state.history
        self._drawn, self._drawn_at = history.epochs, time.monotonic()
        if settings.watched() and progress.in_notebook():
            self._output.show(curves(history.train, history.test, state.epochs), repr(history))


def unit(terms: Collection[str]) -> str:
    """What a loss with these terms is counted in: the ELBO's, told by their names, in nats."""
    return "nats" if set(objectives.Terms._fields) <= set(terms) else ""


def curves(train: Mapping[str, Sequence[float]], test: Mapping[str, Sequence[float]], epochs: int) -> str:
    """The terms of a History as HTML: a small SVG per term, over all epochs that are to come."""
    counted_in = f", {unit(train)}" if unit(train) else ""
    panels = [
        _panel(f"{html.escape(name)}{counted_in}", {"train": line, "test": test.get(name, ())}, epochs)
        for name, line in train.items()
    ]
    return f'<div style="display:flex;flex-wrap:wrap">{"".join(panels)}</div>'


def _panel(heading: str, series: Mapping[str, Sequence[float]], epochs: int) -> str:
    """One term: axes, lines and last values."""
    left, right, top, bottom = AXES.values()
    series = {which: line for which, line in series.items() if line}
    values = [value for line in series.values() for value in line]
    low, high = min(values), max(values)

    def place(i: int, value: float) -> str:
        x = left + (right - left) * i / max(1, epochs - 1)
        return f"{x:.1f},{bottom - (bottom - top) * (value - low) / ((high - low) or 1.0):.1f}"

    title, lines = f'<tspan font-weight="600">{heading}</tspan>', ""
    for which, line in series.items():
        dash, sign = (' stroke-dasharray="5 3"', "- -") if which == "test" else ("", "—")
        places = [place(i, value) for i, value in enumerate(line)]
        colour, (x, y) = COLOURS[which], places[-1].split(",")
        lines += (
            f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
        )
        title += (
            f'<tspan dx="7" fill="{colour}" font-weight="900">{sign}</tspan>'
            f'<tspan dx="3">{which} {line[-1]:.4g}</tspan>'
        )
    last = ", ".join(f"{which} {line[-1]:.4g}" for which, line in series.items())
    summary = f"Curve of {heading}, to epoch {len(series['train'])} of {epochs}: {last}"
    return (
        f'<svg role="img" aria-label="{summary}" viewBox="0 0 {WIDTH} {HEIGHT}" fill="currentColor" '
        f'style="flex:1 1 15rem;max-width:{WIDTH}px;font:12px system-ui,sans-serif">'
        f'<text y="13" style="font-size:11.5px">{title}</text>'
        f'<path d="M{left} {top}V{bottom + 4}H{right + 4}" fill="none" stroke="currentColor" opacity="0.4"/>'
        f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{left - 6}" y="{bottom + 4}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{left}" y="{HEIGHT - 6}">epoch 1</text>'
        f'<text x="{right + 4}" y="{HEIGHT - 6}" text-anchor="end">{epochs}</text>{lines}</svg>'
    )
