"""torchvision is imported also where its operators do not fit the installed torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils.data import loading as data


def test_torchvision_can_be_imported_here_and_again():
    assert data.torchvision().__name__ == "torchvision"
    assert data.torchvision() is data.torchvision()


# What three torchvisions do when they are imported. The last one, like the real one, describes two
# operators that a library beside it was to define.
TORCHVISIONS = {
    "fits": "",
    "is broken": "raise RuntimeError('CUDA driver is too old')",
    "is missing": "raise ModuleNotFoundError('No module named torchvision')",
    "lacks its operators": (
        "import torch\n"
        "from torchvision import part\n"
        "for name in ('nms', 'qnms'):\n"
        "    torch.library.register_fake(f'torchvision::{name}')(lambda dets, scores, iou_threshold: dets)\n"
    ),
}
IMPORT_EACH = """
import json, sys
import torch
from course_utils.data import loading as data
evidence = {}
for folder in sys.argv[1:]:
    for module in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[module]
    sys.path[0] = folder
    try:
        outcome = data.torchvision().__file__
    except Exception as problem:
        outcome = repr(problem)
    declared = [name for name in ("nms", "qnms") if hasattr(torch.ops.torchvision, name)]
    evidence[folder] = [outcome, declared]
print(json.dumps(evidence))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[str]]]:
    """Per torchvision: the file it was imported from, or the error, and the operators declared so far."""
    folders = {name: tmp_path_factory.mktemp("site") for name in TORCHVISIONS}
    for name, source in TORCHVISIONS.items():
        package = folders[name] / "torchvision"
        package.mkdir()
        (package / "__init__.py").write_text(source)
        (package / "part.py").touch()
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, *map(str, folders.values())],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    evidence = json.loads(run.stdout)
    return {name: evidence[str(folder)] for name, folder in folders.items()}


@pytest.mark.parametrize(
    ("which", "outcome", "declared"),
    [
        ("fits", "__init__.py", []),
        ("is broken", "RuntimeError('CUDA driver is too old')", []),
        ("is missing", "ModuleNotFoundError('No module named torchvision')", []),
        ("lacks its operators", "__init__.py", ["nms", "qnms"]),
    ],
)
def test_operators_are_declared_only_beside_a_torchvision_that_lacks_them(which, outcome, declared, imported):
    assert imported[which][0].endswith(outcome) and imported[which][1] == declared
