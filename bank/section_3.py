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
    Answer(
        "MyVAE",
        "lazy layers, the mean and a joint layer's even and odd outputs",
        """
class MyVAE(nn.Module):
    def __init__(self, latent_dim=20, width=512):
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(width), nn.ReLU(), nn.LazyLinear(width // 2), nn.ReLU())
        self.both = nn.LazyLinear(2 * latent_dim)
        self.up = nn.Sequential(nn.LazyLinear(width // 2), nn.ReLU(), nn.LazyLinear(width), nn.ReLU())
        self.last = nn.LazyLinear(784)

    def encode(self, x):
        both = self.both(self.body(x.reshape(len(x), 784)))
        return both[:, ::2], both[:, 1::2]

    def decode(self, z):
        return self.last(self.up(z)).unflatten(1, (1, 28, 28))
""",
    ),
    Answer(
        "MyVAE",
        "heads without telling names, logvar held to a range, prints",
        """
class MyVAE(nn.Module):
    def __init__(self, latent_dim=20):
        super(MyVAE, self).__init__()
        self.fc1, self.fc2 = nn.Linear(784, 512), nn.Linear(512, 256)
        self.fc32, self.fc31 = nn.Linear(256, latent_dim), nn.Linear(256, latent_dim)
        self.fc4, self.fc5, self.fc6 = nn.Linear(latent_dim, 256), nn.Linear(256, 512), nn.Linear(512, 784)

    def encode(self, x):
        print("encoding", x.shape)
        h = F.relu(self.fc2(F.relu(self.fc1(x.view(-1, 784)))))
        return self.fc31(h), self.fc32(h).clamp(-20, 20)

    def decode(self, z):
        h = F.relu(self.fc5(F.relu(self.fc4(z))))
        return self.fc6(h).reshape(-1, 1, 28, 28)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(logvar / 2) * torch.randn_like(mu)), mu, logvar
""",
    ),
]
VAES.append(
    Answer("MyVAE", "no biases in the heads", VAE.replace(", latent_dim)", ", latent_dim, bias=False)"))
)

_DECODE = "return self.decoder(z).view(-1, 1, 28, 28)"
_HEADS = "return self.fc_mu(hidden), self.fc_logvar(hidden)"

_UP = "nn.Linear(latent_dim, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784)"
_DOWN = "nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU()"

