"""Every number the lessons quote.

Likelihoods and bounds are in nats per image; accuracies are shares of test images. A standard error is that
of an average over images, and `paired_difference` compares two models by it; how far trainings differ by
chance, it does not say. No function here trains a course model or changes its mode for good.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils import objectives, progress
from course_utils.models import Model, judged

RESULT_MIME = "application/vnd.vae-course.result+json"
BATCH = 1000
WEIGHED = 50  # images whose importance weights are drawn together ...
ROWS = {"cpu": 1000, "cuda": 100_000, "mps": 20_000}  # ... and how many of their codes are decoded at a time
# A processor is quickest while they fit in its cache, a GPU while there are enough to fill it.


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` images with its standard error."""

    mean: float
    standard_error: float
    count: int

    @classmethod
    def of(cls, values: Tensor) -> "Estimate":
        """From one value per image, (N,) with N > 1."""
        values = values.double()
        return cls(values.mean().item(), (values.std() / math.sqrt(len(values))).item(), len(values))

    def __repr__(self) -> str:
        return f"{self.mean:.2f} ± {self.standard_error:.2f}"


class Share(Estimate):
    """The mean of truth values. Of N that are all false the share is below 3 / N, with 95% confidence."""

    def __repr__(self) -> str:
        if self.mean == 0:
            return f"at most {3 / self.count:.2%} (none of {self.count:,})"
        return f"{self.mean:.1%} ± {self.standard_error:.1%}"


@dataclass(frozen=True)
class TestElbo:
    """-ELBO of a model on held-out images, its parts, each image's; nats per image. Lower is better."""

    model: str
    data: str
    negative_elbo: Estimate
    reconstruction: float
    kl: float
    per_image: Tensor = field(compare=False)  # (N,)

    def __repr__(self) -> str:
        parts = f"{self.reconstruction:.2f} reconstruction + {self.kl:.2f} KL"
        bound, images = self.negative_elbo, f"{self.negative_elbo.count:,} images"
        return f"{self.model} on {self.data}: test -ELBO {bound} nats per image = {parts} ({images})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The sentence for the reader, the numbers for the report at the end of `course run`."""
        bound = self.negative_elbo
        numbers = {"negative_elbo": bound.mean, "standard_error": bound.standard_error, "images": bound.count}
        names = ("model", "data", "reconstruction", "kl")
        return {"text/plain": repr(self), RESULT_MIME: {n: getattr(self, n) for n in names} | numbers}


def paired_difference(one: TestElbo, other: TestElbo) -> Estimate:
    """-ELBO of one model less that of another, image by image: what makes an image hard for both cancels."""
    return Estimate.of(one.per_image - other.per_image)


def _batches(*data: Tensor, size: int = BATCH) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(size) for tensor in data), strict=True)


def test_elbo(
    model: Model, images: Tensor, *condition: Tensor, model_name: str, data_name: str, seed: int = 0
) -> TestElbo:
    """-ELBO with one sample of z per image; `condition` holds the labels for a CVAE."""
    reconstructions, kls = [], []
    with judged(model, seed):
        for x, *y in _batches(images, *condition):
            mu, logvar = model.encode(x, *y)
            z = objectives.reparameterize(mu, logvar)
            reconstructions.append(objectives.bernoulli_nll(model.decode(z, *y), x))
            kls.append(objectives.gaussian_kl(mu, logvar).sum(1))
    reconstruction, kl = torch.cat(reconstructions), torch.cat(kls)
    each, parts = reconstruction + kl, (reconstruction.mean().item(), kl.mean().item())
    return TestElbo(model_name, data_name, Estimate.of(each), *parts, per_image=each)


