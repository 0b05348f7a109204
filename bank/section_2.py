"""Answers to section 2: gaussian_kl, reparameterize, monte_carlo_elbo, importance_weighted_bound,
what_is_my_beta."""

from __future__ import annotations

from bank.answers import Answer, edited

# --- 2.1 gaussian_kl --------------------------------------------------------------------------------

KL = """
def gaussian_kl(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
"""

KLS = [
    Answer("gaussian_kl", "vectorised", KL),
    Answer(
        "gaussian_kl",
        "torch.distributions",
        """
def gaussian_kl(mu, logvar):
    q = Normal(mu, torch.exp(logvar / 2))
    return kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu)))
""",
    ),
    Answer(
        "gaussian_kl",
        "a loop over images and dimensions, plain numbers",
        """
def gaussian_kl(mu, logvar):
    kl = torch.empty(mu.shape)
    for i in range(mu.shape[0]):
        for j in range(mu.shape[1]):
            m, sigma = mu[i, j].item(), math.exp(logvar[i, j].item() / 2)
            kl[i, j] = -math.log(sigma) + (sigma**2 + m**2) / 2 - 1 / 2
    return kl
""",
    ),
    Answer(
        "gaussian_kl",
        "NumPy inside, in float64",
        """
def gaussian_kl(mu, logvar, verbose=False):
    m, v = mu.numpy().astype(float), np.exp(logvar.numpy().astype(float))
    print("working")
    return torch.from_numpy((m**2 + v - np.log(v) - 1) / 2)
""",
    ),
    Answer(
        "gaussian_kl",
        "cross-entropy minus entropy",
        """
def gaussian_kl(mu, logvar):
    half_log = math.log(2 * math.pi) / 2
    cross_entropy = half_log + 0.5 * (mu.square() + logvar.exp())
    return cross_entropy - Normal(mu, logvar.exp().sqrt()).entropy()
""",
    ),
    Answer(
        "gaussian_kl",
        "an object that is called",
        """
class Divergence:
    def __call__(self, mu, logvar):
        return -0.5 * (1 + logvar - mu.pow(2) - torch.exp(logvar))

gaussian_kl = Divergence()
""",
    ),
]

WRONG_KLS = [
    *edited(
        "gaussian_kl",
        KL,
        [
            ("the size of mu", "mu**2", "mu.abs()", "not as its size"),
            (
                "softplus for sigma",
                "0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
                "0.5 * (mu**2 + F.softplus(logvar) ** 2 - 1 - 2 * F.softplus(logvar).log())",
                "looks like softplus",
            ),
            (
                "the 1/2 before the variance alone",
                "0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
                "mu**2 + 0.5 * (logvar.exp() - 1 - logvar)",
                "mu^2 lacks the 1/2",
            ),
            (
                "a list of right rows",
                "return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
                "return [*(0.5 * (mu**2 + logvar.exp() - 1 - logvar))]",
                "returned a list",
            ),
            ("the 1/2 forgotten", "0.5 * ", "", "twice what it should be"),
            ("the sign turned", "0.5", "-0.5", "negative of the KL"),
            (
                "logvar read as log sigma",
                "logvar.exp() - 1 - logvar",
                "(2 * logvar).exp() - 1 - 2 * logvar",
                "log sigma",
            ),
            ("summed over latent dimensions", "1 - logvar)", "1 - logvar).sum(1)", "Summed over latent"),
            ("averaged over latent dimensions", "1 - logvar)", "1 - logvar).mean(1)", "Averaged over latent"),
            ("summed over everything", "1 - logvar)", "1 - logvar).sum()", "Summed over everything"),
            ("averaged over everything", "1 - logvar)", "1 - logvar).mean()", "Averaged over everything"),
            ("the -1 forgotten", " - 1", "", "the term -1 is missing"),
            ("nothing returned", "return", "kl =", "returned None"),
            ("one column per image", "1 - logvar)", "1 - logvar).T", "have changed places"),
            ("a method that tensors lack", ".exp()", ".exponent()", "AttributeError"),
            (
                "sigma in place of the variance",
                "logvar.exp()",
                "(logvar / 2).exp()",
                "exp(logvar / 2) is sigma",
            ),
            (
                "logvar taken for the variance",
                "logvar.exp() - 1 - logvar",
                "logvar - 1 - logvar.log()",
                "NaN",
            ),
            ("mu not squared", "mu**2", "mu", "enters the KL squared"),
            ("mu forgotten", "mu**2 + ", "", "mu^2 is missing"),
            ("the logarithm added", "1 - logvar", "1 + logvar", "log sigma^2 has the wrong sign"),
            ("the 1 added", "- 1", "+ 1", "1 has the wrong sign"),
            ("mu changed in place", "mu**2", "mu.square_()", "in place"),
            (
                "logvar changed in place",
                "+ logvar.exp() - 1 - logvar",
                "- 1 - logvar + logvar.exp_()",
                "in place",
            ),
            (
                "a list of rows",
                "return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
                "return [mu, logvar]",
                "returned a list",
            ),
            ("the batch averaged", "1 - logvar)", "1 - logvar).mean(0)", "Averaged over the batch"),
            (
                "the first dimension alone",
                "1 - logvar)",
                "1 - logvar)[:, :1]",
                "Only the first entry along the second axis",
            ),
        ],
    ),
    Answer(
        "gaussian_kl",
        "the two distributions swapped",
        """
def gaussian_kl(mu, logvar):
    return kl_divergence(Normal(torch.zeros_like(mu), 1.0), Normal(mu, (logvar / 2).exp()))
""",
        "the two distributions are swapped",
    ),
]

