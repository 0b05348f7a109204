"""Answers to section 7: MyCVAE, request_digits, count_active, posterior_means, confusion, train."""

from __future__ import annotations

from bank.answers import Answer, edited

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------

CVAE = """
class MyCVAE(nn.Module):
    def __init__(self, latent_dim=20, num_classes=10):
        super().__init__()
        self.num_classes = num_classes
        self.encoder = nn.Sequential(
            nn.Linear(784 + num_classes, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU()
        )
        self.fc_mu = nn.Linear(256, latent_dim)
        self.fc_logvar = nn.Linear(256, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim + num_classes, 256), nn.ReLU(),
            nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784),
        )

    def label(self, y):
        return F.one_hot(y, self.num_classes).float()

    def encode(self, x, y):
        hidden = self.encoder(torch.cat([x.flatten(1), self.label(y)], dim=1))
        return self.fc_mu(hidden), self.fc_logvar(hidden)

    def decode(self, z, y):
        return self.decoder(torch.cat([z, self.label(y)], dim=1)).view(-1, 1, 28, 28)
"""

CVAE_EYE = CVAE.replace(
    "self.num_classes = num_classes\n",
    "self.rows = nn.Embedding.from_pretrained(torch.eye(num_classes))\n",
).replace("F.one_hot(y, self.num_classes).float()", "self.rows(y)")

CVAES = [
    Answer("MyCVAE", "one-hot labels joined by cat", CVAE),
    Answer(
        "MyCVAE",
        "a layer of its own for the encoder's label, one head cut in two",
        """
class MyCVAE(nn.Module):
    def __init__(self, latent_dim=20, num_classes=10):
        super().__init__()
        self.register_buffer("eye", torch.eye(num_classes))
        self.a, self.a_label = nn.Linear(784, 512), nn.Linear(num_classes, 512, bias=False)
        self.b, self.heads = nn.Linear(512, 256), nn.Linear(256, 2 * latent_dim)
        self.c, self.d = nn.Linear(num_classes + latent_dim, 256), nn.Linear(256, 512)
        self.e = nn.Linear(512, 784)

    def encode(self, x, y):
        hidden = F.relu(self.a(x.reshape(len(x), 784)) + self.a_label(self.eye[y]))
        return self.heads(F.relu(self.b(hidden))).chunk(2, dim=1)

    def decode(self, z, y):
        hidden = F.relu(self.c(torch.hstack([self.eye[y], z])))
        return self.e(F.relu(self.d(hidden))).reshape(len(z), 1, 28, 28)
""",
    ),
    Answer(
        "MyCVAE",
        "labels by comparison, Flatten and Unflatten, an encoder class",
        """
class Joined(nn.Module):
    def __init__(self, num_classes, *layers):
        super().__init__()
        self.num_classes, self.layers = num_classes, nn.Sequential(*layers)

    def forward(self, first, y):
        one_hot = (y.unsqueeze(1) == torch.arange(self.num_classes)).to(first.dtype)
        return self.layers(torch.cat((nn.Flatten()(first), one_hot), 1))

class MyCVAE(nn.Module):
    def __init__(self, latent_dim, num_classes):
        super().__init__()
        self.trunk = Joined(
            num_classes, nn.Linear(784 + num_classes, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU()
        )
        self.mu, self.logvar = nn.Linear(256, latent_dim), nn.Linear(256, latent_dim)
        self.decode = Joined(
            num_classes, nn.Linear(latent_dim + num_classes, 256), nn.ReLU(), nn.Linear(256, 512),
            nn.ReLU(), nn.Linear(512, 784), nn.Unflatten(1, (1, 28, 28)),
        )

    def encode(self, x, y):
        hidden = self.trunk(x, y)
        return self.mu(hidden), self.logvar(hidden)
""",
    ),
    Answer(
        "MyCVAE",
        "lazy layers, the label in front, the head for logvar defined first",
        """
class MyCVAE(nn.Module):
    def __init__(self, latent_dim=20, num_classes=10, hidden=(512, 256)):
        super().__init__()
        self.num_classes = num_classes
        wide, narrow = hidden
        self.log_var, self.mean = nn.LazyLinear(latent_dim), nn.LazyLinear(latent_dim)
        self.enc = nn.ModuleList([nn.LazyLinear(wide), nn.LazyLinear(narrow)])
        self.dec = nn.ModuleList([nn.LazyLinear(narrow), nn.LazyLinear(wide), nn.LazyLinear(784)])

    def one_hot(self, y):
        rows = torch.zeros(len(y), self.num_classes)
        return rows.scatter_(1, y.view(-1, 1), 1.0)

    def encode(self, x, y):
        h = torch.cat([self.one_hot(y), x.view(x.size(0), -1)], dim=-1)
        for layer in self.enc:
            h = layer(h).clamp(min=0)
        return [self.mean(h), self.log_var(h)]

    def decode(self, z, y):
        h = torch.cat([self.one_hot(y), z], dim=-1)
        for layer in self.dec[:-1]:
            h = torch.relu(layer(h))
        return self.dec[-1](h).unflatten(1, (1, 28, 28))
""",
    ),
    Answer(
        "MyCVAE",
        "an embedding of the label added to each first layer",
        """
class MyCVAE(nn.Module):
    def __init__(self, latent_dim, num_classes):
        super().__init__()
        self.label_1, self.label_2 = nn.Embedding(num_classes, 512), nn.Embedding(num_classes, 256)
        self.a, self.b, self.c = nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 2 * latent_dim)
        self.d, self.e, self.f = nn.Linear(latent_dim, 256), nn.Linear(256, 512), nn.Linear(512, 784)

    def encode(self, x, y):
        heads = self.c(F.relu(self.b(F.relu(self.a(x.flatten(1)) + self.label_1(y)))))
        mu, logvar = heads.view(len(x), -1, 2).unbind(2)
        return mu, logvar

    def decode(self, z, y):
        return self.f(F.relu(self.e(F.relu(self.d(z) + self.label_2(y))))).view(-1, 1, 28, 28)
""",
    ),
    Answer(
        "MyCVAE",
        "an embedding that is frozen at the one-hot rows",
        CVAE_EYE,
    ),
]
CVAES += [
    Answer("MyCVAE", "no bias at the end", CVAE.replace("(512, 784)", "(512, 784, bias=False)")),
    Answer(
        "MyCVAE",
        "parameters of its own in an nn.ParameterDict",
        """
class MyCVAE(nn.Module):
    def __init__(self, latent_dim=20, num_classes=10):
        super().__init__()
        sizes = [(784 + num_classes, 512), (512, 256), (256, latent_dim), (256, latent_dim),
                 (latent_dim + num_classes, 256), (256, 512), (512, 784)]
        self.p = nn.ParameterDict()
        for i, (a, b) in enumerate(sizes):
            self.p[f"w{i}"], self.p[f"b{i}"] = torch.randn(a, b) / a**0.5, torch.zeros(b)
        self.rows = torch.eye(num_classes)

    def through(self, i, x):
        return x @ self.p[f"w{i}"] + self.p[f"b{i}"]

    def encode(self, x, y):
        h = self.through(0, torch.cat([self.rows[y], x.reshape(len(x), -1)], 1)).relu()
        h = self.through(1, h).relu()
        return self.through(2, h), self.through(3, h)

    def decode(self, z, y):
        h = self.through(4, torch.cat([z, self.rows[y]], 1)).relu()
        return self.through(6, self.through(5, h).relu()).view(len(z), 1, 28, 28)
""",
    ),
]