def binarize(images: Tensor, seed: int = 0) -> Tensor:
    """Each pixel 1 with probability its grey value: (N, 1, 28, 28) of 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.bernoulli(images.cpu(), generator=generator).to(images.device)


def log_likelihood(model: Model, images: Tensor, *condition: Tensor, samples: int, seed: int = 0) -> Estimate:
    """Importance-weighted estimate of log p(x), a lower bound in expectation (Burda et al. 2016).

    At most ROWS codes are decoded at a time, and only the log of the weights' sum is kept, in float64. Raises
    ValueError unless the images are binary: on grey ones the Bernoulli is no density.
    """
    if not ((images == 0) | (images == 1)).all():
        raise ValueError("log p(x) of a Bernoulli decoder needs images of 0 and 1: binarize them first")
    bounds = []
    with judged(model, seed), progress.bar(len(images), "images") as bar:
        for x, *y in _batches(images, *condition, size=WEIGHED):
            log_sum = torch.full((len(x),), -math.inf, dtype=torch.float64)
            most = max(1, ROWS[x.device.type] // len(x))
            for done in range(0, samples, most):
                log_w = objectives.log_weights(model, x, min(most, samples - done), *y).cpu().double()
                log_sum = torch.logaddexp(log_sum, torch.logsumexp(log_w, dim=0))
            bounds.append(log_sum - math.log(samples))
            bar.update(len(x))
    return Estimate.of(torch.cat(bounds))


def log_joint(model: Model, images: Tensor, z: Tensor) -> Tensor:
    """log p(x|z) + log p(z) of every binary image with every code: (N, M), nats.

    Over codes z (M, latent_dim) on a fine grid its log-sum-exp plus the log of a cell's area is log p(x).
    """
    pixels, parts = images.flatten(1), []
    with judged(model):
        for (codes_,) in _batches(z, size=10 * BATCH):
            x_logits = model.decode(codes_).flatten(1)
            parts.append(pixels @ x_logits.T - F.softplus(x_logits).sum(1))
    zero = torch.zeros_like(z)
    return torch.cat(parts, dim=1) + objectives.gaussian_log_density(z, zero, zero)


def bits_per_dimension(nats: float, pixels: int = 784) -> float:
    """A negative log-likelihood in nats per image as bits per pixel."""
    return nats / (pixels * math.log(2))


def pixel_entropy(images: Tensor) -> Estimate:
    """Entropy of the grey values read as probabilities: the floor of the cross-entropy, nats per image."""
    p = images.flatten(1)
    return Estimate.of(torch.special.entr(p).sum(1) + torch.special.entr(1 - p).sum(1))


def posterior(model: Model, images: Tensor, *condition: Tensor) -> tuple[Tensor, Tensor]:
    """mu and logvar of q(z|x) for every image, each (N, latent_dim)."""
    with judged(model):
        pairs = [model.encode(x, *y) for x, *y in _batches(images, *condition)]
    return torch.cat([mu for mu, _ in pairs]), torch.cat([logvar for _, logvar in pairs])


def codes(model: Model, images: Tensor, *condition: Tensor) -> Tensor:
    """One point per image, (N, latent_dim): the autoencoder's code, or the mean of q(z|x)."""
    with judged(model):
        encoded = [model.encode(x, *y) for x, *y in _batches(images, *condition)]
    return torch.cat([code[0] if isinstance(code, tuple) else code for code in encoded])


def decode(model: Model, z: Tensor, *condition: Tensor) -> Tensor:
    """Decoded images in [0, 1], (N, 1, 28, 28): for a VAE the mean of p(x|z)."""
    with judged(model):
        return torch.cat([model.decode(part, *y).sigmoid() for part, *y in _batches(z, *condition)])


def interpolate(z_start: Tensor, z_end: Tensor, steps: int, *, spherical: bool = False) -> Tensor:
    """A walk from one code (latent_dim,) to another, both included: (steps, latent_dim).

    Straight, or along an arc that keeps the length where both ends have the same (Shoemake 1985; White 2016,
    arXiv:1609.04468), which is the line where they point the same or opposite ways.
    """
    t = torch.linspace(0, 1, steps, device=z_start.device).unsqueeze(1)
    angle = torch.acos(F.cosine_similarity(z_start, z_end, dim=0).clamp(-1, 1))
    if not spherical or angle.sin() < 1e-4:
        return (1 - t) * z_start + t * z_end
    return (((1 - t) * angle).sin() * z_start + (t * angle).sin() * z_end) / angle.sin()


def normal_quantiles(n: int) -> Tensor:
    """n coordinates (n,) with equal shares of N(0, 1) between them: the quantiles of (i + 1/2) / n."""
    return torch.special.ndtri((torch.arange(n) + 0.5) / n)


def plane_points(coordinates: Tensor) -> Tensor:
    """All pairs of n coordinates, (n * n, 2): at place i * n + j (coordinates[j], coordinates[i])."""
    z2, z1 = torch.meshgrid(coordinates, coordinates, indexing="ij")
    return torch.stack([z1, z2], dim=-1).view(-1, 2)


def kl_per_dimension(model: Model, images: Tensor, *condition: Tensor) -> Tensor:
    """KL(q(z_j|x) || p(z_j)) averaged over images, (latent_dim,), nats."""
    return objectives.gaussian_kl(*posterior(model, images, *condition)).mean(0)


