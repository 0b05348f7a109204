"""Every number the lessons quote, against an independent way to the same number."""

import contextlib
import functools
import json
import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils import evaluation, objectives
from course_utils.evaluation import Estimate
from course_utils.models import CVAE, VAE, Autoencoder, ConvVAE

COUNT = 23


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def grey(count: int = COUNT) -> Tensor:
    return noise(count, 1, 28, 28).sigmoid()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 4: a function that stops after the first one, or mixes two up, gives another number."""
    monkeypatch.setattr(evaluation, "_batches", functools.partial(evaluation._batches, size=4))


class Pixels(nn.Module):
    """A VAE that can be computed by hand: the first pixels' logits are the latents.

    `decode` puts z into the first pixels, `encode` takes it out again times `gain`; the rest is grey.
    """

    def __init__(self, latent_dim: int = 3, gain: float = 1.0, logvar: float = -2.0) -> None:
        super().__init__()
        self.latent_dim, self.gain, self.logvar = latent_dim, gain, logvar
        self.decoded: list[Tensor] = []

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.gain * torch.logit(x.flatten(1)[:, : self.latent_dim])
        return mu, torch.full_like(mu, self.logvar)

    def decode(self, z: Tensor) -> Tensor:
        self.decoded.append(z)
        logits = torch.zeros(len(z), 784)
        logits[:, : self.latent_dim] = z
        return logits.view(-1, 1, 28, 28)


# --- an estimate ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_an_estimate_is_mean_standard_error_and_count_in_plain_numbers(count):
    values = 5 + noise(count)
    found, known = Estimate.of(values), values.double().numpy()
    expected = (np.mean(known), scipy.stats.sem(known), count)
    assert (found.mean, found.standard_error, found.count) == pytest.approx(expected)
    assert [type(value) for value in vars(found).values()] == [float, float, int]


def test_an_estimate_does_not_lose_digits_to_float32():
    values = torch.tensor([1e8, 1e8 + 8, 1e8 + 16] * 1000, dtype=torch.float32)
    assert Estimate.of(values).mean == 1e8 + 8


def test_an_estimate_shows_its_error():
    assert repr(Estimate(104.154, 0.251, 10_000)) == "104.15 ± 0.25"


# --- judged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_a_model_is_judged_in_evaluation_mode_and_gets_its_own_back(error, mode):
    model = VAE(2).train(mode)
    with contextlib.suppress(ZeroDivisionError), evaluation.judged(model):
        assert not model.training and not torch.is_grad_enabled()
        if error:
            raise error
    assert model.training == mode


elbo = functools.partial(evaluation.test_elbo, model_name="", data_name="")
JUDGEMENTS: dict[str, Callable[[nn.Module, Tensor], object]] = {
    "test_elbo": elbo,
    "log_likelihood": lambda model, x: evaluation.log_likelihood(model, x.round(), samples=2),
    "posterior": evaluation.posterior,
    "codes": evaluation.codes,
    "decode": lambda model, x: evaluation.decode(model, torch.zeros(3, 2)),
    "kl_per_dimension": evaluation.kl_per_dimension,
    "kl_decomposition": evaluation.kl_decomposition,
    "active_units": evaluation.active_units,
    "reconstruction_error": evaluation.reconstruction_error,
    "round_trip_error": lambda model, x: evaluation.round_trip_error(model, torch.zeros(3, 2)),
    "sampled_information_gap": lambda model, x: evaluation.sampled_information_gap(
        *evaluation.posterior(model, x), torch.arange(5).view(5, 1)
    ),
}


@pytest.mark.parametrize("name", JUDGEMENTS)
def test_a_model_in_training_and_the_random_state_are_left_as_they_were_by(name):
    model = VAE(2)
    before = torch.get_rng_state()
    JUDGEMENTS[name](model, grey(5))
    assert model.training and torch.equal(torch.get_rng_state(), before)


SEEDED: dict[str, Callable[[int], object]] = {
    "test_elbo": lambda seed: elbo(Pixels(), grey(), seed=seed),
    "binarize": lambda seed: evaluation.binarize(grey(), seed=seed).tolist(),
    "kl_decomposition": lambda seed: evaluation.kl_decomposition(Pixels(), grey(), seed=seed),
}


@pytest.mark.parametrize("draw", SEEDED.values(), ids=SEEDED)
def test_a_seed_decides_the_noise_of(draw):
    first, again, other = map(draw, (1, 1, 2))
    assert first == again != other


# --- the test ELBO -------------------------------------------------------------------------------


def test_the_test_elbo_and_its_parts_are_those_of_torch_distributions(small_batches):
    """Of a model known by heart, image by image."""
    model, x = Pixels(), grey()
    result = elbo(model, x)
    logits = model.decode(torch.cat(model.decoded))
    # log_prob refuses grey values unless told not to look; the formula is the cross-entropy.
    reconstruction = -Bernoulli(logits=logits, validate_args=False).log_prob(x).sum((1, 2, 3))
    mu, logvar = model.encode(x)
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)).sum(1)
    assert (result.reconstruction, result.kl) == pytest.approx(
        (reconstruction.mean().item(), kl.mean().item())
    )
    bound, each = result.negative_elbo, reconstruction + kl
    assert bound.mean == pytest.approx(each.mean().item())
    assert bound.standard_error == pytest.approx(scipy.stats.sem(each), rel=1e-4)
    assert bound.count == COUNT


def test_the_test_elbo_s_samples_come_from_the_posterior():
    model, x = Pixels(latent_dim=700), grey()
    elbo(model, x)
    mu, logvar = model.encode(x)
    eps = (model.decoded[0] - mu) / (logvar / 2).exp()
    assert abs(eps.square().mean() - 1) < 5 * math.sqrt(2 / eps.numel())


def test_batches_of_images_without_labels_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        list(evaluation._batches(torch.zeros(5), torch.zeros(2), size=2))


def test_a_conditional_model_is_judged_with_its_labels(small_batches):
    model, x = CVAE(2), grey()
    right, wrong = (elbo(model, x, (torch.arange(COUNT) + shift) % 10) for shift in (0, 1))
    assert right != wrong


RESULT = evaluation.TestElbo("VAE", "digits", Estimate(104.15, 0.25, 10_000), 78.9, 25.25, torch.zeros(0))


def test_a_test_elbo_is_a_sentence():
    said = "VAE on digits: test -ELBO 104.15 ± 0.25 nats per image = 78.90 reconstruction + 25.25 KL"
    assert repr(RESULT) == RESULT._repr_mimebundle_()["text/plain"] == f"{said} (10,000 images)"


def test_a_notebook_keeps_the_numbers_of_a_test_elbo():
    bundle = json.loads(json.dumps(RESULT._repr_mimebundle_()))
    assert bundle[evaluation.RESULT_MIME] == {
        "model": "VAE",
        "data": "digits",
        "negative_elbo": 104.15,
        "standard_error": 0.25,
        "images": 10_000,
        "reconstruction": 78.9,
        "kl": 25.25,
    }


def test_two_models_are_compared_image_by_image():
    one, other = (elbo(Pixels(gain=gain), grey()) for gain in (1, 0.5))
    differences = (one.per_image - other.per_image).double().numpy()
    found = evaluation.paired_difference(one, other)
    assert found.mean == pytest.approx(one.negative_elbo.mean - other.negative_elbo.mean, abs=1e-3)
    assert found.standard_error == pytest.approx(scipy.stats.sem(differences))


@pytest.mark.parametrize(
    ("true", "of", "said"),
    [(3, 100, "3.0% ± 1.7%"), (0, 2000, "at most 0.15% (none of 2,000)"), (5, 5, "100.0% ± 0.0%")],
)
def test_a_share_is_said_in_percent_and_none_with_its_limit(true, of, said):
    assert repr(evaluation.Share.of((torch.arange(of) < true).float())) == said


# --- likelihood ----------------------------------------------------------------------------------


def test_binarized_images_are_of_0_and_1_in_their_shape_and_binary_ones_stay():
    binary = evaluation.binarize(grey())
    assert set(binary.unique().tolist()) == {0, 1} and binary.shape == grey().shape
    assert torch.equal(evaluation.binarize(binary), binary)


def test_a_pixel_is_1_with_the_probability_of_its_grey_value():
    shade = torch.linspace(0, 1, 11).repeat_interleave(10_000)
    shares = evaluation.binarize(shade).view(11, 10_000).mean(1)
    p = torch.linspace(0, 1, 11)
    assert ((shares - p).abs() <= 5 * (p * (1 - p) / 10_000).sqrt()).all()


class Line(nn.Module):
    """One latent, four pixels, a fixed decoder; the encoder guesses the posterior only roughly."""

    weights = torch.tensor([2.0, -1.5, 1.0, 0.5])

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = 0.3 * (x.flatten(1) @ self.weights).unsqueeze(1)
        return mu, torch.full_like(mu, -0.2)

    def decode(self, z: Tensor) -> Tensor:
        return (z * self.weights - 0.3).view(-1, 1, 2, 2)


def integrated(x: Tensor) -> Tensor:
    """log p(x) of Line by numerical integration over z, in float64: (N,)."""
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64).unsqueeze(1)
    log_joint = Bernoulli(logits=z * Line.weights.double() - 0.3).log_prob(x.flatten(1).double().unsqueeze(1))
    integrand = (log_joint.sum(-1) + Normal(0.0, 1.0).log_prob(z.squeeze(1))).exp()
    return torch.trapezoid(integrand, z.squeeze(1), dim=1).log()


ALL_IMAGES = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(16, 1, 2, 2)


@pytest.mark.parametrize("image", [0, 5, 10, 15])
def test_the_log_likelihood_is_the_integral_over_the_latent(image):
    """300 copies of an image, more than a batch: the standard error is then the estimate's own."""
    x = ALL_IMAGES[image : image + 1]
    found = evaluation.log_likelihood(Line(), x.expand(300, 1, 2, 2), samples=500)
    assert abs(found.mean - integrated(x).item()) < 5 * found.standard_error


