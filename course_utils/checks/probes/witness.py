"""A small known model that notes what it is asked, for answers that are handed a model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from course_utils.checks.probes.evidence import (
    AGAIN,
    Evidence,
    NotNumbers,
    as_array,
    note,
    record,
    same_dtype,
)
from course_utils.checks.probes.inputs import fact, generator

NEVER = "The model is never called."


def greys(seed: int, n: int, stream: int) -> Tensor:
    """Images (n, 1, 28, 28) in [0, 1], black, grey and white, brighter along the batch: so they differ."""
    share = torch.linspace(0.7, 1.7, n).view(n, 1, 1, 1)
    return (share * torch.rand(n, 1, 28, 28, generator=generator(seed, stream)) ** 2).clamp(max=1)


class Notes(list[Any]):
    """Notes that the copies of a model share: what a copy is asked counts as well."""

    def __deepcopy__(self, _: object) -> Notes:
        return self


class Witness(nn.Module):
    """A VAE of three matrices; sigma is between about 0.1 and 2. Without heads it is an autoencoder.

    It notes the images that it encodes and the codes that it decodes, and of every call its own flag
    `training` and that of a module inside, the size of the batch, and whether gradients were tracked; and of
    every `backward` that it came as far as the logits' weights. `gain` makes codes larger, and with them
    these weights' gradients. An answer has to give it the dtype of `own`: that of the weights is finer.
    """

    own: Tensor

    def __init__(
        self, seed: int, latent_dim: int, contrast: float = 0.5, heads: bool = True, gain: float = 1.0
    ) -> None:
        super().__init__()
        g = generator(seed, 11)

        def matrix(scale: float, *shape: int) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(*shape, generator=g).double())  # so that small moves show

        self.to_mu = matrix(0.1 * gain, 784, latent_dim)
        self.to_logvar = matrix(0.05, 784, latent_dim) if heads else None
        self.to_logits = matrix(contrast / gain, latent_dim, 784)
        self.register_buffer("own", torch.zeros(()))
        self.reached = Notes()  # truth values
        self.to_logits.register_hook(lambda _: self.reached.append(True))
        self.inside = nn.Identity()
        self.images, self.codes = Notes(), Notes()  # tensors
        self.modes, self.sizes, self.tracked = Notes(), Notes(), Notes()

    def encode(self, x: Tensor) -> Any:
        if x.shape[1:] != (1, 28, 28):
            raise ValueError(f"encode takes images (N, 1, 28, 28) and got {tuple(x.shape)}")
        same_dtype(x, self.own.dtype)
        self.images.append(x.detach().clone().reshape(-1, 784))
        flat = self.inside(x.flatten(1))
        mu = flat @ self.to_mu.to(x.dtype)
        self._note(mu)
        return mu if self.to_logvar is None else (mu, flat @ self.to_logvar.to(x.dtype) - 2)

    def decode(self, z: Tensor) -> Tensor:
        same_dtype(z, self.own.dtype)
        x_logits = (z @ self.to_logits.to(z.dtype)).view(-1, 1, 28, 28)
        self.codes.append(z.detach().clone().reshape(-1, z.shape[-1]))
        self._note(x_logits)
        return x_logits

    def forward(self, x: Tensor) -> Tensor:
        code = self.encode(x)
        return self.decode(code if self.to_logvar is None else code[0])

    @property
    def mode(self) -> tuple[bool, bool]:
        return self.training, self.inside.training

    def _note(self, output: Tensor) -> None:
        self.modes.append(self.mode)
        self.sizes.append(len(output))
        self.tracked.append(output.requires_grad)

    def asked(self, evidence: Evidence, suffix: object = "") -> None:
        """Keep the images that were encoded (n, 784) and the codes that were decoded, one in each row."""
        for key, method, notes in (("images", "encode", self.images), ("codes", "decode", self.codes)):
            never = np.array(f"The model's `{method}` is never called.")
            evidence[f"{key}{suffix}"] = as_array(torch.cat(notes)) if notes else never

    def in_mode(self, seed: int, training: bool) -> float:
        """The fact that it was in this mode whenever it was called, in training mode afterwards too, and that
        it is in float32, as it came."""
        modes, complaint = [*self.modes, *([self.mode] if training else [])], ""
        if training and not all(map(all, modes)):
            complaint = "It is put into evaluation mode: leave it in training mode."
        elif not training and any(own for own, _ in modes):
            late = "It is in evaluation mode first and in training mode later: put the mode back at the end."
            complaint = "It is in training mode: call model.eval() first." if modes[0][0] else late
        elif not training and any(map(any, modes)):
            complaint = "Only the model's own flag is turned: model.eval() reaches the modules inside too."
        elif self.own.dtype != torch.float32:
            complaint = "It leaves the weights in another precision than they came in."
        return self._fact(seed, "mode", complaint)

    def in_batches(self, seed: int, most: int) -> float:
        """The fact that no batch was larger."""
        size = max(self.sizes, default=0)
        complaint = f"{size} codes or images go through at once, {most} are allowed: split them."
        return self._fact(seed, "batches", complaint * (size > most))

    def untracked(self, seed: int) -> float:
        """The fact that it never ran with gradients tracked."""
        complaint = "Steps are kept for backward: use torch.no_grad()."
        return self._fact(seed, "gradients", complaint * any(self.tracked))

    def _fact(self, seed: int, name: str, complaint: str) -> float:
        """The fact that it was called, and that there is nothing to complain of."""
        if complaint or not self.modes:
            raise NotNumbers(complaint if self.modes else NEVER)
        return fact(seed, name, True)


def steps(
    evidence: Evidence, answer: Callable[..., Any], model: Witness, batches: Sequence[Tensor], rate: float
) -> None:
    """Let the answer step on each batch, with plain gradient descent: the first step of Adam would look the
    same for a gradient of any size.

    Kept per step i: what it returned as "loss i", how the weights moved as "move i", "images i", "codes i",
    and as "optimizer i" how often the optimizer stepped, its learning rate then, and how often gradients
    reached the weights. After several, one more is taken twice: of the same codes it has to return the same.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    taken: list[int] = []
    optimizer.register_step_post_hook(lambda *_: taken.append(1))
    for index, batch in enumerate(batches):

        def step(x: Tensor, index: int = index) -> Any:
            model.images.clear()
            model.codes.clear()
            model.reached.clear()
            before, began = parameters_to_vector(model.parameters()).detach().clone(), len(taken)
            value = answer(model, optimizer, x)
            evidence[f"move{index}"] = as_array(parameters_to_vector(model.parameters()) - before)
            model.asked(evidence, index)
            rate = optimizer.param_groups[0]["lr"]
            evidence[f"optimizer{index}"] = as_array([len(taken) - began, rate, len(model.reached)])
            return plain(value)

        record(evidence, f"loss{index}", step, batch)
        for key in ("move", "images", "codes", "optimizer"):
            evidence.setdefault(f"{key}{index}", evidence[f"loss{index}"])  # what stopped the step
    if len(batches) > 1 and evidence["loss0"].dtype.kind != "U":
        twice: tuple[Evidence, Evidence] = {}, {}
        drawn = torch.get_rng_state()
        for found in twice:
            torch.set_rng_state(drawn)
            steps(found, answer, copy.deepcopy(model), batches[:1], rate)
        once, again = twice
        alike = all(np.array_equal(once[key], again[key]) for key in ("images0", "codes0"))
        numbers = [found["loss0"] for found in twice if found["loss0"].dtype.kind != "U"]
        if alike and not np.allclose(numbers, numbers[:1], 1e-6, equal_nan=True):
            note(evidence, AGAIN)


def plain(value: Any) -> Any:
    """The value, if it is a plain number; NotNumbers says what else it is."""
    if value is None or isinstance(value, int | float | np.number):
        return value
    if isinstance(value, Tensor) and value.requires_grad:
        raise NotNumbers(
            "It returned a tensor that still hangs on its graph: `.item()` makes it a plain number."
        )
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        raise NotNumbers("It returned a tensor or an array: `.item()` makes it a plain number.")
    raise NotNumbers(f"It returned a {type(value).__name__}: the loss alone is asked for, as a plain number.")
