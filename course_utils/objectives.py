r"""What the models are trained for: the evidence lower bound and its parts.

For one image x, a decoder p(x|z), the prior p(z) = N(0, I) and q(z|x) = N(mu, diag(sigma^2)):

    log p(x) = ELBO + KL(q(z|x) || p(z|x)),    ELBO = E_q[log p(x|z)] - KL(q(z|x) || p(z))

(Kingma & Welling 2014, arXiv:1312.6114; Burda et al. 2016, arXiv:1509.00519, for the bound with K samples;
Higgins et al. 2017 for beta.) Everything is in nats. A function that returns (N,) gives nats per image;
`Terms` are averaged over the batch and only there: sums over pixels and latent dimensions keep beta what it
is said to be (see `real_beta`).

Shapes: images x and logits (N, 1, 28, 28), mu, logvar and z (N, latent_dim). `condition` is what a
conditional model takes besides the image or the code: the labels (N,) of a CVAE, nothing for the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.models import Model


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag(exp(logvar))) || N(0, I)) of each dimension by itself: (N, latent_dim), nats."""
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


def reparameterize(mu: Tensor, logvar: Tensor, eps: Tensor | None = None) -> Tensor:
    """z = mu + sigma * eps, eps ~ N(0, I) unless given: a sample of q(z|x) that gradients pass through."""
    sigma = (0.5 * logvar).exp()
    if eps is None:
        eps = torch.randn_like(sigma)
    return mu + sigma * eps


def bernoulli_nll(x_logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z) for independent pixels, summed over pixels: nats per image, (N,).

    A likelihood for binary x. On grey x it is the cross-entropy that the textbooks use: a fine objective, but
    no normalised log-likelihood, and its floor is the pixels' entropy.
    """
    return F.binary_cross_entropy_with_logits(x_logits, x, reduction="none").flatten(1).sum(1)


def continuous_bernoulli_nll(x_logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z) for grey x, by the continuous Bernoulli: nats per image, (N,), often < 0."""
    return -ContinuousBernoulli(x_logits).log_prob(x).flatten(1).sum(1)


NEAR_ZERO = 0.25  # below, formulas with 0 / 0 at a logit of 0 give way to their series, in float32 as exact


