"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix.

Oracles: arithmetic on layer sizes for the CVAE, whose weights are the answer's own, and loops over plain
numbers for the rest. The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.core import (
    Evidence,
    Exercise,
    Finding,
    close,
    expect,
    generator,
    problem_with,
    record,
)

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------

_CASES = {  # images, latent_dim, num_classes, and how many of these classes occur
    "few": (5, 3, 4, 4),
    "absent": (5, 3, 4, 3),
    "one": (1, 1, 2, 1),
    "many": (128, 3, 4, 4),
    "ten": (5, 3, 10, 5),
}


def probe_my_cvae(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    g = generator(seed)

    def build(latent_dim: int, num_classes: int) -> Any:
        torch.manual_seed(seed)
        return answer(latent_dim, num_classes).eval()

    for case, (n, latent_dim, num_classes, present) in _CASES.items():
        x, y = torch.rand(n, 1, 28, 28, generator=g), torch.arange(n).flip(0) % present
        z = torch.randn(n, latent_dim, generator=g)

        def shapes(half: str, given: Tensor, y: Tensor, *sizes: int) -> Any:
            """The shapes of mu and logvar, or of the logits."""
            answers = getattr(build(*sizes), half)(given, y)
            return [list(t.shape) for t in answers] if half == "encode" else list(answers.shape)

        record(evidence, f"encode {case}", shapes, "encode", x, y, latent_dim, num_classes)
        record(evidence, f"decode {case}", shapes, "decode", z, y, latent_dim, num_classes)

    x, z, y = torch.rand(5, 1, 28, 28, generator=g), torch.randn(5, 3, generator=g), torch.arange(5) % 4
    other = torch.cat([torch.tensor([2]), y[1:]])  # another label for the first image alone

    def change(half: str, given: Tensor) -> Tensor:
        """By how much the answer for each image changes with that other label: (5,)."""
        model = build(3, 4)
        pair = [getattr(model, half)(given, labels) for labels in (y, other)]
        before, after = (torch.cat(answers, 1) for answers in pair) if half == "encode" else pair
        return (after - before).abs().flatten(1).amax(1)

    def ranges() -> Tensor:
        """Smallest and largest value of mu and of logvar, and their largest difference."""
        noise = 20 * torch.randn(97, 1, 28, 28, generator=g)
        mu, logvar = build(20, 4).encode(noise, torch.arange(97) % 4)
        return torch.stack([*mu.aminmax(), *logvar.aminmax(), (mu - logvar).abs().max()])

    record(evidence, "encode label", change, "encode", x)
    record(evidence, "decode label", change, "decode", z)
    record(evidence, "weights", lambda: sum(p.numel() for p in build(3, 4).parameters()))
    record(evidence, "logits", lambda: torch.stack(build(3, 4).decode(1000 * z, y).aminmax()))
    record(evidence, "heads", ranges)
    return evidence


def judge_my_cvae(seed: int, evidence: Evidence) -> list[Finding]:
    def weights(with_x: int, with_z: int, heads: int = 2) -> int:
        """Weights and biases where `with_x` numbers join the 784 pixels and `with_z` the 3 of z."""
        encoder = (784 + with_x + 1) * 512 + (512 + 1) * 256 + heads * (256 + 1) * 3
        return encoder + (3 + with_z + 1) * 256 + (256 + 1) * 512 + (512 + 1) * 784

    mistakes = {
        "The label joins as a single number, but classes have no order: use one-hot.": weights(1, 1),
        "The label joins the pixels but not z.": weights(4, 0),
        "The label joins z but not the pixels.": weights(0, 4),
        "There is no place for the label in either half.": weights(0, 0),
        "There is room for 10 labels, whatever num_classes is.": weights(10, 10),
        "One layer is missing: mu and logvar need a head each.": weights(4, 4, heads=1),
    }
    size = "pixels and z are joined by one-hot labels, hidden layers have 512 and 256 units"
    return [
        _shapes(evidence, "encode", "encode gives mu and logvar (N, latent_dim), whatever the batch"),
        _shapes(evidence, "decode", "decode gives logits (N, 1, 28, 28), whatever the batch"),
        _label_reaches(evidence, "encode"),
        _label_reaches(evidence, "decode"),
        expect(evidence, "weights", weights(4, 4), size, 1, mistakes, tolerance=1e-9),
        _diagnose(evidence, "logits", "decode ends in logits, any real number", _logits_hint),
        _diagnose(evidence, "heads", "mu and logvar are two different numbers of either sign", _heads_hint),
    ]


def _shapes(evidence: Evidence, half: str, claim: str) -> Finding:
    def problem(case: str) -> str:
        n, latent_dim, _, _ = _CASES[case]
        wanted = [[n, latent_dim]] * 2 if half == "encode" else [n, 1, 28, 28]
        return expect(evidence, f"{half} {case}", wanted, "", 0, tolerance=0).hint and (
            problem_with(evidence, f"{half} {case}")
            or f"Shape {evidence[f'{half} {case}'].tolist()} where {wanted} is expected."
        )

    if problem("few") and not problem("many"):
        hint = "It works for 128 images only: a batch size is hard-coded."
    elif problem("few") and not problem("ten"):
        hint = "It works for 10 classes only: use num_classes."
    elif problem("absent") and not problem("few"):
        hint = "It fails for a batch without the last class: F.one_hot must be told num_classes."
    else:
        hint = problem("few") or problem("absent") or problem("one")
    return Finding(claim, not hint, 0.5, hint)


def _diagnose(evidence: Evidence, key: str, claim: str, hint_for: Callable[[np.ndarray], str]) -> Finding:
    """Half a point where `hint_for`, given the evidence, finds nothing to say."""
    hint = problem_with(evidence, key) or hint_for(evidence[key])
    return Finding(claim, not hint, 0.5, hint)


def _label_reaches(evidence: Evidence, half: str) -> Finding:
    def hint_for(change: np.ndarray) -> str:
        if max(change[1:]) > 1e-5:
            return "The label of one image changes the answer for others: join along dim 1, row by row."
        return "" if change[0] > 1e-7 else f"{half} ignores the label; both halves need it."

    return _diagnose(evidence, f"{half} label", f"in {half} each image's own label counts", hint_for)


def _logits_hint(bounds: np.ndarray) -> str:
    low, high = bounds
    if low >= 0:
        return "It is never negative: no sigmoid or ReLU at the end, since the loss takes logits."
    return "" if low < -1 or high > 1 else "It stays within [-1, 1]: no tanh at the end."


def _heads_hint(ranges: np.ndarray) -> str:
    mu_low, mu_high, logvar_low, logvar_high, difference = ranges
    if difference == 0:
        return "mu and logvar are the same numbers: give each a layer of its own."
    if not mu_low < 0 < mu_high:
        return "mu keeps one sign: no activation after its layer."
    return "" if logvar_low < 0 < logvar_high else "logvar keeps one sign: no activation after its layer."


# --- 7.2 request_digits -----------------------------------------------------------------------------


def _decoder(z: Tensor, y: Tensor) -> Tensor:
    """Logits (N, 1, 28, 28): every pixel has a slope of its own in z (N, 2) and in y."""
    if len(z) != len(y):
        raise ValueError(f"decode got {len(z)} codes but {len(y)} labels")
    pixel = torch.linspace(-1, 1, 784)
    return (z[:, :1] * pixel + z[:, 1:] * pixel**2 + y[:, None] * (pixel.flip(0) - 0.3)).view(-1, 1, 28, 28)


def _request(seed: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Labels (columns,) and codes z (rows, 2)."""
    return torch.arange(columns).flip(0), torch.randn(rows, 2, generator=generator(seed, 1))


def probe_request_digits(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    record(evidence, "grid", answer, _decoder, *_request(seed, 2, 3))
    record(evidence, "single", answer, _decoder, *_request(seed, 1, 1))
    return evidence


def judge_request_digits(seed: int, evidence: Evidence) -> list[Finding]:
    def logits(rows: int, columns: int, pairs: list[tuple[int, int]]) -> np.ndarray:
        """The logits for the given pairs of row and column, one at a time."""
        labels, z = _request(seed, rows, columns)
        return np.concatenate([_decoder(z[[i]], labels[[j]]).numpy() for i, j in pairs])

    def images(x_logits: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x_logits))

    right = logits(2, 3, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
    turned = logits(2, 3, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)])
    mixed = logits(2, 3, [(0, 0), (1, 1), (0, 2), (1, 0), (0, 1), (1, 2)])
    hint = problem_with(evidence, "grid")
    actual = None if hint else evidence["grid"]

    def shows(x_logits: np.ndarray) -> bool:
        """Whether the answer holds these images, as logits or as grey values."""
        return actual is not None and any(close(actual, a, 1e-4) for a in (x_logits, images(x_logits)))

    if actual is not None and not shows(right):
        if actual.shape != right.shape:
            hint = f"It has shape {actual.shape}; expected {right.shape}: 2 codes and 3 labels."
        elif shows(turned):
            hint = "Rows and columns are swapped: all labels of the first z come first."
        elif shows(mixed):
            hint = "z changes within a row: keep it for all the labels, then take the next."
        else:
            hint = "Other images were expected: use the given z and labels, every z with every label."
    grey = "they are images in [0, 1]"
    no_sigmoid = "The decoder ends in logits: the image is their sigmoid."
    unit = actual is not None and bool(((actual >= 0) & (actual <= 1)).all())
    return [
        Finding("one row per z, one column per label", not hint, 1, hint),
        Finding(grey, unit, 0.5, no_sigmoid if actual is not None else hint),
        expect(evidence, "single", images(logits(1, 1, [(0, 0)])), "it works for one z and one label", 0.5),
    ]


# --- 7.4 count_active -------------------------------------------------------------------------------


def _means(seed: int) -> Tensor:
    """(97, 13): 5 dimensions that vary, 2 that vary a little, 4 constant far from 0, 2 constant near 0."""
    scale = torch.tensor([2.0, 1.0, 0.8, 0.5, 0.3, 0.05, 0.05] + [1e-3] * 6)
    offset = torch.tensor([0.0] * 7 + [2.0, -1.5, 1.0, 3.0] + [0.0] * 2)
    noise = torch.randn(97, 13, generator=generator(seed, 2))
    return offset + scale * (noise - noise.mean(0)) / noise.std(0)


def probe_count_active(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    record(evidence, "count", answer, _means(seed), 0.01)
    record(evidence, "strict", answer, _means(seed), 0.5)
    record(evidence, "single", answer, _means(seed)[:, :1], 0.01)
    return evidence


def judge_count_active(seed: int, evidence: Evidence) -> list[Finding]:
    columns = _means(seed).double().numpy().T
    variances = [sum((v - sum(column) / 97) ** 2 for v in column) / 97 for column in columns]
    active = [v > 0.01 for v in variances]
    squares = [sum(v**2 for v in column) / 97 for column in columns]
    mistakes = {
        "The standard deviation is compared with the threshold: take the variance.": sum(
            v**0.5 > 0.01 for v in variances
        ),
        "A constant far from 0 is counted: take the variance, not the mean square.": sum(
            s > 0.01 for s in squares
        ),
        "This counts the dimensions that are switched off.": 13 - sum(active),
        "This is a share: return the number of dimensions.": sum(active) / 13,
        "This counts images: take the variance over images, dim 0.": 97,
        "This says which dimensions are active: count them.": active,
    }
    fixed = {"The threshold is fixed at 0.01: use the one that is given.": sum(active)}
    strict = sum(v > 0.5 for v in variances)
    return [
        expect(evidence, "count", sum(active), "it counts the means that vary over images", 2, mistakes),
        expect(evidence, "strict", strict, "it uses the given threshold", 0.5, fixed),
        expect(evidence, "single", 1, "it works for one dimension", 0.5),
    ]


# --- 7.6 posterior_means ----------------------------------------------------------------------------


class _Encoder(nn.Module):
    """mu and logvar (N, 3) from a corner of x; training mode moves mu by 100."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(9, 3, generator=generator(seed, 4)))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = x[:, 0, :3, :3].flatten(1) @ self.weight + (100.0 if self.training else 0.0)
        return mu, -3 + 0.5 * mu


def _photos(seed: int) -> Tensor:
    return torch.rand(97, 1, 28, 28, generator=generator(seed, 5))


def probe_posterior_means(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    record(evidence, "all", answer, _Encoder(seed).eval(), _photos(seed), 20)
    record(evidence, "one", answer, _Encoder(seed).eval(), _photos(seed)[:1], 500)
    record(evidence, "training", answer, _Encoder(seed).train(), _photos(seed), 97)

    def modes() -> list[bool]:
        """The mode after a call on a model in training mode, and on one in evaluation mode."""
        models = [_Encoder(seed).train(), _Encoder(seed).eval()]
        for model in models:
            answer(model, _photos(seed), 97)
        return [model.training for model in models]

    record(evidence, "gradient", lambda: answer(_Encoder(seed).eval(), _photos(seed), 97).requires_grad)
    record(evidence, "modes", modes)
    return evidence


def judge_posterior_means(seed: int, evidence: Evidence) -> list[Finding]:
    weight = _Encoder(seed).weight.detach().double().numpy()
    mu = np.array([photo[0, :3, :3].reshape(9) @ weight for photo in _photos(seed).double().numpy()])
    sigma = np.exp(-1.5 + 0.25 * mu)
    mistakes: dict[str, Any] = {
        "The last, smaller batch is missing.": mu[:80],
        "Only the first batch is there: collect every batch before you return.": mu[:20],
        "Only the last batch is there: collect every batch, then join them.": mu[80:],
        "These are log-variances: encode returns mu first.": -3 + 0.5 * mu,
        "mu and logvar are both in it: encode returns two tensors.": np.stack([mu, -3 + 0.5 * mu]),
    }
    actual = evidence["all"]
    if actual.shape == mu.shape and 0.7 < np.std((actual - mu) / sigma) < 1.3:  # 291 draws: 7 standard errors
        mistakes["These look like samples z: return the mean mu itself."] = actual
    left_on = {"The model encodes in training mode: switch to evaluation mode first.": mu + 100}
    after = {
        "The model is left in evaluation mode: put back the mode it came in.": [False, False],
        "The model always ends in training mode: put back the mode it came in.": [True, True],
    }
    kept = {"The means still carry a gradient: encode without recording one.": True}
    return [
        expect(evidence, "all", mu, "97 images in batches of 20: every mean, in order", 1, mistakes),
        expect(evidence, "one", mu[:1], "it works for one image and a larger batch size", 0.5),
        expect(evidence, "gradient", False, "no gradient is kept", 0.5, kept),
        expect(evidence, "training", mu, "it encodes in evaluation mode", 0.5, left_on),
        expect(evidence, "modes", [True, False], "afterwards the model's mode is what it was", 0.5, after),
    ]


# --- 7.7 confusion ----------------------------------------------------------------------------------


def _classes(seed: int) -> tuple[Tensor, Tensor]:
    """97 true and predicted labels among 5 classes, of which the last never occurs."""
    g = generator(seed, 6)
    return torch.randint(4, (97,), generator=g), torch.randint(4, (97,), generator=g) // 2


def probe_confusion(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    true, predicted = _classes(seed)
    record(evidence, "counts", answer, true, predicted, 4)
    record(evidence, "absent", answer, true, predicted, 5)
    record(evidence, "one", answer, true[:1], predicted[:1], 4)
    return evidence


def judge_confusion(seed: int, evidence: Evidence) -> list[Finding]:
    pairs = list(zip(*(labels.tolist() for labels in _classes(seed)), strict=True))

    def counts(of: list[tuple[int, int]], size: int) -> np.ndarray:
        return np.array([[of.count((row, column)) for column in range(size)] for row in range(size)])

    right = counts(pairs, 4)
    mistakes = {
        "Rows and columns are swapped: rows are the true classes.": right.T,
        "Each pair is counted once: an indexed += adds 1 however often an index repeats.": right > 0,
        "These are shares of each row: return counts.": right / right.sum(1, keepdims=True),
        "These are shares of all images: return counts.": right / 97,
        "Only right predictions are counted: count the wrong ones too.": np.diag(right.diagonal()),
    }
    absent = "a class that never occurs has a row and a column of zeros"
    short = {"The matrix is as large as the classes that occur: make it num_classes wide.": right}
    return [
        expect(
            evidence, "counts", right, "it counts, rows by true and columns by predicted class", 1, mistakes
        ),
        expect(evidence, "absent", counts(pairs, 5), absent, 0.5, short),
        expect(evidence, "one", counts(pairs[:1], 4), "it works for one image", 0.5),
    ]


EXERCISES = (
    Exercise("7.1", "MyCVAE", 4, probe_my_cvae, judge_my_cvae),
    Exercise("7.2", "request_digits", 2, probe_request_digits, judge_request_digits),
    Exercise("7.4", "count_active", 3, probe_count_active, judge_count_active),
    Exercise("7.6", "posterior_means", 3, probe_posterior_means, judge_posterior_means),
    Exercise("7.7", "confusion", 2, probe_confusion, judge_confusion),
)
