"""Answers to section 3: MyVAE, vae_loss, vae_train_step, test_elbo, estimate_log_likelihood."""

from __future__ import annotations

from bank.answers import Answer, edited

# --- 3.1 MyVAE --------------------------------------------------------------------------------------

VAE = """
class MyVAE(nn.Module):
    def __init__(self, latent_dim=20):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU())
        self.fc_mu = nn.Linear(256, latent_dim)
        self.fc_logvar = nn.Linear(256, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784)
        )

    def encode(self, x):
        hidden = self.encoder(x.flatten(1))
        return self.fc_mu(hidden), self.fc_logvar(hidden)

    def decode(self, z):
        return self.decoder(z).view(-1, 1, 28, 28)
"""

VAES = [
    Answer("MyVAE", "two nn.Sequential and two heads", VAE),
    Answer(
        "MyVAE",
        "one head of twice the width, cut in two",
        """
class MyVAE(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(),
            nn.Linear(256, 2 * latent_dim),
        )
        self.decode = nn.Sequential(
            nn.Linear(latent_dim, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784),
            nn.Unflatten(1, (1, 28, 28)),
        )

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)
""",
    ),
    Answer(
        "MyVAE",
        "layers made in a loop, functional activations",
        """
class MyVAE(nn.Module):
    def __init__(self, latent_dim=20):
        super().__init__()
        self.down = nn.ModuleList(nn.Linear(a, b) for a, b in [(784, 512), (512, 256)])
        self.up = nn.ModuleList(nn.Linear(a, b) for a, b in [(latent_dim, 256), (256, 512)])
        self.heads = nn.ModuleDict({name: nn.Linear(256, latent_dim) for name in ("mu", "logvar")})
        self.out = nn.Linear(512, 28 * 28)

    def encode(self, x):
        x = x.reshape(x.shape[0], -1)
        for layer in self.down:
            x = F.relu(layer(x))
        return self.heads["mu"](x), self.heads["logvar"](x)

    def decode(self, z):
        for layer in self.up:
            z = torch.relu(layer(z))
        return self.out(z).reshape(len(z), 1, 28, 28)
""",
    ),
    Answer(
        "MyVAE",
        "an encoder and a decoder class, lists returned",
        """
class Encoder(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        self.a, self.b = nn.Linear(784, 512), nn.Linear(512, 256)
        self.mu, self.logvar = nn.Linear(256, latent_dim), nn.Linear(256, latent_dim)

    def forward(self, x):
        hidden = self.b(self.a(x.view(-1, 784)).relu()).relu()
        return [self.mu(hidden), self.logvar(hidden)]

class Decoder(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(latent_dim, 256), nn.Linear(256, 512), nn.Linear(512, 784)

    def forward(self, z):
        return self.c(self.b(self.a(z).relu()).relu()).view(-1, 1, 28, 28)

class MyVAE(nn.Module):
    def __init__(self, latent_dim=20):
        super().__init__()
        self.encode, self.decode = Encoder(latent_dim), Decoder(latent_dim)
""",
    ),
]

_DECODE = "return self.decoder(z).view(-1, 1, 28, 28)"
_HEADS = "return self.fc_mu(hidden), self.fc_logvar(hidden)"

