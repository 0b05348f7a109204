"""Section 3: the VAE, its loss, its training step, its test ELBO and its log-likelihood.

The tiny linear VAE handed to the answers notes the codes z that it decodes.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import (
    Evidence,
    NotNumbers,
    alone,
    as_array,
    called,
    look,
    one,
    record,
)
from course_utils.checks.probes.inputs import fact, generator, loss_looks, seed_draws
from course_utils.checks.probes.predictions import prediction

# --- shared by the exercises ------------------------------------------------------------------------


def _between(low: int, high: int, seed: int, stream: int) -> int:
    """A whole number from the seed, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator(seed, stream)))


def images(seed: int, n: int, stream: int = 10) -> Tensor:
    """Binary images (n, 1, 28, 28) that grow brighter along the batch, so that their ELBOs differ."""
    share = torch.linspace(0.6 / n, 0.6, n).view(n, 1, 1, 1)
    return (torch.rand(n, 1, 28, 28, generator=generator(seed, stream)) < share).float()


def _record_parts(evidence: Evidence, keys: tuple[str, ...], answer: Callable[[], Any]) -> None:
    """Call once and keep each value that comes back under its key; what went wrong under all of them."""
    parts: list[Any] = []

    def first() -> Any:
        value = answer()
        if value is None:
            return value  # `record` has the sentence for it
        with contextlib.suppress(TypeError):  # of what is no sequence
            parts.extend([value] if isinstance(value, Mapping) else value)
        if len(parts) != len(keys):
            found = f"{len(parts)} values" if len(parts) > 1 else "one value"
            parts.clear()
            raise NotNumbers(f"It returned {found}; {len(keys)} are asked for.")
        return parts[0]

    record(evidence, keys[0], first)
    for index, key in enumerate(keys[1:], 1):
        if parts:
            record(evidence, key, parts.__getitem__, index)
        else:
            evidence[key] = evidence[keys[0]]


class Linear(nn.Module):
    """A VAE of three matrices, sigma between about 0.1 and 2.

    It notes the codes that it decodes, and of every call its mode, the size of the batch and whether
    gradients were tracked.
    """

    def __init__(self, seed: int, latent_dim: int, contrast: float = 0.5) -> None:
        super().__init__()
        g = generator(seed, 11)

        def matrix(scale: float, *shape: int) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(*shape, generator=g).double())  # so that small moves show

        self.to_mu, self.to_logvar = matrix(0.1, 784, latent_dim), matrix(0.05, 784, latent_dim)
        self.to_logits = matrix(contrast, latent_dim, 784)
        self.codes: list[Tensor] = []
        self.modes: list[bool] = []
        self.sizes: list[int] = []
        self.tracked: list[bool] = []

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        mu, logvar = flat @ self.to_mu.to(x.dtype), flat @ self.to_logvar.to(x.dtype) - 2
        self._note(mu)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        x_logits = (z @ self.to_logits.to(z.dtype)).view(-1, 1, 28, 28)
        self.codes.append(z.detach().clone().reshape(-1, z.shape[-1]))
        self._note(x_logits)
        return x_logits

    def _note(self, output: Tensor) -> None:
        self.modes.append(self.training)
        self.sizes.append(len(output))
        self.tracked.append(output.requires_grad)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x)[0])

    def decoded(self) -> Tensor:
        """All codes so far, one in each row."""
        if not self.codes:
            raise NotNumbers("The model's `decode` is never called.")
        return torch.cat(self.codes)


def _always(seed: int, name: str, notes: list[bool], wanted: bool) -> float:
    """The fact that the model noted `wanted` in every call."""
    if not notes:
        raise NotNumbers("The model is never called.")
    return fact(seed, name, all(note == wanted for note in notes))


# --- 3.1 MyVAE --------------------------------------------------------------------------------------
# Two heads of one shape get weights of their own: by their names where those tell them apart.
HEADS = ("mu", "logvar", "first", "second")


