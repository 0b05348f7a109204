"""Which cells of a submission must run for its graded cells to give what they would give anyway.

Most of a notebook's time goes into demonstrations that no graded cell needs. Only the instructor's own cells,
unchanged, are ever left out; answers, graded cells and whatever a student wrote or changed always run. Of the
instructor's, those run that a cell which runs may depend on: that bind a name it reads, or may change what
the name stands for, before the last moment at which somebody looks. Code is read, never run.

A cell may change whatever it reads and all that went into it, with these exceptions. A module, or what was
imported from one, is changed only by an assignment to an attribute or item of it (`nn.Linear.forward = f`)
or by what sets a state of the whole process (STATE); such cells always run. A function or class of the
instructor's, and the lesson's data, budget and device (MADE), are changed only by cells that work in place:
that assign to any attribute or item, assign augmented, call a method such as `add_`, or hand over `out` or
`inplace`, themselves or in what they may call.

Where code can get at names unseen (UNSEEN, magics, star imports, syntax errors), or is longer than LONGEST,
every cell runs.

Random numbers are left out of account: what runs decides how far torch's generator has gone, else no cell
could be left out. A check draws its inputs from generators of its own seed, but not every check seeds torch
before it calls the answer: an answer that draws may hand over other numbers, of the same distribution.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nbformat import NotebookNode

from course_utils import settings
from course_utils.checks import EXERCISES
from courseware.grading import preprocessors  # as a module: it may import this one

LONGEST = 200_000  # characters of code; the longest lesson has a tenth of that, and reading takes time
MADE = {"data.for_lesson", "settings.budget", "settings.device"}
STATE = re.compile(
    r"set_\w+|register\w*|(set|del|get)attr|rcParams|warnings|filterwarnings|simplefilter|os|sys"
    r"|importlib|signal|atexit|threading|logging|backends|use_deterministic_algorithms|seed\(\)"
)
UNSEEN = re.compile(
    r"globals|locals|vars|exec|eval|compile|get_ipython"
    r"|In|Out|_+|_i*\d+|_i+|_[dio]h"  # what IPython keeps: `_` is the last output
)
UNSEEN_ANYWHERE = re.compile(  # also as an attribute
    r"__(import|main|globals|builtins|dict)__|inspect|builtins|_getframe|f_globals|modules|gc|run_cell|user_ns"
    r"|environ|putenv"  # the budget decides what the checks of predictions look up
)
Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass
class _Cell:
    """What a cell's code does to names."""

    tree: ast.Module
    released: bool
    reads: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)  # bound by def, class or a function of MADE
    assigned: set[str] = field(default_factory=set)  # bound in any other way

    def __post_init__(self) -> None:
        self._follow(self.tree.body, set())
        for statement in self.tree.body:
            bound = _bound(statement)
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self.imported |= bound
            elif isinstance(statement, Scope):
                self.settled.add(statement.name)
                self.assigned |= bound - {statement.name}
            else:
                (self.settled if _made(statement) else self.assigned).update(bound)

    def _follow(self, body: list[ast.stmt], bound: set[str]) -> None:
        """Add what the statements read; names that those above have `bound` come from this cell.

        Functions and comprehensions look names up when they are called: that may come from anywhere.
        """
        for statement in body:
            blocks: list[list[ast.stmt]] = [] if isinstance(statement, Scope) else _blocks(statement)
            now, later = _read(_head(statement) if blocks else statement)
            self.reads |= (now - bound) | later
            targets: list[ast.AST] = []
            if isinstance(statement, ast.For):
                targets = [statement.target]
            elif isinstance(statement, ast.With):
                targets = [item.optional_vars for item in statement.items if item.optional_vars]
            for place, block in enumerate(blocks):
                self._follow(block, bound | _stored(targets) if place == 0 else set(bound))
            if isinstance(statement, ast.Assign):
                bound |= _stored(statement.targets)
            elif isinstance(statement, Scope):
                bound.add(statement.name)
            elif isinstance(statement, ast.Import | ast.ImportFrom):
                bound |= _bound(statement)

    @cached_property
    def binds(self) -> set[str]:
        return self.imported | self.settled | self.assigned

    @cached_property
    def stores(self) -> set[str]:
        """Roots of attributes and items assigned or deleted ('' for no name), and of what `vars` opens."""
        return {
            _root(node)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)
        } | {_root(call.args[0]) for call in self._vars}

    @cached_property
    def _vars(self) -> list[ast.Call]:
        """Calls `vars(x)`, which ask for the attributes of x and not for the notebook's names."""
        return [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and node.args and _path(node.func) == "vars"
        ]

    @cached_property
    def in_place(self) -> bool:
        return bool(self.stores) or any(
            isinstance(node, ast.AugAssign)
            or (isinstance(node, ast.Attribute) and node.attr.endswith("_") and not node.attr.endswith("__"))
            or (isinstance(node, ast.keyword) and node.arg in ("out", "inplace"))
            for node in ast.walk(self.tree)
        )

    @cached_property
    def unseen(self) -> bool:
        plain = [call.func for call in self._vars]
        return any(
            UNSEEN.fullmatch(node.id) and node.id in self.reads and node not in plain
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Name)
        ) or any(word == "*" or UNSEEN_ANYWHERE.fullmatch(word) for word in _words(self.tree))


