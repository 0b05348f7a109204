"""What a student wrote, put into a copy of the released notebook; nothing of theirs is taken on trust.

From each cell come its type, its source, its pictures, and which cell of the assignment it is: by nbgrader's
mark, by its id, or where an editor has taken both away, by what it says and where it stands. What was wrong
becomes a fault instead of an exception. Code is parsed where a cell has to be recognised, and never run.
"""

import base64
import json
import mimetypes
import re
from collections import Counter
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any
from urllib.parse import quote, unquote
from zlib import crc32

from nbformat import NotebookNode
from nbformat.notebooknode import from_dict
from nbgrader.utils import is_solution

from course_utils.checks.words import printable
from courseware.grading.reasons import Fault, Reason, Refused
from courseware.grading.submission.own_work import defines, is_prose
from courseware.grading.submission.pictures import picture
from courseware.notebooks import plain

MOST_CELLS = 2000
LONGEST = 2**20  # bytes of a cell's source
MOST_PICTURES = 8 * 2**20  # characters of a notebook's pictures in base64
SHOWN, LONGEST_NAME = 10, 80  # names in a fault, and characters of a file's
PICTURES = {"image/png": "PNG", "image/jpeg": "JPEG"}
KINDS = ("code", "markdown", "raw")
CHECK = re.compile(r'check\("(\w+)", globals\(\)\)')  # the last line of a graded cell, with the answer's name
# The address of what Markdown or an HTML tag in it shows.
SHOWN_AT = re.compile(r"""(?<=\]\()(?:<[^<>\n]+>|[^)\s]+)|(?<=src=["'])[^"'\n]+""")
SIGNS = {  # of what is handed in under a notebook's name, by how it begins
    b"<": "it is a web page",
    b"%PDF": "it is a PDF",
    b"PK": "it is an archive",
    b"\xff\xfe": "it is a text in UTF-16, not UTF-8",
    b"\xfe\xff": "it is a text in UTF-16, not UTF-8",
}
ADVICE = "hand in the notebook that JupyterLab opens and saves"
Released = dict[str, NotebookNode]  # the cells of the assignment, by name


@dataclass(frozen=True)
class _Cell:
    """What is taken from a student's cell; `grade_id` is '' unless it is a cell of the assignment."""

    kind: str
    source: str
    grade_id: str = ""
    id: str = ""
    pictures: dict[str, Any] = field(default_factory=dict)  # by name, as JSON has them


def repair(
    raw: bytes, release: NotebookNode, name: str, beside: Mapping[str, bytes] | None = None
) -> tuple[NotebookNode, tuple[Fault, ...]]:
    """The released notebook (of nbformat 4.5) with what the student wrote put in; raises nothing.

    Cells with nbgrader metadata are all there, once each, and only answers differ from the release. All
    other cells are the student's. Pictures that lie `beside` it are put where they are shown. What is no
    notebook leaves the release as it is, unanswered.
    """
    result = deepcopy(release)
    try:
        found = cells_of(raw)
    except Refused as refusal:
        return result, (Fault(refusal.reason, name, refusal.why),)
    released = {cell.metadata.nbgrader.grade_id: cell for cell in result.cells if "nbgrader" in cell.metadata}
    cells = [cell for value in found[:MOST_CELLS] if (cell := _cell(value, released, beside or {}))]
    unknown = len(found[:MOST_CELLS]) - len(cells)

    cells, recognised = _recognised(cells, release)
    cells, duplicated = _without_duplicates(cells, released)
    cells, changed = _unmixed(cells, released)
    missing = _put_back(cells, released)
    _answered_elsewhere(cells, release)
    _order(cells, released)
    result.cells, too_long, left_out = _nodes(cells, released)

    many = f"{len(found):,} cells; those after the first {MOST_CELLS:,} were left out"
    large = [many] * (len(found) > MOST_CELLS)
    large += [f"more than {LONGEST:,} bytes, emptied: {listed(too_long)}"] * bool(too_long)
    not_used = [f"{unknown} cells of no known type"] * bool(unknown)
    not_used += [f"pictures that are no PNG or JPEG, or too large: {listed(left_out)}"] * bool(left_out)
    concerned = {
        Reason.TOO_LARGE: "; ".join(large),
        Reason.LEFT_OUT: "; ".join(not_used),
        Reason.UNMARKED_CELLS: ", ".join(recognised),
        Reason.MISSING_CELLS: ", ".join(missing),
        Reason.DUPLICATED_CELLS: ", ".join(duplicated),
        Reason.CHANGED_CELLS: ", ".join(changed),
    }
    return result, tuple(Fault(reason, name, detail) for reason, detail in concerned.items() if detail)


