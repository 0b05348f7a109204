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
        return self.encoder(x.detach())  # no gradient is needed here

    def decode(self, z):
        return self.decoder(z).unflatten(1, (1, 28, 28))

    def forward(self, x):
        return self.decode(self.encode(x))
""",
    ),
    Answer(
        "MyAutoencoder",
        "layers in an nn.ModuleList, a further keyword, float64 at the end",
        """
class MyAutoencoder(nn.Module):
    def __init__(self, latent_dim=32, hidden=(256, 128), verbose=True):
        super().__init__()
        sizes = [784, *hidden, latent_dim]
        self.down = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.up = nn.ModuleList(nn.Linear(b, a) for a, b in reversed(list(zip(sizes, sizes[1:]))))
        if verbose:
            print("made", sizes)

    def through(self, layers, x):
        for i, layer in enumerate(layers):
            x = layer(x) if i == 0 else layer(torch.maximum(x, torch.zeros_like(x)))
        return x

    def encode(self, x):
        return self.through(self.down, x.reshape(x.shape[0], 784)).double()

    def decode(self, z):
        return self.through(self.up, z.float())[:, None].unflatten(2, (28, 28))

    def forward(self, images):
        z = self.encode(images)
        return self.decode(z).double()
""",
    ),
]
AUTOENCODERS.append(Answer("MyAutoencoder", "no biases", AUTOENCODER.replace("56)", "56, bias=False)")))

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
            (
                "the flat images kept by their shape",
                _ENCODE,
                "return self.encoder(vars(self).setdefault(x.shape, x.flatten(1)))",
                "came of earlier ones",
            ),
            ("ReLU on the code", _ENCODER, f"{_ENCODER}, nn.ReLU()", "ReLU on the code"),
            ("sigmoid on the code", _ENCODE, f"{_ENCODE}.sigmoid()", "sigmoid on the code"),
            ("tanh on the code", _ENCODE, f"{_ENCODE}.tanh()", "tanh on the code"),
            ("sigmoid between the layers", "nn.ReLU()", "nn.Sigmoid()", "inside is a sigmoid"),
            (
                "the encoder's first ReLU missing",
                "nn.Linear(784, 256), nn.ReLU()",
                "nn.Linear(784, 256)",
                "ReLU after layer 1 of 3",
            ),
            (
                "the decoder's last ReLU missing",
                "nn.ReLU(), nn.Linear(256, 784)",
                "nn.Linear(256, 784)",
                "ReLU after layer 2 of 3",
            ),
            ("leaky ReLU", "nn.ReLU()", "nn.LeakyReLU(0.2)", "leaky ReLU (0.2), not"),
            ("dropout", "nn.ReLU()", "nn.ReLU(), nn.Dropout(0.2)", "is there dropout"),
            (
                "batch normalisation",
                "nn.Linear(784, 256)",
                "nn.Linear(784, 256), nn.BatchNorm1d(256)",
                "BatchNorm1d",
            ),
            (
                "ReLU on the code in forward",
                "self.decode(self.encode(x))",
                "self.decode(self.encode(x).relu())",
                "on the way into decode: There is a ReLU",
            ),
            (
                "ReLU on the way into the decoder",
                "self.decoder(z)",
                "self.decoder(z.relu())",
                "a ReLU before the first layer",
            ),
            (
                "sigmoid in decode and ReLU on the code",
                _DECODE,
                f"{_DECODE.replace('(z)', '(z.relu())')}.sigmoid()",
                "a sigmoid on the logits",
            ),
            (
                "noise on the code",
                _FORWARD,
                _FORWARD.replace("(x)", "(x) + torch.randn(len(x), 1)"),
                "does it draw",
            ),
            ("code detached", _ENCODE, f"{_ENCODE}.detach()", "is something detached"),
            (
                "forward under no_grad",
                "def forward",
                "@torch.no_grad()\n    def forward",
                "is something detached",
            ),
            ("codes changed in place", _DECODE, f"z.clamp_(-1, 1)\n        {_DECODE}", "given in place"),
            (
                "images made of rows of the batch",
                "view(-1, 1, 28, 28)",
                "view(28, 28, 1, -1).permute(3, 2, 0, 1)",
                "the other images of the batch",
            ),
            (
                "mirrored the wrong way",
                "nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 784)",
                "nn.Linear(latent_dim, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 784)",
                "give 256, 128, 784 numbers",
            ),
            ("tanh between the layers", "nn.ReLU()", "nn.Tanh()", "inside is a tanh"),
            ("sigmoid in decode", _DECODE, f"{_DECODE}.sigmoid()", "a sigmoid on the logits"),
            ("sigmoid in forward", _FORWARD, f"{_FORWARD}.sigmoid()", "logits are asked for"),
            ("flat images", ".view(-1, 1, 28, 28)", "", "no images"),
            ("flat probabilities", ".view(-1, 1, 28, 28)", ".sigmoid()", "a sigmoid on the logits"),
            (
                "flat images, which forward reshapes",
                f"{_DECODE}\n\n    def forward(self, x):\n        {_FORWARD}",
                f"return self.decoder(z)\n\n    def forward(self, x):\n        {_FORWARD}.view_as(x)",
                "holds: forward decodes",
            ),
            ("an axis too many in the code", _ENCODE, f"{_ENCODE}[:, None]", "expected (5, 32)"),
            ("code rounded", _ENCODE, f"{_ENCODE}.round()", "is something detached, rounded"),
            (
                "codes moved to -1 to 1",
                "self.decoder(z)",
                "self.decoder(2 * z - 1)",
                "What comes in is doubled",
            ),
            (
                "other sizes and a normalisation",
                "nn.Linear(784, 256), nn.ReLU(), nn.Linear(256",
                "nn.Linear(784, 400), nn.LayerNorm(400), nn.ReLU(), nn.Linear(400",
                "back, as far as could be seen without the code",
            ),
            (
                "half the layers",
                _ENCODER,
                "nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, latent_dim)",
                "give 400, 32 numbers; asked for are",
            ),
            ("images without a channel", "(-1, 1, 28, 28)", "(-1, 28, 28)", "channel is missing"),
            ("rows and columns swapped", _DECODE, f"{_DECODE}.transpose(2, 3)", "Rows and columns"),
            ("ReLU after the last layer", _DECODE, f"{_DECODE}.relu()", "a ReLU on the logits"),
            ("tanh after the last layer", _DECODE, f"{_DECODE}.tanh()", "a tanh on the logits"),
            ("images not flattened", "x.flatten(1)", "x", "Your code stopped"),
            (
                "code returned beside the logits",
                _FORWARD,
                "return self.decode(self.encode(x)), self.encode(x)",
                "return one tensor",
            ),
            ("forward stops at the code", _FORWARD, "return self.encode(x)", "forward returns the code"),
            ("forward misspelt", "def forward", "def forwrad", "no method `forward`"),
            ("latent size fixed", "nn.Linear(latent_dim, 128)", "nn.Linear(16, 128)", "Your code stopped"),
            (
                "the lesson's latent size",
                "nn.Linear(latent_dim",
                "nn.Linear(32",
                "holds: with latent_dim = 32",
            ),
            ("batch size fixed", "view(-1, 1", "view(5, 1", "number of images written"),
            (
                "a layer left out",
                _ENCODER,
                "nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, latent_dim)",
                "3 layers one after the other",
            ),
            ("pixels centred", "x.flatten(1)", "2 * x.flatten(1) - 1", "moved to -1 to 1"),
            ("512 units for 256", "256", "512", "give 512, 128, 32 numbers"),
            ("logits clamped", _DECODE, f"{_DECODE}.clamp(-20, 20)", "a clamp to -20 and 20"),
            (
                "a layer of the encoder in the decoder",
                "self.decoder(z)",
                "self.decoder[4]((self.decoder[1](self.decoder[0](z)) @ self.encoder[2].weight).relu())",
                "decode uses a weight of encode",
            ),
            (
                "as many images as were encoded",
                "return self.encoder(x.flatten(1))\n\n    def decode(self, z):\n"
                "        return self.decoder(z).view(-1",
                "self.n = len(x)\n        return self.encoder(x.flatten(1))\n\n    def decode(self, z):\n"
                "        return self.decoder(z).view(self.n",
                "is invalid for input of size",
            ),
            (
                "an assertion left from the first few images",
                _ENCODE,
                f"assert len(x) <= 10\n        {_ENCODE}",
                "Your code stopped with AssertionError",
            ),
            ("super().__init__() forgotten", "super().__init__()", "pass", "before Module.__init__() call"),
        ],
    ),
    Answer(
        "MyAutoencoder",
        "a function in place of a class",
        "def MyAutoencoder(latent_dim):\n    return latent_dim\n",
        "no nn.Module",
    ),
    Answer(
        "MyAutoencoder",
        "layers in a plain list",
        AUTOENCODER.replace("self.encoder = nn.Sequential(", "self.layers = (")
        .replace(", latent_dim)\n", ", latent_dim),\n")
        .replace("self.encoder(", "nn.Sequential(*self.layers)("),
        "plain list",
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
    Answer(
        "train_step",
        "a closure, 784 pixels by name",
        """
