"""CSV files of other programs, read cell by cell: what nobody sets stays as it was, byte by byte.

Python's `csv` forgets how a cell was quoted and how a line ended, and platforms get their own files back.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from course_utils import files
from course_utils.settings import CourseError

BOM = "\ufeff"
Row = list[list[str]]  # of [what stands in the file, what ends it]


def plain(heading: str) -> str:
    """A heading without what spellings differ in: `SIS Login ID` and `sis_login_id` are one."""
    return "".join(letter for letter in heading.casefold() if letter.isalnum())


class Sheet:
    """A table with one line of headings."""

    def __init__(self, path: Path) -> None:
        """Raises CourseError where the file is no table, or its lines differ in length."""
        self.path = path
        try:
            text = path.read_bytes().decode()
        except OSError as problem:
            raise CourseError(f"{path} cannot be read ({problem.strerror}): name a CSV file.") from None
        except UnicodeDecodeError:
            raise CourseError(f"{path} is no CSV file in UTF-8: download it again.") from None
        self._start, text = (BOM, text[1:]) if text.startswith(BOM) else ("", text)
        self._mark = max(",;\t", key=text.partition("\n")[0].count)
        self._lines = list(_lines(text, self._mark))
        self.heads, *self.rows = [row for row in self._lines if len(row) > 1 or row[0][0]] or [[["", ""]]]
        for number, row in enumerate(self.rows, 2):
            if len(row) != len(self.heads):
                odd = f"Row {number} of {path} has {len(row)} cells, its headings are {len(self.heads)}"
                raise CourseError(f"{odd}: download it again.")
        heads = [plain(_meant(head)) for head in self.heads]
        self.columns = {head: heads.index(head) for head in heads}

    def require(self, what: str, *headings: str) -> None:
        """Raise CourseError where the table is not what it should be, by its headings."""
        if lacking := [one for one in headings if plain(one) not in self.columns]:
            raise CourseError(f"{self.path} is no {what}, in English: it lacks {', '.join(lacking)}.")

    def get(self, row: Row, column: str | int) -> str:
        """What a cell says; '' where there is no such column."""
        at = self.columns.get(column) if isinstance(column, str) else column
        return "" if at is None else _meant(row[at]).strip()

    def set(self, row: Row, column: str | int, text: str) -> None:
        at = self.columns[column] if isinstance(column, str) else column
        quoted = set(text) & {self._mark, '"', "\r", "\n"}
        row[at][0] = '"' + text.replace('"', '""') + '"' if quoted else text

    def write(self, path: Path) -> None:
        text = "".join(part for row in self._lines for cell in row for part in cell)
        files.write(path, (self._start + text).encode())


def _lines(text: str, mark: str) -> Iterator[Row]:
    """Rows of cells; all of them joined are the text."""
    cell = re.compile(rf'("[^"]*(?:""[^"]*)*"[^{mark}\r\n]*|[^{mark}\r\n]*)({mark}|\r\n|\r|\n|\Z)')
    row: Row = []
    for found in cell.finditer(text):
        row.append([found[1], found[2]])
        if found[2] != mark:
            yield row
            row = []


def _meant(cell: list[str]) -> str:
    raw = cell[0]
    quoted = len(raw) > 1 and raw[0] == raw[-1] == '"'
    return raw[1:-1].replace('""', '"') if quoted else raw
