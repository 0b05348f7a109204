r"""A VAE of which everything can be known: linear maps, Gaussian noise, no sampling anywhere.

    p(z) = N(0, I),   p(x|z) = N(W z + b, sigma^2 I),   q(z|x) = N(A (x - b), diag(s^2))

This decoder is probabilistic PCA (Tipping & Bishop 1999, doi:10.1111/1467-9868.00196). Gaussians stay
Gaussian under linear maps, so what a real VAE can only bound is a closed form here:

    p(x)   = N(b, W W^T + sigma^2 I)
    p(z|x) = N(M^-1 W^T (x - b), sigma^2 M^-1),   M = W^T W + sigma^2 I
    ELBO   = -D/2 log(2 pi sigma^2) - (|x - b - W mu|^2 + sum_j s_j^2 |W_j|^2) / (2 sigma^2) - KL(q || p(z))

with mu = A (x - b) and W_j the columns of W. (Lucas et al. 2019, arXiv:1911.02469, study this model.) Shapes:
x (N, D), z and mu (N, d), W (D, d), A (d, D). Values are nats per image, (N,), in float64, so that equality
can be seen to rounding.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from course_utils import objectives


class LinearVAE(nn.Module):
    """Linear encoder and decoder; sigma is learned."""

    def __init__(self, pixels: int, latent_dim: int) -> None:
        super().__init__()
        self.W = nn.Parameter(0.1 * torch.randn(pixels, latent_dim, dtype=torch.float64))
        self.b = nn.Parameter(torch.zeros(pixels, dtype=torch.float64))
        self.log_sigma = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.A = nn.Parameter(0.1 * torch.randn(latent_dim, pixels, dtype=torch.float64))
        self.logvar = nn.Parameter(torch.zeros(latent_dim, dtype=torch.float64))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x)."""
        mu = (x - self.b) @ self.A.T
        return mu, self.logvar.expand_as(mu)

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z)."""
        return z @ self.W.T + self.b

    def elbo(self, x: Tensor) -> Tensor:
        """The bound, without sampling."""
        mu, logvar = self.encode(x)
        variance = (2 * self.log_sigma).exp()
        expected_squares = (x - self.decode(mu)).square().sum(1) + logvar.exp() @ self.W.square().sum(0)
        constant = x.shape[1] * (math.log(2 * math.pi) + 2 * self.log_sigma)
        return -0.5 * (constant + expected_squares / variance) - objectives.gaussian_kl(mu, logvar).sum(1)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x), what the ELBO is a bound of."""
        noise = (2 * self.log_sigma).exp().expand(len(self.b))
        return LowRankMultivariateNormal(self.b, self.W, noise).log_prob(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z|x), what q(z|x) should be."""
        variance = (2 * self.log_sigma).exp()
        identity = torch.eye(self.W.shape[1], dtype=self.W.dtype)
        M = self.W.T @ self.W + variance * identity
        mean = torch.linalg.solve(M, self.W.T @ (x - self.b).T).T
        return MultivariateNormal(mean, variance * torch.linalg.inv(M))

    def q(self, x: Tensor) -> MultivariateNormal:
        """q(z|x) in the form that `torch.distributions.kl_divergence` compares with the posterior."""
        mu, logvar = self.encode(x)
        return MultivariateNormal(mu, torch.diag_embed(logvar.exp()))


def maximum_likelihood(x: Tensor, latent_dim: int) -> LinearVAE:
    """The model that no training can beat on images x (N, D), in closed form; its q is the posterior.

    With eigenvalues l_j and eigenvectors u_j of the covariance of x (Tipping & Bishop 1999): b is the mean,
    sigma^2 the mean of the discarded eigenvalues, W_j = sqrt(l_j - sigma^2) u_j for the `latent_dim` largest.
    These columns are orthogonal, so M is diagonal and q, with A = M^-1 W^T and s_j^2 = sigma^2 / M_jj, exact.
    """
    x = x.double()
    eigenvalues, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))  # in rising order
    kept = eigenvalues[-latent_dim:].flip(0)
    variance = eigenvalues[:-latent_dim].mean()
    model = LinearVAE(x.shape[1], latent_dim).requires_grad_(False)
    model.W.copy_(vectors[:, -latent_dim:].flip(1) * (kept - variance).sqrt())
    model.b.copy_(x.mean(0))
    model.log_sigma.copy_(variance.log() / 2)
    model.A.copy_(model.W.T / kept.unsqueeze(1))  # M_jj = l_j
    model.logvar.copy_((variance / kept).log())
    return model
