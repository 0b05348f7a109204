"""Which cases of a parametrised test `make test` runs, and which only `make test-all` does."""

from collections.abc import Mapping
from typing import Any

import pytest


def quick(cases: Mapping[str, Any], first: int = 2) -> list[Any]:
    """Cases by name as parameters of a test: the first are always run, the others are slow."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), id=name, marks=[pytest.mark.slow] * late
        )
        for place, (name, case) in enumerate(cases.items())
        for late in [place >= first]
    ]
