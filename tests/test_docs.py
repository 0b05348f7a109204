"""What README and docs/ say holds: commands run, what is named exists, figures are the course's."""

import itertools
import re
import shlex
import shutil
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import cells
import click
import pytest
from programs import ROOT, call

from course_utils.checks.judges import EXERCISES
from course_utils.viewers.recall import tomllib  # the one that this Python has
from courseware import cli
from courseware.authoring import release, runner

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = ("build/", "submitted/", "autograded/", "feedback/", "data/", ".venv")  # by commands, not by us
FENCE = re.compile(r"(?:^<!-- (.+?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: the comment directly above it, its language, its text."""

    document: str
    line: int
    comment: str
    language: str
    text: str


def read(document: Path) -> str:
    return document.read_text("utf-8")


def blocks(document: Path) -> list[Block]:
    text, name = read(document), document.name
    every = [(text.count("\n", 0, one.start()) + 1, one) for one in FENCE.finditer(text)]
    return [Block(name, line, one[1] or "", one[2], one[3]) for line, one in every]


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
OURS = [block for block in BLOCKS if block.document != "CONTRIBUTING.md"]  # whose tutorial has its own test


def code(document: Path) -> list[str]:
    """Every line of a block and every piece of code within a line."""
    text = read(document)
    lines = [line for block in blocks(document) for line in block.text.splitlines()]
    return lines + re.findall(r"`([^`]+)`", FENCE.sub("", text))


by_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)

# --- commands that run ----------------------------------------------------------------------------------


def _runs(block: Block) -> object:
    words = block.comment.removeprefix("run: ").split() if block.comment.startswith("run: ") else []
    marks = [getattr(pytest.mark, word) for word in words]
    return pytest.param(block, id=f"{block.document}:{block.line}", marks=marks)


@pytest.mark.parametrize("block", OURS, ids=lambda block: f"{block.document}:{block.line}")
def test_every_block_is_run_or_says_why_not(block):
    assert block.language in ("sh", "python")
    assert re.fullmatch(r"|not run: .+|run: (slow|sandbox)( sandbox)?|lines of vae\.py", block.comment)
    assert (block.language == "python") == (block.comment == "lines of vae.py")


@pytest.mark.parametrize(
    "block", [_runs(b) for b in OURS if b.language == "sh" and not b.comment.startswith("not run: ")]
)
def test_the_commands_run_in_a_copy_of_the_course(block, tmp_path):
    """One after the other, each with exit status 0, on the beginning of section 2: the rest takes time."""
    course = tmp_path / "course"
    cells.clone(course, short="02-theory" in block.text)
    bash = shutil.which("bash") or "bash"
    call(course, bash, "-e", "-c", block.text, PYTHONPATH=str(course), TQDM_DISABLE="1")


# --- names that exist -----------------------------------------------------------------------------------


@by_document
def test_every_course_command_exists_with_its_options(document):
    for line in code(document):
        for found in re.finditer(r"(?:^|[\s/\\])course ([a-z]+)([^#|;&]*)", line):
            command = cli.main.commands.get(found[1])
            assert command, f"{line}: there is no `course {found[1]}`"
            known = {option for one in command.params for option in one.opts}
            if options := set(re.findall(r"--[a-z]+", found[2])):
                assert options <= known, line
            arguments = [one for one in command.params if isinstance(one, click.Argument)]
            if words := [w for w in shlex.split(found[2]) if not w.startswith("-")]:
                assert arguments or options, f"{line}: `course {found[1]}` takes no {words}"


@by_document
def test_every_make_target_exists(document):
    targets = re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE)
    for line in code(document):
        for target in re.findall(r"(?:^|\s)make ([a-z-]+)", line):
            assert target in targets, line


@by_document
def test_every_file_that_is_named_exists(document):
    for piece in code(document):
        for word in re.findall(r"[\w./-]+", piece):
            is_path = "/" in word.strip("/") or re.search(r"\w\.(py|md|toml|txt|yml|json|ipynb|svg)$", word)
            other = word.startswith(WRITTEN) or re.match(r"/|-|\.|[A-Z]+/|\w+//|.*\bN+\b", word)
            if is_path and not other:
                places = (ROOT, *(ROOT / "courseware" / "grading").glob("*/"))
                assert any((place / word).exists() for place in places), f"{word} in {piece}"


