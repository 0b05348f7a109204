"""What does a training step descend, and of which images?

A step is read backwards: which terms of which loss, with which factors, give the very move that was seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from course_utils.checks.judges.core import COUNTS, Finding, close, problem_with
from course_utils.checks.judges.diagnoser import Seen, Sizes, told
from course_utils.checks.judges.losses import factors, sentence
from course_utils.checks.probes.evidence import Evidence, as_array
from course_utils.checks.probes.witness import Witness

NOT_MOVED = "The weights do not move: is the order this, clear the gradients, `backward`, `step`?"
NOT_REACHED = (
    "The weights do not move: no gradient reaches them. Is `backward` called, and nothing detached or under "
    "`no_grad`?"
)
NO_STEP = "The weights do not move: the optimizer takes no step here. Is `step` called, whatever the loss?"
KEPT = "The gradient of an earlier step is still in a later one: clear the gradients in each step."
PENALTY = "The weights are drawn to 0 as well, as by a penalty on the squares: that is not asked for."
UNTOLD = f"{COUNTS} it is known what the step goes down."
ONCE = "The first call returns its loss, by that formula a later one does not: is something kept, or counted?"
ASKED = {  # by what torch says
    "does not require grad": "Is something detached, or under `no_grad`?",
    "only for scalar outputs": "Make one number of the loss first.",
    "inplace operation": "Does `step` come before `backward`, or is a tensor changed?",
}
DETACHED = "has no part in the gradient: is it missing, or detached?"
Parts = Mapping[str, Callable[[], Mapping[str, Tensor]]]  # by hint, '' for the right one: the loss's terms


@dataclass(frozen=True)
class Judged:
    """What is wrong with the first step, with later ones, and with the values that came back, or ''."""

    step: str
    later: str
    value: str
    idle: bool = False  # nothing moves, so the rest says little

    def unmoved(self, finding: Finding) -> Finding:
        """The finding, for what says little of an answer whose weights stay where they are: it fails then."""
        return replace(finding, holds=False, hint=self.step) if self.idle else finding


# --- one step -----------------------------------------------------------------------------------------


class Moment:
    """The terms of all losses where a step starts, by hint and name: each one row, of its value and then its
    gradient by all weights. A loss is looked at when it is asked for: a right step asks for one."""

    def __init__(self, parts: Parts, weights: Sequence[Tensor], sizes: Sizes) -> None:
        self.weights, self.sizes = weights, sizes
        self.parts = {**parts, PENALTY: lambda: {**parts[""](), "penalty": self._squares()}}
        self.known: dict[str, Mapping[str, np.ndarray]] = {}

    def _squares(self) -> Tensor:
        return parameters_to_vector(self.weights).square().sum() / 2

    def terms(self, hint: str) -> Mapping[str, np.ndarray]:
        """The terms of this loss."""
        if hint not in self.known:
            self.known[hint] = {name: self._row(term) for name, term in self.parts[hint]().items()}
        return self.known[hint]

    def _row(self, term: Tensor) -> np.ndarray:
        gradient = torch.autograd.grad(term, self.weights, retain_graph=True, materialize_grads=True)
        return as_array(torch.cat([term.detach().view(1), parameters_to_vector(gradient)]))

    @property
    def right(self) -> np.ndarray:
        """The right loss and its gradient, in one row."""
        return np.sum(list(self.terms("").values()), axis=0)


@dataclass(frozen=True)
class Rule:
    """What a step descends: a sentence on what is wrong with that, '' for nothing, how far-fetched it is, and
    the loss and its gradient at another moment, in one row."""

    hint: str
    doubt: int
    row: Callable[[Moment], np.ndarray]


def explained(found: np.ndarray, moment: Moment) -> Rule | None:
    """The likeliest rule that gives this gradient: terms of a loss with factors, or the right one clipped."""
    rules = list(_clipped(found, moment))
    for hint in moment.parts:
        terms = moment.terms(hint)
        fitted = _fit(found, [row[1:] for row in terms.values()])
        if fitted is not None:
            rules.append(_weighed(hint, dict(zip(terms, fitted, strict=True)), moment.sizes))
            if not rules[-1].doubt:
                return rules[-1]
    return min(rules, key=lambda rule: rule.doubt, default=None)


def _weighed(hint: str, fitted: Mapping[str, float], sizes: Sizes) -> Rule:
    """The rule that descends this loss, with these factors before its terms."""
    first, *others = fitted.values()
    if np.allclose(others, first, rtol=1e-3):  # the first term's gradient is the largest
        fitted = dict.fromkeys(fitted, first)
    known, phrases = {DETACHED: 0.0} | factors(sizes), {}
    for name, factor in fitted.items():
        like = (phrase for phrase, of in known.items() if np.isclose(factor, of, rtol=1e-3, atol=2e-5))
        phrases[name] = next(like, f"counts {factor:.4g} times in the gradient")

    def row(at: Moment) -> np.ndarray:
        there = factors(at.sizes)
        weights = {name: there.get(phrase, fitted[name]) for name, phrase in phrases.items()}
        return np.sum([weights[name] * term for name, term in at.terms(hint).items()], axis=0)

    said, kinds = sentence(hint, phrases), set(phrases.values())
    if kinds == {"has the wrong sign"}:
        said = "The step goes uphill: check the sign of the loss."
    return Rule(said, 0 if kinds == {""} else 1 if kinds <= known.keys() else 3, row)


def _fit(found: np.ndarray, terms: Sequence[np.ndarray]) -> np.ndarray | None:
    """The factors with which these add up to what was found; None where they do not."""
    columns = np.stack(terms, 1)
    scale = np.abs(columns).max(0)
    columns /= np.where(scale, scale, 1)
    fitted = np.linalg.lstsq(columns, found, rcond=None)[0]
    return fitted / np.where(scale, scale, np.inf) if alike(columns @ fitted, found) else None


def _clipped(found: np.ndarray, moment: Moment) -> Iterator[Rule]:
    """The right gradient, cut to a length or to a largest number."""
    length, largest, right = float(np.linalg.norm(found)), float(np.abs(found).max()), moment.right[1:]

    def rule(said: str, cut: Callable[[np.ndarray], np.ndarray]) -> Iterator[Rule]:
        if alike(found, cut(right), 1e-3) and not alike(found, right, 1e-3):
            yield Rule(said, 2, lambda at: np.append(at.right[0], cut(at.right[1:])))

    if np.isclose(length, float(f"{length:.0e}"), rtol=1e-4):
        said = f"The gradient has the right direction, but length {length:.1g}: is it clipped?"
        yield from rule(said, lambda gradient: gradient * min(1.0, length / float(np.linalg.norm(gradient))))
    said = f"No number of the gradient is beyond {largest:.3g}: is it clipped?"
    yield from rule(said, lambda gradient: gradient.clip(-largest, largest))


def alike(found: np.ndarray, right: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Moves of weights are small numbers: they are held relative to the largest of them."""
    scale = np.abs(right).max() or 1.0
    return close(found / scale, right / scale, tolerance)


