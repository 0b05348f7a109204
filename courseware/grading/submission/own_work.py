"""Reading a submission for what an instructor should look at.

An answer that uses the package's own solution of the exercise, an answer that is the instructor's but for
names, code that reaches for the checks, the solutions or the machinery underneath, and code that hides what
it calls: each is remarked on, with the line that shows it. Code is read (`ast`), never run.

Remarks change no score but for those that are `UNSEEN`: by means that no lesson has a use for, and that make
worthless whatever a kernel says of its own calls.
"""

import ast
import functools
import importlib.util
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_solution

from course_utils.checks import judges
from course_utils.checks.words import printable
from courseware import notebooks
from courseware.grading.reasons import Fault
from courseware.notebooks import plain

MAGICS = 20  # lines of a cell for IPython; no lesson has that many
DEEPEST = 150  # levels of syntax: code of lessons has up to 20, and what reads it takes some calls for each
WITHIN, OPTIONS = 3, 8  # magics in what magics are given, and words before that
MAGIC = ("run_line_magic", "run_cell_magic", "system")
READING = ("time", "timeit", "capture", "config")  # which take code
HARMLESS = r"matplotlib|time|timeit|capture|(load_ext )?autoreload|config|(pip|nvidia-smi)( [\w=<>.-]+)*"
COPIED = 200  # characters of a line that is remarked upon
KEPT = 5_000  # characters of a cell whose syntax tree is kept
COMPARED_NODES = 60  # syntax nodes; below that honest answers look alike, and are compared word for word

PATCHED = ("torch", "numpy", "builtins", "sys", "IPython", "math", "course_utils", "courseware", "importlib")
LIBRARIES = ("sys", "os", "gc", "builtins", "ctypes", "importlib", "inspect", "subprocess")  # of Python's
SETTINGS = ("torch.backends",)  # assignments there are ordinary use
REACHING = {
    "reaches into the loaded modules": r"sys\.modules",
    "looks at its callers": r"sys\._(getframe|current_frames)\w*|inspect\.(stack|currentframe|trace)",
    "traces other code": r"sys\.(settrace|setprofile)",
    "searches the memory": r"gc\.(?!collect$|(en|dis)able$).+",
    "changes how Python is read": r"__future__\.barry_as_FLUFL",
    "imports by name": r"importlib\.(?!metadata|resources).+|runpy|pkgutil|pydoc|zipimport",
    "may run code from a text": r"code|codeop|timeit|cProfile|profile|pdb|bdb|doctest|trace",
    "records what other code does": r"torch\.(jit|fx|export|_dynamo|_export)",
    "fetches what a text names": r"operator\.(attrgetter|methodcaller)|string\.Formatter"
    r"|inspect\.get\w+|(cloud)?pickle|marshal",
    "unwraps what is wrapped": r"inspect\.unwrap",
    "makes functions of code": r"types\.(Function|Code|Lambda)Type",
    "looks at the environment": r"os\.(environb?|getenvb?|putenv|unsetenv)",
    "replaces other code": r"unittest\.mock",
    "reaches below Python": r"ctypes",
    "reaches for Python's built-in functions": r"builtins",
    "reaches into IPython": r"ipykernel"
    r"|IPython\.core\.(?!display|interactiveshell\.InteractiveShell(\.ast_node_interactivity)?$)\w+"
    r"|IPython\.shell\.(?!config|__class__|execution_count$)\w+",
    "ends the process": r"os\._exit",
    "sends signals": r"os\.kill",
    "starts other programs": r"subprocess|multiprocessing|torch\.multiprocessing|joblib"
    r"|concurrent\.futures\.(ProcessPoolExecutor|process)|os\.(system|popen|fork\w*|exec\w+|spawn\w+|posix_spawn\w*)",
}
PLACES = re.compile(
    r"[/\\](solutions|submitted|autograded)\b|\b(solutions|submitted|autograded|course_utils)[/\\]|gradebook\.db"
)
# Names that lead to what an object does not offer, and functions that run or look up what a text says.
INSIDES = re.compile(
    r"__(globals|code|closure|(kw)?defaults|wrapped|file|path|subclasses|builtins|mro|bases?|getattribute|loader|spec"
    r"|reduce(_ex)?|init_subclass)__"
    r"|(f|gi|cr|ag|tb)_(frame|locals|globals|builtins|back|code)"
)
UNREAD = "__unread__"  # stands for what cannot be read here, and a kernel may have been taught to read
BY_TEXT = {
    **dict.fromkeys(("exec", "eval", "compile"), "runs code from a text"),
    **dict.fromkeys(("globals", "locals"), "looks names up by their texts"),
    "__import__": "imports by name",
    UNREAD: "runs code that cannot be read: too deep, with too long a number, or behind many magics",
}
UNSEEN = re.compile(
    r"disguises|searches the memory|imports by name|runs code|makes functions of code|changes how Python"
    r"|replaces other code|traces other code|records what other code does|starts other programs"
    r"|looks at its callers|unwraps|(reaches for|names) `(?!__(file|path|mro|bases?)__)\w+`"
    r"|reaches (into (the checks|the loaded modules|IPython)|below Python|for Python's built-in functions)"
    r"|has IPython run `(run|load_ext|script|sh|bash|.*python)"
)
# Of these, what students do in cells of their own with no thought of answers: install, reload, run a file.
PLAIN = re.compile(r"imports by name|runs code|starts other programs|has IPython run")
LOOKS = ("getattr", "setattr", "delattr", "vars")
LYING = {"__eq__", "__array__", "__torch_function__", "__array_ufunc__", "__getattribute__"}


