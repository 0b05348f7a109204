"""A bar that says how far long work is, where somebody watches, and leaves nothing behind."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from course_utils import progress


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[CapturingDisplayPublisher]:
    """What a notebook with somebody before it would be sent."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    publisher = CapturingDisplayPublisher()
    monkeypatch.setattr(InteractiveShell.instance(), "display_pub", publisher)
    yield publisher
    InteractiveShell.clear_instance()


def work() -> None:
    with progress.bar(4, "images", done=1) as bar:
        bar.mininterval = 0
        for _ in range(3):
            bar.update(1)


def test_in_a_notebook_the_bar_is_one_output_that_is_exchanged_in_its_place_and_goes(notebook, capsys):
    work()
    updates = [output.get("update", False) for output in notebook.outputs]
    assert updates == [False] + [True] * (len(updates) - 1)
    assert len({output["transient"]["display_id"] for output in notebook.outputs}) == 1
    said = [output["data"]["text/plain"] for output in notebook.outputs]
    assert (said[0][:4], said[1][:4], said[-1]) == (" 25%", " 50%", "")
    assert all("images/s" in line and line.endswith("left") for line in said[:-1])
    assert {mime for output in notebook.outputs for mime in output["data"]} == {"text/html", "text/plain"}
    assert notebook.outputs[-1]["data"] == {"text/html": "", "text/plain": ""}
    assert capsys.readouterr() == ("", "")


def test_what_is_said_beside_it_is_text(notebook):
    with progress.bar(1, "images") as bar:
        bar.set_postfix_str("<b>")
    assert "&lt;b&gt;</pre>" in notebook.outputs[-2]["data"]["text/html"]


def test_a_terminal_has_it_on_its_line_for_errors(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    work()
    out, err = capsys.readouterr()
    assert out == "" and "25%" in err and err.endswith("\r")


def test_where_nobody_watches_there_is_none(notebook, monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    work()
    assert (notebook.outputs, capsys.readouterr()) == ([], ("", ""))


@pytest.mark.parametrize(("shell", "answer"), [(None, False), (SimpleNamespace(kernel=1), True)])
def test_a_notebook_is_known_by_its_kernel(shell, answer, monkeypatch):
    monkeypatch.setitem(progress.sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert progress.in_notebook() == answer