def test_a_log_likelihood_and_its_bar_count_images(monkeypatch):
    counted: list[int] = []
    bar = contextlib.nullcontext(SimpleNamespace(update=counted.append))
    monkeypatch.setattr(evaluation.progress, "bar", lambda total, what: counted.append(-total) or bar)
    found = evaluation.log_likelihood(Line(), ALL_IMAGES.repeat(4, 1, 1, 1), samples=1)
    assert counted[0] == -64 and sum(counted) == 0 and found.count == 64


def test_the_log_joint_of_codes_on_a_grid_adds_up_to_the_likelihood(monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH", 1)  # so that the codes are decoded in many parts
    z = torch.linspace(-12, 12, 2001).unsqueeze(1)
    total = evaluation.log_joint(Line(), ALL_IMAGES, z).logsumexp(1) + math.log(24 / 2000)
    torch.testing.assert_close(total.double(), integrated(ALL_IMAGES), atol=1e-4, rtol=0)


class Rows(Line):
    """Counts the codes it is given to decode."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def decode(self, z: Tensor) -> Tensor:
        self.rows.append(len(z))
        return super().decode(z)


@pytest.mark.parametrize(("images", "samples"), [(2, 5000), (7, 97), (16, 1), (53, 41)])
def test_every_image_gets_as_many_importance_samples_as_were_asked_for(images, samples):
    """K is what it is said to be, whatever the batches are."""
    model = Rows()
    evaluation.log_likelihood(model, ALL_IMAGES.repeat(4, 1, 1, 1)[:images], samples=samples)
    assert sum(model.rows) == images * samples and max(model.rows) <= evaluation.ROWS["cpu"]


def test_weights_that_stream_by_have_the_mean_of_all_at_once(monkeypatch):
    """The same log-weights, between -900 and 900, handed out in parts of 2 and looked at whole."""
    all_weights = 900 * torch.rand(5, 3, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)
    parts = iter(all_weights.split(2))
    monkeypatch.setitem(evaluation.ROWS, "cpu", 6)
    monkeypatch.setattr(objectives, "log_weights", lambda model, x, draws: next(parts))
    found = evaluation.log_likelihood(Line(), ALL_IMAGES[:3], samples=5)
    expected = torch.logsumexp(all_weights.double(), dim=0) - math.log(5)
    assert found.mean == pytest.approx(expected.mean().item(), rel=1e-12)


def test_one_grey_pixel_is_enough_to_refuse_a_log_likelihood():
    x = torch.zeros(300, 1, 28, 28)
    x[-1, 0, -1, -1] = 0.5
    with pytest.raises(ValueError, match="binarize"):
        evaluation.log_likelihood(VAE(2), x, samples=1)


def test_zero_logits_cost_exactly_one_bit_per_dimension():
    logits = torch.zeros(1, 1, 28, 28, dtype=torch.float64)
    nats = objectives.bernoulli_nll(logits, torch.ones_like(logits)).item()
    assert evaluation.bits_per_dimension(nats) == pytest.approx(1, rel=1e-12)
    assert evaluation.bits_per_dimension(8 * math.log(2), pixels=4) == pytest.approx(2)


def test_pixel_entropy_is_scipy_s_entropy_of_a_coin_summed_over_pixels():
    p = grey().double().flatten(1).numpy()
    expected = scipy.stats.bernoulli(p).entropy().sum(1).mean()
    assert evaluation.pixel_entropy(grey().double()).mean == pytest.approx(expected)
    assert evaluation.pixel_entropy(grey().round()).mean == 0


def test_pixel_entropy_of_mnist_s_test_images_is_about_45_and_a_half_nats(real_mnist):
    content = (real_mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte").read_bytes()[16:]
    images = torch.tensor(np.frombuffer(content, np.uint8).reshape(-1, 784) / 255)
    assert evaluation.pixel_entropy(images).mean == pytest.approx(45.5, abs=0.1)


# --- codes ---------------------------------------------------------------------------------------

MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {
    "Autoencoder": (lambda: Autoencoder(3), ()),
    "VAE": (lambda: VAE(3), ()),
    "ConvVAE": (lambda: ConvVAE(3), ()),
    "CVAE": (lambda: CVAE(3), (torch.arange(COUNT) % 10,)),
}
every_model = pytest.mark.parametrize("name", MODELS)


def model_and_labels(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    build, labels = MODELS[name]
    return build(), labels


@every_model
def test_codes_and_images_do_not_depend_on_the_batches_and_keep_their_order(name, small_batches):
    model, labels = model_and_labels(name)
    code, z = model.encode(grey(), *labels), noise(COUNT, 3)
    if name != "Autoencoder":
        torch.testing.assert_close(evaluation.posterior(model, grey(), *labels), code)
    means = code if name == "Autoencoder" else code[0]
    torch.testing.assert_close(evaluation.codes(model, grey(), *labels), means)
    torch.testing.assert_close(evaluation.decode(model, z, *labels), model.decode(z, *labels).sigmoid())


@pytest.mark.parametrize("function", ["codes", "posterior"])
def test_no_image_is_encoded_twice_by(function, small_batches):
    model, sizes = VAE(2), []
    model.encoder.register_forward_hook(lambda layer, inputs, output: sizes.append(len(output)))
    getattr(evaluation, function)(model, grey())
    assert sizes == [4, 4, 4, 4, 4, 3]


def test_neither_codes_nor_what_is_decoded_carries_gradients():
    model, z = VAE(2), torch.zeros(3, 2)
    made = [
        evaluation.codes(model, grey()),
        *evaluation.posterior(model, grey()),
        evaluation.decode(model, z),
    ]
    assert not any(tensor.requires_grad for tensor in [*made, evaluation.log_joint(model, grey(), z)])


# --- walks and planes ----------------------------------------------------------------------------

WALKS = pytest.mark.parametrize("spherical", [False, True], ids=["straight", "spherical"])


@WALKS
def test_a_walk_has_as_many_steps_as_asked_for_and_includes_both_ends(spherical):
    ends = noise(2, 20)
    walk = evaluation.interpolate(*ends, 7, spherical=spherical)
    assert walk.shape == (7, 20)
    torch.testing.assert_close(walk[[0, -1]], ends)


def test_a_straight_walk_takes_equal_steps():
    steps = evaluation.interpolate(*noise(2, 20), 7).diff(dim=0)
    torch.testing.assert_close(steps, steps[:1].expand(6, 20))


def test_a_spherical_walk_keeps_the_length_that_both_ends_have():
    ends = torch.nn.functional.normalize(noise(2, 20)) * 4
    lengths = evaluation.interpolate(*ends, 7, spherical=True).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((7,), 4.0))


def test_a_spherical_walk_turns_by_equal_angles():
    ends = torch.nn.functional.normalize(noise(2, 20).double())
    walk = evaluation.interpolate(*ends, 7, spherical=True)
    turns = torch.nn.functional.cosine_similarity(walk[1:], walk[:-1])
    torch.testing.assert_close(turns, turns[:1].expand(6))


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_a_spherical_walk_between_ends_on_one_line_is_straight(factor):
    z = noise(20)
    walk = evaluation.interpolate(z, factor * z, 7, spherical=True)
    torch.testing.assert_close(walk, evaluation.interpolate(z, factor * z, 7))


@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_a_spherical_walk_is_of_numbers_where_a_rounded_cosine_is_beyond_1(factor):
    walks = [evaluation.interpolate(z, factor * z, 7, spherical=True) for z in noise(100, 20)]
    assert torch.stack(walks).isfinite().all()


@pytest.mark.parametrize("n", [1, 2, 15])
def test_normal_quantiles_leave_equal_shares_between_them_and_half_a_share_beyond(n):
    z = evaluation.normal_quantiles(n).numpy()
    np.testing.assert_allclose(np.diff(scipy.stats.norm.cdf(z)), 1 / n, rtol=1e-4)
    np.testing.assert_allclose(scipy.stats.norm.cdf([z[0], -z[-1]]), 0.5 / n, rtol=1e-4)


def test_the_points_of_a_plane_come_row_by_row_with_z1_along_the_row():
    points = evaluation.plane_points(torch.tensor([-1.0, 0.0, 3.0]))
    assert points.tolist() == [[z1, z2] for z2 in (-1, 0, 3) for z1 in (-1, 0, 3)]


# --- what the latents do -------------------------------------------------------------------------


def test_the_kl_per_dimension_is_that_of_torch_distributions_averaged_over_images(small_batches):
    mu = torch.logit(grey().flatten(1)[:, :3])
    expected = kl_divergence(Normal(mu, math.exp(-1)), Normal(torch.zeros_like(mu), 1.0)).mean(0)
    torch.testing.assert_close(evaluation.kl_per_dimension(Pixels(), grey()), expected)


# --- the two parts of the KL term ---------------------------------------------------------------


class Coded(nn.Module):
    """Posteriors of one's own: image n has the mean and log-variance of row n, whatever it shows.

    The images to hand in are `rows`, which hold nothing but their numbers.
    """

    def __init__(self, mu: Tensor, logvar: Tensor) -> None:
        super().__init__()
        self.mu, self.logvar = mu, logvar
        self.rows = torch.arange(len(mu)).view(-1, 1, 1, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mu[x.flatten()], self.logvar[x.flatten()]


@np.errstate(divide="ignore")  # beside one image there is no other
def by_loops(*tensors: Tensor) -> list[float]:
    """Mutual information, marginal KL and the least of it, of z, mu and logvar, one code at a time."""
    z, mu, logvar = (tensor.double().numpy() for tensor in tensors)
    parts = []
    for n in range(len(z)):
        log_q = scipy.stats.norm.logpdf(z[n], mu, np.exp(logvar / 2)).sum(1)
        prior = scipy.stats.norm.logpdf(z[n]).sum()
        aggregate = np.log(np.mean(np.exp(log_q)))
        others = np.log(np.exp(np.delete(log_q, n)).sum() / max(1, len(mu) - 1))
        parts.append([log_q[n] - aggregate, aggregate - prior, others - prior])
    return np.mean(parts, 0).tolist()


@pytest.mark.parametrize(
    ("images", "samples", "latent_dim"), [(1, 1, 1), (7, 7, 1), (13, 13, 4), (4, 4, 13), (9, 2, 2)]
)
def test_the_parts_of_the_kl_are_those_of_a_loop_over_pairs_of_images(
    images, samples, latent_dim, small_batches, monkeypatch
):
    mu, logvar, z = noise(3, images, latent_dim)
    monkeypatch.setattr(objectives, "reparameterize", lambda *_: z[:samples])
    model = Coded(mu, logvar)
    parts = evaluation.kl_decomposition(model, model.rows, samples=samples)
    expected = by_loops(z[:samples], mu, logvar)
    assert [*vars(parts).values()] == pytest.approx(expected, abs=1e-4)


def test_the_parts_of_the_kl_are_the_integrals_over_the_latent_line():
    """Four posteriors that occur unequally often; 4,000 samples, five standard errors."""
    counts = torch.tensor([1900, 200, 700, 1200])
    mu, logvar = torch.tensor([[-1.5, 0.0, 0.4, 2.0], [-1.0, 0.5, -3.0, -2.0]])
    model = Coded(*(numbers.repeat_interleave(counts).unsqueeze(1) for numbers in (mu, logvar)))
    parts = evaluation.kl_decomposition(model, model.rows, samples=4000)

    z, share = np.linspace(-8, 8, 20_001)[:, None], counts.numpy() / 4000
    log_q = scipy.stats.norm.logpdf(z, mu.numpy(), np.exp(logvar.numpy() / 2))
    joint = share * np.exp(log_q)
    aggregate = np.log(joint.sum(1, keepdims=True))
    for found, nats in (
        (parts.mutual_information, log_q - aggregate),
        (parts.marginal_kl, aggregate - scipy.stats.norm.logpdf(z)),
    ):
        mean, square = ((joint * nats**power).sum() * (z[1, 0] - z[0, 0]) for power in (1, 2))
        assert found == pytest.approx(mean, abs=5 * math.sqrt((square - mean**2) / 4000))


def test_the_parts_of_the_kl_do_not_depend_on_how_many_codes_are_taken_at_a_time(monkeypatch):
    """6,000 codes go through in pieces, 60 in one; equal posteriors give equal parts."""
    monkeypatch.setattr(objectives, "reparameterize", lambda mu, logvar: mu)
    mu, logvar = noise(2, 60, 3)
    model = Coded(mu.repeat(100, 1), logvar.repeat(100, 1))
    parts = evaluation.kl_decomposition(model, model.rows, samples=6000)
    expected = by_loops(mu, mu, logvar)[:2]
    assert [parts.mutual_information, parts.marginal_kl] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("deviations", "threshold", "active"),
    [
        ((0.0, 1.0, 0.05, 0.2, 3.0), {}, 3),
        ((0.09, 0.11), {}, 1),
        ((0.2, 0.4, 1.0), {"threshold": 0.1}, 2),
        ((0.0, 1e-3), {"threshold": 0.0}, 1),
    ],
    ids=str,
)
def test_units_are_active_whose_mean_varies_by_more_than_a_hundredth_or_the_threshold(
    deviations, threshold, active, small_batches
):
    mu = 5 + torch.tensor([[1.0], [-1.0]]).repeat(500, 1) * torch.tensor(deviations)
    model = Coded(mu, torch.zeros_like(mu))
    assert evaluation.active_units(model, model.rows, **threshold) == active


@every_model
def test_the_reconstruction_error_is_the_mean_square_over_pixels_and_images(name, small_batches):
    model, labels = model_and_labels(name)
    again = 1 / (1 + np.exp(-model(grey(), *labels).detach().numpy().astype(float)))
    expected = np.mean((again - grey().numpy()) ** 2)
    found = evaluation.reconstruction_error(model, grey(), *labels)
    assert type(found) is float and found == pytest.approx(expected, rel=1e-5)


# --- probes --------------------------------------------------------------------------------------

ACCURACIES = {"knn": evaluation.knn_accuracy, "linear probe": evaluation.linear_probe_accuracy}
every_accuracy = pytest.mark.parametrize("name", ACCURACIES)


def clusters(count: int, spread: float, seed: int) -> tuple[Tensor, Tensor]:
    """Points (count, 2) around four corners far apart, each corner a class."""
    corners = torch.tensor([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]])
    labels = torch.arange(count) % 4
    return corners[labels] + spread * noise(count, 2, seed=seed), labels


@every_accuracy
def test_the_share_is_of_test_points_for_the(name):
    """Three quarters of the test labels are wrong on purpose."""
    points, labels = clusters(80, 0.5, 1)
    wrong = torch.where(torch.arange(80) < 20, labels, (labels + 1) % 4)
    assert ACCURACIES[name](*clusters(80, 0.5, 0), points, wrong) == 0.25


@every_accuracy
def test_images_are_as_good_features_as_codes_to_the(name):
    images, labels = grey(40), torch.arange(40) % 2
    images[labels == 1, 0, :5, 20:] = 5.0
    assert ACCURACIES[name](images[:30], labels[:30], images[30:], labels[30:]) == 1


def test_knn_accuracy_is_that_of_the_majority_among_the_five_nearest():
    """Two classes and an odd number of neighbours: no ties."""
    train, test = noise(200, 3), noise(300, 3, seed=1)
    train_labels, test_labels = (train[:, 0] > 0).long(), (test[:, 0] > 0).long()
    nearest = torch.cdist(test, train).topk(5, largest=False).indices
    expected = (train_labels[nearest].mode(1).values == test_labels).float().mean().item()
    found = evaluation.knn_accuracy(train, train_labels, test, test_labels)
    assert found == pytest.approx(expected)


def test_a_linear_probe_does_not_mind_the_scale_of_a_feature():
    """The label is in the feature that is a million times smaller."""
    (train, train_labels), (test, test_labels) = clusters(200, 0.5, 0), clusters(100, 0.5, 1)
    scale = torch.tensor([1e-3, 1e3])
    assert evaluation.linear_probe_accuracy(train * scale, train_labels, test * scale, test_labels) == 1


def test_a_linear_probe_trusts_features_as_far_as_held_out_points_do():
    """On 250 points 200 features say the class, each of them little: far from all should be made of any."""
    points, labels = noise(1250, 200), torch.arange(1250) % 2
    points += 0.15 * labels.unsqueeze(1)
    found = evaluation.linear_probe_accuracy(points[:250], labels[:250], points[250:], labels[250:])
    probes = [LogisticRegression(C=C, max_iter=500).fit(points[:250], labels[:250]) for C in (0.001, 1)]
    cautious, trusting = (probe.score(points[250:], labels[250:]) for probe in probes)
    assert cautious > trusting + 0.03 and found > trusting + 0.03


def test_a_linear_probe_cannot_see_what_is_not_linear():
    train, test = noise(400, 2), noise(400, 2, seed=1)
    labels = [(points.prod(1) > 0).long() for points in (train, test)]
    assert evaluation.linear_probe_accuracy(train, labels[0], test, labels[1]) < 0.7


# --- holes ---------------------------------------------------------------------------------------


class Labelled(Pixels):
    """Its decoder shifts z by the label, its encoder takes the shift back."""

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = super().encode(x)
        return mu - y.unsqueeze(1), logvar

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        return super().decode(z + y.unsqueeze(1))


def test_a_round_trip_takes_the_label_there_and_back(small_batches):
    z, y = noise(COUNT, 3), torch.arange(COUNT) % 5 - 2
    error = evaluation.round_trip_error(Labelled(), z, y)
    torch.testing.assert_close(error, torch.zeros(COUNT), atol=1e-8, rtol=0)
    found = evaluation.round_trip_error(Labelled(gain=0.5), z, y)
    x, again = np.full((2, COUNT, 784), 0.5)
    x[:, :3] = scipy.special.expit((z + y.unsqueeze(1)).numpy())
    again[:, :3] = scipy.special.expit(0.5 * (z + y.unsqueeze(1)).numpy())
    np.testing.assert_allclose(found, ((again - x) ** 2).sum(1) / (x**2).sum(1), rtol=1e-3)


class Forgetful(Pixels):
    """Its encoder reads as 0 what is brighter: those points are holes."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = super().encode(x)
        return mu * (mu < 2), logvar


def test_the_hole_share_counts_the_points_that_are_lost():
    """Codes of 784 pixels, 3 of 20 beyond what Forgetful can read."""
    holes = torch.cat([torch.full((17, 784), 1.0), torch.full((3, 784), 4.0)])
    found = evaluation.hole_share(Forgetful(784), holes)
    assert found.mean == pytest.approx(3 / 20)
    assert found.standard_error == pytest.approx(math.sqrt(0.15 * 0.85 / 19))
    assert evaluation.hole_share(Forgetful(784), holes, threshold=0.99).mean == 0
    assert evaluation.hole_share(Pixels(784), holes).mean == 0


def test_a_loss_at_the_threshold_is_no_hole():
    assert evaluation.hole_share(Pixels(), torch.zeros(5, 3), threshold=0.0).mean == 0


# --- copies of training images -------------------------------------------------------------------


def test_the_distance_to_the_nearest_training_image_is_that_of_scipy(small_batches):
    images, known = noise(10, 1, 28, 28, seed=1).sigmoid(), grey()
    expected = scipy.spatial.distance.cdist(images.flatten(1), known.flatten(1), "cosine").min(1)
    assert evaluation.nearest_image_distance(images, known).tolist() == pytest.approx(expected, abs=1e-5)


# --- the mutual information gap ------------------------------------------------------------------


def whole_numbers(*shape: int, below: int, seed: int) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(5))
def test_shares_known_and_their_gap_are_those_of_scikit_learn_s_mutual_information(seed):
    """Sizes and numbers of values unequal, some values and most pairs missing, the best code not first."""
    factors = torch.tensor([3, 1, 3]) * whole_numbers(90, 3, below=4, seed=seed)
    noisy = factors[:, [2, 0, 1, 0]] // 2 + whole_numbers(90, 4, below=7, seed=seed + 10)
    codes = torch.cat([noisy, factors[:, [1]]], 1)
    shares = [[mutual_info_score(c, v) / mutual_info_score(v, v) for v in factors.T] for c in codes.T]
    assert evaluation.known_shares(codes, factors).tolist() == [pytest.approx(row) for row in shares]
    *_, second, largest = np.sort(shares, axis=0)
    gap = (largest - second).mean()
    assert evaluation.mutual_information_gap(codes, factors) == pytest.approx(gap, abs=1e-12)