def needed(nb: NotebookNode, release: NotebookNode) -> set[int]:
    """Indices of the code cells that must run for every graded cell to give what it would give anyway."""
    code = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    if sum(len(nb.cells[i].source) for i in code) > LONGEST:
        return set(code)
    own = {cell.source.strip() for cell in release.cells if _demonstrates(cell)}
    try:
        cells = {i: _cell(nb.cells[i], own) for i in code}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(code)
    if any(cell.unseen for cell in cells.values()):
        return set(code)
    return _Notebook(cells).needed()


class _Notebook:
    """How the cells hang together."""

    def __init__(self, cells: dict[int, _Cell]) -> None:
        self.cells = cells
        everywhere = cells.values()
        assigned = {name for cell in everywhere for name in cell.assigned}
        settled = {name for cell in everywhere for name in cell.settled}
        theirs = {name for cell in everywhere if not cell.released for name in cell.settled}
        self.modules = {name for cell in everywhere for name in cell.imported} - assigned - settled
        self.settled = settled - assigned - theirs
        self.loose = (assigned | settled) - self.settled
        self.patchable = self.modules | self._other_names()
        self.touched = {i: self._touched(i) for i in cells}

    def needed(self) -> set[int]:
        """Cells that run, found backwards from those that always do.

        A cell's horizon is the last place where a running cell may look at what it made: only what happens
        before that can matter, to the cell itself or to what it uses then.
        """
        always = [i for i, cell in self.cells.items() if not cell.released]
        end = max(always, default=-1)
        stack = [
            (i, end if self._sets_state(i) else i) for i in self.cells if i in always or self._sets_state(i)
        ]
        horizons: dict[int, int] = {}
        while stack:
            i, horizon = stack.pop()
            if i > end or horizons.get(i, -1) >= horizon:
                continue
            horizons[i] = horizon
            for j, cell in self.cells.items():
                if j < horizon and any(n in cell.binds or self._changes(j, n) for n in self.cells[i].reads):
                    stack.append((j, horizon))
        return set(horizons)

    def _changes(self, i: int, name: str) -> bool:
        names, in_place = self.touched[i]
        return name in names and (name in self.loose or (in_place and name in self.settled))

    def _touched(self, i: int) -> tuple[set[str], bool]:
        """The names that a cell gets at by what it reads, and whether code on the way works in place."""
        names: set[str] = set()
        found, stack = {i}, [i]
        while stack:
            reads = self.cells[stack.pop()].reads
            names |= reads
            through = {j for j, cell in self.cells.items() if cell.binds & (reads - self.modules)} - found
            found |= through
            stack.extend(through)
        return names, any(self.cells[j].in_place for j in found)

    def _sets_state(self, i: int) -> bool:
        cell = self.cells[i]
        return bool(cell.stores & self.patchable) or any(STATE.fullmatch(word) for word in _words(cell.tree))

    def _other_names(self) -> set[str]:
        """Names for something of a module: `Linear = nn.Linear`, `for layer in (nn.Linear,)`."""
        found: set[str] = set()
        for cell in self.cells.values():
            for node in ast.walk(cell.tree):
                if isinstance(node, ast.Assign | ast.For | ast.comprehension | ast.NamedExpr):
                    value = node.value if isinstance(node, ast.Assign | ast.NamedExpr) else node.iter
                    parts = [value, *getattr(value, "elts", []), *getattr(value, "values", [])]
                    if any(_root(part) in self.modules for part in parts):
                        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                        found |= _stored(targets)
        return found


