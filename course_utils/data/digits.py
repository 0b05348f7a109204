"""The embedded digits: scikit-learn's 1,797 handwritten ones (Alpaydin & Kaynak 1998).

8x8 pixels are enlarged to 20x20 and centred in 28x28, as MNIST's digits are. They stand in the file writer by
writer, some 130 images each, which begin with 0 to 9 three times over. At 1,415 such a block ends: nobody has
written both for training and for testing. A cut inside a block shows in the scores: with one 22 images into
the next block, 30% of that writer's other images have their nearest training image among those 22, where
chance gives 1.5%.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

TRAIN = 1415  # of the images, up to where a writer's block ends; the rest are for testing
VARIANTS = 7  # of each of them
MOST = (1 + VARIANTS) * TRAIN


def enlarged(wanted: int = MOST) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (N, 1, 28, 28) float32 in [0, 1] and labels (N,) int64 for training, then for testing.

    The last 382 images are for testing, each of the others with seven small affine variants: 11,320 images.
    Where fewer are `wanted` for training, no more variants are made than hold these, the first.
    """
    # Read from where `load_digits` has it: to import scikit-learn takes longer than to import PyTorch.
    library: Any = find_spec("sklearn")
    file = Path(*library.submodule_search_locations, "datasets", "data", "digits.csv.gz")
    rows = np.loadtxt(file, delimiter=",", dtype=np.float32)
    labels = torch.from_numpy(rows[:, -1]).long()
    small = torch.from_numpy(rows[:, :-1]).view(-1, 1, 8, 8) / 16
    large = F.interpolate(small, size=(20, 20), mode="bicubic", align_corners=False)
    # Bicubic enlargement leaves grey fringes; MNIST's strokes are nearly black or white.
    images = F.pad(((large - 0.25) / 0.5).clamp(0, 1), (4, 4, 4, 4))

    generator = torch.Generator().manual_seed(0)
    variants = min(VARIANTS, math.ceil(wanted / TRAIN) - 1)
    moved = [_affine_variant(images[:TRAIN], generator) for _ in range(variants)]
    known, known_labels = torch.cat([images[:TRAIN], *moved]), labels[:TRAIN].repeat(variants + 1)
    return known, known_labels, images[TRAIN:], labels[TRAIN:]


def _affine_variant(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned, sheared, scaled and shifted a little, at random."""
    n = len(images)

    def uniform(limit: float) -> Tensor:
        return (2 * torch.rand(n, generator=generator) - 1) * limit

    angle, shear, scale = uniform(0.15), uniform(0.15), 1 + uniform(0.1)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    rows = [cos, -sin + shear, uniform(0.08), sin, cos, uniform(0.08)]
    grid = F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False).clamp(0, 1)
