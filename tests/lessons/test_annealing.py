"""Annealed importance sampling bounds a log p(x) that is known, from both sides."""

import math

import pytest
import torch

from course_utils import annealing, data, evaluation, models, objectives, training


@pytest.fixture(scope="module")
def model() -> models.VAE:
    """A VAE whose latent space can be searched whole, trained until its posteriors are narrow."""
    torch.manual_seed(0)
    plane = models.VAE(2)
    training.fit(plane, data.load("digits").train_images[:640], objectives.negative_elbo, epochs=4)
    return plane


@pytest.fixture(scope="module")
def drawn(model) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images that the model drew, their codes, and log p of each by quadrature."""
    x, z = annealing.simulate(model, 30)
    coordinates = torch.linspace(-6, 6, 241)
    log_joint = evaluation.log_joint(model, x, evaluation.plane_points(coordinates)).double()
    return x, z, torch.logsumexp(log_joint, 1) + 2 * math.log(12 / 240)


def test_with_one_step_it_is_the_importance_weighted_bound(model, drawn):
    x, *_ = drawn
    annealed = annealing.annealed_log_weights(model, x, temperatures=1, chains=20, seed=3)
    with models.judged(model, 3):
        one_step = objectives.log_weights(model, x, 20)
    torch.testing.assert_close(annealed, one_step, rtol=1e-5, atol=1e-3)


def test_forwards_it_comes_close_to_the_truth_from_below(model, drawn):
    x, _, truth = drawn
    one, many = (
        objectives.importance_weighted_bound(annealing.annealed_log_weights(model, x, steps, chains=4))
        - truth
        for steps in (1, 30)
    )
    assert one.mean() < -0.5
    assert one.mean() / 3 < many.mean() < 0.2


def test_backwards_it_comes_close_to_the_truth_from_above(model, drawn):
    x, z, truth = drawn
    one, many = (
        (annealing.annealed_log_weights(model, x, steps, exact=z).mean(0) - truth).mean() for steps in (1, 30)
    )
    assert one > 0.5
    assert -0.1 < many < one / 2


def test_a_move_leaves_its_density_as_it_is():
    torch.manual_seed(0)
    scale = torch.tensor([0.5, 2.0])
    z = scale * torch.randn(20_000, 2)
    for _ in range(3):  # with a scale that is wrong by a factor, so that some moves are refused
        z = annealing._hamiltonian(lambda z: -0.5 * (z / scale).square().sum(-1), z, 4 * scale)
    assert (z.std(0) / scale - 1).abs().max() < 0.03


def test_seed_fixes_it_and_the_model_is_left_as_it_was(model, drawn):
    x, *_ = drawn
    model.train()
    state = torch.get_rng_state()
    first, second = (annealing.annealed_log_weights(model, x[:3], 2, seed=1) for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    assert model.training and torch.equal(state, torch.get_rng_state())
