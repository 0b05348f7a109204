"""q(z|x) = N(mu, sigma^2) as judges know it: its KL to the prior, in float64, and when noise is normal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus


def posterior(mu: Tensor, logvar: Tensor) -> Normal:
    """q(z|x) in float64; logvar is log sigma^2."""
    return Normal(mu.double(), (logvar.double() / 2).exp())


def kls(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z|x) || p(z)) in nats, per image and latent dimension."""
    return kl_divergence(posterior(mu, logvar), Normal(0.0, 1.0))


def wrong_kls(mu: Tensor, logvar: Tensor) -> dict[str, Tensor]:
    """What mistakes in the formula would give instead."""
    mu, logvar, kl = mu.double(), logvar.double(), kls(mu, logvar)
    swapped = kl_divergence(Normal(0.0, 1.0), posterior(mu, logvar))
    terms = {"mu^2": mu**2, "sigma^2": logvar.exp(), "-1": -torch.ones_like(mu), "-log sigma^2": -logvar}
    weights = {"is missing": -1, "has the wrong sign": -2, "lacks the 1/2": 1, "is halved twice": -0.5}
    variances = {  # in place of exp(logvar)
        "The variance in the KL is exp(logvar); exp(logvar / 2) is sigma.": (logvar / 2).exp(),
        "The variance in the KL is exp(logvar), and not the square of logvar.": logvar**2,
        "The variance in the KL is exp(logvar); exp(2 logvar) is its square.": (2 * logvar).exp(),
        "Variance and logarithm cancel in the KL: is the exponential missing?": logvar,
    }
    readings = {  # in place of logvar
        "logvar is log sigma^2, but you seem to read it as log sigma.": 2 * logvar,
        "logvar is log sigma^2, but you seem to read it as -log sigma^2.": -logvar,
        "Your sigma looks like softplus(logvar); it should be exp(logvar / 2).": 2 * softplus(logvar).log(),
    }
    return {
        **{hint: kl + (variance - logvar.exp()) / 2 for hint, variance in variances.items()},
        "logvar is log sigma^2, but you seem to read it as sigma.": (
            (mu**2 + logvar**2 - 1) / 2 - logvar.abs().log()
        ),
        **{hint: kls(mu, reading) for hint, reading in readings.items()},
        "The KL is twice what it should be: is the 1/2 in front missing?": 2 * kl,
        "This is KL(p || q): the two distributions are swapped.": swapped,
        "The mean enters the KL squared, not as it is.": kl + 0.5 * (mu - mu**2),
        "The mean enters the KL squared, not as its size.": kl + 0.5 * (mu.abs() - mu**2),
        "The logarithm in the KL is that of sigma^2, which is logvar itself.": kl + logvar / 4,
        "The 1/2 stands before mu^2 only.": 2 * kl - mu**2 / 2,
        "The brackets are missing: -1/2 stands before the 1 alone.": -2 * kl - 1.5,
        **{
            f"In the KL the term {name} {what}.": kl + weight * term / 2
            for name, term in terms.items()
            for what, weight in weights.items()
        },
    }


def floored(kl: Tensor, of: str = "A dimension") -> dict[str, Tensor]:
    """KLs, each `of` what the sentence names, where somebody gives away free bits."""
    return {
        f"{of} costs {floor:g} or more nats: free bits are not asked for.": kl.clamp(min=floor)
        for floor in (0.05, 0.1, 0.125, 0.2, 0.25, 0.3, 0.5, 1, 2, 3, 5)
    }


BOUNDS = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 50)
EPSILONS = tuple(10.0**-k for k in range(2, 13))


def altered(formula: Callable[[Tensor, Tensor], Any], mu: Tensor, logvar: Tensor) -> dict[str, Any]:
    """What `formula` gives where somebody has made logvar, or the variance, harmless before."""
    mu, logvar = mu.double(), logvar.double()
    values = {}
    # One bound before two: of those that explain as much the first is named.
    for low, high in itertools.product((math.inf, *BOUNDS), repeat=2):
        words = f"between {-low:g} and {high:g}"
        if math.inf in (low, high):
            words = f"above {-low:g}" if high == math.inf else f"below {high:g}"
        values[f"logvar is kept {words}: it may be any number."] = formula(mu, logvar.clamp(-low, high))
    for least in (0.001, 0.01, 0.05, 0.1, 0.2, 0.5):
        hint = f"sigma is kept above {least:g}: it may be any positive number."
        values[hint] = formula(mu, logvar.clamp(min=2 * math.log(least)))
    for epsilon in EPSILONS:
        hint = f"{epsilon:.0e} seems to be added to the variance: that is not small beside exp(-60)."
        values[hint] = formula(mu, torch.logaddexp(logvar, torch.full_like(logvar, math.log(epsilon))))
        hint = f"{epsilon:.0e} seems to be added to sigma: that is not small beside exp(-30)."
        sigma = (logvar / 2).exp() + epsilon
        values[hint] = formula(mu, 2 * sigma.log())
    return values


def standard_normal(noise: Tensor) -> bool:
    """Are mean, variance and mean absolute value those of N(0, 1), each to six of its standard errors?"""
    n, half = noise.numel(), (2 / math.pi) ** 0.5
    return bool(
        abs(noise.mean()) < 6 / n**0.5
        and abs(noise.square().mean() - 1) < 6 * (2 / n) ** 0.5
        and abs(noise.abs().mean() - half) < 6 * ((1 - half**2) / n) ** 0.5
    )
