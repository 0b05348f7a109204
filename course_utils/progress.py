"""A bar for long work, in a terminal or a notebook, that is gone at the end; none where nobody watches.

In a notebook it is text in an output that is exchanged in its place. tqdm's own is a widget: a saved
notebook, opened without its kernel, would show an error, and some editors load widgets from the network.
"""

import contextlib
import html
import io
import sys
from typing import Any

from tqdm import tqdm

from course_utils import settings

COLUMNS = 90  # of the bar in a notebook


def bar(total: int, unit: str, done: int = 0) -> tqdm:
    """A bar over `total` of a unit, of which some are done."""
    kind = _InNotebook if in_notebook() else tqdm
    return kind(
        total=total,
        initial=done,
        unit=f" {unit}",
        unit_scale=True,
        bar_format="{desc}{percentage:3.0f}% |{bar}| {rate_noinv_fmt}, {remaining} left{postfix}",
        smoothing=0.1,  # of the rate, so that the time left does not jump
        leave=False,
        disable=not settings.watched(),
    )


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


class Output:
    """An output of a notebook's cell that is exchanged in its place."""

    _handle: Any = None

    def show(self, drawn: str, text: str) -> None:
        """Show this HTML, or the text where there is none to be seen, in place of what was shown."""
        from IPython.display import display

        shown = {"text/html": drawn, "text/plain": text}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def clear(self) -> None:
        """Show nothing where something was shown."""
        if self._handle is not None:
            self.show("", "")


class _InNotebook(tqdm):
    """tqdm's bar, shown as an output. What it would write to a terminal goes nowhere."""

    def __init__(self, **options: Any) -> None:
        self._output = Output()
        super().__init__(file=io.StringIO(), ncols=COLUMNS, ascii=False, **options)

    def refresh(self, nolock: bool = False, lock_args: Any = None) -> bool:
        """As ever; the lock is given back also where showing the bar is interrupted."""
        if not self.disable:
            with contextlib.nullcontext() if nolock else self._lock:
                self.display()
        return not self.disable

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Show the bar as it now is, or `msg`: at the end ''."""
        text = str(self) if msg is None else msg
        self._output.show(f'<pre style="margin:0">{html.escape(text)}</pre>' if text else "", text)
        return True
