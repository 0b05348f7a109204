"""Section 3: the VAE, its loss, its training step, its test ELBO and its log-likelihood.

Oracles: matrix products in NumPy for the network, whose weights the judge knows (see `layers`);
torch.distributions in float64 for the rest, and autograd on it for the training step. The tiny linear VAE
handed to the other answers notes the codes z that it decodes. Given those, even an answer that draws its
own noise has exact values, and only the noise itself is left to statistics (`_sampled`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from course_utils.checks.judges import gradients, layers
from course_utils.checks.judges.core import (
    Exercise,
    Finding,
    diagnosis,
    expect,
    is_fact,
    problem_with,
    unless,
)
from course_utils.checks.judges.gaussians import kls, posterior, standard_normal
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import (
    Evidence,
    as_array,
)
from course_utils.checks.probes.section_3 import (
    NOISY,
    WIDE_OFFERED,
    Linear,
    images,
    likelihood_inputs,
    loss_inputs,
    test_set,
    training,
    vaes,
)

# --- shared by the exercises ------------------------------------------------------------------------


def _terms(model: Linear, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """-log p(x|z) and KL(q(z|x) || p(z)), nats per image, each (N,)."""
    nll = -Bernoulli(logits=model.decode(z.double())).log_prob(x).sum((1, 2, 3))
    return nll, kls(*model.encode(x)).sum(1)


def _samplers(mu: Tensor, logvar: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Centre and spread of a sample: the right ones under '', likely wrong ones under their hints."""
    sigma, zero, one = (logvar / 2).exp(), torch.zeros_like(mu), torch.ones_like(mu)
    return {
        "": (mu, sigma),
        "Your sigma looks like exp(logvar); it should be exp(logvar / 2).": (mu, logvar.exp()),
        "z is drawn from the prior: draw it from q(z|x).": (zero, one),
        "The mean is missing: z = mu + sigma * eps.": (zero, sigma),
        "sigma is missing: this is mu + eps.": (mu, one),
        "Your sigma looks like logvar itself; take exp(logvar / 2).": (mu, logvar),
    }


def _codes_problem(evidence: Evidence, key: str, x: Tensor) -> str:
    """Why the codes under `key` cannot be those of the images x, or ''."""
    found = 0 if problem_with(evidence, key) else len(evidence[key])
    few = f"`decode` gets {found} codes for {len(x)} images." if found < len(x) else ""
    return problem_with(evidence, key) or few


def _sampled(model: Linear, x: Tensor, evidence: Evidence, keys: tuple[str, str], weight: float) -> Finding:
    """The codes of two calls on the same images are fresh samples of q(z|x).

    (z - mu) / sigma is held to be standard normal over at least 900 numbers: a right answer fails with
    probability below 10^-6. A wrong sigma of `_samplers` misses by more than 12 standard errors; it is named
    by what then is standard normal.
    """
    claim = "z = mu + sigma * eps, with standard normal eps, new for every image, dimension and call"
    problem = problem_with(evidence, keys[0]) or problem_with(evidence, keys[1])
    if problem:
        return unless(claim, weight, problem)
    n = min(len(x), *(len(evidence[key]) for key in keys))  # less only where an answer leaves images out
    if n < 20:
        return unless(claim, weight, f"`decode` gets {n} codes for {len(x)} images.")
    mu, logvar = (t.detach() for t in model.encode(x[:n]))
    z = torch.as_tensor(np.stack([evidence[key][:n] for key in keys]))
    noises = {hint: (z - centre) / spread for hint, (centre, spread) in _samplers(mu, logvar).items()}
    right = noises[""]
    shown = f"(z - mu) / sigma has mean {right.mean():.2f} and std {right.std():.2f}: it is no normal noise."
    named = next((hint for hint, noise in noises.items() if standard_normal(noise)), shown)
    return unless(claim, weight, _pattern(right) or named)