@by_document
def test_every_variable_of_the_environment_that_is_named_is_read(document):
    named = set(re.findall(r"\bCOURSE_[A-Z]+\b", read(document)))
    read_ = "".join(read(file) for top in ("course_utils", "courseware", "tests") for file in
                    (ROOT / top).rglob("*.py") if file != Path(__file__))  # fmt: skip
    assert all(name in read_ for name in named)


@by_document
def test_every_link_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)]+)\)", read(document)):
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if not re.match(r"https?:", target):
            assert file.is_file(), target
            headings = re.findall(r"^#+ (.+)$", read(file), re.MULTILINE) if anchor else []
            slugs = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
            assert not anchor or anchor in slugs, target


@by_document
def test_every_picture_is_described(document):
    assert all(len(alt) > 30 for alt in re.findall(r"!\[(.*?)\]\(", read(document)))


# --- what README and docs/ say of the course ------------------------------------------------------------


def test_the_readme_is_short_and_students_come_early():
    text = read(ROOT / "README.md")
    assert len(text.encode()) <= 8192
    assert text.index("## For students") < 2500


def test_the_readme_shows_lines_of_the_one_page_course():
    (shown,) = [block.text for block in OURS if block.language == "python"]
    source = read(ROOT / "vae.py").splitlines()
    lines = [line for line in shown.splitlines() if line]
    assert 15 <= len(lines) <= 30
    rest = iter(source)
    assert [line for line in lines if line not in rest] == []  # each there, and in this order


def test_exercises_questions_and_points_are_counted_right():
    assert release.outdated(ROOT) == {}  # where these stand
    readme, teaching = (" ".join(read(ROOT / name).split()) for name in ("README.md", "docs/instructors.md"))
    assert re.search(r"\d exercises checked by program, \d+ questions graded by hand", readme)
    assert re.search(r"worth \d+ points, \d+ of them checked by program", teaching)
    assert re.search(r"further notebooks are worth \d+ points more", teaching)
    assert f"all {len(EXERCISES)} graded cells with full points" in readme


def test_what_the_readme_says_of_the_stored_vae_is_what_is_stored():
    (vae,) = [row for one in runner.stored(ROOT / "solutions") for row in one.results
              if one.lesson.name == "vae" and row["model"] == "VAE(20)"]  # fmt: skip
    said = f"VAE(20) at {vae['negative_elbo']:.2f} ± {vae['standard_error']:.2f} nats"
    assert said in read(ROOT / "README.md")


def test_pictures_of_figures_are_those_of_the_stored_solutions():
    every = [cell for one in runner.stored(ROOT / "solutions") for cell in one.notebook.cells]
    outputs = [output.get("data", {}) for cell in every for output in cell.get("outputs", [])]
    stored = {data["image/png"].strip() for data in outputs if "image/png" in data}
    named = [(one, re.findall(r"!\[[^\]]+\]\((\S+\.png)\)", read(one))) for one in DOCUMENTS]
    shown = {(document.parent / name).resolve() for document, names in named for name in names}
    figures = [file for file in shown if not file.name.startswith(("bench-", "class-", "site-"))]
    assert figures and all(b64encode(file.read_bytes()).decode() in stored for file in figures)
    assert {file.name for file in shown} == {file.name for file in (ROOT / "docs").glob("*.png")}


TOPS = ("course_utils", "courseware")


def test_every_room_is_in_the_list_and_in_the_drawing():
    drawn = {text.text for text in ElementTree.parse(ROOT / "docs" / "rooms.svg").iter() if text.text}
    listed = re.findall(r"^\| `([\w/]+)/` \|", read(ROOT / "docs" / "architecture.md"), re.MULTILINE)
    for package in TOPS:
        rooms = {file.parent.name for file in (ROOT / package).glob("*/__init__.py")}
        assert rooms <= drawn
        assert rooms == {Path(name).name for name in listed if Path(name).parent.name == package}


def test_the_drawing_has_the_rooms_in_the_order_in_which_they_may_import():
    contracts = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = [one["layers"] for one in contracts if one.get("containers") in ([top] for top in TOPS)]
    texts = ElementTree.parse(ROOT / "docs" / "rooms.svg").iter("{http://www.w3.org/2000/svg}text")
    height = {text.text: int(text.attrib["y"]) for text in texts}
    for rooms in layers:
        of = [[height[name] for name in re.findall(r"\w+", layer) if name in height] for layer in rooms]
        drawn = [heights for heights in of if heights]
        assert all(max(above) <= min(below) for above, below in itertools.pairwise(drawn))