WRONG_VAES = edited(
    "MyVAE",
    VAE,
    [
        (
            "one head for both",
            "self.fc_logvar = nn.Linear(256, latent_dim)",
            "self.fc_logvar = self.fc_mu",
            "the same layer",
        ),
        ("mu returned twice", _HEADS, "return self.fc_mu(hidden), self.fc_mu(hidden)", "the same layer"),
        (
            "one variance for all images",
            "self.fc_logvar = nn.Linear(256, latent_dim)",
            "self.logvar = nn.Parameter(torch.zeros(latent_dim))\n"
            "        self.fc_logvar = lambda hidden: self.logvar.expand(len(hidden), -1)",
            "both heads, as far as could be seen without logvar",
        ),
        (
            "mu and logvar swapped",
            _HEADS,
            "return self.fc_logvar(hidden), self.fc_mu(hidden)",
            "changed places",
        ),
        (
            "one logvar for all dimensions",
            "self.fc_logvar(hidden)",
            "self.fc_logvar(hidden).mean(1, keepdim=True).expand_as(self.fc_mu(hidden))",
            "the mean of them",
        ),
        ("ReLU on logvar", "self.fc_logvar(hidden)", "F.relu(self.fc_logvar(hidden))", "a ReLU on logvar"),
        ("tanh on mu", "self.fc_mu(hidden)", "torch.tanh(self.fc_mu(hidden))", "a tanh on mu"),
        (
            "the variance returned",
            "self.fc_logvar(hidden)",
            "self.fc_logvar(hidden).exp()",
            "an exp on logvar",
        ),
        (
            "sigma returned",
            "self.fc_logvar(hidden)",
            "(0.5 * self.fc_logvar(hidden)).exp()",
            "an exp of the half on logvar",
        ),
        (
            "softplus on logvar",
            "self.fc_logvar(hidden)",
            "F.softplus(self.fc_logvar(hidden))",
            "a softplus on logvar",
        ),
        (
            "minus softplus on logvar",
            "self.fc_logvar(hidden)",
            "-F.softplus(self.fc_logvar(hidden))",
            "a minus softplus on logvar",
        ),
        (
            "logvar made of mu",
            "self.fc_logvar(hidden)",
            "self.fc_logvar(hidden) + self.fc_mu(hidden)",
            "logvar depends on the layer that gives mu",
        ),
        ("no ReLU anywhere", "nn.ReLU()", "nn.Identity()", "Nothing stands between"),
        (
            "no ReLU before the heads",
            "nn.Linear(512, 256), nn.ReLU())",
            "nn.Linear(512, 256))",
            "ReLU after layer 2 of 3 is missing",
        ),
        ("sigmoid inside", "nn.ReLU()", "nn.Sigmoid()", "inside is a sigmoid"),
        ("tanh inside the decoder", _UP, _UP.replace("ReLU", "Tanh"), "inside is a tanh"),
        ("leaky ReLU inside", "nn.ReLU()", "nn.LeakyReLU()", "inside is a leaky ReLU (0.01)"),
        ("dropout", _DOWN, f"{_DOWN}, nn.Dropout(0.2)", "is there dropout"),
        ("sigmoid at the end", _DECODE, f"{_DECODE}.sigmoid()", "a sigmoid on the logits"),
        ("ReLU at the end", _DECODE, f"{_DECODE}.relu()", "a ReLU on the logits"),
        ("tanh at the end", _DECODE, f"{_DECODE}.tanh()", "a tanh on the logits"),
        (
            "a layer of the decoder left out",
            _UP,
            "nn.Linear(latent_dim, 512), nn.ReLU(), nn.Linear(512, 784)",
            "3 layers one after the other",
        ),
        ("a width mistyped", "(512, 256)", "(512, 265)", "Your code stopped"),
        (
            "two trunks",
            "        self.fc_mu = nn.Linear(256, latent_dim)\n",
            """        self.fc_mu = nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, latent_dim)
        )
        self.fc_mu.register_forward_pre_hook(lambda layer, given: (self.pixels,))
        self.encoder.register_forward_pre_hook(lambda layer, given: setattr(self, "pixels", given[0]))
""",
            "hidden layers of their own",
        ),
        ("MNIST's mean taken off", "x.flatten(1)", "(x.flatten(1) - 0.1307) / 0.3081", "mean 0.1307"),
        ("grey made black or white", "x.flatten(1)", "x.flatten(1).round()", "black or white"),
        ("300 units for 512", "512", "300", "give 300, 256, 20 numbers"),
        ("flat images", ".view(-1, 1, 28, 28)", "", "no images: give them the shape"),
        ("no channel", ".view(-1, 1, 28, 28)", ".view(-1, 28, 28)", "The channel is missing"),
        ("images decoded on their side", _DECODE, f"{_DECODE}.mT", "Rows and columns"),
        ("images encoded on their side", "x.flatten(1)", "x.mT.flatten(1)", "Rows and columns"),
        ("latent size fixed", "nn.Linear(latent_dim", "nn.Linear(20", "Your code stopped"),
        ("batch size fixed", "view(-1, 1", "view(5, 1", "Your code stopped"),
        (
            "dimensions of size 1 squeezed away",
            "self.fc_mu(hidden)",
            "self.fc_mu(hidden).squeeze()",
            "its shape is ()",
        ),
        ("images not flattened", "x.flatten(1)", "x", "Your code stopped"),
        ("mu detached", "self.fc_mu(hidden), ", "self.fc_mu(hidden).detach(), ", "is something detached"),
        ("hidden units detached", "x.flatten(1))", "x.flatten(1)).detach()", "is something detached"),
        ("a sample returned as well", _HEADS, _HEADS + ", torch.randn(3)", "It returned 3 values; mu"),
        ("one tensor returned", _HEADS, "return self.fc_mu(hidden)", "It returned 1 value; mu"),
        ("encode returns nothing", _HEADS, "self.fc_mu(hidden), self.fc_logvar(hidden)", "returned None"),
        ("super().__init__() forgotten", "super().__init__()", "pass", "Your code stopped"),
        ("no nn.Module", "MyVAE(nn.Module)", "MyVAE", "The class is no nn.Module"),
        (
            "20 numbers in one head",
            "self.fc_logvar = nn.Linear(256, latent_dim)",
            "self.fc_logvar = nn.Linear(256, 20)",
            "logvar: its shape is (1, 20); expected (1, 1).",
        ),
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
    r = -Bernoulli(logits=x_logits, validate_args=False).log_prob(x).sum((1, 2, 3)).mean()
    k = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean()
    return [r + k, r, k]
""",
    ),
    Answer(
        "vae_loss",
        "a loop over images and dimensions",
        """
def vae_loss(x_logits, x, mu, logvar):
    r = k = 0.0
    for logits, image, m, v in zip(x_logits, x, mu, logvar):
        r += (F.softplus(logits) - image * logits).sum() / len(x)
        k += sum(0.5 * (a**2 + b.exp() - 1 - b) for a, b in zip(m, v)) / len(x)
    return r + k, r, k
""",
    ),
    Answer(
        "vae_loss",
        "double precision, the likelihood by hand, a named tuple",
        """
from collections import namedtuple

Parts = namedtuple("Parts", "loss reconstruction kl")

def vae_loss(x_logits, x, mu, logvar):
    log_p = x.double() * F.logsigmoid(x_logits.double()) + (1 - x) * F.logsigmoid(-x_logits.double())
    r = -log_p.sum(dim=[1, 2, 3]).mean(dim=0)
    sigma = (0.5 * logvar.double()).exp()
    k = (sigma**2 / 2 + mu**2 / 2 - 0.5 - sigma.log()).sum(dim=1).mean()
    return Parts(loss=r + k, reconstruction=r, kl=k)
""",
    ),
    Answer(
        "vae_loss",
        "the mean times the number of pixels, a tensor of three",
        """
def vae_loss(x_logits, x, mu, logvar, beta=1.0):
    r = 784 * F.binary_cross_entropy_with_logits(x_logits, x)
    k = objectives.gaussian_kl(mu, logvar).mean() * mu.size(1)
    return torch.stack([r + beta * k, r, k])
""",
    ),
]

WRONG_LOSSES = edited(
    "vae_loss",
    LOSS,
    [
        (
            "images from -1 to 1",
            "x_logits, x, reduction",
            "x_logits, 2 * x - 1, reduction",
            "scaled to [-1, 1]",
        ),
        (
            "logvar for -logvar",
            "logvar.exp() - 1 - logvar",
            "(-logvar).exp() - 1 + logvar",
            "as -log sigma^2",
        ),
        (
            "the images' entropy subtracted",
            'reduction="none")',
            'reduction="none") + torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)',
            "entropy of the images' own greys",
        ),
        (
            "sum and mean of the KL exchanged",
            ".sum(1).mean()\n    return",
            ".sum(0).mean()\n    return",
            "the other way round",
        ),
        (
            "a KL that weighs nothing",
            "reconstruction + kl,",
            "reconstruction + 0.00025 * kl,",
            "next to nothing",
        ),
        (
            "both terms summed over the batch",
            "sum(1).mean()",
            "sum()",
            "The reconstruction is summed over the batch",
        ),
        (
            "pixels averaged",
            "pixels.flatten(1).sum(1).mean()",
            "pixels.mean()",
            "reconstruction is a mean over pixels",
        ),
        ("latent dimensions averaged", "logvar)).sum(1).mean()", "logvar)).mean()", "mean over latent"),
        ("both terms plain means", "sum(1).mean()", "mean()", "mean over latent"),
        (
            "the KL summed over the batch",
            "logvar)).sum(1).mean()",
            "logvar)).sum()",
            "The KL is summed over the batch",
        ),
        (
            "the reconstruction summed over the batch",
            "flatten(1).sum(1).mean()",
            "sum()",
            "The reconstruction is summed over the batch",
        ),
        ("the batch size of training fixed", "flatten(1).sum(1).mean()", "sum() / 128", "divided by 128"),
        ("one value per image", "sum(1).mean()", "sum(1)", "one value per image"),
        (
            "a sigmoid before the loss",
            "logits(x_logits, x",
            "logits(x_logits.sigmoid(), x",
            "through a sigmoid twice",
        ),
        ("logits and images swapped", "(x_logits, x, r", "(x, x_logits, r", "Images and logits"),
        ("white pixels only", "pixels.flatten", "(-x * F.logsigmoid(x_logits)).flatten", "Only white pixels"),
        ("weighted by the image", "pixels.flatten", "(x * pixels).flatten", "multiplied by the image"),
        ("the log-likelihood", "pixels.flatten", "-pixels.flatten", "minus the log-likelihood"),
        (
            "the squared error",
            'F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")',
            "(x_logits.sigmoid() - x) ** 2",
            "This is a squared error",
        ),
        (
            "the mean squared error",
            "pixels.flatten(1).sum(1).mean()",
            "F.mse_loss(x_logits.sigmoid(), x)",
            "This is the mean squared error",
        ),
        (
            "the KL's -1 forgotten",
            " - 1 - logvar",
            " - logvar",
            "the term -1 is missing",
        ),
        (
            "logvar read as log sigma",
            "logvar.exp() - 1 - logvar",
            "(2 * logvar).exp() - 1 - 2 * logvar",
            "read it as log sigma",
        ),
        (
            "the KL turned round",
            "(0.5 * (mu**2 + logvar.exp() - 1 - logvar))",
            "kl_divergence(Normal(0 * mu, 1.0), Normal(mu, (logvar / 2).exp()))",
            "two distributions are swapped",
        ),
        ("exp in place", "logvar.exp()", "logvar.exp_()", "in place"),
        (
            "logits squashed in place",
            "    pixels =",
            "    x_logits.sub_(0.0).mul_(1.0).add_(1e-3)\n    x_logits = x_logits - 1e-3\n    pixels =",
            "in place: work on a copy",
        ),
        (
            "reconstruction and KL swapped",
            "kl, reconstruction, kl",
            "kl, kl, reconstruction",
            "The order is loss, KL, reconstruction",
        ),
        (
            "the loss last",
            "return reconstruction + kl, reconstruction, kl",
            "return reconstruction, kl, reconstruction + kl",
            "the loss comes first",
        ),
        ("the ELBO", "return reconstruction + kl", "return -(reconstruction + kl)", "This is the ELBO"),
        (
            "the KL weighted",
            "return reconstruction + kl",
            "return reconstruction + 4 * kl",
            "four times",
        ),
        ("the 1/2 of the KL forgotten", "0.5 * ", "", "is the 1/2 in front missing"),
        ("the KL negative", "0.5", "-0.5", "wrong sign"),
        ("the KL subtracted", "reconstruction + kl", "reconstruction - kl", "The KL is subtracted"),
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
            "It returned one value",
        ),
        ("the loss forgotten in the triple", "kl, reconstruction, kl", "kl, kl", "It returned 2 values"),
        (
            "a dictionary",
            "return reconstruction + kl, reconstruction, kl",
            "return dict(loss=reconstruction + kl, kl=kl)",
            "It returned a dict",
        ),
        ("nothing returned", "return reconstruction", "loss = reconstruction", "returned None"),
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

SHORT_STEP = """
def vae_train_step(model, optimizer, x):
    terms = objectives.negative_elbo(model, x)
    optimizer.zero_grad()
    terms.loss.backward()
    optimizer.step()
    return terms.loss.item()
"""

STEPS = [
    Answer("vae_train_step", "written out", STEP),
    Answer("vae_train_step", "the course's negative_elbo", SHORT_STEP),
    Answer(
        "vae_train_step",
        "torch.distributions, gradients cleared at the end",
        """
def vae_train_step(model, optimizer, x):
    mu, logvar = model.encode(x)
    q = Normal(mu, (logvar / 2).exp())
    p = Bernoulli(logits=model.decode(q.rsample()), validate_args=False)
    log_likelihood = p.log_prob(x).flatten(1).sum(1)
    loss = -(log_likelihood - kl_divergence(q, Normal(0.0, 1.0)).sum(1)).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss)
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
    Answer(
        "vae_train_step",
        "noise from NumPy, gradients set by hand",
        """
def vae_train_step(model, optimizer, x, verbose=True):
    model.train()
    mu, logvar = model.encode(x)
    eps = torch.from_numpy(np.random.standard_normal(mu.shape)).float()
    z = torch.addcmul(mu, logvar.exp().sqrt(), eps)
    nll = objectives.bernoulli_nll(model.decode(z), x)
    loss = torch.mean(nll + objectives.gaussian_kl(mu, logvar).sum(-1))
    parameters = list(model.parameters())
    for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
        p.grad = g
    optimizer.step()
    if verbose:
        print(f"loss {loss:.1f}")
    return float(loss)
""",
    ),
    Answer(
        "vae_train_step",
        "a closure that the optimiser calls",
        """
def vae_train_step(model, optimizer, x):
    def closure():
        optimizer.zero_grad()
        loss, _, _ = objectives.negative_elbo(model, x)
        loss.backward()
        return loss

    return optimizer.step(closure).item()
""",
    ),
    Answer(
        "vae_train_step",
        "a sigmoid, then the cross-entropy of probabilities",
        """
def vae_train_step(model, optimizer, x):
    model.zero_grad(set_to_none=False)
    mu, logvar = model.encode(x)
    z = mu + torch.randn(mu.size()) * torch.exp(logvar).sqrt()
    p = torch.sigmoid(model.decode(z)).reshape(len(x), -1)
    loss = F.binary_cross_entropy(p, x.reshape(len(x), -1), reduction="sum") / len(x)
    loss = loss - 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum() / len(x)
    loss.backward()
    optimizer.step()
    return loss.detach().numpy()[()]
""",
    ),
]