def _pattern(noise: Tensor) -> str:
    """What noise (2, N, d) of two calls shows at a glance, or ''."""
    if noise.abs().max() < 1e-3:
        return "No noise is drawn: z is mu itself."
    if (noise[0] - noise[1]).abs().max() < 1e-3:
        return "Every call draws the same noise: do not set the seed."
    if noise.std(2).max() < 1e-3:
        return "All dimensions share one noise: draw it in the shape of mu."
    if _apart(noise[0], noise[0]).fill_diagonal_(1).min() < 1e-3:  # never by chance
        return "Several images get the same noise: draw it in the shape of mu."
    if noise.min() > -1e-3 and noise.max() < 1 + 1e-3:
        return "The noise lies in [0, 1]: use torch.randn, not torch.rand."
    return ""


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """The largest difference between each row of a and each row of b: (len(a), len(b))."""
    return (a[:, None] - b).abs().amax(2)


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
    x_logits, x, mu, logvar = (t.double() for t in loss_inputs(seed))
    pixels, latents = _loss_terms(x_logits, x, mu, logvar)
    n, d = mu.shape
    p, r, k = x_logits.sigmoid(), pixels.sum() / n, latents.sum() / n
    turned = kl_divergence(Normal(0.0, 1.0), posterior(mu, logvar))
    clamped = F.binary_cross_entropy(x_logits.clamp(0, 1), x, reduction="sum")
    reconstructions = {
        "The reconstruction is a sum over the batch: divide by the number of images.": n * r,
        "The reconstruction is divided by 128: divide by the number of images that come in.": n * r / 128,
        "The reconstruction is a mean over pixels: sum over the 784 pixels.": r / 784,
        "The reconstruction is one value per image: average over the batch.": pixels.sum((1, 2, 3)),
        "The reconstruction has the wrong sign: it is minus the log-likelihood.": -r,
        "A sigmoid stands before a loss that has its own: hand it logits.": (F.softplus(p) - x * p).sum() / n,
        "The logits are treated as probabilities: use the loss 'with logits'.": clamped / n,
        "Logits and images have changed places.": (F.softplus(x) - x * x_logits).sum() / n,
        "Only white pixels count: a black one costs -log(1 - p).": (x * pixels).sum() / n,
        "This is the squared error: take the cross-entropy.": (p - x).square().sum() / n,
        "This is the mean squared error: take the cross-entropy.": (p - x).square().mean(),
        "Reconstruction and KL have changed places.": k,
    }  # fmt: skip
    divergences = {
        "The KL is a sum over the batch: divide by the number of images.": n * k,
        "The KL is divided by 128: divide by the number of images that come in.": n * k / 128,
        "The KL is a mean over latent dimensions: sum over them.": k / d,
        "The KL is one value per image: average over the batch.": latents.sum(1),
        "The KL lacks its 1/2.": 2 * k,
        "The KL has the wrong sign.": -k,
        "The KL lacks its -1: KL of N(0, I) to itself must be 0.": k + d / 2,
        "The two distributions of the KL are swapped.": turned.sum() / n,
        "The KL reads logvar as log sigma; it is log sigma^2.": kls(mu, 2 * logvar).sum() / n,
        "Reconstruction and KL have changed places.": r,
    }  # fmt: skip
    # The sum is held to the answer's own terms where those are understood.
    own_r = reconstructions.get(diagnosis(evidence, "reconstruction", reconstructions), r)
    own_k = divergences.get(diagnosis(evidence, "kl", divergences), k)
    total = r + k if diagnosis(evidence, "loss", {"right": r + k}) else own_r + own_k
    totals = {
        "The loss subtracts the KL; the ELBO does, its negative adds it.": own_r - own_k,
        "This is the ELBO: the loss is minus that.": -own_r - own_k,
        "This is the reconstruction: the loss comes first, then reconstruction and KL.": r,
        "This is the KL: the loss comes first, then reconstruction and KL.": k,
    }
    in_nats = "the reconstruction is in nats per image"
    r1, k1 = (term.sum() for term in _loss_terms(*(t.double() for t in loss_inputs(seed, single=True))))
    single = "a single image and latent dimension work too, and the inputs stay as they were"
    return [
        expect(evidence, "reconstruction", r, in_nats, 0.75, reconstructions),
        expect(evidence, "kl", k, "the KL is in nats per image", 0.75, divergences),
        expect(evidence, "loss", total, "the loss is the sum of the two", 0.5, totals),
        expect(evidence, "single", torch.stack([r1 + k1, r1, k1]), single, 0.5),
        gradients.reach(evidence, *loss_inputs(seed)),
    ]  # fmt: skip