@dataclass(frozen=True)
class Remark:
    """Something to look at: the cell (its grade_id, or its place), the line in it, the code, and why."""

    cell: str
    line: int
    code: str
    why: str

    def __str__(self) -> str:
        return f"cell {self.cell}, line {self.line}: {self.why}: {self.code}"


def remarks(submitted: NotebookNode, source: NotebookNode) -> list[Remark]:
    """Everything to look at in a submission, in the order of its cells."""
    released = {plain(cell.source) for cell in source.cells if not _answers(cell)}
    solved = {_exercise_of(cell.source): _parse(cell.source) for cell in source.cells if _answers(cell)}
    # Two who predict alike have copied nothing.
    asked = {name: judges.EXERCISES[name] for name in solved if name and not judges.EXERCISES[name].questions}
    references = {f"course_utils.{path}": name for name in asked for path in asked[name].reference}
    solutions = {name: solved[name] for name in asked}
    cells = [(place, cell) for place, cell in enumerate(submitted.cells, 1) if cell.cell_type == "code"]
    written = [(place, cell) for place, cell in cells if is_solution(cell) or not is_grade(cell)]
    trees = [(place, cell, _parse(cell.source)) for place, cell in written]
    names = _Names([tree for _, _, tree in trees])
    found = []
    for place, cell, tree in trees:
        if plain(cell.source) in released and not _answers(cell):
            continue
        lines = cell.source.splitlines()
        own = _exercise_of(cell.source) if _answers(cell) else ""
        chosen = {path: name for path, name in references.items() if not own or name == own}
        for line, why in [*_uses(tree, names, chosen), *_reaches(tree, names), *_copies(tree, solutions)]:
            code = printable(lines[line - 1], COPIED) if 0 < line <= len(lines) else ""
            found.append(Remark(_label(place, cell), line, code, why))
    return list(dict.fromkeys(found))


def waiting(submitted: NotebookNode, release: NotebookNode, found: list[Remark]) -> dict[str, Remark]:
    """By answer, the remark for which its points wait for a person; under '' the one for which all do.

    In a cell that gives several answers anything that it hides is enough: it may be one trick for all. An
    answer's cell that gives none may give any, by means that are not seen.
    """
    cells = {_label(place, cell): cell for place, cell in enumerate(submitted.cells, 1)}
    given = {" ".join(line.split()) for cell in release.cells for line in cell.source.splitlines()}
    waits = {}
    for one in found:
        names = [name for name in judges.EXERCISES if defines(cells[one.cell].source, name)]
        unseen = UNSEEN.match(one.why) and one.code not in given
        if unseen or (len(names) > 1 and not re.match("uses|takes|is the instructor's", one.why)):
            everywhere = unseen and not (names if _answers(cells[one.cell]) else PLAIN.match(one.why))
            waits.update(dict.fromkeys([""] if everywhere else names, one))
    return waits