WRONG_STEPS = edited(
    "vae_train_step",
    STEP,
    [
        ("backward forgotten", "loss.backward()", "pass", "The weights do not move"),
        ("step forgotten", "optimizer.step()", "pass", "The weights do not move"),
        (
            "step before backward",
            "loss.backward()\n    optimizer.step()",
            "optimizer.step()\n    loss.backward()",
            "The weights do not move",
        ),
        (
            "step before backward, nothing cleared",
            "optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()",
            "optimizer.step()\n    loss.backward()",
            "`step` comes before `backward`",
        ),
        (
            "cleared between backward and step",
            "optimizer.zero_grad()\n    loss.backward()",
            "loss.backward()\n    optimizer.zero_grad()",
            "The weights do not move",
        ),
        ("the ELBO minimised", "loss.backward()", "(-loss).backward()", "goes uphill"),
        (
            "loss summed over the batch",
            "loss.backward()",
            "(len(x) * loss).backward()",
            "summed over the batch",
        ),
        ("gradients never cleared", "optimizer.zero_grad()", "pass", "gradient of an earlier step is still"),
        ("pixels averaged", '"sum") / len(x)', '"mean")', "The reconstruction is a mean over pixels"),
        (
            "the reconstruction summed over the batch",
            '"sum") / len(x)',
            '"sum")',
            "The reconstruction is summed over the batch",
        ),
        ("latent dimensions averaged", "sum(1).mean()", "mean()", "The KL is a mean over latent"),
        ("the KL forgotten", "reconstruction + kl", "reconstruction", "The KL has no part in the gradient"),
        ("the KL subtracted", "reconstruction + kl", "reconstruction - kl", "The KL has the wrong sign"),
        ("the 1/2 of the KL forgotten", "(0.5 * (mu", "((mu", "is its 1/2 missing?"),
        ("nothing returned", "return loss.item()", "loss.item()", "returned None"),
        ("the graph kept", "return loss.item()", "return loss", "`.item()` makes it a plain number"),
        ("both parts returned", "return loss.item()", "return loss.item(), kl.item()", "returned a tuple"),
        (
            "the loss of the sum returned",
            "return loss.item()",
            "return loss.item() * len(x)",
            "summed over the batch",
        ),
        (
            "the reconstruction returned",
            "return loss.item()",
            "return reconstruction.item()",
            "The KL is missing",
        ),
        (
            "the loss after the step",
            "return loss.item()",
            "return objectives.negative_elbo(model, x).loss.item()",
            "the loss after the step",
        ),
        (
            "z detached",
            "torch.randn_like(mu)",
            "torch.randn_like(mu)\n    z = z.detach()",
            "No gradient flows through z",
        ),
        (
            "a sample that stops gradients",
            "mu + (0.5 * logvar).exp() * torch.randn_like(mu)",
            "Normal(mu, (0.5 * logvar).exp()).sample()",
            "No gradient flows through z",
        ),
        (
            "sigma detached",
            "(0.5 * logvar).exp() *",
            "(0.5 * logvar).exp().detach() *",
            "do not detach sigma",
        ),
        ("no noise", " + (0.5 * logvar).exp() * torch.randn_like(mu)", "", "No noise is drawn"),
        ("the variance for sigma", "(0.5 * logvar).exp()", "logvar.exp()", "looks like exp(logvar)"),
        ("logvar for sigma", "(0.5 * logvar).exp()", "logvar", "looks like logvar itself"),
        ("sigma forgotten", "(0.5 * logvar).exp() * ", "", "sigma is missing"),
        ("mu forgotten", "mu + (0.5", "(0.5", "The mean is missing"),
        ("noise alone", "mu + (0.5 * logvar).exp() * ", "", "z is drawn from the prior"),
        ("uniform noise", "randn_like", "rand_like", "The noise lies in [0, 1]"),
        (
            "one noise for the whole batch",
            "torch.randn_like(mu)",
            "torch.randn(mu.shape[1])",
            "Every image gets the same noise",
        ),
        (
            "one noise for all dimensions",
            "torch.randn_like(mu)",
            "torch.randn(len(mu), 1)",
            "All dimensions share one noise",
        ),
        (
            "the seed set in every step",
            "    mu, logvar",
            "    torch.manual_seed(0)\n    mu, logvar",
            "Every call draws the same noise",
        ),
        ("noise too wide", "torch.randn_like(mu)", "4 * torch.randn_like(mu)", "standard normal?"),
        (
            "evaluation mode",
            "    mu, logvar",
            "    model.eval()\n    mu, logvar",
            "put into evaluation mode",
        ),
        (
            "an optimiser of its own",
            "    mu, logvar",
            "    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\n    mu, logvar",
            "not by a `step` of the optimizer handed in",
        ),
        (
            "plain gradient descent by its own rate",
            "    mu, logvar",
            "    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)\n    mu, logvar",
            "not by a `step` of the optimizer handed in",
        ),
        ("two steps", "optimizer.step()", "optimizer.step()\n    optimizer.step()", "steps twice"),
        (
            "a model of its own",
            "    mu, logvar",
            "    model = models.VAE(3)\n    mu, logvar",
            "is never called",
        ),
        ("rounded", "loss.item()", "int(loss.item())", "as if rounded"),
        ("never above 500", "return loss.item()", "return min(loss.item(), 500.0)", "it is 500 whatever"),
        ("a tensor returned", "loss.item()", "loss.detach()", "makes it a plain number"),
        ("a mean once more", "loss.backward()", "(loss / len(x)).backward()", "number of images once more"),
        ("the KL detached", "reconstruction + kl", "reconstruction + kl.detach()", "missing, or detached?"),
        ("the KL twice", "reconstruction + kl", "reconstruction + 2 * kl", "The KL counts twice"),
        ("the KL four times", "reconstruction + kl", "reconstruction + 4 * kl", "The KL counts 4 times"),
        ("mu detached", "    z = mu", "    mu = mu.detach()\n    z = mu", "No gradient reaches mu"),
        (
            "images rounded",
            "    mu, logvar",
            "    x = x.round()\n    mu, logvar",
            "rounded to black and white",
        ),
        ("half of the batch", "    mu, logvar", "    x = x[::2]\n    mu, logvar", "go through the model"),
        (
            "clipped",
            "optimizer.step()",
            "nn.utils.clip_grad_norm_(model.parameters(), 0.05)\n    optimizer.step()",
            "is it clipped",
        ),
        (
            "the loss of a second pass",
            "optimizer.step()\n    return loss.item()",
            "other = objectives.negative_elbo(model, x)[0]\n    optimizer.step()\n    return float(other)",
            "another pass",
        ),
        ("no_grad around the step", "def vae", "@torch.no_grad()\ndef vae", "Your code stopped"),
        (
            "the batch changed in place",
            "    mu, logvar",
            "    x.mul_(0.5)\n    mu, logvar",
            "given in place",
        ),
    ],
) + edited(
    "vae_train_step",
    SHORT_STEP,
    [
        ("images in double precision", "elbo(model, x)", "elbo(model, x.double())", "the same dtype"),
        (
            "an update for every eight images",
            "    terms = objectives.negative_elbo(model, x)",
            "    if len(x) > 8:\n"
            "        parts = [vae_train_step(model, optimizer, part) for part in x.split(8)]\n"
            "        return sum(parts) / len(parts)\n"
            "    terms = objectives.negative_elbo(model, x)",
            "steps several times",
        ),
        (
            "the reconstruction alone",
            "terms.loss.backward",
            "terms.reconstruction.backward",
            "KL has no part",
        ),
        (
            "new models left alone",
            "    terms.loss.backward",
            "    if terms.loss > 100:\n        return terms.loss.item()\n    terms.loss.backward",
            "takes no step here",
        ),
        (
            "a batch of one left alone",
            "    terms =",
            "    if len(x) < 2:\n        return 0.0\n    terms =",
            "A later batch, of 1",
        ),
        ("a draw of the images", "elbo(model, x)", "elbo(model, x.bernoulli())", "or they are drawn"),
        (
            "a running average returned",
            "return terms.loss.item()",
            "optimizer.seen = [*getattr(optimizer, 'seen', []), terms.loss.item()]\n"
            "    return sum(optimizer.seen) / len(optimizer.seen)",
            "a later one does not",
        ),
        (
            "a running average beside the function",
            "return terms.loss.item()",
            "vae_train_step.seen = [*getattr(vae_train_step, 'seen', []), terms.loss.item()]\n"
            "    return sum(vae_train_step.seen) / len(vae_train_step.seen)",
            "Called again with the same inputs",
        ),
        ("minus the loss", "terms.loss.backward", "(-terms.loss).backward", "uphill"),
        ("the loss anew", "return terms", "return objectives.negative_elbo(model, x)", "after the step"),
        ("left in evaluation mode", "elbo(model, x)", "elbo(model.eval(), x)", "put into evaluation mode"),
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
        p = Bernoulli(logits=model.decode(q.sample()), validate_args=False)
        log_likelihood = p.log_prob(x).sum((1, 2, 3))
        values[start:start + batch_size] = log_likelihood - kl_divergence(q, Normal(0.0, 1.0)).sum(1)
    model.train(was_training)
    return torch.stack([values.mean(), values.std() / len(values) ** 0.5])
""",
    ),
    Answer(
        "test_elbo",
        "running sums over batches of a DataLoader",
        """
@torch.no_grad()
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
        mu, logvar = model.encode(x)
        z = mu + (logvar / 2).exp() * np.random.randn(*mu.shape).astype("float32")
        kl = objectives.gaussian_kl(mu, logvar).sum().item()
        self.values.append(-objectives.bernoulli_nll(model.decode(z), x).item() - kl)

def test_elbo(model, images, batch_size):
    model.train(False)
    evaluation = Evaluation()
    with torch.inference_mode():
        for image in images:
            evaluation.add(model, image[None])
    return np.mean(evaluation.values), np.std(evaluation.values) / np.sqrt(len(images))
""",
    ),
]

EVALUATIONS.append(
    Answer(
        "test_elbo",
        "a copy of the model is asked",
        EVALUATION.replace("    model.eval()", "    import copy\n\n    model = copy.deepcopy(model).eval()"),
    )
)

_VALUE = "-objectives.bernoulli_nll(x_logits, x) - kl"
_ERROR = "(elbo.std() / math.sqrt(len(elbo)))"

_Z = "objectives.reparameterize(mu, logvar)"

WRONG_EVALUATIONS = [
    *edited(
        "test_elbo",
        EVALUATION,
        [
            (
                "noise in double precision",
                _Z,
                f"{_Z[:-1]}, torch.randn(mu.shape).double())",
                "the same dtype",
            ),
            (
                "sigma for logvar",
                "reparameterize(mu, logvar)",
                "reparameterize(mu, (0.5 * logvar).exp())",
                "sigma stands where logvar",
            ),
            ("the loss in place of the bound", _VALUE, f"-({_VALUE})", "This is the loss, -ELBO"),
            (
                "the cross-entropy's own mean",
                _VALUE,
                "-F.binary_cross_entropy_with_logits(x_logits, x) - kl",
                "averaged over pixels and images",
            ),
            (
                "the mean of the batches' means",
                "elbo.mean().item()",
                "sum(v.mean().item() for v in values) / len(values)",
                "mean of the batches' means",
            ),
            (
                "the sum of the batches' means",
                "elbo.mean().item()",
                "sum(v.mean().item() for v in values)",
                "sum of the batches' means",
            ),
            ("the sum over images", "elbo.mean()", "elbo.sum()", "This is the sum over images"),
            ("only the first batch", "- kl)\n", "- kl)\n            break\n", "Only one batch"),
            ("only the last batch", "torch.cat(values)", "values[-1]", "Only the last batch"),
            (
                "the last, smaller batch left out",
                "images.split(batch_size)",
                "(b for b in images.split(batch_size) if len(b) == min(batch_size, len(images)))",
                "last, smaller batch",
            ),
            (
                "the batch size ignored",
                "images.split(batch_size)",
                "[images]",
                "images go through at once",
            ),
            ("the standard deviation", _ERROR, "elbo.std()", "That is the standard deviation"),
            ("divided by N, not by its root", "math.sqrt(len(elbo))", "len(elbo)", "divides by sqrt(N)"),
            ("the variance", "elbo.std()", "elbo.var()", "That is the variance"),
            ("N taken for the batch size", "sqrt(len(elbo))", "sqrt(batch_size)", "not the size of a batch"),
            (
                "N taken for the number of batches",
                "sqrt(len(elbo))",
                "sqrt(len(values))",
                "images, not of batches",
            ),
            (
                "an error over batches",
                _ERROR,
                "(torch.stack([v.mean() for v in values]).std() / math.sqrt(len(values)))",
                "This is an error over batches",
            ),
            ("the KL forgotten", _VALUE, "-objectives.bernoulli_nll(x_logits, x)", "The KL is missing"),
            ("the KL added", "x) - kl", "x) + kl", "The KL has the wrong sign"),
            (
                "latent dimensions averaged",
                "logvar).sum(1)",
                "logvar).mean(1)",
                "mean over latent dimensions",
            ),
            (
                "pixels averaged",
                "objectives.bernoulli_nll(x_logits, x)",
                "objectives.bernoulli_nll(x_logits, x) / 784",
                "log p(x|z) is a mean over pixels",
            ),
            ("no noise", _Z, "mu", "No noise is drawn"),
            (
                "the variance for sigma",
                _Z,
                "mu + logvar.exp() * torch.randn_like(mu)",
                "looks like exp(logvar)",
            ),
            (
                "a softplus for sigma",
                _Z,
                "mu + F.softplus(logvar) * torch.randn_like(mu)",
                "looks like softplus(logvar)",
            ),
            ("a sample of the prior", _Z, "torch.randn_like(mu)", "z is drawn from the prior"),
            (
                "one noise for all batches",
                _Z,
                "objectives.reparameterize(mu, logvar, torch.ones(1, mu.shape[1]))",
                "draws the same noise",
            ),
            (
                "one noise for each batch",
                _Z,
                "objectives.reparameterize(mu, logvar, torch.randn(1, mu.shape[1]))",
                "Several images get the same noise",
            ),
            (
                "the seed set for every batch",
                "            mu, logvar",
                "            torch.manual_seed(0)\n            mu, logvar",
                "same noise",
            ),
            ("training mode", "model.eval()", "pass", "It is in training mode"),
            (
                "model and images made double",
                "model.eval()",
                "model, images = model.double().eval(), images.double()",
                "another precision",
            ),
            ("evaluation mode too late", "model.eval()\n    values", "values", "It is in training mode"),
            ("gradients kept", "with torch.no_grad():", "if True:", "use torch.no_grad()"),
            ("the KL of the batch for each", "logvar).sum(1)", "logvar).sum()", "KL of its whole batch"),
            (
                "the KL averaged over the batch",
                "logvar).sum(1)",
                "logvar).sum(1).mean()",
                "averaged over the batch",
            ),
            (
                "gradients switched off for good",
                "with torch.no_grad():",
                "torch.set_grad_enabled(False)\n    if True:",
                "leaves gradients switched off",
            ),
            ("the flag on top alone", "model.eval()", "model.training = False", "Only the model's own flag"),
            ("images rounded", "images.split", "images.round().split", "black and white"),
            ("rounded in the likelihood", "x) - kl", "x.round()) - kl", "rounded to black and white"),
            ("a whole number", "elbo.mean().item()", "int(elbo.mean().item())", "as if rounded"),
            (
                "the error in front",
                f"elbo.mean().item(), {_ERROR}",
                f"{_ERROR}.item(), elbo.mean()",
                "changed places",
            ),
            (
                "ten samples",
                "x_logits = model.decode(objectives.reparameterize(mu, logvar))",
                f"x_logits = sum(model.decode({_Z}) for _ in range(10)) / 10",
                "one sample of z",
            ),
            ("the error forgotten", f", {_ERROR}.item()", "", "the standard error is asked for as well"),
            (
                "one value per image",
                f"elbo.mean().item(), {_ERROR}.item()",
                "elbo",
                "values; 2 are asked for",
            ),
            ("nothing returned", "return", "result =", "returned None"),
            (
                "images changed in place",
                "    model.eval()",
                "    model.eval()\n    images.round_().mul_(0.9)",
                "in place",
            ),
            (
                "another model",
                "    model.eval()",
                "    model = models.VAE(6).eval()",
                "`encode` is never called",
            ),
        ],
    ),
    Answer(
        "test_elbo",
        "means and errors of batches",
        """
@torch.no_grad()
def test_elbo(model, images, batch_size):
    model.eval()
    elbo = torch.stack([-objectives.negative_elbo(model, x).loss for x in images.split(batch_size)])
    return elbo.mean(), elbo.std() / len(elbo) ** 0.5
""",
        "mean of the batches' means",
    ),
    Answer(
        "test_elbo",
        "the package's function, which sets the seed",
        """
def test_elbo(model, images, batch_size):
    found = evaluation.test_elbo(model, images, model_name="", data_name="").negative_elbo
    return -found.mean, found.standard_error
""",
        "the course's own solution, which earns nothing",
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
        "logaddexp, sample by sample",
        """
def estimate_log_likelihood(model, x, eps):
    mu, logvar = model.encode(x)
    total = None
    for noise in eps:
        z = objectives.reparameterize(mu, logvar, noise)
        w = -objectives.bernoulli_nll(model.decode(z), x)
        w = w + objectives.gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z))
        w = w - objectives.gaussian_log_density(z, mu, logvar)
        total = w if total is None else torch.logaddexp(total, w)
    return total - torch.log(torch.tensor(float(eps.size(0))))