_NO_LABEL_IN_ENCODER = CVAE.replace("784 + num_classes", "784").replace(
    "torch.cat([x.flatten(1), self.label(y)], dim=1)", "x.flatten(1)"
)
_NO_LABEL_IN_DECODER = ("torch.cat([z, self.label(y)], dim=1)", "z")

WRONG_CVAES = [
    Answer(
        "MyCVAE",
        "decode joins the label of the last encode",
        CVAE.replace("hidden =", "self.last = self.label(y)\n        hidden =").replace(
            "[z, self.label(y)]", "[z, self.last[: len(z)]]"
        ),
        "keep something from before",
    ),
    Answer(
        "MyCVAE",
        "the label joins the hidden units of the encoder",
        CVAE.replace("784 + num_classes", "784")
        .replace("256, latent_dim)", "256 + num_classes, latent_dim)")
        .replace("torch.cat([x.flatten(1), self.label(y)], dim=1))", "x.flatten(1))")
        .replace(
            "return self.fc_mu",
            "hidden = torch.cat([hidden, self.label(y)], dim=1)\n        return self.fc_mu",
        ),
        "joins after the first layer",
    ),
    Answer(
        "MyCVAE",
        "label in the encoder alone",
        CVAE.replace("latent_dim + num_classes", "latent_dim").replace(*_NO_LABEL_IN_DECODER),
        "label is not used",
    ),
    Answer("MyCVAE", "label in the decoder alone", _NO_LABEL_IN_ENCODER, "label is not used"),
    Answer(
        "MyCVAE",
        "label nowhere",
        _NO_LABEL_IN_ENCODER.replace("latent_dim + num_classes", "latent_dim").replace(*_NO_LABEL_IN_DECODER),
        "label is not used",
    ),
    Answer(
        "MyCVAE",
        "label as a single number",
        CVAE.replace("+ num_classes", "+ 1").replace(
            "F.one_hot(y, self.num_classes).float()", "y[:, None].float()"
        ),
        "single number",
    ),
    *edited(
        "MyCVAE",
        CVAE,
        [
            (
                "classes from 1",
                "F.one_hot(y, self.num_classes)",
                "(y[:, None] == torch.arange(1, self.num_classes + 1))",
                "class 0 has no place",
            ),
            ("sigmoid at the end", "28, 28)", "28, 28).sigmoid()", "a sigmoid on the logits"),
            ("a tanh at the end", "28, 28)", "28, 28).tanh()", "a tanh on the logits"),
            ("a ReLU at the end", "28, 28)", "28, 28).relu()", "a ReLU on the logits"),
            ("rows of pixels, no images", ".view(-1, 1, 28, 28)", "", "no images"),
            ("the channel lost", "view(-1, 1, 28", "view(-1, 28", "The channel is missing"),
            ("swapped height and width", "28, 28)", "28, 28).mT", "swapped"),
            (
                "ten classes whatever is asked",
                "num_classes=10):",
                "num_classes=10):\n        num_classes = 10",
                "room for 10",
            ),
            ("classes counted in the batch", "F.one_hot(y, self.num_classes)", "F.one_hot(y)", "F.one_hot"),
            ("batch size fixed", "view(-1", "view(128", "number of images written"),
            ("no activation", "nn.ReLU()", "nn.Identity()", "Nothing stands between"),
            ("heads on a linear layer", "256), nn.ReLU()\n", "256)\n", "ReLU after layer 2 of 3"),
            ("one activation in the decoder", "512), nn.ReLU(), nn", "512), nn", "ReLU after layer 2 of 3"),
            ("tanh inside", "nn.ReLU()", "nn.Tanh()", "inside is a tanh"),
            ("sigmoid inside", "nn.ReLU()", "nn.Sigmoid()", "inside is a sigmoid"),
            ("pixels times 255", "[x.flatten(1)", "[255 * x.flatten(1)", "multiplied by 255"),
            (
                "labels smoothed",
                "classes).float()",
                "classes) * 0.9 + 0.1 / self.num_classes",
                "smoothed by 0.1",
            ),
            (
                "dropout",
                "256), nn.ReLU()\n",
                "256), nn.ReLU(), nn.Dropout(0.5)\n",
                "is there dropout",
            ),
            (
                "a sample in place of mu",
                "return self.fc_mu(hidden), ",
                "return self.fc_mu(hidden) + torch.randn(len(x), 1), ",
                "does it draw",
            ),
            (
                "layer normalisation",
                "nn.Linear(512, 256), nn.ReLU()\n",
                "nn.Linear(512, 256), nn.LayerNorm(256), nn.ReLU()\n",
                "LayerNorm",
            ),
            (
                "one head for both",
                "self.fc_logvar = nn.Linear(256, latent_dim)",
                "self.fc_logvar = self.fc_mu",
                "the same layer",
            ),
            (
                "softplus on logvar",
                "self.fc_logvar(hidden)",
                "F.softplus(self.fc_logvar(hidden))",
                "a softplus on logvar",
            ),
            (
                "sigma in place of logvar",
                "self.fc_logvar(hidden)",
                "(self.fc_logvar(hidden) / 2).exp()",
                "an exp of the half on logvar",
            ),
            (
                "the variance in place of logvar",
                "self.fc_logvar(hidden)",
                "self.fc_logvar(hidden).exp()",
                "an exp on logvar",
            ),
            (
                "ReLU on both heads",
                "self.fc_mu(hidden), self.fc_logvar(hidden)",
                "F.relu(self.fc_mu(hidden)), F.relu(self.fc_logvar(hidden))",
                "a ReLU on mu",
            ),
            (
                "both heads in one tensor",
                "self.fc_mu(hidden), self.fc_logvar(hidden)",
                "torch.cat([self.fc_mu(hidden), self.fc_logvar(hidden)], dim=1)",
                "It returned 1 value; mu",
            ),
            (
                "a sample as well",
                "self.fc_mu(hidden), ",
                "self.fc_mu(hidden), self.fc_mu(hidden), ",
                "It returned 3 values; mu",
            ),
            (
                "the first image's label for all",
                "self.num_classes).float()",
                "self.num_classes).float()[:1].expand(len(y), -1)",
                "the label of the first image",
            ),
            (
                "the heads changed places",
                "self.fc_mu(hidden), self.fc_logvar(hidden)",
                "self.fc_logvar(hidden), self.fc_mu(hidden)",
                "have changed places",
            ),
            (
                "a detached code",
                "x.flatten(1), self.label(y)], dim=1))",
                "x.flatten(1), self.label(y)], dim=1)).detach()",
                "A gradient does not reach",
            ),
            (
                "decoded without a gradient",
                "    def decode(",
                "    @torch.no_grad()\n    def decode(",
                "A gradient does not reach",
            ),
            ("no label in the call", "def decode(self, z, y)", "def decode(self, z)", "Your code stopped"),
            (
                "encode returns nothing",
                "return self.fc_mu(hidden), ",
                "self.fc_mu(hidden), ",
                "returned None",
            ),
        ],
    ),
    Answer(
        "MyCVAE",
        "256 and 512 hidden units in place of 512 and 256",
        CVAE.replace("512", "wide").replace("256", "512").replace("wide", "256"),
        "give 256, 512, 20 numbers",
    ),
    Answer(
        "MyCVAE",
        "a learned embedding joined",
        CVAE_EYE.replace(".from_pretrained(torch.eye(num_classes))", "(num_classes, num_classes)"),
        "join it one-hot",
    ),
    Answer(
        "MyCVAE",
        "no nn.Module",
        CVAE.replace("nn.Module", "object").replace("super().__init__()", "pass"),
        "no nn.Module",
    ),
]

