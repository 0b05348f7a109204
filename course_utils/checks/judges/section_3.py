"""Section 3: the VAE, its loss, its training step, its test ELBO and its log-likelihood.

Oracles: matrix products in NumPy for the network, whose weights the judge knows (see `layers`);
torch.distributions in float64 for the rest, and autograd on it for the training step. The small VAE that is
handed to the other answers notes what it is asked (see `witness`). Given the codes that it decoded, even an
answer that draws its own noise has exact values, and only the noise itself is left to statistics.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from course_utils.checks.judges import gradients, layers, losses, noise
from course_utils.checks.judges.core import COUNTS, Exercise, Finding, close, is_fact, problem_with, unless
from course_utils.checks.judges.diagnoser import Seen, told
from course_utils.checks.judges.gaussians import EPSILONS, kls, posterior, wrong_kls
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes import section_3 as probes
from course_utils.checks.probes.evidence import Evidence
from course_utils.checks.probes.witness import Witness

# --- shared by the exercises ------------------------------------------------------------------------


def _nll(model: Witness, x: Tensor, z: Tensor) -> Tensor:
    """-log p(x|z) in nats per image: (N,)."""
    return losses.nll(model.decode(z.double()), x).sum((1, 2, 3))


def _squares(model: Witness, x: Tensor, z: Tensor) -> Tensor:
    """The squared error per image: (N,)."""
    return (model.decode(z.double()).sigmoid() - x).square().sum((1, 2, 3))


def _noise(evidence: Evidence, names: Sequence[str], model: Witness, x: Tensor) -> tuple[str, str]:
    """What `noise.judged` says of the codes of two calls on the images x."""
    keys = [f"{key}{name}" for key in ("images", "codes") for name in names]
    if problem := problem_with(evidence, *keys):
        return problem, problem
    batches = [gradients.given(evidence[key], x)[1].double() for key in keys[:2]]  # each in its own order
    n = min(map(len, batches))
    codes = [torch.as_tensor(evidence[key])[:n] for key in keys[2:]]
    if min(map(len, codes)) < n:
        return f"`decode` gets {min(map(len, codes))} codes for {n} images.", ""
    heads = torch.stack([torch.stack(model.encode(x[:n])) for x in batches], 1).detach()
    return noise.judged(torch.stack(codes), *heads)


FRESH = "z = mu + sigma * eps, with noise of its own for every image, dimension and call"


# --- 3.1 MyVAE --------------------------------------------------------------------------------------


def judge_my_vae(seed: int, evidence: Evidence) -> list[Finding]:
    """Because the second head gives log sigma^2, any real number stands for a positive variance: no
    activation has to see to that."""
    claims = {
        "trunk": "hidden layers with a ReLU after each lead from the pixels to both heads",
        "decode": "decode gives logits (N, 1, 28, 28), ReLU inside and nothing at the end",
        "sizes": "the layers are 784-512-256 to latent_dim, and latent_dim-256-512-784",
        "batches": "one image and one latent dimension work too",
    }
    return layers.judge_vae(seed, evidence, probes.vaes(seed), claims)


# --- 3.2 vae_loss -----------------------------------------------------------------------------------


def judge_vae_loss(seed: int, evidence: Evidence) -> list[Finding]:
    """Both terms are sums within an image, so neither outweighs the other by a factor that nobody chose,
    and the number is minus the ELBO. A mean over pixels would make the KL 784 times as heavy."""
    looks = probes.vae_loss_looks(seed)
    findings = Table.of(probes.vae_loss_looks, seed, _three, losses.sizes).judge(
        evidence,
        Property(
            "loss, reconstruction and KL are in nats per image, for grey and binary images; gradients pass",
            3,
            ["grey", "binary"],
        ),
        Property("it stays exact for logits from -60 to 60", 1, ["bold"]),
        Property("one image, one dimension and logvar from -60 to 20 work too", 1, ["one", "narrow", "wide"]),
    )
    return losses.with_gradients(evidence, findings, looks["grey"])


def _three(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Iterator[Any]:
    """Loss, reconstruction and KL, and what mistakes would give: (3,), or (3, n) for one of each image."""

    def three(r: Tensor, k: Tensor) -> Tensor:
        return torch.stack(torch.broadcast_tensors(r + k, r, k))

    loss, r, k = right = three(*losses.terms(x_logits, x, mu, logvar))
    yield right
    others = {
        "This is the ELBO: the loss is minus that.": (-loss, r, k),
        "This is the ELBO, and its two terms: the loss is minus that.": (-loss, -r, k),
    }
    nothing = torch.full_like(r, math.nan)
    alone = "It returned one value: the reconstruction and the KL are asked for as well."
    others[alone] = (loss, nothing, nothing)
    weights = {
        "subtracted": -1,
        "missing, or next to nothing,": 0,
        "halved": 0.5,
        "taken twice": 2,
        "taken four times": 4,
    }
    for word, weight in weights.items():
        others[f"The KL is {word} in the loss, which is the sum of both terms."] = (r + weight * k, r, k)
    parts = {"loss": loss, "reconstruction": r, "KL": k}
    for order in itertools.permutations(parts):
        hint = f"The order is {', '.join(order)}: the loss comes first, then reconstruction and KL."
        others[hint] = tuple(parts[name] for name in order)
    stacked = {hint: torch.stack(parts) for hint, parts in others.items()}
    values = losses.combined(three, x_logits, x, mu, logvar)
    yield values | stacked | losses.divided(right, x, mu)


# --- 3.3 vae_train_step -----------------------------------------------------------------------------


def _losses(sampler: str) -> Callable[[Witness, Tensor, Tensor], gradients.Parts]:
    """The terms of the loss, by the way that gradients take through z, whose codes come from this sampler.
    Each way explains the codes by noise of its own."""

    def parts(model: Witness, x: Tensor, codes: Tensor) -> gradients.Parts:
        mu, logvar = q = model.encode(x)
        without_mu, without_logvar = (mu.detach(), logvar), (mu, logvar.detach())
        neither = (mu.detach(), logvar.detach())
        cut_off = {  # what z is made of, and what the KL
            "No gradient flows through z: do not detach it.": (neither, q),
            "Through z only mu gets a gradient: do not detach sigma.": (without_logvar, q),
            "No gradient reaches mu: do not detach it.": (without_mu, without_mu),
            "No gradient reaches logvar: do not detach it.": (without_logvar, without_logvar),
        }
        samples = noise.samplers(mu, logvar)
        ways = {sampler: (samples.get(sampler, samples[""]), q)}
        ways |= {hint: (noise.samplers(*of_z)[""], of_kl) for hint, (of_z, of_kl) in cut_off.items()}
        ways |= {hint: (sample, q) for hint, sample in samples.items()}

        def terms(error: Callable[..., Tensor], hint: str) -> dict[str, Tensor]:
            (centre, spread), of_kl = ways[hint]
            z = centre + spread * ((codes.double() - centre) / spread).detach()
            return {"reconstruction": error(model, x, z).mean(), "KL": kls(*of_kl).sum(1).mean()}

        known = {hint: partial(terms, _nll, hint) for hint in ways}
        return known | {"The reconstruction is no cross-entropy.": partial(terms, _squares, "")}

    return parts


def judge_vae_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    """The decoder's error reaches the encoder through z = mu + sigma * eps. The loss is a mean over
    images, so a learning rate that suits one size of batch does for others."""
    model, x = probes.noisy(seed)
    sampler, shared = _noise(evidence, (" noisy0", " noisy1"), model, x)
    if not problem_with(evidence, "optimizer noisy") and evidence["optimizer noisy"][0] > 1:
        sampler = f"Given {len(x)} images the optimizer steps several times: one update is asked for."
        shared = f"{COUNTS} one step is taken."
    walk = gradients.Walk(
        evidence, lambda: probes.training_model(seed), *probes.training(seed), _losses(sampler)
    ).judged()
    return [
        unless(
            "the weights take one step of the optimizer, down the gradient of -ELBO", 3, walk.step or sampler
        ),
        unless("each step starts from cleared gradients, whatever the size of the batch", 0.75, walk.later),
        walk.unmoved(unless(FRESH, 0.5, shared or walk.later * (walk.later == gradients.UNTOLD))),
        unless("it returns the loss before the step, in nats per image, as a Python number", 0.5, walk.value),
        walk.unmoved(is_fact(evidence, "mode", seed, "the model stays in training mode", 0.25, "")),
    ]


# --- 3.4 test_elbo ----------------------------------------------------------------------------------


def judge_test_elbo(seed: int, evidence: Evidence) -> list[Finding]:
    """One mean over all images weighs each the same, however they are cut. The noise of z is a part of
    the spread, so that the error bar covers it as well."""
    model, images, size = probes.test_set(seed)
    sampler, shared = _noise(evidence, ("", " whole"), model, images)
    mean, error = _estimate(evidence, "", model, images, size)
    whole_mean, whole_error = _estimate(evidence, " whole", model, images, 2 * len(images))
    stopped, once = problem_with(evidence, "estimate"), problem_with(evidence, "estimate whole")
    if not stopped and not once and mean != gradients.OTHERS:
        both = np.stack([evidence["estimate"], evidence["estimate whole"]], 1)
        few, few_of_error = map(gradients.rounded, both)
        mean, error = (few, "") if few else (mean, error or few_of_error)
    if not mean and error == whole_mean:  # that is said of the mean
        error = ""
    facts = {
        "mode": "the model is in evaluation mode, and its weights are as they came",
        "batches": "at most batch_size images go through at a time",
        "gradients": "no gradients are kept",
    }
    claim = "the mean is that of the ELBO over all images, each with one sample of q(z|x)"
    return [
        unless(claim, 3, mean or sampler or whole_mean),
        unless("the standard error is that of these values", 0.75, error or whole_error * (not mean)),
        unless(FRESH, 0.5, stopped or mean * (mean == gradients.OTHERS) or shared * (not once)),
        *(
            unless(claim, 0.25, stopped) if stopped else is_fact(evidence, key, seed, claim, 0.25, "")
            for key, claim in facts.items()
        ),
    ]


Named = list[tuple[str, Tensor]]  # values under hints, '' where they are right: more than one may be


def _estimate(evidence: Evidence, name: str, model: Witness, x: Tensor, size: int) -> tuple[str, str]:
    """What is wrong with mean and standard error, given the images and codes that the model has noted."""
    keys = [f"{key}{name}" for key in ("estimate", "images", "codes")]
    if problem := problem_with(evidence, *keys):
        return problem, problem
    found, n, z = evidence[keys[0]], len(x), torch.as_tensor(evidence[keys[2]])
    if found.shape != (2,):
        hint = "Mean and standard error are one number each."
        return hint, hint
    hint, x = gradients.given(evidence[keys[1]], x)
    if len(x) < n:
        known = {
            size: "Only one batch goes through the model: is the return inside the loop?",
            n - n % size: "The last, smaller batch is left out.",
        }
        hint = known.get(len(x), hint)
    elif len(z) != n:
        hint = f"`decode` gets {len(z)} codes for {n} images: one sample of z is asked for."
    if hint == gradients.OTHERS:
        return hint, hint
    return (hint, "") if hint else _reduced(found, _values(model, x.double(), z, size), x, size)


def _reduced(
    found: np.ndarray, values: Iterator[tuple[str, Tensor]], x: Tensor, size: int
) -> tuple[str, str]:
    """What is wrong with mean and standard error of such values; two of them are right."""
    rights = [right for _, right in itertools.islice(values, 2)]
    if any(_exact(found, right, size) for right in rights):
        return "", ""
    known = [*(("", right) for right in rights), *values]
    mean, error = rights[0].mean().item(), rights[0].std().item() / len(x) ** 0.5
    if close(found, [error, mean], 1e-4):
        return "Mean and standard error have changed places.", ""
    forgotten = "It is missing, or NaN: the standard error is asked for as well." * bool(np.isnan(found[1]))
    sizes = {"images": len(x), "pixels": 784, "columns": 28, "batches": -(-len(x) // size)}
    unlike = [
        "" if close(seen, right, 1e-5) else told([Seen(seen, np.array(right), sizes)], 1e-5)
        for seen, right in zip(map(np.array, found), (mean, error), strict=True)
    ]

    def fits(number: float, reduced: Named, what: str, tolerance: float, otherwise: str) -> list[str]:
        """What may be wrong with the reduction to this number, where `what` is wrong with the values."""
        near = tolerance, tolerance / 10, 1e-6  # mistakes agree by chance, two more often
        known = (how for how, of in reduced if math.isclose(number, of, rel_tol=near[bool(what) + bool(how)]))
        return [*known, *filter(None, [otherwise])]

    explained = [
        (what, of_mean, of_error)
        for what, value in known
        for of_mean in fits(found[0], _means(value, size), what, 1e-5, unlike[0])
        for of_error in fits(found[1], _errors(value, size), what, 1e-3, unlike[1])
    ]
    explained += [
        ("", "", f"It is that of other values: {what}")
        for what, value in known
        if what and not unlike[0] and math.isclose(found[1], value.std() / len(x) ** 0.5, rel_tol=1e-5)
    ]
    # The fewest mistakes; a number that none explains weighs as much as three.
    what, of_mean, of_error = min(
        explained,
        key=lambda hints: sum(3 if hint in unlike else 1 for hint in hints if hint),
        default=("", *unlike),
    )
    if any(math.isclose(found[0], value.mean(), rel_tol=1e-5) for value in rights):
        of_error = f"{what} {of_error}".strip()  # the mean of what is wrong is right
    else:
        of_mean = f"{what} {of_mean}".strip()
    return of_mean, forgotten or of_error * (of_error != of_mean)


def _exact(found: np.ndarray, value: Tensor, size: int) -> bool:
    """Are these the mean of one value per image and its standard error?"""
    errors = (of for hint, of in _errors(value, size) if not hint)
    return math.isclose(found[0], value.mean(), rel_tol=1e-5) and any(
        math.isclose(found[1], of, rel_tol=1e-3) for of in errors
    )


def _means(value: Tensor, size: int) -> Named:
    """The mean of one value per image, and what is returned in its place, in batches of this size."""
    batches = value.split(size)
    means = torch.stack([batch.mean() for batch in batches])
    return [
        ("", value.mean()),
        ("The mean of the batches' means: the last batch is smaller and must weigh less.", means.mean()),
        ("Only the first batch counts: is the return inside the loop?", means[0]),
        ("Only the last batch counts: collect the values of all of them.", means[-1]),
        ("This is the sum over images: take their mean.", value.sum()),
        ("This is the sum of the batches' means: take the mean over images.", means.sum()),
        ("The sum over images is divided by the number of batches.", value.sum() / len(batches)),
    ]


def _errors(value: Tensor, size: int) -> Named:
    """The standard error of one value per image, and what is returned in its place."""
    batches, n = value.split(size), len(value)
    means = torch.stack([batch.mean() for batch in batches])
    of_batch = [batch.std() / len(batch) ** 0.5 for batch in batches]
    errors = [
        ("This is the spread of the batches' means: take that of all images.", means.std()),
        ("This is an error over batches: it is one over images.", means.std() / len(batches) ** 0.5),
        ("This is the error over the first batch alone.", of_batch[0]),
        ("This is the error over the last batch alone.", of_batch[-1]),
    ]
    for std in (value.std(), value.std(correction=0)):
        errors += [
            ("", std / n**0.5),
            ("That is the standard deviation; the standard error is smaller by sqrt(N).", std),
            ("The standard error divides by sqrt(N), not by N.", std / n),
            ("That is the variance over sqrt(N): take the standard deviation.", std**2 / n**0.5),
            ("That is the variance over N: its root is missing.", std**2 / n),
            ("That is the variance: take its root, and divide by sqrt(N).", std**2),
            ("N is the number of images, not the size of a batch.", std / size**0.5),
            ("N is the number of images, not of batches.", std / len(batches) ** 0.5),
            ("It is 1.96 times the standard error, as for an interval of 95%.", 1.96 * std / n**0.5),
            ("It is twice the standard error, as for an interval of 95%.", 2 * std / n**0.5),
        ]
    return errors


@torch.no_grad()
def _values(model: Witness, x: Tensor, z: Tensor, size: int) -> Iterator[tuple[str, Tensor]]:
    """The ELBO of each image, with the KL's closed form and with that of the sample, then likely mistakes."""
    mu, logvar = model.encode(x)
    z, kl = z.double(), kls(mu, logvar).sum(1)
    sampled = (posterior(mu, logvar).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)
    logits = model.decode(z)

    def log_p(logits: Tensor, x: Tensor) -> Tensor:
        return -losses.nll(logits, x).sum((1, 2, 3))

    def of_batch(value: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.cat([reduce(part).expand(len(part)) for part in value.split(size)])

    right = log_p(logits, x)
    known = losses.factors({"images": len(x), "pixels": 784, "latent dimensions": z.shape[1]})
    yield from (("", right - kl), ("", right - sampled))
    yield from [
        ("This is the loss, -ELBO: the ELBO itself is asked for.", kl - right),
        ("The KL of its whole batch is taken from each image.", right - of_batch(kl, torch.sum)),
        ("The KL is averaged over the batch: each image has its own.", right - of_batch(kl, torch.mean)),
        ("log p(x|z) is summed over the batch: each image has its own.", of_batch(right, torch.sum) - kl),
        ("log p(x|z) is averaged over the batch: each image has its own.", of_batch(right, torch.mean) - kl),
        (
            "log p(x|z) is averaged over pixels and images: it is a sum over the pixels of each image.",
            of_batch(right, torch.mean) / 784 - kl,
        ),
        *((hint, -wrong.sum((1, 2, 3)) - kl) for hint, wrong in losses.other_nlls(logits, x).items()),
        *(
            (losses.sentence("", {"log p(x|z)": p, "KL": k}, "ELBO"), known[p] * right - known[k] * kl)
            for p, k in itertools.product(known, repeat=2)
        ),
        *((hint, right - wrong.sum(1)) for hint, wrong in wrong_kls(mu, logvar).items()),
    ]


# --- 3.5 estimate_log_likelihood --------------------------------------------------------------------


def judge_estimate_log_likelihood(seed: int, evidence: Evidence) -> list[Finding]:
    """The mean weight is p(x) on average, whatever q is; the closer q is to the posterior, the fewer
    samples do. The logarithm of a mean that is right on average is too small on average: a bound."""

    def sizes(_: Witness, x: Tensor, eps: Tensor) -> dict[str, int]:
        return {"images": len(x), "samples": len(eps), "latent dimensions": eps.shape[2], "pixels": 784}

    return Table.of(probes.likelihood_looks, seed, _bounds, sizes, 4e-6).judge(
        evidence,
        Property("it is the log of the mean weight p(x|z) p(z) / q(z|x), per image", 3, ["bound"]),
        Property("one image and one sample work too", 1, ["one image", "one sample", "one"]),
        Property("it stays exact for logits from -60 to 60", 1, ["bold"]),
    )


def _bounds(model: Witness, x: Tensor, eps: Tensor) -> Iterator[Any]:
    """The bound per image in float64, and what mistakes would give."""
    x, eps, (k, n, d) = x.double(), eps.double(), eps.shape
    mu, logvar = model.encode(x)
    q, p, sigma, swapped = posterior(mu, logvar), Normal(0.0, 1.0), (logvar / 2).exp(), posterior(logvar, mu)
    z = mu + sigma * eps

    def log_p(z: Tensor) -> Tensor:
        """log p(x|z): (K, N)."""
        return -torch.stack([_nll(model, x, row) for row in z])

    def log_of(density: Normal, z: Tensor = z) -> Tensor:
        return density.log_prob(z).sum(-1)

    def bound(log_w: Tensor) -> Tensor:
        return torch.logsumexp(log_w, 0) - math.log(k)

    likelihood, prior, own = log_p(z), log_of(p), log_of(q)
    log_w = likelihood + prior - own
    yield bound(log_w)
    mixed = (torch.arange(k * n) // k).view(k, n)  # the images, each k times before the next
    crossed, piled = mu[mixed] + sigma[mixed] * eps, mu + sigma * eps.cumsum(0)
    total, logits = torch.logsumexp(log_w, 0), torch.stack([model.decode(row) for row in z])
    bounds = {
        "The - log K is missing.": total,
        "K is the number of samples, not the number of images.": total - math.log(n),
        "K is the number of samples, not of latent dimensions.": total - math.log(d),
        "log K is added; it must be subtracted.": total + math.log(k),
        "The log of a mean is the log of the sum minus log K, not a K-th of it.": total / k,
        "This is the mean of the log-weights, the ELBO: average the weights first.": log_w.mean(0),
        "This is the sum of the log-weights: average the weights first.": log_w.sum(0),
        "The log-weights are weighted by their softmax: average exp(log_w).": (
            (log_w.softmax(0) * log_w).sum(0)
        ),
        "This is the largest weight alone: average all of them.": log_w.amax(0),
        "The weights underflow to 0 here: use torch.logsumexp.": log_w.float().exp().mean(0).log(),
        "The axes are swapped: sum over the first axis, the samples.": (
            torch.logsumexp(log_w, 1) - math.log(k)
        ),
        "The axes are swapped: average over samples.": torch.logsumexp(log_w, 1) - math.log(n),
        "This is the negative log-likelihood: return log p(x) itself.": -bound(log_w),
        "One value per sample and image: average the weights over samples.": log_w,
        "Only the first noise counts: average over all K.": log_w[0],
        "Only the first noise counts, and K is that of all.": log_w[0] - math.log(k),
        "Only the last noise counts: average over all K.": log_w[-1],
    }
    for size in (5, 10, 20, 32, 50, 64, 100, 128, 200, 500, 1000):
        bounds[f"K is fixed at {size}: take the number of noises."] = total - math.log(size)
    for epsilon in EPSILONS:
        hint = f"The weights underflow to 0 here, and {epsilon:.0e} is left: use torch.logsumexp."
        bounds[hint] = (log_w.exp().mean(0) + epsilon).log()
    of_pixels, nothing = losses.wrong_nlls(logits, x), torch.zeros_like(log_w)
    both = f"{losses.INFINITE} Or is exp taken of the log-weights, which gives 0?"
    of_pixels[both] = of_pixels.pop(losses.INFINITE)
    likelihoods = {  # in place of log p(x|z)
        "The weight lacks p(x|z).": nothing,
        "p(x|z) divides the weight; it must multiply it.": -likelihood,
        "log p(x|z) is a mean over pixels: sum over them.": likelihood / 784,
        "log p(x|z) is summed over the batch: each image has its own.": likelihood.sum(1, keepdim=True),
        "log p(x|z) is averaged over pixels and images: it is a sum over the pixels of each image.": (
            likelihood.mean(1, keepdim=True) / 784
        ),
        "log p(x|z) is averaged over the batch: each image has its own.": likelihood.mean(1, keepdim=True),
        "p(x|z) is taken at mu: decode z.": log_p(mu[None]),
        "Images and samples are mixed up where rows of all are cut apart.": likelihood.reshape(n, k).T,
        "Samples and images are mixed up: the codes of one image are compared with another.": (
            -losses.nll(logits, x[mixed]).sum((2, 3, 4))
        ),
        **{hint: -wrong.sum((2, 3, 4)) for hint, wrong in of_pixels.items()},
    }
    priors = {  # in place of log p(z)
        "The weight lacks the prior p(z).": nothing,
        "The prior divides the weight; it must multiply it.": -prior,
        "log p(z) is summed over the batch: each image has its own.": prior.sum(1, keepdim=True),
        "The prior is taken at mu: take it at z.": log_of(p, mu),
        "The prior is taken at the noise: take it at z.": log_of(p, eps),
        "The prior is that of logvar = 1: log 1 = 0 is that of N(0, 1).": log_of(Normal(0.0, math.exp(0.5))),
        "The prior has the mean of q(z|x): it is N(0, 1).": log_of(Normal(mu, 1.0)),
        "The prior has the sigma of q(z|x): it is N(0, 1).": log_of(Normal(0.0, sigma)),
    }
    densities = {  # in place of log q(z|x)
        "The weight lacks q(z|x): divide by it.": nothing,
        "q(z|x) multiplies the weight; it must divide it.": -own,
        "log q(z|x) is summed over the batch: each image has its own.": own.sum(1, keepdim=True),
        "q(z|x) is taken at the noise: take it at z.": log_of(q, eps),
        "The density of q(z|x) is given sigma: it takes logvar.": log_of(posterior(mu, sigma)),
        "mu and logvar have changed places in q(z|x).": log_of(swapped),
        "q(z|x) is taken at mu: take it at z.": log_of(q, mu),
        "The logvar of q(z|x) is halved in its density.": log_of(posterior(mu, logvar / 2)),
        "The density of q(z|x) takes exp(logvar) for its sigma.": log_of(posterior(mu, 2 * logvar)),
        "The density of q(z|x) lacks its mean.": log_of(Normal(0.0, sigma)),
        "The density of q(z|x) lacks its sigma.": log_of(Normal(mu, 1.0)),
        "The density of q(z|x) lacks its normalisation, - logvar / 2.": own + logvar.sum(-1) / 2,
        "In the density of q(z|x) the square is not divided by sigma^2.": (
            own - ((z - mu) ** 2 - eps**2).sum(-1) / 2
        ),
    }
    log_weights = {
        "The weight is p(x|z) alone; z was drawn from q(z|x), not from the prior.": likelihood,
        "The prior divides and q(z|x) multiplies: it is the other way round.": likelihood - prior + own,
        "log p(z) and log q(z|x) are means over dimensions: sum.": likelihood + (prior - own) / d,
        "The noises pile up in mu: leave it as it is.": log_p(piled) + log_of(p, piled) - log_of(q, mu),
        "Samples and images are mixed up: the flat log-weights run sample by sample.": log_w.reshape(n, k).T,
        "Samples and images are mixed up: q of one image meets the noise of another.": (
            log_p(crossed) + log_of(p, crossed) - log_of(posterior(mu[mixed], logvar[mixed]), crossed)
        ),
        "The KL takes the place of log p(z) - log q(z|x).": likelihood - kls(mu, logvar).sum(1),
        **{hint: wrong + prior - own for hint, wrong in likelihoods.items()},
        **{hint: likelihood + wrong - own for hint, wrong in priors.items()},
        **{hint: likelihood + prior - wrong for hint, wrong in densities.items()},
    }
    samples = {
        "The noise is missing: this is mu itself.": mu.expand(eps.shape),
        "The noise is subtracted; it should be added.": mu - sigma * eps,
        "The noises pile up: each sample starts from the same mu.": piled,
        "All images share one noise: eps has some for each.": mu + sigma * eps[:, :1],
        "Samples and images are mixed up: the noise of one image goes to another.": (
            mu + sigma * eps.reshape(n, k, d).transpose(0, 1)
        ),
    }
    exchanged = {"mu and logvar have changed places in z.": (swapped.mean, swapped.stddev)}
    for hint, (centre, spread) in (noise.samplers(mu, logvar) | exchanged).items():
        samples[hint] = drawn = centre + spread * eps
        both = f"{hint} The density of q(z|x) has that as well." * bool(hint)
        log_weights[both] = log_p(drawn) + log_of(p, drawn) - log_of(Normal(centre, spread.abs()), drawn)
    for hint, drawn in samples.items():
        log_weights[hint] = log_p(drawn) + log_of(p, drawn) - log_of(q, drawn)
    yield {hint: bound(wrong) for hint, wrong in log_weights.items()} | bounds


EXERCISES = (
    Exercise("3.1", "MyVAE", 3, judge_my_vae, ("models.VAE",)),
    Exercise("3.2", "vae_loss", 3, judge_vae_loss, ("objectives.negative_elbo",)),
    Exercise("3.3", "vae_train_step", 2, judge_vae_train_step),
    Exercise("3.4", "test_elbo", 3, judge_test_elbo, ("evaluation.test_elbo",)),
    Exercise(
        "3.5",
        "estimate_log_likelihood",
        3,
        judge_estimate_log_likelihood,
        ("evaluation.log_likelihood", "objectives.log_weights"),
    ),
    prediction(
        "3.6",
        "predict_wide",
        probes.WIDE_OFFERED,
        "A dimension is paid for only while it saves more in the reconstruction than it costs. How "
        "much there is to say at that price depends on the images, not on the room for it.",
        "Where 20 dimensions leave some idle, 30 more find nothing worth saying, and one on its way "
        "out costs little. Early on many still share the work.",
        "Idle dimensions cost nothing once they match the prior, and save nothing. What differs "
        "comes from the noise they bring before that, which slows training, and from the seed.",
    ),
)