""",
    ),
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

LIKELIHOODS.append(
    Answer(
        "estimate_log_likelihood",
        "a copy of the model is asked",
        LIKELIHOOD.replace(
            "    mu, logvar =", "    import copy\n\n    model = copy.deepcopy(model).eval()\n    mu, logvar ="
        ),
    )
)

_WEIGHT = "log_likelihood + log_prior - log_q"
_BOUND = "torch.logsumexp(torch.stack(log_w), dim=0) - math.log(len(eps))"

_SAMPLE = "objectives.reparameterize(mu, logvar, noise)"

WRONG_LIKELIHOODS = edited(
    "estimate_log_likelihood",
    LIKELIHOOD,
    [
        (
            "all in double precision",
            "    mu,",
            "    x, eps = x.double(), eps.double()\n    mu,",
            "the same dtype",
        ),
        (
            "exp of the weights in float64",
            "torch.logsumexp(torch.stack(log_w), dim=0) - math.log(len(eps))",
            "torch.stack(log_w).double().exp().mean(0).log()",
            "Or is exp taken of the log-weights",
        ),
        (
            "log q summed over the batch",
            "prior - log_q)",
            "prior - log_q.sum())",
            "log q(z|x) is summed over the batch",
        ),
        (
            "the prior summed over the batch",
            "+ log_prior -",
            "+ log_prior.sum() -",
            "log p(z) is summed over the batch",
        ),
        (
            "the batch averaged",
            "(model.decode(z), x)",
            "(model.decode(z), x).mean()",
            "averaged over the batch",
        ),
        ("summed along the images", "dim=0) - math", "dim=1) - math", "The axes are swapped"),
        ("the prior at the noise", "density(z, zeros", "density(noise, zeros", "prior is taken at the noise"),
        (
            "q at the noise",
            "density(z, mu, logvar",
            "density(noise, mu, logvar",
            "q(z|x) is taken at the noise",
        ),
        ("sigma for logvar", "(z, mu, logvar)", "(z, mu, (0.5 * logvar).exp())", "it takes logvar"),
        (
            "the prior around mu",
            "density(z, zeros, zeros)",
            "density(z, mu, zeros)",
            "The prior has the mean of q",
        ),
        ("q(z|x) with variance 1", "density(z, mu, logvar)", "density(z, mu, zeros)", "lacks its sigma"),
        ("log K forgotten", " - math.log(len(eps))", "", "- log K is missing"),
        ("log K added", " - math.log", " + math.log", "log K is added"),
        ("divided by K", " - math.log(len(eps))", " / len(eps)", "not a K-th of it"),
        ("K taken for the number of images", "len(eps)", "len(x)", "not the number of images"),
        ("K taken for the latent size", "len(eps)", "eps.shape[2]", "not of latent dimensions"),
        ("the mean of the logarithms", _BOUND, "torch.stack(log_w).mean(0)", "mean of the log-weights"),
        ("the sum of the logarithms", _BOUND, "torch.stack(log_w).sum(0)", "sum of the log-weights"),
        (
            "exp that underflows",
            _BOUND,
            "torch.stack(log_w).exp().mean(0).log()",
            "use torch.logsumexp",
        ),
        (
            "a softmax over log-weights",
            _BOUND,
            "(torch.stack(log_w).softmax(0) * torch.stack(log_w)).sum(0)",
            "weighted by their softmax",
        ),
        ("the best sample alone", _BOUND, "torch.stack(log_w).amax(0)", "largest weight alone"),
        (
            "averaged over the wrong axis",
            _BOUND,
            "torch.logsumexp(torch.stack(log_w), dim=1) - math.log(len(x))",
            "The axes are swapped",
        ),
        (
            "the cross-entropy's own mean",
            "objectives.bernoulli_nll(model.decode(z), x)",
            "F.binary_cross_entropy_with_logits(model.decode(z), x)",
            "averaged over pixels and images",
        ),
        ("the prior forgotten", _WEIGHT, "log_likelihood - log_q", "lacks the prior"),
        ("q forgotten", _WEIGHT, "log_likelihood + log_prior", "lacks q(z|x)"),
        ("the likelihood alone", _WEIGHT, "log_likelihood", "p(x|z) alone"),
        ("q multiplied", "- log_q", "+ log_q", "it must divide"),
        ("the prior divided", "+ log_prior", "- log_prior", "The prior divides"),
        ("the likelihood divided", "-objectives.bernoulli_nll", "objectives.bernoulli_nll", "p(x|z) divides"),
        (
            "pixels averaged",
            "objectives.bernoulli_nll(model.decode(z), x)",
            "objectives.bernoulli_nll(model.decode(z), x) / 784",
            "log p(x|z) is a mean over pixels",
        ),
        (
            "latent dimensions averaged",
            _WEIGHT,
            "log_likelihood + (log_prior - log_q) / z.shape[1]",
            "means over dimensions",
        ),
        ("noise of its own", _SAMPLE, "objectives.reparameterize(mu, logvar)", "does it draw"),
        ("the variance for sigma", _SAMPLE, "mu + logvar.exp() * noise", "looks like exp(logvar)"),
        ("logvar for sigma", _SAMPLE, "mu + logvar * noise", "looks like logvar itself"),
        ("no noise", _SAMPLE, "mu", "this is mu itself"),
        ("the noise itself", _SAMPLE, "noise", "z is drawn from the prior"),
        (
            "the noise subtracted",
            _SAMPLE,
            "objectives.reparameterize(mu, logvar, -noise)",
            "it should be added",
        ),
        ("the first noise for all", _SAMPLE, "objectives.reparameterize(mu, logvar, eps[0])", "first noise"),
        ("prior and q swapped", _WEIGHT, "log_likelihood - log_prior + log_q", "other way round"),
        (
            "the variance for sigma throughout",
            f"    for noise in eps:\n        z = {_SAMPLE}",
            f"    logvar = 2 * logvar\n    for noise in eps:\n        z = {_SAMPLE}",
            "The density of q(z|x) has that as well",
        ),
        ("the heads swapped", "mu, logvar = model", "logvar, mu = model", "changed places in z. The density"),
        ("mu and logvar swapped in q", "(z, mu, logvar)", "(z, logvar, mu)", "changed places in q"),
        ("mu moved in place", f"z = {_SAMPLE}", f"z = mu = {_SAMPLE}", "The noises pile up in mu"),
        ("the prior at mu", "density(z, zeros", "density(mu, zeros", "taken at mu"),
        ("the logvar of q halved", "(z, mu, logvar)", "(z, mu, logvar / 2)", "is halved in its density"),
        ("the prior's logvar 1", "zeros, zeros)", "zeros, zeros + 1)", "that of logvar = 1"),
        ("a fixed K", "math.log(len(eps))", "math.log(50)", "K is fixed at 50"),
        ("a sigmoid too many", "model.decode(z)", "model.decode(z).sigmoid()", "sigmoid twice"),
        ("one sample alone", "in eps:", "in eps[:1]:", "Only the first noise counts"),
        ("the noise changed in place", "for noise", "eps *= 1.5\n    for noise", "in place"),
        ("the negative log-likelihood", _BOUND, f"-({_BOUND})", "negative log-likelihood"),
        ("averaged over images", _BOUND, f"({_BOUND}).mean()", "mean of the entries"),
        ("summed over images", _BOUND, f"({_BOUND}).sum()", "sum of the entries"),
        ("the samples kept", _BOUND, "torch.stack(log_w)", "One value per sample and image"),
        ("nothing returned", "return", "result =", "returned None"),
        ("a list given to logsumexp", "torch.stack(log_w)", "log_w", "TypeError"),
        ("a list returned", f"return {_BOUND}", f"return list({_BOUND})", "returned a list"),
    ],
)

_FLAT = """
def estimate_log_likelihood(model, x, eps):
    K, N, d = eps.shape
    mu, logvar = (head.repeat(K, 1) for head in model.encode(x))
    z = objectives.reparameterize(mu, logvar, eps.reshape(K * N, d))
    log_w = -objectives.bernoulli_nll(model.decode(z), x.repeat(K, 1, 1, 1))
    log_w = log_w + objectives.gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z))
    log_w = log_w - objectives.gaussian_log_density(z, mu, logvar)
    return log_w.view(K, N).logsumexp(0) - math.log(K)
