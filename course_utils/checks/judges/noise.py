"""Samples of q(z|x) that an answer has drawn itself: from what, and with new noise?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import softplus

from course_utils.checks.judges.diagnoser import NO_NUMBER
from course_utils.checks.judges.gaussians import standard_normal

PRIOR = "z is drawn from the prior: draw it from q(z|x)."


def samplers(mu: Tensor, logvar: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Centre and spread of a sample: the right ones under '', likely wrong ones under their hints."""
    sigma, zero, one = (logvar / 2).exp(), torch.zeros_like(mu), torch.ones_like(mu)
    return {
        "": (mu, sigma),
        "Your sigma looks like exp(logvar); it should be exp(logvar / 2).": (mu, logvar.exp()),
        PRIOR: (zero, one),
        "The mean is missing: z = mu + sigma * eps.": (zero, sigma),
        "sigma is missing: this is mu + eps.": (mu, one),
        "Your sigma looks like logvar itself; take exp(logvar / 2).": (mu, logvar),
        "sigma stands where logvar is asked for: this is mu + exp(sigma / 2) * eps.": (mu, (sigma / 2).exp()),
        "Your sigma looks like softplus(logvar); it should be exp(logvar / 2).": (mu, softplus(logvar)),
        "Your sigma looks like logvar / 2: the exponential is missing.": (mu, logvar / 2),
        "Your sigma looks like softplus(logvar / 2): take exp(logvar / 2).": (mu, softplus(logvar / 2)),
        "Your sigma looks like exp(-logvar / 2): the exponent has the wrong sign.": (mu, 1 / sigma),
    }


def judged(z: Tensor, mu: Tensor, logvar: Tensor) -> tuple[str, str]:
    """What is wrong with the distribution of z (2, N, d), the samples of two calls, and what with its noise
    being new for every image, dimension and call; each '' where nothing is.

    Of 900 numbers a right answer fails with probability below 10^-6. A wrong sigma misses by more than 12
    standard errors and is named by what then is standard normal; uniform noise of mean 0 and variance 1 shows
    in the mean absolute value. (Noise within 2.5 standard deviations is called uniform: where it fails.)
    """
    z, mu, logvar = z.double(), mu.double(), logvar.double()
    if not z.isfinite().all():
        return f"The samples contain NaN or infinity: {NO_NUMBER}", ""
    sigma = (logvar / 2).exp()
    noise = (z - mu) / sigma
    if noise.abs().max() < 1e-3:
        return "No noise is drawn: z is mu itself.", ""
    pattern, mean, std = _pattern(noise), noise.mean(), noise.std()

    def log_likelihood(centre: Tensor, spread: Tensor) -> Tensor:
        return Normal(centre, spread.abs(), validate_args=False).log_prob(z).sum()

    wider = log_likelihood(mu + mean * sigma, std * sigma)  # with a factor, sigma may pass for something else
    fitting = {
        hint: fit
        for hint, (centre, spread) in samplers(mu, logvar).items()
        if standard_normal((z - centre) / spread) and (fit := log_likelihood(centre, spread)) > wider - 18
    }
    if pattern or fitting:
        return "" if pattern or "" in fitting else max(fitting, key=fitting.__getitem__), pattern
    low, high = noise.min(), noise.max()
    if low > -1e-3 and high < 1 + 1e-3:
        return "The noise lies in [0, 1]: is it torch.rand's? torch.randn's is normal.", ""
    if noise.abs().max() < 2.5 * std:
        return f"(z - mu) / sigma never leaves [{low:.1f}, {high:.1f}]: is it normal, as torch.randn's?", ""
    return f"(z - mu) / sigma has mean {mean:.2f}, std {std:.2f}: is sigma right, eps standard normal?", ""


def _pattern(noise: Tensor) -> str:
    """What noise (2, N, d) of two calls shares, or ''."""
    if (noise[0] - noise[1]).abs().max() < 1e-3:
        return "Every call draws the same noise: is a seed set, the noise kept, or none drawn?"
    if noise.std(1).max() < 1e-3:
        return "Every image gets the same noise: draw it in the shape of mu."
    if noise.std(2).max() < 1e-3:
        return "All dimensions share one noise: draw it in the shape of mu."
    for axes, whole, near in (((1,), "batch", 1e-3), ((2,), "image", 1e-3), ((1, 2), "call", 1e-6)):
        # never by chance, all of them
        if noise.mean(axes).abs().max() < near or (noise.std(axes) - 1).abs().max() < near:
            return f"The noise of each {whole} has mean 0 or spread 1 exactly: draw every number alone."
    some = noise[0, :100]
    apart = (some[:, None] - some).abs().amax(2)
    if apart.fill_diagonal_(1).min() < 1e-3:  # never by chance
        first, other = divmod(int(apart.argmin()), len(some))
        period = other - first
        if period > 1 and (some[period:] - some[:-period]).abs().max() < 1e-3:
            return f"After {period} images the same noise comes again: is a seed set, or the noise kept?"
        return "Several images get the same noise: draw it in the shape of mu."
    return ""
