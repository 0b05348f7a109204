"""Is the answer that a kernel holds the one that its cell shows?

A cell that is run again and stops, at a syntax error or because the function got another name, leaves the
former function behind, which a check would praise. So the runs of cells are noted from the first import on,
and a saved notebook is looked into where it is younger than the run.
"""

from __future__ import annotations

import inspect
import json
import linecache
import os
import sys
import time
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

EARLIER = (
    "This judges an earlier version of your answer: its cell has changed since, and has not run to its end. "
    "Run it, mend what it complains of, then check again."
)
_runs: dict[str, list[tuple[str, float]]] = {}  # of each cell: its sources, and when they were run


def note_runs() -> None:
    """From now on, note what is run in this notebook, if it is one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and _note not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", _note)


def _note(info: Any) -> None:
    cell = getattr(info, "cell_id", None)
    if cell and info.raw_cell:
        _runs.setdefault(cell, []).append((info.raw_cell.strip(), time.time()))


def earlier(answer: Any) -> bool:
    """Does its cell, as it was last run or saved, read otherwise than when it made this answer?"""
    made = source(answer)
    for cell, runs in _runs.items():
        if made and made in [run for run, _ in runs]:
            last, when = runs[-1]
            return last != made or _saved(cell, when) not in (None, made)
    return False


def source(answer: Any) -> str:
    """The cell that made this answer, as it read then; '' where that is not known."""
    code = _code(answer)
    return "".join(linecache.getlines(code.co_filename)).strip() if code else ""


def _code(answer: Any) -> CodeType | None:
    """Of a function, or of the first method of a class; of what stands in a decorator or a partial."""
    parts = [answer, *vars(answer).values()] if isinstance(answer, type) else [answer]
    inner = [inspect.unwrap(part.func if isinstance(part, partial) else part) for part in parts]
    return next((part.__code__ for part in inner if hasattr(part, "__code__")), None)


def _saved(cell: str, since: float) -> str | None:
    """The cell's source in the notebook file, None where that is older, or where none can be read."""
    file = Path(os.environ.get("JPY_SESSION_NAME", ""))
    try:
        if not file.is_file() or file.stat().st_mtime <= since:
            return None
        cells = json.loads(file.read_text("utf-8"))["cells"]
        return next("".join(one["source"]).strip() for one in cells if one.get("id") == cell)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return None