def _demonstrates(cell: NotebookNode) -> bool:
    mark = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and not mark.get("grade") and not mark.get("solution")


def _cell(cell: NotebookNode, own: set[str]) -> _Cell:
    """The cell's code; of a graded cell `globals()` means the names that its check looks up there."""
    asked = preprocessors.asked_of(cell)
    source = cell.source.strip().rpartition("\n")[0] if asked else cell.source
    read = _Cell(ast.parse(source), _demonstrates(cell) and cell.source.strip() in own)
    if asked:
        read.reads |= {"check", asked}
        # Under the smoke budget predictions are not compared with what was measured (checks/predictions.py).
        if asked in EXERCISES and settings.budget().name != "smoke":
            read.reads |= {EXERCISES[asked].measured} - {""}
    return read


# --- syntax -------------------------------------------------------------------------------------------


def _table(node: ast.AST) -> symtable.SymbolTable:
    return symtable.symtable(ast.unparse(node), "cell", "exec")


def _inner(table: symtable.SymbolTable) -> Iterable[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _inner(child)


def _read(node: ast.AST) -> tuple[set[str], set[str]]:
    """The global names that code reads: at once, and in inner scopes (in a class also those of its own)."""
    table = _table(node)
    later = {
        symbol.get_name()
        for inner in _inner(table)
        for symbol in inner.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or str(inner.get_type()).endswith("class"))
    }
    return {s.get_name() for s in table.get_symbols() if s.is_referenced()}, later


def _bound(node: ast.AST) -> set[str]:
    """The global names that code binds or deletes, also by `global` in a function."""
    table = _table(node)
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()} | {
        symbol.get_name()
        for inner in _inner(table)
        for symbol in inner.get_symbols()
        if symbol.is_declared_global() and (symbol.is_assigned() or symbol.is_imported())
    }


def _stored(targets: Iterable[ast.AST]) -> set[str]:
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of a loop, `if` or `with`; of the others none, which then count as a whole."""
    if isinstance(statement, ast.For | ast.While | ast.If):
        return [statement.body, statement.orelse]
    return [statement.body] if isinstance(statement, ast.With) else []


def _head(statement: ast.stmt) -> ast.stmt:
    """The statement with empty blocks."""
    empty: dict[str, Any] = {"body": [ast.Pass()], "orelse": []}
    fields = {name: empty.get(name, value) for name, value in ast.iter_fields(statement)}
    return ast.copy_location(type(statement)(**fields), statement)


def _path(node: ast.AST | None) -> str:
    """The dotted path of a name, attribute or item, as `nn.Linear`, or '' for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute | ast.Subscript):
        base = _path(node.value)
        return base and f"{base}.{getattr(node, 'attr', '[]')}"
    return ""


def _root(node: ast.AST | None) -> str:
    return _path(node).partition(".")[0]


def _made(statement: ast.stmt) -> bool:
    """Whether a statement assigns what functions of MADE return, and nothing else."""
    if not isinstance(statement, ast.Assign):
        return False
    values = statement.value.elts if isinstance(statement.value, ast.Tuple) else [statement.value]
    return all(isinstance(value, ast.Call) and _path(value.func) in MADE for value in values)


def _words(tree: ast.AST) -> set[str]:
    """Every identifier of the code, and `seed()` for a call of that method."""
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            paths = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            words.update(part for path in paths for part in path.split("."))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "seed":
            words.add("seed()")
        elif isinstance(node, ast.Constant) and node.value == "__main__":
            words.add("__main__")
    return words
