"""Muon's directions beside those of an SVD, and a training that comes further by as many steps."""

import math

import pytest
import torch
from tiers import quick

from course_utils import data, objectives
from course_utils.engine import fast
from course_utils.engine.muon import LENGTH, Muon, hidden, orthogonal
from course_utils.models import CVAE, VAE, Autoencoder, ConvVAE


def matrix(*singular_values: float, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix with these singular values, and U V^T of it."""
    generator = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    return u @ torch.tensor(singular_values).diag() @ v, u @ v


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (3, 3)])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_every_direction_of_a_matrix_becomes_as_long(shape, scale):
    """To within the 0.07 that the two polynomials leave, whatever the size of the whole."""
    given, nearest = matrix(1.0, 0.5, 0.2, shape=shape)
    off = torch.linalg.matrix_norm(orthogonal(scale * given) - nearest, 2)
    assert off < 0.07


def test_what_is_small_grows_but_no_further_than_the_rest():
    grown = torch.linalg.svdvals(orthogonal(matrix(1.0, 0.03, 0.0, shape=(3, 8))[0]))
    assert 0.3 < grown[1] < 0.4
    assert grown[2] < 1e-5


def test_nothing_stays_nothing():
    assert not orthogonal(torch.zeros(3, 8)).any()


def test_no_number_is_waited_for():
    """A tensor without numbers can be computed with: so may a step that a GPU records."""
    assert orthogonal(torch.empty(3, 8, device="meta")).shape == (3, 8)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (VAE, ["encoder.2", "fc_mu", "fc_logvar", "decoder.0", "decoder.2"]),
        (CVAE, ["encoder.2", "fc_mu", "fc_logvar", "decoder.0", "decoder.2"]),
        (ConvVAE, ["encoder.2", "fc_mu", "fc_logvar", "fc_decode", "decoder.0"]),
        (Autoencoder, ["encoder.2", "encoder.4", "decoder.0", "decoder.2"]),
    ],
)
def test_hidden_is_what_lies_between_the_first_layer_and_the_last(kind, names):
    model = kind()
    found = {id(weight) for weight in hidden(model)}
    assert [name for name, weight in model.named_parameters() if id(weight) in found] == [
        f"{name}.weight" for name in names
    ]


def test_the_first_step_turns_hidden_matrices_and_is_adam_s_elsewhere():
    torch.manual_seed(0)
    model, x = VAE(3), torch.rand(16, 1, 28, 28)
    objectives.negative_elbo(model, x).loss.backward()
    gradient = model.decoder[2].weight.grad.clone()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    Muon(model, lr=0.01).step()
    moved = {name: weight - before[name] for name, weight in model.named_parameters()}
    turned = -0.01 * LENGTH * math.sqrt(512 / 256) * orthogonal(gradient)
    torch.testing.assert_close(moved["decoder.2.weight"], turned, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(moved["decoder.4.bias"].abs(), torch.full((784,), 0.01), rtol=1e-3, atol=0)


@pytest.mark.parametrize("seed", quick({"0": 0, "1": 1, "2": 2}, 1))
def test_as_many_steps_come_further_than_adam_s(seed):
    images = data.load("digits", train=512, test=64).train_images
    settings = {"batch_size": 32, "learning_rate": 5e-3, "schedule": fast.one_cycle, "seed": seed}
    losses = {}
    for muon in (True, False):
        torch.manual_seed(seed)
        model = VAE()
        fast.start(model, images)
        record = fast.fit(model, images, objectives.negative_elbo, epochs=10, muon=muon, **settings)
        losses[muon] = record.train["loss"][-1]
    assert losses[True] < losses[False] - 4