# --- 7.2 request_digits -----------------------------------------------------------------------------

REQUEST = """
def request_digits(decode, labels, z):
    codes = z.repeat_interleave(len(labels), dim=0)
    return decode(codes, labels.repeat(len(z))).sigmoid()
"""

REQUESTS = [
    Answer("request_digits", "vectorised", REQUEST),
    Answer(
        "request_digits",
        "a row at a time",
        """
def request_digits(decode, labels, z):
    rows = [torch.sigmoid(decode(code.unsqueeze(0).expand(len(labels), -1), labels)) for code in z]
    return torch.cat(rows)
""",
    ),
    Answer(
        "request_digits",
        "an image at a time",
        """
@torch.no_grad()
def request_digits(decode, labels, z):
    images = []
    for i in range(len(z)):
        for j in range(len(labels)):
            logits = decode(z[i:i + 1], labels[j:j + 1])
            images.append(1 / (1 + (-logits).exp()))
    return torch.cat(images)
""",
    ),
]

_CODES = "z.repeat_interleave(len(labels), dim=0)"

WRONG_REQUESTS = [
    *edited(
        "request_digits",
        REQUEST,
        [
            (
                "half of tanh + 1",
                "labels.repeat(len(z))).sigmoid()",
                "labels.repeat(len(z))).tanh() / 2 + 0.5",
                "sigmoid of twice",
            ),
            ("labels sorted", "labels.repeat", "labels.sort().values.repeat", "labels are sorted first"),
            ("labels backwards", "labels.repeat", "labels.flip(0).repeat", "run backwards"),
            (
                "the mean of all z",
                "z.repeat_interleave(len(labels), dim=0)",
                "z.mean(0).expand(len(z) * len(labels), -1)",
                "the mean of all z",
            ),
            ("logits in place of images", ".sigmoid()", "", "image is their sigmoid"),
            ("the first z in every row", _CODES, "z[:1].expand(len(z) * len(labels), -1)", "first z"),
            ("z changes along a row", _CODES, "z.repeat(len(labels), 1)", "changes within"),
            ("z drawn anew", _CODES, "torch.randn(len(z) * len(labels), z.shape[1])", "does it draw"),
            (
                "z and labels in pairs",
                "decode(codes, labels.repeat(len(z)))",
                "decode(z, labels)",
                "Your code stopped",
            ),
            (
                "ten labels whatever is asked",
                "codes =",
                "labels = torch.arange(10)\n    codes =",
                "Ten labels are written in",
            ),
            (
                "a grid with a row axis",
                ".sigmoid()",
                ".sigmoid().unflatten(0, (len(z), -1))",
                "an axis too many",
            ),
            ("nothing returned", "return", "images =", "returned None"),
            ("a sigmoid too many", ".sigmoid()", ".sigmoid().sigmoid()", "taken twice"),
            ("black and white", ".sigmoid()", ".sigmoid().round()", "The pixels are rounded"),
            ("codes in another scale", _CODES, f"2 * {_CODES}", "multiplied by 2"),
            (
                "each label once",
                "codes =",
                "labels = labels.unique()\n    codes =",
                "Each label is decoded once",
            ),
            (
                "scaled by its own extremes",
                "return decode(codes, labels.repeat(len(z))).sigmoid()",
                "x = decode(codes, labels.repeat(len(z)))\n    return (x - x.min()) / (x.max() - x.min())",
                "scaled by their extremes",
            ),
            (
                "logits of each image scaled by its extremes",
                "return decode(codes, labels.repeat(len(z))).sigmoid()",
                "x = decode(codes, labels.repeat(len(z))).flatten(1)\n    x = x - x.amin(1, keepdim=True)\n"
                "    return (x / x.amax(1, keepdim=True)).view(-1, 1, 28, 28)",
                "logits of each image are scaled by their extremes",
            ),
            (
                "each image stretched from black to white",
                "return decode(codes, labels.repeat(len(z))).sigmoid()",
                "x = decode(codes, labels.repeat(len(z))).sigmoid()\n"
                "    low = x.amin((1, 2, 3), keepdim=True)\n"
                "    return (x - low) / (x - low).amax((1, 2, 3), keepdim=True)",
                "pixels of each image are scaled by their extremes",
            ),
            ("clamped", ".sigmoid()", ".clamp(0, 1)", "clamped to [0, 1]"),
            ("a softmax", ".sigmoid()", ".flatten(1).softmax(1).view(-1, 1, 28, 28)", "softmax over pixels"),
            ("bytes", ".sigmoid()", ".sigmoid().mul(255).byte()", "whole numbers from 0 to 255"),
            ("the first z alone", _CODES, "z[:1].expand(len(labels), -1)\n    z = z[:1]", "Only the first z"),
            (
                "pairs where there are as many",
                "codes =",
                "if len(z) == len(labels):\n        return decode(z, labels).sigmoid()\n    codes =",
                "go in pairs",
            ),
            (
                "a decoder's gradient forgotten",
                "return decode(codes, labels.repeat(len(z))).sigmoid()",
                "return 1 / (1 + np.exp(-decode(codes, labels.repeat(len(z))).numpy()))",
                "requires grad",
            ),
            (
                "a list of images",
                "return decode(codes, labels.repeat(len(z))).sigmoid()",
                "return [decode(codes, labels.repeat(len(z))).sigmoid()]",
                "return one tensor",
            ),
        ],
    ),
    Answer(
        "request_digits",
        "a row per label",
        """
def request_digits(decode, labels, z):
    return decode(z.repeat(len(labels), 1), labels.repeat_interleave(len(z))).sigmoid()
""",
        "Rows and columns are swapped",
    ),
]