def listed(names: Collection[str]) -> str:
    """Names for a fault: the first of them, and how many more there are."""
    some = list(dict.fromkeys(names))
    return ", ".join(some[:SHOWN]) + (f" and {len(some) - SHOWN} more" if len(some) > SHOWN else "")


def asked(check: str) -> str:
    """The name of the answer that a graded cell with this source checks, '' for another cell."""
    found = CHECK.fullmatch(check.strip().rpartition("\n")[2])
    return found[1] if found else ""


def cells_of(raw: bytes) -> list[Any]:
    """The cells of a notebook as JSON has them. Raises Refused if it is no notebook of nbformat 4."""
    try:
        notebook = json.loads(raw.decode("utf-8-sig"))
        version, cells = _item(notebook, "nbformat"), _item(notebook, "cells")
        old = isinstance(version, int) and version < 4
        if isinstance(version, int) and isinstance(cells, list) and not old:
            return cells
        why = "its format is an old one" if old else "its JSON is not that of a notebook"
    except RecursionError:
        why = "its JSON is nested too deeply"
    except ValueError as problem:  # of the encoding, of JSON, or a number with too many digits
        why = _sign(raw, problem)
    raise Refused(Reason.NOT_A_NOTEBOOK, f"{why}: {ADVICE}")


def _sign(raw: bytes, problem: ValueError) -> str:
    """What a file is that is no JSON."""
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        return "it is empty"
    if re.search(rb"^(<{7}|>{7}) ", raw, re.MULTILINE):
        return "it holds the marks of a conflict in git"
    known = [said for sign, said in SIGNS.items() if start.startswith(sign)]
    return known[0] if known else f"it is no JSON ({problem})"


def grade_ids(raw: bytes) -> set[str]:
    """The names in nbgrader's marks of a notebook's cells; none if it is no notebook."""
    try:
        return {_grade_id(cell) for cell in cells_of(raw)} - {""} if b'"grade_id"' in raw else set()
    except Refused:
        return set()


def shown_in(raw: bytes) -> set[str]:
    """The names of the files that a notebook's texts show."""
    return set(map(_file, SHOWN_AT.findall(raw.decode("utf-8", "replace").replace('\\"', '"'))))


def _file(address: str) -> str:
    """The name of the file at an address, '' where it is on no disk."""
    return "" if ":" in address else unquote(address.strip("<>")).rpartition("/")[2]


def _grade_id(cell: Any) -> str:
    """Which cell of an assignment a cell says that it is, '' if none."""
    name = _item(_item(_item(cell, "metadata"), "nbgrader"), "grade_id")
    return name if isinstance(name, str) else ""