"""
LIKELIHOODS.append(Answer("estimate_log_likelihood", "samples and images in one axis", _FLAT))
_BY_IMAGE, _ONE_BY_ONE = "view(N, K).logsumexp(1)", "repeat_interleave(K, 0)"
WRONG_LIKELIHOODS += [
    *edited(
        "estimate_log_likelihood",
        _FLAT,
        [
            (
                "images repeated one by one",
                "x.repeat(K, 1, 1, 1)",
                f"x.{_ONE_BY_ONE}",
                "codes of one image are compared with another",
            ),
            (
                "q repeated one by one",
                "head.repeat(K, 1)",
                f"head.{_ONE_BY_ONE}",
                "meets the noise of another",
            ),
            ("log-weights cut apart", "view(K, N).logsumexp(0)", _BY_IMAGE, "run sample by sample"),
        ],
    ),
    Answer(
        "estimate_log_likelihood",
        "all but the noise repeated one by one",
        _FLAT.replace("head.repeat(K, 1)", f"head.{_ONE_BY_ONE}")
        .replace("x.repeat(K, 1, 1, 1)", f"x.{_ONE_BY_ONE}")
        .replace("view(K, N).logsumexp(0)", _BY_IMAGE),
        "noise of one image goes to another",
    ),
]

RIGHT = VAES + LOSSES + STEPS + EVALUATIONS + LIKELIHOODS
# What the reviewers of this bank found missing: wrong in ways that no value shows.
_TRAINED = """
def vae_loss(x_logits, x, mu, logvar):
    r = objectives.bernoulli_nll(x_logits, x).mean()
    k = objectives.gaussian_kl(mu, logvar).sum(1).mean()
    return r + k, r, k
