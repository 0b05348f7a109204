"""The objectives against closed forms, other libraries and their own definitions."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils import objectives
from course_utils.models import CVAE
from course_utils.objectives import gaussian_kl, importance_weighted_bound, log_weights, reparameterize

# At initialisation sigma is about 1, where wrong formulas look right: everything is also tested far away.
every_spread = pytest.mark.parametrize("logvar", [-9.0, -2.0, 0.0, 1.5, 4.0])
SHAPES = [(1, 1), (1, 20), (97, 1), (97, 20)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def binary(*shape: int) -> Tensor:
    return (noise(*shape, seed=7) > 0).double()


class Toy(nn.Module):
    """A VAE of two latents and six pixels, linear both ways; it remembers the z it decoded."""

    def __init__(self, logvar: float = -1.0) -> None:
        super().__init__()
        self.read, self.write = noise(6, 2, seed=1), noise(2, 6, seed=2)
        self.logvar = logvar
        self.decoded: list[Tensor] = []

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = x.flatten(1) @ self.read
        return mu, self.logvar + 0.3 * mu

    def decode(self, z: Tensor) -> Tensor:
        self.decoded.append(z)
        return (z @ self.write).view(-1, 1, 2, 3)


# --- the KL term ---------------------------------------------------------------------------------


@every_spread
@every_shape
def test_the_gaussian_kl_is_that_of_torch_distributions(shape, logvar):
    mu, sigma = 3 * noise(*shape), torch.tensor(logvar, dtype=torch.float64).mul(0.5).exp()
    expected = kl_divergence(Normal(mu, sigma), Normal(torch.zeros_like(mu), 1.0))
    torch.testing.assert_close(gaussian_kl(mu, torch.full_like(mu, logvar)), expected)


# --- sampling ------------------------------------------------------------------------------------


@every_spread
@every_shape
def test_a_sample_is_mu_plus_sigma_times_the_noise(shape, logvar):
    mu, eps = noise(*shape), noise(*shape, seed=1)
    expected = mu + math.exp(logvar / 2) * eps
    torch.testing.assert_close(reparameterize(mu, torch.full(shape, logvar).double(), eps), expected)


def test_gradients_go_through_a_sample_to_the_mean_and_to_the_log_variance():
    mu, logvar, eps = (noise(5, 3, seed=seed).requires_grad_() for seed in range(3))
    reparameterize(mu, logvar, eps).sum().backward()
    assert torch.equal(mu.grad, torch.ones(5, 3).double())
    torch.testing.assert_close(logvar.grad, (0.5 * (logvar / 2).exp() * eps).detach())


# The standard errors of the first four moments of N(0, 1) from n draws are sqrt((1, 2, 15, 96) / n).
@pytest.mark.parametrize(("power", "moment", "variance"), [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)])
def test_the_noise_of_a_sample_is_standard_normal(power, moment, variance):
    mu = torch.zeros(100_000)
    eps = reparameterize(mu, mu + 3) / math.exp(1.5)
    assert abs((eps**power).mean() - moment) < 5 * math.sqrt(variance / len(eps))


def test_every_entry_of_a_sample_has_noise_of_its_own():
    zero = torch.zeros(97, 20)
    assert len(torch.cat([reparameterize(zero, zero) for _ in range(2)]).unique()) > 2 * 97 * 20 - 20


# --- the reconstruction term ---------------------------------------------------------------------


def test_the_bernoulli_nll_of_grey_pixels_is_their_cross_entropy():
    logits, x = noise(5, 1, 28, 28), noise(5, 1, 28, 28, seed=1).sigmoid()
    p = logits.sigmoid()
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(objectives.bernoulli_nll(logits, x), expected)


def test_the_bernoulli_nll_of_a_hopeless_pixel_stays_finite():
    assert objectives.bernoulli_nll(torch.full((1, 1, 1, 1), 1000.0), torch.zeros(1, 1, 1, 1)) == 1000


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 4.0])
def test_the_gaussian_nll_is_that_of_torch_distributions_summed_over_pixels(sigma):
    mean, x = noise(97, 1, 28, 28), noise(97, 1, 28, 28, seed=1)
    expected = -Normal(mean, sigma).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(objectives.gaussian_nll(mean, x, sigma), expected)


def test_the_gaussian_nll_takes_a_sigma_that_is_learned():
    """The best sigma is the root of the mean squared error: there the gradient is 0."""
    mean, x = noise(9, 1, 28, 28), noise(9, 1, 28, 28, seed=1)
    sigma = (mean - x).square().mean().sqrt().requires_grad_()
    loss = objectives.gaussian_nll(mean, x, sigma)
    torch.testing.assert_close(loss, objectives.gaussian_nll(mean, x, sigma.item()))
    (slope,) = torch.autograd.grad(loss.mean() / 784, sigma)
    assert abs(slope) < 1e-5


LOGITS = torch.tensor([-200, -90, -40, -20, -17, -6, -0.26, -0.24, -1e-3, 0, 1e-4, 0.249, 0.251, 3, 16, 200])


def density(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Grey values x (n, 1), closer to each other near 0 and 1, and exp(-nll) there for each logit."""
    x = torch.linspace(0, math.pi / 2, 20_001, dtype=torch.float64).sin().square().to(logits.dtype)
    every = torch.cartesian_prod(x, logits)[:, :, None]
    nll = objectives.continuous_bernoulli_nll(every[:, 1], every[:, 0])
    return x[:, None].double(), (-nll).double().exp().view(len(x), len(logits))