# --- 7.4 count_active -------------------------------------------------------------------------------

COUNT = """
def count_active(mu, threshold):
    return int((mu.var(0) > threshold).sum())
"""

COUNTS = [
    Answer("count_active", "vectorised", COUNT),
    Answer(
        "count_active",
        "variance without Bessel's correction, a tensor returned",
        """
def count_active(mu, threshold):
    return (mu.var(dim=0, correction=0) > threshold).sum()
""",
    ),
    Answer(
        "count_active",
        "NumPy",
        """
def count_active(mu, threshold):
    return np.count_nonzero(np.var(mu.numpy(), axis=0) > threshold)
""",
    ),
    Answer(
        "count_active",
        "a loop over dimensions",
        """
def count_active(mu, threshold):
    active = 0
    for column in mu.T:
        if ((column - column.mean()) ** 2).mean() > threshold:
            active += 1
    return active
""",
    ),
]

_COUNT = "int((mu.var(0) > threshold).sum())"

WRONG_COUNTS = edited(
    "count_active",
    COUNT,
    [
        (
            "the place of the last one",
            "int((mu.var(0) > threshold).sum())",
            "max((mu.var(0) > threshold).nonzero().flatten().tolist(), default=-1) + 1",
            "place of the last one",
        ),
        (
            "the square of the variance",
            "(mu.var(0) > threshold)",
            "(mu.var(0) ** 2 > threshold)",
            "The square of the variance",
        ),
        (
            "from the first image",
            "mu.var(0)",
            "(mu - mu[0]).square().mean(0)",
            "from the first image is compared",
        ),
        ("of absolute values", "mu.var(0)", "mu.abs().var(0)", "that of absolute values"),
        (
            "squares over dimensions",
            "mu.var(0)",
            "(mu.var(0, correction=0) * len(mu) / mu.shape[1])",
            "divided by the number of dimensions",
        ),
        (
            "the first that is silent ends it",
            "(mu.var(0) > threshold)",
            "(mu.var(0) > threshold).cumprod(0)",
            "Counting ends at the first",
        ),
        (
            "a share of the largest",
            "> threshold",
            "> threshold * mu.var(0).max()",
            "share of the largest variance",
        ),
        ("numbers counted", "mu.var(0)", "(mu - mu.mean(0)).square()", "Single numbers are counted"),
        ("quartiles", "mu.var(0)", "mu.quantile(0.75, 0) - mu.quantile(0.25, 0)", "the quartiles"),
        ("the first dimension left out", "mu.var(0)", "mu[:, 1:].var(0)", "first dimension is left out"),
        ("the variance of the mean", "mu.var(0)", "mu.var(0) / len(mu)", "as that of a mean is"),
        ("the largest distance from 0", "mu.var(0)", "mu.abs().amax(0)", "The largest distance"),
        ("differences of neighbours", "mu.var(0)", "mu.diff(dim=0).var(0)", "between one image and the next"),
        (
            "each image centred",
            "mu.var(0)",
            "(mu - mu.mean(1, keepdim=True)).var(0)",
            "centred over its dimensions",
        ),
        ("the standard deviation", "var", "std", "standard deviation is compared"),
        ("the mean square", "mu.var(0)", "(mu**2).mean(0)", "A constant far from 0"),
        ("dimensions that are switched off", ">", "<=", "switched off"),
        ("dimensions below the threshold", ">", "<", "below the threshold"),
        ("a share", _COUNT, "float((mu.var(0) > threshold).float().mean())", "This is a share"),
        ("variance over dimensions", "var(0)", "var(1)", "This counts images"),
        ("a truth value per dimension", _COUNT, "mu.var(0) > threshold", "return one number"),
        ("threshold fixed", "> threshold", "> 0.01", "threshold is fixed"),
        ("the mean distance from 0", "mu.var(0)", "mu.abs().mean(0)", "distance from 0 is compared"),
        ("one variance over everything", "var(0)", "var()", "It counts one at most"),
        ("variances", _COUNT, "mu.var(0)", "return one number"),
        ("which dimensions", _COUNT, "(mu.var(0) > threshold).nonzero()", "return one number"),
        ("centred in place", "mu.var(0)", "mu.sub_(mu.mean(0)).var(0)", "given in place"),
        ("nothing returned", "return", "count =", "returned None"),
        ("at least", ">", ">=", "What lies just at the threshold"),
        ("the size of the mean", "mu.var(0)", "mu.mean(0).abs()", "The size of the mean"),
        ("the square of the mean", "mu.var(0)", "mu.mean(0) ** 2", "The square of the mean"),
        (
            "the farthest image",
            "mu.var(0)",
            "(mu - mu.mean(0)).square().amax(0)",
            "One image far from the mean",
        ),
        (
            "centred on the mean of all",
            "mu.var(0)",
            "(mu - mu.mean()).pow(2).mean(0)",
            "One mean over everything",
        ),
        ("a sum of squares", "mu.var(0)", "(mu - mu.mean(0)).pow(2).sum(0)", "Squares are summed"),
        ("the first 100 images", "mu.var", "mu[:100].var", "first 100 images"),
        (
            "a difference of large numbers",
            "mu.var(0)",
            "(mu**2).mean(0) - mu.mean(0) ** 2",
            "loses its digits",
        ),
        (
            "the standard deviation over N",
            "mu.var(0)",
            "mu.std(0, correction=0)",
            "standard deviation is compared",
        ),
        ("the range", "mu.var(0)", "mu.amax(0) - mu.amin(0)", "The range from"),
        ("a method that tensors lack", "var", "variance", "AttributeError"),
    ],
)