# --- several of them ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """Steps that a probe has recorded: how an answer came from one to the next, and what it says of each.

    `parts` gives the terms of all losses from a model, a batch and the codes that it decoded.
    """

    evidence: Evidence
    fresh: Callable[[], Witness]
    batches: Sequence[Tensor]
    rate: float
    parts: Callable[[Witness, Tensor, Tensor], Parts]

    def judged(self) -> Judged:
        """All of it. Weights that stay where they are say all."""
        problem = self._problem(0)
        if not problem and not self.evidence["move0"].any():
            problem = self._late() or self._idle()
        if problem:
            return Judged(problem, problem, problem, idle=True)
        other, moments = self._moments(0)
        rules = [explained(self._gradient(0), at) for at in moments]
        known = {i: rule for i, rule in enumerate(rules) if rule}
        used = min(known, key=lambda i: known[i].hint != "", default=0)  # the pass that is descended
        rule, foreign = known.get(used), self._by_another()
        step = other or foreign or (rule.hint if rule else self._unlike(self._gradient(0), moments))
        later = self._later(rule, moments[used]) if rule else UNTOLD
        value = self._value(moments, rule, used, other)
        if foreign and (rule or not value):  # the rest follows from that
            return Judged(step, KEPT if later == KEPT else "", problem_with(self.evidence, "loss0"))
        return Judged(step, later, value)

    def _problem(self, index: int) -> str:
        """What kept this step from being looked at, or ''."""
        keys = (f"{key}{index}" for key in ("move", "images", "codes", "optimizer"))
        problem = problem_with(self.evidence, *keys)
        asked = next((question for words, question in ASKED.items() if words in problem), "")
        return f"{problem}. {asked}" if asked else problem

    def _gradient(self, index: int) -> np.ndarray:
        return -self.evidence[f"move{index}"] / self.rate

    def _moments(self, index: int, after: bool = False) -> tuple[str, list[Moment]]:
        """Which images the model got, if others, and where the step starts, or ends: one moment for each pass
        through the model."""
        hint, x = given(self.evidence[f"images{index}"], self.batches[index])
        model, codes = self._model(index + after), torch.as_tensor(self.evidence[f"codes{index}"])
        sizes = {"images": len(x), "averaged pixels": 784}
        if model.to_logvar is not None:
            sizes = {"images": len(x), "pixels": 784, "latent dimensions": codes.shape[1]}
        passes = [some for some in codes.split(len(x)) if len(some) == len(x)]
        few = f"`decode` gets {len(codes)} codes for {len(x)} images." if not passes else ""
        weights = list(model.parameters())
        moments = [Moment(self.parts(model, x.double(), some), weights, sizes) for some in passes]
        return hint or few, moments

    def _model(self, index: int) -> Witness:
        """The model as it was before this step."""
        model = self.fresh()
        moves = [torch.as_tensor(self.evidence[f"move{i}"]) for i in range(index)]
        start = parameters_to_vector(model.parameters()).detach()
        vector_to_parameters(sum(moves, start), model.parameters())
        return model

    def _late(self) -> str:
        """What the second step tells where the first has moved nothing."""
        if self._problem(1) or not self.evidence["move1"].any():
            return ""
        late = any(explained(self._gradient(1), moment) for moment in self._moments(0)[1])
        return "`step` comes before `backward`: the second step goes down the first batch's gradient." * late

    def _idle(self) -> str:
        """Why no weight has moved."""
        taken, _, reached = self.evidence["optimizer0"]
        return NO_STEP if not taken else NOT_MOVED if reached else NOT_REACHED

    def _by_another(self) -> str:
        """Whether somebody else moves the weights, or more than once, or by another rate."""
        taken, rate, _ = self.evidence["optimizer0"]
        if not taken:
            return "The weights move, but not by a `step` of the optimizer handed in."
        if taken > 1:
            often = "twice" if taken == 2 else "more than twice"
            return f"The optimizer steps {often}: one update is asked for."
        return "It changes the optimizer's learning rate." * (not np.isclose(rate, self.rate))

    def _unlike(self, found: np.ndarray, moments: Sequence[Moment]) -> str:
        """What can be seen of a step that nothing explains."""
        if not moments:
            return "The model decodes other codes than those of these images."
        right = moments[0].right[1:]
        several = f" {len(moments)} passes go through the model." if len(moments) > 1 else ""
        cosine = found @ right / np.linalg.norm(found) / np.linalg.norm(right)
        return (
            f"The step is another than that down the loss: the cosine of their angle is {cosine:.4f}, "
            f"it is {np.linalg.norm(found) / np.linalg.norm(right):.4g} times as long.{several}"
        )

    def _later(self, rule: Rule, moment: Moment) -> str:
        """'' where each later step follows its own batch alone, by the rule of the first one."""
        before = rule.row(moment)[1:]
        for index in range(1, len(self.batches)):
            if problem := self._problem(index):
                return f"A later batch, of {len(self.batches[index])}: {problem}"
            found, (other, moments) = self._gradient(index), self._moments(index)
            own = [rule.row(at)[1:] for at in moments]
            if not any(alike(found, gradient, 1e-3) for gradient in own):
                if not found.any():
                    return "Later the weights do not move."
                if any(alike(found, gradient + before, 1e-3) for gradient in own):
                    return KEPT
                rules = list(filter(None, (explained(found, at) for at in moments)))
                hint = other or (rules[0].hint if rules else self._unlike(found, moments))
                return f"A later batch, of {len(self.batches[index])}: {hint}" if hint else ""
            before = before + own[0]
        return ""

    def _value(self, moments: Sequence[Moment], rule: Rule | None, used: int, other: str) -> str:
        """'' where each step returned its loss, the right one or the one that it descends; `used` is the pass
        through the model that it descends, `other` what is wrong with the images."""
        keys = [f"loss{index}" for index in range(len(self.batches))]
        unseen = next(filter(None, map(self._problem, range(1, len(keys)))), "")
        problem = problem_with(self.evidence, *keys) or f"A later batch: {unseen}" * bool(unseen)
        if problem or not moments:
            return problem or "Of which images this is the loss cannot be seen."
        losses = np.array([self.evidence[key] for key in keys])
        if hint := rounded(losses):
            return hint
        each = [moments, *(self._moments(index)[1] for index in range(1, len(keys)))]
        starts = [passes[min(used, len(passes) - 1)] for passes in each if passes]
        known = [at.right[0] for at in starts], [rule.row(at)[0] for at in starts] if rule else []
        if any(_equal(losses, values) for values in known):
            return ""
        if any(_equal(losses[:1], values[:1]) for values in known):
            return ONCE
        looks = [
            Seen(np.array(loss), np.array(at.right[0]), {**at.sizes, "columns": 28})
            for loss, at in zip(losses, starts, strict=False)
        ]
        return self._mistaken(losses, moments, starts) or other or told(looks, 1e-5)

    def _mistaken(self, losses: np.ndarray, moments: Sequence[Moment], starts: Sequence[Moment]) -> str:
        """What values that are not the steps' losses are instead, '' where that is unknown."""
        start, loss = starts[0], losses[0]
        if any(_equal(loss, at.right[0]) for at in moments):
            return "This is the loss of another pass through the model: return the one that is descended."
        if any(_equal(loss, at.right[0]) for at in self._moments(0, after=True)[1]):
            return "This is the loss after the step: return the one that the step came from."
        known = [factors(at.sizes) for at in starts]
        for hint in start.parts:
            terms = [np.array([row[0] for row in at.terms(hint).values()]) for at in starts]
            for phrases in itertools.product(known[0], repeat=len(terms[0])):
                weights = ([of[phrase] for phrase in phrases] for of in known)
                # of one batch alone some would agree by chance
                if _equal(losses, [np.dot(of, term) for of, term in zip(weights, terms, strict=True)]):
                    return sentence(hint, dict(zip(start.terms(hint), phrases, strict=True)))
        return ""


