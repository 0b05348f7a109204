"""What is seen of a training while it runs: a bar, and in a notebook the curves of its terms.

Nothing is shown where nobody watches (`settings.watched`), so nothing of it is in stored notebooks, under
nbval or in grading. A terminal has the bar alone. A notebook keeps the last curves as its output.

The curves are one output that is drawn again in its place after an epoch: HTML that a notebook exchanges in
one go, which does not flicker as a cleared output or an image that is still to be decoded does. Their lines
and letters take the page's own colour where they can, light or dark.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from course_utils import objectives, settings

if TYPE_CHECKING:
    from course_utils.training import History

IN_NATS = (objectives.Terms, objectives.Bound)
PAUSE = 0.5  # seconds at least from one drawing to the next: of a GPU's short epochs few are drawn singly
COLOURS = {"train": "#0072b2", "test": "#d55e00"}  # the first two of `plotting`, which is not needed to train
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 316, 150, 44, 26, 24  # of a panel, and what is beside its axes, pixels


class View:
    """A training of `images` steps through images in all, as its `history` grows to `epochs` epochs.

    A context: entering shows what there is, leaving puts the bar away and draws the curves a last time.
    """

    def __init__(self, history: History, images: int, epochs: int) -> None:
        self.history, self.epochs, self.unit = history, epochs, ""
        self._bar = settings.progress(images, "images", images * history.epochs // epochs)
        self._handle: Any = None
        self._drawn, self._drawn_at = history.epochs, time.monotonic()

    def __enter__(self) -> View:
        self._name_epoch()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._drawn < self.history.epochs:
            self._draw()

    def step(self, images: int) -> None:
        """So many images more are done."""
        self._bar.update(images)

    def loss(self, terms: Any) -> None:
        """The terms of the last batch, whose first is the loss."""
        self.unit = "nats" if isinstance(terms, IN_NATS) else ""
        self._bar.set_postfix_str(f"loss {terms[0].item():.4g} {self.unit}".strip(), refresh=False)

    def epoch(self) -> None:
        """One more epoch is in the history."""
        self._name_epoch()
        if time.monotonic() - self._drawn_at >= PAUSE:
            self._draw()

    def _name_epoch(self) -> None:
        now = min(self.history.epochs + 1, self.epochs)
        self._bar.set_description(f"epoch {now} of {self.epochs}", refresh=False)

    def _draw(self) -> None:
        """Show the curves, or exchange those that are shown."""
        self._drawn, self._drawn_at = self.history.epochs, time.monotonic()
        if not settings.watched() or not in_notebook():
            return
        from IPython.display import display

        shown = {
            "text/html": curves(self.history.train, self.history.test, self.epochs, self.unit),
            "text/plain": repr(self.history),
        }
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def curves(
    train: Mapping[str, Sequence[float]], test: Mapping[str, Sequence[float]], epochs: int, unit: str = ""
) -> str:
    """The terms of a History as one SVG in HTML: a panel per term, over all epochs that are to come."""
    panels = []
    for place, name in enumerate(train):
        series = {"train": train[name]} | ({"test": test[name]} if name in test else {})
        panels.append(f'<g transform="translate({place * WIDTH} 0)">{_panel(name, series, epochs, unit)}</g>')
    width, done = WIDTH * len(train), len(next(iter(train.values())))
    last = ", ".join(f"{name} {line[-1]:.4g}" for name, line in train.items())
    summary = f"Curves of the training after epoch {done} of {epochs}: {last}."
    return (
        f'<svg role="img" aria-label="{html.escape(summary)}" viewBox="0 0 {width} {HEIGHT}" '
        f'style="width:{width}px;max-width:100%;height:auto;font:12px system-ui,sans-serif;display:block" '
        f'fill="currentColor">{"".join(panels)}</svg>'
    )


def _panel(name: str, series: Mapping[str, Sequence[float]], epochs: int, unit: str) -> str:
    """One term's axes, lines and last values."""
    values = [value for line in series.values() for value in line]
    low, high = min(values), max(values)
    right, bottom = WIDTH - 16, HEIGHT - BOTTOM

    def x(epoch: int) -> float:
        return LEFT + (right - LEFT) * (epoch - 1) / max(1, epochs - 1)

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * (value - low) / ((high - low) or 1.0)

    parts = [
        f'<path d="M{LEFT} {TOP}V{bottom + 4}H{right + 4}" fill="none" stroke="currentColor" opacity="0.4"/>',
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom + 4}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 6}">epoch 1</text>',
        f'<text x="{right + 4}" y="{HEIGHT - 6}" text-anchor="end">{epochs}</text>',
    ]
    title = f'<tspan font-weight="600">{html.escape(name)}{f", {unit}" if unit else ""}</tspan>'
    for which, line in series.items():
        dash = ' stroke-dasharray="5 3"' if which == "test" else ""
        places = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(line, start=1))
        colour = COLOURS[which]
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<circle cx="{x(len(line)):.1f}" cy="{y(line[-1]):.1f}" r="3" fill="{colour}"/>')
        title += f'<tspan dx="9" fill="{colour}" font-weight="900">{"- -" if dash else "—"}</tspan>'
        title += f'<tspan dx="3">{which} {line[-1]:.4g}</tspan>'
    return f'<text x="{LEFT - 36}" y="13">{title}</text>' + "".join(parts)
