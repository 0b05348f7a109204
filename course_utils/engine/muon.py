"""Muon: hidden matrices go as far in every direction as in the one where the gradient is largest.

The momentum M = U S V^T of a hidden matrix gives way to U V^T, the orthogonal matrix nearest to it (Jordan et
al. 2024, "Muon: an optimizer for hidden layers in neural networks"), times the root of outputs over inputs,
so that what comes out changes alike whatever the shape (Yang et al. 2023, arXiv:2310.17813). First and last
layer and all biases are Adam's. U V^T comes from products: two odd polynomials of M, which leave U and V as
they are and take S to 1, the second the best on what the first leaves (Amsel et al. 2025, arXiv:2505.16932).

PyTorch's own Muon takes five polynomials in bfloat16, which many processors do slowly, and an Adam beside it.
Here S is bounded more closely beforehand, and two in float32 bring the VAE as far as three in as many steps.
"""

import math
from typing import Any

import torch
from torch import Tensor

from course_utils.models import Model

# (a, b, c) of a x + b x^3 + c x^5: on [0.1, 1] to within 0.46 of 1, and the second from there to within 0.07.
FIRST = 5.6037, -13.8837, 9.7334
SECOND = 2.1306, -1.5116, 0.4020
MOMENTUM = 0.95
LENGTH = 4.0  # so that Adam's rate suits these matrices too


class Muon(torch.optim.Adam):
    """Adam for a model of the course, but that its `hidden` matrices go by Muon, at the same rate."""

    def __init__(self, model: Model, **adam: Any) -> None:
        super().__init__(model.parameters(), **adam)
        self.hidden = hidden(model)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move hidden matrices and take their gradients away, for Adam moves what has one."""
        (group,) = self.param_groups
        for weight in self.hidden:
            if (gradient := weight.grad) is None:
                continue
            state = self.state[weight]
            if not state:  # a step, as Adam's `load_state_dict` asks for one
                state.update(step=torch.zeros(()), momentum=torch.zeros_like(weight))
            momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
            direction = orthogonal(gradient.lerp(momentum, MOMENTUM).flatten(1))  # as Nesterov looks ahead
            outputs, inputs = direction.shape
            length = LENGTH * math.sqrt(outputs / inputs)
            weight.sub_(group["lr"] * length * direction.view_as(weight))
            weight.grad = None
        return super().step(closure)


def hidden(model: Model) -> list[Tensor]:
    """All weights but the biases and those of the first layer and the last."""
    ends = {id(model.encoder[0].weight), id(model.decoder[-1].weight)}
    return [weight for weight in model.parameters() if weight.ndim > 1 and id(weight) not in ends]


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly U V^T of a matrix U S V^T, (a, b): its singular values within 0.07 of 1, less where S is small.

    Small is what lies below a tenth of (sum of S^4)^(1/4), which is no less than the largest.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    # All of it but two products is done on the shorter side: of G = M M^T = U S^2 U^T.
    unit = matrix / matrix.norm().clamp(min=1e-12)  # S^4 of the smallest gradients is 0 in float32
    gram = unit @ unit.T
    bound = gram.norm().clamp(min=1e-6)  # of S^2; only 0 is less
    gram = gram / bound
    first = _polynomial(gram, *FIRST)
    second = _polynomial(first @ first @ gram, *SECOND)
    return second @ first @ (unit / bound.sqrt())


def _polynomial(gram: Tensor, a: float, b: float, c: float) -> Tensor:
    """a I + b G + c G^2: multiplied by it, a singular value x becomes a x + b x^3 + c x^5."""
    bent = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    bent.diagonal().add_(a)
    return bent