WRONG_VAES = edited(
    "MyVAE",
    VAE,
    [
        (
            "one head for both",
            "self.fc_logvar = nn.Linear(256, latent_dim)",
            "self.fc_logvar = self.fc_mu",
            "One head serves for both",
        ),
        ("mu returned twice", _HEADS, "return self.fc_mu(hidden), self.fc_mu(hidden)", "the same numbers"),
        ("ReLU on logvar", "self.fc_logvar(hidden)", "F.relu(self.fc_logvar(hidden))", "never goes below 0"),
        (
            "exp of logvar returned",
            "self.fc_logvar(hidden)",
            "self.fc_logvar(hidden).exp()",
            "never goes below 0",
        ),
        (
            "minus softplus on logvar",
            "self.fc_logvar(hidden)",
            "-F.softplus(self.fc_logvar(hidden))",
            "never goes above 0",
        ),
        ("sigmoid at the end", _DECODE, f"{_DECODE}.sigmoid()", "leave the sigmoid"),
        ("ReLU at the end", _DECODE, f"{_DECODE}.relu()", "(or ReLU) away"),
        (
            "a layer of the decoder left out",
            "nn.Linear(latent_dim, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784)",
            "nn.Linear(latent_dim, 512), nn.ReLU(), nn.Linear(512, 784)",
            "Largest difference",
        ),
        ("flat images", ".view(-1, 1, 28, 28)", "", "expected (8,)"),
        ("latent size fixed", "nn.Linear(latent_dim", "nn.Linear(20", "Your code stopped"),
        ("batch size fixed", "view(-1, 1", "view(5, 1", "Your code stopped"),
        ("images not flattened", "x.flatten(1)", "x", "Your code stopped"),
        (
            "mu detached",
            "self.fc_mu(hidden), ",
            "self.fc_mu(hidden).detach(), ",
            "gradients reach every weight",
        ),
        ("encode returns nothing", _HEADS, "self.fc_mu(hidden), self.fc_logvar(hidden)", "NoneType"),
        ("super().__init__() forgotten", "super().__init__()", "pass", "Your code stopped"),
    ],
)

# --- 3.2 vae_loss -----------------------------------------------------------------------------------

LOSS = """
def vae_loss(x_logits, x, mu, logvar):
    pixels = F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")
    reconstruction = pixels.flatten(1).sum(1).mean()
    kl = (0.5 * (mu**2 + logvar.exp() - 1 - logvar)).sum(1).mean()
    return reconstruction + kl, reconstruction, kl
"""

LOSSES = [
    Answer("vae_loss", "sum within an image, mean over images", LOSS),
    Answer(
        "vae_loss",
        "everything summed, then divided by the batch",
        """
def vae_loss(x_logits, x, mu, logvar):
    r = F.binary_cross_entropy_with_logits(x_logits, x, reduction="sum") / x.shape[0]
    k = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / x.shape[0]
    return r + k, r, k
""",
    ),
    Answer(
        "vae_loss",
        "torch.distributions, a list returned",
        """
def vae_loss(x_logits, x, mu, logvar):
    r = -Bernoulli(logits=x_logits).log_prob(x).sum((1, 2, 3)).mean()
    k = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean()
    return [r + k, r, k]
""",
    ),
    Answer(
        "vae_loss",
        "a loop over images, plain numbers",
        """
def vae_loss(x_logits, x, mu, logvar):
    r = k = 0.0
    for logits, image, m, v in zip(x_logits, x, mu, logvar):
        r += (F.softplus(logits) - image * logits).sum().item() / len(x)
        k += sum(0.5 * (a**2 + math.exp(b) - 1 - b) for a, b in zip(m.tolist(), v.tolist())) / len(x)
    return r + k, r, k
""",
    ),
]

WRONG_LOSSES = edited(
    "vae_loss",
    LOSS,
    [
        ("both terms summed over the batch", "sum(1).mean()", "sum()", "sums over the batch"),
        ("pixels averaged", "pixels.flatten(1).sum(1).mean()", "pixels.mean()", "mean over pixels"),
        ("latent dimensions averaged", "logvar)).sum(1).mean()", "logvar)).mean()", "mean over latent"),
        ("both terms plain means", "sum(1).mean()", "mean()", "Both are means"),
        (
            "the KL summed over the batch",
            "logvar)).sum(1).mean()",
            "logvar)).sum()",
            "Only the reconstruction",
        ),
        ("the reconstruction summed over the batch", "flatten(1).sum(1).mean()", "sum()", "Only the KL"),
        ("the 1/2 of the KL forgotten", "0.5 * ", "", "lacks its 1/2"),
        ("the KL negative", "0.5", "-0.5", "wrong sign"),
        ("the KL subtracted", "reconstruction + kl", "reconstruction - kl", "subtracts the KL"),
        (
            "logits clamped into probabilities",
            "binary_cross_entropy_with_logits(x_logits, x",
            "binary_cross_entropy(x_logits.clamp(0, 1), x",
            "treated as probabilities",
        ),
        ("logits taken for probabilities", "_with_logits", "", "between 0 and 1"),
        (
            "the loss alone",
            "return reconstruction + kl, reconstruction, kl",
            "return reconstruction + kl",
            "Your code stopped",
        ),
        ("the loss forgotten in the triple", "kl, reconstruction, kl", "kl, kl", "expected (3,)"),
        ("nothing returned", "return reconstruction", "loss = reconstruction", "NoneType"),
    ],
)

