"""Do the gradients of a loss reach all that they should, and what does a training step descend?

Of `reach` only directions are judged: the size is that of the loss, which has findings of its own. A step is
read backwards: which terms of which loss, with which factors, give the very move that was seen.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from course_utils.checks.judges.core import Finding, close, expect, problem_with
from course_utils.checks.judges.diagnoser import Seen, Sizes, told
from course_utils.checks.probes.evidence import Evidence, as_array
from course_utils.checks.probes.witness import Witness


def reach(evidence: Evidence, x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Finding:
    """The finding that evidence["gradients"], as `of_loss` gives it, is that of reconstruction and KL.

    By logits, mu and logvar of Bernoulli pixels and the Gaussian KL: sigmoid(logits) - x, mu and
    (exp(logvar) - 1) / 2, each up to a factor.
    """
    x_logits, x, mu, logvar = (tensor.double() for tensor in (x_logits, x, mu, logvar))
    parts = [x_logits.sigmoid() - x, mu, (logvar.exp() - 1) / 2]
    claim = "its gradients reach the logits, mu and logvar"
    problem = problem_with(evidence, "gradients")
    sizes = [part.numel() for part in parts]
    if not problem and evidence["gradients"].shape != (sum(sizes),):
        problem = "Its gradients have another size than its inputs."
    if problem:
        return Finding(claim, False, 0.5, problem)
    found = [_direction(part) for part in torch.as_tensor(evidence["gradients"]).double().split(sizes)]
    right = [_direction(part.flatten()) for part in parts]
    none, away = [torch.zeros_like(part) for part in right], [right[0], -right[1], -right[2]]
    mistakes = {
        "No gradient arrives: is the loss a plain number, or detached?": none,
        "No gradient reaches the logits: is the reconstruction detached?": [none[0], *right[1:]],
        "No gradient reaches mu and logvar: is the KL detached?": [right[0], *none[1:]],
        "No gradient reaches mu.": [right[0], none[1], right[2]],
        "No gradient reaches logvar.": [*right[:2], none[2]],
        "The gradient goes uphill: the loss has the wrong sign.": [-part for part in right],
        "The KL pushes mu and logvar away from the prior: it has the wrong sign.": away,
    }
    wrong = {hint: torch.cat(directions) for hint, directions in mistakes.items()}
    return expect({"found": torch.cat(found).numpy()}, "found", torch.cat(right), claim, 0.5, wrong)


def _direction(gradient: Tensor) -> Tensor:
    """Of length 1, or 0 where there is none."""
    return torch.nn.functional.normalize(gradient, dim=0)


# --- what a training step descends --------------------------------------------------------------------


NOT_MOVED = "The weights do not move: clear the gradients, then `backward`, then `step`, in this order."
KEPT = "The gradient of an earlier step is still in a later one: clear the gradients in each step."
ASKED = {  # by what torch says
    "does not require grad": "Is something detached, or under `no_grad`?",
    "only for scalar outputs": "Take the mean first: over all pixels, and over images.",
    "inplace operation": "Does `step` come before `backward`?",
}
Parts = Mapping[str, Mapping[str, Tensor]]  # by hint, '' for the right one, a loss's terms by name
Factor = Callable[[Sizes], float]

# What may stand before a term of the loss, as the end of a sentence.
FACTORS: tuple[tuple[str, Factor], ...] = (
    ("", lambda _: 1.0),
    ("is missing", lambda _: 0.0),
    ("has the wrong sign", lambda _: -1.0),
    ("counts twice: is it added twice, or is its 1/2 missing?", lambda _: 2.0),
    ("counts half", lambda _: 0.5),
    ("is summed over the batch: average over images", lambda n: n["images"]),
    ("is divided by the number of images once more", lambda n: 1 / n["images"]),
    ("is a mean over pixels: sum over them", lambda n: 1 / n["pixels"]),
    ("is a mean over pixels, and over images once more", lambda n: 1 / n["images"] / n["pixels"]),
    ("is summed over pixels: take their mean", lambda n: n["averaged pixels"]),
    ("is divided by the number of pixels once more", lambda n: 1 / n["averaged pixels"]),
    ("is summed over everything: take the mean", lambda n: n["images"] * n["averaged pixels"]),
    ("is summed over the batch and averaged over pixels", lambda n: n["images"] / n["pixels"]),
    ("is a mean over latent dimensions: sum over them", lambda n: 1 / n["latent dimensions"]),
    ("is counted once for each latent dimension", lambda n: n["latent dimensions"]),
)


@dataclass(frozen=True)
class Judged:
    """What is wrong with the first step, with later ones, and with the values that came back, or ''."""

    step: str
    later: str
    value: str

    def unmoved(self, finding: Finding) -> Finding:
        """The finding, for what says little of an answer whose weights stay where they are: it fails then."""
        stays = self.step == self.later == self.value != ""
        return replace(finding, holds=False, hint=self.step) if stays else finding


@dataclass(frozen=True)
class Rule:
    """What a step descends: a sentence on what is wrong with that, '' for nothing, and at another moment its
    gradient and its value."""

    hint: str
    gradient: Callable[[Moment], np.ndarray]
    value: Callable[[Moment], float] | None = None


@dataclass(frozen=True)
class Moment:
    """The terms of all losses where a step starts, by hint and name: their values and their gradients."""

    values: Mapping[str, Mapping[str, float]]
    gradients: Mapping[str, Mapping[str, np.ndarray]]
    weights: np.ndarray
    sizes: Sizes

    @classmethod
    def of(cls, parts: Parts, weights: Sequence[Tensor], sizes: Sizes) -> Moment:
        def gradient(term: Tensor) -> np.ndarray:
            found = torch.autograd.grad(term, weights, retain_graph=True, materialize_grads=True)
            return as_array(parameters_to_vector(found))

        return cls(
            {hint: {name: term.item() for name, term in terms.items()} for hint, terms in parts.items()},
            {hint: {name: gradient(term) for name, term in terms.items()} for hint, terms in parts.items()},
            as_array(parameters_to_vector(weights)),
            sizes,
        )


def explained(found: np.ndarray, moment: Moment) -> Rule | None:
    """The rule that gives this gradient: terms of a loss with factors, or what is done to their gradient."""
    fits = []
    for hint, terms in moment.gradients.items():
        factors = _fit(found, list(terms.values()))
        if factors is not None:
            fits.append(_rule(hint, dict(zip(terms, factors, strict=True)), moment))
    # A loss as it is comes before one with factors, and factors that have a name before others.
    fits.sort(key=lambda rule: (rule.hint not in moment.gradients, " times in" in rule.hint))
    return fits[0] if fits else _changed(found, moment)


def _rule(hint: str, factors: Mapping[str, float], moment: Moment) -> Rule:
    first, *others = factors.values()
    if np.allclose(others, first, rtol=1e-3):  # the first term's gradient is the largest
        factors = dict.fromkeys(factors, first)
    named = {name: _named(factor, moment.sizes) for name, factor in factors.items()}

    def total(at: Mapping[str, Any], sizes: Sizes) -> Any:
        return sum(factor(sizes) * at[name] for name, (_, factor) in named.items())

    def gradient(at: Moment) -> np.ndarray:
        return total(at.gradients[hint], at.sizes)

    phrases = {name: phrase for name, (phrase, _) in named.items()}
    length = float(np.linalg.norm(gradient(moment)))
    phrase, *different = set(phrases.values())
    unknown = not different and ("times in" in phrase or phrase.startswith("is divided by"))
    if unknown and np.isclose(length, float(f"{length:.0e}"), rtol=1e-4):
        said = f"The gradient has length {length:.1g}, whatever the loss: is it clipped?"
        return Rule(said, lambda at: _cut(np.sum([*at.gradients[hint].values()], axis=0), length), _whole)
    said = sentence(hint, phrases)
    if set(phrases.values()) == {"has the wrong sign"}:
        said = "The step goes uphill: check the sign of the loss."
    return Rule(said, gradient, lambda at: total(at.values[hint], at.sizes))


def _cut(gradient: np.ndarray, length: float) -> np.ndarray:
    return gradient * min(1.0, length / float(np.linalg.norm(gradient)))


def _named(factor: float, sizes: Sizes) -> tuple[str, Factor]:
    """What this factor is, as the end of a sentence, and the factor for other sizes."""
    for phrase, of in FACTORS:
        with contextlib.suppress(KeyError):  # not every model has latent dimensions
            if np.isclose(factor, of(sizes), rtol=1e-3, atol=2e-5):
                return phrase, of
    for images, words in ((1, " once more"), (sizes["images"], ", whatever the number of images")):
        fixed = images / factor if factor else 0
        if 2 < fixed < 1025 and abs(fixed - round(fixed)) < 2e-5 * fixed:
            said = f"is divided by {fixed:.0f}{words}"
            return (
                said,
                lambda n, fixed=fixed, images=images: (n["images"] if images > 1 else 1) / round(fixed),
            )
    return f"counts {factor:.4g} times in the gradient", lambda _: factor


def _fit(found: np.ndarray, terms: Sequence[np.ndarray]) -> list[float] | None:
    """The factors with which these add up to what was found; None where they do not."""
    columns = np.stack(terms, 1)
    scale = np.abs(columns).max(0)
    factors = np.linalg.lstsq(columns / np.where(scale, scale, 1), found, rcond=None)[0]
    if not alike(columns / np.where(scale, scale, 1) @ factors, found):
        return None
    return (factors / np.where(scale, scale, np.inf)).tolist()


def _penalty(
    name: str,
    pull: Callable[[np.ndarray], np.ndarray],
    share: float,
    factor: float,
    right: Callable[[Moment], np.ndarray],
) -> Rule:
    """A penalty whose gradient is factor * pull(weights), and whose value is a share of that times them."""
    return Rule(
        f"The loss has a penalty on the {name} of the weights, which is not asked for.",
        lambda at: right(at) + factor * pull(at.weights),
        lambda at: _whole(at) + factor * share * (pull(at.weights) * at.weights).sum(),
    )


def _changed(found: np.ndarray, moment: Moment) -> Rule | None:
    """The rule where something is added to the right gradient, or numbers of it are changed."""

    def right(at: Moment) -> np.ndarray:
        return np.sum(list(at.gradients[""].values()), axis=0)

    gradient, largest = right(moment), np.abs(found).max()
    penalties: tuple[tuple[str, Callable[[np.ndarray], np.ndarray], float], ...] = (
        ("squares", lambda weights: weights, 0.5),
        ("absolute values", np.sign, 1.0),
    )
    for name, pull, share in penalties:
        factors = _fit(found, [gradient, pull(moment.weights)])
        if factors is not None and np.isclose(factors[0], 1, 1e-3):
            return _penalty(name, pull, share, factors[1], right)
    if largest < 0.999 * np.abs(gradient).max() and alike(found, gradient.clip(-largest, largest), 1e-3):
        hint = f"No number of the gradient is beyond {largest:.3g}: is it clipped?"
        return Rule(hint, lambda at: right(at).clip(-largest, largest))
    if ((found * np.sign(gradient))[gradient != 0] > 0.9 * largest).mean() > 0.95:
        hint = "All weights move by the same: this is not the step of the optimizer handed in, but Adam's?"
        return Rule(hint, lambda at: largest * right(at) / (np.abs(right(at)) + 1e-8))
    return None


def alike(found: np.ndarray, right: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Moves of weights are small numbers: they are held relative to the largest of them."""
    scale = np.abs(right).max() or 1.0
    return close(found / scale, right / scale, tolerance)


