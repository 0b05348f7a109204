"""Which cells of a submission grading may leave out: the lesson's demonstrations, as its author tagged them.

Most of a notebook's time goes into cells that show something and that no graded cell needs. In solutions/
they carry the tag `demonstration`, which nbgrader hands on to the released notebook. `needed` leaves out
those that still stand as they were released; `doubts` tells `course build` where a tag is wrong or missing.

Cells are compared by the global names that they load and bind: code is compiled, never run. What a
demonstration does to an object that another cell has made is for its author to know: of that, `doubts` sees
assignments to parts of it only. How far torch's generator has gone does not count: checks seed it.
"""

import ast
import dis
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType

from nbformat import NotebookNode

from courseware.notebooks import plain

TAG = "demonstration"
LONGEST = 200_000  # characters of code; the longest lesson has a tenth of that, and reading takes time
LOADS = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_NAME", "DELETE_GLOBAL"}
AT_ONCE = {"<module>", "<listcomp>", "<setcomp>", "<dictcomp>"}  # all other code may be called later
IMPORTS = ast.Import | ast.ImportFrom
PLAIN = IMPORTS | ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.ClassDef  # bind without condition
UNSEEN = re.compile(  # names that lead to other names; `_` and its like are IPython's for former outputs
    r"globals|locals|vars|exec|eval|compile|(set|del)attr|In|Out|_+|_i*\d+|_i+|_[dio]h"
)
SOLVED = re.compile(r'(\bsolved\("(\w+)", )\2,')  # which looks at no answer while it is graded
UNSEEN_ANYWHERE = re.compile(  # also as attributes and modules
    r"__(import|main|globals|builtins|dict)__|inspect|builtins|_getframe|f_(globals|locals|builtins|back)"
    r"|modules|importlib|gc|get_ipython|run_cell|user_ns|environ|putenv|\*"
)
# Of the whole process.
STATE = re.compile(r"set_\w+|register\w*|rcParams|filterwarnings|simplefilter|signal|atexit")


def needed(nb: NotebookNode, release: NotebookNode) -> set[int]:
    """Places of the code cells that must run for every graded cell to give what it would give anyway.

    Everything runs if a cell that runs may load what a demonstration binds, or if one that the student has
    changed or added may get at names unseen, change what modules hold, or bind what a demonstration loads.
    """
    code = {place: cell for place, cell in enumerate(nb.cells) if cell.cell_type == "code"}
    whole = set(code)
    if sum(len(cell.source) for cell in code.values()) > LONGEST:
        return whole
    released = [cell for cell in release.cells if cell.cell_type == "code"]
    shown = {plain(cell.source) for cell in released if _shows(cell)}
    other = {plain(cell.source) for cell in released if not _shows(cell)}
    unmarked = {place: plain(cell.source) for place, cell in code.items() if "nbgrader" not in cell.metadata}
    left_out = {place for place, source in unmarked.items() if source in shown - other}
    try:
        demonstrations = _Names.of(code[place] for place in left_out)
        running = _Names.of(code[place] for place in whole - left_out)
        own = _Names.of(cell for cell in code.values() if plain(cell.source) not in shown | other)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return whole
    given = (own.binds - own.imports) & (demonstrations.loads - demonstrations.binds)
    return whole if own.unseen or given or running.loads & demonstrations.binds else whole - left_out


def doubts(solution: NotebookNode) -> list[str]:
    """One sentence for every cell of a solution notebook whose tag is wrong or missing."""
    code = []
    for cell in (cell for cell in solution.cells if cell.cell_type == "code"):
        try:
            code.append((cell, _Names(cell.source)))
        except SyntaxError as problem:
            return [f"cell {cell.id} is no Python: {problem.msg}"]
    made = {name for cell, names in code if _shows(cell) for name in names.binds}
    found = []
    for cell, names in code:
        users = [
            f"cell {user.id} needs its `{min(theirs.loads & names.binds)}`"
            for user, theirs in code
            if user is not cell and not _shows(user) and theirs.loads & names.binds
        ]
        # In a lesson, `vars(x)` shows what a result holds.
        reach = names.unseen - made - {"vars"} | {word for word in names.words if STATE.fullmatch(word)}
        changes = [f"`{word}` there may change what others find" for word in sorted(reach)]
        whys = ["it is an answer or graded"] * ("nbgrader" in cell.metadata) + users + changes
        if TAG in cell.metadata.get("tags", []):
            found += [f"cell {cell.id} is tagged `{TAG}`, but {why}: take the tag away" for why in whys[:1]]
        elif not whys:
            found.append(
                f"cell {cell.id} binds no name that an answer, a check or another cell without the tag "
                f"`{TAG}` reads: tag it, or join it to the cell whose result it changes"
            )
    return found


def _shows(cell: NotebookNode) -> bool:
    return TAG in cell.metadata.get("tags", []) and "nbgrader" not in cell.metadata


class _Names:
    """What a cell does to global names, by the byte code of its statements. Raises what `compile` raises."""

    def __init__(self, source: str) -> None:
        self.loads: set[str] = set()  # those that the same cell has not bound before
        self.binds: set[str] = set()
        self.imports: set[str] = set()  # of those that it binds
        self.words: set[str] = set()  # names, attributes, and what is imported
        self.changed: set[str] = set()  # names to whose attributes or items it assigns
        self.loads.update(re.findall(r'check\("(\w+)"', source))
        bound: set[str] = set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the compiler
            for statement in ast.parse(SOLVED.sub(r"\1None,", source)).body:
                bound |= self._read(statement, bound)

    @classmethod
    def of(cls, cells: Iterable[NotebookNode]) -> "_Names":
        """What they do together."""
        together = cls("")
        for one in (_names(cell.source) for cell in cells):
            for kind, names in vars(together).items():
                names |= vars(one)[kind]
        return together

    @property
    def unseen(self) -> set[str]:
        """What cells may do more than load and bind names by: reach other names, change modules."""
        anywhere = {word for word in self.words if UNSEEN_ANYWHERE.fullmatch(word)}
        return {name for name in self.loads if UNSEEN.fullmatch(name)} | anywhere | self.changed & self.loads

    def _read(self, statement: ast.stmt, bound: set[str]) -> set[str]:
        """Add what a statement does where these names are bound; returns those that are bound below it."""
        binds: set[str] = set()
        for code in _inside(compile(ast.Module([statement], []), "cell", "exec", dont_inherit=True)):
            self.words.update(word for name in code.co_names for word in name.split("."))
            own = bound if code.co_name in AT_ONCE else set()
            for step in dis.get_instructions(code):
                if step.opname in LOADS:
                    self.loads |= {step.argval} - own
                elif step.opname in ("STORE_GLOBAL", "STORE_NAME" if code.co_name == "<module>" else ""):
                    binds.add(step.argval)
        self.binds |= binds
        self.imports |= binds if isinstance(statement, IMPORTS) else set()
        nodes = list(ast.walk(statement))
        self.words.update(alias.name for node in nodes if isinstance(node, IMPORTS) for alias in node.names)
        parts = (node for node in nodes if isinstance(node, ast.Attribute | ast.Subscript))
        self.changed.update(_root(part) for part in parts if not isinstance(part.ctx, ast.Load))
        sure = isinstance(statement, PLAIN) and not any(isinstance(node, ast.NamedExpr) for node in nodes)
        return binds if sure else set()


_names = lru_cache(512)(_Names)  # of a cell, which most submissions have alike


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inside(constant)


def _root(node: ast.AST) -> str:
    """`nn` of `nn.Linear.forward`, '' where no name is at the root."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