# --- 3.3 vae_train_step -----------------------------------------------------------------------------

STEP = """
def vae_train_step(model, optimizer, x):
    mu, logvar = model.encode(x)
    z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
    x_logits = model.decode(z)
    reconstruction = F.binary_cross_entropy_with_logits(x_logits, x, reduction="sum") / len(x)
    kl = (0.5 * (mu**2 + logvar.exp() - 1 - logvar)).sum(1).mean()
    loss = reconstruction + kl
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
"""

STEPS = [
    Answer("vae_train_step", "written out", STEP),
    Answer(
        "vae_train_step",
        "the course's negative_elbo",
        """
def vae_train_step(model, optimizer, x):
    terms = objectives.negative_elbo(model, x)
    optimizer.zero_grad()
    terms.loss.backward()
    optimizer.step()
    return terms.loss.item()
""",
    ),
    Answer(
        "vae_train_step",
        "torch.distributions, gradients cleared at the end",
        """
def vae_train_step(model, optimizer, x):
    mu, logvar = model.encode(x)
    q = Normal(mu, (logvar / 2).exp())
    log_likelihood = Bernoulli(logits=model.decode(q.rsample())).log_prob(x).flatten(1).sum(1)
    loss = -(log_likelihood - kl_divergence(q, Normal(0.0, 1.0)).sum(1)).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()
""",
    ),
    Answer(
        "vae_train_step",
        "an object that is called, gradients collected image by image",
        """
class Step:
    def loss(self, model, x):
        mu, logvar = model.encode(x)
        logits = model.decode(torch.distributions.Normal(mu, logvar.exp().sqrt()).rsample())
        nll = (F.softplus(logits) - x * logits).sum()
        return nll + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()

    def __call__(self, model, optimizer, x):
        model.zero_grad()
        total = 0.0
        for image in x.split(1):
            loss = self.loss(model, image) / len(x)
            loss.backward()
            total += float(loss)
        optimizer.step()
        return total

vae_train_step = Step()
""",
    ),
]

WRONG_STEPS = edited(
    "vae_train_step",
    STEP,
    [
        ("backward forgotten", "loss.backward()", "pass", "weights did not move"),
        ("step forgotten", "optimizer.step()", "pass", "weights did not move"),
        (
            "step before backward",
            "loss.backward()\n    optimizer.step()",
            "optimizer.step()\n    loss.backward()",
            "weights did not move",
        ),
        ("the ELBO minimised", "loss.backward()", "(-loss).backward()", "goes uphill"),
        (
            "loss summed over the batch",
            "loss.backward()",
            "(len(x) * loss).backward()",
            "summed over the batch",
        ),
        ("gradients never cleared", "optimizer.zero_grad()", "pass", "The old gradient is still there"),
        ("pixels averaged", '"sum") / len(x)', '"mean")', "Largest difference"),
        ("nothing returned", "return loss.item()", "loss.item()", "returned None"),
        (
            "the loss of each image returned",
            "return loss.item()",
            "return loss.expand(len(x))",
            "expected ()",
        ),
        (
            "z detached",
            "torch.randn_like(mu)",
            "torch.randn_like(mu)\n    z = z.detach()",
            "Largest difference",
        ),
        ("no_grad around the step", "def vae", "@torch.no_grad()\ndef vae", "Your code stopped"),
    ],
)

# --- 3.4 test_elbo ----------------------------------------------------------------------------------

EVALUATION = """
def test_elbo(model, images, batch_size):
    model.eval()
    values = []
    with torch.no_grad():
        for x in images.split(batch_size):
            mu, logvar = model.encode(x)
            x_logits = model.decode(objectives.reparameterize(mu, logvar))
            kl = objectives.gaussian_kl(mu, logvar).sum(1)
            values.append(-objectives.bernoulli_nll(x_logits, x) - kl)
    elbo = torch.cat(values)
    return elbo.mean().item(), (elbo.std() / math.sqrt(len(elbo))).item()
"""