# --- 7.6 posterior_means ----------------------------------------------------------------------------

MEANS = """
def posterior_means(model, images, batch_size):
    was_training = model.training
    model.eval()
    means = []
    with torch.no_grad():
        for batch in images.split(batch_size):
            mu, logvar = model.encode(batch)
            means.append(mu)
    model.train(was_training)
    return torch.cat(means)
"""

ALL_MEANS = [
    Answer("posterior_means", "split and cat", MEANS),
    Answer(
        "posterior_means",
        "slices, rows stacked",
        """
@torch.no_grad()
def posterior_means(model, images, batch_size):
    mode = model.training
    model.eval()
    rows = []
    for start in range(0, len(images), batch_size):
        mu, _ = model.encode(images[start:start + batch_size])
        rows.extend(mu)
    model.train(mode)
    return torch.stack(rows)
""",
    ),
    Answer(
        "posterior_means",
        "a DataLoader and detach",
        """
def posterior_means(model, images, batch_size):
    was_training, means = model.training, None
    model.eval()
    for batch in torch.utils.data.DataLoader(images, batch_size):
        mu = model.encode(batch)[0].detach()
        means = mu if means is None else torch.vstack([means, mu])
    if was_training:
        model.train()
    return means
""",
    ),
]

ALL_MEANS.append(
    Answer(
        "posterior_means",
        "a copy of the model is asked",
        """
import copy

@torch.no_grad()
def posterior_means(model, images, batch_size):
    judge = copy.deepcopy(model).eval()
    return torch.cat([judge.encode(x)[0] for x in images.split(batch_size)])
""",
    )
)

_APPEND = "means.append(mu)"
_RESTORE = "model.train(was_training)"

