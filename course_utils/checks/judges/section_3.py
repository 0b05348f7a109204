"""Section 3: the VAE, its loss, its training step, its test ELBO and its log-likelihood.

Oracles: matrix products in NumPy for the network, whose weights the judge knows (see `layers`);
torch.distributions in float64 for the rest, and autograd on it for the training step. The tiny linear VAE
handed to the other answers notes the codes z that it decodes. Given those, even an answer that draws its
own noise has exact values, and only the noise itself is left to statistics (`_sampled`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from course_utils.checks.judges import gradients, layers, losses
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
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import (
    Evidence,
    as_array,
)
from course_utils.checks.probes.section_3 import (
    HEADS,
    NOISY,
    WIDE_OFFERED,
    Linear,
    head,
    images,
    likelihood_inputs,
    looks,
    test_set,
    training,
    vae_loss_looks,
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


# The activations after the two hidden layers, of encoder and decoder alike.
INSIDE = layers.activations(
    "Nothing stands between the linear layers: put a ReLU after each hidden one.",
    "There is no ReLU after the first layer.",
    "There is no ReLU after the second layer.",
)
AT_THE_END = {"": layers.same} | layers.BENDS | {"an exp(... / 2)": lambda y: np.exp(y / 2)}
RIGHT_PAIRS = {("mu", "logvar"), ("first", "second"), ("low", "high"), ("even", "odd")}


def _hidden(x: np.ndarray, seed: int, sizes: tuple[int, int]) -> dict[str, np.ndarray]:
    """Two hidden layers with the activations of INSIDE."""
    first = layers.affine(x, seed, sizes[0])
    return {hint: g(layers.affine(f(first), seed, sizes[1])) for hint, f, g in INSIDE}


def _encoded(x: np.ndarray, seed: int, latent_dim: int) -> dict[tuple[str, str, str], np.ndarray]:
    """What a head may answer, by the hint for what stands before it, its name, and what stands at its end."""
    hidden = _hidden(x.reshape(-1, 784), seed, (512, 256))
    turned = _hidden(x.swapaxes(2, 3).reshape(-1, 784), seed, (512, 256))
    hidden["Rows and columns of the image are swapped."] = turned[""]
    outputs: dict[tuple[str, str, str], np.ndarray] = {}
    for hint, units in hidden.items():
        joint = layers.affine(units, seed, 2 * latent_dim)  # a layer for both, cut in halves or alternating
        heads = {"low": joint[:, :latent_dim], "high": joint[:, latent_dim:]}
        heads |= {
            "even": joint[:, ::2],
            "odd": joint[:, 1::2],
            "only": layers.affine(units, seed, latent_dim),
        }
        for name in HEADS:
            numbers = head(seed, name, latent_dim)
            heads[name] = units @ numbers[:, :256].T + numbers[:, 256]
        for name, y in heads.items():
            outputs.update({(hint, name, end): f(y) for end, f in AT_THE_END.items()})
    return outputs


def _decoded(z: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Logits, the right ones under '', likely wrong ones under their hints."""
    flat = {hint: layers.affine(units, seed, 784) for hint, units in _hidden(z, seed, (256, 512)).items()}
    logits = {hint: y.reshape(-1, 1, 28, 28) for hint, y in flat.items()}
    right = logits[""]
    for end, f in AT_THE_END.items():
        logits.setdefault(f"There is {end} at the end: logits may be any real numbers.", f(right))
    logits["The numbers are right but no images: give them the shape (N, 1, 28, 28)."] = flat[""]
    logits["The channel is missing: the shape is (N, 1, 28, 28)."] = right[:, 0]
    logits["Rows and columns of the image are swapped."] = right.swapaxes(2, 3)
    return logits


def _origins(seed: int, evidence: Evidence, prefix: str) -> tuple[Any, Any, Any]:
    """How mu, logvar and logits came about; None where no known mistake explains them."""
    x, z = (as_array(t).astype(np.float64) for t in looks(seed)[prefix])
    encoded, decoded = _encoded(x, seed, z.shape[1]), _decoded(z, seed)
    candidates = (("mu", encoded), ("logvar", encoded), ("logits", decoded))
    mu, logvar, logits = (diagnosis(evidence, prefix + key, outputs) for key, outputs in candidates)
    return mu, logvar, logits


def judge_my_vae(seed: int, evidence: Evidence) -> list[Finding]:
    mu, logvar, logits = _origins(seed, evidence, "")
    single = dict(zip(("mu", "logvar", "logits"), _origins(seed, evidence, "single "), strict=True))
    hints = [origin[0] for origin in (mu, logvar) if origin] or [_unknown(seed, evidence, "", "mu")]
    unclear = (_unknown(seed, evidence, "single ", key) for key, origin in single.items() if origin is None)
    decoder = _unknown(seed, evidence, "", "logits") if logits is None else logits
    sizes = "decode gives logits (N, 1, 28, 28) through latent_dim-256-512-784, ReLU inside"
    detached = "No gradient comes back: is something detached, or computed under no_grad?"
    return [
        unless("the encoder is 784-512-256 with a ReLU after each layer", 0.75, max(hints)),
        unless(
            "a linear layer each leads on to mu and logvar", 0.75, _heads_hint(seed, evidence, mu, logvar)
        ),
        unless(sizes, 0.75, decoder),
        unless("one image and one latent dimension work too", 0.5, next(unclear, "")),
        is_fact(evidence, "gradients", seed, "gradients flow back through both", 0.25, detached),
    ]


def _heads_hint(seed: int, evidence: Evidence, mu: Any, logvar: Any) -> str:
    """What is wrong with the two heads, whatever stands before them; '' where nothing is."""
    for key, origin in (("mu", mu), ("logvar", logvar)):
        if origin is None:
            return _unknown(seed, evidence, "", key)
        if origin[2]:
            return f"There is {origin[2]} on {key}: a head ends without an activation."
    pair = mu[1], logvar[1]
    if pair[0] == pair[1]:
        return "mu and logvar are the same numbers: they need a layer each."
    if pair == ("logvar", "mu"):
        return "mu and logvar have changed places: `encode` returns mu first."
    return "" if {pair, pair[::-1]} & RIGHT_PAIRS else "mu and logvar mix the outputs of two heads."


def _unknown(seed: int, evidence: Evidence, prefix: str, key: str) -> str:
    """What can be said of an output that no known mistake explains."""
    problem = problem_with(evidence, prefix + key) or problem_with(evidence, f"{prefix}layers")
    if problem:
        return problem
    n, d = looks(seed)[prefix][1].shape
    shape, found = (n, 1, 28, 28) if key == "logits" else (n, d), evidence[prefix + key].shape
    if found != shape:
        return f"{key} has shape {found}; expected {shape}."
    rest = [(784, 512), (512, 256), (d, 256), (256, 512), (512, 784)]
    wanted = [[*rest, *heads] for heads in ([(256, d)] * 2, [(256, 2 * d)])]
    other = layers.other_linear(evidence, f"{prefix}layers", wanted, f"latent_dim = {d}")
    return other or f"The layers have the right sizes, but {key} does not come from them and ReLU alone."


# --- 3.2 vae_loss -----------------------------------------------------------------------------------


def judge_vae_loss(seed: int, evidence: Evidence) -> list[Finding]:
    looks = vae_loss_looks(seed)
    findings = Table.of(looks, _three, losses.sizes).judge(
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
    Exercise("3.1", "MyVAE", 3, judge_my_vae, ("models.VAE",)),
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
