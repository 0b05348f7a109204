"""The linear VAE: each closed form against another way to the same number."""

import copy

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


def test_the_elbo_is_the_mean_of_log_weights(model, x):
    torch.manual_seed(0)
    z = model.q(x).sample((200_000,))
    weights = torch.stack([joint(model, x[i : i + 1], z[:, i]) for i in range(5)], 1) - model.q(x).log_prob(z)
    error = weights.std(0) / 200_000**0.5
    assert ((weights.mean(0) - model.elbo(x)).abs() < 5 * error).all()


def test_the_bound_meets_log_p_where_q_is_the_posterior():
    """Orthogonal columns: the posterior's covariance is diagonal, so q can be it."""
    model = LinearVAE(PIXELS, LATENT).requires_grad_(False)
    model.W.copy_(torch.eye(PIXELS)[:, :LATENT] * torch.tensor([2.0, 1.0, 0.5]))
    variance = (2 * model.log_sigma).exp()
    m = model.W.square().sum(0) + variance
    model.A.copy_(model.W.T / m.unsqueeze(1))
    model.logvar.copy_((variance / m).log())
    x = torch.randn(5, PIXELS, dtype=torch.float64)
    assert torch.allclose(model.elbo(x), model.log_likelihood(x), atol=1e-12)


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


def test_no_neighbour_of_the_maximum_is_more_likely(images):
    model = maximum_likelihood(images, LATENT)
    best = model.log_likelihood(images).mean()
    torch.manual_seed(0)
    for _ in range(50):
        with torch.no_grad():
            other = copy.deepcopy(model)
            for parameter in (other.W, other.b, other.log_sigma):
                parameter += 0.05 * torch.randn_like(parameter)
        assert other.log_likelihood(images).mean() < best