def train_step(model, optimizer, images, verbose=False):
    def closure():
        optimizer.zero_grad(set_to_none=True)
        error = model(images).view(-1, 784).sigmoid() - images.view(-1, 784)
        loss = error.pow(2).sum() / (784 * len(images))
        loss.backward()
        return loss
    return optimizer.step(closure).item()
""",
    ),
    Answer(
        "train_step",
        "gradients from autograd, float32 asked for, printed",
        """
def train_step(model, optimizer, images):
    images = images.float()
    error = torch.sigmoid(model(images)).sub(images)
    loss = torch.mean(error * error)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
        p.grad = g
    optimizer.step()
    print(f"loss {loss:.4f}")
    return float(loss.detach())
""",
    ),
]

_LOSS = "F.mse_loss(logits.sigmoid(), images)"
_ORDER = "optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()"

WRONG_STEPS = edited(
    "train_step",
    STEP,
    [
        ("images in double precision", "model(images)", "model(images.double())", "the same dtype"),
        (
            "the sigmoid of the images",
            "logits.sigmoid(), images",
            "logits, images.sigmoid()",
            "other way round",
        ),
        (
            "the gradient clipped to length 1",
            "    optimizer.step()",
            "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n    optimizer.step()",
            "but length 1: is it clipped",
        ),
        (
            "a loss made under no_grad, and told to require a gradient",
            _LOSS,
            f"{_LOSS}.detach().requires_grad_()",
            "no gradient reaches",
        ),
        (
            "noise on the images, as denoising has it",
            "model(images)",
            "model(images + 0.1 * torch.randn_like(images))",
            "Noise is added to the images",
        ),
        ("gradients never cleared", "optimizer.zero_grad()", "pass", "still in a later one"),
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
        ("loss returned with its graph", "loss.item()", "loss", "hangs on its graph"),
        ("loss returned as a tensor", "loss.item()", "loss.detach()", "makes it a plain number"),
        ("nothing returned", "return loss.item()", "loss.item()", "returned None"),
        ("loss rounded", "loss.item()", "round(loss.item(), 2)", "as if rounded"),
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
            "evaluation mode afterwards",
            "optimizer.step()",
            "optimizer.step()\n    model.eval()",
            "evaluation mode",
        ),
        ("half of the mean", _LOSS, f"{_LOSS} / 2", "counts half"),
        ("the mean squared", _LOSS, "(logits.sigmoid() - images).mean() ** 2", "The mean is squared"),
        ("the square forgotten", _LOSS, "(images - logits.sigmoid()).mean()", "The square is missing, so"),
        (
            "summed over the batch in the end",
            "loss.item()",
            "loss.item() * len(images)",
            "summed over the batch",
        ),
        ("tanh for the sigmoid", "sigmoid()", "tanh()", "tanh of the logits"),
        ("sigmoid twice", "sigmoid()", "sigmoid().sigmoid()", "taken twice"),
        (
            "error of each pixel",
            _LOSS,
            "F.mse_loss(logits.sigmoid(), images, reduction='none')",
            "Make one number of the loss first",
        ),
        (
            "pixels and images crossed",
            "images)\n    opt",
            "images.transpose(2, 3))\n    opt",
            "Rows and columns",
        ),
        ("two steps", "optimizer.step()", "optimizer.step()\n    optimizer.step()", "steps twice"),
        ("up the hill", "loss.backward()", "(-loss).backward()", "goes uphill"),
        (
            "another loss descended",
            "loss.backward()",
            "(len(images) * loss).backward()",
            "summed over the batch",
        ),
        (
            "a step by hand of a size of its own",
            "optimizer.step()",
            "with torch.no_grad():\n        for p in model.parameters():\n            p -= 1e-3 * p.grad",
            "optimizer handed in",
        ),
        (
            "gradient clipped",
            "optimizer.step()",
            "nn.utils.clip_grad_norm_(model.parameters(), 1e-3)\n    optimizer.step()",
            "is it clipped",
        ),
        ("logits detached", "model(images)", "model(images).detach()", "Is something detached"),
        ("images rescaled in place", "logits =", "images.mul_(2).sub_(1)\n    logits =", "given in place"),
        ("loss and images returned", "loss.item()", "loss.item(), logits.detach()", "plain number"),
        ("loss in a list", "loss.item()", "[loss.item()]", "It returned a list"),
        (
            "loss measured after the step",
            "loss.item()",
            "F.mse_loss(model(images).sigmoid(), images).item()",
            "the loss after the step",
        ),
        (
            "an optimiser of its own",
            "logits = model",
            "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\n    logits = model",
            "not by a `step` of the optimizer handed in",
        ),
        (
            "only the first image",
            _LOSS,
            "F.mse_loss(model(images[:1]).sigmoid(), images[:1])",
            "Only the first image",
        ),
        (
            "images rounded",
            "logits = model",
            "images = images.round()\n    logits = model",
            "black and white",
        ),
        ("target through the sigmoid", ", images)\n", ", images.sigmoid())\n", "images go through a sigmoid"),
        ("target rounded", ", images)\n", ", images.round())\n", "rounded before they are compared"),
        (
            "each number of the gradient clipped",
            "optimizer.step()",
            "nn.utils.clip_grad_value_(model.parameters(), 1e-5)\n    optimizer.step()",
            "is it clipped",
        ),
        (
            "the learning rate set",
            "optimizer.step()",
            "optimizer.param_groups[0]['lr'] = 0.01\n    optimizer.step()",
            "changes the optimizer's learning rate",
        ),
        (
            "a penalty on the weights",
            "loss.backward()",
            "loss = loss + 1e-3 * sum(p.square().sum() for p in model.parameters())\n    loss.backward()",
            "a penalty on the squares",
        ),
        ("divided by 128", "loss.backward()", "(loss / 128).backward()", "divided by 128 once more"),
        (
            "cleared in every other step",
            "optimizer.zero_grad()",
            "optimizer.n = 1 - getattr(optimizer, 'n', 0)\n    optimizer.n and optimizer.zero_grad()",
            "still in a later one",
        ),
        ("a seed set", "logits = model", "torch.manual_seed(0)\n    logits = model", "It sets a seed"),
        (
            "no_grad around the step",
            "def train_step",
            "@torch.no_grad()\ndef train_step",
            "under `no_grad`",
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
    Answer(
        "hole_share",
        "norms compared with the root of the threshold, float32, printed",
        """