def test_a_sampled_gap_is_that_of_densities_added_up_one_by_one():
    mu, logvar = 2 * noise(30, 3), noise(30, 3, seed=1) - 1
    factors = whole_numbers(30, 2, below=3, seed=0)
    torch.manual_seed(0)
    chosen = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:20]
    z = objectives.reparameterize(mu[chosen], logvar[chosen])
    gaps = []
    for factor in factors.T:
        information = []
        for j in range(3):
            ratios = []
            for n, value in zip(chosen, z[:, j], strict=True):
                density = Normal(mu[:, j], (logvar[:, j] / 2).exp()).log_prob(value).exp().double()
                ratios.append((density[factor == factor[n]].mean() / density.mean()).log())
            information.append(sum(ratios) / len(ratios))
        largest, second = sorted(information, reverse=True)[:2]
        gaps.append((largest - second) / scipy.stats.entropy(factor.bincount()))
    expected = sum(gaps) / len(gaps)
    assert evaluation.sampled_information_gap(mu, logvar, factors, samples=20) == pytest.approx(
        expected.item()
    )


def test_a_sampled_gap_of_very_narrow_and_very_wide_posteriors_is_that_in_float64(monkeypatch):
    """Densities of e^39 and of e^-66: float32 holds either, but not both beside each other."""
    monkeypatch.setattr(objectives, "reparameterize", lambda mu, logvar: mu)
    mu, logvar = noise(30, 3), torch.tensor([[-80.0], [130.0]]).repeat(15, 3)
    factors = whole_numbers(30, 2, below=3, seed=0)
    expected = evaluation.sampled_information_gap(mu.double(), logvar.double(), factors)
    assert evaluation.sampled_information_gap(mu, logvar, factors) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("bins", [1, 2, 20])
def test_bins_are_those_of_numpy_s_histogram_for_each_column(bins):
    means = noise(200, 3).double() * torch.tensor([0.1, 1.0, 30.0]) + torch.tensor([5.0, 0.0, -5.0])
    edges = [np.histogram(column, bins)[1][1:-1] for column in means.T.numpy()]
    expected = np.stack([np.digitize(c, e) for c, e in zip(means.T.numpy(), edges, strict=True)], 1)
    np.testing.assert_array_equal(evaluation.binned(means, bins).numpy(), expected)
    assert torch.equal(evaluation.binned(means), evaluation.binned(means, 20))


def test_a_column_without_spread_is_one_bin():
    means = torch.stack([torch.full((4,), 2.5), torch.arange(4.0)], 1)
    assert evaluation.binned(means, 2).tolist() == [[0, 0], [0, 0], [0, 1], [0, 1]]
