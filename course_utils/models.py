"""The four models of the course, each as small as the mathematics allows.

Every model is two maps. The encoder takes an image x to a code: a point z for the autoencoder, the mean and
log-variance of q(z|x) = N(mu, diag(exp(logvar))) for the variational ones (Kingma & Welling 2014,
arXiv:1312.6114). The decoder takes z to logits: the image is their sigmoid, read as a grey value by the
autoencoder and as the mean of p(x|z) by the others. No model draws a sample: that is the objective's part,
`objectives.reparameterize`. `forward` is therefore the reconstruction without noise.

Layers carry the names and positions of the usual textbook code (`encoder`, `fc_mu`, `fc_logvar`, `fc_decode`,
`decoder`), so weights saved from there load here and give the same images.

Shapes: images x (N, 1, 28, 28) in [0, 1], codes z, mu, logvar (N, latent_dim), logits (N, 1, 28, 28).
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PIXELS = 28 * 28


class Model(nn.Module):
    """What the course asks of a model: an nn.Module with `encode` and `decode`, in the shapes above.

    An autoencoder's `encode` gives codes, a VAE's mu and logvar; a CVAE's maps take the labels as well.
    """

    latent_dim: int
    encoder: Any  # layers in a row; nn.Sequential forgets of which kind they are
    decoder: Any
    encode: Callable[..., Any]
    decode: Callable[..., Tensor]


@contextmanager
def judged(model: Model, seed: int | None = None) -> Iterator[None]:
    """Evaluation mode and no gradients inside, noise from `seed`; mode and random state back after."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            yield
    finally:
        model.train(was_training)


def dense(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers from each of these sizes to the next, and an activation between two of them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


class Autoencoder(Model):
    """784-256-128-latent and mirrored back; ReLU inside. (Hinton & Salakhutdinov 2006, simplified.)"""

    def __init__(self, latent_dim: int = 32) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = dense(PIXELS, 256, 128, latent_dim)
        self.decoder = dense(latent_dim, 128, 256, PIXELS)

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x.flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).view(-1, 1, 28, 28)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the reconstruction."""
        return self.decode(self.encode(x))


class Variational(Model):
    """How each VAE here reconstructs. `condition` holds the labels of a CVAE, nothing for the rest."""

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        """Logits of the reconstruction from the mean of q(z|x)."""
        mu, _ = self.encode(x, *condition)
        return self.decode(mu, *condition)


class VAE(Variational):
    """784-512-256 to the two heads of q(z|x), and latent-256-512-784 back."""

    def __init__(self, latent_dim: int = 20) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = dense(PIXELS, 512, 256).append(nn.ReLU())
        self.fc_mu = nn.Linear(256, latent_dim)
        self.fc_logvar = nn.Linear(256, latent_dim)
        self.decoder = dense(latent_dim, 256, 512, PIXELS)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x)."""
        hidden = self.encoder(x.flatten(1))
        return self.fc_mu(hidden), self.fc_logvar(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Logits of p(x|z)."""
        return self.decoder(z).view(-1, 1, 28, 28)


class ConvVAE(Variational):
    """Two strided convolutions down to 64x7x7 and two transposed ones back: a quarter of VAE's weights."""

    def __init__(self, latent_dim: int = 20) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3, stride=2, padding=1), nn.ReLU(),   # 32 x 14 x 14
            nn.Conv2d(32, 64, kernel_size=3, stride=2, padding=1), nn.ReLU(),  # 64 x 7 x 7
        )  # fmt: skip
        self.fc_mu = nn.Linear(64 * 7 * 7, latent_dim)
        self.fc_logvar = nn.Linear(64 * 7 * 7, latent_dim)
        self.fc_decode = nn.Linear(latent_dim, 64 * 7 * 7)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1), nn.ReLU(),  # 32 x 14 x 14
            nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1),              # 1 x 28 x 28
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x)."""
        hidden = self.encoder(x).flatten(1)
        return self.fc_mu(hidden), self.fc_logvar(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Logits of p(x|z)."""
        return self.decoder(self.fc_decode(z).view(-1, 64, 7, 7))


class CVAE(Variational):
    """The VAE with a label y joined one-hot to the pixels and to z (Sohn, Lee & Yan 2015).

    The prior is p(z|y) = N(0, I) for every y: z is assumed independent of the class. Labels y (N,) int64.
    """

    def __init__(self, latent_dim: int = 20, num_classes: int = 10) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.encoder = dense(PIXELS + num_classes, 512, 256).append(nn.ReLU())
        self.fc_mu = nn.Linear(256, latent_dim)
        self.fc_logvar = nn.Linear(256, latent_dim)
        self.decoder = dense(latent_dim + num_classes, 256, 512, PIXELS)

    def one_hot(self, y: Tensor) -> Tensor:
        """Labels (N,) as rows (N, num_classes) with a single 1."""
        return F.one_hot(y, self.num_classes).float()

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x, y)."""
        hidden = self.encoder(torch.cat([x.flatten(1), self.one_hot(y)], dim=1))
        return self.fc_mu(hidden), self.fc_logvar(hidden)

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        """Logits of p(x|z, y)."""
        return self.decoder(torch.cat([z, self.one_hot(y)], dim=1)).view(-1, 1, 28, 28)


def device_of(model: Model) -> torch.device:
    """Where its weights are."""
    return next(model.parameters()).device


def count_parameters(model: nn.Module) -> int:
    """Number of trained weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
