"""Single edits of the reference answers, each of which must lose points.

`python tests/mutants.py [EXERCISE ...]` prints what survives. An edit that changes nothing a check should
see is listed in EQUIVALENT with the reason. Edits are made on the syntax tree: operators, constants,
comparisons, names of functions, arguments, dropped calls, statements and layers, swapped branches and
results.
"""

import ast
import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
from programs import ROOT

from bank.answers import notebook_names
from course_utils.checks import check
from course_utils.checks.judges import EXERCISES
from course_utils.checks.probes import evidence
from courseware import sections


def _both_ways(pairs: dict[Any, Any]) -> dict[Any, Any]:
    return pairs | {second: first for first, second in pairs.items()}


OPERATORS: dict[type, type] = {ast.FloorDiv: ast.Div, ast.Pow: ast.Mult} | _both_ways({
    ast.Add: ast.Sub, ast.Mult: ast.Div, ast.Lt: ast.LtE, ast.Gt: ast.GtE, ast.Eq: ast.NotEq, ast.And: ast.Or,
})  # fmt: skip
NAMES: dict[str, str] = {
    "sin": "cos", "randn_like": "rand_like", "zeros_like": "ones_like", "zeros": "ones", "logsumexp": "sum",
    "sigmoid": "tanh", "sqrt": "exp",
} | _both_ways({
    "exp": "log", "sum": "mean", "max": "min", "std": "var", "eval": "train", "stack": "cat",
    "repeat": "repeat_interleave",
})  # fmt: skip
# Their first two arguments may be swapped.
SYMMETRIC = {
    "gaussian_log_density",
    "mse_loss",
    "cosine_similarity",
    "min",
    "max",
    "logaddexp",
    "information",
}


@functools.cache
def answers() -> dict[str, ast.stmt]:
    """What the answer cells in solutions/ define, by its name."""
    return {
        node.name: node
        for lesson in sections.lessons()
        for cell in nbformat.read(ROOT / "solutions" / lesson.path, as_version=4).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution")
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def mutants(
    tree: ast.Module, wanted: Callable[[str], bool] = lambda text: True
) -> Iterator[tuple[str, ast.Module]]:
    """Every single edit of which one wants the text: 'old -> new', which is unique, and the tree, which is
    edited so until the next edit is asked for."""
    seen: Counter[str] = Counter()
    given = {part for node in ast.walk(tree) if isinstance(node, _STUB) for part in _stub(node)}
    places = [place for node in ast.walk(tree) if node not in given for place in _places(node)]
    for parent, held, key in places:
        old = held[key]
        if not isinstance(old, ast.AST) or _is_docstring(parent) or _is_docstring(old):
            continue
        for new in _edits(old, isinstance(parent, ast.FunctionDef | ast.With | ast.If | ast.For)):
            text = f"{_text(old)} -> {_text(new)}"
            if _text(old) == _text(new):
                continue
            seen[text] += 1
            text = f"{text} ({seen[text]})" if seen[text] > 1 else text
            if wanted(text):
                held[key] = new
                yield text, ast.fix_missing_locations(tree)
                held[key] = old


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, Any, Any]]:
    """The node with each place in it: what holds a part, and under which key."""
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            yield from ((node, value, index) for index in range(len(value)))
        else:
            yield node, vars(node), field


_STUB = ast.FunctionDef | ast.AnnAssign


def _stub(node: ast.FunctionDef | ast.AnnAssign) -> Iterator[ast.AST]:
    """What the stub hands to the student: the signature with its types and defaults."""
    parts = [node.args, node.returns] if isinstance(node, ast.FunctionDef) else [node.annotation]
    for part in filter(None, parts):
        yield from ast.walk(part)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _edits(node: ast.AST, is_statement: bool) -> Iterator[ast.AST]:
    """What may stand in the node's place."""
    yield from _operators(node)
    yield from _branches(node)
    if isinstance(node, ast.Constant):
        yield from _constants(node.value)
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield ast.Attribute(node.value, NAMES[node.attr], node.ctx)
    if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
        yield ast.Name(NAMES[node.id], node.ctx)
    if isinstance(node, ast.Tuple) and len(node.elts) > 1 and isinstance(node.ctx, ast.Load):
        yield ast.Tuple([node.elts[1], node.elts[0], *node.elts[2:]], node.ctx)
    if isinstance(node, ast.Call):
        yield from _calls(node)
    if is_statement and isinstance(node, ast.Expr):
        yield ast.Pass()