@dataclass(frozen=True)
class KlDecomposition:
    """The two parts of the mean KL(q(z|x) || p(z)), nats per image, whose sum estimates it; and a bound."""

    mutual_information: float
    marginal_kl: float
    least_marginal_kl: float


def kl_decomposition(model: Model, images: Tensor, seed: int = 0, samples: int = 2000) -> KlDecomposition:
    """What the code says about the image, and how far all codes together are from the prior.

    With one z_n ~ q(z|x_n) for each of the first `samples` images and the aggregate posterior q(z) = (1/N)
    sum_m q(z|x_m) of all N, the means of log q(z_n|x_n) - log q(z_n) and of log q(z_n) - log p(z_n) (Hoffman
    & Johnson 2016). As z_n's own image is one of the N, the first is at most log N. On average it is too
    small, the second too large; without that image log q(z_n) is too small, and so is the second,
    `least_marginal_kl` (Poole et al. 2019, arXiv:1905.06922). More images narrow the gap.
    """
    mu, logvar = posterior(model, images)
    with judged(model, seed):
        z = objectives.reparameterize(mu[:samples], logvar[:samples]).cpu().double()
    mu, logvar = mu.cpu().double(), logvar.cpu().double()
    own = objectives.gaussian_log_density(z, mu[:samples], logvar[:samples])
    prior = objectives.gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z))
    precision = (-logvar).exp()
    constant = (mu**2 * precision + logvar + math.log(2 * math.pi)).sum(1)
    others = torch.empty_like(own)
    for rows in torch.arange(len(z)).split(max(1, 10_000_000 // len(mu))):  # tables of some 100 MB
        table = z[rows] @ (mu * precision).T - (z[rows] ** 2 @ precision.T + constant) / 2  # log q(z_n|x_m)
        table[torch.arange(len(rows)), rows] = -math.inf
        others[rows] = torch.logsumexp(table, dim=1)
    aggregate = torch.logaddexp(own, others) - math.log(len(mu))
    without_own = others - math.log(max(1, len(mu) - 1))
    parts = own - aggregate, aggregate - prior, without_own - prior
    return KlDecomposition(*(part.mean().item() for part in parts))


def active_units(model: Model, images: Tensor, *condition: Tensor, threshold: float = 0.01) -> int:
    """Latent dimensions whose posterior mean varies over images by more than `threshold` (Burda et al.)."""
    return int((codes(model, images, *condition).var(0) > threshold).sum())


def reconstruction_error(model: Model, images: Tensor, *condition: Tensor) -> float:
    """Mean squared error per pixel of the reconstruction without noise."""
    return F.mse_loss(decode(model, codes(model, images, *condition), *condition), images).item()


def knn_accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Share of test points that the majority of their five nearest training points classifies rightly."""
    from sklearn.neighbors import KNeighborsClassifier  # here, as it takes longer to import than PyTorch

    return _accuracy(KNeighborsClassifier(5), train, train_labels, test, test_labels)


def linear_probe_accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Share of test points that a logistic regression, its C chosen on held-out ones, classifies rightly."""
    from sklearn import linear_model, model_selection, pipeline, preprocessing

    regression = linear_model.LogisticRegression(max_iter=500)
    probe = pipeline.make_pipeline(preprocessing.StandardScaler(), regression)
    choices = {"logisticregression__C": [0.001, 0.01, 0.1, 1]}
    held_out = model_selection.ShuffleSplit(1, test_size=0.2, random_state=0)
    classifier = model_selection.GridSearchCV(probe, choices, cv=held_out)
    return _accuracy(classifier, train, train_labels, test, test_labels)


def _accuracy(classifier: Any, *tensors: Tensor) -> float:
    train, train_labels, test, test_labels = (tensor.cpu().numpy() for tensor in tensors)
    classifier.fit(train.reshape(len(train), -1), train_labels)
    return float(classifier.score(test.reshape(len(test), -1), test_labels))


def round_trip_error(model: Model, z: Tensor, *condition: Tensor) -> Tensor:
    """How much of a decoded point the model's own encoder loses: |decode(encode(x)) - x|^2 / |x|^2, (N,).

    Near 0 where x = decode(z) is like what the encoder was trained on; large where it has never met the like.
    """
    x = decode(model, z, *condition)
    again = decode(model, codes(model, x, *condition), *condition)
    return (again - x).flatten(1).square().sum(1) / x.flatten(1).square().sum(1)


def hole_share(model: Model, z: Tensor, threshold: float = 0.1) -> Estimate:
    """Share of the points z that are holes: their decoding loses more than `threshold` on a round trip."""
    return Share.of((round_trip_error(model, z) > threshold).float())


def nearest_image_distance(images: Tensor, training_images: Tensor) -> Tensor:
    """1 - the cosine of the angle between an image and the training image most like it: (N,), 0 to 1."""
    known = F.normalize(training_images.flatten(1))
    cosines = [(F.normalize(part.flatten(1)) @ known.T).amax(1) for (part,) in _batches(images)]
    return 1 - torch.cat(cosines)


def binned(means: Tensor, bins: int = 20) -> Tensor:
    """Every column of (N, d) cut into `bins` of equal width between its extremes: int64, 0 to bins - 1."""
    means = means.double()
    lowest, highest = means.aminmax(dim=0)
    width = (highest - lowest).clamp(min=torch.finfo(means.dtype).tiny)  # of a column without spread
    return ((means - lowest) / width * bins).long().clamp(max=bins - 1)


def mutual_information_gap(codes: Tensor, factors: Tensor) -> float:
    """How far, for each factor, the code that knows most about it is ahead of the next: from 0 to 1.

    `codes` (N, d) and `factors` (N, k) are int64 and not negative, with d > 1 and factors that vary:

        MIG = mean over factors v of (I(c_1; v) - I(c_2; v)) / H(v)

    where c_1 and c_2 have the largest mutual information with v of all codes. With codes from `binned`
    posterior means this is the protocol of disentanglement_lib (Locatello et al. 2019). Chen et al. (2018,
    arXiv:1802.04942), whose score it is, sample q(z|x) instead; the two differ on one model.
    """
    return _mean_gap(known_shares(codes, factors))


def known_shares(codes: Tensor, factors: Tensor) -> Tensor:
    """What each code knows about each factor, I(c; v) / H(v) of those of `mutual_information_gap`: (d, k)."""
    # A number of its own for every pair of values, of every code with every factor: (N, d, k).
    pairs = codes.unsqueeze(2) * (factors.amax(0) + 1) + factors.unsqueeze(1)
    joint = _entropies(pairs.flatten(1)).view(pairs.shape[1:])
    information = _entropies(codes).unsqueeze(1) + _entropies(factors) - joint
    return information / _entropies(factors)


def sampled_information_gap(mu: Tensor, logvar: Tensor, factors: Tensor, samples: int = 1000) -> float:
    """The mutual information gap by the protocol of Chen et al. 2018: samples of q(z|x), no bins.

    As `mutual_information_gap`, but for posteriors (N, d), and with I(z_j; v) = H(z_j) - H(z_j | v). The
    density of z_j is the mean of q(z_j|x) over all N images, that of z_j given v the mean over those with
    this v; each entropy is minus the mean of its log over one draw of q(z_j|x) for each of `samples` images.
    """
    chosen = torch.randperm(len(mu), generator=torch.Generator().manual_seed(0))[:samples]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = objectives.reparameterize(mu[chosen], logvar[chosen])
    groups = [F.one_hot(factor).to(mu.dtype) for factor in factors.T]  # (N, values) each
    information = torch.zeros(mu.shape[1], len(groups), dtype=torch.float64)
    for j in range(mu.shape[1]):
        # (S, N): the density of each draw of z_j under each image's posterior, the highest set to 1
        density = objectives.gaussian_log_density(z[:, j, None, None], mu[:, j, None], logvar[:, j, None])
        density = (density - density.amax(1, keepdim=True)).exp()
        aggregate = density.mean(1).log()
        for k, group in enumerate(groups):
            own = group[chosen].bool()
            given = ((density @ group)[own] / group.sum(0).expand_as(own)[own]).log()
            information[j, k] = (given - aggregate).double().mean()
    return _mean_gap(information / _entropies(factors))


def _mean_gap(shares: Tensor) -> float:
    """The lead of the best code over the next, averaged over factors; shares (d, k) as in `known_shares`."""
    largest, second = shares.topk(2, dim=0).values
    return (largest - second).mean().item()


def _entropies(columns: Tensor) -> Tensor:
    """Of the shares in which the numbers of each column (N, k), int64 and not negative, occur: (k,), nats."""
    shares = (column.bincount().double() / len(column) for column in columns.T)
    return torch.stack([torch.special.entr(share).sum() for share in shares])