def _item(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _cell(value: Any, released: Collection[str], beside: Mapping[str, bytes]) -> _Cell | None:
    """What is taken from a cell, None if it is of no known type."""
    kind, source = _item(value, "cell_type"), _item(value, "source")
    if not isinstance(kind, str) or kind not in KINDS:
        return None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        source = ""
    # JSON can hold halves of surrogate pairs, which no file can, and other systems' ends of lines.
    source = re.sub(r"[\0\ud800-\udfff]", "\ufffd", re.sub(r"\r\n?", "\n", source))
    grade_id = _grade_id(value)
    ids = (_item(value, "id"), _item(_item(value, "metadata"), "id"))  # the latter on Colab
    cell_id = next((one for one in ids if isinstance(one, str)), "")
    attached = _item(value, "attachments") if kind == "markdown" else None
    pictures = dict(attached) if isinstance(attached, dict) else {}
    if kind == "markdown":
        source = _with_attachments(source, pictures, beside)
    return _Cell(kind, source, grade_id if grade_id in released else "", cell_id, pictures)


def _with_attachments(source: str, pictures: dict[str, Any], beside: Mapping[str, bytes]) -> str:
    """A text whose embedded pictures, and those that lie beside the notebook, are among its `pictures`."""

    def attached(found: re.Match[str]) -> str:
        kind, embedded, content = found[0].removeprefix("data:").partition(";base64,")
        file = _file(found[0])
        if file in beside:
            kind, content = mimetypes.guess_type(file)[0] or "", base64.b64encode(beside[file]).decode()
        elif not (embedded and found[0].startswith("data:")):
            return found[0]
        name = f"beside/{file}" if file in beside else f"embedded-{crc32(content.encode()):x}"
        pictures[name] = {kind: content}
        return f"attachment:{quote(name)}"

    return SHOWN_AT.sub(attached, source)


def _recognised(cells: list[_Cell], release: NotebookNode) -> tuple[list[_Cell], list[str]]:
    """The cells with the marks that some have lost, and the names of those that only looks tell of.

    An id is proof. Otherwise what was released in one cell only is that cell, and an answer is the one that
    stands where it was released, as long as `_answered_elsewhere` finds no better one.
    """
    found, by_looks = list(cells), list[str]()
    marked = {cell.grade_id for cell in cells}
    texts = [None if cell.grade_id else plain(cell.source) for cell in cells]
    for at, origin in enumerate(release.cells):
        if (name := _grade_id(origin)) and name not in marked:
            same = [place for place, cell in enumerate(found) if cell.id == origin.id]
            place = same[0] if len(same) == 1 and not found[same[0]].grade_id else None
            if place is None and (place := _by_looks(found, texts, release.cells, at)) is not None:
                by_looks.append(name)
            if place is not None:
                found[place] = replace(found[place], grade_id=name)
    return found, by_looks


def _by_looks(
    cells: list[_Cell], texts: list[str | None], release: list[NotebookNode], at: int
) -> int | None:
    """The place of the cell that says what was released there, or answers it; `texts` of unmarked ones."""
    there, nowhere = dict(enumerate(cells)), len(cells) + 1
    said = Counter(plain(cell.source) for cell in release)
    first = {text: place for place, text in reversed([*enumerate(texts)])}
    marked = {cell.grade_id: place for place, cell in reversed([*enumerate(cells)]) if cell.grade_id}
    text = plain(release[at].source)
    if said[text] == 1 and text in first and not cells[first[text]].grade_id:
        return first[text]
    for beside, step in ((at - 1, 1), (at + 1, -1)):
        if is_solution(release[at]) and 0 <= beside < len(release):
            text = plain(release[beside].source)
            place = marked.get(_grade_id(release[beside]), first.get(text, nowhere)) + step
            cell = there.get(place)
            if cell and cell.kind == release[at].cell_type and _is_own(cell, said):
                return place
    return None


def _without_duplicates(cells: list[_Cell], released: Released) -> tuple[list[_Cell], list[str]]:
    """Each cell of the assignment at most once, and the names of those that were there more often.

    Of an answer the first copy that answers is kept, of other cells the first that was not changed. Copies
    that follow it directly are what Jupyter makes of a cell that is split: an answer is joined again. Other
    copies become cells of the student's own if they say something else.
    """
    result = dict(enumerate(cells))
    times = Counter(cell.grade_id for cell in cells)
    duplicated = [grade_id for grade_id in released if times[grade_id] > 1]
    for grade_id in duplicated:
        copies = {place: cell.source for place, cell in enumerate(cells) if cell.grade_id == grade_id}
        said = {place: plain(source) for place, source in copies.items()}
        origin, answers = plain(released[grade_id].source), is_solution(released[grade_id])
        answered = [place for place in copies if said[place] not in ("", origin)]
        intact = [place for place in copies if said[place] == origin]
        kept = end = [*(answered if answers else intact), *copies][0]
        while answers and said.get(end + 1, origin) != origin:
            end += 1
        parts = [place for place in range(kept, end + 1) if said[place]]
        whole = "\n".join(dict.fromkeys(copies[place] for place in parts))
        pictures = dict(one for place in reversed(parts) for one in cells[place].pictures.items())
        known = {"", origin, *(said[place] for place in parts)}
        for place in copies:
            if place == kept:
                result[place] = replace(cells[place], source=whole, pictures=pictures)
            elif kept < place <= end or said[place] in known:
                del result[place]
            else:
                result[place] = replace(cells[place], grade_id="")
    return list(result.values()), duplicated


def _unmixed(cells: list[_Cell], released: Released) -> tuple[list[_Cell], list[str]]:
    """What was written into cells that are not the student's, in cells above them; the names of these."""
    result, changed = list[_Cell](), list[str]()
    for cell in cells:
        said, fixed = plain(cell.source), released.get(cell.grade_id)
        if fixed and not is_solution(fixed) and (cell.kind, said) != (fixed.cell_type, plain(fixed.source)):
            changed.append(cell.grade_id)
            if written := plain(said.replace(plain(fixed.source), "")):
                result.append(_Cell(cell.kind, written))
        result.append(cell)
    return result, changed


def _answered_elsewhere(cells: list[_Cell], release: NotebookNode) -> None:
    """Take cells of the student's own as the answers whose stubs were left: code by the name that it defines,
    texts that stand beside."""
    texts = {plain(cell.source) for cell in release.cells}
    checks = {_grade_id(cell): asked(cell.source) for cell in release.cells}
    for origin in filter(is_solution, release.cells):
        place = next(at for at, cell in enumerate(cells) if cell.grade_id == _grade_id(origin))
        stub, name = cells[place], checks.get(f"{_grade_id(origin)}-check", "")
        left = plain(stub.source) in ("", plain(origin.source))
        if left and origin.cell_type == "markdown":
            _answered_beside(cells, place, texts)
        elif name and (left or "NotImplementedError" in stub.source or not defines(stub.source, name)):
            code = [at for at, cell in enumerate(cells) if cell.kind == "code" and _is_own(cell, texts)]
            own = [at for at in code if defines(cells[at].source, name)]
            if own and (left or own[-1] > place):
                cells[own[-1]] = replace(cells[own[-1]], grade_id=stub.grade_id)
                cells[place : place + 1] = [] if left else [replace(stub, grade_id="")]


def _answered_beside(cells: list[_Cell], place: int, texts: Collection[str]) -> None:
    """Put what stands in cells of the student's own directly above and below a stub, but code, into it."""
    stub = cells[place]
    above = list(takewhile(lambda cell: _is_own(cell, texts), reversed(cells[:place])))
    below = list(takewhile(lambda cell: _is_own(cell, texts), cells[place + 1 :]))
    told, rest, pictures = [], [], dict(stub.pictures)
    for cell in (*reversed(above), stub, *below):
        code = cell.kind == "code" and not is_prose(cell.source)
        if cell is stub or code or pictures.keys() & cell.pictures.keys():
            rest.append(cell)
        else:
            told.append(cell.source)
            pictures |= cell.pictures
    whole = "\n\n".join(source for source in told if plain(source)) or stub.source
    answer = replace(stub, source=whole, pictures=pictures)
    cells[place - len(above) : place + 1 + len(below)] = [answer if cell is stub else cell for cell in rest]


def _is_own(cell: _Cell, released: Collection[str]) -> bool:
    """Whether it is a cell of the student's own, and none that was released without a mark."""
    return not cell.grade_id and plain(cell.source) not in released


def _put_back(cells: list[_Cell], released: Released) -> list[str]:
    """Insert every cell of the assignment that is missing behind the one before it; returns their names."""
    missing, behind = [], 0
    for grade_id, origin in released.items():
        places = [place for place, cell in enumerate(cells) if cell.grade_id == grade_id]
        if not places:
            cells.insert(behind, _Cell(origin.cell_type, origin.source, grade_id))
            missing.append(grade_id)
        behind = min(places, default=behind) + 1
    return missing


def _order(cells: list[_Cell], released: Released) -> None:
    """Move every check that stands above its answer to directly below."""
    for grade_id in released:
        if f"{grade_id}-check" in released:
            names = [cell.grade_id for cell in cells]
            answer, check = names.index(grade_id), names.index(f"{grade_id}-check")
            if check < answer:
                cells.insert(answer, cells.pop(check))


def _nodes(cells: list[_Cell], released: Released) -> tuple[list[NotebookNode], list[str], list[str]]:
    """The cells of the repaired notebook, whose source was too long, and which pictures were left out."""
    nodes, too_long, left_out = list[NotebookNode](), list[str](), list[str]()
    own, room = 0, MOST_PICTURES
    for cell in cells:
        source = cell.source
        if len(source.encode()) > LONGEST:
            too_long.append(cell.grade_id or "a cell of the student's own")
            source = ""
        if cell.grade_id:
            node = released[cell.grade_id]
            if is_solution(node) and plain(source) != plain(node.source):
                node.source = source
        else:
            own += 1
            node = from_dict(
                {"cell_type": cell.kind, "id": f"student-{own:04}", "metadata": {}, "source": source}
            )
            if cell.kind == "code":
                node.update(execution_count=None, outputs=[])
        nodes.append(node)
        for name, bundle in cell.pictures.items() if node.cell_type == "markdown" else ():
            # The first of an attachment's kinds that a page can show.
            kinds = ((mime, picture(_item(bundle, mime), kind)) for mime, kind in PICTURES.items())
            taken = next(({mime: encoded} for mime, encoded in kinds if encoded), {})
            size = sum(map(len, taken.values()))
            if taken and size <= room and len(name) <= 200 and name.isprintable():
                node.setdefault("attachments", NotebookNode())[name] = NotebookNode(taken)
                room -= size
            else:
                left_out.append(printable(name, LONGEST_NAME))
    return nodes, too_long, left_out