class Walk:
    """Steps that a probe has recorded: how an answer came from one to the next, and what it says of each."""

    def __init__(
        self,
        evidence: Evidence,
        fresh: Callable[[], Witness],
        batches: Sequence[Tensor],
        rate: float,
        parts: Callable[[Witness, Tensor, Tensor], Parts],
    ) -> None:
        """`parts` gives the terms of all losses from a model, a batch and the codes that it decoded."""
        self.evidence, self.fresh, self.batches, self.rate, self.parts = evidence, fresh, batches, rate, parts

    def judged(self) -> Judged:
        """All of it. Weights that stay where they are say all."""
        problem = self._problem(0)
        if not problem and not self.evidence["move0"].any():
            problem = self._late() or NOT_MOVED
        if problem:
            return Judged(problem, problem, problem)
        other, moments = self._moments(0)
        rules = [explained(self._gradient(0), at) for at in moments]
        known = {i: rule for i, rule in enumerate(rules) if rule}
        used = min(known, key=lambda i: known[i].hint != "", default=0)  # the pass that is descended
        rule = known.get(used)
        step = other or self._by_another() or (rule.hint if rule else self._unlike(moments))
        later = self._later(rule, moments[used]) if rule else step
        value = self._value(moments, rule, used)
        if rule and self._by_another():  # the rest follows from that
            return Judged(step, KEPT if later == KEPT else "", problem_with(self.evidence, "loss0"))
        return Judged(step, later, value)

    def _problem(self, index: int) -> str:
        """What kept this step from being looked at, or ''."""
        names = (f"{key}{index}" for key in ("move", "images", "codes", "optimizer"))
        problem = next(filter(None, (problem_with(self.evidence, name) for name in names)), "")
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
        weights = [weight for weight in model.parameters()]
        passes = [some for some in codes.split(len(x)) if len(some) == len(x)]
        few = f"`decode` gets {len(codes)} codes for {len(x)} images." if not passes else ""
        moments = [Moment.of(self.parts(model, x.double(), some), weights, sizes) for some in passes]
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
        problem = self._problem(1)
        if problem or not self.evidence["move1"].any():
            return ""
        _, moments = self._moments(0)
        return "`step` comes before `backward`: the second step goes down the first batch's gradient." * any(
            explained(self._gradient(1), moment) is not None for moment in moments
        )

    def _by_another(self) -> str:
        """Whether somebody else moves the weights, or more than once, or by another rate."""
        taken, rate = self.evidence["optimizer0"]
        if not taken:
            return "The weights move, but not by a `step` of the optimizer handed in."
        if taken > 1:
            often = "twice" if taken == 2 else "more than twice"
            return f"The optimizer steps {often}: one update is asked for."
        return "It changes the optimizer's learning rate." * (not np.isclose(rate, self.rate))

    def _unlike(self, moments: Sequence[Moment]) -> str:
        """What can be seen of a step that nothing explains."""
        if not moments:
            return "The model decodes other codes than those of these images."
        found, right = self._gradient(0), sum(moments[0].gradients[""].values())
        several = f" {len(moments)} passes go through the model." if len(moments) > 1 else ""
        cosine = found @ right / np.linalg.norm(found) / np.linalg.norm(right)
        return (
            f"The step does not go down the gradient of the loss: the cosine of their angle is {cosine:.2f}, "
            f"the step is {np.linalg.norm(found) / np.linalg.norm(right):.3g} times as long.{several}"
        )

    def _later(self, rule: Rule, moment: Moment) -> str:
        """'' where each later step follows its own batch alone, by the rule of the first one."""
        before = rule.gradient(moment)
        for index in range(1, len(self.batches)):
            problem = self._problem(index)
            if problem:
                return problem
            found, (other, moments) = self._gradient(index), self._moments(index)
            own = [rule.gradient(at) for at in moments]
            if not any(alike(found, gradient, 1e-3) for gradient in own):
                if not found.any():
                    return "Later the weights do not move."
                if any(alike(found, gradient + before, 1e-3) for gradient in own):
                    return KEPT
                rules = [found_rule for at in moments if (found_rule := explained(found, at))]
                hint = other or (rules[0].hint if rules else self._unlike(moments))
                return f"A later batch, of {len(self.batches[index])}: {hint}" if hint else ""
            before = before + own[0]
        return ""

    def _value(self, moments: Sequence[Moment], rule: Rule | None, used: int) -> str:
        """'' where each step returned its loss, the right one or the one that it descends; `used` is the pass
        through the model that it descends."""
        keys = [f"loss{index}" for index in range(len(self.batches))]
        problem = next(filter(None, (problem_with(self.evidence, key) for key in keys)), "")
        if problem or not moments:
            return problem or "Of which images this is the loss cannot be seen."
        losses = np.array([self.evidence[key] for key in keys])
        if hint := rounded(losses):
            return hint
        each = [moments, *(self._moments(index)[1] for index in range(1, len(keys)))]
        starts = [passes[min(used, len(passes) - 1)] for passes in each if passes]
        for value in (_whole, rule.value if rule else None):
            if value and len(starts) == len(losses) and _equal(losses, [value(at) for at in starts]):
                return ""
        looks = [
            Seen(np.array(loss), np.array(_whole(at)), {**at.sizes, "columns": 28})
            for loss, at in zip(losses, starts, strict=False)
        ]
        return self._mistaken(losses[0], moments, used) or told(looks, 1e-5)

    def _mistaken(self, loss: float, moments: Sequence[Moment], used: int) -> str:
        """What a value that is not the first step's loss is instead, '' where that is unknown."""
        start = moments[used]
        if any(_equal(loss, _whole(at)) for at in moments):
            return "This is the loss of another pass through the model: return the one that is descended."
        if not problem_with(self.evidence, "move0") and any(
            _equal(loss, _whole(at)) for at in self._moments(0, after=True)[1]
        ):
            return "This is the loss after the step: return the one that the step came from."
        for hint, terms in start.values.items():
            for factors in itertools.product(FACTORS, repeat=len(terms)):
                with contextlib.suppress(KeyError):
                    value = sum(
                        of(start.sizes) * term for (_, of), term in zip(factors, terms.values(), strict=True)
                    )
                    if _equal(loss, value):
                        return sentence(
                            hint, {name: phrase for name, (phrase, _) in zip(terms, factors, strict=True)}
                        )
        return ""


def rounded(numbers: np.ndarray) -> str:
    """What is wrong with numbers that have all few digits; '' where they have many."""
    for digits in range(6):
        fine = 10.0**-digits > 1000 * np.spacing(np.abs(numbers).max())  # or float32 has no more digits
        if fine and numbers.any() and np.allclose(numbers, numbers.round(digits), rtol=1e-12, atol=0):
            return f"It is rounded to {digits or 'no'} digits: return it in full."
    return ""


def _whole(at: Moment) -> float:
    """The right loss."""
    return sum(at.values[""].values())


def _equal(found: Any, right: Any) -> bool:
    return bool(np.allclose(found, right, rtol=1e-5, atol=1e-6))


def sentence(hint: str, phrases: Mapping[str, str], whole: str = "loss") -> str:
    """The hint of a loss, and what is wrong with its terms: all of them at once where that is the same."""
    if len(set(phrases.values())) == 1 and len(phrases) > 1:
        phrases = {whole: next(iter(phrases.values()))}
    said = [f"The {name} {phrase}." for name, phrase in phrases.items() if phrase]
    return " ".join(filter(None, (hint, *said))).replace("?.", "?")


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
    return OTHERS, images