"""
WRONG_LOSSES += edited(
    "vae_loss",
    _TRAINED,
    [
        (
            "plain numbers",
            "return r + k, r, k",
            "return (r + k).item(), r.item(), k.item()",
            "No gradient arrives",
        ),
        (
            "both terms as plain numbers",
            "return r + k, r, k",
            "return r + k, r.item(), k.item()",
            "Plain numbers came beside a tensor",
        ),
        ("under no_grad", "def vae_loss", "@torch.no_grad()\ndef vae_loss", "No gradient arrives"),
        ("the KL detached", "return r + k,", "return r + k.detach(),", "No gradient reaches mu and logvar"),
        (
            "the reconstruction detached",
            "return r + k,",
            "return r.detach() + k,",
            "No gradient reaches the logits",
        ),
    ],
)
_PIXELS = 'F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")'
_LOG = "-(x * (p + 1e-7).log() + (1 - x) * (1 - p + 1e-7).log())"
WRONG_LOSSES += edited(  # from strangers' answers
    "vae_loss",
    LOSS,
    [
        ("logvar squared for the variance", "logvar.exp()", "logvar**2", "not the square of logvar"),
        ("images binarised", "logits(x_logits, x", "logits(x_logits, (x > 0.5).float()", "black and white"),
        (
            "a sigmoid, then the cross-entropy",
            "_with_logits(x_logits",
            "(x_logits.sigmoid()",
            "A sigmoid comes before",
        ),
        (
            "logarithms with an epsilon",
            f"pixels = {_PIXELS}",
            f"p = x_logits.sigmoid()\n    pixels = {_LOG}",
            "1e-07",
        ),
        ("logits clamped", "logits(x_logits, x", "logits(x_logits.clamp(-10, 10), x", "between -10 and 10"),
        ("logvar clamped", "    kl =", "    logvar = logvar.clamp(-8, 8)\n    kl =", "between -8 and 8"),
        (
            "logvar clamped to -6 and 2",
            "    kl =",
            "    logvar = logvar.clamp(-6, 2)\n    kl =",
            "kept between -6 and 2",
        ),
        (
            "rows summed, then averaged",
            "pixels.flatten(1).sum(1).mean()",
            "pixels.sum(-1).mean()",
            "along one side",
        ),
        (
            "the continuous Bernoulli",
            f"pixels = {_PIXELS}",
            "pixels = -objectives.ContinuousBernoulli(x_logits).log_prob(x)",
            "continuous Bernoulli's normaliser",
        ),
        ("bits", ".sum(1).mean()", ".sum(1).mean() / math.log(2)", "in bits"),
        ("free bits", "- logvar)).sum(1)", "- logvar)).clamp(min=0.25).sum(1)", "free bits"),
        ("the KL twice", "return reconstruction + kl", "return reconstruction + 2 * kl", "twice"),
        (
            "a distribution that refuses grey images",
            _PIXELS,
            "-torch.distributions.Bernoulli(logits=x_logits).log_prob(x)",
            "within the support",
        ),
    ],
)
_EVALUATED = """
def test_elbo(model, images, batch_size):
    model.eval()
    values = []
    for x in images.split(batch_size):
        with torch.no_grad():
            mu, logvar = model.encode(x)
        with torch.no_grad():
            z = objectives.reparameterize(mu, logvar)
            nll = objectives.bernoulli_nll(model.decode(z), x)
        values.append(-nll - objectives.gaussian_kl(mu, logvar).sum(1).detach())
    values = torch.cat(values)
    return values.mean(), values.std() / len(values) ** 0.5