@dataclass(frozen=True)
class ContinuousBernoulli:
    """The cross-entropy made a density of grey values x on [0, 1]: p(x) = C pi^x (1 - pi)^(1 - x).

    With the logit l of pi, C = l / tanh(l / 2), and the mean is not pi. (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845.) This holds for logits of any size and for their gradients. PyTorch's own class keeps pi
    above 1.2e-7, so its C stays behind beyond |l| = 16, where a trained decoder has most of its logits.
    """

    logits: Tensor

    def _halves(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where logits are near 0, those that are, and those that are not: a gradient goes through both."""
        near = self.logits.abs() < NEAR_ZERO
        return near, torch.where(near, self.logits, 0.0), torch.where(near, 1.0, self.logits)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) for each pixel, nats."""
        near, small, large = self._halves()
        series = math.log(2) + small**2 / 12 - 7 * small**4 / 1440 + 31 * small**6 / 90720
        log_constant = torch.where(near, series, (large / (large / 2).tanh()).log())
        logits, x = torch.broadcast_tensors(self.logits, x)
        return log_constant - F.binary_cross_entropy_with_logits(logits, x, reduction="none")

    @property
    def mean(self) -> Tensor:
        """1 / (1 - exp(-l)) - 1 / l for each logit."""
        near, small, large = self._halves()
        return torch.where(near, 0.5 + small / 12 - small**3 / 720, -1 / torch.expm1(-large) - 1 / large)

    def sample(self) -> Tensor:
        """A draw for each logit: a uniform number through the inverse of the distribution function."""
        uniform, steep = torch.rand_like(self.logits), -self.logits.abs().clamp(min=1e-4)
        falling = torch.log1p(uniform * torch.expm1(steep)) / steep
        return torch.where(self.logits < 0, falling, 1 - falling)


def gaussian_nll(x_mean: Tensor, x: Tensor, sigma: float | Tensor) -> Tensor:
    """-log N(x; x_mean, sigma^2 I) summed over pixels: nats per image, (N,); negative for small sigma."""
    log_sigma = sigma.log() if isinstance(sigma, Tensor) else math.log(sigma)
    squares = ((x - x_mean) / sigma).square()
    return (0.5 * (squares + math.log(2 * math.pi)) + log_sigma).flatten(1).sum(1)


class Terms(NamedTuple):
    """A loss and what it is made of: nats per image, averaged over the batch. Scalars."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


class Single(NamedTuple):
    """A loss of one term, averaged over the batch. Scalar."""

    loss: Tensor


def negative_elbo(
    model: Model,
    x: Tensor,
    *condition: Tensor,
    beta: float = 1.0,
    nll: Callable[[Tensor, Tensor], Tensor] = bernoulli_nll,
) -> Terms:
    """The VAE's loss with one sample of z per image: reconstruction + beta * KL.

    With beta = 1 it is an unbiased estimate of -ELBO; with any other it is the beta-VAE's objective.
    `nll(x_logits, x)` is the decoder's -log p(x|z), nats per image, (N,).
    """
    mu, logvar = model.encode(x, *condition)
    z = reparameterize(mu, logvar)
    x_logits = model.decode(z, *condition)

    reconstruction = nll(x_logits, x).mean()
    kl = gaussian_kl(mu, logvar).sum(1).mean()
    return Terms(reconstruction + beta * kl, reconstruction, kl)


def free_bits_elbo(model: Model, x: Tensor, *, nats: float) -> Terms:
    """-ELBO, but that in the loss every dimension costs at least `nats`: below, there is nothing to save.

    The floor applies to a dimension's mean over the batch, as in Kingma et al. 2016 (arXiv:1606.04934).
    """
    mu, logvar = model.encode(x)
    reconstruction = bernoulli_nll(model.decode(reparameterize(mu, logvar)), x).mean()
    kl = gaussian_kl(mu, logvar).mean(0)
    return Terms(reconstruction + kl.clamp(min=nats).sum(), reconstruction, kl.sum())


def mean_squared_error(model: Model, x: Tensor) -> Single:
    """The autoencoder's loss: the squared error of the logits' sigmoid, averaged over pixels and batch."""
    return Single(F.mse_loss(model(x).sigmoid(), x))


def gaussian_log_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, diag(exp(logvar))) summed over the last dimension, nats."""
    squares = (z - mu) ** 2 / logvar.exp()
    return -0.5 * (squares + logvar + math.log(2 * math.pi)).sum(-1)


def log_weights(model: Model, x: Tensor, samples: int, *condition: Tensor) -> Tensor:
    """log p(x|z_k) + log p(z_k) - log q(z_k|x) for draws z_k ~ q(z|x), of binary x: (samples, N), nats."""
    mu, logvar = model.encode(x, *condition)
    eps = torch.randn(samples, *mu.shape, dtype=mu.dtype, device=mu.device)
    return weighed(model, x, reparameterize(mu, logvar, eps), mu, logvar, *condition)


def weighed(model: Model, x: Tensor, z: Tensor, mu: Tensor, logvar: Tensor, *condition: Tensor) -> Tensor:
    """The log-weights (samples, N) of draws z (samples, N, latent_dim)."""
    samples = len(z)
    # One decoding of all samples: row k * N + n belongs to sample k of image n.
    x_logits = model.decode(z.flatten(0, 1), *(y.repeat(samples) for y in condition))
    x_repeated = x.expand(samples, *x.shape).flatten(0, 1)
    log_likelihood = -bernoulli_nll(x_logits, x_repeated).view(samples, len(x))

    zero = torch.zeros_like(mu)
    log_prior = gaussian_log_density(z, zero, zero)
    log_posterior = gaussian_log_density(z, mu, logvar)
    return log_likelihood + log_prior - log_posterior


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """log (1/K) sum_k w_k from log-weights (K, N), finite also where exp(log_w) is not: (N,), nats per image.

    A lower bound on log p(x) in expectation that rises with K; K = 1 is the ELBO's one-sample estimate.
    """
    return torch.logsumexp(log_w, dim=0) - math.log(log_w.shape[0])


def doubly_reparameterized(model: Model, x: Tensor, samples: int) -> Single:
    """Minus that bound, averaged over the batch, with a gradient that reaches the encoder with less noise.

    In log q(z_k|x) the encoder counts through z_k alone: the rest of its gradient is 0 on average ('sticking
    the landing', Roeder et al. 2017, arXiv:1703.09194). With several samples that holds where the gradient of
    z_k is multiplied once more by the share of w_k in their sum (Tucker et al. 2019, arXiv:1810.04152).
    """
    mu, logvar = model.encode(x)
    z = reparameterize(mu, logvar, torch.randn(samples, *mu.shape, dtype=mu.dtype, device=mu.device))
    log_w = weighed(model, x, z, mu.detach(), logvar.detach())
    if z.requires_grad:
        share = log_w.detach().softmax(0).unsqueeze(-1)
        z.register_hook(lambda gradient: share * gradient)
    return Single(-importance_weighted_bound(log_w).mean())


def real_beta(
    *,
    reconstruction: str = "sum",
    kl: str = "sum",
    pixels: int = 784,
    latent_dim: int = 20,
    sigma: float | None = None,
    beta: float = 1.0,
) -> float:
    """The beta that a loss as written really trains with, once both its terms are sums in nats.

    `reconstruction` and `kl` are 'sum' or 'mean', over pixels and over latent dimensions; `beta` is the
    factor written. `sigma` is None for cross-entropy; for squared error it is the standard deviation claimed
    for p(x|z), as SSE / (2 sigma^2) is the Gaussian's -log p(x|z) up to a constant.
    """
    for reduction in (reconstruction, kl):
        if reduction not in ("sum", "mean"):
            raise ValueError(f"a reduction is 'sum' or 'mean', not {reduction!r}")
    reconstruction_weight = 1.0 if reconstruction == "sum" else 1.0 / pixels
    kl_weight = 1.0 if kl == "sum" else 1.0 / latent_dim
    nats_per_unit = 1.0 if sigma is None else 1.0 / (2 * sigma**2)
    return beta * kl_weight / reconstruction_weight * nats_per_unit
