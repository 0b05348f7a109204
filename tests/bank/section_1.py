"""Answers to section 1: MyAutoencoder, train_step, hole_share."""

from __future__ import annotations

from bank.answers import Answer, edited

# --- 1.1 MyAutoencoder ------------------------------------------------------------------------------

AUTOENCODER = """
class MyAutoencoder(nn.Module):
    def __init__(self, latent_dim=32):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 784)
        )

    def encode(self, x):
        return self.encoder(x.flatten(1))

    def decode(self, z):
        return self.decoder(z).view(-1, 1, 28, 28)

    def forward(self, x):
        return self.decode(self.encode(x))
"""

AUTOENCODERS = [
    Answer("MyAutoencoder", "two nn.Sequential", AUTOENCODER),
    Answer(
        "MyAutoencoder",
        "single layers, the decoder's defined first, functional activations",
        """
class MyAutoencoder(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        self.d1, self.d2, self.d3 = nn.Linear(latent_dim, 128), nn.Linear(128, 256), nn.Linear(256, 784)
        self.e1, self.e2, self.e3 = nn.Linear(784, 256), nn.Linear(256, 128), nn.Linear(128, latent_dim)

    def encode(self, x):
        hidden = torch.relu(self.e1(x.reshape(len(x), -1)))
        return self.e3(F.relu(self.e2(hidden)))

    def decode(self, z):
        return self.d3(self.d2(self.d1(z).relu()).relu()).reshape(z.shape[0], 1, 28, 28)

    def forward(self, x):
        return self.decode(self.encode(x))
""",
    ),
    Answer(
        "MyAutoencoder",
        "Flatten and Unflatten layers, ReLU in place",
        """
class MyAutoencoder(nn.Module):
    def __init__(self, latent_dim=32):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 256), nn.ReLU(inplace=True),
            nn.Linear(256, 128), nn.ReLU(inplace=True),
            nn.Linear(128, latent_dim),
        )
        self.decode = nn.Sequential(
            nn.Linear(latent_dim, 128), nn.ReLU(inplace=True),
            nn.Linear(128, 256), nn.ReLU(inplace=True),
            nn.Linear(256, 784), nn.Unflatten(1, (1, 28, 28)),
        )

    def forward(self, x):
        return self.decode(self.encode(x))
""",
    ),
    Answer(
        "MyAutoencoder",
        "lazy layers made in a loop",
        """
def stack(*sizes):
    layers = [nn.Flatten()]
    for size in sizes:
        layers += [nn.LazyLinear(size), nn.ReLU()]
    return nn.Sequential(*layers[:-1])

class MyAutoencoder(nn.Module):
    def __init__(self, latent_dim=32):
        super().__init__()
        self.encoder, self.decoder = stack(256, 128, latent_dim), stack(128, 256, 784)

    def encode(self, x):
        return self.encoder(x)

    def decode(self, z):
        return self.decoder(z).unflatten(1, (1, 28, 28))

    def forward(self, x):
        return self.decode(self.encode(x))
""",
    ),
]

_ENCODER = "nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, latent_dim)"
_ENCODE = "return self.encoder(x.flatten(1))"
_DECODE = "return self.decoder(z).view(-1, 1, 28, 28)"
_FORWARD = "return self.decode(self.encode(x))"

