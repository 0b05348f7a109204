"""Sprites: every combination once, and each factor does what its name says."""

import pytest
import torch
from pictures import fingerprint

from course_utils.data import sprites
from course_utils.data.sprites import Sprites


@pytest.fixture(scope="module")
def drawn() -> Sprites:
    return sprites.draw()


def centre(images: torch.Tensor) -> torch.Tensor:
    """Centre of mass (x, y) of each image, pixels."""
    ticks = torch.arange(28) + 0.5
    mass = images.sum((1, 2, 3))
    x, y = (images.sum((1, axis)) @ ticks / mass for axis in (2, 3))
    return torch.stack([x, y], 1)


def neighbours(drawn: Sprites, factor: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that differ by one step of one factor alone."""
    j = drawn.names.index(factor)
    stride = int(drawn.factors[:, j + 1 :].max(0).values.add(1).prod())
    first = (drawn.factors[:, j] < drawn.factors[:, j].max()).nonzero()[:, 0]
    return drawn.images[first], drawn.images[first + stride]


def test_every_combination_occurs_once(drawn):
    assert drawn.images.shape == (3840, 1, 28, 28)
    assert (drawn.factors.max(0).values + 1).tolist() == [3, 4, 5, 8, 8]
    assert len(drawn.factors.unique(dim=0)) == 3840


def test_no_two_combinations_look_the_same(drawn):
    assert len(drawn.images.flatten(1).unique(dim=0)) == 3840


def test_images_are_white_on_black_and_clear_of_the_rim(drawn):
    assert drawn.images.min() == 0
    assert drawn.images.max() == 1
    rim = torch.ones(28, 28, dtype=torch.bool)
    rim[1:-1, 1:-1] = False
    assert drawn.images[:, 0, rim].max() == 0
    assert drawn.images.flatten(1).amax(1).min() > 0.9


@pytest.mark.parametrize(("factor", "axis"), [("column", 0), ("row", 1)])
def test_a_place_moves_the_picture_along_its_axis_alone(drawn, factor, axis):
    moved = torch.subtract(*(centre(images) for images in reversed(neighbours(drawn, factor))))
    step = 12 / 7  # pixels
    assert (moved[:, axis] - step).abs().max() < 0.1
    assert moved[:, 1 - axis].abs().max() < 0.1


def test_size_makes_the_picture_larger(drawn):
    small, large = neighbours(drawn, "size")
    assert (large.sum((1, 2, 3)) > 1.15 * small.sum((1, 2, 3))).all()


def test_an_angle_keeps_size_and_place(drawn):
    before, after = neighbours(drawn, "angle")
    ratio = after.sum((1, 2, 3)) / before.sum((1, 2, 3))
    assert (ratio - 1).abs().max() < 0.1  # drawn from 4 x 4 points per pixel
    assert (centre(before) - centre(after)).abs().max() < 0.5


def test_the_pictures_are_those_that_the_course_s_numbers_come_from():
    some = torch.cartesian_prod(*(torch.arange(size) for size in (3, 2, 5, 2, 2)))
    assert fingerprint(sprites._pictures(some)) == pytest.approx(-24.0244, abs=0.01)
