"""What some tests need of the machine, by the marker of these tests, and what of it is missing here."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import accounts
import pytest

from courseware.grading.kernel import sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PROXY = shutil.which("configurable-http-proxy")
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path("/none")).parent


def _modules(*names: str) -> str:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return f"{missing[0]} is not installed: it comes with the extra 'test'." if missing else ""


# Each says in one sentence what is missing, '' if nothing is.
MISSING: dict[str, Callable[[], str]] = {
    "sandbox": sandbox.missing,
    "browser": lambda: (
        _modules("playwright", "axe_playwright_python")
        or ("" if CHROMIUM else "Chromium is not on this machine: `make system` installs it.")
    ),
    "postgres": lambda: (
        _modules("psycopg")
        or ("" if POSTGRES.is_dir() else "PostgreSQL is not on this machine: `make system` installs it.")
    ),
    "hub": lambda: (
        _modules("jupyterhub")
        or (
            ""
            if PROXY
            else "JupyterHub's proxy is not here: `npm install -g configurable-http-proxy` installs it."
        )
        or accounts.missing()
    ),
}


def require(names: str) -> None:
    """End the run in one sentence where this machine lacks what is named, with commas between.

    A skipped test passes for a success: continuous integration sets COURSE_REQUIRE to what it is to have.
    """
    for name in filter(None, names.split(",")):
        if name not in MISSING:
            raise pytest.UsageError(f"COURSE_REQUIRE knows {', '.join(MISSING)}, and no {name!r}.")
        if sentence := MISSING[name]():
            raise pytest.UsageError(f"COURSE_REQUIRE asks for {name}, which is missing here. {sentence}")