WRONG_AUTOENCODERS = [
    *edited(
        "MyAutoencoder",
        AUTOENCODER,
        [
            (
                "no activation in the encoder",
                _ENCODER,
                "nn.Linear(784, 256), nn.Linear(256, 128), nn.Linear(128, latent_dim)",
                "Nothing stands between",
            ),
            (
                "no activation in the decoder",
                "nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 784)",
                "nn.Linear(latent_dim, 128), nn.Linear(128, 256), nn.Linear(256, 784)",
                "Nothing stands between",
            ),
            ("ReLU on the code", _ENCODER, f"{_ENCODER}, nn.ReLU()", "ReLU on the code"),
            ("sigmoid on the code", _ENCODE, f"{_ENCODE}.sigmoid()", "sigmoid on the code"),
            ("tanh on the code", _ENCODE, f"{_ENCODE}.tanh()", "tanh on the code"),
            ("sigmoid between the layers", "nn.ReLU()", "nn.Sigmoid()", "inside is a sigmoid"),
            ("tanh between the layers", "nn.ReLU()", "nn.Tanh()", "inside is tanh"),
            ("sigmoid in decode", _DECODE, f"{_DECODE}.sigmoid()", "logits are asked for"),
            ("sigmoid in forward", _FORWARD, f"{_FORWARD}.sigmoid()", "logits are asked for"),
            ("flat images", ".view(-1, 1, 28, 28)", "", "not yet images"),
            ("images without a channel", "(-1, 1, 28, 28)", "(-1, 28, 28)", "channel is missing"),
            ("rows and columns swapped", _DECODE, f"{_DECODE}.transpose(2, 3)", "Rows and columns"),
            ("ReLU after the last layer", _DECODE, f"{_DECODE}.relu()", "logits may be negative"),
            ("tanh after the last layer", _DECODE, f"{_DECODE}.tanh()", "unbounded"),
            ("images not flattened", "x.flatten(1)", "x", "Your code stopped"),
            (
                "code returned beside the logits",
                _FORWARD,
                "return self.decode(self.encode(x)), self.encode(x)",
                "return the tensor alone",
            ),
            ("forward stops at the code", _FORWARD, "return self.encode(x)", "forward returns the code"),
            ("forward misspelt", "def forward", "def forwrad", "no method `forward`"),
            ("latent size fixed", "nn.Linear(latent_dim, 128)", "nn.Linear(3, 128)", "Your code stopped"),
            ("batch size fixed", "view(-1, 1", "view(5, 1", "Your code stopped"),
            (
                "a layer left out",
                _ENCODER,
                "nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, latent_dim)",
                "your linear layers are: 784 to 128",
            ),
            ("no bias", "nn.Linear(784, 256)", "nn.Linear(784, 256, bias=False)", "no bias"),
            ("super().__init__() forgotten", "super().__init__()", "pass", "Your code stopped"),
        ],
    ),
    Answer(
        "MyAutoencoder",
        "a function in place of a class",
        "def MyAutoencoder(latent_dim):\n    return latent_dim\n",
        "Your code stopped",
    ),
]

# --- 1.2 train_step ---------------------------------------------------------------------------------

STEP = """
def train_step(model, optimizer, images):
    logits = model(images)
    loss = F.mse_loss(logits.sigmoid(), images)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
"""

STEPS = [
    Answer("train_step", "mse_loss", STEP),
    Answer(
        "train_step",
        "gradients cleared at the end",
        """
def train_step(model, optimizer, images):
    loss = nn.MSELoss()(torch.sigmoid(model(images)), images)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return loss.detach().numpy()[()]
""",
    ),
    Answer(
        "train_step",
        "the mean square by hand, gradients cleared on the model",
        """
def train_step(model, optimizer, images):
    model.train()
    probabilities = 1 / (1 + torch.exp(-model(images)))
    loss = ((probabilities - images) ** 2).mean()
    model.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss)
""",
    ),
    Answer(
        "train_step",
        "encode and decode called one after the other",
        """
def train_step(model, optimizer, images):
    x_hat = model.decode(model.encode(images)).sigmoid()
    loss = (x_hat - images).square().flatten(1).mean(1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
""",
    ),
]

_LOSS = "F.mse_loss(logits.sigmoid(), images)"
_ORDER = "optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()"

WRONG_STEPS = edited(
    "train_step",
    STEP,
    [
        ("gradients never cleared", "optimizer.zero_grad()", "pass", "still in the second"),
        ("backward forgotten", "loss.backward()", "pass", "do not move"),
        ("step forgotten", "optimizer.step()", "pass", "do not move"),
        (
            "step before backward",
            _ORDER,
            "optimizer.step()\n    optimizer.zero_grad()\n    loss.backward()",
            "`step` comes before `backward`",
        ),
        (
            "step right after clearing",
            _ORDER,
            "optimizer.zero_grad()\n    optimizer.step()\n    loss.backward()",
            "do not move",
        ),
        (
            "gradients cleared between backward and step",
            _ORDER,
            "loss.backward()\n    optimizer.zero_grad()\n    optimizer.step()",
            "do not move",
        ),
        ("loss returned with its graph", "loss.item()", "loss", "holds on to its graph"),
        ("loss returned as a tensor", "loss.item()", "loss.detach()", "makes it a number"),
        ("nothing returned", "return loss.item()", "loss.item()", "returned None"),
        ("loss rounded", "loss.item()", "round(loss.item(), 2)", "Largest difference"),
        ("logits compared with pixels", "logits.sigmoid()", "logits", "compare their sigmoid"),
        (
            "squares summed over everything",
            _LOSS,
            "F.mse_loss(logits.sigmoid(), images, reduction='sum')",
            "summed over everything",
        ),
        (
            "squares summed over pixels",
            _LOSS,
            "F.mse_loss(logits.sigmoid(), images, reduction='sum') / len(images)",
            "summed over pixels",
        ),
        (
            "cross-entropy instead of squares",
            _LOSS,
            "F.binary_cross_entropy_with_logits(logits, images)",
            "cross-entropy",
        ),
        ("absolute error instead of squares", "F.mse_loss", "F.l1_loss", "absolute error"),
        ("root of the mean square", _LOSS, f"{_LOSS}.sqrt()", "root of"),
        ("evaluation mode", "logits = model", "model.eval()\n    logits = model", "evaluation mode"),
        (
            "loss measured after the step",
            "loss.item()",
            "F.mse_loss(model(images).sigmoid(), images).item()",
            "taken after the step",
        ),
        (
            "an optimiser of its own",
            "logits = model",
            "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\n    logits = model",
            "do not make a new one",
        ),
        (
            "no_grad around the step",
            "def train_step",
            "@torch.no_grad()\ndef train_step",
            "Your code stopped",
        ),
    ],
)

