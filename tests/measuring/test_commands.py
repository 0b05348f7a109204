"""The commands that measure: what they print, and what `--store` keeps and quotes. The measuring is faked."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from course_utils import data
from courseware import cli, record
from courseware.measuring import graders, likeness, literature, loops

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course in which nothing has been measured, and measuring that gives what is stored in this one."""
    (tmp_path / "nbgrader_config.py").touch()
    (tmp_path / "docs").mkdir()
    for document in record.DOCUMENTS:
        shutil.copy(ROOT / document, tmp_path / document)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        graders, "measure", lambda *_: (graders.FIGURES.stored(ROOT), ["gaussian_kl, a fault"])
    )
    monkeypatch.setattr(likeness, "measure", lambda _: likeness.FIGURES.stored(ROOT))
    monkeypatch.setattr(literature, "run", lambda *_: literature.FIGURES.stored(ROOT))
    monkeypatch.setattr(loops, "measure", lambda *_: (tmp_path / "build" / "bench").mkdir(parents=True))
    monkeypatch.setattr(loops, "comparison", lambda *_: loops.FIGURES.stored(ROOT)[0])
    chart = SimpleNamespace(savefig=lambda file, dpi: file.touch())
    monkeypatch.setattr(loops, "chart", lambda *_: chart)
    monkeypatch.setattr(data, "load", lambda name: SimpleNamespace(to=lambda device: None))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        (["graders"], "graders", "gaussian_kl, a fault"),
        (["likeness", "--measure"], "likeness", "honest pairs called alike"),
        (["bench"], "bench", "the fast path reaches"),
        (["reproduce"], "reproduced", "nats above the published figure"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_figures_are_printed_and_kept_only_where_asked_to(words, name, said, project):
    file = project / "docs" / f"{name}.json"
    for store in ([], ["--store"]):
        done = CliRunner(env={"COLUMNS": "300"}).invoke(cli.main, [*words, *store], catch_exceptions=False)
        assert done.exit_code == 0
        assert said in " ".join(done.output.split())
        assert file.is_file() == bool(store)
        shutil.rmtree(project / "build", ignore_errors=True)
    for document in record.DOCUMENTS:
        assert (project / document).read_text("utf-8") == (ROOT / document).read_text("utf-8")


def test_of_too_few_generated_answers_some_kind_may_be_missing():
    done = CliRunner().invoke(cli.main, ["graders", "--generated", "1"])
    assert done.exit_code == 2 and "1 is not in the range x>=20" in done.output