def test_the_continuous_bernoulli_is_a_density_on_grey_values_at_any_logit():
    x, p = density(LOGITS)  # in float32, as a model has them
    mass = torch.trapezoid(p, x, dim=0)
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=2e-5)


def test_the_continuous_bernoulli_s_pixels_are_summed_for_each_image():
    logits, x = noise(3, 1, 28, 28), noise(3, 1, 28, 28, seed=1).sigmoid()
    nll = objectives.continuous_bernoulli_nll(logits, x)
    pixels = objectives.ContinuousBernoulli(logits).log_prob(x)
    torch.testing.assert_close(nll, -torch.stack([image.sum() for image in pixels]))


def test_near_a_logit_of_0_the_series_agree_with_the_formulas_in_float64():
    logit = torch.tensor([0.1, -0.24, 0.24], dtype=torch.float64)
    found = objectives.ContinuousBernoulli(logit)
    log_constant = (logit / (logit / 2).tanh()).log()
    log_p = found.log_prob(torch.zeros_like(logit))
    torch.testing.assert_close(log_p, log_constant - logit.exp().log1p(), rtol=0, atol=1e-9)
    mean = -1 / torch.expm1(-logit) - 1 / logit
    torch.testing.assert_close(found.mean[:1], mean[:1], rtol=0, atol=1e-9)  # a term less, so closer to 0


def test_the_continuous_bernoulli_has_the_mean_of_its_density():
    x, p = density(LOGITS.double())
    mean = objectives.ContinuousBernoulli(LOGITS).mean.double()
    torch.testing.assert_close(mean, torch.trapezoid(p * x, x, dim=0), rtol=0, atol=2e-6)


def test_the_continuous_bernoulli_s_gradient_is_the_mean_less_the_grey_value():
    """The gradient of -log p(x) in a logit, in float32; finite differences in float64 agree."""
    logits, x = LOGITS[:, None].clone().requires_grad_(), noise(len(LOGITS), 1, seed=1).sigmoid()
    objectives.continuous_bernoulli_nll(logits, x.float()).sum().backward()
    exact, step = LOGITS[:, None].double(), 1e-4
    up, down = (objectives.continuous_bernoulli_nll(exact + d, x) for d in (step, -step))
    slope = ((up - down) / (2 * step))[:, None]
    torch.testing.assert_close(logits.grad.double(), slope, rtol=0, atol=1e-5)
    torch.testing.assert_close(objectives.ContinuousBernoulli(exact).mean - x, slope, rtol=0, atol=1e-7)