# --- 2.2 reparameterize -----------------------------------------------------------------------------

SAMPLE = """
def reparameterize(mu, logvar, eps=None):
    sigma = (0.5 * logvar).exp()
    if eps is None:
        eps = torch.randn_like(mu)
    return mu + sigma * eps
"""

SAMPLES = [
    Answer("reparameterize", "vectorised", SAMPLE),
    Answer(
        "reparameterize",
        "torch.distributions where no noise is given",
        """
def reparameterize(mu, logvar, eps=None):
    q = Normal(mu, logvar.exp().sqrt())
    return q.rsample() if eps is None else q.loc + q.scale * eps
""",
    ),
    Answer(
        "reparameterize",
        "a loop over images",
        """
def reparameterize(mu, logvar, eps=None):
    rows = []
    for i in range(len(mu)):
        noise = torch.randn(mu.shape[1]) if eps is None else eps[i]
        rows.append(torch.addcmul(mu[i], torch.exp(logvar[i] / 2), noise))
    return torch.stack(rows)
""",
    ),
    Answer(
        "reparameterize",
        "a multivariate normal",
        """
def reparameterize(mu, logvar, eps=None):
    if eps is not None:
        return mu + torch.diag_embed((logvar / 2).exp()).matmul(eps.unsqueeze(-1)).squeeze(-1)
    scale = torch.diag_embed((logvar / 2).exp())
    return torch.distributions.MultivariateNormal(mu, scale_tril=scale).rsample()
""",
    ),
    Answer(
        "reparameterize",
        "noise from NumPy, worked on in place",
        """
def reparameterize(mu, logvar, eps=None):
    noise = torch.from_numpy(np.random.randn(*mu.shape)).to(mu.dtype) if eps is None else eps.clone()
    noise *= torch.sqrt(torch.exp(logvar))
    noise += mu
    return noise
""",
    ),
    Answer(
        "reparameterize",
        "an nn.Module that is called",
        """
class Sampler(nn.Module):
    def forward(self, mu, logvar, eps=None):
        noise = eps if eps is not None else torch.normal(0.0, 1.0, size=mu.shape)
        return mu + noise * math.e ** (logvar / 2)

reparameterize = Sampler()
""",
    ),
]

