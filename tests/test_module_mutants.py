"""A sample of single edits of the lessons' modules: tests notice each but those that need no notice."""

import importlib
import subprocess
import sys
from types import SimpleNamespace

import module_mutants
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", module_mutants.MODULES)
def test_only_edits_with_a_reason_survive(name):
    command = [sys.executable, module_mutants.__file__, name]
    done = subprocess.run(command, cwd=module_mutants.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_edit_is_of_the_code_of_a_function_that_lives():
    module = importlib.import_module("course_utils.data.sprites")
    texts = []
    for text, changed in module_mutants.edits(module):
        texts.append(text)
        for path, code in changed.items():
            now = module_mutants.live(module, path).__code__
            assert (now.co_name, now.co_firstlineno) == (code.co_name, code.co_firstlineno)
            assert now != code
    assert len(texts) == len(set(texts)) > 20


def test_a_sentence_for_people_is_left_as_it_is():
    module = importlib.import_module("course_utils.objectives")
    assert not [*module_mutants.edits(module, lambda text: "not a reduction" in text)]


def test_a_run_that_makes_no_edit_fails(monkeypatch):
    monkeypatch.setattr(
        module_mutants, "tried", lambda name: SimpleNamespace(edits={}, survivors=[], unknown=set())
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["module_mutants.py", "training"])
    with pytest.raises(SystemExit) as ended:
        module_mutants.main()
    assert ended.value.code
