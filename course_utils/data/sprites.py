"""Pictures drawn from five known factors, so that claims about factors can be measured.

Shape, size, angle, column and row, in all combinations, once each: in the manner of dSprites (Matthey et al.
2017, github.com/google-deepmind/dsprites-dataset), smaller. An angle stays below 90 degrees, so that no two
combinations give the same picture: a square looks the same after a quarter turn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SHAPES = ("square", "ellipse", "heart")
RADII = (3.2, 4.0, 4.8, 5.6)  # pixels
ANGLES = 5  # from 0 in equal steps below 90 degrees
PLACES = 8  # columns and rows of the centre, in equal steps between
MARGIN = 8.0  # pixels from the rim
SIDE, FINE = 28, 4  # pixels along a side, points per pixel along a side


@dataclass(frozen=True)
class Sprites:
    """Images (N, 1, 28, 28) float32 in [0, 1], and their factors' values numbered from 0, (N, 5) int64."""

    images: Tensor
    factors: Tensor
    names: tuple[str, ...] = ("shape", "size", "angle", "column", "row")


def draw() -> Sprites:
    """All 3,840 combinations; the last factor changes fastest."""
    sizes = (len(SHAPES), len(RADII), ANGLES, PLACES, PLACES)
    factors = torch.cartesian_prod(*(torch.arange(size) for size in sizes))
    return Sprites(torch.cat([_pictures(part) for part in factors.split(320)]), factors)


def _pictures(factors: Tensor) -> Tensor:
    """White shapes on black: the share of FINE x FINE points in each pixel that lie inside."""
    shape, size, angle, column, row = factors.T
    ticks = (torch.arange(SIDE * FINE) + 0.5) / FINE
    places = torch.linspace(MARGIN, SIDE - MARGIN, PLACES)
    x = ticks.view(1, 1, -1) - places[column].view(-1, 1, 1)
    y = ticks.view(1, -1, 1) - places[row].view(-1, 1, 1)
    turn = (angle * torch.pi / 2 / ANGLES).view(-1, 1, 1)
    radius = torch.tensor(RADII)[size].view(-1, 1, 1)
    u = (turn.cos() * x + turn.sin() * y) / radius
    v = (turn.cos() * y - turn.sin() * x) / radius

    square = torch.maximum(u.abs(), v.abs()) < 0.9
    ellipse = u**2 + (v / 0.55) ** 2 < 1.2
    a, b = 1.15 * u, 0.15 - 1.15 * v  # a heart stands on its tip
    heart = (a**2 + b**2 - 1) ** 3 < a**2 * b**3
    inside = torch.stack([square, ellipse, heart])[shape, torch.arange(len(factors))]
    return F.avg_pool2d(inside.float().unsqueeze(1), FINE)