def _loss_terms(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """-log p(x|z) per pixel and the KL per latent dimension, nats."""
    return -Bernoulli(logits=x_logits).log_prob(x), kls(mu, logvar)


# --- 3.3 vae_train_step -----------------------------------------------------------------------------


def _losses(model: Linear, x: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """The right loss under '' and likely wrong ones under their hints, for the codes that were decoded.

    Each sampler explains the codes by noise of its own, so that gradients take its way through mu and sigma.
    """
    n, d = len(x), model.to_mu.shape[1]
    mu, logvar = model.encode(x)
    losses = {}
    for hint, (centre, spread) in _samplers(mu, logvar).items():
        nll, kl = (t.mean() for t in _terms(model, x, centre + spread * ((codes - centre) / spread).detach()))
        if spread.requires_grad:
            losses[hint] = nll + kl
    detached, only_mu = (_terms(model, x, z)[0].mean() for z in (codes, mu + (codes - mu).detach()))
    nll = losses[""] - kl
    return losses | {
        "The loss is summed over the batch: average over images.": n * (nll + kl),
        "The reconstruction is summed over the batch, the KL is not.": n * nll + kl,
        "The KL is summed over the batch, the reconstruction is not.": nll + n * kl,
        "The reconstruction is a mean over pixels: sum over them.": nll / 784 + kl,
        "The KL is a mean over latent dimensions: sum over them.": nll + kl / d,
        "Both terms are means within an image: sum over pixels and over dimensions.": nll / 784 + kl / d,
        "The KL term is missing.": nll,
        "The reconstruction is missing.": kl,
        "The KL lacks its 1/2.": nll + 2 * kl,
        "The KL has the wrong sign.": nll - kl,
        "The step goes uphill: check the sign of the loss.": -nll - kl,
        "No gradient flows through z: do not detach it.": detached + kl,
        "Through z only mu gets a gradient: do not detach sigma.": only_mu + kl,
    }


def _steps(model: Linear, x: Tensor, codes: np.ndarray, rate: float) -> dict[str, tuple[float, np.ndarray]]:
    """The losses of `_losses` as numbers, each with its step down the gradient of all weights."""
    steps = {}
    for hint, loss in _losses(model, x.double(), torch.as_tensor(codes[: len(x)])).items():
        gradient = torch.autograd.grad(loss, [*model.parameters()], retain_graph=True, materialize_grads=True)
        steps[hint] = (loss.item(), as_array(-rate * parameters_to_vector(gradient)))
    return steps


def judge_vae_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    model, (x, _), rate = training(seed)
    problem = _codes_problem(evidence, "z0", x) or problem_with(evidence, "move0")
    claims = (
        ("the weights move by one step of the optimizer, down the gradient of the loss", 0.5),
        ("the next step starts from cleared gradients", 0.5),
        ("it returns the loss before the step, in nats per image, as a number", 0.25),
    )
    if problem:
        findings = [unless(*claim, problem) for claim in claims]
    else:
        steps = _steps(model, x, evidence["z0"], rate)
        losses = {hint: loss for hint, (loss, _) in steps.items() if hint}
        again = evidence["z0"][len(x) :]
        if len(again) == len(x):
            after = _steps(_moved(seed, evidence["move0"]), x, again, rate)[""][0]
            losses["This is the loss after the step: return the one that the step came from."] = after
        findings = [
            unless(*claims[0], _move_hint(evidence["move0"], steps)),
            unless(*claims[1], _cleared_hint(seed, evidence, steps)),
            expect(evidence, "loss0", steps[""][0], *claims[2], losses),
        ]
    noisy = Linear(seed, NOISY[1]), images(seed, NOISY[0]).double()
    judging = "It is in evaluation mode."
    return [
        *findings,
        _sampled(*noisy, evidence, ("noise0", "noise1"), 0.5),
        is_fact(evidence, "training", seed, "the model stays in training mode", 0.25, judging),
    ]


def _moved(seed: int, move: np.ndarray) -> Linear:
    """The model once its weights have moved."""
    model = training(seed)[0]
    start = parameters_to_vector(model.parameters()).detach()
    vector_to_parameters(start + torch.as_tensor(move), model.parameters())
    return model


def _move_hint(move: np.ndarray, steps: dict[str, tuple[float, np.ndarray]]) -> str:
    """'' where the weights moved by the right step."""
    known = next((hint for hint, (_, step) in steps.items() if gradients.alike(move, step)), None)
    if known is not None:
        return known
    if not move.any():
        return gradients.NOT_MOVED
    right = steps[""][1]
    largest = np.abs(move) > 0.99 * np.abs(move).max()
    if (largest == (right != 0)).mean() > 0.95:  # as in the first step of Adam
        return "The step is not that of the optimizer handed in: do not make a new one."
    if gradients.alike(move, right * (move @ right) / (right @ right)):
        return "The direction is right, the length is not: one step, of the optimizer handed in."
    return "This is not the step down the gradient of the loss."


def _cleared_hint(seed: int, evidence: Evidence, steps: dict[str, tuple[float, np.ndarray]]) -> str:
    """'' where the second step follows the second batch alone, by whichever loss the first step used."""
    _, (_, x), rate = training(seed)
    problem = _codes_problem(evidence, "z1", x) or problem_with(evidence, "move1")
    if problem:  # torch complains where weights change between the loss and its backward
        return "`step` comes before `backward`." if "inplace operation" in problem else problem
    first, second = evidence["move0"], evidence["move1"]
    if gradients.alike(second, steps[""][1]):
        return "The second step follows the first batch: `step` comes before `backward`."
    hint, step = next(
        ((hint, step) for hint, (_, step) in steps.items() if gradients.alike(first, step)), ("", first)
    )
    after = _steps(_moved(seed, first), x, evidence["z1"], rate)[hint][1]
    return gradients.cleared(second, [(step, after)])


# --- 3.4 test_elbo ----------------------------------------------------------------------------------


def judge_test_elbo(seed: int, evidence: Evidence) -> list[Finding]:
    model, (images, batch_size) = Linear(seed, 6), test_set(seed)
    x = images.double()
    whole = _estimate(evidence, "whole ", model, x, batch_size)
    many = "More images go through at once: split them."
    training = "It is in training mode: call model.eval() first."
    kept = "Each step is kept for backward: use torch.no_grad()."
    return [
        *_estimate(evidence, "", model, x, batch_size),
        unless("one batch of all images works too", 0.25, max(finding.hint for finding in whole)),
        _sampled(model, x, evidence, ("z", "whole z"), 0.5),
        is_fact(evidence, "batches", seed, "at most batch_size images at a time", 0.25, many),
        is_fact(evidence, "evaluation", seed, "the model is in evaluation mode", 0.5, training),
        is_fact(evidence, "no gradients", seed, "no gradients are kept", 0.25, kept),
    ]


def _estimate(
    evidence: Evidence, prefix: str, model: Linear, x: Tensor, batch_size: int
) -> tuple[Finding, Finding]:
    """Mean and standard error, given the codes that were decoded."""
    claims = ("the mean is that of the ELBO over all images", 0.75), ("the standard error is that of it", 0.5)
    z, mean, error = f"{prefix}z", f"{prefix}mean", f"{prefix}error"
    n, d = len(x), model.to_mu.shape[1]
    first = "Only the first batch counts: is the return inside the loop?"
    no_last = "The last, smaller batch is left out."
    problem = problem_with(evidence, mean) or _codes_problem(evidence, z, x)
    if problem:
        found = 0 if problem_with(evidence, z) else len(evidence[z])
        problem = {batch_size: first, n - n % batch_size: no_last}.get(found, problem)
        return unless(*claims[0], problem), unless(*claims[1], problem)
    nll, kl = (term.detach() for term in _terms(model, x, torch.as_tensor(evidence[z][:n])))
    elbo = -nll - kl
    values = {
        "This is the loss, -ELBO: the ELBO itself is asked for.": -elbo,
        "The KL term is missing.": -nll,
        "The KL is added; the ELBO subtracts it.": kl - nll,
        "log p(x|z) is a mean over pixels: sum over them.": -nll / 784 - kl,
        "The KL is a mean over latent dimensions: sum over them.": -nll - kl / d,
    }
    batches = torch.stack([part.mean() for part in elbo.split(batch_size)])
    means = {hint: value.mean() for hint, value in values.items()} | {
        "The mean of the batches' means: the last batch is smaller and must weigh less.": batches.mean(),
        first: batches[0],
        "Only the last batch counts: collect the values of all of them.": batches[-1],
        no_last: elbo[: n - n % batch_size].mean(),
        "This is the sum over images: take their mean.": elbo.sum(),
        "This is the sum of the batches' means: take the mean over images.": batches.sum(),
    }
    # The error is held to the answer's own values where those are understood; a standard deviation that
    # divides by N will do as well.
    value = values.get(diagnosis(evidence, mean, means), elbo)
    std, by_n = value.std(), value.std(correction=0) / n**0.5
    errors = {
        "That is the standard deviation; the standard error is smaller by sqrt(N).": std,
        "The standard error divides by sqrt(N), not by N.": std / n,
        "That is the variance over sqrt(N): take the standard deviation.": std**2 / n**0.5,
        "N is the number of images, not the size of a batch.": std / batch_size**0.5,
        "N is the number of images, not of batches.": std / len(batches) ** 0.5,
        "This is the spread of the batches' means: take that of all images.": batches.std(),
        "This is an error over batches: it is one over images.": batches.std() / len(batches) ** 0.5,
        first: elbo[:batch_size].std() / batch_size**0.5,
    }
    right = by_n if diagnosis(evidence, error, {"by N": by_n}) else std / n**0.5
    return (
        expect(evidence, mean, elbo.mean(), *claims[0], means, tolerance=1e-5),
        expect(evidence, error, right, *claims[1], errors, tolerance=1e-3),
    )


# --- 3.5 estimate_log_likelihood --------------------------------------------------------------------


def _weight_terms(seed: int, single: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x|z), log p(z) and log q(z|x), each (K, N)."""
    model, x, eps = likelihood_inputs(seed, single)
    mu, logvar = (t.detach() for t in model.encode(x.double()))
    q = posterior(mu, logvar)
    z = mu + q.stddev * eps
    likelihood = torch.stack([-_terms(model, x.double(), row)[0].detach() for row in z])
    return likelihood, Normal(0.0, 1.0).log_prob(z).sum(2), q.log_prob(z).sum(2)


def judge_estimate_log_likelihood(seed: int, evidence: Evidence) -> list[Finding]:
    likelihood, prior, q = _weight_terms(seed)
    log_w = likelihood + prior - q
    k, n = log_w.shape
    total, softmax = torch.logsumexp(log_w, 0), log_w.softmax(0) * log_w

    def bound(log_w: Tensor) -> Tensor:
        return torch.logsumexp(log_w, 0) - math.log(k)

    mistakes = {
        "The - log K is missing.": total,
        "K is the number of samples, not the number of images.": total - math.log(n),
        "K is the number of samples, not of latent dimensions.": total - math.log(2),
        "log K is added; it must be subtracted.": total + math.log(k),
        "This is the mean of the log-weights, the ELBO: average the weights first.": log_w.mean(0),
        "This is the sum of the log-weights: average the weights first.": log_w.sum(0),
        "The log-weights are weighted by their softmax: average exp(log_w).": softmax.sum(0),
        "This is the largest weight alone: average all of them.": log_w.amax(0),
        "exp(log_w) underflows to 0 here: use torch.logsumexp.": torch.full((n,), -torch.inf),
        "The axes are swapped: average over samples.": torch.logsumexp(log_w, 1) - math.log(n),
        "The weight lacks the prior p(z).": bound(likelihood - q),
        "The weight lacks q(z|x): divide by it.": bound(likelihood + prior),
        "The weight is p(x|z) alone; z was drawn from q(z|x), not from the prior.": bound(likelihood),
        "q(z|x) multiplies the weight; it must divide it.": bound(likelihood + prior + q),
        "The prior divides the weight; it must multiply it.": bound(likelihood - prior - q),
        "p(x|z) divides the weight; it must multiply it.": bound(prior - likelihood - q),
        "log p(x|z) is a mean over pixels: sum over them.": bound(likelihood / 784 + prior - q),
        "log p(z) and log q(z|x) are means over dimensions: sum.": bound(likelihood + (prior - q) / 2),
        "The log of a mean is the log of the sum minus log K, not a K-th of it.": total / k,
        "This is the negative log-likelihood: return log p(x) itself.": -bound(log_w),
        "Averaged over images: return one value per image.": bound(log_w).mean(),
        "Summed over images: return one value per image.": bound(log_w).sum(),
        "One value per sample and image: average the weights over samples.": log_w,
    }  # fmt: skip
    likelihood1, prior1, q1 = _weight_terms(seed, single=True)
    claim = "it is the log of the mean weight p(x|z) p(z) / q(z|x), per image"
    single = "one image and one sample work too, and the inputs stay as they were"
    return [
        expect(evidence, "bound", bound(log_w), claim, 2, mistakes, tolerance=1e-5),
        unless("every z is mu + sigma * eps with the noise handed in", 0.5, _noise_hint(seed, evidence)),
        expect(evidence, "single", (likelihood1 + prior1 - q1)[0], single, 0.5),
    ]


def _noise_hint(seed: int, evidence: Evidence) -> str:
    """What is wrong with the codes that were decoded, in whatever order; '' where nothing is."""
    model, x, eps = likelihood_inputs(seed)
    mu, logvar = (t.detach() for t in model.encode(x.double()))
    samples = {hint: c + s * eps for hint, (c, s) in _samplers(mu, logvar).items()} | {
        "The noise is missing: this is mu itself.": mu.expand(eps.shape),
        "The noise is subtracted; it should be added.": mu - (logvar / 2).exp() * eps,
    }
    if problem_with(evidence, "z"):
        return problem_with(evidence, "z")
    found = torch.as_tensor(evidence["z"]).double()
    if found.shape != (eps.shape[0] * eps.shape[1], 2):
        return f"`decode` gets {len(found)} codes for {eps.shape[0]} times {eps.shape[1]} noises."
    for hint, z in samples.items():
        apart = _apart(found, z.reshape(-1, 2))
        if max(apart.amin(0).max(), apart.amin(1).max()) < 1e-4:
            return hint
    return "z does not come from the noise eps that is handed in: draw none of your own."


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