WRONG_SAMPLES = edited(
    "reparameterize",
    SAMPLE,
    [
        (
            "sigma held above 0.1",
            "(0.5 * logvar).exp()",
            "(0.5 * logvar).exp().clamp(min=0.1)",
            "kept above 0.1",
        ),
        ("softplus for sigma", "(0.5 * logvar).exp()", "F.softplus(logvar)", "looks like softplus"),
        ("the variance in place of sigma", "(0.5 * logvar).exp()", "logvar.exp()", "looks like exp(logvar)"),
        ("logvar in place of sigma", "(0.5 * logvar).exp()", "logvar", "looks like logvar itself"),
        ("the mean forgotten", "mu + sigma * eps", "sigma * eps", "mean is missing"),
        ("sigma forgotten", "sigma * eps", "eps", "sigma is missing"),
        ("the mean returned", "mu + sigma * eps", "mu", "noise is missing"),
        (
            "one noise for all images",
            "torch.randn_like(mu)",
            "torch.randn(mu.shape[1])",
            "Every image gets the same",
        ),
        (
            "one noise for all dimensions",
            "torch.randn_like(mu)",
            "torch.randn(len(mu), 1)",
            "All dimensions share",
        ),
        ("uniform noise", "torch.randn_like", "torch.rand_like", "is it torch.rand's?"),
        ("noise of the wrong width", "torch.randn_like(mu)", "3 * torch.randn_like(mu)", "sigma has mean"),
        (
            "sample averaged over dimensions",
            "mu + sigma * eps",
            "(mu + sigma * eps).mean(1)",
            "IndexError",
        ),
        (
            "torch.normal, which has no gradient",
            "mu + sigma * eps",
            "torch.normal(mu, sigma)",
            "No gradient arrives",
        ),
        ("nothing returned", "return", "z =", "returned None"),
        ("noise always expected", "if eps is None", "if len(eps) == 0", "TypeError"),
        ("the sample detached", "mu + sigma * eps", "(mu + sigma * eps).detach()", "No gradient arrives"),
        (
            "drawn under no_grad",
            "return mu + sigma * eps",
            "with torch.no_grad():\n        return mu + sigma * eps",
            "No gradient arrives",
        ),
        (
            "sigma detached",
            "(0.5 * logvar).exp()",
            "(0.5 * logvar).exp().detach()",
            "Only mu gets a gradient",
        ),
        ("the mean detached", "mu + sigma", "mu.detach() + sigma", "Only logvar gets a gradient"),
        (
            "the seed set inside",
            "torch.randn_like(mu)",
            "torch.randn(mu.shape, generator=torch.manual_seed(0))",
            "is a seed set",
        ),
        (
            "NumPy's seed set inside",
            "torch.randn_like(mu)",
            "torch.tensor(np.random.RandomState(0).randn(*mu.shape)).float()",
            "is a seed set",
        ),
        ("eps ignored", "if eps is None", "if True", "does it draw"),
        ("one number for all", "torch.randn_like(mu)", "torch.randn(1)", "Every image gets the same"),
        (
            "uniform noise of variance 1",
            "torch.randn_like(mu)",
            "math.sqrt(12) * (torch.rand_like(mu) - 0.5)",
            "is it normal",
        ),
        ("uniform noise around 0", "torch.randn_like(mu)", "2 * torch.rand_like(mu) - 1", "is it normal"),
        (
            "antithetic noise",
            "eps = torch.randn_like(mu)",
            "half = torch.randn_like(mu[len(mu) // 2 :])\n        eps = torch.cat([half, -half])[: len(mu)]",
            "mean 0 or spread 1",
        ),
        (
            "noise standardised over the batch",
            "eps = torch.randn_like(mu)",
            "eps = torch.randn_like(mu)\n        eps = (eps - eps.mean(0)) / eps.std(0)",
            "mean 0 or spread 1",
        ),
        (
            "noise standardised as a whole",
            "eps = torch.randn_like(mu)",
            "eps = torch.randn_like(mu)\n        eps = (eps - eps.mean()) / eps.std()",
            "noise of each call has mean 0 or spread 1",
        ),
        ("signs for noise", "torch.randn_like(mu)", "torch.randn_like(mu).sign()", "is it normal"),
        (
            "Laplace noise of variance 1",
            "torch.randn_like(mu)",
            "torch.distributions.Laplace(0.0, 0.5**0.5).sample(mu.shape)",
            "standard normal?",
        ),
        ("no noise without eps", "torch.randn_like(mu)", "torch.zeros_like(mu)", "No noise is drawn"),
        (
            "noise drawn with sigma and scaled again",
            "torch.randn_like(mu)",
            "torch.normal(0.0, sigma)",
            "looks like exp(logvar)",
        ),
        (
            "a posterior drawn and shifted again",
            "torch.randn_like(mu)",
            "torch.normal(mu, sigma)",
            "standard normal?",
        ),
        ("the noise subtracted", "mu + sigma", "mu - sigma", "noise is subtracted"),
        ("mean and sigma times noise", "mu + sigma * eps", "(mu + sigma) * eps", "multiplied by mu"),
        ("no exponential", "(0.5 * logvar).exp()", "0.5 * logvar", "exponential is missing"),
        (
            "a softplus of the half",
            "(0.5 * logvar).exp()",
            "F.softplus(0.5 * logvar)",
            "softplus(logvar / 2)",
        ),
        (
            "no sigma that is known",
            "(0.5 * logvar).exp()",
            "0.5 * F.softplus(0.5 * logvar)",
            "is sigma right, eps standard normal?",
        ),
        ("a root of logvar", "(0.5 * logvar).exp()", "logvar.sqrt()", "has no root"),
        ("mu changed in place", "return mu + sigma * eps", "mu += sigma * eps\n    return mu", "in place"),
        ("eps changed in place", "sigma * eps", "eps.mul_(sigma)", "in place"),
        ("a pair returned", "mu + sigma * eps", "mu + sigma * eps, eps", "returned a tuple"),
        (
            "NumPy returned",
            "mu + sigma * eps",
            "(mu + sigma * eps).detach().numpy()",
            "a tensor is asked for",
        ),
    ],
)

# --- 2.3 monte_carlo_elbo ---------------------------------------------------------------------------

ELBO = """
def monte_carlo_elbo(decode, x, mu, logvar, eps):
    log_likelihoods = []
    for noise in eps:
        x_logits = decode(mu + (0.5 * logvar).exp() * noise)
        per_pixel = -F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")
        log_likelihoods.append(per_pixel.flatten(1).sum(1))
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
    return torch.stack(log_likelihoods).mean(0) - kl
"""

ELBOS = [
    Answer("monte_carlo_elbo", "a loop over samples", ELBO),
    Answer(
        "monte_carlo_elbo",
        "all samples in one batch",
        """
def monte_carlo_elbo(decode, x, mu, logvar, eps):
    samples, n, d = eps.shape
    z = (mu + torch.exp(logvar / 2) * eps).reshape(samples * n, d)
    logits = decode(z).reshape(samples, n, -1)
    pixels = x.reshape(1, n, -1)
    log_likelihood = (pixels * F.logsigmoid(logits) + (1 - pixels) * F.logsigmoid(-logits)).sum(-1)
    return log_likelihood.mean(dim=0) + 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1)
""",
    ),
    Answer(
        "monte_carlo_elbo",
        "torch.distributions",
        """
def monte_carlo_elbo(decode, x, mu, logvar, eps):
    q, p = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)
    total = sum(Bernoulli(logits=decode(q.mean + q.stddev * e)).log_prob(x).sum((1, 2, 3)) for e in eps)
    return total / len(eps) - kl_divergence(q, p).sum(-1)
""",
    ),
    Answer(
        "monte_carlo_elbo",
        "an object that is called, image by image",
        """
class Bound:
    def one(self, decode, x, mu, logvar, eps):
        z = mu + (0.5 * logvar).exp() * eps
        targets = x.expand(len(eps), 1, 28, 28)
        reconstruction = F.binary_cross_entropy_with_logits(decode(z), targets, reduction="sum") / len(eps)
        return -reconstruction - 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()

    def __call__(self, decode, x, mu, logvar, eps):
        return torch.stack([self.one(decode, x[i], mu[i], logvar[i], eps[:, i]) for i in range(len(x))])

monte_carlo_elbo = Bound()
""",
    ),
]