WRONG_MEANS = edited(
    "posterior_means",
    MEANS,
    [
        ("images in double precision", "encode(batch)", "encode(batch.double())", "the same dtype"),
        ("an image short", "means.append(mu)", "means.append(mu[:-1])", "The last image of each batch"),
        ("a list of the batches' means", "torch.cat(means)", "means", "returned a list"),
        (
            "stack for cat",
            "torch.cat(means)",
            "torch.stack(means).flatten(0, 1)",
            "stack expects each tensor",
        ),
        (
            "the last, smaller batch left out",
            _APPEND,
            "if len(batch) == min(batch_size, len(images)):\n                means.append(mu)",
            "last, smaller",
        ),
        ("only the first batch", _APPEND, f"{_APPEND}\n            break", "Only the first batch"),
        ("only the last batch", _APPEND, "means = [mu]", "Only the last batch"),
        ("a gradient kept", "torch.no_grad()", "torch.enable_grad()", "still carry a gradient"),
        ("training mode", "model.eval()", "pass", "It is in training mode"),
        ("left in evaluation mode", _RESTORE, "pass", "left in evaluation mode"),
        ("always back to training mode", _RESTORE, "model.train()", "came in evaluation mode"),
        (
            "samples in place of means",
            _APPEND,
            "means.append(mu + (logvar / 2).exp() * torch.randn_like(mu))",
            "look like samples",
        ),
        ("log-variances in place of means", _APPEND, "means.append(logvar)", "These are log-variances"),
        ("nothing returned", "return", "all_means =", "returned None"),
        ("a list of batches", "torch.cat(means)", "means", "return one tensor"),
        ("NumPy returned", "torch.cat(means)", "torch.cat(means).numpy()", "a tensor is asked for"),
        (
            "pieces that are larger than a batch",
            "images.split(batch_size)",
            "images.tensor_split(max(1, len(images) // batch_size))",
            "8 codes or images go through at once, 7 are allowed",
        ),
        ("all images at once", "images.split(batch_size)", "[images]", "images go through at once"),
        ("in another order", "images.split", "images.flip(0).split", "in another order"),
        (
            "gradients switched off for good",
            "with torch.no_grad():",
            "torch.set_grad_enabled(False)\n    if True:",
            "leaves gradients switched off",
        ),
        (
            "the model frozen",
            "with torch.no_grad():",
            "model.requires_grad_(False)\n    if True:",
            "stay frozen after the call",
        ),
        ("the mode turned round", _RESTORE, "model.train(not was_training)", "came in training mode"),
        ("half precision", _APPEND, "means.append(mu.half().float())", "half precision"),
        ("the flag on top alone", "model.eval()", "model.training = False", "Only the model's own flag"),
        ("the flag put back alone", _RESTORE, "model.training = was_training", "put back on top only"),
        ("images rounded", "encode(batch)", "encode(batch.round())", "rounded to black and white"),
        ("squeezed", _APPEND, "means.append(mu.squeeze())", "same number of dimensions"),
        ("averaged over the batch", _APPEND, "means.append(mu.mean(0, keepdim=True))", "one row per image"),
    ],
)

# --- 7.7 confusion ----------------------------------------------------------------------------------

MATRIX = """
def confusion(true, predicted, num_classes):
    pairs = true * num_classes + predicted
    counts = torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)
    return counts
"""

MATRICES = [
    Answer("confusion", "bincount", MATRIX),
    Answer(
        "confusion",
        "a loop over a NumPy array",
        """
def confusion(true, predicted, num_classes):
    counts = np.zeros((num_classes, num_classes), int)
    for row, column in zip(true, predicted):
        counts[row, column] += 1
    return torch.from_numpy(counts)
""",
    ),
    Answer(
        "confusion",
        "a product of one-hot matrices",
        """
def confusion(true, predicted, num_classes):
    return F.one_hot(true, num_classes).float().T @ F.one_hot(predicted, num_classes).float()
""",
    ),
    Answer(
        "confusion",
        "a comparison for every pair of classes",
        """
def confusion(true, predicted, num_classes):
    classes = range(num_classes)
    return torch.tensor([[((true == i) & (predicted == j)).sum() for j in classes] for i in classes])
""",
    ),
    Answer(
        "confusion",
        "scikit-learn with all labels",
        """
from sklearn.metrics import confusion_matrix

def confusion(true, predicted, num_classes):
    return torch.from_numpy(confusion_matrix(true, predicted, labels=range(num_classes)))
""",
    ),
]

WRONG_MATRICES = [
    *edited(
        "confusion",
        MATRIX,
        [
            (
                "bins of each row from its labels",
                "return counts",
                "rows = [predicted[true == row].float() for row in range(num_classes)]\n"
                "    empty = torch.zeros(num_classes)\n"
                "    return torch.stack([row.histc(num_classes) if len(row) else empty for row in rows])",
                "Bins of each row",
            ),
            (
                "one class or the other",
                "return counts",
                "return counts.sum(1, keepdim=True) + counts.sum(0) - counts",
                "one class or the other",
            ),
            (
                "ten classes",
                "minlength=num_classes**2).view(num_classes, num_classes)",
                "minlength=num_classes**2).view(num_classes, num_classes)\n"
                "    counts = F.pad(counts, (0, max(0, 10 - num_classes)) * 2)",
                "Ten classes are built in",
            ),
            (
                "the last pair left out",
                "true * num_classes + predicted",
                "(true * num_classes + predicted)[:-1]",
                "last pair is left out",
            ),
            (
                "no class 0",
                "return counts",
                "counts[0], counts[:, 0] = 0, 0\n    return counts",
                "Class 0 is left out",
            ),
            ("rows are predictions", "return counts", "return counts.T", "swapped"),
            ("room for too few pairs", ", minlength=num_classes**2", "", "invalid for input"),
            (
                "each pair once",
                "return counts",
                "counts[:] = 0\n    counts[true, predicted] += 1\n    return counts",
                "counts once, however",
            ),
            (
                "shares of each row",
                "return counts",
                "return counts / counts.sum(1, keepdim=True).clamp(min=1)",
                "shares of each row",
            ),
            ("shares of all images", "return counts", "return counts / len(true)", "as there are images"),
            (
                "the diagonal alone",
                "return counts",
                "return counts.diagonal().diag()",
                "Only right predictions",
            ),
            (
                "classes counted in the data",
                "pairs =",
                "num_classes = int(true.max()) + 1\n    pairs =",
                "as large as",
            ),
            (
                "shares of each column",
                "return counts",
                "return counts / counts.sum(0).clamp(min=1)",
                "shares of each column",
            ),
            ("errors alone", "return counts", "return counts - counts.diagonal().diag()", "are left out"),
            (
                "right predictions of each class",
                "return counts",
                "return counts.diagonal()",
                "right predictions of",
            ),
            (
                "labels changed in place",
                "true * num_classes + predicted",
                "true.mul_(num_classes) + predicted",
                "given in place",
            ),
            ("nothing returned", "return counts", "return", "returned None"),
            ("a flat list", ".view(num_classes, num_classes)", "", "It is flattened"),
            ("truth values", "return counts", "return counts.bool()", "counts once, however"),
            (
                "different pairs numbered alike",
                "true * num_classes",
                "true * (num_classes - 1)",
                "share a number",
            ),
            (
                "pairs in 8 bits",
                "true * num_classes + predicted",
                "(true * num_classes + predicted).byte()",
                "in 8 bits",
            ),
            ("counts in 8 bits", "return counts", "return counts.byte()", "kept in 8 bits"),
            ("nested lists", "return counts", "return counts.tolist()", "return one tensor"),
            ("both orders", "return counts", "return counts + counts.T", "Both orders"),
        ],
    ),
    Answer(
        "confusion",
        "kept between calls",
        """
TABLES = {}

def confusion(true, predicted, num_classes):
    table = TABLES.setdefault(num_classes, torch.zeros(num_classes, num_classes, dtype=torch.long))
    for pair in zip(true, predicted):
        table[pair] += 1
    return table
""",
        "keep something from before",
    ),
    Answer(
        "confusion",
        "bins between the labels that occur",
        """
def confusion(true, predicted, num_classes):
    return torch.from_numpy(np.histogram2d(true, predicted, bins=num_classes)[0])
""",
        "Bins run from",
    ),
    Answer(
        "confusion",
        "scikit-learn without labels",
        """
from sklearn.metrics import confusion_matrix

def confusion(true, predicted, num_classes):
    return confusion_matrix(true, predicted)
""",
        "as large as the classes that occur",
    ),
]