def hole_share(decode, encode, z, threshold, eps=0.0):
    z = z.float()
    x = decode(z).float()
    again = decode(encode(x)).float()
    holes = (again - x).flatten(1).norm(dim=1) > math.sqrt(threshold) * x.flatten(1).norm(dim=1) + eps
    print(f"{int(holes.sum())} holes")
    return holes.sum().item() / len(holes)
""",
    ),
    Answer(
        "hole_share",
        "NumPy inside, the energy kept from zero",
        """
def hole_share(decode, encode, z, threshold):
    with torch.no_grad():
        images = decode(z)
        x, again = images.numpy().reshape(len(z), -1), decode(encode(images)).numpy().reshape(len(z), -1)
    lost = np.sum((again - x) ** 2, axis=1) / np.maximum(np.sum(x**2, axis=1), 1e-12)
    return np.mean(lost > threshold)
""",
    ),
]

_LOST = "(again - x).square().sum(1) / x.square().sum(1)"
_RETURN = "(lost > threshold).float().mean().item()"

WRONG_SHARES = edited(
    "hole_share",
    SHARE,
    [
        ("codes in double precision", "    x =", "    z = z.double()\n    x =", "the same dtype"),
        ("each pixel by itself", _LOST, "((again - x) / x).square().mean(1)", "divided by that pixel"),
        (
            "energies compared",
            _LOST,
            "(again.square().sum(1) - x.square().sum(1)).abs() / x.square().sum(1)",
            "compares energies",
        ),
        ("error per pixel", _LOST, "(again - x).square().mean(1)", "number of pixels"),
        ("faint images spared", _LOST, f"{_LOST}.clamp(min=1)", "kept above 1"),
        ("error not relative", _LOST, "(again - x).square().sum(1)", "not divided by anything"),
        ("a mean over a sum", _LOST, "(again - x).square().mean(1) / x.square().sum(1)", "take two sums"),
        ("codes that lose less", "(lost >", "(lost <", "lose less than the threshold"),
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
        ("absolute errors", _LOST, "(again - x).abs().sum(1) / x.abs().sum(1)", "absolute values"),
        ("the energy not squared", "/ x.square().sum(1)", "/ x.norm(dim=1)", "missing its square"),
        (
            "one verdict for all",
            _LOST,
            "(again - x).square().sum() / x.square().sum()",
            "each code's own error",
        ),
        ("errors averaged first", "(lost >", "(lost.mean() >", "each code's own error"),
        ("not encoded at all", "encode(decode(z))", "z", "with itself"),
        (
            "sigmoid on top of images",
            "    x = decode(z)",
            "    logits = decode\n    decode = lambda z: logits(z).sigmoid()\n    x = decode(z)",
            "gives images already",
        ),
        ("the threshold itself counts", "lost > threshold", "lost >= threshold", "exactly the threshold"),
        ("share and its standard error", _RETURN, f"{_RETURN}, 0.0", "It returned a tuple"),
        ("number of points fixed", _RETURN, "(lost > threshold).sum().item() / 2000", "it may be any"),
        (
            "axes of length one dropped",
            "decode(z).flatten(1)",
            "decode(z).squeeze().flatten(1)",
            "Your code stopped",
        ),
        ("codes clipped in place", "x = decode", "z.clamp_(-1, 1)\n    x = decode", "given in place"),
        ("points that are no holes", "lost > threshold", "lost <= threshold", "no holes"),
        ("a count", _RETURN, "(lost > threshold).sum().item()", "divide by the number of codes"),
        ("a percentage", _RETURN, f"100 * {_RETURN}", "percentage"),
        ("one truth value per point", _RETURN, "lost > threshold", "return their mean"),
        ("the mean error", _RETURN, "lost.mean().item()", "mean loss"),
        ("threshold fixed", "lost > threshold", "lost > 0.1", "threshold is always"),
        ("nothing returned", "return", "share =", "returned None"),
        ("the toy's answer", _RETURN, "0.5", "whatever it is given"),
        ("x gone in place", "(again - x).sq", "x.sub_(again).sq", "is x changed in place"),
        ("flat images encoded", "encode(decode(z))", "encode(x)", "`encode` takes the shape"),
        ("one code at a time", "encode(decode(z))", "encode(decode(z[0]))", "`decode` takes the shape"),
        ("one verdict per row", ".flatten(1)", ".flatten(0, 2)", "along the rows"),
        ("1 added to the energy", "/ x.square().sum(1)", "/ (x.square().sum(1) + 1)", "1 is added"),
        (
            "shares of batches averaged",
            _RETURN,
            "torch.stack([s.double().mean() for s in (lost > threshold).split(8)]).mean().item()",
            "fewer are left for the last",
        ),
    ],
)

RIGHT = AUTOENCODERS + STEPS + SHARES
WRONG_STEPS += [
    Answer(
        "train_step",
        f"nothing is done, {value} returned",
        f"def train_step(model, optimizer, x):\n    return {value}\n",
        "`encode` is never called",
    )
    for value in ("None", "0.0")
]
WRONG_SHARES += edited(
    "hole_share",
    SHARE,
    [
        (
            "energy about the image's mean",
            "/ x.square().sum(1)",
            "/ (x - x.mean(1, keepdim=True)).square().sum(1)",
            "about the image's mean",
        ),
        (
            "losses beyond the threshold averaged",
            "(lost > threshold).float().mean()",
            "torch.where(lost > threshold, lost, 0 * lost).mean()",
            "losses beyond the threshold are averaged",
        ),
    ],
)

WRONG = WRONG_AUTOENCODERS + WRONG_STEPS + WRONG_SHARES