def _operators(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(OPERATORS[type(node.op)](), node.values)
    if isinstance(node, ast.Compare):
        for index, old in enumerate(node.ops):
            if type(old) in OPERATORS:
                ops = [*node.ops[:index], OPERATORS[type(old)](), *node.ops[index + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)
    if isinstance(node, ast.UnaryOp):
        yield node.operand


def _branches(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    if isinstance(node, ast.If):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    if isinstance(node, ast.With):
        yield ast.If(ast.Constant(True), node.body, [])
    if isinstance(node, ast.Return) and node.value is not None:
        yield ast.Expr(node.value)


def _constants(value: object) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    elif isinstance(value, float):
        yield from (ast.Constant(2 * value if value else 1.0), ast.Constant(-value if value else -1.0))
    elif value in ("sum", "mean", "none"):
        yield from (ast.Constant(other) for other in ("sum", "mean", "none") if other != value)
    elif isinstance(value, str):
        yield ast.Constant(f"not {value}")


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    """Without the call, without each argument, with the first two arguments swapped."""
    if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
        yield node.func.value
    elif len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
        yield node.args[0]
    if len(node.args) > 1 and _text(node.func).split(".")[-1] not in SYMMETRIC:
        yield ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)
    for index in range(len(node.args)):
        yield ast.Call(node.func, node.args[:index] + node.args[index + 1 :], node.keywords)
    for index in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, node.keywords[:index] + node.keywords[index + 1 :])


def _is_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in notebook_names()


def survivors(name: str, seed: int = 3) -> tuple[list[str], int]:
    """The edits of this answer that earn full points, and how many edits there were."""
    exercise, alive, count = EXERCISES[name], [], 0
    for text, tree in mutants(ast.Module([answers()[name]], [])):
        count += 1
        namespace = notebook_names()
        try:
            exec(compile(tree, name, "exec"), namespace)
        except Exception:  # an edit that does not even define the answer
            continue
        if check(exercise.answer, namespace, seed).points == exercise.points:
            alive.append(text)
    return alive, count


FLOATS = "`cat` makes floats of it"
OPPOSITE = "differs for exactly opposite ends, of which the exercise says nothing"
NUMBER = "a tensor of one number is taken for the number"

# Any way to the level is right, so most edits of one are as well, and to look at one takes seconds.
OPEN = {"train"}

# Edits that no check can or should refuse, with the reason.
EQUIVALENT: dict[str, dict[str, str]] = {
    "hole_share": {
        "(lost > threshold).float().mean().item() -> (lost > threshold).float().mean()": NUMBER,
    },
    "test_elbo": {
        "elbo.mean().item() -> elbo.mean()": NUMBER,
        "(elbo.std() / math.sqrt(len(elbo))).item() -> elbo.std() / math.sqrt(len(elbo))": NUMBER,
    },
    "interpolate": {
        "torch.sin(omega) < 0.0001 -> torch.sin(omega) <= 0.0001": "a sine is never exactly 0.0001",
        "torch.sin(omega) -> omega (2)": OPPOSITE,
        "0.0001 -> 0.0002": "where to take the line is left open; both are small",
        "1 -> 2 (4)": OPPOSITE,
    },
    "mutual_information_gap": {
        "torch.stack(scores).mean().item() -> torch.stack(scores).mean()": NUMBER,
    },
    "MyCVAE": {
        "F.one_hot(y, self.num_classes).float() -> F.one_hot(y, self.num_classes)": FLOATS,
        "F.one_hot(y, self.num_classes).float() -> F.one_hot(y, self.num_classes) (2)": FLOATS,
    },
    "count_active": {
        "int((mu.var(dim=0) > threshold).sum()) -> (mu.var(dim=0) > threshold).sum()": NUMBER,
    },
}


def main() -> None:
    evidence.CALL_SECONDS = 3.0
    for name in sys.argv[1:] or [name for name in EXERCISES if name not in OPEN]:
        alive, count = survivors(name)
        known = EQUIVALENT.get(name, {})
        print(f"{name}: {count} edits, {len(alive)} survive, {len(set(alive) - set(known))} without a reason")
        for text in alive:
            print(f"    {text}" + (f"    [{known[text]}]" if text in known else ""))


if __name__ == "__main__":
    main()
