"""A variational autoencoder on one page: data, networks, bound, loop, test, samples.

    python vae.py                   the embedded digits, in about a minute on two cores
    python vae.py --data mnist      MNIST, from the folder that COURSE_DATA names, or downloaded once

After Kingma & Welling 2014, "Auto-Encoding Variational Bayes" (arXiv:1312.6114). What departs from the paper:
two hidden layers with ReLU in place of one with tanh; Adam (Kingma & Ba 2015, arXiv:1412.6980) in place of
Adagrad; pixels stay grey, for which the cross-entropy is a good objective, but no normalised likelihood. So
numbers compare with other numbers on grey pixels only.

The course derives this page in section 2 and builds it in section 3; its package gives the same numbers.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.data import loading

BATCH = 128  # small enough for many steps an epoch, large enough to keep two cores busy
LEARNING_RATE = 1e-3  # Adam's own default: 0.01 makes a VAE give up latent dimensions for good
LATENT = 20  # more than digits need: the KL switches off what does not pay


class VAE(nn.Module):
    """The encoder q(z|x) = N(mu, diag(sigma^2)) and the decoder p(x|z), a Bernoulli in every pixel."""

    def __init__(self, latent_dim: int = LATENT) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(),
            nn.Linear(512, 256), nn.ReLU(),
        )  # fmt: skip
        self.fc_mu = nn.Linear(256, latent_dim)
        self.fc_logvar = nn.Linear(256, latent_dim)  # any real number is the log of a variance
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 256), nn.ReLU(),
            nn.Linear(256, 512), nn.ReLU(),
            nn.Linear(512, 784),  # logits: a sigmoid here would lose digits in the cross-entropy
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.encoder(x.flatten(1))  # (N, 1, 28, 28) -> (N, 784) -> (N, 256)
        return self.fc_mu(hidden), self.fc_logvar(hidden)  # (N, latent_dim) each

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).view(-1, 1, 28, 28)  # (N, latent_dim) -> (N, 784) -> (N, 1, 28, 28)


def negative_elbo(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """-ELBO in its two parts, nats per image, (N,) each: E_q[-log p(x|z)] by one sample, KL(q(z|x) || p(z)).

    Both are *sums*, over pixels and over latent dimensions: a mean in one of them would be another beta.
    """
    mu, logvar = model.encode(x)
    sigma = (0.5 * logvar).exp()
    z = mu + sigma * torch.randn_like(sigma)  # the reparameterisation: gradients reach mu and sigma
    cross_entropy = F.binary_cross_entropy_with_logits(model.decode(z), x, reduction="none")
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)  # (N, latent_dim), in closed form
    return cross_entropy.flatten(1).sum(1), kl.sum(1)  # (N, 1, 28, 28) -> (N, 784) -> (N,)


def train(model: VAE, images: Tensor, epochs: int, seed: int = 0) -> list[float]:
    """Descend -ELBO by Adam; the average over the images of every epoch, nats."""
    torch.manual_seed(seed)  # of the batches and of the noise
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    averages = []
    for epoch in range(1, epochs + 1):
        total = torch.zeros((), device=images.device)
        for rows in torch.randperm(len(images), device=images.device).split(BATCH):
            reconstruction, kl = negative_elbo(model, images[rows])
            loss = reconstruction.mean() + kl.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)  # the last batch is smaller; .item() would make a GPU wait
        averages.append(total.item() / len(images))
        print(f"epoch {epoch:2} of {epochs}: -ELBO {averages[-1]:.2f} nats per training image")
    return averages


@torch.no_grad()
def test(model: VAE, images: Tensor, seed: int = 0) -> tuple[float, float]:
    """-ELBO on images that were not trained on, and its standard error over them: nats per image."""
    torch.manual_seed(seed)
    values = torch.cat([sum(negative_elbo(model, x)) for x in images.split(1000)]).double()
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


@torch.no_grad()
def samples(model: VAE, rows: int = 10, seed: int = 0) -> Image.Image:
    """Images drawn from the model, z ~ p(z) = N(0, I): the means of p(x|z), which have no pixel noise."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows * rows, model.fc_mu.out_features, generator=generator)
    x = model.decode(z.to(model.fc_mu.weight.device)).sigmoid()
    # (rows * rows, 1, 28, 28) -> (rows, rows, 28, 28) -> (rows, 28, rows, 28) -> (rows * 28, rows * 28)
    grid = x.view(rows, rows, 28, 28).transpose(1, 2).reshape(rows * 28, rows * 28)
    return Image.fromarray((255 * grid).round().byte().cpu().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a VAE, test it and draw samples from it.")
    parser.add_argument("--data", choices=loading.NAMES, default="digits")
    parser.add_argument("--epochs", type=int, default=20, help="after 20 the bound still falls, but slowly")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise")
    parser.add_argument("--png", type=Path, default=Path("vae.png"), help="where the samples go")
    asked = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = loading.load(asked.data).to(device)
    print(data)
    torch.manual_seed(asked.seed)
    model = VAE().to(device)
    train(model, data.train_images, asked.epochs, asked.seed)
    mean, error = test(model, data.test_images)
    print(f"test -ELBO {mean:.2f} ± {error:.2f} nats per image")
    samples(model).save(asked.png)
    print(f"samples in {asked.png}")


if __name__ == "__main__":
    main()