EVALUATIONS = [
    Answer("test_elbo", "values of all batches joined", EVALUATION),
    Answer(
        "test_elbo",
        "torch.distributions, a tensor returned",
        """
@torch.no_grad()
def test_elbo(model, images, batch_size):
    was_training = model.training
    model.eval()
    values = torch.empty(len(images))
    for start in range(0, len(images), batch_size):
        x = images[start:start + batch_size]
        mu, logvar = model.encode(x)
        q = Normal(mu, (logvar / 2).exp())
        log_likelihood = Bernoulli(logits=model.decode(q.sample())).log_prob(x).sum((1, 2, 3))
        values[start:start + batch_size] = log_likelihood - kl_divergence(q, Normal(0.0, 1.0)).sum(1)
    model.train(was_training)
    return torch.stack([values.mean(), values.std() / len(values) ** 0.5])
""",
    ),
    Answer(
        "test_elbo",
        "running sums over batches of a DataLoader",
        """
def test_elbo(model, images, batch_size):
    model.eval()
    count, total, squares = 0, 0.0, 0.0
    for x in torch.utils.data.DataLoader(images, batch_size):
        mu, logvar = model.encode(x)
        logits = model.decode(mu + (logvar / 2).exp() * torch.randn_like(mu))
        nll = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
        elbo = -(nll + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)).detach().double()
        count, total, squares = count + len(x), total + elbo.sum(), squares + (elbo**2).sum()
    mean = total / count
    return float(mean), math.sqrt((squares / count - mean**2) / (count - 1))
""",
    ),
    Answer(
        "test_elbo",
        "an object that is called, image by image in NumPy",
        """
class Evaluation:
    def __init__(self):
        self.values = []

    def add(self, model, x):
        mu, logvar = (t.detach() for t in model.encode(x))
        kl = objectives.gaussian_kl(mu, logvar).sum().item()
        nll = objectives.bernoulli_nll(model.decode(mu), x).item()
        self.values.append(-nll - kl)

def test_elbo(model, images, batch_size):
    model.train(False)
    evaluation = Evaluation()
    for image in images:
        evaluation.add(model, image[None])
    return np.mean(evaluation.values), np.std(evaluation.values, ddof=1) / np.sqrt(len(images))
""",
    ),
]

_VALUE = "-objectives.bernoulli_nll(x_logits, x) - kl"
_ERROR = "(elbo.std() / math.sqrt(len(elbo)))"

WRONG_EVALUATIONS = [
    *edited(
        "test_elbo",
        EVALUATION,
        [
            ("the loss in place of the bound", _VALUE, f"-({_VALUE})", "This is the loss, -ELBO"),
            (
                "the mean of the batches' means",
                "elbo.mean().item()",
                "sum(v.mean().item() for v in values) / len(values)",
                "mean of the batches' means",
            ),
            ("only the first batch", "- kl)\n", "- kl)\n            break\n", "Only the first batch"),
            (
                "the last, smaller batch left out",
                "images.split(batch_size)",
                "(b for b in images.split(batch_size) if len(b) == min(batch_size, len(images)))",
                "last, smaller batch",
            ),
            ("the standard deviation", _ERROR, "elbo.std()", "That is the standard deviation"),
            ("divided by N, not by its root", "math.sqrt(len(elbo))", "len(elbo)", "divides by sqrt(N)"),
            ("the KL forgotten", f"{_VALUE}", "-objectives.bernoulli_nll(x_logits, x)", "KL term is missing"),
            ("training mode", "model.eval()", "pass", "still in training mode"),
            ("the error forgotten", f", {_ERROR}.item()", "", "Your code stopped"),
            ("one value per image", f"elbo.mean().item(), {_ERROR}.item()", "elbo", "expected (2,)"),
            ("nothing returned", "return", "result =", "NoneType"),
        ],
    ),
]

# --- 3.5 estimate_log_likelihood --------------------------------------------------------------------

LIKELIHOOD = """
def estimate_log_likelihood(model, x, eps):
    mu, logvar = model.encode(x)
    zeros = torch.zeros_like(mu)
    log_w = []
    for noise in eps:
        z = objectives.reparameterize(mu, logvar, noise)
        log_likelihood = -objectives.bernoulli_nll(model.decode(z), x)
        log_prior = objectives.gaussian_log_density(z, zeros, zeros)
        log_q = objectives.gaussian_log_density(z, mu, logvar)
        log_w.append(log_likelihood + log_prior - log_q)
    return torch.logsumexp(torch.stack(log_w), dim=0) - math.log(len(eps))
"""