_BOUND = "torch.stack(log_likelihoods).mean(0) - kl"

WRONG_ELBOS = edited(
    "monte_carlo_elbo",
    ELBO,
    [
        ("noise in double precision", "in eps", "in eps.double()", "the same dtype"),
        ("as many samples as images", "in eps", "in eps[: len(x)]", "As many samples count"),
        ("the best sample", ".mean(0)", ".amax(0)", "The best sample counts alone"),
        (
            "the last sample over S",
            "torch.stack(log_likelihoods).mean(0)",
            "log_likelihoods[-1] / len(eps)",
            "The last sample alone",
        ),
        ("the loss in place of the bound", _BOUND, f"-({_BOUND})", "This is -ELBO"),
        ("the KL added", "mean(0) - kl", "mean(0) + kl", "KL is added"),
        (
            "the cross-entropy's own mean",
            "per_pixel.flatten(1).sum(1)",
            "per_pixel.mean()",
            "pixels and images",
        ),
        (
            "log p(x|z) of the batch",
            "per_pixel.flatten(1).sum(1)",
            "per_pixel.sum()",
            "summed over the batch",
        ),
        ("divided by the images", ".mean(0) - kl", ".sum(0) / len(x) - kl", "number of images divides"),
        ("the KL forgotten", "mean(0) - kl", "mean(0)", "KL term is missing"),
        ("pixels averaged", "flatten(1).sum(1)", "flatten(1).mean(1)", "Averaged over pixels"),
        ("samples summed", "mean(0) - kl", "sum(0) - kl", "Summed over samples"),
        ("the first sample alone", "in eps:", "in eps[:1]:", "Only the first sample"),
        ("averaged over the batch", _BOUND, f"({_BOUND}).mean()", "Averaged over the batch"),
        ("one value per sample and image", ".mean(0)", "", "One value per sample"),
        (
            "the variance in place of sigma",
            "(0.5 * logvar).exp()",
            "logvar.exp()",
            "sigma looks like exp(logvar)",
        ),
        ("logvar in place of sigma", "(0.5 * logvar).exp()", "logvar", "sigma looks like logvar itself"),
        ("nothing returned", "return", "elbo =", "returned None"),
        ("the cross-entropy taken for log p", "= -F.", "= F.", "first term has the wrong sign"),
        (
            "the last sample alone",
            f"    return {_BOUND}",
            "    return log_likelihoods[-1] - kl",
            "Only the last sample",
        ),
        (
            "returned inside the loop",
            "        log_likelihoods.append(per_pixel.flatten(1).sum(1))",
            "        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)\n"
            "        return per_pixel.flatten(1).sum(1) - kl",
            "Only the first sample",
        ),
        ("no noise", " * noise", " * 0", "noise is missing"),
        ("one noise for all images", "* noise", "* noise[0]", "All images share one noise"),
        ("noise of its own", "* noise", "* torch.randn_like(mu)", "does it draw"),
        (
            "the KL in every sample and once more",
            "sum(1))\n    kl",
            "sum(1) - 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1))\n    kl",
            "counts double",
        ),
        (
            "the KL once for every sample",
            "mean(0) - kl",
            "mean(0) - len(eps) * kl",
            "counts once for every sample",
        ),
        ("samples summed, the KL too", _BOUND, "(torch.stack(log_likelihoods) - kl).sum(0)", "the KL too"),
        ("the KL's 1/2 forgotten", "kl = 0.5 * ", "kl = ", "1/2 missing"),
        (
            "the KL's logvar read as log sigma",
            "logvar.exp() - 1 - logvar",
            "(2 * logvar).exp() - 1 - 2 * logvar",
            "read it as log sigma",
        ),
        ("the KL's -1 forgotten", " - 1 -", " -", "the term -1 is missing"),
        ("latent dimensions averaged", "logvar).sum(1)", "logvar).mean(1)", "averaged over latent"),
        ("the KL summed over the batch", "logvar).sum(1)", "logvar).sum()", "summed over the batch"),
        (
            "the KL averaged over the batch",
            "logvar).sum(1)",
            "logvar).sum(1).mean()",
            "averaged over the batch",
        ),
        (
            "the log of the mean",
            "torch.stack(log_likelihoods).mean(0)",
            "torch.stack(log_likelihoods).logsumexp(0) + math.log(1 / len(eps))",
            "log of the mean likelihood",
        ),
        (
            "logits through a sigmoid twice",
            "with_logits(x_logits,",
            "with_logits(x_logits.sigmoid(),",
            "sigmoid twice",
        ),
        (
            "logits taken for probabilities",
            "binary_cross_entropy_with_logits",
            "binary_cross_entropy",
            "RuntimeError",
        ),
        (
            "a squared error",
            '-F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")',
            "-(x_logits.sigmoid() - x)**2",
            "squared error",
        ),
        ("images and logits swapped", "(x_logits, x,", "(x, x_logits,", "changed places"),
        (
            "mu changed in place",
            "mu + (0.5 * logvar).exp() * noise",
            "mu.clone().add_((0.5 * logvar).exp() * noise) + 0 * x.neg_().neg_().clamp_(max=0.5).sum()",
            "in place",
        ),
        ("a number for the first image", _BOUND, f"({_BOUND})[0]", "the first of the entries"),
        (
            "all noise at once in a decoder for batches",
            "in eps:",
            "in [eps.permute(1, 2, 0)]:",
            "RuntimeError",
        ),
    ],
)