def _label(place: int, cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id") or f"number {place}"


def kept(autograded: Path, assignment: str = "") -> Iterator[tuple[str, str, Fault | Remark]]:
    """What autograding left in its notebooks: student, notebook, and what was wrong or is remarked upon."""
    for path in sorted(autograded.glob(f"*/{assignment or '*'}/*.ipynb")):
        notebook = notebooks.kept(path)
        course = notebook.metadata.get("course", {}) if notebook else {}
        for fields in course.get("faults", []):
            yield path.parent.parent.name, path.stem, Fault.of(fields)
        for fields in course.get("remarks", []):
            yield path.parent.parent.name, path.stem, Remark(**fields)


def _answers(cell: NotebookNode) -> bool:
    return is_solution(cell) and not is_grade(cell) and cell.cell_type == "code"


def _parse(code: str) -> ast.Module:
    """The syntax tree; lessons' own cells come again with every submission, and are parsed once."""
    return (_kept if len(code) <= KEPT else _tree)(code)


def _tree(code: str, within: int = 0) -> ast.Module:
    """Magics become calls, and what they are given follows; code that does not parse becomes nothing."""
    tree = _python(code) or _transformed(code, within)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _magic(node)]
    for node in calls[:MAGICS]:
        name, *texts = _magic(node)  # its line and, for a cell, what stands below
        given = [_given(line, name in READING, within + 1) for line in texts[:1]]
        for one in (*given, *(_tree(body, within + 1) for body in texts[1:])):
            tree.body += ast.increment_lineno(one, node.lineno - 1).body
    tree.body += ast.parse(UNREAD).body * (len(calls) > MAGICS)
    return tree


def _transformed(code: str, within: int) -> ast.Module:
    """The syntax tree of what IPython makes of a cell that is no Python as it stands."""
    magic = re.compile(r"^([^\S\n]*)[%!?].*$|^.*\?[^\S\n]*$", re.MULTILINE)
    # Each magic costs another reading of all: where they are many, what they say is not read.
    if len(magic.findall(code)) > MAGICS or within > WITHIN:
        return _python(magic.sub(r"\1get_ipython().magics", code)) or ast.parse(UNREAD)
    with suppress(SyntaxError, ValueError, MemoryError, RuntimeError):  # a kernel runs nothing then
        return _python(TransformerManager().transform_cell(code)) or ast.Module([], [])
    return ast.Module([], [])


def _given(line: str, is_code: bool, within: int) -> ast.Module:
    """The syntax tree of what a magic is given, behind its options."""
    words = re.split(r"(?<=\s)(?=\S)", line, maxsplit=OPTIONS)
    trees = (_tree("".join(words[at:]), within) for at in range(len(words)))
    unread = ast.parse(UNREAD) if is_code and line.strip() else ast.Module([], [])
    return next((tree for tree in trees if tree.body), unread)


def _python(code: str) -> ast.Module | None:
    """The syntax tree, None for what is no Python."""
    try:
        tree = ast.parse(code)
    except (MemoryError, RecursionError):
        return ast.parse(UNREAD)
    except (SyntaxError, ValueError) as problem:
        return ast.parse(UNREAD) if "set_int_max_str_digits" in str(problem) else None
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return ast.parse(UNREAD) if level else tree


_kept = functools.lru_cache(512)(_tree)


def is_prose(code: str) -> bool:
    """Whether a cell is no code, or only comments."""
    return not _parse(code).body


def _magic(node: ast.AST) -> list[str]:
    """The name of a magic and what it is given, or a program, as IPython writes it; [] for what is none."""
    match node:
        case ast.Call(ast.Attribute(base, name), arguments) if name in MAGIC:
            if name != "system" or _calls(base, "get_ipython"):
                return [str(getattr(argument, "value", "")) for argument in arguments]
    return []


def defines(code: str, name: str) -> bool:
    """Whether a cell gives the name a meaning: of a function, a class and the like, or by assignment."""
    return name in code and name in _defined(code)  # parsing what cannot define it would take longer


@functools.lru_cache(1024)
def _defined(code: str) -> frozenset[str]:
    nodes = list(ast.walk(_parse(code)))
    named = {str(node.name) for node in nodes if getattr(node, "name", None)}  # type: ignore[attr-defined]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return frozenset(named | stored)


def _exercise_of(code: str) -> str:
    return next((name for name in judges.EXERCISES if defines(code, name)), "")