# --- 7.12 train -------------------------------------------------------------------------------------

RACE = """
def train(model, images, seed):
    generator = torch.Generator().manual_seed(seed)
    mean = images.mean(0).flatten()
    with torch.no_grad():
        model.decoder[-1].bias.copy_(torch.logit(mean, eps=1e-3))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    for epoch in range(2):
        for rows in torch.randperm(len(images), generator=generator).split(32):
            x = images[rows]
            mu, logvar = model.encode(x)
            eps = torch.randn(mu.shape, generator=generator)
            x_logits = model.decode(mu + (logvar / 2).exp() * eps)
            nll = F.binary_cross_entropy_with_logits(x_logits, x, reduction="sum") / len(x)
            loss = nll + objectives.gaussian_kl(mu, logvar).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
"""

RACES = [
    Answer("train", "it begins at the mean image", RACE),
    Answer(
        "train",
        "growing batches under one cycle",
        """
from course_utils.engine.fast import one_cycle

def train(model, images, seed):
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3, fused=True)
    sizes, seen = (16, 16, 32), 0
    for size in sizes:
        for rows in torch.randperm(len(images)).split(size):
            optimizer.param_groups[0]["lr"] = 4e-3 * one_cycle(seen / (len(sizes) * len(images)))
            training.descend(model, objectives.negative_elbo, optimizer, images[rows])
            seen += len(rows)
    return model
""",
    ),
    Answer(
        "train",
        "a copy that is averaged, and torch's own schedule",
        """
import copy

def train(model, images, seed):
    torch.manual_seed(seed)
    own, average = copy.deepcopy(model), torch.optim.swa_utils.AveragedModel(model)
    with torch.no_grad():
        own.decoder[-1].bias.copy_(torch.logit(images.mean(0).flatten(), eps=1e-3))
    optimizer = torch.optim.AdamW(own.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=120)
    for step in range(120):
        x = images[torch.randint(len(images), (50,))]
        optimizer.zero_grad()
        objectives.negative_elbo(own, x).loss.backward()
        optimizer.step()
        schedule.step()
        if step > 110:
            average.update_parameters(own)
    model.load_state_dict(average.module.state_dict())
""",
    ),
]

PLAIN_RACE = RACE.replace("model.decoder[-1].bias.copy_(torch.logit(mean, eps=1e-3))", "pass")
_STEP, _LEVEL = "            optimizer.step()\n", "the level is 140"

WRONG_RACES = [
    *edited(
        "train",
        RACE,
        [
            ("loss averaged over pixels", 'reduction="sum") / len(x)', 'reduction="mean")', _LEVEL),
            ("no KL", " + objectives.gaussian_kl(mu, logvar).sum(1).mean()", "", _LEVEL),
            ("a rate that diverges", "lr=2e-3", "lr=2.0", "training diverges"),
            ("gradients add up", "            optimizer.zero_grad()\n", "", _LEVEL),
            (
                "a seed of its own",
                "manual_seed(seed)",
                "manual_seed(0)",
                "Another seed makes no difference",
            ),
            ("no seed", "manual_seed(seed)", "manual_seed(torch.initial_seed())", "Called again"),
            ("longer than the budget", "range(2)", "range(4)", "the budget is 6,000"),
            ("few images", "images[rows]", "images[:16]", _LEVEL),
            (
                "images made black and white in place",
                "    mean =",
                "    images.round_()\n    mean =",
                "in place",
            ),
            (
                "other layers",
                "    optimizer =",
                "    model.decoder = models.dense(10, 512, 784)\n    optimizer =",
                "changes the layers",
            ),
        ],
    ),
    *edited(
        "train",
        RACE.replace("split(32)", "split(128)"),
        [("one epoch of large batches", "range(2)", "range(1)", _LEVEL)],
    ),
    *edited(
        "train",
        PLAIN_RACE,
        [
            ("no step", _STEP, "", "A network is as it was"),
            ("a plain loop", "split(32)", "split(128)", _LEVEL),
            (
                "trained on a copy",
                "    optimizer =",
                "    import copy\n    model = copy.deepcopy(model)\n    optimizer =",
                "A network is as it was",
            ),
        ],
    ),
    Answer(
        "train",
        "weights kept from the first call",
        RACE.replace(
            "def train(model, images, seed):",
            "KEPT = {}\n\ndef train(model, images, seed):\n"
            "    if KEPT:\n        return model.load_state_dict(KEPT)",
        )
        + "    KEPT.update(model.state_dict())\n",
        "Hardly any work was counted",
    ),
    Answer(
        "train",
        "the course's own loop",
        """
def train(model, images, seed):
    training.fit(model, images, objectives.negative_elbo, epochs=2, seed=seed)
""",
        "the course's own solution",
    ),
]

