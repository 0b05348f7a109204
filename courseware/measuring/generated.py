"""Answers that nobody wrote: a second measure of the checks, which no bank can be tuned to.

Each is made from a right answer of the bank and a number, as docs/graders.md tells. A *rewritten* one is the
same program in other words and must be accepted. A *changed* one goes through a `Slip` on the way out and
must be caught; where the slip changes nothing to speak of, the answer is left out.
"""

import ast
import contextlib
import io
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import bank
from course_utils.checks import check
from course_utils.checks.judges import EXERCISES, diagnoser
from courseware.measuring.graders import Outcome

HARDLY = 2e-3  # relative and absolute: a change by less may pass for rounding
SHARED = 500  # numbers in a row that are checked with the same seed: what judges work out is then kept
UNEXPLAINED = (
    "Largest difference", "It has shape", "It contains NaN", "Layers and ReLU alone",
    "The step does not go down",
)  # fmt: skip
SAMPLE = [answer for answer in bank.RIGHT if not EXERCISES[answer.exercise].questions]


def outcome(number: int) -> Outcome | None:
    """What becomes of the answer with that number; None where it is left out."""
    draw = random.Random(number)
    answer = SAMPLE[number // 2 % len(SAMPLE)]
    right = number % 2 == 0
    code, words = rewritten(answer, draw) if right else (answer.code, "")
    with contextlib.redirect_stdout(io.StringIO()):
        names = replace(answer, code=code).namespace()
        slip, own = Slip(draw), names[answer.exercise]
        # An answer that calls itself finds itself in its own names, without the slip.
        given = own if right else slipped(own, slip)
        report = check(answer.exercise, {**names, answer.exercise: given}, number // SHARED)
    if not right and not slip.matters:
        return None
    full = math.isclose(report.points, report.exercise.points)
    said = report.note or next((finding.hint for finding in report.findings if not finding.holds), "")
    named = bool(said) and not said.startswith(UNEXPLAINED)
    label = f"{number}: {answer.name}, {words or ' '.join(said for said, _ in slip.drawn)}"
    return Outcome(answer.exercise, label, right, full == right, right or named)


# --- the same in other words ------------------------------------------------------------------------


def rewritten(answer: bank.Answer, draw: random.Random) -> tuple[str, str]:
    """The code after some of the rewrites, and their names."""
    tree = ast.parse(answer.code)
    chosen = draw.sample(REWRITES, draw.randint(1, 4))
    for rewrite in chosen:
        rewrite(tree, answer.exercise, draw)
        ast.fix_missing_locations(tree)
    return ast.unparse(tree), ", ".join(rewrite.__name__.strip("_") for rewrite in chosen)


class _Edit(ast.NodeTransformer):
    """Replaces every node for which `new` gives another one, from the inside out."""

    def __init__(self, new: Callable[[Any], ast.AST | None]) -> None:
        self.new = new

    def visit(self, node: ast.AST) -> Any:
        self.generic_visit(node)
        return self.new(node) or node


def _locals_renamed(tree: ast.Module, name: str, draw: random.Random) -> None:
    nodes = list(ast.walk(tree))
    kept = {one for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for one in node.names}
    kept |= {node.arg for node in nodes if isinstance(node, ast.arg | ast.keyword) and node.arg}
    kept |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    made = {
        node.id: f"{draw.choice('abcdefgh')}_{index}"
        for function in nodes
        if isinstance(function, ast.FunctionDef)
        for index, node in enumerate(ast.walk(function))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id not in kept
    }
    for node in nodes:
        if isinstance(node, ast.Name):
            node.id = made.get(node.id, node.id)


def _factors_turned(tree: ast.Module, name: str, draw: random.Random) -> None:
    """a * b becomes b * a, where neither is a list or a string, and nothing is NumPy's, whose arrays want a
    tensor first."""

    def turned(node: ast.AST) -> None:
        match node:
            case ast.BinOp(op=ast.Mult()) if draw.random() >= 0.5:
                if not any(isinstance(part, ast.List | ast.Tuple | ast.JoinedStr) for part in ast.walk(node)):
                    node.left, node.right = node.right, node.left

    if not _with_numpy(tree):
        _Edit(turned).visit(tree)


def _with_numpy(tree: ast.Module) -> bool:
    return "np." in ast.unparse(tree) or "numpy" in ast.unparse(tree)


def _sums_in_helpers(tree: ast.Module, name: str, draw: random.Random) -> None:
    """a + b becomes plus(a, b), with plus defined above; so do differences and products."""
    names = {ast.Add: ("plus", "+"), ast.Sub: ("minus", "-"), ast.Mult: ("times", "*")}

    def helped(node: ast.AST) -> ast.AST | None:
        if not isinstance(node, ast.BinOp) or type(node.op) not in names or draw.random() < 0.5:
            return None
        return ast.Call(ast.Name(names[type(node.op)][0], ast.Load()), [node.left, node.right], [])

    helpers = "\n".join(f"def {called}(one, two): return one {sign} two" for called, sign in names.values())
    tree.body = [*ast.parse(helpers).body, *_Edit(helped).visit(tree).body]


MODULES = ("torch", "math", "F", "nn")
FUNCTIONS = ("exp", "log", "sqrt", "square", "sigmoid", "tanh", "abs", "flatten", "logsumexp", "softmax")


def _methods_called_as_functions(tree: ast.Module, name: str, draw: random.Random) -> None:
    """x.exp() becomes torch.exp(x), where nothing is NumPy's."""

    def called(node: ast.AST) -> None:
        match node:
            case ast.Call(ast.Attribute(of, method)) if draw.random() >= 0.3 and method in FUNCTIONS:
                module = isinstance(of, ast.Name) and of.id in MODULES
                if not (module or isinstance(of, ast.Attribute)):  # such as torch.special's and a layer's
                    node.args.insert(0, of)
                    node.func = ast.Attribute(ast.Name("torch", ast.Load()), method, ast.Load())

    if not _with_numpy(tree):
        _Edit(called).visit(tree)


def _talkative(tree: ast.Module, name: str, draw: random.Random) -> None:
    """Every function prints something first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body.insert(0, ast.parse(f"print('in {node.name}')").body[0])


def _wrapped(tree: ast.Module, name: str, draw: random.Random) -> None:
    """The answer is called by another function, or is the base of another class."""
    extra = f"inner = {name}\ndef {name}(*given, **named): return inner(*given, **named)"
    if name[0].isupper():
        extra = f"class Renamed({name}): pass\n{name} = Renamed"
    if f"super({name}" not in ast.unparse(tree):  # it would look itself up by a name that means another class
        tree.body += ast.parse(extra).body


REWRITES = (
    _locals_renamed, _factors_turned, _sums_in_helpers, _methods_called_as_functions, _talkative, _wrapped,
)  # fmt: skip


# --- slips ------------------------------------------------------------------------------------------


class Slip:
    """One or two changes of the diagnoser, drawn at the first result that comes along."""

    def __init__(self, draw: random.Random) -> None:
        self.draw, self.twice = draw, draw.random() < 0.1
        self.drawn: list[diagnoser.Named] = []
        self.part = 0
        self.matters = False

    def __call__(self, value: Any, given: Iterable[Any]) -> Any:
        """The value as the slip leaves it; of several, one of them."""
        if isinstance(value, tuple) and value and not isinstance(value[0], tuple):
            self.part = self.part or self.draw.randint(1, len(value))
            parts = [self._one(part, given) if k == self.part else part for k, part in enumerate(value, 1)]
            return tuple(parts)
        return self._one(value, given)

    def _one(self, value: Any, given: Iterable[Any]) -> Any:
        if not isinstance(value, Tensor | np.ndarray | float | int | list):
            return value
        right = np.asarray(value.detach() if isinstance(value, Tensor) else value, dtype=float)
        shapes = [one.shape for one in given if isinstance(one, Tensor) and one.ndim > 1]
        sizes = {"rows": shapes[0][0], "columns": shapes[0][-1]} if shapes else {}
        wrong = right
        for place in range(1 + self.twice):
            if place == len(self.drawn):  # drawn once, for what the first result has become by then
                self.drawn.append(self.draw.choice(list(diagnoser.changes(wrong.shape, [*sizes]))))
            wrong = diagnoser.changed(self.drawn[place][1], wrong, sizes)
        if right.size == wrong.size == 1:  # one number in a list is taken for the number
            wrong = wrong.reshape(right.shape)
        moved = torch.from_numpy(wrong.copy(order="C"))
        if isinstance(value, Tensor):  # of whole numbers, perhaps: then what is added may be cut off
            moved = moved.to(value.dtype)
        same = moved.shape == right.shape and np.allclose(moved, right, HARDLY, HARDLY, equal_nan=True)
        self.matters |= not same
        if not isinstance(value, Tensor):
            return wrong.tolist()
        if value.requires_grad and moved.shape == value.shape:
            return value + (moved - value.detach())
        return moved


def slipped(answer: Any, slip: Slip) -> Any:
    """The function, or the class with one of its methods, through the slip."""
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        return lambda *given: slip(answer(*given), given)
    own = {name: getattr(answer, name, None) for name in ("encode", "decode", "forward")}
    methods = [name for name, found in own.items() if found not in (None, nn.Module.forward)]
    if not methods:  # they are made in the constructor
        return answer
    method = slip.draw.choice(methods)

    def through(self: Any, *given: Any) -> Any:
        return slip(getattr(answer, method)(self, *given), given)

    return type(answer.__name__, (answer,), {method: through})