# --- 2.4 importance_weighted_bound ------------------------------------------------------------------

BOUND = """
def importance_weighted_bound(log_w):
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))
"""

BOUNDS = [
    Answer("importance_weighted_bound", "logsumexp", BOUND),
    Answer(
        "importance_weighted_bound",
        "the largest weight taken out by hand",
        """
def importance_weighted_bound(log_w):
    largest = log_w.max(dim=0).values
    return largest + (log_w - largest).exp().mean(0).log()
""",
    ),
    Answer(
        "importance_weighted_bound",
        "a loop over images and samples",
        """
def importance_weighted_bound(log_w):
    bounds = []
    for column in log_w.T.tolist():
        total = -math.inf
        for value in column:
            total = np.logaddexp(total, value)
        bounds.append(total - math.log(len(column)))
    return torch.tensor(bounds, dtype=log_w.dtype)
""",
    ),
    Answer(
        "importance_weighted_bound",
        "a normalising constant and SciPy",
        """
from scipy.special import logsumexp
def importance_weighted_bound(log_w, *, axis=0):
    k = log_w.size(axis)
    return torch.as_tensor(logsumexp(log_w.numpy(), axis=axis, b=1 / k))
""",
    ),
    Answer(
        "importance_weighted_bound",
        "torch.distributions, a mixture with equal weights",
        """
def importance_weighted_bound(log_w):
    equal = torch.distributions.Categorical(logits=torch.zeros_like(log_w.T))
    return (equal.logits + log_w.T).logsumexp(dim=-1)
""",
    ),
]

_K = "math.log(len(log_w))"

WRONG_BOUNDS = edited(
    "importance_weighted_bound",
    BOUND,
    [
        (
            "a mean of means",
            "return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))",
            "mean = log_w[0]\n    for row in log_w[1:]:\n"
            "        mean = torch.logaddexp(mean, row) - math.log(2)\n    return mean",
            "averaged with the mean of those before",
        ),
        ("K is 2", "len(log_w)", "2", "K is taken to be 2"),
        ("the largest weight as one of K", "torch.logsumexp(log_w, dim=0)", "log_w.amax(0)", "as one of K"),
        (
            "the largest weight taken out and not put back",
            f" - {_K}",
            f" - {_K} - log_w.amax(0)",
            "not put back",
        ),
        ("log K forgotten", f" - {_K}", "", "- log K is missing"),
        (
            "the mean of the logarithms",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "log_w.mean(0)",
            "mean of the log-weights",
        ),
        ("the axes swapped", f"dim=0) - {_K}", "dim=1) - math.log(log_w.shape[1])", "axes are swapped"),
        ("K taken for the size of the batch", "len(log_w)", "log_w.shape[1]", "size of the batch"),
        (
            "log-weights averaged by their own weights",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "(log_w.softmax(0) * log_w).sum(0)",
            "their own softmax",
        ),
        ("the sign of the logsumexp", "return", "return -1 *", "log K is not"),
        (
            "the largest weight of all images taken out",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "(log_w - log_w.max()).exp().mean(0).log() + log_w.max()",
            "each image's own",
        ),
        (
            "a loss without log K",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "-torch.logsumexp(log_w, 0)",
            "its log K is missing",
        ),
        (
            "the negative bound",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            f"{_K} - torch.logsumexp(log_w, 0)",
            "negative of the bound",
        ),
        (
            "averaged over images",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            f"(torch.logsumexp(log_w, 0) - {_K}).mean()",
            "Averaged over images",
        ),
        (
            "exp first, log later",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "log_w.exp().mean(0).log()",
            "infinite here",
        ),
        (
            "the smallest weight taken out",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "log_w.min(0).values + (log_w - log_w.min(0).values).exp().mean(0).log()",
            "infinite here",
        ),
        ("the samples kept", "dim=0", "dim=0, keepdim=True", "axis is still there"),
        (
            "losses weighted by a softmax",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "(torch.softmax(-log_w, 0) * log_w).sum(0)",
            "softmax is taken over losses",
        ),
        ("+log p as the nll", "logsumexp(log_w", "logsumexp(-log_w", "they are no losses"),
        (
            "signs turned twice",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            f"{_K} - torch.logsumexp(-log_w, 0)",
            "worst sample counts most",
        ),
        ("log K added", "- math", "+ math", "log K is added"),
        ("K in place of log K", _K, "len(log_w)", "not its logarithm"),
        ("divided by K outside", f" - {_K}", " / len(log_w)", "K divides the logarithm"),
        (
            "the logarithms summed",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "log_w.sum(0)",
            "sum of the log-weights",
        ),
        (
            "the largest weight alone",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "log_w.max(0).values",
            "Only the largest weight",
        ),
        ("summed over images", "dim=0", "dim=1", "axes are swapped"),
        (
            "everything thrown together",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "torch.logsumexp(log_w.flatten(), 0) - math.log(log_w.numel())",
            "thrown together",
        ),
        (
            "the weight in place of its logarithm",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "log_w.exp().mean(0)",
            "its logarithm is asked for",
        ),
        (
            "the input worked on in place",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "log_w.max(0).values.clone() + log_w.sub_(log_w.max(0).values).exp().mean(0).log()",
            "in place",
        ),
        ("nothing returned", "return", "bound =", "returned None"),
        ("math.log of a tensor", "len(log_w)", "log_w", "Your code stopped"),
    ],
)