# --- 1.3 hole_share ---------------------------------------------------------------------------------

SHARE = """
def hole_share(decode, encode, z, threshold):
    x = decode(z).flatten(1)
    code = encode(decode(z))
    again = decode(code).flatten(1)
    lost = (again - x).square().sum(1) / x.square().sum(1)
    return (lost > threshold).float().mean().item()
"""

SHARES = [
    Answer("hole_share", "vectorised", SHARE),
    Answer(
        "hole_share",
        "a loop that counts",
        """
def hole_share(decode, encode, z, threshold):
    count = 0
    for i in range(len(z)):
        x = decode(z[i:i + 1])
        again = decode(encode(x))
        count += bool(((again - x) ** 2).sum() > threshold * (x**2).sum())
    return count / len(z)
""",
    ),
    Answer(
        "hole_share",
        "squares of norms",
        """
def hole_share(decode, encode, z, threshold):
    x = decode(z)
    difference = (decode(encode(x)) - x).flatten(1)
    ratio = torch.linalg.norm(difference, dim=1) / torch.linalg.norm(x.flatten(1), dim=1)
    return float((ratio**2 > threshold).double().mean())
""",
    ),
    Answer(
        "hole_share",
        "means over pixels, a tensor returned",
        """
def hole_share(decode, encode, z, threshold):
    x, again = decode(z), decode(encode(decode(z)))
    lost = F.mse_loss(again, x, reduction="none").mean((1, 2, 3)) / x.pow(2).mean((1, 2, 3))
    return (lost > threshold).double().mean()
""",
    ),
]

_LOST = "(again - x).square().sum(1) / x.square().sum(1)"
_RETURN = "(lost > threshold).float().mean().item()"

WRONG_SHARES = edited(
    "hole_share",
    SHARE,
    [
        ("error per pixel", _LOST, "(again - x).square().mean(1)", "number of pixels"),
        ("error not relative", _LOST, "(again - x).square().sum(1)", "not divided by anything"),
        ("norms not squared", _LOST, "(again - x).norm(dim=1) / x.norm(dim=1)", "compares norms"),
        (
            "codes compared",
            _LOST,
            "(code - z).square().sum(1) / z.square().sum(1)",
            "compares codes",
        ),
        (
            "relative to the second image",
            "/ x.square().sum(1)",
            "/ again.square().sum(1)",
            "second image",
        ),
        ("relative to the whole batch", "/ x.square().sum(1)", "/ x.square().sum()", "whole batch"),
        (
            "relative to the average image",
            "/ x.square().sum(1)",
            "/ x.square().sum(1).mean()",
            "average over the batch",
        ),
        ("points that are no holes", "lost > threshold", "lost <= threshold", "no holes"),
        ("a count", _RETURN, "(lost > threshold).sum().item()", "divide by the number of points"),
        ("a percentage", _RETURN, f"100 * {_RETURN}", "percentage"),
        ("one truth value per point", _RETURN, "lost > threshold", "return their mean"),
        ("the mean error", _RETURN, "lost.mean().item()", "mean error"),
        ("threshold fixed", "lost > threshold", "lost > 0.1", "threshold is always"),
        ("nothing returned", "return", "share =", "returned None"),
    ],
)

RIGHT = AUTOENCODERS + STEPS + SHARES
WRONG = WRONG_AUTOENCODERS + WRONG_STEPS + WRONG_SHARES
