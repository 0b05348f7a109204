"""Section 3: the VAE, its loss, its training step, its test ELBO and its log-likelihood.

Oracles: matrix products in NumPy for the network, whose weights the judge knows (see `layers`);
torch.distributions in float64 for the rest, and autograd on it for the training step. The small VAE that is
handed to the other answers notes what it is asked (see `witness`). Given the codes that it decoded, even an
answer that draws its own noise has exact values, and only the noise itself is left to statistics.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal
from torch.nn import functional as F

from course_utils.checks.judges import gradients, layers, losses, noise
from course_utils.checks.judges.core import (
    Exercise,
    Finding,
    close,
    expect,
    is_fact,
    problem_with,
    unless,
)
from course_utils.checks.judges.gaussians import EPSILONS, kls, posterior, wrong_kls
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import Evidence
from course_utils.checks.probes.section_3 import (
    WIDE_OFFERED,
    likelihood_looks,
    noisy,
    test_set,
    training,
    training_model,
    vae_loss_looks,
    vaes,
)
from course_utils.checks.probes.witness import Witness

# --- shared by the exercises ------------------------------------------------------------------------


def _nll(model: Witness, x: Tensor, z: Tensor) -> Tensor:
    """-log p(x|z) in nats per image: (N,)."""
    return F.binary_cross_entropy_with_logits(model.decode(z.double()), x, reduction="none").sum((1, 2, 3))


def _noise(evidence: Evidence, names: Sequence[str], model: Witness, x: Tensor) -> tuple[str, str]:
    """What `noise.judged` says of the codes of two calls on the images x."""
    keys = [f"{key}{name}" for key in ("images", "codes") for name in names]
    problem = next(filter(None, (problem_with(evidence, key) for key in keys)), "")
    if problem:
        return problem, problem
    batches = [gradients.given(evidence[key], x)[1].double() for key in keys[:2]]  # each in its own order
    n = min(map(len, batches))
    codes = [torch.as_tensor(evidence[key])[:n] for key in keys[2:]]
    if min(map(len, codes)) < n:
        return f"`decode` gets {min(map(len, codes))} codes for {n} images.", ""
    mu, logvar = (
        torch.stack(part).detach() for part in zip(*(model.encode(x[:n]) for x in batches), strict=True)
    )
    return noise.judged(torch.stack(codes), mu, logvar)


FRESH = "z = mu + sigma * eps, with noise of its own for every image, dimension and call"


# --- 3.1 MyVAE --------------------------------------------------------------------------------------


def judge_my_vae(seed: int, evidence: Evidence) -> list[Finding]:
    claims = {
        "trunk": "hidden layers with a ReLU after each lead from the pixels to both heads",
        "decode": "decode gives logits (N, 1, 28, 28), ReLU inside and nothing at the end",
        "sizes": "the layers are 784-512-256 to latent_dim twice, and latent_dim-256-512-784",
        "batches": "one image and one latent dimension work too",
    }
    return layers.judge_vae(seed, evidence, vaes(seed), claims)


# --- 3.2 vae_loss -----------------------------------------------------------------------------------


def judge_vae_loss(seed: int, evidence: Evidence) -> list[Finding]:
    looks = vae_loss_looks(seed)
    findings = Table.of(vae_loss_looks, seed, _three, losses.sizes).judge(
        evidence,
        Property(
            "loss, reconstruction and KL are in nats per image, for grey and for binary images",
            3,
            ["grey", "binary"],
        ),
        Property("it stays exact for logits from -60 to 60", 0.5, ["bold"]),
        Property("one image, one dimension and any logvar work too", 0.5, ["one", "narrow", "wide"]),
    )
    return [*findings, losses.gradients_reach(evidence, findings, looks["grey"])]


def _three(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> dict[str, Tensor]:
    """Loss, reconstruction and KL, and what mistakes would give: (3,), or (3, n) for one of each image."""

    def three(r: Tensor, k: Tensor) -> Tensor:
        return torch.stack(torch.broadcast_tensors(r + k, r, k))

    values = losses.combined(three, x_logits, x, mu, logvar)
    loss, r, k = values[""]
    others = {
        "The loss subtracts the KL; the ELBO does, its negative adds it.": (r - k, r, k),
        "This is the ELBO: the loss is minus that.": (-loss, r, k),
        "This is the ELBO, and its two terms: the loss is minus that.": (-loss, -r, k),
        "The KL is missing in the loss, which is the sum of both terms.": (r, r, k),
        "The reconstruction is missing in the loss, which is the sum of both terms.": (k, r, k),
        "The loss has half the KL in it: it is the sum of both terms.": (r + k / 2, r, k),
        "The loss has the KL in it twice: it is the sum of both terms.": (r + 2 * k, r, k),
        "The loss has the KL in it four times: it is the sum of both terms.": (r + 4 * k, r, k),
        "The loss is the mean of the two terms: it is their sum.": (loss / 2, r, k),
        "Reconstruction and KL have changed places.": (loss, k, r),
    }
    orders = {
        "reconstruction, KL, loss": (r, k, loss),
        "reconstruction, loss, KL": (r, loss, k),
        "KL, loss, reconstruction": (k, loss, r),
        "KL, reconstruction, loss": (k, r, loss),
    }
    for order, parts in orders.items():
        others[f"The order is {order}: the loss comes first, then reconstruction and KL."] = parts
    return values | {hint: torch.stack(parts) for hint, parts in others.items()}


# --- 3.3 vae_train_step -----------------------------------------------------------------------------


def _losses(sampler: str) -> Callable[[Witness, Tensor, Tensor], gradients.Parts]:
    """The terms of the loss, by the way that gradients take through z, whose codes come from this sampler.
    Each way explains the codes by noise of its own."""

    def parts(model: Witness, x: Tensor, codes: Tensor) -> gradients.Parts:
        mu, logvar = model.encode(x)
        codes = codes.double()
        ways = {
            hint: (c + s * ((codes - c) / s).detach()) for hint, (c, s) in noise.samplers(mu, logvar).items()
        }
        ways = {
            sampler: ways.get(sampler, ways[""]),
            "No gradient flows through z: do not detach it.": codes,
            "Through z only mu gets a gradient: do not detach sigma.": mu + (codes - mu).detach(),
            **ways,
        }
        halves = {
            hint: (c + s * ((codes - mu) / (logvar / 2).exp()).detach(), kls(*moments).sum(1).mean())
            for hint, moments in {
                "No gradient reaches mu: do not detach it.": (mu.detach(), logvar),
                "No gradient reaches logvar: do not detach it.": (mu, logvar.detach()),
            }.items()
            for c, s in [(moments[0], (moments[1] / 2).exp())]
        }
        kl = kls(mu, logvar).sum(1).mean()
        terms = {hint: (z, kl) for hint, z in ways.items()} | halves
        squares = (model.decode(ways[""]).sigmoid() - x).square().sum() / len(x)
        return {
            hint: {"reconstruction": _nll(model, x, z).mean(), "KL": its_kl}
            for hint, (z, its_kl) in terms.items()
        } | {"The reconstruction is no cross-entropy.": {"squared error": squares, "KL": kl}}

    return parts


def judge_vae_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    sampler, shared = _noise(evidence, (" noisy0", " noisy1"), *noisy(seed))
    walk = gradients.Walk(evidence, lambda: training_model(seed), *training(seed), _losses(sampler)).judged()
    return [
        unless(
            "the weights take one step of the optimizer, down the gradient of -ELBO", 3, walk.step or sampler
        ),
        unless("each step starts from cleared gradients, whatever the size of the batch", 0.75, walk.later),
        walk.unmoved(unless(FRESH, 0.5, shared or walk.step * (walk.step == walk.later))),
        unless("it returns the loss before the step, in nats per image, as a Python number", 0.5, walk.value),
        walk.unmoved(is_fact(evidence, "mode", seed, "the model stays in training mode", 0.25, "")),
    ]


# --- 3.4 test_elbo ----------------------------------------------------------------------------------


def judge_test_elbo(seed: int, evidence: Evidence) -> list[Finding]:
    model, images, size = test_set(seed)
    sampler, shared = _noise(evidence, ("", " whole"), model, images)
    mean, error = _estimate(evidence, "", model, images, size)
    whole_mean, whole_error = _estimate(evidence, " whole", model, images, 2 * len(images))
    facts = {
        "mode": "the model is in evaluation mode",
        "batches": "at most batch_size images go through at a time",
        "gradients": "no gradients are kept",
    }
    stopped = problem_with(evidence, "estimate")
    claim = "the mean is that of the ELBO over all images, each with one sample of q(z|x)"
    return [
        unless(claim, 3, mean or sampler or whole_mean),
        unless("the standard error is that of these values", 0.75, error or whole_error * (not mean)),
        unless(
            FRESH,
            0.5,
            stopped
            or (mean if mean and error else "")
            or shared * (not problem_with(evidence, "estimate whole")),
        ),
        *(
            unless(claim, 0.25, stopped) if stopped else is_fact(evidence, key, seed, claim, 0.25, "")
            for key, claim in facts.items()
        ),
    ]


Named = tuple[str, Tensor]  # the ELBO of each image, under the hint for what is wrong with it
Reduction = tuple[str, Callable[[Tensor, int], Tensor]]  # of one value per image, in batches of a size
Pair = tuple[str, str]  # what is wrong with the values, and with their reduction


def _estimate(evidence: Evidence, name: str, model: Witness, x: Tensor, size: int) -> tuple[str, str]:
    """What is wrong with mean and standard error, given the images and codes that the model has noted."""
    keys = [f"{key}{name}" for key in ("estimate", "images", "codes")]
    problem = next(filter(None, (problem_with(evidence, key) for key in keys)), "")
    if problem:
        return problem, problem
    found, n, z = evidence[keys[0]], len(x), torch.as_tensor(evidence[keys[2]])
    hint, x = gradients.given(evidence[keys[1]], x)
    if len(x) < n:
        known = {
            size: "Only the first batch counts: is the return inside the loop?",
            n - n % size: "The last, smaller batch is left out.",
        }
        hint = known.get(len(x), hint)
    elif len(z) != n:
        hint = f"`decode` gets {len(z)} codes for {n} images: one sample of z is asked for."
    if hint == gradients.OTHERS:
        return hint, hint
    if hint or (hint := gradients.rounded(found[:1])):
        return hint, ""
    values = _values(model, x.double(), z, size)
    right = values[0][1]
    sizes = {"images": len(x), "pixels": 784, "columns": 28, "batches": -(-len(x) // size)}
    mean, error = (kind[0][1](right, size).item() for kind in (_MEANS, _ERRORS))
    if close(found, [error, mean], 1e-4):
        return "Mean and standard error have changed places.", ""

    def known_as(
        number: float, values: Sequence[Named], kinds: Sequence[Reduction], close: float
    ) -> list[Pair]:
        """What explains the number, the fewest mistakes first."""
        pairs = [
            (what, how)
            for what, value in values
            for how, reduce in kinds
            if np.isclose(number, reduce(value, size), rtol=1e-6 if what and how else close)
        ]
        return sorted(pairs, key=lambda pair: sum(map(bool, pair)))

    def said(pairs: list[Pair], number: float, right: float) -> str:
        if pairs:
            return " ".join(filter(None, pairs[0]))
        return expect({"": np.array(number)}, "", right, "", 0, tolerance=1e-5, sizes=sizes).hint

    means = known_as(found[0], values, _MEANS, 1e-5)
    # The error is held to the answer's own values, where these are understood.
    own = [what for what, _ in means] or [""]
    errors = known_as(found[1], [value for value in values if value[0] in own], _ERRORS, 1e-3)
    errors = [(what * (what != own[0]), how) for what, how in errors]
    hint, other = said(means, found[0], mean), gradients.rounded(found[1:])
    other = other or said(sorted(errors), found[1], error)
    return hint, other * (other != hint)


def _batches(value: Tensor, size: int) -> Tensor:
    """The mean of each batch."""
    return torch.stack([part.mean() for part in value.split(size)])


_MEANS: tuple[Reduction, ...] = (
    ("", lambda value, _: value.mean()),
    (
        "The mean of the batches' means: the last batch is smaller and must weigh less.",
        lambda value, size: _batches(value, size).mean(),
    ),
    ("Only the first batch counts: is the return inside the loop?", lambda value, size: value[:size].mean()),
    (
        "Only the last batch counts: collect the values of all of them.",
        lambda v, size: v.split(size)[-1].mean(),
    ),
    (
        "The last, smaller batch does not count.",
        lambda value, size: value[: len(value) // size * size].mean(),
    ),
    ("This is the sum over images: take their mean.", lambda value, _: value.sum()),
    (
        "This is the sum of the batches' means: take the mean over images.",
        lambda v, size: _batches(v, size).sum(),
    ),
    (
        "The sum over images is divided by the number of batches.",
        lambda v, size: v.sum() / len(v.split(size)),
    ),
    ("The median is taken; the mean is asked for.", lambda value, _: value.median()),
)
_ERRORS: tuple[Reduction, ...] = (
    ("", lambda value, _: value.std() / len(value) ** 0.5),
    ("", lambda value, _: value.std(correction=0) / len(value) ** 0.5),
    ("This divides by sqrt(N - 1): s / sqrt(N) is asked for.", lambda v, _: v.std() / (len(v) - 1) ** 0.5),
    ("That is the standard deviation; the standard error is smaller by sqrt(N).", lambda v, _: v.std()),
    ("That is the standard deviation; the error is smaller by sqrt(N).", lambda v, _: v.std(correction=0)),
    ("The standard error divides by sqrt(N), not by N.", lambda value, _: value.std() / len(value)),
    ("That is the variance over sqrt(N): take the standard deviation.", lambda v, _: v.var() / len(v) ** 0.5),
    ("That is the variance over N: its root is missing.", lambda value, _: value.var() / len(value)),
    ("That is the variance: take its root, and divide by sqrt(N).", lambda value, _: value.var()),
    ("N is the number of images, not the size of a batch.", lambda value, size: value.std() / size**0.5),
    ("N is the number of images, not of batches.", lambda v, size: v.std() / len(v.split(size)) ** 0.5),
    ("This is the spread of the batches' means: take that of all images.", lambda v, s: _batches(v, s).std()),
    (
        "This is an error over batches: it is one over images.",
        lambda v, size: _batches(v, size).std() / len(v.split(size)) ** 0.5,
    ),
    (
        "This is the error over the first batch alone.",
        lambda value, size: value[:size].std() / len(value[:size]) ** 0.5,
    ),
    (
        "This is the error over the last batch alone.",
        lambda v, size: v.split(size)[-1].std() / len(v.split(size)[-1]) ** 0.5,
    ),
    (
        "This is the mean of the batches' errors: take one error over all images.",
        lambda v, size: torch.stack([part.std() / len(part) ** 0.5 for part in v.split(size)]).mean(),
    ),
    ("This is 1.96 standard errors: one is asked for.", lambda v, _: 1.96 * v.std() / len(v) ** 0.5),
)


def _values(model: Witness, x: Tensor, z: Tensor, size: int) -> list[Named]:
    """The ELBO of each image, with the KL's closed form and with that of the sample, and likely mistakes."""
    mu, logvar = (part.detach() for part in model.encode(x))
    z, logits, kl = z.double(), model.decode(z.double()).detach(), kls(mu, logvar).sum(1)
    sampled = (posterior(mu, logvar).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)

    def log_p(logits: Tensor, x: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))

    def of_batch(value: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.cat([reduce(part).expand(len(part)) for part in value.split(size)])

    right, sizes = log_p(logits, x), {"pixels": 784, "latent dimensions": z.shape[1]}
    values = [
        ("", right - kl),
        ("", right - sampled),
        ("This is the loss, -ELBO: the ELBO itself is asked for.", kl - right),
        ("The KL of its whole batch is taken from each image.", right - of_batch(kl, torch.sum)),
        ("The KL is averaged over the batch: each image has its own.", right - of_batch(kl, torch.mean)),
        ("log p(x|z) is summed over the batch: each image has its own.", of_batch(right, torch.sum) - kl),
        ("The logits go through a sigmoid twice.", log_p(logits.sigmoid(), x) - kl),
        ("Images are rounded before they are compared: keep their greys.", log_p(logits, x.round()) - kl),
        (
            "This is a squared error: log p(x|z) is minus the cross-entropy.",
            -(logits.sigmoid() - x).square().sum((1, 2, 3)) - kl,
        ),
    ]
    for (p, of_p), (k, of_k) in itertools.product(gradients.FACTORS, repeat=2):
        with contextlib.suppress(KeyError):  # the images of a batch come above
            sentence = gradients.sentence("", {"log p(x|z)": p, "KL": k}, "ELBO")
            values.append((sentence, of_p(sizes) * right - of_k(sizes) * kl))
    return [*values, *((hint, right - wrong.sum(1)) for hint, wrong in wrong_kls(mu, logvar).items())]


# --- 3.5 estimate_log_likelihood --------------------------------------------------------------------


def judge_estimate_log_likelihood(seed: int, evidence: Evidence) -> list[Finding]:
    def sizes(_: Witness, x: Tensor, eps: Tensor) -> dict[str, int]:
        return {"images": len(x), "samples": len(eps), "latent dimensions": eps.shape[2], "pixels": 784}

    table = Table.of(likelihood_looks, seed, _bounds, sizes, 4e-6)
    return table.judge(
        evidence,
        Property("it is the log of the mean weight p(x|z) p(z) / q(z|x), per image", 3, ["bound"]),
        Property("one image and one sample work too", 1, ["one image", "one sample", "one"]),
        Property("it stays exact for logits from -60 to 60", 1, ["bold"]),
    )


def _bounds(model: Witness, x: Tensor, eps: Tensor) -> dict[str, Any]:
    """The bound per image in float64, and what mistakes would give."""
    x, eps, (k, n, d) = x.double(), eps.double(), eps.shape
    mu, logvar = model.encode(x)
    sigma, q, p = (logvar / 2).exp(), posterior(mu, logvar), Normal(0.0, 1.0)

    def bound(log_w: Tensor) -> Tensor:
        return torch.logsumexp(log_w, 0) - math.log(k)

    def terms(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log p(x|z), log p(z) and log q(z|x), each (K, N)."""
        return -torch.stack([_nll(model, x, row) for row in z]), p.log_prob(z).sum(2), q.log_prob(z).sum(2)

    def of(z: Tensor) -> Tensor:
        likelihood, prior, own = terms(z)
        return bound(likelihood + prior - own)

    z = mu + sigma * eps
    likelihood, prior, own = terms(z)
    log_w = likelihood + prior - own
    total, softmax = torch.logsumexp(log_w, 0), log_w.softmax(0) * log_w
    logits = torch.stack([model.decode(row) for row in z])
    half, wide = (Normal(mu, (f * logvar).exp()).log_prob(z).sum(2) for f in (0.25, 1.0))
    twofold = Normal(mu, (logvar.exp() / 2).exp()).log_prob(z).sum(2)
    at_one = Normal(0.0, math.exp(0.5)).log_prob(z).sum(2)
    mixed = -torch.stack([_nll(model, x, row) for row in z]).reshape(n, k).T
    samples = noise.samplers(mu, logvar)
    twice = Bernoulli(logits=logits.sigmoid()).log_prob(x).sum((2, 3, 4))
    return {
        "": bound(log_w),
        "The - log K is missing.": total,
        "K is the number of samples, not the number of images.": total - math.log(n),
        "K is the number of samples, not of latent dimensions.": total - math.log(d),
        "log K is added; it must be subtracted.": total + math.log(k),
        "This is the mean of the log-weights, the ELBO: average the weights first.": log_w.mean(0),
        "This is the sum of the log-weights: average the weights first.": log_w.sum(0),
        "The log-weights are weighted by their softmax: average exp(log_w).": softmax.sum(0),
        "This is the largest weight alone: average all of them.": log_w.amax(0),
        "exp(log_w) underflows to 0 here: use torch.logsumexp.": log_w.float().exp().mean(0).log(),
        "The axes are swapped: average over samples.": torch.logsumexp(log_w, 1) - math.log(n),
        "The weight lacks the prior p(z).": bound(likelihood - own),
        "The weight lacks q(z|x): divide by it.": bound(likelihood + prior),
        "The weight is p(x|z) alone; z was drawn from q(z|x), not from the prior.": bound(likelihood),
        "The weight lacks p(x|z).": bound(prior - own),
        "q(z|x) multiplies the weight; it must divide it.": bound(likelihood + prior + own),
        "The prior divides the weight; it must multiply it.": bound(likelihood - prior - own),
        "The prior divides and q(z|x) multiplies: it is the other way round.": bound(
            likelihood - prior + own
        ),
        "p(x|z) divides the weight; it must multiply it.": bound(prior - likelihood - own),
        "log p(x|z) is a mean over pixels: sum over them.": bound(likelihood / 784 + prior - own),
        "log p(z) and log q(z|x) are means over dimensions: sum.": bound(likelihood + (prior - own) / d),
        "The prior is taken at mu: take it at z.": bound(likelihood + p.log_prob(mu).sum(1) - own),
        "q(z|x) is taken at mu: take it at z.": bound(likelihood + prior - q.log_prob(mu).sum(1)),
        "p(x|z) is taken at mu: decode z.": bound(-_nll(model, x, mu) + prior - own),
        "The prior is that of logvar = 1: log 1 = 0 is that of N(0, 1).": bound(likelihood + at_one - own),
        "The logvar of q(z|x) is halved in its density.": bound(likelihood + prior - half),
        "The density of q(z|x) takes exp(logvar) for its sigma.": bound(likelihood + prior - wide),
        "The density of q(z|x) takes exp(logvar) for its logvar.": bound(likelihood + prior - twofold),
        "The density of q(z|x) has mean 0: its mean is mu.": (
            bound(likelihood + prior - Normal(0.0, sigma).log_prob(z).sum(2))
        ),
        "p(x|z) counts twice.": bound(2 * likelihood + prior - own),
        "log p(x|z) is averaged over the batch: each image has its own.": (
            bound(likelihood.mean(1, keepdim=True) + prior - own)
        ),
        "log p(x|z) is summed over the batch: each image has its own.": (
            bound(likelihood.sum(1, keepdim=True) + prior - own)
        ),
        "log K is the natural logarithm.": total - math.log2(k),
        "K is subtracted, not its logarithm.": total - k,
        "This is the median of the log-weights: average the weights.": log_w.median(0).values,
        "Images and samples are mixed up where rows of all are cut apart.": bound(mixed + prior - own),
        "The log of a mean is the log of the sum minus log K, not a K-th of it.": total / k,
        "This is the negative log-likelihood: return log p(x) itself.": -bound(log_w),
        "One value per sample and image: average the weights over samples.": log_w,
        "The KL takes the place of log p(z) - log q(z|x).": bound(likelihood - kls(mu, logvar).sum(1)),
        "The noise is missing: this is mu itself.": of(mu.expand(eps.shape)),
        "The noise is subtracted; it should be added.": of(mu - sigma * eps),
        "Only the first noise counts, for every sample: average over all K.": log_w[0],
        "Only the first noise counts, and K is that of all.": log_w[0] - math.log(k),
        "All images share one noise: eps has some for each.": of(mu + sigma * eps[:, :1]),
        "Only the last noise counts: average over all K.": log_w[-1],
        **{hint: of(centre + spread * eps) for hint, (centre, spread) in samples.items() if hint},
        "The logits go through a sigmoid twice.": bound(twice + prior - own),
        **{
            hint: bound(prior - own - wrong.sum((2, 3, 4)))
            for hint, wrong in losses.unsafe(logits, x).items()
        },
        **{
            f"exp(log_w) underflows to 0 here, and {epsilon:.0e} is left: use torch.logsumexp.": (
                (log_w.exp().mean(0) + epsilon).log()
            )
            for epsilon in EPSILONS
        },
        **{
            f"K is fixed at {size}: take the number of noises.": total - math.log(size)
            for size in (5, 10, 20, 32, 50, 64, 100, 128, 1000)
        },
    }


EXERCISES = (
    Exercise(
        "3.1",
        "MyVAE",
        3,
        judge_my_vae,
        ("models.VAE",),
        why="Because the second head gives log sigma^2, any real number stands for a positive "
        "variance: no activation has to see to that.",
    ),
    Exercise(
        "3.2",
        "vae_loss",
        3,
        judge_vae_loss,
        ("objectives.negative_elbo",),
        why="Both terms are sums within an image, so neither outweighs the other by a factor that nobody "
        "chose, and the number is minus the ELBO. A mean over pixels would make the KL 784 times as "
        "heavy.",
    ),
    Exercise(
        "3.3",
        "vae_train_step",
        2,
        judge_vae_train_step,
        why="The decoder's error reaches the encoder through z = mu + sigma * eps. The loss is a mean over "
        "images, so a learning rate that suits one size of batch does for others.",
    ),
    Exercise(
        "3.4",
        "test_elbo",
        3,
        judge_test_elbo,
        ("evaluation.test_elbo",),
        why="One mean over all images weighs each the same, however they are cut. The noise of z "
        "is a part of the spread, so that the error bar covers it as well.",
    ),
    Exercise(
        "3.5",
        "estimate_log_likelihood",
        3,
        judge_estimate_log_likelihood,
        ("evaluation.log_likelihood", "objectives.log_weights"),
        why="The mean weight is p(x) on average, whatever q is; the closer q is to the posterior, the fewer "
        "samples do. The logarithm of a mean that is right on average is too small on average: a bound.",
    ),
    prediction(
        "3.7",
        "predict_wide",
        WIDE_OFFERED,
        (
            "A dimension is paid for only while it saves more in the reconstruction than it costs. How "
            "much there is to say at that price depends on the images, not on the room for it.",
            "Where 20 dimensions leave some idle, 30 more find nothing worth saying, and one on its way "
            "out costs little. Early on many still share the work.",
            "Idle dimensions cost nothing once they match the prior, and save nothing. What differs "
            "comes from the noise they bring before that, which slows training, and from the seed.",
        ),
    ),
)