def test_samples_of_the_continuous_bernoulli_have_its_mean_and_stay_on_grey_values():
    torch.manual_seed(0)
    drawn = objectives.ContinuousBernoulli(LOGITS.expand(40_000, -1)).sample()
    assert drawn.min() >= 0 and drawn.max() <= 1
    mean = objectives.ContinuousBernoulli(LOGITS).mean
    assert ((drawn.mean(0) - mean).abs() < 5 * drawn.std(0) / 200).all()
    assert drawn[:, LOGITS == 0].std() == pytest.approx(12**-0.5, rel=0.02)  # uniform there


def test_the_autoencoder_s_loss_is_the_mean_squared_error_of_the_grey_values():
    logits, x = noise(5, 1, 28, 28), noise(5, 1, 28, 28, seed=1).sigmoid()

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return logits

    expected = ((1 / (1 + (-logits).exp()) - x) ** 2).sum() / (5 * 784)
    torch.testing.assert_close(objectives.mean_squared_error(Constant(), x).loss, expected)


# --- the negative ELBO ---------------------------------------------------------------------------


def seeded_elbo(model: nn.Module, x: Tensor, beta: float = 1.0) -> objectives.Terms:
    torch.manual_seed(0)
    return objectives.negative_elbo(model, x, beta=beta)


@pytest.mark.parametrize("beta", [0.0, 0.1, 1.0, 4.0])
def test_the_loss_is_the_reconstruction_plus_beta_times_the_kl(beta):
    x = binary(9, 1, 2, 3)
    terms, plain_terms = seeded_elbo(Toy(), x, beta), seeded_elbo(Toy(), x)
    torch.testing.assert_close(terms.loss, terms.reconstruction + beta * terms.kl)
    assert terms[1:] == plain_terms[1:]


def test_the_reconstruction_is_the_mean_over_images_of_the_nll_at_the_sampled_z():
    model, x = Toy(), binary(9, 1, 2, 3)
    terms = seeded_elbo(model, x)
    logits = (model.decoded[0] @ model.write).view(-1, 1, 2, 3)
    expected = -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3)).mean()
    torch.testing.assert_close(terms.reconstruction, expected)


def test_the_kl_is_summed_over_latents_and_averaged_over_images():
    model, x = Toy(), binary(9, 1, 2, 3)
    mu, logvar = model.encode(x)
    expected = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(torch.zeros(9, 2).double(), 1.0))
    torch.testing.assert_close(seeded_elbo(model, x).kl, expected.sum() / 9)


def test_the_z_that_is_decoded_is_drawn_from_the_posterior():
    model = Toy(logvar=-3.0)
    x = binary(1, 1, 2, 3).expand(20_000, 1, 2, 3)
    seeded_elbo(model, x)
    mu, logvar = model.encode(x)
    standard = (model.decoded[0] - mu) / (logvar / 2).exp()
    assert abs(standard.square().mean() - 1) < 5 * math.sqrt(2 / standard.numel())


def test_another_likelihood_changes_the_reconstruction_alone():
    x = noise(9, 1, 2, 3).sigmoid().double()
    torch.manual_seed(0)
    other = objectives.negative_elbo(Toy(), x, nll=objectives.continuous_bernoulli_nll)
    model = Toy()
    terms = seeded_elbo(model, x)
    logits = (model.decoded[0] @ model.write).view(-1, 1, 2, 3)
    torch.testing.assert_close(other.kl, terms.kl)
    expected = objectives.continuous_bernoulli_nll(logits, x).mean()
    torch.testing.assert_close(other.reconstruction, expected)


def test_free_bits_charge_each_dimension_its_floor_at_least():
    model, x = Toy(), binary(9, 1, 2, 3)
    prices = gaussian_kl(*model.encode(x)).mean(0)
    floor = prices.mean().item()  # between the two
    torch.manual_seed(0)
    terms = objectives.free_bits_elbo(model, x, nats=floor)
    assert terms.reconstruction == seeded_elbo(Toy(), x).reconstruction
    torch.testing.assert_close(terms.kl, prices.sum())
    torch.testing.assert_close(terms.loss, terms.reconstruction + prices.max() + floor)