# --- 2.6 what_is_my_beta ----------------------------------------------------------------------------

BETA = """
def what_is_my_beta(reconstruction, kl, pixels, latent_dim, sigma):
    beta = 1.0
    if reconstruction == "mean":
        beta *= pixels
    if kl == "mean":
        beta /= latent_dim
    if sigma is not None:
        beta /= 2 * sigma**2
    return beta
"""

BETAS = [
    Answer("what_is_my_beta", "one factor after another", BETA),
    Answer(
        "what_is_my_beta",
        "one expression, a tensor returned",
        """
def what_is_my_beta(reconstruction, kl, pixels, latent_dim, sigma):
    of_reconstruction = {"sum": 1.0, "mean": 1 / pixels}[reconstruction]
    of_kl = {"sum": 1.0, "mean": 1 / latent_dim}[kl]
    gaussian = 1 if sigma is None else 2 * sigma**2
    return torch.tensor(of_kl / of_reconstruction / gaussian, dtype=torch.double)
""",
    ),
    Answer(
        "what_is_my_beta",
        "an object that is called, logarithms added",
        """
class Beta:
    def __call__(self, reconstruction, kl, pixels, latent_dim, sigma=None):
        log_beta = (reconstruction == "mean") * np.log(pixels) - (kl == "mean") * np.log(latent_dim)
        if sigma:
            log_beta -= np.log(2) + 2 * np.log(sigma)
        return np.exp(log_beta)

what_is_my_beta = Beta()
""",
    ),
    Answer(
        "what_is_my_beta",
        "the losses of a unit of each term compared",
        """
def what_is_my_beta(reconstruction, kl, pixels, latent_dim, sigma):
    units = torch.ones(pixels, dtype=torch.double)
    nats = units.sum()
    if sigma is not None:
        density = Normal(torch.zeros_like(units), sigma)
        nats = (density.log_prob(0 * units) - density.log_prob(units)).sum()
    written = units.sum() if reconstruction == "sum" else units.mean()
    of_kl = 1 / latent_dim if kl == "mean" else 1
    return float(of_kl * nats / written)
""",
    ),
]

WRONG_BETAS = edited(
    "what_is_my_beta",
    BETA,
    [
        (
            "a sigma of 1 taken for none",
            "if sigma is not None:",
            "if sigma not in (None, 1):",
            "sigma of 1 is not None",
        ),
        (
            "None taken for a sigma of 1",
            "if sigma is not",
            "sigma = sigma or 1.0\n    if sigma is not",
            "sigma of 1: the",
        ),
        ("128 latent dimensions assumed", "beta /= latent_dim", "beta /= 128", "128 is hard-coded"),
        ("the KL's mean over pixels", "beta /= latent_dim", "beta /= pixels", "not over pixels"),
        ("no brackets", "beta /= 2 * sigma**2", "beta *= 1 / 2 * sigma**2", "brackets are missing"),
        ("whole division", "beta /= latent_dim", "beta //= latent_dim", "Whole division"),
        (
            "the lesson's sizes written in",
            'mean":\n        beta *= pixels\n    if kl == "mean":\n        beta /= latent_dim',
            'mean":\n        beta *= 784\n    if kl == "mean":\n        beta /= 20',
            "and 784 in place of the pixels",
        ),
        ("the inverse", "return beta", "return 1 / beta", "This is the inverse"),
        ("divided by the pixels", "beta *= pixels", "beta /= pixels", "makes beta larger"),
        (
            "the mean over latent dimensions ignored",
            "beta /= latent_dim",
            "pass",
            "divides the KL term",
        ),
        ("the 2 of the Gaussian forgotten", "2 * sigma**2", "sigma**2", "the 2 is missing"),
        ("sigma not squared", "sigma**2", "sigma", "sigma enters squared"),
        ("always 1", "return beta", "return 1.0", "It is 1 here"),
        ("784 pixels assumed", "beta *= pixels", "beta *= 784", "784 pixels are hard-coded"),
        ("one number for each loss", "return beta", "return [beta, beta]", "expected ()"),
        ("nothing returned", "return beta", "return", "returned None"),
        ("sigma always squared", "if sigma is not None:", "if True:", "TypeError"),
        ("the mean over pixels ignored", "beta *= pixels", "pass", "divides the reconstruction"),
        (
            "multiplied by the latent dimensions",
            "beta /= latent_dim",
            "beta *= latent_dim",
            "makes beta smaller",
        ),
        ("sigma ignored", "beta /= 2 * sigma**2", "pass", "sigma makes no difference"),
        ("multiplied by the variance", "beta /= 2 * sigma**2", "beta *= 2 * sigma**2", "divide by it"),
        ("sum and mean confused", '"mean"', '"sum"', "the wrong way round"),
        (
            "20 latent dimensions assumed",
            "beta /= latent_dim",
            "beta /= 20",
            "20 is hard-coded",
        ),
        (
            "a Gaussian that ends early",
            "beta = 1.0",
            "if sigma is not None:\n        return 1 / (2 * sigma**2)\n    beta = 1.0",
            "count for a squared error as well",
        ),
        ("only one reduction looked at", "    if kl", "    elif kl", "divides the KL term"),
    ],
)