def _equal(found: Any, right: Any) -> bool:
    return np.shape(found) == np.shape(right) and bool(np.allclose(found, right, rtol=1e-5, atol=1e-6))


def rounded(numbers: np.ndarray) -> str:
    """What is wrong with several numbers that have all few digits; '' where they have many.

    A number in float32 may have few by chance: there, only whole ones count.
    """
    for digits in range(6):
        few = np.ptp(numbers) and np.allclose(numbers, numbers.round(digits), rtol=1e-12, atol=0)
        if few and (not digits or (numbers != numbers.astype(np.float32)).any()):
            return f"It has {digits or 'no'} digits after the point, as if rounded: return it in full."
    return ""


# --- of which images ----------------------------------------------------------------------------------


OTHERS = "The model gets other images than those handed in."
CHANGED: dict[str, Callable[[Tensor], Tensor]] = {
    "rounded to black and white": lambda x: (x > 0.5).to(x),
    "stretched to [-1, 1]": lambda x: 2 * x - 1,
    "turned to their negatives": lambda x: 1 - x,
    "divided by 255": lambda x: x / 255,
    "multiplied by 255": lambda x: 255 * x,
    "shifted to mean 0": lambda x: x - x.mean(),
    "scaled to mean 0 and standard deviation 1": lambda x: (x - x.mean()) / x.std(),
}


def given(found: np.ndarray, x: Tensor) -> tuple[str, Tensor]:
    """What is wrong with the images (m, 784) that a model has got for x (n, 1, 28, 28), '' where they are
    these, in whatever order; and the images, each once."""
    rows, wanted = torch.as_tensor(found), x.flatten(1).to(torch.as_tensor(found).dtype)
    rows = torch.stack([row for i, row in enumerate(rows) if not (rows[:i] == row).all(1).any()])
    images = rows.view(-1, 1, 28, 28)
    which = (rows[:, None] - wanted).abs().amax(2).min(1)
    if which.values.max() < 1e-5:
        n = len(set(which.indices.tolist()))
        return f"Only {n} of {len(x)} images go through the model." * (n < len(x)), x[which.indices]
    for hint, change in CHANGED.items():
        if len(rows) == len(x) and torch.allclose(rows, change(wanted), atol=1e-4):
            return f"The images are {hint}: the model is to get them as they are.", images
    if (
        rows.shape == wanted.shape
        and np.abs(np.corrcoef((rows - wanted).flatten(), wanted.flatten())[0, 1]) < 0.1
    ):
        return "Noise is added to the images, or they are drawn: leave them as they are.", images
    return OTHERS, images