RIGHT = CVAES + REQUESTS + COUNTS + ALL_MEANS + MATRICES + RACES
WRONG_MEANS += edited(
    "posterior_means",
    MEANS,
    [("batch_size batches", ".split(", ".chunk(", "images go through at once")],
)
WRONG_MEANS += [
    Answer(
        "posterior_means",
        "a result kept for as many images",
        f"KEPT = {{}}\n{MEANS}".replace(
            "was_training =", "if len(images) in KEPT:\n        return KEPT[len(images)]\n    was_training ="
        ).replace("return torch.cat(means)", "return KEPT.setdefault(len(images), torch.cat(means))"),
        "is a result kept from before, or another used?",
    )
]
WRONG_REQUESTS += [
    Answer(
        "request_digits",
        "codes and labels repeated one by one",
        REQUEST.replace("labels.repeat(len(z))", "labels.repeat_interleave(len(z))"),
        "Codes and labels both repeat one by one",
    ),
    Answer(
        "request_digits",
        "samples of black and white",
        """
@torch.no_grad()
def request_digits(decode, labels, z):
    rows = [decode(code.expand(len(labels), -1), labels) for code in z]
    return torch.bernoulli(torch.cat(rows).sigmoid())
""",
        "does it draw",
    ),
]
WRONG_MEANS += edited(
    "posterior_means",
    MEANS,
    [
        (
            "batches that overlap",
            "images.split(batch_size)",
            "[images[i : i + batch_size] for i in range(0, len(images), max(1, batch_size - 1))]",
            "The batches overlap",
        ),
    ],
)
WRONG_COUNTS += edited(
    "count_active",
    COUNT,
    [
        ("any at all", _COUNT, "int((mu.var(0) > threshold).any())", "It counts one at most"),
        (
            "scaled to variance 1",
            "mu.var(0)",
            "((mu - mu.mean(0)) / (mu.std(0) + 1e-8)).var(0)",
            "scaled to variance 1",
        ),
        (
            "variances summed",
            _COUNT,
            "int(mu.var(0)[mu.var(0) > threshold].sum())",
            "variances above the threshold are summed",
        ),
    ],
)
WRONG_MATRICES += edited(
    "confusion",
    MATRIX,
    [
        (
            "begun at the second",
            "true * num_classes + predicted",
            "(true * num_classes + predicted)[1:]",
            "first pair",
        ),
        (
            "wrong pairs in both orders",
            "return counts",
            "return counts + counts.T - counts.diag().diag()",
            "wrong pair",
        ),
        (
            "products of frequencies",
            "return counts",
            "return torch.outer(counts.sum(1), counts.sum(0))",
            "products of how often",
        ),
    ],
)
WRONG_CVAES += edited(
    "MyCVAE",
    CVAE,
    [
        (
            "the label in its own place",
            "F.one_hot(y, self.num_classes).float()",
            "F.one_hot(y, self.num_classes).float() * y[:, None]",
            "The label itself stands",
        ),
        (
            "a softmax of the label",
            "F.one_hot(y, self.num_classes).float()",
            "F.one_hot(y, self.num_classes).float().softmax(1)",
            "through a softmax",
        ),
        (
            "the label repeated",
            "F.one_hot(y, self.num_classes).float()",
            "(y[:, None] / self.num_classes).repeat(1, self.num_classes)",
            "number, repeated",
        ),
        (
            "labels dropped at random",
            "        return F.one_hot(y, self.num_classes).float()",
            "        kept = torch.rand(len(y), 1) > 0.1 * self.training\n"
            "        return F.one_hot(y, self.num_classes).float() * kept",
            "differ in training mode",
        ),
    ],
)
WRONG_RACES += edited(
    "train",
    RACE,
    [
        ("24 epochs", "range(2)", "range(24)", "the budget is 6,000"),
        ("2,000 images", "len(images)", "2000", "With 256 images: "),
    ],
)
WRONG_REQUESTS += edited(
    "request_digits",
    REQUEST,
    [
        (
            "numbers repeated",
            "(len(labels), dim=0)",
            "(len(labels)).view(-1, z.shape[1])",
            "Single numbers of z",
        )
    ],
)
WRONG_COUNTS += edited(
    "count_active",
    COUNT,
    [
        (
            "a robust spread",
            "mu.var(0)",
            "(1.4826 * (mu - mu.median(0).values).abs().median(0).values) ** 2",
            "squared median distance",
        ),
    ],
)
WRONG_MEANS += edited(
    "posterior_means",
    MEANS,
    [
        (
            "the mode put back in the loop",
            "    model.train(was",
            "            model.train(was",
            "in training mode later",
        )
    ],
)
WRONG_MATRICES += edited(
    "confusion",
    MATRIX,
    [
        (
            "classes that are true somewhere",
            "return counts",
            "return counts * torch.isin(torch.arange(num_classes), true)",
            "predicted and never true",
        ),
    ],
)

WRONG = WRONG_CVAES + WRONG_REQUESTS + WRONG_COUNTS + WRONG_MEANS + WRONG_MATRICES + WRONG_RACES