def looks(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Images (n, 1, 28, 28) and codes (n, latent_dim) of two looks, by the prefix of their evidence."""
    g = generator(seed, 1)
    return {
        prefix: (torch.rand(n, 1, 28, 28, generator=g), 2 * torch.randn(n, d, generator=g))
        for prefix, n, d in (("", 5, _between(2, 9, seed, 2)), ("single ", 1, 1))
    }


def head(seed: int, name: str, latent_dim: int) -> np.ndarray:
    """Weight and, as a last column, bias: (latent_dim, 257). Two rows each answer with opposite signs."""
    g = generator(seed, 20 + HEADS.index(name))
    rows = torch.randn(latent_dim, 257, generator=g).numpy() / 3  # so large that a clamp shows
    rows[1::2] = -rows[: len(rows) - 1 : 2]
    return rows


def probe_my_vae(evidence: Evidence, answer: Any, seed: int) -> None:
    for prefix, (x, z) in looks(seed).items():
        _look(evidence, answer, seed, prefix, x, z)


def _look(evidence: Evidence, answer: Any, seed: int, prefix: str, x: Tensor, z: Tensor) -> None:
    @functools.cache
    def model() -> Any:
        """One instance; an error in the constructor comes up in every finding."""
        network = answer(z.shape[1])
        if not isinstance(network, nn.Module):
            raise NotNumbers("The class is no nn.Module.")
        layers.fill(network, seed, encode=(x,), decode=(z,), forward=(x,))
        _tell_heads_apart(network, seed, z.shape[1])
        return network

    def gradients() -> float:
        """With all weights frozen, a gradient can only be one that goes on to what came in."""
        frozen = model().requires_grad_(False)
        outputs = [*frozen.encode(x.clone().requires_grad_()), frozen.decode(z.clone().requires_grad_())]
        return fact(seed, "gradients", all(output.requires_grad for output in outputs))

    _record_parts(evidence, (f"{prefix}mu", f"{prefix}logvar"), lambda: model().encode(x))
    record(evidence, f"{prefix}logits", lambda: alone(model().decode(z)))
    record(evidence, f"{prefix}layers", lambda: layers.linear(model()))
    record(evidence, f"{prefix}gradients", gradients)


def _tell_heads_apart(network: nn.Module, seed: int, latent_dim: int) -> None:
    heads = {
        name.lower(): layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and layer.weight.shape == (latent_dim, 256)
    }
    if len(heads) != 2:
        return
    is_mu = ["mu" in name or "mean" in name for name in heads]
    names = HEADS[2:] if is_mu[0] == is_mu[1] else HEADS[:2] if is_mu[0] else HEADS[1::-1]
    with torch.no_grad():
        for layer, name in zip(heads.values(), names, strict=True):
            numbers = torch.from_numpy(head(seed, name, latent_dim))
            layer.weight.copy_(numbers[:, :256])
            if layer.bias is not None:
                layer.bias.copy_(numbers[:, 256])


# --- 3.2 vae_loss -----------------------------------------------------------------------------------


def vae_loss_looks(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    return loss_looks(seed, 28, 28)


def probe_vae_loss(evidence: Evidence, answer: Any, seed: int) -> None:
    def three(*given: Tensor) -> np.ndarray:
        """Loss, reconstruction and KL; where they are no scalars, as many of each: (3,) or (3, n)."""
        value = answer(*given)
        several = isinstance(value, tuple | list) or (isinstance(value, Tensor) and value.ndim > 0)
        parts = list(value) if several else [value]
        if len(parts) != 3 and value is not None:
            found = f"{len(parts)} values" if several else f"one value, a {type(value).__name__}"
            raise NotNumbers(f"It returned {found}; 3 are asked for: loss, reconstruction and KL.")
        return np.stack(np.broadcast_arrays(*map(as_array, parts)))

    looks = vae_loss_looks(seed)
    look(evidence, three, looks)
    x_logits, x, mu, logvar = looks["grey"]

    def loss(x_logits: Tensor, mu: Tensor, logvar: Tensor) -> Any:
        return answer(x_logits, x, mu, logvar)[0]

    record(evidence, "gradients", layers.of_loss, loss, x_logits, mu, logvar)


# --- 3.3 vae_train_step -----------------------------------------------------------------------------


NOISY = (80, 6)  # images and latent dimensions where noise is judged


def training(seed: int) -> tuple[Linear, list[Tensor], float]:
    """The model, two batches of unequal size, and a learning rate at which the second step stays small."""
    batches = [images(seed, _between(4, 6, seed, 5), 14), images(seed, _between(2, 3, seed, 6), 15)]
    rate = (1 + 2 * torch.rand((), generator=generator(seed, 7)).item()) / 1e4
    return Linear(seed, 3), batches, rate


def probe_vae_train_step(evidence: Evidence, answer: Any, seed: int) -> None:
    model, batches, rate = training(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)

    def step(index: int) -> Any:
        model.codes.clear()
        before = parameters_to_vector(model.parameters()).detach().clone()
        x = batches[index].clone()
        value = answer(model, optimizer, x)
        evidence[f"move{index}"] = as_array(parameters_to_vector(model.parameters()) - before)
        record(evidence, f"z{index}", model.decoded)
        if not torch.equal(x, batches[index]):
            raise NotNumbers("It changes the batch in place: compute with new tensors instead.")
        if isinstance(value, Tensor) and value.requires_grad:
            raise NotNumbers("It returned a tensor that holds on to its graph: `.item()` makes it a number.")
        return alone(value)

    def noise() -> Tensor:
        fresh = Linear(seed, NOISY[1])
        answer(fresh, torch.optim.SGD(fresh.parameters(), lr=rate), images(seed, NOISY[0]))
        return fresh.decoded()

    seed_draws(seed)
    for index in range(2):
        record(evidence, f"loss{index}", step, index)
        for key in (f"move{index}", f"z{index}"):
            evidence.setdefault(key, evidence[f"loss{index}"])
    record(evidence, "noise0", noise)
    record(evidence, "noise1", noise)
    record(evidence, "training", _always, seed, "training", model.modes, True)


# --- 3.4 test_elbo ----------------------------------------------------------------------------------


def test_set(seed: int) -> tuple[Tensor, int]:
    """Images, and a batch size that leaves a much smaller last batch, of the brightest images.

    There are more batches than images in one: who takes batch_size for the number of batches shows.
    """
    batch_size = _between(9, 12, seed, 8)
    return images(seed, batch_size * (batch_size + 2) + _between(2, 4, seed, 9)), batch_size


def probe_test_elbo(evidence: Evidence, answer: Any, seed: int) -> None:
    x, batch_size = test_set(seed)
    seed_draws(seed)
    for prefix, size in (("", batch_size), ("whole ", 2 * len(x))):
        model = Linear(seed, 6)
        call = partial(called, evidence, answer, model, x.clone(), size)
        _record_parts(evidence, (f"{prefix}mean", f"{prefix}error"), call)
        record(evidence, f"{prefix}z", model.decoded)
        small = [found <= size for found in model.sizes]
        if not prefix:
            record(evidence, "batches", _always, seed, "batches", small, True)
    record(evidence, "evaluation", _always, seed, "evaluation", model.modes, False)
    record(evidence, "no gradients", _always, seed, "no gradients", model.tracked, False)


# --- 3.5 estimate_log_likelihood --------------------------------------------------------------------


def likelihood_inputs(seed: int, single: bool = False) -> tuple[Linear, Tensor, Tensor]:
    """The model, binary images (N, 1, 28, 28) and noise (K, N, 2); N, K and 2 differ."""
    n, k = (1, 1) if single else (_between(3, 5, seed, 12), _between(6, 9, seed, 13))
    eps = torch.randn(k, n, 2, generator=generator(seed, 16))
    model = Linear(seed, 2, contrast=0.2)  # so pale that no sample outweighs the rest
    return model, images(seed, n, 17), eps


def probe_estimate_log_likelihood(evidence: Evidence, answer: Any, seed: int) -> None:
    model, x, eps = likelihood_inputs(seed)
    record(evidence, "bound", one(answer), model, x, eps)
    record(evidence, "z", model.decoded)
    record(evidence, "single", one(answer), *likelihood_inputs(seed, single=True))


WIDE_OFFERED = {
    "total KL": ("lower by more than a quarter", "within a quarter", "higher by more than a quarter"),
    "dimensions with 95% of the KL": ("at most 20", "21 to 40", "more than 40"),
    "test -ELBO": ("better by more than 1 nat", "within 1 nat", "worse by more than 1 nat"),
}

PROBES = {
    "MyVAE": probe_my_vae,
    "vae_loss": probe_vae_loss,
    "vae_train_step": probe_vae_train_step,
    "test_elbo": probe_test_elbo,
    "estimate_log_likelihood": probe_estimate_log_likelihood,
    "predict_wide": prediction(WIDE_OFFERED),
}