"""
WRONG_EVALUATIONS += edited(
    "test_elbo",
    _EVALUATED,
    [
        ("batch_size batches", ".split(", ".chunk(", "images go through at once"),
        (
            "encode outside no_grad",
            "        with torch.no_grad():\n            mu, logvar = model.encode(x)",
            "        mu, logvar = model.encode(x)",
            "Steps are kept for backward",
        ),
    ],
)
WRONG_EVALUATIONS.append(
    Answer(
        "test_elbo",
        "the KL forgotten in the error",
        EVALUATION.replace(
            "- kl)", "- kl)\n            model.kls = [*getattr(model, 'kls', []), kl]"
        ).replace("elbo.std()", "(elbo + torch.cat(model.kls)).std()"),
        "It is that of other values: The KL is missing",
    )
)
WRONG_EVALUATIONS.append(
    Answer(
        "test_elbo",
        "all images encoded at once, decoded in batches",
        """
@torch.no_grad()
def test_elbo(model, images, batch_size):
    model.eval()
    mu, logvar = model.encode(images)
    z = objectives.reparameterize(mu, logvar)
    nll = [objectives.bernoulli_nll(model.decode(a), x)
           for a, x in zip(z.split(batch_size), images.split(batch_size))]
    values = -torch.cat(nll) - objectives.gaussian_kl(mu, logvar).sum(1)
    return values.mean(), values.std() / len(values) ** 0.5