# --- importance weights --------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "images"), [(1, 1), (1, 5), (7, 2), (5, 5)])
def test_a_log_weight_is_the_log_ratio_of_the_joint_to_the_posterior(samples, images):
    """At a draw of its own from the posterior for every sample of every image."""
    model, x = Toy(), binary(images, 1, 2, 3)
    torch.manual_seed(3)
    log_w = log_weights(model, x, samples)
    mu, logvar = model.encode(x)
    torch.manual_seed(3)
    z = reparameterize(mu, logvar, torch.randn(samples, images, 2, dtype=torch.float64))
    torch.testing.assert_close(model.decoded[0], z.flatten(0, 1))
    joint = Bernoulli(logits=(z @ model.write).view(samples, images, 6)).log_prob(x.flatten(1)).sum(-1)
    joint = joint + Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(log_w, joint - Normal(mu, (logvar / 2).exp()).log_prob(z).sum(-1))


@pytest.mark.parametrize("logvar", [-4.0, 0.0, 3.0])
def test_the_log_density_of_a_gaussian_is_that_of_torch_distributions(logvar):
    z, mu = noise(7, 5, 3), noise(5, 3, seed=1)
    expected = Normal(mu, math.exp(logvar / 2)).log_prob(z).sum(-1)
    found = objectives.gaussian_log_density(z, mu, torch.full((5, 3), logvar).double())
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("samples", [1, 50])
@pytest.mark.parametrize("shift", [-1000.0, 0.0, 1000.0])
def test_the_bound_is_the_log_of_the_mean_weight(shift, samples):
    """Also where the weights themselves are 0 or infinite in any float."""
    log_w = 3 * noise(samples, 9)
    expected = log_w.exp().mean(0).log() + shift
    torch.testing.assert_close(importance_weighted_bound(log_w + shift), expected)


# --- gradients of the bound ------------------------------------------------------------------------


class Moved(Toy):
    """The toy, moved by three parameters: those of q's means and log-variances, and the decoder's."""

    def __init__(self, writes: float = 1.0) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.write = writes * self.write

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = super().encode(x)
        return mu + self.by[0], logvar + self.by[1]

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.write + self.by[2]).view(-1, 1, 2, 3)


def plain(model: nn.Module, x: Tensor, samples: int) -> Tensor:
    return -importance_weighted_bound(log_weights(model, x, samples)).mean()


def slopes(model: Moved, x: Tensor, samples: int, seed: int, step: float = 1e-4) -> Tensor:
    """Of minus the bound in each parameter, by finite differences with the same noise on both sides: (3,)."""
    sides = []
    for sign in (1, -1):
        for i in range(3):
            torch.manual_seed(seed)
            model.by.data.zero_()[i] = sign * step
            sides.append(plain(model, x, samples).item())
    model.by.data.zero_()
    return (torch.tensor(sides[:3]) - torch.tensor(sides[3:])) / (2 * step)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_doubly_reparameterised_gradient_is_the_slope_of_the_bound(samples):
    """Averaged over many draws; with one sample it is that of 'sticking the landing'."""
    model, differences = Moved(), []
    x = binary(1, 1, 2, 3).expand(20_000, 1, 2, 3)
    for seed in range(1, 21):
        torch.manual_seed(seed)
        loss = objectives.doubly_reparameterized(model, x, samples).loss
        (gradient,) = torch.autograd.grad(loss, [model.by])
        differences.append(gradient - slopes(model, x, samples, 100 + seed))
    off = torch.stack(differences)
    error = off.std(0) / len(off) ** 0.5
    assert (error < 0.01).all()
    assert (off.mean(0).abs() < 4 * error).all()


