"""What pyproject.toml promises to whoever installs the course is what the packages need."""

import ast
import re
import sys
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from programs import ROOT

from course_utils.viewers.recall import tomllib  # the one that this Python has

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ROOMS = ("course_utils", "courseware", "bank")
PROGRAMS = {"jupyterlab"}  # called, never imported


def asked_for(*extras: str) -> set[str]:
    """The distributions that an installation with these extras brings."""
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *(one for e in extras for one in project["optional-dependencies"][e])]
    return {canonicalize_name(Requirement(one).name) for one in wanted}


def imported(*folders: str) -> set[str]:
    """The distributions that import statements below name; a module that is none's goes by its own name."""
    # Not packages_distributions: until 3.10 it knows only who has a top_level.txt.
    records = {one.name: one.read_text("RECORD") or "" for one in distributions()}
    places = {top: name for name, files in records.items() for top in re.findall(r"^(\w+)[/.]", files, re.M)}
    modules: set[str] = set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    modules -= {*sys.stdlib_module_names, "tomllib", *ROOMS}  # tomllib is from 3.11
    return {canonicalize_name(places.get(name, name)) for name in modules}


def test_what_the_packages_import_is_asked_for():
    assert imported(*ROOMS) - asked_for("bench", "dask", "postgres") == set()


def test_what_is_asked_for_is_imported():
    assert asked_for() - imported(*ROOMS) == PROGRAMS


def test_what_the_tests_import_is_asked_for():
    theirs = {canonicalize_name(file.stem) for file in (*ROOT.glob("*.py"), *ROOT.glob("tests/*.py"))}
    assert imported("tests") - theirs - asked_for("test") == set()


def test_every_version_is_pinned():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {canonicalize_name(Requirement(line).name) for line in lines if not line.startswith("#")}
    assert asked_for(*PYPROJECT["project"]["optional-dependencies"]) - pinned == set()


def test_every_file_of_the_packages_is_installed():
    (patterns,) = PYPROJECT["tool"]["setuptools"]["package-data"].values()
    below = (file for room in ROOMS for file in (ROOT / room).rglob("*"))
    files = {file for file in below if file.is_file() and "__pycache__" not in file.parts}
    packages = [file.parent for file in files if file.name == "__init__.py"]
    installed = {file for package in packages for one in ["*.py", *patterns] for file in package.glob(one)}
    assert files - installed == set()