""",
        "images go through at once",
    )
)
WRONG_VAES += [
    Answer(
        "MyVAE",
        "the decoder's layers in a plain list",
        VAE.replace("self.decoder = nn.Sequential(", "self.layers = (").replace(
            "self.decoder(", "nn.Sequential(*self.layers)("
        ),
        "a plain list hides layers",
    ),
    Answer(
        "MyVAE",
        "logvar made of mu by one more layer",
        VAE.replace("self.fc_logvar = nn.Linear(256,", "self.fc_logvar = nn.Linear(latent_dim,").replace(
            "self.fc_logvar(hidden)", "self.fc_logvar(self.fc_mu(hidden))"
        ),
        "logvar comes out of mu",
    ),
]
WRONG_VAES += [
    Answer(
        "MyVAE",
        f"logvar clamped to {name}",
        VAE.replace("self.fc_logvar(hidden)", f"self.fc_logvar(hidden).clamp({name})"),
        hint,
    )
    for name, hint in (
        ("-2, 2", "a clamp to -2 and 2"),
        ("max=1", "a bound of 1 above"),
        ("-10, 10", "a clamp"),
    )
]
WRONG_EVALUATIONS += edited(
    "test_elbo",
    EVALUATION,
    [
        ("an interval of 95%", "(elbo.std()", "(1.96 * elbo.std()", "1.96 times the standard error"),
        (
            "averaged over its batch",
            "x_logits, x) - kl",
            "x_logits, x).mean() - kl",
            "is averaged over the batch",
        ),
    ],
)

WRONG = WRONG_VAES + WRONG_LOSSES + WRONG_STEPS + WRONG_EVALUATIONS + WRONG_LIKELIHOODS