@pytest.mark.parametrize("samples", [1, 3])
def test_the_doubly_reparameterised_loss_is_minus_the_bound(samples):
    model, x, losses = Moved(), binary(5, 1, 2, 3), []
    for loss in (plain, lambda *given: objectives.doubly_reparameterized(*given).loss):
        torch.manual_seed(0)
        with torch.no_grad():
            losses.append(loss(model, x, samples).item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("samples", [1, 3])
def test_where_q_is_the_posterior_every_draw_gives_the_encoder_a_gradient_of_zero(samples):
    """A decoder that ignores z has the prior as its posterior."""
    model, x = Moved(writes=0.0), torch.zeros(4, 1, 2, 3, dtype=torch.float64)
    model.logvar = 0.0
    (noisy,) = torch.autograd.grad(plain(model, x, samples), [model.by])
    (quiet,) = torch.autograd.grad(objectives.doubly_reparameterized(model, x, samples).loss, [model.by])
    torch.testing.assert_close(quiet[:2], torch.zeros_like(quiet[:2]))
    assert noisy[:2].abs().min() > 1e-4
    assert quiet[2] != 0


# --- the real beta -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "beta"),
    [
        ({}, 1),
        ({"beta": 4}, 4),
        ({"reconstruction": "mean"}, 784),
        ({"reconstruction": "mean", "kl": "mean"}, 39.2),
        ({"reconstruction": "mean", "kl": "mean", "latent_dim": 200}, 3.92),
        ({"kl": "mean", "latent_dim": 10}, 0.1),
        ({"sigma": 0.1}, 50),
        ({"sigma": math.sqrt(0.5)}, 1),
        ({"reconstruction": "mean", "sigma": 1, "beta": 1 / 392}, 1),
    ],
    ids=str,
)
def test_the_real_beta_is_the_known_one_for(written, beta):
    assert objectives.real_beta(**written) == pytest.approx(beta)


@pytest.mark.parametrize("sigma", [None, 0.2])
@pytest.mark.parametrize("kl", ["sum", "mean"])
@pytest.mark.parametrize("reconstruction", ["sum", "mean"])
def test_a_loss_as_written_is_a_multiple_of_the_one_with_the_real_beta(reconstruction, kl, sigma):
    """Proportional losses have the same minima; the multiple is the learning rate's business."""
    pixel_costs, latent_kls = noise(100, 784).square(), noise(100, 20, seed=1).square()
    as_written = getattr(pixel_costs, reconstruction)(1) + 3 * getattr(latent_kls, kl)(1)
    in_nats = pixel_costs.sum(1) / (1 if sigma is None else 2 * sigma**2)
    beta = objectives.real_beta(reconstruction=reconstruction, kl=kl, sigma=sigma, beta=3)
    multiples = as_written / (in_nats + beta * latent_kls.sum(1))
    torch.testing.assert_close(multiples, multiples[:1].expand(100))


@pytest.mark.parametrize("term", ["reconstruction", "kl"])
def test_the_real_beta_refuses_an_unknown_reduction_of_the(term):
    with pytest.raises(ValueError, match="'batchmean'"):
        objectives.real_beta(**{term: "batchmean"})


def test_weights_of_labelled_images_are_those_of_each_alone(monkeypatch):
    """With labels that differ within the batch: every sample is decoded with its own image's label."""
    torch.manual_seed(0)
    model = CVAE(3).double()
    torch.nn.init.normal_(model.decoder[0].weight)  # so that a label matters
    x, y, eps = binary(4, 1, 28, 28), torch.tensor([3, 1, 7, 1]), noise(5, 4, 3)
    drawn = iter([eps, *eps.split(1, dim=1)])
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: next(drawn))
    together = log_weights(model, x, 5, y)
    alone = [log_weights(model, x[i : i + 1], 5, y[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1))


class Labelled(Toy):
    """A label shifts the code's mean and every logit by its number."""

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = super().encode(x)
        return mu + y.unsqueeze(1), logvar

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        return super().decode(z) + y.view(-1, 1, 1, 1)


def test_the_loss_of_labelled_images_hands_their_labels_to_both_halves():
    model, x, y = Labelled(), binary(4, 1, 2, 3), torch.tensor([3, 1, 7, 1])
    terms = objectives.negative_elbo(model, x, y)
    (z,) = model.decoded
    assert terms.kl == gaussian_kl(*model.encode(x, y)).sum(1).mean()
    assert terms.reconstruction == objectives.bernoulli_nll(model.decode(z, y), x).mean()
