"""What the notebooks of the course on variational autoencoders import.

Read `models`, `objectives` and `training` as lessons: they are the mathematics of sections 1 to 6 in the
order in which it is taught. The rest serves them: `data` brings images in, `evaluation` computes every number
the text quotes, `plotting` draws every figure, `checks` looks at students' answers.
"""

import importlib.util
import sys

__version__ = "0.1.0"


def later(name: str) -> None:
    """Load this module when it is first used, and not when it is imported: it asks for much."""
    spec = importlib.util.find_spec(name)
    assert spec and spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    package, _, stem = name.rpartition(".")
    setattr(sys.modules[package], stem, module)


later("course_utils.plotting")  # matplotlib: a third of the time that PyTorch takes