RIGHT = KLS + SAMPLES + ELBOS + BOUNDS + BETAS
WRONG_SAMPLES += [
    Answer(
        "reparameterize",
        f"the sample of {name}, cut off from mu and logvar",
        f"""
def reparameterize(mu, logvar, eps=None):
    sigma = (logvar / 2).exp()
    if eps is None:
        return {code}
    return mu + sigma * eps
""",
        "Without eps: No gradient arrives",
    )
    for name, code in (
        ("a Normal", "Normal(mu, sigma).sample()"),
        ("torch.normal", "torch.normal(mu, sigma)"),
    )
]
WRONG_BETAS += [
    Answer(
        "what_is_my_beta",
        name,
        f"""
def what_is_my_beta(reconstruction, kl, pixels, latent_dim, sigma=None):
    beta = (pixels if reconstruction == "mean" else 1) / (latent_dim if kl == "mean" else 1)
{code}
""",
        hint,
    )
    for name, code, hint in (
        (
            "sigma forgotten where only the reconstruction is a mean",
            "    if reconstruction == 'mean' and kl == 'sum':\n        return float(pixels)\n"
            "    return beta / (2 * sigma**2) if sigma else beta",
            "sigma makes no difference here: it counts in every squared error. (Not everywhere:",
        ),
        (
            "the KL's mean forgotten for a Gaussian",
            "    return (pixels if reconstruction == 'mean' else 1) / (2 * sigma**2) if sigma else beta",
            "The mean over latent dimensions divides the KL term",
        ),
        ("never below 1", "    return max(beta / (2 * sigma**2 if sigma else 1), 1)", "or is 1 a limit?"),
        ("sigma taken for 1", "    return beta / (2 if sigma else 1)", "sigma counts as 1 here"),
        (
            "a result kept for other sizes",
            "    beta = beta / (2 * sigma**2) if sigma else beta\n"
            "    return KEPT.setdefault((reconstruction, kl, sigma), beta)\n\nKEPT = {}",
            "The second model gets what the first should",
        ),
    )
]

