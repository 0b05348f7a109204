"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix.

Oracles: arithmetic on layer sizes for the CVAE, whose weights are the answer's own, and loops over plain
numbers for the rest. The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.core import Exercise, Finding, close, expect, problem_with
from course_utils.checks.evidence import Evidence, generator, record

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------

_CASES = {  # images, latent_dim, num_classes, and how many of these classes occur
    "few": (5, 3, 4, 4),
    "many": (128, 3, 4, 4),
    "absent": (5, 3, 4, 3),
    "one": (1, 1, 2, 1),
}


def probe_my_cvae(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    g = generator(seed)
    x, y = torch.rand(128, 1, 28, 28, generator=g), torch.arange(128)
    z = torch.randn(128, 20, generator=g)
    other = torch.cat([y[:1] + 2, y[1:]])  # another label for the first image alone

    def build(latent_dim: int, num_classes: int) -> Any:
        torch.manual_seed(seed)
        return answer(latent_dim, num_classes).eval()

    def sizes(n: int, latent_dim: int, num_classes: int, present: int) -> list[int]:
        """The sizes of mu, logvar and logits, one after the other."""
        model, labels = build(latent_dim, num_classes), y[:n] % present
        mu, logvar = model.encode(x[:n], labels)
        return [*mu.shape, *logvar.shape, *model.decode(z[:n, :latent_dim], labels).shape]

    def change(half: str, given: Tensor) -> Tensor:
        """By how much the answer for each image changes with the other label: (5,)."""
        pair = [getattr(build(20, 4), half)(given[:5], labels[:5] % 4) for labels in (y, other)]
        before, after = (torch.cat(answers, 1) for answers in pair) if half == "encode" else pair
        return (after - before).abs().flatten(1).amax(1)

    def ranges() -> Tensor:
        """Smallest and largest mu, logvar and logits: (3, 2)."""
        model = build(20, 4)
        answers = *model.encode(20 * x - 10, y % 4), model.decode(z, y % 4)
        return torch.stack([torch.stack(t.aminmax()) for t in answers])

    def bend() -> Tensor:
        """How far mu and the logits are from a straight line through 0, x and 2x, as a share: (2,)."""
        model = build(20, 4)
        lines = (
            [model.encode(k * x, y % 4)[0] for k in range(3)],
            [model.decode(k * z, y % 4) for k in range(3)],
        )
        return torch.stack([(a - 2 * b + c).abs().max() / (a - c).abs().max() for a, b, c in lines])

    for case, given in _CASES.items():
        record(evidence, case, sizes, *given)
    record(evidence, "encode", change, "encode", x)
    record(evidence, "decode", change, "decode", z)
    record(evidence, "weights", lambda: sum(p.numel() for p in build(3, 4).parameters()))
    record(evidence, "ranges", ranges)
    record(evidence, "bend", bend)
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
    layers = f"one-hot labels join pixels and z, 512 and 256 hidden units: {weights(4, 4):,} weights in all"
    return [
        _sizes(evidence),
        _finding(evidence, "encode", "each image's own label changes its mu and logvar", 0.5),
        _finding(evidence, "decode", "each code's own label changes its logits", 0.5),
        expect(evidence, "weights", weights(4, 4), layers, 1, mistakes, tolerance=1e-9),
        _finding(evidence, "bend", "activations stand between the layers", 0.5),
        _finding(evidence, "ranges", "mu, logvar and logits may be any real number", 0.5),
    ]


def _sizes(evidence: Evidence) -> Finding:
    hints = {}
    for case, (n, latent_dim, _, _) in _CASES.items():
        wanted = [n, latent_dim, n, latent_dim, n, 1, 28, 28]
        hints[case] = problem_with(evidence, case)
        if not hints[case] and not close(evidence[case], wanted, 0):
            hints[case] = f"Sizes of mu, logvar, logits: {evidence[case].tolist()}; expected {wanted}."
    hint = next(filter(None, hints.values()), "")
    if hints["few"] and not hints["many"]:
        hint = "It works for 128 images only: a batch size is hard-coded."
    elif hints["absent"] and not hints["few"]:
        hint = "It fails for a batch without the last class: tell F.one_hot the number of classes."
    return Finding("mu and logvar are (N, latent_dim), logits (N, 1, 28, 28), for any N", not hint, 1, hint)


def _finding(evidence: Evidence, key: str, claim: str, points: float) -> Finding:
    hint = problem_with(evidence, key)
    if not hint and key == "ranges":
        one_sign = [not low < 0 < high for low, high in evidence[key]]
        if one_sign[2]:
            hint = "The logits keep one sign: no sigmoid or ReLU at the end, since the loss takes logits."
        elif any(one_sign):
            hint = "mu or logvar keeps one sign: no activation after the two heads."
    elif not hint and key == "bend":
        straight = [
            half for half, share in zip(("encode", "decode"), evidence[key], strict=True) if share < 1e-4
        ]
        hint = f"{straight[0]} is a straight line: put ReLU between the layers." if straight else ""
    elif not hint and not evidence[key][0] > 1e-7:
        hint = f"{key} ignores the label; encoder and decoder both need it."
    elif not hint and max(evidence[key][1:], default=0) > 1e-5:
        hint = "The label of one image changes the answer for others: join along dim 1, row by row."
    return Finding(claim, not hint, points, hint)


# --- 7.2 request_digits -----------------------------------------------------------------------------


def _decoder(z: Tensor, y: Tensor) -> Tensor:
    """Logits (N, 1, 28, 28): every pixel has a slope of its own in z (N, 2) and in y."""
    if len(z) != len(y):
        raise ValueError(f"decode got {len(z)} codes but {len(y)} labels")
    pixel = torch.linspace(-1, 1, 784)
    return (z[:, :1] * pixel + z[:, 1:] * pixel**2 + y[:, None] * (pixel.flip(0) - 0.3)).view(-1, 1, 28, 28)


def _request(seed: int) -> tuple[Tensor, Tensor]:
    """Labels (3,) in no order and codes z (2, 2)."""
    return torch.tensor([2, 0, 1]), torch.randn(2, 2, generator=generator(seed, 1))


def probe_request_digits(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    labels, z = _request(seed)
    record(evidence, "grid", answer, _decoder, labels, z)
    record(evidence, "one", answer, _decoder, labels[:1], z[:1])
    return evidence


def judge_request_digits(seed: int, evidence: Evidence) -> list[Finding]:
    labels, z = _request(seed)
    logits = np.stack([_decoder(z[[i]], labels[[j]]).numpy() for i in range(2) for j in range(3)])[:, 0]
    images = 1 / (1 + np.exp(-logits))
    no_sigmoid = "The decoder ends in logits: the image is their sigmoid."
    mistakes = {
        no_sigmoid: logits,
        "Rows and columns are swapped: all labels of the first z come first.": images[[0, 3, 1, 4, 2, 5]],
        "Every row shows the first z.": images[[0, 1, 2, 0, 1, 2]],
        "z changes within a row: keep it for all the labels.": images[[0, 4, 2, 3, 1, 5]],
    }
    claim = "one row per z, one column per label"
    grid = expect(evidence, "grid", images, claim, 1, mistakes)
    placed = grid.holds or grid.hint == no_sigmoid
    return [
        Finding(claim, placed, 1, "" if placed else grid.hint),
        expect(evidence, "grid", images, "they are images in [0, 1]", 0.5, mistakes),
        expect(
            evidence, "one", images[:1], "it works for one z and one label", 0.5, {no_sigmoid: logits[:1]}
        ),
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
    squares = [sum(v**2 for v in column) / 97 for column in columns]
    active = [v > 0.01 for v in variances]
    count, strict, spread = sum(active), sum(v > 0.5 for v in variances), sum(v > 0.01**2 for v in variances)
    mistakes = {
        "The standard deviation is compared with the threshold: take the variance.": spread,
        "A constant far from 0 is counted: subtract the mean over images.": sum(s > 0.01 for s in squares),
        "This counts the dimensions that are switched off.": 13 - count,
        "This is a share: return the number of dimensions.": count / 13,
        "This counts images: take the variance over images, dim 0.": 97,
        "This says which dimensions are active: count them.": active,
    }
    fixed = {"The threshold is fixed at 0.01: use the one that is given.": count}
    return [
        expect(evidence, "count", count, "it counts the means that vary over images", 2, mistakes),
        expect(evidence, "strict", strict, "it uses the given threshold", 0.5, fixed),
        expect(evidence, "single", 1, "it works for one dimension", 0.5),
    ]


# --- 7.6 posterior_means ----------------------------------------------------------------------------


class _Encoder(nn.Module):
    """mu and logvar (N, 3) from three pixels; training mode moves mu by 100."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.scale * x[:, 0, 0, :3] + (100.0 if self.training else 0.0)
        return mu, mu - 5


def probe_posterior_means(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    images = torch.rand(97, 1, 28, 28, generator=generator(seed, 3))

    def modes() -> list[bool]:
        """The mode after a call, for a model in training mode and for one in evaluation mode."""
        models = [_Encoder().train(), _Encoder().eval()]
        for model in models:
            answer(model, images, 97)
        return [model.training for model in models]

    record(evidence, "all", answer, _Encoder().eval(), images, 20)
    record(evidence, "one", answer, _Encoder().eval(), images[:1], 500)
    record(evidence, "gradient", lambda: answer(_Encoder().eval(), images, 97).requires_grad)
    record(evidence, "training", answer, _Encoder().train(), images, 97)
    record(evidence, "modes", modes)
    return evidence


def judge_posterior_means(seed: int, evidence: Evidence) -> list[Finding]:
    mu = 4 * torch.rand(97, 1, 28, 28, generator=generator(seed, 3))[:, 0, 0, :3].double().numpy()
    mistakes = {
        "The last, smaller batch is missing.": mu[:80],
        "Only the first batch is there: collect every batch before you return.": mu[:20],
        "Only the last batch is there: collect every batch, then join them.": mu[80:],
        "These are log-variances: encode returns mu first.": mu - 5,
    }
    actual = evidence.get("all", np.zeros(0))
    # A sample's 291 noises have standard deviation 1 up to 7 standard errors.
    if actual.shape == mu.shape and 0.7 < np.std((actual - mu) / np.exp((mu - 5) / 2)) < 1.3:
        mistakes["These look like samples z: return the mean itself."] = actual
    kept = {"The means still carry a gradient: encode without recording one.": True}
    on = {"The model encodes in training mode: switch to evaluation mode first.": mu + 100}
    after = {
        "The model is left in evaluation mode: put back the mode it came in.": [False, False],
        "The model always ends in training mode: put back the mode it came in.": [True, True],
    }
    return [
        expect(evidence, "all", mu, "97 images in batches of 20: every mean, in order", 1, mistakes),
        expect(evidence, "one", mu[:1], "it works for one image and a larger batch size", 0.5),
        expect(evidence, "gradient", False, "no gradient is kept", 0.5, kept),
        expect(evidence, "training", mu, "it encodes in evaluation mode", 0.5, on),
        expect(evidence, "modes", [True, False], "afterwards the model's mode is what it was", 0.5, after),
    ]


# --- 7.7 confusion ----------------------------------------------------------------------------------


def _classes(seed: int) -> tuple[Tensor, Tensor]:
    """97 true labels among 4 classes and predictions that name only the first two."""
    g = generator(seed, 4)
    return torch.randint(4, (97,), generator=g), torch.randint(2, (97,), generator=g)


def probe_confusion(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    true, predicted = _classes(seed)
    record(evidence, "counts", answer, true, predicted, 4)
    record(evidence, "absent", answer, true, predicted, 5)
    return evidence


def judge_confusion(seed: int, evidence: Evidence) -> list[Finding]:
    pairs = list(zip(*(labels.tolist() for labels in _classes(seed)), strict=True))
    counts = np.array([[pairs.count((row, column)) for column in range(5)] for row in range(5)])
    right = counts[:4, :4]
    mistakes = {
        "Rows and columns are swapped: rows are the true classes.": right.T,
        "Each pair counts once: an indexed += adds 1 however often an index repeats.": right > 0,
        "These are shares of each row: return counts.": right / right.sum(1, keepdims=True),
        "These are shares of all images: return counts.": right / 97,
        "Only right predictions are counted: count the wrong ones too.": np.diag(right.diagonal()),
    }
    short = {"The matrix is as large as the classes that occur: give it num_classes rows and columns.": right}
    claim = "a class that never occurs has a row and a column of zeros"
    return [
        expect(evidence, "counts", right, "rows are true classes, columns predicted ones", 1.5, mistakes),
        expect(evidence, "absent", counts, claim, 0.5, short),
    ]


EXERCISES = (
    Exercise("7.1", "MyCVAE", 4, probe_my_cvae, judge_my_cvae),
    Exercise("7.2", "request_digits", 2, probe_request_digits, judge_request_digits),
    Exercise("7.4", "count_active", 3, probe_count_active, judge_count_active),
    Exercise("7.6", "posterior_means", 3, probe_posterior_means, judge_posterior_means),
    Exercise("7.7", "confusion", 2, probe_confusion, judge_confusion),
)
