"""What some tests need of the machine, by the marker of these tests, and what of it is missing here."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import accounts
import pytest

from courseware.grading.kernel import sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path("/none")).parent


def _browser() -> str:
    for module in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed: it comes with the extra 'test'."
    return "" if CHROMIUM else "Chromium is not on this machine: `make system` installs it."


def _postgres() -> str:
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: it comes with the extra 'test'."
    return "" if POSTGRES.is_dir() else "PostgreSQL is not on this machine: `make system` installs it."


def _hub() -> str:
    if importlib.util.find_spec("jupyterhub") is None:
        return "jupyterhub is not installed: it comes with the extra 'test'."
    if not shutil.which("configurable-http-proxy"):
        return "JupyterHub's proxy is not here: `npm install -g configurable-http-proxy` installs it."
    return accounts.missing()


# Each says in one sentence what is missing, '' if nothing is.
MISSING: dict[str, Callable[[], str]] = {
    "sandbox": sandbox.missing,
    "browser": _browser,
    "postgres": _postgres,
    "hub": _hub,
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
