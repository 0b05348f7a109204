"""What code is made of, whatever its names and however it is set out: to tell copies from like minds.

The syntax tree of a cell becomes rows of tokens, one for each function, so the order of definitions does not
matter. Names that the code gives itself are one token; comments, docstrings, types, imports and prints are
none. `a * b` is `b * a`, `x.exp()` is `torch.exp(x)`, and a helper that returns one expression is read where
it is called. A fingerprint is LENGTH tokens on end: winnowing (Schleimer, Wilkerson & Aiken 2003,
doi:10.1145/872757.872770) with a window of one, since answers are short enough to keep all of theirs.
"""

import ast
import functools
import re
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress

LENGTH = 6
ENOUGH = 25  # fingerprints of one's own in both, at least: an answer that has fewer is too short to tell
ALIKE = 0.7  # and this share of those in the shorter answer
SMALL = 40  # nodes of a helper
MODULES = {"torch", "math", "F", "nn", "np"}  # as the lessons call them; others by their imports
MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)
UNREADABLE = (SyntaxError, ValueError, MemoryError, RecursionError)

Token = tuple[str, int]  # and its line
Prints = Mapping[str, Set[int]]  # the fingerprints, and the lines where each is found


@functools.lru_cache(1024)
def prints(code: str) -> Prints:
    """The fingerprints of a cell; none where it cannot be read."""
    found: dict[str, set[int]] = {}
    with suppress(*UNREADABLE):
        for row in filter(None, _Rows(ast.parse(MAGIC.sub("", code))).rows):
            for start in range(max(1, len(row) - LENGTH + 1)):
                some = row[start : start + LENGTH]
                found.setdefault(" ".join(text for text, _ in some), set()).update(line for _, line in some)
    return found


def alike(one: Set[str], other: Set[str], enough: int = ENOUGH, share: float = ALIKE) -> bool:
    """Whether two have more in common, of what is their own, than chance makes likely."""
    return len(one & other) >= max(enough, share * min(len(one), len(other)))


class _Rows:
    def __init__(self, tree: ast.Module) -> None:
        self.own: set[str] = set()
        self.modules = set(MODULES)
        self.helpers: dict[str, tuple[list[str], ast.expr]] = {}  # parameters, and what is returned
        self.given: dict[str, list[Token]] = {}  # to the helper that is being read
        self.line = 1
        for node in ast.walk(tree):
            self._learn(node)
        self.rows: list[list[Token]] = []
        self.rows.append(self._all(tree.body))

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names) | ast.ImportFrom(names=names):
                self.modules |= {one.asname or one.name for one in names}
            case ast.FunctionDef(name):
                self.own.add(name)
                self._learn_helper(node)
            case ast.Name(name, ast.Store()) | ast.Attribute(_, name, ast.Store()):
                self.own.add(name)
            case ast.arg(name) | ast.ClassDef(name):
                self.own.add(name)

    def _learn_helper(self, node: ast.FunctionDef) -> None:
        names, nodes = [one.arg for one in node.args.args], list(ast.walk(node))
        used = [part.id for part in nodes if isinstance(part, ast.Name)]
        # What a call is replaced by must not be much longer: else a few calls would fill the memory.
        once = len(nodes) <= SMALL and all(used.count(one) == 1 for one in names)
        match [line for line in node.body if not _silent(line)]:
            case [ast.Return(ast.expr() as value)] if names and once:
                self.helpers[node.name] = names, value

    def _all(self, nodes: Iterable[ast.AST]) -> list[Token]:
        return [token for node in nodes for token in self._of(node)]

    def _of(self, node: ast.AST) -> list[Token]:
        """The tokens of a node, in the order in which they are compared."""
        self.line = getattr(node, "lineno", self.line)
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                self.rows.append(self._all(node.body))
                return []
            case _ if _silent(node):
                return []
            case ast.Name(name):
                return self.given.get(name) or [self._token(name)]
            case ast.Constant(value):
                return [("text" if isinstance(value, str) else repr(value), self.line)]
            case ast.Attribute(value, name):
                return [self._token(name), *self._owner(value)]
            case ast.Call():
                return self._call(node)
            case ast.BinOp(left, operator, right):
                head, sides = self._token(type(operator).__name__), [self._of(left), self._of(right)]
                if isinstance(operator, ast.Add | ast.Mult):
                    sides.sort(key=lambda side: [text for text, _ in side])
                return [head, *sides[0], *sides[1]]
            case ast.AnnAssign(target, _, value):
                return self._of(ast.Assign([target], value)) if value else []
        name = getattr(node, "arg", None) or type(node).__name__  # a keyword is called by its own
        return [self._token(name), *self._all(ast.iter_child_nodes(node))]

    def _call(self, call: ast.Call) -> list[Token]:
        arguments = [self._of(one) for one in [*call.args, *call.keywords]]
        rest = [token for one in arguments for token in one]
        match call.func:
            case ast.Name(name) if name in self.helpers and not self.given:
                names, returned = self.helpers[name]
                if len(names) == len(arguments):
                    self.given = dict(zip(names, arguments, strict=True))
                    read, self.given = self._of(returned), {}
                    return read
            case ast.Attribute(value, name) if name not in self.own:
                return [(f"{name}()", self.line), *self._owner(value), *rest]
            case ast.Name(name) if name not in self.own:
                return [(f"{name}()", self.line), *rest]
        return [("()", self.line), *self._of(call.func), *rest]

    def _token(self, text: str) -> Token:
        return ("_" if text in self.own else text, self.line)

    def _owner(self, node: ast.AST) -> list[Token]:
        """The tokens of what an attribute is one of: none for a module."""
        return [] if isinstance(node, ast.Name) and node.id in self.modules else self._of(node)


def _silent(node: ast.AST) -> bool:
    """Whether a node says nothing of what is computed, such as a docstring."""
    match node:
        case ast.Expr(ast.Constant()) | ast.Expr(ast.Call(ast.Name("print"))):
            return True
    return isinstance(node, ast.Import | ast.ImportFrom | ast.expr_context | ast.arguments)
