"""The linear VAE: each closed form against another way to the same number."""

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from course_utils.linear import LinearVAE, maximum_likelihood

PIXELS, LATENT = 7, 3


@pytest.fixture
def model() -> LinearVAE:
    """Far from its start: nothing 0, nothing 1."""
    torch.manual_seed(0)
    model = LinearVAE(PIXELS, LATENT)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.7 * torch.randn_like(parameter))
    return model.requires_grad_(False)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(5, PIXELS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def joint(model: LinearVAE, x: Tensor, z: Tensor) -> Tensor:
    """log p(x|z) + log p(z) of each pair."""
    return Normal(model.decode(z), model.log_sigma.exp()).log_prob(x).sum(1) + Normal(0, 1).log_prob(z).sum(1)


def test_log_p_is_that_of_a_gaussian_with_the_covariance_of_the_model(model, x):
    covariance = model.W @ model.W.T + (2 * model.log_sigma).exp() * torch.eye(PIXELS)
    assert torch.allclose(model.log_likelihood(x), MultivariateNormal(model.b, covariance).log_prob(x))


def test_posterior_and_log_p_obey_bayes_rule(model, x):
    z = torch.randn(5, LATENT, dtype=torch.float64)
    assert torch.allclose(model.posterior(x).log_prob(z) + model.log_likelihood(x), joint(model, x, z))


def test_elbo_and_gap_add_up_to_log_p(model, x):
    gap = kl_divergence(model.q(x), model.posterior(x))
    assert (gap > 0.1).all()
    assert torch.allclose(model.elbo(x) + gap, model.log_likelihood(x), atol=1e-10)


@pytest.fixture
def images() -> Tensor:
    """More of them than pixels, correlated, away from mean 0."""
    g = torch.Generator().manual_seed(2)
    mixing = torch.randn(PIXELS, PIXELS, generator=g, dtype=torch.float64)
    return torch.randn(200, PIXELS, generator=g, dtype=torch.float64) @ mixing + 3


def test_maximum_likelihood_agrees_with_scikit_learn(images):
    """Which divides by N - 1 where the maximum divides by N: its covariance is the model's, so rescaled."""
    pca = PCA(LATENT).fit(images)
    model = maximum_likelihood(images, LATENT)
    covariance = model.W @ model.W.T + (2 * model.log_sigma).exp() * torch.eye(PIXELS)
    expected = torch.as_tensor(pca.get_covariance()) * (len(images) - 1) / len(images)
    assert torch.allclose(covariance, expected)


def test_at_the_maximum_of_the_likelihood_the_elbo_meets_it_and_is_level(images):
    model = maximum_likelihood(images, LATENT).requires_grad_()
    assert torch.allclose(model.elbo(images), model.log_likelihood(images), atol=1e-10)
    model.elbo(images).mean().backward()
    for parameter in model.parameters():
        assert parameter.grad.abs().max() < 1e-10