class _Names:
    """What the notebook's names stand for, as dotted paths, by its imports and plain assignments."""

    def __init__(self, trees: list[ast.Module]) -> None:
        self.paths: dict[str, str] = {"__builtins__": "builtins", "get_ipython": "IPython.get_ipython"}
        for tree in trees:
            for node in ast.walk(tree):
                self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                self.paths[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                self.paths[alias.asname or alias.name] = _member(node.module, alias.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self._assign(target, node.value or ast.Constant(None))
        elif isinstance(node, ast.arguments):
            defaults = [*node.defaults, *node.kw_defaults]  # those of the last arguments
            last = [*node.posonlyargs, *node.args, *node.kwonlyargs][-len(defaults) :]
            for argument, default in zip(last, defaults, strict=False):
                self._assign(ast.Name(argument.arg, ast.Store()), default or ast.Constant(None))

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            for one, its in zip(target.elts, value.elts, strict=False):
                self._assign(one, its)
        elif isinstance(target, ast.Name):
            path = self.of(value)
            if path and path != target.id:
                self.paths[target.id] = path

    def of(self, node: ast.AST) -> str:
        """The dotted path of an expression, '' for what is no plain path."""
        if isinstance(node, ast.Name):
            return self.paths.get(node.id, "")
        if isinstance(node, ast.NamedExpr):
            return self.of(node.value)
        if isinstance(node, ast.Attribute):
            base = self.of(node.value)
            return _member(base, node.attr) if base else ""
        return self._returned(node) if isinstance(node, ast.Call) else ""

    def _returned(self, call: ast.Call) -> str:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        function = self.of(call.func)
        if function.startswith("IPython.get_ipython"):
            return "IPython.shell"
        texts = [str(getattr(argument, "value", "")) for argument in call.args]
        if name == "__import__" or function == "importlib.import_module":
            return "".join(texts[:1])
        first = self.of(call.args[0]) if name in ("getattr", "vars") and call.args else ""
        attribute = "__dict__" if name == "vars" else "".join(texts[1:2])
        return f"{first}.{attribute}" if first and attribute else ""


def _member(base: str, name: str) -> str:
    """The path of what another has under this name: `sys` also where it is `os.sys`."""
    return name if name in LIBRARIES else f"{base}.{name}"


def _uses(tree: ast.Module, names: _Names, references: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Where the package's own solution of an exercise is called, subclassed or copied."""
    for node in ast.walk(tree):
        for path in _paths(node, names):
            line, (module, _, name) = getattr(node, "lineno", 0), path.rpartition(".")
            whole = [solved for known, solved in references.items() if known.rpartition(".")[0] == module]
            if path in references:
                yield line, f"uses `{path}`, which solves {references[path]}"
            elif name in ("*", "__dict__") and whole:
                yield line, f"takes all names of `{module}`, which solves {', '.join(whole)}"


def _paths(node: ast.AST, names: _Names) -> list[str]:
    """The dotted paths that a node imports or stands for."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        module = getattr(node, "module", None) or ""
        return [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
    path = names.of(node) if isinstance(node, ast.Attribute | ast.Name | ast.Call) else ""
    return [path] * bool(path)


def _reaches(tree: ast.Module, names: _Names) -> Iterator[tuple[int, str]]:
    """Where code reaches for the checks, the solutions or what is underneath, or hides what it calls."""
    checks = [node for node in ast.walk(tree) if _calls(node, "check")]
    given = [argument for call in checks for argument in call.args if ast.unparse(argument) == "globals()"]
    compared = [node.comparators[-1] for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    given += [one for one in compared if ast.unparse(one) == "sys.modules"]  # is it Colab?
    as_lessons_do = {node for argument in given for node in ast.walk(argument)}
    as_lessons_do |= {node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and _magic(node)}
    for node in ast.walk(tree):
        if node in as_lessons_do:
            continue
        line = getattr(node, "lineno", 0)
        imported = isinstance(node, ast.Import | ast.ImportFrom)
        for path in _paths(node, names):
            if imported and path.startswith("course_utils.checks") and path != "course_utils.checks.check":
                yield line, "imports the checks"
            if not imported and re.match(r"(course_utils\.checks|courseware\.grading)\.(?!check$)", path):
                yield line, "reaches into the checks"
            if not imported and path.endswith(".__dict__") and path.partition(".")[0] in PATCHED:
                yield line, f"reaches into the names of `{path.removesuffix('.__dict__')}`"
            for why, known in REACHING.items():
                if re.fullmatch(rf"({known})(\..*)?", path):
                    yield line, why
        yield from ((line, why) for why in (*_says(node), *_patches(node, names)))
    yield from _hides(tree)


def _hides(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where a function that looks names up is handed on, and where a module of the code's own is imported."""
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in LOOKS and node not in called:
            yield node.lineno, "computes the name of what it uses"
        if isinstance(node, ast.Import) and not all(_installed(one.name) for one in node.names):
            yield node.lineno, "imports a module that is not the course's"


@functools.cache
def _installed(name: str) -> bool:
    """Whether there is a package with this module for everybody; others a submission has written itself."""
    with suppress(ValueError):  # __main__
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    return False


def _says(node: ast.AST) -> Iterator[str]:
    """What the code itself shows, whatever its names stand for."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if PLACES.search(node.value):
            yield "names a folder that is the instructor's"
        if INSIDES.fullmatch(node.value):
            yield f"names `{node.value}`"
    elif isinstance(node, ast.FunctionDef) and node.name in LYING:
        yield f"defines `{node.name}`"
    elif isinstance(node, ast.Attribute | ast.MatchClass):
        attributes = node.kwd_attrs if isinstance(node, ast.MatchClass) else [node.attr]
        yield from (f"reaches for `{attribute}`" for attribute in attributes if INSIDES.fullmatch(attribute))
    elif isinstance(node, ast.Name) and node.id in BY_TEXT:
        yield BY_TEXT[node.id]
    elif isinstance(node, ast.Call) and (magic := _magic(node)):
        yield from _runs(magic, all(isinstance(argument, ast.Constant) for argument in node.args))
    elif _calls(node, *LOOKS):
        of_itself = [getattr(argument, "id", "") for argument in node.args] == ["self"]  # as vars(self)
        if not (of_itself or any(isinstance(name, ast.Constant) for name in node.args[1:2])):
            named = {type(part) for argument in node.args[1:2] for part in ast.walk(argument)}
            yield f"{'computes' if ast.Name in named or not named else 'disguises'} the name of what it uses"


def _runs(magic: list[str], plain: bool) -> Iterator[str]:
    """What is said of a magic; of one that is not `plain` its name or what it is given is computed."""
    if not any(re.fullmatch(HARMLESS, said) for said in (magic[0], " ".join(magic[:2]))):
        yield f"has IPython run `{magic[0]}`"
    if not plain:
        yield BY_TEXT["exec"]


def _calls(node: ast.AST, *names: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _patches(node: ast.AST, names: _Names) -> Iterator[str]:
    """Assignments to attributes or items of modules that are not the student's."""
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        path = names.of(node.value)
    elif _calls(node, "setattr", "delattr") and node.args:
        first = node.args[0]
        path = names.of(first.value if isinstance(first, ast.Attribute | ast.Subscript) else first)
    else:
        return
    if path.partition(".")[0] in PATCHED and not path.startswith(SETTINGS):
        yield f"changes `{path}`"


def _copies(tree: ast.Module, solutions: dict[str, ast.Module]) -> Iterator[tuple[int, str]]:
    """Where an answer is the instructor's word for word or, if long enough, has its syntax."""
    for name, solution in solutions.items():
        theirs = [node for node in solution.body if getattr(node, "name", None) == name][:1]
        ours = [node for node in tree.body if getattr(node, "name", None) == name][-1:]
        for our, their in zip(ours, theirs, strict=False):
            if ast.dump(our) == ast.dump(their):
                yield our.lineno, "is the instructor's solution word for word"
            elif len(list(ast.walk(their))) >= COMPARED_NODES and _shape(our) == _shape(their):
                yield our.lineno, "is the instructor's solution but for names"


def _shape(node: ast.AST) -> str:
    """The syntax alone: names numbered in the order of their appearance, no docstrings, no types."""
    return ast.dump(_Plain().visit(ast.parse(ast.unparse(node))))


class _Plain(ast.NodeTransformer):
    def __init__(self) -> None:
        self.numbers: defaultdict[str, str] = defaultdict(lambda: f"n{len(self.numbers)}")

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        printed = isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "print"
        return None if printed or isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(self.numbers[node.arg])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.numbers[node.id], node.ctx)
