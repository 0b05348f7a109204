"""Which cases of a parametrised test `make test` runs, and which only `make test-all` does."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

LONG = {"train"}  # exercises of which one look takes ten seconds


def quick(cases: Mapping[str, Any], first: int = 2) -> list[Any]:
    """Cases by name as parameters of a test: the first are always run, the others are slow."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), id=name, marks=[pytest.mark.slow] * late
        )
        for place, (name, case) in enumerate(cases.items())
        for late in [place >= first]
    ]


def exercises(names: Iterable[str]) -> list[Any]:
    """Names of exercises as parameters of a test: those that take long are slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in names]