LIKELIHOODS = [
    Answer("estimate_log_likelihood", "a loop over samples", LIKELIHOOD),
    Answer(
        "estimate_log_likelihood",
        "torch.distributions, all samples at once",
        """
def estimate_log_likelihood(model, x, eps):
    k, n, d = eps.shape
    mu, logvar = model.encode(x)
    q = Normal(mu, (logvar / 2).exp())
    z = q.mean + q.stddev * eps
    logits = model.decode(z.view(k * n, d)).view(k, *x.shape)
    log_w = Bernoulli(logits=logits).log_prob(x).flatten(2).sum(2)
    log_w = log_w + (Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)).sum(2)
    return log_w.logsumexp(0) - np.log(k)
""",
    ),
    Answer(
        "estimate_log_likelihood",
        "the constants of the two densities cancelled",
        """
@torch.no_grad()
def estimate_log_likelihood(model, x, eps):
    mu, logvar = model.encode(x)
    z = mu + (logvar / 2).exp() * eps
    nll = torch.stack([objectives.bernoulli_nll(model.decode(row), x) for row in z])
    log_w = -nll - (z**2).sum(-1) / 2 + (eps**2).sum(-1) / 2 + logvar.sum(-1) / 2
    best = log_w.amax(0)
    return best + (log_w - best).exp().mean(0).log()
""",
    ),
    Answer(
        "estimate_log_likelihood",
        "an object that is called, image by image",
        """
class Estimate:
    def weight(self, model, x, mu, logvar, noise):
        sigma = torch.exp(0.5 * logvar)
        z = mu + sigma * noise
        log_likelihood = Bernoulli(logits=model.decode(z[None])).log_prob(x[None]).sum()
        return log_likelihood + Normal(0.0, 1.0).log_prob(z).sum() - Normal(mu, sigma).log_prob(z).sum()

    def __call__(self, model, x, eps):
        mu, logvar = model.encode(x)
        rows = [
            torch.stack([self.weight(model, x[i], mu[i], logvar[i], noise[i]) for noise in eps])
            for i in range(len(x))
        ]
        return torch.stack([torch.logsumexp(row, 0) - math.log(len(row)) for row in rows])

estimate_log_likelihood = Estimate()
""",
    ),
]

_WEIGHT = "log_likelihood + log_prior - log_q"
_BOUND = "torch.logsumexp(torch.stack(log_w), dim=0) - math.log(len(eps))"

WRONG_LIKELIHOODS = edited(
    "estimate_log_likelihood",
    LIKELIHOOD,
    [
        ("log K forgotten", " - math.log(len(eps))", "", "- log K is missing"),
        ("K taken for the number of images", "len(eps)", "len(x)", "not the number of images"),
        ("the mean of the logarithms", _BOUND, "torch.stack(log_w).mean(0)", "mean of the log-weights"),
        ("the prior forgotten", _WEIGHT, "log_likelihood - log_q", "lacks the prior"),
        ("q forgotten", _WEIGHT, "log_likelihood + log_prior", "lacks q(z|x)"),
        ("the likelihood alone", _WEIGHT, "log_likelihood", "p(x|z) alone"),
        ("q multiplied", "- log_q", "+ log_q", "it must divide"),
        ("the negative log-likelihood", _BOUND, f"-({_BOUND})", "negative log-likelihood"),
        ("averaged over images", _BOUND, f"({_BOUND}).mean()", "Averaged over images"),
        ("the samples kept", _BOUND, "torch.stack(log_w)", "expected (3,)"),
        ("nothing returned", "return", "result =", "returned None"),
        ("a list given to logsumexp", "torch.stack(log_w)", "log_w", "TypeError"),
    ],
)

RIGHT = VAES + LOSSES + STEPS + EVALUATIONS + LIKELIHOODS
WRONG = WRONG_VAES + WRONG_LOSSES + WRONG_STEPS + WRONG_EVALUATIONS + WRONG_LIKELIHOODS