# From strangers' answers.
_KL_FLOOR = "(0.5 * (mu**2 + logvar.exp() - 1 - logvar)).clamp(min=0.5)"
_MEAN = "torch.stack(log_likelihoods).mean(0)"
_MIXED = "torch.stack(log_likelihoods).view(len(x), -1).mean(1)"
WRONG_KLS += edited(
    "gaussian_kl",
    KL,
    [
        (
            "the first image's logvar",
            "return",
            "logvar = logvar[:1].expand_as(mu)\n    return",
            "first image's logvar",
        ),
        ("free bits", "0.5 * (mu**2 + logvar.exp() - 1 - logvar)", _KL_FLOOR, "free bits"),
        ("log sigma for log sigma^2", " - logvar", " - (logvar / 2).exp().log()", "which is logvar itself"),
        (
            "brackets forgotten",
            "0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
            "-0.5 * 1 + logvar - mu**2 - logvar.exp()",
            "brackets are missing",
        ),
        ("the exponential forgotten", "logvar.exp()", "logvar", "is the exponential missing"),
        (
            "logvar taken for sigma",
            "logvar.exp() - 1 - logvar",
            "logvar**2 - 1 - torch.log(logvar**2)",
            "read it as sigma",
        ),
        ("NumPy returned", " - logvar)", " - logvar).numpy()", "a tensor is asked for"),
        ("a factor near 1", " - logvar)", " - logvar) * 1.0005", "1.0005 times"),
        ("logvar clamped", "return", "logvar = logvar.clamp(-10, 10)\n    return", "between -10 and 10"),
        (
            "an epsilon in the logarithm",
            " - logvar",
            " - (logvar.exp() + 1e-6).log()",
            "added to the variance",
        ),
        (
            "one sample in place of the closed form",
            "return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
            "q = Normal(mu, (logvar / 2).exp())\n    z = q.sample()\n"
            "    return q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)",
            "does it draw",
        ),
        (
            "half precision inside",
            "return",
            "mu, logvar = mu.half(), logvar.half()\n    return",
            "half precision",
        ),
    ],
)
WRONG_SAMPLES += edited(
    "reparameterize",
    SAMPLE,
    [
        ("the exponent negative", "0.5 * logvar", "-0.5 * logvar", "exponent has the wrong sign"),
        (
            "the mean where gradients are off",
            "    sigma =",
            "    if not torch.is_grad_enabled():\n        return mu\n    sigma =",
            "The noise is missing",
        ),
        (
            "the mean without eps where gradients are off",
            "    sigma =",
            "    if eps is None and not torch.is_grad_enabled():\n        return mu\n    sigma =",
            "With gradients off it returns mu",
        ),
        (
            "sigma detached for noise of its own",
            "    sigma =",
            "    logvar = logvar.detach() if eps is None else logvar\n    sigma =",
            "Without eps: Only mu gets a gradient",
        ),
    ],
)
WRONG_SAMPLES += [
    Answer(
        "reparameterize",
        "eps taken and not used",
        """
def reparameterize(mu, logvar, eps=None):
    return mu + (0.5 * logvar).exp() * torch.randn_like(mu)
""",
        "Where `eps` is 0 it is not mu",
    ),
]
WRONG_ELBOS += edited(
    "monte_carlo_elbo",
    ELBO,
    [
        ("samples of one image taken for images", _MEAN, _MIXED, "Samples and images are mixed up"),
        (
            "codes averaged",
            "for noise in eps",
            "for noise in eps.mean(0, True)",
            "Codes or logits are averaged",
        ),
        ("a tenth of the KL", "kl = 0.5 * ", "kl = 0.05 * ", "In the sum the KL counts"),
        ("the KL halved twice", "kl = 0.5 * ", "kl = 0.25 * ", "or halved twice"),
        ("free bits for an image", "mean(0) - kl", "mean(0) - kl.clamp(min=1)", "An image costs 1 or more"),
        (
            "free bits",
            "0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
            "(0.5 * (mu**2 + logvar.exp() - 1 - logvar)).clamp(min=0.3)",
            "A dimension costs 0.3 or more",
        ),
        (
            "probabilities averaged",
            "    return torch.stack(log_likelihoods).mean(0)",
            """    codes = [mu + (0.5 * logvar).exp() * noise for noise in eps]
    p = torch.stack([decode(z).sigmoid() for z in codes]).mean(0)
    return -F.binary_cross_entropy(p, x, reduction="none").flatten(1).sum(1)""",
            "Probabilities of pixels are averaged",
        ),
        (
            "probabilities with an epsilon",
            '-F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")',
            "(x_logits.sigmoid() + 1e-6).log() * x + (1 - x_logits.sigmoid() + 1e-6).log() * (1 - x)",
            "added to probabilities",
        ),
        (
            "the KL of the samples",
            "sum(1))\n    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)",
            "sum(1) - ((mu + (0.5 * logvar).exp() * noise) ** 2 - noise**2 - logvar).sum(1) / 2)\n    kl = 0",
            "KL is that of the samples",
        ),
        ("sigma forgotten", "(0.5 * logvar).exp() * noise", "noise", "sigma is missing"),
    ],
)
_FLAT = """
def monte_carlo_elbo(decode, x, mu, logvar, eps):
    s, n, d = eps.shape
    centre, spread = mu.repeat(s, 1), (logvar / 2).exp().repeat(s, 1)
    logits = decode(centre + spread * eps.reshape(s * n, d))
    nll = objectives.bernoulli_nll(logits, x.repeat(s, 1, 1, 1))
    return -nll.view(s, n).mean(0) - objectives.gaussian_kl(mu, logvar).sum(1)
"""
_ONE_BY_ONE = _FLAT.replace(".repeat(s, 1)", ".repeat_interleave(s, 0)")
WRONG_ELBOS += [
    *edited(
        "monte_carlo_elbo",
        _FLAT,
        [
            (
                "images repeated one by one",
                "x.repeat(s, 1, 1, 1)",
                "x.repeat_interleave(s, 0)",
                "codes of one image are compared with another",
            )
        ],
    ),
    Answer(
        "monte_carlo_elbo", "q repeated one by one", _ONE_BY_ONE, "q of one image meets the noise of another"
    ),
    Answer(
        "monte_carlo_elbo",
        "all but the noise repeated one by one",
        _ONE_BY_ONE.replace("x.repeat(s, 1, 1, 1)", "x.repeat_interleave(s, 0)").replace(
            "view(s, n).mean(0)", "view(n, s).mean(1)"
        ),
        "noise of one image goes to another",
    ),
]
WRONG_BOUNDS += edited(
    "importance_weighted_bound",
    BOUND,
    [
        ("the logarithm to base 2", _K, "math.log2(len(log_w))", "has base 2"),
        ("one image squeezed", "dim=0)", "dim=0).squeeze()", "shape is not"),
        ("the log of all entries", "len(log_w)", "log_w.numel()", "logarithm of the number of images"),
        ("K + 1", _K, "math.log(len(log_w) + 1)", "K + 1 divides"),
        ("K without weights of 0", _K, "log_w.isfinite().sum(0).log()", "left out of K"),
        ("two samples at most", "return", "log_w = log_w[:2]\n    return", "first two samples"),
        ("log-weights clamped", "logsumexp(log_w,", "logsumexp(log_w.clamp(min=-1000),", "raised to -1000"),
        (
            "a sum that starts from 0",
            "torch.logsumexp(log_w, dim=0)",
            "torch.logsumexp(torch.cat([0 * log_w[:1], log_w]), dim=0)",
            "starts from a log-weight of 0",
        ),
        (
            "a small constant in the logarithm",
            f"torch.logsumexp(log_w, dim=0) - {_K}",
            "(log_w.exp().mean(0) + 1e-12).log()",
            "lost on the way? (Not everywhere:",
        ),
        ("weights of sum 1", f"log_w, dim=0) - {_K}", "log_w.log_softmax(0), dim=0)", "It is 0 throughout."),
        (
            "the first weight taken out",
            "torch.logsumexp(log_w, dim=0)",
            "log_w[0] + (log_w - log_w[0]).exp().sum(0).log()",
            "not the first",
        ),
        (
            "the mean log-weight taken out",
            "torch.logsumexp(log_w, dim=0)",
            "log_w.mean(0) + (log_w - log_w.mean(0)).exp().sum(0).log()",
            "take each image's largest weight out",
        ),
    ],
)

WRONG = WRONG_KLS + WRONG_SAMPLES + WRONG_ELBOS + WRONG_BOUNDS + WRONG_BETAS
