"""What becomes of notebooks on their way to a grader: one function for each damage, for any lesson.

Each takes a solved notebook as JSON has it and the file that it should be, and hands in what it makes of it.
"""

import base64
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from cells import png

Notebook = dict[str, Any]
HandIn = Callable[[Notebook, Path], None]


def written(nb: Notebook) -> bytes:
    return json.dumps(nb).encode()


def at(nb: Notebook, *, solution: bool, grade: bool) -> int:
    """Where the first cell stands that is an answer, a check, or an answer that a person grades."""
    marks = [cell.get("metadata", {}).get("nbgrader", {}) for cell in nb["cells"]]
    return [(mark.get("solution"), mark.get("grade")) for mark in marks].index((solution, grade))


answer = partial(at, solution=True, grade=False)
check = partial(at, solution=False, grade=True)
by_hand = partial(at, solution=True, grade=True)


def handed_in_as(name: str, content: Callable[[Notebook], bytes] = written) -> HandIn:
    """The notebook, or what becomes of it, in another file: `*` stands for its name."""

    def hand_in(nb: Notebook, file: Path) -> None:
        other = file.with_name(name.replace("*", file.stem)) if "/" not in name else file.parent / name
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(content(nb))

    return hand_in


def changed(change: Callable[[Notebook], Any]) -> HandIn:
    """The notebook changed, under its own name."""

    def hand_in(nb: Notebook, file: Path) -> None:
        change(nb)
        file.write_bytes(written(nb))

    return hand_in


def beside(name: str, content: bytes) -> HandIn:
    """The notebook as it is, and another file."""

    def hand_in(nb: Notebook, file: Path) -> None:
        file.write_bytes(written(nb))
        handed_in_as(name, lambda _: content)(nb, file)

    return hand_in


def answered(code: str) -> HandIn:
    """The notebook with this code as its first answer."""
    return changed(lambda nb: nb["cells"][answer(nb)].update(source=code))


def like_colab(nb: Notebook) -> None:
    nb["nbformat_minor"] = 0
    for cell in nb["cells"]:
        cell["metadata"]["id"] = cell.pop("id")


def without(*keys: str) -> Callable[[Notebook], None]:
    return lambda nb: [cell.pop(key) for cell in nb["cells"] for key in keys]


def other_ends_of_lines(nb: Notebook) -> None:
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")


def deleted(which: Callable[[Notebook], int]) -> Callable[[Notebook], None]:
    return lambda nb: nb["cells"].pop(which(nb))


def copied(nb: Notebook) -> None:
    nb["cells"].append(dict(nb["cells"][answer(nb)], source="raise ValueError"))


def split(nb: Notebook) -> None:
    place = answer(nb)
    halves = ["".join(nb["cells"][place]["source"]), "scratch = 1"]
    nb["cells"][place : place + 1] = [dict(nb["cells"][place], source=half) for half in halves]


def moved(nb: Notebook) -> None:
    nb["cells"].insert(0, nb["cells"].pop(check(nb)))


def below_the_stub(nb: Notebook) -> None:
    place = by_hand(nb)
    nb["cells"][place]["source"] = "*Write your answer here.*"
    nb["cells"].insert(place + 1, {"cell_type": "markdown", "metadata": {}, "source": "My own words."})


def in_its_check(nb: Notebook) -> None:
    """As Jupyter merges two cells when the lower one is chosen first."""
    merged = nb["cells"].pop(answer(nb))
    below = nb["cells"][check(nb)]
    below["source"] = "".join([*merged["source"], "\n\n", *below["source"]])


def numbers_for_checks(nb: Notebook) -> None:
    for cell in nb["cells"]:
        if "check(" in "".join(cell["source"]):
            cell["source"] = "3.0"


def with_a_picture(nb: Notebook) -> None:
    attached = {"a.png": {"image/png": png()}}
    nb["cells"][by_hand(nb)] |= {"source": "![](attachment:a.png)", "attachments": attached}


def beside_the_notebook(nb: Notebook, file: Path) -> None:
    nb["cells"][by_hand(nb)]["source"] = "![](img/a.png)"
    beside("img/a.png", base64.b64decode(png()))(nb, file)


def forged_count(nb: Notebook) -> None:
    cell = {"cell_type": "code", "metadata": {}, "source": "get_ipython().execution_count = -5"}
    nb["cells"].insert(3, cell | {"outputs": [], "execution_count": -5})


def zipped(files: Mapping[Any, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these files, by their names."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def linked(nb: Notebook, file: Path) -> None:
    file.symlink_to("/etc/hostname")


def several(nb: Notebook, file: Path) -> None:
    handed_in_as("one.ipynb")(nb, file)
    handed_in_as("two.ipynb")(nb | {"metadata": {}}, file)


DAMAGES: dict[str, HandIn] = {
    "nothing": changed(lambda nb: None),
    "Colab's format": changed(like_colab),
    "no ids": changed(without("id")),
    "no metadata": changed(without("metadata")),
    "neither": changed(without("id", "metadata")),
    "a byte-order mark": handed_in_as("*.ipynb", lambda nb: b"\xef\xbb\xbf" + written(nb)),
    "other ends of lines": changed(other_ends_of_lines),
    "a check deleted": changed(deleted(check)),
    "an answer deleted": changed(deleted(answer)),
    "an answer copied": changed(copied),
    "an answer split": changed(split),
    "a check moved": changed(moved),
    "an answer in its check": changed(in_its_check),
    "numbers for checks": changed(numbers_for_checks),
    "a text below the stub": changed(below_the_stub),
    "a picture": changed(with_a_picture),
    "a picture beside": beside_the_notebook,
    "a forged count": changed(forged_count),
    "a browser's copy": handed_in_as("* (1).ipynb"),
    "another ending": handed_in_as("*.ipynb.txt"),
    "a folder": handed_in_as("05/mine.ipynb"),
    "an archive": handed_in_as("ada.zip", lambda nb: zipped({"ada/mine.ipynb": written(nb)})),
    "a helper file": beside("helpers.py", b""),
    "a Mac's files": beside("._*.ipynb", b"\0"),
    "a named zone": beside("timestamp.txt", b"2030-01-02 10:00:00 Europe/Berlin"),
    "no time": beside("timestamp.txt", b"yesterday"),
    "several": several,
    "a web page": handed_in_as("*.html", lambda _: b"<html>"),
    "another encoding": handed_in_as("*.ipynb", lambda nb: written(nb).decode().encode("utf-16")),
    "half a file": handed_in_as("*.ipynb", lambda nb: written(nb)[:-500]),
    "a link": linked,
    "an empty folder": lambda nb, file: None,
}
